"""The processes, chains and likelihood against the formulas of Song et al. 2021, in float64 NumPy.

"Score-based generative modeling through stochastic differential equations" (arXiv 2011.13456),
appendices B to G. Every formula is written out here from the paper, and shares no code with the
modules under test. Their steps use the exact transition of the process over a step, which makes
them the chains of the paper with

    sigma_i = sigma(t_i),    beta_i = 1 - exp(-(integral of beta over [t_(i-1), t_i])),

so that the product of 1 - beta_j is the process's own mean coefficient squared.
"""

import itertools
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

BETA_MIN, BETA_MAX = 0.1, 20.0
SIGMA_MIN, SIGMA_MAX = 0.01, 3.0  # the fixed field below would carry points far away at 50
NAMES = ("VPSDE", "SubVPSDE", "VESDE")
N = 30
GRID = np.linspace(0, 1, N + 1)  # t_0 .. t_N
RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 2))
Z = RNG.normal(size=(7, 2))


def beta(t):
    """Eq. 32."""
    return BETA_MIN + t * (BETA_MAX - BETA_MIN)


def beta_between(a, b):
    """Integral of beta over [a, b]."""
    return (b - a) * (beta(a) + beta(b)) / 2


def sigma(t):
    """Eq. 30."""
    return SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** t


def drift(name, t, x):
    """f of eq. 30 (VE) and eq. 32 and 14 (VP, sub-VP)."""
    return np.zeros_like(x) if name == "VESDE" else -0.5 * beta(t) * x


def diffusion(name, t):
    """g of the same equations."""
    if name == "VESDE":
        return sigma(t) * np.sqrt(2 * np.log(SIGMA_MAX / SIGMA_MIN))
    if name == "VPSDE":
        return np.sqrt(beta(t))
    return np.sqrt(beta(t) * (1 - np.exp(-2 * beta_between(0, t))))


def kernel(name, t):
    """Coefficient of the mean and standard deviation of p(x_t | x_0), eq. 29, 31 and 33."""
    if name == "VESDE":
        return 1.0, sigma(t)
    exponent = 0.5 * t**2 * (BETA_MAX - BETA_MIN) + t * BETA_MIN
    variance = 1 - np.exp(-exponent)
    return np.exp(-exponent / 2), np.sqrt(variance) if name == "VPSDE" else variance


def score(t, x):
    """A fixed smooth field (B, 2) that is no gradient and not the score of these data."""
    wave = np.sin(x[:, :1] + 2 * x[:, 1:] + t)
    return -x / (1 + t) + 0.3 * wave * np.array([1.0, -0.4])


def score_jacobian(t, x):
    """(B, 2, 2), by hand."""
    wave = np.cos(x[:, 0] + 2 * x[:, 1] + t)[:, None, None]
    return -np.eye(2) / (1 + t) + 0.3 * wave * np.outer([1.0, -0.4], [1.0, 2.0])


def torch_score(t, x):
    t = t[:, None]
    wave = torch.sin(x[:, :1] + 2 * x[:, 1:] + t)
    return -x / (1 + t) + 0.3 * wave * torch.tensor([1.0, -0.4], dtype=x.dtype)


def build(name):
    from sde_todo import sde

    options = {"sigma_min": SIGMA_MIN, "sigma_max": SIGMA_MAX} if name == "VESDE" else {}
    return getattr(sde, name)(N=N, **options)


def times(t):
    return torch.full((len(X),), float(t), dtype=torch.float64)


def run_step(method, name, t, t_next):
    """One step of the course from t to t_next at X, its noise being Z."""
    from sde_todo.sampling import STEPS

    reverse = build(name).reverse(torch_score)
    with mock.patch.object(torch, "randn_like", lambda x: torch.tensor(Z)):
        x, _ = STEPS[method](reverse, times(1 - t), t - t_next, torch.tensor(X))
    return x.numpy()


def assert_same(got, want, atol=1e-5):
    np.testing.assert_allclose(np.asarray(got), want, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [0.003, 0.3, 0.8, 1.0])
