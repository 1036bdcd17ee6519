"""Given: train the small network whose features measure the default set.

With --noisy it is the one that reads noisy images, whose gradient guides to a class (see
noisy_classifier.py).

`image_diffusion/assets/classifier.pt`, which comes with the course, was made by

    python image_diffusion/fid/train_classifier.py --dataset fashion_full

from the 60,000 training images of Fashion-MNIST, on one thread; the checkpoint's `config` records
the command and the accuracy. Images are shifted by up to a pixel and get a little noise, so
that the features change smoothly with the image; they are mirrored only where a mirrored image
stays one of the set, so that a model which mirrors is seen.
"""

import signal
import sys

if __name__ == "__main__":  # loading torch takes seconds, and Ctrl-C is one line there too
    signal.signal(signal.SIGINT, lambda *_: sys.exit("Stopped; nothing was written."))

import argparse
import functools
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from image_diffusion.dataset import DATA_ROOT, DATASETS, load_dataset, to_tensor
from image_diffusion.noisy_classifier import (
    NOISY_CLASSIFIER,
    SCHEDULE,
    NoisyClassifier,
    noisy_accuracy,
    noisy_loss,
)
from sde_todo.checkpoint import save_whole
from sde_todo.machine import number, pick_device, whole
from sde_todo.todo import one_line_errors

CLASSIFIER = Path(__file__).parents[1] / "assets" / "classifier.pt"
SPLITS = ("train", "test")
WIDTHS = (32, 64, 80, 80, 64)  # channels after each convolution of the classifier
STRIDES = (2, 2, 1, 1, 1)

SHIFT = 1  # pixels
NOISE = 0.05  # largest standard deviation of the noise, for images in [-1, 1]
LEARNING_RATE = 3e-3
TOTAL_VARIANCE = 100.0


class FeatureNet(nn.Module):
    """A classifier of five 3x3 convolutions; its features are their last output's spatial mean.

    Args:
        channels: of the images, 1 or 3. resolution: pixels a side that it was trained on.
        classes: how many.
    """

    def __init__(self, channels=1, resolution=28, classes=10):
        super().__init__()
        self.channels, self.resolution = channels, resolution
        layers, width = [], channels
        for out, stride in zip(WIDTHS, STRIDES, strict=True):
            layers += [nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)]
            layers += [nn.ReLU()]
            width = out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)

    def features(self, x):
        """Features (B, 64) of images (B, C, H, W) in [-1, 1]."""
        return self.body(x).mean((2, 3))

    def forward(self, x):
        """Class logits (B, classes) of images (B, C, H, W) in [-1, 1]."""
        return self.head(self.features(x))


def augment(x, flip):
    """Shift, mirror and add noise to a batch (B, C, H, W) in [-1, 1], each image in its own way.

    Args:
        x: the images. flip: whether to mirror half of them.

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


def train_classifier(dataset, minutes, batch_size=64, seed=0, device="cpu"):
    """Train a FeatureNet by cross-entropy; see `fit`. Returns the net and the steps taken."""
    torch.manual_seed(seed)
    resolution, channels = dataset.images.shape[2:]
    net = FeatureNet(channels, resolution, len(dataset.classes)).to(device)

    def loss_fn(x, labels):
        return F.cross_entropy(net(x), labels)

    return net, fit(net, loss_fn, dataset, minutes, batch_size)


def train_noisy_classifier(dataset, minutes, batch_size=64, seed=0, device="cpu"):
    """Train a NoisyClassifier at all timesteps; see `fit`.

    Returns:
        the net, the steps taken, and its scheduler.
    """
    from image_diffusion.scheduler import DDIMScheduler

    torch.manual_seed(seed)
    scheduler = DDIMScheduler(**SCHEDULE).to(device)
    channels, classes = dataset.images.shape[3], len(dataset.classes)
    net = NoisyClassifier(scheduler.alphas_cumprod, channels, classes).to(device)
    loss_fn = functools.partial(noisy_loss, net, scheduler)
    return net, fit(net, loss_fn, dataset, minutes, batch_size), scheduler


def fit(net, loss_fn, dataset, minutes, batch_size):
    """Train a network for a given time on augmented images.

    The learning rate rises over the first tenth of the time and then falls to zero as a cosine.

    Args:
        net: left in evaluation mode. loss_fn: (x (B, C, H, W), labels (B,) from 0) -> loss.
        dataset: an ImageSet, see `load_dataset`. minutes: how long. batch_size: images a step.

    Returns:
        the number of steps taken.
    """
    net.to(memory_format=torch.channels_last)
    device = next(net.parameters()).device
    opt = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    start, steps = time.monotonic(), 0
    with tqdm(total=100, desc="training", unit="%", disable=None) as bar:
        while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
            for group in opt.param_groups:
                group["lr"] = learning_rate(done)
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
def scale_features(net, dataset, batch_size=500):
    """Scale the features so that their variances over a set sum to TOTAL_VARIANCE.

    The class probabilities stay: what the last normalisation gains, the head loses. A Fréchet
    distance then reads as a percentage of the variance of real images, whatever the set.

    Args:
        net: a FeatureNet in evaluation mode, changed in place. dataset: an ImageSet.
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


