"""Given: train a diffusion model on images.

    python image_diffusion/train.py                                  Fashion-MNIST on a laptop
    python image_diffusion/train.py --dataset afhq --use_cfg         AFHQ 64 x 64 on a GPU
    torchrun --standalone --nproc_per_node=4 image_diffusion/train.py --dataset afhq

Stop it with Ctrl-C and go on with the same command and --resume. Everything random in a step
depends only on the seed and the number of the step, so a run that was stopped ends with the same
weights as one that was not, and one on several processes follows one on a single process with the
same batch.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from image_diffusion import dataset as data
from image_diffusion.checkpoint import build_network, put_weights, read_checkpoint, save_whole
from image_diffusion.sampling import balanced_labels, draw_images, pick_device, save_grid
from sde_todo.todo import one_line_todos

RESULTS = Path(__file__).parents[1] / "results" / "images"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOG_EVERY = 50  # steps between two readings of the loss, each of which waits for the device

# What each set is trained with, unless the command line says otherwise.
SMALL = {
    "network": {"name": "PatchUNet", "predicts": "v", "ch": (64, 128), "num_res_blocks": 2},
    "mode": "cosine",
    "batch_size": 32,
    "steps": 3000,
    "lr": 2e-3,
    "decay": True,
    "ema": 0.997,
    "warmup": 100,
    "weight_decay": 0.01,
    "use_cfg": True,
}
DDPM = {
    "network": {
        "name": "UNet",
        "predicts": "noise",
        "ch": 128,
        "ch_mult": (1, 2, 2, 2),
        "attn": (1,),
        "num_res_blocks": 2,
        "dropout": 0.1,
    },
    "mode": "linear",
    "batch_size": 128,
    "steps": 800_000,
    "lr": 2e-4,
    "decay": False,
    "ema": 0.9999,
    "warmup": 5000,
    "weight_decay": 0.0,
    "use_cfg": False,
}
FACES = DDPM | {"batch_size": 32, "steps": 100_000, "warmup": 200, "ema": 0.999}
PRESETS = {"fashion": SMALL, "fashion_full": SMALL, "mnist": SMALL, "cifar10": DDPM}
PRESETS |= {"afhq": FACES, "celeba": FACES}


class Run:
    """The state of a training run: model, optimiser, average, and the number of steps done.

    Args:
        config: see `make_config`. device: where it trains. rank, world_size: of this process.
    """

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
            fused=device.type == "cuda",
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
        training = state["training"]
        put_weights(self.model.network, training["network"], path)
        put_weights(self.average.module, state["network"], path)
        self.average.n_averaged.copy_(training["averaged"])
        self.optimizer.load_state_dict(training["optimizer"])
        self.step, self.losses = training["step"], training["losses"]
        self.recent = [loss.to(self.device) for loss in training["recent"]]


def train_step(run, parallel, batch):
    """One step of gradient descent and of the average.

    Args:
        run: a Run. parallel: its model, or that wrapped for several processes.
        batch: x0 (B, C, H, W) and class labels (B,).

    Returns:
        the loss, a tensor without axes.
    """
    config, step = run.config, run.step
    x0, labels = batch
    noise, timestep = shared_draws(run, x0)
    torch.manual_seed(seed_of(config["seed"], step, run.rank))  # dropout, dropped labels
    for group in run.optimizer.param_groups:
        group["lr"] = config["lr"] * rate(step, config)
    bf16 = torch.autocast(run.device.type, torch.bfloat16, enabled=config["bf16"])
    with bf16:
        loss = parallel(x0, labels if config["network"]["use_cfg"] else None, noise, timestep)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.network.parameters(), config["clip"])
    run.optimizer.step()
    run.average.update_parameters(run.model.network)
    run.step += 1
    return loss.detach()


def shared_draws(run, x0):
    """This process's part of the noise and the timesteps that all processes draw alike."""
    generator = torch.Generator(run.device).manual_seed(seed_of(run.config["seed"], run.step))
    B, where = len(x0) * run.world_size, {"generator": generator, "device": run.device}
    T = run.model.var_scheduler.num_train_timesteps
    timestep = torch.randint(T, (B,), **where)
    noise = torch.randn((B, *x0.shape[1:]), **where)
    own = slice(run.rank * len(x0), (run.rank + 1) * len(x0))
    return noise[own], timestep[own]


