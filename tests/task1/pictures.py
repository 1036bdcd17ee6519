"""The pictures of Task 1: a wrong marginal is easier to see than to read.

Each class is a graded test with `draw` instead of `check`, see autograder/harness.py. What trains
(1.4) has none.
"""

import itertools

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import (
    Curves,
    Dots,
    Histogram,
    Misfit,
    Places,
    draws,
    image_rows,
    normal,
    panels,
)
from tests.task1.test_loss import given_div
from tests.task1.test_network import given_embedding, given_mlp
from tests.task1.test_sampling import call_step, given_weights
from tests.task1.test_sde import toy_score
from tests.task1.test_train import average, make_step

N, START = 25, 2.0


def process_inputs(T=1.0, **parameters):
    """Times over [0, T], one starting point for all, and the parameters of a process."""
    t = np.linspace(0.02 * T, T, N)
    return {"t": t, "x": np.full((N, 1), START), **parameters}


def evaluate(sde, t, x):
    """Coefficients and marginals of a process, (N, 1) each."""
    f, g = sde.sde_coeff(t, x)
    mean, std = sde.marginal_prob(t, x)
    return {"f": f, "g": g + 0 * x, "mean": mean, "std": std + 0 * x}


def fan(mean, std):
    """The three curves mean - 2 std, mean, mean + 2 std."""
    return np.column_stack([mean - 2 * std, mean, mean + 2 * std])


def draw_process(got, title, t, mean, std, f, g):
    """The fan of a process, and its coefficients at the starting point."""
    got = {name: draws(value, (N, 1))[:, 0] for name, value in got.items()}
    want = fan(mean, std)
    marginal = Curves("mean and ± 2 std", t, want, fan(got["mean"], got["std"]), "t", band=True)
    both = np.column_stack([f, g])
    mine = np.column_stack([got["f"], got["g"]])
    lower = Curves("f (below) and g (above)", t, both, mine, "t")
    return panels(title, marginal, lower)


@picture("1.1a")
class OUFan:
    """The mean of X_t decays from x = 2 while its spread grows towards 1; f and g at x = 2."""

    def inputs(rng):
        return process_inputs(T=4.0)

    def probe(t, x):
        from sde_todo.sde import OU

        return evaluate(OU(), t, x)

    def draw(got, t, x):
        mean, std = START * np.exp(-t / 2), np.sqrt(1 - np.exp(-t))
        f, g = 0 * t - START / 2, 0 * t + 1
        return draw_process(got, "OU: where X_t is", t, mean, std, f, g)


def integrals(t, beta_min, beta_max):
    """beta and its integral."""
    slope = beta_max - beta_min
    return beta_min + slope * t, beta_min * t + slope * t**2 / 2


@picture("1.1b")
class VPFan:
    """VP: the point is forgotten and the spread ends at 1; the drift pulls ever harder."""

    def inputs(rng):
        return process_inputs(beta_min=0.5, beta_max=12.0)

    def probe(t, x, beta_min, beta_max):
        from sde_todo.sde import VPSDE

        return evaluate(VPSDE(beta_min=beta_min, beta_max=beta_max), t, x)

    def draw(got, t, x, beta_min, beta_max):
        beta, B = integrals(t, beta_min, beta_max)
        mean, std = START * np.exp(-B / 2), np.sqrt(1 - np.exp(-B))
        f, g = -beta * START / 2, np.sqrt(beta)
        return draw_process(got, "VP: where X_t is", t, mean, std, f, g)


@picture("1.1c")
class VEFan:
    """VE: the mean stays at x = 2 while the spread explodes; there is no drift."""

    def inputs(rng):
        return process_inputs(sigma_min=0.05, sigma_max=10.0)

    def probe(t, x, sigma_min, sigma_max):
        from sde_todo.sde import VESDE

        return evaluate(VESDE(sigma_min=sigma_min, sigma_max=sigma_max), t, x)

    def draw(got, t, x, sigma_min, sigma_max):
        ratio = sigma_max / sigma_min
        std = sigma_min * ratio**t
        f, g = 0 * t, std * np.sqrt(2 * np.log(ratio))
        return draw_process(got, "VE: where X_t is", t, 0 * t + START, std, f, g)


