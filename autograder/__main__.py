"""A step of a GitHub workflow: `python -m autograder 1.1a` runs the graded tests of one task."""

from given.runtime.cli import run_command

if __name__ == "__main__":
    run_command("autograder.classroom")
