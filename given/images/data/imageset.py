"""The image sets, decoded once and kept in one memory-mapped file per set and resolution.

`load_dataset` finds a set, or says in one line which command gets it. `Loader` gives its batches.
`python image_diffusion/dataset.py --dataset NAME` fetches a set and builds its eval folder, the
test images as PNG files that `fid/measure_fid.py` takes.

The default set, `fashion`, comes with the course: 12,000 training and 4,000 test images of
Fashion-MNIST (Xiao et al. 2017), as many of each class.
"""

import functools
import hashlib
import itertools
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from given.images.data.folders import FOLDER_SETS
from given.images.data.image_files import list_images, square
from given.images.data.mnist import MNIST_SETS
from given.images.data.photos import PHOTO_SETS, image_folder
from given.images.data.sources import ASSETS, DATA_ROOT
from given.runtime.files import atomic_write

__all__ = ["ASSETS", "DATASETS", "DATA_ROOT", "ImageSet", "Loader", "load_dataset", "square"]
__all__ += ["choose", "decoded_folder", "find_set", "to_tensor", "to_uint8"]

DATASETS = MNIST_SETS | PHOTO_SETS | FOLDER_SETS


@dataclass(frozen=True)
class ImageSet:
    """One split of a set at one resolution.

    Attributes:
        name: of the set.
        split: "train" or "test".
        images: (N, H, W, C) uint8, memory-mapped.
        labels: (N,) int64 from 0; networks count classes from 1, because 0 is their null class.
        classes: names of the classes.
        flip: whether a mirrored image could be one of the set.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    flip: bool

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> int:
        """A checksum of the labels and of about 1,000 of the images."""
        some = np.ascontiguousarray(self.images[:: len(self) // 1000 + 1])
        return zlib.crc32(some.data, zlib.crc32(np.ascontiguousarray(self.labels).data))


def load_dataset(
    name: str = "fashion",
    split: str = "train",
    resolution: int | None = None,
    data_root: Path | str = DATA_ROOT,
) -> ImageSet:
    """Open one split of a set; decode it first where that has not been done yet.

    Args:
        name: one of DATASETS, or a folder of images: see folders.py.
        split: "train" or "test".
        resolution: pixels a side; the set's own by default. Images are cut to their central square
            and resized by Pillow's bicubic filter with antialiasing.
        data_root: the folder that holds or takes the sets; for "folder" that of the images, and for
            "afhq" also any folder with train/ and val/ that hold a sub-folder for each class.

    Returns:
        an ImageSet.

    Raises:
        ValueError: no such set, split or resolution, or a damaged file; names it.
        FileNotFoundError: the set is not here; says what gets it.
        OSError: no space to decode to.
    """
    name, data_root = find_set(name, data_root)
    if split not in ("train", "test"):
        raise ValueError(f"Unknown split {split!r}; use 'train' or 'test'.")
    source = DATASETS[name]
    resolution = source.resolution if resolution is None else resolution
    if resolution < 1:
        raise ValueError(f"The resolution {resolution} is no number of pixels; use 1 or more.")
    if data_root.exists() and not data_root.is_dir():
        raise NotADirectoryError(f"The data root {data_root} is not a folder.")
    file = decoded_folder(name, data_root) / f"{split}_{resolution}.npy"
    if not (file.exists() and _labels_file(file).exists()):
        _decode(file, source.read(data_root, split), resolution, f"decoding {name} {split}")
    return ImageSet(name, split, *_open(file), source.flip)


def find_set(name: str, data_root: Path | str = DATA_ROOT) -> tuple[str, Path]:
    """The set and the root that are meant: a folder as name is the root of the set "folder".

    Raises:
        ValueError: there is neither a set nor a folder of that name, or "folder" lacks its root.
    """
    own = Path(name).expanduser()
    if name == "folder" and Path(data_root) == DATA_ROOT and not (DATA_ROOT / name).is_dir():
        raise ValueError("--dataset folder needs --data_root DIR, the folder of your images.")
    if name in DATASETS:
        return name, Path(data_root).expanduser()
    if own.is_dir():
        return "folder", own
    raise ValueError(
        f"Unknown data set {name!r}. Known: {', '.join(DATASETS)}; or name a folder of images."
    )


def decoded_folder(name: str, data_root: Path | str = DATA_ROOT) -> Path:
    """The folder of a set's decoded files, `<split>_<resolution>.npy`.

    That is `data_root/<name>`. A user's own image folder, and a data root that cannot be written
    to and holds no decoded files yet, stay as they are: their decoded files lie below DATA_ROOT, in
    a folder whose name ends in a hash of where the images are and, for image folders, of which
    images these are.
    """
    name, data_root = find_set(name, data_root)
    if name == "folder" and data_root == DATA_ROOT:  # what a grader put there, without the images
        return DATA_ROOT / name
    folder = {"afhq": image_folder, "folder": Path}.get(name, lambda _: None)(data_root)
    if folder is not None and folder != data_root / "afhq" / "afhq":
        stats = ((path, path.stat()) for path in list_images(folder))
        key = [f"{path.relative_to(folder)} {s.st_size} {s.st_mtime_ns}" for path, s in stats]
        return DATA_ROOT / f"{name}-{_short_hash(folder.resolve(), *key)}"
    there = any((data_root / name).glob("*_labels.npz"))
    if data_root.is_dir() and not there and not os.access(data_root, os.W_OK):
        return DATA_ROOT / f"{name}-{_short_hash(data_root.resolve())}"
    return data_root / name


def choose(dataset: ImageSet, num: int, seed: int = 0) -> np.ndarray:
    """Draw different images of a set at random.

    Args:
        dataset: an ImageSet.
        num: how many images.
        seed: of the draw.

    Returns:
        (num,) indices.

    Raises:
        ValueError: fewer than one is wanted, or more than there are.
    """
    if not 1 <= num <= len(dataset):
        raise ValueError(f"--num_samples {num}: choose 1 to {len(dataset)} {dataset.split} images.")
    return np.random.default_rng(seed).choice(len(dataset), num, replace=False)


def to_tensor(images: np.ndarray | Tensor) -> Tensor:
    """uint8 images (B, H, W, C) as float32 in [-1, 1], (B, C, H, W)."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.array(images))  # a copy: memory-mapped ones are read-only
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(x: Tensor) -> np.ndarray:
    """Images (B, C, H, W) in [-1, 1] as a uint8 array (B, H, W, C), rounded to the nearest."""
    x = (x.detach().clamp(-1, 1) + 1) * 127.5
    return x.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


