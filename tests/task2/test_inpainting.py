"""Task 2.3: what is known, at the right noise level, at every step."""

import numpy as np

from autograder import standins_images as toy
from autograder.formula import Formula
from autograder.harness import expect, expect_mean, expect_that, expect_untouched, graded
from tests.task2.test_scheduler import check_own_noise, check_spread, repeated

B, SHAPE = 3, (2, 4, 5)


def images(rng):
    mask = (rng.random((B, 1, *SHAPE[1:])) < 0.4).astype(float)
    mask[:, :, 0, 0], mask[:, :, 0, 1] = 0, 1  # something is known, something is not
    return {"x0": rng.normal(size=(B, *SHAPE)), "mask": mask, "x": rng.normal(size=(B, *SHAPE))}


def toy_inpainter(x0, mask, timesteps=(37, 20, 9, 3), **methods):
    """A student's Inpainter over toy steps and a toy model, with some methods replaced."""
    from image_diffusion.inpainting import Inpainter

    model = toy.ToyModel(toy.ToySteps(list(timesteps)))
    return type("Toy", (Inpainter,), methods)(model, x0, mask)


@graded("2.3a", points=6)
class PasteKnown:
    """The hole stays, what is known comes at the noise level of the timestep; clean at -1."""

    def inputs(rng):
        return images(rng) | {"t": int(rng.integers(13, 17))}  # mostly image, so all factors differ

    def probe(x0, mask, x, t):
        many = repeated(x0, mask, x)
        return {
            "noised": toy_inpainter(many[0], many[1]).paste_known(many[2], t),
            "last": toy_inpainter(x0, mask).paste_known(x.clone(), -1),
            "last again": toy_inpainter(x0, mask).paste_known(x.clone(), -1),
            "one mask": toy_inpainter(x0, mask[:1]).paste_known(x.clone(), -1),
        }

    def check(got, x0, mask, x, t):
        hole, draws = np.broadcast_to(mask[0] == 1, SHAPE), got["noised"]
        expect_that(
            not np.allclose(draws[0][~hole], x[0][~hole])
            or np.allclose(draws[0][hole], x[0][hole]),
            "the hole is where the mask is 1; here x_t stays where it is 0.",
        )
        a = toy.abar(t)
        known = x0[0][~hole]
        ours = draws[:, hole]
        expect_that(
            np.allclose(ours, ours[:1], atol=1e-5),
            "the hole: there is noise in it; what is known and its noise belong outside of it.",
        )
        kept = {
            "it is the mask; x_t is missing": np.ones_like(x[0][hole]),
            "it is the timestep, not x_t": float(t) + 0 * x[0][hole],
        }
        expect(ours[0], x[0][hole], "x_t in the hole (it must stay)", kept)
        check_own_noise(draws[:, ~hole], [known, np.sqrt(a) * known], "the known part")
        expect_mean(
            draws[:, ~hole],
            np.sqrt(a) * known,
            f"mean of the known part at timestep {t}",
            {
                "it is left clean: scale it by sqrt(abar), and add noise": known,
                "it is scaled by abar; take the root": a * known,
                "it is sqrt(abar) alone; x0 is missing": np.sqrt(a) + 0 * known,
                "it is the noise alone; sqrt(abar) x0 is missing": 0 * known,
                "x_t is added to it; multiply x_t by the mask": np.sqrt(a) * known + x[0][~hole],
                "it is noised to the level of timestep t + 1": np.sqrt(toy.abar(t + 1)) * known,
                "it is noised to the level of timestep t - 1": np.sqrt(toy.abar(t - 1)) * known,
                "the factors of x0 and noise are exchanged": np.sqrt(1 - a) * known,
            },
        )
        check_spread(
            draws[:, ~hole],
            1 - a,
            f"noise of the known part at timestep {t}",
            {
                "there is none, so that seams appear": 0.0,
                "its standard deviation is 1 - abar; take the root": (1 - a) ** 2,
                "its variance is 1": 1.0,
                "its variance is 1 + abar; it is 1 - abar": 1 + a,
                "its variance is 2 - abar; it is 1 - abar": 2 - a,
                "it has the level of timestep t + 1": 1 - toy.abar(t + 1),
                "it has the level of timestep t - 1": 1 - toy.abar(t - 1),
            },
        )
        pasted = mask * x + (1 - mask) * x0
        inverted = {"the hole is where the mask is 1; here it is 0": mask * 0 + (1 - mask) * x}
        expect_that(
            np.allclose(got["last"], got["last again"]),
            "noise is left in what is known after the last step: at timestep -1 abar is 1; "
            "a negative index reads the end of the table.",
        )
        expect(got["last"], pasted, "x_0 after the last step (what is known is clean)", inverted)
        expect(got["one mask"], mask[:1] * x + (1 - mask[:1]) * x0, "one mask for all")


