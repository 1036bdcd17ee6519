"""Solvers that fail say so: no NaN, no half-way state and no plan that is none comes back."""

import numpy as np
import pytest
import torch

from given.plane import metrics as metrics
from given.plane.point_sets import make_points


def nan_late(t, x):
    """NaN for t > .5, the exact score of N(0, I) before."""
    return torch.where(t[:, None] > 0.5, torch.nan, -x)


def always_nan(t, x):
    return x * torch.nan


def blows_up(t, x):
    """dx/dt = +500 beta x^3 along the flow: infinite in finite time."""
    return -1e3 * x**3


def likelihoods(score_fn):
    from sde_todo.likelihood import decode, encode, log_likelihood
    from sde_todo.sde import VPSDE

    x = torch.ones(4, 2)
    return [lambda f=f: f(VPSDE(), score_fn, x) for f in (log_likelihood, encode, decode)]


def sampled(score_fn):
    from sde_todo.sampling import Sampler
    from sde_todo.sde import VPSDE

    reverse = VPSDE(N=20).reverse(score_fn)
    return lambda: Sampler(method="rk45").get_sampling_fn(reverse, torch.zeros(4, 2))(8)


@pytest.mark.parametrize("score_fn", [nan_late, always_nan])
def test_a_score_that_is_nan_is_named_with_its_time(score_fn):
    """Truth: the place of the NaN, from both ends of time."""
    for call in (*likelihoods(score_fn), sampled(score_fn)):
        with pytest.raises(ValueError, match=r"the slope is NaN or infinite at time [\d.]+"):
            call()


def test_the_solver_says_where_it_gave_up():
    """Truth: from t = 1e-5 to .5, where the score becomes NaN; the flow is 0 before."""
    with pytest.raises(ValueError, match=r"gave up near time 0\.5\d*, before its end"):
        likelihoods(nan_late)[0]()


def test_a_flow_that_becomes_infinite_is_an_error():
    """Truth: x' = 500 beta x^3 from x = 1 is infinite long before t = 1."""
    log_likelihood, encode, _ = likelihoods(blows_up)
    for call in (log_likelihood, encode, sampled(lambda t, x: -blows_up(t, x))):
        with pytest.raises(ValueError, match=r"gave up near time [\d.e-]+, before its end"):
            call()


def test_a_solver_ends(monkeypatch):
    """Truth: a stiff slope needs more than the evaluations that it gets."""
    from given.runtime import ode

    monkeypatch.setattr(ode, "MAX_EVALUATIONS", 1000)
    with pytest.raises(ValueError, match=r"after 1000 evaluations of the slope"):
        ode.solve(lambda t, state: (-1e6 * state[0],), 0.0, 1.0, (torch.ones(2),), 1e-5)


def test_a_slope_that_is_nan_too_far_ahead_does_no_harm():
    """Truth: x' = -50 x from 1 stays above 0; too long a step is undone."""
    from given.runtime import ode

    seen = []

    def slope(t, state):
        (x,) = state
        seen.append(x.item())
        return (torch.where(x < 0, torch.nan, -50 * x),)

    got = ode.solve(slope, 0.0, 1.0, (torch.ones(1, dtype=torch.float64),), 1e-2)
    assert min(seen) < 0 and got[0].item() == pytest.approx(np.exp(-50), abs=1e-2)


@pytest.mark.parametrize("B", [1, 2, 255, 1000])
def test_a_coupling_is_a_permutation(B):
    """Truth: every partner once; equal points have partners of their own too."""
    from sde_todo.flow import ot_coupling

    whole = torch.arange(B)
    pairs = ot_coupling(make_points("moons", B, 1), make_points("8gaussians", B, 2))
    assert torch.equal(pairs.sort().values, whole)
    assert torch.equal(ot_coupling(torch.zeros(B, 2), torch.zeros(B, 2)).sort().values, whole)


@pytest.mark.slow
def test_a_coupling_of_4096_points_is_the_best():
    """Truth: the cost that a network simplex reaches without a limit."""
    from sde_todo.flow import ot_coupling

    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.normal(size=(4096, 2))) for _ in range(2))
    j = ot_coupling(a, b)
    assert torch.equal(j.sort().values, torch.arange(4096))
    crossed = ((a[:, None] - b[j][None]) ** 2).sum(2)  # no exchange of two partners is cheaper
    stay = crossed.diagonal()
    assert (stay[:, None] + stay[None] <= crossed + crossed.T + 1e-9).all()


def test_transport_that_is_not_solved_is_an_error(monkeypatch):
    """Truth: three pivots are too few; a point that is NaN has no distance."""
    from given.plane import transport
    from sde_todo.flow import ot_coupling

    a, b = make_points("moons", 64, 1), make_points("8gaussians", 64, 2)
    with pytest.raises(ValueError, match="A cost is NaN or infinite"):
        ot_coupling(a * torch.nan, b)
    with pytest.raises(ValueError, match="64 and 60 points have no pairing"):
        ot_coupling(a, b[:60])
    monkeypatch.setattr(transport, "MAX_PIVOTS", 3)
    for call in (ot_coupling, metrics.emd):
        with pytest.raises(ValueError, match="between 64 and 64 points was not solved"):
            call(a, b)
