"""Bridges in the plane from the command line: `python -m sde_todo bridge`.

    python -m sde_todo bridge --prior pinwheel --dataset checkerboard --method tr
    python -m sde_todo bridge --prior moons --dataset swiss_roll --method flow --exp_name start
    python -m sde_todo bridge --prior moons --dataset swiss_roll --method dsb \\
        --init_from results/bridge/start/last.ckpt --skip_rounds 1

Stop it with Ctrl-C and go on with the same command and --resume.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from experiments.bridges.options import (
    DEFAULTS,
    PRESETS,
    add_options,
    check_method,
    make_config,
    resumed_config,
)
from experiments.bridges.run import BridgeRun, train
from experiments.bridges.sides import OTHER
from given.bridges import figures as bridge_figures
from given.bridges.plane_network import VelocityNet
from given.plane.metrics import emd
from given.plane.point_sets import make_points
from given.runtime.checkpoint import load_weights, read_checkpoint, refuse_to_overwrite, save_whole
from given.runtime.figures import png
from given.runtime.files import make_folder, npz, write
from given.runtime.machine import pick_device, processes
from sde_todo.bridge import draw_between, gamma_schedule, reference_chain, reverse_chain
from sde_todo.light_sb import LightSB, fit_light_sb

RESULTS = Path("results/bridge")
SET_SIZE = 100_000
EVAL_SIZE = 2000


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Schrödinger bridges between sets of points.")
    parser.add_argument("--prior", default="pinwheel", help="the source, such as moons")
    parser.add_argument("--dataset", default="checkerboard", help="the target, as checkerboard:8")
    parser.add_argument("--num_samples", type=int, default=2000, help="points in samples.npz")
    add_options(parser)
    return parser.parse_args(arguments)


class PointSource:
    """Draws from a fixed set of points, as `BridgeRun` wants them."""

    def __init__(self, name: str, seed: int, device: torch.device) -> None:
        """Make SET_SIZE points of a set, such as "moons"."""
        self.points = make_points(name, SET_SIZE, seed).to(device)

    def __call__(self, rows: int, B: int, own: slice, generator: torch.Generator) -> Tensor:
        """(rows, columns, 2): the columns `own` of rows x B draws."""
        where: dict = {"generator": generator, "device": self.points.device}
        return self.points[torch.randint(len(self.points), (rows, B), **where)[:, own]]


def build_run(config: dict, device: torch.device, rank: int = 0, world_size: int = 1) -> BridgeRun:
    """The run of a configuration, with new networks, or with those of config["init_from"]."""
    torch.manual_seed(config["seed"])
    nets = {n: VelocityNet(**config["network"], mirrored=n == "backward") for n in OTHER}
    if config["init_from"]:
        path = config["init_from"]
        start = read_checkpoint(path)
        if start["config"].get("method") != "flow" or "resolution" in start["config"]:
            raise ValueError(f"{path} is no flow in the plane; train one with --method flow.")
        for net in nets.values():
            load_weights(net, start["network"].get("forward"), path)
    seed = config["seed"]
    sources = {
        "forward": PointSource(config["prior"], 2 * seed, device),
        "backward": PointSource(config["dataset"], 2 * seed + 1, device),
    }
    return BridgeRun(config, nets, sources, device, rank, world_size)


class Judge:
    """EMD of carried points to real ones, at both ends, beside the floor of two real sets."""

    def __init__(self, config: dict, sets: int = 2) -> None:
        """Draw the points to carry, and the real ones.

        Args:
            config: with prior, dataset and seed.
            sets: a figure is a mean over so many pairs of sets.
        """
        starts = {"forward": config["prior"], "backward": config["dataset"]}
        first = 50_000 + 100 * config["seed"]
        seeds = range(first, first + sets)
        self.source = {n: [make_points(starts[n], EVAL_SIZE, s) for s in seeds] for n in starts}
        ends = {n: starts[OTHER[n]] for n in starts}
        self.real = {n: [make_points(ends[n], EVAL_SIZE, 10 + s) for s in seeds] for n in ends}
        self.floor = {}
        for name, end in ends.items():
            fresh = [make_points(end, EVAL_SIZE, 20 + s) for s in range(first, first + 4)]
            real = itertools.islice(itertools.cycle(self.real[name]), len(fresh))
            self.floor[name] = mean_emd(list(real), fresh)

    def __call__(self, run: Any) -> dict[str, float]:
        """The EMD of each direction; run: a BridgeRun or a LightRun."""
        result = {}
        for name, sources in self.source.items():
            generator = torch.Generator(run.device).manual_seed(run.config["seed"])
            ends = [run.carry(name, x.to(run.device), generator)[-1] for x in sources]
            result[name] = mean_emd(ends, self.real[name])
        return result


def mean_emd(clouds: list[Tensor], others: list[Tensor]) -> float:
    """Mean EMD over pairs of clouds."""
    values = [emd(a, b) for a, b in zip(clouds, others, strict=True)]
    return sum(values) / len(values)


class LightRun:
    """LightSB with the functions of a `BridgeRun`: nothing is simulated in training."""

    def __init__(self, config: dict, device: torch.device) -> None:
        """Build the model, its components at points of the target."""
        self.config, self.device = config, device
        self.sources = {
            "forward": PointSource(config["prior"], 2 * config["seed"], device),
            "backward": PointSource(config["dataset"], 2 * config["seed"] + 1, device),
        }
        gammas = gamma_schedule(config["gamma"], config["num_steps"])
        self.chain = reference_chain(gammas)
        centres = self.sources["backward"].points[: config["components"]]
        self.model = LightSB(self.chain.sigma**2, len(centres), 2, centres).to(device)
        self.losses: list[float] = []
        self.history: list[dict] = []

    def train(self, folder: Path, evaluate: Callable) -> bool:
        """Fit the potential and save it."""
        config = self.config
        self.losses = fit_light_sb(
            self.model,
            self.sources["forward"].points,
            self.sources["backward"].points,
            config["iters"],
            config["batch_size"],
            config["lr"],
            config["seed"],
            lambda steps: tqdm(steps, disable=None),
        )
        self.history = [{"round": 1} | evaluate(self)]
        network = {"forward": self.model.state_dict()}
        save_whole(folder / "last.ckpt", {"config": config, "network": network})
        return True

    @torch.no_grad()
    def carry(self, name: str, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """States (N + 1, B, 2) between x and a draw of the plan given x.

        The plan gives the target for a source. The way back weighs a pool of source points by
        exp(x.y / eps) / C(x), and draws among them.
        """

        def noise(x):
            return torch.randn(x.shape, generator=generator, device=x.device)

        if name == "forward":
            return draw_between(self.chain, x, self.model.sample(x, generator), noise)
        return draw_between(reverse_chain(self.chain), x, self.back(x, generator), noise)

    def back(self, y: Tensor, generator: torch.Generator | None, pool: int = 5000) -> Tensor:
        """(B, 2) draws of the source given the target."""
        x = self.sources["forward"].points[:pool]
        logits = y @ x.T / self.model.eps - self.model.log_weights(x).logsumexp(1)
        return x[torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]]


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    args = parse(arguments)
    with processes(pick_device(args.device)) as (rank, world_size, device):
        work(args, device, rank, world_size)


def work(args: argparse.Namespace, device: torch.device, rank: int, world_size: int) -> bool:
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
    judge: Any = Judge(config) if rank == 0 else None
    start = time.perf_counter()
    run: LightRun | BridgeRun
    if config["method"] == "lightsb":
        run = LightRun(config, device)
        whole = run.train(folder, judge)
    else:
        run = build_run(config, device, rank, world_size)
        if args.resume:
            run.load(folder / "last.ckpt")
        whole = train(run, folder, judge, args.save_every)
    if rank == 0 and whole:
        show(run, judge, folder, args.num_samples, time.perf_counter() - start)
    return whole


@torch.no_grad()
def show(run: Any, judge: Judge, folder: Path, num_samples: int, seconds: float) -> None:
    """Write samples.npz, metrics.json and the pictures of a finished run."""
    config, states = run.config, {}
    for name, set_ in (("forward", config["prior"]), ("backward", config["dataset"])):
        generator = torch.Generator(run.device).manual_seed(config["seed"])
        x = make_points(set_, num_samples, 60_000 + config["seed"]).to(run.device)
        states[name] = run.carry(name, x, generator).cpu()
    forward, backward = states["forward"], states["backward"]
    ends = {"x0": forward[0], "x1_from_x0": forward[-1], "x1": backward[0]}
    write(folder / "samples.npz", npz(**ends, x0_from_x1=backward[-1]))
    report = {"config": config, "floor": judge.floor, "rounds": run.history, "seconds": seconds}
    write(folder / "metrics.json", json.dumps(report, indent=2) + "\n")
    times = chain_times(config)
    figures = bridge_figures.figures(states, run.history, judge.floor, config, times)
    for name, figure in figures.items():
        write(folder / f"{name}.png", png(figure))
    bridge_figures.animate(states, folder / "trajectories.gif", config, times)
    last = run.history[-1]
    for name, floor in judge.floor.items():
        value = last[name]
        print(f"{name:<9} EMD {value:.3f}, floor {floor:.3f}: {value / floor:.2f} x the floor")
    print(f"{seconds:.0f} seconds. Pictures, samples.npz and metrics.json: {folder}")


def chain_times(config: dict) -> np.ndarray | None:
    """(N + 1,) times of the states of a forward chain, 0 to 1; None where they are even."""
    if config["method"] == "flow":
        return None
    gammas = gamma_schedule(config["gamma"], config["num_steps"])
    return np.append(0, (gammas.cumsum(0) / gammas.sum()).cpu().numpy())
