"""The options that bridges in the plane and between images share, and their checks."""

import math
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path

from given.bridges.methods import ITERATIVE, METHODS
from given.runtime.checkpoint import read_checkpoint
from given.runtime.cli import file_path
from sde_todo.bridge import gamma_schedule

# What a method is trained with, unless the command line says otherwise.
DEFAULTS: dict = {
    "gamma": "linear_0.005_0.1",  # the same sigma in half the steps blurs a pinwheel's arms
    "num_steps": 32,
    "rounds": 6,
    "iters": 1536,
    "batch_size": 1024,
    "cache_size": 4096,
    "lr": 4e-3,
    "ema": 0.998,
    "variance": "reference",
}
# For methods that pay for a batch or a step by more than a network's evaluation.
SMALLER: dict = {"num_steps": 16, "batch_size": 512, "cache_size": 2048, "ema": 0.99}


PRESETS: dict[str, dict] = {
    "dsb": {"rounds": 10, "iters": 896, "lr": 8e-3},  # targets of single steps are noisier
    "sdsb": {"rounds": 10, "iters": 896, "lr": 8e-3},
    "sb-fbsde-alt": SMALLER | {"iters": 1024, "lr": 1e-3},
    # Few steps of few paths: trained longer, its policies turn against the error of finite N.
    "sb-fbsde-joint": {
        "gamma": "linear_0.005_0.08",
        "num_steps": 24,
        "rounds": 5,
        "iters": 100,
        "batch_size": 64,
        "lr": 2e-3,
        "ema": 0.99,
    },
    "flow": SMALLER | {"rounds": 1, "iters": 2000, "lr": 2e-3},
    "lightsb": {"rounds": 1, "iters": 3000, "batch_size": 1024, "lr": 0.02},
}


MACHINE = ("bf16", "compile", "checkpointing")  # change no result but by rounding
# Options without effect on a method, which are refused: it keeps no cache, or has no use for them.
UNUSED: dict[str, tuple[str, ...]] = {
    "flow": ("gamma", "variance", "cache_size", "refresh_every"),
    "sb-fbsde-joint": ("bf16", "cache_size", "refresh_every"),
    "lightsb": ("bf16", "cache_size", "ema", "refresh_every", "rounds", "variance"),
}


