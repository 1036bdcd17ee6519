"""The small network of a bridge in the plane."""

import itertools
import math

import torch
from torch import Tensor, nn


class VelocityNet(nn.Module):
    """A velocity (s, x) -> (B, 2), from Fourier features of the plane and of the time.

    Args:
        width: of the hidden layers.
        depth: of the hidden layers.
        features: random directions in the plane.
        scale: of the points.
        bandwidth: deviation of the directions, in cycles per `scale`.
        mirrored: whether it gives the velocity of the opposite direction, -F(1 - s, x). A bridge
            mirrors its backward network: both directions can then start from one flow.
    """

    def __init__(
        self,
        width: int = 96,
        depth: int = 2,
        features: int = 32,
        scale: float = 2.0,
        bandwidth: float = 0.5,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.scale, self.mirrored = scale, mirrored
        self.register_buffer("directions", 2 * math.pi * bandwidth * torch.randn(2, features))
        self.register_buffer("freqs", math.pi * torch.arange(1.0, 7.0))
        sizes = [2 + 2 * features + 1 + 2 * 6] + depth * [width]
        layers = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, s: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, 2) -> (B, 2)."""
        if self.mirrored:
            s = 1 - s
        y, s = x / self.scale, s[:, None]
        angles, phases = y @ self.directions, s * self.freqs
        parts = [y, angles.sin(), angles.cos(), s, phases.sin(), phases.cos()]
        v = self.layers(torch.cat(parts, dim=1))
        return -v if self.mirrored else v