class Loader:
    """Batches of a set, in an order that depends only on the seed and the number of the step.

    Each epoch is a new permutation, and step s takes its s-th part; so training can go on from any
    step, on any number of processes, with the batches that an undisturbed run would see. A small
    set lives on the device; of a large one, the next batch is read while the network works.

    Args:
        dataset: an ImageSet.
        batch_size: images a step, over all processes.
        seed: of the order and the flips.
        device: where the batches go.
        rank: this process takes the rank-th part of every batch.
        world_size: this process takes the rank-th part of every batch.

    Raises:
        ValueError: the set is too small for a batch, or a batch cannot be shared.
    """

    def __init__(
        self,
        dataset: ImageSet,
        batch_size: int,
        seed: int = 0,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_parts(batch_size, len(dataset), rank, world_size)
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.device, self.rank, self.world_size = torch.device(device), rank, world_size
        self.steps_per_epoch = len(dataset) // batch_size
        self.reader = ThreadPoolExecutor(1)
        self.ahead: tuple = (None, None)  # number of a step and its batch, on its way
        self.permutation = functools.lru_cache(2)(self._permutation)
        self.resident = None
        if dataset.images.nbytes <= room_for_images(self.device):  # then the file may change or go
            self.resident = torch.from_numpy(np.array(dataset.images)).to(self.device)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of one step.

        Args:
            step: number of the step, from 0.

        Returns:
            x0 (B, C, H, W) in [-1, 1] and class labels (B,) from 1.
        """
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
        whole = order[part * self.batch_size : (part + 1) * self.batch_size]
        whole = np.sort(whole)  # neighbours on disk are read together
        index = whole[self.rank * own : (self.rank + 1) * own]
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


def room_for_images(device: torch.device) -> int:
    """Bytes of a set that may live on a device: a quarter of what is free there, or 1 GiB."""
    if device.type == "cuda":  # CelebA at 64 x 64 takes 2 GB, AFHQ at 256 x 256 takes 3
        return torch.cuda.mem_get_info(device)[0] // 4
    return 2**30


def _check_parts(batch_size, count, rank, world_size):
    if not 1 <= batch_size <= count:
        raise ValueError(
            f"A batch of {batch_size} cannot be taken from a set of {count}; "
            f"use a --batch_size from 1 to {count}."
        )
    if batch_size % world_size:
        raise ValueError(
            f"A batch of {batch_size} cannot be shared by {world_size} processes; "
            f"use a multiple of {world_size}."
        )
    if not 0 <= rank < world_size:
        raise ValueError(f"The rank {rank} is not from 0 to {world_size - 1}.")


def _short_hash(*parts):
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:8]


def _labels_file(images_file):
    return images_file.with_name(f"{images_file.stem}_labels.npz")


def _open(file: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The memory-mapped images, labels and class names of a decoded split."""
    labels_file = _labels_file(file)
    try:
        images = np.load(file, mmap_mode="r")
        with np.load(labels_file) as arrays:
            labels, classes = arrays["labels"], tuple(map(str, arrays["classes"]))
        _check_labels(labels, classes)
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise ValueError("images and labels do not belong together")
    except Exception as error:  # numpy and zipfile make any error of a damaged file
        raise ValueError(
            f"{file} or {labels_file.name} beside it is damaged; delete both and run again."
        ) from error
    return images, labels, classes


def _check_labels(labels, classes):
    if labels.ndim != 1 or not np.isin(labels, range(len(classes))).all():
        raise ValueError(
            f"The labels are not all from 0 to {len(classes) - 1}; fetch the set again."
        )


def _decode(file, split, resolution, what):
    """Write a split's images to a memory-mapped file that appears when it is whole."""
    count = len(split.labels)
    if not count:
        raise ValueError(f"{what}: the set is empty.")
    _check_labels(split.labels, split.classes)
    images = (square(image, resolution) for image in split.images)
    images = tqdm(images, what, count, leave=False, disable=None)
    arrays = {"labels": split.labels.astype(np.int64), "classes": np.array(split.classes)}
    _make_room(file.parent, 3 * count * resolution**2)
    with atomic_write(_labels_file(file)) as part:
        np.savez(part, **arrays)
    with atomic_write(file) as part:
        _write_images(part, images, count)


def _write_images(file, images, count):
    """Write `count` images (R, R, C) to a file one by one, so that a large set needs no memory."""
    images = iter(images)
    first = next(images)
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *first.shape)}
    np.lib.format.write_array_header_1_0(file, header)
    for _, image in zip(range(count), itertools.chain([first], images), strict=True):
        file.write(np.broadcast_to(image, first.shape).tobytes())  # of one shape, or an error


def _make_room(folder, size):
    """Make a folder, and see that it can take a file, before the hours that decoding may take."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"Cannot make the folder {folder} ({error.strerror}); name another by --data_root."
        ) from error
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(f"{folder} has {free:,} bytes free, and the decoded set takes {size:,}.")
