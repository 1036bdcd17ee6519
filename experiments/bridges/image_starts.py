"""The networks that a bridge between images begins with: new ones, a flow's, or a diffusion's."""

from argparse import Namespace
from collections.abc import Mapping

import torch
from torch import nn

from experiments.bridges.image_presets import chosen_network
from experiments.bridges.sides import OTHER
from given.bridges.image_network import VelocityFromEnd, VelocityFromNoise, VelocityUNet
from given.images.load import build_network, check_config, levels_of
from given.images.logit import refuse_logits
from given.images.unet import check_resolution
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint
from sde_todo.bridge import gamma_schedule, reference_chain, reverse_chain


def build_networks(config: dict) -> Mapping[str, nn.Module]:
    """The velocity networks of both directions, from one start where there is one."""
    nets = started_networks(config)
    for each in nets.values():
        each.net.checkpointing = config["checkpointing"]
    return nets


def started_networks(config: dict) -> Mapping[str, nn.Module]:
    """Those of `build_networks`, as they are begun with."""
    torch.manual_seed(config["seed"])
    nets = {n: velocity(config, mirrored=n == "backward") for n in OTHER}
    path = config["init_from"]
    if path:
        weights = read_checkpoint(path)["network"]
        for net in nets.values():
            if "scheduler" in config:
                load_weights(net.net, weights, path)
            else:
                load_weights(net, weights.get("forward"), path)
    return nets


def velocity(config: dict, mirrored: bool) -> VelocityUNet | VelocityFromNoise | VelocityFromEnd:
    """The network of a direction: its output is a velocity, the noise, or the end of the chain."""
    from image_diffusion.scheduler import DDIMScheduler

    if config.get("gives") == "end":
        gammas = gamma_schedule(config["gamma"], config["num_steps"])
        chain = reference_chain(gammas, config["theta"])
        chain = reverse_chain(chain) if mirrored else chain
        return VelocityFromEnd(config["network"], chain.s[:-1])
    if "scheduler" not in config:
        return VelocityUNet(config["network"], mirrored)
    abar = DDIMScheduler(**config["scheduler"]).alphas_cumprod
    return VelocityFromNoise(build_network(config["network"], abar), mirrored)


def networks_config(args: Namespace, H: int, C: int) -> dict:
    """`network` of a bridge's configuration, and `scheduler` where it tells the noise.

    Args:
        args: of `experiments.bridges.images.parse`.
        H: pixels a side.
        C: channels.

    Raises:
        ValueError: --init_from or --network that does not fit.
    """
    shape = {"T": 1000, "image_resolution": H, "in_ch": C, "use_cfg": False, "num_classes": 1}
    start: dict = read_checkpoint(args.init_from) if args.init_from else {"config": {}}
    if "scheduler" in start["config"]:
        return diffusion_config(start, args, H, C)
    begun = start["config"]
    if begun and (begun.get("method") != "flow" or "resolution" not in begun):
        raise ValueError(
            f"{args.init_from} is neither a flow between images nor a diffusion model."
        )
    net = chosen_network(args.network, H)
    if args.network == "auto" and "network" in begun:
        net = begun["network"]
    check_resolution(H, levels_of(net))
    return {"network": net | shape}


def diffusion_config(start: dict, args: Namespace, H: int, C: int) -> dict:
    """The configuration of a diffusion model, as `networks_config` gives it."""
    path, config = args.init_from, start["config"]
    with blamed_on(path):
        check_config(config, start["network"])
    refuse_logits(config, path, "a bridge")
    net = config["network"]
    size, channels = net["image_resolution"], net["in_ch"]
    if args.prior != "standard" or (size, channels) != (H, C):
        raise ValueError(
            f"{path} turns noise into {channels} x {size} x {size} numbers; it can start a bridge "
            f"with --prior standard and --resolution {size} only, between sets of such images."
        )
    if args.network != "auto":
        raise ValueError(f"{path} brings its network; use --network auto, not {args.network}.")
    return {"network": net, "scheduler": config["scheduler"]}
