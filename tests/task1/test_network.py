"""Task 1.2, first part: networks and the adapter to a score."""

import itertools
import math

import numpy as np

from autograder import standins
from autograder.formula import Formula
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
                "there are only cosines": np.concatenate([cos, cos], 1),
                "t is divided by the frequencies; multiply": np.concatenate(
                    [np.sin(t[:, None] ** 2 / angles), np.cos(t[:, None] ** 2 / angles)], 1
                ),
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
        weights = {
            f"{kind}{k}": with_shape(parameters, shape)
            for k, shape in enumerate([(16, 3), (8, 16), (2, 8)])
            for kind, shape in (("W", shape), ("b", shape[:1]))
        }
        others = {
            f"count {sizes}": sum(p.numel() for p in MLP(sizes).parameters()) for sizes in OTHERS
        }
        with torch.no_grad():
            for bias in [p for p in parameters if p.shape == (2,)][-1:]:
                bias.sub_(50.0)
        return {
            "out": out,
            "count": sum(counts),
            "shifted": net(x),
            "alone": torch.cat([net(x[i : i + 1]) for i in range(len(x))]),
            "bend": net(x) + net(-x) - 2 * net(0 * x),
            **weights,
            **others,
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
        for sizes in OTHERS:
            fixed = [sizes[0], *sizes[1:3], sizes[-1]]
            expect(
                got[f"count {sizes}"],
                n_parameters(sizes),
                f"number of parameters of MLP({sizes})",
                {
                    "there are always three layers; sizes says how many": n_parameters(fixed),
                    "the first four sizes alone are used": n_parameters(sizes[:4]),
                },
            )
        check_activation(got, x)


OTHERS = [[3, 2], [3, 6, 2], [3, 10, 9, 8, 7, 2]]  # sizes of other networks than the one tested
ACTIVATIONS = {
    "SiLU": lambda z: z / (1 + np.exp(-z)),
    "ReLU": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "the sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "leaky ReLU": lambda z: np.where(z > 0, z, 0.01 * z),
    "ELU": lambda z: np.where(z > 0, z, np.expm1(z)),
    "GELU": lambda z: z * np.vectorize(math.erf)(z / math.sqrt(2)) / 2 + z / 2,
    "its sine": np.sin,
}


def n_parameters(sizes):
    """Weights and biases of the linear layers between widths."""
    return sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(sizes))


def with_shape(parameters, shape):
    """A copy of the parameter (n_out, n_in), or (n_in, n_out), of a layer; empty if there is none.

    One that is (n_in, n_out) is transposed.
    """
    import torch

    for p in parameters:
        if p.shape == shape or p.shape == shape[::-1]:
            return p.detach().clone() if p.shape == shape else p.detach().T.clone()
    return torch.zeros(0)


