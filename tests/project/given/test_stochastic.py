"""The stochastic multistep against closed forms: constant denoisers and Gaussian pixels."""

import math

import pytest
import torch

from experiments.images.samplers import multistep
from tests.project.reference.gaussian_images import SPREAD, gaussian_model


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_two_steps_with_a_constant_denoiser_are_one(eta, monkeypatch):
    """Means compose, and so do variances: x' = keep x + (1 - keep) D + spread z."""
    x, D = torch.tensor([1.3], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64)

    def step(x, sigma, target, z):
        monkeypatch.setattr(multistep, "noise_like", lambda x: torch.full_like(x, z))
        return multistep.step(x, sigma, target, D, eta)

    whole = step(x, 2.0, 0.5, 0.0)
    assert torch.allclose(step(step(x, 2.0, 1.1, 0.0), 1.1, 0.5, 0.0), whole)
    spread = step(x, 2.0, 0.5, 1.0) - whole
    first = step(step(x, 2.0, 1.1, 1.0), 1.1, 0.5, 0.0) - whole
    second = step(step(x, 2.0, 1.1, 0.0), 1.1, 0.5, 1.0) - whole
    assert torch.allclose(first**2 + second**2, spread**2)


def test_the_step_is_the_limit_of_euler_maruyama_of_task_1():
    """lam = 1 - eta^2, VE with sigma = t: drift (1 - lam/2) 2 t score, noise (1 - lam) 2 t dt."""
    eta, sigma, dt = 0.6, 0.8, 1e-5
    lam, x, D = 1 - eta**2, 1.1, 0.3
    score = (D - x) / sigma**2
    euler = x + (1 - lam / 2) * 2 * sigma * score * dt
    keep = ((sigma - dt) / sigma) ** (1 + eta**2)
    assert (keep * x + (1 - keep) * D - x) / dt == pytest.approx((euler - x) / dt, rel=1e-4)
    ratio = (sigma - dt) / sigma
    variance = (sigma - dt) ** 2 * (1 - ratio ** (2 * eta**2))
    assert variance / dt == pytest.approx((1 - lam) * 2 * sigma, rel=1e-4)


def test_the_denoiser_is_taken_on_the_line_at_mid_step():
    line = 0.3, -0.7  # D = a + b log sigma

    def D(log_sigma):
        return torch.tensor([line[0] + line[1] * log_sigma])

    now, h, h_before = 0.4, 0.5, 0.2
    got = multistep.extrapolated(D(now), h, (D(now + h_before), h_before))
    assert torch.allclose(got, D(now - h / 2))


def test_the_ode_converges_with_order_two():
    """Without noise x keeps its quantile: x(sigma) grows as sqrt(SPREAD^2 + sigma^2)."""
    model, low, high = gaussian_model(), 0.1, 40.0
    errors = []
    for steps in (40, 80):
        torch.manual_seed(0)
        x, evaluations = multistep.draw(model, 50, steps=steps, eta=0.0)
        torch.manual_seed(0)
        z = torch.randn(50, 3, 4, 4)
        end = high * z * math.sqrt((SPREAD**2 + low**2) / (SPREAD**2 + high**2))
        exact = SPREAD**2 / (SPREAD**2 + low**2) * end
        inside = exact.abs() < 0.6  # never clamped on the way
        errors.append((x - exact)[inside].abs().mean().item())
        assert evaluations == steps
    assert 1.6 < math.log2(errors[0] / errors[1]) < 2.6


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_every_member_draws_gaussian_pixels(eta):
    torch.manual_seed(0)
    x, _ = multistep.draw(gaussian_model(), 400, steps=60, eta=eta, sigma_min=0.02)
    # 19,200 numbers have a standard error of .002; the clamp at 2.5 deviations takes .004 off.
    assert abs(x.std().item() - SPREAD) < 0.015


def test_levels_out_of_reach_are_one_sentence():
    with pytest.raises(ValueError, match="sigma_min"):
        multistep.draw(gaussian_model(), 1, steps=5, sigma_min=1e-4)
