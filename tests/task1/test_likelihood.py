"""Task 1.5: densities by the ODE, noise that encodes data, bounds by the SDE, bits per number."""

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import (
    expect,
    expect_gaussian,
    expect_mean,
    expect_that,
    expect_untouched,
    graded,
    value_of,
)

B, D, T = 5, 6, 3.0
IMAGE = (B, 2, 1, 3)  # the same D numbers a sample
VARIANCE = 1.69  # of the stand-in's prior


class Process(standins.ToyProcess):
    """The toy process with a prior, and with noise for those who ask it for that."""

    def prior_logp(self, x):
        return prior_logp(x)

    def dw(self, x, dt):
        import torch

        return torch.normal(0.0, dt**0.5, x.shape)

    def reverse(self, score_fn, lam=0.0):
        return standins.Reversed(self, score_fn, lam)


def without_noise():
    """A process whose X_t is x_0/(1 + t), however it is drawn."""
    process = Process()
    process.c = 0.0
    return process


def prior_logp(x):
    """log N(x; 0, 1.69 I), for tensors and arrays."""
    x = x.reshape(len(x), -1)
    return -(x**2).sum(1) / (2 * VARIANCE) - x.shape[1] / 2 * np.log(2 * np.pi * VARIANCE)


def affine_score(M):
    """A score -(0.4 + t) M x + 0.3 on the flattened samples; its Jacobian is not symmetric."""

    def score_fn(t, x):
        score = -(0.4 + t[:, None]) * (x.flatten(1) @ M.T) + 0.3
        return score.reshape(x.shape)

    return score_fn


def affine_trace(field, x, probes):
    """A stand-in for trace, exact where the field is affine: its differences are its Jacobian."""
    y = field(x)
    return y, sum(((field(x + v) - y) * v).flatten(1).sum(1) for v in probes)


def quadratic(probes, J):
    """sum_k v_k^T J v_k for each sample, with J (D, D) or one for each sample."""
    J = np.broadcast_to(J, (probes.shape[1], *J.shape[-2:]))
    return np.einsum("kbi,bij,kbj->b", probes, J, probes)


def both_shapes(call, x, *probes):
    """What a function gives for points, and for the same numbers as images."""
    images = [v.reshape(*v.shape[: v.ndim - 1], *IMAGE[1:]) for v in (x, *probes)]
    return {"points": call(x, *probes), "images": call(*images)}


def expect_both(got, want, name, mistakes, shape=None):
    """Compare the points, then the images, which must be of `shape` where one is given."""
    expect(got["points"], want, name, mistakes)
    want = value_of(want)
    mistakes = {said: np.broadcast_to(value, want.shape) for said, value in mistakes.items()}
    if shape is not None:
        want = want.reshape(shape)
        mistakes = {said: value.reshape(shape) for said, value in mistakes.items()}
    expect(got["images"], want, f"{name}, of images", mistakes)


@graded("1.5a", points=2)
class Trace:
    """v^T J v, summed over given directions v; J is not symmetric."""

    def inputs(rng):
        return {
            "A": rng.normal(size=(D, D)),
            "x": rng.normal(size=(B, D)),
            "v": rng.normal(size=(3, B, D)),
        }

    def probe(A, x, v):
        import torch

        from sde_todo.likelihood import trace

        def field(x):
            return torch.sin(x.flatten(1) @ A.T).reshape(x.shape)

        with torch.no_grad():  # trace itself turns gradients on
            pairs = both_shapes(lambda x, v: trace(field, x, v), x, v)
        y, divergence = pairs["points"]
        graph = y.requires_grad or divergence.requires_grad
        out = {"y": y, "points": divergence, "images": pairs["images"][1], "graph": graph}
        same = torch.ones(D, requires_grad=True)
        try:
            out["flat"] = trace(lambda x: same.expand(x.shape[0], D), x, v)[1]
        except (RuntimeError, TypeError, AttributeError):
            out["flat"] = torch.full((B,), torch.nan)
        return out | {"touched": x.requires_grad}

    def check(got, A, x, v):
        expect_that(got["y"].shape != (B,), "y is the divergence: the field comes first.")
        expect(got["y"], np.sin(x @ A.T), "y", {"this is x; y is the field at x": x})
        J = np.cos(x @ A.T)[:, :, None] * A
        vjps = np.einsum("kbi,bij->kbj", v, J)
        want = (vjps * v).sum((0, 2))
        mistakes = {
            "the product with v is missing: v^T (dy/dx) must meet v again": vjps.sum((0, 2)),
            "v^T (dy/dx) is multiplied with x; it is v again": (vjps * x).sum((0, 2)),
            "it is the square of v^T (dy/dx); it must meet v again": (vjps**2).sum((0, 2)),
            "the directions do not enter: this is the sum of the whole Jacobian": J.sum((1, 2)),
            "this is the trace of the Jacobian; the directions are given": J.trace(
                axis1=1, axis2=2
            ),
            "only the last direction counts; add them up": (vjps * v)[-1].sum(1),
            "only the first direction counts; add them up": (vjps * v)[0].sum(1),
            "it is the mean over the directions; make_probes has divided already": want / 3,
            "it is the mean over the coordinates; a divergence is a sum": want / D,
            "it is the sum over the batch; each sample has a divergence of its own": want.sum(),
            "the sign is wrong": -want,
            "it is |v|^2 instead of v^T J v": (v**2).sum((0, 2)),
            "v is summed up; v^T J is missing": v.sum((0, 2)),
            "v^T J is divided by v; multiply": (vjps / v).sum((0, 2)),
        }
        expect_both(got, want, "divergence", mistakes)
        expect_that(
            not np.isnan(got["flat"]).any(),
            "A field that does not depend on x ends in an error; its divergence is 0: pass "
            "materialize_grads=True to torch.autograd.grad, or add 0 * x to the field.",
        )
        expect(got["flat"], np.zeros(B), "divergence of a field that does not depend on x")
        expect_that(
            not np.any(got["graph"]),
            "y or its divergence still carries the graph; detach both, or memory grows.",
        )
        expect_untouched(got["touched"], "x")


