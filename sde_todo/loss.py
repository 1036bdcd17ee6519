"""Task 1.2, second part: losses whose minimiser is the score, and the times at which they look.

Every loss is called as loss(t, x, model, y, weight) with noisy samples x ~ p_t and returns

    E[ weight(t) * (loss per sample) ],

one number. `model(t, x)` is an estimate of the score. Only denoising score matching looks at y.
"""

import torch
from torch import Tensor

from given.gradients import check_gradients
from given.levels import Process, ScoreFn, alpha_std
from given.noise import random_probe


def dsm_target(z: Tensor, std: Tensor) -> Tensor:
    """The score of the transition kernel, grad_x log N(x; mean, std^2 I) at x = mean + std z.

    Args:
        z: (B, ...) the noise that was added.
        std: broadcasts against z.

    Returns:
        (B, ...), the regression target of denoising score matching (Vincent 2011).
    """
    # TODO 1.2e: replace the raise below with your code.
    # Hint: write the gradient of -|x - mean|^2 / (2 std^2), then put x - mean = std z.
    raise NotImplementedError("TODO 1.2e: dsm_target")


def get_div(y: Tensor, x: Tensor, method: str = "exact", noise: str = "rademacher") -> Tensor:
    """Divergence sum_i dy_i/dx_i of a vector field at each sample.

    Exact: one backward pass per coordinate. Hutchinson: v^T (dy/dx) v with one random v with
    E[v v^T] = I per sample, an unbiased estimate for one backward pass (Hutchinson 1989).

    Args:
        y: (B, ...) computed from x.
        x: (B, ...) with requires_grad, sample i of y depending on sample i of x alone.
        method: "exact" or "hutchinson".
        noise: "rademacher", "gaussian".

    Returns:
        (B,) tensor that can be differentiated again; 0 where y does not depend on x.

    Raises:
        ValueError: an unknown method or noise, or gradients that are switched off.
    """
    if method not in ("exact", "hutchinson"):
        raise ValueError(f"method = {method!r}: choose exact or hutchinson.")
    check_gradients(enables=False)
    y = y + 0 * x  # a constant field has a divergence too
    if method == "exact":
        # TODO 1.2f: replace the raise below with your code.
        # Hint: the trace of the Jacobian, not the sum of its entries: for each coordinate i,
        #   torch.autograd.grad(y_i.sum(), x, create_graph=True), of which only entry i counts.
        raise NotImplementedError("TODO 1.2f: get_div")
    # TODO 1.2f: replace the raise below with your code.
    # Hint: torch.autograd.grad(y, x, v, create_graph=True) gives v^T (dy/dx).
    raise NotImplementedError("TODO 1.2f: get_div")


