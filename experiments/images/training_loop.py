"""Given: the training loop of the image models: one step, many steps, saving, stopping, going on.

Everything random in a step is drawn from the seed and the number of the step, and from nothing
else. So a checkpoint needs no state of any generator, and several processes that share a batch draw
together what a single one would draw.
"""

import time

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from experiments.images.samplers.draw import balanced_labels, draw_images
from given.images import figures
from given.images.data.image_files import save_grid
from given.images.load import build_network
from given.images.objectives import OBJECTIVES, NoiseError, draw_levels
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint
from given.runtime.files import alone
from given.runtime.machine import agreed, autocast, parallel, seed_of, stop_signals
from given.runtime.run_log import LOG_EVERY, close_window, save


class Run:
    """The state of a training run: model, optimizer, average, and the number of steps done.

    Args:
        config: see `make_config`. device: where it trains. rank, world_size: of this process.
    """

    ADVICE = "and go on from last.ckpt with --resume"

    def __init__(self, config, device, rank=0, world_size=1):
        from image_diffusion.ddpm import DiffusionModule
        from image_diffusion.scheduler import DDIMScheduler

        self.config, self.device, self.rank, self.world_size = config, device, rank, world_size
        torch.manual_seed(config["seed"])
        scheduler = DDIMScheduler(**config["scheduler"])
        network = build_network(config["network"], scheduler.alphas_cumprod)
        self.model = DiffusionModule(network, scheduler).to(device)
        self.model.to(memory_format=torch.channels_last)
        average = get_ema_multi_avg_fn(config["ema"])
        self.average = AveragedModel(network, multi_avg_fn=average, use_buffers=False)
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            config["lr"],
            betas=(0.9, 0.99),
            weight_decay=config["weight_decay"],
            fused=device.type != "mps",
        )
        self.step = 0
        self.losses, self.recent = [], []  # means of LOG_EVERY steps; the steps since

    def state(self):
        """Everything that going on needs, as a checkpoint."""
        return {
            "config": self.config,
            "network": self.average.module.state_dict(),
            "training": {
                "network": self.model.network.state_dict(),
                "averaged": self.average.n_averaged,
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "losses": self.losses,
                "recent": [loss.cpu() for loss in self.recent],
            },
        }

    def load(self, path):
        """Go on from a checkpoint."""
        state = read_checkpoint(path, self.device)
        if "training" not in state:
            raise ValueError(f"{path} holds no state of training; it can only be sampled from.")
        with blamed_on(path):
            training = state["training"]
            load_weights(self.model.network, training["network"], path)
            load_weights(self.average.module, state["network"], path)
            self.average.n_averaged.copy_(training["averaged"])
            self.optimizer.load_state_dict(training["optimizer"])
            self.step, self.losses = training["step"], training["losses"]
            self.recent = [loss.to(self.device) for loss in training["recent"]]


def train_step(run, model, batch):
    """One step of gradient descent and of the average.

    Args:
        run: a Run. model: the module of `parallel_model`.
        batch: x0 (B, C, H, W) and class labels (B,).

    Returns:
        the loss, a tensor without axes.
    """
    config, step = run.config, run.step
    x0, labels = batch
    noise, level, weight = shared_draws(run, x0)
    torch.manual_seed(seed_of(config["seed"], step, run.rank))  # dropout, dropped labels
    for group in run.optimizer.param_groups:
        group["lr"] = config["lr"] * rate(step, config)
    with autocast(run.device, config["bf16"]):
        loss = model(x0, labels if config["network"]["use_cfg"] else None, noise, level, weight)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.network.parameters(), config["clip"])
    run.optimizer.step()
    run.average.update_parameters(run.model.network)
    run.step += 1
    return loss.detach()


def shared_draws(run, x0):
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


