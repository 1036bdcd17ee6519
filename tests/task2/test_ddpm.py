"""Tasks 2.1 and 2.2: the loss, sampling, the score, dropped labels and guidance."""

import math

import numpy as np

from autograder import standins
from autograder import standins_images as toy
from autograder.formula import Formula
from autograder.harness import expect, expect_mean, expect_that, graded

B, SHAPE = 5, (2, 4, 4)


def toy_model(timesteps=(37, 20, 9, 3), cfg_dropout=0.1, **methods):
    """A student's DiffusionModule around a toy network and scheduler, some methods replaced."""
    from image_diffusion.ddpm import DiffusionModule

    cls = type("Toy", (DiffusionModule,), methods)
    return cls(toy.ToyNetwork(cfg_dropout), toy.ToySteps(list(timesteps)))


def predict(self, x, timestep, class_label=None, guidance_scale=0.0):
    """A stand-in for predict_noise: each argument leaves its trace."""
    label = 0 if class_label is None else class_label.reshape(-1, 1, 1, 1)
    return self.network(x, timestep) + 0.3 * label + 0.1 * guidance_scale


@graded("2.1e", points=7)
class SimpleLoss:
    """The loss for a given noise and given timesteps, and the law of those that are drawn."""

    def inputs(rng):
        return {
            "x0": rng.normal(size=(B, *SHAPE)),
            "noise": rng.normal(size=(B, *SHAPE)),
            "timestep": rng.permutation(toy.T)[:B],
            "labels": rng.permutation(6)[:B] + 1,
            "weight": rng.uniform(0.5, 3, size=B),
        }

    def probe(x0, noise, timestep, labels, weight):
        import torch

        model = toy_model(drop_labels=lambda self, class_label: class_label)
        loss = model.get_loss(x0, None, noise, timestep)
        out = {"loss": loss, "again": model.get_loss(x0, None, noise, timestep)}
        out["labelled"] = model.get_loss(x0, labels, noise, timestep)
        out["weighted"] = model.get_loss(x0, None, noise, timestep, weight)
        out["graph"] = torch.is_tensor(loss) and loss.requires_grad
        if out["graph"] and loss.ndim == 0:
            model.zero_grad()
            loss.backward()
            out["gradient"] = model.network.weight.grad
        drawn = toy_model()
        many = [drawn.get_loss(x0.repeat(60, 1, 1, 1)) for _ in range(20)]
        out["many"] = [value.detach().mean() for value in many] if out["graph"] else []
        seen = [t.flatten() for t in drawn.network.timesteps]
        return out | {"timesteps": torch.cat(seen)}

    def check(got, x0, noise, timestep, labels, weight):
        expect_that(
            got["loss"].ndim or abs(got["loss"] - got["again"]) < 1e-4 * abs(got["loss"]),
            "the same noise and timesteps give two losses: what is given is not used, or the "
            "prediction is compared with another draw; compare with what add_noise returns.",
        )
        true, mistakes = losses(x0, noise, timestep, 0)
        expect(got["loss"], true, "loss", mistakes)
        expect_that(
            got["graph"], "the loss carries no gradient: no .item(), .detach() or no_grad here."
        )
        labelled, mistakes = losses(x0, noise, timestep, labels)
        ignored = {"the network does not get class_label": true}
        expect(got["labelled"], labelled, "loss with classes", ignored | mistakes)
        abar = toy.abar(timestep).reshape(-1, 1, 1, 1)
        x_t = np.sqrt(abar) * x0 + np.sqrt(1 - abar) * noise
        errors = np.mean((noise - toy.toy_network(x_t, timestep)) ** 2, axis=(1, 2, 3))
        mistakes = {
            "the weight is not used": true,
            "each image has its own weight; here their mean multiplies all": weight.mean() * true,
            "this is a weighted mean; do not divide by the sum of the weights": (
                np.average(errors, weights=weight)
            ),
            "this is a sum over the images; take the mean": np.sum(weight * errors),
        }
        weighted = Formula(
            lambda weight, error: np.mean(weight * error),
            {"weight": weight, "the error of each image": errors},
        )
        expect(got["weighted"], weighted, "loss with weights", mistakes)
        gradient = np.mean(-2 * (noise - toy.toy_network(x_t, timestep)) * x_t)
        expect(got["gradient"], gradient, "gradient of the loss", rtol=1e-2)
        check_uniform(got["timesteps"])
        check_drawn_loss(got["many"], x0)


