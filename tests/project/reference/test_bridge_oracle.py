"""Bridges without a network: least squares for each step, held against exact linear algebra.

The functions of the course simulate, give the targets and the maps; an affine fit for each step of
the chain replaces the network. Between Gaussians that fit is exact, and `population` says
where every round of every method must end.
"""

import functools
import math

import numpy as np
import pytest
import torch

from given.bridges.truth import GaussianBridge, population, relative_error

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
    import sde_todo.bridge as bridge

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
    import sde_todo.bridge as bridge

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
    import sde_todo.bridge as bridge

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


@pytest.mark.parametrize("method", ["dsb", "sdsb", "tr", "fr"])
def test_so_it_does_on_independent_draws(method):
    """Rounds feed on each other's sampling error: the first two show it well enough."""
    gammas = schedule("linear_1_10")
    got = least_squares(method, gammas, 2, 50_000, matched=False)
    want = truth(method, tuple(gammas.tolist()), 2, False)
    worst = max(relative_error(got[r][key], want[r][key]) for r in range(2) for key in KEYS)
    assert worst < 0.03


def off_the_bridge(got, C):
    """Relative errors of a round: both means, both covariances, both couplings."""
    want = {"mean_forward": M1, "mean_backward": M0, "cov_forward": S1, "cov_backward": S0}
    want |= {"coupling_forward": C, "coupling_backward": C}
    return {key: relative_error(got[key], value) for key, value in want.items()}


@pytest.mark.parametrize(("method", "most"), [("tr", 0.03), ("fr", 0.03), ("dsbm", 0.02)])
def test_many_steps_end_near_the_bridge_in_closed_form(method, most):
    """What is left is the error O(1/N) of the steps."""
    gammas = torch.full((50,), 0.01, dtype=torch.float64)
    last = least_squares(method, gammas, 5, 400)[-1]
    errors = off_the_bridge(last, GaussianBridge(M0, S0, M1, S1).C)
    assert max(errors.values()) < most, errors


@pytest.mark.parametrize("theta", [0.5, 2.0])
@pytest.mark.parametrize("method", ["tr", "dsbm"])
def test_with_a_pull_they_end_near_the_bridge_of_the_pull(method, theta):
    """A plan differs from independence by its reference only. One that takes x_0 to N(a x_0, v I)
    leaves -a/v I in the corner of the inverse covariance of (x_0, x_N)."""
    gammas = torch.full((50,), 0.01, dtype=torch.float64)
    last = least_squares(method, gammas, 5, 400, theta=theta)[-1]
    a = math.exp(-theta)
    v = (1 - a**2) / (2 * theta)
    for name, S in (("forward", S1), ("backward", S0)):
        corner = last[f"joint_{name}"].inverse()[:2, 2:]
        assert relative_error(corner, -a / v * np.eye(2)) < 0.04
        assert relative_error(last[f"cov_{name}"], S) < 0.04


def joint_covariance(chain, start):
    """Covariance of all states (N + 1, N + 1) of a chain in one dimension, from Var x_0."""
    A = torch.eye(chain.N + 1, dtype=torch.float64)  # states from x_0 and the noises
    for k in range(chain.N):
        A[k + 1] += chain.a[k] * A[k]
    return A @ torch.diag(torch.cat([torch.tensor([start]).to(A), chain.q])) @ A.T


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("text", ["constant_0.1", "linear_0.01_0.3"])
def test_weights_are_those_of_gaussian_conditioning(theta, text):
    import sde_todo.bridge as bridge

    chain = bridge.reference_chain(bridge.gamma_schedule(text, 8), theta)
    S = joint_covariance(chain, 0.7)
    to_state, to_end, var = bridge.bridge_weights(chain)
    for k in range(chain.N - 1):
        known = [k, chain.N]
        gain = S[k + 1, known] @ S[known][:, known].inverse()
        assert [to_state[k].item(), to_end[k].item()] == pytest.approx(gain.tolist(), abs=1e-10)
        rest = S[k + 1, k + 1] - gain @ S[known, k + 1]
        assert var[k].item() == pytest.approx(rest.item(), abs=1e-10)
    assert (to_state[-1], to_end[-1], var[-1]) == (0, 1, 0)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_chain_reversed_twice_is_itself(theta):
    import sde_todo.bridge as bridge

    chain = bridge.reference_chain(bridge.gamma_schedule("linear_0.01_0.3", 8), theta)
    again = bridge.reverse_chain(bridge.reverse_chain(chain))
    for one, other in zip(chain, again, strict=True):
        assert torch.allclose(torch.as_tensor(one), torch.as_tensor(other), rtol=0, atol=1e-12)


@pytest.mark.parametrize("theta", [0.3, 2.0])
def test_a_pull_keeps_its_stationary_variance_and_is_its_own_reverse(theta):
    """From the stationary law, the reversed chain has the joint law of the chain read backward."""
    import sde_todo.bridge as bridge

    chain = bridge.reference_chain(bridge.gamma_schedule("linear_0.01_0.3", 8), theta)
    stationary = chain.sigma**2 / (2 * theta)
    S = joint_covariance(chain, stationary)
    assert S.diagonal().tolist() == pytest.approx([stationary] * (chain.N + 1))
    reversed_ = joint_covariance(bridge.reverse_chain(chain), stationary)
    assert torch.allclose(reversed_, S.flip(0, 1))
