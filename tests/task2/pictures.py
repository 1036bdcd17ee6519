"""The pictures of Task 2, most of them of real images: expected above yours.

Each class is a graded test with `draw` instead of `check`, see autograder/harness.py. What draws
images with a trained network (2.4) has none.
"""

import functools

import numpy as np

from autograder import standins
from autograder import standins_images as toy
from autograder.harness import picture
from autograder.pictures import Curves, Histogram, draws, image_pair, image_rows, panels
from tests.task2.test_ddpm import toy_model
from tests.task2.test_inpainting import (
    down,
    misfit_gradient,
    paste,
    pasted,
    repaint,
    run,
    start,
    toy_inpainter,
    up,
)
from tests.task2.test_scheduler import ddim, ddpm_mean, multistep

SIDE, MANY = 28, 60
STEPS = np.array([37, 30, 21, 14, 6, 2])


@functools.cache
def photos():
    """One test image of Fashion-MNIST for each class, (10, 1, 28, 28) in [-1, 1]."""
    from given.images.data.imageset import load_dataset

    data = load_dataset("fashion", "test")
    first = [int(np.argmax(data.labels == k)) for k in range(10)]
    return data.images[first].transpose(0, 3, 1, 2) / 127.5 - 1


def noised(x0, t, noise):
    """x_t of the toy schedule; t is a number or (B,)."""
    abar = toy.abar(t).reshape(-1, 1, 1, 1)
    return np.sqrt(abar) * x0 + np.sqrt(1 - abar) * noise


def many(*tensors):
    """Each image MANY times, one after the other."""
    return [tensor.repeat_interleave(MANY, 0) for tensor in tensors]


def moments(x):
    """Mean images and one standard deviation for each, of images that came from `many`."""
    x = x.reshape(-1, MANY, *x.shape[1:])
    return {"mean": x.mean(1), "std": x.std(1).mean((1, 2, 3)), "one": x[:, 0]}


def draw_random(title, want, std, got, labels):
    """Mean of random images beside the expected one, one of them, and their spread."""
    n = len(labels)
    mean, one = (draws(got[k], want.shape).reshape(n, SIDE, SIDE) for k in ("mean", "one"))
    labels = [
        f"{label}\nstd {mine:.2g}\n(of {right:.2g})"
        for label, mine, right in zip(labels, draws(got["std"], (n,)), std, strict=True)
    ]
    rows = {"expected, mean": want.reshape(n, SIDE, SIDE), "yours, mean": mean, "yours, one": one}
    return image_rows(title, rows, labels)


@picture("2.1a")
class BetaCurves:
    """Betas over the timesteps: a straight line, a parabola, and the cosine's late rise."""

    def inputs(rng):
        return {"T": 40, "beta_1": 1e-4, "beta_T": 0.04}

    def probe(T, beta_1, beta_T):
        from image_diffusion.scheduler import make_betas

        return {mode: make_betas(T, beta_1, beta_T, mode) for mode in ("linear", "quad", "cosine")}

    def draw(got, T, beta_1, beta_T):
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        want = {
            "linear": np.linspace(beta_1, beta_T, T),
            "quad": np.linspace(beta_1**0.5, beta_T**0.5, T) ** 2,
            "cosine": np.minimum(1 - f[1:] / f[:-1], 0.999),
        }
        parts = [Curves(mode, np.arange(T), want[mode], got[mode], "t") for mode in want]
        return panels("Noise schedules: beta", *parts, columns=3)


@picture("2.1b")
class AlphaCurves:
    """alpha stays near 1; its running product falls towards 0, where only noise is left."""

    def inputs(rng):
        return {"betas": np.linspace(0.001, 0.2, 30)}

    def probe(betas):
        from image_diffusion.scheduler import make_alphas

        alphas, abar = make_alphas(betas)
        return {"alphas": alphas, "abar": abar}

    def draw(got, betas):
        t = np.arange(30)
        parts = [
            Curves("alphas", t, 1 - betas, got["alphas"], "t"),
            Curves("alphas_cumprod", t, np.cumprod(1 - betas), got["abar"], "t"),
        ]
        return panels("What is left of the image's variance", *parts)


@picture("2.1c")
class NoisedImage:
    """An image fades into given noise from left to right."""

    def inputs(rng):
        t = np.array([0, 8, 14, 20, 27, 39])
        noise = rng.normal(size=(1, 1, SIDE, SIDE))
        return {"x0": photos()[[9] * 6], "noise": noise.repeat(6, 0), "t": t}

    def probe(x0, noise, t):
        with toy.toy_scheduler("BaseScheduler") as scheduler:
            return {"x_t": scheduler.add_noise(x0, t, noise)[0]}

    def draw(got, x0, noise, t):
        labels = [f"t = {k}" for k in t]
        return image_pair("add_noise", noised(x0, t, noise), got["x_t"], labels)


