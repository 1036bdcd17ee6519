"""Given: where an image set comes from.

A Source knows how to read a set from the places where it may lie, and how to fetch it. Reading
never fetches: only the command `python image_diffusion/dataset.py` does.
"""

from collections.abc import Callable, Iterable
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
    """One split as its source gives it: labels (N,) from 0, the N images in turn, class names."""

    labels: np.ndarray
    images: Iterable
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A set: its own resolution, whether mirrored images belong to it, and how to come by it.

    `read(root, split)` returns a Split or raises MissingSetError. `fetch(root)` downloads the set
    below root. `otherwise` says what else a user can do.
    """

    resolution: int
    flip: bool
    read: Callable
    fetch: Callable | None = None
    otherwise: str = ""


def missing(name, root, places):
    """The error for a set that is in none of the places."""
    option = "" if Path(root) == DATA_ROOT else f' --data_root "{root}"'
    return MissingSetError(
        f"The set {name} is not here: looked in {', '.join(map(str, places))}; "
        f"`python image_diffusion/dataset.py --dataset {name}{option}` gets it."
    )
