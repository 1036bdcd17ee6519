"""Weights of public code: their names, what is turned, what is refused; and the larger networks.

That the outputs agree with the public code itself is measured by benchmarks/parity.py.
"""

import json
import pickle
import sys

import pytest
import torch

from experiments.images import export, import_weights
from given.images.load import build_network
from given.images.presets import CIFAR10, NETWORKS
from given.images.published import from_public
from given.images.published_names import NAMES, keys, layers
from given.runtime.checkpoint import read_checkpoint, save_whole

SMALL = {
    "name": "UNet",
    "T": 1000,
    "image_resolution": 16,
    "in_ch": 3,
    "ch": 32,
    "ch_mult": (1, 2),
    "attn": (1,),
    "num_res_blocks": 1,
    "dropout": 0.0,
    "group_ch": 1,
    "predicts": "noise",
    "use_cfg": False,
    "num_classes": 1,
}
ABAR = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
SCHEDULE = {"num_train_timesteps": 1000, "mode": "linear"}
ADM = {"biggan": True, "scale_shift": True, "head_ch": 16, "norm_eps": 1e-5}
PYRAMIDS = {"biggan": True, "input_pyramid": "skip", "output_pyramid": True, "attn_up_last": True}


def build(**options):
    """A small U-Net with random weights everywhere."""
    torch.manual_seed(0)
    network = build_network(SMALL | options, ABAR).eval()
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network


def saved(path, **options):
    """A checkpoint of `build`, and its network."""
    network = build(**options)
    config = {"network": SMALL | options, "scheduler": SCHEDULE}
    save_whole(path, {"config": config, "network": network.state_dict()})
    return network


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("diffusers", {}),
        ("score_sde", {"published": True}),
        ("score_sde", PYRAMIDS | {"published": True, "fir": True}),
        ("guided_diffusion", {}),
        ("guided_diffusion", ADM),
        ("sdsb", ADM),
    ],
)
def test_every_weight_has_one_name_in_a_format(form, options):
    network = build(**options)
    pairs = list(keys(network, form))
    names = [each for _, theirs in pairs for each in theirs]
    assert len(set(names)) == len(names)
    own = {name for name, _ in network.named_parameters()}
    assert {ours for ours, _ in pairs} == own


@pytest.mark.parametrize(
    ("form", "options", "known"),
    [
        ("diffusers", {}, "up_blocks.0.attentions.1.to_out.0.weight"),
        ("diffusers", {}, "down_blocks.0.downsamplers.0.conv.bias"),
        ("score_sde", {"published": True}, "all_modules.4.Conv_0.weight"),
        ("guided_diffusion", {}, "input_blocks.2.0.op.weight"),
        ("guided_diffusion", ADM, "output_blocks.1.2.in_layers.0.weight"),
        ("sdsb", ADM, "dec.8x8_in0.qkv.weight"),
        ("sdsb", ADM, "enc.8x8_down.affine.bias"),
    ],
)
def test_the_names_are_those_of_the_public_code(form, options, known):
    assert known in [each for _, theirs in keys(build(**options), form) for each in theirs]


@pytest.mark.parametrize(
    "options", [{}, {"published": True}, ADM | {"biggan": False}, {"predicts": "v"}]
)
def test_a_checkpoint_comes_back_from_diffusers_as_it_was(tmp_path, options):
    network = saved(tmp_path / "a.ckpt", **options)
    export.main([str(tmp_path / "a.ckpt"), str(tmp_path / "d"), "--format", "diffusers"])
    import_weights.main([str(tmp_path / "d"), str(tmp_path / "b.ckpt"), "--format", "diffusers"])
    state = read_checkpoint(tmp_path / "b.ckpt")
    config, weights = state["config"], state["network"]
    assert config["scheduler"]["mode"] == "linear"
    again = build_network(config["network"], ABAR).eval()
    again.load_state_dict(weights)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(network(x, t), again(x, t))


def test_weights_of_classes_leave_a_row_for_none():
    network, labels = build(use_cfg=True, num_classes=4), torch.randn(4, 128)
    theirs = {each: value for each, value in of_theirs(network, "guided_diffusion")}
    found = from_public(network, theirs | {"label_emb.weight": labels}, "guided_diffusion", True)
    embedding = found["class_embedding.weight"]
    assert torch.equal(embedding[1:], labels)
    assert not embedding[0].any()


def of_theirs(network, form):
    """Each name of a format that is one tensor of ours, with random numbers of its shape."""
    own = network.state_dict()
    for ours, names in keys(network, form):
        for name, part in zip(names, own[ours].chunk(len(names)), strict=True):
            yield name, torch.randn_like(part)


