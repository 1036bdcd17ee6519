"""A wrong value beside the true one, for the rules that say how it differs."""

import dataclasses
from typing import Any

import numpy as np

from autograder.formula import Formula


@dataclasses.dataclass
class Case:
    """A wrong value `got` instead of `want`, of one shape, within `rtol` and `atol`.

    `formula` says how `want` is made, where the check tells.
    """

    got: np.ndarray
    want: np.ndarray
    rtol: float
    atol: float
    inputs: dict
    formula: Formula | None = None

    def fits(self, got: np.ndarray, other: np.ndarray) -> bool:
        """Whether other values explain what came, and are not so small that anything would."""
        if not got.size or not np.abs(other).max() > 10 * self.atol:
            return False
        return np.allclose(got, other, rtol=self.rtol, atol=self.atol)

    @property
    def bad(self) -> Any:
        """Where what came is off."""
        return ~np.isclose(self.got, self.want, rtol=self.rtol, atol=self.atol)

    def bad_along(self, axis: int) -> np.ndarray:
        """Which indices along an axis hold anything that is off."""
        return np.any(np.moveaxis(self.bad, axis, 0).reshape(self.want.shape[axis], -1), axis=1)

    def farthest(self) -> str:
        """Expected and got where they differ most."""
        at = np.unravel_index(np.argmax(np.abs(self.got - self.want)), self.want.shape)
        place = f" at index {tuple(int(i) for i in at)}" if at else ""
        return f"expected {self.want[at]:.5g}, got {self.got[at]:.5g}{place}"
