"""Fill holes in test images in three ways, and compare them.

    python -m image_diffusion inpaint --mask half

Saves a picture of original, hole and the three results, and prints for each way: FID against the
test images, PSNR of the known part, and the root mean square distance to the original in the hole
(pixels from 0 to 1). Several fillings are right, so a small distance is good but none is needed.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.images.samplers.draw import load_model
from given.images import figures
from given.images.data.image_files import image_names, make_way, save_images
from given.images.data.imageset import choose, load_dataset, to_tensor, to_uint8
from given.images.data.sources import ASSETS, DATA_ROOT
from given.images.logit import refuse_logits
from given.images.masks import KINDS, make_mask
from given.noise import noise_per_image
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import pick_device
from given.runtime.todo import optional

CHECKPOINT = ASSETS / "fashion_ddpm.ckpt"
WAYS = ("replacement", "RePaint", "MCG")


def fill(
    model: Any,
    x0: Tensor,
    mask: Tensor,
    labels: Tensor | None = None,
    guidance_scale: float = 0.0,
    seed: int = 0,
    **options: Any,
) -> dict[str, Tensor]:
    """Fill the same holes in three ways, leaving out those whose TODO is open.

    Args:
        model: a DiffusionModule with DDPM steps set.
        x0: (B, C, H, W).
        mask: (B, 1, H, W).
        labels: see Inpainter.
        guidance_scale: see Inpainter.
        seed: of the noise.
        options: resamplings of RePaint, step_size of MCG.

    Returns:
        dict from the name of the way to (images (B, C, H, W), seconds).
    """
    from image_diffusion.inpainting import Inpainter

    inpainter = Inpainter(model, x0, mask, labels, guidance_scale)
    calls = (
        inpainter.replacement,
        lambda: inpainter.repaint(options.get("resamplings", 5)),
        lambda: inpainter.mcg(options.get("step_size", 0.5)),
    )
    return try_ways(dict(zip(WAYS, calls, strict=True)), seed, len(x0))


def try_ways(ways: dict[str, Callable[[], Tensor]], seed: int, count: int) -> dict[str, Tensor]:
    """Call each of `ways` on the same noise: dict from its name to (images, seconds)."""
    found = {}
    for name, way in ways.items():
        start = time.perf_counter()
        torch.manual_seed(seed)  # the steps of Task 1 draw from torch's own generator
        with optional(), noise_per_image(seed + np.arange(count)):
            x = way()
            if x.device.type == "cuda":
                torch.cuda.synchronize(x.device)
            found[name] = x, time.perf_counter() - start
    return found


def compare(
    filled: dict[str, np.ndarray],
    originals: np.ndarray,
    mask: Tensor,
    reference: np.ndarray,
    features: str = "classifier",
    device: str | torch.device = "cpu",
) -> Any:
    """The figures of each way.

    Args:
        filled: of `fill`, on any device.
        originals: (B, H, W, C) uint8.
        mask: (B, 1, H, W).
        reference: (N, H, W, C) uint8, for FID; measured once for all ways.
        features: see fid/features.py.
        device: where the features are computed.

    Returns:
        dict from the name to a dict with fid, psnr (dB, of the known part, inf where exact),
        distance (in the hole) and seconds.
    """
    from given.images.fid.measure import fid_of_images, summary_of

    real = summary_of(reference, features, device, "the test images")
    hole = mask.permute(0, 2, 3, 1).cpu().numpy().astype(bool)  # (B, H, W, 1)
    hole = np.broadcast_to(hole, originals.shape)
    found = {}
    for name, (x, seconds) in filled.items():
        images = to_uint8(x)
        squares = ((images.astype(float) - originals) / 255) ** 2
        known = squares[~hole].mean()
        found[name] = {
            "fid": fid_of_images(images, real, features, device),
            "psnr": float("inf") if known == 0 else -10 * np.log10(known),
            "distance": float(np.sqrt(squares[hole].mean())),
            "seconds": seconds,
        }
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--ckpt_path", type=file_path, default=CHECKPOINT, help="default: the shipped"
    )
    parser.add_argument("--save_dir", type=file_path, default="results/inpainting")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT)
    parser.add_argument("--mask", default="rectangle", help=f"{', '.join(KINDS)}, or an image")
    parser.add_argument("--num_samples", type=whole, default=50)
    parser.add_argument("--steps", type=whole, default=50)
    parser.add_argument("--resamplings", type=whole, default=5, help="of RePaint")
    parser.add_argument("--step_size", type=number, default=0.5, help="of MCG")
    parser.add_argument("--guidance_scale", type=number, default=1.0, help="0: no class")
    parser.add_argument("--features", default="classifier", help="of FID, or inception")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete the images that are in save_dir already"
    )
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    from image_diffusion.scheduler import DDPMScheduler

    args = parse(arguments)
    model, config = load_model(args.ckpt_path, DDPMScheduler, pick_device(args.device))
    refuse_logits(config, args.ckpt_path, "inpaint")
    model.var_scheduler.set_timesteps(args.steps)
    size, use_cfg = config["network"]["image_resolution"], config["network"]["use_cfg"]
    test = load_dataset(config["dataset"], "test", size, args.data_root)
    index = choose(test, args.num_samples, args.seed)
    make_way_for(WAYS, args, args.save_dir)
    originals = np.asarray(test.images[index])
    x0 = to_tensor(originals).to(model.device)
    mask = make_mask(args.mask, len(x0), size, args.seed).to(model.device)
    labels = None
    if use_cfg and args.guidance_scale:
        labels = torch.from_numpy(test.labels[index] + 1).to(model.device)
    filled = fill(
        model,
        x0,
        mask,
        labels,
        args.guidance_scale,
        args.seed,
        resamplings=args.resamplings,
        step_size=args.step_size,
    )
    report(args, originals, mask, filled, test.images)


def make_way_for(ways: Sequence[str], args: argparse.Namespace, folder: Path) -> None:
    """`make_way` in a folder for the args.num_samples images of each way, and their picture."""
    names = [f"{way}/{name}" for way in ways for name in image_names(args.num_samples)]
    make_way(folder, [*names, "comparison.png"], args.overwrite)


def report(
    args: argparse.Namespace,
    originals: np.ndarray,
    mask: Tensor,
    filled: dict[str, np.ndarray],
    reference: np.ndarray,
) -> None:
    """Print the table, and save the picture and the filled images."""
    device = pick_device(args.device)
    for name, found in compare(filled, originals, mask, reference, args.features, device).items():
        print(
            f"{name:<12} FID {found['fid']:7.2f}   PSNR of the known part "
            f"{found['psnr']:5.1f} dB   distance in the hole {found['distance']:.3f}   "
            f"{found['seconds']:.0f} s"
        )
    for name, (x, _) in filled.items():
        save_images(to_uint8(x), args.save_dir / name)
    rows = {"original": originals, "hole": figures.blanked(originals, mask)}
    rows |= {name: x for name, (x, _) in filled.items()}
    figures.save(figures.side_by_side(rows), args.save_dir / "comparison.png")
    print(f"Images and comparison.png: {args.save_dir}")
