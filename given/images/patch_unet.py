"""A small U-Net that a laptop trains in minutes; for what it gives see noise_predictor.py."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from given.images.layers import ResBlock, group_norm, zero_
from given.images.noise_predictor import NoisePredictor
from given.images.unet import check_resolution


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
