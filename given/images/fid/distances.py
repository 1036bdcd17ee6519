"""How far generated images are from real ones: FID, KID and the inception score.

The distances, as functions of features alone, and what is kept of a set of images.
`features.py` reads the sets and holds the networks that give features, `measure_fid.py` is the
command, `train_classifier.py` made the small network that needs no download.
"""

import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg.lapack import dpotrf
from torch.nn import functional as F
from tqdm import tqdm

from given.images.fid.features import Features, Source

SEED = 2020  # of torch-fidelity, so that subsets and splits are the same as its own
BATCH_SIZE = 64
THUMBNAIL = 16  # pixels a side of the gray pictures by which copies are found
NEAR = 2.5  # of 255, mean absolute difference of thumbnails; no two real clothes are so near


class Moments:
    """Mean and unbiased covariance in one pass, in float64: 50,000 x 2048 features need not stay.

    Batches are joined by their means and their sums of squares about them (Chan et al. 1979); the
    plain sum of squares would lose digits where the mean is large.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: np.ndarray = np.zeros(())
        self.scatter: np.ndarray = np.zeros(())

    def update(self, features: np.ndarray) -> None:
        """Add features (B, F)."""
        B, mean = len(features), features.mean(0)
        centred, shift = features - mean, mean - self.mean
        total = self.n + B
        between = np.outer(shift, shift) * (self.n * B / total)
        self.scatter = self.scatter + centred.T @ centred + between
        self.mean = self.mean + shift * (B / total)
        self.n = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """mu (F,) and cov (F, F), the sum of squares divided by n - 1."""
        if self.n < 2:
            raise ValueError(f"{self.n} image has no covariance; give at least 2, better 500.")
        return self.mean, self.scatter / (self.n - 1)


def statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased covariance of features.

        mu = 1/n sum_i f_i,    cov = 1/(n - 1) sum_i (f_i - mu)(f_i - mu)^T

    Args:
        features: (n, F).

    Returns:
        mu (F,), cov (F, F), float64.

    Raises:
        ValueError: fewer than two images.
    """
    moments = Moments()
    moments.update(np.asarray(features, dtype=np.float64))
    return moments.result()


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


def make_thumbnails(images: np.ndarray) -> np.ndarray:
    """Gray 16 x 16 pictures of uint8 images (B, H, W, C), as rows (B, 256) of uint8."""
    gray = torch.from_numpy(np.array(images)).float().mean(3)[:, None]
    small = F.adaptive_avg_pool2d(gray, THUMBNAIL)
    return small.flatten(1).round().to(torch.uint8).numpy()


def nearest(
    samples: np.ndarray, reference: np.ndarray, chunk: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """For each thumbnail the nearest of the reference.

    Args:
        samples: (n, 256) uint8.
        reference: (m, 256) uint8.
        chunk: samples at a time.

    Returns:
        index (n,), and the mean absolute difference (n,) to it, of 255.
    """
    reference32 = torch.from_numpy(reference).float()
    squares, indices = reference32.square().sum(1), []
    for start in range(0, len(samples), chunk):
        part = torch.from_numpy(samples[start : start + chunk]).float()
        # |a - b|^2 less |a|^2, which is the same for all b
        indices.append((squares - 2 * part @ reference32.T).argmin(1))
    index = torch.cat(indices).numpy()
    return index, np.abs(samples.astype(np.float32) - reference[index]).mean(1)


@dataclass
class Summary:
    """What is kept of a set of images.

    Attributes:
        where: what to call the set.
        n: number of images, None where it is not known.
        mu: (F,) mean of the features.
        cov: (F, F) their unbiased covariance.
        features: (n, F), or None.
        thumbnails: (n, 256) uint8, or None.
        name: name(i) is what to call an image.
        shape: (H, W, C) of the first image.
    """

    where: str
    n: int | None
    mu: np.ndarray
    cov: np.ndarray
    features: np.ndarray | None = None
    thumbnails: np.ndarray | None = None
    name: Callable[[int], str] = str
    shape: tuple | None = None


def summarise(
    source: Source, extractor: Features, batch_size: int = BATCH_SIZE, keep: bool = False
) -> Summary:
    """Measure a set of images.

    Args:
        source: from `open_source`.
        extractor: from `load_features`.
        batch_size: images at a time.
        keep: whether to keep every feature, as KID needs.

    Returns:
        a Summary.
    """
    if source.count < 2:
        raise ValueError(
            f"{source.where} holds 1 image; a covariance needs at least 2, better 500."
        )
    moments, kept, thumbnails = Moments(), [], []
    sizes: Counter[str] = Counter()
    first, equal = source.read(0, extractor.channels), True
    starts = range(0, source.count, batch_size)
    for start in tqdm(starts, f"{extractor.name} features", leave=False, disable=None):
        indices = range(start, min(start + batch_size, source.count))
        images = (source.read(i, extractor.channels) for i in indices)
        for shape, group in itertools.groupby(images, key=lambda image: image.shape):
            batch = np.stack(list(group))
            features = extractor(batch)
            moments.update(features)
            kept += [features] if keep else []
            thumbnails.append(make_thumbnails(batch))
            sizes[f"{shape[1]}x{shape[0]}"] += len(batch)
            equal = equal and shape == first.shape and bool((batch == first).all())
    if equal:
        warnings.warn(
            f"{source.where}: all {source.count} images are equal; whatever made them has "
            f"collapsed, and the distance tells nothing else.",
            stacklevel=2,
        )
    if len(sizes) > 1:
        counts = ", ".join(f"{count} of {size}" for size, count in sizes.most_common(3))
        warnings.warn(f"{source.where} holds images of {len(sizes)} sizes: {counts}.", stacklevel=2)
    return Summary(
        source.where,
        source.count,
        *moments.result(),
        np.concatenate(kept) if keep else None,
        np.concatenate(thumbnails),
        source.name,
        source.shape,
    )


def thumbnails_of(source: Source, channels: int) -> Summary:
    """A Summary that holds nothing but the thumbnails of a set."""
    indices = tqdm(range(source.count), "training images", leave=False, disable=None)
    thumbnails = [make_thumbnails(source.read(i, channels)[None]) for i in indices]
    none = np.zeros(0), np.zeros((0, 0))
    found = Summary(source.where, source.count, *none, name=source.name, shape=source.shape)
    found.thumbnails = np.concatenate(thumbnails)
    return found


def warn_of_copies(samples: Summary, reference: Summary, what: str) -> int | None:
    """Warn where samples are copies or near-copies of reference images.

    Args:
        samples: with thumbnails.
        reference: with thumbnails.
        what: the reference images in a word, such as "training".

    Returns:
        how many samples are; None where thumbnails are missing.
    """
    if samples.thumbnails is None or reference.thumbnails is None:
        return None
    index, difference = nearest(samples.thumbnails, reference.thumbnails)
    near = difference < NEAR
    if near.any():
        i = int(difference.argmin())
        warnings.warn(
            f"{near.sum()} of {samples.n} samples are copies or near-copies of {what} images "
            f"({(difference < 0.5).sum()} equal, the others differ by less than {NEAR:g} of 255 in "
            f"the mean), for example {samples.name(i)} of {reference.name(int(index[i]))}.",
            stacklevel=2,
        )
    return int(near.sum())
