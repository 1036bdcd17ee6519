"""Training an image model to its end, and what is seen on the way: samples, losses, speed."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from experiments.images.held_out import HeldOut
from experiments.images.samplers.draw import balanced_labels, draw_images
from experiments.images.training_loop import Run, parallel_model
from given.images import figures
from given.images.data import imageset as data
from given.images.data.image_files import save_grid
from given.runtime.checkpoint import save_whole
from given.runtime.files import alone
from given.runtime.machine import seconds_of
from given.runtime.training import LOG_EVERY, save, until_stopped
from given.runtime.training import train as train_to_the_end

GRIDS = ((40, 50), (40, 20), (20, 20), (10, 10), (4, 10))  # samples of a grid, and their steps
GRID_SECONDS = 60  # for a grid that is asked for, and for the last
GRID_EVERY = 120  # seconds between two grids on the way ...
GRID_SHARE = 0.05  # ... which take no more of the time
EARLY = 1 / 8  # share of a run after which its average is kept, as early.ckpt


class Grids:
    """When a grid of samples is due on the way: by the time, or by steps where that was asked for.

    Args:
        every: steps between two grids, or None.
    """

    def __init__(self, every: int | None) -> None:
        self.every = every
        self.last = time.perf_counter()
        self.next = self.last + GRID_EVERY

    def due(self, step: int) -> bool:
        """Whether to think of a grid after this step."""
        return step % self.every == 0 if self.every else time.perf_counter() >= self.next

    def draw(self, run: Run, folder: Path) -> None:
        """Draw one that fits; or put it off until the smallest is no more than GRID_SHARE."""
        begin = time.perf_counter()
        share = GRID_SECONDS if self.every else GRID_SHARE * (begin - self.last)
        plan = plan_grid(seconds_of_image(run), run.config["network"]["T"], share)
        if plan.seconds > share and not self.every:
            self.next = self.last + plan.seconds / GRID_SHARE
            return
        show(run, folder, plan)
        self.last = time.perf_counter()
        self.next = self.last + max(GRID_EVERY, (self.last - begin) / GRID_SHARE)


def train(
    run: Run,
    loader: data.Loader,
    folder: Path,
    save_every: int | None = None,
    sample_every: int | None = None,
    writer: Any = None,
    held_out: HeldOut | None = None,
) -> bool:
    """Train to the end, saving every minute, and at SIGINT or SIGTERM.

    The average of an eighth of the run stays in early.ckpt, for `sampling.py --guide_path`.

    Args:
        run: what is trained.
        loader: of the images.
        folder: of the results.
        save_every: steps between two more checkpoints, or None.
        sample_every: steps between two grids of samples; None for one every two minutes or more.
        writer: a TensorBoard writer, or None.
        held_out: measures bits per dimension on the way, in process 0; or None.

    Returns:
        whether it came to the end.
    """
    path, first, grids = folder / "last.ckpt", run.rank == 0, Grids(sample_every)
    since: dict[str, float] = {"share": run.share}

    def restart_clock():
        since.update(time=time.perf_counter(), step=run.step)

    def keep_early():
        if first and since["share"] < EARLY <= run.share:
            save_whole(folder / "early.ckpt", run.sampled())
        since["share"] = run.share

    def describe(loss):
        images = (run.step - since["step"]) * loader.batch_size
        speed = images / (time.perf_counter() - since["time"])
        if writer:
            writer.add_scalar("loss", loss, run.step)
            writer.add_scalar("images_per_second", speed, run.step)
        restart_clock()
        time_spent = f", {run.budget.share:.0%} of the time" if run.budget else ""
        return f"loss {loss:.4f}, {speed:.0f} images/s{time_spent}"

    def measure():
        if held_out and held_out.due(run):
            held_out.measure(run, folder, writer)
            restart_clock()

    def after_step():
        if save_every and run.step % save_every == 0:
            save(run, path)
        keep_early()
        measure()
        if first and run.step < run.total and grids.due(run.step):
            grids.draw(run, folder)
            restart_clock()

    restart_clock()
    steps = run.train_steps(parallel_model(run), loader)
    with alone(folder, first):
        measure()  # what a stop prevented
        return train_to_the_end(run, steps, path, after_step=after_step, describe=describe)


class GridPlan(NamedTuple):
    """How many samples a grid has, in how many steps, how many at a time, and what they cost."""

    num: int
    steps: int
    batch_size: int
    seconds: float


def show(run: Run, folder: Path, plan: GridPlan | None = None) -> None:
    """Save the curve of the loss, and a grid of samples of the averaged network.

    A request to stop ends the drawing, without a grid.

    Args:
        run: what is trained.
        folder: of the results.
        plan: of the grid; by default one of GRID_SECONDS.
    """
    from image_diffusion.ddpm import DiffusionModule

    if run.losses:
        figures.save(plot_loss(run.losses), folder / "loss.png")
    network, scheduler = run.average.module, run.model.var_scheduler
    plan = plan or plan_grid(seconds_of_image(run), scheduler.num_train_timesteps)
    scheduler.set_timesteps(plan.steps)
    labels, scale = None, 0.0
    if run.config["network"]["use_cfg"]:
        labels, scale = balanced_labels(plan.num, run.config["network"]["num_classes"]), 1.5
    model = DiffusionModule(network, scheduler).eval()
    with until_stopped(run.signals, network):
        seed = run.config["seed"]
        images = draw_images(model, plan.num, labels, scale, seed, plan.batch_size)
        save_grid(images, folder / f"samples_{run.step:06d}.png")


@torch.no_grad()
def seconds_of_image(run: Run) -> float:
    """How long the averaged network takes for one image at one timestep."""
    B = 1 if run.device.type == "cpu" else 8  # fewer would not fill a GPU
    network = run.average.module
    size = network.image_resolution
    x = torch.zeros(B, network.in_ch, size, size, device=run.device)
    x = x.contiguous(memory_format=torch.channels_last)
    return seconds_of(lambda: network(x, 0), run.device) / B


def plan_grid(seconds: float, T: int, limit: float = GRID_SECONDS) -> GridPlan:
    """The largest grid of 40 samples in 50 steps, or fewer, that takes no longer than `limit`.

    Args:
        seconds: for one image at one timestep; guidance takes twice as long.
        T: timesteps of the schedule.
        limit: in seconds; the smallest grid may take longer.

    Returns:
        its plan, with a batch with which the bar moves, and a stop comes, every few seconds.
    """
    for num, steps in GRIDS:
        cost = 2 * num * steps * seconds
        if cost <= limit:
            break
    return GridPlan(num, min(steps, T), min(max(int(2 / seconds), 1), num), cost)


def plot_loss(losses: list[float]) -> Any:
    """The curve of the loss, a Matplotlib Figure, from means of LOG_EVERY steps."""
    points = [((k + 1) * LOG_EVERY, loss) for k, loss in enumerate(losses)]
    title = "The loss: mean weighted squared error of the guessed noise"
    return figures.curves({"training": points}, title, "step", "loss", log="y")
