"""Task 1.2, second part: targets, divergences, losses and times."""

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_mean, expect_that, graded, one

B, D = 7, 3


def linear_problem(rng):
    """Inputs of a loss: a linear score x A^T + b t with a Jacobian that is not diagonal."""
    return {
        "t": rng.uniform(0.2, 2.0, B),
        "x": rng.normal(size=(B, D)),
        "y": rng.normal(size=(B, D)),
        "weight": rng.uniform(0.5, 2.0, B),
        "A": rng.normal(size=(D, D)),
        "b": rng.normal(size=D),
    }


def score_of(t, x, A, b):
    return x @ A.T + t[:, None] * b


@graded("1.2e", points=2)
class DSMTarget:
    """The regression target -z/std, on points and images."""

    def inputs(rng):
        return {"z": rng.normal(size=(B, D)), "std": rng.uniform(0.3, 2.0, (B, 1))}

    def probe(z, std):
        from sde_todo.loss import dsm_target

        return {"y": dsm_target(z, std), "wide": dsm_target(z, std.repeat(1, D))}

    def check(got, z, std):
        mistakes = {
            "it is divided by std^2; x - mean = std z leaves one std: -z/std": -z / std**2,
            "the sign is wrong: the score points back to the mean": z / std,
            "it is not divided by std": -z,
            "it is multiplied by std; divide": -z * std,
        }
        true = Formula(lambda z, std: -z / std, {"z": z, "std": std})
        expect(got["y"], true, "target", mistakes)
        expect(got["wide"], -z / std, "target, std of full shape", mistakes)


@graded("1.2e", points=3)
class DSM:
    """Denoising score matching: value and weights."""

    def inputs(rng):
        return linear_problem(rng)

    def probe(t, x, y, weight, A, b):
        from sde_todo.loss import DSMLoss

        net = standins.LinearNet(A, b)
        loss = DSMLoss()
        value = loss(t, x, net, y, weight)
        value.backward()
        return {"plain": loss(t, x, net, y), "weighted": value, "grad": net.A.grad}

    def check(got, t, x, y, weight, A, b):
        score = score_of(t, x, A, b)
        error = score - y
        per_sample = 0.5 * (error**2).sum(1)
        bound = {
            "only y is squared; square the difference": score - y**2,
            "only the model's output is squared; square the difference": score**2 - y,
            "it is a difference of squares; square the difference": score**2 - y**2,
            "it is not squared": error,
            "the absolute value is taken; square it": np.abs(error),
            "y is added; subtract it": (score + y) ** 2,
            "y is missing": score**2,
            "the model's output is missing": y**2,
        }
        for name, w in (("plain", np.ones(B)), ("weighted", weight)):
            expect(
                got[name],
                dsm_formula(score, y, w),
                f"{name} loss",
                {
                    "the factor 1/2 is missing": (w * 2 * per_sample).mean(),
                    "it is a mean over the coordinates; sum over them, mean over the batch": (
                        w * per_sample
                    ).mean()
                    / D,
                    "a mean over coordinates, and the factor 1/2 is missing": (
                        w * 2 * per_sample
                    ).mean()
                    / D,
                    "it is a sum over the batch": (w * per_sample).sum(),
                    "the weight is not used": per_sample.mean(),
                    "the weight is squared": (w**2 * per_sample).mean(),
                    "it is the norm, not its square": (w * np.sqrt(2 * per_sample)).mean(),
                    "errors are averaged over the batch before the square; the mean comes last": (
                        0.5 * w.mean() * (error.mean(0) ** 2).sum()
                    ),
                }
                | losses_of_terms(bound, w),
            )
        expect(got["grad"], (weight[:, None] * error).T @ x / B, "gradient of the loss")


def dsm_formula(score, y, weight):
    """The loss of denoising score matching, with the numbers that are in it."""

    def loss(s, y, weight, half, square, whole):
        return (weight * half * ((s - y) ** square).sum(1) ** whole).mean()

    return Formula(
        loss,
        {
            "s = model(t, x)": score,
            "y": y,
            "weight": weight,
            "the factor 1/2": 0.5,
            "the exponent of s - y": 2,
            "the exponent of |s - y|^2": 1,
        },
    )


