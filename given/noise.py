"""Noise that belongs to the image, not to the batch.

`noise_like(x)` is torch.randn_like, until `noise_per_image(seeds)` is entered: then row i comes
from a generator of its own, so that an image is the same whatever batch it is drawn in.
"""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

_generators = None


def noise_like(x: Tensor) -> Tensor:
    """Standard normal numbers in the shape, dtype and device of x (B, ...).

    Raises:
        ValueError: x has not one row for each seed of `noise_per_image`.
    """
    if _generators is None:
        return torch.randn_like(x)
    if len(x) != len(_generators):
        raise ValueError(
            f"There are {len(_generators)} seeds for the noise of {len(x)} images; give one each."
        )
    rows = [torch.randn(x.shape[1:], generator=g, dtype=x.dtype) for g in _generators]
    return torch.stack(rows).to(x.device)


@contextlib.contextmanager
def noise_per_image(seeds: Iterable[int]) -> Iterator[None]:
    """Inside, `noise_like` draws the i-th image's noise from a generator with the i-th seed.

    Args:
        seeds: one whole number for each image of the batch.
    """
    global _generators
    before = _generators
    _generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    try:
        yield
    finally:
        _generators = before


def random_probe(x: Tensor, noise: str = "rademacher") -> Tensor:
    """Random directions v with E[v v^T] = I, for divergences (Hutchinson 1989).

    Args:
        x: (B, ...), for its shape, dtype and device.
        noise: "rademacher" for signs, or "gaussian" for standard normal numbers.

    Returns:
        like x.

    Raises:
        ValueError: another noise.
    """
    if noise == "rademacher":
        return torch.randint_like(x, 0, 2) * 2 - 1
    if noise == "gaussian":
        return torch.randn_like(x)
    raise ValueError(f"noise = {noise!r}: choose rademacher or gaussian.")
