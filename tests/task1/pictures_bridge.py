"""The pictures of sde_todo/bridge.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Dots, draws, panels
from tests.task1.pictures_train import chain_of, growing_chain

N = 8


STATES = np.arange(9)


@picture("1.6e")
class Schedules:
    """A constant schedule; one that rises over half of the steps and falls as it rose."""

    def inputs(rng):
        return {"N": 12}

    def probe(N):
        from sde_todo.bridge import gamma_schedule

        return {name: gamma_schedule(name, N) for name in ("constant_0.05", "linear_0.01_0.1")}

    def draw(got, N):
        up = np.linspace(0.01, 0.1, N // 2)
        wants = {
            "constant_0.05": np.full(N, 0.05),
            "linear_0.01_0.1": np.concatenate([up, up[::-1]]),
        }
        parts = [Curves(name, np.arange(N), wants[name], got[name], "step k") for name in wants]
        return panels("Step sizes gamma", *parts)


@picture("1.6f")
class Chains:
    """The clock and the noise of a chain with growing steps, and of its mirror image."""

    def inputs(rng):
        return {"gammas": np.linspace(0.02, 0.3, N), "theta": 0.8} | growing_chain()

    def probe(gammas, theta, **chain):
        from sde_todo.bridge import reference_chain, reverse_chain

        ours, other = reference_chain(gammas.double(), theta), reverse_chain(chain_of(**chain))
        return {"s": ours.s, "q": ours.q, "reverse s": other.s, "reverse q": other.q}

    def draw(got, gammas, theta, s, a, q, sigma):
        k = np.arange(N)
        parts = [
            Curves("reference_chain: s", STATES, s, got["s"], "state"),
            Curves("reference_chain: q", k, q, got["q"], "step"),
            Curves("reverse_chain: s", STATES, 1 - s[::-1], got["reverse s"], "state"),
            Curves("reverse_chain: q", k, q[::-1], got["reverse q"], "step"),
        ]
        return panels("An Ornstein-Uhlenbeck reference", *parts, height=2.2)


def exact_weights(a, q):
    """to_state, to_end and var, (N,) each."""
    A = np.array([a[k + 1 :].prod() for k in range(len(a))])
    V = np.array([(q[k + 1 :] * A[k + 1 :] ** 2).sum() for k in range(len(a))])
    total = V + A**2 * q
    return a * V / total, q * A / total, q * V / total


@picture("1.6g")
class Weights:
    """The share of the end grows to 1 at the last step, where neither state nor noise is left."""

    def inputs(rng):
        return growing_chain(theta=3.0)

    def probe(**chain):
        import torch

        from sde_todo.bridge import bridge_weights

        chain = chain_of(**chain)
        gammas = chain.dt * chain.sigma**2 / 2
        plain = chain._replace(a=torch.ones_like(chain.a), q=2 * gammas)
        names = ("to_state", "to_end", "var")
        out = dict(zip(names, bridge_weights(plain), strict=True))
        pulled = zip(names, bridge_weights(chain), strict=True)
        return out | {f"{name}, OU": value for name, value in pulled}

    def draw(got, s, a, q, sigma):
        plain = exact_weights(np.ones(N), np.diff(s) * sigma**2)
        names = ("to_state", "to_end", "var")
        wants = dict(zip(names, plain, strict=True))
        pulled = zip(names, exact_weights(a, q), strict=True)
        wants |= {f"{name}, OU": value for name, value in pulled}
        parts = [Curves(name, np.arange(N), wants[name], got[name], "step") for name in wants]
        return panels("The next step once the end is known", *parts, columns=3, height=2)


@picture("1.6h")
class MeanMaps:
    """Where each step takes x = 1 on the mean, for a network that gives 1 + 2 s."""

    def inputs(rng):
        chain = growing_chain()
        weights = exact_weights(chain["a"], chain["q"])
        return chain | dict(zip(("to_state", "to_end", "var"), weights, strict=True))

    def probe(to_state, to_end, var, **chain):
        import torch

        from sde_todo import bridge

        chain, x, out = chain_of(**chain), torch.ones(1, 1), {}
        given = (to_state, to_end, var)
        with standins.patched(bridge, bridge_weights=lambda chain: given):
            for method in ("dsb", "sb-fbsde-alt", "tr", "fr"):
                F = bridge.mean_map(method, chain, lambda s, x: 1 + 2 * s[:, None] + 0 * x)
                out[method] = torch.stack([F(k, x) for k in range(chain.N)]).reshape(-1)
        return out

    def draw(got, s, a, q, sigma, to_state, to_end, var):
        p, dt = 1 + 2 * s[:-1], np.diff(s)
        wants = {
            "dsb": 1 + dt * p,
            "sb-fbsde-alt": 1 + dt * sigma * p,
            "tr": to_state + to_end * p,
            "fr": to_state + to_end * (1 + (1 - s[:-1]) * p),
        }
        parts = [Curves(name, np.arange(N), wants[name], got[name], "step") for name in wants]
        return panels("The mean of the next state", *parts, height=2.2)


@picture("1.6i")
class Walks:
    """Two points under a given map and given noise: the states, and the means they came from."""

    def inputs(rng):
        return growing_chain() | {"x": np.array([[2.0], [-1.0]]), "z": rng.normal(size=(N, 1, 1))}

    def probe(x, z, **chain):
        from sde_todo.bridge import simulate

        drawn = iter(z)

        def noise(x):
            return next(drawn) + 0 * x

        states, means = simulate(chain_of(**chain), lambda k, x: 0.9 * x + 0.1 * k, x, noise)
        return {"states": states, "means": means}

    def draw(got, s, a, q, sigma, x, z):
        states, means = [x], []
        for k in range(N):
            means.append(0.9 * states[-1] + 0.1 * k)
            states.append(means[-1] + np.sqrt(q[k]) * z[k])
        mine = {"states": draws(got["states"], (N + 1, 2, 1))[..., 0]}
        mine["means"] = draws(got["means"], (N, 2, 1))[..., 0]
        parts = [
            Curves("states", STATES, np.stack(states)[..., 0], mine["states"], "state"),
            Curves("means", np.arange(N), np.stack(means)[..., 0], mine["means"], "step"),
        ]
        return panels("A chain with noise", *parts)


@picture("1.6j")
class Pinned:
    """Paths between 2 and -1 are sure of both ends, and spread most in the middle."""

    def inputs(rng):
        chain = growing_chain(0)
        weights = exact_weights(chain["a"], chain["q"])
        return chain | dict(zip(("to_state", "to_end", "var"), weights, strict=True))

    def probe(to_state, to_end, var, **chain):
        import torch

        from sde_todo import bridge

        given, n = (to_state, to_end, var), 6000
        with standins.patched(bridge, bridge_weights=lambda chain: given):
            states = bridge.draw_between(
                chain_of(**chain), torch.full((n, 1), 2.0), torch.full((n, 1), -1.0)
            )
        return {"moments": torch.stack([states[..., 0].mean(1), states[..., 0].std(1)], 1)}

    def draw(got, s, a, q, sigma, to_state, to_end, var):
        mean, std = draws(got["moments"], (N + 1, 2)).T
        exact, spread = 2 - 3 * s, sigma * np.sqrt(s * (1 - s))
        want = np.column_stack([exact - 2 * spread, exact, exact + 2 * spread])
        mine = np.column_stack([mean - 2 * std, mean, mean + 2 * std])
        part = Curves("mean and ± 2 std of 6,000 paths", s, want, mine, "s", band=True)
        return panels("Brownian motion between given ends", part, columns=1)


@picture("1.6k")
class NextMaps:
    """The map of step k at the state after the step, for two paths."""

    def inputs(rng):
        return {"states": rng.normal(size=(N + 1, 2, 1)).cumsum(0)}

    def probe(states):
        from sde_todo.bridge import maps_at_next

        return {"out": maps_at_next(lambda k, x: (1 + 0.2 * k) * x + k, states)}

    def draw(got, states):
        k = np.arange(N)
        want = (1 + 0.2 * k[:, None]) * states[1:, :, 0] + k[:, None]
        out = draws(got["out"], (N, 2, 1))[..., 0]
        part = Curves("(1 + 0.2 k) x + k at the next state", k, want, out, "step k")
        return panels("A map at the next state", part, columns=1)


@picture("1.6l")
class Targets:
    """What the other direction learns after each step of one path, for every method."""

    def inputs(rng):
        path = 2 + 0.8 * rng.normal(size=N + 1).cumsum()
        k = np.arange(N)
        pairs = {"x": path[1:], "previous": path[:-1], "start": np.full(N, path[0])}
        pairs |= {"mean": 0.8 * path[:-1] + 0.1 * k, "mean_next": 0.8 * path[1:] + 0.1 * k}
        return growing_chain() | {"k": k} | {name: v[:, None] for name, v in pairs.items()}

    def probe(s, a, q, sigma, **pairs):
        from sde_todo import bridge

        chain, pairs = chain_of(s, a, q, sigma), bridge.Pairs(**pairs)
        methods = ("dsb", "sdsb", "sb-fbsde-alt", "tr", "fr")
        out = {method: bridge.target(method, chain, pairs) for method in methods}
        return out | {"fr, published": bridge.target("fr", chain, pairs, published=True)}

    def draw(got, s, a, q, sigma, k, x, previous, start, mean, mean_next):
        x, previous, start, mean, after = (v[:, 0] for v in (x, previous, start, mean, mean_next))
        dt = np.diff(s)
        wants = {
            "dsb": (mean - after) / dt,
            "sdsb": (previous - x) / dt,
            "sb-fbsde-alt": (after - x) / (dt * sigma),
            "tr": start,
            "fr": (start - x) / s[1:],
            "fr, published": (start - x) * N / (k + 1),
        }
        parts = []
        for name, want in wants.items():
            yours = draws(got[name], (N, 1))[:, 0]
            parts.append(Curves(name, k, want, yours, "step"))
        return panels("The target of each method", *parts, columns=3, height=2)


@picture("1.6m")
class Batch:
    """The third batch of a cache of ten columns: each entry is a pair of its own column."""

    def inputs(rng):
        order = np.stack([rng.permutation(3 * N) for _ in range(10)])
        states = rng.normal(size=(N + 1, 3, 10, 1)).cumsum(0)
        return growing_chain() | {"order": order, "states": states}

    def probe(order, states, **chain):
        from sde_todo import bridge

        def target(method, chain, pairs, published=False):
            return pairs.start + 0 * pairs.x

        with standins.patched(bridge, target=target):
            s, x, y, k = bridge.Cache("tr", chain_of(**chain), order, states).batch(2)
        return {"k": k, "s": s, "x": x, "y": y}

    def draw(got, s, a, q, sigma, order, states):
        row, k = np.divmod(order[:, 2], N)
        column = np.arange(10)
        x, y = (draws(got[name], (10, 1))[:, 0] for name in ("x", "y"))
        parts = [
            Dots("k", column, k, got["k"], "entry"),
            Dots("s", column, 1 - s[k + 1], got["s"], "entry"),
            Dots("x", column, states[k + 1, row, column, 0], x, "entry"),
            Dots("y: the start (toy target)", column, states[0, row, column, 0], y, "entry"),
        ]
        return panels("A batch of pairs", *parts, height=2.1)


class Diary:
    """A run that notes which direction learns, on which batch of which cache."""

    rounds, iters, refresh_every = 2, 6, 3

    def __init__(self):
        self.lines = []

    def collect(self, name, half, i):
        return Page(name == "forward", half * self.iters + i)

    def fit(self, name, batch):
        self.lines.append([name == "forward", *batch])
        return 0.0


class Page:
    """A cache whose batches say who was simulated, from which step on, and their own number."""

    def __init__(self, simulated, begin):
        self.simulated, self.begin = simulated, begin

    def batch(self, i):
        return self.simulated, self.begin, i


@picture("1.6n")
class Turns:
    """Forward learns for six steps, then backward; the other one is simulated every three."""

    def inputs(rng):
        return {"steps": np.arange(24)}

    def probe(steps):
        import torch

        from sde_todo.bridge import train_bridge

        run = Diary()
        for _ in train_bridge(run):
            pass
        return {"lines": torch.tensor(run.lines, dtype=torch.float32)}

    def draw(got, steps):
        learns, simulated, begin, i = draws(got["lines"], (24, 4)).T
        half = steps // 6
        parts = [
            Dots("learns (1: forward)", steps, 1 - half % 2, learns, "step"),
            Dots("simulated (1: forward)", steps, half % 2, simulated, "step"),
            Dots("step at which its cache began", steps, steps - steps % 3, begin, "step"),
            Dots("number of the batch", steps, steps % 3, i, "step"),
        ]
        return panels("Two rounds", *parts, height=2.1)
