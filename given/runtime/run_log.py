"""Given: what training loops share: losses read now and then, and a save that looks at them.

A run has step, losses, recent (the losses since the last reading, on the device), config, state()
and ADVICE, the end of the sentence about a loss that is not finite.
"""

import torch

from given.runtime.checkpoint import save_whole
from given.runtime.machine import mean_over_processes

LOG_EVERY = 50  # steps between two readings of the loss, each of which waits for the device


def save(run, folder):
    """Save last.ckpt, unless the loss is not finite."""
    check_finite(run)
    save_whole(folder / "last.ckpt", run.state())


def close_window(run):
    """The mean loss of the steps since the last reading, over all processes, kept in run.losses."""
    check_finite(run)
    run.losses.append(mean_over_processes(torch.stack(run.recent).mean(), run.world_size).item())
    run.recent.clear()
    return run.losses[-1]


def check_finite(run):
    """Stop with one sentence where a loss since the last reading is not finite."""
    if run.recent and not torch.stack(run.recent).isfinite().all():
        raise ValueError(
            f"The loss is not finite before step {run.step}; lower --lr (now "
            f"{run.config['lr']:g}), {run.ADVICE}."
        )