def check_activation(got, x):
    """Check the output against the layers' own weights."""
    weights = [(got[f"W{k}"], got[f"b{k}"]) for k in range(3)]
    if not all(len(W) and len(b) for W, b in weights):
        shapes = "(16, 3), (8, 16) and (2, 8)"
        expect_that(False, f"MLP([3, 16, 8, 2]) has no three linear layers {shapes} with biases.")

    def output(activation):
        z = x
        for W, b in weights[:-1]:
            z = activation(z @ W.T + b)
        return z @ weights[-1][0].T + weights[-1][1]

    wrong = {f"the activation is {name}; it is SiLU": output(f) for name, f in ACTIVATIONS.items()}
    del wrong["the activation is SiLU; it is SiLU"]
    expect(got["out"], output(ACTIVATIONS["SiLU"]), "output for given weights", wrong)


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

            def build(enc_shapes=(16, 8), dec_shapes=(17, 12), z_dim=10):
                return network.SimpleNet(3, enc_shapes, dec_shapes, z_dim)

            nets = {
                "net": build(),
                "wider": build(dec_shapes=(17, 99)),
                "longer": build(dec_shapes=(17, 12, 11)),
                "deeper": build(enc_shapes=(16, 9, 8)),
                "z_dim": build(z_dim=14),
            }
            net = nets["net"]
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn_like(p) / max((1, *p.shape[-1:])) ** 0.5)
        out = net(t, x)
        out.pow(2).sum().backward()
        untrained = [p for p in net.parameters() if p.grad is None or not p.grad.abs().sum()]
        counts = {k: sum(p.numel() for p in n.parameters()) for k, n in nets.items()}
        got = {
            "out": out,
            "again": net(t, x),
            "other t": net(t.flip(0), x),
            "other x": net(t, x.flip(0)),
            "alone": torch.cat([net(t[i : i + 1], x[i : i + 1]) for i in range(len(x))]),
            "untrained": len(untrained),
        } | {f"count {name}": count for name, count in counts.items()}
        many = torch.linspace(0.1, 0.9, 200), 5 * torch.randn(200, 3)
        with torch.no_grad():
            for p in net.parameters():  # the last layer's outputs become large
                p.mul_(100 if 3 in p.shape else 1)
            got["large"] = torch.stack([net(*many), *turned(net, many)])
            for p in net.parameters():  # each block gives a constant
                p.mul_(0 if {17, 12} & set(p.shape) else 1)
        got["no blocks"], got["no blocks, other t"] = net(t, x), net(t.flip(0), x)
        return got

    def check(got, t, x):
        out = got["out"]
        expect(out * 0, np.zeros((7, 3)), "output")
        count = got["count net"]
        expect_that(count > 0, "The network has no parameters that the optimizer can find.")
        expect_that(got["count wider"] > count, "dec_shapes is not used.")
        expect_that(
            got["count longer"] > count,
            "dec_shapes is not used: there is one block for each of its widths.",
        )
        expect_that(got["count deeper"] != count, "enc_shapes is not used.")
        expect_that(got["count z_dim"] > count, "z_dim is not used.")
        expect_that(np.allclose(out, got["again"]), "Two calls with the same input differ.")
        expect_that(not np.allclose(out, got["other x"], atol=1e-4), "The output ignores x.")
        expect_that(not np.allclose(out, got["other t"], atol=1e-4), "The output ignores t.")
        expect_that(
            np.allclose(out, got["alone"], atol=1e-4),
            "A sample's output depends on the rest of the batch: t[i] belongs to x[i] alone.",
        )
        expect_that(got["untrained"] == 0, f"{got['untrained']} parameters get no gradient.")
        low, high = got["large"].min(), got["large"].max()
        expect_that(
            low < -1 and high > 1,
            f"The output stays between {low:.2g} and {high:.2g} however large the last layer's "
            f"weights are: there must be no activation after the last layer.",
        )
        without = got["no blocks"]
        expect_that(
            not np.allclose(without, without[:1], atol=1e-4)
            and not np.allclose(without, got["no blocks, other t"], atol=1e-4),
            "Where the blocks give a constant, the output no longer depends on x and t: a residual "
            "block adds to its input, z = z + block(z).",
        )