def losses(x0, noise, timestep, label):
    """The simple loss of the toy network, and what plausible mistakes give."""
    abar = toy.abar(timestep).reshape(-1, 1, 1, 1)
    x_t = np.sqrt(abar) * x0 + np.sqrt(1 - abar) * noise

    def ask(x=x_t, t=timestep):
        return toy.toy_network(x, t, label)

    error = noise - ask()
    true = np.mean(error**2)
    return true, {
        "the prediction is compared with x_0; it predicts the noise": np.mean((x0 - ask()) ** 2),
        "the prediction is compared with x_t; it predicts the noise": np.mean((x_t - ask()) ** 2),
        "the network is evaluated at t / T; it takes timesteps 0 .. T - 1": np.mean(
            (noise - ask(t=timestep / toy.T)) ** 2
        ),
        "the network is evaluated at one timestep for all images": np.mean(
            (noise - ask(t=timestep[0])) ** 2
        ),
        "the network gets x_0; it gets x_t": np.mean((noise - ask(x0)) ** 2),
        "this is the mean of absolute errors": np.mean(np.abs(error)),
        "this is the sum over pixels; take the mean": np.mean((error**2).sum((1, 2, 3))),
        "this is a sum; take the mean": np.sum(error**2),
        "this is a sum over the images; take the mean": np.mean(error**2) * len(error),
        "it has a factor of 1/2": true / 2,
    }


def check_uniform(timesteps):
    expect_that(
        timesteps.size >= 6000,
        f"the network saw {timesteps.size} timesteps for 6,000 images: one for each image.",
    )
    per_call = timesteps.reshape(20, -1)
    expect_that(
        (per_call != per_call[:, :1]).any(),
        "all images of a batch share one timestep; draw one for each.",
    )
    missing = np.setdiff1d(np.arange(toy.T), timesteps)
    expect_that(
        timesteps.min() >= 0 and timesteps.max() < toy.T,
        f"drawn timesteps lie outside 0 .. {toy.T - 1}.",
    )
    expect_that(not missing.size, f"drawn timesteps never are {missing.tolist()}.")
    # 6,000 draws: each timestep comes 150 times, with a standard deviation of 12.
    counts = np.array([(timesteps == t).mean() * 6000 for t in range(toy.T)])
    expect_that(np.abs(counts - 150).max() < 80, "some timesteps are drawn more often than others.")


def check_drawn_loss(losses, x0):
    """The expectation over t and noise, in closed form for the toy network."""
    t = np.arange(toy.T)
    a2 = toy.abar(t)
    noise_part = (1 - 0.5 * np.sqrt(1 - a2)) ** 2
    rest = [np.mean((0.5 * np.sqrt(a) * x0 + 0.02 * k) ** 2) for k, a in zip(t, a2, strict=True)]
    want = np.mean(noise_part + rest)
    other = np.mean(1 + 0.25 * (1 - a2) + rest)
    mistakes = {
        "the prediction is compared with noise that is not in x_t; use what add_noise returns": (
            other
        )
    }
    expect_mean(np.array(losses), want, "mean of the loss over drawn noise and times", mistakes)


