"""Bits per dimension on the way of training, and training on the logits of pixels."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.images import bits_per_dim, held_out, train, training_loop
from given.images.data.imageset import ImageSet
from given.images.load import build_network
from given.images.logit import from_logits, log_det, to_logits
from given.runtime.checkpoint import read_checkpoint
from tests.project.reference.gaussian_images import SPREAD, gaussian_model

EVALUATED = ["--eval_every", "2", "--eval_images", "6"]


@pytest.fixture
def tiny(monkeypatch):
    """train.py on 16 made-up images of 8 x 8 pixels, with a network of 16 channels."""
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)
    made_up = ImageSet("made_up", "train", images, np.arange(16) % 3, ("a", "b", "c"), False)
    for module in (train.data, held_out):
        monkeypatch.setattr(module, "load_dataset", lambda *_: made_up)
    for name in ("experiments.images.training_progress.show", "experiments.images.train.show"):
        monkeypatch.setattr(name, lambda *_: None)
    monkeypatch.setattr(held_out, "save", lambda figure, path: path.touch())
    monkeypatch.setattr(held_out, "plot_bits", lambda *_: None)
    small = train.PRESETS["fashion"]
    small = small | {"network": small["network"] | {"ch": (16, 16), "num_res_blocks": 1}}
    monkeypatch.setitem(train.PRESETS, "fashion", small)


def run(folder, *words):
    common = ["--save_dir", str(folder), "--batch_size", "4", "--device", "cpu", "--warmup", "1"]
    train.main([*common, "--steps", "5", *words])
    return read_checkpoint(folder / "last.ckpt")


def assert_same_weights(a, b):
    for name, weight in a["training"]["network"].items():
        assert torch.equal(weight, b["training"]["network"][name]), name
    for name, weight in a["network"].items():
        assert torch.equal(weight, b["network"][name]), name


def test_measuring_leaves_the_weights_as_they_were_and_draws_the_curve(tmp_path, tiny, capsys):
    plain = run(tmp_path / "plain", "--times", "vp", "--debias")
    state = run(tmp_path / "measured", "--times", "vp", "--debias", *EVALUATED)
    assert_same_weights(plain, state)
    bits = state["training"]["bits"]
    assert [step for step, _, _ in bits] == [2, 4, 5] and np.isfinite(bits).all()
    assert all(error > 0 for _, _, error in bits)
    said = [line for line in capsys.readouterr().out.splitlines() if "bits/dim" in line]
    assert len(said) == 3 and "step 4: " in said[1] and "ELBO of 6 test images" in said[1]
    assert (tmp_path / "measured" / "bits_per_dim.png").exists()


@pytest.mark.slow
def test_the_ode_measures_as_well(tmp_path, tiny, capsys):
    words = ["--eval_by", "ode", "--eval_every", "5", "--eval_images", "2"]
    (point,) = run(tmp_path, *words)["training"]["bits"]
    assert point[0] == 5 and np.isfinite(point).all()
    assert "ODE of 2 test images" in capsys.readouterr().out


def test_the_curve_has_an_error_bar_for_each_measurement_and_the_loss_beside_it():
    bits = [(2, 5.0, 0.5), (4, 4.0, 0.25), (5, 3.5, 0.25)]
    left, right = held_out.plot_bits([0.3, 0.2], bits, "ELBO of 6 test images").axes
    assert left.lines[0].get_xydata().tolist() == [[50, 0.3], [100, 0.2]]
    assert right.lines[0].get_xydata().tolist() == [[2, 5.0], [4, 4.0], [5, 3.5]]
    ends = [[float(end) for end in bar[:, 1]] for bar in right.collections[0].get_segments()]
    assert ends == [[4.5, 5.5], [3.75, 4.25], [3.25, 3.75]]


def test_the_same_network_has_the_same_bits_at_every_measurement(tmp_path, tiny):
    """Truth: with a rate of almost 0 nothing moves; with fresh noise the bits would."""
    bits = run(tmp_path, "--lr", "1e-12", *EVALUATED)["training"]["bits"]
    assert bits[0][1:] == pytest.approx(bits[1][1:], rel=1e-4)


@pytest.mark.parametrize("where", [(training_loop, "train_step"), (held_out, "bits_of_images")])
def test_a_stopped_run_has_the_curve_of_an_undisturbed_one(where, tmp_path, tiny, monkeypatch):
    """Stopped in the step after a measurement, and in the middle of one."""
    want, runs = run(tmp_path / "whole", *EVALUATED), []
    begin, plain = training_loop.Run.__init__, getattr(*where)

    def noted(self, *args):
        runs.append(self)
        begin(self, *args)

    def stopping(*args, **kwargs):
        if runs[-1].step == 2:
            runs[-1].signals.append(2)
        return plain(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(training_loop.Run, "__init__", noted)
        patch.setattr(*where, stopping)
        half = run(tmp_path / "parts", *EVALUATED)["training"]
    assert half["step"] < 5 and len(half["bits"]) == (where[0] is training_loop)
    got = run(tmp_path / "parts", "--resume", *EVALUATED)
    assert got["training"]["bits"] == want["training"]["bits"]
    assert_same_weights(want, got)


def test_one_slice_an_image_is_the_bound_in_the_mean():
    """Truth: where the score is exact the bound is that of the ODE; 20 slices for each image."""
    from sde_todo.sde import VPSDE

    images = SPREAD * torch.randn(200, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    images = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()

    def bits(kind):
        found = bits_per_dim.bits_of_images(gaussian_model(), VPSDE(), images, None, 1, kinds=kind)
        assert list(found) == list(kind)
        return found[kind[0]]

    torch.manual_seed(0)
    gap = np.mean([bits(("ELBO",)) for _ in range(20)], 0) - bits(("ODE",))
    mean, error = bits_per_dim.mean_and_error(gap)
    assert abs(mean) < 4 * error and error < 0.1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--eval_by ode", "--eval_by ode needs --eval_every"),
        ("--eval_every 0", "--eval_every must be at least 1, not 0"),
        ("--eval_every 2 --eval_images 1", "--eval_images must be at least 2, not 1"),
        ("--eval_every 2 --eval_images 99", "there are 16 test images"),
        ("--weight_decay -1", "--weight_decay must be at least 0, not -1"),
        ("--muon_lr -1", "--muon_lr must be at least 0, not -1"),
        ("--debias", "--debias belongs to --times vp, subvp, ve, not lognormal"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(words, said, tmp_path, tiny):
    with pytest.raises(ValueError, match=said):
        run(tmp_path, *words.split())


def test_a_run_goes_on_with_its_images_and_its_pixels(tmp_path, tiny):
    run(tmp_path, *EVALUATED)
    for words in ("--eval_every 2 --eval_images 5", "--eval_by ode --eval_every 2", "--logit"):
        with pytest.raises(ValueError, match=r"was started with (no )?--"):
            run(tmp_path, "--resume", *words.split())
    assert run(tmp_path, "--resume", "--eval_every", "3")["config"]["eval_every"] == 3


def test_logits_have_the_density_of_their_pixels():
    """Truth: if END y is logistic, its sigmoid is uniform, and so are pixels, on 2/.9: log .45."""
    x = torch.rand(50, 1, 3, 3, dtype=torch.float64) * 2 - 1
    y = to_logits(x)
    scale = math.log(0.95 / 0.05)
    logp = (math.log(scale) - scale * y - 2 * torch.nn.functional.softplus(-scale * y)).sum(
        (1, 2, 3)
    )
    want = torch.full_like(logp, 9 * math.log(0.45))
    assert torch.allclose(logp + log_det(x), want, atol=1e-12)
    assert torch.allclose(from_logits(y), x, atol=1e-12)
    assert to_logits(torch.tensor([-1.0, 0, 1])).tolist() == pytest.approx([-1, 0, 1], abs=1e-6)


@pytest.mark.parametrize("kind", ["ODE", "ELBO"])
def test_bits_of_a_gaussian_of_logits_are_those_of_quadrature(kind):
    """Truth: -log2 of the density of pixels, over the cell of each level by the midpoint rule."""
    from sde_todo.sde import VPSDE

    def density(x):  # of a pixel, written on its own
        u = 0.05 + 0.9 * (x + 1) / 2
        y, slope = np.log(u / (1 - u)) / np.log(19), 0.45 / (u * (1 - u) * np.log(19))
        return np.exp(-0.5 * (y / SPREAD) ** 2) / (SPREAD * np.sqrt(2 * np.pi)) * slope

    levels = np.arange(256) / 127.5 - 1
    cells = levels[:, None] + (np.arange(200) + 0.5 - 100) / 200 / 127.5
    bits = -np.log2(density(cells) / 127.5).mean(1)
    images = np.random.default_rng(0).integers(0, 256, (80, 4, 4, 3), dtype=np.uint8)
    model = gaussian_model()
    model.network.logit = True
    torch.manual_seed(0)
    got = bits_per_dim.bits_of_images(model, VPSDE(), images, slices=60, kinds=(kind,))[kind]
    gap, error = bits_per_dim.mean_and_error(got - bits[images].mean((1, 2, 3)))
    assert abs(gap) < 4 * error + 3e-3 and error < (0.06 if kind == "ELBO" else 0.01)


def test_samples_of_a_network_of_logits_are_pixels():
    """Truth: half of the samples of N(0, SPREAD^2) logits are darker than the sigmoid's middle."""
    from experiments.images.samplers.draw import draw_images

    model = gaussian_model(steps=20)
    plain = draw_images(model, 4) / 127.5 - 1
    model.network.logit = True
    pixels = draw_images(model, 4) / 127.5 - 1
    want = from_logits(torch.from_numpy(plain)).numpy()
    inside = abs(plain) < 0.95
    assert np.abs(pixels - want)[inside].max() < 0.012 and inside.mean() > 0.9


