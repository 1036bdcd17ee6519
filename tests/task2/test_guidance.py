"""Task 2.5: measurements, projection on them, and guidance by a classifier."""

import numpy as np

from autograder import standins
from autograder import standins_images as toy
from autograder.formula import Formula
from autograder.harness import expect, expect_mean, expect_that, expect_untouched, graded
from tests.task2.test_scheduler import MANY, check_own_noise, check_spread, check_unchanged

B, SHAPE = 7, (3, 4, 5)
ROWS = (3, 2, 2)  # shape of a measurement by an explicit matrix


class Weighted:
    """A stand-in for an operator: A x = sum_c w_c x_c, with a unit vector w (C,)."""

    def __init__(self, w):
        self.w = w.reshape(-1, 1, 1)

    def measure(self, x):
        return (self.w * x).sum(1, keepdim=True)

    def adjoint(self, y):
        return self.w * y


class Matrix:
    """A stand-in for an operator: an explicit matrix A (12, 60) with orthonormal rows."""

    def __init__(self, A):
        self.A = A

    def measure(self, x):
        return (x.flatten(1) @ self.A.T).reshape(-1, *ROWS)

    def adjoint(self, y):
        return (y.flatten(1) @ self.A).reshape(-1, *SHAPE)


def toy_measured(operator, y, model=None, class_label=None, guidance_scale=0.0, **methods):
    """A student's Measured over a toy model, with some methods replaced."""
    from image_diffusion.guidance import Measured

    model = model or toy.ToyModel(toy.ToySteps([37, 20, 9, 3]))
    cls = type("Toy", (Measured,), methods)
    return cls(model, operator, y, class_label, guidance_scale)


def gray_matrix(C, H, W):
    """A of Gray, (H W, C H W)."""
    return np.kron(np.full((1, C), C**-0.5), np.eye(H * W))


