"""How a wrong value differs, where no known mistake fits."""

import numpy as np


def diagnose(got, want, rtol, atol, inputs):
    """Say how a wrong value differs: by sign, factor, offset, in few places, or how much."""
    if np.allclose(got, -want, rtol=rtol, atol=atol):
        return "the sign is wrong everywhere."
    if want.size == 1:
        return f"expected {want.item():.5g}, got {got.item():.5g}."
    scale = (got * want).sum() / max((want**2).sum(), 1e-30)
    if np.allclose(got, scale * want, rtol=rtol, atol=atol) and abs(scale) > 1e-6:
        return f"right but for a factor of {scale:.4g}."
    offset = (got - want).mean()
    if np.allclose(got - offset, want, rtol=rtol, atol=atol):
        return f"right but for a constant: {offset:.4g} is added everywhere."
    bad = ~np.isclose(got, want, rtol=rtol, atol=atol)
    at = np.unravel_index(np.argmax(np.abs(got - want)), want.shape)
    place = f" at index {tuple(int(i) for i in at)}" if at else ""
    return (
        f"expected {want[at]:.5g}, got {got[at]:.5g}{place} "
        f"({bad.sum()} of {bad.size} values are off)."
    )