@graded("2.1i", points=5)
class Sample:
    """From N(0, I) through all timesteps, each state from the one before."""

    def inputs(rng):
        return {"timesteps": np.array([36, int(rng.integers(20, 30)), 9, 3])}

    def probe(timesteps):
        import torch

        model = toy_model(timesteps.tolist())
        traj = model.sample(600, return_traj=True)
        out = model.sample(600)
        seen = model.var_scheduler.seen
        asked = [int(t[0]) for t in model.network.timesteps]
        labels = torch.tensor([2, 5, 1])
        guided = toy_model(timesteps.tolist(), predict_noise=predict)
        states = guided.sample(3, labels, 2.5, return_traj=True)
        return {
            "traj": torch.stack(list(traj)),
            "out": out,
            "seen": seen,
            "asked": asked,
            "guided": torch.stack(list(states)),
        }

    def check(got, timesteps):
        n = len(timesteps)
        traj = got["traj"]
        expect_that(
            traj.ndim == 5, "return_traj asks for the list of all states, not the last one."
        )
        expect_that(
            len(traj) == n + 1,
            f"the trajectory has {len(traj)} states for {n} timesteps; n + 1, x_T first.",
        )
        expect_that(
            not np.allclose(traj[0], traj[-1]),
            "all states are the same: they are one tensor, changed in place; append new ones.",
        )
        expect_mean(traj[0].mean((1, 2, 3)), 0.0, "mean of x_T")
        expect_mean((traj[0] ** 2).mean((1, 2, 3)), 1.0, "variance of x_T")
        twice = np.tile(timesteps, 2)
        backwards = {
            "they run upwards; sampling runs down": np.tile(timesteps[::-1], 2),
            "they count the steps; they are the scheduler's timesteps": np.tile(np.arange(n), 2),
            "they count the steps down; they are the scheduler's timesteps": np.tile(
                np.arange(n)[::-1], 2
            ),
        }
        expect(got["seen"], twice, "timesteps of the steps", backwards)
        expect(got["asked"], twice, "timesteps at which the network is evaluated", backwards)
        for i, t in enumerate(timesteps):
            x, e = traj[i], toy.toy_network(traj[i], t)
            mistakes = {
                "it is the state before the step": x,
                "x and the predicted noise are exchanged": 0.9 * e + 0.01 * (t + 1) + 0.2 * x,
            }
            want = 0.9 * x + 0.01 * (t + 1) + 0.2 * e
            expect(traj[i + 1], want, f"state {i + 1}", mistakes)
            x = got["guided"][i]
            e = toy.toy_network(x, t)
            label = 0.3 * np.array([2, 5, 1]).reshape(-1, 1, 1, 1)

            def step(e, x=x, t=t):
                return 0.9 * x + 0.01 * (t + 1) + 0.2 * e

            expect(
                got["guided"][i + 1],
                step(e + label + 0.25),
                f"state {i + 1} with classes and guidance_scale = 2.5",
                {
                    "predict_noise gets neither": step(e),
                    "predict_noise does not get guidance_scale": step(e + label),
                },
            )
        size = got["out"].shape
        expect_that(size == traj[0].shape, f"sample returns {size}; expected {traj[0].shape}.")


