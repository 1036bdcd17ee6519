"""The pictures of sde_todo/loss.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Histogram, draws, panels
from tests.task1.test_loss import given_div

N = 25


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
