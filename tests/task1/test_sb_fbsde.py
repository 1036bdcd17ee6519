"""Task 1.6, third part: the losses of SB-FBSDE and one training step."""

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_that, expect_untouched, graded

B, D, N = 5, 3, 4


def given_div(y, x, method="exact", noise="rademacher"):
    """A stand-in for get_div: the trace of the whole Jacobian; ten times that for Hutchinson."""
    import torch

    entries = y.flatten(1).unbind(1)
    rows = [torch.autograd.grad(one.sum(), x, create_graph=True)[0] for one in entries]
    trace = torch.stack(rows, 1).flatten(2).diagonal(dim1=1, dim2=2).sum(1)
    return 10 * trace if method == "hutchinson" else trace


def loss_inputs(rng, n):
    """States with both policies linear: x A^T and x C^T + c."""
    return {
        "dt": rng.uniform(0.1, 0.4, n),
        "x": rng.normal(size=(n, D)),
        "A": rng.normal(size=(D, D)) + np.eye(D),
        "C": rng.normal(size=(D, D)) - np.eye(D),
        "c": rng.normal(size=D),
        "g": 1.7,
    }


@graded("1.6o", points=2)
class AlternatingLoss:
    """SBALoss: value and gradient for a linear policy, whose divergence is known."""

    def inputs(rng):
        return loss_inputs(rng, B + 2)

    def probe(dt, x, A, C, c, g):
        from sde_todo import loss

        A.requires_grad_()
        x.requires_grad_()
        out = {}
        with standins.patched(loss, get_div=given_div):
            for method in ("exact", "hutchinson"):
                value = loss.SBALoss(method)(dt, x, x @ A.T, (x @ C.T + c).detach(), g)
                out[method] = value
            x = x.detach()[..., None, None].requires_grad_()
            z, other = ((x[..., 0, 0] @ M.T)[..., None, None] for M in (A, C))
            out["images"] = loss.SBALoss()(dt, x, z, (other + c[:, None, None]).detach(), g)
        out["exact"].backward()
        return out | {"grad": A.grad}

    def check(got, dt, x, A, C, c, g):
        z, other, trace = x @ A.T, x @ C.T + c, np.trace(A)
        square, product = (z**2).sum(1), (z * other).sum(1)

        def mean(value, weight=dt):
            return (weight * value).mean()

        want = square / 2 + product + g * trace
        mistakes = {
            "the factor 1/2 is missing: z (z/2 + z_other)": mean(square + product + g * trace),
            "the whole product is halved; only z is: z (z/2 + z_other)": mean(
                (square + product) / 2 + g * trace
            ),
            "the divergence is that of z; it is of g z": mean(square / 2 + product + trace),
            "the divergence has the wrong sign": mean(square / 2 + product - g * trace),
            "the divergence is missing": mean(square / 2 + product),
            "the divergence is that of z_other; the policy that learns is z": mean(
                square / 2 + product + g * np.trace(C)
            ),
            "z_other is missing": mean(square / 2 + g * trace),
            "z_other has the wrong sign": mean(square / 2 - product + g * trace),
            "this is half the squared sum of both policies, as in the joint loss": mean(
                ((z + other) ** 2).sum(1) / 2 + g * trace
            ),
            "dt is missing": want.mean(),
            "dt is not used with the divergence": mean(square / 2 + product) + g * trace,
            "it is a sum over the batch": (dt * want).sum(),
            "it is a mean over the coordinates": mean((square / 2 + product) / D + g * trace),
            "it is divided by the sum of dt": mean(want) / dt.mean(),
        }
        true = Formula(
            lambda dt, z, whole, half, z_half, z_other, share, of_div: (
                dt
                * ((z**whole * (half * z_half**1 + z_other) ** share).sum(1) + of_div * g * trace)
            ).mean(),
            {
                "dt": dt,
                "z": z,
                "the exponent of z": 1,
                "the factor 1/2": 0.5,
                "z (of z/2)": z,
                "z_other": other,
                "the exponent of z/2 + z_other": 1,
                "the factor of the divergence": 1,
            },
        )
        mistakes |= more_losses(z, other, g, mean, trace)
        expect(got["exact"], true, "loss", mistakes)
        expect(
            got["hutchinson"],
            mean(want + 9 * g * trace),
            'loss with method="hutchinson"',
            {"self.method is not handed on to get_div": mean(want)},
        )
        expect(got["images"], mean(want), "loss on images")
        slope = (dt[:, None] * (z + other)).T @ x / len(x) + dt.mean() * g * np.eye(D)
        expect(got["grad"], slope, "gradient of the loss")


