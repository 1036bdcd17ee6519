"""Door: `python image_diffusion/train.py`; what it does is in experiments/images/train.py."""

from given.runtime.cli import run_command

if __name__ == "__main__":
    run_command("experiments.images.train", "Stopped; --resume goes on from last.ckpt.")
