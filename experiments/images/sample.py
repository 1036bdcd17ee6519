"""Draw images from a checkpoint and save them as PNG files, or as one array.

    python image_diffusion/sampling.py --ckpt_path results/images/fashion/last.ckpt \\
        --save_dir results/samples --num_samples 500 --guidance_scale 1.5
    python image_diffusion/sampling.py --ckpt_path results/images/fashion/last.ckpt \\
        --guide_path results/images/fashion/early.ckpt --scheduler stochastic --steps 24 ...
    torchrun --standalone --nproc_per_node=4 image_diffusion/sampling.py --ckpt_path ...

Image i belongs to seed + i: the same seed gives the same images at any --batch_size (up to the
rounding of the device). The methods of Task 1, which --scheduler takes as well, draw from one
generator for each batch: there the images depend on --batch_size too, as they do on a GPU wherever
a step draws noise. Images of a class go to a folder with the class's name, as in the eval folder of
dataset.py; a --save_dir that ends in .npz becomes one file, which measure_fid.py takes too.

Several processes take turns at the batches, so that any number of them draws the same images; a
--batch_size that makes at least one for each keeps all busy. They write to one folder, which all
machines must see.
"""

import argparse
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.images.sample_files import ImageArray, ImageFolder
from experiments.images.samplers import edm, multistep, process
from experiments.images.samplers.draw import (
    autoguided,
    balanced_labels,
    by_scheduler,
    draw_batches,
    load_model,
)
from given.images.data.image_files import save_grid
from given.images.labels import class_index
from given.runtime.cli import file_path, number, whole
from given.runtime.machine import can_compile, has_bf16, pick_device, processes, together
from image_diffusion.ddpm import DiffusionModule


class SamplerSpec(NamedTuple):
    """One choice of --scheduler.

    Attributes:
        steps: how many by default.
        options: of the command line, those that it takes.
        draw: see experiments/images/samplers; takes steps and the options.
        scheduler: for by_scheduler, the class of scheduler.py that takes the options instead.
    """

    steps: int
    options: tuple[str, ...] = ()
    draw: Callable = by_scheduler
    scheduler: str = "DDIMScheduler"


def of_process(method: str, steps: int = 200, *more: str) -> SamplerSpec:
    """A method of Task 1."""
    options = ("process", "corrector", "snr", *more)
    return SamplerSpec(steps, options, functools.partial(process.draw, method=method))


SAMPLERS = {
    "ddpm": SamplerSpec(1000, ("sigma_type",), scheduler="DDPMScheduler"),
    "ddim": SamplerSpec(50, ("eta",)),
    "dpmpp": SamplerSpec(10, scheduler="DPMSolverScheduler"),
    "edm": SamplerSpec(10, ("churn",), edm.draw),
    "stochastic": SamplerSpec(10, ("eta",), multistep.draw),
    "euler_maruyama": of_process("euler_maruyama"),
    "reverse_diffusion": of_process("reverse_diffusion"),
    "ancestral": of_process("ancestral"),
    "none": of_process("none"),
    "ode_euler": of_process("ode_euler"),
    "ode_heun": of_process("ode_heun", 25),
    "rk45": of_process("rk45", 200, "tol"),
    "multistep": of_process("multistep", 10),
}
SHOWN = 100  # images in the grid
GUIDE_SCALE = 1.5  # of autoguidance
OPTIONS = {option for sampler in SAMPLERS.values() for option in sampler.options}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; what it leaves to the machine is decided here."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--ckpt_path", type=file_path, required=True, help="a checkpoint that train.py wrote"
    )
    parser.add_argument("--save_dir", type=file_path, required=True, help="folder, or .npz file")
    parser.add_argument("--num_samples", type=whole, default=500)
    parser.add_argument("--batch_size", type=whole, default=100)
    parser.add_argument("--scheduler", choices=SAMPLERS, default="ddim")
    parser.add_argument("--steps", type=whole, help="how many; default: the sampler's own")
    parser.add_argument("--process", choices=process.PROCESSES, help="of a method of Task 1")
    parser.add_argument("--corrector", help="langevin or annealed_langevin")
    parser.add_argument("--snr", type=number, help="size of the corrector's steps (default .16)")
    parser.add_argument("--tol", type=number, help="of rk45 (default 1e-4)")
    parser.add_argument("--eta", type=number, help="noise of ddim (default 0) and stochastic (1)")
    parser.add_argument("--churn", type=number, help="noise of edm (default 0)")
    parser.add_argument("--sigma_type", choices=("small", "large"), help="of ddpm (default small)")
    parser.add_argument("--guidance_scale", type=number, default=0.0, help="0: no class")
    weak = "a weaker model to move away from, such as early.ckpt of train.py (autoguidance)"
    parser.add_argument("--guide_path", type=file_path, help=weak)
    scale = f"of --guide_path (default {GUIDE_SCALE}); 1: none"
    parser.add_argument("--guide_scale", type=number, help=scale)
    parser.add_argument("--class_label", help="a number from 1, or a name; all in turn by default")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete the images that are in save_dir already"
    )
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    flag = argparse.BooleanOptionalAction
    parser.add_argument("--bf16", action=flag, help="mixed precision; on by default on CUDA")
    parser.add_argument("--compile", action=flag, help="torch.compile; on by default on CUDA")
    args = parser.parse_args(arguments)
    args.device = pick_device(args.device)
    args.bf16 = has_bf16(args.device) if args.bf16 is None else args.bf16
    args.compile = can_compile(args.device) if args.compile is None else args.compile
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    if args.num_samples < 1 or args.batch_size < 1:
        raise ValueError("--num_samples and --batch_size must be at least 1.")
    with processes(args.device) as (rank, world_size, args.device):
        work(args, rank, world_size)