def pool_matrix(C, H, W, k):
    """A of Pool, (C H W / k^2, C H W)."""
    down = [np.kron(np.eye(n // k), np.ones((1, k))) for n in (H, W)]
    return np.kron(np.eye(C), np.kron(*down)) / k


def times(A, x, shape):
    """A x of each image, in this shape."""
    return (x.reshape(len(x), -1) @ A.T).reshape(len(x), *shape)


@graded("2.5a", points=1)
class GrayLevel:
    """The sum over the channels, a unit row; and its transpose."""

    def inputs(rng):
        C = int(rng.choice([2, 4, 5]))
        size = (4, 5)
        return {
            "x": rng.normal(size=(B, C, *size)),
            "colour": rng.normal(size=(B, 3, *size)),
            "y": rng.normal(size=(B, 1, *size)),
        }

    def probe(x, colour, y):
        from image_diffusion.guidance import Gray

        out = {}
        for name, images in (("C", x), ("3", colour)):
            operator = Gray(images.shape[1])
            out[f"measure {name}"] = operator.measure(images)
            out[f"adjoint {name}"] = operator.adjoint(y)
        return out

    def check(got, x, colour, y):
        for name, images in (("3", colour), ("C", x)):
            C = images.shape[1]
            A = gray_matrix(*images.shape[1:])
            expect_that(
                got[f"measure {name}"].shape != (B, *images.shape[2:]),
                "A x has no axis of channels; keep it with keepdim=True.",
            )
            total = images.sum(1, keepdims=True)
            mistakes = {
                "this is the mean, a row of length 1 / sqrt(C); divide the sum by sqrt(C)": total
                / C,
                "this is the sum, a row of length sqrt(C); divide it by sqrt(C)": total,
                "this divides by sqrt(3); the number of channels is self.channels": total / 3**0.5,
                "it is multiplied by sqrt(C) where it must be divided": total * C**0.5,
            }
            if C == 3:
                mistakes["these are the weights of brightness; here all channels count alike"] = (
                    np.einsum("c,bchw->bhw", [0.299, 0.587, 0.114], images)[:, None]
                )
                mistakes.pop("this divides by sqrt(3); the number of channels is self.channels")
            want = times(A, images, (1, *images.shape[2:]))
            expect(got[f"measure {name}"], want, f"A x of Gray, C = {C}", mistakes)
            check_gray_adjoint(got[f"adjoint {name}"], y, A, C)


def check_gray_adjoint(got, y, A, C):
    expect_that(
        got.shape != y.shape,
        "A^T y has one channel; it is an image of C channels.",
    )
    every = np.repeat(y, C, 1)
    first = every * (np.arange(C) == 0).reshape(-1, 1, 1)
    mistakes = {
        "every channel gets y itself; the transpose of a row of 1 / sqrt(C) gives y / sqrt(C)": (
            every
        ),
        "every channel gets y / C: that spreads the sum, but is not the transpose": every / C,
        "every channel gets sqrt(C) y; the transpose divides as the row does": every * C**0.5,
        "only one channel gets y; every channel has the same share": first,
        "only one channel gets a share; all have the same": first / C**0.5,
    }
    if C != 3:
        mistakes["this divides by sqrt(3); the number of channels is self.channels"] = (
            every / 3**0.5
        )
    expect(got, times(A.T, y, every.shape[1:]), f"A^T y of Gray, C = {C}", mistakes)


@graded("2.5a", points=1)
class Blocks:
    """k times the mean of every block, a unit row; and its transpose."""

    def inputs(rng):
        k, C = int(rng.choice([2, 3])), 2
        x, y = rng.normal(size=(B, C, 2 * k, 3 * k)), rng.normal(size=(B, C, 2, 3))
        return {"x": x, "y": y, "k": k}

    def probe(x, y, k):
        from image_diffusion.guidance import Pool

        return {"measure": Pool(k).measure(x), "adjoint": Pool(k).adjoint(y)}

    def check(got, x, y, k):
        A = pool_matrix(*x.shape[1:], k)
        want = times(A, x, y.shape[1:])
        blocks = x.reshape(*y.shape[:3], k, 3, k)
        mistakes = {
            "the factor k is missing: a row of k^2 numbers 1 / k^2 has length 1 / k": want / k,
            "this is the sum of a block, a row of length k; k times the mean is the sum over k": (
                want * k
            ),
            "the factor is k^2 too large; k times the mean": want * k**2,
            "this is the largest pixel of a block; take the mean": blocks.max((3, 5)),
            "this is one pixel of a block; take the mean": blocks[:, :, :, 0, :, 0],
        }
        expect(got["measure"], want, f"A x of Pool, k = {k}", mistakes)
        check_pool_adjoint(got["adjoint"], y, A, k)


def check_pool_adjoint(got, y, A, k):
    every = y.repeat(k, 2).repeat(k, 3)
    corner = np.zeros_like(every)
    corner[:, :, ::k, ::k] = y
    mistakes = {
        "every pixel gets y itself; the transpose of a row of 1 / k gives y / k": every,
        "every pixel gets y / k^2, the transpose of the mean without its factor k": every / k**2,
        "every pixel gets k y; the transpose divides as the row does": every * k,
        "only one pixel of a block gets y; all have the same share": corner,
        "only one pixel of a block gets a share; all have the same": corner / k,
        "the small image is tiled; each of its pixels is repeated": np.tile(y, (1, 1, k, k)) / k,
    }
    want = times(A.T, y, every.shape[1:])
    expect_that(
        got.shape != want.shape
        or np.allclose(got, got[:, :, ::k, ::k].repeat(k, 2).repeat(k, 3))
        # What is named below differs within a block, too.
        or any(np.allclose(got, value, rtol=1e-3, atol=1e-5) for value in mistakes.values()),
        "A^T y of Pool differs within a block: interpolation smooths; repeat the pixels.",
    )
    expect(got, want, f"A^T y of Pool, k = {k}", mistakes)


def unit(rng, n):
    """A unit vector whose entries differ and are not small."""
    w = rng.permutation(np.linspace(0.4, 1, n)) * rng.choice([-1, 1], n)
    return w / np.linalg.norm(w)


def colour_space(w):
    """An orthogonal matrix (C, C) with the first row w: what is measured, then what is free."""
    q, _ = np.linalg.qr(np.column_stack([w, np.eye(len(w))[:, 1:]]))
    return q.T * np.sign(q[:, 0] @ w)


def turned(Q, x):
    """Q on the channels of images."""
    return np.einsum("ij,bjhw->bihw", Q, x)


def imputed(x, gray, w):
    """x with its first channel in the colour space of w replaced."""
    Q = colour_space(w)
    z = turned(Q, x)
    z[:, :1] = gray
    return turned(Q.T, z)


@graded("2.5b", points=2)
class Project:
    """In a colour space with the measurement as its first channel, that channel is replaced."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, *SHAPE)),
            "y": rng.normal(size=(B, 1, *SHAPE[1:])),
            "w": unit(rng, SHAPE[0]),
            "a": rng.uniform(0.5, 0.9, size=(B, 1, 1, 1)),
            "b": float(rng.uniform(0.4, 0.6)),
        }

    def probe(x, y, w, a, b):
        given = x.clone()
        exact = toy_measured(Weighted(w), y).project(given, a, 0.0).clone()
        again = toy_measured(Weighted(w), y).project(given, a, 0.0).clone()
        many_x, many_y = (v[:1].repeat(MANY, 1, 1, 1) for v in (x, y))
        noised = toy_measured(Weighted(w), many_y).project(many_x, a[0].item(), b)
        return {"exact": exact, "again": again, "given": given, "noised": noised}

    def check(got, x, y, w, a, b):
        check_unchanged(got["given"], x, "x")
        column = w.reshape(-1, 1, 1)
        Ax = (column * x).sum(1, keepdims=True)
        known = column * a * y
        mistakes = {
            "y is not scaled by a: x is a x_0 + b noise, and y belongs to x_0": imputed(x, y, w),
            "y is scaled by a^2; by a alone": imputed(x, a**2 * y, w),
            "y is scaled by the root of a; by a itself": imputed(x, np.sqrt(a) * y, w),
            "A x is not taken away: what x measured before is still in it": x + known,
            "A x is not taken away in full: a counts for y alone": x + column * a * (y - Ax),
            "what is free is lost: x + A^T (y_t - A x) keeps it": known,
            "the sign of the correction is wrong: x + A^T (y_t - A x)": x - known + column * Ax,
            "A^T is missing: what is free gets changed": x + a * y - Ax,
            "x is scaled by a as well: what is free must stay": imputed(a * x, a * y, w),
            "x is not projected": x,
        }
        expect_that(
            got["exact"].shape != got["again"].shape or np.allclose(got["exact"], got["again"]),
            "x projected with b = 0: two calls differ; the noise of y_t has the factor b.",
        )
        expect(got["exact"], projected(x, y, w, a), "x projected, b = 0", mistakes)
        check_projected_noise(got["noised"], x[:1], a[0] * y[:1], w, b)


def projected(x, y, w, a):
    """x with what w measures of it replaced, as a formula."""
    column = w.reshape(-1, 1, 1)

    def project(x, w, a, y, of_y, of_measured):
        measured = (column * x).sum(1, keepdims=True)
        return x + w * (a * y**of_y + of_measured * measured)

    return Formula(
        project,
        {
            "x": x,
            "A^T": column,
            "a": a,
            "y": y,
            "the exponent of y": 1,
            "the factor of A x": -1,
        },
    )


def check_projected_noise(draws, x, mean, w, b):
    expect_that(
        draws.shape == (MANY, *SHAPE),
        f"x projected has shape {draws.shape}; expected {(MANY, *SHAPE)}.",
    )
    expect_that(np.isfinite(draws).all(), "x projected has NaN or infinite values.")
    Q = colour_space(w)
    z, before = turned(Q, draws), turned(Q, x)
    expect_that(
        z[:, 1:].std(0).max() < 1e-3,
        "x projected: noise is added to what is free, too. Measure the noise: y_t = a y + b A "
        "noise, and A^T brings it back.",
    )
    expect(z[0, 1:], before[0, 1:], "what is free of x (it stays)")
    measured = z[:, :1]
    check_own_noise(measured, [mean], "what is measured")
    expect_mean(measured, mean[0], "mean of what is measured")
    check_spread(
        measured,
        b**2,
        "noise of what is measured",
        {
            "there is none: y_t has that of a x_0 + b noise": 0.0,
            "its standard deviation is b^2; b is the deviation already": b**4,
            "its standard deviation is the root of b; b is the deviation already": b,
            "b is not used: the noise of y_t has it as its standard deviation": 1.0,
            "x keeps its noise as well": 2 * b**2,
        },
    )


class LinearModel:
    """A model that predicts W x + .02 t + .1 scale label, with a matrix W (60, 60)."""

    num_classes = 8

    def __init__(self, W):
        self.W, self.var_scheduler = W, toy.ToySteps([37, 20, 9, 3])

    def network(self, x, timestep, class_label=None):
        linear = (x.flatten(1) @ self.W.T).reshape(x.shape)
        return linear + 0.02 * toy.one_for_each(timestep, x).reshape(-1, 1, 1, 1)

    def predict_noise(self, x, timestep, class_label=None, guidance_scale=0.0):
        shift = 0 if class_label is None else guidance_scale * class_label.reshape(-1, 1, 1, 1)
        return self.network(x, timestep) + 0.1 * shift


@graded("2.5c", points=2)
class MisfitGradient:
    """The gradient of the misfit through a linear network, in closed form, for each image."""

    def inputs(rng):
        n, m = int(np.prod(SHAPE)), int(np.prod(ROWS))
        return {
            "A": np.linalg.qr(rng.normal(size=(n, m)))[0].T,
            "W": 0.6 * rng.normal(size=(n, n)) / np.sqrt(n),
            "x": rng.normal(size=(B, *SHAPE)),
            "y": 2 * rng.normal(size=(B, *ROWS)),
            "label": rng.permutation(np.arange(1, 9))[:B],
            "scale": float(rng.uniform(0.5, 2)),
            "t": int(rng.integers(8, 14)),
        }

    def probe(A, W, x, y, label, scale, t):
        import torch

        measured = toy_measured(Matrix(A), y, LinearModel(W), label, scale)
        with torch.no_grad():  # as in `mcg`
            noise, gradient = measured.mcg_gradient(x, t)
        graph = noise.requires_grad or gradient.requires_grad
        touched = x.requires_grad
        return {"noise": noise, "gradient": gradient, "graph": graph, "touched": touched}

    def check(got, A, W, x, y, label, scale, t):
        a, b = np.sqrt(toy.abar(t)), np.sqrt(1 - toy.abar(t))
        plain = times(W, x, SHAPE) + 0.02 * t
        noise = plain + 0.1 * scale * label.reshape(-1, 1, 1, 1)
        mistakes = {
            "this is the estimate of x_0": (x - b * noise) / a,
            "class and guidance are lost; self.predict_noise has them": plain,
        }
        exchanged = "this is the gradient; the noise comes first"
        named = mistakes

        def pull(misfit, a=a, b=b, A=A):
            """The gradient of the norms of a misfit in A (x_t - b noise(x_t)) / a."""
            r = misfit.reshape(B, -1)
            back = r / np.linalg.norm(r, axis=1, keepdims=True) @ A
            return -((back - b * back @ W) / a).reshape(x.shape)

        def misfit(estimate):
            return y - times(A, estimate, ROWS)

        estimate = (x - b * noise) / a
        r = misfit(estimate)
        true, norm = pull(r), np.sqrt((r**2).sum((1, 2, 3), keepdims=True))
        per_pixel = r / np.sqrt((r**2).sum(1, keepdims=True))
        expect(got["noise"], noise, "noise", named | {exchanged: true})
        mistakes = {
            "the network is detached: x0_hat depends on x_t through it as well": pull(r, b=0.0),
            "this is the gradient of the squared norm": 2 * norm * true,
            "this is the gradient of half the squared norm": norm * true,
            "the norm is taken over the batch; take one for each image": true
            * norm
            / np.sqrt((r**2).sum()),
            "the norms are averaged over the batch; the sum has each one's gradient": true / B,
            "the norm is that of single pixels; flatten all but the images first": pull(per_pixel)
            * np.sqrt((per_pixel**2).sum((1, 2, 3), keepdims=True)),
            "y is not used": pull(-times(A, estimate, ROWS)),
            "what is free counts as well: measure x0_hat, and compare with y": pull(
                times(A.T, y, SHAPE) - estimate, A=np.eye(A.shape[1])
            ),
            "the misfit compares y with x_t, not with the estimate of x_0": pull(misfit(x), 1, 0.0),
            "x0_hat is not divided by sqrt(abar)": pull(misfit(x - b * noise), 1),
            "x0_hat is divided by abar; take the root": pull(misfit((x - b * noise) / a**2), a**2),
            "x0_hat takes 1 - abar of the noise; take the root": pull(
                misfit((x - b**2 * noise) / a), b=b**2
            ),
        }
        formula = misfit_formula(A, W, x, y, noise - times(W, x, SHAPE), a, b)
        expect(got["gradient"], formula, "gradient", mistakes)
        expect_that(not got["graph"], "noise and gradient still carry a graph: detach them.")
        expect_untouched(got["touched"], "x")


def misfit_formula(A, W, x, y, rest, a, b):
    """The gradient of |y - A x0_hat| with the numbers that are in it."""

    def gradient(y, of_hat, x, of_x, level, of_noise, root, whole):
        noise = times(W, x, SHAPE) + rest
        inner = of_x * x - level * noise**of_noise
        hat = (inner / root) ** whole
        r = (y + of_hat * times(A, hat, ROWS)).reshape(B, -1)
        back = of_hat * r / np.linalg.norm(r, axis=1, keepdims=True) @ A
        back = back * (whole * hat / inner).reshape(B, -1)
        through = back * (of_noise * noise ** (of_noise - 1)).reshape(B, -1)
        return (of_x * back - level * through @ W).reshape(x.shape)

    return Formula(
        gradient,
        {
            "y": y,
            "the factor of A x0_hat in the misfit": -1,
            "x_t": x,
            "the factor of x_t in x0_hat": 1,
            "sqrt(1 - abar)": b,
            "the exponent of the noise": 1,
            "sqrt(abar)": a,
            "the exponent of x0_hat": 1,
        },
    )


STEP, CORRECT, PROJECT, EULER = range(4)
CALLS = ("reverse_diffusion_step", "correct_fn", "project", "predict_fn")


class Forward(standins.ToyProcess):
    """A stand-in for a process of Task 1.1, and writes down what is called, when and with what."""

    def __init__(self):
        self.calls = []

    def note(self, kind, clock, number, x):
        """Write down a call at a time s (B,)."""
        check_state(x, CALLS[kind])
        shape = tuple(getattr(clock, "shape", ()))
        if shape != (len(x),):
            raise ValueError(
                f"{CALLS[kind]} got a clock of shape {shape}; it takes a time for each image: "
                f"({len(x)},)."
            )
        self.calls.append([kind, float(clock[0]), first_number(number)])

    def correct_fn(self, t, x, score_fn, snr=0.16):
        self.note(CORRECT, self.T - t, snr, x)
        return 0.95 * x + 0.1

    def reverse(self, score_fn, lam=0.0):
        return Backward(self, score_fn)


class Backward:
    """A stand-in for the reverse process."""

    def __init__(self, forward, score_fn):
        self.forward, self.score_fn = forward, score_fn
        self.N, self.T = forward.N, forward.T

    def marginal_prob(self, s, x0):
        return self.forward.marginal_prob(self.T - s, x0)

    def correct_fn(self, s, x, snr=0.16):
        return self.forward.correct_fn(self.T - s, x, self.score_fn, snr)

    def predict_fn(self, s, x, dt=None, ode=False):
        self.forward.note(EULER, s, 0 if dt is None else dt, x)
        return x


def check_state(x, name):
    """Refuse the pair that a step returns."""
    if isinstance(x, (tuple, list)):
        raise ValueError(
            f"{name} got a {type(x).__name__} instead of x; reverse_diffusion_step returns "
            f"two things, the state and the number of score evaluations."
        )


def first_number(value):
    """A number, or the first one of a tensor."""
    return float(value.reshape(-1)[0] if hasattr(value, "reshape") else value)


def toy_step(sde, s, ds, x):
    """A stand-in for reverse_diffusion_step."""
    sde.forward.note(STEP, s, ds, x)
    return 0.9 * x + 0.2, 1


@graded("2.5d", points=3)
class StepAndCorrect:
    """Step, project, and for each correction correct, project: all at the new time."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, *SHAPE)),
            "y": rng.normal(size=(B, 1, *SHAPE[1:])),
            "w": unit(rng, SHAPE[0]),
            "clock": np.array([rng.uniform(0.5, 0.9), rng.uniform(1.6, 2.2)]),
            "corrections": int(rng.integers(2, 4)),
            "snr": float(rng.uniform(0.2, 0.4)),
        }

    def probe(x, y, w, clock, corrections, snr):
        from sde_todo import sampling

        out = {}
        s, s_next = clock[:, None].repeat(1, B)
        for n in (corrections, 0):
            forward = Forward()

            def project(self, x, a, b, calls=forward.calls):
                check_state(x, "project")
                calls.append([PROJECT, first_number(a), first_number(b)])
                return 0.8 * x + 0.3

            measured = toy_measured(Weighted(w), y, project=project)
            reverse = forward.reverse(lambda t, x: -x)
            with standins.patched(sampling, reverse_diffusion_step=toy_step):
                out[f"x {n}"] = measured.step_and_correct(reverse, s, s_next, x.clone(), n, snr)
            out[f"calls {n}"] = forward.calls
        return out

    def check(got, x, y, w, clock, corrections, snr):
        for n in (corrections, 0):
            calls = np.reshape(got[f"calls {n}"], (-1, 3))
            check_order(calls[:, 0].astype(int).tolist(), n)
            check_numbers(calls, *clock, n, snr)
            check_flow(got[f"x {n}"], x, n)


def check_order(kinds, n):
    rest = [CORRECT, PROJECT]
    wrong = {
        "nothing is projected after the step": [STEP, *rest * n],
        "nothing is projected after a correction": [STEP, PROJECT, *[CORRECT] * n],
        "only the last correction is followed by a projection": [
            *(STEP, PROJECT, *[CORRECT] * n, PROJECT)
        ],
        "nothing is projected": [STEP, *[CORRECT] * n],
        "it is projected once, after all of the corrections": [STEP, *[CORRECT] * n, PROJECT],
        "there is no correction": [STEP, PROJECT],
        f"there is one correction; corrections = {n}": [STEP, PROJECT, *rest],
        "the projections are before the step and the corrections; they come after": [
            *(PROJECT, STEP, *[PROJECT, CORRECT] * n)
        ],
        "the corrections come before the step; they correct what the step has made": [
            *(*rest * n, STEP, PROJECT)
        ],
        "there is no step": rest * n,
        "predict_fn is a step of Euler-Maruyama; call reverse_diffusion_step": [
            *(EULER, PROJECT, *rest * n)
        ],
    }
    right = [STEP, PROJECT, *rest * n]
    if kinds == right:
        return
    for message, order in wrong.items():
        expect_that(kinds != order, f"calls: {message}.")
    names, seen = (", ".join(CALLS[kind] for kind in calls) for calls in (right, kinds[:9]))
    expect_that(False, f"calls with corrections = {n}: expected {names}; got {seen or 'none'}.")


def check_numbers(calls, now, then, n, snr):
    step, corrected, projected = (calls[calls[:, 0] == kind, 1:] for kind in range(3))
    late = {"it is the new time; a step starts at the old one": then}
    expect(step[0, 0], now, "clock of the step", late)
    lengths = {
        "the time goes down; the clock s runs forward": now - then,
        "this is the time that is reached; ds is the length of the step": then,
        "this is the time where the step starts; ds is its length": now,
        "it is the sum of both times; ds is their difference": now + then,
        "the new time is missing: ds is the new time minus the old": -now,
        "both times are the same: ds is 0": 0.0,
        "this is T / N; a step may have any length": standins.ToyProcess.T / standins.ToyProcess.N,
    }
    expect(step[0, 1], then - now, "ds of the step", lengths)
    clocks = {
        "it is the old time; x is at the new one": np.full(n, now),
        "it is t = T - s; the reverse process takes its clock s": np.full(n, 3 - then),
    }
    expect(corrected[:, 0], np.full(n, then), "clock of the corrections", clocks)
    ignored = {"snr is not used": np.full(n, 0.16)}
    expect(corrected[:, 1], np.full(n, snr), "snr of the corrections", ignored)
    check_levels(projected, now, then)


def check_levels(projected, now, then):
    old, new = (np.array([standins.alpha(3 - s), standins.std(3 - s)]) for s in (now, then))
    want = np.tile(new, (len(projected), 1))
    first = np.arange(len(want))[:, None] == 0
    mistakes = {
        "they belong to the old time; x is at the new one": old,
        "after the step they belong to the old time; x is at the new one": np.where(
            first, old, new
        ),
        "after a correction they belong to the old time; x is at the new one": np.where(
            first, new, old
        ),
        "they are exchanged": new[::-1],
        "b is squared; project takes the standard deviation": new ** [1, 2],
        "b is 0: y keeps no noise where x has some": new * [1, 0],
        "a is 1: y is not scaled as x is": np.array([1, new[1]]),
        "these are 1 and 0: y is not brought to the noise level of x": np.array([1.0, 0]),
    }
    expect(projected, want, "a and b of the projections", mistakes)


def check_flow(got, start, n):
    def end(stepped=True, after_step=True, corrected=True, after_correction=True):
        x = 0.9 * start + 0.2 if stepped else start
        x = 0.8 * x + 0.3 if after_step else x
        for _ in range(n):
            x = 0.95 * x + 0.1 if corrected else x
            x = 0.8 * x + 0.3 if after_correction else x
        return x

    mistakes = {
        "what the step gives is dropped": end(stepped=False),
        "what project gives after the step is dropped": end(after_step=False),
        "what correct_fn gives is dropped": end(corrected=False),
        "what project gives after a correction is dropped": end(after_correction=False),
    }
    mistakes = {m: v for m, v in mistakes.items() if n or "correct" not in m}
    expect(got, end(), "x", mistakes)


CLASSES = B + 1


@graded("2.5e", points=2)
class ClassGradient:
    """The gradient of log p(c | x_t) of a quadratic classifier, each image with its own label."""

    def inputs(rng):
        n = int(np.prod(SHAPE))
        return {
            "x": rng.normal(size=(B, *SHAPE)),
            "w": rng.normal(size=(CLASSES, n)) / np.sqrt(n),
            "c": rng.normal(size=CLASSES) / np.sqrt(n),
            "t": rng.permutation(np.arange(1, 30))[:B],
            # Never the last class, so that a label off by one is still a column.
            "label": rng.permutation(np.arange(1, CLASSES)),
        }

    def probe(x, w, c, t, label):
        import torch

        from image_diffusion.guidance import ClassifierGuided

        def classifier(x, timestep):
            flat, timestep = x.flatten(1), toy.one_for_each(timestep, x)
            logits = flat @ w.T + 0.5 * c * flat.pow(2).sum(1, keepdim=True)
            return (1 + 0.05 * timestep[:, None]) * logits

        model = toy.ToyModel(toy.ToySteps([9, 3]))
        model.network = toy.ToyNetwork()
        guided = ClassifierGuided(model, classifier)
        with torch.no_grad():  # as in `sample`
            gradient = guided.class_gradient(x, t, label)
            single = guided.class_gradient(x, int(t[0]), label)
        graph = gradient.requires_grad
        touched = x.requires_grad
        return {"gradient": gradient, "single": single, "graph": graph, "touched": touched}

    def check(got, x, w, c, t, label):
        labels = {"gradient": t, "single": np.full(len(x), t[0])}
        for name, times in labels.items():
            check_class_gradient(got[name], x, w, c, times, label)
        expect_that(not got["graph"], "the gradient still carries a graph.")
        expect_untouched(got["touched"], "x")


def check_class_gradient(got, x, w, c, t, label):
    count, flat = len(x), x.reshape(len(x), -1)
    index = np.arange(count)

    def slopes(t):
        """Logits (B, CLASSES), and their gradients (B, CLASSES, n)."""
        scale = 1 + 0.05 * t[:, None]
        logits = scale * (flat @ w.T + 0.5 * c * (flat**2).sum(1, keepdims=True))
        return logits, scale[..., None] * (w + c[:, None] * flat[:, None])

    def softmax(z, axis=1):
        z = np.exp(z - z.max(axis, keepdims=True))
        return z / z.sum(axis, keepdims=True)

    def log_slopes(t):
        """The gradients of log p of every class, (B, CLASSES, n)."""
        z, slope = slopes(t)
        return slope - np.einsum("bk,bkn->bn", softmax(z), slope)[:, None]

    z, slope = slopes(t)
    every, p = log_slopes(t), softmax(z)[index, label - 1][:, None]
    true = every[index, label - 1]
    across = np.einsum("bj,bjn->bn", softmax(z, axis=0)[:, label - 1], slope[:, label - 1])
    mistakes = {
        "labels count from 1 and columns from 0: take column label - 1": every[index, label],
        "this is the gradient of the logit; log p takes log_softmax": slope[index, label - 1],
        "this is the gradient of p; take its logarithm": p * true,
        "the softmax runs over the images; over the classes: log_softmax(1)": (
            slope[index, label - 1] - across
        ),
        "every image gets the gradients for the labels of all; pick one column in each row": every[
            :, label - 1
        ].sum(1),
        "it is divided by the number of images; take the sum": true / count,
        "this is the gradient of cross_entropy, minus the mean of log p; take the sum": -true
        / count,
        "the sign is wrong: a loss falls where log p rises": -true,
        "all classes are summed up": every.sum(1),
        "all images get the label of the first": every[:, label[0] - 1],
        "the classifier gets the labels as its timesteps": log_slopes(label)[index, label - 1],
        "the classifier is evaluated at timestep 0; it needs that of x_t": log_slopes(0 * t)[
            index, label - 1
        ],
    }
    mistakes = {m: v.reshape(x.shape) for m, v in mistakes.items()}
    expect(got, true.reshape(x.shape), "grad log p(class | x_t)", mistakes)


def toy_gradient(x, t, label):
    """A stand-in for class_gradient, for arrays and tensors; label is (B,)."""
    return 0.3 * x**2 + 0.2 * label.reshape(-1, 1, 1, 1) + 0.01 * t


@graded("2.5f", points=2)
class GuidedNoise:
    """The noise minus s sqrt(1 - abar) times the gradient, each image at its own timestep."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, *SHAPE)),
            "t": rng.permutation(np.arange(8, 24))[:B],
            "label": rng.permutation(np.arange(2, 10))[:B],
            "scale": float(rng.uniform(1.5, 3)),
        }

    def probe(x, t, label, scale):
        import torch

        from image_diffusion.guidance import ClassifierGuided

        def class_gradient(self, x, timestep, class_label):
            return toy_gradient(
                x, toy.one_for_each(timestep, x).reshape(-1, 1, 1, 1), class_label.float()
            )

        model = toy.ToyModel(toy.ToySteps([9, 3]))
        model.network = toy.ToyNetwork()
        cls = type("Toy", (ClassifierGuided,), {"class_gradient": class_gradient})
        guided = cls(model, None)
        with torch.no_grad():
            each = guided.predict_noise(x, t, label, scale)
            return {"each": each, "one": guided.predict_noise(x, int(t[0]), label, scale)}

    def check(got, x, t, label, scale):
        for name, times in (("each", t), ("one", np.full(len(t), t[0]))):
            noise, abar = toy.toy_network(x, times), toy.abar(times).reshape(-1, 1, 1, 1)
            times = times.reshape(-1, 1, 1, 1)
            slope, b = toy_gradient(x, times, label), np.sqrt(1 - abar)
            push = scale * b * slope
            mistakes = {
                "the sign is wrong: noise is minus sqrt(1 - abar) times the score": noise + push,
                "sqrt(1 - abar) is missing": noise - scale * slope,
                "sqrt(abar) is used instead of sqrt(1 - abar)": noise
                - scale * np.sqrt(abar) * slope,
                "1 - abar is used instead of its root": noise - scale * b**2 * slope,
                "it is divided by sqrt(1 - abar)": noise - scale / b * slope,
                "guidance_scale is not used": noise - b * slope,
                "guidance_scale counts twice; once": noise - scale * push,
                "guidance_scale - 1 is used instead of guidance_scale": noise
                - (scale - 1) * b * slope,
                "the noise of the network is lost": -push,
                "there is no guidance; take the gradient away": noise,
                "class_gradient counts labels from 1 itself; give it class_label as it is": (
                    noise - scale * b * toy_gradient(x, times, label - 1)
                ),
                "the noise is scaled as well": scale * (noise - b * slope),
                "the network is given the class as well; its own classes are not used": (
                    toy.toy_network(x, times.ravel(), label) - push
                ),
            }
            true = Formula(
                lambda noise, s, b, slope, power: noise - s * b * slope**power,
                {
                    "noise": noise,
                    "s": scale,
                    "sqrt(1 - abar)": b,
                    "the gradient": slope,
                    "the exponent of the gradient": 1,
                },
            )
            mistakes["1 + abar is used instead of 1 - abar"] = (
                noise - scale * np.sqrt(1 + abar) * slope
            )
            mistakes["2 - abar is used instead of 1 - abar"] = (
                noise - scale * np.sqrt(2 - abar) * slope
            )
            mistakes["it has the labels instead of the timesteps"] = toy.toy_network(
                x, label
            ) - scale * b * toy_gradient(x, label.reshape(-1, 1, 1, 1), label)
            mistakes["the network gets the labels as its timesteps"] = (
                toy.toy_network(x, label) - push
            )
            mistakes["class_gradient gets the labels as its timesteps"] = (
                noise - scale * b * toy_gradient(x, label.reshape(-1, 1, 1, 1), label)
            )
            expect(got[name], true, "noise, guided", mistakes)
