"""An adaptive ODE solver for tensors, by SciPy."""

from collections.abc import Callable

import torch
from scipy.integrate import solve_ivp
from torch import Tensor


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