@picture("1.1d")
class SubVPFan:
    """Sub-VP: the drift of VP, and a spread that starts more slowly than VP's."""

    inputs = VPFan.inputs

    def probe(t, x, beta_min, beta_max):
        from sde_todo.sde import SubVPSDE

        sde = SubVPSDE(beta_min=beta_min, beta_max=beta_max)
        sde.beta = lambda t: integrals(t, beta_min, beta_max)[0]
        sde.beta_integral = lambda t: integrals(t, beta_min, beta_max)[1]
        return evaluate(sde, t, x)

    def draw(got, t, x, beta_min, beta_max):
        beta, B = integrals(t, beta_min, beta_max)
        mean, std = START * np.exp(-B / 2), 1 - np.exp(-B)
        f, g = -beta * START / 2, np.sqrt(beta * (1 - np.exp(-2 * B)))
        return draw_process(got, "Sub-VP: where X_t is", t, mean, std, f, g)


@picture("1.1e")
class Prior:
    """Draws of the prior fill its density, and its log density is the parabola of a Gaussian."""

    def inputs(rng):
        return {"s": 2.5, "x": np.linspace(-8, 8, N)[:, None]}

    def probe(s, x):
        import torch

        from sde_todo.sde import SDE

        sde = standins.toy_forward(SDE)
        sde.prior_std = lambda: s
        draws = sde.prior_sampling(torch.full((4000, 1), 3.0))
        return {"draws": draws, "log": sde.prior_logp(x)}

    def draw(got, s, x):
        x = x[:, 0]
        wide = np.linspace(-11, 11, 200)
        values = draws(got["draws"], (4000, 1))[:, 0]
        drawn = Histogram("prior_sampling", values, wide, normal(wide, 0, s), "x")
        density = Curves("prior_logp", x, np.log(normal(x, 0, s)), got["log"], "x")
        return panels(f"The prior N(0, {s}²)", drawn, density)


@picture("1.1f")
class ForwardNoise:
    """The std of dw grows as the root of dt; steps of a toy process spread as they should."""

    def inputs(rng):
        return {"lengths": np.array([0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])}

    def probe(lengths):
        import torch

        from sde_todo.sde import SDE

        sde, x = standins.toy_forward(SDE), torch.full((3000, 1), START)
        spread = [sde.dw(x, dt).std() for dt in lengths.tolist()]
        sde.dw = lambda x, dt=None: torch.randn_like(x) * (sde.dt if dt is None else dt) ** 0.5
        moments = [(x.mean(), x.std())]
        for k in range(sde.N):
            x = sde.predict_fn(torch.full((len(x),), k * sde.dt), x, sde.dt)
            moments.append((x.mean(), x.std()))
        return {"spread": torch.stack(spread), "moments": torch.tensor(moments)}

    def draw(got, lengths):
        dt, mean, variance = 3.0 / 20, [START], [0.0]
        for t in np.arange(20) * dt:
            keep = 1 - dt / (1 + t)
            mean.append(keep * mean[-1])
            variance.append(keep**2 * variance[-1] + standins.g(t) ** 2 * dt)
        moments = draws(got["moments"], (21, 2))
        want = fan(np.array(mean), np.sqrt(variance))
        noise = Curves("std of dw", lengths, np.sqrt(lengths), got["spread"], "dt")
        steps = np.arange(21) * dt
        walk = Curves("20 steps: mean and ± 2 std", steps, want, fan(*moments.T), "t", band=True)
        return panels("Brownian increments, and steps forward", noise, walk)


@picture("1.1g")
class ReverseDrift:
    """Where the drift of the reverse SDE, and of the ODE, takes each point of a grid."""

    def inputs(rng):
        axis = np.linspace(-2, 2, 5)
        return {"x": np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), "s": np.full(25, 1.4)}

    def probe(x, s):
        from sde_todo.sde import SDE

        reverse = standins.toy_forward(SDE, c=2.0).reverse(toy_score)
        return {"sde": reverse.sde_coeff(s, x)[0], "ode": reverse.ode_coeff(s, x)[0]}

    def draw(got, x, s):
        t, parts = 3.0 - s[:, None], []
        for name, share, title in (("sde", 1.0, "reverse SDE"), ("ode", 0.5, "ODE")):
            score = -(0.4 + t) * x + 0.3
            drift = x / (1 + t) + share * standins.g(t, 2.0) ** 2 * score
            parts.append(Places(title, x + 0.2 * drift, x + 0.2 * draws(got[name], x.shape), x))
        return panels("The drift moves each point", *parts, height=2.9)


