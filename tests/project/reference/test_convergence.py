"""Every predictor, corrector and process against the exact score, with the order of each step.

In one dimension the law of a sampler is computed, not sampled: a step is x' = m(x) + s(x) z, so the
density goes through a Gaussian kernel on a grid, from the exact p_T. What is left is the error of
the discretisation alone, and its slope against the size of a step is the order.
"""

import itertools
import math
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from given.levels import alpha_std
from given.plane import metrics as metrics
from given.plane.mixture import GaussianMixture, demo_mixture

LINE = GaussianMixture([[-1.0], [1.2]], [[[0.25]], [[0.5]]], [0.4, 0.6])
OPTIONS = {  # not stiff: a few dozen steps show the order
    "OU": {"T": 3.0},
    "VPSDE": {"beta_min": 1.0, "beta_max": 4.0},
    "SubVPSDE": {"beta_min": 1.0, "beta_max": 4.0},
    "VESDE": {"sigma_min": 0.3, "sigma_max": 2.0},
}
STEPS_TAKEN = (16, 64)
EPS = 0.1  # of T

PLANE = demo_mixture()
SIZE, DIRECTIONS = 4000, 16
PLANE_OPTIONS = {"VESDE": {"sigma_min": 0.05, "sigma_max": 10.0}}
PREDICTORS = ("euler_maruyama", "reverse_diffusion", "ancestral", "ode_euler", "ode_heun")
CORRECTORS = ("none", "langevin", "annealed_langevin")


def build(name, N, options=None):
    from sde_todo import sde

    return getattr(sde, name)(N=N, **(OPTIONS[name] if options is None else options))


def step_of(name):
    from sde_todo.sampling import STEPS

    return STEPS[name]


def clock(process):
    """Times s of a sampler, (N + 1,) in float64."""
    from sde_todo.sampling import time_grid

    return time_grid(process.T, EPS * process.T, process.N).double()


def scale(process, t):
    """The numbers alpha and std at one time."""
    one = torch.ones(1, 1, dtype=torch.float64)
    alpha, std = alpha_std(process, torch.tensor([t], dtype=torch.float64), one)
    return alpha.item(), std.item()


def mean_and_spread(step, x):
    """m and s of a step x' = m(x) + s(x) z, from its values at z = 1 and z = -1."""
    ends = []
    for z in (1.0, -1.0):
        with mock.patch.object(torch, "randn_like", lambda x, z=z: torch.full_like(x, z)):
            ends.append(step(x))
    return (ends[0] + ends[1]) / 2, (ends[0] - ends[1]) / 2


def push(step, density, grid):
    """The density (n,) on the grid (n, 1) after one step of a chain."""
    m, s = mean_and_spread(step, grid)
    m, s = m.T, s.expand_as(m).T  # (1, n)
    kernel = torch.exp(-(((grid - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))  # (n, n)
    return kernel @ density * (grid[1, 0] - grid[0, 0])


def expectations(density, grid):
    """E cos x, E sin x, E x^2, E x and the mass, under a density (n,) on the grid (n, 1)."""
    x = grid[:, 0]
    functions = torch.stack([x.cos(), x.sin(), x**2, x, torch.ones_like(x)])
    return functions @ density * (x[1] - x[0])


def line_grid(process):
    width = 2 + 5 * process.prior_std()
    return torch.linspace(-width, width, 501, dtype=torch.float64)[:, None]


def exact_density(process, t, grid):
    return LINE.log_prob(grid, *scale(process, t)).exp()


def weak_error(step, process, lam=0.0):
    """Largest error of the expectations at t = eps, of a walk started from the exact p_T."""
    grid = line_grid(process)
    reverse = process.reverse(LINE.score_fn(process), lam)
    density = exact_density(process, process.T, grid)
    for s, s_next in itertools.pairwise(clock(process)):
        times, ds = s.expand(len(grid)), (s_next - s).item()
        density = push(lambda x, t=times, d=ds: step(reverse, t, d, x)[0], density, grid)
    got = expectations(density, grid)
    assert got[-1].item() == pytest.approx(1, abs=1e-5)  # the grid is wide and fine enough
    truth = expectations(exact_density(process, EPS * process.T, grid), grid)
    return (got - truth).abs().max().item()


def quantile_error(step, process):
    """Largest error of the quantiles of p_T, walked along the ODE, against those of p_eps."""
    from sde_todo.sampling import walk

    reverse = process.reverse(LINE.score_fn(process))
    x_traj, _ = walk(step, reverse, clock(process), quantiles(process, process.T))
    return (x_traj[-1] - quantiles(process, EPS * process.T)).abs().max().item()


def quantiles(process, t):
    """25 quantiles (25, 1) of the exact p_t, by root finding on its distribution function."""
    alpha, std = scale(process, t)
    centres = alpha * LINE.means[:, 0].numpy()
    widths = np.sqrt(alpha**2 * LINE.covs[:, 0, 0].numpy() + std**2)

    def excess(x, level):
        return LINE.weights.numpy() @ norm.cdf(x, centres, widths) - level

    levels = np.linspace(0.02, 0.98, 25)
    roots = [brentq(excess, -50, 50, args=(level,), xtol=1e-13) for level in levels]
    return torch.tensor(roots, dtype=torch.float64)[:, None]


def drift_of_the_law(corrector, process, snr):
    """Largest error of the expectations after correcting the exact p_t for a fixed time."""
    grid, s = line_grid(process), 0.5 * process.T
    reverse = process.reverse(LINE.score_fn(process))
    times = torch.full((len(grid),), s, dtype=torch.float64)
    density = start = exact_density(process, process.T - s, grid)
    for _ in range(round(0.48 / snr**2)):
        density = push(lambda x: corrector(reverse, times, x, snr), density, grid)
    return (expectations(density, grid) - expectations(start, grid)).abs().max().item()


def slope(errors, sizes):
    """Of log error against log size, from the first pair to the last."""
    return math.log(errors[0] / errors[-1]) / math.log(sizes[0] / sizes[-1])


def orders(error, name, *args):
    """The slope against the step 1/N, and the errors."""
    errors = [error(build(name, N), *args) for N in STEPS_TAKEN]
    return slope(errors, [1 / N for N in STEPS_TAKEN]), errors


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    ("method", "lam"),
    [
        ("euler_maruyama", 0.0),
        ("euler_maruyama", 0.3),
        ("euler_maruyama", 0.7),
        ("reverse_diffusion", 0.0),
        ("ancestral", 0.0),
    ],
)
def test_stochastic_predictors_have_weak_order_one(name, method, lam):
    """Truth: the exact p_eps of the mixture, by quadrature; measured slopes are .86 to 1.2."""
    step = step_of(method)
    order, errors = orders(lambda process: weak_error(step, process, lam), name)
    assert 0.75 < order < 1.3, errors
    assert errors[-1] < 0.08


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("method", "order"), [("ode_euler", 1), ("ode_heun", 2)])
def test_ode_predictors_have_their_order(name, method, order):
    """Truth: in one dimension the flow of the ODE takes the quantiles of p_T to those of p_eps."""
    step = step_of(method)
    got, errors = orders(lambda process: quantile_error(step, process), name)
    assert got == pytest.approx(order, abs=0.12), errors
    assert errors[-1] < 0.05 / 100 ** (order - 1)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    ("corrector", "snrs"), [("langevin", (0.4, 0.2)), ("annealed_langevin", (0.2, 0.1))]
)
def test_a_corrector_alone_keeps_the_law_as_snr_falls(name, corrector, snrs):
    """Truth: Langevin dynamics keeps p_t; its step is first order in eps, which goes as snr^2.

    The norms that `langevin` averages over its batch are those of the grid here, which make its
    steps small.
    """
    from sde_todo.sampling import CORRECTORS

    process = build(name, 1)
    errors = [drift_of_the_law(CORRECTORS[corrector], process, snr) for snr in snrs]
    assert slope(errors, snrs) == pytest.approx(2, abs=0.4), errors
    assert errors[-1] < 0.01