def more_losses(z, other, g, mean, trace):
    """Losses with z or g in places where they do not belong."""
    return {
        "the product is z alone; (z/2 + z_other) is missing": mean(z.sum(1) + g * trace),
        "the product is (z/2 + z_other) alone; z is missing": mean(
            (z / 2 + other).sum(1) + g * trace
        ),
        "the product is missing": mean(0 * z[:, 0] + g * trace),
        "the divergence is taken by z, not by x": mean(
            (z * (z / 2 + other)).sum(1) + g * z.shape[1]
        ),
    }


@graded("1.6p", points=2)
class JointLoss:
    """SBJLoss: value and gradients for linear policies, whose divergences are known."""

    def inputs(rng):
        return loss_inputs(rng, N * B) | {"log_q": rng.normal(size=B) - 3.0}

    def probe(dt, x, A, C, c, g, log_q):
        from sde_todo import loss

        for value in (A, C, x):
            value.requires_grad_()
        out = {}
        with standins.patched(loss, get_div=given_div):
            for method in ("exact", "hutchinson"):
                value = loss.SBJLoss(method)(dt, x, x @ A.T, x @ C.T + c, g, log_q)
                out[method] = value
            x = x.detach()[..., None, None].requires_grad_()
            z, other = ((x[..., 0, 0] @ M.T)[..., None, None] for M in (A, C))
            out["images"] = loss.SBJLoss()(dt, x, z, other + c[:, None, None], g, log_q)
        out["exact"].backward()
        return out | {"grad": A.grad, "grad of other": C.grad}

    def check(got, dt, x, A, C, c, g, log_q):
        z, other = x @ A.T, x @ C.T + c
        square = ((z + other) ** 2).sum(1)

        def total(value, weight=dt):
            return (weight * value).sum() / B

        each, prior = square / 2 + g * np.trace(C), log_q.mean()
        want = total(each) - prior
        mistakes = {
            "it is a mean over all states; a path adds up its steps: divide by the number of "
            "paths": (dt * each).mean() - prior,
            "it is a sum over all states: divide by the number of paths": B * total(each) - prior,
            "it is a sum over the paths": B * (total(each) - prior),
            "log q is missing": total(each),
            "log q has the wrong sign": total(each) + prior,
            "log q is a sum over the paths; it is a mean": total(each) - log_q.sum(),
            "the divergence is that of z; it is of g z_other, the policy of the way back": total(
                square / 2 + g * np.trace(A)
            )
            - prior,
            "the divergence is that of z_other without g": total(square / 2 + np.trace(C)) - prior,
            "the divergence is that of z + z_other; it is of g z_other alone": total(
                square / 2 + g * np.trace(A + C)
            )
            - prior,
            "the divergence has the wrong sign": total(square / 2 - g * np.trace(C)) - prior,
            "the divergence is missing": total(square / 2) - prior,
            "the factor 1/2 is missing": total(square + g * np.trace(C)) - prior,
            "the squares are added; it is the square of the sum of both policies": total(
                ((z**2).sum(1) + (other**2).sum(1)) / 2 + g * np.trace(C)
            )
            - prior,
            "the policies are subtracted": total(((z - other) ** 2).sum(1) / 2 + g * np.trace(C))
            - prior,
            "this is z (z/2 + z_other), the product of the alternating loss": total(
                (z * (z / 2 + other)).sum(1) + g * np.trace(C)
            )
            - prior,
            "dt is missing": total(each, 1.0) - prior,
            "it is a mean over the coordinates": total(square / 2 / D + g * np.trace(C)) - prior,
        }
        count = len(log_q)
        true = Formula(
            lambda dt, half, z, z_other, power, whole, rate, paths, log_q: (
                (
                    dt * (half * ((z + z_other) ** power).sum(1) ** whole + g * np.trace(C)) ** rate
                ).sum()
                / paths
                - log_q.mean()
            ),
            {
                "dt": dt,
                "the factor 1/2": 0.5,
                "z": z,
                "z_other": other,
                "the exponent of z + z_other": 2,
                "the exponent of |z + z_other|^2": 1,
                "the exponent of the rate": 1,
                "B": float(count),
                "log_q": log_q,
            },
        )
        mistakes |= {
            "it is the mean over all states, divided by B once more": (dt * each).mean() / count
            - prior,
            "it is upside down: B over the sum": count / (dt * each).sum() - prior,
        }
        expect(got["exact"], true, "loss", mistakes)
        expect(
            got["hutchinson"],
            total(each + 9 * g * np.trace(C)) - prior,
            'loss with method="hutchinson"',
            {"self.method is not handed on to get_div": want},
        )
        expect(got["images"], want, "loss on images")
        slope = (dt[:, None] * (z + other)).T @ x / B
        expect(got["grad"], slope, "gradient for z")
        slope = slope + dt.sum() * g * np.eye(D) / B
        expect(got["grad of other"], slope, "gradient for z_other")


