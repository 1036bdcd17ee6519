"""The pictures of sde_todo/likelihood.py: what was expected beside what came."""

import numpy as np
from scipy.special import logsumexp

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Histogram, Places, draws, panels
from tests.task1.test_likelihood import (
    Process,
    affine_trace,
    gaussian_flow,
    gaussian_score,
    prior_logp,
    spread,
    without_noise,
)

START = 2.0
T = 3.0
N = 25


@picture("1.5a")
class TraceCurves:
    """Divergence along a line: by the unit vectors, and the mean of 400 random directions."""

    def inputs(rng):
        return {
            "u": np.linspace(-2, 2, 13),
            "A": np.array([[1.5, -0.8], [0.6, 0.9]]),
            "v": np.sign(rng.normal(size=(1, 13 * 400, 2))),
        }

    def probe(u, A, v):
        import torch

        from sde_todo.likelihood import trace

        def field(x):
            return torch.sin(x @ A.T)

        x = torch.stack([u, 0.5 - u], 1)
        units = torch.eye(2)[:, None].expand(2, 13, 2)
        _, exact = trace(field, x, units)
        _, guess = trace(field, x.repeat_interleave(400, 0), v)
        return {"unit vectors": exact, "random signs": guess.reshape(13, 400).mean(1)}

    def draw(got, u, A, v):
        x = np.stack([u, 0.5 - u], 1)
        exact = np.cos(x @ A.T) @ np.diag(A)
        J = np.cos(x @ A.T)[:, :, None] * A
        signs = v.reshape(13, 400, 2)
        seen = np.einsum("bki,bij,bkj->bk", signs, J, signs).mean(1)
        parts = [
            Curves("unit vectors: exact", u, exact, got["unit vectors"], "u"),
            Curves("random signs", u, seen, got["random signs"], "u", exact=(u, exact)),
        ]
        return panels("The divergence of sin(A x) at x = (u, 0.5 - u)", *parts)


@picture("1.5b")
class FlowField:
    """Where the flow takes a ring of points in a time of 0.5: inwards early, hardly moved later."""

    def inputs(rng):
        angle = np.arange(12) * np.pi / 6
        return {"x": 2 * np.stack([np.cos(angle), np.sin(angle)], 1), "t": np.array([0.2, 1.5])}

    def probe(x, t):
        import torch

        from sde_todo.likelihood import flow

        def score_fn(t, x):
            return -torch.tensor([1.2, 0.4]) * x

        return {
            name: flow(Process(), score_fn, torch.full((len(x),), at), x)
            for name, at in zip(("early", "late"), t.tolist(), strict=True)
        }

    def draw(got, x, t):
        parts = []
        for name, at in zip(("early", "late"), t, strict=True):
            velocity = -x / (1 + at) + 0.5 * standins.g(at) ** 2 * np.array([1.2, 0.4]) * x
            yours = draws(got[name], x.shape)
            parts.append(Places(f"t = {at:.1f}", x + 0.5 * velocity, x + 0.5 * yours, x))
        return panels("The velocity of the probability-flow ODE", *parts, height=2.9)


WEIGHTS = np.array([0.35, 0.65])


CENTRES = np.array([-1.4, 1.1])


VARIANCES = np.array([0.1, 0.4])


def humps(x, t):
    """Log of each weighted component of the two-humped density at time t, (n, 2)."""
    deviation = spread(t, VARIANCES)
    z = (np.reshape(x, (-1, 1)) - standins.alpha(t) * CENTRES) / deviation
    return np.log(WEIGHTS) - z**2 / 2 - np.log(deviation) - np.log(2 * np.pi) / 2


def humps_flow(sde, score_fn, t, x):
    """A stand-in for flow: the mean of the two humps' own velocities, weighted by their shares."""
    import torch

    weights, centres, variances = (torch.tensor(v) for v in (WEIGHTS, CENTRES, VARIANCES))
    t, x64 = t[:, None].double(), x.double()
    alpha, std = standins.alpha(t), spread_of(t, variances)
    z = (x64 - alpha * centres) / std
    share = (weights.log() - z**2 / 2 - std.log()).softmax(1)
    growth = 2.25 * t / (variances + 2.25 * t**2) - 1 / (1 + t)
    own = -alpha * centres / (1 + t) + growth * (x64 - alpha * centres)
    return (share * own).sum(1, keepdim=True).to(x)


def spread_of(t, variances):
    """`spread` of tensors."""
    return (variances + 2.25 * t**2).sqrt() / (1 + t)


def slope_trace(field, x, probes):
    """A stand-in for trace in one dimension, by a difference."""
    h = 1e-2
    y = field(x)
    return y, ((field(x + h) - field(x - h)) / (2 * h))[:, 0]


