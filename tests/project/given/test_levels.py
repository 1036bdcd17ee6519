"""Noise levels: each conversion against float64, its inverse, and the ends of a schedule."""

import copy

import numpy as np
import pytest
import torch

from given import levels
from given.levels import NoiseLevels

T = 1000
SCHEDULES = {
    "linear": np.cumprod(1 - np.linspace(1e-4, 0.02, T)),
    "cosine": np.cumprod(
        np.maximum(
            np.cos((np.arange(1, T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
            / np.cos((np.arange(T) / T + 0.008) / 1.008 * np.pi / 2) ** 2,
            1e-3,
        )
    ),
}
STEPS = np.concatenate([np.arange(T), np.random.default_rng(0).uniform(0, T - 1, 2000)])


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    """The module, and its log SNR in float64."""
    abar = SCHEDULES[request.param]
    return NoiseLevels(torch.from_numpy(abar)), np.log(abar / (1 - abar))


def test_the_levels_keep_seven_digits_where_abar_is_near_one(schedule):
    module, log_snr = schedule
    assert module.log_snr.dtype == torch.float32
    np.testing.assert_allclose(module.log_snr, log_snr, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(torch.sigmoid(-module.log_snr), 1 / (1 + np.exp(log_snr)), rtol=2e-6)


def test_log_snr_between_timesteps_is_that_of_numpy(schedule):
    module, log_snr = schedule
    got = module.log_snr_at(torch.from_numpy(STEPS).float())
    steps = STEPS.astype(np.float32).astype(float)
    np.testing.assert_allclose(got, np.interp(steps, np.arange(T), log_snr), rtol=1e-6, atol=1e-6)


def test_timesteps_between_levels_are_those_of_numpy(schedule):
    module, log_snr = schedule
    wanted = torch.linspace(log_snr[-1], log_snr[0], 3001)
    exact = np.interp(wanted.double(), log_snr[::-1], np.arange(T)[::-1])
    got = module.timestep_at(wanted)
    # One digit of the log SNR, 5e-7 where it is 8, is 1 / slope as much of a timestep.
    slope = np.abs(np.diff(log_snr))[np.floor(exact).astype(int).clip(max=T - 2)]
    error = np.abs(got.double().numpy() - exact) * slope
    assert (error <= 3e-7 * np.maximum(np.abs(wanted.numpy()), 1) + 1e-7 * T * slope).all()


def test_log_snr_to_timestep_and_back(schedule):
    """To 1e-6, and where a timestep, 6e-5 at the smallest near 999, is a longer way, to that."""
    module, log_snr = schedule
    wanted = torch.linspace(module.log_snr[-1], module.log_snr[0], 3001)
    timestep = module.timestep_at(wanted)
    slope = np.abs(np.diff(log_snr))[timestep.long().clamp(max=T - 2)]
    error = (module.log_snr_at(timestep) - wanted).abs().numpy()
    limit = 1e-6 * (1 + wanted.abs().numpy()) + 1e-4 * slope
    assert (error <= limit).all() and np.median(error) < 1e-6
    whole = torch.arange(T)
    again = module.timestep_at(module.log_snr_at(whole))
    torch.testing.assert_close(again, whole.float(), rtol=1e-6, atol=1e-6)


def test_sigma_and_abar_to_log_snr_and_back():
    log_snr = torch.linspace(-20, 20, 401, dtype=torch.float64)
    sigma = levels.sigma_of(log_snr)
    torch.testing.assert_close(levels.log_snr_of(sigma), log_snr, rtol=1e-6, atol=1e-6)
    abar = torch.sigmoid(log_snr)
    torch.testing.assert_close(sigma, ((1 - abar) / abar).sqrt(), rtol=1e-6, atol=0)
    a, s = levels.signal_and_noise(log_snr)
    assert a.shape == s.shape == (401, 1, 1, 1)
    torch.testing.assert_close(a.flatten(), abar.sqrt(), rtol=1e-6, atol=0)
    torch.testing.assert_close((s / a).flatten(), sigma, rtol=1e-6, atol=0)


def test_beyond_the_ends_the_nearer_end_is_taken(schedule):
    module, _ = schedule
    far = torch.tensor([100.0, torch.inf, -100.0, -torch.inf])
    assert module.timestep_at(far).tolist() == [0, 0, T - 1, T - 1]
    ends = module.log_snr_at(torch.tensor([-5.0, 0.0, T - 1, 2.0 * T]))
    assert ends.tolist() == module.log_snr[[0, 0, -1, -1]].tolist()


def test_a_schedule_of_one_timestep_has_one_level():
    module = NoiseLevels(torch.tensor([0.5]))
    assert module.log_snr_at(torch.tensor([0.0, 3.0])).tolist() == [0, 0]
    assert module.timestep_at(torch.tensor([2.0, -2.0])).tolist() == [0, 0]


def test_the_levels_follow_the_module_and_stay_out_of_checkpoints_unless_asked():
    module = NoiseLevels(torch.from_numpy(SCHEDULES["linear"]))
    assert not module.state_dict()
    assert list(NoiseLevels(module.log_snr.sigmoid(), True).state_dict()) == ["log_snr"]
    elsewhere = copy.deepcopy(module).to("meta")
    where = torch.zeros(5, device="meta")
    assert elsewhere.log_snr_at(where).device.type == "meta"
    assert elsewhere.timestep_at(where).device.type == "meta"


def test_a_network_called_by_level_is_called_by_timestep():
    from given.images.patch_unet import PatchUNet

    x, t = torch.randn(4, 1, 8, 8), torch.tensor([0.0, 300.25, 777.0, 999.0])
    abar = torch.from_numpy(SCHEDULES["cosine"])
    for predicts in ("noise", "v", "ve", "edm"):
        for features in ("positional", "fourier", "none"):
            torch.manual_seed(0)
            options = {"predicts": predicts, "time_features": features, "alphas_cumprod": abar}
            net = PatchUNet(ch=(16, 16), image_resolution=8, **options).eval()
            torch.nn.init.normal_(net.tail.weight, std=0.1)
            by_level = net.at_log_snr(x, net.log_snr_at(t))
            torch.testing.assert_close(by_level, net(x, t), rtol=1e-4, atol=1e-4)
