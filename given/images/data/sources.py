"""Where an image set comes from.

A Source knows how to read a set from the places where it may lie, and how to fetch it. Reading
never fetches: only the command `python image_diffusion/dataset.py` does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from given.runtime.submission import ROOT

ASSETS = ROOT / "given" / "images" / "assets"
DATA_ROOT = ROOT / "data"


class MissingSetError(FileNotFoundError):
    """A set is not in any of the places where it may lie."""


@dataclass(frozen=True)
class Split:
    """One split as its source gives it.

    Attributes:
        labels: (N,) from 0.
        images: the N images, one at a time.
        classes: names of the classes.
    """

    labels: np.ndarray
    images: Iterable
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where a set comes from.

    Attributes:
        resolution: the set's own, pixels a side.
        flip: whether mirrored images could be of the set.
        read: read(root, split) returns a Split or raises MissingSetError.
        fetch: fetch(root) downloads the set below root; None where no command can.
        otherwise: what else a user can do.
    """

    resolution: int
    flip: bool
    read: Callable
    fetch: Callable | None = None
    otherwise: str = ""


def missing(name: str, root: Path | str, places: Sequence[Path]) -> MissingSetError:
    """The error for a set that is in none of the places."""
    option = "" if Path(root) == DATA_ROOT else f' --data_root "{root}"'
    return MissingSetError(
        f"The set {name} is not here: looked in {', '.join(map(str, places))}; "
        f"`python image_diffusion/dataset.py --dataset {name}{option}` gets it."
    )
