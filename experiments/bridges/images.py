"""Schrödinger bridges between image sets, by the loop of sde_todo/bridge.py.

    python -m image_diffusion bridge --prior "fashion_mnist:boot" --dataset fashion_mnist:bag
    python -m image_diffusion bridge --prior cifar10:cat --dataset cifar10:dog
    torchrun --standalone --nproc_per_node=8 -m image_diffusion bridge --prior afhq-dog-64 \\
        --dataset afhq-cat-64

A class is named after a colon, and a folder of images is a set, as in `--dataset photos/:cat`;
`--prior standard` is noise. `--method flow` trains a flow, and --init_from starts a bridge with it,
or, from noise, with a diffusion model of train.py. Stop a run with Ctrl-C and go on with the same
command and --resume. Task 1.6 must be written for it.
"""

import argparse
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.bridges import image_report
from experiments.bridges.options import add_options, check_method, make_config, resumed_config
from experiments.bridges.run import BridgeRun, train
from experiments.bridges.sides import OTHER
from given.bridges.image_network import VelocityFromNoise, VelocityUNet
from given.bridges.methods import METHODS
from given.images.cost import check_checkpointing, check_memory
from given.images.data import imageset as data
from given.images.labels import class_index
from given.images.load import build_network, check_config, levels_of
from given.images.presets import BATCH, CIFAR10, network_for, size_class
from given.images.unet import check_resolution
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint, refuse_to_overwrite
from given.runtime.cli import file_path
from given.runtime.files import make_folder
from given.runtime.machine import (
    can_compile,
    first_of_machine,
    has_bf16,
    memory_format,
    pick_device,
    processes,
    seconds_of,
    seed_of,
    sent,
    warn_of_cost,
)

RESULTS = Path("results/bridge")
ALIASES = {"fashion_mnist": "fashion", "stackedmnist": "stacked_mnist"}
# What a set is trained with, unless the command line says otherwise.
SMALL = {
    "gamma": "linear_0.001_0.02",
    "num_steps": 16,
    "rounds": 3,
    "iters": 512,
    "batch_size": 32,
    "cache_size": 256,
    "lr": 1e-3,
    "ema": 0.99,
    "variance": "bridge",
}
LARGE = SMALL | {
    "gamma": "linear_0.0001_0.01",
    "num_steps": 50,
    "rounds": 10,
    "iters": 8000,
    "lr": 2e-4,
    "ema": 0.999,
}
PATCH_UNET = {"name": "PatchUNet", "predicts": "noise", "ch": (48, 96), "num_res_blocks": 2}
FLOW = {"small": {"rounds": 1, "iters": 1000}, "large": {"rounds": 1, "iters": 100_000}}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prior", default="fashion_mnist:boot", help="the source")
    parser.add_argument("--dataset", default="fashion_mnist:bag", help="the target")
    parser.add_argument("--resolution", type=int, help="pixels a side; the set's own by default")
    parser.add_argument(
        "--data_root", type=file_path, default=data.DATA_ROOT, help="folder of the sets"
    )
    parser.add_argument("--num_samples", type=int, default=400, help="images in samples.npz")
    parser.add_argument("--threads", type=int, help="of the CPU")
    flag = argparse.BooleanOptionalAction
    choices = ("auto", "unet", *CIFAR10)
    parser.add_argument("--network", choices=choices, default="auto", help="see presets.py")
    parser.add_argument("--compile", action=flag, help="torch.compile; on by default on CUDA")
    memory = "train a U-Net in a third of the memory, for more time"
    parser.add_argument("--checkpointing", action="store_true", help=memory)
    add_options(parser)
    return parser.parse_args(arguments)


def open_set(
    name: str, split: str, resolution: int | None, data_root: Path | str
) -> tuple[np.ndarray, bool]:
    """The images of a name of the command line.

    Args:
        name: such as "cifar10:cat", "afhq-dog-64" or "DIR:cat".
        split: "train" or "test".
        resolution: pixels a side; None for the set's own.
        data_root: folder of the sets.

    Returns:
        (N, H, W, C) uint8 array, and whether an image stays one of the set when mirrored.
    """
    base, label = split_name(name)
    if re.match("(afhq|celeba)-", base) and not Path(base).is_dir():
        base, *middle, pixels = base.split("-")
        label = label or "".join(middle)
        if not re.fullmatch("[0-9]{1,5}", pixels):
            raise ValueError(f"Cannot read {name!r}; write afhq-dog-64 or celeba-64.")
        resolution = int(pixels)
    if base not in data.DATASETS and not Path(base).is_dir():
        known = ", ".join(["standard", *ALIASES, *data.DATASETS, "afhq-dog-64", "celeba-64"])
        raise ValueError(
            f"Unknown data set {name!r}. Known: {known}, or a folder; a class as in cifar10:cat."
        )
    images = data.load_dataset(base, split, resolution, data_root)
    if not label:
        return images.images, images.flip
    chosen = np.flatnonzero(images.labels == class_index(label, images.classes, first=0))
    return np.asarray(images.images[chosen]), images.flip


