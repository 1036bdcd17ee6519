"""Losses whose minimiser is the true score, and training that can be stopped and trusted."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from given.plane.point_sets import Batches, make_points
from given.runtime.submission import ROOT

VARIANCE = 2.5


def minimiser(loss, batch_size, draws):
    """The factor k at which the loss of the score -k x is least, on x ~ N(0, VARIANCE I).

    The loss is a parabola in k: three values give its minimum.
    """
    values = torch.zeros(3, dtype=torch.float64)
    for seed in range(draws):
        for i, k in enumerate((0.0, 1.0, 2.0)):
            torch.manual_seed(seed)
            x0 = torch.randn(batch_size, 3, dtype=torch.float64)
            z = torch.randn(batch_size, 3, dtype=torch.float64)
            std = 0.9
            alpha = ((VARIANCE - std**2) ** 0.5) * 1.0
            x = alpha * x0 + std * z  # variance alpha^2 + std^2 = VARIANCE
            t = torch.full((batch_size,), 0.5)
            values[i] += loss(t, x, lambda t, x, k=k: -k * x, -z / std).item() / draws
    a = (values[2] - 2 * values[1] + values[0]) / 2
    b = values[1] - values[0] - a
    return (-b / (2 * a)).item()


@pytest.mark.parametrize("name", ["DSM", "ISM", "ISM by Hutchinson", "SSM", "SSM Gaussian"])
@pytest.mark.parametrize("batch_size", [pytest.param(4, marks=pytest.mark.slow), 32, 256])
def test_minimiser_is_the_true_score_whatever_the_batch_size(name, batch_size):
    from sde_todo import loss

    losses = {
        "DSM": loss.DSMLoss(),
        "ISM": loss.ISMLoss(),
        "ISM by Hutchinson": loss.ISMLoss("hutchinson", "gaussian"),
        "SSM": loss.SSMLoss(),
        "SSM Gaussian": loss.SSMLoss("gaussian"),
    }
    k = minimiser(losses[name], batch_size, draws=6000 // batch_size)
    assert k == pytest.approx(1 / VARIANCE, rel=0.07)


@pytest.mark.parametrize("density", ["uniform", "debiased"])
@pytest.mark.parametrize("name", ["OU", "VPSDE", "SubVPSDE", "VESDE"])
def test_weighted_times_give_the_uniform_mean(name, density):
    """E[w h(t)] does not depend on the density; h is smooth."""
    from sde_todo import sde
    from sde_todo.loss import sample_time

    process = getattr(sde, name)()
    torch.manual_seed(0)
    t, w = sample_time(200_000, process, 1e-3, density)
    u = t / process.T
    assert t.min() >= 1e-3 * 0.99 and t.max() <= process.T * (1 + 1e-6)
    assert w.mean().item() == pytest.approx(1, rel=0.02)
    assert (w * u.sin()).mean().item() == pytest.approx(
        1 - torch.cos(torch.ones(1)).item(), rel=0.02
    )


def test_debiased_times_take_the_variance_off_a_likelihood_loss():
    from given.levels import alpha_std
    from sde_todo.loss import sample_time
    from sde_todo.sde import VPSDE

    process, spread = VPSDE(), {}
    for density in ("uniform", "debiased"):
        t, w = sample_time(100_000, process, 1e-4, density)
        x = torch.zeros(len(t), 1)
        _, std = alpha_std(process, t, x)
        _, g = process.sde_coeff(t, x)
        spread[density] = (w * (g**2 / std**2)[:, 0]).std().item()
    assert spread["debiased"] < 0.02 * spread["uniform"]


def small_run(checkpoint=None, steps=60, seed=0, loader=None):
    """A few steps of the plain recipe's parts; returns losses and weights."""
    from sde_todo import loss, network, sde, train

    torch.manual_seed(seed)
    model = network.SimpleNet(2, (16,), (16,), 16)
    ema = train.EMA(model)
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = train.warmup_linear(opt, 60, 10)
    step = train.get_sde_step_fn(
        model, ema, opt, loss.DSMLoss(), sde.VPSDE(), "noise", schedule=schedule
    )
    loader = loader or Batches(make_points("moons", 500), 32, seed)
    losses = train.train_diffusion(loader, step, steps, checkpoint=checkpoint, threads=1)
    return losses, [p.clone() for p in (*model.parameters(), *ema.model.parameters())]