@picture("1.2a")
class EmbeddingMap:
    """A row for each time: sines on the left, cosines on the right, faster from left to right."""

    def inputs(rng):
        return {"t": np.linspace(0, 1, 16)}

    def probe(t):
        from sde_todo.network import TimeEmbedding

        return {"embedding": TimeEmbedding(dim=16, max_freq=20.0)(t)}

    def draw(got, t):
        angles = t[:, None] * np.logspace(0, np.log10(20), 8)
        want = np.concatenate([np.sin(angles), np.cos(angles)], 1)
        yours = np.clip(draws(got["embedding"], want.shape), -9, 9)
        images = np.stack([want, yours, 4 * np.abs(yours - want) - 1])
        names = ["expected", "yours", "difference"]
        return image_rows("The embedding of 16 times (down)", {"": images}, names)


@picture("1.2b")
class LayersCurve:
    """An MLP with given weights is this very curve; straight lines lack the activation."""

    def inputs(rng):
        shapes = [(16, 1), (16,), (16, 16), (16,), (1, 16), (1,)]
        weights = {f"w{k}": rng.normal(size=s) * 3 / s[-1] ** 0.5 for k, s in enumerate(shapes)}
        return {"x": np.linspace(-2, 2, N)[:, None]} | weights

    def probe(x, **weights):
        import torch

        from sde_todo.network import MLP

        net = MLP([1, 16, 16, 1])
        with torch.no_grad():
            for p, w in zip(net.parameters(), weights.values(), strict=True):
                p.copy_(w)
        return {"out": net(x)}

    def draw(got, x, **weights):
        w, want = list(weights.values()), x
        for k in (0, 2, 4):
            want = want @ w[k].T + w[k + 1]
            want = want / (1 + np.exp(-want)) if k < 4 else want
        part = Curves("sizes 1, 16, 16, 1, and SiLU between them", x[:, 0], want, got["out"], "x")
        return panels("An MLP with given weights", part, columns=1)


@picture("1.2c")
class NetworkCurves:
    """Three times give three bent curves; a point is the same alone (gray) and in a batch."""

    def inputs(rng):
        times = np.repeat([0.1, 1.0, 2.0], N)
        return {"t": times, "x": np.tile(np.linspace(-3, 3, N), 3)[:, None]}

    def probe(t, x):
        import torch
        from torch import nn

        from sde_todo import network

        with standins.patched(network, MLP=given_mlp(nn), TimeEmbedding=given_embedding(nn)):
            net = network.SimpleNet(in_dim=1, enc_shapes=(16, 8), dec_shapes=(16, 12), z_dim=10)
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn_like(p) * 1.5 / p.shape[-1] ** 0.5)
        alone = [net(t[k : k + 1], x[k : k + 1]) for k in range(len(x))]
        return {"batch": net(t, x), "alone": torch.cat(alone)}

    def draw(got, t, x):
        batch, alone = (draws(got[k], (3 * N, 1)).reshape(3, N).T for k in ("batch", "alone"))
        alone = np.clip(np.nan_to_num(alone), -1e3, 1e3)  # expected, but theirs as well
        part = Curves("at t = 0.1, 1 and 2", x[:N, 0], alone, batch, "x")
        return panels("SimpleNet: a curve for each time", part, columns=1)


@picture("1.2d")
class Adapters:
    """The score along a line of points, for a network that predicts noise, data or v."""

    def inputs(rng):
        x = np.linspace(-3, 3, N)[:, None]
        return {"t": np.full(N, 1.0), "x": x, "p": np.sin(2 * x)}

    def probe(t, x, p):
        from sde_todo.network import get_score_fn

        def model(t, x):
            return p + 0 * x

        sde = standins.ToyProcess()
        return {kind: get_score_fn(sde, model, kind)(t, x) for kind in ("noise", "data", "v")}

    def draw(got, t, x, p):
        alpha, std = standins.alpha(1.0), standins.std(1.0)
        want = {
            "noise": -p / std,
            "data": (alpha * p - x) / std**2,
            "v": -(std * x + alpha * p) / std,
        }
        parts = [Curves(kind, x[:, 0], want[kind], got[kind], "x") for kind in want]
        return panels("The score from a prediction of noise, data, v", *parts, columns=3)