@pytest.mark.parametrize(("form", "order"), [("guided_diffusion", (0, 1)), ("sdsb", (0, 2))])
def test_queries_of_all_heads_come_first(form, order):
    """Of 4 heads of 16 channels, theirs numbers rows by head first, ours by query, key, value."""
    network = build(**ADM)
    theirs = dict(of_theirs(network, form))
    name = "middle_block.1.qkv" if form == "guided_diffusion" else "dec.8x8_in0.qkv"
    shape = (4, 3, 16) if form == "guided_diffusion" else (4, 16, 3)
    theirs[f"{name}.bias"] = torch.arange(192.0)
    found = from_public(network, theirs, form, True)["middle.0.attention.qkv.bias"]
    rows = torch.arange(192.0).reshape(shape).movedim(order[1] or 1, 0)
    assert torch.equal(found, rows.flatten())


def test_the_variance_of_a_public_model_is_left_out():
    network = build()
    theirs = dict(of_theirs(network, "guided_diffusion"))
    for end in ("weight", "bias"):
        theirs[f"out.2.{end}"] = torch.cat([theirs[f"out.2.{end}"]] * 2)
    found = from_public(network, theirs, "guided_diffusion", True)
    assert torch.equal(found["tail.bias"], theirs["out.2.bias"][:3])


def test_a_ve_network_of_song_sees_half_the_sigma_and_gives_the_noise():
    options = CIFAR10["ncsn++"] | {k: SMALL[k] for k in ("ch", "ch_mult", "attn", "dropout")}
    network = build(**options | {"num_res_blocks": 1, "group_ch": 4, "published": True})
    theirs = dict(of_theirs(network, "score_sde"))
    theirs["all_modules.0.W"] = 16 * torch.randn(32)
    found = from_public(network, theirs, "score_sde", False)
    assert torch.equal(found["tail.bias"], -theirs[f"all_modules.{last_of(network)}.bias"])
    log_sigma = torch.tensor([1.3], dtype=torch.float64)
    features = []
    for w, level in (
        (theirs["all_modules.0.W"], log_sigma - torch.tensor(2.0).double().log()),
        (found["time_embedding.frequencies"] / (2 * torch.pi), log_sigma),
    ):
        angle = 2 * torch.pi * w.double() * level
        features.append(torch.cat([angle.sin(), angle.cos()]))
    before = theirs["all_modules.1.weight"].double() @ features[0]
    after = found["time_embedding.layers.0.weight"].double() @ features[1]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def last_of(network):
    """The number of the last layer of score_sde's list."""
    return len(list(layers(network)))


@pytest.mark.parametrize("form", NAMES)
def test_what_is_missing_or_left_over_is_one_sentence(form):
    network = build(**ADM if form == "sdsb" else {})
    theirs = dict(of_theirs(network, form))
    with pytest.raises(ValueError, match=r"extra has no place in this network; choose another"):
        from_public(network, theirs | {"extra": torch.zeros(1)}, form, False)
    lost = next(reversed(theirs))
    with pytest.raises(ValueError, match="is missing; choose the --network and --resolution"):
        from_public(network, {k: v for k, v in theirs.items() if k != lost}, form, False)
    theirs[lost] = torch.zeros(7, 5)
    with pytest.raises(ValueError, match=r"is \(7, 5\), where tail.bias is \(3,\)"):
        from_public(network, theirs, form, False)


@pytest.mark.slow
def test_a_checkpoint_of_song_gives_its_averaged_weights(tmp_path, capsys):
    options = {k: v for k, v in NETWORKS["ddpm"].items() if k != "attn"}
    network = build(
        **options
        | {"ch": 128, "group_ch": 4, "published": True, "image_resolution": 32, "attn": (1,)}
    )
    named = dict(of_theirs(network, "score_sde"))
    shadow = [torch.full_like(v, 0.5) for v in named.values()]
    model = {f"module.{k}": v for k, v in named.items()} | {"module.sigmas": torch.ones(10)}
    ema = {"decay": 0.999, "num_updates": 3, "shadow_params": shadow}
    torch.save({"model": model, "ema": ema, "step": 3, "optimizer": {}}, tmp_path / "song.pth")
    import_weights.main(
        [
            str(tmp_path / "song.pth"),
            str(tmp_path / "ours.ckpt"),
            "--format",
            "score_sde",
            "--network",
            "ddpm",
        ]
    )
    weights = read_checkpoint(tmp_path / "ours.ckpt")["network"]
    assert all((weights[k] == 0.5).all() for k, _ in network.named_parameters())
    assert "35.7 M parameters" in capsys.readouterr().out


