"""Task 1.3: from noise to data along the reverse process.

A sampler walks the clock s of `sde.reverse(score_fn)` from 0 (noise) to T - eps (almost data).
Each method is one function step(sde, s, ds, x) -> (x, evaluations): the state at s + ds, and the
number of score evaluations. A corrector is one function corrector(sde, s, x, snr) -> x that
improves the state at fixed time by one evaluation. `Sampler` takes either by name or as a function
of your own. Time stops eps short of the data, where the score may be infinite.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from given.levels import Process, ReverseProcess, alpha_std, check_reverse
from given.runtime.ode import solve_ivp

Step: TypeAlias = Callable[..., tuple[Tensor, int]]  # (sde, s, ds, x) -> state, evaluations
Corrector: TypeAlias = Callable[..., Tensor]  # (sde, s, x, snr) -> state


def time_grid(T: float, eps: float, N: int, rho: float = 1.0) -> Tensor:
    """The clock of a sampler: N + 1 increasing times s from 0 to T - eps.

    t = T - s falls from T to eps, equally spaced in t^(1/rho): rho = 1 is uniform, larger values
    put more steps near the data (Karras et al. 2022, eq. 5, with t instead of sigma).

    Returns:
        (N + 1,) float64 tensor: in float32 s is exact to T/10^7, and t = T - s to no more, which
        is all of it near the data.
    """
    if not 0 < eps < T:
        raise ValueError(f"eps = {eps}: it must lie between 0 and T = {T:g}.")
    # BEGIN SOLUTION 1.3a
    # Hint: torch.linspace(..., dtype=torch.float64) from T^(1/rho) to eps^(1/rho), raised to rho,
    #   gives t. Return T - t.
    t = torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1, dtype=torch.float64) ** rho
    return T - t
    # END SOLUTION


def clock(sde: Process, eps: float, rho: float, x: Tensor) -> Tensor:
    """The `time_grid` of a process on the device of x, in float64 where that has it (MPS has not).

    A process subtracts in it, t = T - s, and only then goes over to the dtype of x.
    """
    times = time_grid(sde.T, eps, sde.N, rho)
    return times.to(x.device, torch.float32 if x.device.type == "mps" else torch.float64)


def euler_maruyama_step(sde: ReverseProcess, s: Tensor, ds: float, x: Tensor) -> tuple[Tensor, int]:
    """Euler-Maruyama along the reverse SDE: one predict_fn."""
    # BEGIN SOLUTION 1.3b
    # Hint: sde.predict_fn does it. How many times was the score evaluated?
    return sde.predict_fn(s, x, ds), 1
    # END SOLUTION


def ode_euler_step(sde: ReverseProcess, s: Tensor, ds: float, x: Tensor) -> tuple[Tensor, int]:
    """Euler along the probability-flow ODE."""
    # BEGIN SOLUTION 1.3d
    # Hint: predict_fn has a switch for the ODE.
    return sde.predict_fn(s, x, ds, ode=True), 1
    # END SOLUTION


def ode_heun_step(sde: ReverseProcess, s: Tensor, ds: float, x: Tensor) -> tuple[Tensor, int]:
    """Heun's second-order step along the ODE: the mean of the slopes at both ends.

    x_E = x + ds d(s, x);    x' = x + ds/2 (d(s, x) + d(s + ds, x_E))
    """
    # BEGIN SOLUTION 1.3d
    # Hint: sde.ode_coeff(s, x)[0] is the slope. Two evaluations.
    slope, _ = sde.ode_coeff(s, x)
    end_slope, _ = sde.ode_coeff(s + ds, x + ds * slope)
    return x + ds * (slope + end_slope) / 2, 2
    # END SOLUTION


def reverse_diffusion_step(
    sde: ReverseProcess, s: Tensor, ds: float, x: Tensor
) -> tuple[Tensor, int]:
    """Reverse diffusion: reverse the exact transition of the forward process over one step.

    Over [t - ds, t] the forward process multiplies by a and adds noise of variance b^2,

        a = alpha(t)/alpha(t - ds),    b^2 = std(t)^2 - a^2 std(t - ds)^2,

    so x = x_t + (1 - a) x_t + b^2 score + b z goes back, to first order in 1 - a (Song et al.
    2021, appendix E; for VE this is their discretisation exactly).
    """
    # BEGIN SOLUTION 1.3e
    # Hint: alpha_std(sde, s, x) gives alpha and std (B, 1) of the reverse process at its clock s.
    #   The score is sde.score_fn(sde.T - s, x).
    alpha, std = alpha_std(sde, s, x)
    next_alpha, next_std = alpha_std(sde, s + ds, x)
    a = alpha / next_alpha
    b_squared = (std**2 - a**2 * next_std**2).clamp(min=0)
    score = sde.score_fn(sde.T - s, x)
    return (2 - a) * x + b_squared * score + b_squared.sqrt() * torch.randn_like(x), 1
    # END SOLUTION


def predictor_corrector_step(
    sde: ReverseProcess, s: Tensor, ds: float, x: Tensor, snr: float = 0.16
) -> tuple[Tensor, int]:
    """A reverse-diffusion step, then a Langevin step at the new time (Song et al. 2021, alg. 1)."""
    # BEGIN SOLUTION 1.3c
    # Hint: the corrector works at s + ds. Evaluations add up.
    x, evaluations = reverse_diffusion_step(sde, s, ds, x)
    return sde.correct_fn(s + ds, x, snr), evaluations + 1
    # END SOLUTION


def ancestral_step(sde: ReverseProcess, s: Tensor, ds: float, x: Tensor) -> tuple[Tensor, int]:
    """Ancestral sampling: draw from the posterior of the earlier state, its data guessed.

    With a and b^2 of `reverse_diffusion_step`, the law of X_{t - ds} given X_t = x and x_0 has the
    variance b^2 std(t - ds)^2/std(t)^2 and, with x_0 = E[x_0 | x] by Tweedie, the mean

        (x + b^2 score)/a.

    For VP these are the steps of DDPM (Ho et al. 2020, eq. 11, "small" variance), for VE those of
    Song et al. 2021, eq. 47.
    """
    # BEGIN SOLUTION 1.3h
    # Hint: a, b^2 and the score as in reverse_diffusion_step; the rest is in the docstring.
    alpha, std = alpha_std(sde, s, x)
    next_alpha, next_std = alpha_std(sde, s + ds, x)
    a = alpha / next_alpha
    b_squared = (std**2 - a**2 * next_std**2).clamp(min=0)
    mean = (x + b_squared * sde.score_fn(sde.T - s, x)) / a
    return mean + b_squared.sqrt() * next_std / std * torch.randn_like(x), 1
    # END SOLUTION


def no_step(sde: ReverseProcess, s: Tensor, ds: float, x: Tensor) -> tuple[Tensor, int]:
    """No predictor: the corrector alone follows the noise level down, as in NCSN."""
    return x, 0


STEPS = {
    "euler_maruyama": euler_maruyama_step,
    "reverse_diffusion": reverse_diffusion_step,
    "ancestral": ancestral_step,
    "predictor_corrector": predictor_corrector_step,
    "ode_euler": ode_euler_step,
    "ode_heun": ode_heun_step,
    "none": no_step,
}
METHODS = (*STEPS, "rk45", "multistep")


def langevin(sde: ReverseProcess, s: Tensor, x: Tensor, snr: float) -> Tensor:
    """Langevin step whose size follows the norms of noise and score: `SDE.correct_fn`."""
    return sde.correct_fn(s, x, snr)


def annealed_langevin(sde: ReverseProcess, s: Tensor, x: Tensor, snr: float) -> Tensor:
    """Langevin step whose size follows the noise level alone.

        x' = x + eps score + sqrt(2 eps) z,    eps = 2 (snr std)^2

    (Song and Ermon 2019, algorithm 1, with alpha_i = 2 eps.) It is the step of `SDE.correct_fn`
    where |score| = |z|/std.
    """
    # BEGIN SOLUTION 1.3i
    # Hint: alpha_std(sde, s, x) gives std; the score is sde.score_fn(sde.T - s, x).
    _, std = alpha_std(sde, s, x)
    eps = 2 * (snr * std) ** 2
    score = sde.score_fn(sde.T - s, x)
    return x + eps * score + torch.sqrt(2 * eps) * torch.randn_like(x)
    # END SOLUTION


CORRECTORS: dict[str, Callable | None] = {
    "langevin": langevin,
    "annealed_langevin": annealed_langevin,
    "none": None,
}


def with_corrector(
    step: Callable, corrector: Callable, corrections: int = 1, snr: float = 0.16
) -> Callable:
    """A step function: `step`, then `corrections` times the corrector at the new time.

    Any predictor goes with any corrector (Song et al. 2021, algorithm 1).

    Args:
        step: (sde, s, ds, x) -> (x, evaluations).
        corrector: (sde, s, x, snr) -> x, for one evaluation each.
        corrections: how often the corrector comes after each step.
        snr: size of its steps.
    """

    # BEGIN SOLUTION 1.3j
    # Hint: as in predictor_corrector_step: correct at s + ds, and count every evaluation.
    def corrected_step(sde, s, ds, x):
        x, evaluations = step(sde, s, ds, x)
        for _ in range(corrections):
            x = corrector(sde, s + ds, x, snr)
        return x, evaluations + corrections

    return corrected_step
    # END SOLUTION


class Sampler:
    """Draw samples from a reverse process.

    Args:
        eps: the time, counted from the data, at which sampling stops.
        method: name in `METHODS`, or a function step(sde, s, ds, x) -> (x, evaluations).
        rho: spacing of the time grid, see `time_grid`.
        start: "prior", or "moments" for the Gaussian with the mean and covariance that the data
            have at time T, which lets T (or sigma_max) be smaller.
        order: of "multistep" alone; 3 by default.
        tol: relative and absolute tolerance of "rk45" alone; 1e-5 by default.
        corrector: name in `CORRECTORS`, or a function corrector(sde, s, x, snr) -> x.
        corrections: how often the corrector comes after each step; 1 by default.
        snr: size of its steps, and of those in "predictor_corrector"; .16 by default.

    Raises:
        ValueError: a name that is not known, or an option that the method does not use.
    """

    def __init__(
        self,
        eps: float = 1e-3,
        method: str | Callable = "euler_maruyama",
        rho: float = 1.0,
        start: str = "prior",
        order: int | None = None,
        tol: float | None = None,
        corrector: str | Callable = "none",
        corrections: int | None = None,
        snr: float | None = None,
    ) -> None:
        if start not in ("prior", "moments"):
            raise ValueError(f"start = {start!r}: choose prior or moments.")
        for name, value, user in (("order", order, "multistep"), ("tol", tol, "rk45")):
            if value is not None and method != user:
                raise ValueError(f"{_name(method)} takes no {name}; it is for {user}.")
        self.eps = eps
        self.method = method
        self.rho = rho
        self.start = start
        self.order = 3 if order is None else order
        self.tol = 1e-5 if tol is None else tol
        self.step = choose_step(method, corrector, corrections, snr)

    def get_sampling_fn(self, sde: ReverseProcess, dataset: Tensor) -> Callable[[int], tuple]:
        """Return sampling_fn(N_samples) -> (out, ntot, timesteps, x_traj).

        Args:
            sde: a reverse process, from `SDE.reverse`; takes sde.N steps.
            dataset: (n, D) tensor of real points; gives shape, device and dtype, and the moments
                where start = "moments".

        Raises:
            ValueError: a forward process, or a member of the family that the method would ignore.

        The returned function gives

            out: (N_samples, D) the samples, equal to x_traj[-1].
            ntot: how often the score was evaluated.
            timesteps: (K + 1,) clock times s.
            x_traj: (K + 1, N_samples, D) the state at each of them, x_traj[0] from the prior.
        """

        check_reverse(sde)
        check_member(sde, self.method)

        @torch.no_grad()
        def sampling_fn(N_samples):
            if N_samples < 1:
                raise ValueError(f"N_samples = {N_samples}: ask for at least one.")
            x = initial_state(sde, dataset, N_samples, self.start)
            timesteps = clock(sde, self.eps, self.rho, x)
            if self.method == "rk45":
                x_traj, ntot = solve_rk45(sde, timesteps, x, self.tol)
            elif self.method == "multistep":
                box = (dataset.amin(0), dataset.amax(0))
                x_traj, ntot = multistep(sde, timesteps, x, self.order, box)
            else:
                x_traj, ntot = walk(self.step, sde, timesteps, x)
            return x_traj[-1], ntot, timesteps, x_traj

        return sampling_fn


def choose_step(
    method: str | Callable,
    corrector: str | Callable = "none",
    corrections: int | None = None,
    snr: float | None = None,
) -> Callable | None:
    """The step function of a method and a corrector, each a name or a function.

    Args:
        method: see `Sampler`.
        corrector: see `Sampler`.
        corrections: see `Sampler`.
        snr: see `Sampler`.

    Returns:
        step(sde, s, ds, x) -> (x, evaluations); None for "rk45" and "multistep", which are no
        steps and take no corrector.

    Raises:
        ValueError: see `Sampler`.
    """
    if not callable(method) and method not in METHODS:
        raise ValueError(f"Unknown method {method!r}. Known: {', '.join(METHODS)}.")
    if not callable(corrector) and corrector not in CORRECTORS:
        raise ValueError(f"Unknown corrector {corrector!r}. Known: {', '.join(CORRECTORS)}.")
    step = method if callable(method) else STEPS.get(method)
    correct = corrector if callable(corrector) else CORRECTORS[corrector]
    if correct is not None and step is None:
        raise ValueError(f"{method} takes no corrector; choose one of {', '.join(STEPS)}.")
    if correct is None and corrections is not None:
        raise ValueError(f"corrections = {corrections} need a corrector, such as 'langevin'.")
    if correct is None and snr is not None and method != "predictor_corrector":
        raise ValueError(f"snr = {snr} is of a corrector, and {_name(method)} has none.")
    snr, corrections = 0.16 if snr is None else snr, 1 if corrections is None else corrections
    if corrections < 1:
        raise ValueError(f"corrections = {corrections}: take at least 1, or corrector='none'.")
    if method == "predictor_corrector":
        step = functools.partial(predictor_corrector_step, snr=snr)
    if step is None or correct is None:
        return step
    return with_corrector(step, correct, corrections, snr)


def _name(method):
    """What a message calls a method, a name or a function."""
    return getattr(method, "__name__", method)


def check_member(sde: ReverseProcess, method: str | Callable) -> None:
    """Refuse a method that would ignore which member of the lambda family `sde` is."""
    lam = getattr(sde, "lam", 0)
    if lam and method in ("reverse_diffusion", "ancestral", "predictor_corrector"):
        raise ValueError(
            f"{method} draws from the reverse SDE, lam = 0, not lam = {lam}; use euler_maruyama, "
            f"or a method of the ODE."
        )


def initial_state(sde: ReverseProcess, dataset: Tensor, n: int, start: str = "prior") -> Tensor:
    """n states at s = 0: from the prior, or N(alpha m, alpha^2 Cov + std^2 I) from the moments."""
    like = torch.empty(n, *dataset.shape[1:]).to(dataset)
    if start == "prior":
        return sde.prior_sampling(like)
    if len(dataset) < 2:
        raise ValueError("start = 'moments' needs a covariance, of at least 2 points of the data.")
    one = torch.zeros(1, device=dataset.device)
    alpha, std = alpha_std(sde, one, dataset[:1])
    points = dataset.flatten(1)  # (n, D)
    alpha, std = alpha.reshape(1, 1), std.reshape(1, 1)
    cov = alpha**2 * points.T.cov() + std**2 * torch.eye(points.shape[1]).to(points)
    noise = torch.randn_like(like).flatten(1) @ torch.linalg.cholesky(cov).T
    return (alpha * points.mean(0) + noise).reshape(like.shape)


def walk(step: Callable, sde: ReverseProcess, timesteps: Tensor, x: Tensor) -> tuple[Tensor, int]:
    """Apply one step function from each time to the next; return all states and the evaluations.

    Args:
        step: a function of `STEPS`.
        sde: a reverse process.
        timesteps: (K + 1,).
        x: (B, ...) the state at timesteps[0].

    Returns:
        x_traj (K + 1, B, ...) with x_traj[0] = x, and the number of evaluations.
    """
    # BEGIN SOLUTION 1.3b
    # Hint: store the state after each step, and pass s as a (B,) tensor.
    x_traj, ntot = [x], 0
    pairs = list(itertools.pairwise(timesteps))
    for s, s_next in tqdm(pairs, desc="sampling", disable=None, leave=False):
        x, evaluations = step(sde, s.expand(len(x)), (s_next - s).item(), x)
        x_traj.append(x)
        ntot += evaluations
    return torch.stack(x_traj), ntot
    # END SOLUTION


def solve_rk45(sde: ReverseProcess, timesteps: Tensor, x: Tensor, tol: float) -> tuple[Tensor, int]:
    """The probability-flow ODE by scipy's adaptive Runge-Kutta 4(5), as in Song et al. 2021.

    Args and returns as for `walk`, with tol the relative and absolute tolerance; x_traj has the
    dtype of x.
    """

    # BEGIN SOLUTION 1.3f
    # Hint: solve_ivp, SciPy's with its failures as errors, wants a function of (float, flat
    #   float64 array). t_eval = the timesteps. Its result has .y of shape (n, K + 1) and .nfev.
    def slope(s, flat):
        state = torch.from_numpy(flat).to(x).reshape(x.shape)
        drift, _ = sde.ode_coeff(torch.full((len(x),), s).to(x), state)
        return drift.cpu().double().numpy().ravel()

    clock = timesteps.cpu().double().numpy()
    start = x.cpu().double().numpy().ravel()
    solution = solve_ivp(slope, clock[[0, -1]], start, "RK45", clock, rtol=tol, atol=tol)
    x_traj = torch.from_numpy(solution.y.T.copy()).to(x).reshape(len(clock), *x.shape)
    return x_traj, solution.nfev
    # END SOLUTION


def multistep(
    sde: ReverseProcess,
    timesteps: Tensor,
    x: Tensor,
    order: int = 3,
    box: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, int]:
    """Exponential multistep on the denoiser: the ODE's linear part exactly, the rest by memory.

    With y = x/alpha, sigma = std/alpha, lambda = -log sigma and D = E[x_0 | x_t] the
    probability-flow ODE has the solution

        y' = (sigma'/sigma) y + sigma' * integral of e^lambda D dlambda, from lambda to lambda',

    where D is replaced by the polynomial through its last `order` values. Order 1 is DDIM, order 2
    DPM-Solver++ 2M up to its weights (Lu et al. 2022, eq. 9). The output is D at the last time.

    Args and returns as for `walk`; box: (low, high) to which D is clamped, or None.
    """
    # BEGIN SOLUTION 1.3g
    # Hint: multistep_weights below gives the weights of the last values of D. Keep the last
    #   `order` pairs (lambda, D) in a list. D = (x + std^2 score)/alpha.
    alphas, stds = (v[:, 0].tolist() for v in alpha_std(sde, timesteps, timesteps[:, None]))
    sigmas = [std / alpha for alpha, std in zip(alphas, stds, strict=True)]
    x_traj = [x]
    memory: list[tuple[float, Tensor]] = []
    for k, s in enumerate(timesteps):
        score = sde.score_fn(sde.T - s.expand(len(x)), x)
        D = (x + stds[k] ** 2 * score) / alphas[k]
        D = D if box is None else D.clamp(*box)
        if k == len(timesteps) - 1:
            break
        memory = [*memory, (-math.log(sigmas[k]), D)][-order:]
        lams, Ds = zip(*memory, strict=True)
        weights = multistep_weights(lams, -math.log(sigmas[k + 1]))
        y = x / alphas[k] + sum(w * D for w, D in zip(weights, Ds, strict=True))
        x = alphas[k + 1] * sigmas[k + 1] / sigmas[k] * y
        x_traj.append(x)
    return torch.stack([*x_traj[:-1], D]), len(timesteps)
    # END SOLUTION


def multistep_weights(lams: Sequence[float], lam_next: float) -> list[float]:
    """Weights w_j with sum_j w_j D_j = integral of e^(lambda - lams[-1]) D(lambda) dlambda.

    D is the polynomial with values D_j at lams[j], integrated from lams[-1] to lam_next. The
    weights integrate e^u u^k exactly for k < len(lams).
    """
    # BEGIN SOLUTION 1.3g
    # Hint: with u = lambda - lams[-1] and h its end, I_0 = e^h - 1, I_k = e^h h^k - k I_(k-1).
    #   Solve sum_j w_j u_j^k = I_k.
    h = lam_next - lams[-1]
    moments = [math.expm1(h)]
    for k in range(1, len(lams)):
        moments.append(math.exp(h) * h**k - k * moments[-1])
    powers = np.vander(np.array(lams) - lams[-1], increasing=True).T  # (k, j): u_j^k
    return np.linalg.solve(powers, moments).tolist()
    # END SOLUTION
