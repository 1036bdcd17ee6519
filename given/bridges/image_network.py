"""Given: velocities (s, x) -> (B, C, H, W) of bridges between images."""

import torch
from torch import nn

from given.images.load import build_network

CLOCK = 1000  # the networks of images were made for timesteps 0 .. 999


class VelocityUNet(nn.Module):
    """A U-Net whose output is taken as a velocity.

    Args:
        config: of `build_network`. mirrored: whether it gives the velocity of the opposite
            direction, -F(1 - s, x). A bridge mirrors its backward network: both directions can
            then start from one flow.
    """

    def __init__(self, config, mirrored=False):
        super().__init__()
        self.net, self.mirrored = build_network(config), mirrored

    def forward(self, s, x):
        """(B,), (B, C, H, W) -> (B, C, H, W)."""
        v = self.net(x, CLOCK * (1 - s if self.mirrored else s))
        return -v if self.mirrored else v


class VelocityFromNoise(nn.Module):
    """The velocity of the flow from noise to images that a diffusion model knows already.

    On the line x_s = (1 - s) z + s x_1 the noise weighs (1 - s)/s times the signal, and so it does
    at some timestep of the diffusion. There its network tells z from x_s, and

        v = x_1 - z = (x_s - z) / s.

    Args:
        network: predicts the noise, (x_t, timestep). alphas_cumprod: (T,) of its schedule.
        mirrored: see `VelocityUNet`.
    """

    def __init__(self, network, alphas_cumprod, mirrored=False, smallest=0.01):
        super().__init__()
        self.net, self.mirrored, self.smallest = network, mirrored, smallest
        snr = (alphas_cumprod.double() / (1 - alphas_cumprod.double())).log()
        self.register_buffer("log_snr", snr.flip(0).float())  # (T,), rising

    def forward(self, s, x):
        """(B,), (B, C, H, W) -> (B, C, H, W)."""
        s = 1 - s if self.mirrored else s
        s = s.clamp(self.smallest, 1 - self.smallest)  # at s = 0 there is no signal to divide by
        signal = s.view(-1, 1, 1, 1)
        size = (signal**2 + (1 - signal) ** 2).sqrt()  # of x_s, with signal and noise of size 1
        z = self.net(x / size, self.timestep(2 * (s / (1 - s)).log()))
        v = (x - z) / signal
        return -v if self.mirrored else v

    def timestep(self, log_snr):
        """(B,) timesteps, not whole, at which the schedule has these log SNR."""
        T = len(self.log_snr)
        high = torch.searchsorted(self.log_snr, log_snr).clamp(1, T - 1)
        low = self.log_snr[high - 1]
        part = ((log_snr - low) / (self.log_snr[high] - low)).clamp(0, 1)
        return T - 1 - (high - 1 + part)