@graded("1.5b", points=2)
class Flow:
    """The velocity of the probability-flow ODE of a toy process."""

    def inputs(rng):
        return {
            "t": rng.uniform(0.2, T - 0.2, B),
            "x": rng.normal(size=(B, D)),
            "M": rng.normal(size=(D, D)),
        }

    def probe(t, x, M):
        from sde_todo.likelihood import flow

        return both_shapes(lambda x: flow(Process(), affine_score(M), t, x), x)

    def check(got, t, x, M):
        t = t[:, None]
        f, g = -x / (1 + t), standins.g(t)

        def score(t):
            return -(0.4 + t) * (x @ M.T) + 0.3

        def velocity(share=0.5, at=t):
            return f - share * g**2 * score(at)

        mistakes = {
            "the factor 1/2 is missing; that is the drift of the SDE run backwards": velocity(1.0),
            "the score enters by g; it is g^2": f - 0.5 * g * score(t),
            "g is missing: the score enters by g^2/2": f - 0.5 * score(t),
            "the score has the wrong sign": velocity(-0.5),
            "f is missing": velocity() - f,
            "f has the wrong sign": velocity() - 2 * f,
            "the score is missing": f,
            "this is the velocity in the reverse clock; here time is that of the forward process": (
                -velocity()
            ),
            "the score is evaluated at T - t": velocity(at=T - t),
            "the factor 1/2 is squared too: it is g^2/2": velocity(0.25),
        }
        true = Formula(
            lambda f, half, g, power, score, share: f - half * g**power * score**share,
            {
                "f": f,
                "the factor 1/2": 0.5,
                "g": g,
                "the exponent of g": 2,
                "score": score(t),
                "the exponent of the score": 1,
            },
        )
        expect_both(got, true, "flow", mistakes, IMAGE)


def spread(t, variances, c=1.5):
    """Standard deviations of the toy process along the axes of Gaussian data."""
    return np.sqrt(variances + (c * t) ** 2) / (1 + t)


def check_passed(sde, score_fn, name):
    """Refuse arguments of a stand-in that are not the process and the score."""
    if not isinstance(sde, Process) or not callable(score_fn):
        raise ValueError(f"{name} starts with the arguments sde and score_fn, in this order.")


def gaussian_flow(axes, variances, c=1.5):
    """A stand-in for flow: it carries Gaussian data to their law at each time, in closed form."""

    def flow(sde, score_fn, t, x):
        check_passed(sde, score_fn, "flow(sde, score_fn, t, x)")
        t = t[:, None]
        rate = c**2 * t / (variances + (c * t) ** 2) - 1 / (1 + t)  # of log spread
        return (rate * (x.flatten(1) @ axes) @ axes.T).reshape(x.shape)

    return flow


def gaussian_score(axes, variances, c=1.5):
    """The score that belongs to `gaussian_flow`."""

    def score_fn(t, x):
        t = t[:, None]
        shrink = -((1 + t) ** 2) / (variances + (c * t) ** 2)
        return (shrink * (x.flatten(1) @ axes) @ axes.T).reshape(x.shape)

    return score_fn


def carried(x, axes, variances, start, end):
    """Where the ODE takes points from one time to another, and the growth of log volume by axis."""
    ratio = spread(end, variances) / spread(start, variances)
    return (ratio * (x @ axes)) @ axes.T, np.log(ratio)


def gaussian_inputs(rng):
    return {
        "x": 1.5 * rng.normal(size=(B, D)),
        "axes": np.linalg.qr(rng.normal(size=(D, D)))[0],
        "variances": rng.uniform(0.3, 3.0, D),
        "eps": float(rng.uniform(0.25, 0.4)),
    }


