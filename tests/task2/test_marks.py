"""Task 2.4: images against the marks, by the Fréchet distance of a set's own features.

`pytest tests/task2 --samples=DIR` marks a folder of images: those in DIR itself or in DIR/plain for
2.4a, those in folders named after the classes (as sampling.py writes them), in DIR or DIR/guided,
for 2.4b, and those in DIR/inpainted for 2.4c; `--dataset` names the set that they should look like.
Without --samples, your scheduler, model and inpainter draw the images here, with the network that
the course ships for Fashion-MNIST: no training is needed.
"""

import functools
import os
from pathlib import Path

import numpy as np

from tests.harness import Open, Wrong, expect_that, graded

# Distances to the whole test set; `class` is the mean over the classes of the distance of one
# class's images to that class's test images.
MARKS = {
    "fashion": {"plain": 20.0, "guided": 8.0, "class": 20.0, "inpainted": 8.0},
    "cifar10": {"plain": 30.0, "guided": 30.0, "class": 90.0, "inpainted": 30.0},
    "afhq": {"plain": 30.0, "guided": 30.0, "class": 60.0, "inpainted": 30.0},
}
FEATURES = {"fashion": "classifier", "cifar10": "inception", "afhq": "inception"}
SAMPLES = 500  # images without --samples
FILLED = 200  # images with holes
HOLE = 0.35  # largest root mean square distance in the hole


@functools.cache
def model():
    """The shipped network under the student's scheduler, with 25 steps of DDIM."""
    from image_diffusion.checkpoint import load_model
    from image_diffusion.inpaint import CHECKPOINT
    from image_diffusion.scheduler import DDIMScheduler

    built, _ = load_model(CHECKPOINT, DDIMScheduler)
    built.var_scheduler.set_timesteps(25)
    return built


def draw(labels=None, guidance_scale=0.0):
    from image_diffusion.sampling import draw_images

    return draw_images(model(), SAMPLES, labels, guidance_scale, seed=1)


def given(part):
    """The images of --samples that belong to a part, and their classes where folders name them.

    Raises:
        Open: --samples was given and holds nothing for this part.
    """
    from image_diffusion.image_files import read_folder

    root = os.environ.get("COURSE_SAMPLES")
    if not root:
        return None
    folder = Path(root) / part if (Path(root) / part).is_dir() else Path(root)
    classes = [folder / name for name in test_images().classes]
    try:
        if part == "guided" and all(path.is_dir() for path in classes):
            parts = [read_folder(path) for path in classes]
            return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(p) for p in parts])
        if part == "plain" and not any(path.is_dir() for path in classes):
            return read_folder(folder), None
        if part == "inpainted" and folder.name == "inpainted":
            return read_folder(folder), None
    except ValueError as error:
        raise Wrong(str(error)) from None
    raise Open(f"TODO {root} holds no images for this mark; see tests/task2/test_marks.py")


def dataset():
    return os.environ.get("COURSE_DATASET", "fashion")


def test_images():
    from image_diffusion.dataset import load_dataset

    return load_dataset(dataset(), "test")


def distance(images, limit, what, reference=None):
    """Raise `Wrong` unless the Fréchet distance to the test images is within the limit."""
    from image_diffusion.fid.measure_fid import fid_of_images

    reference = np.asarray(test_images().images if reference is None else reference)
    try:
        value = fid_of_images(images, reference, FEATURES[dataset()])
    except ValueError as error:
        raise Wrong(f"{what}: {error}") from None
    if not value <= limit:
        raise Wrong(
            f"{what}: the Fréchet distance ({FEATURES[dataset()]} features, {len(images)} images) "
            f"is {value:.1f}; the mark is {limit:g}. Look at the images first: {looks(images)}"
        )


