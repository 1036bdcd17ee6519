"""Schrödinger bridges between image sets, by the loop of sde_todo/bridge.py.

    python -m image_diffusion bridge --prior "fashion_mnist:boot" --dataset fashion_mnist:bag
    python -m image_diffusion bridge --prior cifar10:cat --dataset cifar10:dog
    torchrun --standalone --nproc_per_node=8 -m image_diffusion bridge --preset afhq-64

A class is named after a colon, and a folder of images is a set, as in `--dataset photos/:cat`;
`--prior standard` is noise, `--prior matched` noise of the data's mean and variance. The method is
dsbm, whose first round joins pairs of images by straight lines with noise around them. `--preset`
takes the sets and numbers of a paper: see image_presets.py. `--encoder DIR` makes it a bridge
between latents: see latents.py. `--method flow` trains a flow, and --init_from starts a bridge with
it, or, from noise, with a diffusion model of train.py. Stop a run with Ctrl-C and go on with the
same command and --resume. Task 1.6 must be written for it.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.bridges import image_report
from experiments.bridges.image_presets import CHOICES, LATENT, PRESETS, numbers_of, options_of
from experiments.bridges.image_samples import sample
from experiments.bridges.image_sets import (
    ImageSource,
    NoiseSource,
    is_noise,
    moments_of_noise,
    open_set,
)
from experiments.bridges.image_starts import build_networks, networks_config
from experiments.bridges.latents import Autoencoder
from experiments.bridges.options import add_options, check_method, make_config, resumed_config
from experiments.bridges.run import BridgeRun, train
from given.bridges.methods import METHODS
from given.images.cost import check_checkpointing, check_memory
from given.images.data import imageset as data
from given.runtime.checkpoint import refuse_to_overwrite
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
    warn_of_cost,
)

RESULTS = Path("results/bridge")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    prior = "the source; standard is noise, matched noise of the data's mean and variance"
    parser.add_argument("--prior", default="fashion_mnist:boot", help=prior)
    parser.add_argument("--dataset", default="fashion_mnist:bag", help="the target")
    parser.add_argument("--preset", choices=PRESETS, help="sets and numbers of a paper")
    parser.add_argument("--resolution", type=int, help="pixels a side; the set's own by default")
    parser.add_argument(
        "--data_root", type=file_path, default=data.DATA_ROOT, help="folder of the sets"
    )
    latents = "folder of diffusers' AutoencoderKL: a bridge between latents; see latents.py"
    parser.add_argument("--encoder", type=file_path, help=latents)
    parser.add_argument("--num_samples", type=int, default=400, help="images in samples.npz")
    carried = parser.add_argument_group("carry images over a trained bridge instead")
    carried.add_argument("--sample", type=file_path, help="its checkpoint, last.ckpt")
    carried.add_argument("--start", choices=("prior", "dataset"), default="prior", help="the end")
    carried.add_argument("--input", type=file_path, help="folder of images; else test images")
    carried.add_argument("--save_dir", type=file_path, help="folder, or .npz file")
    parser.add_argument("--threads", type=int, help="of the CPU")
    flag = argparse.BooleanOptionalAction
    choices = ("auto", "unet", *CHOICES)
    parser.add_argument("--network", choices=choices, default="auto", help="see presets.py")
    parser.add_argument("--compile", action=flag, help="torch.compile; on by default on CUDA")
    memory = "train a U-Net in a third of the memory, for more time"
    parser.add_argument("--checkpointing", action="store_true", help=memory)
    add_options(parser)
    parser.set_defaults(method="dsbm")
    args = parser.parse_args(arguments)
    if args.preset:
        parser.set_defaults(method=PRESETS[args.preset]["method"])
        method = parser.parse_args(arguments).method
        parser.set_defaults(**options_of(args.preset, method))
        args = parser.parse_args(arguments)
    return args


def open_sets(args: argparse.Namespace, split: str) -> dict[str, tuple | None]:
    """From direction to (images, flip) of the set where it starts; None for noise."""
    names = {"forward": args.prior, "backward": args.dataset}
    if is_noise(args.dataset):
        raise ValueError(
            f"--dataset {args.dataset}: noise can be the --prior, the target is images."
        )
    sets = {
        n: None if is_noise(name) else open_set(name, split, args.resolution, args.data_root)
        for n, name in names.items()
    }
    shapes = [x[0].shape[1:] for x in sets.values() if x is not None]
    if len(set(shapes)) > 1:
        sizes = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise ValueError(f"The images of the two sets are {sizes}; choose sets of one size.")
    return sets


def latent_sets(sets: dict, coder: Autoencoder) -> tuple[dict, dict]:
    """The latents of `open_sets`, and what `configure` must know of them."""
    more = {"encoder": str(coder.folder), "pixels": sets["backward"][0].shape[1]}
    return {n: x and (coder.latents(x[0]), False) for n, x in sets.items()}, more


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    args = parse(arguments)
    if args.threads is not None:
        if args.threads < 1:
            raise ValueError(f"--threads must be at least 1, not {args.threads}.")
        torch.set_num_threads(args.threads)
    if args.sample:
        sample(args, pick_device(args.device))
        return
    for option in ("input", "save_dir"):
        if getattr(args, option):
            raise ValueError(f"--{option} belongs to --sample, the checkpoint of a bridge.")
    with processes(pick_device(args.device)) as (rank, world_size, device):
        work(args, device, rank, world_size)


def configure(
    args: argparse.Namespace, sets: dict, device: torch.device, more: Mapping = MappingProxyType({})
) -> dict:
    """The configuration of a run on these sets, pixels or latents, and this device.

    Args:
        args: of `parse`.
        sets: of `open_sets`, or their latents.
        device: where it trains.
        more: `encoder` and `pixels` (a side) of a bridge between latents.
    """
    images = sets["backward"][0]
    H, _, C = images.shape[1:]
    if args.preset in LATENT and "encoder" not in more:
        raise ValueError(f"--preset {args.preset} is for latents: name an autoencoder, --encoder.")
    if args.method == "lightsb":
        raise ValueError("--method lightsb is for points: python -m sde_todo bridge.")
    numbers = numbers_of(args.preset, H, args.method)
    config = make_config(args, numbers)
    # It follows --lr, and comes last: a run that goes on with another --lr is told so by that name.
    config["muon_lr"] = config.pop("muon_lr") * config["lr"] / numbers["lr"]
    config |= {"prior": args.prior, "dataset": args.dataset, "resolution": H}
    config |= moments_of_noise(args.prior, images) | networks_config(args, H, C)
    if args.checkpointing:
        check_checkpointing(config["network"])
    config |= {"divergence": "hutchinson", "clip": 1.0, **more}
    return config | of_machine(args, device)


def published_config(preset: str) -> dict:
    """The configuration of a bridge that public code trained as a preset says.

    Its networks give the end of the path: see `given.bridges.image_network.VelocityFromEnd`.
    """
    args = parse(["--preset", preset])
    pixels = int(args.dataset.rpartition("-")[2])
    size, channels, more = pixels, 3, {}
    if preset in LATENT:
        size, channels, more = pixels // 8, 4, {"encoder": "", "pixels": pixels}
    images = np.zeros((1, size, size, channels), np.uint8)
    config = configure(args, {"backward": (images, False)}, torch.device("cpu"), more)
    return config | {"gives": "end"}


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


def make_sources(
    sets: dict, shape: tuple[int, int, int], noise: tuple[float, float], device: torch.device
) -> dict[str, NoiseSource | ImageSource]:
    """What each end of a bridge is drawn from.

    Args:
        sets: of `open_sets`, or their latents; None is noise.
        shape: (C, H, W) of an image.
        noise: its mean and standard deviation.
        device: where it trains.
    """
    return {
        name: NoiseSource(shape, device, *noise)
        if images is None
        else ImageSource(images[0], images[1], device, salt)
        for salt, (name, images) in enumerate(sets.items())
    }


def compile_networks(run: BridgeRun) -> None:
    """Compile the networks of both directions, and their averages, for batches of one size."""
    for side in run.sides.values():
        side.model.net.net.compile(dynamic=False)
        side.average.net.net.compile(dynamic=False)


def work(args: argparse.Namespace, device: torch.device, rank: int, world_size: int) -> None:
    """Train one process's part of a bridge, and show it."""
    with first_of_machine(rank, world_size):  # the others find the sets decoded
        pixels = sets = open_sets(args, "train")
        coder: Autoencoder | None = None
        more: dict[str, Any] = {}
        if args.encoder:
            coder = Autoencoder(args.encoder, device)
            sets, more = latent_sets(pixels, coder)
    config = configure(args, sets, device, more)
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
    noise = config.get("prior_mean", 0.0), config.get("prior_std", 1.0)
    sources = make_sources(sets, (C, H, H), noise, device)
    layout = memory_format(device, config["compile"])
    nets = {n: net.to(memory_format=layout) for n, net in build_networks(config).items()}
    run = BridgeRun(config, nets, sources, device, rank, world_size)
    if config["compile"]:
        compile_networks(run)
    if args.resume:
        run.load(checkpoint)
    if rank == 0:
        say_cost(run, torch.zeros(1, C, H, H, device=device))
    judge: Any = None
    if rank == 0:
        judge = image_report.Judge(pixels, open_sets(args, "test"), device, noise, coder)
    start = time.perf_counter()
    whole = train(run, folder, judge, args.save_every)
    if rank == 0 and whole:
        image_report.write_results(run, judge, folder, args.num_samples)
        print(f"{time.perf_counter() - start:.0f} seconds of training and reporting.")
