"""The steps of an image model in training; `training_progress.py` has the loop around them.

Everything random in a step is drawn from the seed and the number of the step, and from nothing
else. So a checkpoint needs no state of any generator, and several processes that share a batch draw
together what a single one would draw. Noise, levels and dropout are drawn where the network is: no
step waits for a device.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from given.images.data import imageset as data
from given.images.load import build_network
from given.images.logit import to_logits
from given.images.noise_predictor import gives_noise
from given.images.objectives import (
    OBJECTIVES,
    NoiseError,
    draw_levels,
    spread_normals,
    spread_numbers,
)
from given.runtime.budget import TimeBudget
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint
from given.runtime.machine import autocast, memory_format, parallel, seed_of
from given.runtime.muon import make_optimizers
from given.runtime.training import MovingAverage, TrainingRun, ema_decay, lr_factor, set_lr

PIXELS = 2**31  # in a seed: of what spreads the pixels; a number that no rank has
WARMUP = 0.05  # share of the time in which the learning rate rises, where a run has minutes


class Run(TrainingRun):
    """The state of a training run: model, optimizer, average, and the number of steps done.

    Attributes:
        bits: (step, mean, standard error) of the bits per dimension of held-out images, on the way.
    """

    def __init__(
        self, config: dict, device: torch.device, rank: int = 0, world_size: int = 1
    ) -> None:
        """Build the model with its first weights.

        Args:
            config: see `experiments.images.train_config.make_config`.
            device: where it trains.
            rank: of this process.
            world_size: the number of processes.
        """
        from image_diffusion.ddpm import DiffusionModule
        from image_diffusion.scheduler import DDIMScheduler

        super().__init__(config["steps"] or math.inf, device, rank, world_size)
        self.config = config
        self.bits: list[tuple[int, float, float]] = []
        if config.get("minutes"):
            self.budget = TimeBudget(60 * config["minutes"])
        self.advice = f"lower --lr (now {config['lr']:g}), and go on from last.ckpt with --resume"
        torch.manual_seed(config["seed"])
        scheduler = DDIMScheduler(**config["scheduler"])
        network = build_network(config["network"], scheduler.exact)
        network.checkpointing = config.get("checkpointing", False)
        scheduler.clip = gives_noise(network)
        self.model = DiffusionModule(network, scheduler).to(device)
        self.layout = memory_format(device, config["compile"])
        self.model.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.average = MovingAverage(network)
        self.optimizers = make_optimizers(network, config, device)

    def train_steps(self, model: nn.Module, loader: data.Loader) -> Iterator[Tensor]:
        """Yield the loss of each step from here on; model: of `parallel_model`."""
        while self.step < self.total and not (self.budget and self.budget.over()):
            yield train_step(self, model, loader.batch(self.step))
        if self.budget:
            self.budget.close()

    @property
    def share(self) -> float:
        """How much of the run is done, of its time or of its steps: 0 to 1."""
        return self.budget.share if self.budget else self.step / self.total

    def lr_factor(self) -> float:
        """The factor of the learning rates of the next step: by its number, or the time's share."""
        if self.budget:
            return lr_factor(1000 * self.budget.share, 1000, 1000 * WARMUP)
        decay = "cosine" if self.config["decay"] else "constant"
        return lr_factor(self.step, self.total, self.config["warmup"], decay)

    def sampled(self) -> dict:
        """What sampling needs: the configuration and the averaged weights."""
        return {"config": self.config, "network": self.average.module.state_dict()}

    def state(self) -> dict:
        """Everything that going on needs, as a checkpoint."""
        training = {
            "network": self.model.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "bits": self.bits,
        }
        return self.sampled() | {"training": training | self.progress()}

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = read_checkpoint(path, self.device)
        if "training" not in state:
            raise ValueError(f"{path} holds no state of training; it can only be sampled from.")
        with blamed_on(path):
            training = state["training"]
            load_weights(self.model.network, training["network"], path)
            load_weights(self.average.module, state["network"], path)
            states = training.get("optimizers") or [training["optimizer"]]  # of an older run
            for optimizer, each in zip(self.optimizers, states, strict=True):
                optimizer.load_state_dict(each)
            self.set_progress(training)
            self.bits = [(int(k), float(m), float(e)) for k, m, e in training.get("bits", [])]


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
    if config["network"].get("logit"):
        x0 = to_logits(spread_pixels(run, x0))
    x0 = x0.contiguous(memory_format=run.layout)
    noise, level, weight = shared_draws(run, x0)
    torch.manual_seed(seed_of(config["seed"], step, run.rank))  # dropout, dropped labels
    for optimizer in run.optimizers:
        set_lr(optimizer, optimizer.defaults["lr"] * run.lr_factor())
        optimizer.zero_grad(set_to_none=True)
    with autocast(run.device, config["bf16"]):
        loss = model(x0, labels if config["network"]["use_cfg"] else None, noise, level, weight)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.network.parameters(), config["clip"])
    for optimizer in run.optimizers:
        optimizer.step()
    run.average.update(ema_decay(config["ema"], step) if step else 0.0)  # without the first weights
    run.step += 1
    return loss.detach()


