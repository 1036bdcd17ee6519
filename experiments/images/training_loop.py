"""The training loop of the image models: one step, many steps, saving, stopping, going on.

Everything random in a step is drawn from the seed and the number of the step, and from nothing
else. So a checkpoint needs no state of any generator, and several processes that share a batch draw
together what a single one would draw.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.images.samplers.draw import balanced_labels, draw_images
from given.images import figures
from given.images.data import imageset as data
from given.images.data.image_files import save_grid
from given.images.load import build_network
from given.images.objectives import OBJECTIVES, NoiseError, draw_levels
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint
from given.runtime.files import alone
from given.runtime.machine import autocast, parallel, seconds_of, seed_of
from given.runtime.training import (
    LOG_EVERY,
    MovingAverage,
    TrainingRun,
    ema_decay,
    lr_factor,
    save,
    set_lr,
    until_stopped,
)
from given.runtime.training import train as train_to_the_end

GRIDS = ((40, 50), (40, 20), (20, 20), (10, 10), (4, 10))  # samples of a grid, and their steps
GRID_SECONDS = 60


class Run(TrainingRun):
    """The state of a training run: model, optimizer, average, and the number of steps done."""

    def __init__(
        self, config: dict, device: torch.device, rank: int = 0, world_size: int = 1
    ) -> None:
        """Build the model with its first weights.

        Args:
            config: see `experiments.images.train.make_config`.
            device: where it trains.
            rank: of this process.
            world_size: the number of processes.
        """
        from image_diffusion.ddpm import DiffusionModule
        from image_diffusion.scheduler import DDIMScheduler

        super().__init__(config["steps"], device, rank, world_size)
        self.config = config
        self.advice = f"lower --lr (now {config['lr']:g}), and go on from last.ckpt with --resume"
        torch.manual_seed(config["seed"])
        scheduler = DDIMScheduler(**config["scheduler"])
        network = build_network(config["network"], scheduler.alphas_cumprod)
        self.model = DiffusionModule(network, scheduler).to(device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = MovingAverage(network)
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            config["lr"],
            betas=(0.9, 0.99),
            weight_decay=config["weight_decay"],
            fused=device.type != "mps",
        )

    def train_steps(self, model: nn.Module, loader: data.Loader) -> Iterator[Tensor]:
        """Yield the loss of each step from here on; model: of `parallel_model`."""
        while self.step < self.total:
            yield train_step(self, model, loader.batch(self.step))

    def state(self) -> dict:
        """Everything that going on needs, as a checkpoint."""
        training = {
            "network": self.model.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        return {
            "config": self.config,
            "network": self.average.module.state_dict(),
            "training": training | self.progress(),
        }

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = read_checkpoint(path, self.device)
        if "training" not in state:
            raise ValueError(f"{path} holds no state of training; it can only be sampled from.")
        with blamed_on(path):
            training = state["training"]
            load_weights(self.model.network, training["network"], path)
            load_weights(self.average.module, state["network"], path)
            self.optimizer.load_state_dict(training["optimizer"])
            self.set_progress(training)


def train_step(run: Run, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """One step of gradient descent and of the average.

    Args:
        run: its number of steps goes up by one.
        model: the module of `parallel_model`.
        batch: x0 (B, C, H, W) and class labels (B,).

    Returns:
        the loss, a tensor without axes.
    """
    config, step = run.config, run.step
    x0, labels = batch
    noise, level, weight = shared_draws(run, x0)
    torch.manual_seed(seed_of(config["seed"], step, run.rank))  # dropout, dropped labels
    decay = "cosine" if config["decay"] else "constant"
    set_lr(run.optimizer, config["lr"] * lr_factor(step, run.total, config["warmup"], decay))
    with autocast(run.device, config["bf16"]):
        loss = model(x0, labels if config["network"]["use_cfg"] else None, noise, level, weight)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.network.parameters(), config["clip"])
    run.optimizer.step()
    run.average.update(ema_decay(config["ema"], step) if step else 0.0)  # without the first weights
    run.step += 1
    return loss.detach()


def shared_draws(run: Run, x0: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """This process's part of the noise, levels and weights that all processes draw alike.

    A level is a timestep, or an abar for the objectives of objectives.py.
    """
    generator = torch.Generator(run.device).manual_seed(seed_of(run.config["seed"], run.step))
    B, where = len(x0) * run.world_size, {"generator": generator, "device": run.device}
    own = slice(run.rank * len(x0), (run.rank + 1) * len(x0))
    scheduler, times = run.model.var_scheduler, run.config["times"]
    if times in OBJECTIVES:
        likelihood = run.config["likelihood_weighting"]
        level, weight = draw_levels(times, scheduler, B, generator, likelihood)
    elif times == "uniform":
        level, weight = torch.randint(scheduler.num_train_timesteps, (B,), **where), None
    else:
        level, weight = lognormal_times(scheduler, torch.randn(B, **where))
    noise = torch.randn((B, *x0.shape[1:]), **where)
    return noise[own], level[own], None if weight is None else weight[own]


def lognormal_times(scheduler: Any, z: Tensor, mean: float = -0.6, std: float = 1.2) -> Tensor:
    """Timesteps at which log(sigma), sigma^2 = (1 - abar) / abar, is normal, and their weights.

    The law is that of Karras et al. 2022, table 1, whose mean is -1.2 for pixels of standard
    deviation .5; those of clothes spread more. The weight 1 / abar turns the error of the noise
    into that of v, so that every noise level counts as often as it is drawn.

    Args:
        scheduler: see scheduler.py.
        z: (B,) standard normal numbers.

    Returns:
        timesteps (B,), weights (B,).
    """
    timestep = scheduler.timestep_of(torch.sigmoid(-2 * (mean + std * z))).round().long()
    return timestep, 1 / scheduler.alphas_cumprod[timestep]


def train(
    run: Run,
    loader: data.Loader,
    folder: Path,
    save_every: int | None,
    sample_every: int,
    writer: Any = None,
) -> bool:
    """Train to the end, saving every minute, and at SIGINT or SIGTERM.

    Args:
        run: what is trained.
        loader: of the images.
        folder: of the results.
        save_every: steps between two more checkpoints, or None.
        sample_every: steps between two grids of samples.
        writer: a TensorBoard writer, or None.

    Returns:
        whether it came to the end.
    """
    path, first = folder / "last.ckpt", run.rank == 0
    since: dict[str, float] = {}

    def restart_clock():
        since.update(time=time.perf_counter(), step=run.step)

    def describe(loss):
        images = (run.step - since["step"]) * loader.batch_size
        speed = images / (time.perf_counter() - since["time"])
        if writer:
            writer.add_scalar("loss", loss, run.step)
            writer.add_scalar("images_per_second", speed, run.step)
        restart_clock()
        return f"loss {loss:.4f}, {speed:.0f} images/s"

    def after_step():
        if save_every and run.step % save_every == 0:
            save(run, path)
        if first and run.step % sample_every == 0 and run.step < run.total:
            show(run, folder)
            restart_clock()

    restart_clock()
    steps = run.train_steps(parallel_model(run), loader)
    with alone(folder, first):
        return train_to_the_end(run, steps, path, after_step=after_step, describe=describe)


def parallel_model(run: Run) -> nn.Module:
    """The loss as training calls it: compiled where asked, and wrapped for several processes."""
    if run.config["compile"]:
        run.model.network.compile()
    between_timesteps = run.config["times"] in OBJECTIVES
    return parallel(NoiseError(run.model) if between_timesteps else run.model, run.world_size)


@torch.no_grad()
def show(run: Run, folder: Path) -> None:
    """Save the curve of the loss, and a grid of samples of the averaged network.

    A request to stop ends the drawing, without a grid.
    """
    from image_diffusion.ddpm import DiffusionModule

    if run.losses:
        figures.save(plot_loss(run.losses), folder / "loss.png")
    network, scheduler = run.average.module, run.model.var_scheduler
    num, steps, batch_size = plan_grid(seconds_of_image(run), scheduler.num_train_timesteps)
    scheduler.set_timesteps(steps)
    labels, scale = None, 0.0
    if run.config["network"]["use_cfg"]:
        labels, scale = balanced_labels(num, run.config["network"]["num_classes"]), 1.5
    model = DiffusionModule(network, scheduler).eval()
    with until_stopped(run.signals, network):
        images = draw_images(model, num, labels, scale, run.config["seed"], batch_size)
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


def plan_grid(seconds: float, T: int) -> tuple[int, int, int]:
    """How many samples to draw, in how many steps and how many at a time.

    Args:
        seconds: for one image at one timestep; guidance takes twice as long.
        T: timesteps of the schedule.

    Returns:
        at most 40 and 50, fewer where that would take more than GRID_SECONDS; and a batch with
        which the bar moves, and a stop comes, every few seconds.
    """
    for num, steps in GRIDS:
        if 2 * num * steps * seconds <= GRID_SECONDS:
            break
    return num, min(steps, T), min(max(int(2 / seconds), 1), num)


def plot_loss(losses: list[float]) -> Any:
    """The curve of the loss, a Matplotlib Figure, from means of LOG_EVERY steps."""
    points = [((k + 1) * LOG_EVERY, loss) for k, loss in enumerate(losses)]
    title = "The loss: mean weighted squared error of the guessed noise"
    return figures.curves({"training": points}, title, "step", "loss", log="y")
