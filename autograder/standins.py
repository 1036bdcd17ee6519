"""What a probe uses instead of the tasks before it: toy processes, scores and networks.

The toy forward process is none of the course's: X_t = alpha x_0 + std z with

    alpha = 1/(1 + t),  std = c t/(1 + t),  so  f = -x/(1 + t),  g = c sqrt(2 t)/(1 + t).
"""

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.harness import Wrong


def alpha(t: Any) -> Any:
    """alpha of the toy process, for tensors and arrays."""
    return 1 / (1 + t)


def std(t: Any, c: float = 1.5) -> Any:
    """Standard deviation of the toy process."""
    return c * t / (1 + t)


def g(t: Any, c: float = 1.5) -> Any:
    """Diffusion of the toy process."""
    return c * (2 * t) ** 0.5 / (1 + t)


def check_times(t: Any, x: Any, called: str) -> None:
    """Refuse a call f(t, x) whose times are not (B,), as every process of the course does.

    Raises:
        Wrong: with what came, for the student.
    """
    if torch.is_tensor(t) and torch.is_tensor(x) and t.shape == x.shape[:1]:
        return
    got = ", ".join(
        f"a tensor {tuple(v.shape)}" if torch.is_tensor(v) else f"a {type(v).__name__}"
        for v in (t, x)
    )
    raise Wrong(f"{called} was called with {got}; it takes times (B,), then states (B, ...).")


def check_step(sde: Any, s: Any, ds: Any, x: Any, called: str) -> None:
    """Refuse a call step(sde, s, ds, x) without a reverse process, times (B,) and one length.

    Raises:
        Wrong: with what came, for the student.
    """
    if not isinstance(sde, ToyReverse):
        raise Wrong(f"{called} was called with a {type(sde).__name__} as sde; pass the process on.")
    check_times(s, x, called)
    if torch.as_tensor(ds).numel() != 1:
        shape = tuple(torch.as_tensor(ds).shape)
        raise Wrong(f"{called} was called with ds of shape {shape}; it is one number.")


def check_columns(x: Any, x0: Any, alpha: Any, std: Any, called: str) -> None:
    """Refuse a call with states that are not (B, D), or alpha and std that are not (B, 1).

    Raises:
        Wrong: with what came, for the student.
    """
    column = (len(x), 1)
    if x.shape == x0.shape and alpha.shape == column and std.shape == column:
        return
    shapes = ", ".join(str(tuple(v.shape)) for v in (x, x0, alpha, std))
    raise Wrong(
        f"{called} was called with shapes {shapes}; states are (B, D), alpha and std (B, 1)."
    )