def paste(self, x, timestep):
    """A stand-in for paste_known: marks the known part by the timestep that it was pasted for."""
    return self.mask * x + (1 - self.mask) * (self.x0 + 0.1 * (int(timestep) + 1))


def up(self, x, s, t):
    """A stand-in for renoise."""
    return 0.7 * x + 0.03 * (int(t) - int(s))


def down(x, t):
    """A step of the toy sampler with the toy prediction."""
    return 0.9 * x + 0.01 * (t + 1) + 0.2 * toy.toy_prediction(x, t)


def pasted(x, x0, mask, s):
    return mask * x + (1 - mask) * (x0 * (1 - mask) + 0.1 * (s + 1))


def start(x):
    """A method that is used instead of Inpainter.start."""
    return lambda self: x.clone()


@graded("2.3b", points=6)
class Replacement:
    """Predict, step, paste at the level that the step has reached."""

    def inputs(rng):
        return images(rng) | {"timesteps": np.array([36, int(rng.integers(20, 30)), 9, 3])}

    def probe(x0, mask, x, timesteps):
        steps = timesteps.tolist()
        inpainter = toy_inpainter(x0, mask, steps, paste_known=paste, start=start(x))
        out = inpainter.replacement()
        return {"out": out, "asked": inpainter.model.asked}

    def check(got, x0, mask, x, timesteps):
        upwards = {"they run upwards; sampling runs down": timesteps[::-1]}
        expect(got["asked"], timesteps, "timesteps at which the model is evaluated", upwards)
        expect(
            got["out"],
            run(x, x0, mask, timesteps),
            "the image",
            {
                "what is known is pasted at the level of t; after the step x is at the next "
                "timestep": run(x, x0, mask, timesteps, level=lambda t, s: t),
                "what is known is pasted before the step, and not after the last": run(
                    x, x0, mask, timesteps, before=True
                ),
                "what is known is pasted at t - 1; a step may be longer": run(
                    x, x0, mask, timesteps, level=lambda t, s: t - 1
                ),
                "nothing is pasted": run(x, x0, mask, timesteps, level=None),
                "after the last step nothing is pasted": run(x, x0, mask, timesteps, last=False),
                "it is pasted only at the end": pasted(
                    run(x, x0, mask, timesteps, level=None), x0, mask, -1
                ),
            },
        )


def run(x, x0, mask, timesteps, level=lambda t, s: s, before=False, last=True):
    for t in timesteps:
        s = toy.previous(t, timesteps)
        if before:
            x = pasted(x, x0, mask, t)
        x = down(x, t)
        if level and not before and (last or s >= 0):
            x = pasted(x, x0, mask, level(t, s))
    return x


@graded("2.3c", points=4)
class Renoise:
    """Up from s to t by the forward process, also over several timesteps and from the data."""

    def inputs(rng):
        return images(rng) | {"s": int(rng.integers(17, 20)), "t": int(rng.integers(24, 27))}

    def probe(x0, mask, x, s, t):
        many = repeated(x0, mask, x)
        inpainter = toy_inpainter(many[0], many[1])
        out = {"up": inpainter.renoise(many[2].clone(), s, t)}
        return out | {"from data": inpainter.renoise(many[2], -1, t)}

    def check(got, x0, mask, x, s, t):
        for name, start_at in (("up", s), ("from data", -1)):
            ratio = toy.abar(t) / toy.abar(start_at)
            single = toy.abar(t) / toy.abar(t - 1)
            mistakes = {
                "x keeps its size; scale it by sqrt(abar_t / abar_s)": x[0],
                "this is abar_t instead of abar_t / abar_s": np.sqrt(toy.abar(t)) * x[0],
                "this goes up one timestep; from s to t the factor is abar_t / abar_s": np.sqrt(
                    single
                )
                * x[0],
                "the root of abar_t / abar_s is missing": ratio * x[0],
                "this is 0, the noise alone: x_s is missing": 0 * x[0],
                "this is sqrt(abar_t / abar_s) alone: x_s is missing": np.sqrt(ratio) + 0 * x[0],
                "the root of abar_t / abar_s is divided by x_s; multiply": np.sqrt(ratio) / x[0],
                "this has s, the timestep, instead of x_s": np.sqrt(ratio) * start_at + 0 * x[0],
            }
            check_not_turned(got[name])
            want = np.sqrt(ratio) * x[0]
            check_own_noise(got[name], [want, *mistakes.values()], f"x_{t} from x_{start_at}")
            mistakes = {m: v for m, v in mistakes.items() if not np.allclose(v, want, rtol=0.02)}
            expect_mean(got[name], want, f"mean of x_{t} from x_{start_at}", mistakes)
            others = {
                "there is none": 0.0,
                "it is that of x_t from the data, 1 - abar_t": 1 - toy.abar(t),
                "its standard deviation is 1 - abar_t / abar_s; take the root": (1 - ratio) ** 2,
                "it is that of a single timestep": 1 - single,
                "its variance is 1: it is not scaled": 1.0,
                "its variance is 1 + abar_t / abar_s; it is 1 - abar_t / abar_s": 1 + ratio,
                "its variance is 2 - abar_t / abar_s; it is 1 - abar_t / abar_s": 2 - ratio,
            }
            others = {m: v for m, v in others.items() if not np.isclose(v, 1 - ratio, rtol=0.02)}
            check_spread(got[name], 1 - ratio, f"noise of x_{t} from x_{start_at}", others)


