"""A classifier that reads noisy images, for guidance by its gradient (task 2.5).

`given/images/assets/colour_classifier.pt`, which comes with the course, was made by the command
in its `config`, `python -m image_diffusion classifier` with --noisy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from given.images.data.imageset import ImageSet, to_tensor
from given.images.data.sources import ASSETS
from given.images.layers import ResBlock, TimeEmbedding, group_norm
from given.images.load import check_schedule
from given.images.noise_predictor import one_for_each
from given.levels import NoiseLevels, signal_and_noise
from given.runtime.checkpoint import blamed_on, read_checkpoint, rebuilt

NOISY_CLASSIFIER = ASSETS / "colour_classifier.pt"
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "mode": "cosine",
}  # of the default sets' models


class NoisyClassifier(nn.Module):
    """p(class | x_t) for every timestep of one schedule (Dhariwal and Nichol 2021, section 4).

    The first half of a small U-Net: two resolutions, then the mean over the pixels. It sees
    sqrt(abar) x_t, which fades where x_t is almost noise: there x_t tells of x_0 only through this
    product, and the gradient, which a sampler divides by sqrt(abar), has to fade too.

    Args:
        alphas_cumprod: (T,) abar of the schedule.
        channels: of the images.
        classes: K.
        widths: channels of the two resolutions.
    """

    def __init__(
        self,
        alphas_cumprod: Tensor,
        channels: int = 3,
        classes: int = 10,
        widths: Sequence[int] = (32, 64),
    ) -> None:
        super().__init__()
        outer, inner = widths
        self.num_classes = classes
        self.levels = NoiseLevels(alphas_cumprod)
        self.time_embedding = TimeEmbedding(inner // 2, 2 * inner)
        self.head = nn.Conv2d(channels, outer, 3, stride=2, padding=1)
        self.outer = ResBlock(outer, outer, 2 * inner, scale_shift=True)
        self.down = nn.Conv2d(outer, inner, 3, stride=2, padding=1)
        self.inner = ResBlock(inner, inner, 2 * inner, scale_shift=True)
        self.norm = group_norm(inner)
        self.tail = nn.Linear(inner, classes)

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        """Class logits (B, K) of x_t (B, C, H, W) at a timestep, a number or (B,)."""
        timestep = one_for_each(timestep, x)
        a, _ = signal_and_noise(self.levels.log_snr_at(timestep))  # (B, 1, 1, 1)
        emb = self.time_embedding(timestep)
        h = self.outer(self.head(a * x), emb)  # (B, outer, H / 2, W / 2)
        h = self.inner(self.down(h), emb)  # (B, inner, H / 4, W / 4)
        return self.tail(F.silu(self.norm(h)).mean((2, 3)))


def noisy_loss(net: nn.Module, scheduler: Any, x0: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at timesteps drawn evenly, one for each image.

    Args:
        net: a NoisyClassifier.
        scheduler: see scheduler.py.
        x0: (B, C, H, W).
        labels: (B,) from 0.
    """
    timestep = scheduler.uniform_sample_t(len(x0))
    x_t, _ = scheduler.add_noise(x0, timestep)
    return F.cross_entropy(net(x_t, timestep), labels)


@torch.no_grad()
def noisy_accuracy(
    net: nn.Module, scheduler: Any, dataset: ImageSet, timestep: int, batch_size: int = 500
) -> float:
    """The fraction of an ImageSet's images whose class the net gives at one noise level."""
    device, right = next(net.parameters()).device, 0
    for start in range(0, len(dataset), batch_size):
        part = slice(start, start + batch_size)
        x0 = to_tensor(dataset.images[part]).to(device)
        times = torch.full((len(x0),), timestep, device=device)
        guess = net(scheduler.add_noise(x0, times)[0], times).argmax(1).cpu()
        right += (guess == torch.from_numpy(dataset.labels[part])).sum().item()
    return right / len(dataset)


def load_noisy_classifier(
    scheduler_class: type, path: Path | str = NOISY_CLASSIFIER, device: str | torch.device = "cpu"
) -> nn.Module:
    """Rebuild the classifier of a checkpoint.

    Args:
        scheduler_class: from scheduler.py: its abar at each timestep is what the classifier learnt.
        path: of the checkpoint.
        device: where the classifier goes.

    Returns:
        the NoisyClassifier in evaluation mode, and its configuration.

    Raises:
        ValueError: the file holds something else; names it.
    """
    state = read_checkpoint(path)
    config = state["config"]
    if not {"noisy", "schedule", "channels", "classes"} <= config.keys():
        raise ValueError(
            f"{path} is not a classifier of noisy images; `python -m image_diffusion classifier "
            f"--noisy` writes one."
        )
    with blamed_on(path):
        check_schedule(config["schedule"])
    alphas_cumprod = scheduler_class(**config["schedule"]).alphas_cumprod
    sizes = config["channels"], len(config["classes"])
    net = rebuilt(lambda: NoisyClassifier(alphas_cumprod, *sizes), state["network"], path)
    return net.eval().to(device), config
