"""The pictures of image_diffusion/scheduler.py: what was expected beside what came."""

import functools

import numpy as np

from autograder import standins_images as toy
from autograder.harness import picture
from autograder.pictures import Curves, draws, image_pair, image_rows, panels
from tests.task2.test_scheduler import ddim, ddpm_mean, multistep

SIDE = 28
MANY = 60


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
            states.append(state.value)
        labels = [f"at {t}" for t in timesteps[1:]] + ["image"]
        return image_pair("DPM-Solver++ 2M", np.stack(states[1:]), got["states"], labels)
