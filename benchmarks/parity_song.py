"""Rows of benchmarks/parity.py: the networks of score_sde_pytorch and of ncsnv2."""

import importlib
import re
import sys
import types

import torch
from torch.nn import functional as F

from benchmarks.parity_tools import ABAR, TIMES, images, imported, own, shaken
from given.images.presets import NETWORKS
from given.images.published import from_public
from given.levels import log_snr_of


def score_sde(folder, name, module, **options):
    """A network of score_sde_pytorch, ours with its weights, and both outputs."""
    sys.modules["op"] = types.SimpleNamespace(upfirdn2d=upfirdn2d)  # theirs is compiled for a GPU
    with imported(folder / "score_sde_pytorch", "models", "configs", "op"):
        config = importlib.import_module(f"configs.{module}").get_config()
        config.device = torch.device("cpu")
        models = importlib.import_module(
            "models." + ("ddpm" if config.model.name == "ddpm" else "ncsnpp")
        )
        theirs = shaken((models.DDPM if config.model.name == "ddpm" else models.NCSNpp)(config))
        size = config.data.image_size
        ours = own(
            name="UNet",
            image_resolution=size,
            group_ch=4,
            published=True,
            **NETWORKS[name] | options,
        )
        weights = {k: v for k, v in theirs.state_dict().items() if k != "sigmas"}
        ours.load_state_dict(from_public(ours, weights, "score_sde", False))
        x0, sigma = images(size), ((1 - ABAR) / ABAR).sqrt()[TIMES]
        if ours.predicts == "ve":  # theirs are images in [0, 1], with half the sigma
            a = ABAR[TIMES].sqrt()[:, None, None, None]
            score = theirs((x0 + 1) / 2, sigma / 2)
            out = ours.at_log_snr(x0 * a, log_snr_of(sigma))
            return theirs, ours, -score * sigma[:, None, None, None] / 2, out
        x = x0 if config.data.centered else (x0 + 1) / 2
        return theirs, ours, theirs(x, TIMES), ours(x0, TIMES)


def ncsnv2(folder, size, name):
    """NCSNv2 of a resolution; theirs are images in [0, 1], with half the sigma."""
    import yaml

    with imported(folder / "ncsnv2", "models"):
        import models.ncsnv2 as public

        text = (folder / "ncsnv2" / "configs" / f"{name}.yml").read_text()
        config = yaml.safe_load(text)
        config = types.SimpleNamespace(**{k: types.SimpleNamespace(**v) for k, v in config.items()})
        config.device = "cpu"
        class_ = {32: public.NCSNv2, 128: public.NCSNv2Deeper, 256: public.NCSNv2Deepest}[size]
        theirs = shaken(class_(config))
        ours = own(name="NCSNv2", image_resolution=size, predicts="ve", time_features="none")
        ours.load_state_dict(ours.state_dict() | renamed_ncsnv2(theirs.state_dict()))
        y, x0 = torch.tensor([1, 100, 200]), images(size)
        sigma = 2 * theirs.sigmas[y]
        a = (1 / (1 + sigma**2)).sqrt()[:, None, None, None]
        torch.set_default_dtype(torch.float64)  # theirs makes its sums of that type
        score = theirs((x0 + 1) / 2, y)
        torch.set_default_dtype(torch.float32)
        return (
            theirs,
            ours,
            -score * sigma[:, None, None, None] / 2,
            -ours.at_log_snr(x0 * a, log_snr_of(sigma)),
        )


def renamed_ncsnv2(weights):
    """Theirs are called by the number of a stage, of which 31 comes after 3, and then before it."""
    weights = {k: v for k, v in weights.items() if k != "sigmas"}
    known = {name.split(".")[0] for name in weights}
    downs = [k for k in ("res1", "res2", "res3", "res31", "res4", "res5") if k in known]
    ups = [f"refine{k}" for k in (1, 2, 31, 3, 4, 5) if f"refine{k}" in known]
    stages = {old: f"down.{k}" for k, old in enumerate(downs)}
    stages |= {old: f"up.{k}" for k, old in enumerate(ups)}
    inside = {
        "begin_conv": "head",
        "end_conv": "tail",
        "normalizer": "norm",
        "normalize": "norm",
        "adapt_convs": "adapt",
        "output_convs": "end",
        "msf.convs": "fuse",
        "crp": "pool",
        "shortcut.conv": "shortcut",
    }
    out = {}
    for name, value in weights.items():
        head, rest = name.split(".", 1)
        name = f"{stages.get(head, head)}.{rest}"
        for old, new in inside.items():
            name = name.replace(old, new)
        name = re.sub(r"\.(\d)_(\d)_conv", lambda m: f".{int(m[1]) - 1}.conv{m[2]}", name)
        name = re.sub(r"conv2\.conv\.", "conv2.", name)
        out[name] = value
    return out


def upfirdn2d(x, kernel, up=1, down=1, pad=(0, 0)):
    """Zeros between the pixels, padding, the kernel, every down-th pixel."""
    B, C, H, W = x.shape
    wide = x.new_zeros(B, C, H, up, W, up)
    wide[:, :, :, 0, :, 0] = x
    wide = F.pad(wide.reshape(B * C, 1, H * up, W * up), (*pad, *pad))
    out = F.conv2d(wide, kernel.flip(0, 1)[None, None].to(x))
    return out[:, :, ::down, ::down].unflatten(0, (B, C)).squeeze(2)