def losses_of_terms(terms, weight):
    """The losses that terms (B, D) give, with and without 1/2, as sums and means over D."""
    losses = {}
    for said, term in terms.items():
        loss = (weight * term.sum(1)).mean()
        losses[said] = loss / 2
        losses[f"{said}, and the factor 1/2 is missing"] = loss
        losses[f"{said}, and it is a mean over the coordinates"] = loss / 2 / D
        losses[f"{said}, a mean over the coordinates, and the factor 1/2 is missing"] = loss / D
    return losses


@graded("1.2f", points=3)
class ExactDivergence:
    """The trace of a Jacobian that is not diagonal, on points and images, differentiable."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, D)),
            "A": rng.normal(size=(D, D)),
            "image": rng.normal(size=(5, 2, 2, 3)),
        }

    def probe(x, A, image):
        import torch

        from sde_todo.loss import get_div

        x.requires_grad_()
        image.requires_grad_()
        div = get_div(torch.sin(x @ A.T), x, method="exact")
        rolled = get_div(image**2 + 3 * image.roll(1, 1), image, method="exact")
        grad = torch.autograd.grad(div.sum(), x)[0]
        return {"div": div, "image": rolled, "grad": grad}

    def check(got, x, A, image):
        slope = np.cos(x @ A.T)  # (B, D); J_ij = slope_i A_ij
        bend = -np.sin(x @ A.T)
        expect(
            got["div"],
            slope @ np.diag(A),
            "divergence",
            {
                "this is the sum of all entries of the Jacobian; the divergence is its trace": slope
                @ A.sum(1),
                "it is one number for the whole batch; each sample has its own": (
                    slope @ np.diag(A)
                ).sum(),
                "only the first coordinate is there": slope[:, 0] * A[0, 0],
                "it is a mean over the coordinates; a trace is a sum": slope @ np.diag(A) / D,
            },
        )
        expect(got["image"], 2 * image.reshape(5, -1).sum(1), "divergence on images")
        expect(
            got["grad"],
            (bend * np.diag(A)) @ A,
            "gradient of the divergence",
            {
                "there is none: pass create_graph=True": 0.0,
            },
        )


@graded("1.2f", points=3)
class HutchinsonDivergence:
    """Hutchinson's estimate: unbiased for both kinds of noise, with its own v for each sample."""

    def inputs(rng):
        return {"A": rng.normal(size=(D, D)), "n": 20_000}

    def probe(A, n):
        import torch

        from sde_todo.loss import get_div

        out = {}
        for noise in ("rademacher", "gaussian"):
            x = torch.ones(n, D, requires_grad=True)
            div = get_div(x**2 @ A.T, x, method="hutchinson", noise=noise)
            out[noise] = div
            out[f"{noise} grad"] = torch.autograd.grad(div.sum(), x)[0]
        return out

    def check(got, A, n):
        J = 2 * A
        symmetric = (J + J.T) / 2
        off_diagonal = 2 * ((symmetric**2).sum() - (np.diag(symmetric) ** 2).sum())
        variances = {"rademacher": off_diagonal, "gaussian": 2 * (symmetric**2).sum()}
        for noise, variance in variances.items():
            expect(one(got[noise]) * 0, np.zeros(1), f"divergence ({noise})")
            expect_mean(
                got[noise],
                np.trace(J),
                f"mean of the divergence ({noise})",
                {
                    "this sums all entries of the Jacobian; multiply by v on both sides": J.sum(),
                    "it is a mean over the coordinates; a trace is a sum": np.trace(J) / D,
                    "it is 0: multiply v^T J by v again": 0.0,
                },
            )
            expect(
                got[noise].var(),
                variance,
                f"variance of the divergence ({noise})",
                {
                    "this is the variance with the other kind of noise": sum(variances.values())
                    - variance,
                    "it does not vary: this is the exact divergence": 0.0,
                },
                rtol=0.15,
            )
            expect_mean(
                got[f"{noise} grad"],
                2 * np.diag(A),
                "gradient of the divergence",
                {
                    "there is none: pass create_graph=True": 0.0,
                },
            )


