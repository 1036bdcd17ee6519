"""The pictures of Task 1.6: flows and Schrödinger bridges. See pictures.py.

Every probe depends on the code of its own task alone; what comes before is stood in for.
"""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Dots, Histogram, Places, draws, normal, panels

N, STATES = 8, np.arange(9)


def line(x0, x1, t):
    """A stand-in for flow_path."""
    t = t.reshape(-1, *[1] * (x0.ndim - 1))
    return x0 + t * (x1 - x0), x1 - x0


@picture("1.6a")
class Lines:
    """From a ring of points each line leads to the right; x_t is on its way, further as t grows."""

    def inputs(rng):
        angle = np.arange(12) * np.pi / 6
        x0 = np.stack([np.cos(angle), np.sin(angle)], 1)
        x1 = 0.6 * x0 + np.stack([4 + 0.2 * np.sin(5 * angle), 0.4 * np.cos(angle)], 1)
        return {"x0": x0, "x1": x1, "t": np.linspace(0.05, 0.95, 12)}

    def probe(x0, x1, t):
        from sde_todo.flow import flow_path

        point, velocity = flow_path(x0, x1, t)
        return {"point": point, "velocity": velocity}

    def draw(got, x0, x1, t):
        point, velocity = (draws(got[name], x0.shape) for name in ("point", "velocity"))
        parts = [
            Places("x_t", x0 + t[:, None] * (x1 - x0), point, x0),
            Places("x_0 + velocity", x1, x0 + velocity, x0),
        ]
        return panels("Lines between two sets", *parts, height=2.9)


@picture("1.6b")
class FlowParabola:
    """The loss of a velocity that is c everywhere is a parabola, least at the mean velocity."""

    def inputs(rng):
        x0, x1 = rng.normal(size=(60, 2)), 0.5 * rng.normal(size=(60, 2)) + 1.5
        return {"x0": x0, "x1": x1, "t": rng.uniform(0, 1, 60), "c": np.linspace(-1, 4, 17)}

    def probe(x0, x1, t, c):
        import torch

        from sde_todo import flow

        with standins.patched(flow, flow_path=line):
            losses = [flow.flow_loss(lambda t, x, v=v: v + 0 * x, x0, x1, t) for v in c.tolist()]
        return {"loss": torch.stack(losses)}

    def draw(got, x0, x1, t, c):
        want = ((c[:, None, None] - (x1 - x0)) ** 2).sum(2).mean(1)
        part = Curves("loss of the velocity (c, c)", c, want, got["loss"], "c")
        return panels("Conditional flow matching", part, columns=1)


@picture("1.6c")
class FlowWay:
    """Heun's steps stay on the exact solution, from t = 0 to 1 and back from 1 to 0."""

    def inputs(rng):
        return {"x": np.array([[2.0], [1.0], [-1.5]]), "steps": N}

    def probe(x, steps):
        from sde_todo.flow import flow_sample

        def model(t, x):
            return -0.8 * (1 + 2 * t[:, None]) * x

        ways = {"forward": False, "back": True}
        return {name: flow_sample(model, x, steps, reverse) for name, reverse in ways.items()}

    def draw(got, x, steps):
        times, parts = np.linspace(0, 1, steps + 1), []
        for name, clock in (("forward", times), ("back", times[::-1])):
            factor = [1.0]
            for t, after in itertools.pairwise(clock):
                dt, slope, later = after - t, -0.8 * (1 + 2 * t), -0.8 * (1 + 2 * after)
                factor.append(factor[-1] * (1 + dt * (slope + later * (1 + dt * slope)) / 2))
            want = np.array(factor)[:, None] * x[:, 0]
            yours = draws(got[name], (steps + 1, 3, 1))[..., 0]
            fine = np.linspace(clock[0], clock[-1], 60)
            exact = 2 * np.exp(-0.8 * (fine + fine**2 - clock[0] - clock[0] ** 2))
            parts.append(Curves(name, clock, want, yours, "t", exact=(fine, exact)))
        return panels("Three points follow a velocity", *parts)


@picture("1.6d")
class Pairing:
    """The lines to the partners of least cost hardly cross; every partner is taken once."""

    def inputs(rng):
        x0 = rng.normal(size=(14, 2))
        return {"x0": x0, "x1": rng.normal(size=(14, 2)) * [0.5, 1.5] + [4.0, 0.0]}

    def probe(x0, x1):
        from sde_todo.flow import ot_coupling

        return {"j": ot_coupling(x0, x1)}

    def draw(got, x0, x1):
        j = np.clip(np.nan_to_num(draws(got["j"], (14,))), 0, 13).astype(int)
        best = linear_sum_assignment(((x0[:, None] - x1) ** 2).sum(2))[1]
        part = Places("x0 (black) and its partner", x1[best], x1[j], x0)
        return panels("Pairs by optimal transport", part, columns=1, height=3.6)


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


