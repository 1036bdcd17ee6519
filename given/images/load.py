"""The checkpoints of image models (what one holds: given/runtime/checkpoint.py)."""

import re
from typing import Any

import torch
from torch import Tensor, nn

from given.images.ncsnv2 import NCSNv2
from given.images.patch_unet import PatchUNet
from given.images.unet import UNet
from given.images.uvit import UViT

NETWORKS = {"UNet": UNet, "PatchUNet": PatchUNet, "UViT": UViT, "NCSNv2": NCSNv2}
LARGEST = 10_000  # pixels a side, timesteps, channels or classes


def build_network(config: dict[str, Any], alphas_cumprod: Tensor | None = None) -> nn.Module:
    """The network that a configuration describes.

    Args:
        config: dict with `name` (of NETWORKS), `predicts` (see noise_predictor.py), the arguments
            of that class, and perhaps `logit`: whether its images are logits (see logit.py).
        alphas_cumprod: (T,) of the schedule; a checkpoint brings its own where it needs one.

    Returns:
        the network, with this configuration as its `config`.
    """
    arguments = {k: v for k, v in config.items() if k not in ("name", "logit")}
    if alphas_cumprod is None:
        alphas_cumprod = torch.full((arguments["T"],), 0.5)
    arguments["alphas_cumprod"] = alphas_cumprod
    network = NETWORKS[config["name"]](**arguments)
    network.config = dict(config)
    network.logit = bool(config.get("logit", False))
    return network


def levels_of(config: dict[str, Any]) -> int:
    """The resolutions at which the network of a configuration works, each half the one before."""
    return {"PatchUNet": 3, "UNet": len(config.get("ch_mult", ()))}.get(config["name"], 1)


def check_config(config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Raise an error unless a configuration is one of this course; name its classes if it does not.

    The network is tried without memory: numbers of a file can ask for any amount.
    """
    if "scheduler" not in config or "network" not in config:
        raise ValueError("it holds no image model")
    network = config["network"]
    for name in network.keys() & {"T", "image_resolution", "in_ch", "num_classes"}:
        if type(network[name]) is not int or not 1 <= network[name] <= LARGEST:
            raise ValueError(f"{name} {network[name]}")
    check_schedule(config["scheduler"])
    if network.get("num_res_blocks", 0) > len(weights):
        raise ValueError(f"{network['num_res_blocks']} blocks")
    with torch.device("meta"):
        net = build_network(network).to("meta")
        net(torch.zeros(1, net.in_ch, net.image_resolution, net.image_resolution), 0)
    names = config.setdefault("classes", [str(k + 1) for k in range(net.num_classes)])
    if len(names) != net.num_classes or any(re.search(r"[/\\\0]|^\.*$", each) for each in names):
        raise ValueError(f"classes {names}")


def check_schedule(schedule: dict[str, Any]) -> None:
    """Raise an error unless these can be the arguments of a schedule, of a size that fits."""
    T, known = schedule["num_train_timesteps"], {"num_train_timesteps", "beta_1", "beta_T", "mode"}
    if type(T) is not int or not 1 <= T <= LARGEST or not schedule.keys() <= known:
        raise ValueError(f"schedule {schedule}")
