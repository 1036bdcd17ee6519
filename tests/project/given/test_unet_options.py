"""The options of the U-Net: what the papers count, what each option changes, what stays."""

import hashlib
import math

import numpy as np
import pytest
import torch
from scipy.signal import upfirdn
from torch.nn import functional as F

from experiments.images.export import export
from given.images.data.sources import ASSETS
from given.images.layers import (
    Attention,
    Downsample,
    FourierEmbedding,
    Resample,
    ResBlock,
    Upsample,
    join,
)
from given.images.load import build_network
from given.images.patch_unet import PatchUNet
from given.images.presets import CIFAR10
from given.images.unet import UNet
from given.runtime.checkpoint import load_weights, read_checkpoint, save_whole

ABAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))  # the linear schedule of DDPM


def small(seed=0, **options):
    """A U-Net of two levels whose last layers are not zero."""
    torch.manual_seed(seed)
    shape = {"image_resolution": 8, "in_ch": 2, "ch": 16, "ch_mult": (1, 2), "num_res_blocks": 1}
    net = UNet(**shape | {"alphas_cumprod": torch.from_numpy(ABAR), "predicts": "noise"} | options)
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return net.eval()


def names(net):
    return set(net.state_dict())


# Parameter counts, by hand from the papers' description: a second way to the same number.
def conv(i, o, k=3):
    return i * o * k * k + o


def residual(i, o, shortcut=None):
    return 2 * i + conv(i, o) + 512 * o + o + 2 * o + conv(o, o) + (i != o) * conv(i, o, 1)


def attention(c):
    return 2 * c + 4 * (c * c + c)


def count_ddpm(n, plusplus=False, ncsn=False):
    """Parameters at 32 x 32: levels of 128, 256, 256, 256 channels, attention at the second."""
    widths, now, skips = [128, 256, 256, 256], 128, [128]
    total = conv(3, 128) + ((256 if ncsn else 128) * 512 + 512) + (512 * 512 + 512)

    def resample(c):
        return residual(c, c) + conv(c, c, 1) if plusplus else conv(c, c)

    for level, out in enumerate(widths):
        for _ in range(n):
            total += residual(now, out) + (level == 1) * attention(out)
            now = out
            skips.append(now)
        if level < 3:
            total += resample(now) + (conv(3 if level == 0 else widths[level - 1], now) * ncsn)
            skips.append(now)
    total += 2 * residual(256, 256) + attention(256)
    for level in (3, 2, 1, 0):
        for k in range(n + 1):
            total += residual(now + skips.pop(), widths[level])
            now = widths[level]
            total += (level == 1 and (k == n or not plusplus)) * attention(now)
        total += resample(now) if level else 0
    return total + 2 * 128 + conv(128, 3)


@pytest.mark.parametrize(
    ("name", "want", "published"),
    [
        ("ddpm", count_ddpm(2), 35.7),  # Ho et al. 2020, appendix B
        ("ddpm++", count_ddpm(4, True), 62),  # Xu et al. 2022, table 1
        ("ddpm++deep", count_ddpm(8, True), 107),
        ("ncsn++", count_ddpm(4, True, True), 63),
        ("ncsn++deep", count_ddpm(8, True, True), 107.6),  # Dockhorn et al. 2022, table 2
    ],
)
def test_presets_have_the_parameters_of_the_papers(name, want, published):
    with torch.device("meta"):
        net = UNet(image_resolution=32, alphas_cumprod=torch.from_numpy(ABAR), **CIFAR10[name])
    count = sum(p.numel() for p in net.parameters())
    assert count == want
    assert count / 1e6 == pytest.approx(published, abs=0.7 if published == 107 else 0.3)
    assert name != "ddpm" or count == 35_746_307


