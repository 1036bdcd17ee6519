"""Networks that predict the noise in x_t: the U-Net of DDPM, and a small one for a CPU.

Both are called as network(x_t, timestep, class_label), or by the noise level itself as
network.at_log_snr(x_t, log_snr, class_label), and return the noise (B, C, H, W). With
a = sqrt(abar), s = sqrt(1 - abar), x_t = a x_0 + s noise, sigma = s / a and x_sigma = x_t / a =
x_0 + sigma noise, the layers inside may see another input and predict another quantity:

    noise    F(x_t) = noise                                              (Ho et al. 2020)
    v        F(x_t) = v = a noise - s x_0                       (Salimans and Ho 2022, appendix D)
    ve       F(x_sigma) = noise, so that the score of x_sigma is -F / sigma
                                        (Song and Ermon 2020, technique 3; Song et al. 2021)
    edm      D = c_skip x_sigma + c_out F(c_in x_sigma), noise = (x_sigma - D) / sigma
                                                       (Karras et al. 2022, eq. 7, table 1)

The size of v is the same at every timestep. Under a cosine schedule the simple loss of its noise
weighs the noise levels almost as Karras et al. 2022 do.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
from given.levels import NoiseLevels, signal_and_noise

PREDICTS = ("noise", "v", "ve", "edm")
TIME_FEATURES = ("positional", "fourier", "none")
SIGMA_DATA = 0.5  # standard deviation of the pixels (Karras et al. 2022, table 1)


class NoisePredictor(NoiseLevels):
    """What the networks share: conditions in, noise out. A subclass has `trunk(x, emb)`.

    Args:
        T: number of training timesteps.
        image_resolution: pixels a side.
        in_ch: channels of the images.
        emb_ch: width of the condition.
        use_cfg: whether there are class labels.
        cfg_dropout: share of labels that training drops.
        num_classes: of the labels, which count from 1; 0 is for none.
        alphas_cumprod: (T,) the schedule's abar. Only a network that predicts noise from positional
            features can do without, and then it cannot be called by log SNR.
        predicts: what the trunk gives, see above; by default "v", or "noise" without abar.
        time_features: "positional" of the timestep, "fourier" of log sigma; under edm either is of
            c_noise = log(sigma) / 4; or "none": the trunk does not see the noise level.

    Raises:
        ValueError: a prediction or features that do not exist, or that lack the schedule.
    """

    def __init__(
        self,
        T: int,
        image_resolution: int,
        in_ch: int,
        emb_ch: int,
        use_cfg: bool,
        cfg_dropout: float,
        num_classes: int,
        alphas_cumprod: Tensor | None = None,
        predicts: str | None = None,
        time_features: str = "positional",
    ) -> None:
        predicts = predicts or ("noise" if alphas_cumprod is None else "v")
        check_options(predicts, time_features, alphas_cumprod)
        super().__init__(alphas_cumprod, persistent=needs_schedule(predicts, time_features))
        self.T, self.image_resolution, self.in_ch = T, image_resolution, in_ch
        self.use_cfg, self.cfg_dropout, self.num_classes = use_cfg, cfg_dropout, num_classes
        self.predicts, self.time_features, self.emb_ch = predicts, time_features, emb_ch
        self.time_embedding: nn.Module | None
        if time_features == "fourier":
            self.time_embedding = FourierEmbedding(emb_ch // 4, emb_ch)
        else:
            positional = time_features == "positional"
            self.time_embedding = TimeEmbedding(emb_ch // 4, emb_ch) if positional else None
        self.class_embedding = nn.Embedding(num_classes + 1, emb_ch) if use_cfg else None

    def forward(
        self, x: Tensor, timestep: Tensor | float, class_label: Tensor | None = None
    ) -> Tensor:
        """Predict the noise in x_t.

        Args:
            x: (B, C, H, W) images x_t.
            timestep: a number or (B,), whole or between two of them.
            class_label: (B,) from 1, 0 for none; None for all none.

        Returns:
            (B, C, H, W).
        """
        times = one_for_each(timestep, x)
        log_snr = None if self.log_snr is None else self.log_snr_at(times)
        return self.at_log_snr(x, log_snr, class_label, times)

    def at_log_snr(
        self,
        x: Tensor,
        log_snr: Tensor | None,
        class_label: Tensor | None = None,
        timestep: Tensor | None = None,
    ) -> Tensor:
        """Predict the noise in x_t of a given log SNR.

        Args:
            x: (B, C, H, W) images x_t = a x_0 + s noise with a^2 + s^2 = 1.
            log_snr: (B,) log(a^2 / s^2); None where the network knows no schedule.
            class_label: (B,) from 1, 0 for none; None for all none.
            timestep: (B,) of this log SNR, where it is known; else positional features look it up.

        Returns:
            (B, C, H, W).
        """
        emb = self._condition(x, log_snr, class_label, timestep)
        out = self.trunk(self._trunk_input(x, log_snr), emb)
        return self._noise_from(out, x, log_snr)

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """What a subclass computes from its input (B, C, H, W) and the conditions (B, E)."""
        raise NotImplementedError(f"{type(self).__name__} has no trunk.")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile `at_log_snr`, which a call by timestep goes through as well."""
        compiled = torch.compile(self.at_log_snr, *args, **kwargs)
        self.at_log_snr = compiled  # type: ignore[method-assign]

    def _condition(self, x, log_snr, class_label, timestep=None):
        """(B, E) of the noise level and the class."""
        B, device = len(x), x.device
        if self.time_embedding is None:
            emb = torch.zeros(B, self.emb_ch, device=device)
        else:
            emb = self.time_embedding(self._level(log_snr, timestep))
        if class_label is not None and not self.use_cfg:
            raise ValueError(
                "This network was trained without class labels; "
                "train one with --use_cfg, or leave the class and guidance out."
            )
        if self.use_cfg:
            if class_label is None:
                class_label = torch.zeros(B, dtype=torch.long, device=device)
            emb = emb + self.class_embedding(class_label)
        return emb

    def _level(self, log_snr, timestep):
        """(B,) the number that the time features are of; log(sigma) is -log_snr / 2."""
        if self.predicts == "edm":
            return -log_snr / 8
        if self.time_features == "fourier":
            return -log_snr / 2
        return self.timestep_at(log_snr) if timestep is None else timestep

    def _trunk_input(self, x, log_snr):
        """x_t; or x_sigma = x_t / a; or c_in x_sigma = x_t / sqrt(s^2 + (sigma_data a)^2)."""
        if self.predicts in ("noise", "v"):
            return x
        a, s = signal_and_noise(log_snr)
        if self.predicts == "ve":
            return x / a
        return x / (s**2 + (SIGMA_DATA * a) ** 2).sqrt()

    def _noise_from(self, out, x, log_snr):
        """The noise, from the trunk's output and x_t.

        v: a out + s x_t. edm: with c_skip = sigma_data^2 / (sigma^2 + sigma_data^2) and c_out =
        sigma sigma_data / sqrt(sigma^2 + sigma_data^2),

            (x_sigma - D) / sigma = s x_t / size^2 - sigma_data a out / size,
            size^2 = s^2 + (sigma_data a)^2,

        which needs no difference of two large numbers; with sigma_data = 1 the output is -v.
        """
        if self.predicts in ("noise", "ve"):
            return out
        a, s = signal_and_noise(log_snr)
        if self.predicts == "v":
            return a * out + s * x
        size = (s**2 + (SIGMA_DATA * a) ** 2).sqrt()
        return s / size**2 * x - SIGMA_DATA * a / size * out


