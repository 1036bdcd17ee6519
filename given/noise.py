"""Noise that belongs to the image, not to the batch.

`noise_like(x)` is torch.randn_like, until `noise_per_image(seeds)` is entered. Then row i comes
from a generator of its own, so that an image is the same whatever batch it is drawn in.

Such rows are drawn on the CPU, and copying them to a GPU would make every step wait. There only the
first draw, from which sampling starts, is made so; all later ones come from one generator on the
device. So a sampler that draws no noise on the way gives the same images on every device and at any
batch size, up to rounding; with one that does, they depend on the batch size on a GPU.
"""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


class ImageNoise:
    """The generators of a batch of images.

    Args:
        seeds: one whole number for each image.
    """

    def __init__(self, seeds: Iterable[int]) -> None:
        self.seeds = [int(seed) for seed in seeds]
        self.rows = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        self.shared: torch.Generator | None = None

    def draw(self, x: Tensor) -> Tensor:
        """See `noise_like`."""
        if len(x) != len(self.rows):
            raise ValueError(
                f"There are {len(self.rows)} seeds for the noise of {len(x)} images; give one each."
            )
        if self.shared is not None:
            return torch.randn(x.shape, generator=self.shared, dtype=x.dtype, device=x.device)
        if x.device.type != "cpu":
            self.shared = torch.Generator(x.device).manual_seed(self.seeds[0])
        rows = [torch.randn(x.shape[1:], generator=g, dtype=x.dtype) for g in self.rows]
        return torch.stack(rows).to(x.device)


_noise: ImageNoise | None = None


def noise_like(x: Tensor) -> Tensor:
    """Standard normal numbers in the shape, dtype and device of x (B, ...).

    Raises:
        ValueError: x has not one row for each seed of `noise_per_image`.
    """
    return torch.randn_like(x) if _noise is None else _noise.draw(x)


@contextlib.contextmanager
def noise_per_image(seeds: Iterable[int]) -> Iterator[None]:
    """Inside, `noise_like` draws the i-th image's noise from a generator with the i-th seed.

    Args:
        seeds: one whole number for each image of the batch.
    """
    global _noise
    before = _noise
    _noise = ImageNoise(seeds)
    try:
        yield
    finally:
        _noise = before


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