def step_inputs(rng):
    """Noisy images at the timesteps of a run, and the noise that is in each."""
    noise = rng.normal(size=(len(STEPS), 1, SIDE, SIDE))
    x0 = photos()[[9, 0, 8, 5, 3, 7]]
    return {"x": noised(x0, STEPS, noise), "noise": noise, "timesteps": STEPS}


def step_labels():
    """The columns of pictures of steps."""
    return [f"{t} → {toy.previous(t, STEPS)}".replace("-1", "x₀") for t in STEPS]


@picture("2.1d")
class DDPMSteps:
    """A step from each noise level: mean of 60 draws, one of them, and the noise that is added."""

    inputs = step_inputs

    def probe(x, noise, timesteps):
        import torch

        out, all_x = [], list(zip(x.split(1), noise.split(1), strict=True))
        with toy.toy_scheduler("DDPMScheduler", timesteps, sigma_type="small") as scheduler:
            for t, pair in zip(timesteps.tolist(), all_x, strict=True):
                copies, noises = many(*pair)
                out.append(scheduler.step(copies, t, noises))
        return moments(torch.cat(out))

    def draw(got, x, noise, timesteps):
        means, stds = [], []
        for k, t in enumerate(timesteps):
            s = toy.previous(t, timesteps)
            means.append(ddpm_mean(x[k], noise[k], t, s))
            beta = 1 - toy.abar(t) / toy.abar(s)
            stds.append(np.sqrt(beta * (1 - toy.abar(s)) / (1 - toy.abar(t))))
        return draw_random("Steps of DDPM", np.stack(means), stds, got, step_labels())


@picture("2.1e")
class LossCurve:
    """The loss of a network w x_t + .02 t over its weight w, and which timesteps are drawn."""

    def inputs(rng):
        t = rng.permutation(toy.T)[:8]
        images, weights = rng.normal(size=(2, 8, 2, 4, 4)), np.linspace(-1, 2, 17)
        return {"x0": images[0], "noise": images[1], "t": t, "weights": weights}

    def probe(x0, noise, t, weights):
        import torch

        model, losses = toy_model(), []
        for w in weights:
            model.network.weight.data.fill_(w)
            losses.append(model.get_loss(x0, None, noise, t).detach())
        model.network.timesteps.clear()
        for _ in range(10):
            model.get_loss(x0.repeat(50, 1, 1, 1))
        return {"loss": torch.stack(losses), "t": torch.cat(model.network.timesteps)}

    def draw(got, x0, noise, t, weights):
        x_t, shift = noised(x0, t, noise), 0.02 * t.reshape(-1, 1, 1, 1)
        want = [np.mean((noise - w * x_t - shift) ** 2) for w in weights]
        loss = Curves("loss", weights, np.array(want), got["loss"], "w")
        x = np.linspace(-0.5, toy.T - 0.5, 81)
        drawn = draws(got["t"], (4000,))
        even = Histogram("share of the timesteps", drawn, x, 0 * x + 1 / toy.T, "t")
        return panels("The simple loss", loss, even)


