"""The samplers of Task 1 on image models, through `DiffusionModule.score_fn`.

python image_diffusion/sampling.py --scheduler reverse_diffusion --corrector langevin …
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from given.levels import Process, ReverseProcess, alpha_std, log_snr_ends, log_snr_of
from image_diffusion.ddpm import DiffusionModule

PROCESSES = ("VPSDE", "SubVPSDE", "VESDE")
ORDER = 3  # of "multistep"


@torch.no_grad()
def draw(
    model: DiffusionModule,
    batch_size: int,
    class_label: Tensor | None = None,
    guidance_scale: float = 0.0,
    *,
    steps: int,
    process: str = "VPSDE",
    method: str = "reverse_diffusion",
    corrector: str = "none",
    snr: float | None = None,
    rho: float | None = None,
    tol: float = 1e-4,
) -> tuple[Tensor, int]:
    """Draw images along the reverse of a process; the noise comes from torch's own generator.

    Where time ends the state gives way to its mean, E[x_0 | x], for one evaluation more (Song et
    al. 2021, appendix G); the last state of "multistep" is that mean already.

    Args:
        model: a DiffusionModule.
        batch_size: B.
        class_label: (B,) from 1, or None.
        guidance_scale: see DiffusionModule.predict_noise.
        steps: of the process.
        process: one of PROCESSES, or "OU".
        method: a name, see `sde_todo.sampling.Sampler`.
        corrector: "none", "langevin" or "annealed_langevin".
        snr: size of the corrector's steps; .16 by default.
        rho: spacing of the times; by default 3 for "multistep", else 1, and 1 for VESDE.
        tol: of "rk45".

    Returns:
        (B, C, H, W), and the number of evaluations of the score.

    Raises:
        ValueError: no steps, or a corrector that does not exist or does not fit the method.
    """
    from sde_todo import sampling
    from sde_todo import sde as processes

    sde = getattr(processes, process)(steps)
    step: Any = sampling.choose_step(method, corrector, snr=snr)
    score_fn = model.score_fn(sde, class_label, guidance_scale)
    if rho is None:
        rho = 3.0 if method == "multistep" and process != "VESDE" else 1.0
    x = sde.prior_sampling(torch.empty(batch_size, *model.image_shape, device=model.device))
    times = sampling.clock(sde, known_from(sde, model.var_scheduler), rho, x)
    reverse = sde.reverse(score_fn)
    if method == "multistep":
        x_traj, evaluations = sampling.multistep(reverse, times, x, ORDER, (-1.0, 1.0))
        return x_traj[-1], evaluations
    if method == "rk45":
        x_traj, evaluations = sampling.solve_rk45(reverse, times[[0, -1]], x, tol)
        x = x_traj[-1]
    else:
        x, evaluations = walk_to_the_end(step, reverse, times, x)
    t = (sde.T - times[-1]).expand(batch_size)
    a, b = alpha_std(sde, t, x)
    return (x + b**2 * score_fn(t, x)) / a, evaluations + 1


def walk_to_the_end(
    step: Callable, reverse: ReverseProcess, times: Tensor, x: Tensor
) -> tuple[Tensor, int]:
    """`sde_todo.sampling.walk` to the last state, without those on the way.

    The lengths of the steps are read from the device at once, so that no step waits for it.

    Args:
        step: see `sde_todo.sampling.STEPS`.
        reverse: a reverse process.
        times: (N + 1,) of its clock.
        x: (B, ...), the state at times[0].

    Returns:
        the state at times[-1], like x, and the number of evaluations.
    """
    total, pairs = 0, list(itertools.pairwise(times.tolist()))
    bar = tqdm(pairs, "sampling", leave=False, disable=None)
    for s, (now, then) in zip(times, bar, strict=False):
        x, evaluations = step(reverse, s.expand(len(x)), then - now, x)
        total += evaluations
    return x, total


def known_from(sde: Process, scheduler: Any) -> float:
    """The first time at which a process has the noise of a schedule's first timestep, or more.

    Below it lie noise levels that the network has never seen.
    """
    t = torch.linspace(0, sde.T**0.25, 20_001, dtype=torch.float64)[1:] ** 4
    alpha, std = alpha_std(sde, t, torch.ones(len(t), 1, dtype=torch.float64))
    log_snr = log_snr_of(std / alpha)[:, 0]
    return t[log_snr <= log_snr_ends(scheduler)[0]][0].item()
