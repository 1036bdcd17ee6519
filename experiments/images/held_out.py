"""Bits per dimension of held-out images while a model is trained: --eval_every of train.py.

The bound of the reverse SDE is an integral over time. One random time an image is an estimate of it
without bias (Huang et al. 2021, section 4; task 1.5f), and costs two evaluations of the network and
a gradient. The images, their times, the spread of their pixels and all noise stay the same from one
measurement to the next: what the curve shows is the network. The standard error is that of the mean
over images, so it holds for other images and times too, and is larger than the curve is rough.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from experiments.images.bits_per_dim import bits_of_images, mean_and_error
from experiments.images.training_loop import Run
from given.images.data.imageset import choose, load_dataset
from given.images.figures import save
from given.runtime.figures import ORANGE, panels, styled
from given.runtime.machine import full_float32, seed_of
from given.runtime.training import LOG_EVERY, until_stopped

TOL = 1e-3  # of the ODE


class HeldOut:
    """A fixed choice of test images, on which the averaged network of a run is measured.

    Args:
        run: its config names the set, how many images, and how they are measured.
        data_root: folder of the sets.

    Raises:
        ValueError: more images than the set holds.
        NotImplementedError: an open TODO that this needs, before an hour of training.
    """

    def __init__(self, run: Run, data_root: Path | str) -> None:
        config = run.config
        size, num = config["network"]["image_resolution"], config["eval_images"]
        test = load_dataset(config["dataset"], "test", size, data_root)
        if num > len(test):
            raise ValueError(f"--eval_images {num}: there are {len(test)} test images; use fewer.")
        index = np.sort(choose(test, num))
        self.images, self.labels = np.asarray(test.images[index]), test.labels[index] + 1
        self.every, self.kind = config["eval_every"], config["eval_by"].upper()
        self.batch_size = max(config["batch_size"] // run.world_size, 2)
        self.bits(run, 2)

    def due(self, run: Run) -> bool:
        """Whether to measure now: every so many steps and at the end, each time once."""
        wanted = run.step > 0 and (run.step % self.every == 0 or run.step == run.total)
        return wanted and run.step not in [step for step, _, _ in run.bits]

    def bits(self, run: Run, num: int | None = None) -> np.ndarray:
        """(N,) bits per dimension of the images, or of the first `num`, under the average."""
        from image_diffusion.ddpm import DiffusionModule
        from sde_todo.sde import VPSDE

        model = DiffusionModule(run.average.module, run.model.var_scheduler).eval()
        parts = []
        for start in range(0, num or len(self.images), self.batch_size):
            part = slice(start, min(start + self.batch_size, num or len(self.images)))
            labels = None
            if run.config["network"]["use_cfg"]:
                labels = torch.from_numpy(self.labels[part]).to(run.device)
            # Every step of training sets its own seed, so this leaves no trace.
            torch.manual_seed(seed_of(run.config["seed"], start))
            with full_float32():
                found = bits_of_images(
                    model, VPSDE(), self.images[part], labels, 1, TOL, kinds=(self.kind,)
                )
            parts.append(found[self.kind])
        return np.concatenate(parts)

    def measure(self, run: Run, folder: Path, writer: Any = None) -> None:
        """Add a point to `run.bits`, print it and draw the curve; a request to stop prevents it.

        Args:
            run: what is trained.
            folder: for bits_per_dim.png.
            writer: a TensorBoard writer, or None.
        """
        with until_stopped(run.signals, run.average.module):
            mean, error = mean_and_error(self.bits(run))
            run.bits.append((run.step, mean, error))
            how = f"{self.kind} of {len(self.images)} test images"
            tqdm.write(f"step {run.step}: {mean:.3f} +- {error:.3f} bits/dim, {how}")
            if writer:
                writer.add_scalar("bits_per_dim", mean, run.step)
                writer.add_scalar("bits_per_dim_error", error, run.step)
            save(plot_bits(run.losses, run.bits, how), folder / "bits_per_dim.png")


@styled
def plot_bits(losses: list[float], bits: list[tuple[int, float, float]], how: str) -> Figure:
    """The curve of the loss, and beside it that of the bits with their standard errors.

    Args:
        losses: means of LOG_EVERY steps.
        bits: (step, mean, standard error).
        how: they were measured.
    """
    figure, (left, right) = panels(1, 2, f"Training, and bits per dimension: {how}", 3)
    left.plot([(k + 1) * LOG_EVERY for k in range(len(losses))], losses, marker=".")
    left.set(xlabel="step", ylabel="training loss")
    step, mean, error = zip(*bits, strict=True)
    right.errorbar(step, mean, error, color=ORANGE, marker="o", markersize=4, capsize=2)
    right.set(xlabel="step", ylabel="bits per dimension")
    return figure