def test_several_processes_spread_the_pixels_as_one_does():
    base = {"config": {"seed": 3}, "step": 5, "device": torch.device("cpu")}

    def spread(rank, world_size, B):
        one = SimpleNamespace(**base, rank=rank, world_size=world_size)
        return training_loop.spread_pixels(one, torch.zeros(B, 1, 8, 8))

    whole = spread(0, 1, 6)
    assert torch.equal(whole, torch.cat([spread(0, 2, 3), spread(1, 2, 3)]))
    assert whole.abs().max() <= 0.5 / 127.5 and whole.std() == pytest.approx(
        1 / 127.5 / 12**0.5, rel=0.2
    )


@pytest.mark.slow
def test_a_run_on_logits_is_sampled_measured_and_refused_where_pixels_are_needed(tmp_path, tiny):
    from experiments.bridges import image_starts
    from experiments.images import compare_inpainting, control, export
    from experiments.images.samplers.draw import draw_images, load_model
    from image_diffusion.scheduler import DDIMScheduler

    state = run(tmp_path, "--logit", "--times", "vp", "--debias", *EVALUATED)
    assert state["config"]["network"]["logit"] and np.isfinite(state["training"]["bits"]).all()
    path = tmp_path / "last.ckpt"
    model, _ = load_model(path, DDIMScheduler)
    model.var_scheduler.set_timesteps(3)
    assert model.network.logit and draw_images(model, 2).shape == (2, 8, 8, 1)
    plain = run(tmp_path / "plain", "--times", "vp", "--debias")
    assert not build_network(plain["config"]["network"]).logit
    assert not torch.equal(plain["network"]["head.weight"], state["network"]["head.weight"])
    there = ["--ckpt_path", str(path), "--save_dir", str(tmp_path / "none"), "--device", "cpu"]
    with pytest.raises(ValueError, match="was trained with --logit"):
        image_starts.networks_config(SimpleNamespace(init_from=path), 8, 1)
    for main, words in (
        (compare_inpainting.main, there),
        (control.main, [*there, "--task", "super"]),
        (control.main, [*there, "--task", "class"]),
        (export.main, [str(path), str(tmp_path / "none"), "--format", "diffusers"]),
    ):
        with pytest.raises(ValueError, match="was trained with --logit"):
            main(words)
