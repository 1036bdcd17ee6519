"""Train a diffusion model on images.

    python image_diffusion/train.py                                  Fashion-MNIST on a laptop
    python image_diffusion/train.py --dataset afhq --use_cfg         AFHQ 64 x 64 on a GPU
    torchrun --standalone --nproc_per_node=4 image_diffusion/train.py --dataset afhq
    python image_diffusion/train.py --dataset cifar10 --network ncsn++ --times ve
    python image_diffusion/train.py --times vp --debias --eval_every 500

Stop it with Ctrl-C and go on with the same command and --resume. Everything random in a step
depends only on the seed and the number of the step, so a run that was stopped ends with the same
weights as one that was not, and one on several processes follows one on a single process with the
same batch. Exactly so on CPUs; on a GPU up to the order of its sums, and a run that moves from one
kind of device to another goes on with other random numbers.

--minutes trains for a time instead: the learning rate rises, and falls to 0 when it is up, whatever
the machine, and --resume goes on with what is left. How many steps that makes is then no longer a
function of the seed.

Beside last.ckpt stays early.ckpt, the averaged weights of an eighth of the run: sampling.py
--guide_path moves away from what such a weaker model says.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from experiments.images.held_out import HeldOut
from experiments.images.train_config import (
    CHOICES,
    EVAL_BY,
    EVAL_IMAGES,
    PRESETS,
    TIMES,
    check_unchanged,
    chosen_network,
    make_config,
    on_this_machine,
    preset_of,
)
from experiments.images.training_loop import Run
from experiments.images.training_progress import seconds_of_image, show, train
from given.images.cost import check_checkpointing, check_memory
from given.images.data import imageset as data
from given.images.load import check_config, levels_of
from given.images.noise_predictor import PREDICTS, TIME_FEATURES
from given.images.unet import check_resolution
from given.runtime.checkpoint import blamed_on, read_checkpoint, refuse_to_overwrite
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import first_of_machine, pick_device, processes, warn_of_cost
from given.runtime.submission import ROOT

RESULTS = ROOT / "results" / "images"


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
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=whole)
    length.add_argument(
        "--minutes", type=number, help="train for so long; the last checkpoint and samples follow"
    )
    parser.add_argument("--batch_size", type=whole, help="over all processes")
    parser.add_argument("--lr", type=number)
    muon = "Muon's, for hidden kernels; follows --lr by default; 0 for AdamW alone"
    parser.add_argument("--muon_lr", type=number, help=muon)
    parser.add_argument("--warmup", type=whole, help="steps")
    parser.add_argument("--ema", type=number, help="decay of the averaged weights")
    parser.add_argument("--weight_decay", type=number, help="of AdamW")
    parser.add_argument("--mode", choices=("linear", "quad", "cosine"), help="of the schedule")
    parser.add_argument("--times", choices=TIMES, help="the objective: noise levels of training")
    parser.add_argument("--likelihood_weighting", action=flag, help="of --times vp, subvp or ve")
    parser.add_argument("--debias", action=flag, help="with it, and the times drawn by it")
    parser.add_argument("--logit", action=flag, help="train on the logits of the pixels")
    parser.add_argument("--network", choices=CHOICES, help="auto by default; see presets.py")
    parser.add_argument("--ch", type=whole, help="channels of the network's first level")
    parser.add_argument("--dropout", type=number, help="in the residual blocks of a U-Net")
    parser.add_argument("--predicts", choices=PREDICTS, help="what the network's end gives")
    parser.add_argument("--time_features", choices=TIME_FEATURES, help="of the noise level")
    parser.add_argument("--decay", action=flag, help="let the learning rate fall to 0")
    parser.add_argument("--use_cfg", action=flag, help="train with class labels, for guidance")
    parser.add_argument("--cfg_dropout", type=number, help="share of labels that fall")
    parser.add_argument("--seed", type=whole, help="of everything random (default 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=whole, help="of a CPU; all by default")
    parser.add_argument("--bf16", action=flag, help="mixed precision; on by default on CUDA")
    parser.add_argument("--compile", action=flag, help="torch.compile; on by default on CUDA")
    memory = "train a U-Net in a third of the memory, for more time"
    parser.add_argument("--checkpointing", action=flag, help=memory)
    parser.add_argument("--save_every", type=whole, help="steps; once a minute in any case")
    parser.add_argument("--sample_every", type=whole, help="steps; else every 2 minutes or more")
    parser.add_argument("--eval_every", type=whole, help="steps; bits per dimension of test images")
    parser.add_argument("--eval_by", choices=EVAL_BY, help="elbo: one time an image (default); ode")
    parser.add_argument("--eval_images", type=whole, help=f"how many (default {EVAL_IMAGES})")
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard files")
    return parser.parse_args(arguments)


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
        network = chosen_network(args, preset_of(args.dataset, size), size)
        check_resolution(size, levels_of(network))
        if args.checkpointing:
            check_checkpointing(network)


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
    with first_of_machine(rank, world_size):  # the others find the set decoded
        train_set = data.load_dataset(args.dataset, "train", args.resolution, args.data_root)
    checkpoint = folder / "last.ckpt"
    if args.resume:
        state = read_checkpoint(checkpoint)
        config = state["config"]
        with blamed_on(checkpoint):
            check_config(config, state["network"])
        check_unchanged(config, args, train_set)
        config |= on_this_machine(config, args, device)
        config |= {"eval_every": args.eval_every} if args.eval_every else {}
    else:
        config = make_config(args, train_set, device)
        refuse_to_overwrite(checkpoint, args.overwrite)
        clear(folder)
    check_memory(config, config["batch_size"] // world_size, device)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(config, device, rank, world_size)
    if args.resume:
        run.load(checkpoint)
    held_out = HeldOut(run, args.data_root) if rank == 0 and config.get("eval_every") else None
    loader = data.Loader(train_set, config["batch_size"], config["seed"], device, rank, world_size)
    if rank == 0 and device.type == "cpu":
        say_cost(run)
    writer = tensorboard_writer(folder) if args.tensorboard and rank == 0 else None
    whole = train(run, loader, folder, args.save_every, args.sample_every, writer, held_out)
    if rank == 0 and whole:
        show(run, folder)
        print(f"{run.step} steps. Checkpoint: {checkpoint}. Samples and loss curve: {folder}.")
    return whole


def default_name(args: argparse.Namespace) -> str:
    """The name of a run's folder: of its set, or of a user's own folder of images."""
    own = args.dataset == "folder"
    return f"folder_{args.data_root.resolve().name}" if own else args.dataset


def clear(folder: Path) -> None:
    """Delete samples, curves and early weights of a run that this one replaces."""
    others = [folder / name for name in ("loss.png", "bits_per_dim.png", "early.ckpt")]
    for file in [*folder.glob("samples_*.png"), *others]:
        file.unlink(missing_ok=True)


def say_cost(run: Run) -> None:
    """What the steps of a long run cost on a CPU: backward takes about twice as long as forward."""
    seconds = 3 * seconds_of_image(run) * run.config["batch_size"] / run.world_size
    advice = "Use --device cuda, a smaller --resolution, or --dataset fashion (minutes)."
    steps = 1 if run.budget else run.total - run.step
    warn_of_cost(seconds, steps, run.device, advice)


def tensorboard_writer(folder: Path) -> Any:
    """A torch.utils.tensorboard.SummaryWriter, where that package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs that package: pip install tensorboard") from None
    return SummaryWriter(folder)
