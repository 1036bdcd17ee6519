"""What an image model is trained with: a preset a set, changed by the command line.

A run keeps its configuration in its checkpoint and goes on with it; only what belongs to the
machine, bf16 and torch.compile, is decided again.
"""

import argparse
from typing import Any

import torch

from given.images.data import imageset as data
from given.images.load import build_network
from given.images.objectives import CONTINUOUS, OBJECTIVES
from given.images.presets import BATCH, NETWORKS, network_for, size_class
from given.runtime.machine import can_compile, has_bf16

# What each set is trained with, unless the command line says otherwise. A set without a network of
# its own has the one for its resolution, and the number of images a step that goes with it.
SMALL: dict[str, Any] = {
    "network": {"name": "PatchUNet", "predicts": "v", "ch": (48, 96), "num_res_blocks": 2},
    "mode": "cosine",
    "times": "lognormal",
    "batch_size": 32,
    "steps": 12_000,
    "lr": 2e-3,
    "muon_lr": 0.01,
    "decay": True,
    "ema": 0.997,
    "warmup": 100,
    "weight_decay": 0.01,
    "use_cfg": True,
    "cfg_dropout": 0.4,  # at a tenth, images without a class are learned too seldom
}
DDPM = {
    "mode": "linear",
    "times": "uniform",
    "steps": 800_000,
    "lr": 2e-4,
    "muon_lr": 0.0,
    "decay": False,
    "ema": 0.9999,
    "warmup": 5000,
    "weight_decay": 0.0,
    "use_cfg": False,
    "cfg_dropout": 0.1,
}
FACES = DDPM | {"steps": 100_000, "warmup": 200, "ema": 0.999}
COLOUR = SMALL | {
    "network": SMALL["network"] | {"ch": (64, 128)},
    "steps": 5500,
    "use_cfg": False,
}
PRESETS = {
    "fashion": SMALL,
    "fashion_colour": COLOUR,
    "stacked_mnist": COLOUR,
    "fashion_full": SMALL,
    "mnist": SMALL,
    "cifar10": DDPM,
}
PRESETS |= {"afhq": FACES, "celeba": FACES, "folder": FACES}
OF_NETWORK = ("network", "mode", "use_cfg", "cfg_dropout")  # kept there in a configuration
# auto: of the set, or else of its resolution; unet: of its resolution, whatever the set has.
CHOICES = ("auto", "unet", *NETWORKS)
TIMES = ("uniform", "lognormal", *OBJECTIVES)
EVAL_BY = ("elbo", "ode")
EVAL_IMAGES = 500
WIDTHS = (8, 1024)  # the least and the most channels of a first level


def make_config(args: argparse.Namespace, train_set: data.ImageSet, device: torch.device) -> dict:
    """The configuration of a new run: the preset of its set, changed by the command line.

    Args:
        args: of `parse`.
        train_set: the images to train on.
        device: where it trains; CUDA turns on mixed precision and compilation.

    Raises:
        ValueError: a number that cannot be, or options that do not go together.
    """
    preset = preset_of(args.dataset, train_set.images.shape[1])
    chosen = {k: v for k, v in preset.items() if k not in OF_NETWORK}
    if args.minutes is not None:
        chosen |= by_the_time(args)
    names = ["steps", "batch_size", "lr", "muon_lr", "warmup", "ema", "decay", "weight_decay"]
    names += ["times"]
    chosen |= {k: getattr(args, k) for k in names if getattr(args, k) is not None}
    if args.lr is not None and args.muon_lr is None:
        chosen["muon_lr"] *= args.lr / preset["lr"]
    check_numbers(chosen)
    chosen |= weighting(args, chosen["times"]) | evaluation(args)
    network = network_config(args, preset, train_set)
    return chosen | {
        "network": network,
        "architecture": args.network or "auto",
        "scheduler": {"num_train_timesteps": network["T"], "mode": args.mode or preset["mode"]},
        "dataset": args.dataset,
        "data": train_set.fingerprint(),
        "classes": list(train_set.classes),
        "seed": args.seed or 0,
        "clip": 1.0,
        "bf16": has_bf16(device) if args.bf16 is None else args.bf16,
        "compile": can_compile(device) if args.compile is None else args.compile,
        "checkpointing": bool(args.checkpointing),
    }


