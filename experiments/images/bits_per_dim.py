"""What the pixels of held-out images cost under a model, in bits.

    python -m image_diffusion likelihood --num_samples 100
    torchrun --standalone --nproc_per_node=4 -m image_diffusion likelihood --num_samples 1000

Exactly by the probability-flow ODE and from above by the bound of the reverse SDE (task 1.5), both
with random signs and with normal numbers in the divergence, each with the standard error of the
mean over images. Pixels are dequantised; class-conditional models are given the class, and the bits
of those trained with --logit are of the pixels, too. All of it is computed in float32: bfloat16
would round the input by a tenth of the smallest noise level.

Several processes take turns at the batches; each is drawn from a seed of its own, so that any
number of processes finds the same bits.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from experiments.images.samplers.draw import load_model
from experiments.images.samplers.process import known_from
from given.images.data.imageset import choose, load_dataset, to_tensor
from given.images.data.sources import ASSETS, DATA_ROOT
from given.images.logit import log_det, to_logits, uses_logits
from given.levels import Process
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import (
    first_of_machine,
    full_float32,
    pick_device,
    processes,
    rows_of_all,
    together,
)

NOISES = ("rademacher", "gaussian")
KINDS = ("ODE", "ELBO")


def bits_of_images(
    model: Any,
    sde: Process,
    images: np.ndarray,
    labels: Tensor | None = None,
    slices: int = 50,
    tol: float = 1e-4,
    noise: str = "rademacher",
    kinds: Sequence[str] = KINDS,
) -> dict[str, np.ndarray]:
    """Bits per dimension of each image by ODE and by ELBO, of the same dequantised pixels.

    Args:
        model: a DiffusionModule in evaluation mode.
        sde: a process of Task 1.
        images: (B, H, W, C) uint8.
        labels: (B,) from 1, or None.
        slices: times an image in the bound.
        tol: of the ODE.
        noise: of the divergence.
        kinds: of KINDS, which to compute.

    Returns:
        dict from kind to a (B,) array.
    """
    from sde_todo import likelihood

    x = likelihood.dequantise(to_tensor(images).to(model.device))
    logit = uses_logits(model.network)
    y, change = (to_logits(x), log_det(x)) if logit else (x, torch.zeros(len(x)).to(x))
    score_fn = model.score_fn(sde, labels, 1.0)
    eps = known_from(sde, model.var_scheduler)
    found = {}
    if "ODE" in kinds:
        found["ODE"] = likelihood.log_likelihood(sde, score_fn, y, eps, tol, noise)
    if "ELBO" in kinds:
        found["ELBO"] = likelihood.elbo(sde, score_fn, y, eps, slices, "debiased", noise)
    bits = {kind: likelihood.bits_per_dim(logp + change, x) for kind, logp in found.items()}
    return {kind: values.cpu().numpy() for kind, values in bits.items()}


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean of (N,) values and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ckpt_path", type=file_path, default=ASSETS / "fashion_ddpm.ckpt")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT)
    parser.add_argument("--num_samples", type=whole, default=100)
    parser.add_argument("--batch_size", type=whole, default=50)
    parser.add_argument("--slices", type=whole, default=50, help="times an image, of the bound")
    parser.add_argument("--tol", type=number, default=1e-4, help="of the ODE")
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[tuple[str, str], np.ndarray]:
    """Print the table; return {(name, noise): (N,) bits}."""
    args = parse(arguments)
    if args.num_samples < 2 or args.batch_size < 1:
        raise ValueError("--num_samples must be at least 2, and --batch_size at least 1.")
    with processes(pick_device(args.device)) as (rank, world_size, args.device):
        bits = work(args, rank, world_size)
    if rank == 0:
        report(bits)
    return bits


def work(
    args: argparse.Namespace, rank: int = 0, world_size: int = 1
) -> dict[tuple[str, str], np.ndarray]:
    """Measure one process's batches; return {(name, noise): (N,) bits} of all of them."""
    from image_diffusion.scheduler import DDIMScheduler
    from sde_todo.sde import VPSDE

    model, config = load_model(args.ckpt_path, DDIMScheduler, args.device)
    model.requires_grad_(False)
    size, use_cfg = config["network"]["image_resolution"], config["network"]["use_cfg"]
    with first_of_machine(rank, world_size):  # the others find the set decoded
        test = load_dataset(config["dataset"], "test", size, args.data_root)
    index = choose(test, args.num_samples, args.seed)
    bits = {(name, noise): np.zeros(len(index)) for noise in NOISES for name in KINDS}
    with together(world_size):
        for noise in NOISES:
            starts = range(0, len(index), args.batch_size)[rank::world_size]
            for start in tqdm(starts, noise, disable=None):
                torch.manual_seed(args.seed + start)  # the same dequantised pixels for both noises
                own = slice(start, start + args.batch_size)
                labels = torch.from_numpy(test.labels[index[own]] + 1).to(model.device)
                options = (labels if use_cfg else None, args.slices, args.tol, noise)
                with full_float32():
                    found = bits_of_images(model, VPSDE(), test.images[index[own]], *options)
                for name, values in found.items():
                    bits[name, noise][own] = values
    return {key: rows_of_all(values, world_size) for key, values in bits.items()}


def report(bits: dict[tuple[str, str], np.ndarray]) -> None:
    """Print each mean with its standard error over images, and differences of the same images."""
    for (name, noise), values in bits.items():
        print(
            "{:<5} {:<11} {:6.3f} +- {:.3f} bits/dim".format(name, noise, *mean_and_error(values))
        )
    for noise in NOISES:
        gap = mean_and_error(bits["ELBO", noise] - bits["ODE", noise])
        print("ELBO - ODE, {:<24} {:6.3f} +- {:.3f}".format(noise, *gap))
    for name in KINDS:
        gap = mean_and_error(bits[name, "gaussian"] - bits[name, "rademacher"])
        print("gaussian - rademacher, {:<13} {:6.3f} +- {:.3f}".format(name, *gap))
