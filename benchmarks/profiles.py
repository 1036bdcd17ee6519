"""Where the time goes: `python benchmarks/profiles.py --parts plane images ... --against CHECKOUT`.

plane     a training step of `plain_recipe`, 512 points
images    a training step of train.py on Fashion-MNIST, 32 images
sampler   an evaluation of the shipped network on 100 images, in a run of DDIM
fid       the Fréchet distance of 500 images to the 4,000 test images
notebook  what the first cell of HelloScore imports
pytest    the start of `pytest -k VP` up to its test
grader    a probe of a submission, in a fork of the process that has loaded torch
alone     what the grader saves by that: loading it for a probe again

Seconds are those of the processor (one thread), as wall time is worth little on a shared machine;
for the last two, whose work is done by processes that nobody waits for, they are those of a clock.
With --against, another checkout of the course runs in turns with this one, and the ratio of the
medians closes each line. --operations lists what a part spends its time on.
"""

import argparse
import atexit
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ |= {"COURSE": "solutions", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}

ROOT = Path(__file__).resolve().parents[1]


def plane():
    """A function that trains a given number of steps."""
    from given.plane.point_sets import make_points
    from sde_todo.recipe import plain_recipe

    points = make_points("swiss_roll", 100_000, 0)
    return lambda steps: plain_recipe(points, N_steps=steps), 300


def images():
    """A function that trains the small network a given number of steps."""
    import torch

    from experiments.images import train
    from experiments.images.training_loop import Run, parallel_model, train_step
    from given.images.data.imageset import Loader, load_dataset

    fashion = load_dataset("fashion", "train")
    run = Run(train.make_config(train.parse([]), fashion, torch.device("cpu")), torch.device("cpu"))
    model, loader = parallel_model(run), Loader(fashion, 32)

    def work(steps):
        for _ in range(steps):
            train_step(run, model, loader.batch(run.step))

    return work, 20


def sampler():
    """A function that draws 100 images in a given number of steps."""
    from experiments.images.samplers.draw import draw_images, load_model
    from given.images.data.sources import ASSETS
    from image_diffusion.scheduler import DDIMScheduler

    model, _ = load_model(ASSETS / "fashion_ddpm.ckpt", DDIMScheduler)

    def work(steps):
        model.var_scheduler.set_timesteps(steps)
        draw_images(model, 100)

    return work, 10


def fid():
    """A function that measures a given number of times."""
    import numpy as np

    from given.images.data.imageset import load_dataset
    from given.images.fid.measure import fid_of_images

    train, test = (load_dataset("fashion", split).images for split in ("train", "test"))

    def work(times):
        for _ in range(times):
            fid_of_images(np.array(train[:500]), np.asarray(test))

    return work, 1


def notebook():
    """A function that imports what the first notebook does."""
    return shell(
        "from given.plane import figures, metrics; from given.plane.point_sets import make_points; "
        "from given.plane.mixture import demo_mixture; "
        "from given.runtime.todo import friendly_todos"
    )


def pytest():
    """A function that starts pytest, which collects some tests and runs none."""
    return shell("import pytest; pytest.main(['--solutions', '-k', 'VP', '--collect-only', '-q'])")


def shell(code):
    """A function that runs Python code in new processes a given number of times."""

    def work(times):
        for _ in range(times):
            subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)

    return work, 2


def grader():
    """A function that asks for probes, each in a fork of the process that has loaded torch."""
    from autograder import settings
    from grading import submission
    from grading.isolation.sandbox import Sandbox
    from grading.isolation.zygote import Import
    from grading.release.stubs import stubs

    box = Sandbox()
    atexit.register(box.close)
    tree, limits = box.box / "tree", settings.LIMITS | {"WAITING": 60}
    submission.write_tree(stubs(), tree)

    def work(times):
        for _ in range(times):
            box.probe(Import, {"name": "sde_todo/sde.py"}, 0, tree, limits)

    return work, 20


def alone():
    """What the grader saves: a process of its own that loads what a probe needs."""
    return shell("from grading.isolation import zygote\nfor n in zygote.PRELOADED: __import__(n)")


PARTS = {f.__name__: f for f in (plane, images, sampler, fid, notebook, pytest, grader, alone)}
WAITS = ("grader", "alone")  # works in processes that it does not wait for: wall time


def seconds_of(name):
    """A clock for a part, in seconds."""
    return time.perf_counter() if name in WAITS else sum(os.times()[:4])


def measure(name, operations):
    """In a process of its own: print the seconds of one unit of a part, and its operations."""
    work, units = PARTS[name]()
    work(1)
    start = seconds_of(name)
    work(units)
    print((seconds_of(name) - start) / units)
    if operations:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU]) as found:
            work(units)
        print(found.key_averages().table("self_cpu_time_total", row_limit=12))


def child(name, checkout, *options):
    """Run `measure` on the course in a checkout; return what it prints."""
    command = [sys.executable, __file__, "--measure", name, *options]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed in {checkout}:\n{done.stderr[-2000:]}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--against", type=Path, help="another checkout of the course")
    parser.add_argument("--operations", action="store_true", help="list what takes the time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(args.measure, args.operations)
    checkouts = [ROOT, *([args.against.resolve()] if args.against else [])]
    print(
        "milliseconds of a unit, the median of processes" + ", here and there" * bool(args.against)
    )
    for name in args.parts:
        found = [[float(child(name, c)) for c in checkouts] for _ in range(args.rounds)]
        medians = [1e3 * statistics.median(column) for column in zip(*found, strict=True)]
        ratio = f"   {medians[0] / medians[1]:.2f} x" if args.against else ""
        print(f"  {name:<10}" + "".join(f"{value:10.1f}" for value in medians) + ratio, flush=True)
        if args.operations:
            print(child(name, ROOT, "--operations").partition("\n")[2])


if __name__ == "__main__":
    main()
