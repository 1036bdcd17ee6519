"""Task 1 from end to end on the Swiss roll: `python -m sde_todo demo`.

Trains both recipes, samples by SDE, by ODE and by the multistep solver, scores 10,000 samples of
each beside the floor of two real sets, and writes metrics.json, swiss_roll.npz and index.html, a
page that needs nothing but itself.
"""

import argparse
import html
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from given.levels import Process, ScoreFn
from given.plane import figures
from given.plane import metrics as judge
from given.plane.point_sets import make_points
from given.runtime.cli import file_path, whole
from given.runtime.files import make_folder, npz, write
from given.runtime.machine import pick_device
from given.runtime.page import LivePage
from given.runtime.todo import optional
from sde_todo.loss import DSMLoss
from sde_todo.recipe import floor_recipe, plain_recipe
from sde_todo.sampling import Sampler

DATASET = "swiss_roll"
TRAIN_SIZE = 100_000
CHUNK = 2000  # points sampled together: few enough that a layer's output stays in the cache
REFERENCE_SEED = 30_000  # far from the seeds of training and of `judge`


def train_plain(points: Tensor, seed: int) -> dict[str, Any]:
    """Train the plain recipe.

    Returns:
        dict of what `training_sections` shows: sde, score_fn, losses and a few points.
    """
    loss_fn = figures.Recorded(DSMLoss())
    sde, score_fn = plain_recipe(points, loss_fn=loss_fn, seed=seed)
    return {"sde": sde, "score_fn": score_fn, "losses": loss_fn.losses, "points": points[:2000]}


def run_plain(sde: Process, score_fn: ScoreFn, points: Tensor, seed: int) -> list[dict[str, Any]]:
    """Sample the plain recipe by SDE and by ODE: a list of runs, see `draw`."""
    heun = Sampler(method="ode_heun", rho=2.0)
    return [
        draw("SDE: Euler-Maruyama", sde, score_fn, Sampler(), points, seed),
        draw("ODE: Heun", sde, score_fn, heun, points, seed, 25),
    ]


def run_floor(points: Tensor, seed: int) -> list[dict[str, Any]]:
    """Train the floor recipe and sample it by the multistep solver; [] where a TODO is open."""
    runs = []
    with optional():
        sde, score_fn = floor_recipe(points, seed=seed)
        sampler = Sampler(1e-6, "multistep", start="moments")
        runs.append(draw("Floor recipe: multistep", sde, score_fn, sampler, points, seed))
    return runs


