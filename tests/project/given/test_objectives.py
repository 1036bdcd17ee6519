"""Training objectives: their levels and weights, their common loss, and train.py with each."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from experiments.images import train, train_config, training_loop
from given.images import objectives
from given.images.data.imageset import DATASETS, ImageSet
from given.images.objectives import OBJECTIVES, draw_levels
from given.images.presets import CIFAR10, NETWORKS
from given.runtime.checkpoint import read_checkpoint, save_whole

ABAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))  # the linear schedule of DDPM
LOG_SNR = np.log(ABAR / (1 - ABAR))
ENDS = LOG_SNR[0], LOG_SNR[-1]
U = np.random.default_rng(0).random(500)


# alpha, std and g^2 of the three processes at times t, as the papers write them.
def vp(t):
    B = 0.1 * t + 9.95 * t**2
    return np.exp(-B / 2), np.sqrt(1 - np.exp(-B)), 0.1 + 19.9 * t


def subvp(t):
    B, beta = 0.1 * t + 9.95 * t**2, 0.1 + 19.9 * t
    return np.exp(-B / 2), 1 - np.exp(-B), beta * (1 - np.exp(-2 * B))


def ve(t):
    sigma = 0.02 * (100 / 0.02) ** t
    return np.ones_like(t), sigma, 2 * sigma**2 * np.log(100 / 0.02)


PROCESSES = {"vp": vp, "subvp": subvp, "ve": ve}


def abar_at(process, t):
    alpha, std, _ = process(np.asarray(t, float))
    return alpha**2 / (alpha**2 + std**2)


def times(process):
    """The first and the last time that the schedule reaches."""
    found = []
    for end, abar in zip((0.0, 1.0), ABAR[[0, -1]], strict=True):
        outside = abar_at(process, 1e-12) < abar if end == 0 else abar_at(process, 1.0) > abar
        found.append(end if outside else brentq(lambda t, a=abar: abar_at(process, t) - a, 0, 1))
    return found


@pytest.mark.parametrize("likelihood", [False, True])
@pytest.mark.parametrize("name", PROCESSES)
def test_levels_and_weights_of_the_processes(name, likelihood):
    process, (first, last) = PROCESSES[name], times(PROCESSES[name])
    assert first < 0.03 and last > 0.99, "nearly all times are in reach"
    t = first + (last - first) * U
    log_snr, weight = OBJECTIVES[name](torch.from_numpy(U), ENDS, likelihood)
    assert log_snr.dtype == weight.dtype == torch.float64
    assert log_snr.shape == weight.shape == (500,)
    np.testing.assert_allclose(np.exp(-log_snr.numpy()), 1 / abar_at(process, t) - 1, rtol=1e-7)
    _, std, g2 = process(t)
    np.testing.assert_allclose(weight, g2 / std**2 if likelihood else np.ones(500), rtol=1e-7)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_likelihood_weight_adds_up_to_the_fall_of_the_log_snr(name):
    first, last = times(PROCESSES[name])
    middles = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    _, weight = OBJECTIVES[name](middles, ENDS, True)
    snr = [a / (1 - a) for a in (abar_at(PROCESSES[name], t) for t in (first + 1e-15, last))]
    assert weight.mean().item() * (last - first) == pytest.approx(np.log(snr[0] / snr[1]), rel=1e-4)


def test_the_likelihood_weight_of_ve_is_the_same_at_every_time():
    process = objectives.VE(sigma_min=0.05, sigma_max=20.0)
    _, weight = objectives.uniform_times(process, torch.from_numpy(U), ENDS, likelihood=True)
    np.testing.assert_allclose(weight, 2 * np.log(20 / 0.05), rtol=1e-12)


@pytest.mark.parametrize("name", PROCESSES)
def test_debiased_times_keep_the_mean_and_weigh_all_images_alike(name):
    """E[weight f(log SNR)] stays; E[weight^2] / E[weight]^2 is 4.9, 1.6 and 1, and then 1."""
    middles = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    plain = OBJECTIVES[name](middles, ENDS, True)
    debiased = objectives.debiased_times(objectives.CONTINUOUS[name], middles, ENDS)
    for f in (torch.ones_like, torch.sigmoid, torch.sin):
        want, got = ((weight * f(log_snr)).mean() for log_snr, weight in (plain, debiased))
        assert got.item() == pytest.approx(want.item(), rel=1e-3)
    spread = [(w.square().mean() / w.mean() ** 2).item() for _, w in (plain, debiased)]
    assert spread[0] == pytest.approx({"vp": 4.92, "subvp": 1.61, "ve": 1}[name], rel=0.01)
    assert spread[1] == pytest.approx(1, abs=1e-12)
    even = debiased[0].diff()
    assert torch.allclose(even, even.mean(), rtol=1e-6), "the log SNR is uniform"


def test_the_numbers_of_a_batch_lie_evenly_and_each_is_uniform():
    draws = [
        objectives.spread_numbers(8, torch.Generator().manual_seed(seed)) for seed in range(2000)
    ]
    assert torch.allclose(draws[0].sort().values.diff(), torch.tensor(1 / 8), atol=1e-6)
    first = torch.stack(draws)[:, 0].sort().values
    assert (first - (torch.arange(2000) + 0.5) / 2000).abs().max() < 1.63 / 2000**0.5, "of 1%"
    assert torch.stack(draws).min() >= 0 and torch.stack(draws).max() < 1


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("ends", [ENDS, LOG_SNR[[100, 500]].tolist()])
def test_no_level_is_beyond_the_schedule(name, ends):
    numbers = torch.tensor([0.0, 1e-9, 0.5, 1 - 1e-9], dtype=torch.float64)
    numbers = numbers if name != "edm" else 30 * (numbers - 0.5)
    log_snr, weight = OBJECTIVES[name](numbers, ends)
    inside = (log_snr <= ends[0] + 1e-9) & (log_snr >= ends[1] - 1e-9)
    assert inside.all() and weight.isfinite().all() and (weight > 0).all()


def test_smld_draws_each_of_its_scales_as_often():
    numbers = (torch.arange(50_000, dtype=torch.float64) + 0.5) / 50_000
    log_snr, weight = objectives.smld(numbers, ENDS)
    sigma, count = np.unique(np.round(np.exp(-log_snr.numpy() / 2), 9), return_counts=True)
    np.testing.assert_allclose(sigma, np.geomspace(0.02, 100, 1000), rtol=1e-6)
    assert (count == 50).all() and (weight == 1).all()


def test_edm_draws_lognormal_levels_and_weighs_the_error_of_f_by_one():
    z = np.random.default_rng(1).normal(size=500).clip(-2.5, 4)
    log_snr, weight = (k.numpy() for k in objectives.edm(torch.from_numpy(z), ENDS))
    sigma, sd = np.exp(-1.2 + 1.2 * z), 0.5
    np.testing.assert_allclose(np.exp(-log_snr / 2), sigma, rtol=1e-7)
    lam = (sigma**2 + sd**2) / (sigma * sd) ** 2
    np.testing.assert_allclose(weight, lam * sigma**2, rtol=1e-7)
    c_out = sigma * sd / np.sqrt(sigma**2 + sd**2)
    np.testing.assert_allclose(weight / sigma**2 * c_out**2, 1, rtol=1e-7)


def model_of(mode="linear", seed=0, **options):
    """A small DiffusionModule on the solutions."""
    from given.images.patch_unet import PatchUNet
    from image_diffusion.ddpm import DiffusionModule
    from image_diffusion.scheduler import DDIMScheduler

    torch.manual_seed(seed)
    scheduler = DDIMScheduler(mode=mode)
    options = {"predicts": "v", "alphas_cumprod": scheduler.alphas_cumprod} | options
    network = PatchUNet(ch=(16, 16), image_resolution=8, num_classes=3, **options)
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    return DiffusionModule(network, scheduler)


def batch(B=5):
    torch.manual_seed(1)
    return torch.rand(B, 1, 8, 8) * 2 - 1, torch.arange(B) % 3 + 1, torch.randn(B, 1, 8, 8)


def test_at_whole_timesteps_the_loss_is_that_of_ddpm():
    model = model_of().eval()
    x0, labels, noise = batch()
    timestep, weight = torch.tensor([0, 10, 400, 700, 999]), torch.tensor([1.0, 3, 2, 0.5, 0.1])
    want = model.get_loss(x0, labels, noise, timestep, weight)
    log_snr = torch.from_numpy(LOG_SNR[timestep]).float()
    got = objectives.NoiseError(model)(x0, labels, noise, log_snr, weight)
    assert got.item() == pytest.approx(want.item(), rel=1e-4)


def test_between_timesteps_the_noise_is_as_large_as_asked():
    model, asked = model_of(), []
    model.network.at_log_snr = lambda x, level, c: asked.append((x, level, c)) or 0 * x
    x0, labels, noise = batch()
    generator = torch.Generator().manual_seed(0)
    log_snr, weight = draw_levels("vp", model.var_scheduler, 5, generator, True)
    model.network.cfg_dropout = 1.0
    loss = objectives.NoiseError(model)(x0, labels, noise, log_snr, weight)
    x_t, level, classes = asked[0]
    abar = 1 / (1 + np.exp(-log_snr.double().numpy()))
    a, s = np.sqrt(abar), np.sqrt(1 - abar)
    want = a[:, None, None, None] * x0.numpy() + s[:, None, None, None] * noise.numpy()
    np.testing.assert_allclose(x_t, want, rtol=1e-5, atol=1e-6)
    steps = np.interp(log_snr, LOG_SNR[::-1], np.arange(1000)[::-1])
    np.testing.assert_allclose(model.network.timestep_at(level), steps, rtol=1e-4, atol=1e-2)
    assert not classes.any(), "labels fall as in get_loss"
    error = noise.double().square().flatten(1).mean(1)
    assert loss.item() == pytest.approx((weight * error).mean().item(), rel=1e-5)


def test_the_loss_of_edm_is_the_squared_error_of_f():
    model = model_of(predicts="edm").eval()
    outputs, trunk = [], model.network.trunk
    model.network.trunk = lambda x, emb: outputs.append(trunk(x, emb)) or outputs[-1]
    x0, labels, noise = batch()
    z = torch.linspace(-2, 3, 5).double()
    log_snr, weight = (k.float() for k in objectives.edm(z, ENDS))
    loss = objectives.NoiseError(model)(x0, labels, noise, log_snr, weight)
    sigma, sd = np.exp(-1.2 + 1.2 * z.numpy())[:, None, None, None], 0.5
    y, x = x0.numpy(), x0.numpy() + sigma * noise.numpy()
    c_skip = sd**2 / (sigma**2 + sd**2)
    target = (y - c_skip * x) / (sigma * sd / np.sqrt(sigma**2 + sd**2))
    want = ((outputs[0].detach().numpy() - target) ** 2).mean()
    assert loss.item() == pytest.approx(want, rel=2e-3)


@pytest.mark.parametrize("times", ["uniform", "lognormal", *OBJECTIVES])
def test_several_processes_draw_what_one_draws(times):
    from experiments.images.training_loop import shared_draws

    config = {"seed": 3, "times": times, "likelihood_weighting": times == "vp"}
    config["debias"] = times == "vp"
    run = {"config": config, "step": 5, "device": torch.device("cpu"), "model": model_of()}

    def draw(rank, world_size, B):
        return shared_draws(
            SimpleNamespace(**run, rank=rank, world_size=world_size), torch.zeros(B, 1, 8, 8)
        )

    whole, first, second = draw(0, 1, 6), draw(0, 2, 3), draw(1, 2, 3)
    for a, b, c in zip(whole, first, second, strict=True):
        assert (a is b is c is None) or torch.equal(a, torch.cat([b, c]))
    assert len(whole[1].unique()) > 1


@pytest.fixture
def tiny(monkeypatch):
    """train.py on 16 made-up images of 8 x 8 pixels, with networks of 16 channels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)
    made_up = ImageSet("made_up", "train", images, np.arange(16) % 3, ("a", "b", "c"), False)
    monkeypatch.setattr(train.data, "load_dataset", lambda *_: made_up)
    less = {"ch": 16, "ch_mult": (1, 2), "num_res_blocks": 1}
    for name, preset in list(CIFAR10.items()):
        monkeypatch.setitem(NETWORKS, name, preset | less)
    small = copy.deepcopy(train_config.SMALL)
    small["network"] |= {"ch": (16, 16)}
    monkeypatch.setitem(train_config.PRESETS, "fashion", small)
    monkeypatch.setattr("experiments.images.training_progress.show", lambda *_: None)
    monkeypatch.setattr(train, "show", lambda *_: None)


