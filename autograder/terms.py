"""Which part of a wrong value is right, from the inputs that the true value is made of.

As in `diagnose`, each rule takes a `Case` and returns a sentence, or None where it does not fit.
"""

from collections.abc import Iterator

import numpy as np

from autograder.case import Case

EXACT = 1e-3  # of the size of a value, what float32 and the steps of a formula leave


def is_small(case: Case) -> bool:
    """Whether the true value is near its tolerance, where anything would fit."""
    return bool(np.abs(case.want).max() < 100 * case.atol)


def aligned(case: Case) -> dict[str, np.ndarray]:
    """The inputs that go with the value number by number, and for a mean those of its sample."""
    found: dict[str, np.ndarray] = {}
    for name, value in case.inputs.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            continue
        if value.shape == case.want.shape and value.size >= 3:
            found[name] = value.astype(float)
        elif case.want.size >= 3 and value.shape[1:] == case.want.shape:
            found[name] = value[0].astype(float)
    return found


def by_row(case: Case) -> dict[str, np.ndarray]:
    """The inputs that have one number for each row, to be multiplied with rows."""
    n = len(case.want) if case.want.ndim else 0
    shape = (n, *[1] * (case.want.ndim - 1))
    return {
        name: value.astype(float).reshape(shape)
        for name, value in case.inputs.items()
        if isinstance(value, np.ndarray) and n > 2 and value.shape == (n,)
        if value.dtype.kind in "fiu"
    }


def reduced(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Sums over the coordinates of inputs, for a value with one number for each sample."""
    n = case.want.shape
    long = {
        name: value.reshape(*n, -1)
        for name, value in case.inputs.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
        if len(n) == 1 and value.ndim > 1 and value.shape[:1] == n
    }
    for name, value in long.items():
        yield f"sum({name})", value.sum(-1)
        for other, second in long.items():
            if second.shape == value.shape and other >= name:
                product = f"|{name}|^2" if other == name else f"{name} . {other}"
                yield product, (value * second).sum(-1)


def terms(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """What may be missing in a sum, with a name: inputs, their squares, products with a number."""
    yield from reduced(case)
    whole, rows = aligned(case), by_row(case)
    for name, value in (whole | rows).items():
        yield name, value
        yield f"{name}^2", value**2
    for name, value in whole.items():
        for other, factor in rows.items():
            if other != name:
                yield f"{other} {name}", factor * value
                yield f"{other}^2 {name}", factor**2 * value


def missing_term(case: Case) -> str | None:
    """The difference is a multiple of an input."""
    difference = case.got - case.want
    if case.want.size < 4 or is_small(case):
        return None
    for name, term in terms(case):
        term = np.broadcast_to(term, difference.shape)
        size = (term**2).sum()
        if not size or np.ptp(term) < 1e-9 * np.abs(term).max():
            continue
        times = (difference * term).sum() / size
        rest = np.abs(difference - times * term).max()
        if (
            rest
            < EXACT * np.abs(difference).max() + 2 * case.atol
            < abs(times) * np.abs(term).max()
        ):
            kind = "too much" if times > 0 else "too little"
            return f"right but for a term: there is {abs(times):.4g} {name} {kind}."
    return None


def parts(case: Case) -> str | None:
    """The true value is a sum of inputs times factors: tell which of them are right."""
    inputs = aligned(case)
    if not inputs or case.want.ndim == 0 or is_small(case):
        return None
    single = case.want.ndim == 1 or any(
        isinstance(v, np.ndarray) and v.shape[1:] == case.want.shape for v in case.inputs.values()
    )
    n = 1 if single else len(case.want)
    columns = np.stack([value.reshape(n, -1) for value in inputs.values()], axis=-1)  # (n, M, K)
    if columns.shape[1] < columns.shape[2] + 2:
        return None
    want, exact = factors(columns, case.want.reshape(n, -1), case)
    got, sum_of_inputs = factors(columns, case.got.reshape(n, -1), case)
    if not (exact and sum_of_inputs):
        return None
    names = list(inputs)
    return compared(names, got, want)


def factors(columns: np.ndarray, values: np.ndarray, case: Case) -> tuple[np.ndarray, bool]:
    """The factor of each input in each row (n, K), and whether nothing else is in the values."""
    found = np.stack(
        [np.linalg.lstsq(c, v, rcond=None)[0] for c, v in zip(columns, values, strict=True)]
    )
    rest = np.abs(np.einsum("nmk,nk->nm", columns, found) - values).max()
    return found, rest < EXACT * np.abs(values).max() + 2 * case.atol


def compared(names: list[str], got: np.ndarray, want: np.ndarray) -> str | None:
    """A sentence on the factors that are right and those that are not."""
    near = np.isclose(got, want, rtol=5 * EXACT, atol=5 * EXACT).all(0)
    if near.all():
        return None
    wrong = []
    for k in np.flatnonzero(~near):
        g, w = got[0, k], want[0, k]
        if np.abs(got[:, k]).max() < 5 * EXACT:
            wrong.append(f"{names[k]} is missing, its factor is {w:.4g}")
        elif np.allclose(got[:, k], -want[:, k], rtol=5 * EXACT, atol=5 * EXACT):
            wrong.append(f"{names[k]} has the wrong sign")
        else:
            wrong.append(f"the factor of {names[k]} is {g:.4g} instead of {w:.4g}")
    right = [f"the part of {names[k]} is right" for k in np.flatnonzero(near)]
    where = " (in the first row)" if len(got) > 1 else ""
    return f"{'; '.join(right + wrong)}{where}."


def growth(case: Case) -> str | None:
    """Where the difference is largest, or which way it points everywhere."""
    if case.want.size < 4:
        return None
    if not case.want.any():
        return f"it should be 0 everywhere, and is up to {np.abs(case.got).max():.4g} in size."
    error = np.abs(case.got - case.want).reshape(len(case.want), -1).max(1)
    vectors = {name: value.ravel() for name, value in by_row(case).items()}
    vectors["the index along axis 0"] = np.arange(len(error), dtype=float)
    for name, value in vectors.items():
        order = error[np.argsort(value, kind="stable")]
        for ranked, which in ((order, "large"), (order[::-1], "small")):
            if len(error) >= 6 and (np.diff(ranked) > 0).all() and ranked[-1] > 10 * ranked[0]:
                return f"the difference grows where {name} is {which}; {case.farthest()}."
    ratio = case.got[np.abs(case.want) > case.atol] / case.want[np.abs(case.want) > case.atol]
    if ratio.size >= 10 and (ratio > 0).all() and ((ratio > 1).all() or (ratio < 1).all()):
        which = "large" if ratio.mean() > 1 else "small"
        low, high = ratio.min(), ratio.max()
        return (
            f"its size is too {which} everywhere, {low:.3g} to {high:.3g} times what it should be; "
            f"{case.farthest()}."
        )
    return None
