"""Bridges without a network: least squares for each step, held against exact linear algebra.

The functions of the course simulate, give the targets and the maps; an affine fit for each step of
the chain stands in for the network. Between Gaussians that fit is exact, and `population` says
where every round of every method must end.
"""

import functools
import math

import numpy as np
import pytest
import torch

from sde_todo.bridge_truth import GaussianBridge, population, relative_error

pytestmark = pytest.mark.usefixtures("solutions")

N, ROUNDS = 16, 10
M0, M1 = [1.0, -0.5], [-2.0, 0.3]
S0 = [[0.25, 0.0], [0.0, 1.6]]
S1 = [[1.72, 0.283], [0.283, 0.78]]  # does not commute with S0
OTHER = {"forward": "backward", "backward": "forward"}


class Draws:
    """Everything random of a round, n draws that come in order, `dims` columns in all.

    Moment-matched draws have the mean 0 and the covariance I to the last digit, across all steps of
    the chain. Chains between Gaussians are linear, and least squares sees nothing but first and
    second moments: on such draws it finds the population fixed point, and a few hundred do.
    Independent draws find it up to a sampling error of about 1 / sqrt(n).
    """

    def __init__(self, n, dims, seed, matched=True):
        z = torch.randn(n, dims, generator=torch.Generator().manual_seed(seed)).double()
        if matched:
            z = z - z.mean(0)
            z = torch.linalg.qr(z).Q * n**0.5
        self.parts = iter(z.split(2, 1))

    def __call__(self, like=None):
        return next(self.parts)


def gaussian(mean, cov, z):
    return torch.tensor(mean).double() + z @ torch.linalg.cholesky(torch.tensor(cov).double()).T


class StepwiseAffine:
    """A "network" (s, x) -> (B, 2) that is an affine map for each time s of the chain."""

    def __init__(self):
        self.maps = {}

    @staticmethod
    def columns(x):
        return torch.cat([x, torch.ones_like(x[:, :1])], 1)

    def fit(self, s, x, y):
        assert s.unique().numel() == 1
        X = self.columns(x)
        self.maps[self.key(s)] = torch.linalg.solve(X.T @ X, X.T @ y)

    def __call__(self, s, x):
        return self.columns(x) @ self.maps[self.key(s)]

    @staticmethod
    def key(s):
        """A time in a dict; the course keeps it in float32."""
        return round(s[0].item(), 5)


def half_round(method, chain, F, start, noise, published):
    """Fit the direction opposite to `chain` on trajectories of F; returns its network."""
    from sde_todo import bridge

    states, means = bridge.simulate(chain, F, start, noise)
    means_next = None
    if method == "dsbm":
        states = bridge.draw_between(chain, states[0], states[-1], noise)
    if method == "dsb":
        means_next = bridge.maps_at_next(F, states)[:, None]
    means = means[:, None] if method == "dsb" else None
    order = torch.arange(chain.N).expand(len(start), -1)  # batch k: step k of every trajectory
    parts = (states[:, None], means, means_next)
    cache, model = bridge.Cache(method, chain, order, *parts, published), StepwiseAffine()
    for i in range(len(cache)):
        s, x, y, _ = cache.batch(i)
        model.fit(s, x, y)
    return model


def least_squares(method, gammas, rounds, n, published=False, matched=True, theta=0.0):
    """Rounds of iterative fitting by least squares; for each the moments of both directions.

    Returns:
        list of dicts with the keys of `population`, and the means "mean_forward", "mean_backward".
    """
    from sde_todo import bridge

    forward = bridge.reference_chain(gammas, theta)
    chains = {"forward": forward, "backward": bridge.reverse_chain(forward)}
    starts = {"forward": (M0, S0), "backward": (M1, S1)}
    maps = {"backward": bridge.reference_map(chains["backward"])}
    dims = 2 * (1 + len(gammas)) + (2 * len(gammas) if method == "dsbm" else 0)
    history = []
    for r in range(rounds):
        result = {}
        for name, other in (("forward", "backward"), ("backward", "forward")):
            draws = Draws(n, dims, (2 * r) + (name == "forward"), matched)
            start = gaussian(*starts[other], draws())
            model = half_round(method, chains[other], maps[other], start, draws, published)
            maps[name] = bridge.mean_map(method, chains[name], model, published)
        for name in OTHER:
            draws = Draws(n, 2 * (1 + len(gammas)), 1000 + r, matched)
            states, _ = bridge.simulate(
                chains[name], maps[name], gaussian(*starts[name], draws()), draws
            )
            joint = torch.cat([states[0], states[-1]], 1).T.cov(correction=0)
            cross = joint[:2, 2:] if name == "forward" else joint[2:, :2]
            result |= {f"cov_{name}": joint[2:, 2:], f"coupling_{name}": cross}
            result[f"mean_{name}"] = states[-1].mean(0)
            result[f"joint_{name}"] = joint
        history.append(result)
    return history


def schedule(text, sigma2=1.0):
    """Step sizes of a shape such as linear_1_10, rescaled to sigma^2 = 2 sum gamma."""
    from sde_todo import bridge

    gammas = bridge.gamma_schedule(text, N)
    return gammas * (0.5 * sigma2 / gammas.sum())


@functools.cache
def truth(method, gammas, rounds, published):
    return population(method, S0, S1, np.array(gammas), rounds, published)


KEYS = ("cov_forward", "cov_backward", "coupling_forward", "coupling_backward")
CASES = [(m, "constant_1", False) for m in ("dsb", "sdsb", "tr", "fr")]
CASES += [(m, "linear_1_10", False) for m in ("dsb", "sdsb", "tr", "fr")]
CASES += [(m, "linear_1_10", True) for m in ("tr", "fr")]


@pytest.mark.parametrize(("method", "text", "published"), CASES)
def test_least_squares_ends_where_linear_algebra_says_round_after_round(method, text, published):
    gammas = schedule(text)
    got = least_squares(method, gammas, ROUNDS, 200, published)
    want = truth(method, tuple(gammas.tolist()), ROUNDS, published)
    for r in range(ROUNDS):
        for key in KEYS:
            assert relative_error(got[r][key], want[r][key]) < 1e-6, (r + 1, key)


@pytest.mark.parametrize(("method", "text", "published"), CASES)
def test_so_it_does_on_independent_draws(method, text, published):
    gammas = schedule(text)
    got = least_squares(method, gammas, ROUNDS, 100_000, published, matched=False)
    want = truth(method, tuple(gammas.tolist()), ROUNDS, published)
    worst = max(relative_error(got[r][key], want[r][key]) for r in range(ROUNDS) for key in KEYS)
    print(method, text, published, worst)
    assert worst < 0.02
