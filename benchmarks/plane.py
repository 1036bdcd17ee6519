"""How near the samples of Task 1 come to the floor, and in what time: `python benchmarks/plane.py`.

Five parts: the recipes, the processes, the losses, what the marks refuse, and threads. Every figure
is a mean over seeds; each seed is scored against ten fresh real sets of 10,000 Swiss-roll points
(the first 2,000 for EMD, the first 4,000 for the energy distance). It is shown with its floor, the
same figure for real points instead of the samples. Writes results/plane.json.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch
from tqdm.auto import tqdm

from given.plane import metrics as judge
from given.plane.mixture import matched_gaussian
from given.plane.point_sets import make_points
from given.runtime.cli import file_path, one_line_errors
from sde_todo import recipe as recipe_module
from sde_todo.loss import DSMLoss, ISMLoss, SSMLoss
from sde_todo.recipe import floor_recipe, plain_recipe
from sde_todo.sampling import Sampler
from sde_todo.sde import OU, VESDE, VPSDE, SubVPSDE

ROOT = Path(__file__).resolve().parents[1]
DATASET, TRAIN_SIZE = "swiss_roll", 200_000
CHUNK = 2000  # points sampled together: few enough that a layer's output stays in the cache
METRICS = ("CD 100x100", "EMD 2000", "sliced W2", "CD", "energy")
MARKED = tuple(judge.MARKS)
REAL_SEED = 40_000  # of the real sets, far from those of training and of the floor

# Ways to sample: label, options of `Sampler`, steps.
SDE = ("SDE", {"method": "euler_maruyama"}, 200)
ODE = ("ODE", {"method": "ode_heun", "rho": 2.0}, 25)
MULTISTEP = ("multistep", {"eps": 1e-6, "method": "multistep", "start": "moments"}, 15)

# Part 1. Name: recipe, its options, ways to sample.
RECIPES = {"floor": (floor_recipe, {}, [MULTISTEP]), "plain": (plain_recipe, {}, [SDE, ODE])}

# Part 2, options of `plain_recipe`. VP and sub-VP need nothing. VE ends at sigma_max = 12, six
# deviations of the data: the ODE, which forgets nothing, must start from their moments. OU rests at
# pure noise for most of its time: times are drawn evenly in log noise, every noise level counts the
# same, and the sampler's grid is dense near the data; T = 5 leaves a mean of .08 x_0, see VE.
PROCESSES = {
    "VP": ({"sde": VPSDE()}, [SDE, ODE]),
    "sub-VP": ({"sde": SubVPSDE()}, [SDE, ODE]),
    "VE": (
        {"sde": VESDE(sigma_min=0.02, sigma_max=12.0)},
        [
            ("SDE", {"start": "moments"}, 200),
            ("ODE", {"method": "ode_heun", "start": "moments"}, 25),
        ],
    ),
    "OU": (
        {"sde": OU(T=5.0), "weight": "likelihood", "density": "debiased"},
        [
            ("SDE", {"rho": 3.0, "start": "moments"}, 200),
            ("ODE", {"method": "ode_heun", "rho": 3.0, "start": "moments"}, 25),
        ],
    ),
}

# Part 3. A divergence makes gradients noisy: half the learning rate. The fresh noise of the SDE
# forgives errors of the score, which the ODE keeps.
# Their own marks lie between the worst reference run and real points with noise .2, which are
# refused: CD 100x100 .14, CD .04.
LOSSES = {
    "DSM": {"loss_fn": DSMLoss()},
    "ISM": {"loss_fn": ISMLoss(), "lr": 4e-3},
    "SSM": {"loss_fn": SSMLoss(), "lr": 4e-3},
}
LOSS_PROCESSES = ("VP", "VE")
LOSS_MARKS = {"CD 100x100": 0.125, "sliced W2": 0.10, "CD": 0.03}


@contextlib.contextmanager
def watched():
    """Yield a dict that learns milliseconds a step and threads from the training run inside."""
    seen = {}
    train_diffusion = recipe_module.train_diffusion

    def train(dataloader, step_fn, N_steps, **options):
        def step(batch):
            seen["threads"] = torch.get_num_threads()
            return step_fn(batch)

        step.parts = step_fn.parts
        start = time.perf_counter()
        losses = train_diffusion(dataloader, step, N_steps, **options)
        seen["ms_a_step"] = 1e3 * (time.perf_counter() - start) / N_steps
        return losses

    with mock.patch.object(recipe_module, "train_diffusion", train):
        yield seen


def train(recipe, options, seed):
    """Run a recipe; return points, process, score and what the training cost."""
    points = make_points(DATASET, TRAIN_SIZE, seed)
    start = time.perf_counter()
    with watched() as cost:
        sde, score_fn = recipe(points, seed=seed, **options)
    return points, sde, score_fn, cost | {"seconds": time.perf_counter() - start}


def draw(points, sde, score_fn, way):
    """10,000 samples, and the number of evaluations that each took."""
    _, options, N = way
    reverse = sde.reverse(score_fn)
    reverse.N = N
    sampling_fn = Sampler(**options).get_sampling_fn(reverse, points)
    chunks = [sampling_fn(CHUNK)[:2] for _ in range(judge.MARK_SIZE // CHUNK)]
    return torch.cat([out for out, _ in chunks]), chunks[0][1]


def score_draws(points, sde, score_fn, way, seed, metrics, draws):
    """Metrics of several draws, averaged: each meets its share of the seed's ten real sets."""
    torch.manual_seed(1000 + seed)
    share = judge.SETS // draws
    values = []
    for k in range(draws):
        samples, evaluations = draw(points, sde, score_fn, way)
        first = REAL_SEED + judge.SETS * seed + share * k
        values.append(judge.score(samples, DATASET, metrics, share, first))
    return {m: float(np.mean([value[m] for value in values])) for m in metrics}, evaluations


