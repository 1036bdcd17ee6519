"""The truth about bridges, held against other ways to the same numbers."""

import math

import numpy as np
import ot
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import norm

from given.bridges.truth import (
    METHODS,
    GaussianBridge,
    MixturePair,
    bw2,
    bw2_floor,
    bw2_uvp,
    cbw2_floor,
    cbw2_uvp,
    population,
    relative_error,
)


def rotated(a, b, angle):
    c, s = math.cos(angle), math.sin(angle)
    R = np.array([[c, -s], [s, c]])
    return R @ np.diag([a, b]) @ R.T


# Anisotropic and not commuting: ends that commute hide how a method forgets its reference.
S0, S1 = np.diag([0.25, 1.6]), rotated(0.7, 1.8, 1.3)
M0, M1 = [1.0, -0.5], [-2.0, 0.3]


def bridge(sigma=1.0):
    return GaussianBridge(M0, S0, M1, S1, sigma)


def constant(N):
    return np.full(N, 0.5 / N)


def linear(N):
    half = np.linspace(1, 10, N // 2)
    return np.concatenate([half, half[::-1]]) * 0.25 / half.sum()


# --- Gaussians


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_the_plan_differs_from_independence_by_the_reference_only(sigma):
    b = bridge(sigma)
    joint = np.block([[S0, b.C.numpy()], [b.C.numpy().T, S1]])
    corner = np.linalg.inv(joint)[:2, 2:]
    assert corner == pytest.approx(-np.eye(2) / sigma**2, abs=1e-9 / sigma**2)


def test_one_dimension_by_hand():
    b = GaussianBridge([0.0], [[1.0]], [0.0], [[1.0]])
    assert b.C.item() == pytest.approx((math.sqrt(5) - 1) / 2, abs=1e-14)


def test_marginals_at_the_ends_and_for_a_batch_of_times():
    b = bridge(0.7)
    for t, m, S in ((0, M0, S0), (1, M1, S1)):
        mean, cov = b.marginal(t)
        assert mean.tolist() == pytest.approx(m) and cov.numpy() == pytest.approx(S, abs=1e-14)
    mean, cov = b.marginal(torch.tensor([0.0, 0.4]))
    assert mean.shape == (2, 2) and cov.shape == (2, 2, 2)
    assert torch.allclose(cov[1], b.marginal(0.4)[1], atol=1e-7)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_drift_is_the_mean_way_to_the_end(direction):
    """The formula of the specification, by regression on the end."""
    b, t, x = bridge(0.8), 0.3, torch.randn(7, 2, dtype=torch.float64)
    mean, S = b.marginal(t)
    cross, end, left = (1 - t) * b.C.T + t * b.S1, b.m1, 1 - t
    if direction == "backward":
        cross, end, left = (1 - t) * b.S0 + t * b.C, b.m0, t
    want = (end + (x - mean) @ (cross @ S.inverse()).T - x) / left
    assert torch.allclose(b.drift(t, x, direction), want)
    assert torch.allclose(b.drift(torch.full((7,), t).double(), x, direction), want)
    assert b.drift(t, x.float(), direction).dtype == torch.float32


def test_drifts_add_up_to_the_score():
    b, x = bridge(0.8), torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    for t in (0.05, 0.5, 0.95):
        p_t = torch.distributions.MultivariateNormal(*b.marginal(t))
        score = torch.autograd.grad(p_t.log_prob(x).sum(), x)[0]
        assert torch.allclose(b.drift(t, x) + b.drift(t, x, "backward"), 0.8**2 * score)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_moments_of_the_sde_arrive(direction):
    """d m = drift(m), d S = A S + S A' + sigma^2 I, d Cov(X_start, X) = Cov A', by solve_ivp."""
    b, sigma = bridge(0.8), 0.8
    start, end = ((M0, S0, M1, S1), (M1, S1, M0, S0))[direction == "backward"], b.C.numpy()
    m, S, m_end, S_end = start

    def field(s, state):
        mean, cov, cross = state[:2], state[2:6].reshape(2, 2), state[6:].reshape(2, 2)
        points = torch.from_numpy(np.stack([mean, mean + [1, 0], mean + [0, 1]]))
        drift = b.drift(s if direction == "forward" else 1 - s, points, direction).numpy()
        A = (drift[1:] - drift[0]).T
        dcov = A @ cov + cov @ A.T + sigma**2 * np.eye(2)
        return np.concatenate([drift[0], dcov.ravel(), (cross @ A.T).ravel()])

    state = np.concatenate([m, S.ravel(), S.ravel()])
    state = solve_ivp(field, (0, 1), state, rtol=1e-9, atol=1e-11).y[:, -1]
    assert state[:2] == pytest.approx(m_end, abs=1e-7)
    assert state[2:6].reshape(2, 2) == pytest.approx(S_end, abs=1e-7)
    assert state[6:].reshape(2, 2) == pytest.approx(
        end if direction == "forward" else end.T, abs=1e-7
    )


def test_pairs_have_the_moments_of_the_plan():
    b = bridge()
    x0, x1 = b.sample_pairs(200_000, seed=1)
    assert x0.dtype == x1.dtype == torch.float32 and x0.shape == x1.shape == (200_000, 2)
    got = torch.cat([x0, x1], 1).double()
    want = np.block([[S0, b.C.numpy()], [b.C.numpy().T, S1]])
    assert got.mean(0).tolist() == pytest.approx(M0 + M1, abs=0.015)
    assert got.T.cov().numpy() == pytest.approx(want, abs=0.02)
    assert torch.equal(x0[:10], b.sample_pairs(200_000, seed=1)[0][:10])


def test_sinkhorn_finds_the_gaussian_plan():
    """On a grid, with the densities as weights: duplicated points would only blur it."""
    sigma, b = 0.9, GaussianBridge([0.0], [[0.5]], [0.0], [[1.4]], 0.9)
    grid = np.linspace(-6, 6, 161)
    a, c = norm.pdf(grid, scale=0.5**0.5), norm.pdf(grid, scale=1.4**0.5)
    cost = 0.5 * (grid[:, None] - grid) ** 2
    plan = ot.sinkhorn(a / a.sum(), c / c.sum(), cost, sigma**2, method="sinkhorn_log")
    assert grid @ plan @ grid == pytest.approx(b.C.item(), rel=1e-4)


def test_sinkhorn_between_points_and_the_factor_of_two():
    b = GaussianBridge([0.0], [[1.0]], [0.0], [[1.0]])
    grid = norm.ppf((np.arange(300) + 0.5) / 300)
    cost = 0.5 * (grid[:, None] - grid) ** 2

    def mean_cost(reg):
        plan = ot.sinkhorn([], [], cost, reg, method="sinkhorn_log", numItermax=10_000)
        return (plan * cost).sum()

    right = 1 - b.C.item()  # 1/2 E|X_0 - X_1|^2 in the plan
    assert mean_cost(1.0) == pytest.approx(right, rel=0.02)
    assert mean_cost(2.0) > 1.3 * right, "reg = 2 sigma^2 belongs to the cost without 1/2"
    x0, x1 = b.sample_pairs(100_000)
    assert 0.5 * ((x0 - x1) ** 2).mean().item() == pytest.approx(right, rel=0.02)


# --- population


def errors(method, gammas, rounds, published=False, what="coupling_forward", want=None):
    want = bridge().C.numpy() if want is None else want
    return [
        relative_error(one[what], want)
        for one in population(method, S0, S1, gammas, rounds, published)
    ]


def test_simplified_dsb_forgets_the_reference():
    """The specification: .07, .11, .44, 1.7 after 2, 5, 20, 100 rounds, DSB .06-.095, TR .034."""
    sdsb = errors("sdsb", constant(16), 100)
    got = [sdsb[r - 1] for r in (2, 5, 20, 100)]
    assert got == pytest.approx([0.053, 0.114, 0.592, 1.342], abs=0.001)
    dsb = errors("dsb", constant(16), 20)[1:]
    assert [min(dsb), max(dsb)] == pytest.approx([0.061, 0.095], abs=0.001)
    tr = errors("tr", constant(16), 20)
    assert tr[-1] == pytest.approx(0.034, abs=0.001)


def test_published_reparameterisation_is_wrong_for_a_schedule_and_ours_is_not():
    """The specification: published 30% (covariance 32%) at N = 16 and 50; ours 4.3% and 1.3%."""
    published = [errors("tr", linear(N), 20, True)[-1] for N in (16, 50)]
    cov = [errors("tr", linear(N), 20, True, "cov_forward", S1)[-1] for N in (16, 50)]
    ours = [errors("tr", linear(N), 20)[-1] for N in (16, 50)]
    assert published == pytest.approx([0.23, 0.227], abs=0.002)
    assert cov == pytest.approx([0.234, 0.242], abs=0.002)
    assert ours == pytest.approx([0.044, 0.0134], abs=0.001)
    same = [errors("tr", constant(16), 3, published) for published in (True, False)]
    assert same[0] == pytest.approx(same[1]), "for equal gammas both rules are one"


def test_more_steps_lead_to_the_bridge_but_only_tr_stays_there():
    """The error of a round is O(1/N). DSB and SDSB add it up; TR sees the reference each round."""
    for method, at_200 in (("dsb", 0.009), ("sdsb", 0.011), ("tr", 0.003), ("fr", 0.003)):
        after_5 = [errors(method, constant(N), 5)[-1] for N in (16, 50, 200)]
        assert after_5[0] > 2 * after_5[1] > 4 * after_5[2], method
        assert after_5[2] < at_200, method
    assert errors("tr", constant(64), 100)[-1] < 0.01
    assert errors("dsb", constant(64), 100)[-1] > 0.06
    assert errors("sdsb", constant(64), 100)[-1] > 0.6


@pytest.mark.parametrize("published", [False, True])
def test_terminal_and_flow_reparameterisation_are_one(published):
    tr, fr = (population(m, S0, S1, linear(10), 3, published)[-1] for m in ("tr", "fr"))
    assert all(np.allclose(tr[key], fr[key]) for key in tr)


def test_ends_of_both_chains_are_those_of_the_maps():
    gammas = linear(6)
    last = population("dsb", S0, S1, gammas, 2)[-1]
    assert last["forward"].shape == last["backward"].shape == (6, 2, 2)
    product = np.linalg.multi_dot(last["forward"][::-1])  # F_5 ... F_0
    assert last["coupling_forward"] == pytest.approx(S0 @ product.T)
    assert last["coupling_backward"] == pytest.approx(np.linalg.multi_dot(last["backward"]) @ S1)
    cov = S1
    for B, gamma in zip(last["backward"][::-1], gammas[::-1], strict=True):
        cov = B @ cov @ B.T + 2 * gamma * np.eye(2)
    assert last["cov_backward"] == pytest.approx(cov)


def sampled_round(method, gammas, published, n=200_000):
    """One round on samples, written out in the terms of the papers: fitted F and B."""
    N, rng = len(gammas), np.random.default_rng(0)
    left_forward, left_backward = np.cumsum(gammas[::-1])[::-1], np.cumsum(gammas)
    F, B = [None] * N, [np.eye(2)] * N

    def fit(x, y):
        return np.linalg.lstsq(x, y, rcond=None)[0].T

    def step(x, target, gamma, left, k_left):
        if method not in ("tr", "fr"):
            return fit(x, target)
        if method == "tr":
            return np.eye(2) + (1 / k_left if published else gamma / left) * fit(x, target - x)
        time, length = (
            (k_left / N, 1 / N) if published else (left / sum(gammas), gamma / sum(gammas))
        )
        return np.eye(2) + length * fit(x, (target - x) / time)

    x = [None] * N + [rng.multivariate_normal([0, 0], S1, n)]
    for k in range(N - 1, -1, -1):
        x[k] = x[k + 1] @ B[k].T + (2 * gammas[k]) ** 0.5 * rng.normal(size=(n, 2))
    for k in range(N):
        target = {"dsb": x[k] + (x[k + 1] - x[k]) @ B[k].T, "sdsb": x[k + 1]}.get(method, x[N])
        F[k] = step(x[k], target, gammas[k], left_forward[k], N - k)
    x[0] = rng.multivariate_normal([0, 0], S0, n)
    for k in range(N):
        x[k + 1] = x[k] @ F[k].T + (2 * gammas[k]) ** 0.5 * rng.normal(size=(n, 2))
    for k in range(N):
        target = {"dsb": x[k + 1] + (x[k] - x[k + 1]) @ F[k].T, "sdsb": x[k]}.get(method, x[0])
        B[k] = step(x[k + 1], target, gammas[k], left_backward[k], k + 1)
    return F, B


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_population_is_the_limit_of_least_squares(method, published):
    gammas = linear(4)
    F, B = sampled_round(method, gammas, published)
    want = population(method, S0, S1, gammas, 1, published)[0]
    assert np.stack(F) == pytest.approx(want["forward"], abs=0.02)
    assert np.stack(B) == pytest.approx(want["backward"], abs=0.02)


# --- mixture pairs


def by_steps(pair, steps, seed=7):
    """Euler's method with the exact drift, as a sampler for cbw2_uvp."""

    def sampler(x):
        generator, x = torch.Generator().manual_seed(seed), x.double()
        for k in range(steps):
            z = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            x = x + pair.drift(k / steps, x) / steps + (pair.eps / steps) ** 0.5 * z
        return x

    return sampler


@pytest.mark.parametrize("eps", [0.1, 1.0, 10.0])
def test_conditional_moments_by_quadrature(eps):
    """pi(y | x) ∝ v(y) N(y | x, eps I) on a grid; importance sampling is too rough at eps = .1."""
    pair, line = MixturePair(eps, seed=1), torch.arange(-6.5, 6.5, 0.04, dtype=torch.float64)
    y = torch.cartesian_prod(line, line)
    log_v = (-(torch.cdist(y, pair.mu) ** 2) / (2 * pair.s)).logsumexp(1)
    x = torch.tensor([[0.3, -0.2], [-0.9, 1.1]])
    mean, cov = pair.conditional_moments(x)
    for i in range(2):
        weight = (log_v - ((y - x[i]) ** 2).sum(1) / (2 * eps)).softmax(0)
        off = y - weight @ y
        assert mean[i].tolist() == pytest.approx((weight @ y).tolist(), abs=1e-6)
        want = torch.einsum("n,ni,nj->ij", weight, off, off)
        assert cov[i].numpy() == pytest.approx(want.numpy(), abs=1e-5)


def test_conditional_draws_have_the_conditional_moments():
    pair, x = MixturePair(1.0, D=3, seed=2), torch.randn(4, 3)
    y = pair.sample_given(x, 50_000, seed=3)
    assert y.shape == (4, 50_000, 3) and y.dtype == torch.float32
    mean, cov = pair.conditional_moments(x)
    assert y.mean(1).numpy() == pytest.approx(mean.numpy(), abs=0.06)
    got = torch.stack([one.double().T.cov() for one in y])
    assert got.numpy() == pytest.approx(cov.numpy(), abs=0.15)


def test_target_of_one_seed_does_not_know_the_source_of_that_seed():
    pair = MixturePair(0.1)
    x, y = pair.sample_source(20_000, seed=0), pair.sample_target(20_000, seed=0)
    assert y.shape == (20_000, 2) and y.dtype == torch.float32
    for other in (y, pair.sample_given(x * 0, 1, seed=0)[:, 0]):
        both = torch.corrcoef(torch.cat([x, other], 1).T)
        assert both[:2, 2:].abs().max() < 0.03
    coupled = torch.corrcoef(torch.cat([x, pair.sample_given(x, 1)[:, 0]], 1).T)
    assert coupled[:2, 2:].abs().max() > 0.5
    assert y.double().T.cov().trace().item() == pytest.approx(pair.target_variance(), rel=0.02)


def test_drift_is_the_gradient_of_the_log_density():
    pair, x = MixturePair(1.0), torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0, 1, 6, dtype=torch.float64)
    variance = (pair.s + pair.eps * (1 - t))[:, None]
    log_density = -((x[:, None] - pair.mu) ** 2).sum(2) / (2 * variance) - variance.log()
    want = pair.eps * torch.autograd.grad(log_density.logsumexp(1).sum(), x)[0]
    assert torch.allclose(pair.drift(t, x), want)
    assert torch.allclose(pair.drift(0.0, x)[0], want[0])
    assert pair.drift(0.5, x.float()).dtype == torch.float32