@graded("1.2g", points=3)
class ISM:
    """Implicit score matching: half the squared score plus the divergence, per sample."""

    def inputs(rng):
        return linear_problem(rng)

    def probe(t, x, y, weight, A, b):
        from sde_todo import loss

        net = standins.LinearNet(A, b)
        with standins.patched(loss, get_div=given_div):
            value = loss.ISMLoss()(t, x, net, None, weight)
            value.backward()
            got = {"plain": loss.ISMLoss()(t, x, net), "weighted": value, "grad": net.A.grad}
        return got | {"marked": x.requires_grad}

    def check(got, t, x, y, weight, A, b):
        expect_that(not got["marked"], MARKED)
        s = score_of(t, x, A, b)
        square = (s**2).sum(1)
        trace = np.trace(A)
        for name, w in (("plain", np.ones(B)), ("weighted", weight)):
            expect(
                got[name],
                implicit_formula(s, trace, w),
                f"{name} loss",
                {
                    "the squared norm is that of the whole batch; take it per sample, or the "
                    "minimiser shrinks with B": (w * (square.sum() / 2 + trace)).mean(),
                    "the factor 1/2 of the squared score is missing": (w * (square + trace)).mean(),
                    "the divergence has the wrong sign": (w * (square / 2 - trace)).mean(),
                    "the divergence is missing": (w * square / 2).mean(),
                    "the divergence is halved too": (w * (square + trace) / 2).mean(),
                    "it is a mean over the coordinates": (w * (square / 2 + trace)).mean() / D,
                    "only the squared score is a mean over the coordinates": (
                        w * (square / 2 / D + trace)
                    ).mean(),
                    "it is a sum over the batch": (w * (square / 2 + trace)).sum(),
                    "the weight is not used": (square / 2 + trace).mean(),
                    "the norm is not squared": (w * (np.sqrt(square) / 2 + trace)).mean(),
                },
            )
        grad = (weight[:, None] * s).T @ x / B + weight.mean() * np.eye(D)
        expect(got["grad"], grad, "gradient of the loss")


def implicit_formula(s, divergence, weight):
    """The loss of implicit score matching, with the numbers that are in it."""

    def loss(s, weight, half, square, whole, of_div):
        return (weight * (half * (s**square).sum(1) ** whole + of_div * divergence)).mean()

    return Formula(
        loss,
        {
            "s": s,
            "weight": weight,
            "the factor 1/2 of |s|^2": 0.5,
            "the exponent of s": 2,
            "the exponent of |s|^2": 1,
            "the factor of the divergence": 1,
        },
    )


MARKED = (
    "The caller's x requires gradients after the call: mark a new tensor, x.detach()."
    "requires_grad_()."
)


def given_div(y, x, method="exact", noise="rademacher"):
    """A stand-in for get_div: the trace of the whole Jacobian."""
    import torch

    rows = [torch.autograd.grad(y[:, i].sum(), x, create_graph=True)[0] for i in range(y.shape[1])]
    return torch.stack(rows, 1).diagonal(dim1=1, dim2=2).sum(1)


