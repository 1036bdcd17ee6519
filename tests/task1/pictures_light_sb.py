"""The pictures of sde_todo/light_sb.py: what was expected beside what came."""

import numpy as np
from scipy.special import logsumexp

from autograder.harness import picture
from autograder.pictures import Curves, Histogram, draws, normal, panels


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
