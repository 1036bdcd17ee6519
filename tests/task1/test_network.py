"""Task 1.2, first part: networks and the adapter to a score."""

import itertools

import numpy as np

from autograder import standins
from autograder.harness import expect, expect_that, graded


@graded("1.2a", points=1)
class Embedding:
    """Sines, then cosines, of the time at the module's frequencies."""

    def inputs(rng):
        return {"t": rng.uniform(0, 1, 5)}

    def probe(t):
        from sde_todo.network import TimeEmbedding

        module = TimeEmbedding(dim=8, max_freq=100.0)
        return {"embedding": module(t), "freqs": module.freqs}

    def check(got, t):
        angles = t[:, None] * np.logspace(0, 2, 4)
        sin, cos = np.sin(angles), np.cos(angles)
        expect(
            got["embedding"],
            np.concatenate([sin, cos], 1),
            "embedding",
            {
                "the cosines come first; put the sines first": np.concatenate([cos, sin], 1),
                "sines and cosines alternate; all sines come first": np.stack(
                    [sin, cos], 2
                ).reshape(5, 8),
                "there are only sines": np.concatenate([sin, sin], 1),
            },
        )


@graded("1.2b", points=2)
class Layers:
    """An MLP has the right sizes, bends, and ends in a linear layer."""

    def inputs(rng):
        return {"x": rng.normal(size=(7, 3))}

    def probe(x):
        import torch

        from sde_todo.network import MLP

        net = MLP([3, 16, 8, 2])
        out = net(x)
        parameters = list(net.parameters())
        counts = [p.numel() for p in parameters]
        with torch.no_grad():
            [p for p in parameters if p.shape == (2,)][-1].sub_(50.0)
        return {
            "out": out,
            "count": sum(counts),
            "shifted": net(x),
            "alone": torch.cat([net(x[i : i + 1]) for i in range(len(x))]),
            "bend": net(x) + net(-x) - 2 * net(0 * x),
        }

    def check(got, x):
        expect(got["out"] * 0, np.zeros((7, 2)), "output")
        full = 3 * 16 + 16 + 16 * 8 + 8 + 8 * 2 + 2
        expect(
            got["count"],
            full,
            "number of parameters",
            {
                "there are none that the optimizer can find: keep layers as attributes or in an "
                "nn.Sequential, not in a list": 0,
                "the biases are missing": 3 * 16 + 16 * 8 + 8 * 2,
            },
        )
        expect_that(
            np.allclose(got["shifted"], got["out"] - 50, atol=1e-3),
            "A bias of the last layer does not simply shift the output: there must be no "
            "activation after the last layer.",
        )
        expect_that(
            np.abs(got["bend"]).max() > 1e-4,
            "The network is a straight line: put an activation between the layers.",
        )
        expect_that(
            np.allclose(got["alone"], got["shifted"], atol=1e-3),
            "A sample's output depends on the rest of the batch.",
        )


@graded("1.2c", points=3)
class Residual:
    """SimpleNet: shapes, dependence on x and t, every parameter trained."""

    def inputs(rng):
        return {"t": rng.uniform(0.1, 0.9, 7), "x": rng.normal(size=(7, 3))}

    def probe(t, x):
        import torch
        from torch import nn

        from sde_todo import network

        with standins.patched(network, MLP=given_mlp(nn), TimeEmbedding=given_embedding(nn)):
            net = network.SimpleNet(in_dim=3, enc_shapes=(16, 8), dec_shapes=(16, 12), z_dim=10)
            wider = network.SimpleNet(in_dim=3, enc_shapes=(16, 8), dec_shapes=(16, 99), z_dim=10)
            deeper = network.SimpleNet(
                in_dim=3, enc_shapes=(16, 9, 8), dec_shapes=(16, 12), z_dim=10
            )
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn_like(p) / p.shape[-1] ** 0.5)
        out = net(t, x)
        out.pow(2).sum().backward()
        untrained = [p for p in net.parameters() if p.grad is None or not p.grad.abs().sum()]
        counts = [sum(p.numel() for p in n.parameters()) for n in (net, wider, deeper)]
        return {
            "out": out,
            "again": net(t, x),
            "other t": net(t.flip(0), x),
            "other x": net(t, x.flip(0)),
            "alone": torch.cat([net(t[i : i + 1], x[i : i + 1]) for i in range(len(x))]),
            "counts": torch.tensor(counts),
            "untrained": len(untrained),
        }

    def check(got, t, x):
        out = got["out"]
        expect(out * 0, np.zeros((7, 3)), "output")
        expect_that(
            got["counts"][0] > 0, "The network has no parameters that the optimizer can find."
        )
        expect_that(got["counts"][1] > got["counts"][0], "dec_shapes is not used.")
        expect_that(got["counts"][2] != got["counts"][0], "enc_shapes is not used.")
        expect_that(np.allclose(out, got["again"]), "Two calls with the same input differ.")
        expect_that(not np.allclose(out, got["other x"], atol=1e-4), "The output ignores x.")
        expect_that(not np.allclose(out, got["other t"], atol=1e-4), "The output ignores t.")
        expect_that(
            np.allclose(out, got["alone"], atol=1e-4),
            "A sample's output depends on the rest of the batch: t[i] belongs to x[i] alone.",
        )
        expect_that(got["untrained"] == 0, f"{got['untrained']} parameters get no gradient.")