@graded("1.5c", points=2)
class LogLikelihood:
    """Under a Gaussian's flow: with all directions, and with two random ones per sample."""

    def inputs(rng):
        return gaussian_inputs(rng) | {"v": rng.normal(size=(2, B, D))}

    def probe(x, axes, variances, eps, v):
        import torch

        from sde_todo import likelihood

        units = torch.eye(D)[:, None].expand(D, B, D)
        runs = {"exact": (units, (B, D)), "random": (v, (B, D)), "images": (v, IMAGE)}
        out, drawn, score_fn = {}, [], gaussian_score(axes, variances)
        for name, (directions, shape) in runs.items():

            def make_probes(x, method="exact", probes=1, directions=directions):
                drawn.append(method)
                return directions.reshape(-1, *x.shape)

            flow = gaussian_flow(axes, variances)
            given = {"flow": flow, "trace": affine_trace, "make_probes": make_probes}
            with standins.patched(likelihood, **given):
                out[name] = likelihood.log_likelihood(
                    Process(), score_fn, x.reshape(shape), eps=eps, tol=1e-6
                )
        return out | {"draws": len(drawn)}

    def check(got, x, axes, variances, eps, v):
        expect_that(
            got["draws"] == 3,
            "log likelihood: make_probes is called again on the way; the directions of one "
            "divergence stay the same along the whole solution.",
        )
        units = np.eye(D)[:, None] + np.zeros((D, B, D))
        for name, directions in (("exact", units), ("random", v), ("images", v)):
            want, mistakes = density(x, axes, variances, eps, directions)
            expect(got[name], want, f"log likelihood, {name}", mistakes)


def density(x, axes, variances, eps, v):
    """log p(x) with the divergence seen along directions v, and what mistakes make of it."""

    def parts(start, end):
        x_T, growth = carried(x, axes, variances, start, end)
        return prior_logp(x_T), quadratic(v, axes * growth @ axes.T)

    logp, integral = parts(eps, T)
    backwards, fallen = parts(T, eps)
    mistakes = {
        "the integral is subtracted; it is added": logp - integral,
        "the integral is missing": logp,
        "the prior is missing: this is the integral alone": integral,
        "the prior is evaluated at x instead of x_T": prior_logp(x) + integral,
        "the prior has the wrong sign": integral - logp,
        "it is half the integral": logp + integral / 2,
        "the integral is a mean over the coordinates; a divergence is a sum": logp + integral / D,
        "the solution starts at 0; x belongs to eps": sum(parts(0.0, T)),
        "the solution ends at 1; it ends at sde.T": sum(parts(eps, 1.0)),
        "the solution ends at T - eps; it ends at T": sum(parts(eps, T - eps)),
        "the solution runs from T to eps; it runs from eps to T": backwards + fallen,
        "the solution runs from T to eps, and the integral is subtracted": backwards - fallen,
        "these are bits; leave them in nats": (logp + integral) / np.log(2),
    }
    return logp + integral, mistakes


@graded("1.5d", points=1)
class Encoding:
    """To the noise and back, where the solution of the ODE is known."""

    def inputs(rng):
        return gaussian_inputs(rng)

    def probe(x, axes, variances, eps):
        from sde_todo import likelihood

        out, score_fn = {}, gaussian_score(axes, variances)
        with standins.patched(likelihood, flow=gaussian_flow(axes, variances)):
            for name in ("encode", "decode"):
                function = getattr(likelihood, name)

                def call(x, function=function):
                    return function(Process(), score_fn, x, eps, 1e-6)

                out |= {f"{name} {key}": value for key, value in both_shapes(call, x).items()}
        return out

    def check(got, x, axes, variances, eps):
        for name, back in (("encode", False), ("decode", True)):
            ours = {key: got[f"{name} {key}"] for key in ("points", "images")}
            if ours["points"].shape == (1, B, D):
                expect_that(
                    False, f"{name}: solve gives a tuple of parts; take its only part, [0]."
                )

            def way(data=eps, noise=T, back=back):
                start, end = (noise, data) if back else (data, noise)
                return carried(x, axes, variances, start, end)[0]

            right = "noise to data, from T to eps" if back else "data to noise, from eps to T"
            mistakes = {
                f"it runs the wrong way; it leads from {right}": way(back=not back),
                "one end is 0; data belong to eps": way(data=0.0),
                "one end is 1; noise is at sde.T": way(noise=1.0),
                "one end is T - eps; noise is at T": way(noise=T - eps),
                "it is x itself; the ODE is not solved": x,
            }
            expect_both(ours, way(), name, mistakes, IMAGE)


