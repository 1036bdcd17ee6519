"""The pictures of sde_todo/flow.py: what was expected beside what came."""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Places, draws, panels

N = 8


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
