"""From a checkpoint to images."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from given.images.data.imageset import to_uint8
from given.images.labels import check_labels
from given.images.load import build_network, check_config
from given.noise import noise_per_image
from given.runtime.checkpoint import blamed_on, read_checkpoint, rebuilt
from image_diffusion.ddpm import DiffusionModule


def by_scheduler(
    model: DiffusionModule,
    batch_size: int,
    class_label: Tensor | None = None,
    guidance_scale: float = 0.0,
) -> tuple[Tensor, int]:
    """Draw images by the model's own `sample`, through the timesteps that its scheduler has set.

    Args:
        model: a DiffusionModule.
        batch_size: B.
        class_label: (B,) from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.

    Returns:
        (B, C, H, W), and the number of evaluations.
    """
    x = model.sample(batch_size, class_label, guidance_scale)
    return x, len(model.var_scheduler.timesteps)


def draw_batches(
    model: DiffusionModule,
    num: int,
    labels: np.ndarray | None = None,
    guidance_scale: float = 0.0,
    seed: int = 0,
    batch_size: int = 100,
    draw: Callable = by_scheduler,
) -> Iterator[np.ndarray]:
    """Draw images batch by batch, the i-th from seed + i.

    Args:
        model: a DiffusionModule.
        num: number of images.
        labels: (num,) classes from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.
        seed: of the first image.
        batch_size: images at a time.
        draw: of a sampler, see experiments/images/samplers.

    Yields:
        (B, H, W, C) uint8 arrays, `num` images together.
    """
    if labels is not None:
        labels = torch.as_tensor(labels)
        check_labels(labels, num, model.num_classes)
    with tqdm(total=num, desc="images", disable=None, leave=False) as bar:
        for start in range(0, num, batch_size):
            index = np.arange(start, min(start + batch_size, num))
            chosen = None if labels is None else labels[index].to(model.device)
            with noise_per_image(seed + index):
                x, _ = draw(model, len(index), chosen, guidance_scale)
            yield to_uint8(x)
            bar.update(len(index))


def draw_images(model: DiffusionModule, num: int, *args: Any, **kwargs: Any) -> np.ndarray:
    """All images of `draw_batches`, which has the same arguments, as (num, H, W, C) uint8."""
    return np.concatenate(list(draw_batches(model, num, *args, **kwargs)))


def balanced_labels(num: int, num_classes: int) -> np.ndarray:
    """(num,) labels 1 .. num_classes in turn."""
    return np.arange(num) % num_classes + 1


def load_model(
    path: str | Path, scheduler_class: type, device: torch.device | str = "cpu", **options: Any
) -> tuple[DiffusionModule, dict]:
    """Rebuild the model of a checkpoint.

    Args:
        path: of the checkpoint.
        scheduler_class: from scheduler.py.
        device: where the model goes.
        options: further arguments of the scheduler, such as eta or sigma_type.

    Returns:
        a DiffusionModule in evaluation mode, and the configuration.

    Raises:
        ValueError: a file that holds no image model; names it.
    """
    state = read_checkpoint(path)
    config = state["config"]
    with blamed_on(path):
        check_config(config, state["network"])
    scheduler = scheduler_class(**config["scheduler"], **options)
    build = functools.partial(build_network, config["network"], scheduler.exact)
    network = rebuilt(build, state["network"], path)
    model = DiffusionModule(network, scheduler).to(device).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, config
