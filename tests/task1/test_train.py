"""Task 1.2, third part: the moving average and one training step."""

import numpy as np

from autograder import standins
from autograder.harness import expect, expect_mean, expect_that, graded


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
        return {"averages": torch.stack(averages), "model": model.weight}

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
            want,
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

        out = {}
        for weight in ("denoising", "likelihood"):
            seen = {}

            def loss(t, x, model, y=None, weight=None, seen=seen):
                seen.update(t=t, x=x.detach(), y=y, weight=weight)
                return (model(t, x) ** 2).mean()

            _, step = make_step(torch, loss, len(batch), weight=weight)
            returned = step(batch)
            out |= {f"{weight} {name}": value for name, value in seen.items()}
        return out | {"returned": returned}

    def check(got, batch):
        for kind in ("denoising", "likelihood"):
            t, x, y, w = (got[f"{kind} {name}"] for name in ("t", "x", "y", "weight"))
            alpha, std = standins.alpha(t)[:, None], standins.std(t)[:, None]
            expect(x * 0, np.zeros_like(batch), "x_t")
            z = (x - alpha * batch) / std
            expect_mean(z, np.zeros(3), "mean of (x_t - mean)/std", {}, rtol=0.0)
            expect_mean(
                (z**2),
                np.ones(3),
                "variance of (x_t - mean)/std",
                {
                    "no noise is added": 0.0,
                    "the noise is multiplied by std^2": (std**2).mean(),
                },
            )
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
            time_weight = 1 + t
            right = std[:, 0] ** 2 if kind == "denoising" else standins.g(t) ** 2
            expect(
                w,
                time_weight * right,
                f"weight ({kind})",
                {
                    "time_weight is missing": right,
                    "it is one column too many: (B, 1) instead of (B,)": np.nan,
                    "std is not squared": time_weight * std[:, 0],
                    "g is not squared": time_weight * standins.g(t),
                },
            )
        expect_that(got["returned"].ndim == 0, "step_fn must return the loss as one number.")


def make_step(torch, loss, n, **options):
    """A student's step function around given stand-ins, and its model."""
    from sde_todo import train

    def times(B, sde, eps=1e-3, density="uniform", device=None, generator=None):
        t = torch.linspace(0.3, 2.5, B)
        return t, 1 + t

    torch.manual_seed(1)
    model = standins.LinearNet(torch.eye(3), torch.ones(3))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    ema = options.pop("ema", lambda model: None)(model)
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
        return {
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
