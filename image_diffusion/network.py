"""Given: networks that predict the noise in x_t: the U-Net of DDPM, and a small one for a CPU.

Both are called as network(x_t, timestep, class_label) and return the noise (B, C, H, W). Inside
they may predict another quantity: given the schedule's abar, the last layer gives v = sqrt(abar)
noise - sqrt(1 - abar) x_0 (Salimans and Ho 2022), whose size is the same at every timestep, and the
noise follows from it as sqrt(abar) v + sqrt(1 - abar) x_t. Under a cosine schedule the simple loss
then weighs the noise levels almost as Karras et al. 2022 do.
"""

import torch
from torch import nn
from torch.nn import functional as F

from image_diffusion.module import (
    Attention,
    Downsample,
    ResBlock,
    TimeEmbedding,
    Upsample,
    group_norm,
    zero_,
)


class NoisePredictor(nn.Module):
    """What the networks share: conditions in, noise out. A subclass has `trunk(x, emb)`.

    Args:
        T: number of training timesteps. image_resolution, in_ch: of the images.
        emb_ch: width of the condition. use_cfg: whether there are class labels; num_classes of
        them, from 1, and 0 for none. cfg_dropout: share of labels that training drops.
        alphas_cumprod: (T,) the schedule's abar; the trunk then predicts v, else the noise.
    """

    def __init__(
        self,
        T,
        image_resolution,
        in_ch,
        emb_ch,
        use_cfg,
        cfg_dropout,
        num_classes,
        alphas_cumprod=None,
    ):
        super().__init__()
        self.T, self.image_resolution, self.in_ch = T, image_resolution, in_ch
        self.use_cfg, self.cfg_dropout, self.num_classes = use_cfg, cfg_dropout, num_classes
        self.predicts = "noise" if alphas_cumprod is None else "v"
        self.time_embedding = TimeEmbedding(emb_ch // 4, emb_ch)
        self.class_embedding = nn.Embedding(num_classes + 1, emb_ch) if use_cfg else None
        log_snr = None if alphas_cumprod is None else torch.logit(alphas_cumprod.double())
        self.register_buffer("log_snr", None if log_snr is None else log_snr.float())

    def forward(self, x, timestep, class_label=None):
        """Predict the noise.

        Args:
            x: (B, C, H, W) images x_t. timestep: a number or (B,), whole or between two of them.
            class_label: (B,) from 1, 0 for none; None for all none.

        Returns:
            (B, C, H, W).
        """
        timestep = torch.as_tensor(timestep, device=x.device).expand(len(x))
        emb = self.time_embedding(timestep)
        if class_label is not None and not self.use_cfg:
            raise ValueError(
                "This network was trained without class labels; "
                "train one with --use_cfg, or leave the class and guidance out."
            )
        if self.use_cfg:
            if class_label is None:
                class_label = torch.zeros(len(x), dtype=torch.long, device=x.device)
            emb = emb + self.class_embedding(class_label)
        out = self.trunk(x, emb)
        return out if self.log_snr is None else self._noise_from_v(x, timestep, out)

    def _noise_from_v(self, x, timestep, v):
        k = timestep.float().clamp(0, self.T - 1)
        low = k.long().clamp(max=self.T - 2)
        log_snr = torch.lerp(self.log_snr[low], self.log_snr[low + 1], k - low)  # (B,)
        log_snr = log_snr[:, None, None, None]
        signal, noise = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        return signal * v + noise * x


class UNet(NoisePredictor):
    """The U-Net of Ho et al. 2020, appendix B.

    Args:
        T: number of training timesteps. image_resolution: pixels a side.
        ch: channels of the first level. ch_mult: factor of each level.
        attn: levels with attention. num_res_blocks: a level. dropout: in the residual blocks.
        use_cfg, cfg_dropout, num_classes, in_ch, alphas_cumprod: see NoisePredictor.
    """

    def __init__(
        self,
        T=1000,
        image_resolution=64,
        ch=128,
        ch_mult=(1, 2, 2, 2),
        attn=(1,),
        num_res_blocks=2,
        dropout=0.1,
        use_cfg=False,
        cfg_dropout=0.1,
        num_classes=3,
        in_ch=3,
        alphas_cumprod=None,
    ):
        emb_ch = 4 * ch
        shared = (T, image_resolution, in_ch, emb_ch, use_cfg, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod)
        widths = [ch * factor for factor in ch_mult]
        self.head = nn.Conv2d(in_ch, ch, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, now = [ch], ch  # channels of what waits for the way up; of what flows now

        def block(extra, out, attention):
            return UNetBlock(now + extra, out, emb_ch, dropout, attention)

        for level, out in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(num_res_blocks):
                blocks.append(block(0, out, level in attn))
                skips.append(now := out)
            last = level == len(widths) - 1
            self.down.append(Level(blocks, None if last else Downsample(now)))
            skips += [] if last else [now]
        self.middle = nn.ModuleList([block(0, now, True), block(0, now, False)])
        for level, out in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for _ in range(num_res_blocks + 1):
                blocks.append(block(skips.pop(), out, level in attn))
                now = out
            self.up.append(Level(blocks, Upsample(now) if level else None))
        self.norm = group_norm(now)
        self.tail = zero_(nn.Conv2d(now, in_ch, 3, padding=1))

    def trunk(self, x, emb):
        """(B, C, H, W) and the condition (B, E) give (B, C, H, W): the noise, or v."""
        h = self.head(x)
        skips = [h]
        for level in self.down:
            for block in level.blocks:
                skips.append(h := block(h, emb))
            if level.resample:
                skips.append(h := level.resample(h))
        for block in self.middle:
            h = block(h, emb)
        for level in self.up:
            for block in level.blocks:
                h = block(torch.cat([h, skips.pop()], dim=1), emb)
            if level.resample:
                h = level.resample(h)
        return self.tail(F.silu(self.norm(h)))


class UNetBlock(nn.Module):
    """A residual block, with attention behind it where wanted."""

    def __init__(self, in_ch, out_ch, emb_ch, dropout, attention):
        super().__init__()
        self.block = ResBlock(in_ch, out_ch, emb_ch, dropout)
        self.attention = Attention(out_ch) if attention else nn.Identity()

    def forward(self, x, emb):
        """(B, in_ch, H, W) and (B, E) give (B, out_ch, H, W)."""
        return self.attention(self.block(x, emb))


class Level(nn.Module):
    """The blocks of one resolution, and the way to the next (None at the end)."""

    def __init__(self, blocks, resample):
        super().__init__()
        self.blocks, self.resample = blocks, resample


class PatchUNet(NoisePredictor):
    """A U-Net without a full-resolution level: a laptop trains it in minutes.

    Patches of 2 x 2 pixels become channels, so that the first level stands at half the resolution
    and the second at a quarter; the skip between them is a sum.

    Args:
        ch: channels of the two levels. num_res_blocks: of the inner level.
        T, image_resolution, in_ch, use_cfg, cfg_dropout, num_classes, alphas_cumprod: see
        NoisePredictor.
    """

    def __init__(
        self,
        T=1000,
        image_resolution=28,
        ch=(64, 128),
        num_res_blocks=2,
        use_cfg=True,
        cfg_dropout=0.1,
        num_classes=10,
        in_ch=1,
        alphas_cumprod=None,
    ):
        outer, inner = ch
        emb_ch = 2 * inner
        shared = (T, image_resolution, in_ch, emb_ch, use_cfg, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod)
        self.head = nn.Conv2d(4 * in_ch, outer, 3, padding=1)
        self.outer_down = ResBlock(outer, outer, emb_ch, scale_shift=True)
        self.down = nn.Conv2d(4 * outer, inner, 1)
        self.inner = nn.ModuleList(
            ResBlock(inner, inner, emb_ch, scale_shift=True) for _ in range(num_res_blocks)
        )
        self.up = nn.Conv2d(inner, 4 * outer, 1)
        self.outer_up = ResBlock(outer, outer, emb_ch, scale_shift=True)
        self.norm = group_norm(outer)
        self.tail = zero_(nn.Conv2d(outer, 4 * in_ch, 3, padding=1))

    def trunk(self, x, emb):
        """(B, C, H, W) and the condition (B, E) give (B, C, H, W): the noise, or v."""
        h = self.outer_down(self.head(F.pixel_unshuffle(x, 2)), emb)  # (B, outer, H / 2, W / 2)
        g = self.down(F.pixel_unshuffle(h, 2))  # (B, inner, H / 4, W / 4)
        for block in self.inner:
            g = block(g, emb)
        h = self.outer_up(h + F.pixel_shuffle(self.up(g), 2), emb)
        return F.pixel_shuffle(self.tail(F.silu(self.norm(h))), 2)  # (B, C, H, W)
