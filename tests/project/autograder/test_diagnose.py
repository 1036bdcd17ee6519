"""Every rule of autograder/diagnose.py finds what it is for, and none invents a reason."""

import numpy as np
import pytest

from autograder.diagnose import RULES, diagnose
from autograder.formula import Formula
from autograder.harness import value_of

RTOL, ATOL = 1e-3, 1e-5
RNG = np.random.default_rng(0)
B, D = 7, 3
WANT = RNG.normal(size=(B, D)) + 0.2
POSITIVE = np.abs(WANT) + 0.3
SQUARE = RNG.normal(size=(4, 4))
IMAGES = RNG.normal(size=(5, 2, 3, 4))
T = np.array([0.3, 0.9, 0.1, 0.5, 0.7, 0.2, 0.6])
INPUTS = {"t": T, "x": RNG.normal(size=(B, D)), "dt": 0.037, "seed": 3, "name": "ou"}
NOISE, X = RNG.normal(size=(2, B, 5))
MEAN = (1 + T[:, None]) * X


LINE = Formula(lambda t, x, z: t * x + z**2, {"t": T[:, None], "x": X, "z": NOISE})


def said(got, want, inputs=INPUTS, rtol=RTOL, atol=ATOL):
    formula = want if isinstance(want, Formula) else None
    return diagnose(np.asarray(got), value_of(want), rtol, atol, inputs, formula)


def inputs_of(want):
    """The inputs, and for values that are sums of two, these two."""
    return INPUTS | ({"x": X, "z": NOISE} if value_of(want).shape == X.shape else {})


def changed(want, at, by=1.7):
    got = want.copy()
    got[at] = got[at] * 1.3 + by * np.sin(np.arange(got[at].size) + 1).reshape(got[at].shape)
    return got


