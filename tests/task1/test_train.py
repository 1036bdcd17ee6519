"""Task 1.2, third part: the moving average and one training step."""

from functools import partial

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_gaussian, expect_mean, expect_that, graded


@graded("1.2m", points=3)
class MovingAverage:
    """The average after known weights, with its warm-up."""

    def inputs(rng):
        return {"weights": rng.normal(size=(30, 3)), "decay": 0.6}

    def probe(weights, decay):
        import torch

        from sde_todo.train import EMA

        model = torch.nn.Linear(3, 1, bias=False)
        with torch.no_grad():
            model.weight.zero_()
        ema = EMA(model, decay)
        averages = []
        for w in weights:
            with torch.no_grad():
                model.weight.copy_(w[None])
            ema.update()
            averages.append(ema.model.weight.detach().clone()[0])
        graph = any(p.requires_grad or p.grad_fn for p in ema.model.parameters())
        return {"averages": torch.stack(averages), "model": model.weight, "graph": graph}

    def check(got, weights, decay):
        warm = [min(decay, (1 + k) / (10 + k)) for k in range(30)]
        want = average(weights, warm)
        expect(
            got["model"][0],
            weights[-1],
            "the model's own weights",
            {
                "they are overwritten by the average": want[-1],
            },
        )
        expect(
            got["averages"],
            average_formula(weights, decay),
            "average",
            {
                "decay is exchanged with 1 - decay: ema = d ema + (1 - d) p": average(
                    weights, [1 - d for d in warm]
                ),
                "there is no warm-up: d = min(decay, (1 + k)/(10 + k))": average(
                    weights, [decay] * 30
                ),
                "there is no warm-up, and decay is exchanged with 1 - decay": average(
                    weights, [1 - decay] * 30
                ),
                "k counts from 1; before the first update it is 0": average(
                    weights, [min(decay, (2 + k) / (11 + k)) for k in range(30)]
                ),
                "d is the larger of decay and (1 + k)/(10 + k); it is the smaller": average(
                    weights, [max(decay, (1 + k) / (10 + k)) for k in range(30)]
                ),
                "the count of updates stays 0": average(weights, [0.1] * 30),
                "it never moves": 0 * want,
                "it is a copy of the weights": weights,
                "there is no decay: d = min(decay, (1 + k)/(10 + k))": average(
                    weights, [(1 + k) / (10 + k) for k in range(30)]
                ),
            },
        )
        expect_that(
            not got["graph"],
            "The average requires gradients after an update, and so holds on to every graph before "
            "it: update it under torch.no_grad().",
        )


def average_formula(weights, decay):
    """The averages, with the numbers that are in the warm-up and in the step."""

    def averages(top, bottom, count, grows, one, of_d, decay):
        out, ema = [], np.zeros(weights.shape[1])
        for k, p in enumerate(weights):
            d = min(decay, (top + count * k) / (bottom + grows * k))
            ema = ema + (one + of_d * d) * (p - ema)
            out.append(ema)
        return np.stack(out)

    return Formula(
        averages,
        {
            "the 1 of (1 + k)/(10 + k)": 1,
            "the 10 of (1 + k)/(10 + k)": 10,
            "the factor of k above": 1,
            "the factor of k below": 1,
            "the 1 of 1 - d": 1,
            "the factor of d in 1 - d": -1,
            "decay": decay,
        },
    )


def average(weights, decays):
    """Moving averages from 0, one for each decay."""
    out, ema = [], np.zeros(weights.shape[1])
    for w, d in zip(weights, decays, strict=True):
        ema = d * ema + (1 - d) * w
        out.append(ema)
    return np.stack(out)


