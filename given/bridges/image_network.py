"""Velocities (s, x) -> (B, C, H, W) of bridges between images."""

from typing import Any

import torch
from torch import Tensor, nn

from given.images.load import build_network

CLOCK = 1000  # the networks of images were made for timesteps 0 .. 999


class VelocityUNet(nn.Module):
    """A U-Net whose output is taken as a velocity.

    Args:
        config: of `build_network`.
        mirrored: whether it gives the velocity of the opposite direction, -F(1 - s, x). A bridge
            mirrors its backward network: both directions can then start from one flow.
    """

    def __init__(self, config: dict[str, Any], mirrored: bool = False) -> None:
        super().__init__()
        self.net, self.mirrored = build_network(config), mirrored

    def forward(self, s: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, C, H, W) -> (B, C, H, W)."""
        v = self.net(x, CLOCK * (1 - s if self.mirrored else s))
        return -v if self.mirrored else v


class VelocityFromNoise(nn.Module):
    """The velocity of the flow from noise to images that a diffusion model knows already.

    On the line x_s = (1 - s) z + s x_1 the log SNR is 2 log(s / (1 - s)). There the network of the
    diffusion tells z from x_s, and

        v = x_1 - z = (x_s - z) / s.

    Args:
        network: predicts the noise; has `at_log_snr`.
        mirrored: see `VelocityUNet`.
        smallest: s is kept this far from 0 and 1.
    """

    def __init__(self, network: nn.Module, mirrored: bool = False, smallest: float = 0.01) -> None:
        super().__init__()
        self.net, self.mirrored, self.smallest = network, mirrored, smallest

    def forward(self, s: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, C, H, W) -> (B, C, H, W)."""
        s = 1 - s if self.mirrored else s
        s = s.clamp(self.smallest, 1 - self.smallest)  # at s = 0 there is no signal to divide by
        signal = s.view(-1, 1, 1, 1)
        size = (signal**2 + (1 - signal) ** 2).sqrt()  # of x_s, with signal and noise of size 1
        z = self.net.at_log_snr(x / size, 2 * (s / (1 - s)).log())
        v = (x - z) / signal
        return -v if self.mirrored else v


class VelocityFromEnd(nn.Module):
    """The velocity to the end x_N that a network gives at whole steps k = 0, 1, ... of a chain.

        v = (x_N - x) / (1 - s)

    Args:
        config: of `build_network`, called by the number of the step in the direction's own clock.
        times: (N,) s of the steps.
    """

    def __init__(self, config: dict[str, Any], times: Tensor) -> None:
        super().__init__()
        self.net = build_network(config)
        self.register_buffer("times", times.float(), persistent=False)

    def forward(self, s: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, C, H, W) -> (B, C, H, W)."""
        k = (s[:, None] - self.times).abs().argmin(1)
        return (self.net(x, k.to(torch.float32)) - x) / (1 - s).view(-1, 1, 1, 1)