def lognormal_times(scheduler, z, mean=-0.6, std=1.2):
    """Timesteps at which log(sigma), sigma^2 = (1 - abar) / abar, is normal, and their weights.

    The law is that of Karras et al. 2022, table 1, whose mean is -1.2 for pixels of standard
    deviation .5; those of clothes spread more. The weight 1 / abar turns the error of the noise
    into that of v, so that every noise level counts as often as it is drawn.

    Args:
        scheduler: see scheduler.py. z: (B,) standard normal numbers.

    Returns:
        timesteps (B,), weights (B,).
    """
    timestep = scheduler.timestep_of(torch.sigmoid(-2 * (mean + std * z))).round().long()
    return timestep, 1 / scheduler.alphas_cumprod[timestep]


def rate(step, config):
    """Factor of the learning rate: up in `warmup` steps, then constant, or a cosine down to 0."""
    factor = min(1.0, (step + 1) / max(config["warmup"], 1))
    if config["decay"]:
        factor *= 0.5 * (1 + np.cos(np.pi * step / config["steps"]))
    return float(factor)


def train(run, loader, folder, save_every, sample_every, writer=None):
    """Train until `config["steps"]`, saving on the way and at SIGINT or SIGTERM.

    Args:
        run: a Run. loader: a Loader. folder: of the results. save_every, sample_every: steps.
        writer: a TensorBoard writer, or None.

    Returns:
        whether it came to the end.
    """
    model, steps, first = parallel_model(run), run.config["steps"], run.rank == 0
    bar = tqdm(total=steps, initial=run.step, desc="training", disable=None if first else True)
    start, start_step = time.perf_counter(), run.step
    with bar, alone(folder, first), stop_signals() as stopped:
        while run.step < steps and not agreed(stopped, run.device, run.world_size):
            run.recent.append(train_step(run, model, loader.batch(run.step)))
            bar.update()
            if run.step % LOG_EVERY == 0:
                loss = close_window(run)
                seconds = time.perf_counter() - start
                speed = (run.step - start_step) * loader.batch_size / seconds
                bar.set_postfix_str(f"loss {loss:.4f}, {speed:.0f} images/s")
                log(writer, run.step, loss=loss, images_per_second=speed)
                start, start_step = time.perf_counter(), run.step
            if first and run.step % save_every == 0:
                save(run, folder)
            if first and run.step % sample_every == 0 and run.step < steps:
                show(run, folder)
                start, start_step = time.perf_counter(), run.step
    if first:
        save(run, folder)
    return run.step == steps


def log(writer, step, **values):
    """Hand numbers to TensorBoard where it was asked for."""
    for name, value in values.items():
        if writer:
            writer.add_scalar(name, value, step)


def parallel_model(run):
    """The loss as training calls it: compiled where asked, and wrapped for several processes."""
    if run.config["compile"]:
        run.model.network.compile()
    between_timesteps = run.config["times"] in OBJECTIVES
    return parallel(NoiseError(run.model) if between_timesteps else run.model, run.world_size)


@torch.no_grad()
def show(run, folder):
    """Save a grid of samples of the averaged network, and the curve of the loss."""
    from image_diffusion.ddpm import DiffusionModule

    model = DiffusionModule(run.average.module, run.model.var_scheduler).eval()
    model.var_scheduler.set_timesteps(min(50, model.var_scheduler.num_train_timesteps))
    labels, scale = None, 0.0
    if run.config["network"]["use_cfg"]:
        labels, scale = balanced_labels(40, run.config["network"]["num_classes"]), 1.5
    images = draw_images(model, 40, labels, scale, seed=run.config["seed"])
    save_grid(images, folder / f"samples_{run.step:06d}.png")
    if run.losses:
        figures.save(plot_loss(run.losses), folder / "loss.png")


def plot_loss(losses):
    """The curve of the loss, a Figure. losses: means of LOG_EVERY steps."""
    points = [((k + 1) * LOG_EVERY, loss) for k, loss in enumerate(losses)]
    title = "The loss: mean weighted squared error of the guessed noise"
    return figures.curves({"training": points}, title, "step", "loss", log="y")
