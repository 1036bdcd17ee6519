"""Likelihoods and bounds on Gaussian mixtures, whose density and score are exact.

The processes have hyper-parameters under which X_T really has the law of the prior, so that
nothing is left but the numerical error.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from given.levels import alpha_std
from given.plane.mixture import GaussianMixture, demo_mixture

OPTIONS = {  # exp(-B(T)/2) is 5e-5 or less; 1e5 is as far above the data
    "OU": {"T": 20.0},
    "VPSDE": {"beta_max": 40.0},
    "SubVPSDE": {"beta_max": 40.0},
    "VESDE": {"sigma_min": 0.05, "sigma_max": 1e5},
}
EPS = {"OU": 1e-5, "VPSDE": 1e-5, "SubVPSDE": 1e-5, "VESDE": 1e-5}
BOUND_EPS = {"OU": 1e-2, "VPSDE": 1e-2, "SubVPSDE": 2e-2, "VESDE": 1e-3}
DATA = demo_mixture()
LINE = GaussianMixture([[-1.0], [1.2]], [[[0.25]], [[0.5]]], [0.4, 0.6])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def build(name, **options):
    from sde_todo import sde

    return getattr(sde, name)(**{**OPTIONS[name], **options})


def points(n, seed=0, data=DATA):
    return data.sample(n, seed).double()


def scale(process, t):
    """The numbers alpha and std at one time."""
    one = torch.ones(1, 1, dtype=torch.float64)
    alpha, std = alpha_std(process, torch.tensor([t], dtype=torch.float64), one)
    return alpha.item(), std.item()


def assert_mean(draws, truth, width=4.0, bias=0.0):
    """The mean of independent draws is the truth, within `width` of its standard error."""
    error = draws.std() / math.sqrt(len(draws))
    assert (draws.mean() - truth).abs() < width * error + bias, (draws.mean(), truth, error)


@pytest.mark.parametrize("name", OPTIONS)
def test_log_likelihood_is_the_log_density(name):
    """Truth: the mixture's own density at eps, and at 0 (for VE blurred by sigma_min)."""
    from sde_todo.likelihood import log_likelihood

    process, x, eps = build(name), points(40), EPS[name]
    got = log_likelihood(process, DATA.score_fn(process), x, eps, tol=1e-7)
    for t in (eps, 0.0):
        error = (got - DATA.log_prob(x, *scale(process, t))).abs().max()
        assert error < 1e-3, (t, error)


@pytest.mark.parametrize("method", ["rademacher", "gaussian"])
@pytest.mark.parametrize("probes", [1, 4])
def test_hutchinson_is_unbiased(method, probes):
    """Truth: the exact divergence; the standard error comes from 400 independent directions."""
    from sde_todo.likelihood import log_likelihood

    process, x = build("VPSDE"), points(3)
    score = DATA.score_fn(process)
    exact = log_likelihood(process, score, x, 1e-3, 1e-4)
    many = x.repeat(400, 1)
    draws = log_likelihood(process, score, many, 1e-3, 1e-4, method, probes).reshape(400, 3)
    for i in range(3):
        assert draws[:, i].std() > 0.01
        assert_mean(draws[:, i], exact[i])


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("density", ["uniform", "debiased"])
@pytest.mark.parametrize(
    ("slices", "method"), [(1, "rademacher"), (1, "gaussian"), (8, "rademacher")]
)
def test_elbo_of_the_exact_score_is_the_log_density(name, density, slices, method):
    """Truth: the mixture's density; the bound of Huang et al. is tight at the exact score.

    The last step alone is an approximation, of order (std/width of the data)^4 at eps.
    """
    from sde_todo.likelihood import elbo

    process, x, n = build(name), points(2), 8000 // slices
    many = x.repeat(n, 1)
    score = DATA.score_fn(process)
    draws = elbo(process, score, many, BOUND_EPS[name], slices, density, method).reshape(n, 2)
    for got, truth in zip(draws.T, DATA.log_prob(x), strict=True):
        assert_mean(got, truth, bias=2e-3)


