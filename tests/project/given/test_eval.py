"""The metrics against libraries and closed forms, and the mistakes that they must notice."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from given.plane import metrics as metrics
from given.plane.mixture import matched_gaussian
from given.plane.point_sets import make_points


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 9, 2)), rng.normal(size=(4, 12, 2)) + 1


def test_chamfer_is_the_mean_of_squares_both_ways(clouds):
    a, b = clouds
    for i, value in enumerate(metrics.CD(a, b)):
        squared = cdist(a[i], b[i], "sqeuclidean")
        want = squared.min(1).mean() + squared.min(0).mean()
        assert value.item() == pytest.approx(want), "this is not both directions of squares"
        assert value.item() != pytest.approx(squared.min(1).mean()), "one direction is missing"
        assert metrics.chamfer(a[i], b[i]) == pytest.approx(want)


def test_a_dropped_mode_is_seen_by_chamfer():
    whole = make_points("8gaussians", 2000, 0)
    part = whole[whole[:, 0] > 0]
    assert metrics.chamfer(part, whole) > 100 * metrics.chamfer(
        make_points("8gaussians", 2000, 1), whole
    )


def test_emd_is_the_optimal_assignment_and_not_the_nearest_neighbour():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 20, 2))
    for i, value in enumerate(metrics.EMD(a, b)):
        cost = cdist(a[i], b[i])
        row, column = linear_sum_assignment(cost)
        assert value.item() == pytest.approx(cost[row, column].mean())
        assert value.item() > cost.min(1).mean(), "every point went to its nearest neighbour"


def test_sliced_w2_of_a_shift_is_its_mean_projection():
    a = np.random.default_rng(2).normal(size=(500, 2))
    shift = np.array([0.3, -0.4])
    assert metrics.sliced_w2(a, a + shift) == pytest.approx(0.5 / np.sqrt(2), rel=1e-6)


def test_sliced_w2_agrees_with_pot():
    import ot

    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 400, 2))
    angles = np.pi * (np.arange(64) + 0.5) / 64
    projections = np.stack([np.cos(angles), np.sin(angles)])
    for other in (b, b[:300]):
        expected = ot.sliced_wasserstein_distance(a, other, projections=projections)
        assert metrics.sliced_w2(a, other) == pytest.approx(expected, rel=1e-9)


def test_energy_distance_agrees_with_scipy_in_one_dimension():
    from scipy.stats import energy_distance

    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(3000, 1)), rng.normal(size=(3000, 1)) + 0.7
    assert metrics.energy_distance(a, b) == pytest.approx(
        energy_distance(a[:, 0], b[:, 0]) ** 2, abs=2e-3
    )
    assert wasserstein_distance(a[:, 0], b[:, 0]) == pytest.approx(
        metrics.emd(a[:500], b[:500]), abs=0.1
    )


def test_clouds_of_unequal_number_are_fine_where_they_can_be():
    a, b = torch.randn(2, 10, 2), torch.randn(2, 17, 2)
    assert metrics.CD(a, b).shape == metrics.EMD(a, b).shape == (2,)


def test_sliced_w2_on_a_line_is_w2():
    """Truth: points of a line are paired in order."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(200, 1)), rng.normal(size=(200, 1)) + 1
    want = np.sqrt(((np.sort(a, 0) - np.sort(b, 0)) ** 2).mean())
    assert metrics.sliced_w2(a, b) == pytest.approx(want)
    assert metrics.sliced_w2(a, np.repeat(b, 2, 0)) == pytest.approx(want)


@pytest.mark.parametrize("D", [1, 2, 3])
def test_the_matched_gaussian_has_the_moments_in_any_dimension(D):
    """Truth: the mean and covariance of 50,000 draws."""
    points = torch.randn(500, D) @ torch.randn(D, D) + 1
    drawn = matched_gaussian(points).sample(50_000)
    assert torch.allclose(drawn.mean(0), points.mean(0), atol=0.1)
    want = points.T.cov().reshape(D, D)
    assert torch.allclose(drawn.T.cov().reshape(D, D), want, atol=0.05 * want.abs().max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.CD(torch.zeros(2, 5, 2), torch.zeros(3, 5, 2)), "same B and D"),
        (lambda: metrics.CD(torch.zeros(2, 0, 2), torch.zeros(2, 5, 2)), "no points"),
        (lambda: metrics.chamfer(torch.zeros(5), torch.zeros(5, 2)), r"pass \(n, D\)"),
        (lambda: metrics.score(torch.zeros(0, 2)), "has 0 points"),
        (lambda: metrics.score(torch.zeros(500, 2)), "needs at least 10000"),
        (
            lambda: metrics.score(torch.full((10_000, 2), torch.nan)),
            "10000 of 10000 points are NaN",
        ),
        (lambda: metrics.sliced_w2(torch.ones(5, 3), torch.ones(5, 3)), "have 3 dimensions"),
        (lambda: metrics.emd(torch.ones(5, 3), torch.ones(5, 2)), "have 3 and 2 dimensions"),
        (lambda: metrics.energy_distance(torch.ones(1, 2), torch.ones(5, 2)), "at least 2"),
        (lambda: matched_gaussian(torch.ones(1, 2)), "1 points have no covariance"),
    ],
)
def test_bad_clouds_are_one_clear_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