def test_coefficients_and_kernels_are_those_of_appendix_b(name, t):
    """Truth: eq. 30 to 33 and 14, and eq. 29 for the kernels."""
    process, x = build(name), torch.tensor(X)
    f, g = process.sde_coeff(times(t), x)
    mean, std = process.marginal_prob(times(t), x)
    alpha, want_std = kernel(name, t)
    assert_same(f, drift(name, t, X))
    assert_same(np.broadcast_to(g, X.shape), np.full(X.shape, diffusion(name, t)))
    assert_same(mean, alpha * X)
    assert_same(np.broadcast_to(std, X.shape), np.full(X.shape, want_std))


@pytest.mark.parametrize("name", NAMES)
def test_priors_are_those_of_appendix_d(name):
    """Truth: N(0, I), for VE N(0, sigma_max^2 I), for points and images alike."""
    variance = SIGMA_MAX**2 if name == "VESDE" else 1.0
    for shape in ((7, 2), (4, 3, 5, 5)):
        x = 10 * RNG.normal(size=shape)
        flat = x.reshape(len(x), -1)
        want = -(flat**2).sum(1) / (2 * variance)
        want = want - flat.shape[1] / 2 * np.log(2 * np.pi * variance)
        assert_same(build(name).prior_logp(torch.tensor(x)), want)


def ddpm_betas():
    """beta_1 .. beta_N of the discrete VP chain, and the products of 1 - beta (N + 1,)."""
    betas = np.array([1 - np.exp(-beta_between(a, b)) for a, b in itertools.pairwise(GRID)])
    return betas, np.concatenate([[1.0], np.cumprod(1 - betas)])


def test_the_matched_chain_has_the_mean_of_the_process_and_nearly_the_betas_of_the_paper():
    """Truth: eq. 33 at the grid, and beta_i = beta(i/N)/N of appendix B up to order 1/N^2."""
    _, products = ddpm_betas()
    assert_same(products, [kernel("VPSDE", t)[0] ** 2 for t in GRID])
    steps = np.arange(1, 1001) / 1000
    matched = np.array([1 - np.exp(-beta_between(t - 1e-3, t)) for t in steps])
    assert np.abs(matched - beta(steps) / 1000).max() < 3e-4  # beta_i itself goes up to .02


@pytest.mark.parametrize("i", [2, 13, 29])
def test_reverse_diffusion_of_ve_is_algorithm_2(i):
    """Truth: x + (sigma_(i+1)^2 - sigma_i^2) s + sqrt(sigma_(i+1)^2 - sigma_i^2) z."""
    t, t_next = GRID[i + 1], GRID[i]
    gap = sigma(t) ** 2 - sigma(t_next) ** 2
    want = X + gap * score(t, X) + np.sqrt(gap) * Z
    assert_same(run_step("reverse_diffusion", "VESDE", t, t_next), want)


@pytest.mark.parametrize("i", [1, 13, 29])
def test_reverse_diffusion_of_vp_is_algorithm_3(i):
    """Truth: (2 - sqrt(1 - beta_(i+1))) x + beta_(i+1) s + sqrt(beta_(i+1)) z, betas matched."""
    t, t_next = GRID[i + 1], GRID[i]
    b = ddpm_betas()[0][i]
    want = (2 - np.sqrt(1 - b)) * X + b * score(t, X) + np.sqrt(b) * Z
    assert_same(run_step("reverse_diffusion", "VPSDE", t, t_next), want)


@pytest.mark.parametrize("i", [2, 13, 29])
def test_ancestral_sampling_of_ve_is_equation_47(i):
    """Truth: appendix F, x + (s_i^2 - s_(i-1)^2) score + sqrt(s_(i-1)^2 (..)/s_i^2) z."""
    t, t_next = GRID[i + 1], GRID[i]
    gap = sigma(t) ** 2 - sigma(t_next) ** 2
    want = X + gap * score(t, X) + np.sqrt(sigma(t_next) ** 2 * gap / sigma(t) ** 2) * Z
    assert_same(run_step("ancestral", "VESDE", t, t_next), want)


