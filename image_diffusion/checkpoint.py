"""Given: the checkpoints of image models (what one holds: sde_todo/checkpoint.py).

    python -m image_diffusion.checkpoint last.ckpt small.ckpt

writes what sampling needs and no more: the configuration, and the weights in half precision.
"""

import sys

import torch

from image_diffusion import network as networks
from sde_todo.checkpoint import put_weights, read_checkpoint, save_whole


def build_network(config, alphas_cumprod=None):
    """The network that a configuration describes.

    Args:
        config: dict with `name` ("UNet" or "PatchUNet"), `predicts` (see network.py) and the
            arguments of that class.
        alphas_cumprod: (T,) of the schedule; a checkpoint brings its own where it needs one.

    Returns:
        the network, with this configuration as its `config`.
    """
    arguments = {k: v for k, v in config.items() if k != "name"}
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
    """Write the configuration and the weights, in half precision, to a smaller checkpoint.

    log_snr stays whole: Fourier features multiply its rounding error by 100.
    """
    state = read_checkpoint(source)
    weights = {k: v if k == "log_snr" else v.half() for k, v in state["network"].items()}
    save_whole(target, {"config": state["config"], "network": weights})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m image_diffusion.checkpoint SOURCE TARGET")
    try:
        export(*sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))
