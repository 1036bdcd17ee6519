"""Train a diffusion model on images.

    python image_diffusion/train.py                                  Fashion-MNIST on a laptop
    python image_diffusion/train.py --dataset afhq --use_cfg         AFHQ 64 x 64 on a GPU
    torchrun --standalone --nproc_per_node=4 image_diffusion/train.py --dataset afhq
    python image_diffusion/train.py --dataset cifar10 --network ncsn++ --times ve

Stop it with Ctrl-C and go on with the same command and --resume. Everything random in a step
depends only on the seed and the number of the step, so a run that was stopped ends with the same
weights as one that was not, and one on several processes follows one on a single process with the
same batch.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from experiments.images.training_loop import Run, seconds_of_image, show, train
from given.images.data import imageset as data
from given.images.load import check_config, levels_of
from given.images.objectives import CONTINUOUS, OBJECTIVES
from given.images.presets import CIFAR10
from given.images.unet import PREDICTS, TIME_FEATURES, check_resolution
from given.runtime.checkpoint import blamed_on, read_checkpoint, refuse_to_overwrite
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import can_compile, has_bf16, pick_device, processes, warn_of_cost
from given.runtime.submission import ROOT

RESULTS = ROOT / "results" / "images"

# What each set is trained with, unless the command line says otherwise.
SMALL: dict[str, Any] = {
    "network": {"name": "PatchUNet", "predicts": "v", "ch": (48, 96), "num_res_blocks": 2},
    "mode": "cosine",
    "times": "lognormal",
    "batch_size": 32,
    "steps": 5500,
    "lr": 2e-3,
    "decay": True,
    "ema": 0.997,
    "warmup": 100,
    "weight_decay": 0.01,
    "use_cfg": True,
}
DDPM = {
    "network": {"name": "UNet"} | CIFAR10["ddpm"],
    "mode": "linear",
    "times": "uniform",
    "batch_size": 128,
    "steps": 800_000,
    "lr": 2e-4,
    "decay": False,
    "ema": 0.9999,
    "warmup": 5000,
    "weight_decay": 0.0,
    "use_cfg": False,
}
FACES = DDPM | {"batch_size": 32, "steps": 100_000, "warmup": 200, "ema": 0.999}
COLOUR = SMALL | {"network": SMALL["network"] | {"ch": (64, 128)}, "use_cfg": False}
PRESETS = {
    "fashion": SMALL,
    "fashion_colour": COLOUR,
    "fashion_full": SMALL,
    "mnist": SMALL,
    "cifar10": DDPM,
}
PRESETS |= {"afhq": FACES, "celeba": FACES, "folder": FACES}
TIMES = ("uniform", "lognormal", *OBJECTIVES)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    flag = argparse.BooleanOptionalAction
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="fashion", help=f"{', '.join(PRESETS)}, or a folder")
    parser.add_argument(
        "--data_root", type=file_path, default=data.DATA_ROOT, help="folder of the sets"
    )
    parser.add_argument("--resolution", type=whole, help="pixels a side; the set's own by default")
    parser.add_argument("--save_dir", type=file_path, help="default: results/images/DATASET")
    parser.add_argument("--resume", action="store_true", help="go on from last.ckpt in save_dir")
    parser.add_argument(
        "--overwrite", action="store_true", help="train from scratch over an old run"
    )
    parser.add_argument("--steps", type=whole)
    parser.add_argument("--batch_size", type=whole, help="over all processes")
    parser.add_argument("--lr", type=number)
    parser.add_argument("--warmup", type=whole, help="steps")
    parser.add_argument("--ema", type=number, help="decay of the averaged weights")
    parser.add_argument("--mode", choices=("linear", "quad", "cosine"), help="of the schedule")
    parser.add_argument("--times", choices=TIMES, help="the objective: noise levels of training")
    parser.add_argument("--likelihood_weighting", action=flag, help="of --times vp, subvp or ve")
    parser.add_argument("--network", choices=CIFAR10, help="a U-Net of presets.py")
    parser.add_argument("--predicts", choices=PREDICTS, help="what the network's end gives")
    parser.add_argument("--time_features", choices=TIME_FEATURES, help="of the noise level")
    parser.add_argument("--decay", action=flag, help="let the learning rate fall to 0")
    parser.add_argument("--use_cfg", action=flag, help="train with class labels, for guidance")
    parser.add_argument("--cfg_dropout", type=number, help="share of labels (default 0.1)")
    parser.add_argument("--seed", type=whole, help="of everything random (default 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=whole, help="of a CPU; all by default")
    parser.add_argument("--bf16", action=flag, help="mixed precision; on by default on CUDA")
    parser.add_argument("--compile", action=flag, help="torch.compile; on by default on CUDA")
    parser.add_argument("--save_every", type=whole, help="steps; once a minute in any case")
    parser.add_argument("--sample_every", type=whole, default=1000, help="steps")
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard files")
    return parser.parse_args(arguments)


def make_config(args: argparse.Namespace, train_set: data.ImageSet, device: torch.device) -> dict:
    """The configuration of a new run: the preset of its set, changed by the command line.

    Args:
        args: of `parse`.
        train_set: the images to train on.
        device: where it trains; CUDA turns on mixed precision and compilation.

    Raises:
        ValueError: a number that cannot be, or options that do not go together.
    """
    preset = PRESETS[args.dataset]
    chosen = {k: v for k, v in preset.items() if k not in ("network", "mode", "use_cfg")}
    names = ("steps", "batch_size", "lr", "warmup", "ema", "decay", "times")
    chosen |= {k: getattr(args, k) for k in names if getattr(args, k) is not None}
    check_numbers(chosen, args.likelihood_weighting)
    network = network_config(args, preset, train_set)
    return chosen | {
        "network": network,
        "architecture": args.network,
        "likelihood_weighting": bool(args.likelihood_weighting),
        "scheduler": {"num_train_timesteps": network["T"], "mode": args.mode or preset["mode"]},
        "dataset": args.dataset,
        "data": train_set.fingerprint(),
        "classes": list(train_set.classes),
        "seed": args.seed or 0,
        "clip": 1.0,
        "bf16": has_bf16(device) if args.bf16 is None else args.bf16,
        "compile": can_compile(device) if args.compile is None else args.compile,
    }


def check_numbers(chosen: dict, likelihood_weighting: bool | None) -> None:
    """Refuse numbers that cannot be, and a weighting without its process, in one sentence."""
    for name in ("steps", "batch_size", "lr"):
        if chosen[name] <= 0:
            raise ValueError(f"--{name} must be above 0, not {chosen[name]}.")
    if not 0 <= chosen["ema"] < 1:
        raise ValueError(f"--ema {chosen['ema']}: choose it in [0, 1).")
    if likelihood_weighting and chosen["times"] not in CONTINUOUS:
        raise ValueError(
            f"--likelihood_weighting belongs to --times {', '.join(CONTINUOUS)}, "
            f"not {chosen['times']}; leave it out, or choose one of these."
        )


def network_config(args: argparse.Namespace, preset: dict, train_set: data.ImageSet) -> dict:
    """The network of a new run; see `given.images.load.build_network`."""
    network = chosen_network(args, preset) | {
        "T": 1000,
        "image_resolution": train_set.images.shape[1],
        "in_ch": train_set.images.shape[3],
        "use_cfg": preset["use_cfg"] if args.use_cfg is None else args.use_cfg,
        "cfg_dropout": 0.1 if args.cfg_dropout is None else args.cfg_dropout,
        "num_classes": len(train_set.classes),
    }
    asked = {k: getattr(args, k) for k in ("predicts", "time_features")}
    return network | {k: value for k, value in asked.items() if value}


def chosen_network(args: argparse.Namespace, preset: dict) -> dict:
    """The architecture alone: of --network, or of the preset."""
    return {"name": "UNet"} | CIFAR10[args.network] if args.network else preset["network"]


def check_options(args: argparse.Namespace) -> None:
    """Refuse, before a set is decoded, what can be seen to fail.

    A folder as --dataset becomes the --data_root of the set "folder".
    """
    args.dataset, args.data_root = data.find_set(args.dataset, args.data_root)
    if args.dataset not in PRESETS:
        raise ValueError(
            f"--dataset {args.dataset} has no preset; use {', '.join(PRESETS)}, or a folder."
        )
    if args.resume and args.overwrite:
        raise ValueError("--resume goes on with a run, --overwrite replaces it; leave one out.")
    if not args.resume:
        size = args.resolution or data.DATASETS[args.dataset].resolution
        check_resolution(size, levels_of(chosen_network(args, PRESETS[args.dataset])))


def main(arguments: list[str] | None = None) -> bool:
    """Train from the command line; return whether it came to the end."""
    args = parse(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    with processes(pick_device(args.device)) as (rank, world_size, device):
        return work(args, device, rank, world_size)


def work(args: argparse.Namespace, device: torch.device, rank: int, world_size: int) -> bool:
    """Train one process's part; return whether it came to the end."""
    check_options(args)
    folder = args.save_dir or RESULTS / default_name(args)
    train_set = data.load_dataset(args.dataset, "train", args.resolution, args.data_root)
    checkpoint = folder / "last.ckpt"
    if args.resume:
        state = read_checkpoint(checkpoint)
        config = state["config"]
        with blamed_on(checkpoint):
            check_config(config, state["network"])
        check_unchanged(config, args, train_set)
        config |= on_this_machine(config, args, device)
    else:
        config = make_config(args, train_set, device)
        refuse_to_overwrite(checkpoint, args.overwrite)
        clear_pictures(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(config, device, rank, world_size)
    if args.resume:
        run.load(checkpoint)
    loader = data.Loader(train_set, config["batch_size"], config["seed"], device, rank, world_size)
    if rank == 0 and device.type == "cpu":
        say_cost(run)
    writer = tensorboard_writer(folder) if args.tensorboard and rank == 0 else None
    whole = train(run, loader, folder, args.save_every, args.sample_every, writer)
    if rank == 0 and whole:
        show(run, folder)
        print(f"{run.step} steps. Checkpoint: {checkpoint}. Samples and loss curve: {folder}.")
    return whole


def default_name(args: argparse.Namespace) -> str:
    """The name of a run's folder: of its set, or of a user's own folder of images."""
    own = args.dataset == "folder"
    return f"folder_{args.data_root.resolve().name}" if own else args.dataset


def clear_pictures(folder: Path) -> None:
    """Delete the samples and the loss curve of a run that this one replaces."""
    for picture in [*folder.glob("samples_*.png"), folder / "loss.png"]:
        picture.unlink(missing_ok=True)


def say_cost(run: Run) -> None:
    """What the steps of a long run cost on a CPU: backward takes about twice as long as forward."""
    seconds = 3 * seconds_of_image(run) * run.config["batch_size"] / run.world_size
    advice = "Use --device cuda, a smaller --resolution, or --dataset fashion (minutes)."
    warn_of_cost(seconds, run.total - run.step, run.device, advice)


def on_this_machine(config: dict, args: argparse.Namespace, device: torch.device) -> dict:
    """bf16 and compile of a run that goes on: as asked, else as begun where this device can."""
    able = {"bf16": has_bf16(device), "compile": can_compile(device)}
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
    names = ["dataset", "steps", "batch_size", "lr", "warmup", "ema", "decay", "times", "network"]
    names += ["likelihood_weighting", "mode", "predicts", "time_features", "seed", "use_cfg"]
    names += ["cfg_dropout"]
    started = {"likelihood_weighting": False, "time_features": "positional"}
    started |= config | config["scheduler"] | config["network"]
    started["network"] = config.get("architecture")
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
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def tensorboard_writer(folder: Path) -> Any:
    """A torch.utils.tensorboard.SummaryWriter, where that package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs that package: pip install tensorboard") from None
    return SummaryWriter(folder)
