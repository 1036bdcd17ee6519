"""Train the network of --features classifier, or the one whose gradient guides to a class.

    python -m image_diffusion classifier --dataset fashion_full
    python -m image_diffusion classifier --dataset fashion_colour --noisy

The file is one for `control --classifier`, with --noisy; those that the course ships lie in
given/images/assets and are left alone unless --out names them.
"""

import argparse
import functools
from pathlib import Path

import torch
from torch import nn

from given.images.data.imageset import ImageSet, load_dataset
from given.images.data.sources import DATA_ROOT
from given.images.fid.train_classifier import accuracy, fit, scale_features, train_classifier
from given.images.noisy_classifier import (
    SCHEDULE,
    NoisyClassifier,
    noisy_accuracy,
    noisy_loss,
)
from given.runtime.checkpoint import save_whole
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import pick_device
from given.runtime.submission import ROOT
from image_diffusion.scheduler import DDIMScheduler

SPLITS = ("train", "test")
RESULTS = ROOT / "results" / "classifiers"


def train_noisy_classifier(
    dataset: ImageSet,
    minutes: float,
    batch_size: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[nn.Module, int, DDIMScheduler]:
    """Train a NoisyClassifier at all timesteps; see `fit`.

    Returns:
        the net, the steps taken, and its scheduler.
    """
    torch.manual_seed(seed)
    scheduler = DDIMScheduler(**SCHEDULE).to(device)
    channels, classes = dataset.images.shape[3], len(dataset.classes)
    net = NoisyClassifier(scheduler.alphas_cumprod, channels, classes).to(device)
    loss_fn = functools.partial(noisy_loss, net, scheduler)
    return net, fit(net, loss_fn, dataset, minutes, batch_size), scheduler


def main(argv: list[str] | None = None) -> None:
    """Train, report the accuracy on the test split, and write the checkpoint."""
    args = parse(argv)
    if args.out.exists() and not args.overwrite:
        raise ValueError(f"{args.out} is there already; choose another --out, or --overwrite it.")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sets = {s: load_dataset(args.dataset, s, args.resolution, args.data_root) for s in SPLITS}
    options = (args.minutes, args.batch_size, args.seed, pick_device(args.device))
    if args.noisy:
        net, steps, scheduler = train_noisy_classifier(sets["train"], *options)
        share = noisy_accuracy(net, scheduler, sets["test"], 0)
        config = {"noisy": True, "schedule": SCHEDULE}
    else:
        net, steps = train_classifier(sets["train"], *options)
        scale_features(net, sets["train"])
        share = accuracy(net, sets["test"])
        config = {}
    config |= {
        "channels": sets["train"].images.shape[3],
        "resolution": sets["train"].images.shape[1],
        "classes": list(sets["train"].classes),
        "dataset": args.dataset,
        "accuracy": share,
        "steps": steps,
        "command": command(args),
    }
    weights = {name: value.cpu().contiguous() for name, value in net.state_dict().items()}
    save_whole(args.out, {"config": config, "network": weights})
    print(f"{steps} steps; {share:.1%} of {len(sets['test'])} test images right; {args.out}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network of --features classifier.")
    parser.add_argument("--dataset", default="fashion", help="a set, or a folder of images")
    parser.add_argument("--noisy", action="store_true", help="for guidance: all noise levels")
    parser.add_argument("--resolution", type=whole, help="default: the set's own")
    parser.add_argument("--minutes", type=number, default=4.8, help="how long to train")
    parser.add_argument("--batch_size", type=whole, default=64)
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT)
    parser.add_argument("--out", type=file_path, help="default: in results/classifiers")
    parser.add_argument("--overwrite", action="store_true", help="replace an old file")
    args = parser.parse_args(argv)
    args.out = args.out or RESULTS / f"{Path(args.dataset).name}{'_noisy' * args.noisy}.pt"
    if args.minutes <= 0 or args.batch_size < 1:
        parser.error("--minutes must be above 0, and --batch_size at least 1.")
    return args


def command(args: argparse.Namespace) -> str:
    """The command that repeats this training; without the place of the data."""
    words = ["python -m image_diffusion classifier", f"--dataset {args.dataset}"]
    words += ["--noisy"] if args.noisy else []
    if args.resolution:
        words.append(f"--resolution {args.resolution}")
    words += [f"--minutes {args.minutes:g}", f"--batch_size {args.batch_size}"]
    return " ".join([*words, f"--seed {args.seed}", f"--device {args.device}"])
