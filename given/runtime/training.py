"""One training loop for points, images and bridges.

It reads the losses now and then, saves, stops politely, and goes on: `train` moves a `TrainingRun`
forward. Beside it are the learning-rate factor and the moving average of given code.
"""

import abc
import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from given.runtime.budget import TimeBudget
from given.runtime.checkpoint import save_whole
from given.runtime.machine import largest, mean_over_processes, stop_signals

CPU = torch.device("cpu")
LOG_EVERY = 50  # steps between two readings of the loss, each of which waits for the device


class Stopped(Exception):
    """A request to stop came in the middle of something that can wait."""


@contextlib.contextmanager
def until_stopped(signals: list[int], *networks: nn.Module) -> Iterator[None]:
    """Leave the block at the next call of a network after a request to stop.

    Args:
        signals: of `stop_signals`.
        networks: what the block calls again and again, as sampling does.
    """

    def check(*_):
        if signals:
            raise Stopped

    with contextlib.ExitStack() as stack:
        for network in networks:
            stack.callback(network.register_forward_pre_hook(check).remove)
        stack.enter_context(contextlib.suppress(Stopped))
        yield


class TrainingRun(abc.ABC):
    """How far a training run has come. A subclass adds what is trained, and `state()`.

    Attributes:
        step: the number of steps done.
        losses: the mean loss of each `log_every` steps, over all processes.
        recent: the losses since, tensors without axes on the device.
        signals: the requests to stop that have come; see `stop_signals`.
        budget: the time that the run has, where it has no number of steps.
        log_every: steps between two readings of the loss.
        go_on: how a stopped run goes on, the end of a sentence.
        advice: what to do about a loss that is not finite, the end of a sentence.
    """

    log_every = LOG_EVERY
    go_on = "go on with the same command and --resume"
    advice = "lower the learning rate"

    budget: TimeBudget | None = None

    def __init__(
        self, total: float, device: torch.device = CPU, rank: int = 0, world_size: int = 1
    ):
        """Begin at step 0.

        Args:
            total: the number of steps of the whole run; infinite where its time is what ends it.
            device: where it trains.
            rank: of this process; process 0 saves.
            world_size: the number of processes that share a batch.
        """
        self.total, self.device = total, device
        self.rank, self.world_size = rank, world_size
        self.step = 0
        self.losses: list[float] = []
        self.recent: list[Tensor] = []
        self.signals: list[int] = []

    @abc.abstractmethod
    def state(self) -> dict:
        """Everything that going on needs, as a checkpoint."""

    def progress(self) -> dict:
        """The part of a checkpoint that says how far the run has come."""
        recent = [loss.cpu() for loss in self.recent]
        progress = {"step": self.step, "losses": self.losses, "recent": recent}
        return progress | ({"budget": self.budget.state()} if self.budget else {})

    def set_progress(self, progress: dict) -> None:
        """Go on from `progress`."""
        self.step, self.losses = progress["step"], progress["losses"]
        self.recent = [loss.to(self.device) for loss in progress["recent"]]
        if self.budget:
            self.budget.load(progress["budget"])

    def read_loss(self) -> float:
        """Close a window: the mean loss since the last reading, over all processes.

        Raises:
            the error of `not_finite`, in every process, where a loss in any of them is not finite.
        """
        mean = mean_over_processes(torch.stack(self.recent).mean(), self.world_size).item()
        if not math.isfinite(mean):
            raise self.not_finite(mean)
        self.losses.append(mean)
        self.recent.clear()
        return mean

    def not_finite(self, loss: float) -> Exception:
        """The error to raise where a loss is NaN or infinite."""
        return ValueError(f"The loss is not finite before step {self.step}; {self.advice}.")


def save(run: TrainingRun, path: Path | str | None) -> None:
    """Write the checkpoint from process 0, but never weights after a loss that is not finite.

    All processes call it together: where the loss of any of them is not finite, all say so.
    """
    if path is None:
        return
    failed = bool(run.recent) and not torch.stack(run.recent).isfinite().all()
    if largest([failed], run.world_size)[0]:
        raise run.not_finite(math.nan)
    if run.rank == 0:
        save_whole(path, run.state())