def signature(net):
    text = "\n".join(f"{k} {tuple(v.shape)}" for k, v in net.state_dict().items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_without_options_the_parameters_keep_their_names_and_shapes():
    assert signature(UNet(image_resolution=16, ch=32)) == "6caeaf0211744e32"
    abar = torch.from_numpy(ABAR)
    net = UNet(image_resolution=16, ch=32, use_cfg=True, alphas_cumprod=abar)
    assert net.predicts == "v" and signature(net) == "ed50db926ab7733e"


def test_the_shipped_checkpoint_gives_the_numbers_that_it_always_gave():
    state = read_checkpoint(ASSETS / "fashion_ddpm.ckpt")
    net = build_network(state["config"]["network"]).eval()
    load_weights(net, {k: v.float() for k, v in state["network"].items()}, "shipped")
    x = torch.cos(torch.arange(3 * 784.0)).reshape(3, 1, 28, 28)
    out = net(x, torch.tensor([0.0, 499.5, 999.0]), torch.tensor([0, 1, 2]))
    want = [2.960784, -0.275895, -1.734576, 0.085676, 1.410582, -0.130395, -0.991191, 0.154123]
    torch.testing.assert_close(out.flatten()[::300], torch.tensor(want), rtol=0, atol=2e-4)


def filtered(x, up, down):
    """upfirdn along both axes of (B, C, H, W), aligned as a resampling by 2."""
    for axis in (2, 3):
        gain = np.array([1.0, 3, 3, 1]) / 8 * up
        x = upfirdn(gain, x, up=up, axis=axis)
        cut = slice(2, None, 2) if down == 2 else slice(1, -1) if up == 2 else slice(None)
        x = np.take(x, np.arange(x.shape[axis])[cut], axis=axis)
    return x


def test_fir_resampling_is_that_of_scipy():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 10))
    down = Resample("down", fir=True)(torch.from_numpy(x))
    np.testing.assert_allclose(down, filtered(x, 1, 2)[:, :, :3, :5], atol=1e-14)
    up = Resample("up", fir=True)(torch.from_numpy(x))
    assert up.shape == (2, 3, 12, 20)
    np.testing.assert_allclose(up, filtered(x, 2, 1), atol=1e-14)


def test_fir_convolutions_filter_first():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 10).double()
    down = Downsample(8, 16, fir=True).double()
    blurred = torch.from_numpy(filtered(x.numpy(), 1, 1)[:, :, 1:-1, 1:-1])  # (2, 8, 7, 11)
    want = F.conv2d(blurred, down.conv.weight, down.conv.bias, stride=2)
    assert down(x).shape == (2, 16, 3, 5)
    torch.testing.assert_close(down(x), want)
    up = Upsample(8, fir=True).double()
    torch.testing.assert_close(up(x), up.conv(torch.from_numpy(filtered(x.numpy(), 2, 1))))


@pytest.mark.parametrize("fir", [False, True])
@pytest.mark.parametrize("way", ["down", "up"])
def test_resampling_keeps_constants_and_means(way, fir):
    resample = Resample(way, fir)
    inner = resample(torch.full((1, 2, 8, 8), 3.0))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.full_like(inner, 3.0))
    island = torch.zeros(1, 2, 8, 8)
    island[:, :, 2:-2, 2:-2] = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(resample(island).mean(), island.mean(), rtol=0, atol=1e-7)


def test_a_rescaled_sum_keeps_the_variance_that_a_plain_one_doubles():
    x, h = torch.randn(2, 200_000)
    assert join(x, h, True).var().item() == pytest.approx(1, abs=0.02)
    assert join(x, h).var().item() == pytest.approx(2, abs=0.04)
    torch.manual_seed(0)
    x, emb = torch.randn(3, 16, 4, 4), torch.randn(3, 8)
    for make, given in ((ResBlock, (16, 16, 8)), (Attention, (16,))):
        plain, rescaled = make(*given).eval(), make(*given, rescale=True).eval()
        for parameter in plain.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        rescaled.load_state_dict(plain.state_dict())
        arguments = (x, emb)[: 1 + (make is ResBlock)]
        want = plain(*arguments) / math.sqrt(2)
        torch.testing.assert_close(rescaled(*arguments), want)


def test_a_block_of_biggan_resamples_both_of_its_ways():
    torch.manual_seed(0)
    block = ResBlock(16, 16, 8, resample=Resample("down")).eval()
    x, emb = torch.randn(3, 16, 4, 4), torch.randn(3, 8)
    torch.testing.assert_close(block(x, emb), block.shortcut(F.avg_pool2d(x, 2)))  # conv2 is zero
    torch.nn.init.normal_(block.conv2.weight)
    torch.nn.init.zeros_(block.shortcut.weight)
    h = block.conv1(F.avg_pool2d(F.silu(block.norm1(x)), 2))
    h = block.norm2(h + block.condition(F.silu(emb))[:, :, None, None])
    want = block.conv2(F.silu(h)) + block.shortcut.bias[:, None, None]
    torch.testing.assert_close(block(x, emb), want)