CASES = {
    "sign": (-WANT, WANT, "the sign is wrong everywhere."),
    "zero": (0 * POSITIVE, POSITIVE, "it is 0 everywhere."),
    "factor": (1.234 * WANT, WANT, "right but for a factor of 1.234."),
    "factor -2": (-2 * WANT, WANT, "factor of -2: 2 too many, or 1/2 missing."),
    "factor 1/2": (WANT / 2, WANT, "factor of 0.5: 1/2 too many, or 2 missing."),
    "factor root 2": (WANT / 2**0.5, WANT, "1/sqrt(2) too many, or sqrt(2) missing."),
    "factor pi": (WANT * np.pi, WANT, "pi too many, or 1/pi missing."),
    "factor B": (WANT * B, WANT, "B = 7 too many, or 1/B, B = 7, missing."),
    "factor 1/D": (WANT / D, WANT, "1/D, D = 3, too many, or D = 3 missing."),
    "factor dt": (WANT * 0.037, WANT, "factor of 0.037: dt too many, or 1/dt missing."),
    "a part": (T[:, None] ** 2 * X + NOISE**2, LINE, "it has t^2 instead of t."),
    "constant": (WANT + 0.5, WANT, "constant: 0.5 is added everywhere."),
    "square": (WANT**2, WANT, "these are the squares"),
    "root": (np.sqrt(POSITIVE), POSITIVE, "these are the roots"),
    "inverse": (1 / WANT, WANT, "these are the inverses"),
    "reversed": (WANT[::-1], WANT, "reversed order along axis 0"),
    "reversed grid": (np.linspace(1, 0, 6) ** 2, np.linspace(0, 1, 6) ** 2, "reversed order"),
    "one too high": (np.roll(WANT, -1, 0), WANT, "belongs to i + 1: the index is one too high."),
    "one too low": (np.roll(WANT, 1, 0), WANT, "belongs to i - 1: the index is one too low."),
    "transposed": (SQUARE.T, SQUARE, "axes 0 and 1 are exchanged."),
    "reshaped": (WANT.T.reshape(B, D), WANT, "a reshape does not transpose."),
    "channels": (IMAGES.swapaxes(1, 2).reshape(IMAGES.shape), IMAGES, "axes 1 and 2 are mixed up"),
    "reordered": (WANT[[3, 1, 0, 2, 6, 5, 4]], WANT, "the right values in another order"),
    "last row": (changed(WANT, -1), WANT, "only the last of 7 along axis 0 is off: expected"),
    "first row": (changed(WANT, 0), WANT, "only the first of 7 along axis 0 is off: expected"),
    "last value": (changed(T, slice(-1, None)), T, "only the last of 7 along axis 0 is off"),
    "only start": (changed(WANT, slice(1, 7)), WANT, "only the first of 7 along axis 0 is right;"),
    "rows by t": (WANT * T[:, None], WANT, "from row to row (axis 0), and is t."),
    "rows by 1/t^2": (WANT / T[:, None] ** 2, WANT, "and is 1/t^2."),
    "rows": (WANT * np.exp(T)[:, None], WANT, "from row to row (axis 0), 1.11 to 2.46."),
    "columns": (WANT * [1.0, 2.0, 3.0], WANT, "from column to column (axis 1), 1 to 3."),
    "above": (changed(WANT, T > 0.55), WANT, "off only where t is 0.6 or more; expected"),
    "below": (changed(WANT, T < 0.35), WANT, "off only where t is 0.3 or less; expected"),
    "from an index": (changed(WANT, slice(4, 7)), WANT, "right up to index 3 along axis 0, off"),
    "a column": (changed(WANT, (slice(None), 1)), WANT, "off only at index 1 along axis 1;"),
    "a channel": (changed(IMAGES, (slice(None), 0)), IMAGES, "off only at index 0 along axis 1;"),
    "a term missing": (WANT - 0.5 * INPUTS["x"], WANT, "a term: there is 0.5 x too little."),
    "a term too much": (WANT + T[:, None] * INPUTS["x"], WANT, "there is 1 t x too much."),
    "one part": (MEAN + T[:, None] ** 0.3 * NOISE, MEAN + NOISE, "x is right; the factor of z is"),
    "two parts": (MEAN / 3 - T[:, None] * NOISE, MEAN + T[:, None] * NOISE, "z has the wrong sign"),
    "no part": (
        1.1 * MEAN,
        2 * MEAN + (1 + T[:, None]) ** 4 * NOISE,
        "z is missing, its factor is",
    ),
    "growth": (WANT + T[:, None] ** 3, WANT, "the difference grows where t is large; expected"),
    "size": (POSITIVE**1.5 + 4 * POSITIVE, POSITIVE, "its size is too large everywhere, 4."),
    "not 0": (WANT, 0 * WANT, "it should be 0 everywhere, and is up to 2"),
    "one number": (2.0, 1.0, "expected 1, got 2."),
    "one sign": (-2.0, 2.0, "the sign is wrong everywhere."),
    "one place": (changed(WANT, (3, slice(1, 2))), WANT, "(1 of 21 values are off)."),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_what_it_is_for(name):
    got, want, phrase = CASES[name]
    message = said(got, want, inputs_of(want))
    assert phrase in message and len(message) < 160 and message.endswith("."), message


SHAPES = [(), (1,), (2,), (3,), (7,), (2, 2), (7, 3), (4, 4), (1, 5), (5, 1), (5, 2, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_random_errors_get_no_reason(shape):
    for seed in range(100):
        rng = np.random.default_rng(seed)
        want = rng.normal(size=shape)
        for got in (rng.normal(size=shape), want + rng.normal(size=shape), rng.normal(size=shape)):
            assert said(got, want).startswith("expected "), (seed, said(got, want))


def test_the_errors_of_a_loose_tolerance_get_no_reason():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        want = 0.01 * rng.normal(size=(B, D))  # far below the tolerance
        got = want + rng.normal(size=(B, D))
        assert said(got, want, rtol=1e-5, atol=0.1).startswith("expected ")


@pytest.mark.parametrize("shape", [*SHAPES, (0,), (0, 3), (3, 0), (2, 0, 2)])
@pytest.mark.parametrize("atol", [0.0, 1e-5, 10.0])
def test_no_values_of_any_shape_raise(shape, atol):
    rng = np.random.default_rng(1)
    kinds = [rng.normal(size=shape), np.zeros(shape), np.ones(shape), np.full(shape, 1e200)]
    kinds += [np.ones(shape, dtype=bool), rng.integers(-3, 3, size=shape), np.full(shape, -1e-200)]
    inputs = INPUTS | {"none": None, "empty": np.zeros((0, 2)), "zero": 0.0, "words": ["a"]}
    for got in kinds:
        for want in kinds:
            assert isinstance(said(got, want, inputs, atol=atol), str)


def test_a_factor_is_named_only_where_it_is_sure():
    loose = said(1.985 * WANT, WANT, rtol=0.03)
    assert "1.985: 2 too many" in loose
    assert said(1.985 * WANT, WANT) == "right but for a factor of 1.985."


def test_one_value_that_is_not_0_shows_no_factor():
    want = np.zeros(5)
    want[2] = 3.0
    assert said(2 * want, want).startswith("expected 3, got 6")


def test_every_rule_is_tried_by_a_case():
    fired = set()
    for got, want, _ in CASES.values():
        message = said(got, want, inputs_of(want))
        fired |= {rule for rule in RULES if said_by(rule, got, want) == message}
    assert fired == set(RULES)


def said_by(rule, got, want):
    from autograder.case import Case

    with np.errstate(all="ignore"):
        formula = want if isinstance(want, Formula) else None
        got, true = np.asarray(got, float), value_of(want)
        return rule(Case(got, true, RTOL, ATOL, inputs_of(want), formula))