@graded("1.5d", points=1)
class Interpolation:
    """The arc of a great circle between two noises, each sample with an angle of its own."""

    def inputs(rng):
        a = rng.normal(size=(B, D))
        turn = rng.uniform(-0.8, 1.5, (B, 1))
        b = turn * a + rng.normal(size=(B, D))
        return {"a": a, "b": b, "weight": float(rng.uniform(0.2, 0.4))}

    def probe(a, b, weight):
        from sde_todo.likelihood import interpolate

        out = both_shapes(lambda a, b: interpolate(a, b, weight), a, b)
        ends = {f"end {w}": interpolate(a, b, w) for w in (0, 1)}
        return out | ends | {"same": interpolate(a, a.clone(), weight)}

    def check(got, a, b, weight):
        lengths = np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)
        cosine = (a * b).sum(1, keepdims=True) / lengths[0] / lengths[1]

        def arc(angle, w=weight, a=a, b=b):
            return (np.sin((1 - w) * angle) * a + np.sin(w * angle) * b) / np.sin(angle)

        angle = np.arccos(cosine)
        whole = np.arccos((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))
        w = weight
        with np.errstate(invalid="ignore"):
            mistakes = {
                "this is the straight line, which comes near 0": (1 - w) * a + w * b,
                "a and b are exchanged: weight 0 gives a": arc(angle, 1 - w),
                "the angle is in degrees; sin takes radians": arc(np.degrees(angle)),
                "the cosine is used instead of the angle: take acos": arc(cosine),
                "it is not divided by sin(angle)": arc(angle) * np.sin(angle),
                "one angle is taken for the whole batch; each sample has its own": arc(whole),
                "the noises are normalised; they keep their length": arc(
                    angle, a=a / lengths[0], b=b / lengths[1]
                ),
                "the weights are sqrt(1 - w) and sqrt(w)": np.sqrt(1 - w) * a + np.sqrt(w) * b,
                "it lacks the weight in the sine of a: sin((1 - w) angle)": (
                    np.sin(angle) * a + np.sin(w * angle) * b
                )
                / np.sin(angle),
                "it is divided by the angle; it is sin(angle)": arc(angle) * np.sin(angle) / angle,
            }
        true = Formula(
            lambda one, w, a, w_b, b, below: (
                (np.sin((one - w) * angle) * a + np.sin(w_b * angle) * b) / below
            ),
            {
                "the 1 of 1 - w": 1,
                "w (of a)": weight,
                "a": a,
                "w (of b)": weight,
                "b": b,
                "sin(angle)": np.sin(angle),
            },
        )
        expect_both(got, true, "interpolate", mistakes, IMAGE)
        for w, end in ((0, a), (1, b)):
            expect(got[f"end {w}"], end, f"interpolate with weight {w}")
        expect_that(
            np.isfinite(got["same"]).all(),
            "interpolate between equal noises is not finite: sin(angle) is 0 there, or rounding "
            "brings the cosine above 1. Keep the cosine a little below 1.",
        )
        expect(got["same"], a, "interpolate between equal noises")


def states(rng):
    """Times, states, a score's matrix and two random directions for each sample."""
    return {
        "t": rng.uniform(0.3, T - 0.3, B),
        "x": rng.normal(size=(B, D)),
        "M": 0.5 * rng.normal(size=(D, D)) + np.eye(D),
        "v": rng.normal(size=(2, B, D)),
    }


@graded("1.5e", points=2)
class ElboRate:
    """The rate of the bound for an affine score under the toy process."""

    def inputs(rng):
        return states(rng)

    def probe(t, x, M, v):
        from sde_todo import likelihood

        def call(x, v):
            return likelihood.elbo_rate(Process(), affine_score(M), t, x, v)

        with standins.patched(likelihood, trace=affine_trace):
            return both_shapes(call, x, v)

    def check(got, t, x, M, v):
        slope, g, f = 0.4 + t[:, None], standins.g(t[:, None]), -x / (1 + t[:, None])
        score = -slope * (x @ M.T) + 0.3

        def div(power=2, share=1.0, drift=-1.0):
            J = -(share * g**power * slope)[:, :, None] * M
            return quadratic(v, J - drift / (1 + t)[:, None, None] * np.eye(D))

        def half_square(vector):
            return 0.5 * (vector**2).sum(1)

        square = half_square(g * score)
        mistakes = {
            "the factor 1/2 of the square is missing": 2 * square + div(),
            "the divergence has the wrong sign": square - div(),
            "the divergence is missing": square,
            "the square is missing": div(),
            "the square is that of the score; it is that of g score": half_square(score) + div(),
            "the square is that of g^2 score; divide by g": half_square(g**2 * score) + div(),
            "the square is that of the whole drift; add f to it first": half_square(
                (g**2 * score - f) / g
            )
            + div(),
            "f is subtracted from the drift once more; the score is (drift + f)/g^2": half_square(
                (g**2 * score - 2 * f) / g
            )
            + div(),
            "f is missing in the divergence": square + div(drift=0.0),
            "f has the wrong sign in the divergence": square + div(drift=1.0),
            "the divergence is that of the ODE's drift, with g^2/2; here lam = 0": square
            + div(share=0.5),
            "the divergence is that of g score - f; it is g^2": square + div(power=1),
            "the divergence is that of the score alone": square + div(power=0, drift=0.0),
            "the square is a mean over the coordinates; it is a sum": square / D + div(),
            "the divergence is multiplied by 1/2 too": square + div() / 2,
            "it is the root of the square": np.sqrt(2 * square) + div(),
            "the score is evaluated at T - t": half_square(
                g * (-(0.4 + T - t[:, None]) * (x @ M.T) + 0.3)
            )
            + quadratic(
                v,
                -(g**2 * (0.4 + T - t[:, None]))[:, :, None] * M
                + np.eye(D) / (1 + t)[:, None, None],
            ),
        }
        true = Formula(
            lambda half, of_drift, of_f, power, whole, of_g: (
                half
                * (((of_drift * (g**2 * score - f) + of_f * f) * g**of_g) ** power).sum(1) ** whole
                + div()
            ),
            {
                "the factor 1/2 of the square": 0.5,
                "the factor of the drift in (drift + f)/g": 1,
                "the factor of f in (drift + f)/g": 1,
                "the exponent of (drift + f)/g": 2,
                "the exponent of the squared norm": 1,
                "the exponent of g in (drift + f)/g": -1,
            },
        )
        expect_both(got, true, "rate", mistakes)


