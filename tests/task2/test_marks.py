"""Task 2.4: images against the marks, by the Fréchet distance of a set's own features.

`pytest tests/task2 --samples=DIR` marks folders of images: DIR/plain for 2.4a, DIR/guided with a
folder for each class (as sampling.py writes them) for 2.4b, DIR/inpainted for 2.4c. A DIR without
these is taken for `guided` where it holds the classes, else for `plain`. `--dataset` names the set
that the images should look like, one of MARKS or a folder of images. Without --samples, your
scheduler, model and inpainter draw the images here, with the network that the course ships for
Fashion-MNIST: no training is needed. With `--samples=FILE.ckpt` they draw with the network of that
checkpoint, which train.py wrote.

Copies of real images have a perfect distance: they are looked for, and named.
"""

import functools
import itertools
import os
import warnings
from pathlib import Path

import numpy as np

from autograder import settings
from autograder.harness import Open, Wrong, expect_that, graded

# Distances to the whole test set; `class` is the mean over the classes of the distance of one
# class's images to that class's test images.
MARKS = {
    "fashion": {"plain": 4.0, "guided": 3.0, "class": 10.0, "inpainted": 8.0},
    "cifar10": {"plain": 30.0, "guided": 30.0, "class": 90.0, "inpainted": 30.0},
    "afhq": {"plain": 30.0, "guided": 30.0, "class": 60.0, "inpainted": 30.0},
    "folder": {"plain": 30.0, "guided": 30.0, "class": 60.0, "inpainted": 30.0},
}
SAMPLES = 500  # images without --samples
PARTS = ("plain", "guided", "inpainted")
FILLED = 200  # images with holes
HOLE = 0.3  # largest root mean square distance in the hole
COPIES = 0.02  # largest share of images that are copies or near-copies of real ones
# Of 255, the mean absolute difference of thumbnails that makes a near-copy. Of 500 images that the
# shipped network draws, the nearest to a real one is 4.1 away, and two are nearer than 4.5. Nearer
# than 4.5 to a training image are 1.2% of real test images; 93% of real images with noise of 12,
# 75% of those made brighter by 5%, and all that are mirrored or moved by a pixel are that near to
# themselves.
NEAR = 4.5


@functools.cache
def model():
    """The shipped or given network under the student's scheduler, with 25 steps of DDIM."""
    from experiments.images.compare_inpainting import CHECKPOINT
    from experiments.images.samplers.draw import load_model
    from image_diffusion.scheduler import DDIMScheduler

    try:
        built, _ = load_model(submitted("checkpoint") or CHECKPOINT, DDIMScheduler)
    except (ValueError, OSError) as error:
        raise Wrong(str(error)) from None
    built.var_scheduler.set_timesteps(25)
    return built


def draw(guidance_scale):
    """As many images of every class as of any other, and their labels from 0."""
    from experiments.images.samplers.draw import balanced_labels, draw_images

    labels = balanced_labels(SAMPLES, len(held_out().classes))
    return draw_images(model(), SAMPLES, labels, guidance_scale, seed=1), labels - 1


def submitted(kind):
    """The path of --samples where that is a "checkpoint" or a "folder" as asked for, else None."""
    path = os.environ.get("COURSE_SAMPLES")
    if path and (Path(path).suffix == ".ckpt") == (kind == "checkpoint"):
        return path
    return None


def given(part):
    """The images of --samples that belong to a part, and their classes where folders name them.

    Raises:
        Open: --samples was given and holds nothing for this part.
    """
    root = submitted("folder")
    if not root:
        return None
    classes = held_out().classes
    parts = [name for name in PARTS if (Path(root) / name).is_dir()]
    whole = "guided" if (Path(root) / classes[0]).is_dir() else "plain"
    if part not in parts and (parts or part != whole):
        raise Open(f"TODO {root} holds nothing for this mark; see tests/task2/test_marks.py")
    folder = Path(root) / part if parts else Path(root)
    try:
        if part != "guided":
            return read(folder), None
        images = [read(folder / name) for name in classes]
    except (ValueError, OSError) as error:
        raise Wrong(str(error)) from None
    return np.concatenate(images), np.repeat(np.arange(len(images)), [len(x) for x in images])


def read(folder):
    """All images below a folder, in the resolution of the set, (N, H, W, C) uint8."""
    from given.images.data.image_files import list_images, read_image, square

    _, size, _, channels = held_out().images.shape
    files = list_images(folder)
    if len(files) < 2:
        raise ValueError(f"{folder} holds {len(files)} images; a mark needs hundreds.")
    return np.stack([square(read_image(path, channels), size) for path in files])


def tensors(**arrays):
    """What a probe gives back are tensors, as those of a submission."""
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def mark(task):
    """The marks of the data set that is measured, with the changes of autograder/settings.py."""
    return MARKS[kind()] | settings.MARKS.get(task, {})


def dataset():
    return os.environ.get("COURSE_DATASET", "fashion")


def kind():
    """The set as MARKS knows it: "folder" for a path.

    Raises:
        Wrong: there is neither such a set nor such a folder.
    """
    from given.images.data.imageset import find_set

    try:
        name, _ = find_set(dataset())
    except ValueError as error:
        raise Wrong(str(error)) from None
    if name not in MARKS:
        raise Wrong(f"The set {name} has no marks; use {', '.join(MARKS)}.")
    return name


def features():
    """Which features measure the set: those of the course's classifier know clothes alone."""
    return "classifier" if kind() == "fashion" else "inception"