def test_drift_starts_towards_the_conditional_mean():
    """At t = 0 the drift is E[X_1 | X_0 = x] - x: it ties the drift to the plan."""
    for eps in (0.1, 1.0, 10.0):
        pair, x = MixturePair(eps), torch.randn(5, 2, dtype=torch.float64)
        assert torch.allclose(pair.drift(0, x), pair.conditional_moments(x)[0] - x)


@pytest.mark.parametrize("eps", [1.0, 10.0])
def test_the_exact_drift_simulated_is_the_plan(eps):
    pair = MixturePair(eps)
    x = torch.tensor([[0.5, 0.2], [-1.0, 0.7]])
    y = by_steps(pair, 200)(x.repeat_interleave(5000, 0)).reshape(2, 5000, 2)
    score = bw2(y.mean(1), torch.stack([v.T.cov() for v in y]), *pair.conditional_moments(x))
    assert 100 * score.max() / (0.5 * pair.target_variance()) < 0.06  # floor .03


# The specification's numbers, D = 2 and 500 draws for each x; ours are for other means, which
# accounts for the differences: mostly for how much of p0 lies where two modes compete.
FLOORS = {0.1: 0.025, 1.0: 0.13, 10.0: 0.24}
INDEPENDENT = {0.1: 187, 1.0: 126, 10.0: 12.7}