@graded("1.5f", points=2)
class Elbo:
    """The bound put together from given slices, noise, rates and last step."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, D)),
            "t": rng.uniform(0.2, T - 0.2, (3, B)),
            "weight": rng.uniform(0.5, 4.0, (3, B)),
            "eps": 0.15,
        }

    def probe(x, t, weight, eps):
        import torch

        from sde_todo import likelihood

        seen = []

        def make_probes(x, method="exact", probes=1):
            return torch.randn(probes + 2 * (method == "gaussian"), *x.shape)

        def elbo_rate(sde, score_fn, t, x, probes):
            check_passed(sde, score_fn, "elbo_rate(sde, score_fn, t, x, probes)")
            seen.append(probes[0])
            return 0.7 * t * x.sum(1) + 0.5 * len(probes)

        def first_step(sde, score_fn, x, eps):
            check_passed(sde, score_fn, "first_step(sde, score_fn, x, eps)")
            return 3 * eps * x[:, 0]

        given = {
            "time_slices": lambda sde, x, eps, slices, density="uniform": (t, weight),
            "make_probes": make_probes,
            "elbo_rate": elbo_rate,
            "first_step": first_step,
        }
        score_fn = affine_score(torch.eye(D))
        with standins.patched(likelihood, **given):
            bound = likelihood.elbo(without_noise(), score_fn, x, eps, 3, "uniform", "gaussian", 2)
        return {"bound": bound, "probes": torch.cat(seen)}

    def check(got, x, t, weight, eps):
        def at(t, x=x):
            return x / (1 + t[..., None])

        def rate(x, t=t, probes=4):
            return 0.7 * t * x.sum(-1) + 0.5 * probes

        end, first, rates = at(np.full(B, T)), 3 * eps * x[:, 0], rate(at(t))
        prior, integral = prior_logp(end), (weight * rates).mean(0)

        def bound(integral=integral, prior=prior, first=first):
            return prior - integral + first

        x_chain = x
        chain = []
        for t_k in t:
            x_chain = at(t_k, x_chain)
            chain.append(rate(x_chain, t_k))
        mistakes = {
            "the integral is added; it is subtracted": bound(-integral),
            "the integral is missing": bound(0.0),
            "weight is not used": bound(rates.mean(0)),
            "weight is a divisor; it multiplies": bound((rates / weight).mean(0)),
            "the slices are summed; it is their mean": bound(3 * integral),
            "only the last slice counts": bound((weight * rates)[-1]),
            "only the last slice counts, as a third": bound((weight * rates)[-1] / 3),
            "the rates are averaged before they are weighted": bound(
                weight.mean(0) * rates.mean(0)
            ),
            "the mean runs over the batch; it runs over the slices": bound((weight * rates).mean()),
            "the rate is taken at x; it is taken at x_t": bound((weight * rate(x)).mean(0)),
            "x is overwritten by x_t; every slice starts from the data": (
                prior_logp(at(np.full(B, T), x_chain))
                - (weight * chain).mean(0)
                + 3 * eps * x_chain[:, 0]
            ),
            "x_T is drawn from the last x_t; it is drawn from x": bound(
                prior=prior_logp(at(np.full(B, T), at(t[-1])))
            ),
            "the prior is evaluated at x instead of x_T": bound(prior=prior_logp(x)),
            "the prior is evaluated at the last x_t instead of x_T": bound(
                prior=prior_logp(at(t[-1]))
            ),
            "x_T is drawn at time 1; it is drawn at sde.T": bound(prior=prior_logp(at(np.ones(B)))),
            "x_T is drawn at T - eps; it is drawn at T": bound(
                prior=prior_logp(at(np.full(B, T - eps)))
            ),
            "the prior is missing": bound(prior=0.0),
            "first_step is missing": bound(first=0.0),
            "this is first_step alone": first,
            "this is the prior alone": prior,
            "weight is divided by the rates; multiply": bound((weight / rates).mean(0)),
            "the rates are missing: this is the mean of weight": bound(weight.mean(0)),
            "first_step is subtracted; it is added": bound(first=-first),
            "first_step is taken at the last x_t; it starts from x": bound(
                first=3 * eps * at(t[-1])[:, 0]
            ),
            "method and probes are not handed on to make_probes": bound(
                (weight * rate(at(t), probes=1)).mean(0)
            ),
            "method is not handed on to make_probes": bound(
                (weight * rate(at(t), probes=2)).mean(0)
            ),
            "probes is not handed on to make_probes": bound(
                (weight * rate(at(t), probes=3)).mean(0)
            ),
        }
        expect(got["bound"], bound(), "bound", mistakes)
        expect_that(
            len(np.unique(got["probes"], axis=0)) == 3 * B,
            "bound: slices share their directions; draw fresh ones for each by make_probes.",
        )


def small(M):
    """A score that is not too steep for a few long steps."""
    return affine_score(0.3 * M)


@graded("1.5g", points=1)
class PathAtTheODE:
    """At lam = 1 nothing is random but the given directions."""

    def inputs(rng):
        return states(rng) | {"eps": 0.3}

    def probe(t, x, M, v, eps):
        from sde_todo import likelihood

        def call(x):
            given = {"trace": affine_trace}
            given["make_probes"] = lambda *args, **kwargs: v.reshape(-1, *x.shape)
            sde = Process()
            sde.N = 4
            with standins.patched(likelihood, **given):
                return likelihood.path_elbo(sde, small(M), x, 1.0, eps)

        return both_shapes(call, x) | {"again": call(x)}

    def check(got, t, x, M, v, eps):
        expect_that(
            got["points"].shape != got["again"].shape
            or np.allclose(got["points"], got["again"], rtol=1e-4),
            "Two calls at lam = 1 differ: the path of the ODE has no noise. Its factor is "
            "sqrt(1 - lam) g sqrt(dt).",
        )

        def walk(steps=4, share=0.5, drift=1.0, sign=1.0, div=0.5, factor=1.0, last=False):
            y, integral, dt = x, 0.0, (T - eps) / 4
            for k in range(steps):
                t = eps + k * dt
                g2, f = standins.g(t) ** 2, -y / (1 + t)
                pull = g2 * (-0.3 * (0.4 + t) * (y @ M.T) + 0.3)
                J = -div * g2 * 0.3 * (0.4 + t) * M + np.eye(D) / (1 + t)
                integral = (0 if last else integral) + factor * dt * quadratic(v, J)
                y = y + (drift * f - share * pull) * dt
            return prior_logp(y) - sign * integral

        dt = (T - eps) / 4
        mistakes = {
            "the rates are added up with the wrong sign": walk(sign=-1.0),
            "only the last step counts: add the rates up": walk(last=True),
            "dt is missing in the integral": walk(factor=1 / dt),
            "the score's part of the drift lacks lam/2": walk(share=1.0),
            "the score's part of the drift has the wrong sign": walk(share=-0.5),
            "the path has no score in its drift: it is f - lam/2 g^2 score": walk(share=0.0),
            "the path follows the reverse drift; it runs forward": walk(share=-0.5, drift=-1.0),
            "f is missing in the drift of the path": walk(drift=0.0),
            "lam is not handed on to reverse_drift: the divergence is that of lam = 0": walk(
                div=1.0
            ),
            "lam is not handed on to reverse_drift": walk(div=1.0, share=1.0),
            "pull is not divided by 1 - lam/2": walk(share=0.25),
            "it is the mean over the coordinates in the divergence; it is a sum": walk(
                factor=1 / D
            ),
        }
        expect_both(got, path_formula(x, M, v, eps), "bound at lam = 1", mistakes)


def path_formula(x, M, v, eps, lam=1.0, steps=4):
    """The bound along the path without noise, with the numbers that are in it."""
    dt = (T - eps) / steps

    def bound(**n):
        y, integral = x, 0.0
        for k in range(steps):
            t = eps + k * dt
            g, f = standins.g(t), -y / (1 + t)
            score = -0.3 * (0.4 + t) * (y @ M.T) + 0.3
            drift = (1 - lam / 2) * g**2 * score - f
            J = -(1 - lam / 2) * g**2 * 0.3 * (0.4 + t) * M + np.eye(D) / (1 + t)
            divisor = n["one of pull"] - n["lam of pull"] / n["two of pull"]
            pull = (n["drift"] * drift + n["f"] * f) / divisor ** n["divisor"]
            share = n["share"] + (n["one"] - n["lam"]) - (1 - lam)
            square = share * ((pull / g) ** 2).sum(1) ** n["square"]
            rate = n["half"] * square + n["divergence"] * quadratic(v, J)
            integral = integral + dt ** n["dt"] * rate ** n["rate"]
            of_pull = n["lam of path"] / n["two of path"] * pull ** n["pull"]
            change = n["f of path"] * f - of_pull
            y = n["x"] * y + dt ** n["dt of path"] * change ** n["change"]
        return prior_logp(y) - n["integral"] * integral

    numbers = {
        "share": ("1 - lam (of the square)", 1 - lam),
        "one": ("the 1 of (1 - lam)/2", 1),
        "lam": ("lam of (1 - lam)/2", lam),
        "half": ("the factor 1/2 of the square", 0.5),
        "square": ("the exponent of |pull/g|^2", 1),
        "one of pull": ("the 1 of 1 - lam/2 below pull", 1),
        "lam of pull": ("lam of 1 - lam/2 below pull", lam),
        "two of pull": ("the 2 of 1 - lam/2 below pull", 2),
        "divisor": ("the exponent of 1 - lam/2 below pull", 1),
        "drift": ("the factor of the drift in pull", 1),
        "f": ("the factor of f in pull", 1),
        "divergence": ("the factor of the divergence", 1),
        "dt": ("the exponent of dt in the integral", 1),
        "rate": ("the exponent of the rate", 1),
        "integral": ("the factor of the integral", 1),
        "lam of path": ("lam of lam/2 in the path", lam),
        "two of path": ("the 2 of lam/2 in the path", 2),
        "pull": ("the exponent of pull in the path", 1),
        "f of path": ("the factor of f in the path", 1),
        "x": ("the factor of x in a step of the path", 1),
        "dt of path": ("the exponent of dt in the path", 1),
        "change": ("the exponent of the drift of the path", 1),
    }
    return Formula(
        lambda *values: bound(**dict(zip(numbers, values, strict=True))), dict(numbers.values())
    )


@graded("1.5g", points=1)
class PathStep:
    """One step of the path at lam = 0.7: its mean and its variance, read by a linear prior."""

    def inputs(rng):
        return states(rng) | {"w": rng.normal(size=D), "eps": 0.2, "lam": 0.7, "n": 8000}

    def probe(t, x, M, v, w, eps, lam, n):
        from sde_todo import likelihood

        sde = Process()
        sde.N, sde.T = 1, 2.9
        sde.prior_logp = lambda y: y @ w
        directions, many = v.repeat_interleave(n, 1), x.repeat_interleave(n, 0)
        given = {"trace": affine_trace, "make_probes": lambda *args, **kwargs: directions}
        with standins.patched(likelihood, **given):
            bound = likelihood.path_elbo(sde, small(M), many, lam, eps)
        return {"bound": bound.reshape(B, n)}

    def check(got, t, x, M, v, w, eps, lam, n):
        dt, g, f = 2.9 - eps, standins.g(eps), -x / (1 + eps)
        score = -0.3 * (0.4 + eps) * (x @ M.T) + 0.3

        def rate(share=1 - lam, half=0.5, power=1, div=1 - lam / 2, score=score):
            J = -div * g**2 * 0.3 * (0.4 + eps) * M + np.eye(D) / (1 + eps)
            square = half * share * g ** (2 * power) * (score**2).sum(1)
            return dt * (square + quadratic(v, J))

        def end(pull=lam / 2 * g**2 * score):
            return (x + dt * (f - pull)) @ w

        spread = (1 - lam) * g**2 * dt * (w**2).sum()
        noises = {
            "there is no noise in the path": 0.0,
            "the noise is not scaled by sqrt(1 - lam)": spread / (1 - lam),
            "the noise is scaled by 1 - lam; it is its root": spread * (1 - lam),
            "the noise lacks sqrt(dt)": spread / dt,
            "the noise is multiplied by dt; it is sqrt(dt)": spread * dt,
            "the noise lacks g": spread / g**2,
            "the noise is multiplied by g^2; it is g": spread * g**2,
            "the noise is scaled by sqrt(lam); it is sqrt(1 - lam)": spread * lam / (1 - lam),
            "the noise is scaled by sqrt(1 - lam/2)": spread * (1 - lam / 2) / (1 - lam),
            "the noise is divided by sqrt(dt); multiply": spread / dt**2,
            "the noise is divided by g; multiply": spread / g**4,
        }
        moved = moved_first(M, x, f, score, g, eps, lam, dt, v, w)
        # The mean first: a rate at the new state is random, and would pass for noise.
        means = {
            "x is moved before the rate is taken; the rate belongs to the state before": moved,
            "the rate is added; it is subtracted": end() + rate(),
            "1 - lam is missing in the square": end() - rate(share=1.0),
            "the square is multiplied by 1 - lam/2; it is 1 - lam": end() - rate(share=1 - lam / 2),
            "the square is multiplied by lam; it is 1 - lam": end() - rate(share=lam),
            "the factor 1/2 of the square is missing": end() - rate(half=1.0),
            "the square is missing": end() - rate(share=0.0),
            "the square is that of the score; it is that of g score": end() - rate(power=0),
            "the square is that of pull = g^2 score; divide by g": end() - rate(power=2),
            "the divergence is that of lam = 0": end() - rate(div=1.0),
            "pull is not divided by 1 - lam/2": end((1 - lam / 2) * lam / 2 * g**2 * score)
            - rate(score=(1 - lam / 2) * score),
            "pull is taken from drift alone; add f to it": end(
                lam / 2 * pull_of_drift(score, f, g, lam)
            )
            - rate(score=pull_of_drift(score, f, g, lam) / g**2),
            "the drift of the path lacks lam/2": end(g**2 * score) - rate(),
            "the drift of the path has lam; it is lam/2": end(lam * g**2 * score) - rate(),
            "the drift of the path has 1 - lam/2; it is lam/2": end((1 - lam / 2) * g**2 * score)
            - rate(),
            "the score's part of the path's drift has the wrong sign": end(-lam / 2 * g**2 * score)
            - rate(),
            "the score's part of the path's drift is missing": end(0.0) - rate(),
            "the drift of the path has g; it is g^2": end(lam / 2 * g * score) - rate(),
        }
        true = Formula(
            lambda half, share, power, whole, div, of_path: (
                end(of_path / 2 * g**2 * score)
                - dt * half * share * ((g * score) ** power).sum(1) ** whole
                - rate(half=0.0, div=div)
            ),
            {
                "the factor 1/2 of the square": 0.5,
                "1 - lam (of the square)": 1 - lam,
                "the exponent of g score": 2,
                "the exponent of |g score|^2": 1,
                "1 - lam/2": 1 - lam / 2,
                "lam (of the path)": lam,
            },
        )
        expect_mean(got["bound"].T, true, "mean of the bound after one step", means)
        expect_gaussian(got["bound"].T, "the path")
        variance = got["bound"].var(1).mean()
        expect(variance, spread, "variance of the bound", noises, rtol=0.04)


def pull_of_drift(score, f, g, lam):
    """The term that replaces g^2 score where f was not added back to the drift."""
    return g**2 * score - f / (1 - lam / 2)


def moved_first(M, x, f, score, g, eps, lam, dt, v, w):
    """The mean of one step's bound where the square is that of the state after the step."""
    y = x + dt * (f - lam / 2 * g**2 * score)
    slope = 0.3 * (0.4 + eps) * M
    noise = (1 - lam) * g**2 * dt * (slope**2).sum()
    square = 0.5 * (1 - lam) * g**2 * (((-y @ slope.T + 0.3) ** 2).sum(1) + noise)
    J = -(1 - lam / 2) * g**2 * slope + np.eye(D) / (1 + eps)
    return y @ w - dt * (square + quadratic(v, J))


