"""The sampler of EDM (Karras et al. 2022, algorithm 2): Heun's method in sigma.

It works on x = x_0 + sigma noise. There the probability-flow ODE is dx / dsigma = (x - D) / sigma,
which is the noise that any network of this course predicts, whatever it was trained with.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from given.levels import karras_sigmas, log_snr_ends
from given.noise import noise_like
from image_diffusion.ddpm import DiffusionModule


@torch.no_grad()
def draw(
    model: DiffusionModule,
    batch_size: int,
    class_label: Tensor | None = None,
    guidance_scale: float = 0.0,
    *,
    steps: int,
    churn: float = 0.0,
    s_min: float = 0.0,
    s_max: float = math.inf,
    s_noise: float = 1.0,
    sigma_min: float = 0.02,
    sigma_max: float = 80.0,
    rho: float = 7.0,
) -> tuple[Tensor, int]:
    """Draw images: x from N(0, sigma_max^2 I), then steps of Heun's method down to sigma = 0.

    Args:
        model: a DiffusionModule.
        batch_size: B.
        class_label: (B,) from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.
        steps: n; 2 n - 1 evaluations.
        churn: S_churn; 0 solves the ODE, more is stochastic.
        s_min: the smallest level that churn raises.
        s_max: the largest level that churn raises.
        s_noise: standard deviation of the noise that churn adds.
        sigma_min: see `karras_sigmas`; that of a schedule's own first level, .006 or .01, is no
            better in few steps.
        sigma_max: see `karras_sigmas`.
        rho: see `karras_sigmas`.

    Returns:
        (B, C, H, W), and the number of evaluations.

    Raises:
        ValueError: see `karras_sigmas`; levels that the schedule does not have.
    """
    sigmas = karras_sigmas(steps, sigma_min, sigma_max, rho).tolist()
    check_reach(model.var_scheduler, sigma_min, sigma_max)
    gamma = min(churn / steps, math.sqrt(2) - 1)
    x = noise_like(torch.empty(batch_size, *model.image_shape, device=model.device)) * sigmas[0]
    noise_in = noise_predictor(model, class_label, guidance_scale)
    pairs = list(itertools.pairwise(sigmas))
    for sigma, target in tqdm(pairs, "sampling", leave=False, disable=None):
        if gamma > 0 and s_min <= sigma <= s_max:
            x, sigma = raise_noise(x, sigma, gamma, s_noise)
        x = step(x, sigma, target, noise_in)
    return x, 2 * steps - 1


def step(x: Tensor, sigma: float, target: float, noise_in: Callable) -> Tensor:
    """One step of the ODE from sigma to target: Euler's, corrected by the slope at its end.

    The step to target = 0 stays Euler's, as the slope is not defined there.

    Args:
        x: (B, C, H, W).
        sigma: the level of x.
        target: the level of the result.
        noise_in: function of x and sigma, see `noise_predictor`.

    Returns:
        like x.
    """
    slope = noise_in(x, sigma)
    euler = x + (target - sigma) * slope
    if target == 0:
        return euler
    return x + (target - sigma) * (slope + noise_in(euler, target)) / 2


def noise_predictor(
    model: DiffusionModule, class_label: Tensor | None = None, guidance_scale: float = 0.0
) -> Callable:
    """The noise in x = x_0 + sigma noise, which is also dx / dsigma of the ODE.

    The network sees x_t = x / sqrt(1 + sigma^2), and is called by its log SNR, -2 log(sigma).

    Args:
        model: a DiffusionModule.
        class_label: (B,) from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.

    Returns:
        noise_in(x, sigma) with x (B, C, H, W) and a number sigma.
    """
    by_level = DiffusionModule(model.network.at_log_snr, model.var_scheduler)

    def noise_in(x, sigma):
        log_snr = torch.full((len(x),), -2 * math.log(sigma), device=x.device)
        x_t = x / math.sqrt(1 + sigma**2)
        return by_level.predict_noise(x_t, log_snr, class_label, guidance_scale)

    return noise_in


def raise_noise(
    x: Tensor, sigma: float, gamma: float, s_noise: float = 1.0
) -> tuple[Tensor, float]:
    """Add the noise that lifts x from sigma to (1 + gamma) sigma.

    Returns:
        x, and the new sigma.
    """
    raised = (1 + gamma) * sigma
    return x + math.sqrt(raised**2 - sigma**2) * s_noise * noise_like(x), raised


def check_reach(scheduler: Any, sigma_min: float, sigma_max: float) -> None:
    """Refuse levels that the schedule does not have.

    Raises:
        ValueError: sigma_min or sigma_max lies beyond the schedule.
    """
    low, high = (math.exp(-log_snr / 2) for log_snr in log_snr_ends(scheduler))
    if sigma_min < low:
        raise ValueError(f"sigma_min {sigma_min} is below the schedule's first level {low:.3g}.")
    if sigma_max > high:
        raise ValueError(f"sigma_max {sigma_max} is above the schedule's last level {high:.3g}.")