def one_for_each(timestep: Tensor | float, x: Tensor) -> Tensor:
    """(B,) timesteps on the device of x (B, ...), of a number or (B,).

    A number is written there by a kernel: copied there, it would make the host wait at every step.
    """
    if isinstance(timestep, Tensor) and (timestep.ndim or timestep.device == x.device):
        return timestep.to(x.device).expand(len(x))
    number = timestep.item() if isinstance(timestep, Tensor) else timestep
    return torch.full((len(x),), number, device=x.device)


def needs_schedule(predicts: str | None, time_features: str) -> bool:
    """Whether a network has to know abar to be called by timestep."""
    return predicts != "noise" or time_features == "fourier"


def check_options(predicts: str | None, time_features: str, alphas_cumprod: Tensor | None) -> None:
    """Refuse what no network predicts or is conditioned on, and what lacks its schedule."""
    if predicts not in PREDICTS:
        raise ValueError(f"Unknown predicts {predicts!r}; use one of {', '.join(PREDICTS)}.")
    if time_features not in TIME_FEATURES:
        raise ValueError(
            f"Unknown time_features {time_features!r}; use one of {', '.join(TIME_FEATURES)}."
        )
    if alphas_cumprod is None and needs_schedule(predicts, time_features):
        raise ValueError(
            f"predicts={predicts!r} with time_features={time_features!r} depends on abar; "
            f"give the schedule's alphas_cumprod."
        )


