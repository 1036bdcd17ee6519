"""MNIST and the sets in its format."""

import gzip
import io
import lzma
import zlib
from pathlib import Path

import numpy as np

from given.images.data.download import download
from given.images.data.sources import ASSETS, Source, Split, missing

DIGITS = tuple("0123456789")
FASHION: tuple[str, ...] = ("T-shirt", "trouser", "pullover", "dress", "coat")
FASHION += ("sandal", "shirt", "sneaker", "bag", "boot")

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist

IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _read_shipped(root, split):
    raw = lzma.decompress((ASSETS / "fashion_mnist.npz.xz").read_bytes())
    with np.load(io.BytesIO(raw)) as arrays:
        labels, images = arrays[f"{split}_labels"], arrays[f"{split}_images"]
    in_turn = np.arange(len(labels)).reshape(len(FASHION), -1).T.ravel()  # packed class by class
    return Split(labels[in_turn], images[in_turn], FASHION)


SHADE = 0.55  # gray level of a tinted image over that of the image before


def _read_colour(root, split):
    """The shipped set, each image in a colour of its own: gray level g becomes SHADE g tint.

    A tint is a hue anywhere on the circle, of mean 1 over the three channels. So the mean of the
    channels still shows the garment, and tells nothing of its colour. The draw is seeded.
    """
    gray = _read_shipped(root, split)
    rng = np.random.default_rng(("train", "test").index(split))
    count = len(gray.labels)
    hue, strength = rng.uniform(0, 2 * np.pi, (count, 1)), rng.uniform(0.4, 0.8, (count, 1))
    tints = 1 + strength * np.cos(hue - np.array([0, 2, 4]) * np.pi / 3)  # (N, 3), 0.2 to 1.8
    pairs = zip(gray.images, tints, strict=True)
    images = (np.round(SHADE * image[..., None] * tint).astype(np.uint8) for image, tint in pairs)
    return Split(gray.labels, images, FASHION)


def read_idx(path: Path | str) -> np.ndarray:
    """Read an array of bytes in MNIST's format, packed by gzip or not; ValueError names the file.

    Source: the format's description at the MNIST database, LeCun et al. 1998.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            raw = file.read()
        dimensions = raw[3]  # after two zeros and the code of the type
        shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (EOFError, gzip.BadGzipFile, zlib.error, IndexError, ValueError) as error:
        raise ValueError(
            f"{path} is cut short or damaged; delete it and fetch it again."
        ) from error


def _idx_files(folder, split):
    """The image and label file of a split in a folder, packed or not, or None."""
    found = [
        next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
        for name in IDX_NAMES[split]
    ]
    return found if all(found) else None


def _read_idx_set(name, places, classes, root, split):
    root = Path(root)
    places = [root / place for place in places]  # an absolute place stays as it is
    files = next(filter(None, (_idx_files(place, split) for place in places)), None)
    if files is None:
        raise missing(name, root, places)
    images, labels = (read_idx(path) for path in files)
    if images.ndim != 3 or len(images) != len(labels):
        raise ValueError(
            f"{files[0]} and {files[1].name} do not belong together; fetch both again."
        )
    return Split(labels, images, classes)


def _read_mnist(root, split):
    places = ("mnist", "mnist/MNIST/raw", "MNIST/raw")
    return _read_idx_set("mnist", places, DIGITS, root, split)


def _read_fashion_full(root, split):
    places = ("fashion_full", "fashion_full/FashionMNIST/raw", "FashionMNIST/raw", DEBIAN_FASHION)
    return _read_idx_set("fashion_full", places, FASHION, root, split)


def _read_stacked_mnist(root, split):
    """Three digits, drawn at random, as the red, green and blue of an image: 1000 classes.

    Source: Metz et al. 2017, Unrolled generative adversarial networks. The draw is seeded.
    """
    digits = _read_mnist(root, split)
    rng = np.random.default_rng(("train", "test").index(split))
    drawn = rng.integers(0, len(digits.labels), (len(digits.labels), 3))
    labels = digits.labels[drawn].astype(np.int64) @ [100, 10, 1]
    images = (digits.images[three].transpose(1, 2, 0) for three in drawn)
    return Split(labels, images, tuple(f"{k:03d}" for k in range(1000)))


def _fetch_mnist(root):
    from torchvision.datasets import MNIST  # seconds to import, and seldom needed

    _fetch_idx(MNIST, Path(root) / "mnist")


def _fetch_fashion_full(root):
    from torchvision.datasets import FashionMNIST

    _fetch_idx(FashionMNIST, Path(root) / "fashion_full")


def _fetch_idx(torchvision_set, folder):
    """Fetch the files that a torchvision set names, from the first of its mirrors that answers."""
    for name, md5 in torchvision_set.resources:
        if not (folder / name).exists():
            _fetch_from_any(torchvision_set.mirrors, folder / name, f"md5:{md5}")


def _fetch_from_any(mirrors, path, checksum):
    for i, mirror in enumerate(mirrors, 1):
        try:
            return download(f"{mirror}{path.name}", path, checksum)
        except (ConnectionError, ValueError) as error:
            if i == len(mirrors):
                raise
            print(f"{error} Trying the next mirror.")


MNIST_BY_HAND = "put the four *-ubyte.gz files into <data_root>/mnist"

MNIST_SETS = {
    "fashion": Source(resolution=28, flip=False, read=_read_shipped),
    "fashion_colour": Source(resolution=28, flip=False, read=_read_colour),
    "fashion_full": Source(
        resolution=28,
        flip=False,
        read=_read_fashion_full,
        fetch=_fetch_fashion_full,
        otherwise="install Debian's package dataset-fashion-mnist, or put the four "
        "*-ubyte.gz files into <data_root>/fashion_full",
    ),
    "mnist": Source(
        resolution=28,
        flip=False,
        read=_read_mnist,
        fetch=_fetch_mnist,
        otherwise=MNIST_BY_HAND,
    ),
    "stacked_mnist": Source(
        resolution=28,
        flip=False,
        read=_read_stacked_mnist,
        fetch=_fetch_mnist,
        otherwise=MNIST_BY_HAND,
    ),
}
