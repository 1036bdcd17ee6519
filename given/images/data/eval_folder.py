"""The test images of a set as PNG files, for `fid/measure_fid.py`; run by dataset.py.

The image with number 12 of the test split, a cat, becomes
`results/eval/<set>_<resolution>/cat/00012.png`: a score can be had for all classes or for one.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from given.images.data.image_files import files_below
from given.images.data.imageset import DATASETS, ImageSet, decoded_folder, find_set, load_dataset
from given.images.data.sources import DATA_ROOT, MissingSetError
from given.runtime.cli import file_path, whole
from given.runtime.submission import ROOT

RESULTS = ROOT / "results" / "eval"


def fetch_and_load(
    name: str, split: str, resolution: int | None = None, data_root: Path = DATA_ROOT
) -> ImageSet:
    """load_dataset, but a set that is not here is downloaded.

    Raises:
        what load_dataset raises, and ConnectionError: its host cannot be reached or gives something
            else; says what else can be done.
    """
    try:
        return load_dataset(name, split, resolution, data_root)
    except MissingSetError as error:
        source = DATASETS[name]  # no folder of a user, which is never missing in this way
        if source.fetch is None:
            raise
        print(f"{error.args[0].partition(';')[0]}. Fetching it.", flush=True)
    try:
        source.fetch(data_root)
    except (ConnectionError, ValueError) as error:
        otherwise = source.otherwise.replace("<data_root>", str(data_root))
        raise ConnectionError(f"{error} Or else {otherwise}.") from error
    return load_dataset(name, split, resolution, data_root)


def build_eval_folder(images: ImageSet, folder: Path | str, limit: int | None = None) -> bool:
    """Write images as PNG files, a sub-folder for each class; a folder that is complete is kept.

    Args:
        images: an ImageSet.
        folder: appears when it is whole.
        limit: how many images, as equally many of each class as there are, the first ones; all by
            default.

    Returns:
        True where the folder was written, False where it was there already.

    Raises:
        ValueError: the limit is not a part of the set, or the folder holds something else.
    """
    index = first_of_classes(images.labels, limit)
    names = [f"{images.classes[images.labels[i]]}/{i:05d}.png" for i in index]
    folder = Path(folder)
    if folder.exists() and not _is_empty(folder):
        _expect_files(folder, names)
        return False
    part = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        numbered = list(zip(index, names, strict=True))
        for i, name in tqdm(numbered, "writing PNG", leave=False, disable=None):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.images[i].squeeze()).save(part / name)
        if folder.exists():
            folder.rmdir()
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def first_of_classes(labels: np.ndarray, limit: int | None = None) -> np.ndarray:
    """Indices of the first `limit` images when the classes take turns, in ascending order."""
    if limit is None:
        return np.arange(len(labels))
    if not 1 <= limit <= len(labels):
        raise ValueError(f"--limit {limit} is not from 1 to {len(labels)}, the size of the set.")
    turn = np.empty(len(labels), np.int64)  # an image's number within its class
    for k in np.unique(labels):
        turn[labels == k] = np.arange((labels == k).sum())
    return np.sort(np.lexsort((labels, turn))[:limit])


def _is_empty(folder):
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder by --out.")
    return not any(folder.iterdir())


def _expect_files(folder, names):
    found = {path.relative_to(folder).as_posix() for path in files_below(folder)}
    if found != set(names):
        raise ValueError(
            f"{folder} holds {len(found)} files that are not the {len(names)} images of this set; "
            f"delete it, or name another folder by --out."
        )


def default_folder(
    name: str, resolution: int, limit: int | None = None, data_root: Path = DATA_ROOT
) -> Path:
    """results/eval/<set>_<resolution>, with the limit where there is one.

    <set> has a hash added for a user's own image folder, as its decoded files have.
    """
    parts = [decoded_folder(name, data_root).name, resolution, *([] if limit is None else [limit])]
    return RESULTS / "_".join(map(str, parts))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Fetch an image set and write its test images as PNG files."
    )
    parser.add_argument("--dataset", default="fashion", help=f"{', '.join(DATASETS)}, or a folder")
    parser.add_argument("--resolution", type=whole, help="pixels a side; the set's own by default")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT, help="where the sets are")
    parser.add_argument("--out", type=file_path, help="default: results/eval/<set>_<resolution>")
    parser.add_argument("--limit", type=whole, help="how many images, the same of each class; all")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `python image_diffusion/dataset.py`; an error is one line and exit status 1."""
    options = parse_arguments(arguments)
    try:
        name, root = find_set(options.dataset, options.data_root)
        images = fetch_and_load(name, "test", options.resolution, root)
        resolution = images.images.shape[1]
        out = options.out or default_folder(name, resolution, options.limit, root)
        written = build_eval_folder(images, out, options.limit)
    except (OSError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
    except KeyboardInterrupt:
        sys.exit("Stopped before the end; the same command goes on.")
    count = options.limit or len(images)
    print(f"{out}: {count} test images of {name} at {resolution}x{resolution}")
    if not written:
        print("It was complete already.")