def run(name, recipe, options, ways, args, metrics=MARKED, draws=2):
    """Train once a seed, sample in every way; return a row (a dict) for each way."""
    rows = [
        {"name": f"{name}, {way[0]}", "values": {m: [] for m in metrics}, "training": []}
        for way in ways
    ]
    for seed in tqdm(range(args.seeds), desc=name, disable=None, leave=False):
        *trained, cost = train(recipe, options, seed)
        for row, way in zip(rows, ways, strict=True):
            values, row["evaluations"] = score_draws(*trained, way, seed, metrics, draws)
            row["training"].append(cost)
            for metric, value in values.items():
                row["values"][metric].append(value)
    return rows


def measure_floor(pairs):
    """For every metric its values for pairs of real sets."""
    values = {metric: [] for metric in METRICS}
    for i in tqdm(range(pairs), desc="floor", disable=None, leave=False):
        one = judge.floor(DATASET, METRICS, sets=1, seed=20_000 + i)
        for metric in METRICS:
            values[metric].append(one[metric])
    return values


def mean_error(values):
    """Mean and its standard error; the latter is NaN for a single value."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return float(np.mean(values)), float(error)


def ratio_to_floor(values, floor):
    """Ratio of the means with its standard error, as text; energy has a floor of 0 and no ratio."""
    (mean, error), (base, base_error) = mean_error(values), mean_error(floor)
    if abs(base) < 3 * base_error:
        return "floor is 0"
    ratio = mean / base
    error = ratio * np.hypot(error / mean, base_error / base)
    return f"{ratio:.3f} ± {error:.3f}" if ratio < 100 else f"{ratio:.0f}"


def passed(row, marks):
    """How many seeds meet all marks, as text such as 5/5."""
    seeds = range(len(row["training"]))
    met = [all(row["values"][m][seed] <= mark for m, mark in marks.items()) for seed in seeds]
    return f"{sum(met)}/{len(met)}"


def print_table(title, header, lines):
    """Print rows of texts in aligned columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    print(f"\n{title}")
    for line in (header, *lines):
        first, *others = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join([first.strip().ljust(widths[0]), *others]))


def print_values(title, rows, floor):
    """A line a row and metric: mean, spread over seeds, worst seed, floor, ratio."""
    lines = []
    for row in rows:
        for metric, values in row["values"].items():
            base, error = mean_error(floor[metric])
            numbers = (np.mean(values), np.std(values), max(values))
            texts = [f"{number:.3g}" for number in numbers]
            base = f"{base:.3g} ± {error:.1g}"  # standard errors, here and of the ratio
            lines.append((row["name"], metric, *texts, base, ratio_to_floor(values, floor[metric])))
    print_table(title, ("", "metric", "mean", "spread", "worst", "floor", "ratio"), lines)


def print_costs(rows, marks=judge.MARKS):
    """A line a row: what training and sampling cost, and how many seeds pass."""
    lines = []
    for row in rows:
        cost = {k: np.median([c[k] for c in row["training"]]) for k in row["training"][0]}
        verdicts = passed(row, marks), passed(row, judge.SEED_MARK)
        texts = [f"{cost['seconds']:.1f}", f"{cost['ms_a_step']:.2f}", f"{cost['threads']:.0f}"]
        lines.append((row["name"], *texts, str(row["evaluations"]), *verdicts))
    header = ("", "train s", "ms a step", "threads", "evaluations", "marks", "seed course's mark")
    text = ", ".join(f"{metric} <= {mark:g}" for metric, mark in marks.items())
    print_table(f"Cost (medians) and seeds that pass. Marks: {text}", header, lines)


def recipes(args, floor):
    """Part 1: the recipes, with every metric."""
    rows = []
    for name, (recipe, options, ways) in RECIPES.items():
        rows += run(name, recipe, options, ways, args, METRICS, draws=5)
    print_values(f"Recipes, {args.seeds} seeds of five draws each", rows, floor)
    print_costs(rows)
    return rows


def processes(args, floor):
    """Part 2: denoising score matching by the plain recipe under every process."""
    rows = []
    for name, (options, ways) in PROCESSES.items():
        rows += run(name, plain_recipe, options, ways, args)
    print_values(f"Processes, {args.seeds} seeds of two draws each", rows, floor)
    print_costs(rows)
    return rows


