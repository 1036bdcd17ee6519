"""The pictures of image_diffusion/inpainting.py: what was expected beside what came."""

import numpy as np

from autograder import standins_images as toy
from autograder.harness import picture
from autograder.pictures import draws, image_rows
from tests.task2.pictures_scheduler import MANY, SIDE, draw_random, many, moments, photos
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
    """The hole keeps x_t, here black; around it is the image at the noise of the timestep."""

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
