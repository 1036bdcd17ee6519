"""The networks that a bridge between images begins with: new ones, a flow's, or a diffusion's."""

from collections.abc import Mapping

import torch
from torch import nn

from experiments.bridges.sides import OTHER
from given.bridges.image_network import VelocityFromNoise, VelocityUNet
from given.images.load import build_network, check_config
from given.images.logit import refuse_logits
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint


def build_networks(config: dict) -> Mapping[str, nn.Module]:
    """The velocity networks of both directions, from one start where there is one."""
    nets = started_networks(config)
    for each in nets.values():
        each.net.checkpointing = config["checkpointing"]
    return nets


def started_networks(config: dict) -> Mapping[str, nn.Module]:
    """Those of `build_networks`, as they are begun with."""
    torch.manual_seed(config["seed"])
    path, mirrored = config["init_from"], {"forward": False, "backward": True}
    if not path:
        return {n: VelocityUNet(config["network"], mirrored=m) for n, m in mirrored.items()}
    start = read_checkpoint(path)
    if "scheduler" in start["config"]:
        return diffusion_networks(start, config, path)
    if start["config"].get("method") != "flow" or "resolution" not in start["config"]:
        raise ValueError(f"{path} is neither a flow between images nor a diffusion model.")
    nets = {n: VelocityUNet(config["network"], mirrored=m) for n, m in mirrored.items()}
    for net in nets.values():
        load_weights(net, start["network"].get("forward"), path)
    return nets


def diffusion_networks(start: dict, config: dict, path: str) -> Mapping[str, nn.Module]:
    """Velocities of a diffusion model's checkpoint, from noise to its images."""
    from image_diffusion.scheduler import DDIMScheduler

    with blamed_on(path):
        check_config(start["config"], start["network"])
    refuse_logits(start["config"], path, "a bridge")
    size = start["config"]["network"]["image_resolution"]
    if config["prior"] != "standard" or size != config["resolution"]:
        raise ValueError(
            f"{path} turns noise into images of {size} x {size} pixels; it can start a bridge "
            f"with --prior standard and --resolution {size} only."
        )
    abar = DDIMScheduler(**start["config"]["scheduler"]).alphas_cumprod
    nets = {}
    for name in OTHER:
        network = build_network(start["config"]["network"], abar)
        load_weights(network, start["network"], path)
        nets[name] = VelocityFromNoise(network, mirrored=name == "backward")
    return nets
