"""Given: noise that belongs to the image, not to the batch.

`noise_like(x)` is torch.randn_like, until `noise_per_image(seeds)` is entered: then row i comes
from a generator of its own, so that an image is the same whatever batch it is drawn in.
"""

import contextlib

import torch

_generators = None


def noise_like(x):
    """Standard normal numbers in the shape, dtype and device of x (B, ...)."""
    if _generators is None:
        return torch.randn_like(x)
    if len(x) != len(_generators):
        raise ValueError(f"Noise for {len(x)} images was requested with {len(_generators)} seeds.")
    rows = [torch.randn(x.shape[1:], generator=g, dtype=x.dtype) for g in _generators]
    return torch.stack(rows).to(x.device)


@contextlib.contextmanager
def noise_per_image(seeds):
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