class UNet(NoisePredictor):
    """The U-Net of Ho et al. 2020, appendix B, and what Song et al. 2021, appendix H, made of it.

    The options that make it DDPM++ or NCSN++ are off unless asked for; see presets.py.

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
        input_pyramid: the input, made smaller by convolutions, is added at each lower resolution.
        attn_up_last: on the way up, attention only after the last block of a level.

    Raises:
        ValueError: a resolution that cannot be halved often enough.
    """

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
        input_pyramid: bool = False,
        attn_up_last: bool = False,
    ) -> None:
        check_resolution(image_resolution, len(ch_mult))
        emb_ch = 4 * ch
        shared = (T, image_resolution, in_ch, emb_ch, use_cfg, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod, predicts, time_features)
        self.skip_rescale = skip_rescale
        widths = [ch * factor for factor in ch_mult]
        self.head = nn.Conv2d(in_ch, ch, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, now = [ch], ch  # channels of what waits for the way up; of what flows now

        def block(extra, out, attention):
            return UNetBlock(now + extra, out, emb_ch, dropout, attention, skip_rescale)

        def resampler(way):
            if not biggan:
                return Downsample(now, fir=fir) if way == "down" else Upsample(now, fir)
            how = {"resample": Resample(way, fir), "rescale": skip_rescale}
            return ResBlock(now, now, emb_ch, dropout, **how)

        for level, out in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(num_res_blocks):
                blocks.append(block(0, out, level in attn))
                skips.append(now := out)
            last = level == len(widths) - 1
            self.down.append(Level(blocks, None if last else resampler("down")))
            skips += [] if last else [now]
        self.middle = nn.ModuleList([block(0, now, True), block(0, now, False)])
        for level, out in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for k in range(num_res_blocks + 1):
                here = level in attn and (k == num_res_blocks or not attn_up_last)
                blocks.append(block(skips.pop(), out, here))
                now = out
            self.up.append(Level(blocks, resampler("up") if level else None))
        self.norm = group_norm(now)
        self.tail = zero_(nn.Conv2d(now, in_ch, 3, padding=1))
        self.pyramid = nn.ModuleList()
        for before, out in zip([in_ch, *widths], widths[:-1], strict=False):
            if input_pyramid:
                self.pyramid.append(Downsample(before, out, fir))

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, C, H, W) and the condition (B, E) give (B, C, H, W): what `predicts` says."""
        h = self.head(x)
        pyramid = x
        skips = [h]
        for k, level in enumerate(self.down):
            for block in level.blocks:
                skips.append(h := block(h, emb))
            if level.resample:
                h = level.resample(h, emb)
                if len(self.pyramid):
                    h = pyramid = join(self.pyramid[k](pyramid), h, self.skip_rescale)
                skips.append(h)
        for block in self.middle:
            h = block(h, emb)
        for level in self.up:
            for block in level.blocks:
                h = block(torch.cat([h, skips.pop()], dim=1), emb)
            if level.resample:
                h = level.resample(h, emb)
        return self.tail(F.silu(self.norm(h)))


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
    """A residual block, followed by attention where wanted."""

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        emb_ch: int,
        dropout: float,
        attention: bool,
        rescale: bool = False,
    ) -> None:
        super().__init__()
        self.block = ResBlock(in_ch, out_ch, emb_ch, dropout, rescale=rescale)
        self.attention = Attention(out_ch, rescale) if attention else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, in_ch, H, W) and (B, E) give (B, out_ch, H, W)."""
        return self.attention(self.block(x, emb))


class Level(nn.Module):
    """The blocks of one resolution, and the way to the next (None at the end)."""

    def __init__(self, blocks: Sequence[nn.Module], resample: nn.Module | None) -> None:
        super().__init__()
        self.blocks, self.resample = blocks, resample


class PatchUNet(NoisePredictor):
    """A U-Net of three levels without layers in the first: a laptop trains it in minutes.

    Patches of 2 x 2 pixels become channels, so that the first level has half the resolution
    and the second at a quarter; the skip between them is a sum.

    Args:
        ch: channels of the two levels.
        num_res_blocks: of the inner level.
        T: see NoisePredictor.
        image_resolution: see NoisePredictor.
        in_ch: see NoisePredictor.
        use_cfg: see NoisePredictor.
        cfg_dropout: see NoisePredictor.
        num_classes: see NoisePredictor.
        alphas_cumprod: see NoisePredictor.
        predicts: see NoisePredictor.
        time_features: see NoisePredictor.

    Raises:
        ValueError: a resolution that cannot be halved twice.
    """

    def __init__(
        self,
        T: int = 1000,
        image_resolution: int = 28,
        ch: Sequence[int] = (64, 128),
        num_res_blocks: int = 2,
        use_cfg: bool = True,
        cfg_dropout: float = 0.1,
        num_classes: int = 10,
        in_ch: int = 1,
        alphas_cumprod: Tensor | None = None,
        predicts: str | None = None,
        time_features: str = "positional",
    ) -> None:
        check_resolution(image_resolution, 3)
        outer, inner = ch
        emb_ch = 2 * inner
        shared = (T, image_resolution, in_ch, emb_ch, use_cfg, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod, predicts, time_features)
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

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, C, H, W) and the condition (B, E) give (B, C, H, W): what `predicts` says."""
        h = self.outer_down(self.head(F.pixel_unshuffle(x, 2)), emb)  # (B, outer, H / 2, W / 2)
        g = self.down(F.pixel_unshuffle(h, 2))  # (B, inner, H / 4, W / 4)
        for block in self.inner:
            g = block(g, emb)
        h = self.outer_up(h + F.pixel_shuffle(self.up(g), 2), emb)
        return F.pixel_shuffle(self.tail(F.silu(self.norm(h))), 2)  # (B, C, H, W)
