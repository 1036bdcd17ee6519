"""NCSNv2: the RefineNet of Song and Ermon 2020, which sees no noise level.

Residual blocks of instance norm ++ (Song and Ermon 2019, appendix A.1) go down in resolution, the
deepest by dilated convolutions; refinement blocks (Lin et al. 2017) go up again. The output is
divided by sigma to give the score of x_sigma = x_0 + sigma noise (technique 3), so that the network
`predicts` "ve" with no time features; see noise_predictor.py.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from given.images.noise_predictor import NoisePredictor

# Each stage on the way down: the factor of its width, and how its first block shrinks the image,
# "no", "half", or by a dilated convolution that sees as far without shrinking it.
SHALLOW = ((1, "no"), (2, "half"), (2, 2), (2, 4))  # up to 64 pixels: Song and Ermon 2020, B.1
DEEPER = ((1, "no"), (2, "half"), (2, "half"), (4, 2), (4, 4))  # 96 and 128
DEEPEST = ((1, "no"), (2, "half"), (2, "half"), (2, "half"), (4, 2), (4, 4))  # 256


def stages_of(resolution: int) -> Sequence[tuple[int, str | int]]:
    """The stages that the paper uses at a resolution."""
    return SHALLOW if resolution < 96 else DEEPER if resolution <= 128 else DEEPEST


class NCSNv2(NoisePredictor):
    """Down by residual blocks, up by refinement blocks; class labels are not for it.

    Args:
        T: see NoisePredictor.
        image_resolution: pixels a side; decides how many stages there are.
        ch: channels of the first stage.
        use_cfg: must be False; NCSNv2 has no place for a class.
        cfg_dropout: see NoisePredictor.
        num_classes: see NoisePredictor.
        in_ch: see NoisePredictor.
        alphas_cumprod: see NoisePredictor.
        predicts: see NoisePredictor; "ve" is the paper's.
        time_features: must be "none".

    Raises:
        ValueError: class labels or time features, or a resolution that cannot be halved.
    """

    def __init__(
        self,
        T: int = 1000,
        image_resolution: int = 32,
        ch: int = 128,
        use_cfg: bool = False,
        cfg_dropout: float = 0.1,
        num_classes: int = 3,
        in_ch: int = 3,
        alphas_cumprod: Tensor | None = None,
        predicts: str | None = "ve",
        time_features: str = "none",
    ) -> None:
        if use_cfg or time_features != "none":
            raise ValueError(
                "NCSNv2 sees neither a class nor the noise level; leave --use_cfg and "
                "--time_features out, or use --network ncsn++."
            )
        stages = stages_of(image_resolution)
        halvings = sum(way == "half" for _, way in stages)
        if image_resolution % 2**halvings:
            raise ValueError(
                f"NCSNv2 halves {image_resolution} pixels {halvings} times; use a resolution that "
                f"{2**halvings} divides."
            )
        shared = (T, image_resolution, in_ch, 4, False, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod, predicts, time_features)
        widths = [ch * factor for factor, _ in stages]
        self.head = nn.Conv2d(in_ch, ch, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for before, out, (_, way) in zip([ch, *widths], widths, stages, strict=False):
            blocks = ResidualBlock(before, out, way, True), ResidualBlock(out, out, way, False)
            self.down.append(nn.Sequential(*blocks))
        now = None
        for k in reversed(range(len(widths))):
            out = widths[max(k - 1, 0)]
            self.up.append(RefineBlock(widths[k], now, out, 1 if k else 3))
            now = out
        self.norm = InstanceNormPlus(ch)
        self.tail = nn.Conv2d(ch, in_ch, 3, padding=1)

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, C, H, W) gives (B, C, H, W): what `predicts` says. The condition changes nothing."""
        h, skips = self.head(x), []
        for stage in self.down:
            skips.append(h := stage(h))
        h = None
        for refine in self.up:
            h = refine(skips.pop(), h)
        return self.tail(F.elu(self.norm(h)))