def test_a_step_on_images_is_the_step_on_their_pixels():
    """(B, C, H, W) and (B, C H W) with the same noise give the same loss: nothing mixes samples."""
    from sde_todo import loss, sde, train

    values = []
    for shape in ((6, 2, 3, 4), (6, 24)):
        torch.manual_seed(0)
        batch = torch.randn(6, 24).reshape(shape)
        scale = torch.nn.Parameter(torch.ones(()))
        opt = torch.optim.SGD([scale], lr=0.1)
        step = train.get_sde_step_fn(
            lambda t, x, scale=scale: scale * x, None, opt, loss.DSMLoss(), sde.VPSDE(), "noise"
        )
        values.append(step(batch))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_resumed_training_is_the_same_bit_for_bit(tmp_path):
    path = tmp_path / "run.pt"
    whole, weights = small_run()
    small_run(path, steps=25)
    losses, resumed = small_run(path, seed=5)  # other seeds: everything comes from the file
    assert losses == whole
    assert all(torch.equal(a, b) for a, b in zip(weights, resumed, strict=True))
    assert not list(tmp_path.glob("*.partial"))


def test_training_is_seeded():
    assert small_run()[0] == small_run()[0] != small_run(seed=1)[0]


STOPPED = """
import os, signal, sys
from tests.project.given.test_training import small_run
from given.plane.point_sets import Batches, make_points

class Interrupting(Batches):
    def __iter__(self):
        for k, batch in enumerate(super().__iter__()):
            if k == 20:
                os.kill(os.getpid(), signal.Signals[sys.argv[2]])
            yield batch

losses, _ = small_run(sys.argv[1], loader=Interrupting(make_points("moons", 500), 32, 0))
print("steps", len(losses))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM handler")
@pytest.mark.parametrize("name", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_a_stopped_run_saves_and_goes_on_to_the_same_weights(name, tmp_path):
    path = tmp_path / "run.pt"
    environment = os.environ | {"COURSE": str(ROOT / "solutions"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(path), name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "run again to go on from" in done.stdout, done.stdout + done.stderr
    assert "steps 21" in done.stdout
    assert small_run(path)[0] == small_run()[0]


def test_ctrl_c_without_a_checkpoint_still_stops():
    class Interrupting(Batches):
        def __iter__(self):
            for k, batch in enumerate(super().__iter__()):
                if k == 3:
                    signal.raise_signal(signal.SIGINT)
                yield batch

    with pytest.raises(KeyboardInterrupt):
        small_run(loader=Interrupting(make_points("moons", 500), 32, 0))


def test_a_nan_loss_is_one_clear_sentence_and_leaves_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    small_run(path, steps=10)
    before = path.read_bytes()

    class Poisoned(Batches):
        def __iter__(self):
            for batch in super().__iter__():
                yield batch * torch.nan

    with pytest.raises(FloatingPointError, match="The loss became nan at step 10"):
        small_run(path, loader=Poisoned(make_points("moons", 500), 32, 0))
    assert path.read_bytes() == before


def test_ten_thousand_vp_steps_never_see_a_time_of_zero():
    from sde_todo.loss import sample_time
    from sde_todo.sde import VPSDE

    process = VPSDE()
    smallest = min(sample_time(512, process, 1e-3)[0].min().item() for _ in range(10_000))
    assert smallest >= 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m["loss"].sample_time(4, m["sde"].VPSDE(), 0.0), "eps = 0.0"),
        (
            lambda m: m["loss"].sample_time(4, m["sde"].VPSDE(), density="log"),
            "uniform or debiased",
        ),
        (lambda m: m["loss"].get_div(None, None, "jvp"), "exact or hutchinson"),
        (lambda m: m["loss"].random_probe(torch.zeros(1), "cauchy"), "rademacher or gaussian"),
        (lambda m: m["network"].get_score_fn(None, None, "x0"), "score, noise, data or v"),
        (lambda m: m["network"].TimeEmbedding(7), "even number"),
        (
            lambda m: m["train"].get_sde_step_fn(None, None, None, None, None, weight="snr"),
            "choose denoising, likelihood, edm",
        ),
        (lambda m: m["train"].EMA(torch.nn.Linear(1, 1), 1.5), "decay = 1.5"),
    ],
)
def test_bad_arguments_are_one_clear_sentence(call, message):
    from sde_todo import loss, network, sde, train

    with pytest.raises(ValueError, match=message):
        call({"loss": loss, "network": network, "sde": sde, "train": train})


def test_a_checkpoint_that_was_cut_is_named_and_what_a_kill_left_is_cleared(tmp_path):
    path, left = tmp_path / "run.pt", tmp_path / "run.pt.1.part"
    small_run(path, steps=10)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"run\.pt cannot be used"):
        small_run(path)
    path.write_bytes(whole)
    left.touch()
    small_run(path, steps=10)
    assert not left.exists()