@graded("1.2h", points=3)
class SSM:
    """Sliced score matching: its mean over v is the implicit loss."""

    def inputs(rng):
        A = 0.5 * rng.normal(size=(D, D)) + 1.5 + 2 * np.eye(D)  # its sum is far from its trace
        return {"A": A, "b": rng.normal(size=D), "x": rng.normal(size=D), "n": 20_000}

    def probe(A, b, x, n):
        import torch

        from sde_todo.loss import SSMLoss

        net = standins.LinearNet(A, b)
        many, t = x.repeat(n, 1), torch.full((n,), 0.5)
        plain = SSMLoss("gaussian")(t, many, net)
        weighted = SSMLoss("rademacher")(t, many, net, None, torch.full((n,), 2.0))
        plain.backward()
        marked = many.requires_grad
        out = {"plain": plain, "weighted": weighted, "grad": net.A.grad, "marked": marked}
        few, weight = torch.full((5,), 0.5), torch.arange(5) + 1.0
        flat = standins.ConstantNet(b)  # its derivatives by x are 0: the rest of the loss is exact
        try:
            out["flat"] = SSMLoss()(few, many[:5], flat, None, weight)
        except (RuntimeError, TypeError, AttributeError):
            out["flat"] = torch.tensor(torch.nan)
        return out

    def check(got, A, b, x, n):
        expect_that(not got["marked"], MARKED)
        check_flat(got["flat"], b)
        s = x @ A.T + 0.5 * b
        square, trace, total = (s**2).sum(), np.trace(A), A.sum()
        signs = np.array([[1, i, j] for i in (-1, 1) for j in (-1, 1)])
        shared = np.einsum("vi,ij,vj->v", signs, A, signs)  # v^T A v of every v of signs
        laws = {
            "v is uniform on [0, 1]": trace / 12 + total / 4,
            "v is uniform on [-1, 1]": trace / 3,
            "v is 0 or 1": trace / 4 + total / 4,
            "v has the variance 2": 2 * trace,
            "v has the variance 4": 4 * trace,
        }
        spread = 5 * np.sqrt(2 * (A**2).sum() / n)  # five standard errors of v^T A v
        for name, w in (("weighted", 2.0), ("plain", 1.0)):
            nearest = shared[np.argmin(np.abs(w * (square / 2 + shared) - got[name]))]
            mistakes = {
                "the weight is not used": square / 2 + trace,
                "the part with v is missing: v must be on both sides of ds/dx": w * square / 2,
                "the factor 1/2 of the squared score is missing": w * (square + trace),
                "the part with v has the wrong sign": w * (square / 2 - trace),
                "this sums all entries of the Jacobian": w * (square / 2 + total),
                "the squared score is that of the whole batch": w * (n * square / 2 + trace),
                "it is a sum over the batch": w * n * (square / 2 + trace),
                "it is divided by D; both parts are sums over the coordinates": (
                    w * (square / 2 + trace) / D
                ),
                "the squared score is divided by D; it is a sum over the coordinates": (
                    w * (square / 2 / D + trace)
                ),
                "the part with v is divided by D, or v has length 1 and not E[v v^T] = I": (
                    w * (square / 2 + trace / D)
                ),
                "the part with v is halved too, or E[v v^T] is I/2, not I": (
                    w * (square + trace) / 2
                ),
                "the squared score is missing": w * trace,
                "the norm is not squared": w * (np.sqrt(square) / 2 + trace),
            } | {
                f"{law}; use random_probe, with E[v v^T] = I": w * (square / 2 + value)
                for law, value in laws.items()
            }
            if name == "weighted":  # where v is made of signs
                same = "all samples have the same v, or v is all ones; each has its own"
                mistakes |= {same: w * (square / 2 + nearest)}
                del mistakes["this sums all entries of the Jacobian"]
            want = w * (square / 2 + trace)
            expect(got[name], want, f"{name} loss", mistakes, rtol=0, atol=w * spread)
        want = np.outer(s, x) + np.eye(D)
        expect(got["grad"], want, "gradient of the loss", rtol=0, atol=6 / np.sqrt(n) + 1e-3)


def check_flat(got, b):
    """Check the sliced loss of a score b, which does not depend on x."""
    expect_that(
        not np.isnan(got),
        "A score that does not depend on x ends in an error; its v^T (ds/dx) v is 0: pass "
        "materialize_grads=True to torch.autograd.grad, or add 0 * x to the score.",
    )
    true = implicit_formula(np.tile(b, (5, 1)), 0.0, np.arange(5) + 1.0)
    square, weight = (b**2).sum(), np.arange(5) + 1.0
    named = {
        "it has t instead of weight": 0.5 * square / 2,
        "the factor 1/2 of the squared score is missing": weight.mean() * square,
        "the weight is not used": square / 2,
    }
    expect(got, true, "loss of a score that does not depend on x", named)


