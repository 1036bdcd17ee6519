"""The table of targets for Schrödinger bridges: every method on every pair, three seeds, medians.

    python benchmarks/bridges.py                      all of it, about two hours on one core
    python benchmarks/bridges.py --parts sets --methods tr fr --seeds 0
    python benchmarks/bridges.py --picture results/benchmarks/bridges.png

Each figure is shown with its floor: what real points (or exact draws) of the same number score.
What is done is kept in results/benchmarks/bridges.json and not done again; --fresh starts from
scratch. CPU time is that of training with its caches, on the process's own clock, on one thread.
"""

import argparse
import functools
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("COURSE", str(Path(__file__).resolve().parents[1] / "solutions"))

import torch
from tqdm import tqdm

from experiments.bridges.options import DEFAULTS, PRESETS, make_config
from experiments.bridges.plane import Judge, build_run, parse
from experiments.bridges.run import BridgeRun
from experiments.bridges.sides import OTHER
from given.bridges import figures as bridge_figures
from given.bridges import truth as truth
from given.bridges.plane_network import VelocityNet
from given.runtime.cli import file_path
from given.runtime.figures import png
from given.runtime.files import write
from sde_todo.light_sb import LightSB, fit_light_sb

OUT = Path("results/benchmarks/bridges.json")
IPF = ("dsb", "sdsb", "tr", "fr", "dsbm")
PAIRS = (("pinwheel", "checkerboard"), ("moons", "8gaussians"), ("swiss_roll", "checkerboard"))
# Ends of the Gaussian pair: neither is a multiple of the other, and they do not commute.
S0 = torch.tensor([[0.25, 0.0], [0.0, 1.6]], dtype=torch.float64)
S1 = torch.tensor([[1.721, -0.283], [-0.283, 0.779]], dtype=torch.float64)
EPS = (0.1, 1.0, 10.0)
FBSDE = {
    "sb-fbsde-alt": ("moons", "swiss_roll"),  # neither end has a density
    "sb-fbsde-joint": ("standard", "8gaussians"),
}
PARTS = ("sets", "gaussian", "mixtures", "fbsde")
CROWD = 100_000  # points for moments: of 10,000, two exact sets have a BW²-UVP of up to .07


class Cloud:
    """A source of `BridgeRun` from points that are given."""

    def __init__(self, points):
        self.points = points

    def __call__(self, rows, B, own, generator):
        """(rows, columns, D): the columns `own` of rows x B draws."""
        index = torch.randint(len(self.points), (rows, B), generator=generator)
        return self.points[index[:, own]]


def options(method, seed, *more):
    """A configuration by the command line's own way, and its prior and target."""
    args = parse(["--method", method, "--seed", str(seed), *map(str, more)])
    config = make_config(args, DEFAULTS | PRESETS.get(method, {}))
    config |= {"prior": args.prior, "dataset": args.dataset, "components": 50}
    return config | {"network": {"width": 96, "depth": 2}}


def trained(run, name, budget=float("inf")):
    """Train without a folder, to the end or until a round ends after `budget` CPU seconds.

    Returns:
        dict of CPU seconds and CPU milliseconds a step.
    """
    start, per_round = time.process_time(), 2 * run.iters
    steps = tqdm(run.train_steps(), name, run.rounds * per_round, leave=False, disable=None)
    for _ in steps:
        if run.step % per_round == 0 and time.process_time() - start > budget:
            break
    seconds = time.process_time() - start
    return {"cpu_seconds": seconds, "cpu_ms_per_step": 1000 * seconds / run.step}


@functools.cache
def judge_of(prior, dataset, seed, sets=4):
    """The `Judge` of a pair: its figures and floors are means over `sets` pairs of clouds."""
    return Judge({"prior": prior, "dataset": dataset, "seed": seed}, sets)