def split_name(name: str) -> tuple[str, str]:
    """The set or the folder of a name of the command line, and the class after its last colon."""
    name = os.path.expanduser(name)
    if Path(name).is_dir() or ":" not in name:
        return ALIASES.get(name, name), ""
    base, _, label = name.rpartition(":")
    return ALIASES.get(base, base), label


class ImageSource:
    """Draws from a set of images, as `BridgeRun` wants them, mirrored at random where that fits.

    A set lives on the device where `room_for_images` says so. Of a larger one the draws are made on
    the host, by a generator that follows the one of the device, and sent when they are read.
    """

    def __init__(self, images: np.ndarray, flip: bool, device: torch.device, salt: int = 0) -> None:
        """Keep (N, H, W, C) uint8 images.

        Args:
            images: of the set.
            flip: whether a mirrored one stays one of the set.
            device: where they are wanted.
            salt: another one for each set of a run, whose draws would else go together.
        """
        self.images, self.flip, self.device, self.salt = images, flip, device, salt
        self.resident = None
        if device.type != "cpu" and images.nbytes <= data.room_for_images(device):
            self.resident = torch.from_numpy(np.array(images)).to(device)

    def __call__(self, rows: int, B: int, own: slice, generator: torch.Generator) -> Tensor:
        """(rows, columns, C, H, W) in [-1, 1]: the columns `own` of rows x B draws."""
        if self.resident is None and self.device.type != "cpu":
            seed = seed_of(generator.initial_seed(), self.salt)
            generator = torch.Generator().manual_seed(seed)
        where: dict = {"generator": generator, "device": generator.device}
        index = torch.randint(len(self.images), (rows, B), **where)[:, own]
        mirrored = torch.rand((rows, B), **where)[:, own] < (0.5 if self.flip else 0.0)
        if self.resident is None:
            images = torch.from_numpy(self.images[index.flatten().numpy()])
            images, mirrored = (sent(each, self.device) for each in (images, mirrored))
        else:
            images = self.resident[index.flatten()]
        x = data.to_tensor(images)
        x = torch.where(mirrored.flatten()[:, None, None, None], x.flip(-1), x)
        return x.unflatten(0, index.shape)


class NoiseSource:
    """Draws of N(0, I), images of a given shape (C, H, W)."""

    def __init__(self, shape: tuple[int, int, int], device: torch.device) -> None:
        """Keep the shape."""
        self.shape, self.device = shape, device

    def __call__(self, rows: int, B: int, own: slice, generator: torch.Generator) -> Tensor:
        """(rows, columns, C, H, W): the columns `own` of rows x B draws."""
        where: dict = {"generator": generator, "device": self.device}
        return torch.randn((rows, B, *self.shape), **where)[:, own]


def open_sets(args: argparse.Namespace, split: str) -> dict[str, tuple | None]:
    """From direction to (images, flip) of the set where it starts; None for noise."""
    names = {"forward": args.prior, "backward": args.dataset}
    if args.dataset == "standard":
        raise ValueError("--dataset standard: noise can be the --prior, the target is images.")
    sets = {
        n: None if name == "standard" else open_set(name, split, args.resolution, args.data_root)
        for n, name in names.items()
    }
    shapes = [x[0].shape[1:] for x in sets.values() if x is not None]
    if len(set(shapes)) > 1:
        sizes = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise ValueError(f"The images of the two sets are {sizes}; choose sets of one size.")
    return sets


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


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    args = parse(arguments)
    if args.threads is not None:
        if args.threads < 1:
            raise ValueError(f"--threads must be at least 1, not {args.threads}.")
        torch.set_num_threads(args.threads)
    with processes(pick_device(args.device)) as (rank, world_size, device):
        work(args, device, rank, world_size)


