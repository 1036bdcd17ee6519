"""Any words on the command lines: they work, or one sentence says what is wrong."""

import types

import pytest
import torch
from hypothesis import strategies as st

from given.images.data import eval_folder
from given.images.fid import measure
from given.runtime.cli import one_line_errors
from tests.project.fuzz.broken import attempt, fuzz
from tests.project.fuzz.test_fuzz_checkpoints import MODEL, saved

WORDS = ["nan", "inf", "-inf", "-1", "0", "1", "2", "3", "7.5", "-0.0", "1e400", "", "x", "²"]
WORDS += ["1_0", " 3", "0.5", "1e-300", str(10**9), str(10**12), str(10**30), "9" * 5000]
VALUES = st.sampled_from(WORDS) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=4
)


def lines(*options, flags=()):
    """Strategy: command lines with up to three of the options, each with any value."""
    pair = st.tuples(st.sampled_from(options), VALUES).map(lambda pair: [f"{pair[0]}={pair[1]}"])
    one = pair | st.sampled_from(flags or options).map(lambda flag: [flag]) if flags else pair
    return st.lists(one, max_size=3).map(lambda parts: [word for part in parts for word in part])


def door(main, *words):
    """The way of a command line from its words to one line."""
    with one_line_errors():
        return main(list(words))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A tiny checkpoint, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ckpt").write_bytes(saved(MODEL))
    return ["--device", "cpu", "--ckpt_path", "x.ckpt"]


SAMPLING = ("--num_samples", "--batch_size", "--steps", "--snr", "--tol", "--eta", "--churn")
SAMPLING += (
    "--guidance_scale",
    "--class_label",
    "--seed",
    "--corrector",
    "--device",
    "--ckpt_path",
    "--guide_path",
    "--guide_scale",
)
METHODS = [
    "ddpm",
    "ddim",
    "dpmpp",
    "edm",
    "stochastic",
    "ode_heun",
    "multistep",
    "euler_maruyama",
    "rk45",
    "reverse_diffusion",
]


@fuzz(40, st.sampled_from(METHODS), lines(*SAMPLING))
def test_command_lines_of_sampling(tiny, monkeypatch, method, words):
    from experiments.images import sample

    draw = sample.draw_batches
    few = lambda model, num, labels, *rest: draw(model, min(num, 3), labels, *rest)  # noqa: E731
    monkeypatch.setattr(sample, "draw_batches", few)
    attempt(
        door,
        sample.main,
        *tiny,
        "--save_dir",
        "out",
        "--num_samples",
        "1",
        "--steps",
        "2",
        "--scheduler",
        method,
        *words,
    )


TRAINING = (
    "--resolution",
    "--steps",
    "--batch_size",
    "--lr",
    "--warmup",
    "--ema",
    "--cfg_dropout",
    "--seed",
)
TRAINING += (
    "--device",
    "--threads",
    "--save_every",
    "--sample_every",
    "--times",
    "--mode",
    "--data_root",
    "--network",
    "--predicts",
    "--minutes",
    "--ch",
    "--dropout",
    "--weight_decay",
    "--eval_every",
    "--eval_by",
    "--eval_images",
)


@fuzz(20, lines(*TRAINING))
def test_command_lines_of_training(tiny, monkeypatch, words):
    from experiments.images import train

    monkeypatch.setattr(train, "train", lambda *_: False)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    attempt(
        door,
        train.main,
        "--device",
        "cpu",
        "--overwrite",
        "--save_dir",
        "run",
        "--dataset",
        "fashion",
        *words,
    )


CONTROL = (
    "--num_samples",
    "--steps",
    "--resamplings",
    "--step_size",
    "--scales",
    "--seed",
    "--device",
    "--data_root",
    "--classifier",
)


@fuzz(30, st.sampled_from(["colour", "super", "inpaint", "class"]), lines(*CONTROL))
def test_command_lines_of_control(tiny, monkeypatch, task, words):
    from experiments.images import control

    monkeypatch.setattr(control, "solve", lambda *_: {})

    def draw_classes(model, classifier, scales, num_samples, seed):
        shown = min(num_samples, 20)  # what the picture shows, and more
        return {1.0: torch.zeros(shown, 3, 28, 28)}, torch.ones(shown)

    monkeypatch.setattr(control, "draw_classes", draw_classes)
    attempt(door, control.main, "--device", "cpu", "--num_samples", "2", "--task", task, *words)


