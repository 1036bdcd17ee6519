"""Bridges between images as papers trained them: presets, priors, starts, published weights."""

import argparse
import sys
import types

import numpy as np
import pytest
import torch

from experiments.bridges import image_presets, image_report, image_samples, image_sets, images
from experiments.bridges import latents as latents_module
from experiments.bridges.image_presets import PRESETS
from experiments.images import import_weights
from given.images.load import build_network
from given.images.published_names import keys
from given.runtime.checkpoint import read_checkpoint, save_whole
from given.runtime.training import TrainingRun
from sde_todo.bridge import gamma_schedule

REPORT = (image_report.Judge, image_report.write_results)
CPU = torch.device("cpu")
LAST = "results/bridge/small/last.ckpt"
SMALL = ["--device", "cpu", "--num_steps", "4", "--batch_size", "4", "--cache_size", "4"]
SMALL += ["--iters", "4", "--rounds", "1", "--num_samples", "5", "--exp_name", "small"]
SMALL += ["--resolution", "8"]


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """An empty folder, and runs that are neither judged nor shown."""
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(TrainingRun, "log_every", 4)
    monkeypatch.setattr(image_report, "Judge", lambda *_: lambda run: {})
    monkeypatch.setattr(image_report, "write_results", lambda *_: None)


def config_of(*words, size=8, channels=1, fill=0):
    """The configuration of a command line, on sets of one gray level."""
    args = images.parse(["--device", "cpu", *words])
    end = (np.full((4, size, size, channels), fill, np.uint8), True)
    prior = None if image_sets.is_noise(args.prior) else end
    return images.configure(args, {"forward": prior, "backward": end}, CPU)


# --- Presets


@pytest.mark.parametrize(
    ("name", "size", "steps", "gamma", "lr", "batch"),
    [
        pytest.param(*("afhq-64", 64, 100, "linear_1e-3_1e-2", 1e-5, 192), marks=pytest.mark.slow),
        ("celeba-64", 64, 100, "linear_1e-5_1e-4", 1e-5, 192),
        ("dsb-mnist", 28, 30, "linear_1e-5_0.1", 1e-4, 128),
        ("dsb-celeba", 64, 50, "linear_1e-5_0.1", 1e-4, 128),
    ],
)
def test_a_preset_has_the_numbers_of_its_paper(name, size, steps, gamma, lr, batch):
    config = config_of("--preset", name, size=size, channels=3, fill=100)
    found = [config[k] for k in ("num_steps", "gamma", "lr", "batch_size", "variance")]
    assert found == [steps, gamma, lr, batch, "reference"]
    assert (config["prior"], config["dataset"]) == tuple(
        PRESETS[name][k] for k in ("prior", "dataset")
    )
    assert config["published"] == (config["method"] == "tr")
    with torch.device("meta"):
        network = build_network(config["network"]).to("meta")
        x = torch.zeros(1, 3, size, size)
        assert network(x, 0).shape == x.shape


@pytest.mark.parametrize(
    ("words", "size", "rate"),
    [
        ("", 16, 0.01),
        ("--method flow --lr 4e-3", 16, 0.02),
        ("--method sb-fbsde-alt", 16, 0.0),
        ("", 64, 0.0),
    ],
)
def test_small_networks_train_by_muon_whose_rate_follows_that_of_adam(words, size, rate):
    config = config_of(*words.split(), size=size)
    assert config["muon_lr"] == pytest.approx(rate)


@pytest.mark.parametrize("name", ["dsb-mnist", "dsb-celeba"])
def test_the_reference_of_a_dsb_preset_keeps_the_variance_of_its_prior(name):
    config = config_of("--preset", name, size=28 if "mnist" in name else 64, channels=3)
    sigma2 = 2 * gamma_schedule(config["gamma"], config["num_steps"]).sum().item()
    assert sigma2 / (2 * config["theta"]) == pytest.approx(config["prior_std"] ** 2, rel=1e-3)
    assert abs(config["iters"] - 5000) < 200  # whole passes over the cache


@pytest.mark.parametrize(
    ("words", "method", "reference"),
    [
        ([], "dsbm", "flow"),  # pairs of images: the networks begin right at both ends
        (["--reference", "brownian"], "dsbm", "brownian"),
        (["--method", "tr"], "tr", "brownian"),
        (["--preset", "celeba-64"], "tr", "brownian"),
        (["--preset", "dsb-mnist"], "dsb", "ou"),
    ],
)
def test_dsbm_between_images_starts_from_pairs_of_them(words, method, reference):
    config = config_of(*words, size=64 if "celeba-64" in words else 28)
    assert (config["method"], config["reference"]) == (method, reference)