def preset_of(dataset: str, resolution: int) -> dict:
    """What a set is trained with at a resolution."""
    preset = PRESETS[dataset]
    if "network" in preset:
        return preset
    return {
        "network": network_for(resolution),
        "batch_size": BATCH[size_class(resolution)],
    } | preset


def by_the_time(args: argparse.Namespace) -> dict:
    """What --minutes decides: the rate rises and falls with the time, the average follows it.

    Its decay (1 + k)/(10 + k) after step k, without an upper end, is that of a horizon of a ninth
    of the steps so far (`given.runtime.training.ema_decay`), however many there will be.
    """
    for name, fixed in (("warmup", args.warmup is not None), ("decay", args.decay is False)):
        if fixed:
            raise ValueError(
                f"{spelled(name, getattr(args, name))} does not go with --minutes, where the "
                f"learning rate rises and falls with the time; leave it out, or use --steps."
            )
    return {"minutes": args.minutes, "steps": None, "warmup": None, "decay": True, "ema": 1.0}


def check_numbers(chosen: dict) -> None:
    """Refuse numbers that cannot be, in one sentence."""
    for name in ("minutes", "steps", "batch_size", "lr"):
        if chosen.get(name) is not None and chosen[name] <= 0:
            raise ValueError(f"--{name} must be above 0, not {chosen[name]}.")
    no_limit = chosen.get("minutes") and chosen["ema"] == 1
    if not (0 <= chosen["ema"] < 1 or no_limit):
        raise ValueError(f"--ema {chosen['ema']}: choose it in [0, 1).")
    for name in ("weight_decay", "muon_lr"):
        if chosen[name] < 0:
            raise ValueError(f"--{name} must be at least 0, not {chosen[name]}.")


def weighting(args: argparse.Namespace, times: str) -> dict:
    """The likelihood weighting, refused without its process, and the times that suit it."""
    asked = {"debias": args.debias, "likelihood_weighting": args.likelihood_weighting}
    for name, value in asked.items():
        if value and times not in CONTINUOUS:
            raise ValueError(
                f"--{name} belongs to --times {', '.join(CONTINUOUS)}, "
                f"not {times}; leave it out, or choose one of these."
            )
    if args.debias and args.likelihood_weighting is False:
        raise ValueError(
            "--debias draws the times of the likelihood weighting; leave --debias or "
            "--no-likelihood_weighting out."
        )
    weighted = bool(args.likelihood_weighting or args.debias)
    return {"likelihood_weighting": weighted, "debias": bool(args.debias)}


def evaluation(args: argparse.Namespace) -> dict:
    """How a run is measured on held-out images on the way, and every how many steps, or None."""
    for name in ("eval_by", "eval_images"):
        if getattr(args, name) is not None and args.eval_every is None:
            raise ValueError(
                f"{spelled(name, getattr(args, name))} needs --eval_every, in steps; add it."
            )
    for name, least in (("eval_every", 1), ("eval_images", 2)):
        if getattr(args, name) is not None and getattr(args, name) < least:
            raise ValueError(f"--{name} must be at least {least}, not {getattr(args, name)}.")
    return {
        "eval_every": args.eval_every,
        "eval_by": args.eval_by or EVAL_BY[0],
        "eval_images": args.eval_images or EVAL_IMAGES,
    }


def network_config(args: argparse.Namespace, preset: dict, train_set: data.ImageSet) -> dict:
    """The network of a new run; see `given.images.load.build_network`."""
    resolution = train_set.images.shape[1]
    network = chosen_network(args, preset, resolution) | {
        "T": 1000,
        "image_resolution": resolution,
        "in_ch": train_set.images.shape[3],
        "use_cfg": preset["use_cfg"] if args.use_cfg is None else args.use_cfg,
        "cfg_dropout": preset["cfg_dropout"] if args.cfg_dropout is None else args.cfg_dropout,
        "num_classes": len(train_set.classes),
    }
    asked = {k: getattr(args, k) for k in ("predicts", "time_features")}
    network |= {k: value for k, value in asked.items() if value}
    network |= {"logit": True} if args.logit else {}
    if args.dropout is not None:
        network["dropout"] = checked_dropout(args.dropout, network)
    return network if args.ch is None else with_width(network, args.ch)


