"""Damaged checkpoints of networks, classifiers and runs: read right, or refused in a sentence."""

import io

import pytest
import torch
from hypothesis import strategies as st

from experiments.images.samplers.draw import load_model
from given.images import load, noisy_classifier
from given.images.fid import features
from given.runtime.checkpoint import load_weights, read_checkpoint
from image_diffusion.scheduler import DDIMScheduler
from tests.project.fuzz.broken import Refusal, attempt, changes, damaged_zip, fuzz

NETWORK = {"name": "PatchUNet", "predicts": "v", "ch": (8, 16), "num_res_blocks": 1}
NETWORK |= {"T": 20, "image_resolution": 8, "in_ch": 1, "use_cfg": True, "num_classes": 2}
CONFIG = {
    "network": NETWORK | {"cfg_dropout": 0.1},
    "scheduler": {"num_train_timesteps": 20, "mode": "cosine"},
    "dataset": "fashion",
    "classes": ["a", "b"],
}


def saved(state):
    """The bytes of a checkpoint."""
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def model_state():
    """A checkpoint of a tiny image model."""
    network = load.build_network(CONFIG["network"])
    return {"config": CONFIG, "network": network.state_dict()}


MODEL = model_state()
SMALL = saved({"config": {"a": 1}, "network": {"w": torch.arange(3.0), "b": torch.zeros(2, 2)}})


@fuzz(80, damaged_zip(SMALL))
def test_a_damaged_checkpoint(tmp_path, data):
    path = tmp_path / "x.ckpt"
    path.write_bytes(data)
    state = attempt(read_checkpoint, path)
    if not isinstance(state, Refusal):
        attempt(load_weights, torch.nn.Linear(2, 2), state["network"], path)


@fuzz(40, changes(CONFIG) | changes(MODEL))
def test_a_model_with_another_configuration(tmp_path, changes):
    path = tmp_path / "x.ckpt"
    path.write_bytes(
        saved(changes.on(MODEL if changes.of is MODEL else MODEL | {"config": changes.on(CONFIG)}))
    )
    made = attempt(load_model, path, DDIMScheduler)
    if not isinstance(made, Refusal):
        model, config = made
        model.var_scheduler.set_timesteps(1)
        assert model.sample(1).shape == (1, 1, 8, 8)
        assert len(config["classes"]) == 2


CLASSIFIERS = {
    path: torch.load(path, weights_only=True)
    for path in (features.CLASSIFIER, noisy_classifier.NOISY_CLASSIFIER)
}


@pytest.mark.parametrize("source", CLASSIFIERS, ids=lambda path: path.name)
def test_a_changed_classifier(tmp_path, source):
    state = CLASSIFIERS[source]

    @fuzz(20, changes(state["config"]) | changes(state))
    def run(changes):
        new = (
            changes.on(state)
            if changes.of is state
            else state | {"config": changes.on(state["config"])}
        )
        (tmp_path / "x.pt").write_bytes(saved(new))
        if "noisy" in state["config"]:
            attempt(noisy_classifier.load_noisy_classifier, DDIMScheduler, tmp_path / "x.pt")
        else:
            attempt(features.load_features, checkpoint=tmp_path / "x.pt")

    run()


@fuzz(40, st.data())
def test_a_changed_state_of_training_in_the_plane(tmp_path, data):
    from given.plane.point_sets import Batches
    from sde_todo.train import EMA, train_diffusion

    net = torch.nn.Linear(2, 2)
    opt = torch.optim.Adam(net.parameters())

    def step_fn(batch):
        opt.zero_grad()
        net(batch).square().mean().backward()
        opt.step()
        return 1.0

    step_fn.parts = {"model": net, "ema": EMA(net), "opt": opt}
    batches, path = Batches(torch.zeros(4, 2), 2), tmp_path / "x.ckpt"
    path.unlink(missing_ok=True)
    train_diffusion(batches, step_fn, 1, checkpoint=path)
    state = torch.load(path, weights_only=True)
    path.write_bytes(saved(data.draw(changes(state)).on(state)))
    losses = attempt(train_diffusion, batches, step_fn, 1, checkpoint=path)
    assert isinstance(losses, Refusal) or all(isinstance(loss, float) for loss in losses)


def image_run():
    """A run of training on tiny images."""
    from experiments.images.training_loop import Run

    config = CONFIG | {"seed": 0, "steps": 1, "ema": 0.9, "lr": 0.1, "weight_decay": 0.0}
    return Run(config | {"compile": False}, torch.device("cpu"))


@fuzz(20, st.data())
def test_a_changed_state_of_training_on_images(tmp_path, data):
    run = image_run()
    state = run.state()
    at = data.draw(changes(state["training"]))
    (tmp_path / "x.ckpt").write_bytes(saved(state | {"training": at.on(state["training"])}))
    attempt(run.load, tmp_path / "x.ckpt")
