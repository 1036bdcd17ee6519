"""Task 1.6, first part: flow matching, the step from diffusion to bridges.

Two sets, and a point of each: walk from one to the other on the straight line in unit time. Many
lines cross at (t, x); their mean velocity there carries the first set to the second by an ordinary
differential equation. Nothing asks for a Gaussian (Lipman et al. 2023; Liu et al. 2023).
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from given.plane.transport import transport_plan


def flow_path(x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The point at time t on the line from x0 to x1, and its velocity.

        x_t = (1 - t) x0 + t x1,    dx_t/dt = x1 - x0

    Args:
        x0: (B, ...) where the lines start.
        x1: (B, ...) where they end.
        t: (B,) in [0, 1].

    Returns:
        x_t and its velocity, both (B, ...).
    """
    t = t.view(-1, *[1] * (x0.ndim - 1))
    # TODO 1.6a: replace the raise below with your code.
    # Hint: t is (B, 1, ...) now. At t = 0 the point is x0.
    raise NotImplementedError("TODO 1.6a: flow_path")


def flow_loss(model: Callable, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """Conditional flow matching (Lipman et al. 2023, eq. 9; Tong et al. 2024, eq. 4).

        E |model(t, x_t) - (x1 - x0)|^2,    a sum over coordinates, a mean over the batch

    Its minimiser is the mean velocity E[x1 - x0 | x_t].

    Args:
        model: called as model(t, x).
        x0: (B, ...) where the lines start.
        x1: (B, ...) where they end.
        t: (B,) in [0, 1].
    """
    # TODO 1.6b: replace the raise below with your code.
    # Hint: flow_path gives both the input of the model and what it shall predict.
    raise NotImplementedError("TODO 1.6b: flow_loss")


@torch.no_grad()
def flow_sample(model: Callable, x: Tensor, steps: int = 50, reverse: bool = False) -> Tensor:
    """Follow dx/dt = model(t, x) with Heun's method, from t = 0 to 1.

    Args:
        model: called as model(t, x).
        x: (B, ...) where the path starts.
        steps: of equal length.
        reverse: whether to start at t = 1 and walk back to 0.

    Returns:
        (steps + 1, B, ...), all states; the last is the result.
    """
    times = torch.linspace(0, 1, steps + 1).tolist()
    times = times[::-1] if reverse else times
    states = [x]
    for t, t_next in itertools.pairwise(times):
        # TODO 1.6c: replace the raise below with your code.
        # Hint: an Euler step to t_next, then the mean of the velocities at both of its ends. The
        #   step t_next - t is negative on the way back; models want a tensor of times (B,).
        raise NotImplementedError("TODO 1.6c: flow_sample")
    return torch.stack(states)


def ot_coupling(x0: Tensor, x1: Tensor) -> Tensor:
    """Pair two batches by optimal transport (Pooladian et al. 2023; Tong et al. 2024).

    The pairing that minimises sum_i |x0_i - x1_j(i)|^2: lines cross less, so that the flow is
    straighter and the targets of a point agree more. Exact, by POT, at a cost between B^2 and B^3:
    .01 s for 256 points, a second for 2,048.

    Args:
        x0: (B, ...) of one set.
        x1: (B, ...) of the other.

    Returns:
        j: (B,) whole numbers, a permutation: x0[i] belongs to x1[j[i]].

    Raises:
        ValueError: batches of two sizes, or points that are not finite.
    """
    if len(x0) != len(x1):
        raise ValueError(
            f"Batches of {len(x0)} and {len(x1)} points have no pairing; use one size."
        )
    # TODO 1.6d: replace the raise below with your code.
    # Hint: transport_plan(cost) takes a (B, B) cost in float64 NumPy and returns the plan, with
    #   one entry of 1/B in each row. Squared distances: torch.cdist(...) ** 2.
    raise NotImplementedError("TODO 1.6d: ot_coupling")
