"""Image files in folders, read into one form.

Files come gray, coloured, transparent or with 16 bits; networks want uint8 arrays of one shape.
Here every file becomes 8-bit RGB or gray, and a file that cannot be read is named. What a file
manager, a notebook or a Mac leaves in a folder is no part of a set.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from given.runtime.files import atomic_write, clear_parts

SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp")
SUFFIXES += (".tif", ".tiff", ".gif", ".pgm", ".ppm")
LITTER = ("__MACOSX", "@eaDir", "lost+found", "Thumbs.db", "desktop.ini")  # of systems, not users
MODES = {1: "L", 3: "RGB"}


def square(image: Image.Image | np.ndarray, resolution: int) -> np.ndarray:
    """Cut an image to its central square and resize it by Pillow's antialiased bicubic filter.

    Args:
        image: a PIL image or an (H, W) or (H, W, C) uint8 array.
        resolution: pixels a side.

    Returns:
        (resolution, resolution, C) uint8 array.
    """
    if not isinstance(image, Image.Image):
        if image.shape[:2] == (resolution, resolution):
            return image.reshape(resolution, resolution, -1)
        image = Image.fromarray(image.squeeze())
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    image = image.resize((resolution, resolution), Image.Resampling.BICUBIC, box)
    return np.asarray(image).reshape(resolution, resolution, -1)


def read_image(path: Path | str, channels: int = 3) -> Image.Image:
    """Read one image file.

    Args:
        path: the file.
        channels: 3 for RGB, 1 for gray; other modes are converted. Transparency is dropped, 16 bits
            are scaled to 8, a photograph is turned the way its camera noted, and of a file with
            several frames the first is taken.

    Returns:
        a PIL image of mode RGB or L.

    Raises:
        ValueError: the file is no image that Pillow can read, or is cut short; names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _eight_bits(ImageOps.exif_transpose(image)).convert(MODES[channels])
    except Exception as error:  # Pillow makes SyntaxError of a broken PNG, OSError of a JPEG, ...
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} cannot be read as an image ({reason}); replace or delete it."
        ) from error


def list_images(folder: Path | str) -> list[Path]:
    """The image files in a folder and its sub-folders, in the order of their names.

    A warning counts the files of other suffixes than SUFFIXES.

    Args:
        folder: where to look. Hidden files, and what lies in hidden folders, do not count.

    Returns:
        list of paths.

    Raises:
        NotADirectoryError: there is no such folder. ValueError: it holds no image; names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")
    files = files_below(folder)
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not images:
        raise ValueError(f"{folder} holds no images ({', '.join(SUFFIXES)}).")
    others = Counter(path.suffix.lower() or path.name for path in files)
    for suffix in SUFFIXES:
        del others[suffix]
    if others:
        kinds = ", ".join(kind for kind, _ in others.most_common(3))
        warnings.warn(
            f"{folder}: passed over files that are no images by their names, {others.total()} in "
            f"all ({kinds}).",
            stacklevel=2,
        )
    return images


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and its sub-folders, sorted, without hidden ones and LITTER."""
    inside = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in inside if not any(map(_hidden, path.relative_to(folder).parts)))


def _hidden(name):
    return name.startswith(".") or name in LITTER


def class_folders(folder: Path | str) -> tuple[str, ...]:
    """The classes of a folder: the names of its sub-folders, without hidden ones and LITTER.

    They are sorted as people count: 2 before 10.
    """
    names = [path.name for path in Path(folder).iterdir() if path.is_dir()]
    return tuple(sorted((name for name in names if not _hidden(name)), key=_as_counted))


def _as_counted(name):
    parts = re.split(r"([0-9]+)", name)  # text and numbers in turn
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], name


def list_classes(folder: Path | str) -> tuple[list[Path], np.ndarray, tuple[str, ...]]:
    """The images of a folder, flat or with one sub-folder for each class.

    Args:
        folder: holds cat/*.jpg, dog/*.png and so on; or images, which are of one class.

    Returns:
        the files, their labels (N,) int64 from 0, and the names of the classes.

    Raises:
        NotADirectoryError, ValueError: no such folder, no images in it or in a class, or images
            beside the sub-folders.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")
    classes = class_folders(folder)
    if not classes:
        files = list_images(folder)
        return files, np.zeros(len(files), np.int64), ("image",)
    beside = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not _hidden(p.name)]
    if beside:
        raise ValueError(
            f"{folder} holds {len(beside)} images beside its sub-folders, such as "
            f"{min(beside).name}; put each into the sub-folder of its class."
        )
    of_class = [list_images(folder / name) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in of_class])
    return [file for files in of_class for file in files], labels, classes


def _eight_bits(image):
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)  # "I" is how some Pillow versions open 16-bit PNG
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have more than 16 bits")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))  # 65535 / 255 = 257


def save_images(
    images: np.ndarray, folder: Path | str, names: Sequence[str] | None = None, first: int = 0
) -> None:
    """Save (N, H, W, C) uint8 images as 00000.png and on.

    Args:
        images: the array.
        folder: made where missing.
        names: (N,) of the subfolders, or None.
        first: number of the first one.
    """
    for image, name in zip(images, image_names(len(images), names, first), strict=True):
        save_png(image, Path(folder) / name)


def image_names(count: int, names: Sequence[str] | None = None, first: int = 0) -> list[str]:
    """The files that `save_images` writes for `count` images, relative to its folder."""
    folders = [""] * count if names is None else [f"{name}/" for name in names]
    return [f"{folder}{i:05d}.png" for i, folder in enumerate(folders, first)]


def make_way(folder: Path | str, names: Iterable[str], overwrite: bool = False) -> None:
    """Delete the images that a run is about to replace, so that its folder holds no others.

    Args:
        folder: of the images; may not exist yet.
        names: the files that the run writes, relative to the folder.
        overwrite: whether to delete all other images below the folder as well.

    Raises:
        ValueError: there are other images, which would be mixed with the new ones; names one.
    """
    files = files_below(Path(folder))
    old = {path.relative_to(folder): path for path in files if path.suffix.lower() in SUFFIXES}
    others = sorted(old.keys() - set(map(Path, names)))
    if others and not overwrite:
        raise ValueError(
            f"{folder} holds {len(others)} images of something else, such as {others[0]}, which "
            f"would be mixed with the new ones; name another folder, or delete them by --overwrite."
        )
    for path in old.values():
        path.unlink()
    clear_parts(folder, "**/*.png")


def save_png(image: np.ndarray, path: Path | str) -> None:
    """Save an (H, W, C) uint8 image as PNG, whole or not at all."""
    with atomic_write(path) as file:
        Image.fromarray(image.squeeze()).save(file, "png")


def image_grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay images out in rows on white, one pixel apart.

    Args:
        images: (N, H, W, C) uint8.
        columns: images in a row.

    Returns:
        (rows (H + 1) + 1, columns (W + 1) + 1, C) uint8 array.
    """
    N, H, W, C = images.shape
    rows = -(-N // columns)
    grid = np.full((rows * (H + 1) + 1, columns * (W + 1) + 1, C), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (H + 1) + 1, (i % columns) * (W + 1) + 1
        grid[top : top + H, left : left + W] = image
    return grid


def save_grid(images: np.ndarray, path: Path | str, columns: int = 10, scale: int = 2) -> None:
    """Save a grid of images as one PNG.

    Args:
        images: (N, H, W, C) uint8.
        path: of the PNG file.
        columns: images in a row.
        scale: pixels of the file a side of an image's pixel.
    """
    grid = image_grid(images, columns)
    save_png(grid.repeat(scale, axis=0).repeat(scale, axis=1), path)
