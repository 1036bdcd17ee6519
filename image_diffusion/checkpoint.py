"""Given: checkpoints: tensors and plain data, written whole or not at all.

A checkpoint is a dict with `config` (what rebuilds the model), `network` (the weights to sample
from, the averaged ones where training kept them) and, for going on with training, `training`.

    python -m image_diffusion.checkpoint last.ckpt small.ckpt

writes what sampling needs and no more: the configuration, and the weights in half precision.
"""

import os
import pickle
import sys
from pathlib import Path

import torch

from image_diffusion import network as networks


def save_whole(path, state):
    """Write a checkpoint to a neighbour of `path`, then rename it: no reader meets a half."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        torch.save(state, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_checkpoint(path, device="cpu"):
    """Read a checkpoint; nothing in it is executed.

    Args:
        path: of the file. device: where its tensors go.

    Returns:
        the dict.

    Raises:
        ValueError: no such file, not a checkpoint, or not one of this course.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such checkpoint; train.py writes one.")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} holds objects other than tensors and plain data, and was not loaded; "
            f"use a checkpoint that train.py wrote."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise ValueError(
            f"{path} is no checkpoint, or is cut short; use one that train.py wrote."
        ) from None
    if not isinstance(state, dict) or not {"config", "network"} <= state.keys():
        raise ValueError(f"{path} is not a checkpoint of this course: it has no 'config'.")
    return state


def build_network(config, alphas_cumprod=None):
    """The network that a configuration describes.

    Args:
        config: dict with `name` ("UNet" or "PatchUNet"), `predicts` ("noise" or "v") and the
            arguments of that class.
        alphas_cumprod: (T,) of the schedule, for predicts="v"; a checkpoint brings its own.

    Returns:
        the network, with this configuration as its `config`.
    """
    arguments = {k: v for k, v in config.items() if k not in ("name", "predicts")}
    if config["predicts"] == "v":
        if alphas_cumprod is None:
            alphas_cumprod = torch.full((arguments["T"],), 0.5)
        arguments["alphas_cumprod"] = alphas_cumprod
    network = {"UNet": networks.UNet, "PatchUNet": networks.PatchUNet}[config["name"]](**arguments)
    network.config = dict(config)
    return network


def load_into(network, path):
    """Put a checkpoint's weights into a network of the same architecture.

    Raises:
        ValueError: the weights do not fit; the sentence names the first that does not.
    """
    put_weights(network, read_checkpoint(path)["network"], path)


def put_weights(network, weights, path):
    """Put weights into a network; `path` is named where they do not fit."""
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(w[name].shape) if name in w else "missing" for w in (own, weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{path} is of another architecture: {name} is {shapes[1]} there and "
                f"{shapes[0]} in this network."
            )
    network.load_state_dict(weights)


def load_model(path, scheduler_class, device="cpu", **options):
    """Rebuild the model of a checkpoint.

    Args:
        path: of the checkpoint. scheduler_class: from scheduler.py. device: where the model goes.
        options: further arguments of the scheduler, such as eta or sigma_type.

    Returns:
        a DiffusionModule in evaluation mode, and the configuration.
    """
    from image_diffusion.ddpm import DiffusionModule

    state = read_checkpoint(path)
    config = state["config"]
    try:
        network = build_network(config["network"])
        scheduler = scheduler_class(**config["scheduler"], **options)
    except (KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path} holds no image model of this course; use one that train.py wrote."
        ) from None
    put_weights(network, {k: v.float() for k, v in state["network"].items()}, path)
    model = DiffusionModule(network, scheduler).to(device).eval()
    return model.to(memory_format=torch.channels_last), config


def export(source, target):
    """Write the configuration and the weights, in half precision, to a smaller checkpoint."""
    state = read_checkpoint(source)
    weights = {name: value.half() for name, value in state["network"].items()}
    save_whole(target, {"config": state["config"], "network": weights})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m image_diffusion.checkpoint SOURCE TARGET")
    try:
        export(*sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))
