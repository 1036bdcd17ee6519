"""The U-Net of DDPM, and what later papers made of it; for what it gives see noise_predictor.py."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from given.images.layers import (
    Attention,
    Downsample,
    FourierEmbedding,
    Resample,
    ResBlock,
    TimeEmbedding,
    Upsample,
    group_norm,
    join,
    zero_,
)
from given.images.noise_predictor import NoisePredictor


class UNet(NoisePredictor):
    """The U-Net of Ho et al. 2020, appendix B, and what later papers made of it.

    DDPM++ and NCSN++ (Song et al. 2021, appendix H) and ADM (Dhariwal and Nichol 2021) are this
    network with options that are off unless asked for; see presets.py.

    Args:
        T: number of training timesteps.
        image_resolution: pixels a side.
        ch: channels of the first level.
        ch_mult: factor of each level.
        attn: levels with attention.
        num_res_blocks: residual blocks a level.
        dropout: in the residual blocks.
        use_cfg: see NoisePredictor.
        cfg_dropout: see NoisePredictor.
        num_classes: see NoisePredictor.
        in_ch: see NoisePredictor.
        alphas_cumprod: see NoisePredictor.
        predicts: see NoisePredictor.
        time_features: see NoisePredictor.
        biggan: residual blocks change the resolution, where else one convolution does.
        fir: with the filter (1, 3, 3, 1) wherever the resolution changes; see Resample.
        skip_rescale: sums of a residual connection are divided by sqrt(2).
        input_pyramid: True: the input, made smaller by convolutions, is added at each lower
            resolution, and goes on from there; "skip": made smaller without any, and widened.
        output_pyramid: every resolution on the way up adds to an image that grows beside it.
        attn_up_last: on the way up, attention only after the last block of a level.
        scale_shift: the blocks of Dhariwal and Nichol; see `plain` and `scale_shift` of ResBlock.
        head_ch: channels of a head of the attention; None for one head of all.
        group_ch: channels of a group of the norms at least; 32 groups where there are enough.
        norm_eps: what the norms add to the variance.
        published: for weights of Ho et al. and Song et al.: pads as TensorFlow does where a
            convolution halves the resolution, spaces the sines of the time as their code does, and
            keeps Fourier frequencies among the weights.

    Attributes:
        checkpointing: whether training keeps the inputs of the blocks alone and computes what is
            inside again on the way back, for a quarter more operations (Chen et al. 2016).

    Raises:
        ValueError: a resolution that cannot be halved often enough.
    """

    checkpointing = False

    def __init__(
        self,
        T: int = 1000,
        image_resolution: int = 64,
        ch: int = 128,
        ch_mult: Sequence[int] = (1, 2, 2, 2),
        attn: Sequence[int] = (1,),
        num_res_blocks: int = 2,
        dropout: float = 0.1,
        use_cfg: bool = False,
        cfg_dropout: float = 0.1,
        num_classes: int = 3,
        in_ch: int = 3,
        alphas_cumprod: Tensor | None = None,
        predicts: str | None = None,
        time_features: str = "positional",
        biggan: bool = False,
        fir: bool = False,
        skip_rescale: bool = False,
        input_pyramid: bool | str = False,
        output_pyramid: bool = False,
        attn_up_last: bool = False,
        scale_shift: bool = False,
        head_ch: int | None = None,
        group_ch: int = 8,
        norm_eps: float = 1e-6,
        published: bool = False,
    ) -> None:
        check_resolution(image_resolution, len(ch_mult))
        emb_ch = 4 * ch
        shared = (T, image_resolution, in_ch, emb_ch, use_cfg, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod, predicts, time_features)
        if published and time_features == "positional":
            self.time_embedding = TimeEmbedding(ch, emb_ch, reached=True)
        elif published and time_features == "fourier":
            self.time_embedding = FourierEmbedding(ch, emb_ch, stored=True)
        self.skip_rescale = skip_rescale
        norm = partial(group_norm, group_ch=group_ch, eps=norm_eps)
        inside = {"dropout": dropout, "rescale": skip_rescale, "norm": norm}
        inside["scale_shift"] = scale_shift
        half, twice = resampling(biggan, fir, published, emb_ch, inside)

        def block(in_ch, out_ch, attention):
            return UNetBlock(in_ch, out_ch, emb_ch, attention, head_ch, **inside)

        widths = [ch * factor for factor in ch_mult]
        self.head = nn.Conv2d(in_ch, ch, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, now = [ch], ch  # channels of what waits for the way up; of what flows now
        for level, out in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(num_res_blocks):
                blocks.append(block(now, out, level in attn))
                skips.append(now := out)
            last = level == len(widths) - 1
            self.down.append(Level(blocks, None if last else half(now)))
            skips += [] if last else [now]
        self.middle = nn.ModuleList([block(now, now, k == 0) for k in range(2)])
        for level, out in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for k in range(num_res_blocks + 1):
                here = level in attn and (k == num_res_blocks or not attn_up_last)
                blocks.append(block(now + skips.pop(), out, here))
                now = out
            self.up.append(Level(blocks, twice(now) if level else None))
        self.norm = norm(now)
        self.tail = zero_(nn.Conv2d(now, in_ch, 3, padding=1))
        self.pyramid, self.widen = nn.ModuleList(), nn.ModuleList()
        for before, out in zip([in_ch, *widths], widths[:-1], strict=False):
            if input_pyramid == "skip":
                self.pyramid.append(Resample("down", fir))
                self.widen.append(nn.Conv2d(in_ch, out, 1))
            elif input_pyramid:
                self.pyramid.append(Downsample(before, out, fir, published))
        self.images, self.grow = nn.ModuleList(), Resample("up", fir)
        for ch in reversed(widths[1:] if output_pyramid else ()):
            tail = zero_(nn.Conv2d(ch, in_ch, 3, padding=1))
            self.images.append(nn.Sequential(norm(ch), nn.SiLU(), tail))

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, C, H, W) and the condition (B, E) give (B, C, H, W): what `predicts` says."""
        h = self.head(x)
        skips, image = [h], x
        for k, level in enumerate(self.down):
            for block in level.blocks:
                skips.append(h := self.through(block, emb, h))
            if level.resample:
                h = self.through(level.resample, emb, h)
                if len(self.pyramid):
                    image = self.pyramid[k](image)
                    if len(self.widen):
                        h = h + self.widen[k](image)
                    else:
                        h = image = join(image, h, self.skip_rescale)
                skips.append(h)
        for block in self.middle:
            h = self.through(block, emb, h)
        grown = None
        for k, level in enumerate(self.up):
            for block in level.blocks:
                h = self.through(block, emb, h, skips.pop())
            if k < len(self.images):
                seen = self.images[k](h)
                grown = self.grow(seen if grown is None else grown + seen)
            if level.resample:
                h = self.through(level.resample, emb, h)
        out = self.tail(F.silu(self.norm(h)))
        return out if grown is None else grown + out

    def through(self, block: nn.Module, emb: Tensor, *parts: Tensor) -> Tensor:
        """A block of some parts, joined along their channels, and of the condition."""

        def apply(emb, *parts):
            return block(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0], emb)

        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(apply, emb, *parts, use_reentrant=False)
        return apply(emb, *parts)