@graded("1.2i", points=2)
class UniformTimes:
    """Times fill [eps, T] evenly and never touch 0."""

    def inputs(rng):
        return {"eps": float(rng.uniform(0.3, 0.5)), "u": numbers()}

    def probe(eps, u):
        from sde_todo.loss import sample_time

        sde = standins.ToyProcess()
        t, weight = sample_time(20_000, sde, eps)
        return {"t": t, "weight": weight} | generator_and_device(sample_time, sde, eps)

    def check(got, eps, u):
        t = got["t"]
        expect(t[:0], np.zeros(0), "t")
        expect_that(
            t.min() >= eps - 1e-6,
            f"The smallest time is {t.min():.3g}, below eps = {eps:.3g}: at t = 0 the target is "
            f"infinite.",
        )
        expect_that(t.max() <= 3 + 1e-6, f"The largest time is {t.max():.3g}, above T = 3.")
        expect_mean(
            t,
            (eps + 3) / 2,
            "mean time",
            {
                "T is taken for 1; it is sde.T": (eps + 1) / 2,
                "it is that of [eps, T + eps]": (2 * eps + 3) / 2,
                "these are the weights; t comes first": 1.0,
                "the length T - eps is missing: u in [0, 1] goes to eps + (T - eps) u": eps + 0.5,
            },
            rtol=0.005,
        )
        expect(t.var(), (3 - eps) ** 2 / 12, "variance of the times", rtol=0.03)
        expect(got["weight"], np.ones(len(t)), "weight")
        check_generator_and_device(got)
        check_strata((got["seeded"] - eps) / (3 - eps))


DRAWN = 1000  # times drawn from one seed


def numbers():
    """The numbers u of `sample_time` for the generator in `generator_and_device`."""
    import torch

    draws = torch.rand(DRAWN, generator=torch.Generator().manual_seed(3))
    return ((torch.arange(DRAWN) + draws) / DRAWN).numpy()


def check_strata(u):
    """Refuse times without one in each of the equal parts of their range, where they are u."""
    edges = np.linspace(0, 1, len(u) + 1)
    ranked = np.sort(u)
    expect_that(
        (ranked > edges[:-1] - 1e-4).all() and (ranked < edges[1:] + 1e-4).all(),
        "The times are not stratified: a batch of B is to have one in each of B equal parts, which "
        "lowers the variance of the loss. The numbers u that are drawn above have this.",
    )


def generator_and_device(sample_time, sde, eps, **options):
    """Times from generators of one seed, and whether both results are on the device asked for."""
    import torch

    times = [
        sample_time(DRAWN, sde, eps, generator=torch.Generator().manual_seed(3), **options)[0]
        for _ in range(2)
    ]
    try:  # a device on every machine; it holds shapes, but no numbers
        there = [
            v.device.type == "meta" for v in sample_time(5, sde, eps, device="meta", **options)
        ]
    except RuntimeError:  # as of .item(), which it lacks
        there = [True, True]
    return {"seeded": times[0], "seeded again": times[1], "on device": torch.tensor(there)}


def check_generator_and_device(got):
    expect(got["seeded"] * 0, np.zeros(DRAWN), "t")
    expect_that(
        np.array_equal(got["seeded"], got["seeded again"]),
        "Two generators of the same seed give different times: take the random numbers u, which "
        "are drawn from it above.",
    )
    for name, right in zip(("t", "The weight"), got["on device"], strict=True):
        expect_that(right, f"{name} is not on the device that is passed.")


