"""Carry images over a trained bridge, from either of its ends.

    python -m image_diffusion bridge --sample results/bridge/NAME/last.ckpt --num_samples 100
    python -m image_diffusion bridge --sample last.ckpt --start dataset --input photos/

The images of a start are the test images of its set, noise, or those of a folder of your own.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.bridges.image_report import BATCH
from experiments.bridges.image_sets import is_noise, open_set
from experiments.bridges.image_starts import build_networks
from experiments.bridges.latents import Autoencoder, open_autoencoder
from experiments.bridges.run import BridgeRun
from experiments.bridges.sides import OTHER
from given.images.data.image_files import (
    image_names,
    list_images,
    make_way,
    read_image,
    save_images,
    square,
)
from given.images.data.imageset import to_tensor, to_uint8
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint
from given.runtime.files import npz, write
from given.runtime.machine import has_bf16


def sample(args: argparse.Namespace, device: torch.device) -> None:
    """Write the images that a bridge makes, PNG files or the arrays of an .npz.

    Args:
        args: of `experiments.bridges.images.parse`, with the checkpoint in `sample`.
        device: where the networks run.

    Raises:
        ValueError: no bridge between images, or a place that is taken.
    """
    name = "forward" if args.start == "prior" else "backward"
    run = load_bridge(args.sample, device)
    out = args.save_dir or args.sample.parent / f"from_{args.start}"
    coder = open_autoencoder(run.config, args.encoder, device)
    x = starts(args, run.config, name, coder)
    one_file = out.suffix.lower() == ".npz"
    if one_file and out.exists() and not args.overwrite:
        raise ValueError(f"{out} is there already; name another, or give --overwrite.")
    if not one_file:
        make_way(out, image_names(len(x)), args.overwrite)
    y = carried(run, name, x, args.seed)
    x, y = (x, y) if coder is None else (coder.decode(x), coder.decode(y))
    done = to_uint8(y)
    if one_file:
        write(out, npz(images=torch.from_numpy(done), starts=torch.from_numpy(to_uint8(x))))
    else:
        save_images(done, out)
    print(f"{len(done)} images from --start {args.start}: {out}")


def load_bridge(path: Path, device: torch.device) -> BridgeRun:
    """The bridge of a checkpoint, ready to carry images."""
    state = read_checkpoint(path)
    config = state["config"]
    if "resolution" not in config or "method" not in config:
        raise ValueError(f"{path} is no bridge between images.")
    config |= {"init_from": ""}  # its weights are replaced
    config |= {"bf16": has_bf16(device), "compile": False, "checkpointing": False}
    with blamed_on(path):
        run = BridgeRun(config, build_networks(config), {}, device)
    for n in OTHER:
        load_weights(run.sides[n].average.net, state["network"].get(n), path)
    return run


def starts(
    args: argparse.Namespace, config: dict, name: str, coder: Autoencoder | None = None
) -> Tensor:
    """(N, C, H, W), what is carried: a folder's images, noise, or test images; or latents."""
    set_name = config["prior" if name == "forward" else "dataset"]
    if is_noise(set_name) and not args.input:
        size, channels = config["resolution"], config["network"]["in_ch"]
        generator = torch.Generator().manual_seed(args.seed)
        z = torch.randn((checked(args.num_samples), channels, size, size), generator=generator)
        return config.get("prior_mean", 0.0) + config.get("prior_std", 1.0) * z
    x = images_of(args, config, set_name)
    return x if coder is None else coder.encode(x)


def images_of(args: argparse.Namespace, config: dict, set_name: str) -> Tensor:
    """(N, C, H, W) in [-1, 1] of the folder --input, or test images of a set."""
    size, num = config.get("pixels", config["resolution"]), checked(args.num_samples)
    if args.input:
        channels = 3 if "encoder" in config else config["network"]["in_ch"]
        files = list_images(args.input)[:num]
        pixels = [square(read_image(file, channels), size) for file in files]
        return to_tensor(np.stack(pixels).reshape(len(files), size, size, channels))
    images, _ = open_set(set_name, "test", size, args.data_root)
    return to_tensor(images[:num])


def checked(num: int) -> int:
    """The number of --num_samples, if it can be one."""
    if num < 1:
        raise ValueError(f"--num_samples must be above 0, not {num}.")
    return num


@torch.no_grad()
def carried(run: BridgeRun, name: str, x: Tensor, seed: int) -> Tensor:
    """What becomes of x (N, C, H, W), a batch at a time."""
    generator, ends = torch.Generator(run.device).manual_seed(seed), []
    for part in x.split(BATCH):
        with run.autocast():
            ends.append(run.carry(name, part.to(run.device), generator)[-1].float().cpu())
    return torch.cat(ends)
