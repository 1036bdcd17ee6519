"""Task 1.6, third part: LightSB, a bridge without trajectories (Korotin et al. 2024).

The plan of every bridge from p0 is pi(y|x) proportional to exp(x.y / eps) v(y), with eps = sigma^2
and some positive potential v. Where v is a mixture of Gaussians all of it is known in closed form:
a minute on a CPU, and the solver against which the others are judged in the plane.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class LightSB(nn.Module):
    """The bridge of the potential v(y) = sum_k alpha_k N(y | r_k, eps S_k).

    Args:
        eps: sigma^2 of the reference.
        K: number of components.
        D: dimension.
        centres: (K, D) where the r_k start; by default `fit_light_sb` takes points of the target.

    alpha_k and S_k are learned as log_alpha (K,) and as S_k = L_k L_k^T, with L_k lower triangular
    and its diagonal an exponential, so that every S_k stays positive definite.
    """

    def __init__(self, eps: float, K: int = 50, D: int = 2, centres: Tensor | None = None) -> None:
        super().__init__()
        self.eps = eps
        self.log_alpha = nn.Parameter(torch.zeros(K))
        self.r = nn.Parameter(torch.zeros(K, D) if centres is None else centres.clone())
        self.log_diagonal = nn.Parameter(torch.full((K, D), 0.5 * math.log(0.1)))
        self.below = nn.Parameter(torch.zeros(K, D, D))

    def cholesky(self) -> Tensor:
        """L with S = L L^T, (K, D, D)."""
        return self.below.tril(-1) + torch.diag_embed(self.log_diagonal.exp())

    def log_v(self, y: Tensor) -> Tensor:
        """log v(y), (B,), for y (B, D)."""
        D = y.shape[1]
        away = (y[:, None] - self.r).transpose(0, 1)  # (K, B, D)
        # BEGIN SOLUTION 1.6r
        # Hint: with u = L^{-1} (y - r), log N(y | r, eps S) = -|u|^2/(2 eps) - log det L
        #   - D/2 log(2 pi eps). torch.linalg.solve_triangular(L, away.mT, upper=False) gives u.
        u = torch.linalg.solve_triangular(self.cholesky(), away.mT, upper=False)  # (K, D, B)
        log_det = self.log_diagonal.sum(1) + 0.5 * D * math.log(2 * math.pi * self.eps)  # (K,)
        log_normal = -u.pow(2).sum(1) / (2 * self.eps) - log_det[:, None]  # (K, B)
        return (self.log_alpha[:, None] + log_normal).logsumexp(0)
        # END SOLUTION

    def log_weights(self, x: Tensor) -> Tensor:
        """Log weight of each component of pi(y|x) before normalising, (B, K).

        log alpha_k + (x^T S_k x + 2 x^T r_k) / (2 eps)
        """
        # BEGIN SOLUTION 1.6s
        # Hint: x^T S x = |L^T x|^2.
        Lx = torch.einsum("kij,bi->bkj", self.cholesky(), x)
        return self.log_alpha + (Lx.pow(2).sum(2) + 2 * x @ self.r.T) / (2 * self.eps)
        # END SOLUTION

    def loss(self, x0: Tensor, x1: Tensor) -> Tensor:
        """E log C(x0) - E log v(x1), with C(x) the integral of exp(x.y / eps) v(y) (eq. 14).

        It is the Kullback-Leibler divergence from the true bridge, up to a constant.

        Args:
            x0: (B, D) points of the source and of the target, not paired.
            x1: (B, D) points of the source and of the target, not paired.
        """
        # BEGIN SOLUTION 1.6s
        # Hint: C(x) is the sum of what log_weights has the logarithms of.
        return self.log_weights(x0).logsumexp(1).mean() - self.log_v(x1).mean()
        # END SOLUTION

    @torch.no_grad()
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of pi(y|x) = sum_k softmax_k N(y | r_k + S_k x, eps S_k) for each row of x."""
        weights = self.log_weights(x).softmax(1)
        k = torch.multinomial(weights, 1, generator=generator)[:, 0]
        z = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        # BEGIN SOLUTION 1.6t
        # Hint: with L = self.cholesky()[k], (B, D, D): the mean is r[k] + L L^T x.
        L = self.cholesky()[k]
        mean = self.r[k] + torch.einsum("bij,bkj,bk->bi", L, L, x)
        return mean + math.sqrt(self.eps) * torch.einsum("bij,bj->bi", L, z)
        # END SOLUTION


def fit_light_sb(
    model: LightSB,
    x0: Tensor,
    x1: Tensor,
    steps: int = 2000,
    batch_size: int = 1024,
    lr: float = 0.02,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[float]:
    """Fit a LightSB by Adam on random batches; its rate falls along a cosine.

    Components that are all in one place would move as one: they begin at points of x1.

    Args:
        model: a `LightSB`.
        x0: (n, D), (m, D).
        x1: (n, D), (m, D).
        progress: wraps the range of the steps.

    Returns:
        list of the losses.
    """
    generator = torch.Generator().manual_seed(seed)
    if (model.r == model.r[0]).all():
        start = torch.randint(len(x1), (len(model.r),), generator=generator)
        model.r.data.copy_(x1[start.to(x1.device)])
    opt = torch.optim.Adam(model.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps, lr / 50)
    losses = []
    for _ in progress(range(steps)):
        i, j = (torch.randint(len(x), (batch_size,), generator=generator) for x in (x0, x1))
        loss = model.loss(x0[i.to(x0.device)], x1[j.to(x1.device)])
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        losses.append(loss.item())
    return losses
