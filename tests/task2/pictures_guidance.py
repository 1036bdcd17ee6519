"""The pictures of image_diffusion/guidance.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder import standins_images as toy
from autograder.harness import picture
from autograder.pictures import Curves, draws, image_pair, image_rows, panels
from given.runtime.figures import BLUE, ORANGE, PURPLE
from tests.task2.pictures_inpainting import inpainting_inputs
from tests.task2.pictures_scheduler import SIDE, many, moments, photos
from tests.task2.test_guidance import (
    Forward,
    Weighted,
    gray_matrix,
    pool_matrix,
    times,
    toy_gradient,
    toy_measured,
)
from tests.task2.test_inpainting import misfit_gradient

BLOCK = 4
GAP = 4
COLUMNS = 6


WEIGHTS = np.sqrt([0.5, 0.3, 0.2])  # of a measurement, a unit vector


def rgb(colour):
    """The three numbers of a colour such as "#0072B2", from 0 to 1."""
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255


def wash():
    """Light blue on the left, to orange on the right, (1, 3, 28, 28) in [-1, 1]."""
    share = np.linspace(0, 1, 4).repeat(SIDE // 4)
    colours = np.outer(rgb(BLUE), 1 - share) + np.outer(rgb(ORANGE), share)  # (3, 28)
    colours /= colours.max(0)
    return np.repeat(2 * colours[None, :, None] - 1, SIDE, 2)


def dyed(photo):
    """A photo (1, 28, 28) in the colours of `wash`, (1, 3, 28, 28)."""
    return (photo + 1) * (wash() + 1) / 2 - 1


def shown(images):
    """Images (n, 1 or 3, h, w) in [-1, 1] as uint8 (n, 28, 28, 3), NaN in purple."""
    images = np.asarray(images).repeat(SIDE // np.shape(images)[-1], 2)
    images = images.repeat(SIDE // images.shape[-1], 3).repeat(3 // images.shape[1], 1)
    images = images.transpose(0, 2, 3, 1)
    levels = np.nan_to_num((np.clip(images, -1, 1) + 1) * 127.5).round().astype(np.uint8)
    purple = (255 * rgb(PURPLE)).round().astype(np.uint8)
    return np.where(np.isnan(images).any(-1, keepdims=True), purple, levels)


def colour_rows(title, rows, columns):
    """As `image_rows`, in colour. rows: dict from name to a list of (1, 1 or 3, h, w)."""
    from given.images.figures import side_by_side

    made = {name: np.concatenate([shown(x) for x in images]) for name, images in rows.items()}
    return side_by_side(made, len(columns), title, columns)


def differences(want, got):
    """Twice the differences, black where there is none."""
    pairs = zip(want, got, strict=True)
    return [4 * np.abs(np.clip(mine, -9, 9) - right) - 1 for right, mine in pairs]


@picture("2.5a")
class Measurements:
    """Gray adds the channels up, Pool the blocks of 4 x 4; the transposes spread them again."""

    def inputs(rng):
        boot, bag = photos()[[9]], photos()[[8]]
        return {
            "colour": dyed(boot[0]),
            "gray": 3**0.5 * bag,
            "fine": boot,
            "coarse": times(pool_matrix(1, SIDE, SIDE, BLOCK), bag, (1, 7, 7)),
        }

    def probe(colour, gray, fine, coarse):
        from image_diffusion.guidance import Gray, Pool

        return {
            "Gray A": Gray(3).measure(colour),
            "Gray T": Gray(3).adjoint(gray),
            "Pool A": Pool(BLOCK).measure(fine),
            "Pool T": Pool(BLOCK).adjoint(coarse),
        }

    def draw(got, colour, gray, fine, coarse):
        A, P = gray_matrix(3, SIDE, SIDE), pool_matrix(1, SIDE, SIDE, BLOCK)
        given = [colour, gray / 3**0.5, fine, coarse / BLOCK]
        size = [3**0.5, 1, BLOCK, 1]  # a measurement is drawn over the length of a row of ones
        want = [
            times(A, colour, (1, SIDE, SIDE)),
            times(A.T, gray, (3, SIDE, SIDE)),
            times(P, fine, (1, 7, 7)),
            times(P.T, coarse, (1, SIDE, SIDE)),
        ]
        yours = [draws(x, w.shape) for x, w in zip(got.values(), want, strict=True)]
        want, yours = ([x / s for x, s in zip(v, size, strict=True)] for v in (want, yours))
        rows = {"given": given, "expected": want, "yours": yours}
        rows["difference"] = differences(want, yours)
        columns = ["Gray\nA x / √3", "Gray\nAᵀ y", "Pool\nA x / 4", "Pool\nAᵀ y"]
        return colour_rows("Gray adds channels, Pool adds blocks, Aᵀ spreads", rows, columns)


@picture("2.5b")
class Imputed:
    """The boot is measured, with noise of this std; the colours are free and stay as they were."""

    def inputs(rng):
        levels = np.array([[1.0, 0.0], [0.9, 0.2], [0.7, 0.5], [0.4, 0.9]])
        return {"x": wash(), "y": photos()[[9]], "levels": levels, "w": WEIGHTS}

    def probe(x, y, levels, w):
        import torch

        x, y = many(x, y)
        measured, operator = toy_measured(Weighted(w), y), Weighted(w)
        out = torch.cat([measured.project(x.clone(), a, b) for a, b in levels.tolist()])
        inside = operator.measure(out)
        free = moments(out - operator.adjoint(inside))["std"]
        return moments(out) | {"std": moments(inside)["std"], "free": free}

    def draw(got, x, y, levels, w):
        column = w.reshape(3, 1, 1)
        kept = x - column * (column * x).sum(1, keepdims=True)
        want = np.concatenate([kept + column * a * y for a, _ in levels])
        mean, one = (draws(got[name], want.shape) for name in ("mean", "one"))
        inside, free = (draws(got[name], (4,)) for name in ("std", "free"))
        labels = [
            f"std {mine:.2g} (of {b:g})\nfree {other:.2g} (of 0)"
            for (_, b), mine, other in zip(levels, inside, free.round(3), strict=True)
        ]
        rows = {"x": [x] * 4, "y": [y] * 4, "expected, mean": want[:, None]}
        rows |= {"yours, mean": mean[:, None], "yours, one": one[:, None]}
        return colour_rows("project: the boot comes in, the colours stay", rows, labels)


class Lines:
    """A stand-in for an operator: of every four lines of pixels, the first is measured."""

    def measure(self, x):
        return x[:, :, ::GAP]

    def adjoint(self, y):
        out = y.new_zeros(*y.shape[:2], SIDE, SIDE)
        out[:, :, ::GAP] = y
        return out


def lines_of(images):
    """A^T A of `Lines`, for arrays."""
    return images * (np.arange(SIDE) % GAP == 0).reshape(-1, 1)


@picture("2.5c")
class Pull:
    """Only the lines are known; there x_t must become darker (bright) or brighter (dark)."""

    def inputs(rng):
        x0, x = (inpainting_inputs(rng)[name] for name in ("x0", "x"))
        return {"x0": x0, "x": x, "t": 10}

    def probe(x0, x, t):
        measured = toy_measured(Lines(), x0[:, :, ::GAP])
        return {"out": measured.mcg_gradient(x, t)[1]}

    def draw(got, x0, x, t):
        a, b = np.sqrt(toy.abar(t)), np.sqrt(1 - toy.abar(t))
        estimate = (x - b * toy.toy_prediction(x, t)) / a
        want = misfit_gradient(lines_of(x0 - estimate), a, b)
        scale = np.abs(want).max()
        want, yours = want / scale, draws(got["out"], want.shape) / scale
        known = np.where(lines_of(np.ones_like(x0)) == 1, x0, np.nan)
        rows = {"known": known, "x_t": x, "expected": want, "yours": yours}
        rows["difference"] = differences([want], [yours])[0]
        rows = {name: images[:, 0] for name, images in rows.items()}
        title = "A pull where it is measured (purple: it is not)"
        return image_rows(title, rows, [f"image {k + 1}" for k in range(4)])


def drawn_lines(x, y, a):
    """A stand-in for project, for arrays and tensors: writes a times the lines of y into x."""
    out = x + 0
    out[:, :, ::GAP] = a * y[:, :, ::GAP]
    return out


@picture("2.5d")
class LinesWritten:
    """Here each projection writes lines of the boot, each correction moves all down by one."""

    def inputs(rng):
        return {"x": photos()[[2]], "y": photos()[[9]], "clock": np.array([0.5, 2.95])}

    def probe(x, y, clock):
        import torch

        from sde_todo import sampling

        def project(self, x, a, b):
            return drawn_lines(x, y, a)

        def step(sde, s, ds, x):
            return 0.3 * x, 1

        reverse = Forward().reverse(lambda t, x: -x)
        reverse.correct_fn = lambda s, x, snr=0.16: x.roll(1, 2)
        measured = toy_measured(Lines(), y[:, :, ::GAP], project=project)
        s, s_next = clock[:, None]
        with standins.patched(sampling, reverse_diffusion_step=step):
            out = [measured.step_and_correct(reverse, s, s_next, x.clone(), n) for n in range(4)]
        return {"out": torch.cat(out)}

    def draw(got, x, y, clock):
        a = standins.alpha(3 - clock[1])
        want = [drawn_lines(0.3 * x, y, a)]
        for _ in range(3):
            want.append(drawn_lines(np.roll(want[-1], 1, 2), y, a))
        labels = [f"corrections\n= {n}" for n in range(4)]
        title = "Lines are written after every move"
        return image_pair(title, np.concatenate(want), got["out"], labels)


@picture("2.5e")
class TowardsAClass:
    """Brighter where more light makes the class of the column likelier, darker where less does."""

    def inputs(rng):
        x = 0.1 * rng.normal(size=(COLUMNS, 1, SIDE, SIDE))
        return {"x": x, "w": photos()[:COLUMNS] / 40, "label": np.arange(1, COLUMNS + 1)}

    def probe(x, w, label):
        import torch

        from image_diffusion.guidance import ClassifierGuided

        model = toy.ToyModel(toy.ToySteps([9, 3]))
        model.network = toy.ToyNetwork()
        guided = ClassifierGuided(model, lambda x, timestep: x.flatten(1) @ w.flatten(1).T)
        with torch.no_grad():
            return {"out": guided.class_gradient(x, 5, label)}

    def draw(got, x, w, label):
        p = np.exp(times(w.reshape(COLUMNS, -1), x, (COLUMNS,)))
        p /= p.sum(1, keepdims=True)
        want = w[label - 1] - np.einsum("bk,kchw->bchw", p, w)
        scale = np.abs(want).max()
        yours = draws(got["out"], want.shape)
        labels = [f"class {k}" for k in label]
        return image_pair("Which light makes a class likelier", want / scale, yours / scale, labels)


@picture("2.5f")
class Pushed:
    """Guidance takes s sqrt(1 - abar) times the gradient away: much where there is much noise."""

    def inputs(rng):
        return {"t": np.arange(toy.T), "scales": np.array([1.0, 2.0, 4.0])}

    def probe(t, scales):
        import torch

        from image_diffusion.guidance import ClassifierGuided

        def class_gradient(self, x, timestep, class_label):
            return toy_gradient(x, 0, class_label)

        model = toy.ToyModel(toy.ToySteps([9, 3]))
        model.network = toy.ToyNetwork()
        cls = type("Toy", (ClassifierGuided,), {"class_gradient": class_gradient})
        guided, x, label = cls(model, None), torch.ones(len(t), 1, 4, 4), torch.full((len(t),), 2)
        with torch.no_grad():
            noises = [guided.predict_noise(x, t, label, s)[:, 0, 0, 0] for s in scales.tolist()]
        return {"noise": torch.stack(noises, 1)}

    def draw(got, t, scales):
        slope = toy_gradient(1.0, 0, np.array([2])).item()
        push = np.sqrt(1 - toy.abar(t))[:, None] * scales * slope
        plain = 0.5 + 0.02 * t[:, None]
        yours = draws(got["noise"], push.shape)
        parts = [
            Curves("noise for s = 1 (top), 2, 4", t, plain - push, yours, "timestep t"),
            Curves("taken away for s = 4 (top), 2, 1", t, push, plain - yours, "timestep t"),
        ]
        return panels("The more noise, the more guidance takes away", *parts)
