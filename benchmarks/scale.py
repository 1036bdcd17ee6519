"""From one process to 64 GPUs: `python benchmarks/scale.py --parts sizes law gloo reduce epoch`.

sizes   parameters, operations and memory of the networks that `--network auto` takes by resolution
law     whether the time of a training step follows its count of operations, on this machine
gloo    train.py by 1, 2 and 4 processes with one batch between them: the same losses and weights
reduce  the time of an all-reduce by 2 and 4 processes against the ring's law
epoch   an epoch of AFHQ at 512 x 512 on 1, 8 and 64 GPUs, on paper

A ring moves 2 (n - 1) / n of the gradient through every link, in 2 (n - 1) messages, so that it
takes 2 (n - 1) (G / (n B) + alpha) for G bytes, B bytes a second and alpha seconds a message
(Patarasuk and Yuan 2009). DistributedDataParallel overlaps it with the backward pass, two thirds of
a step, all but the last bucket.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch
from torch import distributed

from given.images.cost import cost_of
from given.images.presets import BATCH, BY_RESOLUTION, network_for
from given.images.unet import UNet

ROOT = Path(__file__).resolve().parents[1]
AFHQ_IMAGES = 14_630
SHAPE = {"T": 1000, "in_ch": 3, "use_cfg": False, "num_classes": 1}
BUCKET = 25 * 2**20  # of DistributedDataParallel, in bytes
# Assumed, not measured: a card's dense bf16 peak and the share of it that training reaches, and
# bytes a second and seconds a message between two cards of one node and of two.
PEAK, SHARE = 989e12, 0.3
LINKS = {8: (300e9, 5e-6), 64: (40e9, 15e-6)}


def sizes(args):
    """Print what the network of each resolution costs, with and without checkpointing."""
    print("sizes: one image, forward and backward; saved for the backward pass in float32")
    for size in BY_RESOLUTION:
        network = network_for(size) | SHAPE | {"image_resolution": size}
        plain, again = cost_of(network), cost_of(network, checkpointing=True)
        print(
            f"  {size:4}  batch {BATCH[size]:3}  {plain.parameters / 1e6:6.1f} M  "
            f"{plain.flops / 1e9:6.0f} GFLOP  {plain.saved / 2**20:6.0f} MiB   checkpointing: "
            f"{again.flops / 1e9:6.0f} GFLOP  {again.saved / 2**20:6.0f} MiB",
            flush=True,
        )


def law(args):
    """Print milliseconds and operations of a step for several sizes and widths."""
    print(f"law: a training step of one image, {torch.get_num_threads()} threads")
    rates = []
    for size, ch in ((32, 32), (64, 32), (128, 32), (32, 64), (64, 64), (128, 64)):
        options = {"image_resolution": size, "ch": ch, "ch_mult": (1, 2, 2, 2), "attn": (2,)}
        flops = cost_of({"name": "UNet", "predicts": "noise"} | SHAPE | options).flops
        seconds = step_seconds(UNet(**options), size)
        rates.append(flops / seconds)
        print(
            f"  {size:4} x {size:<4} ch {ch:<4}{flops / 1e9:8.2f} GFLOP  {1e3 * seconds:8.1f} ms  "
            f"{rates[-1] / 1e9:6.1f} GFLOP/s"
        )
    print(f"  so that operations alone foretell the time within {max(rates) / min(rates):.2f} x")


def step_seconds(network, size, tries=5):
    """The median time of a forward and backward pass."""
    network.to(memory_format=torch.channels_last)
    x = torch.randn(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        network(x, torch.zeros(1, dtype=torch.long)).square().mean().backward()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def torchrun(n, *arguments):
    """Run a script by n processes; return what it prints."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc_per_node={n}", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def gloo(args):
    """Train by 1, 2 and 4 processes, and compare losses and weights with those of one."""
    print("gloo: train.py on Fashion-MNIST, 100 steps of 32 images between the processes")
    with tempfile.TemporaryDirectory() as folder:
        states = {}
        for n in (1, 2, 4):
            out, start = Path(folder) / str(n), time.perf_counter()
            options = ("--steps", 100, "--no-decay", "--cfg_dropout", 0, "--device", "cpu")
            options += ("--save_dir", out)
            torchrun(n, ROOT / "image_diffusion" / "train.py", *options)
            seconds = time.perf_counter() - start
            states[n] = torch.load(out / "last.ckpt", weights_only=True)
            print(
                f"  {n} processes: {seconds:5.1f} s, {differences(states[1], states[n])}",
                flush=True,
            )