def growing_chain(theta=0.8):
    """The parts of a chain whose steps grow, so that its mirror image is another one."""
    gammas = np.linspace(0.02, 0.3, N)
    dt = gammas / gammas.sum()
    a = np.exp(-theta * dt)
    q = (1 - a**2) * gammas.sum() / theta if theta else 2 * gammas
    s = np.concatenate([[0.0], dt.cumsum()])
    return {"s": s, "a": a, "q": q, "sigma": float(np.sqrt(2 * gammas.sum()))}


def chain_of(s, a, q, sigma):
    from sde_todo.bridge import Chain

    return Chain(s.double(), a.double(), q.double(), sigma)


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
    """The map of step k at the state behind the step, for two paths."""

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
    """What the other direction learns behind each step of one path, for every method."""

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


def trace_div(y, x, method="exact", noise="rademacher"):
    """A stand-in for get_div."""
    import torch

    rows = [torch.autograd.grad(y[:, i].sum(), x, create_graph=True)[0] for i in range(y.shape[1])]
    return torch.stack(rows, 1).diagonal(dim1=1, dim2=2).sum(1)


def policy_inputs(rng):
    """Points of N(0, I), the weights of their steps, and factors c of the policy c x."""
    dt = rng.uniform(0.05, 0.15, 200)
    return {"x": rng.normal(size=(200, 2)), "dt": dt, "g": 1.5, "c": np.linspace(-4, 1, 17)}


@picture("1.6o")
class AlternatingParabola:
    """With z_other = x/2 the loss of z = c x is least near c = -2: both add up to g score."""

    inputs = policy_inputs

    def probe(x, dt, g, c):
        import torch

        from sde_todo import loss

        x.requires_grad_()
        f, other = loss.SBALoss("exact"), (0.5 * x).detach()
        with standins.patched(loss, get_div=trace_div):
            losses = [f(dt, x, factor * x, other, g) for factor in c.tolist()]
        return {"loss": torch.stack(losses)}

    def draw(got, x, dt, g, c):
        square = (x**2).sum(1)[:, None]
        want = (dt[:, None] * (square * c * (c / 2 + 0.5) + 2 * g * c)).mean(0)
        part = Curves("loss of z = c x, for points of N(0, I), g = 1.5", c, want, got["loss"], "c")
        return panels("The alternating loss", part, columns=1)


@picture("1.6p")
class JointParabola:
    """With z = x/2 the loss of z_other = c x is least near c = -2: both add up to g score."""

    def inputs(rng):
        return policy_inputs(rng) | {"log_q": rng.normal(size=20) - 3}

    def probe(x, dt, g, c, log_q):
        import torch

        from sde_todo import loss

        x.requires_grad_()
        f = loss.SBJLoss("exact")
        with standins.patched(loss, get_div=trace_div):
            losses = [f(dt, x, 0.5 * x, factor * x, g, log_q) for factor in c.tolist()]
        return {"loss": torch.stack(losses)}

    def draw(got, x, dt, g, c, log_q):
        square = (x**2).sum(1)[:, None]
        each = dt[:, None] * (square * (c + 0.5) ** 2 / 2 + 2 * g * c)
        want = each.sum(0) / 20 - log_q.mean()
        part = Curves("loss of z_other = c x along 20 paths", c, want, got["loss"], "c")
        return panels("The joint loss", part, columns=1)


@picture("1.6q")
class PoliciesInTheStep:
    """What a step hands to its loss: policies at the right states, each on its own clock."""

    def inputs(rng):
        return growing_chain() | {"x": np.linspace(-2, 2, 9)[:, None], "time": np.linspace(0, 1, 9)}

    def probe(x, time, **chain):
        import torch

        from sde_todo import train

        policy = standins.LinearNet(torch.eye(1), torch.ones(1))
        other = standins.LinearNet(-torch.eye(1), 2 * torch.ones(1))
        opt, chain, seen = torch.optim.SGD(policy.parameters(), 0.0), chain_of(**chain), {}

        def walk(x):
            return torch.stack([x + k for k in range(chain.N + 1)])

        def note(name):
            def loss(dt, x, z, z_other, *rest):
                seen.update({f"{name} z": z.detach(), f"{name} other": z_other.detach()})
                return (z**2).sum()

            return loss

        train.get_sb_step_fn(policy, opt, note("alternating"), chain)((time, time, x, -x))
        options = {"other": other, "prior_logp": lambda x: x[:, 0], "walk": walk}
        train.get_sb_step_fn(policy, opt, note("joint"), chain, **options)(x[4:5])
        return {name: seen[name] for name in ("alternating z", "joint z", "joint other")}

    def draw(got, s, a, q, sigma, x, time):
        k = np.arange(1, N + 1)
        wants = {
            "alternating z": (x[:, 0], x[:, 0] + time, "x"),
            "joint z": (k, k + s[:-1], "state"),
            "joint other": (k, -k + 2 * (1 - s[1:]), "state"),
        }
        parts = []
        for name, (place, want, label) in wants.items():
            yours = draws(got[name], (len(place), 1))[:, 0]
            parts.append(Curves(name, place, want, yours, label))
        return panels("One step of SB-FBSDE", *parts, columns=3, height=2.2)