@graded("1.2n", points=3)
class NoisyBatch:
    """What a step gives to the loss: x_t with the right mean and noise, target and weight."""

    def inputs(rng):
        return {"batch": rng.normal(size=(5000, 3)) + 2.0}

    def probe(batch):
        import torch

        def target(x, x0, alpha, std):
            standins.check_columns(x, x0, alpha, std, "stable_target(x, x0, alpha, std)")
            return 0.5 * x - 0.3 * x0 + alpha - 2 * std

        out = {}
        for weight in ("denoising", "likelihood", "edm"):
            seen = {}

            def loss(t, x, model, y=None, weight=None, seen=seen):
                seen.update(t=t, x=x.detach(), y=y, weight=weight)
                return (model(t, x) ** 2).mean()

            options = {"weight": weight} | ({"stable_target": target} if weight == "edm" else {})
            _, step = make_step(torch, loss, len(batch), **options)
            returned = step(batch)
            out |= {f"{weight} {name}": value for name, value in seen.items()}
        _, step = make_step(torch, loss, len(batch), D=1)  # data on a line
        return out | {"returned": returned, "line": step(batch[:, :1])}

    def check(got, batch):
        for kind in ("denoising", "likelihood", "edm"):
            t, x, y, w = (got[f"{kind} {name}"] for name in ("t", "x", "y", "weight"))
            alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
            expect(x * 0, np.zeros_like(batch), "x_t")
            z = (x - alpha * batch) / std
            moved = {
                "the mean is alpha; batch is missing": (alpha * (1 - batch) / std).mean(0),
                "the mean is alpha/batch; multiply": (alpha * (1 / batch - batch) / std).mean(0),
                "the mean is batch; alpha is missing": ((1 - alpha) * batch / std).mean(0),
                "the mean is missing": (-alpha * batch / std).mean(0),
            }
            expect_mean(z, np.zeros(3), "mean of (x_t - mean)/std", moved, rtol=0.0)
            expect_gaussian(z, "x_t")
            expect_mean(
                (z**2),
                np.ones(3),
                "variance of (x_t - mean)/std",
                {
                    "no noise is added": 0.0,
                    "the noise is multiplied by std^2": (std**2).mean(),
                    "the noise is not multiplied by std": (1 / std**2).mean(),
                },
            )
            if kind == "edm":
                check_stable_target(y, x, batch, alpha, std)
            else:
                check_target(y, z, std)
            check_weight(w, kind, t, alpha[:, 0], std[:, 0])
        expect_that(got["returned"].ndim == 0, "step_fn must return the loss as one number.")


def check_target(y, z, std):
    """Check the target of denoising score matching."""
    unrelated = y.shape == z.shape and abs((y * std * z).mean()) < 0.1
    fresh = y if unrelated else np.nan
    expect(
        y,
        -z / std,
        "target y",
        {
            "it is the noise; the target is dsm_target(z, std)": z,
            "it belongs to noise that is not in x_t: use the same z": fresh,
            "the sign is wrong": z / std,
        },
        rtol=0.02,
        atol=0.02,
    )


def check_stable_target(y, x, batch, alpha, std):
    """Check the score at x that belongs to the stable target's x_0."""
    x0 = 0.5 * x - 0.3 * batch + alpha - 2 * std
    expect(
        y,
        (alpha * x0 - x) / std**2,
        "target y with a stable_target",
        {
            "stable_target is not used": (alpha * batch - x) / std**2,
            "it is not divided by std^2": alpha * x0 - x,
            "it is divided by std; the score is (alpha x_0 - x)/std^2": (alpha * x0 - x) / std,
            "it is divided by std^3; the score is (alpha x_0 - x)/std^2": (alpha * x0 - x) / std**3,
            "it is divided by std^4; the score is (alpha x_0 - x)/std^2": (alpha * x0 - x) / std**4,
            "it is multiplied by std^2; divide": (alpha * x0 - x) * std**2,
            "the mean is alpha x_0, not x_0": (x0 - x) / std**2,
            "the mean is alpha x_0, not x_0/alpha": (alpha / x0 - x) / std**2,
            "x is added; subtract it": (alpha * x0 + x) / std**2,
            "x_t is missing: the score is (alpha x_0 - x_t)/std^2": alpha * x0 / std**2,
            "alpha x_0 is missing: the score is (alpha x_0 - x_t)/std^2": -x / std**2,
            "stable_target is missing: the score is (alpha x_0 - x_t)/std^2": (alpha - x) / std**2,
            "it is upside down": std**2 / (alpha * x0 - x),
            "the sign is wrong": (x - alpha * x0) / std**2,
            "this is x_0, not the score": x0,
            "x and x_0 are exchanged in the call stable_target(x_t, batch, alpha, std)": (
                alpha * (0.5 * batch - 0.3 * x + alpha - 2 * std) - x
            )
            / std**2,
            "alpha and std are exchanged in the call stable_target(x_t, batch, alpha, std)": (
                alpha * (0.5 * x - 0.3 * batch + std - 2 * alpha) - x
            )
            / std**2,
        },
        atol=1e-4,
    )


def check_weight(w, kind, t, alpha, std):
    """Check weight (B,): time_weight times the function of alpha, std and g of that name."""
    g, time_weight = standins.g(t), 1 + t

    def edm(alpha, std):
        return std**2 * ((std / alpha) ** 2 + 4) / 4

    right = {"denoising": std**2, "likelihood": g**2, "edm": edm(alpha, std)}[kind]
    expect(
        w,
        Formula(
            lambda time, w: time * w, {"time_weight": time_weight, f"the {kind} weight": right}
        ),
        f"weight ({kind})",
        {
            "time_weight is missing": right,
            "time_weight divides; multiply": right / time_weight,
            "time_weight is added; multiply": right + time_weight,
            "this is time_weight alone": time_weight,
            "it is one column too many: (B, 1) instead of (B,)": np.nan,
            "std is not squared": time_weight * std,
            "g is not squared": time_weight * g,
            "alpha and std are exchanged in the call weight_fn(alpha, std, g)": time_weight
            * {"denoising": alpha**2, "likelihood": g**2, "edm": edm(std, alpha)}[kind],
            "std and g are exchanged in the call weight_fn(alpha, std, g)": time_weight
            * {"denoising": g**2, "likelihood": std**2, "edm": edm(alpha, g)}[kind],
        },
    )


