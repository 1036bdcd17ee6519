"""A smaller checkpoint of an image model, with what sampling needs and no more.

python -m image_diffusion export last.ckpt small.ckpt
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from given.runtime.checkpoint import read_checkpoint, save_whole
from given.runtime.cli import file_path


def export(source: Path | str, target: Path | str) -> None:
    """Write the configuration and the weights, in half precision, to a smaller checkpoint.

    log_snr stays whole: Fourier features multiply its rounding error by 100.
    """
    state = read_checkpoint(source)
    weights = {k: v if k == "log_snr" else v.half() for k, v in state["network"].items()}
    save_whole(target, {"config": state["config"], "network": weights})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=file_path, help="a checkpoint that train.py wrote")
    parser.add_argument("target", type=file_path, help="the file to write")
    args = parser.parse_args(arguments)
    export(args.source, args.target)