def sets_row(method, pair, seed):
    """EMD over its floor at both ends, n = 2000."""
    config = options(method, seed, "--prior", pair[0], "--dataset", pair[1])
    run = build_run(config, torch.device("cpu"))
    row = trained(run, f"{method} {pair}")
    judge = judge_of(*pair, seed)
    ends = judge(run)
    return (
        row
        | {f"emd_{n}": ends[n] for n in ends}
        | {f"ratio_{n}": ends[n] / judge.floor[n] for n in ends}
    )


def gaussian_row(method, seed):
    """Relative errors of covariance and coupling at both ends of a Gaussian pair, N = 100.

    What perfect fits leave is the error O(1/N) of the steps, and what a network leaves here is the
    sampling error of its trajectories: so many of them, through a network as small as will do.
    """
    steps = ("--num_steps", 100, "--gamma", "constant_0.005")
    sizes = ("--batch_size", 4096, "--cache_size", 16384)
    rates = ("--iters", 1200, "--rounds", 3, "--lr", 2e-3, "--ema", 0.998)
    config = options(method, seed, *steps, *sizes, *rates)
    exact = truth.GaussianBridge(torch.zeros(2), S0, torch.zeros(2), S1)
    x0, x1 = exact.sample_pairs(1_000_000, 10 + seed)
    torch.manual_seed(seed)
    small = {"width": 32, "features": 8, "bandwidth": 0.05}
    nets = {n: VelocityNet(**small, mirrored=n == "backward") for n in OTHER}
    run = BridgeRun(
        config, nets, {"forward": Cloud(x0), "backward": Cloud(x1)}, torch.device("cpu")
    )
    row = trained(run, f"{method} Gaussian")
    for name, x, S, C in (("forward", x0, S1, exact.C), ("backward", x1, S0, exact.C.T)):
        generator = torch.Generator().manual_seed(seed)
        states = run.carry(name, x[:CROWD], generator, last_noise=True)
        start, end = states[0].double(), states[-1].double()
        row[f"covariance_{name}"] = truth.relative_error(torch.cov(end.T).numpy(), S.numpy())
        joint = torch.cov(torch.cat([start, end], 1).T)[:2, 2:]
        row[f"coupling_{name}"] = truth.relative_error(joint.numpy(), C.numpy())
    return row


def mixture_row(method, eps, seed):
    """cBW²-UVP and BW²-UVP on a mixture pair whose plan is known, with the floor of exact draws."""
    pair = truth.MixturePair(eps)
    x0, x1 = pair.sample_source(100_000, 10 + seed), pair.sample_target(100_000, 20 + seed)
    generator = torch.Generator().manual_seed(seed)
    start = time.process_time()
    if method == "lightsb":
        torch.manual_seed(seed)
        model = LightSB(eps, 50, 2, x1[:50])
        fit_light_sb(model, x0, x1, steps=4000, batch_size=1024, lr=0.01, seed=seed)
        carry = lambda x: model.sample(x, generator)  # noqa: E731
    else:
        run = mixture_run(method, eps, seed, x0, x1)
        trained(run, f"{method} eps {eps}")
        carry = lambda x: run.carry("forward", x, generator)[-1]  # noqa: E731
    row = {"cpu_seconds": time.process_time() - start}
    row["cbw2"] = truth.cbw2_uvp(pair, carry, n_x=500, seed=seed)
    row["cbw2_floor"] = truth.cbw2_floor(pair, n_x=500, seed=seed)
    n = CROWD
    row["bw2"] = truth.bw2_uvp(
        carry(pair.sample_source(n, 30 + seed)), pair.sample_target(n, 40 + seed)
    )
    return row | {"bw2_floor": truth.bw2_floor(pair, n, seed)}


def mixture_run(method, eps, seed, x0, x1):
    """A bridge for a mixture pair.

    It starts from pairs by transport, which are closer to the plan than independent ones, and its
    steps are short at both ends: where the noise is small, the plan parts neighbours at once.
    """
    N = 50 if eps < 1 else 32
    gamma = eps / 2 / N
    steps = ("--num_steps", N, "--gamma", f"linear_{0.2 * gamma}_{1.8 * gamma}")
    config = options(method, seed, *steps, "--iters", 3200, "--rounds", 3)
    torch.manual_seed(seed)
    nets = {n: VelocityNet(scale=5.0, mirrored=n == "backward") for n in OTHER}
    sources = {"forward": Cloud(x0), "backward": Cloud(x1)}
    return BridgeRun(config, nets, sources, torch.device("cpu"))


