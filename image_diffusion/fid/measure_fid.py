"""Door: `python image_diffusion/fid/measure_fid.py`; its code is in given/images/fid/measure.py."""

from given.runtime.cli import run_command

if __name__ == "__main__":
    run_command("given.images.fid.measure")

from given.images.fid.measure import *  # noqa: F403