@pytest.mark.parametrize("eps", FLOORS)
def test_floor_and_independent_coupling(eps):
    pair = MixturePair(eps)
    floor = cbw2_floor(pair, n_x=1000)
    independent = cbw2_uvp(pair, lambda x: pair.sample_target(len(x), seed=7))
    assert FLOORS[eps] / 2 < floor < FLOORS[eps] * 1.2
    assert independent == pytest.approx(INDEPENDENT[eps], rel=0.05)


def test_few_steps_are_not_enough_at_small_eps():
    """The specification: .22 with 50 steps, the floor with 200; ours goes with the seed."""
    pair, n = MixturePair(0.1, seed=1), {"n_x": 60, "n_y": 500}
    floor = cbw2_floor(pair, **n)
    coarse, fine = (cbw2_uvp(pair, by_steps(pair, steps), **n) for steps in (50, 200))
    assert 0.05 < coarse < 0.3 and coarse > 5 * floor
    assert fine < 0.04 and fine < coarse / 3


def test_floor_of_the_target():
    """With 100,000 points below the goal of .05 for a solver; two sets of 10,000 are not."""
    floors = [bw2_floor(MixturePair(eps), 100_000) for eps in FLOORS]
    assert max(floors) < 0.02


# --- metrics and messages


def test_distance_of_gaussians_by_hand():
    m, eye = torch.zeros(2).double(), torch.eye(2).double()
    assert bw2(m, eye, m, 4 * eye).item() == pytest.approx(0.5 * 2 * (2 - 1) ** 2)
    assert bw2(m, eye, m + 3, eye).item() == pytest.approx(0.5 * 18)
    A, B = (torch.from_numpy(S) for S in (S0, S1))
    values = torch.linalg.eigvals(A @ B).real.sqrt().sum()
    want = 0.5 * (A.trace() + B.trace()) - values  # tr (B^1/2 A B^1/2)^1/2 by A B's spectrum
    assert bw2(m, A, m, B).item() == pytest.approx(want.item())


