"""Where samples go: PNG files in a folder, or one array. Several processes may write to one place.

Each calls the writer with its own batches; before the first, process 0 makes way for them, and
after the last it closes.
"""

import glob
from pathlib import Path

import numpy as np

from given.images.data.image_files import image_names, make_way, read_image, save_png
from given.runtime.files import atomic_write, clear_parts


class ImageFolder:
    """Images as PNG files, each batch when it comes.

    Args:
        folder: of the files.
        num: number of images in all.
        channels: 1 or 3.
        classes: (num,) names of the sub-folders, or None.
    """

    def __init__(
        self, folder: Path, num: int, channels: int, classes: list[str] | None = None
    ) -> None:
        self.folder, self.channels = folder, channels
        self.names = image_names(num, classes)
        self.grid = Path(f"{folder}.png")

    def make_way(self, overwrite: bool) -> None:
        """See `given.images.data.image_files.make_way`."""
        make_way(self.folder, self.names, overwrite)

    def __call__(self, start: int, images: np.ndarray) -> None:
        """Save images (B, H, W, C) uint8, of which the first is number `start`."""
        names = self.names[start : start + len(images)]
        for name, image in zip(names, images, strict=True):
            save_png(image, self.folder / name)

    def close(self) -> None:
        """The images so far are there already."""

    def shown(self, count: int) -> np.ndarray:
        """The first images, `count` at most, (N, H, W, C) uint8.

        Raises:
            ValueError: images are missing, as where machines write to disks of their own.
        """
        missing = [name for name in self.names if not (self.folder / name).is_file()]
        if missing:
            raise ValueError(incomplete(self.folder, len(missing), len(self.names)))
        files = [self.folder / name for name in self.names[:count]]
        images = np.stack([np.asarray(read_image(file, self.channels)) for file in files])
        return images.reshape(*images.shape[:3], self.channels)


class ImageArray:
    """Images as the array `images` (N, H, W, C) uint8 of an .npz file.

    Each batch is a file of its own, named after the file and its first image, until `close`.

    Args:
        path: of the file.
        num: number of images in all.
    """

    def __init__(self, path: Path, num: int) -> None:
        self.path, self.num = path, num
        self.grid = path.with_suffix(".png")

    def make_way(self, overwrite: bool) -> None:
        """Refuse to replace a file unasked, and delete what a killed run left of its batches."""
        if self.path.exists() and not overwrite:
            raise ValueError(f"{self.path} is there already; name another, or give --overwrite.")
        clear_parts(self.path.parent, glob.escape(self.path.name))

    def part(self, start: int) -> Path:
        """The file of the batch whose first image is number `start`."""
        return self.path.with_name(f"{self.path.name}.{start}.part")

    def __call__(self, start: int, images: np.ndarray) -> None:
        """Save images (B, H, W, C) uint8, of which the first is number `start`."""
        with atomic_write(self.part(start)) as file:
            np.save(file, images)

    def close(self) -> None:
        """Join the batches: all of them, or those of a stopped run up to the first one missing."""
        found: list[np.ndarray] = []
        while (part := self.part(sum(map(len, found)))).is_file():
            found.append(np.load(part))
        if found:
            with atomic_write(self.path) as file:
                np.savez(file, images=np.concatenate(found))
        clear_parts(self.path.parent, glob.escape(self.path.name))

    def shown(self, count: int) -> np.ndarray:
        """The first images, `count` at most; see `ImageFolder.shown`."""
        with np.load(self.path) as arrays:
            images = arrays["images"]
        if len(images) < self.num:
            raise ValueError(incomplete(self.path, self.num - len(images), self.num))
        return images[:count]


def incomplete(path: Path, missing: int, num: int) -> str:
    """What to say of images that were drawn and are not there."""
    return (
        f"{missing} of {num} images are not in {path}; "
        "name a --save_dir that all machines of the run share."
    )
