"""Given: the sampler of EDM (Karras et al. 2022, algorithm 2): Heun's method in sigma.

It works on x = x_0 + sigma noise. There the probability-flow ODE is dx / dsigma = (x - D) / sigma,
which is the noise that any network of this course predicts, whatever it was trained with.
"""

import itertools
import math

import torch
from tqdm import tqdm

from given.noise import noise_like


def karras_sigmas(n, sigma_min=0.02, sigma_max=80.0, rho=7.0):
    """The noise levels of n steps, and the 0 behind them (Karras et al. 2022, eq. 5).

        sigma_i = (sigma_max^(1/rho) + i / (n - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho

    Args:
        n: number of steps. sigma_min, sigma_max: last and first level. rho: how dense they lie at
            the small ones.

    Returns:
        (n + 1,) float64, falling to 0.

    Raises:
        ValueError: no steps, or levels in a wrong order.
    """
    if n < 1:
        raise ValueError(f"{n} steps are not possible; use at least 1.")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"0 < sigma_min < sigma_max is needed, not {sigma_min} and {sigma_max}.")
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = torch.linspace(first, last, n, dtype=torch.float64) ** rho
    return torch.cat([sigmas, sigmas.new_zeros(1)])


@torch.no_grad()
def edm_sample(
    model,
    batch_size,
    steps,
    class_label=None,
    guidance_scale=0.0,
    churn=0.0,
    s_min=0.0,
    s_max=math.inf,
    s_noise=1.0,
    sigma_min=0.02,
    sigma_max=80.0,
    rho=7.0,
):
    """Draw images: x from N(0, sigma_max^2 I), then steps of Heun's method down to sigma = 0.

    Args:
        model: a DiffusionModule. batch_size: B. steps: n; 2 n - 1 evaluations.
        class_label: (B,) from 1, or None. guidance_scale: see DiffusionModule.predict_noise.
        churn: S_churn; 0 solves the ODE, more is stochastic. s_min, s_max: the levels that it
            raises. s_noise: standard deviation of the noise that it adds.
        sigma_min, sigma_max, rho: see `karras_sigmas`.

    Returns:
        (B, C, H, W), and the number of evaluations.

    Raises:
        ValueError: see `karras_sigmas`; levels that the schedule does not have.
    """
    sigmas = karras_sigmas(steps, sigma_min, sigma_max, rho).tolist()
    check_reach(model.var_scheduler, sigma_min, sigma_max)
    gamma = min(churn / steps, math.sqrt(2) - 1)
    x = noise_like(torch.empty(batch_size, *model.image_shape, device=model.device)) * sigmas[0]
    slope = ode_slope(model, class_label, guidance_scale)
    pairs = list(itertools.pairwise(sigmas))
    for sigma, target in tqdm(pairs, "sampling", leave=False, disable=None):
        if gamma > 0 and s_min <= sigma <= s_max:
            x, sigma = raise_noise(x, sigma, gamma, s_noise)
        x = heun_step(slope, x, sigma, target)
    return x, 2 * steps - 1


def ode_slope(model, class_label=None, guidance_scale=0.0):
    """dx / dsigma = (x - D(x; sigma)) / sigma, the noise in x, as a function of x and sigma.

    The network is asked at x_t = x / sqrt(1 + sigma^2), abar = 1 / (1 + sigma^2).
    """

    def slope(x, sigma):
        abar = torch.tensor([1 / (1 + sigma**2)], dtype=torch.float64)
        timestep = model.var_scheduler.timestep_of(abar).to(x.device)  # (1,)
        x_t = x / math.sqrt(1 + sigma**2)
        return model.predict_noise(x_t, timestep.expand(len(x)), class_label, guidance_scale)

    return slope


def raise_noise(x, sigma, gamma, s_noise=1.0):
    """Add the noise that lifts x from sigma to (1 + gamma) sigma.

    Returns:
        x, and the new sigma.
    """
    raised = (1 + gamma) * sigma
    return x + math.sqrt(raised**2 - sigma**2) * s_noise * noise_like(x), raised


def heun_step(slope, x, sigma, target):
    """One step of the ODE from sigma to target: Euler's, corrected by the slope at its end.

    The step to target = 0 stays Euler's, as the slope is not defined there.

    Args:
        slope: function of x and sigma. x: (B, C, H, W). sigma, target: numbers.

    Returns:
        like x.
    """
    d = slope(x, sigma)
    euler = x + (target - sigma) * d
    if target == 0:
        return euler
    return x + (target - sigma) * (d + slope(euler, target)) / 2


def check_reach(scheduler, sigma_min, sigma_max):
    """Refuse levels that the schedule does not have."""
    low, high = ((1 / float(scheduler.exact[k]) - 1) ** 0.5 for k in (0, -1))
    if sigma_min < low:
        raise ValueError(f"sigma_min {sigma_min} is below the schedule's first level {low:.3g}.")
    if sigma_max > high:
        raise ValueError(f"sigma_max {sigma_max} is above the schedule's last level {high:.3g}.")
