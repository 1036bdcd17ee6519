"""The pictures of sde_todo/sampling.py: what was expected beside what came."""

import itertools

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import (
    Curves,
    Dots,
    Histogram,
    draws,
    normal,
    panels,
)
from tests.task1.test_sampling import call_step, given_weights, mean_after, variance_after

START = 2.0
T = 3.0
N = 25


@picture("1.3a")
class GridTimes:
    """The clock s over the steps: evenly for rho = 1; for rho = 3 slowly near the data."""

    def inputs(rng):
        return {"eps": 0.05}

    def probe(eps):
        from sde_todo.sampling import time_grid

        return {"even": time_grid(3.0, eps, 12), "dense": time_grid(3.0, eps, 12, rho=3.0)}

    def draw(got, eps):
        k = np.arange(13)
        dense = 3 - (3 ** (1 / 3) + k / 12 * (eps ** (1 / 3) - 3 ** (1 / 3))) ** 3
        parts = [
            Curves("rho = 1", k, (3 - eps) * k / 12, got["even"], "step"),
            Curves("rho = 3", k, dense, got["dense"], "step"),
        ]
        return panels("The clock s of a sampler", *parts)


def recursion(factor, s, ds):
    """x_k / x_0 of a step x' = factor(s, ds) x."""
    return np.cumprod([1.0, *(factor(a, b) for a, b in zip(s, ds, strict=True))])


def euler(s, ds):
    return 1 - 0.7 * (1 + s) * ds


def heun(s, ds):
    return 1 - 0.7 * ds * ((1 + s) + (1 + s + ds) * euler(s, ds)) / 2


@picture("1.3b")
class WalkPath:
    """One step of Euler-Maruyama spreads as it should; a walk of given steps keeps every state."""

    def inputs(rng):
        return {"timesteps": np.array([0.0, 0.1, 0.25, 0.4, 0.6, 0.9, 1.2, 1.6]), "ds": 0.25}

    def probe(timesteps, ds):
        import torch

        from sde_todo.sampling import walk

        sde, n = standins.ToyReverse(), 4000
        one = call_step("euler_maruyama_step", sde, torch.ones(n), ds, torch.full((n, 1), START))

        def step(sde, s, ds, x):
            return x - 0.7 * (1 + s[:, None]) * x * ds, 1

        traj, _ = walk(step, sde, timesteps, torch.full((3, 1), START))
        return {"out": one["out"], "traj": traj}

    def draw(got, timesteps, ds):
        mean, std = START * euler(1.0, ds), 0.3 * ds**0.5
        x = np.linspace(mean - 5 * std, mean + 5 * std, 200)
        out = draws(got["out"], (4000, 1))[:, 0]
        fine = np.linspace(0, 1.6, 60)
        want = START * recursion(euler, timesteps[:-1], np.diff(timesteps))
        traj = draws(got["traj"], (8, 3, 1))[:, 0, 0]
        exact = (fine, START * standins.solution(fine))
        parts = [
            Histogram("one Euler-Maruyama step", out, x, normal(x, mean, std), "x"),
            Curves("a walk of seven steps", timesteps, want, traj, "s", exact=exact),
        ]
        return panels("A step and the walk", *parts)


@picture("1.3d")
class Solvers:
    """Eight steps of Euler leave the exact solution a little; Heun stays on it."""

    def inputs(rng):
        return {"steps": np.linspace(0, 2, 9), "x": np.full((2, 1), START)}

    def probe(steps, x):
        import torch

        out = {}
        for name in ("ode_euler_step", "ode_heun_step"):
            states = [x]
            for s, after in itertools.pairwise(steps):
                sde, ds = standins.ToyReverse(), float(after - s)
                states.append(call_step(name, sde, s.expand(2), ds, states[-1])["out"])
            out[name] = torch.stack(states)[:, 0, 0]
        return out

    def draw(got, steps, x):
        fine = np.linspace(0, 2, 80)
        exact, parts = (fine, START * standins.solution(fine)), []
        for name, factor in (("ode_euler_step", euler), ("ode_heun_step", heun)):
            want = START * recursion(factor, steps[:-1], np.diff(steps))
            parts.append(Curves(name, steps, want, got[name], "s", exact=exact))
        return panels("The ODE in eight steps", *parts)