def looks(images):
    """What the pixels alone say about wrong images."""
    reference = np.asarray(test_images().images[:500], float)
    mean, spread = images.mean(), images.std(0).mean()
    if spread < 0.5 * reference.std(0).mean():
        return "they hardly differ from one another."
    if abs(mean - (255 - reference.mean())) < 0.3 * abs(mean - reference.mean()):
        return "black and white are exchanged; is the sign of the noise right?"
    rough = np.abs(np.diff(images.astype(float), axis=2)).mean()
    if rough > 1.5 * np.abs(np.diff(reference, axis=2)).mean():
        return "they are noisy; is noise added in the last step, or the last one left out?"
    return "are they clothes, in many shapes?"


@graded("2.4a", points=7)
class PlainImages:
    """500 images without a class by your DDIM with 25 steps, or those of a folder."""

    def inputs(rng):
        return {}

    def probe():
        folder = given("plain")
        return {"images": folder[0] if folder else draw()}

    def check(got):
        distance(got["images"], MARKS[dataset()]["plain"], "images without a class")


@graded("2.4b", points=7)
class GuidedImages:
    """500 images of all classes with guidance 1.5: all together, and class by class."""

    def inputs(rng):
        return {}

    def probe():
        folder = given("guided")
        if folder:
            return {"images": folder[0], "labels": folder[1]}
        from image_diffusion.sampling import balanced_labels

        labels = balanced_labels(SAMPLES, 10)
        return {"images": draw(labels, 1.5), "labels": labels - 1}

    def check(got):
        from image_diffusion.fid.measure_fid import fid_of_images

        mark, test = MARKS[dataset()], test_images()
        distance(got["images"], mark["guided"], "guided images")
        values = {}
        for k, name in enumerate(test.classes):
            images, reference = got["images"][got["labels"] == k], test.images[test.labels == k]
            values[name] = fid_of_images(images, np.asarray(reference), FEATURES[dataset()])
        mean = np.mean(list(values.values()))
        worst = max(values, key=values.get)
        expect_that(
            mean <= mark["class"],
            f"guided images: the mean distance of a class to its own test images is {mean:.1f}; "
            f"the mark is {mark['class']:g}. The worst is {worst}, {values[worst]:.1f}: do the "
            f"images show the class that was asked for?",
        )


@graded("2.4c", points=6)
class FilledHoles:
    """200 test images with a rectangle filled by your replacement, or those of a folder."""

    def inputs(rng):
        return {"index": np.sort(rng.choice(4000, FILLED, replace=False)), "mask_seed": 1}

    def probe(index, mask_seed):
        folder = given("inpainted")
        if folder:
            return {"images": folder[0]}
        import torch

        from image_diffusion.dataset import to_tensor, to_uint8
        from image_diffusion.inpainting import Inpainter
        from image_diffusion.masks import make_mask

        test = test_images()
        x0 = to_tensor(np.asarray(test.images[index]))
        labels = torch.from_numpy(test.labels[index] + 1)
        mask = make_mask("rectangle", FILLED, 28, mask_seed)
        model().var_scheduler.eta = 1.0
        try:
            x = Inpainter(model(), x0, mask, labels, 1.0).replacement()
        finally:
            model().var_scheduler.eta = 0.0
        return {"images": to_uint8(x)}

    def check(got, index, mask_seed):
        distance(got["images"], MARKS[dataset()]["inpainted"], "filled images")
        if os.environ.get("COURSE_SAMPLES"):
            return
        from image_diffusion.masks import make_mask

        originals = np.asarray(test_images().images[index])
        hole = make_mask("rectangle", FILLED, 28, mask_seed).numpy()[:, 0, :, :, None] == 1
        squares = ((got["images"].astype(float) - originals) / 255) ** 2
        known = np.sqrt(squares[~hole].mean())
        expect_that(
            known < 1 / 255,
            f"what is known has changed, by {known:.3f} in the root mean square; paste it, clean, "
            f"after the last step.",
        )
        filled = np.sqrt(squares[hole].mean())
        expect_that(
            filled <= HOLE,
            f"the filling is {filled:.3f} away from the original in the root mean square; the mark "
            f"is {HOLE:g}: it ignores what surrounds it.",
        )