def run(folder, *arguments):
    common = ["--save_dir", str(folder), "--batch_size", "4", "--device", "cpu", "--warmup", "1"]
    train.main([*common, *arguments])
    return read_checkpoint(folder / "last.ckpt")


@pytest.mark.parametrize(
    "options",
    [
        "--times vp",
        "--times vp --likelihood_weighting",
        "--times subvp --debias",
        "--times subvp --likelihood_weighting --predicts noise",
        "--times ve --likelihood_weighting --predicts ve --time_features fourier",
        "--times smld --predicts ve --time_features none --network ddpm --mode linear",
        "--times edm --predicts edm",
        "--times edm --predicts edm --bf16",
        "--times uniform --network ddpm",
        "--times vp --network ddpm++ --mode linear",
        "--times edm --network ddpm++deep --predicts edm --time_features fourier",
        "--times ve --network ncsn++ --mode linear --bf16",
        "--times ve --network ncsn++deep --no-use_cfg",
        "--times lognormal --predicts edm",
    ],
)
def test_two_steps_of_every_objective_prediction_and_network(options, tmp_path, tiny):
    from experiments.images.samplers.draw import draw_images, load_model
    from image_diffusion.scheduler import DDIMScheduler

    state = run(tmp_path, "--steps", "2", *options.split())
    assert state["training"]["step"] == 2 and all(map(torch.isfinite, state["training"]["recent"]))
    model, config = load_model(tmp_path / "last.ckpt", DDIMScheduler)
    assert config["times"] in options and config["debias"] == ("debias" in options)
    assert config["likelihood_weighting"] == ("likel" in options or config["debias"])
    model.var_scheduler.set_timesteps(3)
    assert draw_images(model, 2).shape == (2, 8, 8, 1)


