"""The pictures of sde_todo/recipe.py: what was expected beside what came."""

import numpy as np

from autograder.harness import picture
from autograder.pictures import Misfit


def beside_the_roll(got):
    """The first 4,000 samples of a mark beside as many real points."""
    import torch

    from given.plane.figures import plot_samples
    from given.plane.point_sets import make_points

    yours = torch.from_numpy(np.array(got["samples"], dtype=np.float32)[:4000])
    if yours.ndim != 2 or yours.shape[1] != 2:
        raise Misfit(f"shape {tuple(yours.shape)}")
    return plot_samples({"yours": yours}, make_points("swiss_roll", 4000, 1))


@picture("1.4a")
class RollBySDE:
    """Points far from the roll, gaps in it, or a blurred line raise the distances of the mark."""

    of = "SamplesBySDE"

    def draw(got):
        return beside_the_roll(got)


@picture("1.4b")
class RollByODE:
    """The same score with 50 evaluations and no noise on the way."""

    of = "SamplesByODE"

    def draw(got):
        return beside_the_roll(got)


@picture("1.4c")
class RollAtTheFloor:
    """With few evaluations, as near to the line as real points."""

    of = "SamplesAtTheFloor"

    def draw(got):
        return beside_the_roll(got)