def test_the_command_line_changes_a_preset():
    words = ("--preset", "afhq-64", "--num_steps", "50", "--prior", "photos", "--network", "auto")
    config = config_of(*words, size=64, channels=3)
    assert (config["num_steps"], config["prior"], config["lr"]) == (50, "photos", 1e-5)
    assert config["network"]["ch"] == 128
    flow = config_of("--preset", "dsb-mnist", "--method", "flow", size=28)
    assert (flow["method"], flow["reference"], flow["rounds"]) == ("flow", "brownian", 1)


# --- Noise with the mean and the variance of the data


def test_matched_noise_has_the_mean_and_the_variance_of_the_data():
    pixels = np.random.default_rng(0).integers(60, 130, (500, 8, 8, 3), dtype=np.uint8)
    x = image_sets.data.to_tensor(pixels)
    found = image_sets.moments_of_noise("matched", pixels)
    draw = image_sets.NoiseSource((3, 8, 8), CPU, *found.values())
    z = draw(20, 20, slice(0, 20), torch.Generator().manual_seed(0))
    assert z.mean().item() == pytest.approx(x.mean().item(), abs=5e-3)
    assert z.var().item() == pytest.approx(x.var().item(), rel=0.02)
    assert image_sets.moments_of_noise("matched-0.5", pixels)["prior_std"] == 0.5**0.5
    assert image_sets.moments_of_noise("standard", pixels) == {}


@pytest.mark.parametrize("name", ["matched-", "matched-x", "matched-0", "matched--1"])
def test_a_variance_that_is_none_is_one_sentence(name):
    with pytest.raises(ValueError, match=f"--prior {name}: write matched, or a variance"):
        image_sets.moments_of_noise(name, np.zeros((4, 2, 2, 1), np.uint8))


@pytest.mark.slow
def test_matched_noise_starts_training_judging_and_sampling_alike():
    images.main([*SMALL, "--prior", "matched-0.25"])
    path = images.Path(LAST)
    config = read_checkpoint(path)["config"]
    args = argparse.Namespace(num_samples=400, input=None, seed=0)
    noise = (config["prior_mean"], config["prior_std"])
    flat = np.zeros((4, 8, 8, 1), np.uint8)
    first = image_report.first_batches({"f": None, "b": flat}, 400, CPU, noise)["f"]
    for x in (image_samples.starts(args, config, "forward"), first):
        assert x.std().item() == pytest.approx(0.5, rel=0.05)
        assert x.mean().item() == pytest.approx(config["prior_mean"], abs=0.02)
    images.main(["--sample", LAST, "--device", "cpu", "--num_samples", "2"])
    assert len(list(path.parent.glob("from_prior/*.png"))) == 2


# --- What a bridge starts from


@pytest.mark.slow
@pytest.mark.parametrize("network", ["uvit-sdsb", "ddpm"])
def test_a_bridge_takes_the_network_of_the_flow_or_diffusion_that_it_starts_from(
    network, monkeypatch
):
    tiny = {
        "uvit-sdsb": {"name": "UViT", "width": 16, "depth": 2, "heads": 2, "patch": 4},
        "ddpm": {"ch": 16, "ch_mult": (1, 2), "attn": (), "num_res_blocks": 1},
    }[network]
    monkeypatch.setitem(image_presets.NETWORKS, network, tiny)
    other = {"ch": 32, "ch_mult": (1,), "attn": (), "num_res_blocks": 1}
    monkeypatch.setitem(image_presets.NETWORKS, "adm64", other)
    images.main([*SMALL[:4], *SMALL[4:6], *SMALL[8:], "--method", "flow", "--network", network])
    flow = read_checkpoint(LAST)
    start = ["--init_from", "flow.ckpt", "--exp_name", "on"]
    save_whole("flow.ckpt", flow)
    images.main([*SMALL, *start])
    config = read_checkpoint("results/bridge/on/last.ckpt")["config"]
    assert config["network"] == flow["config"]["network"]
    with pytest.raises(ValueError, match=r"flow\.ckpt is of another architecture"):
        images.main([*SMALL, *start, "--network", "adm64", "--exp_name", "off"])
    net = flow["config"]["network"] | {"predicts": "v", "use_cfg": True, "num_classes": 2}
    torch.manual_seed(1)
    weights = build_network(net, torch.linspace(0.99, 0.01, 1000)).state_dict()
    schedule = {"num_train_timesteps": 1000, "mode": "linear"}
    save_whole("d.ckpt", {"config": {"network": net, "scheduler": schedule}, "network": weights})
    start = ["--init_from", "d.ckpt", "--prior", "standard", "--exp_name", "noise"]
    images.main([*SMALL, *start])
    images.Path("d.ckpt").rename("gone.ckpt")
    words = ["--device", "cpu", "--num_samples", "2"]
    images.main(["--sample", "results/bridge/noise/last.ckpt", *words])
    start[1] = "gone.ckpt"
    with pytest.raises(ValueError, match=r"gone\.ckpt brings its network; use --network auto"):
        images.main([*SMALL, *start, "--network", "adm64"])
    with pytest.raises(ValueError, match="1 x 8 x 8 numbers; it can start a bridge with --prior"):
        images.main([*SMALL, *start, "--dataset", "fashion_colour"])


