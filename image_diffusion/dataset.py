"""Given: the image sets, decoded once and kept in one memory-mapped file per set and resolution.

`load_dataset` finds a set, or says in one line which command gets it. `Loader` gives its batches.
`python image_diffusion/dataset.py --dataset NAME` fetches a set and builds its eval folder, the
test images as PNG files that `fid/measure_fid.py` takes.

The default set, `fashion`, comes with the course: 12,000 training and 4,000 test images of
Fashion-MNIST (Xiao et al. 2017), as many of each class.
"""

import argparse
import functools
import lzma
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

ASSETS = Path(__file__).parent / "assets"
DATA_ROOT = Path(__file__).parents[1] / "data"

FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat")
FASHION += ("sandal", "shirt", "sneaker", "bag", "boot")


@dataclass(frozen=True)
class ImageSet:
    """One split of a set at one resolution.

    images: (N, H, W, C) uint8, memory-mapped. labels: (N,) int64 from 0; the networks count
    classes from 1, because 0 is their null class. classes: their names. flip: whether an image
    stays one of the set when mirrored.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    flip: bool

    def __len__(self):
        return len(self.images)


@dataclass(frozen=True)
class Source:
    """Where a set comes from: `read(root, split)` returns labels (N,) and the N images in turn."""

    resolution: int
    classes: tuple[str, ...]
    flip: bool
    read: Callable


def load_dataset(name="fashion", split="train", resolution=None, data_root=DATA_ROOT):
    """Open one split of a set; decode it first where that has not been done yet.

    Args:
        name: one of DATASETS. split: "train" or "test".
        resolution: pixels a side; the set's own where left out. Images are cut to their central
            square and resized by Pillow's bicubic filter with antialiasing.
        data_root: the folder that holds or takes the sets.

    Returns:
        an ImageSet.

    Raises:
        ValueError: no such set or split. FileNotFoundError: the set is not here; says what gets it.
    """
    if name not in DATASETS:
        raise ValueError(f"Unknown data set {name!r}. Known: {', '.join(DATASETS)}.")
    if split not in ("train", "test"):
        raise ValueError(f"Unknown split {split!r}; use 'train' or 'test'.")
    source = DATASETS[name]
    resolution = resolution or source.resolution
    folder = Path(data_root) / name
    images_file = folder / f"{split}_{resolution}.npy"
    labels_file = folder / f"{split}_labels.npy"
    if not images_file.exists():
        labels, images = source.read(Path(data_root), split)
        folder.mkdir(parents=True, exist_ok=True)
        _save_whole(labels_file, lambda file: np.save(file, np.asarray(labels, np.int64)))
        _decode(images_file, images, len(labels), resolution, f"decoding {name} {split}")
    images = np.load(images_file, mmap_mode="r")
    return ImageSet(name, split, images, np.load(labels_file), source.classes, source.flip)


def square(image, resolution):
    """Cut an image to its central square and resize it.

    Args:
        image: a PIL image or an (H, W) or (H, W, C) uint8 array. resolution: pixels a side.

    Returns:
        (resolution, resolution, C) uint8 array.
    """
    if not isinstance(image, Image.Image):
        if image.shape[:2] == (resolution, resolution):
            return image.reshape(resolution, resolution, -1)
        image = Image.fromarray(image.squeeze())
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    image = image.resize((resolution, resolution), Image.Resampling.BICUBIC, box)
    return np.asarray(image).reshape(resolution, resolution, -1)


def to_tensor(images):
    """uint8 images (B, H, W, C) as float32 in [-1, 1], (B, C, H, W)."""
    images = torch.as_tensor(images)
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(x):
    """Images (B, C, H, W) in [-1, 1] as a uint8 array (B, H, W, C), rounded to the nearest."""
    x = (x.detach().clamp(-1, 1) + 1) * 127.5
    return x.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


class Loader:
    """Batches of a set, in an order that depends only on the seed and the number of the step.

    Each epoch is a new permutation, and step s takes its s-th part; so training can go on from any
    step, on any number of processes, with the batches that an undisturbed run would see. A small
    set lives on the device; of a large one, the next batch is read while the network works.

    Args:
        dataset: an ImageSet. batch_size: images a step, over all processes.
        seed: of the order and the flips. device: where the batches go.
        rank, world_size: this process takes the rank-th part of every batch.
    """

    ON_DEVICE = 2**30  # bytes of images that may stay in the accelerator's memory

    def __init__(self, dataset, batch_size, seed=0, device="cpu", rank=0, world_size=1):
        if batch_size > len(dataset):
            raise ValueError(
                f"A batch of {batch_size} is larger than the set of {len(dataset)}; "
                f"use a smaller --batch_size."
            )
        if batch_size % world_size:
            raise ValueError(
                f"A batch of {batch_size} cannot be shared by {world_size} processes; "
                f"use a multiple of {world_size}."
            )
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.device, self.rank, self.world_size = torch.device(device), rank, world_size
        self.steps_per_epoch = len(dataset) // batch_size
        self.reader = ThreadPoolExecutor(1)
        self.ahead = (None, None)  # number of a step and its batch, on its way
        self.permutation = functools.lru_cache(2)(self._permutation)
        self.resident = None
        if self.device.type != "cpu" and dataset.images.nbytes <= self.ON_DEVICE:
            self.resident = torch.from_numpy(np.asarray(dataset.images)).to(self.device)

    def batch(self, step):
        """The batch of one step: x0 (B, C, H, W) in [-1, 1] and class labels (B,) from 1."""
        ahead, future = self.ahead
        batch = future.result() if ahead == step else self._read(step)
        self.ahead = (step + 1, self.reader.submit(self._read, step + 1))
        images, labels, flips = (part.to(self.device, non_blocking=True) for part in batch)
        if self.resident is not None:
            images = self.resident[images]
        x0 = to_tensor(images)
        x0 = torch.where(flips[:, None, None, None], x0.flip(-1), x0)
        return x0, labels

    def _read(self, step):
        epoch, part = divmod(step, self.steps_per_epoch)
        order, mirrored = self.permutation(epoch)
        own = self.batch_size // self.world_size
        start = part * self.batch_size + self.rank * own
        index = np.sort(order[start : start + own])  # neighbours on disk are read together
        labels = torch.from_numpy(self.dataset.labels[index] + 1)
        flips = torch.from_numpy(mirrored[index])
        if self.resident is not None:
            images = torch.from_numpy(index)
        else:
            images = torch.from_numpy(self.dataset.images[index])
        if self.device.type == "cuda":
            return images.pin_memory(), labels.pin_memory(), flips.pin_memory()
        return images, labels, flips

    def _permutation(self, epoch):
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.dataset))
        mirrored = rng.random(len(self.dataset)) < 0.5
        return order, mirrored & self.dataset.flip


def _read_shipped(root, split):
    with lzma.open(ASSETS / "fashion_mnist.npz.xz") as file:
        arrays = np.load(file, allow_pickle=False)
        labels, images = arrays[f"{split}_labels"], arrays[f"{split}_images"]
    in_turn = np.arange(len(labels)).reshape(len(FASHION), -1).T.ravel()  # packed class by class
    return labels[in_turn], images[in_turn]


def _decode(path, images, count, resolution, what):
    """Write `count` images in turn to a memory-mapped file that appears when it is whole."""
    images = iter(images)
    first = square(next(images), resolution)

    def write(file):
        shape = (count, *first.shape)
        out = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        out[0] = first
        for i, image in enumerate(tqdm(images, what, count - 1, leave=False, disable=None), 1):
            out[i] = square(image, resolution)
        out.flush()

    _save_whole(path, write)


def _save_whole(path, write):
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


DATASETS = {
    "fashion": Source(28, FASHION, False, _read_shipped),
}