def test_a_continuous_objective_goes_on_bit_for_bit(tmp_path, tiny, monkeypatch):
    options = ["--times", "vp", "--likelihood_weighting", "--network", "ddpm++", "--steps", "6"]
    want = run(tmp_path / "whole", *options)
    plain = training_loop.train_step

    def stopped_at_three(run, *more):
        loss = plain(run, *more)
        run.signals += [2] * (run.step == 3)
        return loss

    monkeypatch.setattr(training_loop, "train_step", stopped_at_three)
    assert run(tmp_path / "parts", *options)["training"]["step"] == 3
    monkeypatch.setattr(training_loop, "train_step", plain)
    got = run(tmp_path / "parts", *options, "--resume")
    assert got["training"]["step"] == 6
    for name in want["network"]:
        assert torch.equal(want["network"][name], got["network"][name]), name
        assert torch.equal(want["training"]["network"][name], got["training"]["network"][name])


def test_a_run_goes_on_with_the_objective_it_was_started_with(tmp_path, tiny):
    state = run(tmp_path, "--steps", "2", "--times", "vp", "--network", "ddpm++")
    for other in ("--times ve", "--likelihood_weighting", "--network ncsn++", "--predicts edm"):
        with pytest.raises(
            ValueError, match=f"was started with (no )?--(no-)?{other.split()[0][2:]}"
        ):
            run(tmp_path, "--resume", *other.split())
    run(tmp_path, "--resume", "--times", "vp", "--network", "ddpm++", "--no-likelihood_weighting")
    for new in ("architecture", "likelihood_weighting"):  # an older run has none of these
        del state["config"][new]
    state["config"]["times"] = "uniform"
    save_whole(tmp_path / "last.ckpt", state)
    run(tmp_path, "--resume", "--times", "uniform")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--likelihood_weighting", "belongs to --times vp, subvp, ve, not lognormal"),
        ("--likelihood_weighting --times edm", "not edm"),
        ("--debias --no-likelihood_weighting --times vp", "leave --debias or --no-likelihood"),
    ],
)
def test_a_weighting_without_its_process_is_one_sentence(options, said, tmp_path, tiny):
    with pytest.raises(ValueError, match=said):
        run(tmp_path, "--steps", "2", *options.split())


