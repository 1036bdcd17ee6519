"""Marks for images from elsewhere: a submitted checkpoint, a submitted folder, and copies in it."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autograder import settings
from experiments.images.compare_inpainting import CHECKPOINT
from given.images.data.imageset import load_dataset
from given.runtime.submission import ROOT
from grading import grade
from grading.isolation.sandbox import Sandbox
from tests.task2 import test_marks as marks


@pytest.fixture(scope="module")
def sandbox():
    """One for all submissions here."""
    with Sandbox() as made:
        yield made


@pytest.fixture
def submission(tmp_path):
    """A folder with the solutions of Task 2, to which a test adds images or a checkpoint."""
    shutil.copytree(ROOT / "solutions" / "image_diffusion", tmp_path / "in" / "image_diffusion")
    return tmp_path / "in"


@pytest.fixture
def result(sandbox, submission, tmp_path, monkeypatch):
    """Grade one mark of the submission, its images taken from where `choice` says."""

    def run(test, **choice):
        monkeypatch.setattr(settings, "IMAGES", settings.IMAGES | choice)
        folder = sandbox.box / f"submission-{tmp_path.name}"
        folder.mkdir(exist_ok=True)
        try:
            return grade.Run(submission, folder, sandbox, 1).result(test)
        finally:
            shutil.rmtree(folder)

    return run


def write_images(images, folder):
    """Images (N, H, W, 1) as PNG files."""
    folder.mkdir(parents=True)
    for k, image in enumerate(images):
        Image.fromarray(np.asarray(image)[..., 0]).save(folder / f"{k:04}.png")


@pytest.mark.slow
def test_the_grader_samples_from_a_submitted_checkpoint(submission, result):
    shutil.copy(CHECKPOINT, submission / "model.ckpt")
    broken = submission / "image_diffusion" / "scheduler.py"
    broken.write_text("raise RuntimeError('the code of the submission must not run here')")
    done = result(marks.PlainImages, FROM="checkpoint")
    assert done.verdict == "done", done.message
    assert done.got["images"].shape == (500, 28, 28, 1)


class Bomb:
    def __reduce__(self):
        return open, ("/tmp/course-checkpoint-ran", "w")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(pickle.dumps(Bomb())), "model.ckpt"),
        (lambda path: path.write_bytes(b"no checkpoint"), "model.ckpt"),
        (lambda path: None, "The submission has no file model.ckpt"),
    ],
)
def test_a_checkpoint_that_is_none_is_one_sentence(write, said, submission, result, tmp_path):
    write(submission / "model.ckpt")
    wrong = result(marks.PlainImages, FROM="checkpoint")
    assert wrong.verdict == "wrong" and said in wrong.message and "\n" not in wrong.message
    assert not Path("/tmp/course-checkpoint-ran").exists()


SLOW_CHANGES = [pytest.param(c, marks=pytest.mark.slow) for c in ("as it is", "moved", "noisy")]


@pytest.mark.parametrize("change", ["mirrored", *SLOW_CHANGES])
def test_copies_of_real_images_are_found_and_named(change, submission, result):
    real = np.array(load_dataset("fashion", "train").images[:300])
    noise = np.random.default_rng(0).normal(0, 6, real.shape)
    changed = {
        "as it is": real,
        "mirrored": real[:, :, ::-1],
        "moved": np.roll(real, 1, 1),
        "noisy": np.clip(real + noise, 0, 255).astype(np.uint8),
    }
    write_images(changed[change], submission / "samples")
    wrong = result(marks.PlainImages, FROM="samples")
    assert wrong.verdict == "wrong"
    assert "300 of 300 images are copies or near-copies of real ones" in wrong.message
    assert "image 0 of train image 0" in wrong.message


def test_a_folder_of_noise_and_a_missing_one_get_nothing(submission, result):
    assert "no folder samples/ with images" in result(marks.PlainImages, FROM="samples").message
    noise = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1), np.uint8)
    write_images(noise, submission / "samples")
    assert "distance" in result(marks.PlainImages, FROM="samples").message
    assert result(marks.GuidedImages, FROM="samples").verdict == "todo"  # the folder has no classes


@pytest.mark.slow
def test_filled_images_of_a_folder_are_measured_by_their_distance_alone(submission, result):
    """Holes that somebody else cut cannot be compared with the originals."""
    real = np.array(load_dataset("fashion", "test").images[:200])
    write_images(real, submission / "samples" / "inpainted")
    done = result(marks.FilledHoles, FROM="samples")
    assert done.verdict == "done", done.message


def test_the_set_of_the_settings_is_marked_against(submission, result, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1), np.uint8)
    write_images(noise, submission / "samples")
    chosen = {"FROM": "samples", "DATASET": "fashion_colour"}
    assert "fashion_colour has no marks" in result(marks.PlainImages, **chosen).message
    mine = tmp_path / "mine"
    write_images(noise, mine)
    done = result(marks.PlainImages, FROM="samples", DATASET=str(mine))
    assert "copies or near-copies" in done.message and done.got["images"].shape[1:] == (64, 64, 3)
    assert len(list(mine.iterdir())) == 30
