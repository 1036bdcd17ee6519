"""A true value as a formula of its parts, and which of them is not what it should be.

A check that writes its true value as a `Formula` gets candidates from it: what comes out with a
part missing, negative, squared, or another quantity used instead. A candidate counts as an
explanation where it fits far better than chance could make one of them fit.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

FORMS: dict[str, Callable[[Any], Any]] = {
    "{}^2": np.square,
    "sqrt({})": np.sqrt,
    "1/{}": lambda v: 1 / v,
    "2 {}": lambda v: 2 * v,
    "{}/2": lambda v: v / 2,
    "1 + {}": lambda v: 1 + v,
    "1 - {}": lambda v: 1 - v,
    "2 - {}": lambda v: 2 - v,
    "{} - 1": lambda v: v - 1,
    "3 {}": lambda v: 3 * v,
    "{}^3": lambda v: v**3,
    "{}^(3/2)": lambda v: v**1.5,
    "1/sqrt({})": lambda v: 1 / np.sqrt(v),
    "1/{}^2": lambda v: 1 / v**2,
    "2/{}": lambda v: 2 / v,
    "4 {}": lambda v: 4 * v,
    "{}^4": lambda v: v**4,
    "exp({})": np.exp,
    "log({})": np.log,
}
SIMPLE = 3  # of the changes of a part: missing as a factor, as a term, and negative
NEEDED_BITS = 10  # beyond those of the number of candidates: a chance of 1 in 1000 at most
EXACT = 1e-6  # relative; what float32 leaves of a match
NUMBER = "the "  # a part that is a number of the formula is named so, as "the exponent of g"


@dataclasses.dataclass
class Formula:
    """The true value `of(*parts.values())`.

    Attributes:
        of: a function of arrays and numbers.
        parts: the name of each part, as the docstring of the task writes it, and its value. A
            number that is no quantity has a name such as "the exponent of g".
    """

    of: Callable[..., Any]
    parts: Mapping[str, Any]

    @property
    def value(self) -> np.ndarray:
        return np.asarray(self.of(*self.parts.values()), dtype=float)

    def candidates(self, inputs: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """What to say, and the value with one part changed, or two exchanged."""
        names, shape = list(self.parts), self.value.shape
        others = {name: v for name, v in inputs.items() if name not in self.parts}
        others = {name: v for name, v in others.items() if is_numeric(v)}
        found = {
            name: list(changes(name, self.parts[name], self.parts, others, shape)) for name in names
        }
        for few in (slice(SIMPLE), slice(SIMPLE, None)):  # the first of those that fit is told
            for name in names:
                for said, changed in found[name][few]:
                    yield from self._with(said, {name: changed}, shape)
        for i, name in enumerate(names):
            for other in names[i + 1 :]:
                exchanged = {name: self.parts[other], other: self.parts[name]}
                yield from self._with(f"{name} and {other} are exchanged", exchanged, shape)

    def _with(self, said, changed, shape):
        parts = {**self.parts, **changed}
        try:
            value = np.broadcast_to(np.asarray(self.of(*parts.values()), dtype=float), shape)
        except Exception:  # whatever it raises, this is no value for the part
            return
        yield said, value


def is_numeric(value: Any) -> bool:
    """Whether an input may enter a formula."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiu" and value.size > 0
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def changes(
    name: str, part: Any, parts: Mapping[str, Any], others: Mapping[str, Any], shape: tuple
) -> Iterator[tuple[str, Any]]:
    """What to say of a part that is another value, and that value."""
    part = np.asarray(part, dtype=float)
    if name.startswith(NUMBER) and not part.ndim:
        for value in (1.0, 0.0, -part, -1.0, *(change(part) for change in FORMS.values())):
            yield f"{name} is {value:.4g} instead of {part:.4g}", value
    else:
        yield f"the factor {name} is missing", np.ones_like(part)
        yield f"the part with {name} is missing", np.zeros_like(part)
        yield f"{name} has the wrong sign", -part
        bare = not set(name) & set(" +-*/^")
        for form, change in FORMS.items():
            yield (
                f"it has {form.format(name if bare else f'({name})')} instead of {name}",
                change(part),
            )
        if part.ndim and len(part) > 2:
            yield f"{name} is in reversed order along axis 0", part[::-1]
    for other, value in (*parts.items(), *others.items()):
        if other != name and not other.startswith(NUMBER):
            yield f"it has {other} instead of {name}", beside(value, part, shape)


def beside(value: Any, part: np.ndarray, shape: tuple) -> Any:
    """A value as it is, or one number for each sample with as many axes as the others."""
    value = np.asarray(value, dtype=float)
    if (
        value.ndim == 1
        and len(shape) > 1
        and value.shape == shape[:1]
        and part.shape != value.shape
    ):
        return value.reshape(-1, *[1] * (len(shape) - 1))
    return value


def explanation(
    formula: Formula, got: np.ndarray, rtol: float, atol: float, inputs: Mapping[str, Any]
) -> str | None:
    """The candidate that explains what came best, if one does.

    Args:
        formula: of the true value.
        got: what came.
        rtol: what counts as equal.
        atol: what counts as equal.
        inputs: of the test.
    """
    want = formula.value
    found = list(formula.candidates(inputs))
    needed = math.log2(max(len(found), 1)) + NEEDED_BITS
    best, most = None, needed
    for said, value in found:
        if np.isfinite(value).all() and np.allclose(got, value, rtol=rtol, atol=atol):
            bits = evidence(got, want, value)
            if bits > most + 1e-9:
                best, most = said, bits
    return best


def evidence(got: np.ndarray, want: np.ndarray, other: np.ndarray) -> float:
    """Bits by which another value fits better than the true one; what is twice counts once."""
    stacked = np.stack([got.ravel(), want.ravel(), other.ravel()])
    _, first = np.unique(np.round(stacked[1:], 9), axis=1, return_index=True)
    group = stacked[:, first]
    away, left = np.abs(group[0] - group[1]), np.abs(group[0] - group[2])
    size = np.abs(group).max(0)
    left = np.maximum(left, EXACT * np.maximum(size, 1e-30))
    return float(np.log2(np.maximum(away, EXACT * size) / left).clip(-50, None).sum())
