"""Bits per dimension of image models, against Gaussian pixels whose density is known."""

import math

import numpy as np
import pytest
import torch

from tests.project.reference.gaussian_images import SPREAD, gaussian_model


def true_bits(x, spread):
    """Bits per dimension of dequantised pixels x (B, ...) from N(0, spread^2 I)."""
    logp = -(x**2) / (2 * spread**2) - 0.5 * math.log(2 * math.pi * spread**2)
    return -(logp.flatten(1).mean(1) - math.log(127.5)) / math.log(2)


def levels(B, size=4, seed=0):
    """uint8 images of Gaussian pixels (B, size, size, 3)."""
    x = SPREAD * torch.randn(B, size, size, 3, generator=torch.Generator().manual_seed(seed))
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("noise", ["rademacher", "gaussian"])
@pytest.mark.parametrize("process", ["VPSDE", "SubVPSDE"])
def test_both_likelihoods_are_those_of_the_gaussian(process, noise, monkeypatch):
    from experiments.images import bits_per_dim
    from sde_todo import likelihood as formulas
    from sde_todo import sde

    torch.manual_seed(0)
    seen, dequantise = [], formulas.dequantise
    monkeypatch.setattr(formulas, "dequantise", lambda x: seen.append(dequantise(x)) or seen[-1])
    process = getattr(sde, process)()
    bits = bits_per_dim.bits_of_images(gaussian_model(), process, levels(60), None, 60, 1e-5, noise)
    truth = true_bits(seen[0], SPREAD).numpy()
    # The Jacobian is a multiple of I: random signs are exact, normal numbers have an error.
    mean, error = bits_per_dim.mean_and_error(bits["ODE"] - truth)
    assert abs(mean) < 4 * error + 5e-4 and error < (1e-3 if noise == "rademacher" else 0.2)
    mean, error = bits_per_dim.mean_and_error(bits["ELBO"] - truth)
    assert abs(mean) < 4 * error + 2e-3 and error < 0.1


def test_the_command_prints_means_errors_and_differences(capsys):
    from experiments.images import bits_per_dim

    words = ["--num_samples", "2", "--batch_size", "2", "--slices", "2", "--tol", ".05"]
    bits = bits_per_dim.main(words)
    out = capsys.readouterr().out
    assert set(bits) == {(a, b) for a in ("ODE", "ELBO") for b in ("rademacher", "gaussian")}
    assert out.count("bits/dim") == 4 and out.count("ELBO - ODE") == 2
    assert all(np.isfinite(values).all() and values.shape == (2,) for values in bits.values())


@pytest.mark.parametrize("words", [["--num_samples", "1"], ["--num_samples", "9999"]])
def test_bad_numbers_are_one_sentence(words):
    from experiments.images import bits_per_dim

    with pytest.raises(ValueError, match="--num_samples"):
        bits_per_dim.main(words)


def test_likelihoods_are_computed_in_float32_throughout(monkeypatch):
    """Truth: at every evaluation of the network no autocast, no TF32, weights and input float32."""
    from experiments.images import bits_per_dim
    from given.images.patch_unet import PatchUNet

    seen, trunk = [], PatchUNet.trunk

    def watched(self, x, emb):
        mixed = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
        tf32 = torch.backends.cudnn.allow_tf32 or torch.get_float32_matmul_precision() != "highest"
        if not x.is_meta:  # where only the shapes of a checkpoint are tried
            seen.append((mixed, tf32, x.dtype, self.head.weight.dtype))
        return trunk(self, x, emb)

    monkeypatch.setattr(PatchUNet, "trunk", watched)
    torch.set_float32_matmul_precision("high")  # as every command on CUDA does
    try:
        words = ["--num_samples", "2", "--batch_size", "2", "--slices", "1", "--tol", "1"]
        bits_per_dim.main(words)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(seen) == {(False, False, torch.float32, torch.float32)}
