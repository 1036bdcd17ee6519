"""Control a model that was never trained for it, in four ways, and measure the result.

    python -m image_diffusion control --task colour      gray images get colours
    python -m image_diffusion control --task super       7 x 7 pixels become 28 x 28
    python -m image_diffusion control --task inpaint     holes are filled
    python -m image_diffusion control --task class       a classifier's gradient chooses the class

The first three are measurements y = A x_0, and the table says how far A x of the result is from y
(root mean square, pixels from 0 to 1) and how far the whole image is from the one that was measured
(several images have the same measurement, so a small distance is good but none is needed). For the
last it says how often another classifier, of clean gray images, sees the class that was asked for.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.images.compare_inpainting import WAYS, make_way_for, try_ways
from experiments.images.samplers.draw import balanced_labels, load_model
from given.images import figures
from given.images.data.image_files import save_images
from given.images.data.imageset import choose, load_dataset, to_tensor, to_uint8
from given.images.data.sources import ASSETS, DATA_ROOT
from given.images.logit import refuse_logits
from given.images.masks import make_mask
from given.images.noisy_classifier import NOISY_CLASSIFIER, load_noisy_classifier
from given.levels import Process
from given.noise import noise_per_image
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import pick_device

CHECKPOINT = ASSETS / "colour_ddpm.ckpt"
TASKS = ("colour", "super", "inpaint", "class")
SCALES = (0.0, 1.0, 3.0, 10.0)  # of the classifier's gradient
BLOCK = 4  # pixels a side that super-resolution makes out of one


def make_operator(
    task: str,
    count: int,
    channels: int,
    size: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Any:
    """The measurement of a task, as `Measured` wants it; on the device of its images."""
    from image_diffusion.guidance import Gray, Mask, Pool

    if task == "colour":
        return Gray(channels)
    if task == "super":
        return Pool(BLOCK)
    return Mask(make_mask("rectangle", count, size, seed).to(device))


def solve(
    model: Any,
    operator: Any,
    y: Tensor,
    sde: Process,
    seed: int = 0,
    resamplings: int = 5,
    step_size: float = 0.5,
) -> dict[str, Tensor]:
    """Draw images with the measurement y in four ways, leaving out those whose TODO is open.

    Args:
        model: a DiffusionModule with DDPM steps set.
        operator: see Measured.
        y: see Measured.
        sde: of the predictor-corrector way.
        seed: of the noise.
        resamplings: of RePaint.
        step_size: of MCG.

    Returns:
        dict from the name of the way to (images (B, C, H, W), seconds).
    """
    from image_diffusion.guidance import Measured

    measured = Measured(model, operator, y)
    ways = {
        "replacement": measured.replacement,
        "RePaint": lambda: measured.repaint(resamplings),
        "MCG": lambda: measured.mcg(step_size),
        "PC": lambda: measured.predictor_corrector(sde),
    }
    return try_ways(ways, seed, len(y))


def measurement_errors(found: dict[str, Tensor], operator: Any, x0: Tensor) -> dict[str, Any]:
    """What each way missed.

    Args:
        found: of `solve`.
        operator: that was measured.
        x0: (B, C, H, W), what y was measured from.

    Returns:
        dict from the name to a dict with measurement and distance (root mean squares, pixels from
        0 to 1) and seconds.
    """
    errors, scale = {}, operator.measure(torch.ones_like(x0)).abs().max()
    for name, (x, seconds) in found.items():
        x = to_tensor(to_uint8(x)).to(x0)  # as it is saved: 8 bits, clamped
        missed = operator.measure(x - x0) / scale
        errors[name] = {
            "measurement": missed.square().mean().sqrt().item() / 2,
            "distance": (x - x0).square().mean().sqrt().item() / 2,
            "seconds": seconds,
        }
    return errors


def draw_classes(
    model: Any, classifier: Any, scales: Sequence[float], num: int, seed: int = 0
) -> tuple[dict[float, Tensor], Tensor]:
    """Images of all classes in turn, guided by a classifier's gradient.

    Args:
        model: a DiffusionModule with its steps set.
        classifier: see ClassifierGuided.
        scales: of the guidance.
        num: images for each.
        seed: of the first.

    Returns:
        dict from scale to (num, C, H, W) images, and their labels (num,) from 1.
    """
    from image_diffusion.guidance import ClassifierGuided

    guided = ClassifierGuided(model, classifier)
    labels = torch.from_numpy(balanced_labels(num, classifier.num_classes)).to(model.device)
    images = {}
    for scale in scales:
        with noise_per_image(seed + np.arange(num)):
            images[scale] = guided.sample(num, labels, scale)
    return images, labels


def judged(x: Tensor, labels: Tensor) -> float:
    """Share of images (B, C, H, W) in which the shipped classifier of gray ones sees the label.

    The gray level of a coloured set is scaled to span 0 to 255, as the classifier knows it.
    """
    from given.images.data.mnist import SHADE
    from given.images.fid.features import load_features

    features = load_features("classifier", x.device)
    images = to_uint8(x).astype(float)
    if images.shape[3] == 3:
        images = images.mean(3, keepdims=True) / SHADE
    images = images.clip(0, 255).round().astype(np.uint8)
    guess = features.probabilities(features(images)).argmax(1) + 1
    return float((guess == labels.cpu().numpy()).mean())


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=TASKS, default="colour")
    parser.add_argument(
        "--ckpt_path", type=file_path, default=CHECKPOINT, help="default: the shipped"
    )
    parser.add_argument(
        "--classifier", type=file_path, default=NOISY_CLASSIFIER, help="of noisy images"
    )
    parser.add_argument("--save_dir", type=file_path, help="default: results/control/TASK")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT)
    parser.add_argument("--num_samples", type=whole, default=32)
    parser.add_argument("--steps", type=whole, default=100, help="of DDPM, and of the predictor")
    parser.add_argument("--resamplings", type=whole, default=5, help="of RePaint")
    parser.add_argument("--step_size", type=number, default=0.5, help="of MCG")
    parser.add_argument("--scales", type=number, nargs="+", default=SCALES, help="of class")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete the images that are in save_dir already"
    )
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse(arguments)
    if args.num_samples < 1:
        raise ValueError("--num_samples must be at least 1.")
    folder = args.save_dir or Path("results/control") / args.task
    device = pick_device(args.device)
    if args.task == "class":
        control_class(args, folder, device)
    else:
        control_measurement(args, folder, device)
    print(f"Images and comparison.png: {folder}")


def control_measurement(args: argparse.Namespace, folder: Path, device: torch.device | str) -> None:
    """Colourisation, super-resolution and inpainting of test images."""
    from image_diffusion.scheduler import DDPMScheduler
    from sde_todo.sde import VPSDE

    model, config = load_model(args.ckpt_path, DDPMScheduler, device)
    refuse_logits(config, args.ckpt_path, "control")
    model.var_scheduler.set_timesteps(args.steps)
    size, channels = (config["network"][name] for name in ("image_resolution", "in_ch"))
    if args.task == "colour" and channels == 1:
        raise ValueError(f"{args.ckpt_path} draws gray images; --task colour needs a coloured set.")
    test = load_dataset(config["dataset"], "test", size, args.data_root)
    index = choose(test, args.num_samples, args.seed)
    make_way_for((*WAYS, "PC"), args, folder)
    x0 = to_tensor(test.images[index]).to(device)
    operator = make_operator(args.task, len(x0), channels, size, args.seed, x0.device)
    y = operator.measure(x0)
    options = (args.seed, args.resamplings, args.step_size)
    found = solve(model, operator, y, VPSDE(args.steps), *options)
    for name, errors in measurement_errors(found, operator, x0).items():
        print(
            f"{name:<12} measurement off by {errors['measurement']:.4f}   distance to the "
            f"measured image {errors['distance']:.3f}   {errors['seconds']:.0f} s"
        )
    rows = {"original": x0, "measured": operator.adjoint(y)}
    rows |= {name: x for name, (x, _) in found.items()}
    for name, (x, _) in found.items():
        save_images(to_uint8(x), folder / name)
    titles = {"colour": "Gray images get colours", "super": "7 x 7 pixels become 28 x 28"}
    title = titles.get(args.task, "Holes are filled")
    figures.save(figures.side_by_side(rows, title=title), folder / "comparison.png")


def control_class(args: argparse.Namespace, folder: Path, device: torch.device | str) -> None:
    """Every class in turn, at several guidance scales."""
    from image_diffusion.scheduler import DDPMScheduler

    model, config = load_model(args.ckpt_path, DDPMScheduler, device)
    refuse_logits(config, args.ckpt_path, "control")
    model.var_scheduler.set_timesteps(args.steps)
    classifier, about = load_noisy_classifier(DDPMScheduler, args.classifier, device)
    if about["channels"] != config["network"]["in_ch"]:
        raise ValueError(
            f"{args.classifier} reads {about['channels']} channels, and {args.ckpt_path} draws "
            f"{config['network']['in_ch']}; use a pair of the same set."
        )
    make_way_for([f"scale_{scale:g}" for scale in args.scales], args, folder)
    images, labels = draw_classes(model, classifier, args.scales, args.num_samples, args.seed)
    for scale, x in images.items():
        print(f"scale {scale:<5g} another classifier sees the class in {judged(x, labels):.0%}")
        save_images(to_uint8(x), folder / f"scale_{scale:g}")
    names = about["classes"]
    figure = figures.sweep(
        images,
        "A classifier's gradient chooses the class",
        min(len(names), args.num_samples),
        column_labels=names[: args.num_samples],
    )
    figures.save(figure, folder / "comparison.png")
