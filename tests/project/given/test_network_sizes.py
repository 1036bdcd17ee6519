"""Networks by resolution: where they attend, what they cost, what is refused, checkpointing."""

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from experiments.images import train
from given.images import cost
from given.images.cost import Saved, check_memory, cost_of
from given.images.data.imageset import ImageSet
from given.images.load import build_network
from given.images.presets import BATCH, BY_RESOLUTION, CIFAR10, network_for
from given.runtime import memory

SHAPE = {"T": 1000, "in_ch": 3, "use_cfg": False, "num_classes": 1}
TINY = {"name": "UNet", "predicts": "noise", "ch": 16, "ch_mult": (1, 2), "attn": (1,)}
TINY |= SHAPE | {"num_res_blocks": 1, "image_resolution": 8}


def test_every_size_attends_at_16_pixels_and_never_above():
    assert BY_RESOLUTION.keys() == BATCH.keys()
    for size, network in BY_RESOLUTION.items():
        pixels = {size >> level for level in network["attn"]}
        assert {14 if size == 28 else 16} <= pixels <= {16, 14, 8}, size
        assert size % 2 ** (len(network["ch_mult"]) - 1) == 0


def test_the_network_for_256_pixels_has_the_parameters_of_its_paper():
    with torch.device("meta"):
        net = build_network(network_for(256) | SHAPE | {"image_resolution": 256})
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(114, abs=0.5)
    assert network_for(32) == {"name": "UNet"} | CIFAR10["ddpm"]


def test_a_size_between_two_takes_the_network_of_the_larger():
    assert network_for(48) == network_for(64) and network_for(8) == network_for(28)
    with pytest.raises(ValueError, match="no network for images of 1025 pixels"):
        network_for(1025)


# --- Checkpointing


def gradients(checkpointing, dropout=0.0):
    """The loss and the gradients of a small network in training mode, and what it saves."""
    torch.manual_seed(0)
    net = build_network(TINY | {"dropout": dropout}).train()
    for p in net.parameters():
        p.data += 0.1 * torch.randn(p.shape)
    net.checkpointing, saved = checkpointing, Saved(net)
    x = torch.randn(2, 3, 8, 8)
    with saved_tensors_hooks(saved.pack, lambda x: x):
        loss = net(x, torch.tensor([3, 700])).square().mean()
    loss.backward()
    return [loss.detach(), *(p.grad for p in net.parameters())], saved.total


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_checkpointing_changes_no_gradient_and_saves_less(dropout):
    (plain, much), (again, little) = gradients(False, dropout), gradients(True, dropout)
    for a, b in zip(plain, again, strict=True):
        assert torch.equal(a, b)
    assert little < 0.6 * much


@pytest.mark.slow
def test_the_estimate_is_what_a_forward_pass_saves():
    found = cost_of(TINY | {"dropout": 0.0})
    _, two_images = gradients(False)
    assert found.saved == pytest.approx(two_images / 2, rel=0.1)  # but for the fused attention
    with torch.device("meta"):
        net = build_network(TINY)
    assert found.parameters == sum(p.numel() for p in net.parameters())
    less = cost_of(TINY | {"dropout": 0.0}, checkpointing=True)
    assert less.saved < found.saved and 1.1 < less.flops / found.flops < 1.5


@pytest.mark.slow
def test_a_network_with_checkpointing_compiles_as_one_graph():
    net = build_network(TINY | {"dropout": 0.1}).train()
    net.checkpointing = True
    net.compile(backend="aot_eager", fullgraph=True, dynamic=False)
    net(torch.randn(2, 3, 8, 8), torch.tensor([3, 700])).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


# --- What does not fit


@pytest.mark.slow
def test_what_does_not_fit_is_one_sentence_with_what_would(monkeypatch):
    monkeypatch.setattr(cost, "memory_of", lambda _: 4 * 2**30)
    config, device = (
        {"network": TINY | {"image_resolution": 64}, "bf16": False},
        torch.device("cpu"),
    )
    check_memory(config, 200, device)
    said = "400 images of 64 pixels a side take about 7 GiB to train on, and cpu has 4; use a"
    with pytest.raises(ValueError, match=f"{said} --batch_size of 2[0-9]+ a process, --checkpoint"):
        check_memory(config, 400, device)
    check_memory(config | {"bf16": True}, 400, device)
    check_memory(config | {"checkpointing": True}, 400, device)
    monkeypatch.setattr(cost, "memory_of", lambda _: None)
    check_memory(config, 10**9, device)


def test_the_memory_of_a_container_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "memory.max")
    whole = memory.memory_of(torch.device("cpu"))
    (tmp_path / "memory.max").write_text("1000000\n")
    assert memory.memory_of(torch.device("cpu")) == 1_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.memory_of(torch.device("cpu")) == whole


# --- train.py


def config_of(size, *words, dataset="celeba"):
    images = ImageSet("made_up", "train", np.zeros((1, size, size, 3), np.uint8), [0], ("a",), True)
    args = train.parse(["--dataset", dataset, "--device", "cpu", *words])
    return train.make_config(args, images, torch.device("cpu"))


def test_train_takes_network_and_batch_by_the_resolution():
    for size in (32, 64, 96, 256):
        config, known = config_of(size), min(k for k in BY_RESOLUTION if k >= size)
        assert config["network"]["ch_mult"] == BY_RESOLUTION[known]["ch_mult"]
        assert config["batch_size"] == BATCH[known] and config["architecture"] == "auto"
    assert config_of(64, "--network", "ddpm")["network"]["attn"] == CIFAR10["ddpm"]["attn"]
    assert config_of(64, "--batch_size", "7")["batch_size"] == 7
    small = config_of(28, dataset="fashion")
    assert small["network"]["name"] == "PatchUNet" and small["batch_size"] == 32
    assert config_of(28, "--network", "unet", dataset="fashion")["network"]["name"] == "UNet"


def test_checkpointing_is_refused_where_there_is_none():
    args = train.parse(["--checkpointing", "--device", "cpu"])
    with pytest.raises(ValueError, match="for U-Nets and U-ViT, not for PatchUNet"):
        train.check_options(args)


def test_a_run_goes_on_with_checkpointing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "show", lambda *_: None)
    monkeypatch.setitem(BY_RESOLUTION, 28, BY_RESOLUTION[28] | {"ch": 16, "num_res_blocks": 1})
    words = ["--network", "unet", "--resolution", "8", "--device", "cpu", "--batch_size", "2"]
    words += ["--save_dir", str(tmp_path), "--steps", "1", "--threads", "1"]
    train.main(words)
    assert train.main([*words, "--checkpointing", "--resume"])
    assert "goes on with --checkpointing" in capsys.readouterr().out
