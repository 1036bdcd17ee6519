"""Task 1.6, first part: flow matching and its coupling."""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_that, graded

B, D = 7, 3
IMAGE = (5, 2, 3, 1)


def line_inputs(rng):
    return {
        "t": rng.uniform(0.1, 0.9, B),
        "x0": rng.normal(size=(B, D)),
        "x1": rng.normal(size=(B, D)) + 1.0,
        "image0": rng.normal(size=IMAGE),
        "image1": rng.normal(size=IMAGE),
    }


def column(t, like):
    """t (n,) of the first len(like) samples, reshaped to go with them."""
    return t[: len(like)].reshape(-1, *[1] * (like.ndim - 1))


@graded("1.6a", points=2)
class FlowPath:
    """The point on the line from x0 to x1 and its velocity, on points and images."""

    def inputs(rng):
        return line_inputs(rng)

    def probe(t, x0, x1, image0, image1):
        from sde_todo.flow import flow_path

        point, velocity = flow_path(x0, x1, t)
        image, image_velocity = flow_path(image0, image1, t[: len(image0)])
        return {
            "point": point,
            "velocity": velocity,
            "image": image,
            "image velocity": image_velocity,
        }

    def check(got, t, x0, x1, image0, image1):
        for names, a, b in (
            (("point", "velocity"), x0, x1),
            (("image", "image velocity"), image0, image1),
        ):
            s = column(t, a)
            x_t = a + s * (b - a)
            expect(
                got[names[0]],
                Formula(
                    lambda share, x0, t, x1: share * x0 + t * x1,
                    {"1 - t": 1 - s, "x0": a, "t": s, "x1": b},
                ),
                names[0],
                {
                    "point and velocity are exchanged: the point comes first": b - a,
                    "it has x0 instead of t in 1 - t": (1 - a) * a + s * b,
                    "t runs the wrong way: at t = 0 the point is x0": b + s * (a - b),
                    "both weights are t": s * (a + b),
                    "this is how diffusion mixes, with weights whose squares add up to 1": np.sqrt(
                        1 - s**2
                    )
                    * a
                    + s * b,
                },
            )
            expect(
                got[names[1]],
                Formula(lambda x1, x0: x1 - x0, {"x1": b, "x0": a}),
                names[1],
                {
                    "the sign is wrong: the line leads from x0 to x1": a - b,
                    "this is x1; the velocity is x1 - x0": b,
                    "it leads from x_t to x1 in unit time; from x_t only 1 - t is left": b - x_t,
                    "it is multiplied by t": s * (b - a),
                },
            )