def losses(args, floor):
    """Part 3: the plain recipe with every loss, against the marks of the losses."""
    rows = []
    for process in LOSS_PROCESSES:
        options, ways = PROCESSES[process]
        for name, loss in LOSSES.items():
            rows += run(f"{name}, {process}", plain_recipe, options | loss, ways, args)
    print_values(f"Losses, {args.seeds} seeds of two draws each", rows, floor)
    print_costs(rows, LOSS_MARKS)
    return rows


def forgeries(seed):
    """Samples that are not honest good ones, and real ones, by name."""
    n = judge.MARK_SIZE
    generator = torch.Generator().manual_seed(seed)
    real = make_points(DATASET, n, 50_000 + seed)
    z = torch.randn(n, 2, generator=generator)
    stray = torch.rand(n, 1, generator=generator) < 0.05
    memorised = {
        f"{k} memorised": real[torch.randint(k, (n,), generator=generator)] for k in (100, 1000)
    }
    return {
        "real": real,
        **{f"noise {s:g}": real + s * z for s in (0.02, 0.05, 0.1, 0.2, 0.3)},
        **memorised,
        "shift .05, .05": real + 0.05,
        "shift .1, .1": real + 0.1,
        "scaled by 1.05": real * 1.05,
        "5% stray": torch.where(stray, 2 * z, real),
        "half a roll": torch.cat([real[real[:, 0] > 0]] * 3)[:n],
        "matched Gaussian": matched_gaussian(real).sample(n, seed),
    }


def fakes(args, floor):
    """Part 4: what the marks let pass, ours and the seed course's."""
    rows = {}
    for seed in tqdm(range(args.seeds), desc="fakes", disable=None, leave=False):
        for name, samples in forgeries(seed).items():
            row = rows.setdefault(name, {"name": name, "values": {m: [] for m in METRICS}})
            values = judge.score(samples, DATASET, METRICS, 2, REAL_SEED + 2 * seed)
            for metric, value in values.items():
                row["values"][metric].append(value)
    lines = []
    for row in rows.values():
        row["training"] = [None] * args.seeds
        verdicts = passed(row, judge.MARKS), passed(row, judge.SEED_MARK)
        means = [f"{np.mean(row['values'][m]):.3g}" for m in METRICS]
        lines.append((row["name"], *means, *verdicts))
    header = ("", *METRICS, "marks", "seed course's")
    print_table(f"Fakes: means over {args.seeds} sets, and how many pass", header, lines)
    return [{k: row[k] for k in ("name", "values")} for row in rows.values()]


def threads(args, floor):
    """Part 5: a training step on one thread, and on what `train_diffusion` chose."""
    available = torch.get_num_threads()
    rows, lines = [], []
    for name, (recipe, options, _) in RECIPES.items():
        costs = {1: [], available: []}
        for count in 3 * (1, available):
            torch.set_num_threads(count)
            costs[count].append(train(recipe, options | {"N_steps": 300}, 0)[-1])
        one, free = (np.median([c["ms_a_step"] for c in costs[n]]) for n in (1, available))
        chosen = [c["threads"] for c in costs[available]]
        rows.append({"name": name, "one_ms": one, "free_ms": free, "chosen": chosen})
        lines.append((name, f"{one:.2f}", f"{free:.2f}", f"{free / one:.2f}", str(chosen)))
    torch.set_num_threads(available)
    header = ("", "one thread", f"{available} allowed", "ratio", "chosen in three runs")
    print_table("Milliseconds a step over 300 steps, the choice of threads included", header, lines)
    return rows


PARTS = {part.__name__: part for part in (recipes, processes, losses, fakes, threads)}


def options():
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated names of parts")
    parser.add_argument("--quick", action="store_true", help="one seed, five pairs for the floor")
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice by default")
    parser.add_argument("--out", type=file_path, default=ROOT / "results" / "plane.json")
    args = parser.parse_args()
    args.parts = args.parts.split(",")
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"unknown part {unknown.pop()!r}; known: {', '.join(PARTS)}")
    if args.seeds < 1:
        parser.error("--seeds must be at least 1")
    if args.quick:
        args.seeds = 1
    return args


def main():
    """Run the parts that were asked for; parts of an earlier file are kept."""
    args = options()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    report = json.loads(args.out.read_text()) if args.out.exists() else {}
    pairs = 5 if args.quick else 40
    floor = measure_floor(pairs) if set(args.parts) - {"fakes", "threads"} else {}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads allowed")
    report |= {"torch": torch.__version__, "marks": judge.MARKS, "loss_marks": LOSS_MARKS}
    report |= {"seed_course_mark": judge.SEED_MARK} | ({"floor": floor} if floor else {})
    for part in args.parts:
        rows = PARTS[part](args, floor)
        report[part] = {"seeds": args.seeds, "load": os.getloadavg()[0], "rows": rows}
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nNumbers: {args.out}")


if __name__ == "__main__":
    try:
        with one_line_errors():
            main()
    except KeyboardInterrupt:
        sys.exit("Stopped before the end.")