@graded("2.1j", points=4)
class ScoreFunction:
    """The score of a Gaussian image law under a process of Task 1, from the network's noise."""

    def inputs(rng):
        return {"t": rng.uniform(0.2, 3, size=B), "x": rng.normal(size=(B, *SHAPE))}

    def probe(t, x):
        import torch

        from image_diffusion.ddpm import DiffusionModule

        sde = standins.ToyProcess()
        with toy.toy_scheduler("DDIMScheduler") as scheduler:
            model = DiffusionModule(toy.GaussianNoise(), scheduler)
            score = model.score_fn(sde)(t, x)
            told = type("Toy", (DiffusionModule,), {"predict_noise": tell})
            labels = torch.arange(1, B + 1)
            answer = told(toy.GaussianNoise(), scheduler).score_fn(sde, labels, 2.5)(t, x)
        return {"score": score, "told": answer}

    def check(got, t, x):
        a = standins.alpha(t).reshape(-1, 1, 1, 1)
        b = standins.std(t).reshape(-1, 1, 1, 1)

        def noise(x, ratio):  # what the network answers at abar = ratio
            want = (x - np.sqrt(ratio) * 0.4) / (ratio * 0.3**2 + 1 - ratio)
            return np.sqrt(1 - ratio) * want

        size = np.sqrt(a**2 + b**2)
        ratio = (a / size) ** 2
        score = -noise(x / size, ratio) / b
        mistakes = {
            "x is not divided by sqrt(a^2 + b^2) before the network sees it": -noise(x, ratio) / b,
            "the noise is divided by b^2": score / b,
            "this is the noise; the score is -noise / b": -score * b,
            "the division by b is missing": score * b,
            "abar is a^2 / (a^2 + b^2): the process may be larger than 1": -noise(
                x / size, np.minimum(a**2, 1)
            )
            / b,
            "x is divided by a; divide by sqrt(a^2 + b^2)": -noise(x / a, ratio) / b,
            "the timestep is rounded; the network takes fractions": -noise(
                x / size, toy.abar(np.round(toy.timestep_of(ratio)))
            )
            / b,
        }
        true = Formula(
            lambda x, size, a, size_b, square, b: -noise(x / size, (a / size_b) ** square) / b,
            {
                "x": x,
                "sqrt(a^2 + b^2)": size,
                "a": a,
                "sqrt(a^2 + b^2) (below a)": size,
                "the exponent of a/sqrt(a^2 + b^2)": 2,
                "b": b,
            },
        )
        mistakes["a is used instead of sqrt(a^2 + b^2)"] = -noise(x / a, 1 - 0 * a) / b
        expect(got["score"], true, "score", mistakes, rtol=5e-3, atol=1e-4)
        label = np.arange(1, B + 1).reshape(-1, 1, 1, 1)
        want = np.broadcast_to(-(0.3 * label + 0.25) / b, x.shape)
        ignored = {
            "predict_noise gets neither": 0 * want,
            "predict_noise does not get guidance_scale": want + 0.25 / b,
        }
        expect(got["told"], want, "score with classes and guidance_scale = 2.5", ignored)


def tell(self, x, timestep, class_label=None, guidance_scale=0.0):
    """A stand-in for predict_noise: what it was told about classes."""
    label = 0 if class_label is None else class_label.reshape(-1, 1, 1, 1)
    return 0 * x + 0.3 * label + 0.1 * guidance_scale


@graded("2.2a", points=5)
class DropLabels:
    """In training every label falls on its own with probability p; else none does."""

    def inputs(rng):
        return {"labels": rng.integers(1, 7, size=20_000), "p": float(rng.uniform(0.15, 0.35))}

    def probe(labels, p):
        model = toy_model(cfg_dropout=p)
        given = labels.clone()
        trained = model.train().drop_labels(given)
        batches = [
            float((model.drop_labels(labels[:20].clone()) == 0).float().mean()) for _ in range(40)
        ]
        out = {"trained": trained, "given": given, "batches": batches}
        return out | {"evaluated": model.eval().drop_labels(labels)}

    def check(got, labels, p):
        expect_that(
            np.array_equal(got["given"], labels),
            "class_label is changed in place; it must stay as it is.",
        )
        expect_that(
            np.array_equal(got["evaluated"], labels),
            "labels change in evaluation mode; they fall in training only.",
        )
        expect_that(
            got["trained"].dtype.kind == "i",
            f"labels are of type {got['trained'].dtype}; they must stay whole numbers.",
        )
        dropped = got["trained"] == 0
        changed = got["trained"] != labels
        expect_that(
            dropped.any() or not changed.any(),
            f"labels fall to {np.unique(got['trained'][changed])[:3]}; the null class is 0.",
        )
        expect_that(
            (got["trained"][~dropped] == labels[~dropped]).all(), "labels that stay are changed."
        )
        share = np.array(got["batches"])
        expect_that(
            set(share.tolist()) != {0.0, 1.0},
            "all labels of a batch fall together; every image decides on its own.",
        )
        mistakes = {
            "labels stay with this probability; they fall with it": 1 - p,
            "no label falls in training": 0.0,
            "the default .1 is used; take network.cfg_dropout": 0.1,
            "the numbers are normal; torch.rand draws them from 0 to 1": (
                1 + math.erf(p / math.sqrt(2))
            )
            / 2,
        }
        expect_mean(dropped.astype(float), p, "share of labels that fall", mistakes)