def given_mlp(nn):
    """A stand-in for MLP."""

    def build(sizes):
        pairs = itertools.pairwise(sizes)
        layers = [layer for a, b in pairs for layer in (nn.Linear(a, b), nn.SiLU())]
        return nn.Sequential(*layers[:-1])

    return build


def given_embedding(nn):
    """A stand-in for TimeEmbedding: powers of t, not sines."""
    import torch

    class Embedding(nn.Module):
        def __init__(self, dim=64, max_freq=1000.0):
            super().__init__()
            self.dim = dim

        def forward(self, t):
            return t[:, None] ** torch.linspace(0.5, 3, self.dim)

    return Embedding


@graded("1.2d", points=2)
class ScoreAdapter:
    """The score that belongs to a prediction of noise, data or v."""

    def inputs(rng):
        return {
            "t": rng.uniform(0.5, 2.5, 7),
            "x": rng.normal(size=(7, 3)),
            "p": rng.normal(size=(7, 3)),
        }

    def probe(t, x, p):
        from sde_todo.network import get_score_fn

        def model(t, x):
            return p + 0 * x

        toy, preserving = standins.ToyProcess(), standins.ToyPreserving()
        processes = {"noise": toy, "data": toy, "v": preserving}
        return {kind: get_score_fn(sde, model, kind)(t, x) for kind, sde in processes.items()}

    def check(got, t, x, p):
        alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
        expect(
            got["noise"],
            -p / std,
            "score from noise",
            {
                "the sign is wrong: the score points against the noise": p / std,
                "it is divided by std^2; the score is -z/std": -p / std**2,
                "it is not divided by std": -p,
                "it is multiplied by std; divide": -p * std,
            },
        )
        expect(
            got["data"],
            (alpha * p - x) / std**2,
            "score from data",
            {
                "it is divided by std; the score is (alpha x_0 - x)/std^2": (alpha * p - x) / std,
                "the mean is alpha x_0, not x_0": (p - x) / std**2,
                "the sign is wrong": (x - alpha * p) / std**2,
            },
        )
        alpha, std = np.cos(t / 2)[:, None], np.sin(t / 2)[:, None]
        expect(
            got["v"],
            -(std * x + alpha * p) / std,
            "score from v",
            {
                "this is -z; the score is -z/std": -(std * x + alpha * p),
                "v = alpha z - std x_0, so z = std x + alpha v, with a plus": -(std * x - alpha * p)
                / std,
                "alpha and std are exchanged in z = std x + alpha v": -(alpha * x + std * p) / std,
                "the sign is wrong": (std * x + alpha * p) / std,
            },
        )


@graded("1.2k", points=3)
class Preconditioning:
    """Denoiser: c_skip and c_out at every noise level, for a process with alpha < 1."""

    def inputs(rng):
        return {
            "t": rng.uniform(0.2, 2.5, 7),
            "x": rng.normal(size=(7, 2)),
            "F": rng.normal(size=2),
        }

    def probe(t, x, F):
        import torch

        from sde_todo.network import Denoiser

        net = Denoiser(standins.ToyProcess(), sigma_data=1.7)
        zero = net(t, x)
        net.layers = torch.nn.Module()
        net.layers.forward = lambda features: F.repeat(len(features), 1)
        return {"zero": zero, "full": net(t, x)}

    def check(got, t, x, F):
        alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
        sigma, s = std / alpha, 1.7
        skip = s**2 / (sigma**2 + s**2)
        out = sigma * s / np.sqrt(sigma**2 + s**2)
        expect(
            got["zero"],
            skip * x / alpha,
            "D where F = 0",
            {
                "x is not divided by alpha": skip * x,
                "sigma is std/alpha, not std": s**2 / (std**2 + s**2) * x / alpha,
                "c_skip is missing": x / alpha,
            },
        )
        expect(
            got["full"],
            skip * x / alpha + out * F,
            "D",
            {
                "c_out is missing": skip * x / alpha + F,
                "c_out is sigma: that is noise prediction": skip * x / alpha + sigma * F,
            },
        )