@graded("1.2j", points=4)
class DebiasedTimes:
    """Times with density g^2/std^2, and the weights that undo it."""

    def inputs(rng):
        return {"eps": float(rng.uniform(0.2, 0.4)), "u": numbers()}

    def probe(eps, u):
        from sde_todo.loss import sample_time

        sde, density = standins.ToyProcess(), {"density": "debiased"}
        t, weight = sample_time(20_000, sde, eps, **density)
        return {"t": t, "weight": weight} | generator_and_device(sample_time, sde, eps, **density)

    def check(got, eps, u):
        t, weight = got["t"].astype(float), got["weight"]
        expect(t * 0, np.zeros(20_000), "t")
        expect_that(eps - 1e-5 <= t.min() and t.max() <= 3 + 1e-5, "t leaves [eps, T].")
        # std/alpha = c t here, so the density is proportional to 1/t on [eps, T].
        place = np.log(t / eps) / np.log(3 / eps)
        if abs(place.mean() - 0.5) > 0.005 or abs(place.var() * 12 - 1) > 0.05:
            check_lookup(got["seeded"], u, eps)
        expect_mean(place, 0.5, "mean of log(std/alpha), scaled to [0, 1]", rtol=0.01)
        expect(place.var(), 1 / 12, "variance of log(std/alpha), scaled to [0, 1]", rtol=0.05)
        check_interpolation(t, eps)
        q = 1 / (t * np.log(3 / eps))
        want = 1 / ((3 - eps) * q)
        expect(
            weight,
            want,
            "weight",
            {
                "this is q itself; the weight is the uniform density divided by q": q,
                "the uniform density 1/(T - eps) is missing": 1 / q,
                "it is 1: the loss would be biased": np.ones_like(t),
                "the uniform density is 1/(T - eps), not 1/T": want * (3 - eps) / 3,
                "the uniform density is 1/(T - eps), not 1/(T + eps)": want * (3 - eps) / (3 + eps),
                "the uniform density is divided by q; this is q times it": q / (3 - eps),
                "1/q is divided by T - eps, not multiplied": (3 - eps) / q,
                "this is q (T - eps), its inverse": 1 / want,
                "q is not normalised: divide the slope of log(std^2/alpha^2) by its range": (
                    want / np.log((3 / eps) ** 2)
                ),
                "the range of log(std^2/alpha^2) multiplies its slope; divide": (
                    want / np.log((3 / eps) ** 2) ** 2
                ),
            },
            rtol=0.02,
        )
        check_generator_and_device(got)
        check_strata(np.log(got["seeded"] / eps) / np.log(3 / eps))


def check_lookup(got, u, eps):
    """Say how the times that belong to the numbers u differ."""

    def time(u, first, last, start):
        return np.clip(np.exp((start + (last - first) * u) / 2) / 1.5, eps, 3)

    first, last = 2 * np.log(1.5 * eps), 2 * np.log(1.5 * 3)
    ends = {
        "u": u,
        "value[0]": first,
        "value[-1]": last,
        "value[0] (where the target starts)": first,
    }
    named = {
        "the times are uniform": eps + (3 - eps) * u,
        "the times fall where u rises: the table or the ends are exchanged": time(
            1 - u, first, last, first
        ),
        "all of them are eps": np.full(DRAWN, eps),
        "all of them are T": np.full(DRAWN, 3.0),
    }
    expect(got, Formula(time, ends), "t for the numbers u", named, atol=1e-4)


def check_interpolation(t, eps):
    """Check times that were looked up for the rising numbers u; others are left alone."""
    if np.abs(t - np.sort(t)).max() > 0.05:
        return
    distinct = len(np.unique(t))
    expect_that(
        distinct > 0.99 * len(t),
        f"There are {distinct} different times among {len(t)}: interpolate between the points of "
        f"the grid.",
    )
    expect_that(
        (np.diff(t) <= 0).sum() < 3,
        "The times do not grow with u: between two points of the grid the interpolation is wrong.",
    )
    # The outermost of the stratified draws are nearer to the ends than this.
    ends = f"expected {eps:.5g} to 3 nearly, got {t.min():.5g} to {t.max():.5g}"
    expect_that(
        t.min() < eps * (1 + 3e-4) and t.max() > 3 * (1 - 3e-4),
        f"The times do not reach both ends of [eps, T]: {ends}. Is an index off by one?",
    )


