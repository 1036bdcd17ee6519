"""Mean and covariance of features, in one pass and over several processes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from given.runtime.machine import sum_over_processes


class Moments:
    """Mean and unbiased covariance in one pass, in float64: 50,000 x 2048 features need not stay.

    Batches are joined by their means and their sums of squares about them (Chan et al. 1979); the
    plain sum of squares would lose digits where the mean is large. A batch costs one product: the
    distance of the two means is one more row of it.

    Args:
        device: where the sums are; the CPU for one that has no float64, as MPS.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        place = "cpu" if torch.device(device).type == "mps" else device
        self.where: dict[str, Any] = {"dtype": torch.float64, "device": place}
        self.n = 0
        self.mean = torch.zeros((), **self.where)
        self.scatter = torch.zeros((), **self.where)

    def update(self, features: np.ndarray | Tensor) -> None:
        """Add features (B, F)."""
        if not isinstance(features, Tensor):
            features = torch.from_numpy(features)
        features = features.to(self.where["device"]).double()
        B, F = features.shape
        if not self.n:
            self.mean, self.scatter = (torch.zeros(s, **self.where) for s in ((F,), (F, F)))
        total, mean = self.n + B, features.mean(0)
        shift = mean - self.mean
        between = shift * (self.n * B / total) ** 0.5
        rows = torch.cat([features - mean, between[None]])
        self.scatter.addmm_(rows.T, rows)
        self.mean += shift * (B / total)
        self.n = total

    def join(self, world_size: int, dim: int) -> None:
        """Become the moments of the features of all processes, each of which has F = dim of them.

        mean = sum_r n_r mean_r / n,   scatter = sum_r scatter_r + n_r (mean_r - mean)(...)^T
        """
        if world_size == 1:
            return
        if not self.n:  # a process without images
            self.mean, self.scatter = (torch.zeros(s, **self.where) for s in ((dim,), (dim, dim)))
        n = int(sum_over_processes(torch.tensor(self.n), world_size))
        mean = sum_over_processes(self.n * self.mean, world_size) / n
        shift = self.mean - mean
        self.scatter.addr_(shift, shift, alpha=self.n)
        self.scatter = sum_over_processes(self.scatter, world_size)
        self.n, self.mean = n, mean

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """mu (F,) and cov (F, F), the sum of squares divided by n - 1."""
        if self.n < 2:
            raise ValueError(f"{self.n} image has no covariance; give at least 2, better 500.")
        return self.mean.cpu().numpy(), (self.scatter / (self.n - 1)).cpu().numpy()


def statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased covariance of features.

        mu = 1/n sum_i f_i,    cov = 1/(n - 1) sum_i (f_i - mu)(f_i - mu)^T

    Args:
        features: (n, F).

    Returns:
        mu (F,), cov (F, F), float64.

    Raises:
        ValueError: fewer than two images.
    """
    moments = Moments()
    moments.update(np.asarray(features, dtype=np.float64))
    return moments.result()
