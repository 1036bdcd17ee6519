"""Task 2.1 and 2.2: train a network to predict noise, sample from it, and guide it to a class."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from given.images.labels import check_labels
from given.levels import Process
from given.noise import noise_like
from given.runtime.checkpoint import load_weights, read_checkpoint, save_whole


class DiffusionModule(nn.Module):
    """A network and a schedule: a diffusion model of images.

    Args:
        network: called as network(x_t, timestep, class_label), returns the noise.
        var_scheduler: a scheduler; see scheduler.py.
    """

    def __init__(self, network: nn.Module, var_scheduler: Any) -> None:
        super().__init__()
        self.network = network
        self.var_scheduler = var_scheduler

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def num_classes(self) -> int:
        """K of the labels 1 .. K."""
        return self.network.num_classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        size = self.network.image_resolution
        return self.network.in_ch, size, size

    def forward(
        self,
        x0: Tensor,
        class_label: Tensor | None = None,
        noise: Tensor | None = None,
        timestep: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The loss: what DistributedDataParallel calls."""
        return self.get_loss(x0, class_label, noise, timestep, weight)

    def get_loss(
        self,
        x0: Tensor,
        class_label: Tensor | None = None,
        noise: Tensor | None = None,
        timestep: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The simple loss (Ho et al. 2020, eq. 14).

            E || noise - network(sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise, t) ||^2

        as the mean over images, channels and pixels, each image times its weight.

        Args:
            x0: (B, C, H, W) in [-1, 1].
            class_label: (B,) from 1, or None.
            noise: like x0; drawn by default.
            timestep: (B,); drawn by default.
            weight: (B,), factors of the images' errors; ones by default.

        Returns:
            a tensor without axes.
        """
        if class_label is not None:
            if class_label.device.type == "cpu":  # elsewhere every step would wait for it
                check_labels(class_label, len(x0), self.num_classes)
            class_label = self.drop_labels(class_label)
        # BEGIN SOLUTION 2.1e
        # Hint: var_scheduler.uniform_sample_t, var_scheduler.add_noise, the network, F.mse_loss.
        # Hint: add_noise returns the noise that is in x_t: compare with that.
        # Hint: F.mse_loss(..., reduction="none").flatten(1).mean(1) is one error for each image.
        if timestep is None:
            timestep = self.var_scheduler.uniform_sample_t(len(x0))
        x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise)
        prediction = self.network(x_t, timestep, class_label)
        error = F.mse_loss(prediction, noise, reduction="none").flatten(1).mean(1)  # (B,)
        return error.mean() if weight is None else (weight * error).mean()
        # END SOLUTION

    @torch.no_grad()
    def sample(
        self,
        batch_size: int,
        class_label: Tensor | None = None,
        guidance_scale: float = 0.0,
        return_traj: bool = False,
    ) -> Tensor | list[Tensor]:
        """Draw images: x_T from N(0, I), then one step after the other.

        The scheduler's `timesteps` say which steps; its `step` makes them.

        Args:
            batch_size: B.
            class_label: (B,) from 1, or None for no class.
            guidance_scale: see `predict_noise`.
            return_traj: all x_t instead of the last.

        Returns:
            (B, C, H, W), or a list of the n + 1 states x_T .. x_0.

        Raises:
            ValueError: labels that are not B numbers of 1 .. K.
        """
        if class_label is not None:
            check_labels(class_label, batch_size, self.num_classes)
        x = noise_like(torch.empty(batch_size, *self.image_shape, device=self.device))
        # BEGIN SOLUTION 2.1i
        # Hint: for each t: self.predict_noise(x, t, class_label, guidance_scale), then step.
        traj = [x]
        for t in tqdm(self.var_scheduler.timesteps, "sampling", leave=False, disable=None):
            noise_pred = self.predict_noise(x, t, class_label, guidance_scale)
            x = self.var_scheduler.step(x, t, noise_pred)
            if return_traj:
                traj.append(x)
        return traj if return_traj else x
        # END SOLUTION

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor | float,
        class_label: Tensor | None = None,
        guidance_scale: float = 0.0,
    ) -> Tensor:
        """The network's prediction, guided where there is a class.

        Args:
            x: x_t (B, C, H, W).
            timestep: a number or (B,).
            class_label: (B,) from 1, or None: no class.
            guidance_scale: s of `guided_noise`.

        Returns:
            like x.
        """
        if class_label is None:
            return self.network(x, timestep)
        if guidance_scale == 1:  # then e_u falls out of the formula
            return self.network(x, timestep, class_label)
        return self.guided_noise(x, timestep, class_label, guidance_scale)

    def drop_labels(self, class_label: Tensor) -> Tensor:
        """Replace labels by the null class 0, in training only (Ho and Salimans 2022, algorithm 1).

        Every image's label falls with probability `network.cfg_dropout`, each on its own.

        Args:
            class_label: (B,) from 1.

        Returns:
            (B,) a new tensor; the argument stays as it is.
        """
        # BEGIN SOLUTION 2.2a
        # Hint: self.training is False after .eval().
        # Hint: one uniform number for each image; torch.where.
        if not self.training:
            return class_label
        dropped = torch.rand(len(class_label), device=class_label.device)
        dropped = dropped < self.network.cfg_dropout
        return torch.where(dropped, 0, class_label)
        # END SOLUTION

    def guided_noise(
        self, x: Tensor, timestep: Tensor | float, class_label: Tensor, guidance_scale: float
    ) -> Tensor:
        """Classifier-free guidance (Ho and Salimans 2022, eq. 6 with s = 1 + w).

            e_u + s (e_c - e_u),   e_u with the null class 0, e_c with the class

        s = 0 ignores the class, s = 1 is the network's own conditional model, more sharpens.

        Args:
            x: x_t (B, C, H, W).
            timestep: a number or (B,).
            class_label: (B,) from 1.
            guidance_scale: s.

        Returns:
            like x.
        """
        # BEGIN SOLUTION 2.2b
        # Hint: network(x, timestep, labels), once with class_label and once with zeros.
        # Hint: torch.zeros_like(class_label) is the null class for every image.
        e_u = self.network(x, timestep, torch.zeros_like(class_label))
        e_c = self.network(x, timestep, class_label)
        return e_u + guidance_scale * (e_c - e_u)
        # END SOLUTION

    def score_fn(
        self, sde: Process, class_label: Tensor | None = None, guidance_scale: float = 0.0
    ) -> Callable:
        """The score of a process of Task 1 on these images. Optional.

        A process with x(t) = a x_0 + b noise holds, after division by sqrt(a^2 + b^2), the x_t of
        the timestep with abar = a^2 / (a^2 + b^2). So the network gives the noise there, and

            score(t, x) = - noise / b,   the score of p_t.

        This needs `marginal_prob` of Task 1.1.

        Args:
            sde: a process of `sde_todo.sde`.
            class_label: see `predict_noise`.
            guidance_scale: see `predict_noise`.

        Returns:
            score(t, x) with t (B,) and x (B, C, H, W).
        """
        from given.levels import alpha_std

        def score(t, x):
            a, b = alpha_std(sde, t, x)  # (B, 1, 1, 1) each
            # BEGIN SOLUTION 2.1j
            # Hint: var_scheduler.timestep_of(abar) with abar of shape (B,).
            # Hint: self.predict_noise(scaled x, timestep, class_label, guidance_scale).
            size = (a**2 + b**2).sqrt()
            timestep = self.var_scheduler.timestep_of((a / size).square().reshape(-1))
            noise = self.predict_noise(x / size, timestep, class_label, guidance_scale)
            return -noise / b
            # END SOLUTION

        return score

    def save(self, path: str | Path) -> None:
        """Write the network's weights, and what rebuilds it, to a file for `sampling.py`."""
        config = {"network": self.network.config, "scheduler": self.var_scheduler.config}
        save_whole(path, {"config": config, "network": self.network.state_dict()})

    def load(self, path: str | Path) -> None:
        """Take the weights from a file that `save` or train.py wrote."""
        load_weights(self.network, read_checkpoint(path)["network"], path)
