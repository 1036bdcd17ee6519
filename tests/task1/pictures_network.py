"""The pictures of sde_todo/network.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, draws, image_rows, panels
from tests.task1.test_network import given_embedding, given_mlp

N = 25


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

        net, left = MLP([1, 16, 16, 1]), list(weights.values())
        with torch.no_grad():
            for p in net.parameters():  # weights and biases may come in turn or apart
                k = next(k for k, w in enumerate(left) if w.shape == p.shape)
                p.copy_(left.pop(k))
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
                p.copy_(torch.randn_like(p) * 1.5 / (p.shape[-1] if p.ndim else 1) ** 0.5)
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

        toy, preserving = standins.ToyProcess(), standins.ToyPreserving()
        processes = {"noise": toy, "data": toy, "v": preserving}
        return {kind: get_score_fn(sde, model, kind)(t, x) for kind, sde in processes.items()}

    def draw(got, t, x, p):
        alpha, std = standins.alpha(1.0), standins.std(1.0)
        want = {
            "noise": -p / std,
            "data": (alpha * p - x) / std**2,
            "v": -(np.sin(0.5) * x + np.cos(0.5) * p) / np.sin(0.5),
        }
        parts = [Curves(kind, x[:, 0], want[kind], got[kind], "x") for kind in want]
        return panels("The score from a prediction of noise, data, v", *parts, columns=3)


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