class Malice:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("name", ["evil.pth", "evil.safetensors"])
def test_a_file_that_executes_code_is_refused_in_a_sentence(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(pickle.dumps({"model": Malice()}))
    torch.save({"model": Malice()}, tmp_path / "evil.pth")
    arguments = [str(tmp_path / name), str(tmp_path / "x.ckpt"), "--format", "guided_diffusion"]
    with pytest.raises(ValueError, match=r"not loaded; use a file of tensors|cannot be used"):
        import_weights.main([*arguments, "--network", "adm64", "--resolution", "64"])
    assert "executed" not in capsys.readouterr().out
    assert not (tmp_path / "x.ckpt").exists()


def test_a_package_that_is_not_there_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    saved(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="pip install safetensors"):
        export.main([str(tmp_path / "a.ckpt"), str(tmp_path / "d"), "--format", "diffusers"])
    with pytest.raises(ValueError, match="pip install safetensors"):
        import_weights.read_weights(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"act_fn": "gelu"}, "act_fn is 'gelu'; only 'silu' can be imported"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "not those of DDPM's U-Net"),
        ({"freq_shift": 1}, "downsample_padding 1 with freq_shift 1"),
    ],
)
def test_a_model_of_diffusers_that_ours_is_not_is_refused(tmp_path, changed, sentence):
    saved(tmp_path / "a.ckpt")
    export.main([str(tmp_path / "a.ckpt"), str(tmp_path / "d"), "--format", "diffusers"])
    path = tmp_path / "d" / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ValueError, match=sentence):
        import_weights.main([str(tmp_path / "d"), str(tmp_path / "b"), "--format", "diffusers"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ADM, "this is UNet, predicts noise biggan"),
        ({"group_ch": 8, "ch": 64}, r"has \[8, 16\]"),
        ({"predicts": "edm"}, "predicts edm"),
    ],
)
def test_a_network_that_diffusers_does_not_have_is_not_exported(tmp_path, options, sentence):
    saved(tmp_path / "a.ckpt", **options)
    with pytest.raises(ValueError, match=sentence):
        export.main([str(tmp_path / "a.ckpt"), str(tmp_path / "d"), "--format", "diffusers"])
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("name", "resolution", "millions"),
    [
        pytest.param("ncsn++256", 256, 65.6, marks=pytest.mark.slow),
        ("adm64", 64, 295.9),
        ("adm256", 256, 553.8),
        ("uvit-s", 32, 44.3),
        ("uvit-m", 64, 130.9),
        ("ncsnv2", 32, 29.7),
    ],
)
def test_the_larger_networks_are_as_large_as_the_papers_say(name, resolution, millions):
    classes = name in ("adm64", "adm256", "uvit-m")
    config = {"name": "UNet", "T": 1000, "image_resolution": resolution} | NETWORKS[name]
    with torch.device("meta"):
        network = build_network(config | {"use_cfg": classes, "num_classes": 1000})
    count = sum(p.numel() for p in network.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "UViT", "patch": 3}, "Patches of 3 x 3 pixels do not fill 16 x 16"),
        ({"name": "NCSNv2", "use_cfg": True}, "sees neither a class nor the noise level"),
        ({"name": "NCSNv2", "image_resolution": 15}, "use a resolution that 2 divides"),
    ],
)
def test_what_a_network_cannot_be_is_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build_network({"T": 10, "image_resolution": 16} | options)


@pytest.mark.parametrize("name", ["UViT", "NCSNv2"])
def test_every_parameter_of_a_network_learns(name):
    shape = {"width": 32, "depth": 2, "heads": 2, "use_cfg": True}
    config = {"name": name, "T": 10, "image_resolution": 16} | (
        shape if name == "UViT" else {"ch": 8}
    )
    network = build_network(config, torch.linspace(0.9, 0.1, 10)).train()
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([1, 8])
    network(x, t).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_checkpointing_of_a_transformer_changes_no_gradient():
    shape = {"width": 32, "depth": 2, "heads": 2, "image_resolution": 16, "T": 10}
    network = build_network({"name": "UViT"} | shape, torch.linspace(0.9, 0.1, 10))
    found, x, t = [], torch.randn(2, 3, 16, 16), torch.tensor([1, 8])
    for network.checkpointing in (False, True):
        network.zero_grad()
        network(x, t).square().mean().backward()
        found.append(network.middle.qkv.weight.grad.clone())
    assert torch.equal(*found)