def turned(net, inputs):
    """The outputs with the last layer's sign turned, whether its weights are (3, n) or (n, 3)."""
    for axis in (0, -1):
        last = [p for p in net.parameters() if p.ndim and p.shape[axis] == 3]
        for p in last:
            p.neg_()
        yield net(*inputs)
        for p in last:
            p.neg_()


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
            Formula(lambda z, std: -z / std, {"z": p, "std": std}),
            "score from noise",
            {
                "the sign is wrong: the score points against the noise": p / std,
                "it is divided by std^2; the score is -z/std": -p / std**2,
                "it is not divided by std": -p,
                "it is multiplied by std; divide": -p * std,
                "the branches are exchanged: this is the score from data": (alpha * p - x) / std**2,
                "the branches are exchanged: this is the score from v": -(std * x + alpha * p)
                / std,
            },
        )
        expect(
            got["data"],
            Formula(
                lambda alpha, x_0, sign, x, var: (alpha * x_0 + sign * x) / var,
                {"alpha": alpha, "x_0": p, "the factor of x": -1, "x": x, "std^2": std**2},
            ),
            "score from data",
            {
                "it is divided by std; the score is (alpha x_0 - x)/std^2": (alpha * p - x) / std,
                "the mean is alpha x_0, not x_0": (p - x) / std**2,
                "the sign is wrong": (x - alpha * p) / std**2,
                "the branches are exchanged: this is the score from noise": -p / std,
                "the branches are exchanged: this is the score from v": -(std * x + alpha * p)
                / std,
            },
        )
        alpha, std = np.cos(t / 2)[:, None], np.sin(t / 2)[:, None]
        expect(
            got["v"],
            Formula(
                lambda std, x, alpha, v, below: -(std * x + alpha * v) / below,
                {"std": std, "x": x, "alpha": alpha, "v": p, "std (the divisor)": std},
            ),
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
        zero, seen = net(t, x), []

        def forward(features):
            seen.append(features)
            return F.repeat(len(features), 1)

        net.layers = torch.nn.Module()
        net.layers.forward = forward
        full = net(t, x)
        features = seen[0] if seen else torch.zeros(len(x), 0)
        return {"zero": zero, "full": full, "features": features, "directions": net.directions}

    def check(got, t, x, F):
        alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
        sigma, s = std / alpha, 1.7
        skip = s**2 / (sigma**2 + s**2)
        out = sigma * s / np.sqrt(sigma**2 + s**2)
        c_in, y0 = 1 / np.sqrt(sigma**2 + s**2), x / alpha
        skips = {
            "c_skip is missing": 1.0,
            "c_skip is s^2 c_in^2; a factor c_in is missing": s**2 * c_in,
            "c_skip is s^2 c_in^2; both factors c_in are missing": s**2,
            "c_skip is s^2 c_in^2; s is not squared": s * c_in**2,
            "c_skip is s^2 c_in^2; s^2 is missing": c_in**2,
            "sigma and s are exchanged in c_skip = s^2 c_in^2": sigma**2 * c_in**2,
            "c_in is sqrt(sigma^2 + s^2); it is one over this": s**2 / c_in**2,
            "sigma is alpha/std; it is std/alpha": s**2 / ((alpha / std) ** 2 + s**2),
            "sigma is alpha std; it is std/alpha": s**2 / ((alpha * std) ** 2 + s**2),
            "sigma is std/alpha, not std": s**2 / (std**2 + s**2),
            "sigma is not squared in c_in": s**2 / (sigma + s**2),
            "s is not squared in c_in": s**2 / (sigma**2 + s),
            "s^2 is missing in c_in = 1/sqrt(sigma^2 + s^2)": s**2 / sigma**2,
        }
        expect(
            got["zero"],
            Formula(
                lambda s, c_skip, c_in, x, alpha: s**2 * c_skip * c_in * x / alpha,
                {"s": s, "c_in": c_in, "c_in of y": c_in, "x": x, "alpha": alpha},
            ),
            "D where F = 0",
            {
                "x is not divided by alpha": skip * x,
                "x is multiplied by alpha; divide": skip * x * alpha,
            }
            | {said: value * y0 for said, value in skips.items()},
        )
        outs = {
            "c_out is missing": 1.0,
            "c_out is sigma: that is noise prediction": sigma,
            "c_out is sigma s c_in; c_in is missing": sigma * s,
            "c_out is sigma s c_in; s is missing": sigma * c_in,
            "c_out is sigma s c_in; sigma is missing": s * c_in,
            "c_out is sigma s c_in; sigma and s are missing": c_in,
            "c_out is sigma s c_in; there is c_in^2": sigma * s * c_in**2,
            "c_out is sigma s c_in, and c_in is one over the root": sigma * s / c_in,
            "c_out F has the wrong sign": -out,
            "c_out F is missing": 0.0,
        }
        expect(
            got["full"],
            Formula(
                lambda sigma, s, c_in, F: skip * y0 + sigma * s * c_in * F,
                {"sigma": sigma, "s": s, "c_in": c_in, "F": F},
            ),
            "D",
            {said: skip * y0 + value * F for said, value in outs.items()},
        )
        check_features(got["features"], c_in * y0, sigma, got["directions"])


def check_features(features, y, sigma, directions):
    """Check what F sees, in whatever order: 3 y, 2 log sigma, sines and cosines."""
    angles, log = y @ directions, np.log(sigma)
    sin, cos = np.sin(angles), np.cos(angles)
    groups = {
        "3 y": (3 * y, {"y": y, "3/y": 3 / y}),
        "2 log sigma": (
            2 * log,
            {"log sigma": log, "2 sigma": 2 * sigma, "sigma": sigma, "2/log sigma": 2 / log},
        ),
        "sin(y @ directions)": (sin, {}),
        "cos(y @ directions)": (cos, {}),
    }
    for name, (want, others) in groups.items():
        if are_columns(want, features):
            continue
        found = [other for other, value in others.items() if are_columns(value, features)]
        hint = f", but {found[0]}" if found else ""
        expect_that(False, f"F does not see {name}{hint}; here y = c_in x/alpha.")


def are_columns(some, all_columns):
    """Whether every column of one array (n, k) is a column of another (n, m)."""
    if all_columns.ndim != 2 or len(all_columns) != len(some):
        return False
    near = np.isclose(some[:, :, None], all_columns[:, None], rtol=1e-3, atol=1e-4)
    return near.all(0).any(1).all()