def picture(path, pair=PAIRS[0], seconds=40.0, seed=0):
    """Four methods side by side after the same CPU time, with EMD and floor above each panel."""
    states, notes = {}, {}
    for method in ("dsb", "sdsb", "tr", "fr"):
        config = options(method, seed, "--prior", pair[0], "--dataset", pair[1], "--rounds", 40)
        run = build_run(config, torch.device("cpu"))
        spent = trained(run, method, seconds)["cpu_seconds"]
        judge = judge_of(*pair, seed)
        ends = judge(run)
        states[method], notes[method] = {}, {}
        for name, sources in judge.source.items():
            states[method][name] = run.carry(name, sources[0], torch.Generator().manual_seed(seed))
            ratio = ends[name] / judge.floor[name]
            notes[method][name] = f"EMD {ends[name]:.2f}, {ratio:.2f} x floor"
        print(f"{method}: {spent:.0f} CPU seconds, {run.step} steps, {notes[method]}", flush=True)
    real = {name: sets[0] for name, sets in judge.real.items()}
    title = f"{pair[0]} → {pair[1]} (above) and back (below), {seconds:.0f} CPU seconds each"
    write(path, png(bridge_figures.compare(states, notes, real, title)))
    print(f"Picture: {path}")


def jobs(args):
    """dict from name to a function that gives its row."""
    result = {}
    for seed in args.seeds:
        for method in args.methods or IPF:
            if method in IPF and "sets" in args.parts:
                for pair in PAIRS:
                    key = f"sets {method} {pair[0]}-{pair[1]} {seed}"
                    result[key] = lambda m=method, p=pair, s=seed: sets_row(m, p, s)
            if method in IPF and "gaussian" in args.parts:
                key = f"gaussian {method} {seed}"
                result[key] = lambda m=method, s=seed: gaussian_row(m, s)
        for method in ("lightsb", "dsbm"):
            for eps in EPS if "mixtures" in args.parts else ():
                key = f"mixtures {method} {eps:g} {seed}"
                result[key] = lambda m=method, e=eps, s=seed: mixture_row(m, e, s)
        if "fbsde" in args.parts:
            for method, pair in FBSDE.items():
                key = f"fbsde {method} {pair[0]}-{pair[1]} {seed}"
                result[key] = lambda m=method, p=pair, s=seed: sets_row(m, p, s)
    return result


def table(rows):
    """Medians over the seeds, a line for each method and pair."""
    groups = {}
    for key, row in rows.items():
        groups.setdefault(key.rpartition(" ")[0], []).append(row)
    lines = []
    for name, each in sorted(groups.items()):
        cells = [f"{k} {statistics.median(r[k] for r in each):.3g}" for k in each[0]]
        lines.append(f"{name:<40} seeds {len(each)}: " + ", ".join(cells))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--methods", nargs="+", choices=IPF, help="of the parts sets and gaussian")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--picture", type=file_path, help="only draw four methods side by side here"
    )
    parser.add_argument("--fresh", action="store_true", help="do again what is done")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.picture:
        picture(args.picture)
        return
    OUT.parent.mkdir(parents=True, exist_ok=True)
    if args.fresh:
        OUT.unlink(missing_ok=True)
    for name, job in jobs(args).items():
        if name not in done():
            row = job()
            write(OUT, json.dumps(done() | {name: row}, indent=2) + "\n")  # two may run at once
            print(table({name: row}), flush=True)
    print(table(done()))


def done():
    """dict from name to row of what was measured already."""
    return json.loads(OUT.read_text()) if OUT.exists() else {}


if __name__ == "__main__":
    main()
