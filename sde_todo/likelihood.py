"""Task 1.5, optional: how likely a model finds a point, exactly and from below.

The probability-flow ODE turns data into noise and back without loss, so the density of a point
follows from that of its noise by a change of variables: `log_likelihood`. The plug-in reverse SDE
has no such formula, but a bound below its density, whose gap is what score matching leaves: `elbo`.
`path_elbo` leads from one to the other along the family of reverse processes.

Everything takes a forward process `sde`, a score `score_fn(t, x)`, and data x (B, ...), points and
images alike. Densities are in nats.

Sources: Song et al. 2021, "Score-based generative modeling through SDEs" (arXiv 2011.13456),
appendix D; Huang et al. 2021, "A variational perspective on diffusion-based generative models"
(arXiv 2106.02808).
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from given.gradients import check_gradients
from given.levels import Process, alpha_std, check_forward, diffuse
from given.noise import random_probe
from given.runtime.ode import solve
from sde_todo.loss import sample_time


def make_probes(x: Tensor, method: str = "exact", probes: int = 1) -> Tensor:
    """Directions v_k with sum_k v_k v_k^T = I, exactly or in the mean, for `trace`.

    Args:
        x: (B, ...), D numbers per sample.
        method: "exact" for the D unit vectors; "rademacher" or "gaussian" for random directions
            (Hutchinson 1989).
        probes: how many random ones.

    Returns:
        (K, B, ...) tensor, K = D or `probes`.
    """
    if method == "exact":
        eye = torch.eye(x[0].numel()).to(x)
        return eye.reshape(-1, 1, *x.shape[1:]).expand(-1, *x.shape)
    if probes < 1:
        raise ValueError(f"probes = {probes}: an estimate needs at least 1.")
    return random_probe(x.expand(probes, *x.shape), method) / math.sqrt(probes)


def trace(field: Callable, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """A vector field at x, and its divergence sum_k v_k^T (dy/dx) v_k, without a graph.

    Args:
        field: x (B, ...) -> y (B, ...), sample i depending on sample i alone.
        x: (B, ...).
        probes: (K, B, ...) of `make_probes`.

    Returns:
        y (B, ...), divergence (B,), which is 0 where y does not depend on x.

    Raises:
        ValueError: inside torch.inference_mode().
    """
    check_gradients()
    # TODO 1.5a: replace the raise below with your code.
    # Hint: inside torch.enable_grad(), let x require gradients before the field sees it.
    # Hint: torch.autograd.grad(y, x, v, retain_graph=True)[0] is v^T (dy/dx), shape of x; with
    #   materialize_grads=True it is 0 where y does not depend on x.
    raise NotImplementedError("TODO 1.5a: trace")


def flow(sde: Process, score_fn: Callable, t: Tensor, x: Tensor) -> Tensor:
    """The velocity dx/dt of the probability-flow ODE, in the time of the forward process.

        f(t, x) - g(t)^2 score(t, x)/2                          (Song et al. 2021, eq. 13)

    Args:
        sde: the forward process.
        score_fn: (t, x) -> score, shape of x.
        t: (B,) times.
        x: (B, ...) states.
    """
    # TODO 1.5b: replace the raise below with your code.
    # Hint: sde.sde_coeff gives f and g.
    raise NotImplementedError("TODO 1.5b: flow")


def log_likelihood(
    sde: Process,
    score_fn: Callable,
    x: Tensor,
    eps: float = 1e-5,
    tol: float = 1e-5,
    method: str = "exact",
    probes: int = 1,
) -> Tensor:
    """log p(x) of the probability-flow ODE (Song et al. 2021, eq. 39).

        log p(x) = log prior(x_T) + integral over [eps, T] of div flow(t, x_t) dt

    along the solution from x_eps = x; the directions of a random divergence stay the same all the
    way, so that the estimate has no bias.

    Args:
        sde: the forward process.
        score_fn: (t, x) -> score, shape of x.
        x: (B, ...) data.
        eps: the time that counts as the data.
        tol: of RK45, relative and absolute.
        method: of the divergence, see `make_probes`.
        probes: of a random divergence.

    Returns:
        (B,) in nats.

    Raises:
        ValueError: a reverse process, a score without a graph, or an ODE that cannot be solved.
    """
    check_forward(sde)
    directions, score_fn = make_probes(x, method, probes), differentiable(score_fn)

    def slope(t, state):
        points, _ = state
        times = torch.full((len(points),), t).to(points)
        return trace(lambda y: flow(sde, score_fn, times, y), points, directions)

    # TODO 1.5c: replace the raise below with your code.
    # Hint: solve(slope, eps, sde.T, (x, zeros), tol) carries x and the integral (B,) together.
    raise NotImplementedError("TODO 1.5c: log_likelihood")


def encode(
    sde: Process, score_fn: Callable, x: Tensor, eps: float = 1e-5, tol: float = 1e-5
) -> Tensor:
    """The noise x_T to which the probability-flow ODE carries data x; shape of x.

    With the true score it depends on data and process alone, not on the network that was trained
    (Song et al. 2021, appendix D.5, unique identifiability).
    """
    # TODO 1.5d: replace the raise below with your code.
    # Hint: solve with a state of one part, (x,); its slope is a tuple of one part too.
    raise NotImplementedError("TODO 1.5d: encode")


def decode(
    sde: Process, score_fn: Callable, x_T: Tensor, eps: float = 1e-5, tol: float = 1e-5
) -> Tensor:
    """The data from which the probability-flow ODE comes to noise x_T; undoes `encode`."""
    # TODO 1.5d: replace the raise below with your code.
    # Hint: the same equation from T to eps.
    raise NotImplementedError("TODO 1.5d: decode")


def interpolate(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """Between two noises on the arc of a great circle, which keeps the length that both have.

        sin((1 - w) angle)/sin(angle) a + sin(w angle)/sin(angle) b

    with the angle between a and b as vectors (Shoemake 1985). A straight line would come near 0,
    where high-dimensional noise never is. Noises that point the same way, or opposite ways, have
    no arc: keep the cosine a little inside of (-1, 1), and equal noises give themselves.

    Args:
        a: (B, ...) noise.
        b: (B, ...) noise.
        weight: w, a number; 0 gives a, 1 gives b.

    Returns:
        shape of a.
    """
    # TODO 1.5d: replace the raise below with your code.
    # Hint: torch.nn.functional.cosine_similarity of the flattened noises, then acos.
    raise NotImplementedError("TODO 1.5d: interpolate")


def reverse_drift(
    sde: Process, score_fn: Callable, t: Tensor, x: Tensor, lam: float = 0.0
) -> Tensor:
    """(1 - lam/2) g^2 score - f, the drift of the reverse process at time t (B,); shape of x."""
    forward_drift, g = sde.sde_coeff(t, x)
    return (1 - lam / 2) * g**2 * score_fn(t, x) - forward_drift


def elbo_rate(sde: Process, score_fn: Callable, t: Tensor, x: Tensor, probes: Tensor) -> Tensor:
    """What the bound loses per unit of time at states x of time t.

        |g score|^2/2 + div(g^2 score - f)              (Huang et al. 2021, eq. 20)

    Args:
        sde: the forward process.
        score_fn: (t, x) -> score, shape of x.
        t: (B,), above 0, where g may vanish.
        x: (B, ...), from the forward process.
        probes: see `make_probes`.

    Returns:
        (B,) tensor.
    """
    # TODO 1.5e: replace the raise below with your code.
    # Hint: trace(reverse_drift, x, probes) with reverse_drift(y) = g^2 score(t, y) - f(t, y).
    # Hint: then g score is (drift + f)/g: the score need not be evaluated twice.
    raise NotImplementedError("TODO 1.5e: elbo_rate")


def elbo(
    sde: Process,
    score_fn: Callable,
    x: Tensor,
    eps: float = 1e-3,
    slices: int = 1,
    density: str = "uniform",
    method: str = "rademacher",
    probes: int = 1,
) -> Tensor:
    """A draw of a bound below log p(x) of the plug-in reverse SDE (Huang et al. 2021, eq. 20).

        log p(x) >= E[log prior(X_T)] - E[integral over [eps, T] of elbo_rate(t, X_t) dt]
                    + E[first_step]

    with X_t from the forward process started at x. The integral is estimated by
    mean_k weight_k rate(t_k): one random slice of it, or with many slices the whole. With the
    exact score the bound is log p(x) itself.

    Args:
        sde: the forward process.
        score_fn: (t, x) -> score, shape of x.
        x: (B, ...) data.
        eps: end of the integral.
        slices: K, times for each sample.
        density: of the times, see `time_slices`.
        method: of the divergence, see `make_probes`.
        probes: of a random divergence.

    Returns:
        (B,) in nats, random, without a graph; its mean over many calls is the bound. To train by
        it, use a loss of task 1.2 with the "likelihood" weight (task 1.2n).
    """
    check_forward(sde)
    x = x.detach()
    t, weight = time_slices(sde, x, eps, slices, density)  # (K, B) each
    score_fn = differentiable(score_fn)
    # TODO 1.5f: replace the raise below with your code.
    # Hint: for each k: x_t by diffuse, fresh directions by make_probes, weight[k] * elbo_rate.
    # Hint: X_T is diffuse at time T. first_step(sde, score_fn, x, eps) is given.
    raise NotImplementedError("TODO 1.5f: elbo")


def path_elbo(
    sde: Process,
    score_fn: Callable,
    x: Tensor,
    lam: float = 0.0,
    eps: float = 1e-3,
    method: str = "rademacher",
    probes: int = 1,
) -> Tensor:
    """A draw of the bound for any member of the family of reverse processes.

    The path Y starts at x and follows, in N Euler-Maruyama steps from eps to T,

        dY = (f - lam/2 g^2 score) dt + sqrt(1 - lam) g dW,

    and log p(x) >= E[log prior(Y_T) - integral of rate dt] (Huang et al. 2021, section 5) with

        rate = (1 - lam) |g score|^2/2 + div((1 - lam/2) g^2 score - f).

    lam = 0 is the bound of the reverse SDE; at lam = 1 the noise and the square vanish, and what is
    left is the exact likelihood of the ODE.

    Args:
        sde: the forward process.
        score_fn: (t, x) -> score, shape of x.
        x: (B, ...) data.
        lam: as in `ReverseSDE`.
        eps: the time that counts as the data.
        method: of the divergence, see `make_probes`.
        probes: of a random divergence.

    Returns:
        (B,) in nats, without a graph.
    """
    check_forward(sde)
    x = x.detach()
    directions, score_fn = make_probes(x, method, probes), differentiable(score_fn)
    dt, integral = (sde.T - eps) / sde.N, 0
    for k in range(sde.N):
        t = torch.full((len(x),), eps + k * dt).to(x)
        # TODO 1.5g: replace the raise below with your code.
        # Hint: reverse_drift takes lam; trace gives it with its divergence. With pull = g^2 score
        #   = (drift + f)/(1 - lam/2) the rate and one step of the path follow.
        raise NotImplementedError("TODO 1.5g: path_elbo")
    return sde.prior_logp(x) - integral


def dequantise(x: Tensor, step: float = 1 / 127.5) -> Tensor:
    """Spread every pixel evenly over its level: x + step u, u uniform on [-1/2, 1/2].

    Whole levels have no density, and a model could gain without bound by spikes on them (Theis et
    al. 2016). The mean log density of the spread ones is below the log probability of the levels.

    Args:
        x: images on a grid of levels.
        step: from one level to the next; pixels 0 to 255 scaled to [-1, 1] are 1/127.5 apart.
    """
    # TODO 1.5h: replace the raise below with your code.
    # Hint: torch.rand_like(x) is uniform on [0, 1].
    raise NotImplementedError("TODO 1.5h: dequantise")


def bits_per_dim(logp: Tensor, x: Tensor, step: float = 1 / 127.5) -> Tensor:
    """Bits that one number of x costs, from the log density of its dequantised form.

    A level has the probability p step^D, so the bits are

        -(log p + D log(step)) / (D log 2)

    Args:
        logp: (B,) in nats.
        x: (B, ...), D numbers per sample.
        step: see `dequantise`.

    Returns:
        (B,) tensor.
    """
    # TODO 1.5h: replace the raise below with your code.
    # Hint: D = x[0].numel().
    raise NotImplementedError("TODO 1.5h: bits_per_dim")


def differentiable(score_fn: Callable) -> Callable:
    """score_fn, refused where its result hides how it depends on x: its divergence would be 0."""
    check_gradients()

    def checked(t, x):
        score = score_fn(t, x)
        if x.requires_grad and torch.is_grad_enabled() and not score.requires_grad:
            raise ValueError(
                "score_fn(t, x) came without a graph, so that its divergence cannot be taken; "
                "call it without torch.no_grad() and without detach()."
            )
        return score

    return checked


def time_slices(
    sde: Process, x: Tensor, eps: float, slices: int, density: str = "uniform"
) -> tuple[Tensor, Tensor]:
    """K times in [eps, T] for each sample, one in each K-th part of the density's mass.

    Args:
        sde: the forward process.
        x: (B, ...) data.
        eps: the smallest time.
        slices: K.
        density: "uniform", or "debiased" (task 1.2j).

    Returns:
        t (K, B) and weight (K, B), 1/density of t, so that the mean of weight * rate over the
        slices estimates the integral of a rate over [eps, T].
    """
    if slices < 1:
        raise ValueError(f"slices = {slices}: an estimate of the integral needs at least 1.")
    B = len(x)
    t, weight = sample_time(slices * B, sde, eps, density, x.device)
    order = torch.rand(slices, B, device=x.device).argsort(1)  # strata to samples, at random
    t, weight = (v.reshape(slices, B).gather(1, order).to(x) for v in (t, weight))
    return t, (sde.T - eps) * weight


@torch.no_grad()
def first_step(sde: Process, score_fn: Callable, x: Tensor, eps: float) -> Tensor:
    """What the way from x_eps to the data adds to the bound, (B,).

    The last step of sampling draws x from p(x | x_eps), normal with Tweedie's mean
    (x_eps + std^2 score)/alpha and standard deviation std/alpha, and adds

        log p(x | x_eps) - log q(x_eps | x) = D log alpha - std z.score - std^2 |score|^2/2.
    """
    t = torch.full((len(x),), eps).to(x)
    alpha, std = alpha_std(sde, t, x)
    x_eps, z = diffuse(sde, t, x)
    score = score_fn(t, x_eps)
    loss = std * z * score + 0.5 * std**2 * score**2 - alpha.log()
    return -loss.flatten(1).sum(1)


def velocity(sde: Process, score_fn: Callable) -> Callable:
    """`flow` as `solve` wants it: slope(t, (x,)) -> (dx/dt,) for a number t."""
    check_forward(sde)

    def slope(t, state):
        (x,) = state
        times = torch.full((len(x),), t).to(x)
        with torch.no_grad():
            return (flow(sde, score_fn, times, x),)

    return slope
