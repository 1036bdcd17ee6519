"""Task 1.4: everything together, from points to a trained score.

A recipe is a function recipe(points, seed=0) -> (sde, score_fn). The marks of Task 1.4 call it on
the Swiss roll and judge 10,000 samples of it, see `given.plane.metrics`.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from given.levels import Process, ScoreFn
from given.plane.point_sets import Batches
from sde_todo.loss import DSMLoss, StableTarget
from sde_todo.network import Denoiser, SimpleNet, get_score_fn
from sde_todo.sde import VESDE, VPSDE
from sde_todo.train import EMA, get_sde_step_fn, train_diffusion, warmup_linear


def plain_recipe(
    points: Tensor,
    sde: Process | None = None,
    loss_fn: Callable | None = None,
    N_steps: int = 2000,
    seed: int = 0,
    checkpoint: Path | str | None = None,
    weight: str = "denoising",
    density: str = "uniform",
    lr: float = 8e-3,
) -> tuple[Process, ScoreFn]:
    """Score matching with a noise-predicting `SimpleNet` and Adam: what is needed to pass.

    Args:
        points: (n, 2) training set.
        sde: forward process; None for VP.
        loss_fn: None for denoising score matching.
        N_steps: of 512 points each.
        seed: of weights, noise and order.
        checkpoint: file to go on from, or None.
        weight: of the loss over time, see `sde_todo.train.get_sde_step_fn`; OU spends most of its
            time at pure noise and wants "likelihood", and density "debiased".
        density: of the times.
        lr: learning rate; half of it suits ISM and SSM, whose gradients are noisier.

    Returns:
        sde, and score_fn(t, x) with the averaged weights.
    """
    # TODO 1.4a: replace the raise below with your code.
    # Hint: network, optimizer, EMA, step function, train_diffusion, get_score_fn: one line each.
    #   Adam at 8e-3 with warmup_linear is a good start; sample with ema.model.
    raise NotImplementedError("TODO 1.4a: plain_recipe")


def floor_recipe(
    points: Tensor, N_steps: int = 900, seed: int = 0, checkpoint: Path | str | None = None
) -> tuple[Process, ScoreFn]:
    """The reference recipe: as near to the floor as two sets of real points are to each other.

    A preconditioned denoiser, noise levels log-uniform on [.03, 8] of which the high ones count
    for more, the stable target and a large learning rate. Sample it with
    Sampler(1e-6, "multistep", start="moments").

    Args and returns as for `plain_recipe`.
    """
    # TODO 1.4c: replace the raise below with your code.
    # Hint: VESDE with time uniform on [0, 1] has log-uniform noise. Denoiser, predicts="data",
    #   weight="mass", StableTarget; Adam at 2e-2, betas (.9, .99); EMA .99.
    raise NotImplementedError("TODO 1.4c: floor_recipe")
