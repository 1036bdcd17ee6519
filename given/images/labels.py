"""The class labels of a batch of images: they count from 1, because 0 is the null class."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_labels(labels: Tensor, count: int, num_classes: int) -> None:
    """Refuse labels that a network would misread, or die of.

    Their range is read, for which the host waits for the device: for once a batch, not once a step.

    Args:
        labels: (count,) whole numbers from 1.
        count: B.
        num_classes: K, the largest label.

    Raises:
        ValueError: another shape or type, or labels out of 1 .. K.
    """
    if labels.shape != (count,) or labels.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"Labels of shape {tuple(labels.shape)} and type {labels.dtype}; {count} images need "
            f"({count},) whole numbers of type torch.int64."
        )
    low, high = labels.min().item(), labels.max().item()
    if not 1 <= low <= high <= num_classes:
        wrong = low if low < 1 else high
        raise ValueError(f"There is no class {wrong}: classes count from 1 to {num_classes}.")


def class_index(text: str, classes: Sequence[str], first: int = 1) -> int:
    """The class that a user means by a name or a number, as an index from 0.

    Where names are numbers themselves, as those of digits, only names count.

    Args:
        text: a name, in upper or lower case, or a number.
        classes: all names.
        first: the number of the first class.

    Raises:
        ValueError: no such class; says which there are.
    """

    def plain(name):
        return str(name).lower().replace("_", " ")

    names = [plain(name) for name in classes]
    if text in classes or plain(text) in names:
        return list(classes).index(text) if text in classes else names.index(plain(text))
    numbers = [str(k + first) for k in range(len(classes))]
    if text in numbers and not any(name.isdecimal() for name in names):
        return numbers.index(text)
    ways = f"use {numbers[0]} to {numbers[-1]} or one of "
    if any(name.isdecimal() for name in names):
        ways = "use a name, as some names are numbers: "
    raise ValueError(f"Unknown class {text!r}; {ways}{', '.join(map(str, classes))}.")