# --- A bridge of public code


@pytest.fixture
def public(monkeypatch):
    """A file as simplified DSB writes one, and the networks it holds, by our direction."""
    tiny = {"ch": 16, "ch_mult": (1, 2), "attn": (1,), "num_res_blocks": 1, "head_ch": 16}
    adm = image_presets.NETWORKS["adm-sdsb"] | tiny
    monkeypatch.setitem(image_presets.NETWORKS, "adm-sdsb", adm)
    small = {"prior": "afhq-dog-8", "dataset": "afhq-cat-8", "num_steps": 10}
    monkeypatch.setitem(PRESETS, "afhq-64", PRESETS["afhq-64"] | small)
    config = images.published_config("afhq-64")["network"]
    nets, state, order = {}, {"forward_optimizer": {"step": 3}}, [0, 2]  # rows (heads, c, 3)
    for name, prefix in (("forward", "network."), ("backward", "network.module.")):
        torch.manual_seed(len(nets))
        net = nets[name] = build_network(config).eval()
        for weight in net.parameters():
            weight.data.add_(0.05 * torch.randn_like(weight))
        own, theirs = net.state_dict(), {"timestep_map": torch.arange(100)}
        for ours, (their_name,) in keys(net, "sdsb"):
            value = own[ours]
            if ".qkv." in ours:
                value = value.unflatten(0, (3, -1, 16)).movedim(*order).flatten(0, 2)
            theirs[prefix + their_name] = value
        first = f"{prefix}map_layer0.weight"
        theirs[first] = theirs[first].roll(theirs[first].shape[1] // 2, 1)  # cosines first
        state[f"{name}_model"] = theirs
    torch.save(state, "public.pth")
    return nets


@torch.no_grad()
def test_a_bridge_of_public_code_walks_as_it_does_there(public, monkeypatch):
    """x_{t+1} = ((N - t - 1) x + end) / (N - t) + sqrt(2 gamma_t) z, and no noise at the end."""
    import_weights.main(["public.pth", "b.ckpt", "--format", "sdsb", "--bridge", "afhq-64"])
    run = image_samples.load_bridge(images.Path("b.ckpt"), CPU)
    x0 = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    up = torch.linspace(1e-3, 1e-2, 5, dtype=torch.float64)
    gammas = torch.cat([up, up.flip(0)])
    for name, net in public.items():
        x, generator = x0, torch.Generator().manual_seed(6)
        for t, gamma in enumerate(gammas.tolist()):
            end = net(x, t)
            x = ((9 - t) * x + end) / (10 - t)
            z = torch.randn(x.shape, generator=generator)
            x = x + (2 * gamma) ** 0.5 * z * (t < 9)
        found = run.carry(name, x0, torch.Generator().manual_seed(6))[-1]
        torch.testing.assert_close(found, x, rtol=1e-3, atol=1e-3)
    flat = (np.zeros((3, 8, 8, 3), np.uint8), True)
    monkeypatch.setattr(image_samples, "open_set", lambda *_: flat)
    images.main(["--sample", "b.ckpt", "--device", "cpu", "--num_samples", "1", "--save_dir", "s"])
    assert images.Path("s/00000.png").is_file()


def test_what_is_no_bridge_of_public_code_is_one_sentence(public):
    words = ["--format", "sdsb", "--bridge", "afhq-64"]
    torch.save({"model": {}}, "flow.pth")
    with pytest.raises(ValueError, match=r"flow\.pth has no forward_model and backward_model"):
        import_weights.main(["flow.pth", "b.ckpt", *words])
    with pytest.raises(ValueError, match="--bridge goes with --format sdsb"):
        import_weights.main(["public.pth", "b.ckpt", *words, "--network", "adm64"])
    state = torch.load("public.pth", weights_only=True)
    del state["backward_model"]["network.module.out_conv.bias"]
    torch.save(state, "cut.pth")
    with pytest.raises(ValueError, match=r"cut\.pth cannot be used .* out_conv\.bias is missing"):
        import_weights.main(["cut.pth", "b.ckpt", *words])


# --- Between the latents of an autoencoder


class Halving(torch.nn.Module):
    """In place of AutoencoderKL: 2 x 2 means of the colours, and their mean; counts its images."""

    config = types.SimpleNamespace(scaling_factor=0.5, shift_factor=0.25)

    def __init__(self):
        super().__init__()
        self.encoded = 0

    @classmethod
    def from_pretrained(cls, folder, use_safetensors, local_files_only):
        assert use_safetensors and local_files_only
        return cls()

    def encode(self, x):
        self.encoded += len(x)
        small = torch.nn.functional.avg_pool2d(x, 2)
        z = torch.cat([small, small.mean(1, keepdim=True)], 1)
        return types.SimpleNamespace(latent_dist=types.SimpleNamespace(mode=lambda: z))

    def decode(self, z):
        x = z[:, :3].repeat_interleave(2, 2).repeat_interleave(2, 3)
        return types.SimpleNamespace(sample=x)


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """The folder of an autoencoder."""
    monkeypatch.setitem(sys.modules, "diffusers", types.SimpleNamespace(AutoencoderKL=Halving))
    monkeypatch.setattr(latents_module, "DATA_ROOT", tmp_path)
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text("{}")
    return tmp_path / "vae"


COLOUR = ["--prior", "fashion_colour:boot", "--dataset", "fashion_colour:bag"]


def test_latents_are_computed_once_and_scaled(encoder):
    pixels = np.random.default_rng(0).integers(0, 256, (19, 8, 8, 3), dtype=np.uint8)
    coder = latents_module.Autoencoder(encoder, CPU)
    z = coder.latents(pixels)
    count = coder.net.encoded
    assert z.shape == (19, 4, 4, 4) and np.array_equal(z, coder.latents(pixels))
    assert coder.net.encoded == count >= 19
    x = image_sets.data.to_tensor(pixels)
    means = torch.nn.functional.avg_pool2d(x, 2)
    found = image_sets.as_tensor(z)
    torch.testing.assert_close(found[:, :3], 0.5 * (means - 0.25))
    torch.testing.assert_close(coder.decode(found[None])[0, :, :, ::2, ::2], means)
    assert not np.array_equal(coder.latents(255 - pixels), z)


@pytest.mark.slow
def test_a_bridge_between_latents_is_trained_and_carries_images(encoder, tmp_path):
    images.main([*SMALL, *COLOUR, "--encoder", str(encoder)])
    config = read_checkpoint(LAST)["config"]
    assert (config["resolution"], config["pixels"], config["network"]["in_ch"]) == (4, 8, 4)
    words = ["--sample", LAST, "--device", "cpu", "--num_samples", "3", "--save_dir", "out.npz"]
    images.main(words)
    with np.load("out.npz", allow_pickle=False) as arrays:
        assert arrays["images"].shape == arrays["starts"].shape == (3, 8, 8, 3)
        real, _ = image_sets.open_set("fashion_colour:boot", "test", 8, images.data.DATA_ROOT)
        blocks = np.asarray(real[:3], float).reshape(3, 4, 2, 4, 2, 3).mean((2, 4))
        assert np.abs(arrays["starts"][:, ::2, ::2] - blocks).max() <= 0.51
    encoder.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"vae: give a folder with the config\.json of diffusers"):
        images.main([*words, "--overwrite"])
    images.main([*words, "--overwrite", "--encoder", "moved"])


