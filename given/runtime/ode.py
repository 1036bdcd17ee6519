"""Adaptive ODE solvers by SciPy, whose failures are errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import integrate
from torch import Tensor

MAX_EVALUATIONS = 100_000  # a usual solution takes some hundreds


def solve_ivp(fun: Callable[[float, np.ndarray], np.ndarray], *args: Any, **options: Any) -> Any:
    """`scipy.integrate.solve_ivp`, but the whole way or an error, and never without end.

    SciPy's own loops for ever where the first slope is NaN; where it gives up, it returns the way
    so far with `success` unset.

    Args:
        fun: (time, state) -> d state/dt, flat float64 arrays.
        args: of SciPy's function: the ends of time, the state at the start, and more.
        options: of SciPy's function.

    Returns:
        SciPy's solution, to the end.

    Raises:
        ValueError: the slope is not finite at the start, the solver gave up on the way, or it took
            more than MAX_EVALUATIONS.
    """
    watched = _Watched(fun)
    solution = integrate.solve_ivp(watched, *args, **options)
    if not solution.success:
        raise ValueError(
            f"The ODE solver gave up near time {watched.time:.4g}, before its end: "
            f"{watched.not_finite or solution.message}"
        )
    return solution


class _Watched:
    """A slope that is counted, and that says where it was not finite.

    Only the first one must be finite: on the way the solver tries a smaller step by itself.
    """

    def __init__(self, slope):
        self.slope, self.time, self.count, self.not_finite = slope, 0.0, 0, ""

    def __call__(self, t, state):
        value = self.slope(t, state)
        self.time, self.count = float(t), self.count + 1
        if not (np.isfinite(state).all() and np.isfinite(value).all()):
            self.not_finite = f"the slope is NaN or infinite at time {t:.4g}; look at the score."
            if self.count == 1:
                raise ValueError(f"The ODE cannot be solved: {self.not_finite}")
        if self.count > MAX_EVALUATIONS:
            raise ValueError(
                f"The ODE solver is at time {t:.4g} after {MAX_EVALUATIONS} evaluations of the "
                f"slope; look at the score there, or take a larger tolerance."
            )
        return value


def solve(
    slope: Callable[[float, tuple[Tensor, ...]], tuple[Tensor, ...]],
    start: float,
    end: float,
    state: tuple[Tensor, ...],
    tol: float,
) -> tuple[Tensor, ...]:
    """Solve d state/dt = slope(t, state) by adaptive Runge-Kutta 4(5), in float64 on the CPU.

    Args:
        slope: (time, state) -> its derivative, a tuple of tensors of the same shapes.
        start: the time of `state`.
        end: the time to reach; it may be the smaller.
        state: a tuple of tensors.
        tol: relative and absolute tolerance.

    Returns:
        the state at the end, with the shapes of `state`, and device and dtype of its first part.

    Raises:
        ValueError: see `solve_ivp`.
    """
    shapes, sizes = [v.shape for v in state], [v.numel() for v in state]

    def pack(parts):
        return torch.cat([v.detach().flatten() for v in parts]).cpu().double().numpy()

    def unpack(flat):
        parts = torch.from_numpy(flat).to(state[0]).split(sizes)
        return tuple(v.reshape(shape) for v, shape in zip(parts, shapes, strict=True))

    def flat_slope(t, flat):
        return pack(slope(t, unpack(flat)))

    solution = solve_ivp(flat_slope, (start, end), pack(state), "RK45", rtol=tol, atol=tol)
    return unpack(solution.y[:, -1].copy())
