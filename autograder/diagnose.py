"""How a wrong value differs, where no known mistake fits.

Every rule looks at a `Case` and returns a sentence, or None where it does not fit. The first that
fits is told, so they are listed by how much they explain.
"""

import math
from typing import Any

import numpy as np

from autograder.case import Case
from autograder.formula import Formula, explanation
from autograder.terms import growth, missing_term, parts

# Factors that formulas lose or gain, by the name of each and of its inverse.
FACTORS = {
    "2": (2.0, "1/2"),
    "4": (4.0, "1/4"),
    "sqrt(2)": (math.sqrt(2), "1/sqrt(2)"),
    "pi": (math.pi, "1/pi"),
    "2 pi": (2 * math.pi, "1/(2 pi)"),
    "sqrt(2 pi)": (math.sqrt(2 * math.pi), "1/sqrt(2 pi)"),
}
POWERS = {  # of an input, as a factor that differs from row to row
    "{}": lambda v: v,
    "1/{}": lambda v: 1 / v,
    "{}^2": np.square,
    "1/{}^2": lambda v: 1 / np.square(v),
    "sqrt({})": np.sqrt,
    "1/sqrt({})": lambda v: 1 / np.sqrt(v),
}


def diagnose(
    got: np.ndarray,
    want: np.ndarray,
    rtol: float,
    atol: float,
    inputs: dict[str, Any],
    formula: Formula | None = None,
) -> str:
    """Say in a sentence how a wrong value differs.

    Args:
        got: arrays of one shape.
        want: arrays of one shape.
        rtol: what counts as right.
        atol: what counts as right.
        inputs: dict of the inputs of the test, arrays and numbers.
        formula: of the true value, where it is known.
    """
    got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
    case = Case(got, want, rtol, atol, inputs, formula)
    if not want.size:
        return "there are no values."
    with np.errstate(all="ignore"):
        for rule in RULES:
            said = rule(case)
            if said:
                return said
    if want.size == 1:
        return f"expected {want.item():.5g}, got {got.item():.5g}."
    return f"{case.farthest()} ({case.bad.sum()} of {got.size} values are off)."


def sign(case: Case) -> str | None:
    if case.fits(case.got, -case.want):
        return "the sign is wrong everywhere."
    return None


def zero(case: Case) -> str | None:
    if case.want.size >= 3 and not case.got.any() and (np.abs(case.want) > case.atol).all():
        return "it is 0 everywhere."
    return None


def changed_part(case: Case) -> str | None:
    if case.formula is None:
        return None
    said = explanation(case.formula, case.got, case.rtol, case.atol, case.inputs)
    return f"{said}." if said else None


def factor(case: Case) -> str | None:
    if (np.abs(case.want) > case.atol).sum() < 3:
        return None
    scale = (case.got * case.want).sum() / (case.want**2).sum()
    if not case.fits(case.got, scale * case.want):
        return None
    loose = case.rtol + case.atol / np.abs(case.want).max()
    name = _factor_name(abs(scale), loose, case)
    return f"right but for a factor of {scale:.4g}{name}."


def _factor_name(scale, loose, case):
    exact = 2e-4  # a factor that is not estimated is known better than this
    for name, (value, inverse) in (FACTORS | _sizes(case)).items():
        near = min(max(exact, loose), 0.03) if name == "2" else exact
        if abs(scale / value - 1) < near:
            return f": {name} too many, or {inverse} missing"
        if abs(scale * value - 1) < near:
            return f": {inverse} too many, or {name} missing"
    return ""


def _sizes(case):
    """Factors that this test knows: its numbers, the batch size B and the dimension D."""
    found = {}
    for name, value in case.inputs.items():
        if isinstance(value, float) and value > 0:
            found[name] = (value, f"1/{name}")
    for value in [case.want, *case.inputs.values()]:
        if isinstance(value, np.ndarray) and value.ndim and value.size:
            for letter, number in (("B", len(value)), ("D", value[0].size)):
                found[f"{letter} = {number}"] = (float(number), f"1/{letter}, {letter} = {number},")
    return {name: pair for name, pair in found.items() if pair[0] != 1}


def constant(case: Case) -> str | None:
    offset = (case.got - case.want).mean()
    if case.want.size < 3 or not abs(offset) > 10 * case.atol:
        return None
    if np.allclose(case.got - offset, case.want, rtol=case.rtol, atol=case.atol):
        return f"right but for a constant: {offset:.4g} is added everywhere."
    return None


def power(case: Case) -> str | None:
    if case.want.size < 3:
        return None
    if case.fits(case.got, case.want**2):
        return "these are the squares of what they should be: take the root."
    if (case.want >= 0).all() and case.fits(case.got, np.sqrt(case.want)):
        return "these are the roots of what they should be: a root too many, or no square."
    if (case.want != 0).all() and case.fits(case.got, 1 / case.want):
        return "these are the inverses of what they should be: 1 / x for x."
    return None