def make_step(torch, loss, n, **options):
    """A student's step function around given stand-ins, and its model."""
    from sde_todo import train

    def times(B, sde, eps=1e-3, density="uniform", device=None, generator=None):
        t = torch.linspace(0.3, 2.5, B)
        return t, 1 + t

    torch.manual_seed(1)
    D = options.pop("D", 3)
    model = standins.LinearNet(torch.eye(D), torch.ones(D))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    ema = options.pop("ema", lambda model: None)(model)
    options["schedule"] = options.pop("schedule", lambda opt: None)(opt)
    with standins.patched(train, sample_time=times, dsm_target=lambda z, std: -z / std):
        inner = train.get_sde_step_fn(model, ema, opt, loss, standins.ToyProcess(), **options)

    def step(batch):
        with standins.patched(train, sample_time=times, dsm_target=lambda z, std: -z / std):
            return inner(batch)

    return model, step


@graded("1.2n", points=3)
class Update:
    """What a step does to the weights: a fresh gradient, one optimizer step, then the average."""

    def inputs(rng):
        return {"batch": rng.normal(size=(8, 3))}

    def probe(batch):
        import torch

        target = torch.full((3,), 2.0)
        models = []

        def loss(t, x, model, y=None, weight=None):
            return ((models[0].b - target) ** 2).sum() / 2

        class CountingEMA:
            def __init__(self, model):
                self.model, self.seen = model, []

            def update(self):
                self.seen.append(self.model.b.detach().clone())

        emas = []

        def build_ema(model):
            models.append(model)
            emas.append(CountingEMA(model))
            return emas[0]

        model, step = make_step(torch, loss, len(batch), ema=build_ema)
        losses, weights = [], []
        for _ in range(3):
            losses.append(step(batch))
            weights.append(model.b.detach().clone())
        seen = emas[0].seen
        halving = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
        other, step = make_step(torch, loss, len(batch), schedule=halving)
        models[:] = [other]
        scheduled = []
        for _ in range(3):
            step(batch)
            scheduled.append(other.b.detach().clone())
        return {
            "scheduled": torch.stack(scheduled),
            "losses": torch.tensor(losses),
            "weights": torch.stack(weights),
            "updates": len(seen),
            "averaged": torch.stack(seen) if seen else torch.zeros(0, 3),
        }

    def check(got, batch):
        b = np.array([2 - 0.9**k for k in range(4)])  # from 1 towards 2 at rate .1
        accumulated = [1.0, 1.1, 1.29, 1.551]  # gradients that are never cleared add up
        expect(
            got["weights"],
            np.repeat(b[1:, None], 3, 1),
            "weights after 1, 2, 3 steps",
            {
                "the gradients add up: call opt.zero_grad() in every step": np.repeat(
                    np.array(accumulated)[1:, None], 3, 1
                ),
                "they do not move: is opt.step() missing?": np.ones((3, 3)),
                "they move away from the minimum": np.repeat([[0.9], [0.79], [0.669]], 3, 1),
            },
        )
        expect(got["losses"], 1.5 * (2 - b[:3]) ** 2, "returned losses")
        left = {  # of the way from 1 to 2, after 1, 2, 3 steps
            "right": np.cumprod([0.9, 0.95, 0.975]),
            "schedule.step() is never called": np.cumprod([0.9, 0.9, 0.9]),
            "the schedule steps before the optimizer; it comes after": np.cumprod(
                [0.95, 0.975, 0.9875]
            ),
            "the schedule steps twice in every step": np.cumprod([0.9, 0.975, 0.99375]),
        }
        values = {said: np.repeat(2 - way[:, None], 3, 1) for said, way in left.items()}
        want = values.pop("right")
        expect(got["scheduled"], want, "weights after 1, 2, 3 steps with a schedule", values)
        expect(
            got["updates"],
            3,
            "number of EMA updates in three steps",
            {
                "ema.update() is never called": 0,
            },
        )
        expect(
            got["averaged"],
            got["weights"],
            "weights that the EMA saw",
            {
                "the average is updated before the optimizer's step": np.repeat(b[:3, None], 3, 1),
            },
        )