@graded("1.5h", points=1)
class Dequantise:
    """Uniform noise of one level's width, centred, for each pixel."""

    def inputs(rng):
        levels = rng.integers(0, 9, (4000, 1, 2, 3))
        return {"x": levels * 0.25 - 1, "step": 0.25}

    def probe(x, step):
        from sde_todo.likelihood import dequantise

        return {"spread": dequantise(x, step), "default": dequantise(x)}

    def check(got, x, step):
        for name, width in (("spread", step), ("default", 1 / 127.5)):
            expect(got[name] * 0, 0 * x, f"dequantised images, {name} step")
            u = (got[name] - x) / width
            expect_mean(
                u.reshape(len(x), -1).mean(1),
                0.0,
                f"mean of the noise in steps, {name} step",
                {
                    "it runs from 0 to 1; centre it": 0.5,
                    "it runs from 0 to -1; centre it": -0.5,
                    "it is shifted down by one level: rand lies in [0, 1]; subtract 1/2": -1.0,
                    "step alone is added, for every pixel": 1.0,
                    "step is used instead of x": ((width - x) / width).mean(),
                },
            )
            expect(
                u.var(),
                1 / 12,
                f"variance of the noise in steps, {name} step",
                {
                    "there is no noise": 0.0,
                    "x is missing: this is the noise alone": 1 / 12 + (x / width).var(),
                    "the noise is multiplied by x, not by step": ((x / width) ** 2).mean() / 12,
                    "it runs from -1 to 1; a level reaches half a step to either side": 1 / 3,
                    "it is normal; it is uniform": 1.0,
                    "it is normal, of half a step; it is uniform": 0.25,
                    "it is half as wide as a level": 1 / 48,
                    "step is not used": 1 / 12 / width**2,
                    "step is not used, but its default": 1 / 12 / (127.5 * width) ** 2,
                },
                rtol=0.03,
            )
            expect_that(
                np.abs(u).max() < 0.51,
                f"The noise reaches {np.abs(u).max():.2g} steps; it is uniform on [-1/2, 1/2].",
            )
            within = u.reshape(len(x), -1)
            expect_that(
                within.std(1).min() > 1e-3,
                "All pixels of an image get the same noise; each has its own.",
            )
            expect_that(
                within.std(0).min() > 1e-3, "All images get the same noise; each has its own."
            )