SHORT = {  # options and eps, with std^2 from .01 to .02 at eps
    "OU": ({"T": 1.0}, 0.015),
    "VPSDE": ({"beta_max": 3.0}, 0.08),
    "SubVPSDE": ({"beta_max": 3.0}, 0.27),
    "VESDE": ({"sigma_min": 0.1, "sigma_max": 3.0}, 0.01),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("density", ["uniform", "debiased"])
def test_elbo_over_a_short_horizon_is_the_log_density(name, density, monkeypatch):
    """Truth: the mixture's density, with p_T itself as the prior, so that a short way is exact too.

    Its noise is .02, the last step's share .06 (sub-VP) to .17: without it all but sub-VP fail.
    """
    from sde_todo import likelihood

    options, eps = SHORT[name]
    process, x = build(name, **options), torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    end = scale(process, process.T)
    monkeypatch.setattr(process, "prior_logp", lambda x: DATA.log_prob(x, *end))
    score, many = DATA.score_fn(process), x.repeat(8000, 1)
    draws = likelihood.elbo(process, score, many, eps, 8, density)
    assert_mean(draws, DATA.log_prob(x), bias=0.01)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_path_elbo_of_the_exact_score_is_the_log_density(name, lam):
    """Truth: the mixture's density at eps; the error in the step is extrapolated away."""
    process, x = soft(name, 60), points(1)
    many = x.repeat(2500, 1)
    coarse, fine = (path_draws(soft(name, N), many, lam) for N in (60, 120))
    truth = DATA.log_prob(x, *scale(process, 0.05))
    assert_mean(2 * fine - coarse, truth)


def soft(name, N):
    """A process whose Euler steps are good: it starts fast and stays so."""
    options = {
        "OU": {"T": 10.0},
        "VPSDE": {"beta_min": 8.0, "beta_max": 14.0},
        "SubVPSDE": {"beta_min": 8.0, "beta_max": 14.0},
        "VESDE": {"sigma_min": 0.5, "sigma_max": 100.0},
    }
    return build(name, N=N, **options[name])


def path_draws(process, x, lam, method="rademacher"):
    from sde_todo.likelihood import path_elbo

    return path_elbo(process, DATA.score_fn(process), x, lam, 0.05, method)


@pytest.mark.parametrize("name", OPTIONS)
def test_path_elbo_at_lam_one_tends_to_the_likelihood_of_the_ode(name):
    """Truth: `log_likelihood` at a tight tolerance; Euler's error is of order one in the step."""
    from sde_todo.likelihood import log_likelihood

    x, process = points(30), soft(name, 1)
    truth = log_likelihood(process, DATA.score_fn(process), x, 0.05, tol=1e-7)
    errors = []
    for N in (60, 240):
        errors.append((path_draws(soft(name, N), x, 1.0, "exact") - truth).abs().mean().item())
    assert math.log(errors[0] / errors[1], 4) == pytest.approx(1, abs=0.2), errors


def damping(process, t):
    """1/(1 + std^2), which keeps the integral of g^2 E|error|^2 finite for VE."""
    return 1 / (1 + scale(process, t)[1] ** 2)


def wrong_score(process, size):
    """The exact score plus size damping(t) sin(x), a smooth error."""
    exact = DATA.score_fn(process)

    def score(t, x):
        _, std = alpha_std(process, t, x)
        return exact(t, x) + size / (1 + std**2) * torch.sin(x)

    return score


def squared_error(process, t, size):
    """E |error|^2 at time t: E sin^2 = (1 - E cos 2x)/2, and each Gaussian's E cos is known."""
    alpha, std = scale(process, t)
    variances = torch.diagonal(DATA.covs, dim1=1, dim2=2) * alpha**2 + std**2  # (K, D)
    cosine = torch.cos(2 * alpha * DATA.means) * torch.exp(-2 * variances)
    sine_squared = (DATA.weights @ ((1 - cosine) / 2).sum(1)).item()
    return (size * damping(process, t)) ** 2 * sine_squared


def predicted_gap(process, eps, size):
    """1/2 integral of g^2 E|error|^2 over [eps, T], and 1/2 std^2 E|error|^2 of the last step."""

    def rate(t):
        _, g = process.sde_coeff(torch.tensor([t]).double(), torch.zeros(1, 1).double())
        return 0.5 * g.item() ** 2 * squared_error(process, t, size)

    _, std = scale(process, eps)
    integral, _ = quad(rate, eps, process.T, limit=500)
    return integral + 0.5 * std**2 * squared_error(process, eps, size)


def seeded_elbo(process, score, x, eps):
    """One draw for each x, with the same times and noises for every score."""
    from sde_todo.likelihood import elbo

    torch.manual_seed(5)
    return elbo(process, score, x, eps, 8, "debiased")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("size", [1.0, 2.0])
def test_a_wrong_score_costs_half_its_squared_error(name, size):
    """Truth: the mean over the data falls below the exact one by 1/2 integral of g^2 E|error|^2.

    Song et al. 2021b ("Maximum likelihood training", theorem 1) and Huang et al. 2021, theorem 4;
    the integral is by quadrature. Both bounds see the same noise, which cancels most of it.
    """
    process, x, eps = build(name), points(8000), BOUND_EPS[name]
    exact = seeded_elbo(process, DATA.score_fn(process), x, eps)
    wrong = seeded_elbo(process, wrong_score(process, size), x, eps)
    gap = predicted_gap(process, eps, size)
    assert_mean(wrong - exact, -gap)
    assert_mean(wrong - DATA.log_prob(x), -gap, bias=2e-3)
    assert gap > 4 * (wrong - exact).std() / math.sqrt(len(x))  # so that the test can tell


@pytest.mark.parametrize("kappa", [0.8, 1.5])
@pytest.mark.parametrize("r", [0.0, 1.0, 2.0])
def test_the_bound_of_a_linear_score_lies_below_the_density_of_its_model(kappa, r):
    """Truth: with the score -kappa x the model of VP is Gaussian, its bound an integral by hand.

    With B the integral of beta, the variance of the model solves dv/dB = (1 - 2 kappa) v + 1 from
    v = 1 at the noise, and E|X|^2 = exp(-B) |x|^2 + D (1 - exp(-B)) goes into the bound.
    """
    from sde_todo.likelihood import elbo

    process, x = build("VPSDE"), torch.full((6000, 2), r, dtype=torch.float64)
    draws = elbo(process, lambda t, x: -kappa * x, x, 1e-5, 8, "debiased")
    B, square, D = process.beta_integral(process.T), 2 * r**2, 2
    loss = 0.5 * kappa**2 * (square * -math.expm1(-B) + D * (B + math.expm1(-B)))
    end = square * math.exp(-B) - D * math.expm1(-B)
    bound = -end / 2 - math.log(2 * math.pi) - loss - (0.5 - kappa) * D * B
    rate = 2 * kappa - 1
    variance = 1 / rate + (1 - 1 / rate) * math.exp(-rate * B)
    density = -square / (2 * variance) - math.log(2 * math.pi * variance)
    assert_mean(draws, bound, bias=1e-3)
    assert draws.mean() < density - 4 * draws.std() / math.sqrt(len(x))


def spread_of_the_bound(process, data, density, seed):
    """Standard deviation of one draw of the one-slice bound about log p."""
    from sde_todo.likelihood import elbo

    torch.manual_seed(seed)
    x = points(6000, data=data)
    draws = elbo(process, data.score_fn(process), x, 1e-3, 1, density)
    return (draws - data.log_prob(x)).std().item()


@pytest.mark.parametrize(("name", "ratio"), [("OU", 2.0), ("VPSDE", 1.25)])
def test_debiased_times_take_variance_off_on_nearly_singular_data(name, ratio):
    """Measured, not proved: five times less spread for OU, 1.7 for VP; sub-VP and VE gain little.

    Nor does any process on smooth data, where uniform times do as well (within a quarter).
    """
    narrow = GaussianMixture(DATA.means, 1e-4 * torch.eye(2).expand(3, 2, 2), DATA.weights)
    process = build(name)
    for seed in range(3):
        pair = [spread_of_the_bound(process, narrow, d, seed) for d in ("uniform", "debiased")]
        assert pair[0] > ratio * pair[1]
    pair = [spread_of_the_bound(process, DATA, d, 0) for d in ("uniform", "debiased")]
    assert pair[0] == pytest.approx(pair[1], rel=0.25)


@pytest.mark.parametrize("name", OPTIONS)
def test_decode_undoes_encode(name):
    """Truth: the data themselves."""
    from sde_todo.likelihood import decode, encode

    process, x = build(name), points(50)
    score = DATA.score_fn(process)
    code = encode(process, score, x, 1e-3, 1e-7)
    assert (code - x).abs().max() > 0.1
    back = decode(process, score, code, 1e-3, 1e-7)
    assert torch.allclose(back, x, atol=1e-3)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_code_of_a_quantile_is_the_quantile_of_the_prior(name):
    """Truth: in one dimension the flow keeps the order, hence the distribution function."""
    from sde_todo.likelihood import encode

    process, eps = build(name), EPS[name]
    x = torch.linspace(-2.5, 3, 23, dtype=torch.float64)[:, None]
    alpha, std = scale(process, eps)
    widths = (alpha**2 * LINE.covs[:, 0, 0] + std**2).sqrt().numpy()
    level = norm.cdf(x.numpy(), alpha * LINE.means[:, 0].numpy(), widths) @ LINE.weights.numpy()
    code = encode(process, LINE.score_fn(process), x, eps, 1e-7) / process.prior_std()
    assert np.abs(norm.cdf(code[:, 0].numpy()) - level).max() < 1e-4


@pytest.mark.parametrize("name", OPTIONS)
def test_two_parametrisations_of_the_score_give_one_code(name):
    """Truth: unique identifiability; the second score is by autograd, the third by the denoiser."""
    from sde_todo.likelihood import encode

    process, x = build(name), points(20)

    def by_gradient(t, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logp = DATA.log_prob(x, *alpha_std(process, t, x))
            return torch.autograd.grad(logp.sum(), x)[0]

    def by_denoiser(t, x):
        alpha, std = alpha_std(process, t, x)
        return (alpha * DATA.denoiser(x, alpha, std) - x) / std**2

    scores = (DATA.score_fn(process), by_gradient, by_denoiser)
    codes = [encode(process, score, x, 1e-3, 1e-7) / process.prior_std() for score in scores]
    assert torch.allclose(codes[0], codes[1], atol=1e-6)
    assert torch.allclose(codes[0], codes[2], atol=1e-6)


def test_interpolation_stays_on_the_sphere():
    """Truth: on an arc of a circle the length stays and the angle grows evenly."""
    from sde_todo.likelihood import interpolate

    a, b = torch.randn(2, 6, 3, 4, 4, dtype=torch.float64)
    b = b * (a.flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)).reshape(-1, 1, 1, 1)
    radius, whole = a.flatten(1).norm(dim=1), angle(a, b)
    assert torch.allclose(interpolate(a, b, 0.0), a) and torch.allclose(interpolate(a, b, 1.0), b)
    for weight in (0.25, 0.5, 0.9):
        c = interpolate(a, b, weight)
        assert torch.allclose(c.flatten(1).norm(dim=1), radius)
        assert torch.allclose(angle(a, c), weight * whole)
        assert torch.allclose(angle(c, b), (1 - weight) * whole)


def angle(a, b):
    """Between (B, ...) and (B, ...), shape (B,)."""
    return torch.acos(torch.cosine_similarity(a.flatten(1), b.flatten(1)))


@pytest.mark.parametrize(("levels", "bits"), [(256, 8.0), (4, 2.0)])
def test_a_uniform_density_costs_log2_of_its_levels(levels, bits):
    """By hand: density 1/(levels step)^D over the cube of all levels, 8 bits for 256 of them."""
    from sde_todo.likelihood import bits_per_dim, dequantise

    step = 2 / (levels - 1)
    x = torch.randint(0, levels, (5, 3, 4, 4)).double() * step - 1
    spread = dequantise(x, step)
    assert spread.min() >= -1 - step / 2 and spread.max() <= 1 + step / 2
    assert torch.equal(((spread + 1) / step).round(), ((x + 1) / step).round())
    logp = torch.full((5,), -48 * math.log(levels * step), dtype=torch.float64)
    assert torch.allclose(bits_per_dim(logp, x, step), torch.full((5,), bits).double(), atol=1e-12)


def test_the_default_step_is_that_of_pixels_in_minus_one_to_one():
    """By hand: 256 levels from -1 to 1 are 1/127.5 apart; one bit more halves the density."""
    from sde_todo.likelihood import bits_per_dim

    x = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    logp = torch.tensor([-12 * math.log(256 / 127.5)], dtype=torch.float64)
    assert bits_per_dim(logp, x).item() == pytest.approx(8, abs=1e-12)
    assert bits_per_dim(logp - 12 * math.log(2), x).item() == pytest.approx(9, abs=1e-12)
