"""Muon: against the singular value decomposition, and against torch's own."""

import pytest
import torch

from experiments.images import train
from experiments.images.train_config import make_config
from given.images.data.imageset import load_dataset
from given.images.load import build_network
from given.images.presets import NETWORKS
from given.runtime.muon import Muon, hidden_kernels, make_optimizers, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 16, 16)])
def test_a_matrix_keeps_its_directions_and_all_get_about_one_length(shape):
    torch.manual_seed(0)
    M = torch.randn(shape, dtype=torch.float64)
    U, S, Vh = torch.linalg.svd(M, full_matrices=False)
    lengths = U.mT @ orthogonal(M) @ Vh.mT
    known = S / S.norm(dim=1, keepdim=True) > 0.02  # smaller ones are still on their way to 1
    diagonal = lengths.diagonal(dim1=1, dim2=2)[known]
    assert (diagonal > 0.65).all() and (diagonal < 1.25).all()
    assert (lengths - torch.diag_embed(lengths.diagonal(dim1=1, dim2=2))).abs().max() < 1e-8


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it from 2.9 on")
def test_steps_are_those_of_torch():
    torch.manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(24, 6, dtype=torch.float64))
    theirs = torch.nn.Parameter(ours.detach().clone())
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.2}
    pairs = [(ours, Muon([ours], **options)), (theirs, torch.optim.Muon([theirs], **options))]
    first = ours.detach().clone()
    for seed in range(3):
        gradient = torch.randn(24, 6, generator=torch.Generator().manual_seed(seed))
        for weight, optimizer in pairs:
            weight.grad = gradient.double()
            optimizer.step()
    moved = (theirs - first).norm()
    assert (ours - theirs).norm() < 0.02 * moved, "torch rounds to bfloat16 on the way"


def test_kernels_of_a_shape_move_as_each_would_alone():
    torch.manual_seed(0)
    together = [torch.nn.Parameter(torch.randn(4, 3, 2, 2)) for _ in range(3)]
    alone = [torch.nn.Parameter(weight.detach().clone()) for weight in together]
    for a, b in zip(together, alone, strict=True):
        a.grad = torch.randn_like(a)
        b.grad = a.grad.clone()
    Muon(together, 0.1).step()
    for weight in alone:
        Muon([weight], 0.1).step()
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b)


def test_a_kernel_without_a_gradient_stays():
    still, moved = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    moved.grad = torch.eye(2)
    Muon([still, moved], 0.1).step()
    assert (still == 1).all() and (moved != 1).any()


@pytest.mark.parametrize(
    "words, rate", [("", 0.01), ("--lr 4e-3", 0.02), ("--muon_lr 0", 0.0), ("--muon_lr .1", 0.1)]
)
def test_its_rate_follows_that_of_adam_unless_it_is_given(words, rate):
    clothes = load_dataset("fashion", "test")
    config = make_config(train.parse(words.split()), clothes, torch.device("cpu"))
    assert config["muon_lr"] == pytest.approx(rate)
    optimizers = make_optimizers(build_network(config["network"]), config, torch.device("cpu"))
    assert len(optimizers) == 1 + (rate > 0)


@pytest.mark.parametrize(
    "name, first", [("ddpm", "head"), ("uvit-s", "patches"), ("ncsnv2", "head")]
)
def test_the_first_and_the_last_convolution_are_left_to_another_optimizer(name, first):
    with torch.device("meta"):
        network = build_network({"name": "UNet", "T": 10, "image_resolution": 32} | NETWORKS[name])
    ids = {id(kernel) for kernel in hidden_kernels(network)}
    four = [name for name, weight in network.named_parameters() if weight.ndim == 4]
    out = [name for name in four if id(network.get_parameter(name)) not in ids]
    assert out == [f"{first}.weight", "tail.weight"] and len(ids) == len(four) - 2


def test_a_network_without_hidden_convolutions_has_adam_alone():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    config = {"lr": 1e-3, "muon_lr": 0.01}
    (adam,) = make_optimizers(network, config, torch.device("cpu"))
    assert isinstance(adam, torch.optim.AdamW)