@pytest.mark.parametrize("i", [1, 13, 29])
def test_ancestral_sampling_of_vp_is_equation_4_with_the_posterior_variance(i):
    """Truth: the mean of eq. 4, (x + beta s)/sqrt(1 - beta), in DDPM's terms too.

    Eq. 4 adds noise of variance beta_i; here it is the posterior's, DDPM's smaller choice,
    beta_i (1 - product to i-1)/(1 - product to i) (Ho et al. 2020, eq. 7).
    """
    t, t_next = GRID[i + 1], GRID[i]
    betas, products = ddpm_betas()
    b, before, now = betas[i], products[i], products[i + 1]
    mean = (X + b * score(t, X)) / np.sqrt(1 - b)
    noise = -np.sqrt(1 - now) * score(t, X)  # what a noise network predicts
    assert_same(mean, (X - b / np.sqrt(1 - now) * noise) / np.sqrt(1 - b))
    want = mean + np.sqrt(b * (1 - before) / (1 - now)) * Z
    assert_same(run_step("ancestral", "VPSDE", t, t_next), want)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["euler_maruyama", "ode_euler"])
def test_euler_steps_are_the_rules_of_appendices_d_and_e(name, method):
    """Truth: x - f_(i+1) + G^2 s + G z (eq. 46), and x - f_(i+1) + G^2 s/2 for the ODE.

    With the chain f_(i+1) = f dt, G = g sqrt(dt), which is Euler's.
    """
    t, t_next = 0.7, 0.65
    dt, g = t - t_next, diffusion(name, t)
    half = 0.5 if method == "ode_euler" else 1.0
    want = X - drift(name, t, X) * dt + half * g**2 * dt * score(t, X)
    want = want + (0 if method == "ode_euler" else g * np.sqrt(dt) * Z)
    assert_same(run_step(method, name, t, t_next), want)


@pytest.mark.parametrize("name", ["VPSDE", "VESDE"])
def test_probability_flow_of_the_discrete_chain_is_eulers_to_second_order(name):
    """Truth: appendix D.3, the rule with the chain's own f and G instead of Euler's."""
    gaps = []
    for dt in (0.02, 0.01):
        t, t_next = 0.7, 0.7 - dt
        if name == "VESDE":
            want = X + 0.5 * (sigma(t) ** 2 - sigma(t_next) ** 2) * score(t, X)
        else:
            b = 1 - np.exp(-beta_between(t_next, t))
            want = (2 - np.sqrt(1 - b)) * X + 0.5 * b * score(t, X)
        gaps.append(np.abs(run_step("ode_euler", name, t, t_next) - want).max())
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.15)


def langevin(name, t, r):
    """The course's Langevin step at X with noise Z."""
    process = build(name)
    with mock.patch.object(torch, "randn_like", lambda x: torch.tensor(Z)):
        return process.correct_fn(times(t), torch.tensor(X), torch_score, r).numpy()


def paper_langevin(name, t, r, alpha=1.0):
    """Algorithms 4 (alpha = 1) and 5, but for what the course does otherwise.

    Both have one sample's norms. Here |z| is sqrt(D), and |g| a mean over the batch, which is no
    less than sqrt(D)/(2 std).
    """
    g, root_D = score(t, X), np.sqrt(X.shape[1])
    norm = max(np.linalg.norm(g, axis=1).mean(), root_D / (2 * kernel(name, t)[1]))
    eps = 2 * alpha * (r * root_D / norm) ** 2
    return X + eps * g + np.sqrt(2 * eps) * Z


@pytest.mark.parametrize("t", [0.1, 0.9])
def test_langevin_is_algorithm_4_for_every_process(t):
    """Truth: eps = 2 (r |z|/|g|)^2, x + eps g + sqrt(2 eps) z."""
    for name in NAMES:
        assert_same(langevin(name, t, 0.16), paper_langevin(name, t, 0.16))


def test_langevin_of_vp_is_algorithm_5_up_to_alpha():
    """Truth: algorithm 5 has eps = 2 alpha_i (r |z|/|g|)^2 with alpha_i = 1 - beta_i.

    The course has no alpha_i: it is algorithm 5 with r/sqrt(alpha_i), at most 1 % more at N = 1000.
    """
    alpha = 1 - beta(0.9) / 1000
    got = langevin("VPSDE", 0.9, 0.16 * np.sqrt(alpha))
    assert_same(got, paper_langevin("VPSDE", 0.9, 0.16, alpha))
    assert np.sqrt(1 - BETA_MAX / 1000) > 0.989


