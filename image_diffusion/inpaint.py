"""Door, for one release: this command is now `python -m image_diffusion inpaint`."""

from given.runtime.cli import run_as

if __name__ == "__main__":
    run_as("image_diffusion inpaint")