def checked_dropout(dropout: float, network: dict) -> float:
    """A share of dropout, of a network that has any."""
    if "dropout" not in network:
        raise ValueError(
            f"--dropout {dropout:g}: {network['name']} has none; leave it out, or name a --network."
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"--dropout {dropout:g}: choose it in [0, 1).")
    return dropout


def with_width(network: dict, ch: int) -> dict:
    """The network with `ch` channels at its first level, and the others in proportion.

    Raises:
        ValueError: a width beyond WIDTHS, one that the groups of a norm do not divide, or none.
    """
    if "ch" not in network:
        raise ValueError(f"--ch {ch}: {network['name']} has no such width; leave it out.")
    if not WIDTHS[0] <= ch <= WIDTHS[1]:
        raise ValueError(f"--ch {ch}: choose {WIDTHS[0]} to {WIDTHS[1]} channels.")
    if isinstance(widths := network["ch"], int):
        network = network | {"ch": ch}
    else:
        network = network | {"ch": tuple(ch * width // widths[0] for width in widths)}
    try:
        with torch.device("meta"):  # without memory, however wide
            build_network(network)
    except (ValueError, ZeroDivisionError, RuntimeError):
        raise ValueError(f"--ch {ch}: its norms cannot group so; use a multiple of 32.") from None
    return network


def chosen_network(args: argparse.Namespace, preset: dict, resolution: int) -> dict:
    """The architecture alone: of --network, or of the preset; see CHOICES."""
    if args.network in NETWORKS:
        return {"name": "UNet"} | NETWORKS[args.network]
    return network_for(resolution) if args.network == "unet" else preset["network"]


def base_width(ch: Any) -> Any:
    """The width of the first level, of a network's `ch`."""
    return ch[0] if isinstance(ch, tuple | list) else ch


def on_this_machine(config: dict, args: argparse.Namespace, device: torch.device) -> dict:
    """What the machine decides in a run that goes on: as asked, else as begun where it can."""
    able = {"bf16": has_bf16(device), "compile": can_compile(device), "checkpointing": True}
    found = {}
    for name, can in able.items():
        asked, began = getattr(args, name), bool(config.get(name))
        found[name] = began and can if asked is None else asked
        if found[name] != began:
            now = spelled(name, found[name])
            print(f"This run was started with {spelled(name, began)}, and goes on with {now}.")
    return found


def check_unchanged(config: dict, args: argparse.Namespace, train_set: data.ImageSet) -> None:
    """Refuse to go on with another set, or with other numbers than a run was started with."""
    names = ["dataset", "minutes", "steps", "batch_size", "lr", "warmup", "ema", "decay", "times"]
    names += ["network", "likelihood_weighting", "debias", "mode", "predicts", "time_features"]
    names += ["seed", "use_cfg", "cfg_dropout", "ch", "dropout", "weight_decay", "logit"]
    names += ["muon_lr", "eval_by", "eval_images"]
    started = {"likelihood_weighting": False, "debias": False, "time_features": "positional"}
    started |= {"muon_lr": 0.0, "logit": False, "eval_by": EVAL_BY[0], "eval_images": EVAL_IMAGES}
    started |= config | config["scheduler"] | config["network"]
    started["network"] = config.get("architecture") or "auto"
    started["ch"] = base_width(started.get("ch"))
    for name in names:
        asked, began = getattr(args, name), started.get(name)
        if asked is not None and asked != began:
            raise ValueError(
                f"This run was started with {spelled(name, began)}, and goes on with it; leave out "
                f"{spelled(name, asked)}, or train from scratch in another --save_dir."
            )
    resolution = config["network"]["image_resolution"]
    if train_set.images.shape[1] != resolution:
        raise ValueError(f"This run was started with --resolution {resolution}; give it again.")
    found = train_set.fingerprint()
    if config.get("data", found) != found:
        raise ValueError(
            "The images are not those that this run was started with; bring those back, or train "
            "from scratch in another --save_dir."
        )


def spelled(name: str, value: Any) -> str:
    """An option as it is written on the command line."""
    if value is None:
        return f"no --{name}"
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"