def spread_pixels(run: Run, x0: Tensor) -> Tensor:
    """Images with every pixel spread evenly over its level, 1/127.5 wide, as its density asks for.

    Near black a logit is 4 times as steep as in the middle: levels would be seen as such. All
    processes draw alike, as in `shared_draws`.
    """
    seed = seed_of(run.config["seed"], run.step, PIXELS)
    generator = torch.Generator(run.device).manual_seed(seed)
    shape = (len(x0) * run.world_size, *x0.shape[1:])
    u = torch.rand(shape, generator=generator, device=run.device)
    return x0 + (u[run.rank * len(x0) : (run.rank + 1) * len(x0)] - 0.5) / 127.5


def shared_draws(run: Run, x0: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """This process's part of the noise, levels and weights that all processes draw alike.

    A level is a timestep, or a log SNR for the objectives of objectives.py.
    """
    generator = torch.Generator(run.device).manual_seed(seed_of(run.config["seed"], run.step))
    B, where = len(x0) * run.world_size, {"generator": generator, "device": run.device}
    own = slice(run.rank * len(x0), (run.rank + 1) * len(x0))
    scheduler, times = run.model.var_scheduler, run.config["times"]
    if times in OBJECTIVES:
        weighting = (run.config["likelihood_weighting"], run.config.get("debias", False))
        level, weight = draw_levels(times, scheduler, B, generator, *weighting)
    elif times == "uniform":
        numbers = spread_numbers(B, generator)
        level, weight = (scheduler.num_train_timesteps * numbers).long(), None
    else:
        level, weight = lognormal_times(scheduler, spread_normals(B, generator))
    noise = torch.randn((B, *x0.shape[1:]), **where)
    return noise[own], level[own], None if weight is None else weight[own]


def lognormal_times(scheduler: Any, z: Tensor, mean: float = 0.0, std: float = 1.2) -> Tensor:
    """Timesteps at which log(sigma), sigma^2 = (1 - abar) / abar, is normal, and their weights.

    The law is that of Karras et al. 2022, table 1, but for its mean, -1.2 there. Most errors of the
    clothes that a small network draws come from sigma = .6 to 5, where their shapes are decided.
    The weight 1 / abar turns the error of the noise into that of v, so that every noise level
    counts as often as it is drawn.

    Args:
        scheduler: see scheduler.py.
        z: (B,) standard normal numbers.

    Returns:
        timesteps (B,), weights (B,).
    """
    timestep = scheduler.timestep_of(torch.sigmoid(-2 * (mean + std * z))).round().long()
    return timestep, 1 / scheduler.alphas_cumprod[timestep]


def parallel_model(run: Run) -> nn.Module:
    """The loss as training calls it: compiled where asked, and wrapped for several processes."""
    if run.config["compile"]:
        run.model.network.compile(dynamic=False)  # the batch keeps its size
    between_timesteps = run.config["times"] in OBJECTIVES
    return parallel(NoiseError(run.model) if between_timesteps else run.model, run.world_size)