def check_not_turned(draws):
    expect_that(
        not np.isnan(draws).any(),
        "x_t is NaN, a root of a negative number: the ratio is abar_t / abar_s, below 1.",
    )


@graded("2.3d", points=7)
class RePaint:
    """Every step several times, up again between two tries, the step to the data once."""

    def inputs(rng):
        return images(rng) | {
            "timesteps": np.array([30, 19, 8, 0]),
            "tries": int(rng.integers(2, 5)),
        }

    def probe(x0, mask, x, timesteps, tries):
        methods = {"paste_known": paste, "renoise": up, "start": start(x)}
        inpainter = toy_inpainter(x0, mask, timesteps.tolist(), **methods)
        out = inpainter.repaint(tries)
        asked = list(inpainter.model.asked)
        return {"out": out, "asked": asked, "once": inpainter.repaint(1)}

    def check(got, x0, mask, x, timesteps, tries):
        counts = {int(t): int((got["asked"] == t).sum()) for t in timesteps}
        want = {int(t): 1 if t == timesteps[-1] else tries for t in timesteps}
        expect_that(
            counts == want,
            f"steps per timestep: {counts}; expected {want} for resamplings = {tries}.",
        )

        def tried(**mistake):
            return repaint(x, x0, mask, timesteps, tries, **mistake)

        true = tried()
        mistakes = {
            "x goes up after the last try as well; it must stay down": tried(stay=False),
            "x does not go up between two tries": tried(lift=lambda low, s, t, x: low),
            "every try starts from the same x_t; renoise gives it a new one": tried(
                lift=lambda low, s, t, x: x
            ),
            "the next step starts from the x_t of the last try, not from its result": tried(
                ahead=False
            ),
            "renoise gets s and t in the wrong order": tried(
                lift=lambda low, s, t, x: up(None, low, t, s)
            ),
            "what is known is pasted at the level of t": tried(level=lambda t, s: t),
            "what is known is pasted only after the last try": tried(always=False),
        }
        expect(got["out"], true, "the image", mistakes)
        expect(got["once"], run(x, x0, mask, timesteps), "resamplings = 1, plain replacement")


def lifted(low, s, t, x):
    return up(None, low, s, t)


def repaint(
    x,
    x0,
    mask,
    timesteps,
    tries,
    lift=lifted,
    level=lambda t, s: s,
    stay=True,
    always=True,
    ahead=True,
):
    """RePaint with the stand-ins, in numpy; the last five arguments make mistakes."""
    for t in timesteps:
        s = toy.previous(t, timesteps)
        n = tries if s >= 0 else 1
        for i in range(n):
            low = down(x, t)
            if always or i == n - 1:
                low = pasted(low, x0, mask, level(t, s))
            again = i < n - 1 or (not stay and s >= 0)
            if again:
                x = lift(low, s, t, x)
            elif ahead:
                x = low
    return x if ahead else low


@graded("2.3e", points=5)
class MCGGradient:
    """The gradient of the misfit through the denoised estimate, and the noise, for each image."""

    def inputs(rng):
        return images(rng) | {"t": int(rng.integers(8, 14))}

    def probe(x0, mask, x, t):
        import torch

        inpainter = toy_inpainter(x0, mask)
        with torch.no_grad():  # as in `mcg`
            noise, gradient = inpainter.mcg_gradient(x, t)
        graph = noise.requires_grad or gradient.requires_grad
        touched = x.requires_grad
        return {"noise": noise, "gradient": gradient, "graph": graph, "touched": touched}

    def check(got, x0, mask, x, t):
        a, b = np.sqrt(toy.abar(t)), np.sqrt(1 - toy.abar(t))
        noise = toy.toy_prediction(x, t)
        named = {"this is the estimate of x_0": (x - b * noise) / a}
        misfit = (1 - mask) * (x0 - (x - b * noise) / a)
        norm = np.sqrt((misfit**2).sum((1, 2, 3), keepdims=True))
        true = misfit_gradient(misfit, a, b)
        named["this is the gradient; the noise comes first"] = true
        expect(got["noise"], noise, "noise", named)
        mistakes = {
            "the network is detached: x0_hat depends on x_t through it as well": -misfit / norm / a,
            "this is the gradient of the squared norm": 2 * norm * true,
            "the norm is taken over the batch; take one for each image": true
            * norm
            / np.sqrt((misfit**2).sum()),
            "the misfit is that of the hole; it is that of what is known": misfit_gradient(
                -mask * (x - b * noise) / a, a, b
            ),
            "the misfit compares x_t with x_0, not the estimate of x_0": misfit_gradient(
                (1 - mask) * (x0 - x), 1.0, 0.0
            ),
            "the misfit counts the hole as well; only what is known": misfit_gradient(
                x0 * (1 - mask) - (x - b * noise) / a, a, b
            ),
            "x0_hat is not divided by sqrt(abar)": misfit_gradient(
                (1 - mask) * (x0 - (x - b * noise)), 1.0, b
            ),
        }
        expect(got["gradient"], gradient_formula(x, x0, mask, t), "gradient", mistakes)
        expect_that(not got["graph"], "noise and gradient still carry a graph: detach them.")
        expect_untouched(got["touched"], "x")