def work(args: argparse.Namespace, rank: int, world_size: int) -> None:
    """Draw and save one process's batches; process 0 makes way for them, and the grid of all."""
    model, config, draw = load_sampler(args)
    labels = choose_labels(args, config)
    guide(model, args, labels is not None)
    classes = None if labels is None else [config["classes"][k - 1] for k in labels]
    write = writer_of(args, model.image_shape[0], classes)
    with together(world_size):
        if rank == 0:
            write.make_way(args.overwrite)
    options = (labels, args.guidance_scale, args.seed, args.batch_size, draw, args.compile)
    try:
        with together(world_size):
            for start, images in draw_batches(model, args.num_samples, *options, rank, world_size):
                write(start, images)
    finally:
        if rank == 0:
            write.close()
    if rank == 0:
        save_grid(write.shown(SHOWN), write.grid)
        saved = f"{args.num_samples} images: {args.save_dir}"
        print(f"{saved}. The first of them in a grid: {write.grid}.")


def writer_of(
    args: argparse.Namespace, channels: int, classes: list[str] | None
) -> ImageFolder | ImageArray:
    """What saves the images: an .npz file where --save_dir ends in that, else a folder."""
    if args.save_dir.suffix.lower() == ".npz":
        return ImageArray(args.save_dir, args.num_samples)
    return ImageFolder(args.save_dir, args.num_samples, channels, classes)


def load_sampler(args: argparse.Namespace) -> tuple[DiffusionModule, dict, Callable]:
    """The model of a command line, its configuration, and the `draw` of its sampler."""
    from image_diffusion import scheduler

    sampler, options = SAMPLERS[args.scheduler], own_options(args)
    if args.scheduler == "rk45" and args.steps is not None:
        raise ValueError("--scheduler rk45 chooses its steps by --tol; leave --steps out.")
    steps, device, fast = args.steps, args.device, (args.bf16, args.compile)
    scheduler_class = getattr(scheduler, sampler.scheduler)
    if sampler.draw is not by_scheduler:
        model, config = load_model(args.ckpt_path, scheduler_class, device, *fast)
        steps = sampler.steps if steps is None else steps
        return model, config, functools.partial(sampler.draw, steps=steps, **options)
    model, config = load_model(args.ckpt_path, scheduler_class, device, *fast, **options)
    T = model.var_scheduler.num_train_timesteps
    model.var_scheduler.set_timesteps(min(sampler.steps, T) if steps is None else steps)
    return model, config, by_scheduler


def guide(model: DiffusionModule, args: argparse.Namespace, of_class: bool) -> None:
    """Move a model's predictions away from those of --guide_path, where that was given.

    Raises:
        ValueError: a scale without a model, or a model of other images or classes.
    """
    if args.guide_path is None:
        if args.guide_scale is not None:
            raise ValueError(f"--guide_scale {args.guide_scale:g} needs --guide_path; add it.")
        return
    fast = (args.device, args.bf16, args.compile)
    network, weak = model.network, load_model(args.guide_path, type(model.var_scheduler), *fast)[0]
    if (weak.image_shape, weak.network.logit) != (model.image_shape, network.logit):
        raise ValueError(f"--guide_path {args.guide_path} is a model of images of another shape.")
    if of_class and (not weak.network.use_cfg or weak.num_classes != model.num_classes):
        raise ValueError(f"--guide_path {args.guide_path} is a model of other classes.")
    scale = GUIDE_SCALE if args.guide_scale is None else args.guide_scale
    network.at_log_snr = autoguided(network.at_log_snr, weak.network.at_log_snr, scale)


def own_options(args: argparse.Namespace) -> dict:
    """The options of the sampler that a command line gives.

    Raises:
        ValueError: an option of another sampler.
    """
    given = {name: getattr(args, name) for name in sorted(OPTIONS)}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in SAMPLERS[args.scheduler].options:
            takers = ", ".join(k for k, sampler in SAMPLERS.items() if name in sampler.options)
            raise ValueError(f"--scheduler {args.scheduler} takes no --{name}; it is for {takers}.")
    return given


def choose_labels(args: argparse.Namespace, config: dict) -> np.ndarray | None:
    """(num_samples,) labels from 1, or None where no class was asked for."""
    if args.guidance_scale == 0 and args.class_label is None:
        return None
    if not config["network"]["use_cfg"]:
        raise ValueError(
            f"{args.ckpt_path} was trained without classes; leave --guidance_scale and "
            f"--class_label out, or train with --use_cfg."
        )
    classes = config["classes"]
    if args.class_label is None:
        return balanced_labels(args.num_samples, len(classes))
    if args.guidance_scale == 0:
        raise ValueError("--class_label needs a --guidance_scale; 1 is the plain conditional one.")
    return np.full(args.num_samples, class_index(args.class_label, classes) + 1)
