"""Door: the image sets (given/images/data/), and the command that fetches one."""

from given.runtime.cli import run_command

if __name__ == "__main__":
    run_command("given.images.data.eval_folder", "Stopped; the same command goes on.")

from given.images.data.imageset import *  # noqa: F403