def test_uvp_of_identical_and_of_shifted_samples():
    y = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 3)) * [1, 2, 3])
    assert bw2_uvp(y, y) == pytest.approx(0, abs=1e-6)
    shift = torch.tensor([1.0, 0.0, 2.0])
    total = y.var(0).sum().item()
    assert bw2_uvp(y + shift, y) == pytest.approx(100 * (0.5 * 5) / (0.5 * total))


def test_cbw2_uvp_of_a_shifted_plan():
    pair = MixturePair(10.0)
    got = cbw2_uvp(pair, lambda x: pair.sample_given(x, 1, seed=5)[:, 0] + 2.0, 50, 5000)
    assert got == pytest.approx(100 * 8 / pair.target_variance(), rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bridge().drift(0.5, torch.zeros(1, 2), "reverse"), "direction = 'reverse'; pass"),
        (
            lambda: GaussianBridge([0], [[-1.0]], [0], [[1.0]]),
            r"S0 = \[\[-1.0\]\]: pass a positive",
        ),
        (lambda: population("imf", S0, S1, [0.1], 1), "Unknown method 'imf'. Known: dsb, sdsb"),
        (
            lambda: population("dsb", S0, S1, [0.1, 0], 1),
            r"gammas = \[0.1, 0.0\]; pass one positive",
        ),
        (lambda: MixturePair(0.5), "eps = 0.5 has no width s of its own; pass s"),
        (lambda: bw2_uvp(torch.zeros(5), torch.zeros(5, 2)), r"shape \(5,\); pass \(n, D\)"),
        (lambda: bw2_uvp(torch.full((5, 2), torch.nan), torch.zeros(5, 2)), "5 samples are NaN"),
    ],
)
def test_a_wrong_call_is_one_clear_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_another_eps_with_its_own_width():
    assert MixturePair(0.5, s=0.02).s == 0.02