@picture("1.5c")
class TwoHumps:
    """The ODE finds the density of two Gaussian humps, whose flow is given, at every point."""

    def inputs(rng):
        return {"x": np.linspace(-2.6, 3, 33)[:, None], "eps": 0.05}

    def probe(x, eps):
        import torch

        from sde_todo import likelihood

        def end(x):
            return torch.from_numpy(logsumexp(humps(x.numpy().astype(float), T), 1)).to(x)

        sde = Process()
        sde.prior_logp = end
        given = {"flow": humps_flow, "trace": slope_trace}
        with standins.patched(likelihood, **given):
            logp = likelihood.log_likelihood(sde, lambda t, x: -x, x, eps=eps, tol=1e-4)
        return {"logp": logp}

    def draw(got, x, eps):
        want, logp = logsumexp(humps(x, eps), 1), draws(got["logp"], (33,))
        density = np.exp(np.clip(np.nan_to_num(logp, nan=-50.0), -50, 5))
        parts = [
            Curves("log p(x)", x[:, 0], want, logp, "x"),
            Curves("p(x)", x[:, 0], np.exp(want), density, "x"),
        ]
        return panels("The density of points, from that of their noise", *parts)


@picture("1.5d")
class ThereAndBack:
    """A flat ring becomes nearly round noise, a round one flat data; an arc, not a line (dots)."""

    def inputs(rng):
        angle = np.arange(12) * np.pi / 6
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        return {"x": ring * [2.2, 0.6], "noise": 1.4 * ring, "weight": np.linspace(0.1, 0.9, 9)}

    def probe(x, noise, weight):
        import torch

        from sde_todo import likelihood

        axes, variances = torch.eye(2), torch.tensor([2.2**2 / 2, 0.6**2 / 2])
        score_fn = gaussian_score(axes, variances)
        with standins.patched(likelihood, flow=gaussian_flow(axes, variances)):
            out = {
                "encode": likelihood.encode(Process(), score_fn, x, 0.05),
                "decode": likelihood.decode(Process(), score_fn, noise, 0.05),
            }
        a, b = noise[1:2], 1.2 * noise[5:6]
        arc = [likelihood.interpolate(a, b, w) for w in weight.tolist()]
        return out | {"arc": torch.cat(arc)}

    def draw(got, x, noise, weight):
        ratio = spread(T, np.array([2.42, 0.18])) / spread(0.05, np.array([2.42, 0.18]))
        a, b, angle = noise[1], 1.2 * noise[5], np.radians(120)
        w = weight[:, None]
        arc = (np.sin((1 - w) * angle) * a + np.sin(w * angle) * b) / np.sin(angle)
        line = (1 - w) * a + w * b
        parts = [
            Places("encode", x * ratio, draws(got["encode"], x.shape), x),
            Places("decode", noise / ratio, draws(got["decode"], x.shape), noise),
            Places("interpolate", arc, draws(got["arc"], (9, 2)), line),
        ]
        return panels("Data and noise, one to one", *parts, columns=3, height=2.4)


@picture("1.5e")
class RateCurves:
    """The rate of the bound along a line at three times: a parabola, shifted by the divergence."""

    def inputs(rng):
        return {"u": np.linspace(-2.5, 2.5, N), "t": np.array([0.3, 1.0, 2.5])}

    def probe(u, t):
        import torch

        from sde_todo import likelihood

        x = torch.stack([u, 0.5 - u], 1)
        units, out = torch.eye(2)[:, None].expand(2, N, 2), []
        with standins.patched(likelihood, trace=affine_trace):
            for at in t.tolist():
                times = torch.full((N,), at)
                out.append(likelihood.elbo_rate(Process(), lambda t, x: -0.8 * x, times, x, units))
        return {"rate": torch.stack(out, 1)}

    def draw(got, u, t):
        square, parts = u**2 + (0.5 - u) ** 2, []
        for at, yours in zip(t, draws(got["rate"], (N, 3)).T, strict=True):
            g2 = standins.g(at) ** 2
            want = 0.5 * g2 * 0.64 * square + 2 * (1 / (1 + at) - 0.8 * g2)
            parts.append(Curves(f"t = {at:.1f}", u, want, yours, "u"))
        title = "The rate at x = (u, 0.5 - u), for the score -0.8 x"
        return panels(title, *parts, columns=3, height=2.2)


