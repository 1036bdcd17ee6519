"""The instructor's side of the course."""

from given.runtime.cli import run_old_spelling

run_old_spelling()