def configure(args: argparse.Namespace, sets: dict, device: torch.device) -> dict:
    """The configuration of a run on these sets and this device."""
    H, _, C = sets["backward"][0].shape[1:]
    size = "small" if H <= 28 else "large"
    batch = BATCH[size_class(H)]
    defaults = SMALL if size == "small" else LARGE | {"batch_size": batch, "cache_size": 10 * batch}
    if args.method == "lightsb":
        raise ValueError("--method lightsb is for points: python -m sde_todo bridge.")
    config = make_config(args, defaults | (FLOW[size] if args.method == "flow" else {}))
    net = chosen_network(args.network, H)
    check_resolution(H, levels_of(net))
    if args.checkpointing:
        check_checkpointing(net)
    net = net | {"T": 1000, "image_resolution": H, "in_ch": C, "use_cfg": False, "num_classes": 1}
    config |= {"prior": args.prior, "dataset": args.dataset, "resolution": H, "network": net}
    return config | {"divergence": "hutchinson", "clip": 1.0} | of_machine(args, device)


def chosen_network(name: str, resolution: int) -> dict:
    """The network of --network, as one whose output is a velocity."""
    if name == "auto" and resolution <= 28:
        return PATCH_UNET
    net = {"name": "UNet"} | CIFAR10[name] if name in CIFAR10 else network_for(resolution)
    return net | {"predicts": "noise", "time_features": "positional", "dropout": 0.0}


def of_machine(args: argparse.Namespace, device: torch.device) -> dict:
    """What the machine decides where the command line does not: bf16 and torch.compile.

    The divergence of a policy is differentiated twice, which torch.compile cannot.
    """
    policy = METHODS[args.method].predicts == "policy"
    if policy and args.compile:
        raise ValueError(f"--compile does not go with --method {args.method}; leave it out.")
    compiled = can_compile(device) and not policy if args.compile is None else args.compile
    bf16 = has_bf16(device) and not policy if args.bf16 is None else args.bf16
    return {"bf16": bf16, "compile": compiled, "checkpointing": args.checkpointing}


@torch.no_grad()
def say_cost(run: BridgeRun, x: Tensor) -> None:
    """What the steps of a long run cost on a CPU: one evaluation to simulate, three to learn.

    Args:
        run: what is trained.
        x: (1, C, H, W) any image.
    """
    network, t = run.sides["forward"].average, torch.zeros(1, device=run.device)
    seconds = 4 * seconds_of(lambda: network(t, x), run.device)
    share = run.config["batch_size"] / run.world_size
    advice = "Use --device cuda, a smaller --resolution, or smaller --batch_size and --num_steps."
    warn_of_cost(seconds * share, run.total - run.step, run.device, advice)


def work(args: argparse.Namespace, device: torch.device, rank: int, world_size: int) -> None:
    """Train one process's part of a bridge, and show it."""
    with first_of_machine(rank, world_size):  # the others find the sets decoded
        sets = open_sets(args, "train")
    config = configure(args, sets, device)
    check_method(config, world_size)
    ends = [Path(each).name for each in (args.prior, args.dataset)]
    name = "-".join([*ends, args.method]).replace(":", "-").replace(" ", "_")
    folder = RESULTS / (args.exp_name or name)
    checkpoint = folder / "last.ckpt"
    if args.resume:
        config = resumed_config(checkpoint, config)
    else:
        refuse_to_overwrite(checkpoint, args.overwrite)
    check_memory(config, config["batch_size"] // world_size, device)
    make_folder(folder)
    C, H = config["network"]["in_ch"], config["resolution"]
    sources = {
        n: NoiseSource((C, H, H), device)
        if each is None
        else ImageSource(each[0], each[1], device, salt)
        for salt, (n, each) in enumerate(sets.items())
    }
    layout = memory_format(device, config["compile"])
    nets = {n: net.to(memory_format=layout) for n, net in build_networks(config).items()}
    run = BridgeRun(config, nets, sources, device, rank, world_size)
    if config["compile"]:
        for side in run.sides.values():
            side.model.net.net.compile(dynamic=False)
            side.average.net.net.compile(dynamic=False)
    if args.resume:
        run.load(checkpoint)
    if rank == 0:
        say_cost(run, torch.zeros(1, C, H, H, device=device))
    judge: Any = image_report.Judge(sets, open_sets(args, "test"), device) if rank == 0 else None
    start = time.perf_counter()
    whole = train(run, folder, judge, args.save_every)
    if rank == 0 and whole:
        image_report.write_results(run, judge, folder, args.num_samples)
        print(f"{time.perf_counter() - start:.0f} seconds of training and reporting.")
