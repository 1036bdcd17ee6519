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
    # BEGIN SOLUTION 1.6a
    # Hint: t is (B, 1, ...) now. At t = 0 the point is x0.
    return (1 - t) * x0 + t * x1, x1 - x0
    # END SOLUTION


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
    # BEGIN SOLUTION 1.6b
    # Hint: flow_path gives both the input of the model and what it shall predict.
    x_t, velocity = flow_path(x0, x1, t)
    return (model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean()
    # END SOLUTION


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
        # BEGIN SOLUTION 1.6c
        # Hint: an Euler step to t_next, then the mean of the velocities at both of its ends. The
        #   step t_next - t is negative on the way back; models want a tensor of times (B,).
        x, dt = states[-1], t_next - t
        v = model(x.new_full((len(x),), t), x)
        v_next = model(x.new_full((len(x),), t_next), x + dt * v)
        states.append(x + 0.5 * dt * (v + v_next))
        # END SOLUTION
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
    # BEGIN SOLUTION 1.6d
    # Hint: transport_plan(cost) takes a (B, B) cost in float64 NumPy and returns the plan, with
    #   one entry of 1/B in each row. Squared distances: torch.cdist(...) ** 2.
    cost = torch.cdist(x0.flatten(1).cpu().double(), x1.flatten(1).cpu().double()) ** 2
    plan = transport_plan(cost.numpy())
    return torch.from_numpy(plan.argmax(1)).to(x0.device)
    # END SOLUTION