@picture("1.2e")
class Regression:
    """The target for z = 1 grows as std shrinks; the loss is a parabola, least at c = -1."""

    def inputs(rng):
        return {
            "std": np.linspace(0.2, 2, N)[:, None],
            "x": rng.normal(size=(50, 2)),
            "factors": np.linspace(-3, 1, 17),
        }

    def probe(std, x, factors):
        import torch

        from sde_todo.loss import DSMLoss, dsm_target

        t = torch.ones(len(x))
        losses = [DSMLoss()(t, x, lambda t, x, c=c: c * x, -x) for c in factors.tolist()]
        return {"target": dsm_target(torch.ones_like(std), std), "loss": torch.stack(losses)}

    def draw(got, std, x, factors):
        square = (x**2).sum(1).mean()
        target = Curves("dsm_target for z = 1", std[:, 0], -1 / std, got["target"], "std")
        want = 0.5 * (factors + 1) ** 2 * square
        loss = Curves("loss of c x, target -x", factors, want, got["loss"], "c")
        return panels("Denoising score matching", target, loss)


@picture("1.2f")
class Divergences:
    """Divergence along a line of points: exact, and the mean of 400 estimates by Hutchinson."""

    def inputs(rng):
        return {"line": np.linspace(-2, 2, 13), "A": np.array([[1.5, -0.8], [0.6, 0.9]])}

    def probe(line, A):
        import torch

        from sde_todo.loss import get_div

        x = torch.stack([line, 0.5 - line], 1).requires_grad_()
        many = x.detach().repeat_interleave(400, 0).requires_grad_()
        guess = get_div(torch.sin(many @ A.T), many, method="hutchinson")
        exact = get_div(torch.sin(x @ A.T), x, method="exact")
        return {"exact": exact, "hutchinson": guess.reshape(13, 400).mean(1)}

    def draw(got, line, A):
        want = np.cos(np.stack([line, 0.5 - line], 1) @ A.T) @ np.diag(A)
        parts = [Curves(name, line, want, got[name], "$x_1$") for name in ("exact", "hutchinson")]
        return panels("The divergence of sin(A x)", *parts)


def loss_inputs(rng):
    """Points and factors c of the score c x."""
    return {"x": rng.normal(size=(200, 2)), "factors": np.linspace(-3, 1, 17)}


def draw_implicit(title, got, x, factors):
    """The implicit loss of the score c x: a parabola, least where c is the true score's."""
    want = factors**2 * (x**2).sum(1).mean() / 2 + 2 * factors
    part = Curves("loss of the score c x, for points of N(0, I)", factors, want, got["loss"], "c")
    return panels(title, part, columns=1)


@picture("1.2g")
class ImplicitLoss:
    """No target is needed: the loss is least near c = -1, the score of N(0, I)."""

    inputs = loss_inputs

    def probe(x, factors):
        import torch

        from sde_todo import loss

        t = torch.ones(len(x))
        with standins.patched(loss, get_div=given_div):
            f = loss.ISMLoss()
            losses = [f(t, x, lambda t, x, c=c: c * x) for c in factors.tolist()]
        return {"loss": torch.stack(losses)}

    def draw(got, x, factors):
        return draw_implicit("Implicit score matching", got, x, factors)


@picture("1.2h")
class SlicedLoss:
    """One random direction is enough: the loss is least near c = -1, the score of N(0, I)."""

    inputs = loss_inputs

    def probe(x, factors):
        import torch

        from sde_todo.loss import SSMLoss

        t, f = torch.ones(len(x)), SSMLoss("rademacher")
        losses = [f(t, x, lambda t, x, c=c: c * x) for c in factors.tolist()]
        return {"loss": torch.stack(losses)}

    def draw(got, x, factors):
        return draw_implicit("Sliced score matching", got, x, factors)


@picture("1.2i")
class TimeShares:
    """Times fill [eps, T] = [0.4, 3] evenly, and none lies below eps."""

    def inputs(rng):
        return {"eps": 0.4}

    def probe(eps):
        from sde_todo.loss import sample_time

        return {"t": sample_time(6000, standins.ToyProcess(), eps)[0]}

    def draw(got, eps):
        x = np.linspace(0, 3.2, 641)
        density = ((x >= eps) & (x <= 3)) / (3 - eps)
        part = Histogram("share of the times", draws(got["t"], (6000,)), x, density, "t")
        return panels("Uniform times", part, columns=1)


