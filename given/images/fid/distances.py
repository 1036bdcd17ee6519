"""How far generated images are from real ones: FID, KID and the inception score.

The distances, as functions of features alone. `sources.py` reads sets of images, `features.py` has
the networks that give features, `summary.py` what is kept of a set; `measure.py` is the command.
`train_classifier.py` made the small network that needs no download.
"""

import warnings

import numpy as np
from scipy.linalg.lapack import dpotrf
from tqdm import tqdm

SEED = 2020  # of torch-fidelity, so that subsets and splits are the same as its own


def frechet_distance(mu1: np.ndarray, cov1: np.ndarray, mu2: np.ndarray, cov2: np.ndarray) -> float:
    """The Fréchet distance of two Gaussians, squared (Heusel et al. 2017, eq. 6).

        d^2 = |mu1 - mu2|^2 + Tr(cov1 + cov2 - 2 (cov1 cov2)^(1/2))

    The trace of the last root is the sum of the singular values of L1^T L2, for any L L^T = cov;
    eigenvalues of the product of both covariances would have half the digits.

    Args:
        mu1: (F,).
        mu2: (F,).
        cov1: (F, F), symmetric.
        cov2: (F, F), symmetric.

    Returns:
        float, at least 0. Singular covariances give a warning.

    Raises:
        ValueError: shapes that differ, or values that are not finite.
    """
    arrays = [np.asarray(array, dtype=np.float64) for array in (mu1, cov1, mu2, cov2)]
    mu1, cov1, mu2, cov2 = arrays
    if mu1.ndim != 1 or mu1.shape != mu2.shape or not cov1.shape == cov2.shape == 2 * mu1.shape:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"Statistics of shapes {shapes}; pass (F,), (F, F), (F,), (F, F).")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("The statistics hold NaN or infinite values; look at the images.")
    L1, L2 = _factor(cov1), _factor(cov2)
    if min(L1.shape[1], L2.shape[1]) < len(mu1):
        warnings.warn(
            f"The covariances have rank {L1.shape[1]} and {L2.shape[1]} of {len(mu1)}: the distance"
            " depends strongly on the number of images; compare it only with figures for as many.",
            stacklevel=2,
        )
    trace = np.trace(cov1 + cov2) - 2 * np.linalg.svd(L1.T @ L2, compute_uv=False).sum()
    return max(float(np.square(mu1 - mu2).sum() + trace), 0.0)


def _factor(cov):
    """L (F, rank) with L L^T = cov; by eigenvalues only where Cholesky meets a singular matrix."""
    smallest = len(cov) * np.finfo(float).eps
    L, failed = dpotrf(cov, lower=1)
    if not failed and L.diagonal().min() ** 2 > smallest * cov.diagonal().max():
        return L
    values, vectors = np.linalg.eigh(cov)
    kept = values > smallest * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def kernel_distance(
    features1: np.ndarray,
    features2: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = SEED,
) -> tuple[float, float]:
    """KID: the squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018).

        k(x, y) = (x.y/F + 1)^3
        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    Its expectation does not depend on the number of images. It may come out below zero.

    Args:
        features1: (n, F).
        features2: (m, F).
        subsets: how many random subsets are averaged.
        subset_size: images of each; at most n and m are taken.
        seed: of the subsets.

    Returns:
        mean and standard deviation over the subsets.

    Raises:
        ValueError: fewer than two images.
    """
    size = min(subset_size, len(features1), len(features2))
    if size < 2:
        raise ValueError(f"KID needs subsets of 2 images or more; here they have {size}.")
    rng, values = np.random.RandomState(seed), []  # this generator, for torch-fidelity's subsets
    for _ in tqdm(range(subsets), "KID", leave=False, disable=None):
        x = features1[rng.choice(len(features1), size, replace=False)]
        y = features2[rng.choice(len(features2), size, replace=False)]
        within = sum(
            (k.sum() - np.trace(k)) / (size * (size - 1)) for k in (_cubic(x, x), _cubic(y, y))
        )
        values.append(within - 2 * _cubic(x, y).mean())
    return float(np.mean(values)), float(np.std(values))


def _cubic(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def inception_score(probs: np.ndarray, splits: int = 10, seed: int = SEED) -> tuple[float, float]:
    """The inception score: how sure the classes are, and how evenly spread (Salimans et al. 2016).

        IS = exp( mean_i KL( p(y | x_i) || mean_j p(y | x_j) ) ),

    on each of several equal parts of the shuffled images.

    Args:
        probs: (n, K) class probabilities.
        splits: parts.
        seed: of the shuffling.

    Returns:
        mean and standard deviation over the parts; from 1 to K.

    Raises:
        ValueError: fewer images than parts, or rows that are no probabilities.
    """
    probs = np.asarray(probs, dtype=np.float64)
    if probs.ndim != 2 or (probs < 0).any() or not np.allclose(probs.sum(1), 1, atol=1e-4):
        raise ValueError(f"An array of shape {probs.shape}: pass (n, K), rows that sum to 1.")
    n = len(probs)
    if n < splits:
        raise ValueError(f"{n} images cannot be cut into {splits} parts; take fewer parts.")
    probs = probs[np.random.RandomState(seed).permutation(n)]  # a folder may be sorted by class
    scores = []
    for i in range(splits):
        part = probs[i * n // splits : (i + 1) * n // splits]
        ratio = np.log(np.maximum(part, 1e-300)) - np.log(np.maximum(part.mean(0), 1e-300))
        scores.append(np.exp((part * ratio).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))
