"""Programs of the part `correct`: what a student runs, as it is, on the device.

Each returns a number that may not be above its limit: how far weights or images are apart, or 0 for
what only has to run, with finite weights.
"""

import contextlib
import io
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.gpu_speed import photos
from experiments.images import control, sample
from experiments.images import train as trainer
from experiments.images.train_config import make_config
from experiments.images.training_loop import Run, parallel_model, train_step
from given.images.data.imageset import Loader
from given.images.data.sources import ASSETS
from given.runtime.checkpoint import read_checkpoint, save_whole
from given.runtime.machine import can_compile, has_bf16

CHECKPOINT = str(ASSETS / "fashion_ddpm.ckpt")
CPU = torch.device("cpu")


def programs(args, device):
    """Name: the limit, about how many seconds, and a function from the device to a number."""
    steps, compiling = args.train_steps, 45 if can_compile(device) else 5
    found = {
        "resume": (0.01, 10, in_a_folder(lambda d, folder: resumed(d, folder, steps // 2))),
        "checkpoint to the CPU and back": (0, 10, in_a_folder(carried)),
        "control": (0, 15, in_a_folder(controlled)),
    }
    for method in args.bridges:
        found[f"bridge {method}"] = 0, 10, in_a_folder(bridge(method))
    found["sampling.py"] = 0.05, compiling, in_a_folder(sampled)
    found[f"train.py, {steps} steps"] = 0, compiling, in_a_folder(trained(steps))
    found[f"{steps} steps of CIFAR-10's network"] = 0, compiling, lambda d: colour(d, steps)
    return found


def in_a_folder(program):
    """The program with a temporary folder and without its output, as a function of the device."""

    def run(device):
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
            return program(device, Path(name))

    return run


def finite(state):
    """0 where all weights of a checkpoint are finite, else infinity."""
    tensors = [x for x in state.values() if isinstance(x, torch.Tensor) and x.is_floating_point()]
    return 0.0 if all(x.isfinite().all() for x in tensors) else float("inf")


def largest_difference(one, other):
    """Between two dicts of weights, over the largest weight."""
    apart = max((one[k].cpu().float() - other[k].cpu().float()).abs().max().item() for k in one)
    return apart / max(x.float().abs().max().item() for x in other.values())


def small_run(device, folder=None):
    """A Run of a small network in float32, its images, and a loader of them."""
    images = photos("cifar10", 16, 64)
    words = ["--dataset", "cifar10", "--ch", "32", "--batch_size", "8", "--no-bf16", "--no-compile"]
    run = Run(make_config(trainer.parse(words), images, device), device)
    return run, Loader(images, 8, device=device)


def resumed(device, folder, half):
    """A run that was stopped in the middle, beside one that was not."""
    whole, loader = small_run(device)
    for _ in range(2 * half):
        train_step(whole, whole.model, loader.batch(whole.step))
        if whole.step == half:
            save_whole(folder / "half.ckpt", whole.state())
    again, loader = small_run(device)
    again.load(folder / "half.ckpt")
    while again.step < 2 * half:
        train_step(again, again.model, loader.batch(again.step))
    return largest_difference(again.state()["network"], whole.state()["network"])


def carried(device, folder):
    """A checkpoint of the device goes on on the CPU, and the CPU's on the device."""
    worst = 0.0
    for source, target in ((device, CPU), (CPU, device)):
        run, loader = small_run(source)
        for _ in range(2):
            train_step(run, run.model, loader.batch(run.step))
        save_whole(folder / "carried.ckpt", run.state())
        other, loader = small_run(target)
        other.load(folder / "carried.ckpt")
        worst = max(worst, largest_difference(other.state()["network"], run.state()["network"]))
        train_step(other, other.model, loader.batch(other.step))
        worst += finite(other.state()["network"])
    return worst


def controlled(device, folder):
    words = ["--num_samples", "2", "--steps", "2", "--resamplings", "1", "--scales", "1"]
    for task in ("colour", "class"):
        control.main([*words, "--task", task, "--device", str(device), "--save_dir", str(folder)])
        for path in folder.rglob("*.png"):
            path.unlink()
    return 0.0


def bridge(method):
    """A small bridge between images, without POT."""

    def run(device, folder):
        from experiments.bridges import images
        from experiments.bridges.options import UNUSED

        options = {"num_steps": 4, "batch_size": 4, "cache_size": 4, "iters": 4, "rounds": 2}
        if method == "flow":
            options |= {"rounds": 1}
        options = {k: v for k, v in options.items() if k not in UNUSED.get(method, ())}
        words = [part for k, v in options.items() for part in (f"--{k}", str(v))]
        words += ["--no-ot"] if method in ("flow", "dsbm") else []
        words += ["--prior", "standard"] if method == "sb-fbsde-joint" else []
        words += ["--resolution", "8", "--num_samples", "4", "--method", method]
        with mock.patch.object(images, "RESULTS", folder):
            images.main([*words, "--device", str(device), "--exp_name", "small"])
        (path,) = folder.rglob("last.ckpt")
        return max(finite(weights) for weights in read_checkpoint(path)["network"].values())

    return run


def sampled(device, folder):
    """sampling.py as the machine decides, beside the CPU: the mean difference of pixels."""
    words = ["--ckpt_path", CHECKPOINT, "--num_samples", "5", "--batch_size", "4", "--steps", "10"]
    found = []
    for where in (CPU, device):
        path = folder / f"{len(found)}.npz"
        sample.main([*words, "--device", str(where), "--save_dir", str(path)])
        with np.load(path) as arrays:
            found.append(arrays["images"] / 255)
    return np.abs(found[1] - found[0]).mean()


def trained(steps):
    """train.py on Fashion-MNIST, as the machine decides about bf16 and torch.compile."""

    def run(device, folder):
        words = ["--steps", str(steps), "--device", str(device), "--save_dir", str(folder)]
        trainer.main(words)
        state = read_checkpoint(folder / "last.ckpt")
        expected = {"bf16": has_bf16(device), "compile": can_compile(device)}
        if any(state["config"][name] != value for name, value in expected.items()):
            raise ValueError(f"The run has {state['config']}, where {expected} was expected.")
        return finite(state["network"])

    return run


def colour(device, steps):
    """CIFAR-10's U-Net as train.py trains it: bf16, compiled, channels last, on random images."""
    images = photos("cifar10", 32, 256)
    ch = ["--ch", "32"] if device.type == "cpu" else []
    words = ["--dataset", "cifar10", "--batch_size", "16" if ch else "128", "--use_cfg", *ch]
    run = Run(make_config(trainer.parse(words), images, device), device)
    model, loader = parallel_model(run), Loader(images, run.config["batch_size"], device=device)
    while run.step < steps:
        loss = train_step(run, model, loader.batch(run.step))
    return finite(run.state()["network"]) if loss.isfinite() else float("inf")