def add_options(parser: ArgumentParser) -> None:
    """The options that bridges in the plane and between images share."""
    flag = BooleanOptionalAction
    parser.add_argument("--method", default="tr", choices=METHODS)
    parser.add_argument("--num_steps", type=int, help="N, even")
    parser.add_argument("--gamma", help="constant_G or linear_A_B; sigma^2 = 2 sum of the gammas")
    references = "what the first round simulates (default brownian; of dsbm, flow)"
    parser.add_argument("--reference", choices=("brownian", "ou", "flow"), help=references)
    parser.add_argument("--theta", type=float, help="pull of the OU reference (default 1)")
    parser.add_argument(
        "--variance", choices=("reference", "bridge"), help="of a step: bridge suits thin targets"
    )
    parser.add_argument("--published", action="store_true", help="tr, fr: the paper's own steps")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--iters", type=int, help="steps of each direction in a round")
    parser.add_argument("--batch_size", type=int, help="over all processes")
    parser.add_argument("--cache_size", type=int, help="trajectories simulated together")
    parser.add_argument("--refresh_every", type=int, help="steps; one pass over the cache if not")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--ema", type=float, help="decay of the averaged weights")
    pairing = "pair the ends of straight lines by transport: --method flow, --reference flow"
    parser.add_argument("--ot", action=flag, help=f"{pairing} (default)")
    parser.add_argument(
        "--reinit", action="store_true", help="networks start from scratch in every round"
    )
    parser.add_argument(
        "--init_from", type=file_path, help="checkpoint of --method flow to start from"
    )
    parser.add_argument("--skip_rounds", type=int, default=0, help="rounds that it replaces")
    parser.add_argument("--bf16", action=flag, help="mixed precision where it is safe")
    parser.add_argument(  # the spelling of before, for one release
        "--use_amp", dest="bf16", action="store_true", default=None, help=SUPPRESS
    )
    parser.add_argument("--exp_name", help="name of the folder of the results")
    parser.add_argument("--resume", action="store_true", help="go on from last.ckpt")
    parser.add_argument(
        "--overwrite", action="store_true", help="train from scratch over an old run"
    )
    parser.add_argument("--save_every", type=float, default=60.0, help="seconds, to last.ckpt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def reference_of(args: Namespace) -> str:
    """What the first round simulates: the choice of --reference, or the default of the method.

    One that draws between ends starts from lines between points of both sets: the rounds of Shi et
    al. 2023 keep the ends of their pairs, which are then right from the start.
    """
    return args.reference or ("flow" if METHODS[args.method].between else "brownian")


def make_config(args: Namespace, defaults: dict) -> dict:
    """The configuration of a run: the defaults of its method, changed by the command line.

    Args:
        args: of `add_options`, and num_samples.
        defaults: the numbers of a method, as in `DEFAULTS`.

    Raises:
        ValueError: a number that cannot be, in one sentence.
    """
    numbers = {k: v for k, v in defaults.items() if getattr(args, k, None) is None}
    numbers |= {k: getattr(args, k) for k in defaults if getattr(args, k, None) is not None}
    check_numbers(numbers | {"num_samples": args.num_samples}, args)
    check_used(args)
    theta = 1.0 if args.theta is None else args.theta
    config = numbers | {
        "method": args.method,
        "reference": reference_of(args),
        "theta": theta if args.reference == "ou" else 0.0,
        "published": args.published,
        "ot": args.ot is not False,
        "reinit": args.reinit,
        "init_from": str(args.init_from) if args.init_from else "",
        "skip_rounds": args.skip_rounds,
        "bf16": bool(args.bf16),
        "divergence": "exact",
        "clip": None,
        "seed": args.seed,
    }
    gamma_schedule(config["gamma"], config["num_steps"])
    check_rounds(config)
    return config | plan_caches(config, args)


def check_numbers(numbers: dict, args: Namespace) -> None:
    """Refuse numbers that cannot be, in one sentence."""
    for name in ("rounds", "iters", "batch_size", "cache_size", "lr", "num_samples"):
        most = math.inf if name == "lr" else 10**9
        if not 0 < numbers[name] < most:
            raise ValueError(f"--{name} must be above 0 and below {most}, not {numbers[name]}.")
    for name, most in (("seed", 10**9), ("save_every", math.inf)):
        if not 0 <= getattr(args, name) <= most:
            raise ValueError(f"--{name} must be at least 0 and at most {most}.")
    if not 0 <= numbers["ema"] < 1:
        raise ValueError(f"--ema {numbers['ema']}: choose it in [0, 1).")
    if args.theta is not None and not 0 <= args.theta < math.inf:
        raise ValueError(f"--theta {args.theta}: the pull of the OU reference is at least 0.")


def check_used(args: Namespace) -> None:
    """Refuse an option that the method or its reference would ignore, in one sentence."""
    method, rounds = args.method, ", ".join(ITERATIVE)
    if args.theta is not None and args.reference != "ou":
        raise ValueError(f"--theta {args.theta} is of --reference ou; give both, or neither.")
    if args.published and method not in ("tr", "fr"):
        raise ValueError(f"--published is for tr and fr, not for {method}.")
    if args.reinit and method not in ITERATIVE:
        raise ValueError(f"--reinit is for {rounds}, not for {method}, which has no rounds.")
    if args.reference == "flow" and method not in ITERATIVE:
        raise ValueError(f"--reference flow is for {rounds}, not for {method}.")
    if args.ot is not None and method != "flow" and reference_of(args) != "flow":
        raise ValueError("--ot and --no-ot are for --method flow and --reference flow.")
    for name in UNUSED.get(method, ()):
        if getattr(args, name) not in (None, False):
            raise ValueError(f"--{name} has no effect with --method {method}; leave it away.")


def check_rounds(config: dict) -> None:
    """Refuse to skip rounds that nothing replaces, or all of them."""
    skip = config["skip_rounds"]
    if skip and not config["init_from"]:
        raise ValueError("--skip_rounds needs a model that replaces them: give --init_from.")
    if not 0 <= skip < config["rounds"]:
        raise ValueError(f"--skip_rounds {skip}: choose from 0 to --rounds {config['rounds']} - 1.")


def plan_caches(config: dict, args: Namespace) -> dict:
    """Sizes with which every cache is used whole: what was not given adapts to what was.

    Returns:
        dict of cache_size, refresh_every and iters.
    """
    B, M, N, iters = (config[k] for k in ("batch_size", "cache_size", "num_steps", "iters"))
    if config["method"] not in ITERATIVE:
        return {"refresh_every": 1}  # no cache
    if args.cache_size is None:
        M = max(1, round(M / B)) * B
    if M % B:
        raise ValueError(f"--cache_size {M} must be a multiple of --batch_size {B}.")
    whole = M // B * N
    every = whole if args.refresh_every is None else args.refresh_every
    if every < 1 or every % whole:
        raise ValueError(
            f"--refresh_every {every} leaves a part of the cache unused; one pass over "
            f"{M} trajectories of {N} steps takes {whole} batches: use a multiple of it."
        )
    fitting = max(1, round(iters / every)) * every
    if args.iters is not None and iters != fitting:
        raise ValueError(
            f"--iters {iters} must be a multiple of the {every} steps between two caches, such as "
            f"{fitting}."
        )
    return {"cache_size": M, "refresh_every": every, "iters": fitting}


def check_method(config: dict, world_size: int) -> None:
    """Refuse what a method cannot do."""
    method, predicts = config["method"], METHODS[config["method"]].predicts
    if method == "sb-fbsde-joint" and config["prior"] != "standard":
        raise ValueError("sb-fbsde-joint needs a prior with a density: use --prior standard.")
    if world_size > 1 and predicts in ("policy", "potential"):
        raise ValueError(f"--method {method} runs in one process; start it without torchrun.")
    if config["batch_size"] % world_size:
        raise ValueError(
            f"A batch of {config['batch_size']} cannot be shared by {world_size} processes; use a "
            f"--batch_size that is a multiple of {world_size}."
        )
    if config["init_from"] and method in ("flow", "lightsb"):
        raise ValueError(f"--init_from starts a bridge; --method {method} has no use for it.")
    known = [name for name in ITERATIVE if METHODS[name].predicts != "policy"]
    if config["reference"] == "ou" and method not in known:
        raise ValueError(f"--reference ou is for {', '.join(known)}, not for {method}.")


def resumed_config(path: Path, asked: dict) -> dict:
    """The configuration of a run that goes on; another than asked for is refused.

    Only what belongs to the machine may change.
    """
    config = {"muon_lr": 0.0} | read_checkpoint(path)["config"]  # runs of before had no Muon
    for name, value in asked.items():
        if name not in MACHINE and config.get(name) != value:
            raise ValueError(
                f"The run in {path.parent} was started with {name} {config.get(name)!r}, not "
                f"{value!r}; give the same options with --resume, or choose another --exp_name."
            )
    return asked