@graded("1.6b", points=2)
class FlowLoss:
    """Conditional flow matching: value and gradient on points, value on images."""

    def inputs(rng):
        return line_inputs(rng) | {"A": rng.normal(size=(D, D)), "b": rng.normal(size=D)}

    def probe(t, x0, x1, image0, image1, A, b):
        from sde_todo import flow

        def line(x0, x1, t):
            t = t.reshape(-1, *[1] * (x0.ndim - 1))
            return x0 + t * (x1 - x0), x1 - x0

        def on_images(t, x):
            return 2 * x + t.reshape(-1, 1, 1, 1)

        net = standins.LinearNet(A, b)
        with standins.patched(flow, flow_path=line):
            loss = flow.flow_loss(net, x0, x1, t)
            images = flow.flow_loss(on_images, image0, image1, t[: len(image0)])
        loss.backward()
        return {"loss": loss, "images": images, "grad": net.A.grad}

    def check(got, t, x0, x1, image0, image1, A, b):
        def errors(model, a, b, s, flat=True):
            """(n, coordinates) for each thing that the model could be given and compared with."""
            x_t = a + s * (b - a)
            found = {
                "": model(s, x_t) - (b - a),
                "the target is x1; it is the velocity x1 - x0": model(s, x_t) - b,
                "the velocity has the wrong sign": model(s, x_t) - (a - b),
                "the target is x0, as in diffusion; it is the velocity x1 - x0": model(s, x_t) - a,
                "the velocity is missing": model(s, x_t),
                "the line leads from x1 to x1": model(s, b) - 0 * b,
                "the line leads from x0 to x0": model(s, a) - 0 * a,
                "the model is evaluated at 1 - t": model(1 - s, x_t) - (b - a),
                "the model is evaluated at x0; it is the point x_t": model(s, a) - (b - a),
                "the model is evaluated at x1; it is the point x_t": model(s, b) - (b - a),
                "t runs the wrong way: the line leads from x0 to x1": model(s, b + s * (a - b))
                - (a - b),
            }
            return {name: error.reshape(len(a), -1) for name, error in found.items()}

        def points(s, x):
            return x @ A.T + s * b

        def on_images(s, x):
            return 2 * x + s

        for name, model, pair in (
            ("loss", points, (x0, x1)),
            ("images", on_images, (image0, image1)),
        ):
            found = errors(model, *pair, column(t, pair[0]))
            values = {said: (error**2).sum(1).mean() for said, error in found.items()}
            want = values.pop("")
            n, coordinates = found[""].shape
            expect(
                got[name],
                Formula(
                    lambda v, target, power, whole: (
                        ((v - target) ** power).sum(1) ** whole
                    ).mean(),
                    {
                        "model(t, x_t)": found["the velocity is missing"],
                        "the velocity": (pair[1] - pair[0]).reshape(n, -1),
                        "the exponent of the error": 2,
                        "the exponent of its squared norm": 1,
                    },
                ),
                f"loss{' on images' if name == 'images' else ''}",
                values
                | {
                    "it is a mean over the coordinates; sum over them, mean over the batch": want
                    / coordinates,
                    "it is a sum over the batch": want * n,
                    "the sum runs over the batch, not over the coordinates": (
                        (found[""] ** 2).sum(0).mean()
                    ),
                    "there is a factor 1/2 that does not belong here": want / 2,
                    "it is the norm, not its square": np.sqrt((found[""] ** 2).sum(1)).mean(),
                    "errors are averaged over the batch before the square; the mean comes last": (
                        found[""].mean(0) ** 2
                    ).sum(),
                },
            )
        s = column(t, x0)
        x_t = x0 + s * (x1 - x0)
        want = 2 / B * (points(s, x_t) - (x1 - x0)).T @ x_t
        expect(got["grad"], want, "gradient of the loss")


