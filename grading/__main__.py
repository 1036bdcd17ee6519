"""The instructor's commands: `python -m grading grade|isolation|package|stubs|container`."""

from given.runtime.cli import run_command

if __name__ == "__main__":
    run_command("grading.commands")
