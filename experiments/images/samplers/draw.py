"""Given: from a checkpoint to images."""

import functools

import numpy as np
import torch
from tqdm import tqdm

from given.images.data.imageset import to_uint8
from given.images.load import build_network, check_config
from given.noise import noise_per_image
from given.runtime.checkpoint import blamed_on, read_checkpoint, rebuilt
from image_diffusion.ddpm import DiffusionModule


def draw_batches(model, num, labels=None, guidance_scale=0.0, seed=0, batch_size=100):
    """Draw images batch by batch, the i-th from seed + i.

    Args:
        model: a DiffusionModule whose scheduler's timesteps are set. num: number of images.
        labels: (num,) classes from 1, or None. guidance_scale: see DiffusionModule.
        seed: of the first image. batch_size: images at a time.

    Yields:
        (B, H, W, C) uint8 arrays, `num` images together.
    """
    with tqdm(total=num, desc="images", disable=None, leave=False) as bar:
        for start in range(0, num, batch_size):
            index = np.arange(start, min(start + batch_size, num))
            chosen = None if labels is None else torch.as_tensor(labels)[index].to(model.device)
            with noise_per_image(seed + index):
                x = model.sample(len(index), chosen, guidance_scale)
            yield to_uint8(x)
            bar.update(len(index))


def draw_images(model, num, labels=None, guidance_scale=0.0, seed=0, batch_size=100):
    """All images of `draw_batches` as one (num, H, W, C) uint8 array."""
    return np.concatenate(list(draw_batches(model, num, labels, guidance_scale, seed, batch_size)))


def balanced_labels(num, num_classes):
    """(num,) labels 1 .. num_classes in turn."""
    return np.arange(num) % num_classes + 1


def load_model(path, scheduler_class, device="cpu", **options):
    """Rebuild the model of a checkpoint.

    Args:
        path: of the checkpoint. scheduler_class: from scheduler.py. device: where the model goes.
        options: further arguments of the scheduler, such as eta or sigma_type.

    Returns:
        a DiffusionModule in evaluation mode, and the configuration.
    """
    state = read_checkpoint(path)
    config = state["config"]
    with blamed_on(path):
        check_config(config, state["network"])
    scheduler = scheduler_class(**config["scheduler"], **options)
    build = functools.partial(build_network, config["network"], scheduler.exact)
    network = rebuilt(build, state["network"], path)
    model = DiffusionModule(network, scheduler).to(device).eval()
    return model.to(memory_format=torch.channels_last), config
