"""Task 1: points in the plane. The modules here are yours, but for dataset.py and eval.py.

What is given is in given/ and experiments/. See README.md for the tasks.
"""

from given.runtime.cli import run_old_spelling

run_old_spelling()
