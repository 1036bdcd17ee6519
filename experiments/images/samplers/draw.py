"""From a checkpoint to images."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from given.images.data.imageset import to_uint8
from given.images.labels import check_labels
from given.images.load import build_network, check_config
from given.images.logit import as_pixels
from given.images.noise_predictor import gives_noise
from given.noise import noise_per_image
from given.runtime.checkpoint import blamed_on, read_checkpoint, rebuilt
from given.runtime.machine import autocast, memory_format
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
    fill: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[int, np.ndarray]]:
    """Draw images batch by batch, the i-th from seed + i.

    What a sampler draws from torch's own generator depends on the first image of its batch alone.
    So a batch is the same whichever process draws it, and the generator is left as it was.

    Args:
        model: a DiffusionModule.
        num: number of images.
        labels: (num,) classes from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.
        seed: of the first image.
        batch_size: images at a time.
        draw: of a sampler, see experiments/images/samplers.
        fill: whether the last batch is filled up, and cut when it is drawn: a compiled network
            would be compiled again for a smaller one.
        rank: this process draws each world_size-th batch from the rank-th on.
        world_size: number of processes.

    Yields:
        the number of a batch's first image, and the batch, (B, H, W, C) uint8; in all processes
        together `num` images.
    """
    if labels is not None:
        labels = torch.as_tensor(labels)
        check_labels(labels, num, model.num_classes)
    batch_size = min(batch_size, num)
    starts = range(0, num, batch_size)[rank::world_size]
    own = sum(min(batch_size, num - start) for start in starts)
    with tqdm(total=own, desc="images", disable=None, leave=False) as bar:
        for start in starts:
            wanted = min(batch_size, num - start)
            index = start + np.arange(batch_size if fill else wanted)
            chosen = None if labels is None else labels[index.clip(max=num - 1)].to(model.device)
            cuda = [model.device] if model.device.type == "cuda" else []
            with torch.random.fork_rng(cuda), noise_per_image(seed + index):
                torch.manual_seed(seed + start)
                x, _ = draw(model, len(index), chosen, guidance_scale)
            yield start, to_uint8(as_pixels(model.network, x[:wanted]))
            bar.update(wanted)


def draw_images(model: DiffusionModule, num: int, *args: Any, **kwargs: Any) -> np.ndarray:
    """All images of `draw_batches`, which has the same arguments, as (num, H, W, C) uint8."""
    return np.concatenate([images for _, images in draw_batches(model, num, *args, **kwargs)])


def balanced_labels(num: int, num_classes: int) -> np.ndarray:
    """(num,) labels 1 .. num_classes in turn."""
    return np.arange(num) % num_classes + 1


def load_model(
    path: str | Path,
    scheduler_class: type,
    device: torch.device | str = "cpu",
    bf16: bool = False,
    compiled: bool = False,
    **options: Any,
) -> tuple[DiffusionModule, dict]:
    """Rebuild the model of a checkpoint.

    Args:
        path: of the checkpoint.
        scheduler_class: from scheduler.py.
        device: where the model goes.
        bf16: see `make_fast`.
        compiled: see `make_fast`.
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
    scheduler.clip = gives_noise(network)
    model = DiffusionModule(network, scheduler).to(device).eval()
    make_fast(network, torch.device(device), bf16, compiled)
    return model, config


def make_fast(
    network: nn.Module, device: torch.device, bf16: bool = False, compiled: bool = False
) -> None:
    """Make a network evaluate its images in the way that suits a device.

    Args:
        network: of given/images/unet.py, on the device.
        device: see `memory_format`.
        bf16: whether it computes in mixed precision; weights and results stay float32.
        compiled: whether torch.compile makes kernels for it, for batches of one size.
    """
    network.to(memory_format=memory_format(device, compiled))  # type: ignore[call-overload]
    if compiled:
        network.compile(dynamic=False)
    if bf16:
        network.at_log_snr = mixed(network.at_log_snr, device)


def autoguided(evaluate: Callable, weak: Callable, scale: float) -> Callable:
    """The noise moved away from what a weaker model says: autoguidance.

        weak + scale (noise - weak)

    A model that learned less errs in the same places, by more (Karras et al. 2024, "Guiding a
    diffusion model with a bad version of itself", eq. 3). Unlike guidance to a class this helps
    images of no class, too.

    Args:
        evaluate: `at_log_snr` of a network.
        weak: that of a weaker one.
        scale: 1 for the network as it is.
    """

    def guided(x, log_snr, class_label=None, timestep=None):
        noise_weak = weak(x, log_snr, class_label)  # its timesteps may be others
        return noise_weak + scale * (evaluate(x, log_snr, class_label, timestep) - noise_weak)

    return guided


def mixed(evaluate: Callable, device: torch.device) -> Callable:
    """A network's evaluation in mixed precision, with its result in float32."""

    @functools.wraps(evaluate)
    def in_bf16(*args):
        with autocast(device, True):
            return evaluate(*args).float()

    return in_bf16
