"""The sampler of EDM, against the Gaussian whose flow is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.images.samplers import edm
from given.levels import karras_sigmas
from given.noise import noise_per_image

SD = 0.5  # standard deviation of the Gaussian data


class Exact:
    """A model that knows the noise in x_t where x_0 is N(0, SD^2), and its own network."""

    image_shape, device = (1, 4, 4), "cpu"

    def __init__(self):
        ends = torch.tensor([0.9999, 4e-5], dtype=torch.float64)
        self.var_scheduler = SimpleNamespace(abar=lambda t: ends[t], num_train_timesteps=2)
        self.network, self.calls = self, 0

    def at_log_snr(self, x, log_snr, class_label=None):
        self.calls += 1
        abar = log_snr.reshape(-1, 1, 1, 1).double().sigmoid()
        return (1 - abar).sqrt() * x.double() / (abar * SD**2 + 1 - abar)


def test_the_levels_are_those_of_the_paper():
    sigmas = karras_sigmas(18, 0.002, 80.0)
    i = np.arange(18)
    want = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(sigmas[:-1], want, rtol=1e-10)
    assert sigmas[-1] == 0 and len(sigmas) == 19 and sigmas.dtype == torch.float64
    assert karras_sigmas(1, 0.02, 80.0).tolist() == pytest.approx([80.0, 0.0])


def flow(x, sigma_min=0.02):
    """The end of the ODE: exact from 80 to sigma_min, Euler's last step to 0."""
    x = x * math.sqrt((sigma_min**2 + SD**2) / (80.0**2 + SD**2))
    return x * SD**2 / (SD**2 + sigma_min**2)


def test_without_churn_the_error_falls_with_the_square_of_the_steps():
    errors, steps = [], (16, 32, 64, 128)
    for n in steps:
        with noise_per_image(range(7)):
            x, evaluations = edm.draw(model := Exact(), 7, steps=n)
        assert evaluations == model.calls == 2 * n - 1
        start = torch.stack([torch.randn(1, 4, 4, generator=seeded(k)) for k in range(7)])
        errors.append((x - flow(80.0 * start.double())).abs().mean().item())
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15), errors


def seeded(k):
    return torch.Generator().manual_seed(k)


@pytest.mark.parametrize("churn", [0.0, 10.0, 40.0])
def test_the_marginal_is_that_of_the_data_with_and_without_churn(churn):
    torch.manual_seed(0)
    x, _ = edm.draw(Exact(), 4000, steps=64, churn=churn)  # 64,000 numbers
    assert x.shape == (4000, 1, 4, 4)
    assert x.std().item() == pytest.approx(SD, rel=0.02)
    assert abs(x.mean().item()) < 4 * SD / math.sqrt(x.numel())
    assert (x**4).mean().item() / SD**4 == pytest.approx(3, rel=0.08)


def test_churn_draws_noise_only_where_it_is_asked_to():
    def draw(**options):
        with noise_per_image(range(3)):
            return edm.draw(Exact(), 3, steps=8, **options)[0]

    plain = draw()
    assert torch.equal(draw(churn=8.0, s_min=90.0), plain)
    assert torch.equal(draw(churn=8.0, s_max=0.01), plain)
    assert not torch.allclose(draw(churn=8.0), plain)
    loud = {"steps": 32, "churn": 32.0}
    louder = [edm.draw(Exact(), 2000, **loud, s_noise=s)[0].std() for s in (1.0, 1.1)]
    assert louder[1] > 1.02 * louder[0]


def test_classes_and_guidance_reach_the_model(monkeypatch):
    from image_diffusion.ddpm import DiffusionModule

    labels, asked, predict = torch.tensor([1, 2]), [], DiffusionModule.predict_noise

    def asking(self, x, level, class_label=None, guidance_scale=0.0):
        asked.append((class_label, guidance_scale))
        return predict(self, x, level, class_label, guidance_scale)

    monkeypatch.setattr(DiffusionModule, "predict_noise", asking)
    edm.draw(model := Exact(), 2, labels, 1.5, steps=3)
    assert len(asked) == 5 and model.calls == 10
    assert all(label is labels and scale == 1.5 for label, scale in asked)


def test_a_network_is_sampled_the_same_in_any_batch():
    from given.images.patch_unet import PatchUNet
    from image_diffusion.ddpm import DiffusionModule
    from image_diffusion.scheduler import DDIMScheduler

    torch.manual_seed(0)
    scheduler = DDIMScheduler()
    options = {"predicts": "edm", "alphas_cumprod": scheduler.alphas_cumprod}
    network = PatchUNet(ch=(16, 16), image_resolution=8, **options)
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    model = DiffusionModule(network, scheduler).eval()
    with noise_per_image(range(4)):
        whole, _ = edm.draw(model, 4, torch.tensor([1, 2, 3, 4]), 1.5, steps=5, churn=4.0)
    with noise_per_image(range(2, 4)):
        part, _ = edm.draw(model, 2, torch.tensor([3, 4]), 1.5, steps=5, churn=4.0)
    assert whole.shape == (4, 1, 8, 8) and whole.dtype == torch.float32
    torch.testing.assert_close(whole[2:], part, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "0 steps"),
        ({"sigma_min": 0.0}, "0 < sigma_min"),
        ({"sigma_min": 100.0}, "0 < sigma_min < sigma_max is needed, not 100.0 and 80.0"),
        ({"sigma_min": 0.002}, "sigma_min 0.002 is below"),
        ({"sigma_max": 500.0}, "sigma_max 500.0 is above"),
    ],
)
def test_levels_that_make_no_sense_are_one_sentence(options, said):
    with pytest.raises(ValueError, match=said):
        edm.draw(Exact(), 2, **{"steps": 5} | options)
