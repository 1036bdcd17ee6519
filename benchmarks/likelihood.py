"""Likelihoods of the default image model: `python benchmarks/likelihood.py --parts bits density`.

bits      bits per dimension of held-out images by ODE and by ELBO, both noises
density   what the density of the times does to the spread of a one-slice bound
"""

import argparse
import os

os.environ.setdefault("COURSE", "solutions")

import torch

from experiments.images import bits_per_dim as images
from experiments.images.samplers.draw import load_model
from experiments.images.samplers.process import known_from
from given.images.data.imageset import choose, load_dataset, to_tensor
from given.images.data.sources import ASSETS
from given.plane.mixture import GaussianMixture, demo_mixture
from image_diffusion.scheduler import DDIMScheduler
from sde_todo import likelihood, sde

PARTS = ("bits", "density")
PROCESSES = ("OU", "VPSDE", "SubVPSDE", "VESDE")


def density():
    """Standard deviation of one-slice bounds about their mean, uniform and debiased times."""
    needles = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 1e-4 * torch.eye(2).repeat(2, 1, 1))
    print(f"{'spread of one slice':<34}   uniform  debiased")
    for name, data in (("smooth mixture", demo_mixture()), ("needles, std .01", needles)):
        x = data.sample(50, seed=1).double()
        for process in PROCESSES:
            forward = getattr(sde, process)()
            row(f"{name}, {process}, nats", forward, data.score_fn(forward), x, 1e-3, 1.0)
    model, _ = load_model(ASSETS / "fashion_ddpm.ckpt", DDIMScheduler)
    model.requires_grad_(False)
    test = load_dataset("fashion", "test")
    index = choose(test, 20)
    x, labels = to_tensor(test.images[index]), torch.from_numpy(test.labels[index] + 1)
    forward = sde.VPSDE()
    eps, score_fn = known_from(forward, model.var_scheduler), model.score_fn(forward, labels, 1.0)
    row("clothes, VPSDE, bits/dim", forward, score_fn, x, eps, 1 / (x[0].numel() * 0.6931), 30)


def row(name, forward, score_fn, x, eps, unit, draws=400):
    """Print the spread for both densities, the root mean square over the samples x."""
    torch.manual_seed(0)
    spreads = []
    for kind in ("uniform", "debiased"):
        bound = [likelihood.elbo(forward, score_fn, x, eps, 1, kind) for _ in range(draws)]
        spreads.append(unit * torch.stack(bound).var(0).mean().sqrt().item())
    print(f"{name:<34} {spreads[0]:9.3g} {spreads[1]:9.3g}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--num_samples", type=int, default=200, help="images of bits")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    if "bits" in args.parts:
        images.main(["--num_samples", str(args.num_samples), "--slices", "100", "--device", "cpu"])
    if "density" in args.parts:
        density()


if __name__ == "__main__":
    main()