def held_out():
    from given.images.data.imageset import load_dataset

    return load_dataset(dataset(), "test")


def distance(images, limit, what, reference=None):
    """Raise `Wrong` unless the Fréchet distance to the test images is within the limit."""
    from given.images.fid.measure import fid_of_images

    reference = np.asarray(held_out().images if reference is None else reference)
    try:
        value = fid_of_images(images, reference, features())
    except ValueError as error:
        raise Wrong(f"{what}: {error}") from None
    if not value <= limit:
        raise Wrong(
            f"{what}: the Fréchet distance ({features()} features, {len(images)} images) "
            f"is {value:.1f}; the mark is {limit:g}. Look at the images first: {looks(images)}"
        )


def refuse_copies(images, what):
    """Raise `Wrong` where too many images are copies of real ones, moved or mirrored ones too."""
    from given.images.fid.summary import make_thumbnails, nearest

    pixels = np.asarray(images)
    expect_that(
        pixels.ndim == 4 and pixels.dtype == np.uint8,
        f"{what} have shape {pixels.shape} and type {pixels.dtype}; expected (N, H, W, C), uint8.",
    )
    gap, at = np.full(len(pixels), np.inf), np.zeros(len(pixels), int)
    real, names = real_images()
    thumbnails = make_thumbnails(real)
    for down, right, side in itertools.product((0, 1, -1), (0, 1, -1), (1, -1)):
        moved = np.roll(pixels, (down, right), (1, 2))[:, :, ::side]
        index, distance = nearest(make_thumbnails(moved), thumbnails)
        at, gap = np.where(distance < gap, index, at), np.minimum(gap, distance)
    copies = np.flatnonzero(gap < NEAR)
    pairs = [f"image {k} of {names[at[k]]}" for k in copies[:3]]
    expect_that(
        len(copies) <= COPIES * len(images),
        f"{what}: {len(copies)} of {len(images)} images are copies or near-copies of real ones "
        f"({', '.join(pairs)}, ...); images must be drawn by the model.",
    )


def real_images():
    """All training and test images, and a name for each."""
    from given.images.data.imageset import load_dataset

    sets = {split: load_dataset(dataset(), split).images for split in ("train", "test")}
    names = [f"{split} image {k}" for split, images in sets.items() for k in range(len(images))]
    return np.concatenate(list(sets.values())), names


def looks(images):
    """What the pixels alone say about wrong images."""
    reference = np.asarray(held_out().images[:500], float)
    mean, spread = images.mean(), images.std(0).mean()
    if spread < 0.5 * reference.std(0).mean():
        return "they hardly differ from one another."
    if abs(mean - (255 - reference.mean())) < 0.3 * abs(mean - reference.mean()):
        return "black and white are exchanged; is the sign of the noise right?"
    rough = np.abs(np.diff(images.astype(float), axis=2)).mean()
    if rough > 1.5 * np.abs(np.diff(reference, axis=2)).mean():
        return "they are noisy; is noise added in the last step, or is the last one missing?"
    return "are they clothes, in many shapes?"


@graded("2.4a", points=7)
class PlainImages:
    """500 images of all classes without guidance, by your DDIM with 25 steps, or of a folder."""

    def inputs(rng):
        return {}

    def probe():
        return tensors(images=(given("plain") or draw(1.0))[0])

    def check(got):
        refuse_copies(got["images"], "images without guidance")
        distance(got["images"], mark("2.4a")["plain"], "images without guidance")


@graded("2.4b", points=7)
class GuidedImages:
    """500 images of all classes with guidance 1.5: all together, and class by class."""

    def inputs(rng):
        return {}

    def probe():
        images, labels = given("guided") or draw(1.5)
        return tensors(images=images, labels=labels)

    def check(got):
        from given.images.fid.measure import fid_of_images

        marks, test = mark("2.4b"), held_out()
        refuse_copies(got["images"], "guided images")
        distance(got["images"], marks["guided"], "guided images")
        values = {}
        for k, name in enumerate(test.classes):
            images, reference = got["images"][got["labels"] == k], test.images[test.labels == k]
            with warnings.catch_warnings():  # 50 images for 64 features: meant, and calibrated so
                warnings.simplefilter("ignore")
                values[name] = fid_of_images(images, np.asarray(reference), features())
        mean = np.mean(list(values.values()))
        worst = max(values, key=values.get)
        expect_that(
            mean <= marks["class"],
            f"guided images: the mean distance of a class to its own test images is {mean:.1f}; "
            f"the mark is {marks['class']:g}. The worst is {worst}, {values[worst]:.1f}: do the "
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
            return tensors(images=folder[0])
        import torch

        from given.images.data.imageset import to_tensor, to_uint8
        from given.images.masks import make_mask
        from image_diffusion.inpainting import Inpainter

        test = held_out()
        x0 = to_tensor(np.asarray(test.images[index]))
        labels = torch.from_numpy(test.labels[index] + 1)
        mask = make_mask("rectangle", FILLED, 28, mask_seed)
        model().var_scheduler.eta = 1.0
        try:
            x = Inpainter(model(), x0, mask, labels, 1.0).replacement()
        finally:
            model().var_scheduler.eta = 0.0
        return tensors(images=to_uint8(x))

    def check(got, index, mask_seed):
        distance(got["images"], mark("2.4c")["inpainted"], "filled images")
        if submitted("folder"):
            return
        from given.images.masks import make_mask

        originals = np.asarray(held_out().images[index])
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
