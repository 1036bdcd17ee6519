"""What bridges between images are trained with: by the size of the images, or as papers did.

`--preset NAME` takes the sets, the network and the numbers of a paper; whatever else is on the
command line changes them. Simplified DSB (Tang et al. 2024, and its code): AFHQ at 64 pixels and as
latents at 256 and 512, CelebA from noise. DSB (De Bortoli et al. 2021, and its code): stacked MNIST
and CelebA from noise with the mean of the data, by the Ornstein-Uhlenbeck reference that keeps it.
The steps of a round and the cache of simplified DSB are ours, and its rate and batch on CelebA.
"""

from typing import Any

from given.bridges.methods import METHODS
from given.images.presets import BATCH, NETWORKS, network_for, size_class

# What a set is trained with, unless the command line says otherwise.
SMALL: dict[str, Any] = {
    "gamma": "linear_0.001_0.02",
    "num_steps": 16,
    "rounds": 3,
    "iters": 1024,
    "batch_size": 32,
    "cache_size": 256,
    "lr": 2e-3,
    "muon_lr": 0.01,
    "ema": 0.997,
    "variance": "bridge",
}
LARGE = SMALL | {
    "gamma": "linear_0.0001_0.01",
    "num_steps": 50,
    "rounds": 10,
    "iters": 8000,
    "lr": 2e-4,
    "muon_lr": 0.0,
    "ema": 0.999,
}
FLOW = {"small": {"rounds": 1, "iters": 1000}, "large": {"rounds": 1, "iters": 100_000}}
PATCH_UNET = {"name": "PatchUNet", "predicts": "noise", "ch": (48, 96), "num_res_blocks": 2}

SDSB = LARGE | {
    "method": "tr",
    "published": True,
    "gamma": "linear_1e-3_1e-2",
    "num_steps": 100,
    "batch_size": 192,
    "cache_size": 768,
    "lr": 1e-5,
    "variance": "reference",
    "network": "adm-sdsb",
}
DSB = LARGE | {
    "method": "dsb",
    "reference": "ou",
    "gamma": "linear_1e-5_0.1",
    "rounds": 20,
    "iters": 5000,
    "batch_size": 128,
    "lr": 1e-4,
    "variance": "reference",
}
PRESETS: dict[str, dict[str, Any]] = {
    "afhq-64": SDSB | {"prior": "afhq-dog-64", "dataset": "afhq-cat-64"},
    "afhq-256": SDSB | {"prior": "afhq-dog-256", "dataset": "afhq-cat-256"},
    "afhq-512": SDSB | {"prior": "afhq-dog-512", "dataset": "afhq-cat-512"},
    "celeba-64": SDSB
    | {
        "prior": "standard",
        "dataset": "celeba-64",
        "gamma": "linear_1e-5_1e-4",
        "network": "uvit-sdsb",
    },
    # theta = sum of the gammas / variance of the prior: the reference keeps that variance.
    "dsb-mnist": DSB
    | {
        "prior": "matched-1",
        "dataset": "stacked_mnist",
        "num_steps": 30,
        "theta": 1.5,
        "cache_size": 1024,
        "network": "dsb28",
    },
    "dsb-celeba": DSB
    | {
        "prior": "matched-0.5",
        "dataset": "celeba-64",
        "num_steps": 50,
        "theta": 5.0,
        "cache_size": 384,
        "network": "dsb64",
    },
}
SDSB_PRESETS = ("afhq-64", "afhq-256", "afhq-512")  # U-Nets, whose published weights we can read
LATENT = ("afhq-256", "afhq-512")  # on what an autoencoder makes of the images
CHOICES = [name for name, net in NETWORKS.items() if net.get("name") != "NCSNv2"]  # has no time


def options_of(preset: str, method: str) -> dict[str, Any]:
    """What `--preset` sets beside the numbers of the training.

    Args:
        preset: of PRESETS.
        method: of the command line. Where it is another one, such as the flow to start from, what
            belongs to the method of the preset is omitted.
    """
    options = {k: v for k, v in PRESETS[preset].items() if k not in SMALL}
    if method != options["method"]:
        for name in ("published", "reference", "theta"):
            options.pop(name, None)
    return options


def numbers_of(preset: str | None, resolution: int, method: str) -> dict[str, Any]:
    """The defaults of a training, the keys of SMALL: of a preset, or by the resolution."""
    size = "small" if resolution <= 28 else "large"
    batch = BATCH[size_class(resolution)]
    numbers = SMALL if size == "small" else LARGE | {"batch_size": batch, "cache_size": 10 * batch}
    if preset:
        numbers = {k: v for k, v in PRESETS[preset].items() if k in SMALL}
    if METHODS[method].predicts == "policy":
        numbers = numbers | {"muon_lr": 0.0}  # its loss comes with an optimizer
    return numbers | (FLOW[size] if method == "flow" else {})


def chosen_network(name: str, resolution: int) -> dict[str, Any]:
    """The network of --network, as one whose output is a velocity."""
    if name == "auto" and resolution <= 28:
        return PATCH_UNET
    net = {"name": "UNet"} | NETWORKS[name] if name in NETWORKS else network_for(resolution)
    dropout = {"dropout": 0.0} if net["name"] == "UNet" else {}
    return net | {"predicts": "noise", "time_features": "positional"} | dropout
