"""The point sets of Task 1, made in memory from a seed, each point independent of the others.

Every set is standardised by one mean and one deviation (of all its coordinates together, so that
its shape is kept) and multiplied by 2, as in the course that this grew from. The two constants
come from a fixed draw of 200,000 points: a set of any size has the same scale.
"""

import functools
import re
from collections.abc import Iterator

import numpy as np
import torch
from sklearn import datasets as sk
from torch import Tensor

SCALE = 2.0


def swiss_roll(n: int, rng: np.random.Generator) -> np.ndarray:
    """The Swiss roll with a hole, seen from the side: its first and third coordinate."""
    points, _ = sk.make_swiss_roll(n, noise=0.0, hole=True, random_state=_state(rng))
    return points[:, [0, 2]]


def moons(n: int, rng: np.random.Generator) -> np.ndarray:
    """Two interleaved half circles."""
    lower, angle = rng.integers(0, 2, n), np.pi * rng.uniform(size=n)
    x, y = np.cos(angle), np.sin(angle)
    points = np.stack([np.where(lower, 1 - x, x), np.where(lower, 0.5 - y, y)], 1)
    return points + 0.05 * rng.normal(size=(n, 2))


def scurve(n: int, rng: np.random.Generator) -> np.ndarray:
    """The letter S, from the side."""
    return sk.make_s_curve(n, noise=0.05, random_state=_state(rng))[0][:, [0, 2]]


def circles(n: int, rng: np.random.Generator) -> np.ndarray:
    """Two concentric circles."""
    radius, angle = rng.choice([0.5, 1.0], n), 2 * np.pi * rng.uniform(size=n)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points + 0.03 * rng.normal(size=(n, 2))


def checkerboard(n: int, rng: np.random.Generator, cells: int = 4) -> np.ndarray:
    """Uniform on the dark cells of a cells x cells board."""
    column = rng.integers(0, cells, n)
    row = 2 * rng.integers(0, cells // 2, n) + column % 2
    return np.stack([column, row], 1) + rng.uniform(size=(n, 2))


def pinwheel(n: int, rng: np.random.Generator, arms: int = 5) -> np.ndarray:
    """Gaussian arms, twisted the more the further out."""
    x = rng.normal(size=(n, 2)) * [0.3, 0.1] + [1.0, 0.0]
    angle = 2 * np.pi * rng.integers(0, arms, n) / arms + 0.25 * np.exp(x[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], 1)


def gaussians(n: int, rng: np.random.Generator, modes: int = 8) -> np.ndarray:
    """Narrow Gaussians on a circle."""
    angle = 2 * np.pi * rng.integers(0, modes, n) / modes
    return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * rng.normal(size=(n, 2))


def standard(n: int, rng: np.random.Generator) -> np.ndarray:
    """N(0, I), not rescaled: the usual prior."""
    return rng.normal(size=(n, 2))


DATASETS = {
    "swiss_roll": swiss_roll,
    "moons": moons,
    "scurve": scurve,
    "circles": circles,
    "checkerboard": checkerboard,
    "pinwheel": pinwheel,
    "8gaussians": gaussians,
    "gaussians": gaussians,
    "standard": standard,
}
TAKES_COUNT = ("checkerboard", "gaussians")


def make_points(name: str, n: int, seed: int = 0) -> Tensor:
    """Draw n points of a set.

    Args:
        name: one of `DATASETS`; "checkerboard:8" and "gaussians:5" say how many cells or modes.
        n: number of points, at least 1.
        seed: any whole number; the same seed gives the same points. Two sets of one seed share
            their random numbers: give the two ends of a flow or bridge two seeds.

    Returns:
        float32 tensor (n, 2).

    Raises:
        ValueError: an unknown name, or n < 1.
    """
    draw = _parse(name)
    if n < 1:
        raise ValueError(f"n = {n}: ask for at least one point of {name!r}.")
    points = draw(n, np.random.default_rng(seed))
    if name != "standard":
        mean, std = _moments(name)
        points = SCALE * (points - mean) / std
    return torch.from_numpy(points.astype(np.float32))


class Batches:
    """Endless random batches from points that stay in memory as one tensor.

    Args:
        points: (n, D) tensor, on the device where training happens.
        batch_size: number of points a batch, drawn without order and with replacement.
        seed: of the order; `state_dict` and `load_state_dict` carry on from any batch.
    """

    def __init__(self, points: Tensor, batch_size: int = 512, seed: int = 0) -> None:
        if len(points) == 0:
            raise ValueError("The set has no points; pass at least one.")
        self.points = points
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            index = torch.randint(len(self.points), (self.batch_size,), generator=self.generator)
            yield self.points[index.to(self.points.device)]

    def state_dict(self) -> dict[str, Tensor]:
        """The state of the order, as one tensor."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state_dict` was taken."""
        self.generator.set_state(state["generator"])


def _state(rng):
    return int(rng.integers(2**31))


def _parse(name):
    base, _, count = str(name).partition(":")
    known = ", ".join(sorted(DATASETS))
    if base not in DATASETS:
        raise ValueError(f"Unknown data set {name!r}. Known: {known}.")
    if not count:
        return DATASETS[base]
    if base not in TAKES_COUNT or not re.fullmatch("0*([2-9]|[1-9][0-9]{1,5})", count):
        raise ValueError(
            f"Cannot read {name!r}: only {' and '.join(TAKES_COUNT)} take a number from 2 to "
            f"999999, as in 'checkerboard:8'."
        )
    if base == "checkerboard" and int(count) % 2:
        raise ValueError(f"Cannot read {name!r}: a checkerboard has an even number of cells.")
    return functools.partial(DATASETS[base], **{_count_name(base): int(count)})


def _count_name(base):
    return {"checkerboard": "cells", "gaussians": "modes"}[base]


@functools.lru_cache
def _moments(name):
    reference = _parse(name)(200_000, np.random.default_rng(0))
    return reference.mean(), reference.std()