def test_each_option_changes_what_it_says():
    plain, biggan = small(), small(biggan=True)
    assert "down.0.resample.conv.weight" in names(plain) - names(biggan)
    for part in ("down.0.resample", "up.0.resample"):
        assert f"{part}.shortcut.weight" in names(biggan) - names(plain)
    pyramid = small(input_pyramid=True)
    assert names(pyramid) - names(plain) == {"pyramid.0.conv.weight", "pyramid.0.conv.bias"}
    last = small(attn_up_last=True)
    lost = names(plain) - names(last)
    assert lost and all(name.startswith("up.0.blocks.0.attention") for name in lost)
    x, t = torch.randn(3, 2, 8, 8), torch.tensor([0.0, 400.5, 999.0])
    for option in ("fir", "skip_rescale"):
        other = small(**{option: True})
        assert names(other) == names(plain)
        other.load_state_dict(plain.state_dict())
        assert not torch.allclose(other(x, t), plain(x, t), atol=1e-3)


def test_the_pyramid_reaches_the_lower_resolution():
    net = small(input_pyramid=True)
    seen = []
    net.down[1].blocks[0].register_forward_hook(lambda _, given, __: seen.append(given[0]))
    x = torch.randn(3, 2, 8, 8)
    net(x, 7)
    net.pyramid[0].conv.weight.data.zero_()
    net.pyramid[0].conv.bias.data.fill_(2.0)
    net(x, 7)
    kept = small(input_pyramid=True)
    assert torch.allclose(seen[0] - seen[1], kept.pyramid[0](x) - 2, atol=1e-5)


def test_without_time_features_the_level_is_in_the_input_alone():
    net = small(predicts="ve", time_features="none")
    assert not any("time_embedding" in name for name in names(net))
    x_sigma, t = torch.randn(1, 2, 8, 8), torch.tensor([10.0, 500.0, 900.0])
    a = torch.from_numpy(ABAR)[t.long()].sqrt().float().reshape(-1, 1, 1, 1)
    out = net(x_sigma * a, t)
    torch.testing.assert_close(out, net.trunk(x_sigma, torch.zeros(1, 64)).expand_as(out))


def test_fourier_features_are_of_log_sigma():
    net = small(predicts="ve", time_features="fourier")
    t = torch.tensor([0.0, 400.0, 999.0])
    abar = ABAR[t.long().numpy()]
    log_sigma = torch.from_numpy(0.5 * np.log((1 - abar) / abar))
    angle = log_sigma[:, None] * net.time_embedding.frequencies.double()
    features = torch.cat([angle.sin(), angle.cos()], 1).float()
    got = net._condition(torch.zeros(3, 2, 8, 8), net.log_snr_at(t), None)
    torch.testing.assert_close(got, net.time_embedding.layers(features), rtol=0, atol=2e-3)
    frequencies = FourierEmbedding(1000, 8).frequencies
    assert frequencies.std().item() / (2 * math.pi) == pytest.approx(16, rel=0.1)


def test_edm_is_the_preconditioning_of_the_paper():
    net = small(predicts="edm")
    inside = []
    net.trunk = lambda x, emb: inside.append(x) or torch.sin(3 * x) + emb.mean()
    x0, noise, t = torch.randn(4, 2, 8, 8), torch.randn(4, 2, 8, 8), [0, 30, 500, 999]
    x0, noise = x0.double().numpy(), noise.double().numpy()
    abar = ABAR[t].reshape(-1, 1, 1, 1)
    sigma, sd = np.sqrt((1 - abar) / abar), 0.5
    x_sigma = x0 + sigma * noise
    x_t = torch.from_numpy(np.sqrt(abar) * x_sigma).float()
    out = net(x_t, torch.tensor(t)).detach().numpy()
    c_in = 1 / np.sqrt(sigma**2 + sd**2)
    np.testing.assert_allclose(inside[0], c_in * x_sigma, rtol=1e-5, atol=1e-6)
    c_noise = torch.from_numpy(np.log(sigma) / 4).reshape(-1).float()
    F_x = np.sin(3 * c_in * x_sigma) + net.time_embedding(c_noise).mean().item()
    D = sd**2 / (sigma**2 + sd**2) * x_sigma + sigma * sd / np.sqrt(sigma**2 + sd**2) * F_x
    np.testing.assert_allclose(out, (x_sigma - D) / sigma, rtol=1e-3, atol=1e-4)