INPAINT = (
    "--num_samples",
    "--steps",
    "--resamplings",
    "--step_size",
    "--guidance_scale",
    "--seed",
    "--mask",
    "--features",
    "--data_root",
)


@fuzz(30, lines(*INPAINT))
def test_command_lines_of_inpainting(tiny, monkeypatch, words):
    from experiments.images import compare_inpainting

    monkeypatch.setattr(compare_inpainting, "fill", lambda *_, **__: {})
    attempt(door, compare_inpainting.main, "--device", "cpu", "--num_samples", "2", *words)


@fuzz(
    30,
    lines(
        "--num_samples", "--batch_size", "--slices", "--tol", "--seed", "--data_root", "--ckpt_path"
    ),
)
def test_command_lines_of_likelihood(tiny, monkeypatch, words):
    from experiments.images import bits_per_dim

    zeros = lambda model, sde, images, *_: dict.fromkeys(("ODE", "ELBO"), images[:, 0, 0, 0] * 0.0)  # noqa: E731
    monkeypatch.setattr(bits_per_dim, "bits_of_images", zeros)
    attempt(door, bits_per_dim.main, "--device", "cpu", "--num_samples", "2", *words)


BRIDGE = (
    "--num_steps",
    "--gamma",
    "--theta",
    "--rounds",
    "--iters",
    "--batch_size",
    "--cache_size",
    "--refresh_every",
    "--lr",
    "--ema",
    "--skip_rounds",
    "--save_every",
    "--seed",
    "--num_samples",
    "--exp_name",
    "--init_from",
    "--prior",
    "--dataset",
    "--method",
    "--reference",
    "--resume",
)


@pytest.mark.parametrize("kind", ["plane", "images"])
def test_command_lines_of_bridges(tiny, monkeypatch, kind, tmp_path):
    from experiments.bridges import image_report, images, plane

    module = {"plane": plane, "images": images}[kind]
    monkeypatch.setattr(module, "train", lambda *_: False)
    monkeypatch.setattr(plane, "SET_SIZE", 500)
    monkeypatch.setattr(plane, "EVAL_SIZE", 10)
    untrained = types.SimpleNamespace(train=lambda *_: False)
    monkeypatch.setattr(plane, "LightRun", lambda *_: untrained)
    monkeypatch.setattr(image_report, "Judge", lambda *_: None)

    methods = st.sampled_from(["tr", "dsb", "flow", "sb-fbsde-alt"])

    @fuzz(30, methods, lines(*BRIDGE, flags=("--resume", "--overwrite", "--published", "--reinit")))
    def run(method, words):
        attempt(door, module.main, "--device", "cpu", "--overwrite", "--method", method, *words)

    run()


@fuzz(30, lines("--resolution", "--limit", "--data_root", "--dataset", "--out"))
def test_command_lines_of_the_eval_folder(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_folder, "RESULTS", tmp_path / "eval")
    monkeypatch.setattr(
        eval_folder,
        "build_eval_folder",
        lambda images, folder, limit: eval_folder.first_of_classes(images.labels, limit) is None,
    )
    for name, source in eval_folder.DATASETS.items():
        monkeypatch.setitem(
            eval_folder.DATASETS, name, type(source)(source.resolution, source.flip, source.read)
        )
    attempt(door, eval_folder.main, *words)


@fuzz(
    30,
    lines(
        "--resolution",
        "--batch_size",
        "--subset_size",
        "--features",
        "--device",
        "--dataset",
        "--train",
        "--checkpoint",
    ),
    st.lists(VALUES, max_size=3),
)
def test_command_lines_of_measure_fid(tmp_path, monkeypatch, words, paths):
    monkeypatch.chdir(tmp_path)
    attempt(door, measure.main, "--no_cache", *words, "--", *paths)
