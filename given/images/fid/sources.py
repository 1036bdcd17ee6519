"""Sets of images as FID reads them: a folder, an .npz file or an array, one image at a time.

Gray images enter a network for colour as three equal channels; colour becomes gray by Pillow's
weights, .299 R + .587 G + .114 B. Transparency is dropped, and 16 bits are scaled to 8.
"""

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from given.images.data.image_files import list_images, read_image
from given.images.data.imageset import DATASETS, load_dataset
from given.images.data.sources import DATA_ROOT


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images as gray or colour; the head of this module says how.

    Args:
        images: (B, H, W, 1 or 3) uint8.
        channels: 1 or 3.

    Returns:
        (B, H, W, channels) uint8.
    """
    if images.shape[3] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=3)
    gray = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    return np.stack(gray)[..., None]


@dataclass(frozen=True)
class Source:
    """Images that can be read one at a time.

    Attributes:
        where: what to call the set.
        count: how many images.
        read: read(i, channels) returns (H, W, channels) uint8.
        name: name(i) is what to call an image.
        key: key() is a hash of all contents, in order.
        shape: (H, W, C) of the first image.
    """

    where: str
    count: int
    read: Callable[[int, int], np.ndarray]
    name: Callable[[int], str]
    key: Callable[[], str]
    shape: tuple[int, int, int]


def open_source(images: str | Path | np.ndarray, where: str = "images") -> Source:
    """Images from a folder, a .npz file or an array.

    Args:
        images: a folder, searched with its sub-folders; an .npz file with one array; or an array,
            (N, H, W, C) or (N, H, W), of uint8, uint16 (scaled to 8 bits) or floats in [0, 1].
        where: what to call an array.

    Returns:
        a Source.

    Raises:
        ValueError, NotADirectoryError, FileNotFoundError: nothing to read there; names it.
    """
    if not isinstance(images, (str, Path)):
        return _from_array(images, where, where)
    path = Path(images)
    if path.suffix.lower() != ".npz":
        return _from_folder(path)
    arrays = read_npz(path)
    if len(arrays) != 1:
        names = ", ".join(arrays) or "nothing"
        raise ValueError(f"{path} holds {names}; an .npz of images holds one array.")
    return _from_array(next(iter(arrays.values())), str(path), path.name)


def training_images(eval_dir: Path | str, data_root: Path = DATA_ROOT) -> np.ndarray | None:
    """The training images of an eval folder of dataset.py, `<set>_<resolution>[_<limit>]`.

    None where it is no such folder: a user's own fashion_10000 may hold 10,000 images.
    """
    folder = Path(eval_dir).resolve()
    parts = re.fullmatch(r"(.+?)_(\d+)(_\d+)?", folder.name)
    if parts is None or parts[1] not in DATASETS or not folder.is_dir():
        return None
    resolution = int(parts[2])
    if open_source(folder).shape[:2] != (resolution, resolution):
        return None
    try:
        return load_dataset(parts[1], "train", resolution, data_root).images
    except FileNotFoundError as error:
        warnings.warn(f"Training images are not searched for copies: {error}", stacklevel=2)
        return None


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file as a dict; arrays of Python objects are refused, not executed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file.") from None
    except Exception as error:  # numpy and zipfile make any error of a damaged file
        raise ValueError(
            f"{path} is no .npz of plain numbers ({' '.join(str(error).split())}); "
            f"write it with numpy.savez, without object arrays."
        ) from None


def _from_folder(folder):
    files = list_images(folder)

    def read(i, channels):
        pixels = np.asarray(read_image(files[i], channels))
        return pixels.reshape(*pixels.shape[:2], channels)

    height, width, _ = read(0, 1).shape
    with Image.open(files[0]) as first:
        gray = first.mode in ("1", "L", "LA") or first.mode.startswith("I")
    return Source(
        where=str(folder),
        count=len(files),
        read=read,
        name=lambda i: files[i].relative_to(folder).as_posix(),
        key=lambda: _hash(file.read_bytes() for file in files),
        shape=(height, width, 1 if gray else 3),
    )


def _from_array(images, where, name):
    images = np.asanyarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or 0 in images.shape:
        raise ValueError(f"{where} has shape {images.shape}; pass (N, H, W, C) with C = 1, 3 or 4.")
    images = _eight_bits(images, where)[..., :3]  # the fourth channel is transparency
    return Source(
        where=where,
        count=len(images),
        read=lambda i, channels: to_channels(images[i : i + 1], channels)[0],
        name=lambda i: f"{name}[{i}]",
        key=lambda: _hash(part for image in images for part in (str(image.shape).encode(), image)),
        shape=images.shape[1:],
    )


def _eight_bits(images, where):
    """An array of images as uint8: 16 bits scaled, floats from [0, 1]."""
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.uint16:
        return np.round(images / 257).astype(np.uint8)  # 65535/255 = 257
    if images.dtype.kind != "f":
        raise ValueError(f"{where} holds {images.dtype}; pass uint8, uint16 or floats in [0, 1].")
    if not np.isfinite(images).all():
        bad = (~np.isfinite(images)).any((1, 2, 3)).sum()
        raise ValueError(f"{where}: {bad} of {len(images)} images hold NaN or infinite pixels.")
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        raise ValueError(f"{where} holds floats from {low:g} to {high:g}; scale them to [0, 1].")
    return np.round(images * 255).astype(np.uint8)


def _hash(parts):
    """A hash of byte strings in their order; their lengths count, so that no border can move."""
    digest = hashlib.sha256()
    for part in parts:
        part = bytes(part)
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
