"""Door: `python image_diffusion/sampling.py`; what it does is in experiments/images/sample.py."""

from given.runtime.cli import run_command

if __name__ == "__main__":
    run_command("experiments.images.sample", "Stopped; --save_dir has the images so far.")