def gradient_formula(x, x0, mask, t):
    """The gradient, by differences of the sum of norms, with the numbers that are in it."""
    a, b = np.sqrt(toy.abar(t)), np.sqrt(1 - toy.abar(t))

    def gradient(known, x0, of_hat, x_t, of_x, level, of_noise, root, whole, ratio):
        def norms(x):
            hat = ((of_x * x - level * toy.toy_prediction(x, t) ** of_noise) / root) ** whole
            r = known * (x0 + of_hat * hat) ** ratio
            return np.sqrt((r**2).sum((1, 2, 3)))

        return differences(norms, x_t)

    return Formula(
        gradient,
        {
            "1 - mask": 1 - mask,
            "x0": x0 * (1 - mask),
            "the factor of x0_hat in the misfit": -1,
            "x_t": x,
            "the factor of x_t in x0_hat": 1,
            "sqrt(1 - abar)": b,
            "the exponent of the noise": 1,
            "sqrt(abar)": a,
            "the exponent of x0_hat": 1,
            "the exponent of x0 - x0_hat": 1,
        },
    )


def differences(norms, x, step=1e-5):
    """The gradient (n, ...) of norms (n,) of samples, one for each, by central differences."""
    out = np.empty_like(x)
    for at in np.ndindex(x.shape[1:]):
        moved = np.zeros_like(x)
        moved[(slice(None), *at)] = step
        out[(slice(None), *at)] = (norms(x + moved) - norms(x - moved)) / (2 * step)
    return out


def misfit_gradient(misfit, a, b):
    """The gradient of the norms of a misfit in (x_t - b toy_prediction(x_t)) / a."""
    unit = misfit / np.sqrt((misfit**2).sum((1, 2, 3), keepdims=True))
    return -(unit - b * toy.toy_prediction(unit, 0)) / a


@graded("2.3f", points=3)
class MCG:
    """Step, minus step size times gradient, then what is known is pasted."""

    def inputs(rng):
        return images(rng) | {"size": float(rng.uniform(0.3, 0.8))}

    def probe(x0, mask, x, size):
        def pull(self, x, timestep):
            return self.model.predict_noise(x, timestep), 0.4 * x + 0.05 * int(timestep)

        methods = {"paste_known": paste, "mcg_gradient": pull, "start": start(x)}
        return {"out": toy_inpainter(x0, mask, (30, 19, 8), **methods).mcg(size)}

    def check(got, x0, mask, x, size):
        def mcg(factor, at_new=False, late=False, level=lambda t, s: s, step=True, power=1):
            state = x
            for t in (30, 19, 8):
                low = down(state, t)
                pull = (0.4 * (low if at_new else state) + 0.05 * t) ** power
                low = low if step else 0 * low
                s = level(t, toy.previous(t, (30, 19, 8)))
                if s is None:
                    state = low - factor * pull
                elif late:
                    state = pasted(low, x0, mask, s) - factor * pull
                else:
                    state = pasted(low - factor * pull, x0, mask, s)
            return state

        expect(
            got["out"],
            mcg(size),
            "the image",
            {
                "the gradient is added; it is taken away": mcg(-size),
                "the gradient is not used": mcg(0.0),
                "the step is missing: this is - step_size gradient alone": mcg(size, step=False),
                "step_size is divided by the gradient; multiply": mcg(size, power=-1),
                "the gradient is missing: step_size alone is taken away": mcg(size, power=0),
                "step_size is not used": mcg(1.0),
                "the gradient is taken at x_s, not at x_t": mcg(size, at_new=True),
                "the gradient is taken away after what is known is pasted": mcg(size, late=True),
                "what is known is pasted at the level of t": mcg(size, level=lambda t, s: t),
                "nothing is pasted": mcg(size, level=lambda t, s: None),
            },
        )