def resampling(
    biggan: bool, fir: bool, published: bool, emb_ch: int, inside: dict[str, Any]
) -> tuple:
    """What makes the layer that halves the resolution of so many channels, and that doubles it.

    Args:
        biggan: see UNet.
        fir: see UNet.
        published: see UNet.
        emb_ch: width of the condition.
        inside: options of a residual block.
    """
    if not biggan:
        return partial(Downsample, fir=fir, pad_after=published), partial(Upsample, fir=fir)

    def block(way, ch):
        how = inside | {"resample": Resample(way, fir), "plain": inside["scale_shift"]}
        return ResBlock(ch, ch, emb_ch, **how)

    return partial(block, "down"), partial(block, "up")


def check_resolution(image_resolution: int, levels: int) -> None:
    """Refuse a resolution that cannot be halved once for each level but the first."""
    factor = 2 ** (levels - 1)
    if image_resolution % factor:
        below = image_resolution // factor * factor
        near = [below, below + factor] if below else [factor]
        raise ValueError(
            f"A U-Net of {levels} levels needs a resolution that {factor} divides, not "
            f"{image_resolution}; use {' or '.join(map(str, near))}."
        )


class UNetBlock(nn.Module):
    """A residual block, followed by attention where wanted; `inside`: options of both."""

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        emb_ch: int,
        attention: bool,
        head_ch: int | None = None,
        **inside: Any,
    ) -> None:
        super().__init__()
        self.block = ResBlock(in_ch, out_ch, emb_ch, **inside)
        self.attention: nn.Module = nn.Identity()
        if attention:
            self.attention = Attention(out_ch, inside["rescale"], head_ch, inside["norm"])

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, in_ch, H, W) and (B, E) give (B, out_ch, H, W)."""
        return self.attention(self.block(x, emb))


class Level(nn.Module):
    """The blocks of one resolution, and the way to the next (None at the end)."""

    def __init__(self, blocks: Sequence[nn.Module], resample: nn.Module | None) -> None:
        super().__init__()
        self.blocks, self.resample = blocks, resample