def differences(one, other):
    """How far the losses and the weights of two runs are apart, relatively."""
    a, b = (torch.tensor(state["training"]["losses"]) for state in (one, other))
    pairs = [(one["network"][name], other["network"][name]) for name in one["network"]]
    apart = torch.cat([(x - y).double().flatten() for x, y in pairs]).norm()
    norm = torch.cat([x.double().flatten() for x, _ in pairs]).norm()
    return f"losses apart by {((a - b) / a).abs().max():.1e}, weights by {apart / norm:.1e}"


def reduce(args):
    """Print the time of all-reduces of several sizes, and what the ring's law says of them."""
    print("reduce: seconds of an all-reduce by gloo, processes on one machine")
    for n in (2, 4):
        lines = torchrun(n, __file__, "--parts", "worker").split("\n")
        sizes, seconds = np.array([list(map(float, line.split())) for line in lines if line]).T
        alpha = seconds[0] / (2 * (n - 1))
        bandwidth = 2 * (n - 1) / n * sizes[-1] / (seconds[-1] - seconds[0])
        print(f"  {n} processes: {alpha * 1e6:.0f} us a message, {bandwidth / 1e9:.2f} GB/s")
        for size, measured in zip(sizes, seconds, strict=True):
            paper = ring(n, size, bandwidth, alpha)
            print(
                f"    {size / 2**20:8.2f} MiB  {1e3 * measured:8.2f} ms   law {1e3 * paper:8.2f} ms"
            )


def worker(args):
    """One process of `reduce`: bytes and median seconds of each size, from the first process."""
    distributed.init_process_group("gloo")
    for size in (2**8, 2**16, 2**20, 2**22, 2**24, 2**26):
        x, times = torch.ones(size // 4), []
        for _ in range(12):
            distributed.barrier()
            start = time.perf_counter()
            distributed.all_reduce(x)
            times.append(time.perf_counter() - start)
        if distributed.get_rank() == 0:
            print(size, np.median(times[2:]), flush=True)
    distributed.destroy_process_group()


def ring(n, size, bandwidth, alpha):
    """Seconds of a ring all-reduce of `size` bytes by n processes."""
    return 2 * (n - 1) * (size / (n * bandwidth) + alpha)


def epoch(args):
    """Print what an epoch of AFHQ 512 takes on 1, 8 and 64 GPUs."""
    parameters, flops, _ = cost_of(network_for(512) | SHAPE | {"image_resolution": 512})
    speed = args.images_per_second or SHARE * PEAK / flops
    gradient = 4 * parameters
    print(
        f"epoch: AFHQ, {AFHQ_IMAGES:,} images of 512 x 512, {args.batch_size} a GPU and step; "
        f"{parameters / 1e6:.1f} M parameters, {gradient / 2**20:.0f} MiB of gradients in float32, "
        f"{flops / 1e12:.2f} TFLOP an image and step"
    )
    measured = (
        "measured" if args.images_per_second else f"ASSUMED: {SHARE:.0%} of {PEAK / 1e12:.0f}"
    )
    print(
        f"  {speed:.1f} images/s a GPU ({measured}{'' if args.images_per_second else ' TFLOP/s'})"
    )
    compute = args.batch_size / speed
    for n in (1, 8, 64):
        bandwidth, alpha = LINKS.get(n, (float("inf"), 0.0))
        reduced = ring(n, gradient, bandwidth, alpha) if n > 1 else 0.0
        last = ring(n, min(BUCKET, gradient), bandwidth, alpha) if n > 1 else 0.0
        hidden = compute + max(last, reduced - 2 / 3 * compute)
        steps = AFHQ_IMAGES / (n * args.batch_size)
        print(
            f"  {n:3} GPUs, batch {n * args.batch_size:5}: {steps:6.1f} steps of "
            f"{1e3 * hidden:7.1f} ms ({1e3 * compute:.1f} to compute, {1e3 * reduced:.1f} to "
            "reduce): "
            f"{steps * hidden:7.1f} s, {100 * compute / hidden:.1f}% of linear "
            f"({100 * compute / (compute + reduced):.1f}% if nothing were hidden)"
        )


def main():
    parts = {
        "sizes": sizes,
        "law": law,
        "gloo": gloo,
        "reduce": reduce,
        "epoch": epoch,
        "worker": worker,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--parts", nargs="+", choices=parts, default=["sizes", "law", "gloo", "reduce", "epoch"]
    )
    parser.add_argument("--batch_size", type=int, default=8, help="of epoch: images a GPU and step")
    parser.add_argument(
        "--images_per_second", type=float, help="of epoch, measured on one GPU; assumed by default"
    )
    args = parser.parse_args()
    for part in args.parts:
        parts[part](args)


if __name__ == "__main__":
    main()