def draw_plane(name, N, **options):
    """Distance of a sampler's 4000 points from as many real ones."""
    from sde_todo.sampling import Sampler

    process = build(name, N, PLANE_OPTIONS.get(name, {}))
    real = PLANE.sample(SIZE, seed=1)
    torch.manual_seed(0)
    sampler = Sampler(1e-3 * process.T, rho=1.0 if name == "VESDE" else 3.0, **options)
    draw = sampler.get_sampling_fn(process.reverse(PLANE.score_fn(process)), real)
    return metrics.sliced_w2(draw(SIZE)[0], real, DIRECTIONS)


def test_the_floor_of_two_real_sets():
    """Ten pairs of 4000 real points are .033 to .093 apart, .056 on average."""
    real = PLANE.sample(SIZE, seed=1)
    others = [PLANE.sample(SIZE, seed=k) for k in range(2, 12)]
    floor = [metrics.sliced_w2(other, real, DIRECTIONS) for other in others]
    assert 0.03 < np.mean(floor) < 0.08 and max(floor) < 0.1


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("corrector", CORRECTORS)
@pytest.mark.parametrize("method", PREDICTORS)
def test_every_predictor_with_every_corrector_converges_to_the_data(name, method, corrector):
    """Truth: fresh points of the mixture, whose floor is .1 at most (the test above)."""
    options = {"method": method, "corrector": corrector}
    options |= {} if corrector == "none" else {"snr": 0.1}
    coarse, fine = (draw_plane(name, N, **options) for N in (6, 40))
    assert fine < (0.22 if method == "ode_euler" else 0.16)
    assert fine < coarse or coarse < 0.1


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("corrector", "snr"), [("langevin", 0.4), ("annealed_langevin", 0.7)])
def test_a_corrector_without_a_predictor_converges_to_the_data(name, corrector, snr):
    """Truth as above; the noise level falls and the corrector alone must follow it, as in NCSN."""
    options = {"method": "none", "corrector": corrector, "corrections": 4, "snr": snr}
    coarse, fine = (draw_plane(name, N, **options) for N in (6, 40))
    assert fine < 0.2 and fine < 0.75 * coarse


@pytest.mark.parametrize("corrector", CORRECTORS[1:])
@pytest.mark.parametrize(("name", "method"), [("VESDE", "ode_euler"), ("SubVPSDE", "ancestral")])
def test_a_corrector_mends_a_coarse_predictor(name, method, corrector):
    """Truth as above: six steps leave an error of 1.5 and .5, of which at least half goes."""
    coarse = draw_plane(name, 6, method=method)
    options = {"corrector": corrector, "corrections": 12, "snr": 0.25}
    refined = draw_plane(name, 6, method=method, **options)
    assert refined < 0.5 * coarse