@picture("1.3e")
class ReverseTransition:
    """One step of reverse diffusion from x = 2: where the draws lie."""

    def inputs(rng):
        return {"s": 1.0, "ds": 0.25}

    def probe(s, ds):
        import torch

        n, sde = 6000, standins.ToyReverse()
        x = torch.full((n, 1), START)
        return {"out": call_step("reverse_diffusion_step", sde, torch.full((n,), s), ds, x)["out"]}

    def draw(got, s, ds):
        t = 3 - s
        a = standins.alpha(t) / standins.alpha(t - ds)
        b2 = standins.std(t) ** 2 - a**2 * standins.std(t - ds) ** 2
        mean, std = (2 - a - b2 * (0.5 + t)) * START, np.sqrt(b2)
        x = np.linspace(mean - 5 * std, mean + 5 * std, 200)
        out = draws(got["out"], (6000, 1))[:, 0]
        part = Histogram("from x = 2, at s = 1", out, x, normal(x, mean, std), "x")
        return panels("One step of reverse diffusion", part, columns=1)


@picture("1.3f")
class Adaptive:
    """The adaptive solver lies on the exact solution at every time that was asked for."""

    def inputs(rng):
        return {"timesteps": np.linspace(0, 1.8, 12), "x": np.array([[2.0, -1.0], [1.0, 0.5]])}

    def probe(timesteps, x):
        from sde_todo.sampling import solve_rk45

        return {"traj": solve_rk45(standins.ToyReverse(), timesteps, x, 1e-6)[0]}

    def draw(got, timesteps, x):
        want = standins.solution(timesteps)[:, None] * x.reshape(1, 4)
        traj = draws(got["traj"], (12, 2, 2)).reshape(12, 4)
        part = Curves("two points, two coordinates", timesteps, want, traj, "s")
        return panels("RK45 on an ODE with a known solution", part, columns=1)


@picture("1.3g")
class FewSteps:
    """Steps of order 3 on Gaussian data stay near the exact solution of the ODE."""

    def inputs(rng):
        return {"x": np.array([[2.0], [1.0], [-1.5]]), "variance": 0.8}

    def probe(x, variance):
        import torch

        from sde_todo import sampling

        def score_fn(t, x):
            t = t[:, None]
            return -x / (standins.alpha(t) ** 2 * variance + standins.std(t) ** 2)

        sde = standins.ToyReverse()
        sde.score_fn = score_fn
        timesteps = 3.0 - torch.logspace(np.log10(3.0), -1, 25)
        with standins.patched(sampling, multistep_weights=given_weights):
            return {"traj": sampling.multistep(sde, timesteps, x, 3)[0]}

    def draw(got, x, variance):
        t = np.logspace(np.log10(3.0), -1, 25)
        spread = np.sqrt(standins.alpha(t) ** 2 * variance + standins.std(t) ** 2)
        want = spread[:, None] / spread[0] * x[:, 0]
        want[-1] *= standins.alpha(t[-1]) * variance / spread[-1] ** 2
        traj = draws(got["traj"], (25, 3, 1))[..., 0]
        part = Curves("three points; the last value is D", 3 - t, want, traj, "s")
        return panels("Exponential multistep, order 3", part, columns=1)


