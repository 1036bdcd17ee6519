"""The marks of Task 2: real images pass, plausible wrong ones do not."""

import numpy as np
import pytest
import torch
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