def flow(name, t, x):
    """Eq. 13."""
    return drift(name, t, x) - 0.5 * diffusion(name, t) ** 2 * score(t, x)


def flow_jacobian(name, t, x):
    slope = 0.0 if name == "VESDE" else -0.5 * beta(t)
    return slope * np.eye(2) - 0.5 * diffusion(name, t) ** 2 * score_jacobian(t, x)


def slope(name, t, state):
    """d/dt of the flattened points (B, 2) and of the integral of the divergence (B,)."""
    x = state[: X.size].reshape(X.shape)
    divergence = np.trace(flow_jacobian(name, t, x), axis1=1, axis2=2)
    return np.concatenate([flow(name, t, x).ravel(), divergence])


def reference_flow(name, start, end, x=X):
    """Points (B, 2) at the end and the integral (B,), by DOP853 at 1e-10."""
    state = np.concatenate([x.ravel(), np.zeros(len(x))])
    solution = solve_ivp(
        lambda t, y: slope(name, t, y), (start, end), state, "DOP853", rtol=1e-10, atol=1e-10
    )
    return solution.y[: x.size, -1].reshape(x.shape), solution.y[x.size :, -1]


@pytest.mark.parametrize("name", NAMES)
def test_likelihood_of_a_fixed_field_is_equation_39(name):
    """Truth: the change of variables, solved by scipy's DOP853 at rtol = atol = 1e-10."""
    from sde_todo.likelihood import decode, encode, log_likelihood

    eps, process = 1e-3, build(name)
    end, integral = reference_flow(name, eps, 1.0)
    variance = SIGMA_MAX**2 if name == "VESDE" else 1.0
    want = -(end**2).sum(1) / (2 * variance) - np.log(2 * np.pi * variance) + integral
    got = log_likelihood(process, torch_score, torch.tensor(X), eps, tol=1e-8)
    assert_same(got, want)
    assert_same(encode(process, torch_score, torch.tensor(X), eps, 1e-8), end)
    back = decode(process, torch_score, torch.tensor(end), eps, 1e-8)
    assert_same(back, reference_flow(name, 1.0, eps, end)[0], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_likelihood_agrees_with_torchdiffeq(name):
    """Truth: the same equation under an unrelated solver, its adaptive dopri5 at 1e-9."""
    torchdiffeq = pytest.importorskip("torchdiffeq", reason="an optional second solver")
    from sde_todo.likelihood import log_likelihood

    def field(t, state):
        return torch.tensor(slope(name, t.item(), state.numpy()))

    state = torch.tensor(np.concatenate([X.ravel(), np.zeros(len(X))]))
    span = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    end = torchdiffeq.odeint(field, state, span, rtol=1e-9, atol=1e-9)[-1].numpy()
    process = build(name)
    prior = process.prior_logp(torch.tensor(end[: X.size].reshape(X.shape))).numpy()
    got = log_likelihood(process, torch_score, torch.tensor(X), 1e-3, tol=1e-8)
    assert_same(got, prior + end[X.size :])


@pytest.mark.parametrize("name", NAMES)
def test_hutchinson_is_equation_40(name):
    """Truth: eps^T (Jacobian of the flow) eps, with the Jacobian by hand."""
    from sde_todo import likelihood

    process, t = build(name), 0.4
    value, got = likelihood.trace(
        lambda x: likelihood.flow(process, torch_score, times(t), x),
        torch.tensor(X),
        torch.tensor(Z)[None],
    )
    assert_same(value, flow(name, t, X))
    assert_same(got, np.einsum("bi,bij,bj->b", Z, flow_jacobian(name, t, X), Z), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_rk45_solves_the_probability_flow(name):
    """Truth: DOP853 at 1e-10 along the same field, from noise to data."""
    from sde_todo.sampling import solve_rk45

    reverse = build(name).reverse(torch_score)
    start = torch.tensor(X) * reverse.prior_std()
    clock = torch.tensor([0.0, 0.5, 0.99], dtype=torch.float64)
    x_traj, _ = solve_rk45(reverse, clock, start, 1e-8)
    for x, t in zip(x_traj[1:], (0.5, 0.01), strict=True):
        assert_same(x, reference_flow(name, 1.0, t, start.numpy())[0], atol=1e-4)
