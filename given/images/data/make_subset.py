"""How the default set was made: `python -m image_diffusion subset`.

Takes the first images of every class from the whole of Fashion-MNIST (`fashion_full`), 1,200 of its
training part and 400 of its test part, and packs them into assets/fashion_mnist.npz.xz.
"""

import argparse
import io
import lzma

import numpy as np

from given.images.data.imageset import load_dataset
from given.images.data.sources import ASSETS

TRAIN_PER_CLASS = 1200
TEST_PER_CLASS = 400


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first `count` members of every class, class after class: packs smaller."""
    return np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)])


def main() -> None:
    """Command line."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    arrays = {}
    for split, count in (("train", TRAIN_PER_CLASS), ("test", TEST_PER_CLASS)):
        whole = load_dataset("fashion_full", split)
        index = first_of_each(whole.labels, count)
        arrays[f"{split}_images"] = whole.images[index]
        arrays[f"{split}_labels"] = whole.labels[index].astype(np.uint8)
    raw = io.BytesIO()
    np.savez(raw, **arrays)
    packed = lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    path = ASSETS / "fashion_mnist.npz.xz"
    path.write_bytes(packed)
    print(f"{path}: {len(packed):,} bytes")