def draw(
    name: str,
    sde: Process,
    score_fn: ScoreFn,
    sampler: Any,
    points: Tensor,
    seed: int,
    N: int | None = None,
) -> dict[str, Any]:
    """Draw as many samples as the marks want, and score them.

    Args:
        name: of the run.
        sampler: a `Sampler`.
        N: number of steps; that of `sde` by default.

    Returns:
        dict with name, samples (10000, 2), evaluations, seconds, values (of `judge.score`),
        timesteps and x_traj (of the first 2,000 samples).
    """
    torch.manual_seed(seed)
    reverse = sde.reverse(score_fn)
    reverse.N = N or sde.N
    sampling_fn = sampler.get_sampling_fn(reverse, points)
    start = time.perf_counter()
    chunks = [sampling_fn(CHUNK) for _ in range(judge.MARK_SIZE // CHUNK)]
    seconds = time.perf_counter() - start
    _, evaluations, timesteps, x_traj = chunks[0]
    samples = torch.cat([out for out, *_ in chunks])
    return {
        "name": name,
        "samples": samples,
        "evaluations": evaluations,
        "seconds": seconds,
        "values": judge.score(samples, DATASET),
        "timesteps": timesteps,
        "x_traj": x_traj,
    }


def table_rows(run: dict[str, Any], floor: dict[str, float]) -> Any:
    """Rows of the table for one run: metric, value, floor, ratio, mark and verdict, as texts."""
    rows = []
    for metric, value in run["values"].items():
        mark = judge.MARKS[metric]
        verdict = "pass" if value <= mark else "FAIL"
        ratio = value / floor[metric]
        ratio = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
        rows.append((metric, f"{value:.2g}", f"{floor[metric]:.2g}", ratio, f"{mark:g}", verdict))
    return rows


HEADER = ("metric", "value", "floor of two real sets", "ratio to floor", "pass mark", "verdict")


def text_table(runs: list[dict[str, Any]], floor: dict[str, float]) -> str:
    """The table for a terminal of 80 columns."""
    columns = "{:<14}{:>8}{:>23}{:>16}{:>10}  {}"
    lines = [columns.format(*HEADER)]
    for run in runs:
        lines.append(f"{run['name']}, {run['evaluations']} evaluations of the score")
        for metric, *cells in table_rows(run, floor):
            lines.append(columns.format("  " + metric, *cells))
    return "\n".join(lines)


def html_table(runs: list[dict[str, Any]], floor: dict[str, float]) -> str:
    """The same table for the page."""
    head = "".join(f"<th>{cell}</th>" for cell in HEADER)
    lines = [f"<thead><tr>{head}</tr></thead>"]
    for run in runs:
        title = html.escape(f"{run['name']}, {run['evaluations']} evaluations of the score")
        lines.append(f"<tr><th colspan={len(HEADER)}>{title}</th></tr>")
        for row in table_rows(run, floor):
            cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            lines.append(f"<tr>{cells}</tr>")
    return '<div class="scroll"><table>' + "\n".join(lines) + "</table></div>"


def training_sections(
    sde: Process, score_fn: ScoreFn, losses: list[float], points: Tensor
) -> list[tuple]:
    """Sections of the page up to the learned score, as (title, caption, Figure or html)."""
    return [
        (
            "From data to noise",
            "The forward process adds noise and pulls every point to the middle. Follow a colour: "
            "at the last time nothing tells where a point came from.",
            figures.plot_forward(sde, points),
        ),
        (
            "Training",
            "The network guesses the noise in a noisy point. The loss cannot reach 0, because many "
            "clean points could have led to the same noisy one.",
            figures.plot_loss(losses),
        ),
        (
            "The learned score",
            "Arrows: the learned direction of rising density. Gray: the noisy data. At small t "
            "they lead to the nearest arm of the roll, at large t to the middle of everything.",
            figures.plot_scores({"learned": score_fn}, sde, points),
        ),
    ]


def sampling_sections(
    runs: list[dict[str, Any]], floor: dict[str, float], reference: Tensor
) -> list[tuple]:
    """Sections of the page from the learned score on, as (title, caption, Figure or html)."""
    seed_mark = judge.SEED_MARK["CD 100x100"]
    return [
        (
            "From noise to data",
            "The SDE draws new noise in every step and wanders; the ODE has no noise and its paths "
            "are smooth, so that fewer steps can follow them. Both end on the roll.",
            figures.plot_trajectories({run["name"]: run["x_traj"] for run in runs[:2]}),
        ),
        (
            "The roll appears",
            "The same points at six moments of the reverse SDE, whose clock s runs from noise to "
            "data. The shape appears late: in the last third of the time.",
            figures.plot_reverse(runs[0]["timesteps"], runs[0]["x_traj"], "Reverse SDE"),
        ),
        (
            "Samples beside the target",
            f"{judge.MARK_SIZE:,} samples each. Look at both ends of the roll, at the width of the "
            "line, and for stray points between the arms.",
            figures.plot_samples({run["name"]: run["samples"] for run in runs}, reference),
        ),
        (
            "The numbers",
            "Two sets of real points are not at distance 0 either: that value is the floor, and a "
            "sample as good as new data has a ratio near 1. CD is the chamfer distance of whole "
            "clouds, CD 100x100 its mean over 100 clouds of 100 points (the course that this grew "
            f"from asks for at most {seed_mark:g} there), W2 the Wasserstein distance.",
            html_table(runs, floor),
        ),
    ]


def metrics(
    runs: list[dict[str, Any]],
    floor: dict[str, float],
    seed: int,
    device: torch.device,
    seconds: float,
) -> dict[str, Any]:
    """What metrics.json holds: everything that is needed to read the numbers."""
    return {
        "dataset": DATASET,
        "train_points": TRAIN_SIZE,
        "samples": judge.MARK_SIZE,
        "real_sets": judge.SETS,
        "seed": seed,
        "device": str(device),
        "torch": torch.__version__,
        "seconds": round(seconds, 1),
        "floor": floor,
        "marks": judge.MARKS,
        "seed_course_mark": judge.SEED_MARK,
        "samples_in_npz": runs[-1]["name"],
        "runs": [
            {
                "name": run["name"],
                "evaluations": run["evaluations"],
                "sampling_seconds": round(run["seconds"], 2),
                "metrics": run["values"],
                "ratio_to_floor": {k: v / floor[k] for k, v in run["values"].items()},
                "passes": judge.passes(run["values"]),
            }
            for run in runs
        ],
    }


PARTS = ["samples and their numbers"]  # that come after the first pictures


def run_plane(page: Any, seed: int, device: torch.device) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train, sample, score and print the table of Task 1.

    Args:
        page: a LivePage, which gets two parts.
        seed: of training and sampling.
        device: of training and sampling.

    Returns:
        what metrics.json holds, and the arrays of swiss_roll.npz.
    """
    start = time.perf_counter()
    torch.set_num_threads(1)  # layers this small are slower on several threads than on one
    points = make_points(DATASET, TRAIN_SIZE, seed).to(device)
    reference = make_points(DATASET, judge.MARK_SIZE, REFERENCE_SEED + seed)
    print(f"Training and sampling on the {device.type.upper()}, about a minute.", flush=True)
    trained = train_plain(points, seed)
    page.add(training_sections(**trained))
    runs = run_plain(trained["sde"], trained["score_fn"], points, seed) + run_floor(points, seed)
    floor = judge.floor(DATASET)
    print(text_table(runs, floor))
    page.add(sampling_sections(runs, floor, reference))
    report = metrics(runs, floor, seed, device, time.perf_counter() - start)
    return report, {"samples": runs[-1]["samples"], "reference": reference}


def run_demo(out: Path, seed: int, device: torch.device) -> Any:
    """Task 1 alone: the results go into the folder `out`."""
    make_folder(out)
    lead = "A network learns to undo noise, and with it turns noise into a Swiss roll."
    parts = ["the first pictures", *PARTS]
    with LivePage(out / "index.html", "Diffusion in the plane", lead, parts) as page:
        save_results(out, *run_plane(page, seed, device))


def save_results(out: Path, report: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write metrics.json and swiss_roll.npz, and say where everything is."""
    write(out / "metrics.json", json.dumps(report, indent=2) + "\n")
    write(out / "swiss_roll.npz", npz(**arrays))
    seconds = report["seconds"]
    print(f"{seconds:.0f} seconds. Pictures: {out / 'index.html'}; numbers: {out / 'metrics.json'}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Task 1 on the Swiss roll.")
    parser.add_argument(
        "--out", type=file_path, default=Path("results/demo"), help="folder to write"
    )
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="cpu", help="cpu (fastest for so little), cuda, ...")
    args = parser.parse_args()
    run_demo(args.out, args.seed, pick_device(args.device))
