"""The given modules: point sets, mixtures, processes' messages."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn import datasets

from given.plane.mixture import GaussianMixture, demo_mixture
from given.plane.point_sets import DATASETS, Batches, make_points


@pytest.mark.parametrize("name", [*DATASETS, "checkerboard:8", "gaussians:5"])
def test_every_set_is_seeded_finite_and_on_one_scale(name):
    points = make_points(name, 5000, seed=3)
    assert points.shape == (5000, 2) and points.dtype == torch.float32
    assert torch.equal(points, make_points(name, 5000, seed=3))
    assert not torch.equal(points, make_points(name, 5000, seed=4))
    scale = 1.0 if name == "standard" else 2.0
    assert points.mean().item() == pytest.approx(0, abs=0.1)
    assert points.std().item() == pytest.approx(scale, rel=0.03)


def test_swiss_roll_is_that_of_scikit_learn():
    from sklearn.datasets import make_swiss_roll

    roll = make_swiss_roll(20_000, hole=True, random_state=0)[0][:, [0, 2]]
    ours = make_points("swiss_roll", 20_000).numpy()
    ratio = ours.std(0) / roll.std(0)
    assert ratio[0] == pytest.approx(ratio[1], rel=0.01), "one deviation for both coordinates"


@pytest.mark.parametrize("name", ["moons", "circles"])
def test_points_are_drawn_one_by_one(name):
    """Truth: the number of points in a half-plane is binomial, of variance n p (1 - p)."""
    n, counts = 400, [(make_points(name, 400, seed)[:, 0] > 0).sum().item() for seed in range(200)]
    p = np.mean(counts) / n
    assert np.var(counts) == pytest.approx(n * p * (1 - p), rel=0.35)


@pytest.mark.parametrize("name", ["moons", "circles"])
def test_moons_and_circles_are_those_of_scikit_learn(name):
    """Truth: their sets of 20,000, up to the scale and what two sets differ by."""
    from given.plane.metrics import sliced_w2

    options = {"moons": {"noise": 0.05}, "circles": {"noise": 0.03, "factor": 0.5}}
    theirs, _ = getattr(datasets, f"make_{name}")(20_000, **options[name], random_state=0)
    theirs = 2 * (theirs - theirs.mean()) / theirs.std()
    assert sliced_w2(make_points(name, 20_000), theirs) < 0.07


def test_checkerboard_has_no_point_on_a_light_cell():
    x = make_points("checkerboard:4", 5000).numpy()
    cell = np.floor((x - x.min()) / (x.max() - x.min() + 1e-3) * 4).astype(int)
    assert (cell.sum(1) % 2 == cell[0].sum() % 2).mean() > 0.99


@pytest.mark.parametrize(
    ("name", "n", "message"),
    [
        ("swiss_rol", 10, "Unknown data set 'swiss_rol'. Known: 8gaussians"),
        ("swiss_roll", 0, "n = 0"),
        ("moons:3", 10, "only checkerboard and gaussians"),
        ("gaussians:x", 10, "Cannot read 'gaussians:x'"),
        ("checkerboard:3", 10, "even number"),
    ],
)
def test_a_bad_set_is_one_clear_sentence(name, n, message):
    with pytest.raises(ValueError, match=message):
        make_points(name, n)


def test_batches_go_on_from_where_they_stood():
    points = make_points("moons", 100)
    batches = Batches(points, 8, seed=1)
    stream = iter(batches)
    next(stream)
    state = batches.state_dict()
    want = next(stream)
    again = Batches(points, 8, seed=99)
    again.load_state_dict(state)
    assert torch.equal(next(iter(again)), want)


def test_batches_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no points"):
        Batches(torch.zeros(0, 2))


@pytest.mark.parametrize(("alpha", "std"), [(1.0, 0.0), (0.6, 0.5), (0.1, 2.0)])
def test_mixture_density_and_score_against_scipy(alpha, std):
    mixture = demo_mixture()
    x = torch.randn(20, 2, dtype=torch.float64)

    def density(point):
        return sum(
            w * multivariate_normal(alpha * m, alpha**2 * S + std**2 * np.eye(2)).pdf(point)
            for w, m, S in zip(
                mixture.weights.numpy(), mixture.means.numpy(), mixture.covs.numpy(), strict=True
            )
        )

    want = np.log([density(point) for point in x.numpy()])
    assert np.allclose(mixture.log_prob(x, alpha, std).numpy(), want, atol=1e-10)
    h = 1e-5
    step = np.eye(2) * h
    slope = [
        [(np.log(density(p + e)) - np.log(density(p - e))) / (2 * h) for e in step]
        for p in x.numpy()
    ]
    assert np.allclose(mixture.score(x, alpha, std).numpy(), slope, atol=1e-4)


def test_mixture_denoiser_is_the_posterior_mean():
    mixture = GaussianMixture(torch.tensor([[1.0, -2.0]]), torch.eye(2)[None] * 0.5)
    x, alpha, std = torch.randn(7, 2), 0.8, 0.6
    gain = alpha * 0.5 / (alpha**2 * 0.5 + std**2)
    want = mixture.means + gain * (x - alpha * mixture.means)
    assert torch.allclose(mixture.denoiser(x, alpha, std).double(), want, atol=1e-5)


def test_mixture_samples_have_its_moments():
    mixture = demo_mixture()
    x = mixture.sample(200_000).double()
    mean = (mixture.weights[:, None] * mixture.means).sum(0)
    spread = mixture.covs + torch.einsum("ki,kj->kij", mixture.means - mean, mixture.means - mean)
    assert torch.allclose(x.mean(0), mean, atol=0.02)
    assert torch.allclose(x.T.cov(), (mixture.weights[:, None, None] * spread).sum(0), atol=0.05)