def seed_of(*numbers):
    """One 63-bit seed from several whole numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


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
    parallel, steps, first = parallel_model(run), run.config["steps"], run.rank == 0
    bar = tqdm(total=steps, initial=run.step, desc="training", disable=None if first else True)
    start, start_step = time.perf_counter(), run.step
    with bar, stop_signals() as stopped:
        while run.step < steps and not agreed(stopped, run):
            run.recent.append(train_step(run, parallel, loader.batch(run.step)))
            bar.update()
            if run.step % LOG_EVERY == 0:
                loss = close_window(run, folder)
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


def save(run, folder):
    """Save last.ckpt, but no weights behind a loss that is not finite."""
    check_finite(run, folder)
    save_whole(folder / "last.ckpt", run.state())


def close_window(run, folder):
    """The mean loss of the last LOG_EVERY steps, over all processes; it joins `run.losses`."""
    check_finite(run, folder)
    loss = torch.stack(run.recent).mean()
    if run.world_size > 1:
        distributed.all_reduce(loss, distributed.ReduceOp.SUM)
        loss /= run.world_size
    run.losses.append(loss.item())
    run.recent.clear()
    return run.losses[-1]


def check_finite(run, folder):
    """Stop with one sentence where a loss since the last reading is not finite."""
    if run.recent and not torch.stack(run.recent).isfinite().all():
        raise ValueError(
            f"The loss is not finite before step {run.step}; lower --lr (now "
            f"{run.config['lr']:g}) and go on from {folder / 'last.ckpt'} with --resume."
        )


def log(writer, step, **values):
    """Hand numbers to TensorBoard where it was asked for."""
    for name, value in values.items():
        if writer:
            writer.add_scalar(name, value, step)


def parallel_model(run):
    """The model as training calls it: wrapped where several processes share the batch."""
    if run.config["compile"]:
        run.model.network.compile()
    if run.world_size == 1:
        return run.model
    return DistributedDataParallel(run.model)


def agreed(stopped, run):
    """Whether any process was asked to stop; all of them get the same answer."""
    flag = torch.tensor(float(bool(stopped)), device=run.device)
    if run.world_size > 1:
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag)
    return bool(stopped)


@contextlib.contextmanager
def stop_signals():
    """Turn SIGINT and SIGTERM into an entry of a list, so that a step ends before training does."""
    stopped = []
    before = {s: signal.signal(s, lambda number, _: stopped.append(number)) for s in SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    plot_loss(run.losses, folder / "loss.png")


def plot_loss(losses, path):
    """Save the curve of the loss."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    axes.plot(np.arange(1, len(losses) + 1) * LOG_EVERY, losses, color="#0072b2")
    axes.set(xlabel="step", ylabel="loss: mean of (noise - prediction)²", yscale="log")
    axes.set_title(f"Training loss, mean of {LOG_EVERY} steps")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def parse(arguments):
    flag = argparse.BooleanOptionalAction
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="fashion", choices=PRESETS)
    parser.add_argument("--data_root", default=data.DATA_ROOT, help="folder of the sets")
    parser.add_argument("--resolution", type=int, help="pixels a side; the set's own if left out")
    parser.add_argument("--save_dir", type=Path, help="default: results/images/DATASET")
    parser.add_argument("--resume", action="store_true", help="go on from last.ckpt in save_dir")
    parser.add_argument("--overwrite", action="store_true", help="train anew over an old run")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch_size", type=int, help="over all processes")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--warmup", type=int, help="steps")
    parser.add_argument("--ema", type=float, help="decay of the averaged weights")
    parser.add_argument("--mode", choices=("linear", "quad", "cosine"), help="of the schedule")
    parser.add_argument("--use_cfg", action=flag, help="train with class labels, for guidance")
    parser.add_argument("--cfg_dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, help="of a CPU; all if left out")
    parser.add_argument("--bf16", action=flag, help="mixed precision; on by default on CUDA")
    parser.add_argument("--compile", action=flag, help="torch.compile; on by default on CUDA")
    parser.add_argument("--save_every", type=int, default=500, help="steps")
    parser.add_argument("--sample_every", type=int, default=1000, help="steps")
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard files")
    return parser.parse_args(arguments)


def make_config(args, train_set, device):
    """The configuration of a new run: the preset of its set, changed by the command line."""
    preset = PRESETS[args.dataset]
    chosen = {k: v for k, v in preset.items() if k not in ("network", "mode", "use_cfg")}
    names = ("steps", "batch_size", "lr", "warmup", "ema")
    chosen |= {k: getattr(args, k) for k in names if getattr(args, k) is not None}
    for name in ("steps", "batch_size", "lr"):
        if chosen[name] <= 0:
            raise ValueError(f"--{name} must be above 0, not {chosen[name]}.")
    cuda = device.type == "cuda"
    T, resolution, in_ch = 1000, train_set.images.shape[1], train_set.images.shape[3]
    network = preset["network"] | {
        "T": T,
        "image_resolution": resolution,
        "in_ch": in_ch,
        "use_cfg": preset["use_cfg"] if args.use_cfg is None else args.use_cfg,
        "cfg_dropout": args.cfg_dropout,
        "num_classes": len(train_set.classes),
    }
    return chosen | {
        "network": network,
        "scheduler": {"num_train_timesteps": T, "mode": args.mode or preset["mode"]},
        "dataset": args.dataset,
        "classes": list(train_set.classes),
        "seed": args.seed,
        "clip": 1.0,
        "bf16": (cuda and torch.cuda.is_bf16_supported()) if args.bf16 is None else args.bf16,
        "compile": cuda if args.compile is None else args.compile,
    }


def processes():
    """(rank, world size, local rank) that torchrun set, or those of a single process."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    return tuple(
        int(os.environ.get(name, default)) for name, default in zip(names, (0, 1, 0), strict=True)
    )


def main(arguments=None):
    args = parse(arguments)
    rank, world_size, local_rank = processes()
    device = pick_device(args.device)
    if device.type == "cuda":
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
    if args.threads:
        torch.set_num_threads(args.threads)
    if world_size > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        work(args, device, rank, world_size)
    finally:
        if world_size > 1:
            distributed.destroy_process_group()


def work(args, device, rank, world_size):
    folder = args.save_dir or RESULTS / args.dataset
    train_set = data.load_dataset(args.dataset, "train", args.resolution, args.data_root)
    config, checkpoint = make_config(args, train_set, device), folder / "last.ckpt"
    if args.resume:
        config = read_checkpoint(checkpoint)["config"]
    elif checkpoint.exists() and not args.overwrite:
        raise ValueError(
            f"{checkpoint} is there already; go on with --resume, train anew with --overwrite, "
            f"or choose another --save_dir."
        )
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(config, device, rank, world_size)
    if args.resume:
        run.load(checkpoint)
    loader = data.Loader(train_set, config["batch_size"], config["seed"], device, rank, world_size)
    writer = tensorboard_writer(folder) if args.tensorboard and rank == 0 else None
    whole = train(run, loader, folder, args.save_every, args.sample_every, writer)
    if rank:
        return
    if not whole:
        print(f"Stopped at step {run.step}; go on with the same command and --resume.")
        return
    show(run, folder)
    print(f"{run.step} steps. Checkpoint: {checkpoint}. Samples and loss curve: {folder}.")


def tensorboard_writer(folder):
    """A writer of TensorBoard files, where that package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs that package: pip install tensorboard") from None
    return SummaryWriter(folder)


if __name__ == "__main__":
    try:
        with one_line_todos():
            main()
    except (ValueError, FileNotFoundError) as error:
        sys.exit(str(error))
