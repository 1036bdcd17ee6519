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
from torch.nn import functional as F
from tqdm import tqdm

from given.images.fid.features import Features
from given.images.fid.moments import Moments
from given.images.fid.sources import Source, read_npz
from given.runtime.files import atomic_write
from given.runtime.machine import largest, rows_of_all, together

Images: TypeAlias = str | Path | np.ndarray

THUMBNAIL = 16  # pixels a side of the gray pictures by which copies are found
NEAR = 2.5  # of 255, mean absolute difference of thumbnails; no two real clothes are so near
CACHE_VERSION = 1  # to be raised when the resizing or the thumbnails change


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
    source: Source,
    extractor: Features,
    batch_size: int | None = None,
    keep: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> Summary:
    """Measure a set of images. Several processes take turns at the batches; all have the result.

    Args:
        source: from `open_source`.
        extractor: from `load_features`.
        batch_size: images at a time; as `batch_on` says by default.
        keep: whether to keep every feature, as KID needs.
        rank: of this process.
        world_size: number of processes.
    """
    if source.count < 2:
        raise ValueError(
            f"{source.where} holds 1 image; a covariance needs at least 2, better 500."
        )
    moments, batch_size = Moments(extractor.device), batch_size or batch_on(extractor.device)
    rows = {"thumbnails": np.zeros((source.count, THUMBNAIL**2), np.uint8)}
    rows["sizes"] = np.zeros((source.count, 2), np.int32)
    if keep:
        rows["features"] = np.zeros((source.count, extractor.dim), np.float32)
    starts = range(0, source.count, batch_size)[rank::world_size]
    bar = tqdm(starts, f"{extractor.name} features", leave=False, disable=None)
    first, equal = source.read(0, extractor.channels), True
    with together(world_size):
        for at, batch in _batches(source, extractor.channels, bar, batch_size):
            features, own = extractor.on_device(batch), slice(at, at + len(batch))
            moments.update(features)
            if keep:
                rows["features"][own] = features.cpu().numpy()
            rows["thumbnails"][own] = make_thumbnails(batch)
            rows["sizes"][own] = batch.shape[1:3]
            equal = equal and batch.shape[1:] == first.shape and bool((batch == first).all())
    moments.join(world_size, extractor.dim)
    rows = {name: rows_of_all(each, world_size) for name, each in rows.items()}
    equal = not largest([not equal], world_size)[0]
    if rank == 0:
        _warn_of_sameness(source, equal, rows["sizes"])
    return Summary(
        source.where,
        source.count,
        *moments.result(),
        rows["features"].astype(np.float64) if keep else None,
        rows["thumbnails"],
        source.name,
        source.shape,
    )


def _batches(source, channels, starts, batch_size):
    """The number of the first image and the images (B, H, W, C), B >= 1 of one size at a time."""
    for start in starts:
        indices = range(start, min(start + batch_size, source.count))
        images = (source.read(i, channels) for i in indices)
        for _, group in itertools.groupby(images, key=lambda image: image.shape):
            batch = np.stack(list(group))
            yield start, batch
            start += len(batch)


def _warn_of_sameness(source, equal, sizes):
    """Warn where all images are equal, or where their sizes (n, 2) are not."""
    if equal:
        warnings.warn(
            f"{source.where}: all {source.count} images are equal; whatever made them has "
            f"collapsed, and the distance tells nothing else.",
            stacklevel=3,
        )
    counted = Counter(f"{width}x{height}" for height, width in sizes)
    if len(counted) > 1:
        counts = ", ".join(f"{count} of {size}" for size, count in counted.most_common(3))
        warnings.warn(
            f"{source.where} holds images of {len(counted)} sizes: {counts}.", stacklevel=3
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
    rank: int = 0,
    world_size: int = 1,
) -> Summary:
    """`summarise` a reference set, from the cache where its content is known there.

    Of several processes the first looks it up, and writes it.

    Args:
        cache: folder, or None.
        keep: whether to keep every feature; then nothing is looked up.
        source, extractor, batch_size, rank, world_size: as for `summarise`.

    Returns:
        a Summary.
    """
    shapes = {"mu": (extractor.dim,), "sigma": 2 * (extractor.dim,)}
    shapes["thumbnails"] = (source.count, THUMBNAIL**2)
    file, known = None, None
    with together(world_size):
        if cache is not None and rank == 0:
            file = _cached_file(source, extractor, cache)
            known = None if keep else _read_cached(file, shapes)
    if largest([known is not None], world_size)[0]:
        known = known or {name: np.zeros(shape) for name, shape in shapes.items()}
        mu, cov, thumbnails = (rows_of_all(known[name], world_size) for name in shapes)
        thumbnails = thumbnails.astype(np.uint8)
        return Summary(
            source.where, source.count, mu, cov, None, thumbnails, source.name, source.shape
        )
    summary = summarise(source, extractor, batch_size, keep, rank, world_size)
    if file is not None:
        _write_cached(file, summary)
    return summary


def _cached_file(source, extractor, cache):
    """Where the statistics of a set are kept: it depends on all images and on the network."""
    content = f"{CACHE_VERSION} {extractor.fingerprint} {extractor.size} {source.key()}"
    return Path(cache) / f"{hashlib.sha256(content.encode()).hexdigest()}.npz"


def _read_cached(file, shapes):
    """{name: float64 array} of a file, or None where it is missing or damaged."""
    if not file.is_file():
        return None
    try:
        arrays = read_npz(file)
        known = {name: arrays[name].astype(np.float64) for name in shapes}
        if shapes != {name: array.shape for name, array in known.items()}:
            raise ValueError("other sizes")
        return known
    except (ValueError, KeyError):
        warnings.warn(f"{file} is damaged and is made again.", stacklevel=3)
    return None


def _write_cached(file: Path, summary: Summary) -> None:
    try:
        with atomic_write(file) as part:
            kept: dict[str, Any] = {"mu": summary.mu, "sigma": summary.cov, "n": summary.n}
            np.savez(part, **kept | {"thumbnails": summary.thumbnails})
    except OSError as error:
        warnings.warn(f"The cache {file.parent} cannot be written: {error}", stacklevel=3)


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