@pytest.mark.slow
def test_a_bridge_between_latents_is_judged_and_shown_as_images(encoder, tmp_path, monkeypatch):
    judge, show = REPORT
    monkeypatch.setattr(image_report, "Judge", lambda *args: judge(*args, limit=20))
    monkeypatch.setattr(image_report, "write_results", show)
    for prior in ("fashion_colour:boot", "matched"):
        words = ["--encoder", str(encoder), "--prior", prior, "--overwrite"]
        images.main([*SMALL, *COLOUR, *words])
        with np.load(tmp_path / "results/bridge/small/samples.npz") as arrays:
            assert all(arrays[name].shape == (5, 8, 8, 3) for name in arrays)


def test_what_latents_cannot_do_is_one_sentence(encoder):
    for words, said in (
        (["--encoder", "none", *COLOUR], "--encoder none: give a folder with the config"),
        (["--encoder", str(encoder)], "--encoder codes RGB images; these have 1 channels"),
    ):
        with pytest.raises(ValueError, match=said):
            images.main([*SMALL, *words])
    with pytest.raises(ValueError, match="--preset afhq-256 is for latents: name an autoencoder"):
        config_of("--preset", "afhq-256", size=32, channels=3)
    config = images.published_config("afhq-512")
    assert (config["resolution"], config["pixels"], config["network"]["in_ch"]) == (64, 512, 4)
    with pytest.raises(ValueError, match="carries latents: name their autoencoder by --encoder"):
        latents_module.open_autoencoder(config, None, CPU)
    with pytest.raises(ValueError, match="this bridge carries pixels; leave it away"):
        latents_module.open_autoencoder({}, encoder, CPU)