def stop_and_time(run: TrainingRun, began: float) -> tuple[bool, float]:
    """Whether any process is to stop, and the seconds since `began`: the same in all of them.

    So they save together, and those that train for a time have one learning rate.
    """
    stop, now = largest([bool(run.signals), time.monotonic() - began], run.world_size)
    if run.budget:
        run.budget.tick(now)
    return stop > 0, now


def train(
    run: TrainingRun,
    steps: Iterator[Tensor],
    path: Path | str | None,
    save_every: float = 60.0,
    after_step: Callable[[], None] = lambda: None,
    describe: Callable[[float], str] = "loss {:.4f}".format,
) -> bool:
    """Take steps until none is left, or until any process receives SIGINT or SIGTERM; then save.

    Args:
        run: what is trained.
        steps: yields the loss of each step, a tensor without axes, once run.step has moved on.
        path: of the checkpoint; None to keep nothing.
        save_every: seconds between two checkpoints.
        after_step: called after each step, for pictures and figures on the way.
        describe: mean loss since the last reading -> text at the end of the progress bar.

    Returns:
        whether the run came to its end without such a request; where it came in the last step, what
        follows training is for the next time.

    Raises:
        ValueError, FloatingPointError: a loss is not finite; the last checkpoint stays as it was.
    """
    first, began, saved = run.rank == 0, time.monotonic(), 0.0
    total = run.total if math.isfinite(run.total) else None
    bar = tqdm(total=total, initial=run.step, desc="training", disable=None if first else True)
    with bar, stop_signals() as signals:
        run.signals = signals
        while True:
            stop, now = stop_and_time(run, began)
            if stop:
                break
            if now - saved > save_every:
                save(run, path)
                saved = now
            loss = next(steps, None)
            if loss is None:
                break
            run.recent.append(loss)
            bar.update()
            if run.step % run.log_every == 0:
                bar.set_postfix_str(describe(run.read_loss()), refresh=False)
            after_step()
        save(run, path)
        stop = stop or largest([bool(signals)], run.world_size)[0] > 0
    if first and path and stop:
        print(f"Stopped after {run.step} steps; {run.go_on}.")
    return not stop


def lr_factor(
    step: float, total: float, warmup: float = 0, decay: str = "cosine", last: float = 0.0
) -> float:
    """The factor of the learning rate: a linear rise, and a fall over the whole run.

        min(1, (k + 1)/warmup) * fall,    fall = 1                                      constant
                                                 min(1, (K - k)/(K - warmup))           linear
                                                 last + (1 - last) (1 + cos(pi k/K))/2  cosine

    Args:
        step: k, from 0; k, K and warmup have one unit, such as steps or per cent of the time.
        total: K.
        warmup: length of the rise.
        decay: "constant", "linear" or "cosine".
        last: the factor at the end of a cosine.
    """
    rise = min(1.0, (step + 1) / max(warmup, 1))
    if decay == "constant":
        return rise
    if decay == "linear":
        return rise * min(1.0, (total - step) / max(total - warmup, 1))
    if decay == "cosine":
        return rise * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * step / total)))
    raise ValueError(f"decay = {decay!r}: choose constant, linear or cosine.")


def ema_decay(decay: float, step: int) -> float:
    """The decay of a moving average after step k = 0, 1, ...: min(decay, (1 + k)/(10 + k)).

    So the average follows the weights from the start; at .9999 it would remember the first ones,
    which are noise, for tens of thousands of steps.
    """
    return min(decay, (1 + step) / (10 + step))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters of an optimizer."""
    for group in optimizer.param_groups:
        group["lr"] = lr


class MovingAverage:
    """Exponential moving average of the weights of a network; `module` is the averaged copy.

        average <- d average + (1 - d) weights

    Buffers keep their first values.
    """

    def __init__(self, network: nn.Module):
        """Begin with the weights that the network has now."""
        self.module: Any = copy.deepcopy(network).requires_grad_(False).eval()
        self._averaged = list(self.module.parameters())
        self._weights = list(network.parameters())

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average towards the weights, for all of them in one call and on the device."""
        get_ema_multi_avg_fn(decay)(self._averaged, self._weights, None)
