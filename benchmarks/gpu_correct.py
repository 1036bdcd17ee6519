"""Whether the course does on a device what it does on a CPU, check by check.

A comparison computes the same on both, in float32 without TF32 and with noise drawn on the CPU; its
difference is the largest, over the largest value. A program runs what a student runs, as it is.
"""

import contextlib
import functools
import math
import time
from unittest import mock

import numpy as np
import torch

from benchmarks.gpu_programs import programs
from benchmarks.gpu_speed import photos
from experiments.images import sample
from experiments.images import train as trainer
from experiments.images.compare_inpainting import fill
from experiments.images.samplers.draw import load_model
from experiments.images.train_config import TIMES, make_config
from experiments.images.training_loop import Run, shared_draws
from given.images.data.imageset import load_dataset, to_tensor
from given.images.data.sources import ASSETS
from given.images.fid.distances import frechet_distance
from given.images.fid.features import load_features
from given.images.fid.moments import Moments
from given.images.fid.sources import open_source
from given.images.fid.summary import summarise
from given.images.masks import make_mask
from given.images.objectives import OBJECTIVES, NoiseError
from given.images.presets import CIFAR10
from given.runtime.machine import full_float32
from image_diffusion.scheduler import DDIMScheduler, DDPMScheduler

CHECKPOINT = ASSETS / "fashion_ddpm.ckpt"
CPU = torch.device("cpu")
SECONDS = 3  # that are left before a check is started; programs say their own


def correct(args, device, report, deadline):
    """Compare, then run the programs; each check is a row, "pass" or "FAIL"."""
    with full_float32():
        for name, (limit, compute) in comparisons().items():
            check(name, limit, functools.partial(apart, compute, device), report, deadline, SECONDS)
    for name, (limit, seconds, program) in programs(args, device).items():
        check(name, limit, functools.partial(program, device), report, deadline, seconds)
    rows = [row for row in report.rows if row["part"] == "correct" and "passed" in row]
    failed = [row["name"] for row in rows if not row["passed"]]
    text = f"{len(rows) - len(failed)} of {len(rows)} pass"
    report.row("correct", "in all", text + "".join(f"; FAIL: {name}" for name in failed))


def check(name, limit, measure, report, deadline, seconds):
    """Take one difference and say whether it is within the limit; an error is a failure."""
    if deadline.left() < seconds:
        return report.skipped("correct", name, deadline, seconds)
    start, error = time.perf_counter(), ""
    try:
        difference = measure()
    except Exception as failure:  # whatever it is, the next check is due
        difference, error = float("inf"), f" {type(failure).__name__}: {failure}"[:300]
    passed, took = bool(difference <= limit), time.perf_counter() - start
    text = (
        f"{'pass' if passed else 'FAIL'} {difference:9.2g} (at most {limit:g}), {took:.1f} s{error}"
    )
    found = {"difference": float(difference) if math.isfinite(difference) else None, "error": error}
    return report.row("correct", name, text, passed=passed, limit=limit, **found)


def apart(compute, device):
    """The largest difference of compute(device) to compute(CPU), over the largest value."""
    want, got = (compute(where).detach().cpu().double() for where in (CPU, device))
    if not (want.isfinite().all() and got.isfinite().all()):
        return float("inf")
    return ((got - want).abs().max() / want.abs().max()).item()


@contextlib.contextmanager
def same_noise():
    """Draw normal numbers and signs on the CPU, from one seed."""
    generator = torch.Generator().manual_seed(0)

    def normal(x, **_):
        return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)

    def whole(x, low, high):
        return torch.randint(low, high, x.shape, generator=generator, dtype=x.dtype).to(x.device)

    with (
        mock.patch.object(torch, "randn_like", normal),
        mock.patch.object(torch, "randint_like", whole),
    ):
        yield


def comparisons():
    """Name: the limit, and a function from a device to the tensor that is compared."""
    found = {}
    for name in sample.SAMPLERS:
        found[f"sampler {name}"] = 0.01, functools.partial(samples, [name])
    noisy = {"ddim, eta 1": ["ddim", "--eta", "1"], "edm, churn": ["edm", "--churn", "2"]}
    for corrector in ("langevin", "annealed_langevin"):
        noisy[corrector] = ["reverse_diffusion", "--corrector", corrector]
    for process in ("SubVPSDE", "VESDE"):
        noisy[process] = ["reverse_diffusion", "--process", process]
    found |= {f"sampler {k}": (0.01, functools.partial(samples, v)) for k, v in noisy.items()}
    for times in TIMES:
        found[f"loss {times}"] = 1e-3, functools.partial(loss, ["--times", times])
    for times in ("vp", "subvp", "ve"):
        words = ["--times", times, "--likelihood_weighting", "--debias"]
        found[f"loss {times}, likelihood"] = 1e-3, functools.partial(loss, words)
    for name in CIFAR10:
        found[f"network {name}"] = 1e-3, functools.partial(output, ["--network", name])
    for predicts in ("noise", "v", "ve", "edm"):
        for features in ("positional", "fourier"):
            words = ["--network", "ddpm", "--predicts", predicts, "--time_features", features]
            found[f"network {predicts}, {features}"] = 1e-3, functools.partial(output, words)
    found["inpainting"] = 0.01, inpainted
    found["likelihood"] = 0.01, likelihoods
    found["classifier's features"] = 1e-3, features_of_clothes
    found["moments"] = 1e-9, moments
    found["Frechet distance"] = 1e-3, distance
    return found