@picture("2.1f")
class ShortRuns:
    """Ten and seven of 40 timesteps, the largest first, from T - 1 (trailing) or to 0 (leading)."""

    def inputs(rng):
        return {"counts": np.array([10, 7])}

    def probe(counts):
        out = {}
        for n in counts.tolist():
            for spacing in ("trailing", "leading"):
                with toy.toy_scheduler("DDIMScheduler") as scheduler:
                    scheduler.set_timesteps(n, spacing)
                    out[f"{spacing}, n = {n}"] = scheduler.timesteps
        return out

    def draw(got, counts):
        parts = []
        for n in counts:
            k = np.arange(n)
            want = {"trailing": np.round(toy.T - k * toy.T / n) - 1, "leading": k[::-1] * (40 // n)}
            names = {f"{spacing}, n = {n}": values for spacing, values in want.items()}
            parts += [
                Curves(name, k, v, draws(got[name], (n,)), "step") for name, v in names.items()
            ]
        return panels("Timesteps of a short run", *parts, height=2.2)


@picture("2.1g")
class DDIMSteps:
    """A step without noise from each level: the same image, a little cleaner."""

    inputs = step_inputs

    def probe(x, noise, timesteps):
        import torch

        with toy.toy_scheduler("DDIMScheduler", timesteps) as scheduler:
            steps = zip(timesteps.tolist(), x.split(1), noise.split(1), strict=True)
            return {"out": torch.cat([scheduler.step(a, t, e, eta=0.0) for t, a, e in steps])}

    def draw(got, x, noise, timesteps):
        steps = [(t, toy.previous(t, timesteps)) for t in timesteps]
        want = [ddim(x[k], noise[k], t, s) for k, (t, s) in enumerate(steps)]
        return image_pair("Steps of DDIM, eta = 0", np.stack(want), got["out"], step_labels())


@picture("2.1h")
class MultistepStates:
    """Four steps from a noisy image; the predicted noise is a little worse each time."""

    def inputs(rng):
        noise = rng.normal(size=(SIDE, SIDE))
        noises = np.stack([noise + 0.15 * k * rng.normal(size=noise.shape) for k in range(4)])
        x = noised(photos()[9], 31, noise)
        return {"x": x, "noises": noises[:, None, None], "timesteps": np.array([31, 26, 17, 8])}

    def probe(x, noises, timesteps):
        import torch

        states = [x]
        with toy.toy_scheduler("DPMSolverScheduler", timesteps) as scheduler:
            for noise, t in zip(noises, timesteps.tolist(), strict=True):
                states.append(scheduler.step(states[-1], t, noise))
        return {"states": torch.cat(states[1:])}

    def draw(got, x, noises, timesteps):
        states, before = [x], None
        for noise, t in zip(noises, timesteps, strict=True):
            s = toy.previous(t, timesteps)
            state, _, before = multistep(states[-1], noise, t, s, before)
            states.append(state)
        labels = [f"at {t}" for t in timesteps[1:]] + ["image"]
        return image_pair("DPM-Solver++ 2M", np.stack(states[1:]), got["states"], labels)


def pictured_model(images, timesteps):
    """A student's DiffusionModule whose network answers x - (image of the class)."""
    import torch

    class Pictured(toy.ToyNetwork):
        image_resolution, in_ch = SIDE, 1

        def forward(self, x, timestep, class_label=None):
            label = 0 if class_label is None else class_label
            return x - images[torch.as_tensor(label).expand(len(x))]

    class Halving(toy.ToySteps):
        def step(self, sample, timestep, noise_pred, eta=0.0):
            return sample - 0.4 * noise_pred

    model = toy_model(timesteps)
    model.network, model.var_scheduler = Pictured(), Halving(list(timesteps))
    return model.eval()


@picture("2.1i")
class Chain:
    """Every state from the one before, until the noise (left) has become the image (right)."""

    def inputs(rng):
        return {"images": photos()[[9]], "timesteps": np.array([36, 30, 24, 18, 12, 6, 0])}

    def probe(images, timesteps):
        import torch

        states = pictured_model(images, timesteps.tolist()).sample(1, return_traj=True)
        return {"traj": torch.cat(list(states))}

    def draw(got, images, timesteps):
        n = len(timesteps) + 1
        traj = draws(got["traj"], (n, 1, SIDE, SIDE))
        part = 0.6 ** np.arange(n).reshape(-1, 1, 1, 1)
        want = part * traj[:1] + (1 - part) * images
        return image_pair("A toy chain", want, traj, [f"x {k}" for k in range(n)])


@picture("2.1j")
class ScoreLines:
    """The score of a Gaussian image law over the brightness of an image, at three times."""

    def inputs(rng):
        return {"times": np.array([0.2, 0.6, 1.5]), "x": np.linspace(-1.5, 1.5, 21)}

    def probe(times, x):
        import torch

        from image_diffusion.ddpm import DiffusionModule

        images = x.reshape(-1, 1, 1, 1).expand(-1, 2, 4, 4)
        with toy.toy_scheduler("DDIMScheduler") as scheduler:
            score = DiffusionModule(toy.GaussianNoise(), scheduler).score_fn(standins.ToyProcess())
            values = [score(t.expand(len(x)), images)[:, 0, 0, 0] for t in times]
        return {"score": torch.stack(values, 1)}

    def draw(got, times, x):
        a, b = standins.alpha(times), standins.std(times)
        want = -(x[:, None] - 0.4 * a) / (0.3**2 * a**2 + b**2)
        part = Curves("at t = 0.2, 0.6 and 1.5", x, want, got["score"], "brightness")
        return panels("The score of an image model", part, columns=1)


@picture("2.2a")
class DroppedShares:
    """The share of labels that fall is cfg_dropout in training, and none in evaluation."""

    def inputs(rng):
        return {"rates": np.linspace(0, 1, 9), "labels": rng.integers(1, 7, size=4000)}

    def probe(rates, labels):
        import torch

        shares = []
        for p in rates.tolist():
            model = toy_model(cfg_dropout=p)
            both = (model.train().drop_labels(labels), model.eval().drop_labels(labels))
            shares.append([(kept == 0).float().mean() for kept in both])
        return {"shares": torch.tensor(shares)}

    def draw(got, rates, labels):
        shares = draws(got["shares"], (9, 2))
        parts = [
            Curves("in training", rates, rates, shares[:, 0], "cfg_dropout"),
            Curves("in evaluation", rates, 0 * rates, shares[:, 1], "cfg_dropout"),
        ]
        return panels("Share of labels that become 0", *parts)


@picture("2.2b")
class GuidedImages:
    """The answer for a boot, pushed away from the mean of all classes as the scale grows."""

    def inputs(rng):
        images = np.concatenate([photos().mean(0, keepdims=True), photos()])
        return {"images": images, "scales": np.array([0.0, 0.5, 1.0, 2.0, 4.0])}

    def probe(images, scales):
        import torch

        model, x = pictured_model(images, (9, 3)), torch.zeros(1, 1, SIDE, SIDE)
        label = torch.tensor([10])
        return {"out": torch.cat([model.guided_noise(x, 9, label, s) for s in scales.tolist()])}

    def draw(got, images, scales):
        want = -(images[:1] + scales.reshape(-1, 1, 1, 1) * (images[10:] - images[:1]))
        yours = draws(got["out"], want.shape)
        labels = [f"s = {s:g}" for s in scales]
        return image_pair("Guided answers (turned to positives)", -want, -yours, labels)


def inpainting_inputs(rng):
    """Four images, a hole in each, and other images as the start of sampling."""
    mask = np.zeros((4, 1, SIDE, SIDE))
    mask[:, :, 8:20, 10:24] = 1
    return {"x0": photos()[[0, 9, 8, 3]], "mask": mask, "x": photos()[[2, 7, 4, 6]] * 0.6 - 0.4}


def draw_filled(title, got, x0, mask, want):
    """Images, their holes, and fillings."""
    yours = draws(got["out"], want.shape)
    rows = {"holes": np.where(mask == 1, np.nan, x0), "expected": want, "yours": yours}
    rows["difference"] = 4 * np.abs(np.clip(yours, -9, 9) - want) - 1
    rows = {name: images[:, 0] for name, images in rows.items()}
    return image_rows(title, rows, [f"image {k + 1}" for k in range(4)])


@picture("2.3a")
class PastedKnown:
    """The hole keeps x_t, here black; around it stands the image at the noise of the timestep."""

    def inputs(rng):
        mask = inpainting_inputs(rng)["mask"][:1]
        return {"x0": photos()[[9]], "mask": mask, "timesteps": np.array([30, 20, 10, 2, -1])}

    def probe(x0, mask, timesteps):
        import torch

        x0, mask = many(x0, mask)
        inpainter, black = toy_inpainter(x0, mask), torch.full_like(x0, -1)
        out = [inpainter.paste_known(black.clone(), t) for t in timesteps.tolist()]
        known = torch.stack([x[..., 0] for x in out]).reshape(len(out), MANY, -1)
        return moments(torch.cat(out)) | {"std": known.std(1).mean(1)}

    def draw(got, x0, mask, timesteps):
        a = toy.abar(timesteps).reshape(-1, 1, 1, 1)
        want = np.sqrt(a) * x0 * (1 - mask) - mask
        labels = [f"t = {t}" for t in timesteps]
        return draw_random("paste_known", want, np.sqrt(1 - a.ravel()), got, labels)


FEW = (12, 8, 4, 1)


@picture("2.3b")
class Filled:
    """Replacement with a toy sampler: around the hole (purple) the image comes out as it was."""

    inputs = inpainting_inputs

    def probe(x0, mask, x):
        methods = {"paste_known": paste, "start": start(x)}
        return {"out": toy_inpainter(x0, mask, FEW, **methods).replacement()}

    def draw(got, x0, mask, x):
        return draw_filled("Replacement", got, x0, mask, run(x, x0, mask, FEW))


@picture("2.3c")
class NoisedAgain:
    """From s up to t: the image shrinks and just enough noise is added."""

    def inputs(rng):
        return {
            "x": photos()[[9]],
            "pairs": np.array([[-1, 6], [-1, 20], [6, 10], [10, 20], [20, 32]]),
        }

    def probe(x, pairs):
        import torch

        (x,) = many(x)
        inpainter = toy_inpainter(x, 0 * x)
        return moments(torch.cat([inpainter.renoise(x.clone(), s, t) for s, t in pairs.tolist()]))

    def draw(got, x, pairs):
        ratio = toy.abar(pairs[:, 1]) / toy.abar(pairs[:, 0])
        want = np.sqrt(ratio).reshape(-1, 1, 1, 1) * x
        labels = [f"{s} → {t}".replace("-1", "x₀") for s, t in pairs]
        return draw_random("renoise", want, np.sqrt(1 - ratio), got, labels)


@picture("2.3d")
class Repainted:
    """RePaint with a toy sampler and three tries a step: the hole (purple) is filled."""

    inputs = inpainting_inputs

    def probe(x0, mask, x):
        methods = {"paste_known": paste, "renoise": up, "start": start(x)}
        return {"out": toy_inpainter(x0, mask, FEW, **methods).repaint(3)}

    def draw(got, x0, mask, x):
        return draw_filled("RePaint", got, x0, mask, repaint(x, x0, mask, FEW, 3))


@picture("2.3e")
class MisfitPull:
    """Where x_t must become darker (bright) or brighter (dark); gray is no pull."""

    def inputs(rng):
        return inpainting_inputs(rng) | {"t": 10}

    def probe(x0, mask, x, t):
        return {"out": toy_inpainter(x0, mask).mcg_gradient(x, t)[1]}

    def draw(got, x0, mask, x, t):
        a, b = np.sqrt(toy.abar(t)), np.sqrt(1 - toy.abar(t))
        estimate = (x - b * toy.toy_prediction(x, t)) / a
        want = misfit_gradient((1 - mask) * (x0 - estimate), a, b)
        scale = np.abs(want).max()
        yours = draws(got["out"], want.shape) / scale
        return draw_filled("The gradient of the misfit", {"out": yours}, x0, mask, want / scale)


@picture("2.3f")
class Pulled:
    """MCG with a toy sampler and a toy gradient: the hole (purple) is filled."""

    inputs = inpainting_inputs

    def probe(x0, mask, x):
        def pull(self, x, timestep):
            return self.model.predict_noise(x, timestep), 0.4 * x + 0.02 * int(timestep)

        methods = {"paste_known": paste, "mcg_gradient": pull, "start": start(x)}
        return {"out": toy_inpainter(x0, mask, FEW, **methods).mcg(0.5)}

    def draw(got, x0, mask, x):
        for t in FEW:
            low = down(x, t) - 0.5 * (0.4 * x + 0.02 * t)
            x = pasted(low, x0, mask, toy.previous(t, FEW))
        return draw_filled("MCG", got, x0, mask, x)


def rows_of(first, second, title):
    """Two rows of images of a mark below a row of real ones."""
    from given.images.figures import side_by_side

    return side_by_side({"real": some_real(), "yours": first, "yours ": second}, 10, title)


def some_real(count=10):
    """Real images in the order of the classes."""
    from tests.task2.test_marks import held_out

    test = held_out()
    first = [int(np.flatnonzero(test.labels == k)[0]) for k in range(len(test.classes))]
    return np.asarray(test.images[(first * count)[:count]])


@picture("2.4a")
class PlainGrid:
    """Images of all classes without guidance: are they clothes, in many shapes?"""

    of = "PlainImages"

    def draw(got):
        images = got["images"]
        pick = np.linspace(0, len(images) - 1, 20).astype(int)
        return rows_of(images[pick[:10]], images[pick[10:]], "Without guidance")


@picture("2.4b")
class GuidedGrid:
    """Guided to the class of each column: does every image show what was asked for?"""

    of = "GuidedImages"

    def draw(got):
        own = [np.flatnonzero(got["labels"] == k) for k in range(len(some_real()))]
        first, second = np.array([which[:2] for which in own]).T
        return rows_of(got["images"][first], got["images"][second], "Guided to a class")


@picture("2.4c")
class FilledGrid:
    """What surrounds the hole stays, and the filling goes on with it."""

    of = "FilledHoles"

    def draw(got, index, mask_seed):
        from given.images.figures import side_by_side
        from tests.task2.test_marks import held_out

        rows = {"original": np.asarray(held_out().images[index[:10]]), "filled": got["images"]}
        return side_by_side(rows, 10, "Filled holes")