def rows_moved(case: Case) -> str | None:
    got, want = case.got, case.want
    if want.ndim == 0 or len(want) < 3:
        return None
    if case.fits(got, want[::-1]):
        return "right but in reversed order along axis 0: the clock or the index runs backwards."
    for ours, theirs, said in (
        (slice(-1), slice(1, None), "i + 1: the index is one too high"),
        (slice(1, None), slice(-1), "i - 1: the index is one too low"),
    ):
        moved = want[ours].size >= 3 and not case.fits(got[ours], want[ours])
        if moved and case.fits(got[ours], want[theirs]):
            return f"index i along axis 0 holds what belongs to {said}."
    return None


def axes_exchanged(case: Case) -> str | None:
    for axis in range(case.want.ndim - 1):
        turned = np.swapaxes(case.want, axis, axis + 1)
        if turned.shape == case.want.shape and case.fits(case.got, turned):
            return f"axes {axis} and {axis + 1} are exchanged."
        if case.fits(case.got, turned.reshape(case.want.shape)):
            return f"axes {axis} and {axis + 1} are mixed up: a reshape does not transpose."
    return None


def reordered(case: Case) -> str | None:
    # The order statistics of many draws agree even where the draws have nothing in common.
    if not 3 <= case.want.size <= 200 or case.rtol > 2e-3 or case.atol > 1e-4:
        return None
    if case.fits(np.sort(case.got, axis=None), np.sort(case.want, axis=None)):
        return "these are the right values in another order."
    return None


def one_end(case: Case) -> str | None:
    if case.want.ndim == 0 or len(case.want) < 4:
        return None
    bad = case.bad_along(0)
    for at, which in ((-1, "last"), (0, "first")):
        others = np.delete(bad, at)
        if bad[at] and not others.any():
            return f"only the {which} of {len(bad)} along axis 0 is off: {case.farthest()}."
        if not bad[at] and others.all() and case.want.size > len(bad):
            return f"only the {which} of {len(bad)} along axis 0 is right; {case.farthest()}."
    return None


def row_factor(case: Case) -> str | None:
    return _factor_along(case, 0, "from row to row (axis 0)")


def column_factor(case: Case) -> str | None:
    return _factor_along(case, 1, "from column to column (axis 1)")


def _factor_along(case, axis, where):
    if case.want.ndim < 2:
        return None
    n = case.want.shape[axis]
    got = np.moveaxis(case.got, axis, 0).reshape(n, -1)
    want = np.moveaxis(case.want, axis, 0).reshape(n, -1)
    telling = (np.abs(want) > 10 * case.atol).sum(1) - 1  # values beyond the one that is fitted
    if n < 2 or (telling < 1).any() or telling.sum() < 4:
        return None
    scale = (got * want).sum(1) / (want**2).sum(1)
    # Next to a tolerance that is as large as the values, any factor would do.
    small = np.abs(scale[:, None] * want).max(1) <= 10 * case.atol
    if small.any() or not case.fits(got, scale[:, None] * want):
        return None
    name = _power_of_input(scale, case.inputs)
    return f"right but for a factor that differs {where}, {name}."


def _power_of_input(scale, inputs):
    for name, value in _vectors(inputs, len(scale)):
        for form, power in POWERS.items():
            if np.allclose(scale, power(value), rtol=1e-3):
                return f"and is {form.format(name)}"
    return f"{scale.min():.3g} to {scale.max():.3g}"


def _vectors(inputs, n):
    """The inputs (n,) of a test that tell their indices apart."""
    for name, value in inputs.items():
        fitting = isinstance(value, np.ndarray) and value.shape == (n,)
        if fitting and value.dtype.kind in "fiu" and len(np.unique(value)) > 1:
            yield name, value.astype(float)


def threshold(case: Case) -> str | None:
    for axis, n in enumerate(case.want.shape):
        bad = case.bad_along(axis)
        # A set of indices that lies at one end by chance is rarer than 1 in 10.
        if not bad.any() or bad.all() or math.comb(n, int(bad.sum())) < 20:
            continue
        for name, value in _vectors(case.inputs, n):
            low, high = value[bad].min(), value[bad].max()
            if value[~bad].max() < low:
                return f"off only where {name} is {low:.4g} or more; {case.farthest()}."
            if value[~bad].min() > high:
                return f"off only where {name} is {high:.4g} or less; {case.farthest()}."
        first = int(np.argmax(bad))
        if axis == 0 and bad[first:].all():
            return f"right up to index {first - 1} along axis 0, off from there; {case.farthest()}."
    return None


def some_columns(case: Case) -> str | None:
    for axis in range(1, case.want.ndim):
        bad = case.bad_along(axis)
        share = case.bad.sum() / max(1, bad.sum()) * len(bad) / case.want.size
        if len(case.want) >= 3 and bad.any() and not bad.all() and share > 0.7:
            at = ", ".join(str(int(i)) for i in np.flatnonzero(bad)[:6])
            more = ", ..." if bad.sum() > 6 else ""
            return f"off only at index {at}{more} along axis {axis}; {case.farthest()}."
    return None


RULES = (
    sign,
    zero,
    changed_part,
    factor,
    constant,
    power,
    rows_moved,
    axes_exchanged,
    reordered,
    one_end,
    row_factor,
    column_factor,
    missing_term,
    threshold,
    parts,
    some_columns,
    growth,
)