def samples(words, device):
    """Four images of the shipped model by a sampler, in a few steps, with guidance."""
    steps = ["--tol", ".1"] if words[0] == "rk45" else ["--steps", "4"]
    common = ["--ckpt_path", str(CHECKPOINT), "--save_dir", "unused", "--no-bf16", "--no-compile"]
    args = sample.parse([*common, "--scheduler", *words, *steps, "--device", str(device)])
    model, _, draw = sample.load_sampler(args)
    labels = torch.arange(1, 5, device=device)
    with same_noise(), torch.no_grad():
        return draw(model, 4, labels, 1.5)[0]


def small_run(words, device):
    """A Run of a small network with weights that are all random, and its images."""
    images = photos("cifar10", 16, 16)
    options = ["--dataset", "cifar10", "--batch_size", "4", "--no-compile", "--no-bf16", *words]
    run = Run(make_config(trainer.parse([*options, "--ch", "32"]), images, device), device)
    generator = torch.Generator().manual_seed(0)
    for p in run.model.network.parameters():
        p.data += (0.05 * torch.randn(p.shape, generator=generator)).to(device)
    run.model.eval()
    return run, images


def loss(words, device):
    """The loss of a batch and its gradient, with noise and levels that the CPU draws."""
    run, images = small_run(words, device)
    x0 = to_tensor(images.images[:4])
    draws = shared_draws(small_run(words, CPU)[0], x0)
    noise, level, weight = (None if part is None else part.to(device) for part in draws)
    model = NoiseError(run.model) if run.config["times"] in OBJECTIVES else run.model
    value = model(x0.to(device), None, noise, level, weight)
    value.backward()
    gradients = [p.grad.norm() for p in run.model.network.parameters() if p.grad is not None]
    return torch.stack([value, *gradients])


@torch.no_grad()
def output(words, device):
    """What a network gives at four noise levels."""
    network = small_run(words, device)[0].model.network
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(device)
    return network(x, torch.tensor([0.0, 10.5, 500.0, 999.0], device=device))


def inpainted(device):
    model, _ = load_model(CHECKPOINT, DDPMScheduler, device)
    model.var_scheduler.set_timesteps(3)
    x0 = to_tensor(clothes(2)).to(device)
    mask = make_mask("half", 2, 28).to(device)
    per_image = "experiments.images.compare_inpainting.noise_per_image"
    with same_noise(), mock.patch(per_image, lambda seeds: contextlib.nullcontext()):
        filled = fill(model, x0, mask, torch.tensor([1, 2], device=device), 1.0, resamplings=2)
    return torch.stack([x for x, _ in filled.values()])


def likelihoods(device):
    """Nats of two images by the ODE, whose solver may take other steps on each device."""
    from sde_todo import likelihood
    from sde_todo.sde import VPSDE

    model, _ = load_model(CHECKPOINT, DDIMScheduler, device)
    model.requires_grad_(False)
    x, process = to_tensor(clothes(2)).to(device), VPSDE()
    score_fn = model.score_fn(process, torch.tensor([1, 2], device=device), 1.0)
    with same_noise():
        return likelihood.log_likelihood(process, score_fn, x, 1e-3, 1e-2, "rademacher")


def clothes(n):
    return np.array(load_dataset("fashion", "test").images[:n])


def features_of_clothes(device):
    return load_features("classifier", device).on_device(clothes(200))


def moments(device):
    found = Moments(device)
    features = torch.rand(500, 300, generator=torch.Generator().manual_seed(0))
    for part in features.split(128):
        found.update(part.to(device))
    mu, cov = found.result()
    return torch.from_numpy(np.concatenate([mu[None], cov]))


def distance(device):
    extractor = load_features("classifier", device)
    images = clothes(400)
    one, two = (summarise(open_source(x), extractor) for x in (images[:200], images[200:]))
    return torch.tensor(frechet_distance(one.mu, one.cov, two.mu, two.cov))
