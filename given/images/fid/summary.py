"""What is kept of a set of images: statistics of its features, and thumbnails.

`reference_summary` keeps them in a folder, by a hash of the images and of the feature network.
"""

import hashlib
import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from given.images.fid.features import Features
from given.images.fid.sources import Source, read_npz
from given.runtime.files import atomic_write

Images: TypeAlias = str | Path | np.ndarray

THUMBNAIL = 16  # pixels a side of the gray pictures by which copies are found
NEAR = 2.5  # of 255, mean absolute difference of thumbnails; no two real clothes are so near
CACHE_VERSION = 1  # to be raised when the resizing or the thumbnails change


class Moments:
    """Mean and unbiased covariance in one pass, in float64: 50,000 x 2048 features need not stay.

    Batches are joined by their means and their sums of squares about them (Chan et al. 1979); the
    plain sum of squares would lose digits where the mean is large. A batch costs one product: the
    distance of the two means is one more row of it.

    Args:
        device: where the sums are; the CPU for one that has no float64, as MPS.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        place = "cpu" if torch.device(device).type == "mps" else device
        self.where: dict[str, Any] = {"dtype": torch.float64, "device": place}
        self.n = 0
        self.mean = torch.zeros((), **self.where)
        self.scatter = torch.zeros((), **self.where)

    def update(self, features: np.ndarray | Tensor) -> None:
        """Add features (B, F)."""
        if not isinstance(features, Tensor):
            features = torch.from_numpy(features)
        features = features.to(self.where["device"]).double()
        B, F = features.shape
        if not self.n:
            self.mean, self.scatter = (torch.zeros(s, **self.where) for s in ((F,), (F, F)))
        total, mean = self.n + B, features.mean(0)
        shift = mean - self.mean
        between = shift * (self.n * B / total) ** 0.5
        rows = torch.cat([features - mean, between[None]])
        self.scatter.addmm_(rows.T, rows)
        self.mean += shift * (B / total)
        self.n = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """mu (F,) and cov (F, F), the sum of squares divided by n - 1."""
        if self.n < 2:
            raise ValueError(f"{self.n} image has no covariance; give at least 2, better 500.")
        return self.mean.cpu().numpy(), (self.scatter / (self.n - 1)).cpu().numpy()


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


def batch_on(device: torch.device) -> int:
    """Images that a feature network takes at a time: 500 would be gigabytes on a laptop."""
    return 500 if device.type == "cuda" else 64


def summarise(
    source: Source, extractor: Features, batch_size: int | None = None, keep: bool = False
) -> Summary:
    """Measure a set of images.

    Args:
        source: from `open_source`.
        extractor: from `load_features`.
        batch_size: images at a time; as `batch_on` says by default.
        keep: whether to keep every feature, as KID needs.
    """
    if source.count < 2:
        raise ValueError(
            f"{source.where} holds 1 image; a covariance needs at least 2, better 500."
        )
    moments, kept, thumbnails = Moments(extractor.device), [], []
    batch_size = batch_size or batch_on(extractor.device)
    sizes: Counter[str] = Counter()
    first, equal = source.read(0, extractor.channels), True
    starts = range(0, source.count, batch_size)
    for start in tqdm(starts, f"{extractor.name} features", leave=False, disable=None):
        indices = range(start, min(start + batch_size, source.count))
        images = (source.read(i, extractor.channels) for i in indices)
        for shape, group in itertools.groupby(images, key=lambda image: image.shape):
            batch = np.stack(list(group))
            features = extractor.on_device(batch)
            moments.update(features)
            kept += [features.cpu().double().numpy()] if keep else []
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
    """A Summary of the thumbnails alone."""
    bar = tqdm(range(source.count), "training images", leave=False, disable=None)
    thumbnails = [make_thumbnails(source.read(i, channels)[None]) for i in bar]
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


def reference_summary(
    source: Source,
    extractor: Features,
    batch_size: int | None = None,
    keep: bool = False,
    cache: Path | None = None,
) -> Summary:
    """`summarise` a reference set, from the cache where its content is known there.

    Args:
        source: as for `summarise`.
        extractor: as for `summarise`.
        batch_size: as for `summarise`.
        keep: as for `summarise`; then nothing is looked up.
        cache: folder, or None.

    Returns:
        a Summary.
    """
    if cache is None:
        return summarise(source, extractor, batch_size, keep)
    content = f"{CACHE_VERSION} {extractor.fingerprint} {extractor.size} {source.key()}"
    file = Path(cache) / f"{hashlib.sha256(content.encode()).hexdigest()}.npz"
    if file.is_file() and not keep:
        try:
            arrays = read_npz(file)
            known = (arrays["mu"], arrays["sigma"], None, arrays["thumbnails"])
            sizes = (extractor.dim,), 2 * (extractor.dim,), (source.count, THUMBNAIL**2)
            if sizes != (known[0].shape, known[1].shape, known[3].shape):
                raise ValueError("other sizes")
            return Summary(source.where, source.count, *known, source.name, source.shape)
        except (ValueError, KeyError):
            warnings.warn(f"{file} is damaged and is made again.", stacklevel=2)
    summary = summarise(source, extractor, batch_size, keep)
    try:
        with atomic_write(file) as part:
            kept: dict[str, Any] = {"mu": summary.mu, "sigma": summary.cov, "n": summary.n}
            np.savez(part, **kept | {"thumbnails": summary.thumbnails})
    except OSError as error:
        warnings.warn(f"The cache {cache} cannot be written: {error}", stacklevel=2)
    return summary


def read_statistics(path: Images) -> Summary | None:
    """A Summary from an .npz of `mu`, `sigma` and perhaps `n`; None where it holds images."""
    if not isinstance(path, (str, Path)) or Path(path).suffix.lower() != ".npz":
        return None
    arrays = read_npz(path)
    if not {"mu", "sigma"} <= arrays.keys():
        return None
    mu, cov, n = arrays["mu"], arrays["sigma"], arrays.get("n", np.array(0))
    kinds = mu.dtype.kind + cov.dtype.kind + n.dtype.kind
    if mu.ndim != 1 or cov.shape != 2 * mu.shape or n.size != 1 or kinds not in ("ffi", "ffu"):
        raise ValueError(
            f"{path} has mu {mu.shape} {mu.dtype} and sigma {cov.shape} {cov.dtype}; statistics "
            f"are floats of shapes (F,) and (F, F), and n is a whole number."
        )
    if not (np.isfinite(mu).all() and np.isfinite(cov).all()):
        raise ValueError(f"{path} holds NaN or infinite statistics; make them again.")
    return Summary(str(path), int(n.item()) or None, mu, cov)
