"""Times drawn by importance against uniform ones, on Fashion-MNIST: `python benchmarks/debias.py`.

Three objectives of one network under VP; the images and the noise of a seed are the same in all:

simple     uniform times, weight 1, which Huang et al. 2021 call biased
weighted   uniform times, the likelihood weight g^2 / std^2
debiased   times from the density of that weight, which then is a constant

The last two losses have the same mean. Printed are how much the loss of a batch spreads at the same
weights, and bits per dimension of held-out images, one slice of time an image; both are drawn over
training in results/benchmarks/debias.png. Training spreads uniform numbers evenly over a batch;
"independent" is the spread where each image has its own, as in most public code.
"""

import argparse
import functools
import os
import time
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch

from experiments.images import train
from experiments.images.bits_per_dim import mean_and_error
from experiments.images.held_out import HeldOut
from experiments.images.train_config import make_config
from experiments.images.training_loop import Run, parallel_model
from given.images.data.imageset import DATA_ROOT, Loader, load_dataset
from given.images.figures import save
from given.images.objectives import (
    CONTINUOUS,
    NoiseError,
    debiased_times,
    spread_numbers,
    uniform_times,
)
from given.levels import log_snr_ends
from given.runtime.figures import BLUE, GREEN, ORANGE, panels, styled

OBJECTIVES = {
    "simple": ("--times vp", uniform_times),
    "weighted": (
        "--times vp --likelihood_weighting",
        functools.partial(uniform_times, likelihood=True),
    ),
    "debiased": ("--times vp --debias", debiased_times),
}
COLOURS = {"simple": BLUE, "weighted": ORANGE, "debiased": GREEN}
PICTURE = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "debias.png"
WINDOW = 25  # steps, of the curve of the loss


def train_run(name, seed, args, train_set):
    """Train by one objective; return the run, with its bits, and the loss of each step."""
    words = f"{OBJECTIVES[name][0]} --mode linear --muon_lr 0 --no-use_cfg "
    words += f"--steps {args.steps} --seed {seed} --ch {args.ch} "
    words += f"--eval_every {args.eval_every} --eval_images {args.num_samples}"
    config = make_config(train.parse(words.split()), train_set, torch.device("cpu"))
    run, losses = Run(config, torch.device("cpu")), []
    held_out = HeldOut(run, DATA_ROOT)
    loader = Loader(train_set, config["batch_size"], seed)
    for loss in run.train_steps(parallel_model(run), loader):
        losses.append(loss.item())
        if held_out.due(run):
            run.bits.append((run.step, *mean_and_error(held_out.bits(run))))
    return run, losses


@torch.no_grad()
def batch_losses(run, name, even, train_set, batches):
    """Losses of batches at the weights of a run, with the same images and noise for every law.

    Args:
        run: of `train_run`.
        name: of OBJECTIVES.
        even: whether the times are spread evenly over a batch.
        train_set: the images.
        batches: how many.
    """
    ends, B = log_snr_ends(run.model.var_scheduler), run.config["batch_size"]
    loader, error = Loader(train_set, B, seed=1), NoiseError(run.model.eval())
    noises, times = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    losses = []
    for k in range(batches):
        x0, _ = loader.batch(k)
        noise = torch.randn(x0.shape, generator=noises)
        numbers = spread_numbers(B, times) if even else torch.rand(B, generator=times)
        level, weight = OBJECTIVES[name][1](CONTINUOUS["vp"], numbers, ends)
        losses.append(error(x0, None, noise, level, weight).item())
    return np.array(losses)


def print_spreads(run, train_set, batches):
    """A line for each law: mean and standard deviation of the loss of a batch."""
    print(f"\nloss of {batches} batches at the same weights: mean, standard deviation / mean")
    for name in OBJECTIVES:
        line = f"{name:<10}"
        for how, even in (("even", True), ("independent", False)):
            losses = batch_losses(run, name, even, train_set, batches)
            line += f"   {how} {losses.mean():8.4f} {losses.std(ddof=1) / losses.mean():6.3f}"
        print(line, flush=True)


def print_bits(runs):
    """Bits per dimension after training, and how rough the losses of its second half are."""
    print("\nbits per dimension of held-out images; spread of the training loss, second half")
    for (name, seed), (run, losses) in runs.items():
        late = np.array(losses[len(losses) // 2 :])
        curve = "  ".join(f"{mean:.3f} +- {error:.3f}" for _, mean, error in run.bits[-1:])
        print(f"{name:<10} seed {seed}   {curve}   {late.std(ddof=1) / late.mean():6.3f}")


@styled
def picture(runs):
    """The loss of training, its means with the range of 80%, and the bits, for every run."""
    title = "Fashion-MNIST under VP: three laws of the times of training"
    figure, (left, right) = panels(1, 2, title, 3.4)
    for (name, seed), (run, losses) in runs.items():
        style = {"color": COLOURS[name], "linestyle": ("-", "--")[seed % 2]}
        label = name if seed == 0 else None
        parts = np.array(losses[: len(losses) // WINDOW * WINDOW]).reshape(-1, WINDOW)
        steps = WINDOW * np.arange(1, len(parts) + 1)
        left.plot(steps, parts.mean(1), label=label, **style)
        low, high = np.quantile(parts, (0.1, 0.9), axis=1)
        left.fill_between(steps, low, high, color=style["color"], alpha=0.12, linewidth=0)
        step, mean, error = zip(*run.bits, strict=True)
        right.errorbar(step, mean, error, label=label, capsize=2, **style)
    left.set(xlabel="step", ylabel="training loss, and its 80%", yscale="log")
    right.set(xlabel="step", ylabel="bits per dimension")
    right.legend()
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--ch", type=int, default=24, help="channels of the first level")
    parser.add_argument("--eval_every", type=int, default=100)
    parser.add_argument("--num_samples", type=int, default=500, help="held-out images")
    parser.add_argument("--batches", type=int, default=100, help="for the spread of the loss")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train_set, runs = load_dataset("fashion", "train"), {}
    for seed in range(args.seeds):
        for name in OBJECTIVES:
            begin = time.perf_counter()
            runs[name, seed] = train_run(name, seed, args, train_set)
            print(f"{name}, seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    print_bits(runs)
    print_spreads(runs["debiased", 0][0], train_set, args.batches)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    save(picture(runs), PICTURE)
    print(f"Picture: {PICTURE}")


if __name__ == "__main__":
    main()
