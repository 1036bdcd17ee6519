"""The parts of the networks: residual block, attention, resampling, time embedding.

Every activation is (B, C, H, W), every condition `emb` (B, E).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def zero_(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that the block around it starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def group_norm(channels: int, group_ch: int = 8, eps: float = 1e-6) -> nn.GroupNorm:
    """GroupNorm of 32 groups, or fewer where these would have less than group_ch channels."""
    return nn.GroupNorm(min(32, channels // group_ch), channels, eps)


def join(x: Tensor, h: Tensor, rescale: bool = False) -> Tensor:
    """x + h; rescaled, (x + h) / sqrt(2), of unit variance where x and h have it and are unrelated.

    (Song et al. 2021, appendix H.1.)
    """
    return (x + h) / math.sqrt(2) if rescale else x + h


class TimeEmbedding(nn.Module):
    """Sinusoidal features of the timestep, then two layers (Ho et al. 2020, appendix B).

    Args:
        ch: number of sines and cosines.
        out: width E of the result; None for the features themselves.
        reached: whether the slowest has the period 2 pi 10,000, or would be the next.
    """

    def __init__(self, ch: int, out: int | None, reached: bool = False) -> None:
        super().__init__()
        steps = ch // 2 - reached
        frequencies = torch.exp(-math.log(10_000) * torch.arange(ch // 2) / steps)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = two_layers(ch, out)

    def forward(self, timestep: Tensor) -> Tensor:
        """timestep (B,), whole or fractional, gives (B, E)."""
        angle = timestep[:, None].to(self.frequencies.dtype) * self.frequencies  # (B, ch / 2)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class FourierEmbedding(nn.Module):
    """Features sin(2 pi w c), cos(2 pi w c) of random w from N(0, scale^2), then two layers.

    (Tancik et al. 2020; Song et al. 2021, appendix H.1.) The w stay as they are drawn, from a seed
    of their own, so that they need no place in a checkpoint, unless they are `stored` there.

    Args:
        ch: number of sines, and of cosines.
        out: width E of the result; None for the features themselves.
        scale: of the w.
        stored: whether the w are part of the weights, as those of public code have to be.
    """

    def __init__(self, ch: int, out: int | None, scale: float = 16.0, stored: bool = False) -> None:
        super().__init__()
        w = scale * torch.randn(ch, generator=torch.Generator().manual_seed(0), device="cpu")
        self.register_buffer("frequencies", 2 * math.pi * w, persistent=stored)
        self.layers = two_layers(2 * ch, out)

    def forward(self, level: Tensor) -> Tensor:
        """level (B,), such as log sigma, gives (B, E)."""
        angle = level[:, None].to(self.frequencies.dtype) * self.frequencies  # (B, ch)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


def two_layers(ch: int, out: int | None) -> nn.Module:
    """Two linear layers with SiLU between them; none where no width is asked for."""
    if out is None:
        return nn.Identity()
    return nn.Sequential(nn.Linear(ch, out), nn.SiLU(), nn.Linear(out, out))


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
        plain: no conv on the shortcut that only resamples (Dhariwal and Nichol 2021).
        norm: makes the normalization of a number of channels.
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
        plain: bool = False,
        norm: Callable[[int], nn.Module] = group_norm,
    ) -> None:
        super().__init__()
        self.scale_shift, self.rescale = scale_shift, rescale
        self.resample = resample or nn.Identity()
        self.norm1, self.norm2 = norm(in_ch), norm(out_ch)
        self.conv1 = nn.Conv2d(in_ch, out_ch, 3, padding=1)
        self.conv2 = zero_(nn.Conv2d(out_ch, out_ch, 3, padding=1))
        self.condition = nn.Linear(emb_ch, out_ch * (1 + scale_shift))
        self.dropout = nn.Dropout(dropout)
        same = in_ch == out_ch and (plain or resample is None)
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_ch, out_ch, 1)

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
    """Self-attention over all pixels, with a residual connection.

    softmax(Q K^T / sqrt(c)) V for each head of c channels, by the fused kernel of the device.

    Args:
        ch: channels C.
        rescale: the sum with x is divided by sqrt(2); see `join`.
        head_ch: channels c of a head; None for one head of all of them.
        norm: makes the normalization of a number of channels.

    Raises:
        ValueError: heads that do not divide the channels.
    """

    def __init__(
        self,
        ch: int,
        rescale: bool = False,
        head_ch: int | None = None,
        norm: Callable[[int], nn.Module] = group_norm,
    ) -> None:
        super().__init__()
        if ch % (head_ch or ch):
            raise ValueError(f"Heads of {head_ch} channels do not fill {ch}; choose a divisor.")
        self.rescale, self.heads = rescale, ch // (head_ch or ch)
        self.norm = norm(ch)
        self.qkv = nn.Linear(ch, 3 * ch)
        self.out = zero_(nn.Linear(ch, ch))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) gives the same shape."""
        B, C, H, W = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B, H W, C), no copy under channels_last
        q, k, v = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, H W, c)
            for each in self.qkv(h).chunk(3, dim=-1)
        )
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, H W, C)
        return join(x, self.out(h).transpose(1, 2).reshape(B, C, H, W), self.rescale)


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
        pad_after: zeros below and on the right alone, as TensorFlow pads.
    """

    def __init__(
        self, in_ch: int, out_ch: int | None = None, fir: bool = False, pad_after: bool = False
    ) -> None:
        super().__init__()
        self.fir, self.pad_after = fir, pad_after
        padding = 0 if fir or pad_after else 1
        self.conv = nn.Conv2d(in_ch, out_ch or in_ch, 3, stride=2, padding=padding)
        self.register_buffer("kernel", fir_kernel(), persistent=False)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """(B, in_ch, H, W) gives (B, out_ch, H / 2, W / 2); a condition changes nothing."""
        if self.fir:
            kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
            x = F.conv2d(x, kernel, padding=2, groups=x.shape[1])  # (B, in_ch, H + 1, W + 1)
        elif self.pad_after:
            x = F.pad(x, (0, 1, 0, 1))
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