def potential(rng):
    """The parameters of a potential with three components in the plane."""
    below = np.zeros((3, 2, 2))
    below[:, 1, 0] = [0.5, -0.4, 0.3]
    return {
        "eps": 0.5,
        "log_alpha": np.array([0.0, 0.7, -0.5]),
        "r": np.array([[-2.0, 0.5], [0.5, -1.0], [2.0, 1.0]]),
        "log_diagonal": np.array([[-0.4, 0.0], [0.1, -0.3], [-0.6, -0.2]]),
        "below": below,
    }


def light_sb(eps, log_alpha, r, log_diagonal, below):
    import torch

    from sde_todo.light_sb import LightSB

    model = LightSB(eps, *r.shape)
    with torch.no_grad():
        for name, value in (("log_alpha", log_alpha), ("r", r), ("log_diagonal", log_diagonal)):
            getattr(model, name).copy_(value)
        model.below.copy_(below)
    return model


def covariances(log_diagonal, below):
    """S of each component, (3, 2, 2)."""
    L = np.tril(below, -1) + np.exp(log_diagonal)[:, :, None] * np.eye(2)
    return L @ L.transpose(0, 2, 1)


def along(u):
    """Points (n, 2) of a line."""
    return np.stack([u, 0.4 * u], 1)


@picture("1.6r")
class Potential:
    """log v along a line: three parabolas, joined where the next component takes over."""

    def inputs(rng):
        return potential(rng) | {"u": np.linspace(-4, 4, 25)}

    def probe(u, **parameters):
        import torch

        y = torch.stack([u, 0.4 * u], 1)
        return {"log_v": light_sb(**parameters).log_v(y)}

    def draw(got, u, eps, log_alpha, r, log_diagonal, below):
        S, away = eps * covariances(log_diagonal, below), along(u)[:, None] - r
        inner = np.einsum("bki,kij,bkj->bk", away, np.linalg.inv(S), away)
        logs = log_alpha - inner / 2 - np.linalg.slogdet(2 * np.pi * S)[1] / 2
        part = Curves("along the line y = (u, 0.4 u)", u, logsumexp(logs, 1), got["log_v"], "u")
        return panels("The potential of LightSB", part, columns=1)


@picture("1.6s")
class PlanWeights:
    """The log weight of each of three components along a line, and the loss of scaled weights."""

    def inputs(rng):
        points = {"x0": rng.normal(size=(30, 2)), "x1": rng.normal(size=(20, 2))}
        return potential(rng) | points | {"u": np.linspace(-2, 2, 25), "c": np.linspace(-2, 2, 13)}

    def probe(u, c, x0, x1, **parameters):
        import torch

        model = light_sb(**parameters)
        weights = model.log_weights(torch.stack([u, 0.4 * u], 1))
        losses = []
        for factor in c.tolist():
            model.log_weights = lambda x, factor=factor: factor * x @ parameters["r"].T
            model.log_v = lambda y, factor=factor: factor * y[:, 0] - 1
            losses.append(model.loss(x0, x1))
        return {"weights": weights, "loss": torch.stack(losses)}

    def draw(got, u, c, x0, x1, eps, log_alpha, r, log_diagonal, below):
        x, S = along(u), covariances(log_diagonal, below)
        square = np.einsum("bi,kij,bj->bk", x, S, x)
        want = log_alpha + (square + 2 * x @ r.T) / (2 * eps)
        normaliser = logsumexp(c[:, None, None] * (x0 @ r.T), 2).mean(1)
        loss = normaliser - (c * x1[:, 0].mean() - 1)
        parts = [
            Curves("log_weights at x = (u, 0.4 u)", u, want, draws(got["weights"], (25, 3)), "u"),
            Curves("loss of toy weights, scaled by c", c, loss, got["loss"], "c"),
        ]
        return panels("The weights of the plan", *parts)


@picture("1.6t")
class PlanDraws:
    """Draws of the plan at one x, in each coordinate: a Gaussian for each component."""

    def inputs(rng):
        return potential(rng) | {"x": np.array([0.6, -0.4]), "n": 8000}

    def probe(x, n, **parameters):
        import torch

        model = light_sb(**parameters)
        even = torch.tensor([0.3, 0.3, 0.4]).log() + 1
        model.log_weights = lambda x: even.expand(len(x), 3)
        return {"draws": model.sample(x.expand(n, 2))}

    def draw(got, x, n, eps, log_alpha, r, log_diagonal, below):
        S, drawn, parts = covariances(log_diagonal, below), draws(got["draws"], (n, 2)), []
        means = r + S @ x
        for i in range(2):
            std = np.sqrt(eps * S[:, i, i])
            low, high = (means[:, i] - 4.5 * std).min(), (means[:, i] + 4.5 * std).max()
            place = np.linspace(low, high, 300)
            density = np.array([0.3, 0.3, 0.4]) @ normal(place, means[:, i : i + 1], std[:, None])
            parts.append(Histogram(f"$y_{i + 1}$", drawn[:, i], place, density, f"$y_{i + 1}$"))
        return panels("Draws of the plan given x", *parts)
