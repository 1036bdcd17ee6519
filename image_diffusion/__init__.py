"""Task 2: images. Yours are scheduler, ddpm, inpainting and guidance; the other files are doors.

What is given is in given/ and experiments/. See README.md for the tasks.
"""

from given.runtime.cli import run_old_spelling

run_old_spelling()