@graded("2.2b", points=6)
class Guidance:
    """e_u + s (e_c - e_u) for several s, with labels that differ along the batch."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, *SHAPE)),
            "labels": rng.permutation(6)[:B] + 1,
            "scale": float(rng.uniform(1.5, 4)),
            "t": int(rng.integers(5, 35)),
        }

    def probe(x, labels, scale, t):
        import torch

        model = toy_model().eval()
        out = {"guided": model.guided_noise(x, t, labels, scale)}
        for s in (0.0, 1.0):
            out[f"s = {s:g}"] = model.guided_noise(x, t, labels, s)
        times = t + torch.arange(len(x))
        given = labels.clone()
        out["own times"] = model.guided_noise(x, times, given, scale)
        return out | {"given": given}

    def check(got, x, labels, scale, t):
        own = t + np.arange(B)
        cases = (
            ("guided", scale, t),
            ("s = 0", 0.0, t),
            ("s = 1", 1.0, t),
            ("own times", scale, own),
        )
        for name, s, t in cases:
            e_u, e_c = toy.toy_network(x, t), toy.toy_network(x, t, labels)
            want = e_u + s * (e_c - e_u)
            true = Formula(
                lambda first, s, e_c, e_u, whole: first + s * (e_c - e_u) ** whole,
                {
                    "e_u (the first)": e_u,
                    "s": s,
                    "e_c": e_c,
                    "e_u": e_u,
                    "the exponent of e_c - e_u": 1,
                },
            )
            mistakes = {
                "e_u and e_c are exchanged: this guides away from the class": e_c + s * (e_u - e_c),
                "this is e_c + s (e_c - e_u): a scale of 1 + s": e_c + s * (e_c - e_u),
                "the class is not used": e_u,
                "the scale is not used": e_c,
                "e_u is missing": s * (e_c - e_u),
                "this is s e_c + (1 + s) e_u": s * e_c + (1 + s) * e_u,
                "all images get the class of the first": e_u
                + s * (toy.toy_network(x, t, labels[0]) - e_u),
                "the null class is 0, not 1": e_c + (s - 1) * (e_c - toy.toy_network(x, t, 1)),
                "the null class is 0, not the last": e_c
                + (s - 1) * (e_c - toy.toy_network(x, t, toy.ToyNetwork.num_classes)),
            }
            mistakes = {m: v for m, v in mistakes.items() if not np.allclose(v, want)}
            if np.ndim(t) == 0:
                swapped = toy.toy_network(x, labels), toy.toy_network(x, labels, labels)
                mistakes["e_u gets the labels as its timestep"] = swapped[0] + s * (
                    e_c - swapped[0]
                )
                mistakes["e_c gets the labels as its timestep"] = e_u + s * (swapped[1] - e_u)
            expect(got[name], true, f"guided noise, {name}", mistakes)
        expect(got["given"], labels, "class_label (it must stay as it is)")


@graded("2.2b", points=3)
class NullClass:
    """The network is given the class of every image, and for the null class 0."""

    def inputs(rng):
        return {"labels": rng.permutation(6)[:B] + 1, "scale": float(rng.uniform(1.5, 4))}

    def probe(labels, scale):
        import torch

        model = toy_model().eval()
        out = model.guided_noise(
            0 * labels.reshape(-1, 1, 1, 1).float().expand(-1, *SHAPE), 7, labels, scale
        )
        seen = [sorted(set(row.tolist())) for row in model.network.labels]
        asked = torch.cat(model.network.labels).unique()
        return {"out": out, "asked": asked, "calls": len(seen)}

    def check(got, labels, scale):
        want = np.unique(np.append(labels, 0))
        expect_that(
            np.array_equal(got["asked"], want),
            f"the network was given the classes {got['asked'][:9].tolist()}; "
            f"expected {want.tolist()}, with 0 as the null class.",
        )
