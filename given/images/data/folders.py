"""A user's own folder of images as a set: flat or with a sub-folder a class, split or not.

The classes are the names of the sub-folders; a flat folder has one class. Where the folder has
train/ and test/ (or val/), these are the splits. Elsewhere about a tenth of each class is held out
for the test split: its second, fourth, 12th, 22nd, 32nd, ... image.
"""

from pathlib import Path

import numpy as np

from given.images.data.image_files import class_folders, list_classes, read_image
from given.images.data.sources import Source, Split

SPLITS = ("train", "val", "test")


def has_splits(folder: Path | str) -> bool:
    """Whether a folder has train/, val/ or test/."""
    return any((Path(folder) / name).is_dir() for name in SPLITS)


def read_folder_set(folder: Path | str, split: str) -> Split:
    """One split of any folder of images.

    Args:
        folder: with train/ and val/ or test/, or without; see the head of this module.
        split: "train" or "test".

    Raises:
        NotADirectoryError, FileNotFoundError, ValueError: no such folder or split, or no images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")
    if has_splits(folder):
        return read_split(folder, split)
    files, labels, classes = list_classes(folder)
    number = np.concatenate([np.arange(count) for count in np.bincount(labels)])  # within a class
    held_out = (number % 10 == 1) | (number == 3)  # two of few, as one image has no spread
    index = np.flatnonzero(held_out == (split == "test"))
    if not len(index):
        raise ValueError(f"{folder} holds {len(files)} image; a set needs one to test with, too.")
    return Split(labels[index], (read_image(files[i]) for i in index), classes)


def read_split(folder: Path, split: str) -> Split:
    """One split of a folder that has splits; val/ is for testing as well.

    Raises:
        FileNotFoundError: no such split. ValueError: its classes are not those of the others, so
            that their labels would differ.
    """
    names = ("train",) if split == "train" else ("val", "test")
    part = next((folder / name for name in names if (folder / name).is_dir()), None)
    if part is None:
        raise FileNotFoundError(f"{folder} has no {' or '.join(names)} folder for split {split!r}.")
    files, labels, classes = list_classes(part)
    for name in SPLITS:
        other = folder / name
        if other.is_dir() and class_folders(other) != class_folders(part):
            raise ValueError(
                f"{other} and {part} must hold the same classes, and hold "
                f"{', '.join(class_folders(other))} and {', '.join(classes)}."
            )
    return Split(labels, map(read_image, files), classes)


FOLDER_SETS = {"folder": Source(resolution=64, flip=False, read=read_folder_set)}