def learning_rate(done):
    """The rate after the fraction `done` of the training."""
    if done < 0.1:
        return LEARNING_RATE * done / 0.1
    angle = torch.tensor(torch.pi * (done - 0.1) / 0.9)
    return LEARNING_RATE * (1 + angle.cos().item()) / 2


@torch.no_grad()
def accuracy(net, dataset, batch_size=500):
    """The fraction of the images of an ImageSet whose class the network gives."""
    device, right = next(net.parameters()).device, 0
    for start in range(0, len(dataset), batch_size):
        part = slice(start, start + batch_size)
        guess = net(to_tensor(np.array(dataset.images[part])).to(device)).argmax(1).cpu()
        right += (guess == torch.from_numpy(dataset.labels[part])).sum().item()
    return right / len(dataset)


def main(argv=None):
    """Train, report the accuracy on the test split, and write the checkpoint."""
    args = parse(argv)
    sets = {s: load_dataset(args.dataset, s, args.resolution, args.data_root) for s in SPLITS}
    options = (args.minutes, args.batch_size, args.seed, pick_device(args.device))
    if args.noisy:
        net, steps, scheduler = train_noisy_classifier(sets["train"], *options)
        share = noisy_accuracy(net, scheduler, sets["test"], 0)
        config = {"noisy": True, "schedule": SCHEDULE}
    else:
        net, steps = train_classifier(sets["train"], *options)
        scale_features(net, sets["train"])
        share = accuracy(net, sets["test"])
        config = {}
    config |= {
        "channels": sets["train"].images.shape[3],
        "resolution": sets["train"].images.shape[1],
        "classes": list(sets["train"].classes),
        "dataset": args.dataset,
        "accuracy": share,
        "steps": steps,
        "command": command(args),
    }
    weights = {name: value.cpu().contiguous() for name, value in net.state_dict().items()}
    save_whole(args.out, {"config": config, "network": weights})
    print(f"{steps} steps; {share:.1%} of {len(sets['test'])} test images right; {args.out}")


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the network of --features classifier.")
    parser.add_argument("--dataset", default="fashion", choices=DATASETS)
    parser.add_argument("--noisy", action="store_true", help="for guidance: all noise levels")
    parser.add_argument("--resolution", type=whole, help="default: the set's own")
    parser.add_argument("--minutes", type=number, default=4.8, help="how long to train")
    parser.add_argument("--batch_size", type=whole, default=64)
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    parser.add_argument("--data_root", type=Path, default=DATA_ROOT)
    parser.add_argument("--out", type=Path, help="default: where the shipped one lies")
    args = parser.parse_args(argv)
    args.out = args.out or (NOISY_CLASSIFIER if args.noisy else CLASSIFIER)
    if args.minutes <= 0 or args.batch_size < 1:
        parser.error("--minutes must be above 0, and --batch_size at least 1.")
    return args


def command(args):
    """The command that repeats this training; where the data lie is left out."""
    words = ["python image_diffusion/fid/train_classifier.py", f"--dataset {args.dataset}"]
    words += ["--noisy"] if args.noisy else []
    if args.resolution:
        words.append(f"--resolution {args.resolution}")
    words += [f"--minutes {args.minutes:g}", f"--batch_size {args.batch_size}"]
    return " ".join([*words, f"--seed {args.seed}", f"--device {args.device}"])


if __name__ == "__main__":
    with one_line_errors():
        main()
