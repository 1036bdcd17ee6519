"""FID, KID and the inception score of a folder of samples.

    python image_diffusion/fid/measure_fid.py EVAL_DIR SAMPLE_DIR
    python image_diffusion/fid/measure_fid.py SAMPLE_DIR --dataset fashion --kid --score
    torchrun --standalone --nproc_per_node=4 image_diffusion/fid/measure_fid.py EVAL_DIR SAMPLE_DIR

It warns of samples that are copies or near-copies of evaluation or training images. The training
images are those of --train or --dataset, or of the set after which dataset.py named EVAL_DIR.

A set is a folder of images or an .npz file: of one array of images, or of statistics `mu`, `sigma`
and perhaps `n`. `features.py` says what is compared and how images are resized; the equations
are in `distances.py`. The reference's statistics are kept in $XDG_CACHE_HOME/diffusion-course
(~/.cache/diffusion-course) under a hash of its images and of the feature network: a changed image
is measured again.

Several processes take turns at the batches of images; their number changes no figure, but for FID
by the rounding of its sums in float64.

The distance of two finite sets of real images is not zero. Compare figures only for equal numbers
of images, beside that floor.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from given.images.data.imageset import load_dataset
from given.images.data.sources import DATA_ROOT
from given.images.fid.classifier import CLASSIFIER
from given.images.fid.distances import frechet_distance, inception_score, kernel_distance
from given.images.fid.features import FEATURES, NO_CLASSES, load_features
from given.images.fid.moments import statistics
from given.images.fid.sources import Source, open_source, training_images
from given.images.fid.summary import (
    Images,
    Summary,
    read_statistics,
    reference_summary,
    summarise,
    thumbnails_of,
    warn_of_copies,
)
from given.runtime.cli import file_path, whole
from given.runtime.machine import first_of_machine, pick_device, processes

__all__ = ["calculate_fid_given_paths", "fid_of_images", "frechet_distance", "inception_score"]
__all__ += ["kernel_distance", "reference_summary", "statistics", "summarise"]

SETS = ("the evaluation images", "the samples")
COPIES = {"evaluation": "copies", "training": "training_copies"}


def cache_folder() -> Path:
    """Where reference statistics are kept unless --cache names another folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "diffusion-course"


def pick_features(name: str, sets: Sequence[Summary | Source]) -> str:
    """The name of the features: "auto" takes the classifier for 28 x 28 gray images.

    The evaluation set decides; where it is given as statistics, how many features these have.
    """
    if name != "auto":
        return name
    if isinstance(sets[0], Summary):
        return "inception" if len(sets[0].mu) == 2048 else "classifier"
    return "classifier" if sets[0].shape == (28, 28, 1) else "inception"


def calculate_fid_given_paths(
    paths: Sequence[Images],
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    features: str = "auto",
    kid: bool = False,
    score: bool = False,
    train: Images | None = None,
    cache: Path | None = None,
    subset_size: int = 1000,
    checkpoint: Path = CLASSIFIER,
    rank: int = 0,
    world_size: int = 1,
) -> dict[str, Any]:
    """FID of two sets, and on request KID and the inception score of the second.

    Args:
        paths: the evaluation set and the samples, each a folder, an .npz file or a uint8 array (N,
            H, W, C).
        batch_size: images at a time; 500 on CUDA, else 64 by default.
        device: "auto", "cpu", "cuda" or "mps".
        features: "auto", "classifier" or "inception".
        kid: whether to compute them.
        score: whether to compute them.
        train: a third set, in which copies are looked for as well.
        cache: folder for the reference's statistics, or None.
        subset_size: of KID.
        checkpoint: of the classifier.
        rank: of this process.
        world_size: number of processes that share the images.

    Returns:
        dict of `fid`, what it was computed from, and what else was asked for; in process 0 alone,
        an empty one in the others.

    Raises:
        ValueError, OSError: what cannot be read or compared; one sentence.
    """
    sets = [_open(path, where) for path, where in zip(paths, SETS, strict=True)]
    if (kid or score) and any(isinstance(each, Summary) for each in sets):
        raise ValueError("KID and the score need the images themselves, not statistics of them.")
    name = pick_features(features, sets)
    if score and name == "inception":  # said before the weights are asked for
        raise ValueError(NO_CLASSES)
    extractor = load_features(name, pick_device(str(device)), checkpoint)
    how = (batch_size, kid, kid or score, cache, rank, world_size)
    reference, samples = _summaries(sets, extractor, *how)
    if rank:
        return {}
    result = _describe(extractor, reference, samples)
    result["fid"] = frechet_distance(reference.mu, reference.cov, samples.mu, samples.cov)
    if kid:
        values = kernel_distance(reference.features, samples.features, subset_size=subset_size)
        result["kid"], result["kid_std"] = values
    if score:
        values = inception_score(extractor.probabilities(samples.features))
        result["score"], result["score_std"] = values
    result["copies"] = warn_of_copies(samples, reference, "evaluation")
    if train is not None and samples.thumbnails is not None:
        seen = thumbnails_of(open_source(train, "the training images"), extractor.channels)
        result["training_copies"] = warn_of_copies(samples, seen, "training")
    return result


def fid_of_images(
    images: np.ndarray,
    reference: np.ndarray | Summary,
    features: str = "classifier",
    device: str | torch.device = "cpu",
) -> float:
    """The Fréchet distance of two arrays of images.

    Args:
        images: (N, H, W, C) uint8.
        reference: (M, H, W, C) uint8, or the Summary of them from `summary_of`, which is measured
            once for many calls.
        features: see `load_features`.
        device: where the network runs.

    Returns:
        float.
    """
    if not isinstance(reference, Summary):
        reference = summary_of(reference, features, device, SETS[0])
    samples = summary_of(images, features, device, SETS[1])
    return frechet_distance(reference.mu, reference.cov, samples.mu, samples.cov)


