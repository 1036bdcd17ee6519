"""Task 1.4: samples of a score that the student trained, against the marks of given.plane.metrics.

`pytest --samples=FILE.npz` marks the array `samples` (n >= 10,000, 2) of a file; else the recipe is
run here, on 100,000 points of the Swiss roll with seed 1, and 10,000 samples are drawn three times.
A metric of one draw spreads by a quarter even for real points, so the mean over the draws counts.
"""

import functools
import os

import numpy as np

from autograder import settings
from autograder.harness import Wrong, graded

N_SAMPLES, DRAWS, SEED = 10_000, 3, 1


def mark(samples, limits, name):
    """Raise `Wrong` unless the mean of every metric over the draws is within its limit."""
    try:
        values = mean_score(samples, tuple(limits))
    except ValueError as error:
        raise Wrong(f"{name}: {error}") from None
    missed = [
        f"{metric} is {values[metric]:.4g}, the mark {limit:.4g} (real points give "
        f"{FLOOR[metric]:.2g}){reasons(metric)}"
        for metric, limit in limits.items()
        if not values[metric] <= limit
    ]
    if missed:
        raise Wrong(f"{name} (N = {len(samples):,}, seed {SEED}):\n" + "\n".join(missed))


def mean_score(samples, metrics):
    """The metrics of every 10,000 samples against ten real sets, and their mean over the draws."""
    from given.plane.metrics import score

    draws = max(1, min(DRAWS, len(samples) // N_SAMPLES))
    values = [score(samples[k * N_SAMPLES :], metrics=metrics) for k in range(draws)]
    return {metric: float(np.mean([value[metric] for value in values])) for metric in metrics}


FLOOR_MARKS = {"CD 100x100": 0.085, "sliced W2": 0.06, "CD": 0.003}  # of floor_recipe
FLOOR = {"CD 100x100": 0.0776, "sliced W2": 0.042, "CD": 8e-6}


def reasons(metric):
    return {
        "CD 100x100": ": samples far from the roll, or a part of it is missing",
        "sliced W2": ": the mass is not where it belongs",
        "CD": ": samples lie beside the curve, blurred or shifted",
    }[metric]


@functools.lru_cache(maxsize=2)
def train(recipe):
    """Run a recipe of the student once for all tests of a process."""
    from given.plane.point_sets import make_points
    from sde_todo import recipe as recipes

    points = make_points("swiss_roll", 100_000, SEED)
    return points, *getattr(recipes, recipe)(points, seed=SEED)


def draw(recipe, **options):
    """Samples of a recipe by a sampler with the given options, and the evaluations of one draw."""
    import torch

    from sde_todo.sampling import Sampler

    points, sde, score_fn = train(recipe)
    steps = options.pop("N", sde.N)
    reverse = sde.reverse(score_fn)
    reverse.N = steps
    sampling_fn = Sampler(**options).get_sampling_fn(reverse, points)
    draws = [sampling_fn(N_SAMPLES)[:2] for _ in range(DRAWS)]
    return torch.cat([out for out, _ in draws]), draws[0][1]


def samples_file():
    """The array of the file named by --samples as a tensor, or None."""
    import torch

    path = os.environ.get("COURSE_SAMPLES")
    if not path:
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return torch.from_numpy(np.array(arrays["samples"]))
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}; --samples wants a .npz file.") from None
    except KeyError:
        raise ValueError(f"{path} has no array `samples`: np.savez(path, samples=x).") from None
    except Exception as error:  # numpy and zipfile make any error of a damaged file
        raise ValueError(f"{path} is no .npz file of plain arrays ({error}).") from None


@graded("1.4a", points=10)
class SamplesBySDE:
    """Samples by Euler-Maruyama, or those of a file, meet every mark."""

    def inputs(rng):
        return {}

    def probe():
        given = samples_file()
        return {"samples": draw("plain_recipe")[0] if given is None else given}

    def check(got):
        from given.plane.metrics import MARKS

        mark(got["samples"], MARKS | settings.MARKS.get("1.4a", {}), "samples")


@graded("1.4b", points=5)
class SamplesByODE:
    """Samples of the same score by Heun with 50 evaluations meet every mark."""

    def inputs(rng):
        return {}

    def probe():
        given = samples_file()
        if given is not None:
            return {"samples": given}
        options = {"method": "ode_heun", "rho": 2.0, "N": 25}
        return {"samples": draw("plain_recipe", **options)[0]}

    def check(got):
        from given.plane.metrics import MARKS

        mark(got["samples"], MARKS | settings.MARKS.get("1.4b", {}), "samples")


@graded("1.4c", points=10)
class SamplesAtTheFloor:
    """Samples of floor_recipe with at most 20 evaluations, near the floor."""

    def inputs(rng):
        return {}

    def probe():
        options = {"eps": 1e-6, "method": "multistep", "start": "moments"}
        out, ntot = draw("floor_recipe", **options)
        return {"samples": out, "evaluations": ntot}

    def check(got):
        if got["evaluations"] > 20:
            raise Wrong(f"{got['evaluations']} evaluations; at most 20 are allowed.")
        mark(got["samples"], FLOOR_MARKS | settings.MARKS.get("1.4c", {}), "samples")