class InstanceNormPlus(nn.Module):
    """Instance norm, and what it takes away: the channels' means, normalized over the channels.

        gamma ((x - mean) / std + alpha (mean - mean of means) / (std of means)) + beta

    (Song and Ermon 2019, appendix A.1.)
    """

    def __init__(self, ch: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(1 + 0.02 * torch.randn(ch))
        self.gamma = nn.Parameter(1 + 0.02 * torch.randn(ch))
        self.beta = nn.Parameter(torch.zeros(ch))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) gives the same shape."""
        means = x.mean((2, 3))  # (B, C)
        spread = (means.var(1, keepdim=True) + 1e-5).sqrt()
        means = (means - means.mean(1, keepdim=True)) / spread
        alpha, gamma, beta = (p[:, None, None] for p in (self.alpha, self.gamma, self.beta))
        return gamma * (F.instance_norm(x) + alpha * means[:, :, None, None]) + beta


class ResidualBlock(nn.Module):
    """norm, ELU, conv, norm, ELU, conv, and a shortcut around it.

    Args:
        in_ch: channels of the input.
        out_ch: channels of the result.
        way: "no", "half" for half the resolution, or the dilation of the convolutions.
        opens: whether it begins a stage, and then has a convolution on its shortcut.
    """

    def __init__(self, in_ch: int, out_ch: int, way: str | int, opens: bool) -> None:
        super().__init__()
        dilation = way if isinstance(way, int) else 1
        self.half = way == "half" and opens
        how = {"padding": dilation, "dilation": dilation}
        self.norm1, self.norm2 = InstanceNormPlus(in_ch), InstanceNormPlus(in_ch)
        self.conv1 = nn.Conv2d(in_ch, in_ch, 3, **how)
        self.conv2 = nn.Conv2d(in_ch, out_ch, 3, **how)
        self.shortcut: nn.Module = nn.Identity()
        if opens and way != "no":
            narrow = way == "half"
            self.shortcut = (
                nn.Conv2d(in_ch, out_ch, 1) if narrow else nn.Conv2d(in_ch, out_ch, 3, **how)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_ch, H, W) gives (B, out_ch, H', W')."""
        h = self.conv1(F.elu(self.norm1(x)))
        h = self.conv2(F.elu(self.norm2(h))) + self.shortcut(x)
        return F.avg_pool2d(h, 2) if self.half else h


class RefineBlock(nn.Module):
    """Joins a stage with what comes from below it (Lin et al. 2017, figure 3).

    Two residual units for each input; both brought to this stage's resolution and added; chained
    pooling; residual units at the end.

    Args:
        ch: channels of the stage.
        below: channels of what comes from below; None at the deepest stage.
        out: channels of the result.
        units: residual units at the end.
    """

    def __init__(self, ch: int, below: int | None, out: int, units: int) -> None:
        super().__init__()
        inputs = [ch] if below is None else [ch, below]
        self.adapt = nn.ModuleList(
            nn.Sequential(ResidualUnit(each), ResidualUnit(each)) for each in inputs
        )
        self.fuse = nn.ModuleList()
        if below is not None:
            self.fuse.extend(nn.Conv2d(each, out, 3, padding=1) for each in inputs)
        self.pool = ChainedPooling(out)
        self.end = nn.Sequential(*(ResidualUnit(out) for _ in range(units)))

    def forward(self, x: Tensor, below: Tensor | None) -> Tensor:
        """(B, ch, H, W), and (B, below, h, w) where there is one, give (B, out, H, W)."""
        h = self.adapt[0](x)
        if below is not None:
            lower = self.fuse[1](self.adapt[1](below))
            how = {"size": x.shape[2:], "mode": "bilinear", "align_corners": True}
            h = self.fuse[0](h) + F.interpolate(lower, **how)
        return self.end(self.pool(h))


class ResidualUnit(nn.Module):
    """ELU, conv, ELU, conv, and the input added."""

    def __init__(self, ch: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ch, ch, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(ch, ch, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ch, H, W) gives the same shape."""
        return x + self.conv2(F.elu(self.conv1(F.elu(x))))


class ChainedPooling(nn.Module):
    """x + f(x) + f(f(x)), f the greatest of 5 x 5 pixels followed by a convolution."""

    def __init__(self, ch: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(ch, ch, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, ch, H, W) gives the same shape."""
        total = path = F.elu(x)
        for conv in self.convs:
            path = conv(F.max_pool2d(path, 5, stride=1, padding=2))
            total = total + path
        return total