def step_inputs(rng):
    gammas = np.sort(rng.uniform(0.02, 0.2, N))
    return {
        "s": np.concatenate([[0.0], gammas.cumsum() / gammas.sum()]),
        "q": 2 * gammas,
        "sigma": float(np.sqrt(2 * gammas.sum())),
        "A": rng.normal(size=(D, D)),
        "b": rng.normal(size=D),
        "C": rng.normal(size=(D, D)),
        "c": rng.normal(size=D),
        "x": rng.normal(size=(B, D)),
    }


def one_step(s, q, sigma, policy, batch, **options):
    """A step of the student's get_sb_step_fn; what its loss was given, and what came back."""
    import torch

    from sde_todo import bridge, train

    seen = {}

    def loss_fn(dt, x, z, z_other, g, log_q=None):
        def follows(z):  # whether autograd knows how it depends on x
            if not (x.requires_grad and z.requires_grad):
                return False
            slope = torch.autograd.grad(z.sum(), x, retain_graph=True, allow_unused=True)[0]
            return slope is not None and bool(slope.abs().sum() > 0)

        seen.update(dt=dt, x=x, z=z, z_other=z_other, g=g)
        seen.update(follows=follows(z), other_follows=follows(z_other))
        if log_q is not None:
            seen["log_q"] = log_q
        return (z**2).sum() + (z * z_other).sum() + (x**2).sum()

    chain = bridge.Chain(s.double(), torch.ones(len(q)).double(), q.double(), sigma)
    opt = torch.optim.SGD(policy.parameters(), lr=0.01)
    loss = train.get_sb_step_fn(policy, opt, loss_fn, chain, **options)(batch)
    return seen | {"loss": loss, "moved": policy.b.grad}


@graded("1.6q", points=1)
class AlternatingStep:
    """What an alternating step gives to its loss: states that can be derived by, both policies."""

    def inputs(rng):
        frozen = {"dt": rng.uniform(0.1, 0.4, B), "time": rng.uniform(0.6, 1.0, B)}
        return step_inputs(rng) | frozen | {"z_other": rng.normal(size=(B, D))}

    def probe(s, q, sigma, A, b, C, c, x, dt, time, z_other):
        policy = standins.LinearNet(A, b)
        out = one_step(s, q, sigma, policy, (dt, time, x, z_other))
        return out | {"touched": x.requires_grad}

    def check(got, s, q, sigma, A, b, C, c, x, dt, time, z_other):
        expect_untouched(got["touched"], "x")
        z = x @ A.T + time[:, None] * b
        expect_that(got["x"].shape != dt.shape, "x of the loss is (B,): the loss takes dt, then x.")
        expect(got["x"], x, "x of the loss", {"this is z_other": z_other})
        expect_that(
            got["z"].shape == z.shape,
            f"z of the loss has shape {got['z'].shape}, expected {z.shape}: policy(s, x) takes the "
            f"times (B,), then the states.",
        )
        expect(
            got["z"],
            z,
            "z of the loss",
            {
                "the policy is evaluated at 1 - s; s is in its own clock": x @ A.T
                + (1 - time[:, None]) * b,
                "this is z_other: z is the policy that learns": z_other,
                "the policy is evaluated at dt; its time is s": x @ A.T + dt[:, None] * b,
                "the policy is evaluated at z_other; it is at x": z_other @ A.T + time[:, None] * b,
            },
        )
        expect(got["z_other"], z_other, "z_other of the loss", {"this is z": z})
        expect(got["dt"], dt, "dt of the loss", {"this is s": time})
        expect(got["g"], sigma, "g of the loss", {"this is the variance": sigma**2, "it is 1": 1.0})
        expect_that(
            got["follows"],
            "The divergence needs the gradient of z by x: let x require gradients before the "
            "policy sees it.",
        )
        want = (z**2).sum() + (z * z_other).sum() + (x**2).sum()
        expect(got["loss"], want, "loss returned by the step")
        want = (time[:, None] * (2 * z + z_other)).sum(0)
        expect(got["moved"], want, "gradient for the policy")