@graded("1.5h", points=1)
class BitsPerDim:
    """From nats of a density to bits of a level, for points and images."""

    def inputs(rng):
        return {
            "logp": rng.normal(size=B) * 3 - 4,
            "x": rng.normal(size=(B, D)),
            "step": float(rng.uniform(0.05, 0.2)),
        }

    def probe(logp, x, step):
        from sde_todo.likelihood import bits_per_dim

        out = both_shapes(lambda x: bits_per_dim(logp, x, step), x)
        return out | {"default": bits_per_dim(logp, x), "one": bits_per_dim(logp[:1], x[:1], step)}

    def check(got, logp, x, step):
        def bits(step, D=D, sign=1.0):
            return -(logp + sign * D * np.log(step)) / (D * np.log(2))

        mistakes = {
            "these are nats; divide by log 2": bits(step) * np.log(2),
            "the sign is wrong": -bits(step),
            "D log(step) is missing": bits(1.0),
            "D log(step) has the wrong sign": bits(step, sign=-1.0),
            "log(step) is counted once; each of D numbers has it": bits(step, sign=1 / D),
            "it is not divided by D": bits(step) * D,
            "log 2 is missing in log(step): it is divided by log 2 as well": -logp / (D * np.log(2))
            - np.log(step),
            "logp is not divided by log 2": -logp / D - np.log2(step),
            "logp is not divided by D": -(logp + np.log(step)) / np.log(2),
            "D is the batch size": bits(step, D=B),
            "D is the number of channels alone: x[0].numel() counts all": bits(step, D=2),
            "step is not used, but its default": bits(1 / 127.5),
            "log2 is applied to nats: log 2 divides": -(logp + D * np.log2(step)) / D,
            "it is multiplied by log 2": bits(step) * np.log(2) ** 2,
        }
        expect_both(got, bits(step), "bits", mistakes)
        expect(got["one"], bits(step)[:1], "bits of a batch of one")
        expect(
            got["default"], bits(1 / 127.5), "bits of 256 levels", {"step is not used": bits(1.0)}
        )