class ToyProcess:
    """The toy forward process. Mix it with a student's SDE to complete that, or use it alone."""

    N, T, c = 20, 3.0, 1.5

    def sde_coeff(self, t: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        t = t.reshape(-1, *[1] * (x.ndim - 1))
        return -x / (1 + t), g(t, self.c)

    def marginal_prob(self, t: Any, x0: Tensor) -> tuple[Tensor, Tensor]:
        t = t.reshape(-1, *[1] * (x0.ndim - 1))
        return alpha(t) * x0, std(t, self.c) * torch.ones_like(x0)


class ToyPreserving(ToyProcess):
    """A toy process with alpha^2 + std^2 = 1: alpha = cos(t/2), std = sin(t/2)."""

    def marginal_prob(self, t: Any, x0: Tensor) -> tuple[Tensor, Tensor]:
        t = t.reshape(-1, *[1] * (x0.ndim - 1))
        return torch.cos(t / 2) * x0, torch.sin(t / 2) * torch.ones_like(x0)


def toy_forward(SDE: type, N: int = 20, T: float = 3.0, c: float = 1.5) -> Any:
    """An instance of a student's SDE, completed by the toy process."""
    process = type("Toy", (ToyProcess, SDE), {})(N, T)
    process.c = c
    return process


class ToyReverse(ToyProcess):
    """A reverse process for samplers: dx/ds = -.7 (1 + s) x, noise .3, and a log of all calls."""

    def __init__(self, N: int = 20, T: float = 3.0) -> None:
        self.N, self.T = N, T
        self.dt = T / N
        self.calls: list = []

    def ode_coeff(self, s: Tensor, x: Tensor) -> tuple[Tensor, Any]:
        self.calls.append(("slope", float(s[0]), 0.0))
        return -0.7 * (1 + s.reshape(-1, *[1] * (x.ndim - 1))) * x, 0.0

    def sde_coeff(self, s: Tensor, x: Tensor) -> tuple[Tensor, Any]:
        return self.ode_coeff(s, x)[0], torch.full_like(x, 0.3)

    def predict_fn(
        self, s: Tensor, x: Tensor, dt: float | None = None, ode: bool = False
    ) -> Tensor:
        dt = self.dt if dt is None else float(dt)
        self.calls.append(("ode" if ode else "sde", float(s[0]), dt))
        noise = 0.0 if ode else 0.3 * dt**0.5 * torch.randn_like(x)
        return x - 0.7 * (1 + s.reshape(-1, *[1] * (x.ndim - 1))) * x * dt + noise

    def correct_fn(self, s: Tensor, x: Tensor, snr: float = 0.16) -> Tensor:
        check_times(s, x, "correct_fn")
        self.calls.append(("correct", float(s[0]), float(snr)))
        return x + 10 + s.reshape(-1, *[1] * (x.ndim - 1))

    def score_fn(self, t: Any, x: Tensor) -> Tensor:
        return -(0.5 + t.reshape(-1, *[1] * (x.ndim - 1))) * x

    def marginal_prob(self, s: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        return super().marginal_prob(self.T - s, x0)

    def prior_sampling(self, x: Tensor) -> Tensor:
        return 2.0 * torch.randn_like(x)


class Reversed(ToyProcess):
    """The reverse of a toy process, as `SDE.reverse` returns it."""

    def __init__(self, forward: ToyProcess, score_fn: Any, lam: float = 0.0) -> None:
        self.forward, self.score_fn, self.lam = forward, score_fn, lam
        self.N, self.T = forward.N, forward.T

    def family_coeff(self, s: Tensor, x: Tensor, lam: float) -> tuple[Tensor, Tensor]:
        f, g = self.forward.sde_coeff(self.T - s, x)
        return (1 - lam / 2) * g**2 * self.score_fn(self.T - s, x) - f, (1 - lam) ** 0.5 * g

    def sde_coeff(self, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.family_coeff(s, x, self.lam)

    def ode_coeff(self, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.family_coeff(s, x, 1.0)

    def marginal_prob(self, s: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward.marginal_prob(self.T - s, x0)


def solution(s: np.ndarray) -> np.ndarray:
    """x(s)/x(0) of the toy reverse ODE."""
    return np.exp(-0.7 * (s + s**2 / 2))


class LinearNet(torch.nn.Module):
    """x A^T + b t, a network whose score-matching losses are known exactly."""

    def __init__(self, A: Any, b: Any) -> None:
        super().__init__()
        self.A = torch.nn.Parameter(A.clone())
        self.b = torch.nn.Parameter(b.clone())

    def forward(self, t: Any, x: Tensor) -> Tensor:
        check_times(t, x, "the model")
        return x @ self.A.T + t[:, None] * self.b


class ConstantNet(torch.nn.Module):
    """b for every sample, a network that does not look at x."""

    def __init__(self, b: Any) -> None:
        super().__init__()
        self.b = torch.nn.Parameter(b.clone())

    def forward(self, t: Any, x: Tensor) -> Tensor:
        return self.b.expand_as(x)


@contextlib.contextmanager
def patched(module: ModuleType, **names: Any) -> Iterator[None]:
    """Replace names of a module for a while."""
    before = {name: getattr(module, name) for name in names}
    try:
        for name, value in names.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