@graded("1.6q", points=1)
class JointStep:
    """What a joint step gives to its loss: the states after the steps and both policies there."""

    def inputs(rng):
        return step_inputs(rng)

    def probe(s, q, sigma, A, b, C, c, x):
        import torch

        policy, other = standins.LinearNet(A, b), standins.LinearNet(C, c)

        def walk(x):
            # Not the process, but states that follow the weights of the policy.
            return torch.stack([(1 + k) * x + k * policy.b for k in range(len(q) + 1)])

        options = {"other": other, "prior_logp": lambda x: (x**2).sum(1), "walk": walk}
        return one_step(s, q, sigma, policy, x, **options)

    def check(got, s, q, sigma, A, b, C, c, x):
        states = np.stack([(1 + k) * x + k * b for k in range(N + 1)])

        def flat(rows):
            return rows.reshape(-1, D)

        def policy(times, rows, A=A, b=b):
            return flat(rows @ A.T + times[:, None, None] * b)

        after = states[1:]
        dt = np.repeat(np.diff(s), B)
        expect_that(got["x"].ndim > 1, "x of the loss has one axis: the loss takes dt, then x.")
        expect(
            got["x"],
            flat(after),
            "x of the loss",
            {
                "these are the states before the steps; those after them count": flat(states[:-1]),
                "paths and steps are exchanged: the states are (N, B, ...), flattened to (N B, "
                "...)": flat(after.swapaxes(0, 1)),
            },
        )
        expect(
            got["z"],
            policy(s[:-1], after),
            "z of the loss",
            {
                "the policy is evaluated at s_{k+1}; the step k has the time s_k": policy(
                    s[1:], after
                ),
                "the policy is evaluated at the states before the steps": policy(
                    s[:-1], states[:-1]
                ),
                "the policy is evaluated at 1 - s; s is in its own clock": policy(
                    1 - s[:-1], after
                ),
                "this is the policy `other`": policy(1 - s[1:], after, C, c),
            },
        )
        mistakes = {
            "the time of `other` is not mirrored: its clock is 1 - s": s[1:],
            "the time of `other` is off by one step: at x_{k+1} it is 1 - s_{k+1}": 1 - s[:-1],
            "the time of `other` is s_k; its clock runs backwards, from the state after the step: "
            "1 - s_{k+1}": s[:-1],
            "the time of `other` is 1 + s_{k+1}; its clock is 1 - s": 1 + s[1:],
            "the time of `other` is -s_{k+1}; its clock is 1 - s": -s[1:],
            "the time of `other` is 2 - s_{k+1}; its clock is 1 - s": 2 - s[1:],
        }
        expect(
            got["z_other"],
            policy(1 - s[1:], after, C, c),
            "z_other of the loss",
            {said: policy(times, after, C, c) for said, times in mistakes.items()},
        )
        expect(
            got["dt"],
            dt,
            "dt of the loss",
            {
                "it is 1/N for all; the steps differ": 1 / N,
                "paths and steps are exchanged": np.tile(np.diff(s), B),
                "these are the variances q": np.repeat(q, B),
            },
            broadcast=True,
        )
        expect(got["g"], sigma, "g of the loss", {"this is the variance": sigma**2, "it is 1": 1.0})
        expect(
            got["log_q"],
            (states[-1] ** 2).sum(1),
            "log_q of the loss",
            {
                "it is taken where the paths begin": (states[0] ** 2).sum(1),
                "it is taken after the first step; the paths end in the last state": (
                    (states[1] ** 2).sum(1)
                ),
                "it is taken before the last step; the paths end in the last state": (
                    (states[-2] ** 2).sum(1)
                ),
                "it has the wrong sign; the loss subtracts it": -(states[-1] ** 2).sum(1),
            },
        )
        expect_that(
            got["other_follows"],
            "The divergence needs the gradient of z_other by x: x of the loss must be the tensor "
            "that `other` was given.",
        )
        z, z_other = policy(s[:-1], after), policy(1 - s[1:], after, C, c)
        want = (z**2).sum() + (z * z_other).sum() + (flat(after) ** 2).sum()
        expect(got["loss"], want, "loss returned by the step")
        by_z = (2 * z + z_other).reshape(N, B, D)
        by_x = by_z @ A + z.reshape(N, B, D) @ C + 2 * after
        direct = (s[:-1, None, None] * by_z).sum((0, 1))
        through = (np.arange(1, N + 1)[:, None, None] * by_x).sum((0, 1))
        expect(
            got["moved"],
            direct + through,
            "gradient for the policy",
            {
                "the states are detached: the paths follow the policy with gradients": direct,
            },
        )
