"""The parts of the networks: residual block, attention, resampling, time embedding.

Every activation is (B, C, H, W), every condition `emb` (B, E).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def zero_(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that the block around it starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm of 32 groups, or of 8 channels each where there are fewer than 256 channels."""
    return nn.GroupNorm(min(32, channels // 8), channels, eps=1e-6)


def join(x: Tensor, h: Tensor, rescale: bool = False) -> Tensor:
    """x + h; rescaled, (x + h) / sqrt(2), of unit variance where x and h have it and are unrelated.

    (Song et al. 2021, appendix H.1.)
    """
    return (x + h) / math.sqrt(2) if rescale else x + h


class TimeEmbedding(nn.Module):
    """Sinusoidal features of the timestep, then two layers (Ho et al. 2020, appendix B).

    Args:
        ch: number of sines and cosines.
        out: width E of the result.
        max_period: of the slowest.
    """

    def __init__(self, ch: int, out: int, max_period: int = 10_000) -> None:
        super().__init__()
        frequencies = torch.exp(-math.log(max_period) * torch.arange(ch // 2) / (ch // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(ch, out), nn.SiLU(), nn.Linear(out, out))

    def forward(self, timestep: Tensor) -> Tensor:
        """timestep (B,), whole or fractional, gives (B, E)."""
        angle = timestep[:, None].float() * self.frequencies  # (B, ch / 2)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class FourierEmbedding(nn.Module):
    """Features sin(2 pi w c), cos(2 pi w c) of random w from N(0, scale^2), then two layers.

    (Tancik et al. 2020; Song et al. 2021, appendix H.1.) The w stay as they are drawn, from a seed
    of their own, so that they need no place in a checkpoint.

    Args:
        ch: number of sines, and of cosines.
        out: width E of the result.
        scale: of the w.
    """

    def __init__(self, ch: int, out: int, scale: float = 16.0) -> None:
        super().__init__()
        w = scale * torch.randn(ch, generator=torch.Generator().manual_seed(0), device="cpu")
        self.register_buffer("frequencies", 2 * math.pi * w, persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * ch, out), nn.SiLU(), nn.Linear(out, out))

    def forward(self, level: Tensor) -> Tensor:
        """level (B,), such as log sigma, gives (B, E)."""
        angle = level[:, None].float() * self.frequencies  # (B, ch)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class ResBlock(nn.Module):
    """norm, SiLU, conv, condition, norm, SiLU, dropout, conv, and a shortcut around it.

    Args:
        in_ch: channels of the input.
        out_ch: channels of the result.
        emb_ch: width of the condition.
        dropout: probability.
        scale_shift: the condition scales and shifts the second norm's output (Dhariwal and Nichol
            2021, eq. 8) where it is else added before that norm (Ho et al. 2020).
        resample: changes the resolution of both ways, before the first conv and before the
            shortcut, which then has a conv (Brock et al. 2019, figure 15); see Resample.
        rescale: the sum of both ways is divided by sqrt(2); see `join`.
    """

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        emb_ch: int,
        dropout: float = 0.0,
        scale_shift: bool = False,
        resample: nn.Module | None = None,
        rescale: bool = False,
    ) -> None:
        super().__init__()
        self.scale_shift, self.rescale = scale_shift, rescale
        self.resample = resample or nn.Identity()
        self.norm1, self.norm2 = group_norm(in_ch), group_norm(out_ch)
        self.conv1 = nn.Conv2d(in_ch, out_ch, 3, padding=1)
        self.conv2 = zero_(nn.Conv2d(out_ch, out_ch, 3, padding=1))
        self.condition = nn.Linear(emb_ch, out_ch * (1 + scale_shift))
        self.dropout = nn.Dropout(dropout)
        plain = in_ch == out_ch and resample is None
        self.shortcut = nn.Identity() if plain else nn.Conv2d(in_ch, out_ch, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, in_ch, H, W) and (B, E) give (B, out_ch, H', W'), resampled where it resamples."""
        condition = self.condition(F.silu(emb))[:, :, None, None]
        h = self.conv1(self.resample(F.silu(self.norm1(x))))
        if self.scale_shift:
            scale, shift = condition.chunk(2, dim=1)
            h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        else:
            h = self.norm2(h + condition)
        h = self.conv2(self.dropout(F.silu(h)))
        return join(self.shortcut(self.resample(x)), h, self.rescale)


class Attention(nn.Module):
    """Self-attention of one head over all pixels, with a residual connection.

    softmax(Q K^T / sqrt(C)) V, by the fused kernel of the device.

    Args:
        ch: channels C.
        rescale: the sum with x is divided by sqrt(2); see `join`.
    """

    def __init__(self, ch: int, rescale: bool = False) -> None:
        super().__init__()
        self.rescale = rescale
        self.norm = group_norm(ch)
        self.qkv = nn.Linear(ch, 3 * ch)
        self.out = zero_(nn.Linear(ch, ch))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) gives the same shape."""
        B, C, H, W = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B, H W, C), no copy under channels_last
        q, k, v = self.qkv(h)[:, None].chunk(3, dim=-1)  # (B, 1, H W, C): one head
        h = self.out(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return join(x, h.transpose(1, 2).reshape(B, C, H, W), self.rescale)


class Resample(nn.Module):
    """Half or twice the resolution, without parameters.

    By the mean of 2 x 2 pixels and by the nearest neighbour; or with the FIR filter whose kernel is
    the outer product of (1, 3, 3, 1) / 8 with itself: filtered, then every other pixel; or zeros
    put between the pixels, then filtered with 4 times the kernel (Zhang 2019; Karras et al. 2020,
    appendix B). The image is padded with zeros.

    Args:
        way: "down" or "up".
        fir: with the filter.
    """

    def __init__(self, way: str, fir: bool = False) -> None:
        super().__init__()
        self.way, self.fir = way, fir
        self.register_buffer("kernel", fir_kernel(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) gives (B, C, H / 2, W / 2) or (B, C, 2 H, 2 W)."""
        if not self.fir:
            if self.way == "down":
                return F.avg_pool2d(x, 2)
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        how = {"stride": 2, "padding": 1, "groups": x.shape[1]}
        if self.way == "down":
            return F.conv2d(x, kernel, **how)
        return F.conv_transpose2d(x, 4 * kernel, **how)


def fir_kernel() -> Tensor:
    """(4, 4): the outer product of (1, 3, 3, 1) / 8 with itself; its sum is 1."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(row, row)


class Downsample(nn.Module):
    """Half the resolution by a convolution of stride 2.

    Args:
        in_ch: channels of the input.
        out_ch: those of the result; as many by default.
        fir: filter before; see Resample.
    """

    def __init__(self, in_ch: int, out_ch: int | None = None, fir: bool = False) -> None:
        super().__init__()
        self.fir = fir
        self.conv = nn.Conv2d(in_ch, out_ch or in_ch, 3, stride=2, padding=0 if fir else 1)
        self.register_buffer("kernel", fir_kernel(), persistent=False)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """(B, in_ch, H, W) gives (B, out_ch, H / 2, W / 2); a condition changes nothing."""
        if self.fir:
            kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
            x = F.conv2d(x, kernel, padding=2, groups=x.shape[1])  # (B, in_ch, H + 1, W + 1)
        return self.conv(x)


class Upsample(nn.Module):
    """Twice the resolution: nearest neighbour or FIR filter (see Resample), then a convolution."""

    def __init__(self, ch: int, fir: bool = False) -> None:
        super().__init__()
        self.resample = Resample("up", fir)
        self.conv = nn.Conv2d(ch, ch, 3, padding=1)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """(B, C, H, W) gives (B, C, 2 H, 2 W); a condition changes nothing."""
        return self.conv(self.resample(x))