@picture("1.2j")
class DebiasedShares:
    """More early times (even in log t here), and weights that make up for it."""

    def inputs(rng):
        return {"eps": 0.05}

    def probe(eps):
        from sde_todo.loss import sample_time

        t, weight = sample_time(6000, standins.ToyProcess(), eps, density="debiased")
        return {"t": t, "weight": weight}

    def draw(got, eps):
        t, weight = draws(got["t"], (6000,)), draws(got["weight"], (6000,))
        span, x = np.log(3 / eps), np.linspace(np.log(eps) - 0.3, np.log(3) + 0.3, 641)
        density = ((x >= np.log(eps)) & (x <= np.log(3))) / span
        shown = np.linspace(0, 5999, N).astype(int)
        shown = shown[np.argsort(t[shown])]
        place = np.clip(np.nan_to_num(t[shown]), eps, 3)
        drawn = Histogram("share of the times", np.log(np.maximum(t, 1e-9)), x, density, "log t")
        want = place * span / (3 - eps)
        return panels("Debiased times", drawn, Curves("weight", place, want, weight[shown], "t"))


@picture("1.2k")
class DenoiserCurve:
    """D at x = 1: at little noise it is x itself; then the network F takes over."""

    def inputs(rng):
        return {"t": np.linspace(0.05, 3, N)}

    def probe(t):
        import torch

        from sde_todo.network import Denoiser

        net, x, out = Denoiser(standins.ToyProcess(), sigma_data=1.7), torch.ones(len(t), 2), []
        for F in (0.0, 1.0):
            net.layers = torch.nn.Module()
            net.layers.forward = lambda features, F=F: torch.full((len(features), 2), F)
            out.append(net(t, x)[:, 0])
        return {"out": torch.stack(out, 1)}

    def draw(got, t):
        sigma, s = standins.std(t) / standins.alpha(t), 1.7
        zero = s**2 / (sigma**2 + s**2) / standins.alpha(t)
        want = np.stack([zero, zero + sigma * s / np.sqrt(sigma**2 + s**2)], 1)
        part = Curves("F = 0 (lower) and F = 1 (upper)", t, want, got["out"], "t")
        return panels("The preconditioned denoiser", part, columns=1)


@picture("1.2l")
class TargetPath:
    """The target of one noisy point: its own x_0, then a mean of all points as the noise grows."""

    def inputs(rng):
        angles = np.arange(6) * np.pi / 3
        points = np.stack([2 * np.cos(angles), 1.5 * np.sin(angles)], 1)
        return {"points": np.concatenate([points, points[:1]]), "t": np.linspace(0.1, 2.5, 13)}

    def probe(points, t):
        import torch

        from sde_todo.loss import StableTarget

        alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
        x = alpha * torch.tensor([1.5, 0.9])
        x0 = points[1].expand(len(t), 2)
        return {"target": StableTarget(points, cell=1e-3, above=0.3)(x, x0, alpha, std)}

    def draw(got, points, t):
        sigma = (standins.std(t) / standins.alpha(t))[:, None]
        c, weight = points[:6], np.array([2, 1, 1, 1, 1, 1])
        logits = (np.array([1.5, 0.9]) @ c.T - (c**2).sum(1) / 2) / sigma**2 + np.log(weight)
        p = np.exp(logits - logits.max(1, keepdims=True))
        want = np.where(sigma > 0.3, p / p.sum(1, keepdims=True) @ c, points[1])
        x, y = draws(got["target"], want.shape).T
        parts = [
            Curves("first coordinate", t, want[:, 0], x, "t"),
            Curves("second coordinate", t, want[:, 1], y, "t"),
        ]
        return panels("The stable target of one point", *parts)


@picture("1.2m")
class SmoothedWeights:
    """The average follows restless weights, at once at first and then more and more calmly."""

    def inputs(rng):
        return {"weights": 1 + rng.normal(size=(40, 1)), "decay": 0.9}

    def probe(weights, decay):
        import torch

        from sde_todo.train import EMA

        model = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            model.weight.zero_()
            ema, averages = EMA(model, decay), []
            for w in weights:
                model.weight.copy_(w[None])
                ema.update()
                averages.append(ema.model.weight.detach().clone()[0])
        return {"averages": torch.stack(averages)}

    def draw(got, weights, decay):
        want = average(weights, [min(decay, (1 + k) / (10 + k)) for k in range(40)])
        part = Curves(
            "of weights that vary by 1", np.arange(1, 41), want, got["averages"], "update"
        )
        return panels("The moving average", part, columns=1)


