"""Given: bridges in the plane from the command line: `python -m sde_todo.bridge`.

    python -m sde_todo.bridge --prior pinwheel --dataset checkerboard --method tr
    python -m sde_todo.bridge --prior moons --dataset swiss_roll --method flow --exp_name start
    python -m sde_todo.bridge --prior moons --dataset swiss_roll --method dsb \\
        --init_from results/bridge/start/last.ckpt --skip_rounds 1

Stop it with Ctrl-C and go on with the same command and --resume.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from sde_todo import bridge_plot
from sde_todo.bridge import draw_between, gamma_schedule, reference_chain, reverse_chain
from sde_todo.bridge_network import VelocityNet
from sde_todo.bridge_run import OTHER, BridgeRun, train
from sde_todo.checkpoint import put_weights, read_checkpoint, refuse_to_overwrite, save_whole
from sde_todo.dataset import make_points
from sde_todo.demo import make_folder, npz, write
from sde_todo.eval import emd
from sde_todo.light_sb import LightSB, fit_light_sb
from sde_todo.machine import pick_device, processes
from sde_todo.plot import png
from sde_todo.todo import one_line_errors

RESULTS = Path("results/bridge")
METHODS = ("dsb", "sdsb", "tr", "fr", "dsbm", "sb-fbsde-alt", "sb-fbsde-joint", "lightsb", "flow")
SET_SIZE = 100_000
EVAL_SIZE = 2000
# What a method is trained with, unless the command line says otherwise.
DEFAULTS = {
    "gamma": "linear_0.01_0.2",
    "num_steps": 16,
    "rounds": 6,
    "iters": 1024,
    "batch_size": 512,
    "cache_size": 2048,
    "lr": 4e-3,
    "ema": 0.99,
    "variance": "reference",
}
PRESETS = {
    "dsb": {"rounds": 10, "lr": 8e-3},  # targets of single steps are noisier
    "sdsb": {"rounds": 10, "lr": 8e-3},
    "sb-fbsde-alt": {"gamma": "linear_0.005_0.1", "lr": 1e-3},
    # Few steps of few paths: trained longer, its policies turn against the error of finite N.
    "sb-fbsde-joint": {
        "gamma": "linear_0.005_0.08",
        "num_steps": 24,
        "rounds": 5,
        "iters": 100,
        "batch_size": 64,
        "lr": 2e-3,
    },
    "flow": {"rounds": 1, "iters": 2000, "lr": 2e-3},
    "lightsb": {"rounds": 1, "iters": 3000, "batch_size": 1024, "lr": 0.02},
}


def add_options(parser):
    """The options that bridges in the plane and between images share."""
    flag = argparse.BooleanOptionalAction
    parser.add_argument("--method", default="tr", choices=METHODS)
    parser.add_argument("--num_steps", type=int, help="N, even")
    parser.add_argument("--gamma", help="constant_G or linear_A_B; sigma^2 = 2 sum of the gammas")
    parser.add_argument("--reference", choices=("brownian", "ou", "flow"), default="brownian")
    parser.add_argument("--theta", type=float, default=1.0, help="pull of the OU reference")
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
    parser.add_argument("--ot", action=flag, default=True, help=pairing)
    parser.add_argument("--reinit", action="store_true", help="networks begin anew in every round")
    parser.add_argument("--init_from", type=Path, help="checkpoint of --method flow to start from")
    parser.add_argument("--skip_rounds", type=int, default=0, help="rounds that it stands for")
    parser.add_argument("--use_amp", action="store_true", help="bfloat16 where it is safe")
    parser.add_argument("--exp_name", help="name of the folder of the results")
    parser.add_argument("--resume", action="store_true", help="go on from last.ckpt")
    parser.add_argument("--overwrite", action="store_true", help="train anew over an old run")
    parser.add_argument("--save_every", type=float, default=60.0, help="seconds, to last.ckpt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="sde_todo.bridge", description="Schrödinger bridges between sets of points."
    )
    parser.add_argument("--prior", default="pinwheel", help="the source, such as moons")
    parser.add_argument("--dataset", default="checkerboard", help="the target, as checkerboard:8")
    parser.add_argument("--num_sample", type=int, default=2000, help="points in samples.npz")
    add_options(parser)
    return parser.parse_args(arguments)


def make_config(args, defaults):
    """The configuration of a run: the defaults of its method, changed by the command line.

    Raises:
        ValueError: a number that cannot be, in one sentence.
    """
    numbers = {k: v for k, v in defaults.items() if getattr(args, k, None) is None}
    numbers |= {k: getattr(args, k) for k in defaults if getattr(args, k, None) is not None}
    given = numbers | {"num_sample": args.num_sample}
    for name in ("rounds", "iters", "batch_size", "cache_size", "lr", "num_sample"):
        most = math.inf if name == "lr" else 10**9
        if not 0 < given[name] < most:
            raise ValueError(f"--{name} must be above 0 and below {most}, not {given[name]}.")
    for name, most in (("seed", 10**9), ("save_every", math.inf)):
        if not 0 <= getattr(args, name) <= most:
            raise ValueError(f"--{name} must be at least 0 and at most {most}.")
    if not 0 <= numbers["ema"] < 1:
        raise ValueError(f"--ema {numbers['ema']}: choose it in [0, 1).")
    if not 0 <= args.theta < math.inf:
        raise ValueError(f"--theta {args.theta}: the pull of the OU reference is at least 0.")
    config = numbers | {
        "method": args.method,
        "reference": args.reference,
        "theta": args.theta if args.reference == "ou" else 0.0,
        "published": args.published,
        "ot": args.ot,
        "reinit": args.reinit,
        "init_from": str(args.init_from) if args.init_from else "",
        "skip_rounds": args.skip_rounds,
        "use_amp": args.use_amp,
        "divergence": "exact",
        "clip": None,
        "seed": args.seed,
    }
    gamma_schedule(config["gamma"], config["num_steps"])
    check_rounds(config)
    return config | plan_caches(config, args)


def check_rounds(config):
    """Refuse to skip rounds that nothing stands for, or all of them."""
    skip = config["skip_rounds"]
    if skip and not config["init_from"]:
        raise ValueError("--skip_rounds needs a model that stands for them: give --init_from.")
    if not 0 <= skip < config["rounds"]:
        raise ValueError(f"--skip_rounds {skip}: choose from 0 to --rounds {config['rounds']} - 1.")


def plan_caches(config, args):
    """Sizes with which every cache is used whole: what the user left out adapts to what is given.

    Returns:
        dict of cache_size, refresh_every and iters.
    """
    B, M, N, iters = (config[k] for k in ("batch_size", "cache_size", "num_steps", "iters"))
    if config["method"] in ("flow", "lightsb", "sb-fbsde-joint"):
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


class PointSource:
    """Draws from a fixed set of points, as `BridgeRun` wants them."""

    def __init__(self, name, seed, device):
        self.points = make_points(name, SET_SIZE, seed).to(device)

    def __call__(self, rows, B, own, generator):
        """(rows, columns, 2): the columns `own` of rows x B draws."""
        where = {"generator": generator, "device": self.points.device}
        return self.points[torch.randint(len(self.points), (rows, B), **where)[:, own]]


def build_run(config, device, rank=0, world_size=1):
    """The run of a configuration, with new networks, or with those of config["init_from"]."""
    torch.manual_seed(config["seed"])
    nets = {n: VelocityNet(**config["network"], mirrored=n == "backward") for n in OTHER}
    if config["init_from"]:
        path = config["init_from"]
        start = read_checkpoint(path)
        if start["config"].get("method") != "flow" or "resolution" in start["config"]:
            raise ValueError(f"{path} is no flow in the plane; train one with --method flow.")
        for net in nets.values():
            put_weights(net, start["network"].get("forward"), path)
    seed = config["seed"]
    sources = {
        "forward": PointSource(config["prior"], 2 * seed, device),
        "backward": PointSource(config["dataset"], 2 * seed + 1, device),
    }
    return BridgeRun(config, nets, sources, device, rank, world_size)


def real_points(name, n, seed):
    """n points of a set that were drawn one by one, (n, 2).

    `make_points("moons", n)` has n/2 points on each moon. A sampler draws each point for itself,
    and would never come as close; a random part of a larger set is drawn as it draws.
    """
    points = make_points(name, 10 * n, seed)
    generator = torch.Generator().manual_seed(seed)
    return points[torch.randperm(len(points), generator=generator)[:n]]


class Judge:
    """EMD of carried points to real ones, at both ends, beside the floor of two real sets.

    Args:
        config: with prior, dataset and seed. sets: a figure is a mean over so many pairs of sets.
    """

    def __init__(self, config, sets=2):
        starts = {"forward": config["prior"], "backward": config["dataset"]}
        first = 50_000 + 100 * config["seed"]
        seeds = range(first, first + sets)
        self.source = {n: [real_points(starts[n], EVAL_SIZE, s) for s in seeds] for n in starts}
        ends = {n: starts[OTHER[n]] for n in starts}
        self.real = {n: [real_points(ends[n], EVAL_SIZE, 10 + s) for s in seeds] for n in ends}
        self.floor = {}
        for name, end in ends.items():
            fresh = [real_points(end, EVAL_SIZE, 20 + s) for s in range(first, first + 4)]
            self.floor[name] = mean_emd(self.real[name] * 4, fresh * sets)

    def __call__(self, run):
        """dict from direction to its EMD."""
        result = {}
        for name, sources in self.source.items():
            generator = torch.Generator(run.device).manual_seed(run.config["seed"])
            ends = [run.carry(name, x.to(run.device), generator)[-1] for x in sources]
            result[name] = mean_emd(ends, self.real[name])
        return result


def mean_emd(clouds, others):
    """Mean EMD over pairs of clouds."""
    values = [emd(a, b) for a, b in zip(clouds, others, strict=True)]
    return sum(values) / len(values)


class LightRun:
    """LightSB behind the functions of a `BridgeRun`: nothing is simulated in training."""

    def __init__(self, config, device):
        self.config, self.device, self.rank, self.step = config, device, 0, 0
        self.sources = {
            "forward": PointSource(config["prior"], 2 * config["seed"], device),
            "backward": PointSource(config["dataset"], 2 * config["seed"] + 1, device),
        }
        gammas = gamma_schedule(config["gamma"], config["num_steps"])
        self.chain = reference_chain(gammas)
        centres = self.sources["backward"].points[: config["components"]]
        self.model = LightSB(self.chain.sigma**2, len(centres), 2, centres).to(device)
        self.losses, self.history = [], []

    def train(self, folder, evaluate):
        """Fit the potential and save it."""
        config, points = self.config, [source.points for source in self.sources.values()]
        names = ("iters", "batch_size", "lr", "seed")
        self.losses = fit_light_sb(
            self.model, *points, *(config[n] for n in names), lambda r: tqdm(r, disable=None)
        )
        self.history = [{"round": 1} | evaluate(self)]
        network = {"forward": self.model.state_dict()}
        save_whole(folder / "last.ckpt", {"config": config, "network": network})
        return True

    @torch.no_grad()
    def carry(self, name, x, generator=None):
        """States (N + 1, B, 2) between x and a draw of the plan given x.

        The plan gives the target for a source. The way back weighs a pool of source points by
        exp(x.y / eps) / C(x), and draws among them.
        """

        def noise(x):
            return torch.randn(x.shape, generator=generator, device=x.device)

        if name == "forward":
            return draw_between(self.chain, x, self.model.sample(x, generator), noise)
        return draw_between(reverse_chain(self.chain), x, self.back(x, generator), noise)

    def back(self, y, generator, pool=5000):
        """(B, 2) draws of the source given the target."""
        x = self.sources["forward"].points[:pool]
        logits = y @ x.T / self.model.eps - self.model.log_weights(x).logsumexp(1)
        return x[torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]]


def main(arguments=None):
    """Command line."""
    with one_line_errors():
        args = parse(arguments)
        with processes(pick_device(args.device)) as (rank, world_size, device):
            work(args, device, rank, world_size)


def work(args, device, rank, world_size):
    """Train one process's part of a bridge, and show it; returns whether it came to the end."""
    torch.set_num_threads(1)  # layers this small are slower on several threads than on one
    folder = RESULTS / (
        args.exp_name or f"{args.prior}-{args.dataset}-{args.method}".replace(":", "")
    )
    config = make_config(args, DEFAULTS | PRESETS.get(args.method, {}))
    config |= {"prior": args.prior, "dataset": args.dataset, "components": 50}
    config["network"] = {"width": 96, "depth": 2}
    check_method(config, world_size)
    if args.resume:
        config = resumed_config(folder / "last.ckpt", config)
    else:
        refuse_to_overwrite(folder / "last.ckpt", args.overwrite)
    make_folder(folder)
    judge = Judge(config) if rank == 0 else None
    start = time.perf_counter()
    if config["method"] == "lightsb":
        run = LightRun(config, device)
        whole = run.train(folder, judge)
    else:
        run = build_run(config, device, rank, world_size)
        if args.resume:
            run.load(folder / "last.ckpt")
        whole = train(run, folder, judge, args.save_every)
    if rank == 0 and not whole:
        print(f"Stopped at step {run.step}; go on with the same command and --resume.")
    elif rank == 0:
        show(run, judge, folder, args.num_sample, time.perf_counter() - start)
    return whole


