"""A second-order multistep sampler for the whole family between the SDE and the ODE.

On x = x_0 + sigma noise the member lambda of the family (task 1.1g) is, with eta^2 = 1 - lambda,

    dx = (1 + eta^2) (x - D(x; sigma))/sigma dsigma + eta sqrt(2 sigma) dW

with sigma falling. Where D is constant this is solved exactly: with r = sigma'/sigma

    x' = r^(1 + eta^2) x + (1 - r^(1 + eta^2)) D + sigma' sqrt(1 - r^(2 eta^2)) z,

and the D of the step before tells how D changes (Lu et al. 2022, DPM-Solver++: eta = 0 is 2M,
eta = 1 SDE 2M). Fresh noise forgives the errors of earlier steps.
"""

import itertools
import math

import torch
from torch import Tensor
from tqdm import tqdm

from experiments.images.samplers.edm import check_reach, noise_predictor
from given.levels import karras_sigmas
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
    eta: float = 1.0,
    sigma_min: float = 0.1,
    sigma_max: float = 40.0,
    rho: float = 3.0,
) -> tuple[Tensor, int]:
    """Draw images; the last step goes to the denoised image, clamped to [-1, 1].

    Args:
        model: a DiffusionModule.
        batch_size: B.
        class_label: (B,) from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.
        steps: n, as many evaluations.
        eta: 1 for the reverse SDE, 0 for the ODE.
        sigma_min: see `karras_sigmas`.
        sigma_max: see `karras_sigmas`.
        rho: see `karras_sigmas`.

    Returns:
        (B, C, H, W), and the number of evaluations.

    Raises:
        ValueError: see `karras_sigmas`; levels that the schedule does not have.
    """
    sigmas = karras_sigmas(steps, sigma_min, sigma_max, rho).tolist()[:-1]
    check_reach(model.var_scheduler, sigma_min, sigma_max)
    x = noise_like(torch.empty(batch_size, *model.image_shape, device=model.device)) * sigmas[0]
    noise_in = noise_predictor(model, class_label, guidance_scale)
    before = None  # (D, log step) of the step before
    pairs = list(itertools.pairwise(sigmas))
    for sigma, target in tqdm(pairs, "sampling", leave=False, disable=None):
        D = (x - sigma * noise_in(x, sigma)).clamp(-1, 1)
        h = math.log(sigma / target)
        x = step(x, sigma, target, extrapolated(D, h, before), eta)
        before = D, h
    return (x - sigmas[-1] * noise_in(x, sigmas[-1])).clamp(-1, 1), steps


def step(x: Tensor, sigma: float, target: float, D: Tensor, eta: float) -> Tensor:
    """The exact step of member eta from sigma to target where D is constant.

    Args:
        x: (B, C, H, W).
        sigma: the level of x.
        target: the level of the result.
        D: the denoised image, like x.
        eta: see `draw`; without noise where it is 0.

    Returns:
        like x.
    """
    ratio = target / sigma
    keep = ratio ** (1 + eta**2)
    mean = keep * x + (1 - keep) * D
    if eta == 0:
        return mean
    return mean + target * math.sqrt(1 - ratio ** (2 * eta**2)) * noise_like(x)


def extrapolated(D: Tensor, h: float, before: tuple[Tensor, float] | None) -> Tensor:
    """D in the middle of a step of length h in log sigma, on the line through its last two values.

    Args:
        D: (B, C, H, W).
        h: length of the step.
        before: the value and the length of the step before, or None.

    Returns:
        like D.
    """
    if before is None:
        return D
    D_before, h_before = before
    return D + h / (2 * h_before) * (D - D_before)
