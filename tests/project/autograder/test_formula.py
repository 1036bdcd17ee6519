"""A changed part of a formula is named, and nothing is where chance could have made it fit."""

import numpy as np
import pytest

from autograder.formula import Formula, evidence, explanation

RNG = np.random.default_rng(1)
B, D = 6, 3
T = RNG.uniform(0.2, 0.9, (B, 1))
X, Z = RNG.normal(size=(2, B, D))
INPUTS = {"t": T[:, 0], "x": X, "label": np.arange(B), "eps": 0.3, "name": "ou", "seeds": [1, 2]}


def state(t, x, std, z, power):
    return t * x + std**power * z + 0.1 * x**3 - 0.3 * std


def state_formula():
    return Formula(
        state,
        {"t": T, "x": X, "std": 1 - T**2, "z": Z, "the exponent of std": 1},
    )


def loss_formula():
    """One number."""
    return Formula(
        lambda half, x, target, weight: (weight * half * ((x - target) ** 2).sum(1)).mean(),
        {"the factor 1/2": 0.5, "x": X, "y": Z, "weight": T[:, 0] + 1},
    )


def mean_formula():
    """Three numbers, as the mean of draws has them."""
    return Formula(lambda x, f, dt: x + f * dt, {"x": X[0], "f": Z[0], "dt": 0.2})


FORMULAS = {"state": state_formula(), "loss": loss_formula(), "mean": mean_formula()}
CHANGES = {
    "the factor t is missing": state(1, X, 1 - T**2, Z, 1),
    "the part with x is missing": state(T, 0 * X, 1 - T**2, Z, 1),
    "z has the wrong sign": state(T, X, 1 - T**2, -Z, 1),
    "it has sqrt(t) instead of t": state(T**0.5, X, 1 - T**2, Z, 1),
    "it has 1/t instead of t": state(1 / T, X, 1 - T**2, Z, 1),
    "it has 2 std instead of std": state(T, X, 2 * (1 - T**2), Z, 1),
    "it has t instead of std": state(T, X, T, Z, 1),
    "it has label instead of t": state(np.arange(B)[:, None], X, 1 - T**2, Z, 1),
    "it has eps instead of t": state(0.3, X, 1 - T**2, Z, 1),
    "x and z are exchanged": state(T, Z, 1 - T**2, X, 1),
    "z is in reversed order along axis 0": state(T, X, 1 - T**2, Z[::-1], 1),
    "the exponent of std is 2 instead of 1": state(T, X, 1 - T**2, Z, 2),
}


def said(formula, got, rtol=1e-3, atol=1e-5):
    with np.errstate(all="ignore"):
        return explanation(formula, np.asarray(got, dtype=float), rtol, atol, INPUTS)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_part_is_named(change):
    assert said(state_formula(), CHANGES[change]) == change


def test_one_number_is_explained_where_it_is_met_exactly_and_not_where_it_is_met_nearly():
    wrong = 2 * loss_formula().value
    assert said(loss_formula(), wrong) == "the factor 1/2 is 1 instead of 0.5"
    assert said(loss_formula(), wrong * 1.0005) is None


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("tolerance", [1e-5, 0.03])
def test_a_random_error_has_no_explanation(name, tolerance):
    formula, found = FORMULAS[name], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        size = np.abs(formula.value).max()
        for got in (formula.value * rng.uniform(0.1, 3), rng.normal(size=formula.value.shape)):
            error = size * rng.normal(size=formula.value.shape)
            found.append(said(formula, got + error, rtol=tolerance, atol=tolerance * size))
    assert not any(found), [one for one in found if one]


def test_noise_on_a_changed_part_leaves_it_named():
    noisy = X[0] - 0.2 * Z[0] + 1e-3 * RNG.normal(size=D)
    assert said(mean_formula(), noisy, rtol=1e-5, atol=5e-3) == "f has the wrong sign"


def test_a_formula_that_a_part_does_not_suit_is_passed_over():
    broken = Formula(lambda n, x: x[int(n)] / (int(n) - 1), {"the row": 2, "x": X})
    assert said(broken, X[3] / 2) == "the row is 3 instead of 2"


def test_a_formula_that_raises_anything_is_passed_over():
    summed = Formula(lambda x, n: (x**n).sum(1) / n, {"x": X, "the exponent": 2.0})
    assert said(summed, (X**3).sum(1)) is None  # exchanged, a float has no sum; 0 is no divisor
    assert said(summed, (X**3).sum(1) / 3) == "the exponent is 3 instead of 2"


def test_what_is_the_same_twice_is_evidence_once():
    once = evidence(np.array([1.0]), np.array([2.0]), np.array([1.01]))
    many = evidence(np.full(50, 1.0), np.full(50, 2.0), np.full(50, 1.01))
    assert once == pytest.approx(many) and 6 < once < 7


def test_a_value_that_fits_no_better_than_the_true_one_is_no_evidence():
    assert evidence(np.array([1.5]), np.array([1.0]), np.array([2.0])) == pytest.approx(0)
