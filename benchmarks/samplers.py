"""Quality against evaluations, for every sampler: `python benchmarks/samplers.py`.

The shipped model of Fashion-MNIST, its own class model without guidance (one evaluation asks the
network once), 500 images of all classes, Fréchet distance in classifier features to the 4,000 test
images. Figures land in results/benchmarks/samplers.json as they come, and a second call goes on
where the first one stopped; a table and results/benchmarks/samplers.png close it.
"""

import argparse
import functools
import json
import os
import time
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch

from experiments.images.samplers import edm, multistep, process
from experiments.images.samplers.draw import (
    balanced_labels,
    by_scheduler,
    draw_images,
    load_model,
)
from given.images import figures
from given.images.data.imageset import load_dataset
from given.images.data.sources import ASSETS
from given.images.fid.measure import fid_of_images
from given.runtime.files import write
from image_diffusion import scheduler as schedulers

ROOT = Path(__file__).parents[1]
BUDGETS = (5, 10, 20, 50, 100)
TOLERANCES = (1.0, 0.3, 0.1, 1e-2, 1e-3)  # of RK45, which chooses its own steps
NUM = 500


def scheduled(name, evaluations):
    """A model with a scheduler of scheduler.py and as many steps, and its draw."""
    model, _ = load_model(ASSETS / "fashion_ddpm.ckpt", getattr(schedulers, name))
    model.var_scheduler.set_timesteps(evaluations)
    return model, by_scheduler


def drawn_by(draw, **options):
    """The model, and a draw with its options."""
    model, _ = load_model(ASSETS / "fashion_ddpm.ckpt", schedulers.DDIMScheduler)
    return model, functools.partial(draw, **options)


def predictor_corrector(evaluations):
    """Ancestral and Langevin steps in turn, and one evaluation for the end."""
    options = {"method": "ancestral", "corrector": "langevin", "rho": 3.0}
    return drawn_by(process.draw, steps=(evaluations - 1) // 2, **options)


def exponential(evaluations):
    """Exponential multistep of order 3 on the denoiser (task 1.3g)."""
    return drawn_by(process.draw, steps=evaluations - 1, method="multistep")


def stochastic(evaluations):
    """The stochastic multistep of samplers/multistep.py."""
    return drawn_by(multistep.draw, steps=evaluations)


def heun(evaluations):
    """EDM's Heun steps, 2 n - 1 evaluations, at most as many as asked for."""
    return drawn_by(edm.draw, steps=(evaluations + 1) // 2)


SAMPLERS = {
    "DDPM": functools.partial(scheduled, "DDPMScheduler"),
    "DDIM": functools.partial(scheduled, "DDIMScheduler"),
    "DPM-Solver++": functools.partial(scheduled, "DPMSolverScheduler"),
    "Heun (EDM)": heun,
    "predictor-corrector": predictor_corrector,
    "multistep": exponential,
    "stochastic multistep": stochastic,
}


def distance(model, draw, reference, num=NUM, seed=0):
    """Fréchet distance of `num` images to the reference, evaluations of a batch, and seconds."""
    taken = []

    def counted(*args):
        x, evaluations = draw(*args)
        taken.append(evaluations)
        return x, evaluations

    torch.manual_seed(seed)
    start = time.perf_counter()
    images = draw_images(model, num, balanced_labels(num, 10), 1.0, seed, draw=counted)
    seconds = time.perf_counter() - start
    return fid_of_images(images, reference, "classifier"), taken[-1], seconds


def measure(found, path, names, num):
    """Fill in the figures that are missing, those of few evaluations first."""
    reference = np.asarray(load_dataset("fashion", "test").images)
    for tol in TOLERANCES:
        if f"RK45 {tol:g}" not in found:
            way = drawn_by(process.draw, steps=2, method="rk45", tol=tol)
            keep(found, path, f"RK45 {tol:g}", way, reference, num)
    for budget in BUDGETS:
        for name in names:
            if f"{name} {budget}" not in found:
                keep(found, path, f"{name} {budget}", SAMPLERS[name](budget), reference, num)


def keep(found, path, key, way, reference, num):
    """Measure one figure, of a model and its draw, print it and write the file."""
    figure, evaluations, seconds = distance(*way, reference, num)
    found[key] = {"evaluations": evaluations, "distance": figure, "seconds": seconds}
    print(f"{key:<26} {evaluations:5d} evaluations   {figure:7.2f}   {seconds:.0f} s", flush=True)
    write(path, json.dumps(found, indent=2) + "\n")


def lines(found):
    """dict from sampler to its list of (evaluations, distance), rising."""
    curves = {}
    for key, value in found.items():
        name = key.rpartition(" ")[0]
        curves.setdefault(name, []).append((value["evaluations"], value["distance"]))
    return {name: sorted(points) for name, points in curves.items()}


def report(found, path, num):
    """Print the table and save the plot."""
    print(f"\n{'':<20}" + "".join(f"{budget:>9}" for budget in BUDGETS))
    for name in SAMPLERS:
        row = [found.get(f"{name} {budget}", {}).get("distance", np.nan) for budget in BUDGETS]
        print(f"{name:<20}" + "".join(f"{value:9.2f}" for value in row))
    title = f"Fresh noise wins: distance of {num} images against evaluations"
    figure = figures.curves(
        lines(found),
        title,
        "network evaluations",
        "Fréchet distance, classifier features",
        ticks=BUDGETS,
    )
    figures.save(figure, path)
    print(f"Plot: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--num_samples", type=int, default=NUM)
    parser.add_argument("--fresh", action="store_true", help="do again what is done")
    args = parser.parse_args()
    path = ROOT / "results" / "benchmarks" / "samplers.json"
    found = json.loads(path.read_text()) if path.exists() and not args.fresh else {}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    measure(found, path, args.samplers, args.num_samples)
    report(found, path.with_suffix(".png"), args.num_samples)


if __name__ == "__main__":
    main()