class DSMLoss:
    """Denoising score matching (Vincent 2011; Song et al. 2021, eq. 7).

    E[ weight/2 |model(t, x) - y|^2 ],    y = score of the transition kernel
    """

    def __call__(
        self, t: Tensor, x: Tensor, model: ScoreFn, y: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """One number. t (B,), x (B, ...), y (B, ...), weight (B,) or None for 1."""
        # TODO 1.2e: replace the raise below with your code.
        # Hint: sum over the coordinates of a sample first, then mean over the batch.
        raise NotImplementedError("TODO 1.2e: DSMLoss.__call__")


class DivergenceLoss:
    """What losses with a divergence share. method, noise: of it, see `get_div`."""

    def __init__(self, method: str = "exact", noise: str = "rademacher") -> None:
        self.method, self.noise = method, noise


class ISMLoss(DivergenceLoss):
    """Implicit score matching (Hyvarinen 2005): no target, but a divergence.

    E[ weight (1/2 |s|^2 + div s) ],    s = model(t, x)
    """

    def __call__(
        self,
        t: Tensor,
        x: Tensor,
        model: ScoreFn,
        y: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """One number. t (B,), x (B, ...), weight (B,) or None for 1; y is not looked at.

        The caller's x does not require gradients afterwards.
        """
        check_gradients(enables=False)
        # TODO 1.2g: replace the raise below with your code.
        # Hint: x must require gradients before the model sees it: x.detach().requires_grad_().
        raise NotImplementedError("TODO 1.2g: ISMLoss.__call__")


class SSMLoss:
    """Sliced score matching with variance reduction (Song et al. 2019, eq. 8).

        E[ weight (1/2 |s|^2 + v^T (ds/dx) v) ],    one random v per sample

    The second term is 0 where the score does not depend on x, as that of a constant network.

    Args:
        noise: law of v, see `random_probe`.
    """

    def __init__(self, noise: str = "rademacher") -> None:
        self.noise = noise

    def __call__(
        self,
        t: Tensor,
        x: Tensor,
        model: ScoreFn,
        y: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """One number. t (B,), x (B, ...), weight (B,) or None for 1; y is not looked at.

        The caller's x does not require gradients afterwards.
        """
        check_gradients(enables=False)
        # TODO 1.2h: replace the raise below with your code.
        # Hint: v^T (ds/dx) is the gradient of (s * v).sum() with respect to x; with
        #   materialize_grads=True it is 0 where s does not depend on x.
        raise NotImplementedError("TODO 1.2h: SSMLoss.__call__")


class SBALoss(DivergenceLoss):
    """Alternating loss of SB-FBSDE (Chen et al. 2022, eq. 18 and 19; the same in both directions).

        E[ dt (z (z/2 + z_other) + div(g z)) ],    z = policy at the other direction's states

    It is implicit score matching in disguise: its minimiser is z = g grad log p - z_other.
    """

    def __call__(self, dt: Tensor, x: Tensor, z: Tensor, z_other: Tensor, g: Tensor) -> Tensor:
        """One number.

        Args:
            dt: (B,) length of the step that led to each state.
            x: (B, ...) states with requires_grad.
            z: (B, ...) trained policy, computed from x.
            z_other: (B, ...) frozen policy of the simulated direction.
            g: diffusion coefficient, a number.
        """
        # TODO 1.6o: replace the raise below with your code.
        # Hint: sums over the coordinates of a sample; the divergence is of g z, by get_div.
        raise NotImplementedError("TODO 1.6o: SBALoss.__call__")


class SBJLoss(DivergenceLoss):
    """Joint loss of SB-FBSDE (Chen et al. 2022, eq. 16), a bound on the negative log likelihood.

        1/B sum_paths [ sum_k dt_k (1/2 |z + z_other|^2 + div(g z_other)) - log q(x_N) ]

    The paths follow z with gradients; z_other is the policy of the way back.
    """

    def __call__(
        self, dt: Tensor, x: Tensor, z: Tensor, z_other: Tensor, g: Tensor, log_q: Tensor
    ) -> Tensor:
        """One number.

        Args:
            dt: (N B,).
            x: (N B, ...) all states of B paths.
            z: (N B, ...) the policy at these states.
            z_other: (N B, ...) the policy of the way back at these states.
            g: diffusion coefficient, a number.
            log_q: (B,) log density of the prior at the ends.
        """
        # TODO 1.6p: replace the raise below with your code.
        # Hint: the sum over the steps is not a mean: divide the sum over all N B states by B.
        raise NotImplementedError("TODO 1.6p: SBJLoss.__call__")


def weighted_mean(per_sample: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over the batch of weight * per_sample, both (B,)."""
    return per_sample.mean() if weight is None else (weight * per_sample).mean()


def sample_time(
    B: int,
    sde: Process,
    eps: float = 1e-3,
    density: str = "uniform",
    device: str | torch.device | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw the times of a batch from [eps, T], and the weights that undo the choice.

    "uniform" is t_i = eps + (T - eps) u_i with u_i = (i + U_i)/B. Such numbers are stratified, one
    in each of B equal parts of [0, 1], so that every batch sees all noise levels and the loss
    varies less; both densities are to be drawn from them. "debiased" is the density of Huang et al.
    2021 (section 4), q(t) proportional to g^2/std^2: with likelihood weighting it takes the weight
    g^2/std^2 off the loss and with it most of the variance. For a linear process

        g^2/std^2 = d/dt log(std^2/alpha^2),

    so that this density is uniform in the log of the noise-to-signal ratio.

    Args:
        B: number of times.
        sde: the forward process.
        eps: smallest time; a std of zero lies below.
        density: "uniform" or "debiased".

    Returns:
        t (B,) and the weight uniform density / q(t) (B,), whose mean is 1.
    """
    if not 0 < eps < sde.T:
        raise ValueError(f"eps = {eps}: it must lie between 0 and T = {sde.T:g}.")
    u = (torch.arange(B) + torch.rand(B, generator=generator)) / B
    if density == "uniform":
        # TODO 1.2i: replace the raise below with your code.
        # Hint: map u from [0, 1] to [eps, T]; a uniform draw needs no weight.
        raise NotImplementedError("TODO 1.2i: sample_time")
    if density == "debiased":
        # TODO 1.2j: replace the raise below with your code.
        # Hint: tabulate log(std^2/alpha^2) over a grid of t (log_nsr below), draw its value
        #   uniformly between both ends and interpolate t back. The weight is 1/((T - eps) q(t)).
        raise NotImplementedError("TODO 1.2j: sample_time")
    raise ValueError(f"density = {density!r}: choose uniform or debiased.")


def log_nsr(sde: Process, t: Tensor) -> Tensor:
    """log(std^2/alpha^2) of a process at times t (n,), shape (n,)."""
    alpha, std = alpha_std(sde, t, torch.ones(len(t), 1, dtype=t.dtype, device=t.device))
    return 2 * (std.log() - alpha.log())[:, 0]


class StableTarget:
    """E[x_0 | x_t] over the training points, instead of the one x_0 that was drawn.

    Denoising score matching regresses on x_0, a very noisy target once many points could have
    led to x_t. Its mean over a reference set has the same minimiser and less variance (Xu et al.
    2023, "Stable target field", eq. 7). The reference is the data binned on a grid of side
    `cell`: for the Swiss roll 167 weighted centres.

    Args:
        points: (n, D) the training set.
        cell: side of a bin.
        above: where std/alpha is below this the drawn x_0 is kept, for which the bins would be too
            coarse.
    """

    def __init__(self, points: Tensor, cell: float = 0.2, above: float = 0.3) -> None:
        bins = ((points - points.amin(0)) / cell).long().cpu()  # (n, D), from 0 on
        member = torch.zeros(len(points), dtype=torch.long)
        for column in bins.unbind(1):  # unique(dim=0) gives the same and takes a second
            _, member = (member * (column.max() + 1) + column).unique(return_inverse=True)
        member = member.to(points.device)
        count = member.bincount()
        total = torch.zeros(len(count), points.shape[1]).to(points).index_add_(0, member, points)
        self.centres = total / count[:, None]  # (K, D)
        self.log_weight = count.to(points).log()  # (K,)
        self.above = above

    def __call__(self, x: Tensor, x0: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
        """Target of x_0, (B, D). x (B, D) noisy, x0 (B, D) drawn; alpha, std (B, 1).

        A new tensor: x0 is not changed.
        """
        # TODO 1.2l: replace the raise below with your code.
        # Hint: the posterior over centres c is a softmax of (y.c - |c|^2/2)/sigma^2 + log weight,
        #   with y = x/alpha and sigma = std/alpha.
        raise NotImplementedError("TODO 1.2l: StableTarget.__call__")
