"""How near the samples of Task 1 come to the floor, and in what time: `python benchmarks/plane.py`.

Five tables: the recipes, the processes, the losses, what the marks refuse, and threads. Every
figure is a mean over seeds, each over ten fresh real sets of 10,000 Swiss-roll points (2,000 for
EMD, 4,000 for the energy distance), and stands beside the floor: the same figure for real points in
the place of samples. Writes results/plane.json.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch
from tqdm.auto import tqdm

from sde_todo import eval as judge
from sde_todo.dataset import make_points
from sde_todo.loss import DSMLoss, ISMLoss, SSMLoss
from sde_todo.mixture import matched_gaussian
from sde_todo.recipe import floor_recipe, plain_recipe
from sde_todo.sampling import Sampler
from sde_todo.sde import OU, VESDE, VPSDE, SubVPSDE

DATASET, TRAIN_SIZE = "swiss_roll", 100_000
METRICS = ("CD 100x100", "EMD 2000", "sliced W2", "CD", "energy")
MARKED = tuple(judge.MARKS)

# name: recipe, its options, and how its score is sampled
SDE = ("SDE", {"method": "euler_maruyama"}, 200)
ODE = ("ODE", {"method": "ode_heun", "rho": 2.0}, 25)
MULTISTEP = ("multistep", {"eps": 1e-6, "method": "multistep", "start": "moments"}, 15)
RECIPES = {"floor": (floor_recipe, {}, [MULTISTEP]), "plain": (plain_recipe, {}, [SDE, ODE])}

# VE starts from the moments of the data, because sigma_max = 12 is small; OU spends most of its
# ten units of time at pure noise, so its times are debiased and its grid is dense near the data.
LATE = {"method": "euler_maruyama", "rho": 3.0}, {"method": "ode_heun", "rho": 3.0}
WIDE = {"start": "moments"}, {"method": "ode_heun", "start": "moments"}
PROCESSES = {
    "OU": (
        {"sde": OU(N=200), "weight": "likelihood", "density": "debiased"},
        [("SDE", LATE[0], 200), ("ODE", LATE[1], 25)],
    ),
    "VP": ({"sde": VPSDE(N=200)}, [SDE, ODE]),
    "sub-VP": ({"sde": SubVPSDE(N=200)}, [SDE, ODE]),
    "VE": (
        {"sde": VESDE(N=200, sigma_min=0.02, sigma_max=12.0)},
        [("SDE", WIDE[0], 200), ("ODE", WIDE[1], 25)],
    ),
}

# Marks of the losses without a target: their gradient carries the noise of a divergence, and a
# network of the same size and steps ends further out. Between the worst reference run and the best
# fake that they must refuse (real points with noise .2: CD .040, CD 100x100 .140).
LOSS_MARKS = {"CD 100x100": 0.125, "sliced W2": 0.10, "CD": 0.03}
LOSSES = {"DSM": DSMLoss(), "ISM": ISMLoss(), "SSM": SSMLoss()}


def train(recipe, options, seed):
    """Run a recipe; return points, process, score and the seconds that it took."""
    points = make_points(DATASET, TRAIN_SIZE, seed)
    start = time.perf_counter()
    sde, score_fn = recipe(points, seed=seed, **options)
    return points, sde, score_fn, time.perf_counter() - start


def draw(points, sde, score_fn, sampler, N, seed):
    """10,000 samples and the number of evaluations that each took."""
    torch.manual_seed(1000 + seed)
    reverse = sde.reverse(score_fn)
    reverse.N = N
    out, ntot, _, _ = Sampler(**sampler).get_sampling_fn(reverse, points)(judge.MARK_SIZE)
    return out, ntot


def run(label, recipe, options, samplers, seeds, metrics):
    """Rows for one recipe, one for each way to sample it: dicts with a list of values a metric."""
    rows = [
        {"name": f"{label}, {name}", "values": {m: [] for m in metrics}} for name, *_ in samplers
    ]
    seconds = []
    for seed in tqdm(range(seeds), desc=label, disable=None, leave=False):
        points, sde, score_fn, taken = train(recipe, options, seed)
        seconds.append(taken)
        for row, (_, sampler, N) in zip(rows, samplers, strict=True):
            out, row["evaluations"] = draw(points, sde, score_fn, sampler, N, seed)
            for metric, value in judge.score(out, DATASET, metrics).items():
                row["values"][metric].append(value)
    return [row | {"seconds": seconds} for row in rows]


def print_table(title, rows, floor, marks):
    """Three lines a run: mean over seeds, spread over seeds, and ratio of the mean to the floor."""
    metrics = list(floor)
    print(f"\n{title}\n{'':<22}{cells(metrics)}   evals  seconds  marks")
    print(f"{'floor':<22}{cells(f'{floor[m]:.3g}' for m in metrics)}")
    for row in rows:
        means = {m: float(np.mean(row["values"][m])) for m in metrics}
        verdict = "pass" if all(means[m] <= mark for m, mark in marks.items()) else "FAIL"
        tail = f"{row['evaluations']:>8}{np.mean(row['seconds']):>9.1f}  {verdict}"
        print(f"{row['name']:<22}{cells(f'{means[m]:.3g}' for m in metrics)}{tail}")
        spread = (f"±{np.std(row['values'][m]):.1g}" for m in metrics)
        print(f"{'  over seeds':<22}{cells(spread)}")
        # The energy distance is unbiased: its floor is 0 up to noise, and a ratio says nothing.
        ratios = (f"{means[m] / floor[m]:.3g} x" if m != "energy" else "" for m in metrics)
        print(f"{'  over the floor':<22}{cells(ratios)}")


def cells(texts):
    """Texts in columns of one width."""
    return "".join(f"{text:>12}" for text in texts)


def recipes(seeds, floor):
    """Table 1: the recipes, with every metric."""
    rows = [r for name, (f, o, s) in RECIPES.items() for r in run(name, f, o, s, seeds, METRICS)]
    print_table(f"Recipes, {seeds} seeds", rows, floor, judge.MARKS)
    return rows


def processes(seeds, floor):
    """Table 2: denoising score matching under every process."""
    rows = [
        row
        for name, (options, samplers) in PROCESSES.items()
        for row in run(name, plain_recipe, options, samplers, seeds, MARKED)
    ]
    print_table(f"Processes, {seeds} seeds", rows, {m: floor[m] for m in MARKED}, judge.MARKS)
    return rows


def losses(seeds, floor):
    """Table 3: every loss under VP and under VE, against marks of their own."""
    rows = []
    for process in ("VP", "VE"):
        options, samplers = PROCESSES[process]
        for name, loss_fn in LOSSES.items():
            both = options | {"loss_fn": loss_fn}
            rows += run(f"{process}, {name}", plain_recipe, both, samplers, seeds, MARKED)
    print_table(f"Losses, {seeds} seeds", rows, {m: floor[m] for m in MARKED}, LOSS_MARKS)
    return rows


def forgeries():
    """Samples that are not honest good ones, and some that are, by name."""
    n = judge.MARK_SIZE
    real = make_points(DATASET, n, 5)
    z = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))

    def memorised(k):
        return real[torch.randint(k, (n,), generator=torch.Generator().manual_seed(1))]

    noisy = {f"real + noise {s:g}": real + s * z for s in (0.05, 0.1, 0.2, 0.3)}
    return {
        "real": real,
        **noisy,
        "100 memorised": memorised(100),
        "1000 memorised": memorised(1000),
        "shifted by .05": real + 0.05,
        "shifted by .1": real + 0.1,
        "scaled by 1.05": real * 1.05,
        "half a roll": torch.cat([real[real[:, 0] > 0]] * 3)[:n],
        "matched Gaussian": matched_gaussian(real).sample(n),
    }


def fakes(seeds, floor):
    """Table 4: forgeries against the marks of the course that this grew from, and ours."""
    rows = []
    print(f"\nForgeries against the marks\n{'':<22}{cells(METRICS)}  seed mark  ours")
    for name, samples in forgeries().items():
        values = judge.score(samples, DATASET, METRICS, sets=3)
        old = "pass" if values["CD 100x100"] <= judge.SEED_MARK["CD 100x100"] else "-"
        ours = "pass" if judge.passes(values) else "-"
        print(f"{name:<22}{cells(f'{values[m]:.3g}' for m in METRICS)}  {old:<11}{ours}")
        rows.append({"name": name, "values": values, "seed_mark": old, "ours": ours})
    return rows


def threads(seeds, floor):
    """Table 5: a training step on one thread, and on as many as `train_diffusion` chose."""
    rows, available = [], torch.get_num_threads()
    print(f"\nThreads: milliseconds a step on one, and as chosen out of {available}")
    for name, (recipe, options, _) in RECIPES.items():
        cost = {1: [], available: []}
        for count in 3 * (1, available):
            torch.set_num_threads(count)
            *_, taken = train(recipe, options | {"N_steps": 300}, 0)
            cost[count].append(taken * 1000 / 300)
        one, chosen = (float(np.median(cost[count])) for count in (1, available))
        print(f"{name:<22}{one:8.2f}{chosen:8.2f}   ratio {chosen / one:.2f}")
        rows.append({"name": name, "one": one, "chosen": chosen})
    torch.set_num_threads(available)
    return rows


PARTS = {f.__name__: f for f in (recipes, processes, losses, fakes, threads)}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated part names")
    parser.add_argument("--out", type=Path, default=Path("results/plane.json"))
    args = parser.parse_args()
    unknown = [part for part in args.parts.split(",") if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}")
    floor = judge.floor(DATASET, METRICS, sets=30)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    report = {"torch": torch.__version__, "seeds": args.seeds, "floor": floor}
    for part in args.parts.split(","):
        report[part] = PARTS[part](args.seeds, floor)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1))
    print(f"\nNumbers: {args.out}")


if __name__ == "__main__":
    main()