@picture("1.3h")
class AncestralDraws:
    """A step from x = 2, early and late. Reverse diffusion (dashed) is too wide late, near data."""

    def inputs(rng):
        return {"s": np.array([1.0, 2.3]), "ds": 0.4, "n": 6000}

    def probe(s, ds, n):
        import torch

        out = {}
        for name, at in zip(("early", "late"), s.tolist(), strict=True):
            x = torch.full((n, 1), START)
            got = call_step("ancestral_step", standins.ToyReverse(), torch.full((n,), at), ds, x)
            out[name] = got["out"]
        return out

    def draw(got, s, ds, n):
        parts = []
        for name, at in zip(("early", "late"), s, strict=True):
            t = T - at
            a = standins.alpha(t) / standins.alpha(t - ds)
            b2 = standins.std(t) ** 2 - a**2 * standins.std(t - ds) ** 2
            score = -(0.5 + t) * START
            mean, std = mean_after(START, score, t, ds), np.sqrt(variance_after(t, ds))
            low = min(mean - 4.5 * std, mean - 3 * np.sqrt(b2))
            x = np.linspace(low, 2 * mean - low, 200)
            drawn = draws(got[name], (n, 1))[:, 0]
            wide = normal(x, (2 - a) * START + b2 * score, np.sqrt(b2))
            title = f"{name}: s = {at:.1f}"
            parts.append(
                Beside(title, drawn, x, normal(x, mean, std), "x", wide, "reverse diffusion")
            )
        return panels("One ancestral step: narrower near the data", *parts)


class Beside(Histogram):
    """A histogram with the density of something else beside it."""

    def __init__(self, title, drawn, x, density, xlabel, other, label):
        super().__init__(title, drawn, x, density, xlabel)
        self.other, self.label = other, label

    def draw(self, ax):
        super().draw(ax)
        ax.plot(self.x, self.other, color="black", linewidth=1, linestyle="--", label=self.label)


@picture("1.3i")
class AnnealedSteps:
    """A Langevin step from x = 2 moves far where the noise is large, and little near the data."""

    def inputs(rng):
        return {"s": np.array([0.3, 2.6]), "snr": 0.25, "n": 6000}

    def probe(s, snr, n):
        import torch

        from sde_todo.sampling import annealed_langevin

        x, out = torch.full((n, 1), START), {}
        for name, at in zip(("noisy", "clean"), s.tolist(), strict=True):
            out[name] = annealed_langevin(standins.ToyReverse(), torch.full((n,), at), x, snr)
        return out

    def draw(got, s, snr, n):
        parts = []
        for name, at in zip(("noisy", "clean"), s, strict=True):
            t = T - at
            eps = 2 * (snr * standins.std(t)) ** 2
            mean, std = START - eps * (0.5 + t) * START, np.sqrt(2 * eps)
            x = np.linspace(-2.0, 4.0, 300)
            drawn = draws(got[name], (n, 1))[:, 0]
            title = f"s = {at:.1f}, std = {standins.std(t):.2g}"
            parts.append(Histogram(title, drawn, x, normal(x, mean, std), "x"))
        return panels("Langevin steps shrink with the noise", *parts)


@picture("1.3j")
class Corrections:
    """The state after a toy step and 1, 2, 3 corrections, and the number of score evaluations."""

    def inputs(rng):
        return {"x": np.linspace(-1, 1, N)[:, None], "s": 0.8, "ds": 0.3, "snr": 0.2}

    def probe(x, s, ds, snr):
        import torch

        from sde_todo.sampling import with_corrector

        def corrector(sde, s, x, snr):
            return 1.5 * x + s[:, None] + snr

        states, counts = [], []
        for k in (1, 2, 3):
            step = with_corrector(lambda sde, s, ds, x: (x**3, 2), corrector, k, snr)
            state, count = step(standins.ToyReverse(), torch.full((len(x),), s), ds, x)
            states.append(state[:, 0])
            counts.append(count)
        return {"states": torch.stack(states, 1), "counts": torch.tensor(counts)}

    def draw(got, x, s, ds, snr):
        k, x, want = np.arange(1, 4), x[:, 0], [x[:, 0] ** 3]
        for _ in range(3):
            want.append(1.5 * want[-1] + s + ds + snr)
        parts = [
            Curves("state after 1 (lowest) to 3", x, np.stack(want[1:], 1), got["states"], "x"),
            Dots("evaluations", k, k + 2, draws(got["counts"], (3,)), "corrections"),
        ]
        return panels("A step of 2 evaluations, then corrections", *parts)
