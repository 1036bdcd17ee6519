"""The training loop of Task 1, on points: `train_diffusion`, and its learning rate."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from given.runtime.checkpoint import blamed_on
from given.runtime.files import clear_parts
from given.runtime.machine import cpu_threads
from given.runtime.training import TrainingRun, lr_factor, train


def warmup_linear(opt: torch.optim.Optimizer, N_steps: int, warmup: int = 100) -> LambdaLR:
    """Learning-rate schedule: linear to the full rate in `warmup` steps, then linear to 0."""
    return LambdaLR(opt, lambda k: lr_factor(k, N_steps, warmup, "linear"))


class PointRun(TrainingRun):
    """A run of `step_fn` on batches; it keeps the loss of every step."""

    log_every = 1

    def __init__(self, dataloader: Any, step_fn: Any, total: int):
        """Begin at step 0.

        Args:
            dataloader: batches; where it has a state_dict(), its state is kept too.
            step_fn: batch -> loss; the dict step_fn.parts holds what has a state.
            total: the number of steps of the whole run.
        """
        super().__init__(total)
        self.dataloader, self.step_fn = dataloader, step_fn

    def train_steps(self, pick_threads: Callable[[int], None]) -> Iterator[Tensor]:
        """Yield the loss of each step from here on; pick_threads is called before each."""
        numbers = range(self.step, int(self.total))
        for step, batch in zip(numbers, self.dataloader, strict=False):
            pick_threads(step - numbers.start)
            loss = self.step_fn(batch)
            self.step = step + 1
            yield torch.tensor(float(loss), dtype=torch.float64)

    def not_finite(self, loss: float) -> Exception:
        """The error of a loss that is NaN or infinite."""
        return FloatingPointError(
            f"The loss became {loss} at step {self.step - 1}; the usual causes are a time of 0 "
            f"(where std = 0), a learning rate that is too high, and the root of a negative number."
        )

    def state(self) -> dict:
        """Everything that going on needs, as a checkpoint."""
        state = {name: part.state_dict() for name, part in self.step_fn.parts.items()}
        if hasattr(self.dataloader, "state_dict"):
            state["dataloader"] = self.dataloader.state_dict()
        losses = torch.tensor(self.losses, dtype=torch.float64)
        return state | {"losses": losses, "rng": torch.get_rng_state()}

    def load(self, path: Path | str) -> None:
        """Go on from a checkpoint, and clear what a kill left beside it."""
        clear_parts(Path(path).parent, Path(path).name)
        with blamed_on(path):
            state = torch.load(path, weights_only=True, map_location="cpu")
            for name, part in self.step_fn.parts.items():
                part.load_state_dict(state[name])
            if "dataloader" in state:
                self.dataloader.load_state_dict(state["dataloader"])
            torch.set_rng_state(state["rng"])
            self.losses = state["losses"].tolist()
            self.step = len(self.losses)
        print(f"Going on from {path} at step {self.step} of {self.total}.")


def train_diffusion(
    dataloader: Iterable[Tensor],
    step_fn: Callable[[Tensor], float],
    N_steps: int,
    plot: bool = False,
    checkpoint: Path | str | None = None,
    save_every: float = 30.0,
    threads: int | None = None,
) -> list[float]:
    """Run the training loop; stop with Ctrl-C and go on later where a checkpoint is named.

    Args:
        dataloader: endless batches, such as `given.plane.point_sets.Batches`.
        step_fn: from `get_sde_step_fn`.
        N_steps: number of steps in all.
        plot: whether to draw the loss curve at the end.
        checkpoint: file to write every `save_every` seconds, at the end and when stopped; where
            it exists the run goes on from it, bit for bit.
        save_every: seconds between two checkpoints.
        threads: number of CPU threads; None measures one against all over the first 40 steps
            and takes the faster. Fix it to repeat a run bit for bit.

    Returns:
        the losses of all steps, from the first on.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
        KeyboardInterrupt: stopped, with no checkpoint to go on from.
    """
    run = PointRun(dataloader, step_fn, N_steps)
    run.go_on = f"run again to go on from {checkpoint}"
    if checkpoint is not None and Path(checkpoint).exists():
        run.load(checkpoint)
    with cpu_threads(threads) as pick_threads:
        whole = train(run, run.train_steps(pick_threads), checkpoint, save_every)
    if checkpoint is None and not whole:
        raise KeyboardInterrupt
    if plot:
        from given.plane.figures import plot_loss
        from given.runtime.figures import show

        show(plot_loss(run.losses), "loss")
    return run.losses
