"""How the small network is trained whose features measure the default set.

`given/images/assets/classifier.pt`, which comes with the course, was made by

    python -m image_diffusion classifier --dataset fashion_full \\
        --out given/images/assets/classifier.pt

from the 60,000 training images of Fashion-MNIST, on one thread; the checkpoint's `config` records
the command and the accuracy. Images are shifted by up to a pixel and get a little noise, so
that the features change smoothly with the image; they are mirrored only where a mirrored image
stays one of the set, so that a model which mirrors is seen.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from given.images.data.imageset import ImageSet, to_tensor
from given.images.fid.classifier import FeatureNet
from given.runtime.training import lr_factor, set_lr

SHIFT = 1  # pixels
NOISE = 0.05  # largest standard deviation of the noise, for images in [-1, 1]
LEARNING_RATE = 3e-3
TOTAL_VARIANCE = 100.0


def augment(x: Tensor, flip: bool) -> Tensor:
    """Shift, mirror and add noise to a batch (B, C, H, W) in [-1, 1], each image in its own way.

    Args:
        x: the images.
        flip: whether to mirror half of them.

    Returns:
        a tensor of the same shape.
    """
    B, _, H, W = x.shape
    padded = F.pad(x, [SHIFT] * 4, mode="replicate")
    down, right = torch.randint(2 * SHIFT + 1, (2, B, 1), device=x.device)
    rows = torch.arange(H, device=x.device) + down
    columns = torch.arange(W, device=x.device) + right
    if flip:
        mirrored = torch.rand(B, 1, device=x.device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(B, device=x.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    moved = moved.permute(0, 3, 1, 2)
    std = NOISE * torch.rand(B, 1, 1, 1, device=x.device)
    return moved + std * torch.randn_like(moved)


def train_classifier(
    dataset: ImageSet,
    minutes: float,
    batch_size: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[FeatureNet, int]:
    """Train a FeatureNet by cross-entropy; see `fit`. Returns the net and the steps taken."""
    torch.manual_seed(seed)
    resolution, channels = dataset.images.shape[2:]
    net = FeatureNet(channels, resolution, len(dataset.classes)).to(device)

    def loss_fn(x, labels):
        return F.cross_entropy(net(x), labels)

    return net, fit(net, loss_fn, dataset, minutes, batch_size)


def fit(
    net: nn.Module, loss_fn: Callable, dataset: ImageSet, minutes: float, batch_size: int
) -> int:
    """Train a network for a given time on augmented images.

    The learning rate rises over the first tenth of the time, and falls to zero as a cosine.

    Args:
        net: left in evaluation mode.
        loss_fn: (x (B, C, H, W), labels (B,) from 0) -> loss.
        dataset: see `load_dataset`.
        minutes: how long.
        batch_size: images a step.

    Returns:
        the number of steps taken.
    """
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    device = next(net.parameters()).device
    opt = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    start, steps = time.monotonic(), 0
    with tqdm(total=100, desc="training", unit="%", disable=None) as bar:
        while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
            set_lr(opt, LEARNING_RATE * lr_factor(100 * done, 100, warmup=10))  # in per cent
            index = torch.randint(len(dataset), (batch_size,)).sort().values.numpy()
            x = augment(to_tensor(dataset.images[index]).to(device), dataset.flip)
            opt.zero_grad(set_to_none=True)
            loss_fn(x, torch.from_numpy(dataset.labels[index]).to(device)).backward()
            opt.step()
            steps += 1
            bar.update(int(100 * done) - bar.n)
    net.eval()
    return steps


@torch.no_grad()
def scale_features(net: FeatureNet, dataset: ImageSet, batch_size: int = 500) -> None:
    """Scale the features so that their variances over a set sum to TOTAL_VARIANCE.

    The class probabilities stay: what the last normalisation gains, the head loses. A Fréchet
    distance then reads as a percentage of the variance of real images, whatever the set.

    Args:
        net: in evaluation mode, changed in place.
        dataset: whose features are scaled.
        batch_size: images at a time.
    """
    device, parts = next(net.parameters()).device, []
    for start in range(0, len(dataset), batch_size):
        images = np.array(dataset.images[start : start + batch_size])
        parts.append(net.features(to_tensor(images).to(device)).cpu())
    factor = (TOTAL_VARIANCE / torch.cat(parts).double().var(0).sum()).sqrt().item()
    norm = net.body[-2]
    norm.weight.mul_(factor)
    norm.bias.mul_(factor)
    net.head.weight.div_(factor)


@torch.no_grad()
def accuracy(net: nn.Module, dataset: ImageSet, batch_size: int = 500) -> float:
    """The fraction of the images of an ImageSet whose class the network gives."""
    device, right = next(net.parameters()).device, 0
    for start in range(0, len(dataset), batch_size):
        part = slice(start, start + batch_size)
        guess = net(to_tensor(np.array(dataset.images[part])).to(device)).argmax(1).cpu()
        right += (guess == torch.from_numpy(dataset.labels[part])).sum().item()
    return right / len(dataset)