def check_method(config, world_size):
    """Refuse what a method cannot do."""
    method = config["method"]
    if method == "sb-fbsde-joint" and config["prior"] != "standard":
        raise ValueError("sb-fbsde-joint needs a prior with a density: use --prior standard.")
    if world_size > 1 and (method.startswith("sb-fbsde") or method == "lightsb"):
        raise ValueError(f"--method {method} runs in one process; start it without torchrun.")
    if config["batch_size"] % world_size:
        raise ValueError(
            f"A batch of {config['batch_size']} cannot be shared by {world_size} processes; use a "
            f"--batch_size that is a multiple of {world_size}."
        )
    if config["init_from"] and method in ("flow", "lightsb"):
        raise ValueError(f"--init_from starts a bridge; --method {method} has no use for it.")
    if config["reference"] == "ou" and method not in ("dsb", "sdsb", "tr", "fr", "dsbm"):
        raise ValueError(f"--reference ou is for dsb, sdsb, tr, fr and dsbm, not for {method}.")


def resumed_config(path, asked):
    """The configuration of a run that goes on; another than asked for is refused."""
    config = read_checkpoint(path)["config"]
    for name, value in asked.items():
        if config.get(name) != value:
            raise ValueError(
                f"The run in {path.parent} was started with {name} {config.get(name)!r}, not "
                f"{value!r}; give the same options with --resume, or choose another --exp_name."
            )
    return asked