def test_a_network_that_does_not_fit_the_set_is_one_sentence(tmp_path, monkeypatch):
    images = np.zeros((8, 28, 28, 1), np.uint8)
    made_up = ImageSet("made_up", "train", images, np.arange(8) % 2, ("a", "b"), False)
    monkeypatch.setattr(train.data, "load_dataset", lambda *_: made_up)
    with pytest.raises(ValueError, match="a resolution that 8 divides, not 28; use 24 or 32"):
        run(tmp_path, "--steps", "2", "--network", "ddpm++")


def test_objectives_need_no_task_done():
    """The laws can be used, while Task 1 and Task 2 are open."""
    scheduler = SimpleNamespace(abar=torch.from_numpy(ABAR).__getitem__, num_train_timesteps=1000)
    for name in OBJECTIVES:
        log_snr, weight = draw_levels(name, scheduler, 4, torch.Generator().manual_seed(0))
        assert log_snr.shape == weight.shape == (4,)
    assert "sde_todo.sde" not in vars(objectives)


def test_every_set_can_be_trained_on():
    assert {*DATASETS} == {*train_config.PRESETS}


def test_the_network_knows_the_levels_of_the_schedule_to_the_last_digit(tmp_path, tiny):
    state = run(tmp_path, "--steps", "1", "--mode", "linear")
    wanted = torch.from_numpy(LOG_SNR).float()
    assert torch.equal(state["network"]["log_snr"], wanted), "of abar in float32 it is 2e-4 off"
