"""Given: draw images from a checkpoint and save them as PNG files.

    python image_diffusion/sampling.py --ckpt_path results/images/fashion/last.ckpt \\
        --save_dir results/samples --num_samples 500 --guidance_scale 1.5

Image i belongs to seed + i: the same seed gives the same images at any --batch_size (up to the
rounding of the device). The methods of Task 1, which --scheduler takes as well, draw from one
generator: there the images depend on --batch_size too. Images of a class go to a folder with the
class's name, as in the eval folder of dataset.py.
"""

import argparse
from pathlib import Path

import numpy as np

from experiments.images.samplers.draw import balanced_labels, draw_batches, load_model
from given.images.data.image_files import save_grid, save_images
from given.runtime.cli import number, whole
from given.runtime.files import clear_parts
from given.runtime.machine import pick_device

PROCESSES = ("VPSDE", "SubVPSDE", "VESDE")
SCHEDULERS = {"ddpm": "DDPMScheduler", "ddim": "DDIMScheduler", "dpmpp": "DPMSolverScheduler"}
METHODS: tuple[str, ...] = (
    "euler_maruyama",
    "reverse_diffusion",
    "ancestral",
    "none",
    "ode_euler",
    "ode_heun",
)
METHODS += ("rk45", "multistep")  # of Task 1, see sde_todo/sampling.py
OTHERS = ("edm", "stochastic")  # see edm.py and stochastic.py
TAKERS = {  # of which schedulers each option is
    "sigma_type": ("ddpm",),
    "eta": ("ddim", "stochastic"),
    "churn": ("edm",),
    "tol": ("rk45",),
    **dict.fromkeys(("process", "corrector", "snr"), METHODS),
}
DEFAULT_STEPS = {"ddpm": 1000, "ddim": 50, "dpmpp": 10, "edm": 10, "stochastic": 10}
DEFAULT_STEPS |= {"ode_heun": 25, "multistep": 10}  # of the others: 200


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ckpt_path", required=True, help="a checkpoint that train.py wrote")
    parser.add_argument("--save_dir", required=True, help="folder of the images")
    parser.add_argument("--num_samples", type=whole, default=500)
    parser.add_argument("--batch_size", type=whole, default=100)
    parser.add_argument("--scheduler", choices=(*SCHEDULERS, *OTHERS, *METHODS), default="ddim")
    parser.add_argument("--steps", type=whole, help="how many; default: the sampler's own")
    parser.add_argument("--process", choices=PROCESSES, help="of a method of Task 1")
    parser.add_argument("--corrector", help="langevin or annealed_langevin")
    parser.add_argument("--snr", type=number, help="size of the corrector's steps (default .16)")
    parser.add_argument("--tol", type=number, help="of rk45 (default 1e-4)")
    parser.add_argument("--eta", type=number, help="noise of ddim (default 0) and stochastic (1)")
    parser.add_argument("--churn", type=number, help="noise of edm (default 0)")
    parser.add_argument("--sigma_type", choices=("small", "large"), help="of ddpm (default small)")
    parser.add_argument("--guidance_scale", type=number, default=0.0, help="0: no class")
    parser.add_argument("--class_label", help="a number from 1, or a name; all in turn by default")
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse(arguments)
    if args.num_samples < 1 or args.batch_size < 1:
        raise ValueError("--num_samples and --batch_size must be at least 1.")
    model, config = load_sampler(args)
    labels = choose_labels(args, config)
    done, shown = 0, []
    clear_parts(args.save_dir, "**/*.png")
    options = (labels, args.guidance_scale, args.seed, args.batch_size)
    for images in draw_batches(model, args.num_samples, *options):
        names = None
        if labels is not None:
            names = [config["classes"][k - 1] for k in labels[done : done + len(images)]]
        save_images(images, args.save_dir, names, done)
        shown += list(images[: max(0, 100 - done)])
        done += len(images)
    grid = Path(f"{args.save_dir}.png")
    save_grid(np.stack(shown), grid)
    print(f"{args.num_samples} images: {args.save_dir}. The first of them in a grid: {grid}.")


def load_sampler(args):
    from image_diffusion import scheduler

    options = {name: getattr(args, name) for name in TAKERS if getattr(args, name) is not None}
    for name in options:
        if args.scheduler not in TAKERS[name]:
            takers = ", ".join(TAKERS[name])
            raise ValueError(f"--scheduler {args.scheduler} takes no --{name}; it is for {takers}.")
    own = options if args.scheduler in SCHEDULERS else {}
    name = SCHEDULERS.get(args.scheduler, "DDIMScheduler")
    device = pick_device(args.device)
    model, config = load_model(args.ckpt_path, getattr(scheduler, name), device, **own)
    steps = DEFAULT_STEPS.get(args.scheduler, 200) if args.steps is None else args.steps
    if args.scheduler not in SCHEDULERS:
        make = process_model if args.scheduler in METHODS else other_model
        return make(model, args.scheduler, steps, **options), config
    T = model.var_scheduler.num_train_timesteps
    model.var_scheduler.set_timesteps(steps if args.steps is not None else min(steps, T))
    return model, config


def other_model(model, name, steps, **options):
    """The model, sampling by Heun in sigma or by the stochastic multistep."""
    from experiments.images.samplers.edm import edm_sample
    from experiments.images.samplers.multistep import stochastic_multistep
    from experiments.images.samplers.process import DrawnBy

    draw = edm_sample if name == "edm" else stochastic_multistep
    return DrawnBy(model, draw, steps, **options)


def process_model(model, method, steps, process="VPSDE", **options):
    """The model, sampling along a process of Task 1."""
    from experiments.images.samplers.process import ProcessSampled
    from sde_todo import sde

    rho = 3.0 if process != "VESDE" and method == "multistep" else 1.0
    return ProcessSampled(model, getattr(sde, process)(steps), method, rho=rho, **options)


def choose_labels(args, config):
    """(num_samples,) labels, or None where no class was asked for."""
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
    if args.class_label in classes:
        return np.full(args.num_samples, classes.index(args.class_label) + 1)
    if args.class_label not in map(str, range(1, len(classes) + 1)):
        raise ValueError(
            f"Unknown class {args.class_label!r}; use 1 to {len(classes)} or one of "
            f"{', '.join(classes)}."
        )
    return np.full(args.num_samples, int(args.class_label))