@torch.no_grad()
def show(run, judge, folder, num_sample, seconds):
    """Write samples.npz, metrics.json and the pictures of a finished run."""
    config, states = run.config, {}
    for name, set_ in (("forward", config["prior"]), ("backward", config["dataset"])):
        generator = torch.Generator(run.device).manual_seed(config["seed"])
        x = make_points(set_, num_sample, 60_000 + config["seed"]).to(run.device)
        states[name] = run.carry(name, x, generator).cpu()
    forward, backward = states["forward"], states["backward"]
    ends = {"x0": forward[0], "x1_from_x0": forward[-1], "x1": backward[0]}
    write(folder / "samples.npz", npz(**ends, x0_from_x1=backward[-1]))
    report = {"config": config, "floor": judge.floor, "rounds": run.history, "seconds": seconds}
    write(folder / "metrics.json", json.dumps(report, indent=2) + "\n")
    for name, figure in bridge_plot.figures(states, run.history, judge.floor, config).items():
        write(folder / f"{name}.png", png(figure))
    bridge_plot.animate(states, folder / "trajectories.gif", config)
    last = run.history[-1]
    for name, floor in judge.floor.items():
        value = last[name]
        print(f"{name:<9} EMD {value:.3f}, floor {floor:.3f}: {value / floor:.2f} x the floor")
    print(f"{seconds:.0f} seconds. Pictures, samples.npz and metrics.json: {folder}")