@picture("1.5f")
class BoundOfSlices:
    """The bound along a line: one slice of the integral errs; 16 come near the whole (dashed)."""

    def inputs(rng):
        return {
            "u": np.linspace(-2, 2, N),
            "one": rng.uniform(0.1, 3, (1, N)),
            "jitter": rng.uniform(0, 1, (16, N)),
        }

    def probe(u, one, jitter):
        from sde_todo import likelihood

        many = slices(jitter)
        out = {}
        for name, t in (("1 slice", one), ("16 slices", many)):
            given = {
                "time_slices": lambda sde, x, eps, slices, density="uniform", t=t: (t, 0 * t + 2.9),
                "make_probes": lambda x, method="exact", probes=1: x[None],
                "elbo_rate": lambda sde, score_fn, t, x, probes: t * (1 + x[:, 0]) ** 2,
                "first_step": lambda sde, score_fn, x, eps: 0.5 * x[:, 0],
            }
            with standins.patched(likelihood, **given):
                out[name] = likelihood.elbo(without_noise(), None, u[:, None], 0.1, len(t))
        return out

    def draw(got, u, one, jitter):
        fine = np.linspace(0.1, 3, 2001)[:, None]

        def rate(t):
            return t * (1 + u / (1 + t)) ** 2

        rest = prior_logp(u[:, None] / 4) + 0.5 * u
        exact = rest - 2.9 * rate(fine).mean(0)
        parts = [
            Curves(name, u, rest - 2.9 * rate(t).mean(0), got[name], "x", exact=(u, exact))
            for name, t in (("1 slice", one), ("16 slices", slices(jitter)))
        ]
        return panels("The bound, its parts given", *parts)


def slices(jitter):
    """A time in each 16th of [0.1, 3]."""
    k = np.arange(16)[:, None] if isinstance(jitter, np.ndarray) else None
    if k is None:
        import torch

        k = torch.arange(16)[:, None]
    return 0.1 + 2.9 * (k + jitter) / 16


@picture("1.5g")
class FamilyOfBounds:
    """The bound for a score that is too weak: from that of the SDE (0) to that of the ODE (1)."""

    def inputs(rng):
        return {"lam": np.linspace(0, 1, 9), "n": 4000}

    def probe(lam, n):
        import torch

        from sde_todo import likelihood

        sde, x = Process(), torch.full((n, 1), START)
        given = {"trace": affine_trace, "make_probes": lambda *args, **kwargs: torch.ones(1, n, 1)}
        with standins.patched(likelihood, **given):
            bounds = [
                likelihood.path_elbo(sde, lambda t, x: -0.2 * x, x, v, 0.1) for v in lam.tolist()
            ]
        return {"bound": torch.stack(bounds).mean(1)}

    def draw(got, lam, n):
        want = [mean_bound(v) for v in lam]
        part = Curves("mean of 4,000 draws at x = 2", lam, np.array(want), got["bound"], "lam")
        return panels("Bounds between the SDE and the ODE", part, columns=1)


def mean_bound(lam, N=20, eps=0.1, rate=0.2):
    """The mean of path_elbo in one dimension, at x = 2, by the moments of its path."""
    mean, variance, integral, dt = START, 0.0, 0.0, (T - eps) / N
    for t in eps + dt * np.arange(N):
        g2 = standins.g(t) ** 2
        square = 0.5 * (1 - lam) * g2 * rate**2 * (mean**2 + variance)
        integral += dt * (square - (1 - lam / 2) * g2 * rate + 1 / (1 + t))
        keep = 1 + dt * (lam / 2 * g2 * rate - 1 / (1 + t))
        mean, variance = keep * mean, keep**2 * variance + (1 - lam) * g2 * dt
    return -(mean**2 + variance) / (2 * 1.69) - np.log(2 * np.pi * 1.69) / 2 - integral


@picture("1.5h")
class Levels:
    """Three levels spread out until they touch; bits fall as the density at a point grows."""

    def inputs(rng):
        return {
            "x": rng.choice(3, 6000, p=[0.25, 0.5, 0.25])[:, None] * 0.5 - 0.5,
            "step": 0.5,
            "logp": np.linspace(-3, 3, N),
        }

    def probe(x, step, logp):
        import torch

        from sde_todo.likelihood import bits_per_dim, dequantise

        bits = bits_per_dim(logp, torch.zeros(len(logp), 3), 1 / 127.5)
        return {"spread": dequantise(x, step), "bits": bits}

    def draw(got, x, step, logp):
        place = np.linspace(-1, 1, 401)
        share = np.array([0.25, 0.5, 0.25])[np.clip(np.round(place * 2).astype(int) + 1, 0, 2)]
        density = share * (np.abs(place) < 0.75) / step
        drawn = draws(got["spread"], x.shape)[:, 0]
        bits = -(logp - 3 * np.log(127.5)) / (3 * np.log(2))
        parts = [
            Histogram("levels -0.5, 0 and 0.5, dequantised", drawn, place, density, "x"),
            Curves("bits_per_dim of 3 numbers", logp, bits, got["bits"], "log p, nats"),
        ]
        return panels("From levels to densities and back", *parts)
