"""Task 1.6, second part: Schrödinger bridges between any two sets: `python -m sde_todo bridge`.

A bridge is a pair of chains: "forward" carries the source p0 to the target p1, "backward" carries
p1 to p0, and both are the same process seen from its two ends. Each direction is written in a clock
of its own: its chain starts at x_0 and ends at x_N, whichever of the two sets that is. Everything
then exists once. One round, for either direction, is

    simulate the other direction -> targets at its states -> fit -> swap the directions.

The reference is dX = sigma dW with sigma^2 = 2 sum_k gamma_k where nothing else is said. Sources:
De Bortoli et al. 2021 (DSB; its "b", which generates data, is our forward direction), Tang et al.
2024 (simplified DSB and its reparameterisations), Shi et al. 2023 (DSBM).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from given.bridges.methods import check_iterative

MeanMap: TypeAlias = Callable[[int, Tensor], Tensor]  # (k, x_k) -> mean of x_{k+1}


def gamma_schedule(text: str, N: int) -> Tensor:
    """The step sizes gamma_k of a chain, from the text of a command line.

    "constant_G" is G in every step. "linear_A_B" rises from A to B over the first half of the
    steps, then falls from B to A: small steps at both ends, where the data are sharp.

    Args:
        text: such as "constant_0.02" or "linear_0.001_0.02".
        N: number of steps, even.

    Returns:
        (N,) float64 tensor.

    Raises:
        ValueError: N is odd or below 2, or the text cannot be read.
    """
    if N % 2 or not 2 <= N <= 10**6:
        raise ValueError(f"N = {N}: the number of steps must be even, at least 2, at most 10^6.")
    kind, ends = _read_schedule(text)
    # TODO 1.6e: replace the raise below with your code.
    # Hint: ends is [G] or [A, B], all floats. torch.linspace has N // 2 numbers for a half;
    #   flip(0) is its mirror image.
    raise NotImplementedError("TODO 1.6e: gamma_schedule")


def _read_schedule(text):
    kind, *numbers = str(text).split("_")
    try:
        ends = [float(number) for number in numbers]
    except ValueError:
        ends = []
    if len(ends) != {"constant": 1, "linear": 2}.get(kind) or not all(0 < g < 1e3 for g in ends):
        raise ValueError(
            f"Cannot read the schedule {text!r}; write constant_G or linear_A_B with numbers above "
            f"0, as in linear_0.001_0.02."
        )
    return kind, ends


class Chain(NamedTuple):
    """A linear reference chain x_{k+1} = a_k x_k + sqrt(q_k) z, in the clock of one direction.

    s: (N + 1,) times of the states, 0 to 1. a, q: (N,). All float64. sigma: of its noise, a number.
    """

    s: Tensor
    a: Tensor
    q: Tensor
    sigma: float

    @property
    def N(self) -> int:
        return len(self.a)

    @property
    def dt(self) -> Tensor:
        """(N,) lengths of the steps, 1 together."""
        return self.s.diff()


def reference_chain(gammas: Tensor, theta: float = 0.0) -> Chain:
    """The reference process as a chain, its time running as fast as its noise comes.

        dX = -theta X dt + sigma dW,    sigma^2 = 2 sum_k gamma_k,    dt_k = gamma_k / sum gamma

    Each step is exact, so that the Ornstein-Uhlenbeck process keeps its stationary variance.

    Args:
        gammas: (N,) of `gamma_schedule`.
        theta: 0 for Brownian motion, where q_k = 2 gamma_k.
    """
    # TODO 1.6f: replace the raise below with your code.
    # Hint: Brownian motion: a = 1, q = 2 gamma. For theta > 0: a = exp(-theta dt), and q is what
    #   an OU process gains in dt: sigma^2 (1 - a^2) / (2 theta). s starts with 0.
    raise NotImplementedError("TODO 1.6f: reference_chain")


def reverse_chain(chain: Chain) -> Chain:
    """The same reference seen from its other end; valid as both processes are reversible."""
    # TODO 1.6f: replace the raise below with your code.
    # Hint: the other direction meets the steps in the opposite order, and its clock is 1 - s.
    raise NotImplementedError("TODO 1.6f: reverse_chain")


def bridge_weights(chain: Chain) -> tuple[Tensor, ...]:
    """What the reference does in its next step, once its end is known.

        E[x_{k+1} | x_k, x_N] = to_state_k x_k + to_end_k x_N,    Var = var_k

    With x_N | x_{k+1} ~ N(A x_{k+1}, V), A and V gathered over the steps after k, it is the product
    of two Gaussians in x_{k+1}. For Brownian motion to_end_k = gamma_k / sum_{j>=k} gamma_j.

    Returns:
        to_state, to_end, var: (N,) each. The last step goes to the end: 0, 1, 0.
    """
    # TODO 1.6g: replace the raise below with your code.
    # Hint: from the last step to the first: A_{k-1} = A_k a_k, V_{k-1} = V_k + A_k^2 q_k, from
    #   A = 1, V = 0. Then to_end = q A / (V + A^2 q), to_state = a V / (V + A^2 q).
    raise NotImplementedError("TODO 1.6g: bridge_weights")


def mean_map(method: str, chain: Chain, model: Callable, published: bool = False) -> Callable:
    """The mean map of a network's chain: F(k, x) = E[x_{k+1} | x_k = x], to which noise is added.

    What the network predicts depends on the method:

        dsb, sdsb:     a drift p,                  F = x + dt_k p
        sb-fbsde-alt:  a policy p,                 F = x + dt_k sigma p
        tr:            the end p,                  F = to_state_k x + to_end_k p
        fr, dsbm:      the velocity p to the end,  F as in tr, with the end x + (1 - s_k) p

    Args:
        method: one of `given.bridges.methods.ITERATIVE`.
        chain: of this direction.
        model: called as model(s, x) with s (B,), x (B, ...).
        published: the step 1/(N - k) of Tang et al. 2024 instead of to_end_k, and the time
            left (N - k)/N instead of 1 - s_k; both are right for a constant gamma alone.
    """
    check_iterative(method)
    s, dt, left, to_state, to_end = _step_numbers(chain, published)

    def F(k, x):
        p = model(x.new_full((len(x),), s[k]), x)
        # TODO 1.6h: replace the raise below with your code.
        # Hint: four cases. dt[k], chain.sigma, left[k], to_state[k] and to_end[k] are numbers.
        raise NotImplementedError("TODO 1.6h: mean_map.F")

    return F


def _step_numbers(chain, published):
    """s, dt, time left, to_state and to_end of `mean_map`: lists of numbers, one a step."""
    to_state, to_end, _ = bridge_weights(chain)
    left = 1 - chain.s[:-1]
    if published:
        left = torch.arange(chain.N, 0, -1).to(chain.s) / chain.N
        to_end = 1 / (chain.N * left)
        to_state = 1 - to_end
    return [v.tolist() for v in (chain.s, chain.dt, left, to_state, to_end)]


def reference_map(chain: Chain) -> Callable:
    """The mean map of the reference itself, from which the first round starts."""
    return lambda k, x: float(chain.a[k]) * x


def simulate(
    chain: Chain, F: Callable, x: Tensor, noise: Callable = torch.randn_like
) -> tuple[Tensor, Tensor]:
    """Walk a chain from x: x_{k+1} = F(k, x_k) + sqrt(q_k) z.

    Args:
        chain: whose q is taken.
        F: its mean map.
        x: (B, ...) where it starts.
        noise: called as noise(x), returns z of the shape of x.

    Returns:
        states (N + 1, B, ...), and the means F(k, x_k) (N, B, ...).
    """
    states, means = [x], []
    for k in range(chain.N):
        # TODO 1.6i: replace the raise below with your code.
        # Hint: append F(k, states[-1]) to means, and the next state to states.
        raise NotImplementedError("TODO 1.6i: simulate")
    return torch.stack(states), torch.stack(means)


def draw_between(
    chain: Chain, start: Tensor, end: Tensor, noise: Callable = torch.randn_like
) -> Tensor:
    """States of the reference between given ends (Shi et al. 2023, reciprocal projection).

        x_{k+1} = to_state_k x_k + to_end_k x_N + sqrt(var_k) z

    Args:
        chain: the reference.
        start: (B, ...) the state x_0.
        end: (B, ...) the state x_N.
        noise: as in `simulate`.

    Returns:
        (N + 1, B, ...), whose first and last are start and end.
    """
    # TODO 1.6j: replace the raise below with your code.
    # Hint: bridge_weights(chain), one loop. var of the last step is 0 and to_end is 1.
    raise NotImplementedError("TODO 1.6j: draw_between")


def maps_at_next(F: Callable, states: Tensor) -> Tensor:
    """F(k, x_{k+1}), the mean map of each step taken at the state after it, (N, B, ...).

    Args:
        F: mean map of the simulated direction.
        states: (N + 1, B, ...) from `simulate`.
    """
    # TODO 1.6k: replace the raise below with your code.
    # Hint: step k of F at states[k + 1], for k from 0 to N - 1.
    raise NotImplementedError("TODO 1.6k: maps_at_next")


class Pairs(NamedTuple):
    """What one step of a simulated chain says to the other direction, which walks it back.

    k: (B,) number of the step. x: (B, ...) the state x_{k+1}, at which the other direction acts.
    previous, start: the states x_k and x_0. mean, mean_next: F(k, x_k) and F(k, x_{k+1}), where
    the method asks for them, else None.
    """

    k: Tensor
    x: Tensor
    previous: Tensor
    start: Tensor
    mean: Any = None
    mean_next: Any = None


def target(method: str, chain: Chain, pairs: Pairs, published: bool = False) -> Tensor:
    """What the network of the other direction shall predict at the states x_{k+1}.

    It is the mean (a) of its step back, written as a drift (mean - x_{k+1}) / dt_k, or (b) the end
    that it walks to, as a velocity (x_0 - x_{k+1}) / time left for fr:

        dsb:       (a) x_{k+1} + F_k(x_k) - F_k(x_{k+1})    (De Bortoli et al. 2021, prop. 3)
        sdsb:      (a) x_k                                  (Tang et al. 2024, section 4)
        tr:        (b) x_0                fr, dsbm: (b) as a velocity

    For sb-fbsde-alt it is the policy of the simulated direction there, which `SBALoss` wants:
    (F_k(x_{k+1}) - x_{k+1}) / (sigma dt_k).

    Args:
        method: see `mean_map`.
        chain: of the simulated direction.
        pairs: of its steps.
        published: see `mean_map`.

    Returns:
        (B, ...).
    """
    check_iterative(method)
    k, x, previous, start, mean, mean_next = pairs
    shape = (-1, *[1] * (x.ndim - 1))
    dt = chain.dt.to(x)[k].view(shape)
    left = chain.s[1:].to(x)[k].view(shape)  # to the other direction, at x_{k+1}
    if published:
        left = ((k + 1) / chain.N).to(x).view(shape)
    # TODO 1.6l: replace the raise below with your code.
    # Hint: dt and left are (B, 1, ...). In the drift of dsb, x_{k+1} cancels.
    raise NotImplementedError("TODO 1.6l: target")


class Cache:
    """Trajectories of one direction as batches for the other; every pair is used, and once.

    Trajectories come in `rows` of a batch: entry b of every batch is filled from the rows * N pairs
    of column b alone, in a random order of its own. A batch then never holds a trajectory twice,
    and several processes that share its columns see what a single one would see.

    Args:
        method: see `target`.
        chain: of the simulated direction.
        order: (B, rows * N), a permutation in each of its lines.
        states: (N + 1, rows, B, ...).
        means: (N, rows, B, ...) of the steps, or None.
        means_next: (N, rows, B, ...) of `maps_at_next`, or None.
        published: see `target`.
    """

    def __init__(
        self,
        method: str,
        chain: Chain,
        order: Tensor,
        states: Tensor,
        means: Tensor | None = None,
        means_next: Tensor | None = None,
        published: bool = False,
    ) -> None:
        self.method, self.chain, self.published = method, chain, published
        self.order, self.states, self.means, self.means_next = order, states, means, means_next

    def __len__(self) -> int:
        return self.order.shape[1]

    def batch(self, i: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The i-th batch, again from the first after the last: times s (B,), states x, y, k.

        s is in the clock of the trained direction.
        y (B, ...) is the `target`, k (B,) the number of the simulated step.
        """
        column = torch.arange(len(self.order), device=self.order.device)
        i = i % len(self)
        # TODO 1.6m: replace the raise below with your code.
        # Hint: order[:, i] counts pairs: row = it // N, step k = it % N. The pair's states are
        #   states[k + 1, row, column], states[k, row, column] and states[0, row, column]. What is
        #   s of the simulated direction is 1 - s of the trained one.
        raise NotImplementedError("TODO 1.6m: Cache.batch")


def train_bridge(run: Any, first: int = 0) -> Iterator[tuple[int, Tensor]]:
    """Iterative proportional fitting: in turn, each direction learns from the other's trajectories.

    Args:
        run: has the numbers `rounds`, `iters` (steps of a direction in a round) and `refresh_every`
            (steps between two caches), and the functions `collect(name, half, i)`, which simulates
            a direction and returns its Cache, and `fit(name, batch)`, one optimization step.
            Half-round number `half` counts from 0, step i within it from 0.
        first: step to start from; in the middle of a cache, that cache is collected once more.

    Yields:
        the number of the step (over all rounds and both directions) and its loss.
    """
    for step in range(first, 2 * run.rounds * run.iters):
        half, i = divmod(step, run.iters)
        # TODO 1.6n: replace the raise below with your code.
        # Hint: half-rounds 0, 2, ... train "forward" on trajectories of "backward", the others the
        #   reverse. A cache that began at step i - since is asked for batch number since.
        raise NotImplementedError("TODO 1.6n: train_bridge")