@graded("1.2l", points=3)
class PosteriorMean:
    """The stable target: E[x_0 | x_t] over weighted centres above a noise level, x_0 below."""

    def inputs(rng):
        points = rng.normal(size=(6, 2)) * 2
        return {
            "points": np.concatenate([points, points[:2]]),
            "x": rng.normal(size=(7, 2)),
            "x0": rng.normal(size=(7, 2)),
            "t": np.array([0.1, 0.15, 0.22, 0.8, 1.0, 1.5, 2.0]),
        }

    def probe(points, x, x0, t):
        from sde_todo.loss import StableTarget

        target = StableTarget(points, cell=1e-3, above=0.3)
        alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
        return {"target": target(x, x0, alpha, std), "x0": x0}

    def check(got, points, x, x0, t):
        alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
        c, weight = points[:6], np.array([2, 2, 1, 1, 1, 1])

        def mean(alpha, std, weight=weight, square=0.5, power=2, sign=1.0, axis=1, y=x / alpha):
            energy = y @ c.T - square * (c**2).sum(1)
            logits = sign * energy / (std / alpha) ** power + np.log(weight)
            logits = logits if axis else np.where(far, logits, -np.inf)
            p = np.exp(logits - logits.max(axis, keepdims=True))
            return p / p.sum(axis, keepdims=True) @ c

        far = std / alpha > 0.3
        right = mean(alpha, std)
        named = {
            "the weights of the centres are not used": mean(alpha, std, np.ones(6)),
            "the logarithm of the weights is subtracted; add it": mean(alpha, std, 1 / weight),
            "the term |c|^2/2 is missing": mean(alpha, std, square=0.0),
            "|c|^2 lacks its factor 1/2": mean(alpha, std, square=1.0),
            "the term |c|^2/2 has the wrong sign": mean(alpha, std, square=-0.5),
            "|c|^2 has the factor 1/4, not 1/2": mean(alpha, std, square=0.25),
            "|c|^2 has the factor 2, not 1/2": mean(alpha, std, square=2.0),
            "alpha is not used": mean(1, std, y=x),
            "sigma is std/alpha, not std": mean(1, std),
            "sigma is std/alpha, not alpha std": mean(1 / alpha, std),
            "sigma is std/alpha, not alpha/std": mean(std, alpha),
            "y is x/alpha, not x": mean(alpha, std, y=x),
            "y is x/alpha, not alpha x": mean(alpha, std, y=alpha * x),
            "sigma is not squared": mean(alpha, std, power=1),
            "sigma is missing": mean(alpha, std, power=0),
            "it is multiplied by sigma^2; divide": mean(alpha, std, power=-2),
            "sigma has the power 3, not 2": mean(alpha, std, power=3),
            "sigma has the power 4, not 2": mean(alpha, std, power=4),
            "the logits have the wrong sign": mean(alpha, std, sign=-1.0),
            "the softmax runs over the batch; it runs over the centres": mean(alpha, std, axis=0),
            "the nearest centre is taken, not the mean": mean(alpha, std / 1e3),
        }
        mistakes = {said: np.where(far, value, x0) for said, value in named.items()} | {
            "x_0 is kept everywhere; that is the plain target": x0,
            "x_0 is never kept; it is where std/alpha is below `above`": right,
            "x_0 is kept where std/alpha is above `above`; it is kept below": np.where(
                far, x0, right
            ),
            "std, not std/alpha, is compared with `above`": np.where(std > 0.3, right, x0),
            "alpha std, not std/alpha, is compared with `above`": np.where(
                alpha * std > 0.3, right, x0
            ),
            "std is compared with above/alpha; std/alpha is with `above`": np.where(
                std > 0.3 / alpha, right, x0
            ),
            "where the noise is small it is 0, not x_0": np.where(far, right, 0),
        }
        want = np.where(far, right, x0)
        expect(got["target"], want, "target", mistakes)
        changed = {"it is overwritten by the target: fill a copy of it": want}
        expect(got["x0"], x0, "the caller's x_0 after the call", changed)
