"""The truth about Schrödinger bridges, without data and without training.

Time runs from p0 (source) at 0 to p1 (target) at 1; the reference is dX = sigma dW. The plan of the
bridge solves entropic optimal transport with cost |x - y|^2 / 2 and eps = sigma^2. It is known
between two Gaussians (`GaussianBridge`) and for a target made to fit (`MixturePair`). `population`
says what each method would reach with perfect fits.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

METHODS = ("dsb", "sdsb", "tr", "fr")
WIDTHS = {0.1: 0.01, 1.0: 1 / 16, 10.0: 0.01}  # eps -> s, component variance of v in MixturePair


class GaussianBridge:
    """The bridge between N(m0, S0) and N(m1, S1) (Mallasto et al. 2021, Bunne et al. 2022).

        C = Cov(X_0, X_1) = 1/2 (S0^1/2 D S0^-1/2 - sigma^2 I),
        D = (4 S0^1/2 S1 S0^1/2 + sigma^4 I)^1/2

    Args:
        m0: (D,).
        m1: (D,).
        S0: (D, D), positive definite.
        S1: (D, D), positive definite.
        sigma: of the reference, a number.
    """

    def __init__(
        self, m0: ArrayLike, S0: ArrayLike, m1: ArrayLike, S1: ArrayLike, sigma: float = 1.0
    ) -> None:
        self.m0, self.S0, self.m1, self.S1 = (_double(v) for v in (m0, S0, m1, S1))
        self.sigma, self.eye = float(sigma), torch.eye(len(self.m0), dtype=torch.float64)
        for name, S in (("S0", self.S0), ("S1", self.S1)):
            if S.shape != self.eye.shape or torch.linalg.eigvalsh(S)[0] <= 0:
                raise ValueError(f"{name} = {S.tolist()}: pass a positive definite (D, D) matrix.")
        root = _root(self.S0)
        D = _root(4 * root @ self.S1 @ root + self.sigma**4 * self.eye)
        self.C = 0.5 * (root @ D @ torch.linalg.inv(root) - self.sigma**2 * self.eye)

    def marginal(self, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of X_t; with t of shape (B,), (B, D) and (B, D, D).

        S_t = (1-t)^2 S0 + t^2 S1 + t (1-t) (C + C' + sigma^2 I)
        """
        t = _double(t)[..., None]
        mean, t = (1 - t) * self.m0 + t * self.m1, t[..., None]
        middle = self.C + self.C.T + self.sigma**2 * self.eye
        return mean, (1 - t) ** 2 * self.S0 + t**2 * self.S1 + t * (1 - t) * middle

    def drift(self, t: float | Tensor, x: Tensor, direction: str = "forward") -> Tensor:
        """Drift of the bridge at x (B, D); t, a number in [0, 1] or (B,), is time from p0 to p1.

            forward   (E[X_1 | X_t = x] - x) / (1-t)    for dX = drift dt + sigma dW
            backward  (E[X_0 | X_t = x] - x) / t        for the reversed clock, x_{t-dt} = x + ...

        They add up to sigma^2 grad log p_t. Multiplied out, the divisions cancel.
        """
        if direction not in ("forward", "backward"):
            raise ValueError(f"direction = {direction!r}; pass 'forward' or 'backward'.")
        mean, S = self.marginal(t)
        t = _double(t)[..., None, None]
        sign, noise = (1, t) if direction == "forward" else (-1, 1 - t)
        gain = sign * (t * self.S1 - (1 - t) * self.S0 + (1 - t) * self.C.T - t * self.C)
        gain = (gain - noise * self.sigma**2 * self.eye) @ torch.linalg.inv(S)
        off = (_double(x) - mean)[..., None]
        return (sign * (self.m1 - self.m0) + (gain @ off)[..., 0]).to(x)

    def sample_pairs(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Draw n pairs from the plan: x0 and x1, float32 (n, D) each."""
        z = _normal(_generator(seed), n, 2 * len(self.m0))
        joint = torch.cat([torch.cat([self.S0, self.C], 1), torch.cat([self.C.T, self.S1], 1)])
        x0, x1 = (z @ _root(joint)).chunk(2, 1)
        return (self.m0 + x0).float(), (self.m1 + x1).float()


def population(
    method: str,
    S0: ArrayLike,
    S1: ArrayLike,
    gammas: ArrayLike,
    rounds: int,
    published: bool = False,
) -> list[dict[str, np.ndarray]]:
    """Iterative proportional fitting with perfect linear fits, for p0 = N(0, S0), p1 = N(0, S1).

    The chains are x_{k+1} = F_k x_k + sqrt(2 gamma_k) z from p0, and x_k = B_k x_{k+1} + sqrt(2
    gamma_k) z from p1. The first simulation is the Brownian reference (B_k = I) from p1. A round
    fits F, simulates forward, and fits B, which simulates next.

    Args:
        method: "dsb", "sdsb" (simplified), "tr" or "fr" (terminal or flow reparameterisation).
        S0: (D, D).
        S1: (D, D).
        gammas: (N,), so that sigma^2 = 2 sum gammas.
        rounds: number of them.
        published: of tr and fr, the rule of the public code, which takes all gammas for equal.

    Returns:
        For each round a dict of arrays: the mean maps "forward" and "backward" (N, D, D), in the
        order of k; the covariance of x_N and x_0, where the chains end, "cov_forward" and
        "cov_backward"; Cov(x_0, x_N) of each, "coupling_forward" and "coupling_backward".
    """
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}. Known: {', '.join(METHODS)}")
    S0, S1, gammas = (np.asarray(v, dtype=np.float64) for v in (S0, S1, gammas))
    if gammas.ndim != 1 or not (gammas > 0).all():
        raise ValueError(f"gammas = {gammas.tolist()}; pass one positive number for each step.")
    backward = np.tile(np.eye(len(S0)), (len(gammas), 1, 1))
    history = []
    for _ in range(rounds):
        forward = _fit(method, backward[::-1], S1, gammas[::-1], published)
        backward = _fit(method, forward, S0, gammas, published)[::-1]
        covs_f, cross_f = _simulate(forward, S0, gammas)
        covs_b, cross_b = _simulate(backward[::-1], S1, gammas[::-1])
        ends = {"cov_forward": covs_f[-1], "cov_backward": covs_b[-1]}
        ends |= {"coupling_forward": cross_f[-1], "coupling_backward": cross_b[-1].T}
        history.append({"forward": forward, "backward": backward} | ends)
    return history


def _simulate(maps, S, gammas):
    """Covariances of s_0 ... s_N, and Cov(s_0, s_j), of s_{j+1} = M_j s_j + sqrt(2 gamma_j) z."""
    covs, cross = [S], [S]
    for M, gamma in zip(maps, gammas, strict=True):
        covs.append(M @ covs[-1] @ M.T + 2 * gamma * np.eye(len(S)))
        cross.append(cross[-1] @ M.T)
    return covs, cross


def _fit(method, maps, S, gammas, published):
    """Mean maps of the other direction, first step first: the mirror image of the simulation.

    The simulation went s_j -> s_{j+1} by M_j, from s_0. The fitted step goes from s = s_{j+1} to
    s_j; the noise that it has ahead, its own included, is the sum of gamma_0 ... gamma_j. tr fits
    s_0 and moves a fraction of the way there. fr fits (s_0 - s) / time left and moves a step's time
    along it: time left does not depend on s, so that with perfect fits it is the map of tr.
    """
    eye = np.eye(len(S))
    covs, cross = _simulate(maps, S, gammas)
    fitted = []
    for j, M in enumerate(maps):
        precision = np.linalg.inv(covs[j + 1])
        previous = covs[j] @ M.T @ precision  # E[s_j | s] = previous s
        end = cross[j + 1] @ precision  # E[s_0 | s] = end s
        if method == "dsb":
            fitted.append(eye + M @ previous - M)
        elif method == "sdsb":
            fitted.append(previous)
        else:
            fraction = 1 / (j + 1) if published else gammas[j] / gammas[: j + 1].sum()
            fitted.append(eye + fraction * (end - eye))
    return np.stack(fitted[::-1])


def relative_error(got: ArrayLike, want: ArrayLike) -> float:
    """|got - want| / |want|, Frobenius norms."""
    got, want = np.asarray(got), np.asarray(want)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


class MixturePair:
    """p0 = N(0, I) and a target of K = 5 modes, whose bridge for sigma^2 = eps is known.

    The potential is chosen, v(y) = 1/K sum_k N(y | mu_k, s I), and the target follows from it:

        pi(y | x) = sum_k w_k(x) N(y | V (x/eps + mu_k/s), V I),    V = 1 / (1/eps + 1/s),
        w_k(x) ∝ N(x | mu_k, (s + eps) I)

    The construction is that of the benchmark of Gushchin et al. 2023, whose parameters are in no
    package. These pairs are ours: the mu_k are uniform on a sphere of radius 5.

    Args:
        eps: 0.1, 1 or 10; another one needs s.
        D: dimension.
        seed: of mu.
        s: variance in v.
    """

    def __init__(self, eps: float, D: int = 2, seed: int = 0, s: float | None = None) -> None:
        if s is None and eps not in WIDTHS:
            raise ValueError(f"eps = {eps} has no width s of its own; pass s, or eps 0.1, 1 or 10.")
        self.eps, self.s, self.D = float(eps), float(WIDTHS[eps] if s is None else s), D
        self.V = 1 / (1 / self.eps + 1 / self.s)
        self.mu = 5 * torch.nn.functional.normalize(_normal(_generator(seed), 5, D))  # (K, D)

    def sample_source(self, n: int, seed: int = 0) -> Tensor:
        """Draw n points of p0, float32 (n, D)."""
        return _normal(_generator(seed, 1), n, self.D).float()

    def sample_target(self, n: int, seed: int = 0) -> Tensor:
        """Draw n points of p1, float32 (n, D), independent of `sample_source` with any seed."""
        # Hence the streams: drawn from the same x, equal seeds would hand the plan to the solver.
        return self.sample_given(_normal(_generator(seed, 2), n, self.D), 1, seed)[:, 0]

    def sample_given(self, x: Tensor, n: int, seed: int = 0) -> Tensor:
        """Draw n points of pi(y | x) for each x (B, D), float32 (B, n, D)."""
        generator, (weights, means) = _generator(seed, 3), self._components(x)
        k = torch.multinomial(weights, n, replacement=True, generator=generator)  # (B, n)
        means = means.gather(1, k[..., None].expand(-1, -1, self.D))
        return (means + self.V**0.5 * _normal(generator, *means.shape)).float()

    def conditional_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, D) and covariance (B, D, D) of pi(y | x), float64."""
        weights, means = self._components(x)
        mean = torch.einsum("bk,bki->bi", weights, means)
        off = means - mean[:, None]
        spread = torch.einsum("bk,bki,bkj->bij", weights, off, off)
        return mean, spread + self.V * torch.eye(self.D).double()

    def target_variance(self, n: int = 100_000, seed: int = 0) -> float:
        """Total variance of p1, from the exact moments of pi(y | x) at n points x."""
        mean, cov = self.conditional_moments(self.sample_source(n, seed))
        return (mean.var(0).sum() + cov.diagonal(dim1=1, dim2=2).sum(1).mean()).item()

    def drift(self, t: float | Tensor, x: Tensor) -> Tensor:
        """Forward drift eps grad_x log sum_k N(x | mu_k, (s + eps (1-t)) I) at x (B, D).

        t is a number in [0, 1] or (B,).
        """
        variance = self.s + self.eps * (1 - _double(t)[..., None])
        weights = self._weights(_double(x), variance)
        return (self.eps * (weights @ self.mu - _double(x)) / variance).to(x)

    def _components(self, x):
        """Weights (B, K) and means (B, K, D) of pi(y | x)."""
        means = self.V * (_double(x)[:, None] / self.eps + self.mu / self.s)
        return self._weights(_double(x), self.s + self.eps), means

    def _weights(self, x, variance):
        """Posterior of the component, (B, K), where x ~ N(mu_k, variance I)."""
        squared = ((x[:, None] - self.mu) ** 2).sum(2)  # (B, K)
        return (-0.5 * squared / variance).softmax(1)


def bw2(m: Tensor, S: Tensor, m_true: Tensor, S_true: Tensor) -> Tensor:
    """Squared Bures-Wasserstein distance of Gaussians for the cost |x - y|^2 / 2, (...).

    1/2 |m - m'|^2 + 1/2 tr S + 1/2 tr S' - tr (S'^1/2 S S'^1/2)^1/2, for m (..., D), S (..., D, D)
    """
    root = _root(S_true)
    cross = torch.linalg.eigvalsh(root @ S @ root).clamp(min=0).sqrt().sum(-1)
    traces = (S + S_true).diagonal(dim1=-2, dim2=-1).sum(-1)
    return 0.5 * ((m - m_true) ** 2).sum(-1) + 0.5 * traces - cross


def bw2_uvp(samples: Tensor, truth: Tensor) -> float:
    """BW²-UVP = 100 BW²(samples, truth) / (1/2 Var truth), in per cent; both clouds (n, D)."""
    (m, S), (m_true, S_true) = _moments(samples), _moments(truth)
    return (100 * bw2(m, S, m_true, S_true) / (0.5 * S_true.trace())).item()


def cbw2_uvp(
    pair: MixturePair,
    sampler: Callable[[Tensor], Tensor],
    n_x: int = 200,
    n_y: int = 500,
    seed: int = 0,
) -> float:
    """cBW²-UVP: BW² between the model's law given x and pi(y | x), averaged over x ~ p0.

    In per cent of 1/2 Var y. It sees the coupling, where `bw2_uvp` sees the target only. The
    sampler draws one y for each row x, (B, D) -> (B, D), and is called once, with B = n_x n_y.
    """
    x = pair.sample_source(n_x, seed)
    y = sampler(x.repeat_interleave(n_y, 0)).detach().reshape(n_x, n_y, -1)
    (m, S), (m_true, S_true) = _moments(y), pair.conditional_moments(x)
    distance = bw2(m, S, m_true, S_true).mean()
    return (100 * distance / (0.5 * pair.target_variance())).item()


def bw2_floor(pair: MixturePair, n: int, seed: int = 0) -> float:
    """What `bw2_uvp` gives for two exact sets of n points."""
    return bw2_uvp(pair.sample_target(n, seed), pair.sample_target(n, seed + 1))


def cbw2_floor(pair: MixturePair, n_x: int = 200, n_y: int = 500, seed: int = 0) -> float:
    """What `cbw2_uvp` gives for exact draws."""
    return cbw2_uvp(pair, lambda x: pair.sample_given(x, 1, seed)[:, 0], n_x, n_y, seed)


def _moments(samples):
    """Mean (..., D) and covariance (..., D, D) of samples (..., n, D)."""
    samples = _double(samples)
    if samples.ndim < 2 or samples.shape[-2] < 2:
        raise ValueError(f"Samples have shape {tuple(samples.shape)}; pass (n, D) with n >= 2.")
    bad = (~samples.isfinite()).any(-1).sum().item()
    if bad:
        raise ValueError(f"{bad} samples are NaN or infinite; look at the sampler.")
    mean = samples.mean(-2)
    off = samples - mean[..., None, :]
    return mean, off.mT @ off / (samples.shape[-2] - 1)


def _root(S):
    """The symmetric square root of covariances (..., D, D)."""
    values, axes = torch.linalg.eigh(S)
    return (axes * values.clamp(min=0).sqrt()[..., None, :]) @ axes.mT


def _double(x):
    """float64 on the CPU, wherever x is: it is the truth that other numbers are held against."""
    return torch.as_tensor(x).cpu().double()


def _generator(seed, stream=0):
    return torch.Generator().manual_seed(1_000_003 * stream + seed)


def _normal(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
