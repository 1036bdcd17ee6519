"""The ends of a bridge between images: sets by name, and draws from them."""

import contextlib
import math
import os
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from given.images.data import imageset as data
from given.images.labels import class_index
from given.runtime.machine import seed_of, sent

ALIASES = {"fashion_mnist": "fashion", "stackedmnist": "stacked_mnist"}


def open_set(
    name: str, split: str, resolution: int | None, data_root: Path | str
) -> tuple[np.ndarray, bool]:
    """The images of a name of the command line.

    Args:
        name: such as "cifar10:cat", "afhq-dog-64" or "DIR:cat".
        split: "train" or "test".
        resolution: pixels a side; None for the set's own.
        data_root: folder of the sets.

    Returns:
        (N, H, W, C) uint8 array, and whether an image stays one of the set when mirrored.
    """
    base, label = split_name(name)
    if re.match("(afhq|celeba)-", base) and not Path(base).is_dir():
        base, *middle, pixels = base.split("-")
        label = label or "".join(middle)
        if not re.fullmatch("[0-9]{1,5}", pixels):
            raise ValueError(f"Cannot read {name!r}; write afhq-dog-64 or celeba-64.")
        resolution = int(pixels)
    if base not in data.DATASETS and not Path(base).is_dir():
        known = ", ".join(
            ["standard", "matched", *ALIASES, *data.DATASETS, "afhq-dog-64", "celeba-64"]
        )
        raise ValueError(
            f"Unknown data set {name!r}. Known: {known}, or a folder; a class as in cifar10:cat."
        )
    images = data.load_dataset(base, split, resolution, data_root)
    if not label:
        return images.images, images.flip
    chosen = np.flatnonzero(images.labels == class_index(label, images.classes, first=0))
    return np.asarray(images.images[chosen]), images.flip


def split_name(name: str) -> tuple[str, str]:
    """The set or the folder of a name of the command line, and the class after its last colon."""
    name = os.path.expanduser(name)
    if Path(name).is_dir() or ":" not in name:
        return ALIASES.get(name, name), ""
    base, _, label = name.rpartition(":")
    return ALIASES.get(base, base), label


def as_tensor(images: np.ndarray | Tensor) -> Tensor:
    """(B, C, H, W) float32: uint8 images (B, H, W, C) in [-1, 1], float32 latents as they are."""
    x = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    return x.permute(0, 3, 1, 2) if x.is_floating_point() else data.to_tensor(x)


class ImageSource:
    """Draws from a set of images, as `BridgeRun` wants them, mirrored at random where that fits.

    A set lives on the device where `room_for_images` says so. Of a larger one the draws are made on
    the host, by a generator that follows the one of the device, and sent when they are read.
    """

    def __init__(self, images: np.ndarray, flip: bool, device: torch.device, salt: int = 0) -> None:
        """Keep (N, H, W, C) uint8 images, or float32 latents.

        Args:
            images: of the set.
            flip: whether a mirrored one stays one of the set.
            device: where they are wanted.
            salt: another one for each set of a run, whose draws would else go together.
        """
        self.images, self.flip, self.device, self.salt = images, flip, device, salt
        self.resident = None
        if device.type != "cpu" and images.nbytes <= data.room_for_images(device):
            self.resident = torch.from_numpy(np.array(images)).to(device)

    def __call__(self, rows: int, B: int, own: slice, generator: torch.Generator) -> Tensor:
        """(rows, columns, C, H, W), images in [-1, 1]: the columns `own` of rows x B draws."""
        if self.resident is None and self.device.type != "cpu":
            seed = seed_of(generator.initial_seed(), self.salt)
            generator = torch.Generator().manual_seed(seed)
        where: dict = {"generator": generator, "device": generator.device}
        index = torch.randint(len(self.images), (rows, B), **where)[:, own]
        mirrored = torch.rand((rows, B), **where)[:, own] < (0.5 if self.flip else 0.0)
        if self.resident is None:
            images = torch.from_numpy(self.images[index.flatten().numpy()])
            images, mirrored = (sent(each, self.device) for each in (images, mirrored))
        else:
            images = self.resident[index.flatten()]
        x = as_tensor(images)
        x = torch.where(mirrored.flatten()[:, None, None, None], x.flip(-1), x)
        return x.unflatten(0, index.shape)


class NoiseSource:
    """Draws of N(mean, std^2 I), images of a given shape (C, H, W)."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        device: torch.device,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        """Keep the shape, and the two numbers."""
        self.shape, self.device, self.mean, self.std = shape, device, mean, std

    def __call__(self, rows: int, B: int, own: slice, generator: torch.Generator) -> Tensor:
        """(rows, columns, C, H, W): the columns `own` of rows x B draws."""
        where: dict = {"generator": generator, "device": self.device}
        z = torch.randn((rows, B, *self.shape), **where)[:, own]
        return self.mean + self.std * z


def is_noise(name: str) -> bool:
    """Whether a name of the command line is noise: standard, matched, or matched-VARIANCE."""
    return name == "standard" or re.match("matched(-|$)", name) is not None


def moments_of_noise(name: str, images: np.ndarray) -> dict[str, float]:
    """prior_mean and prior_std of noise that is matched to a set (De Bortoli et al. 2021).

    Args:
        name: "matched" for the variance of the set, "matched-0.5" for that variance; for any other
            prior there is nothing to match.
        images: (N, H, W, C) uint8, or float32 latents; 1,000 of them are measured.

    Raises:
        ValueError: a variance that is none.
    """
    if not is_noise(name) or name == "standard":
        return {}
    x = as_tensor(images[:: len(images) // 1000 + 1])
    variance = x.var().item() if name == "matched" else 0.0
    with contextlib.suppress(ValueError):
        variance = variance or float(name.partition("-")[2])
    if not 0 < variance < math.inf:
        raise ValueError(f"--prior {name}: write matched, or a variance as in matched-0.5.")
    return {"prior_mean": x.mean().item(), "prior_std": variance**0.5}