def summary_of(
    images: np.ndarray,
    features: str = "classifier",
    device: str | torch.device = "cpu",
    where: str = "images",
) -> Summary:
    """The Summary of an array of images; where: what to call it. See `fid_of_images`."""
    return summarise(open_source(images, where), load_features(features, device))


def _open(path, where):
    """A Summary where the file holds statistics, else a Source."""
    return read_statistics(path) or open_source(path, where)


def _summaries(sets, extractor, batch_size, keep_reference, keep_samples, cache, rank, world_size):
    """The Summary of both sets; their features must be those of the extractor."""
    (reference, samples), share = sets, (rank, world_size)
    if not isinstance(reference, Summary):
        how = (batch_size, keep_reference, cache, *share)
        reference = reference_summary(reference, extractor, *how)
    if not isinstance(samples, Summary):
        samples = summarise(samples, extractor, batch_size, keep_samples, *share)
    for summary in (reference, samples):
        if len(summary.mu) != extractor.dim:
            raise ValueError(
                f"{summary.where} has statistics of {len(summary.mu)} features; "
                f"{extractor.name} gives {extractor.dim}, choose others by --features."
            )
    return reference, samples


def _describe(extractor, reference, samples):
    """What a figure was computed from, as plain data."""
    target = f"{extractor.size}x{extractor.size}x{extractor.channels}"
    shapes = ["x".join(map(str, s.shape or "?")) for s in (reference, samples)]
    how = "bilinear, antialiased where it shrinks"
    return {
        "features": f"{extractor.name} ({extractor.dim}; {extractor.about})",
        "device": extractor.device.type,
        "evaluation": reference.where,
        "samples": samples.where,
        "evaluation_images": reference.n,
        "sample_images": samples.n,
        "resize": f"{shapes[0]} and {shapes[1]} to {target}, {how}",
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print what was measured and how."""
    args = parse(argv)
    with processes(pick_device(args.device)) as (rank, world_size, device):
        paths, train = choose_sets(args, rank, world_size)
        result = calculate_fid_given_paths(
            paths,
            args.batch_size,
            device,
            args.features,
            args.kid,
            args.score,
            train,
            None if args.no_cache else args.cache,
            args.subset_size,
            args.checkpoint,
            rank,
            world_size,
        )
    if rank == 0:
        report(result)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def choose_sets(
    args: argparse.Namespace, rank: int = 0, world_size: int = 1
) -> tuple[list[Images], Images | None]:
    """The two sets of a command line, and the training images, which process 0 alone needs."""
    paths, train = args.paths, args.train
    with first_of_machine(rank, world_size):  # the others find a set decoded
        if args.dataset:
            train = train or load_dataset(args.dataset, "train", None, args.data_root).images
            if len(paths) == 1:
                test = load_dataset(args.dataset, "test", args.resolution, args.data_root)
                paths = [test.images, *paths]
        elif train is None and paths and rank == 0:
            train = training_images(paths[0], args.data_root)
    if len(paths) != 2:
        raise ValueError(f"{len(paths)} sets were named; name EVAL_DIR and SAMPLE_DIR.")
    return paths, train


def report(result: dict[str, Any]) -> None:
    """Print a result of `calculate_fid_given_paths`."""
    counts = [
        result[key] or "an unknown number of" for key in ("evaluation_images", "sample_images")
    ]
    print(f"Features: {result['features']}, on {result['device']}")
    print(f"Images: {counts[0]} evaluation, {counts[1]} samples; {result['resize']}")
    searched = [w for w, key in COPIES.items() if result.get(key) is not None]
    print(f"Copies were looked for among: {', '.join(searched) or 'nothing'} images")
    print(f"FID {result['fid']:.4f}")
    for key, name in (("kid", "KID"), ("score", "Inception score")):
        if key in result:
            print(f"{name} {result[key]:.6f} +- {result[f'{key}_std']:.6f}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="FID, KID and inception score of images.")
    add = parser.add_argument
    add(
        "paths", nargs="*", type=file_path, metavar="DIR", help="EVAL_DIR SAMPLE_DIR, or .npz files"
    )
    add("--dataset", help="its test images replace a missing EVAL_DIR; a set, or a folder")
    add("--resolution", type=whole, help="of --dataset; default: the set's own")
    add("--train", type=file_path, help="training images, in which copies are looked for")
    add("--data_root", type=file_path, default=DATA_ROOT)
    add("--features", default="auto", choices=("auto", *FEATURES))
    add(
        "--checkpoint",
        type=file_path,
        default=CLASSIFIER,
        help="of the classifier, for another set",
    )
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--batch_size", type=whole, help="default: 500 on CUDA, else 64")
    add("--kid", action="store_true")
    add("--subset_size", type=whole, default=1000, help="images of each of KID's 100 subsets")
    add("--score", action="store_true", help="the inception score, from class probabilities")
    add("--cache", type=file_path, default=cache_folder(), help="of the reference's statistics")
    add("--no_cache", action="store_true")
    add("--out", type=file_path, help="a JSON file for the figures")
    args = parser.parse_args(argv)
    if (args.batch_size or 1) < 1 or args.subset_size < 2:
        parser.error("--batch_size must be at least 1, and --subset_size at least 2.")
    return args