@picture("1.2n")
class Step:
    """The target points from x_t back to its mean; the weights go from 1 to 2 by gradient steps."""

    def inputs(rng):
        return {"batch": np.full((60, 3), 2.0)}

    def probe(batch):
        import torch

        seen = {}

        def loss(t, x, score, y=None, weight=None):
            seen.update(t=t, x=x.detach(), y=y)
            return ((model.b - 2) ** 2).sum() / 2

        model, step = make_step(torch, loss, len(batch))
        path = [model.b.detach().clone()[0]]
        for _ in range(12):
            step(batch)
            path.append(model.b.detach().clone()[0])
        return seen | {"path": torch.stack(path)}

    def draw(got, batch):
        t, x, y = draws(got["t"], (60,)), *(draws(got[k], (60, 3))[:, 0] for k in ("x", "y"))
        alpha, std = standins.alpha(t), standins.std(t)
        want = np.clip(np.nan_to_num((alpha * 2 - x) / std**2), -9, 9)
        order = np.argsort(want)
        target = Dots("target y", want[order], want[order], y[order], "(mean - x_t) / std²")
        path = Curves("a weight", np.arange(13), 2 - 0.9 ** np.arange(13), got["path"], "step")
        return panels("Training steps", target, path)


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


@picture("1.3c")
class Corrector:
    """A Langevin step moves by eps score and spreads by sqrt(2 eps); then predictor-corrector."""

    def inputs(rng):
        return {"snr": 0.25, "x": np.linspace(-2, 2, N)[:, None], "s": np.full(N, 0.8), "ds": 0.2}

    def probe(snr, x, s, ds):
        import torch

        from sde_todo import sampling
        from sde_todo.sde import SDE

        n, score = 6000, torch.tensor([2.0, 1.0])
        sde = standins.toy_forward(SDE)
        start = torch.full((n, 2), 0.5)
        out = sde.correct_fn(torch.full((n,), 0.7), start, lambda t, x: score + 0 * x, snr)
        with standins.patched(sampling, reverse_diffusion_step=lambda sde, s, ds, x: (2 * x, 1)):
            both = call_step("predictor_corrector_step", standins.ToyReverse(), s, ds, x)
        return {"out": out, "both": both["out"]}

    def draw(got, snr, x, s, ds):
        eps = 2 * (snr * np.sqrt(np.pi / 2) / np.sqrt(5)) ** 2
        mean, std = 0.5 + 2 * eps, np.sqrt(2 * eps)
        place = np.linspace(mean - 5 * std, mean + 5 * std, 200)
        out = draws(got["out"], (6000, 2))[:, 0]
        want = 2 * x[:, 0] + 10 + s + ds
        parts = [
            Histogram("one Langevin step", out, place, normal(place, mean, std), "$x_1$"),
            Curves("toy predictor, then corrector", x[:, 0], want, got["both"][:, 0], "x"),
        ]
        return panels("Langevin, predictor-corrector", *parts)


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


def beside_the_roll(got):
    """The first 4,000 samples of a mark beside as many real points."""
    import torch

    from given.plane.figures import plot_samples
    from given.plane.point_sets import make_points

    yours = torch.from_numpy(np.array(got["samples"], dtype=np.float32)[:4000])
    if yours.ndim != 2 or yours.shape[1] != 2:
        raise Misfit(f"shape {tuple(yours.shape)}")
    return plot_samples({"yours": yours}, make_points("swiss_roll", 4000, 1))


@picture("1.4a")
class RollBySDE:
    """Points far from the roll, gaps in it, or a blurred line raise the distances of the mark."""

    of = "SamplesBySDE"

    def draw(got):
        return beside_the_roll(got)


@picture("1.4b")
class RollByODE:
    """The same score with 50 evaluations and no noise on the way."""

    of = "SamplesByODE"

    def draw(got):
        return beside_the_roll(got)


@picture("1.4c")
class RollAtTheFloor:
    """With few evaluations, as near to the line as real points."""

    of = "SamplesAtTheFloor"

    def draw(got):
        return beside_the_roll(got)