def test_the_denoiser_of_edm_leaves_a_clean_image_alone():
    abar = torch.logspace(-9, -1e-9, 1000, dtype=torch.float64).flip(0)
    net = small(predicts="edm", alphas_cumprod=abar)
    x0 = torch.randn(3, 2, 8, 8)
    sigma = ((1 - abar[0]) / abar[0]).sqrt().float()
    D = x0 - sigma * net(x0 * abar[0].sqrt().float(), 0)
    assert sigma < 1e-4 and (D - x0).abs().max() < 1e-3
    noise = torch.randn_like(x0)  # at the other end c_skip is 0, and D is sigma_data F
    s = (1 - abar[-1]).sqrt().float()
    seen = []
    net.register_forward_hook(lambda _, given, out: seen.append(out))
    assert (net(s * noise, 999) - noise).abs().max() < 1e-2 * (1 + seen[0].abs().max())


def test_noise_and_v_agree_with_their_definitions():
    abar = torch.from_numpy(ABAR)
    x, t = torch.randn(3, 2, 8, 8), torch.tensor([3, 400, 990])
    net = small(predicts="v")
    a, s = (k[t].sqrt().float().reshape(-1, 1, 1, 1) for k in (abar, 1 - abar))
    emb = net.time_embedding(t)
    torch.testing.assert_close(net(x, t), a * net.trunk(x, emb) + s * x, rtol=1e-4, atol=1e-5)
    net = small(predicts="noise")
    torch.testing.assert_close(net(x, t), net.trunk(x, net.time_embedding(t)))


@pytest.mark.parametrize("name", CIFAR10)
def test_every_preset_trains_between_timesteps_and_with_classes(name):
    net = small(
        **CIFAR10[name] | {"ch": 16, "ch_mult": (1, 2, 2), "num_res_blocks": 1}, use_cfg=True
    )
    out = net(torch.randn(3, 2, 8, 8), torch.tensor([0.5, 400.2, 999.0]), torch.tensor([0, 1, 3]))
    assert out.shape == (3, 2, 8, 8) and out.isfinite().all()
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_a_small_checkpoint_keeps_the_noise_levels_whole(tmp_path):
    abar = torch.from_numpy(ABAR)
    config = {"name": "PatchUNet", "T": 1000, "ch": (16, 16), "image_resolution": 8}
    config |= {"predicts": "edm", "time_features": "fourier"}
    net = build_network(config, abar)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    save_whole(tmp_path / "whole", {"config": {"network": config}, "network": net.state_dict()})
    export(tmp_path / "whole", tmp_path / "half")
    again = build_network(config)
    weights = read_checkpoint(tmp_path / "half")["network"]
    load_weights(again, {k: v.float() for k, v in weights.items()}, "half")
    assert torch.equal(again.log_snr, net.log_snr)
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(again(x, 500.5), net(x, 500.5), rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (UNet, {"image_resolution": 28}, "a resolution that 8 divides, not 28; use 24 or 32"),
        (PatchUNet, {"image_resolution": 30}, "a resolution that 4 divides, not 30; use 28 or 32"),
        (PatchUNet, {"image_resolution": 3}, "a resolution that 4 divides, not 3; use 4"),
        (UNet, {"predicts": "x0"}, "Unknown predicts 'x0'"),
        (PatchUNet, {"time_features": "sines"}, "Unknown time_features 'sines'"),
        (PatchUNet, {"predicts": "edm"}, "give the schedule's alphas_cumprod"),
        (UNet, {"predicts": "noise", "time_features": "fourier"}, "depends on abar"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(make, options, said):
    with pytest.raises(ValueError, match=said):
        make(**options)
