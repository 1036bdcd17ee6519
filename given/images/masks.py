"""Holes for inpainting: masks (B, 1, H, W), 1 in the hole and 0 where the image is known."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from given.images.data.image_files import read_image

KINDS = ("rectangle", "half", "random")


def as_mask(mask: Tensor) -> Tensor:
    """A mask of any type as float32.

    Raises:
        ValueError: it holds other numbers than 0 and 1.
    """
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError("A mask holds 1 in the hole and 0 elsewhere, and nothing between.")
    return mask.float()


def make_mask(kind: str, batch_size: int, size: int, seed: int = 0) -> Tensor:
    """Draw masks.

    Args:
        kind: "rectangle" (half the side, somewhere inside), "half" (the right half), "random"
            (three pixels of four), or the path of an image whose white part is the hole.
        batch_size: B.
        size: H = W.
        seed: of rectangle and random.

    Returns:
        (B, 1, H, W) float32 tensor.

    Raises:
        ValueError: an unknown kind; a file that cannot be read or has another size.
    """
    masks = np.zeros((batch_size, 1, size, size), np.float32)
    rng = np.random.default_rng(seed)
    if kind == "rectangle":
        side = size // 2
        for mask in masks:
            top, left = rng.integers(size // 8, size - side - size // 8 + 1, size=2)
            mask[0, top : top + side, left : left + side] = 1
    elif kind == "half":
        masks[..., size // 2 :] = 1
    elif kind == "random":
        masks[:] = rng.random(masks.shape) < 0.75
    elif Path(kind).is_file():
        masks[:] = _read_mask(kind, size)
    else:
        raise ValueError(f"Unknown mask {kind!r}; use {', '.join(KINDS)} or an image file.")
    return torch.from_numpy(masks)


def _read_mask(path, size):
    pixels = np.asarray(read_image(path, 1))
    if pixels.shape != (size, size):
        raise ValueError(
            f"The mask {path} has {pixels.shape[1]} x {pixels.shape[0]} pixels; "
            f"the images have {size} x {size}."
        )
    return pixels > 127