@graded("1.6c", points=2)
class FlowSample:
    """All states of Heun's method, there and back, on a field that depends on time."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, D)),
            "A": rng.normal(size=(D, D)) * 0.4,
            "b": rng.normal(size=D),
            "steps": 5,
        }

    def probe(x, A, b, steps):
        import torch

        from sde_todo.flow import flow_sample

        seen = []

        def model(t, x):
            seen.append(t)
            return x @ A.T + 3 * t[:, None] ** 2 * b

        forward = flow_sample(model, x, steps)
        back = flow_sample(model, x, steps, reverse=True)
        shapes = {tuple(t.shape) for t in seen}
        return {
            "forward": forward,
            "back": back,
            "times fit": shapes == {(len(x),)},
            "asked": torch.tensor(len(seen)),
        }

    def check(got, x, A, b, steps):
        def field(t, x):
            return x @ A.T + 3 * t**2 * b

        def walk(times, step):
            states = [x]
            for t, t_next in itertools.pairwise(times):
                states.append(step(t, t_next, t_next - t, states[-1]))
            return np.stack(states)

        def heun(t, t_next, dt, x, share=0.5, second=None, far=1.0):
            slope = field(t, x)
            end = field(t_next if second is None else second, x + far * dt * slope)
            return x + share * dt * (slope + end)

        def at_old_time(t, t_next, dt, x):
            return heun(t, t_next, dt, x, second=t)

        def euler(t, t_next, dt, x):
            return x + dt * field(t, x)

        def midpoint(t, t_next, dt, x):
            return x + dt * field(t + dt / 2, x + dt / 2 * field(t, x))

        def only_end(t, t_next, dt, x):
            return x + dt * field(t_next, x + dt * field(t, x))

        mistakes = {
            "these are Euler steps: ask again at the end of the step and take the mean": euler,
            "the second velocity is taken at the wrong time; it belongs to t_next": at_old_time,
            "the second velocity is taken where the step began; go the Euler step first": (
                lambda t, t_next, dt, x: heun(t, t_next, dt, x, far=0.0)
            ),
            "both velocities are added, not averaged": (
                lambda t, t_next, dt, x: heun(t, t_next, dt, x, share=1.0)
            ),
            "only the velocity at the end of the step counts; take the mean of both": only_end,
            "this is the midpoint rule; Heun's method asks at both ends of the step": midpoint,
            "the step is not multiplied by its length": (
                lambda t, t_next, dt, x: x + (heun(t, t_next, dt, x) - x) / dt
            ),
        }
        expect_that(
            got["times fit"], f"The model wants a time for each sample: t of shape ({len(x)},)."
        )
        times = np.linspace(0, 1, steps + 1)
        for name, clock in (("forward", times), ("back", times[::-1])):
            named = {said: walk(clock, step) for said, step in mistakes.items()}
            if name == "back":
                named |= {
                    "on the way back the step t_next - t is negative": walk(
                        clock, lambda t, t_next, dt, x: heun(t, t_next, -dt, x)
                    ),
                    "the way back asks at the times of the way there": walk(times, heun),
                }
            else:
                named["the velocity is subtracted"] = walk(
                    clock, lambda t, t_next, dt, x: heun(t, t_next, -dt, x)
                )
            expect(got[name], walk(clock, heun), f"states ({name})", named)


def pairings(x0, x1):
    """The optimal pairing, and those of plausible mistakes, by what to say of each."""
    a, b = x0.reshape(len(x0), -1), x1.reshape(len(x1), -1)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    best = linear_sum_assignment(distance**2)[1]
    greedy, left = [], distance.copy()
    for i in range(len(a)):
        greedy.append(left[i].argmin())
        left[:, greedy[-1]] = np.inf
    return best, {
        "this pairs x0[i] with x1[i], as before": np.arange(len(a)),
        "each point takes its nearest neighbour, and some of them the same; a pairing is a "
        "permutation": distance.argmin(1),
        "each point takes the nearest that is left, so that the last pay for the first; all pairs "
        "are chosen together": np.array(greedy),
        "this is the inverse permutation: x0[i] belongs to x1[j[i]], so look along the rows": (
            np.argsort(best)
        ),
        "it maximises the cost": linear_sum_assignment(-(distance**2))[1],
        "the distances are not squared": linear_sum_assignment(distance)[1],
    }


@graded("1.6d", points=2)
class OTCoupling:
    """The optimal pairing of two batches, of points and of images."""

    def inputs(rng):
        for _ in range(1000):  # until every mistake shows
            x0, x1 = rng.normal(size=(12, 2)), 1.5 * rng.normal(size=(12, 2)) + 1.0
            best, named = pairings(x0, x1)
            if all((best != other).any() for other in named.values()):
                break
        images = rng.normal(size=(2, *IMAGE))
        return {"x0": x0, "x1": x1, "image0": images[0], "image1": images[1]}

    def probe(x0, x1, image0, image1):
        from sde_todo.flow import ot_coupling

        return {"j": ot_coupling(x0, x1), "images": ot_coupling(image0, image1)}

    def check(got, x0, x1, image0, image1):
        expect_that(got["j"].dtype.kind in "iu", "j must be whole numbers, to be used as an index.")
        best, named = pairings(x0, x1)
        expect(got["j"], best.astype(float), "j", named)
        expect(got["images"], pairings(image0, image1)[0].astype(float), "j of images")
