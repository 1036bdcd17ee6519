"""Image files in folders, read into one form.

Files come gray, coloured, transparent or with 16 bits; networks want uint8 arrays of one shape.
Here every file becomes 8-bit RGB or gray, and a file that cannot be read is named.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from given.runtime.files import atomic_write

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
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
            are scaled to 8, and a photograph is turned the way its camera noted.

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

    Args:
        folder: where to look. Hidden files and other suffixes than SUFFIXES are passed over.

    Returns:
        list of paths.

    Raises:
        NotADirectoryError: there is no such folder. ValueError: it holds no image; names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ValueError(f"{folder} holds no images ({', '.join(SUFFIXES)}).")
    return files


def class_folders(folder: Path | str) -> tuple[str, ...]:
    """The classes of a folder: the names of its sub-folders, sorted, without hidden ones."""
    inside = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    return tuple(name for name in inside if not name.startswith("."))


def read_folder(folder: Path | str) -> tuple[np.ndarray, Iterator[Image.Image], tuple[str, ...]]:
    """Read a folder with one sub-folder of image files for each class.

    Args:
        folder: holds cat/*.jpg, dog/*.png and so on.

    Returns:
        labels (N,) int64 from 0, an iterator over the N images as RGB PIL images that reads each
        file when it is needed, and the names of the classes.

    Raises:
        NotADirectoryError, ValueError: no such folder, no classes in it, or a class without images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")
    classes = class_folders(folder)
    if not classes:
        raise ValueError(f"{folder} holds no sub-folders; put the images of each class in one.")
    files = [list_images(folder / name) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in files])
    images = (read_image(path) for of_class in files for path in of_class)
    return labels, images, classes


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
    for i, image in enumerate(images, first):
        place = Path(folder) / (names[i - first] if names is not None else "")
        save_png(image, place / f"{i:05d}.png")


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
