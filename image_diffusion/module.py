"""Given: the parts of the networks: residual block, attention, resampling, time embedding.

Every activation is (B, C, H, W), every condition `emb` (B, E).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def zero_(layer):
    """Start a layer at zero, so that the block around it starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def group_norm(channels):
    """GroupNorm of 32 groups, or of 8 channels each where there are fewer than 256 channels."""
    return nn.GroupNorm(min(32, channels // 8), channels, eps=1e-6)


class TimeEmbedding(nn.Module):
    """Sinusoidal features of the timestep, then two layers (Ho et al. 2020, appendix B).

    Args:
        ch: number of sines and cosines. out: width E of the result. max_period: of the slowest.
    """

    def __init__(self, ch, out, max_period=10_000):
        super().__init__()
        frequencies = torch.exp(-math.log(max_period) * torch.arange(ch // 2) / (ch // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(ch, out), nn.SiLU(), nn.Linear(out, out))

    def forward(self, timestep):
        """timestep (B,), whole or fractional, gives (B, E)."""
        angle = timestep[:, None].float() * self.frequencies  # (B, ch / 2)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class ResBlock(nn.Module):
    """norm, SiLU, conv, condition, norm, SiLU, dropout, conv, and a shortcut around it.

    Args:
        in_ch, out_ch: channels. emb_ch: width of the condition. dropout: probability.
        scale_shift: the condition scales and shifts the second norm's output (Dhariwal and Nichol
            2021, equation 8) where it is else added before that norm (Ho et al. 2020).
    """

    def __init__(self, in_ch, out_ch, emb_ch, dropout=0.0, scale_shift=False):
        super().__init__()
        self.scale_shift = scale_shift
        self.norm1, self.norm2 = group_norm(in_ch), group_norm(out_ch)
        self.conv1 = nn.Conv2d(in_ch, out_ch, 3, padding=1)
        self.conv2 = zero_(nn.Conv2d(out_ch, out_ch, 3, padding=1))
        self.condition = nn.Linear(emb_ch, out_ch * (1 + scale_shift))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(in_ch, out_ch, 1) if in_ch != out_ch else nn.Identity()

    def forward(self, x, emb):
        """(B, in_ch, H, W) and (B, E) give (B, out_ch, H, W)."""
        condition = self.condition(F.silu(emb))[:, :, None, None]
        h = self.conv1(F.silu(self.norm1(x)))
        if self.scale_shift:
            scale, shift = condition.chunk(2, dim=1)
            h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        else:
            h = self.norm2(h + condition)
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(h)))


class Attention(nn.Module):
    """Self-attention of one head over all pixels, with a residual connection.

    softmax(Q K^T / sqrt(C)) V, by the fused kernel of the device.
    """

    def __init__(self, ch):
        super().__init__()
        self.norm = group_norm(ch)
        self.qkv = nn.Linear(ch, 3 * ch)
        self.out = zero_(nn.Linear(ch, ch))

    def forward(self, x):
        """(B, C, H, W) gives the same shape."""
        B, C, H, W = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B, H W, C), no copy under channels_last
        q, k, v = self.qkv(h)[:, None].chunk(3, dim=-1)  # (B, 1, H W, C): one head
        h = self.out(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + h.transpose(1, 2).reshape(B, C, H, W)


class Downsample(nn.Module):
    """Half the resolution by a convolution of stride 2."""

    def __init__(self, ch):
        super().__init__()
        self.conv = nn.Conv2d(ch, ch, 3, stride=2, padding=1)

    def forward(self, x):
        """(B, C, H, W) gives (B, C, H / 2, W / 2)."""
        return self.conv(x)


class Upsample(nn.Module):
    """Twice the resolution: nearest neighbour, then a convolution."""

    def __init__(self, ch):
        super().__init__()
        self.conv = nn.Conv2d(ch, ch, 3, padding=1)

    def forward(self, x):
        """(B, C, H, W) gives (B, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
