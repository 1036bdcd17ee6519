"""Gaussian mixtures, whose density, score and denoiser are known under every process.

If X_0 ~ sum_k w_k N(mu_k, S_k) and X_t | x_0 ~ N(alpha x_0, std^2 I), then

    p_t = sum_k w_k N(alpha mu_k, alpha^2 S_k + std^2 I),

so that a sampler, a loss or a likelihood can be tested against the truth without training.
"""

import math
from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from given.levels import Process, alpha_std


class GaussianMixture:
    """A mixture of K Gaussians in D dimensions.

    Args:
        means: (K, D).
        covs: (K, D, D).
        weights: (K,), normalised here; equal by default.
    """

    def __init__(self, means: ArrayLike, covs: ArrayLike, weights: ArrayLike | None = None) -> None:
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.covs = torch.as_tensor(covs, dtype=torch.float64)
        K = len(self.means)
        w = torch.ones(K) if weights is None else torch.as_tensor(weights)
        self.weights = w.double() / w.sum()
        self.variances, self.axes = torch.linalg.eigh(self.covs)  # (K, D), (K, D, D)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw n points, float32 (n, D)."""
        generator = torch.Generator().manual_seed(seed)
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        z = z * self.variances[k].clamp(min=0).sqrt()
        return (self.means[k] + torch.einsum("nij,nj->ni", self.axes[k], z)).float()

    def log_prob(self, x: Tensor, alpha: float | Tensor = 1.0, std: float | Tensor = 0.0) -> Tensor:
        """log p_t(x) in nats, (B,), where X_t = alpha X_0 + std z.

        Args:
            x: (B, D).
            alpha: a number or (B, 1).
            std: a number or (B, 1).
        """
        log_joint, _, _ = self._components(x, alpha, std)
        return log_joint.logsumexp(1).to(x)

    def score(self, x: Tensor, alpha: float | Tensor = 1.0, std: float | Tensor = 0.0) -> Tensor:
        """grad_x log p_t(x), (B, D), where X_t = alpha X_0 + std z."""
        log_joint, y, variance = self._components(x, alpha, std)
        pull = -torch.einsum("kij,bkj->bki", self.axes, y / variance)  # (B, K, D)
        return torch.einsum("bk,bki->bi", log_joint.softmax(1), pull).to(x)

    def denoiser(self, x: Tensor, alpha: float | Tensor = 1.0, std: float | Tensor = 0.0) -> Tensor:
        """E[X_0 | X_t = x], (B, D), by Tweedie: (x + std^2 score) / alpha."""
        return (x + std**2 * self.score(x, alpha, std)) / alpha

    def score_fn(self, sde: Process) -> Callable[[Tensor, Tensor], Tensor]:
        """The exact score under a process, as the samplers want it: (t, x) -> (B, D)."""

        def exact_score(t, x):
            alpha, std = alpha_std(sde, t, x)
            return self.score(x, alpha, std)

        return exact_score

    def _components(self, x, alpha, std):
        """Log of weight times density (B, K), and position and variance along each axis (B, K, D).

        In float64 on the CPU, wherever x is: it is the truth that other numbers are held against.
        """
        alpha, std = (torch.as_tensor(v).cpu().double().reshape(-1, 1, 1) for v in (alpha, std))
        centred = x.cpu().double()[:, None, :] - alpha * self.means  # (B, K, D)
        y = torch.einsum("kij,bki->bkj", self.axes, centred)
        variance = alpha**2 * self.variances + std**2
        log_prob = -0.5 * (y**2 / variance + variance.log() + math.log(2 * math.pi)).sum(2)
        return self.weights.log() + log_prob, y, variance


def demo_mixture() -> GaussianMixture:
    """Three unequal Gaussians with full covariances, on the scale of the data sets."""
    means = [[-2.0, 0.0], [1.5, 1.5], [1.0, -2.0]]
    covs = [[[0.5, 0.3], [0.3, 0.4]], [[0.2, -0.1], [-0.1, 0.6]], [[0.3, 0.0], [0.0, 0.1]]]
    return GaussianMixture(means, covs, [0.5, 0.3, 0.2])


def matched_gaussian(points: Tensor) -> GaussianMixture:
    """The Gaussian with mean and covariance of points (n, D): all that a linear score can see.

    Raises:
        ValueError: fewer than two points.
    """
    n, D = points.shape
    if n < 2:
        raise ValueError(f"{n} points have no covariance; use at least 2.")
    points = points.double()
    return GaussianMixture(points.mean(0)[None], points.T.cov().reshape(1, D, D))
