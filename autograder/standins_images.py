"""What a probe of Task 2 uses instead of the tasks before it: a schedule and networks.

The toy schedule is none of the course's: sqrt(1 - abar) / sqrt(abar) = sigma rises geometrically
from .05 to 20 over T = 40 timesteps.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.standins import patched
from given.levels import NoiseLevels

T = 40


def sigma(t: Any) -> Any:
    """Noise-to-signal ratio of the toy schedule at t = 0 .. T-1, whole or not."""
    return 0.05 * (20 / 0.05) ** (t / (T - 1))


def abar(t: Any) -> np.ndarray:
    """abar of the toy schedule; 1 at t = -1, the data. Takes numbers and arrays."""
    return np.where(np.asarray(t) < 0, 1.0, 1 / (1 + sigma(np.asarray(t, dtype=float)) ** 2))


def timestep_of(ratio: np.ndarray) -> np.ndarray:
    """Where the toy schedule has this abar, as a fraction."""
    return (T - 1) * np.log(np.sqrt(1 / ratio - 1) / sigma(0)) / np.log(sigma(T - 1) / sigma(0))


def previous(t: int, timesteps: Sequence[int]) -> int:
    """The timestep after t in a falling list; -1 after the last."""
    return max([s for s in timesteps if s < t], default=-1)


def _betas(*_args, **_kwargs):
    steps = abar(np.arange(-1, T))
    return torch.from_numpy(1 - steps[1:] / steps[:-1])


def _alphas(betas):
    return 1 - betas, torch.from_numpy(abar(np.arange(T)))


@contextlib.contextmanager
def toy_scheduler(name: str, timesteps: Any = None, **options: Any) -> Any:
    """A student's scheduler class on the toy schedule, visiting the given timesteps."""
    from image_diffusion import scheduler

    with patched(scheduler, make_betas=_betas, make_alphas=_alphas):
        out = getattr(scheduler, name)(T, **options)
    if timesteps is not None:
        out.timesteps = torch.as_tensor(timesteps)
    yield out


class ToySteps(torch.nn.Module):
    """A scheduler that only does arithmetic: step(x, t, e) = .9 x + .01 (t + 1) + .2 e."""

    num_train_timesteps = T

    def __init__(self, timesteps: Any) -> None:
        super().__init__()
        self.betas = _betas().float()
        self.alphas, self.exact = _alphas(self.betas)
        self.alphas_cumprod, self.levels = self.exact.float(), NoiseLevels(self.exact)
        self.timesteps = torch.as_tensor(timesteps)
        self.seen: list = []

    def step(
        self, sample: Tensor, timestep: Tensor | int, noise_pred: Tensor, eta: float = 0.0
    ) -> Tensor:
        self.seen.append(int(timestep))
        return 0.9 * sample + 0.01 * (int(timestep) + 1) + 0.2 * noise_pred

    def previous(self, timestep: int) -> int:
        return previous(int(timestep), self.timesteps.tolist())

    def abar(self, timestep: int) -> Tensor:
        return torch.tensor(float(abar(int(timestep))))

    def uniform_sample_t(self, batch_size: int) -> Tensor:
        return torch.randint(T, (batch_size,))

    def add_noise(
        self, original_sample: Tensor, timesteps: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        noise = torch.randn_like(original_sample) if noise is None else noise
        ratio = torch.from_numpy(abar(timesteps.numpy())).float().reshape(-1, 1, 1, 1)
        return ratio.sqrt() * original_sample + (1 - ratio).sqrt() * noise, noise


def one_for_each(timestep: Tensor | int, x: Tensor) -> Tensor:
    """(B,) timesteps from a number or (B,), as network.py wants them."""
    timestep = torch.as_tensor(timestep)
    if timestep.shape not in ((), (1,), (len(x),)):
        raise ValueError(
            f"The network got timesteps of shape {tuple(timestep.shape)}; it takes a number, or "
            f"one for each image: ({len(x)},)."
        )
    return timestep.expand(len(x))


class ToyNetwork(torch.nn.Module):
    """.5 x + .02 t + .3 label, with a memory of what it was asked; label 0 where there is none."""

    image_resolution, in_ch, num_classes, use_cfg = 4, 2, 6, True

    def __init__(self, cfg_dropout: float = 0.1) -> None:
        super().__init__()
        self.cfg_dropout = cfg_dropout
        self.weight = torch.nn.Parameter(torch.tensor(0.5))
        self.timesteps: list[Tensor] = []
        self.labels: list = []

    def forward(
        self, x: Tensor, timestep: Tensor | int, class_label: Tensor | None = None
    ) -> Tensor:
        timestep = one_for_each(timestep, x)
        if class_label is None:
            class_label = torch.zeros(len(x), dtype=torch.long)
        self.timesteps.append(timestep.clone())
        self.labels.append(class_label.clone())
        shift = 0.02 * timestep + 0.3 * class_label
        return self.weight * x + shift.reshape(-1, 1, 1, 1)


def toy_network(x: np.ndarray, t: Any, label: Any = 0) -> np.ndarray:
    """What ToyNetwork returns, for arrays; t and label are numbers or (B,)."""
    shift = 0.02 * np.asarray(t) + 0.3 * np.asarray(label)
    return 0.5 * x + np.reshape(shift, (-1, 1, 1, 1))


class ToyModel:
    """A model for an Inpainter: a scheduler and `toy_prediction`."""

    device = torch.device("cpu")

    def __init__(self, scheduler: Any) -> None:
        self.var_scheduler = scheduler
        self.asked: list[int] = []

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor | int,
        class_label: Tensor | None = None,
        guidance_scale: float = 0.0,
    ) -> Tensor:
        timestep = one_for_each(timestep, x)
        self.asked.append(int(timestep[0]))
        return (
            0.5 * x + 0.3 * x.mean((1, 2, 3), keepdim=True) + 0.02 * timestep.reshape(-1, 1, 1, 1)
        )


def toy_prediction(x: np.ndarray, t: int) -> np.ndarray:
    """What ToyModel predicts: .5 x + .3 (mean of the image) + .02 t, so that pixels see others."""
    return 0.5 * x + 0.3 * x.mean((1, 2, 3), keepdims=True) + 0.02 * t


class GaussianNoise(torch.nn.Module):
    """The exact noise predictor of images whose pixels are N(mean, std^2), on the toy schedule."""

    image_resolution, in_ch, use_cfg, cfg_dropout = 4, 2, False, 0.0

    def __init__(self, mean: float = 0.4, std: float = 0.3) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def forward(
        self, x: Tensor, timestep: Tensor | int, class_label: Tensor | None = None
    ) -> Tensor:
        t = one_for_each(timestep, x).double().numpy()
        a2 = torch.from_numpy(abar(t)).float().reshape(-1, 1, 1, 1)
        return (1 - a2).sqrt() * (x - a2.sqrt() * self.mean) / (a2 * self.std**2 + 1 - a2)
