"""The marks of Task 2: real images pass, plausible wrong ones do not."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from autograder import harness
from given.images.data.imageset import load_dataset
from tests.task2 import test_marks as marks


def real(n=500):
    return np.asarray(load_dataset("fashion", "train").images[:n])


def noisy(images, std):
    noise = np.random.default_rng(0).normal(0, std * 255, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def blurred(images):
    x = torch.from_numpy(images[..., 0].copy()).float()[:, None]
    return F.avg_pool2d(x, 3, 1, 1)[:, 0, ..., None].byte().numpy()


def folder_of(root, images, name="{:03d}.png"):
    root.mkdir(parents=True)
    for k, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(root / name.format(k))
    return root


@pytest.fixture
def marked(tmp_path, monkeypatch):
    """Mark the folder tmp_path/samples as pytest --samples does."""
    monkeypatch.setenv("COURSE_SAMPLES", str(tmp_path / "samples"))
    marks.model.cache_clear()
    return tmp_path / "samples"


def test_what_a_mac_or_a_notebook_left_is_no_sample(marked):
    folder_of(marked / "plain", real(30))
    (marked / "plain" / "._000.png").write_bytes(b"\0\5\26\7" + b"\0" * 200)
    (marked / "plain" / ".ipynb_checkpoints").mkdir()
    Image.new("L", (28, 28)).save(marked / "plain" / ".ipynb_checkpoints" / "x-checkpoint.png")
    images, _ = marks.given("plain")
    assert (images == real(30)).all()


def test_a_folder_of_images_is_marked_against(marked, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    mine = folder_of(tmp_path / "mine", rng.integers(0, 256, (12, 64, 64, 3), np.uint8))
    monkeypatch.setenv("COURSE_DATASET", str(mine))
    folder_of(marked, rng.integers(0, 256, (3, 70, 64, 3), np.uint8))
    assert marks.given("plain")[0].shape == (3, 64, 64, 3)
    assert marks.mark("2.4a")["plain"] == marks.MARKS["folder"]["plain"]
    assert marks.features() == "inception" and len(marks.held_out()) == 3
    for name, said in (("nowhere", "Unknown data set"), ("mnist", "has no marks")):
        monkeypatch.setenv("COURSE_DATASET", name)
        with pytest.raises(harness.Wrong, match=said):
            marks.mark("2.4a")


def verdict(test, **got):
    try:
        test.check(got)
    except harness.Wrong as error:
        return str(error)
    return "done"


@pytest.fixture
def copies_pass(monkeypatch):
    """Look at the distances alone: changed real images replace those of a perfect model."""
    monkeypatch.setattr(marks, "refuse_copies", lambda *_: None)


def test_real_images_pass(copies_pass):
    assert verdict(marks.PlainImages, images=real()) == "done"
    labels = load_dataset("fashion", "train").labels[:500]
    assert verdict(marks.GuidedImages, images=real(), labels=labels) == "done"


FAKES = {
    "noise": lambda x: noisy(np.full_like(x, 128), 0.3),
    "noise left in the images": lambda x: noisy(x, 0.3),
    "blurred": blurred,
    "inverted": lambda x: 255 - x,
    "one image": lambda x: np.repeat(x[:1], len(x), axis=0),
    "one class": lambda x: x[load_dataset("fashion", "train").labels[: len(x)] == 8],
    "black": np.zeros_like,
    "upside down": lambda x: x[:, ::-1].copy(),
}


@pytest.mark.parametrize("name", FAKES)
@pytest.mark.filterwarnings("ignore:.*covariance")
def test_fakes_are_refused(name, copies_pass):
    images = FAKES[name](real())
    labels = np.arange(len(images)) % 10
    assert "the mark is" in verdict(marks.GuidedImages, images=images, labels=labels)


def test_images_of_other_classes_than_asked_are_refused(copies_pass):
    labels = (load_dataset("fashion", "train").labels[:500] + 1) % 10
    assert "mean distance of a class" in verdict(marks.GuidedImages, images=real(), labels=labels)


def test_copies_are_refused_and_images_of_a_wrong_shape_too():
    labels = load_dataset("fashion", "train").labels[:500]
    said = verdict(marks.GuidedImages, images=real(), labels=labels)
    assert "500 of 500 images are copies" in said and "image 0 of train image 0" in said
    assert "expected (N, H, W, C)" in verdict(marks.PlainImages, images=real()[..., 0])
