"""U-ViT: a transformer over the patches of an image, with the long skips of a U-Net.

Bao et al. 2023 ("All are Worth Words"): the noise level, the class and each patch are tokens of one
sequence. Blocks of the first half hand their output to the second half, where it is joined to what
flows there by a linear layer. It predicts what the U-Nets predict; see noise_predictor.py.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from given.images.layers import FourierEmbedding, TimeEmbedding
from given.images.noise_predictor import NoisePredictor


class UViT(NoisePredictor):
    """Tokens of the class, the noise level and the patches, through depth + 1 blocks.

    Args:
        T: see NoisePredictor.
        image_resolution: see NoisePredictor.
        width: D of a token.
        depth: blocks but for the middle one: half of them before it, half after.
        heads: of the attention.
        patch: pixels a side of a patch.
        use_cfg: see NoisePredictor.
        cfg_dropout: see NoisePredictor.
        num_classes: see NoisePredictor.
        in_ch: see NoisePredictor.
        alphas_cumprod: see NoisePredictor.
        predicts: see NoisePredictor.
        time_features: see NoisePredictor.

    Attributes:
        checkpointing: see UNet.

    Raises:
        ValueError: a resolution that is no multiple of `patch`.
    """

    checkpointing = False

    def __init__(
        self,
        T: int = 1000,
        image_resolution: int = 32,
        width: int = 512,
        depth: int = 12,
        heads: int = 8,
        patch: int = 2,
        use_cfg: bool = False,
        cfg_dropout: float = 0.1,
        num_classes: int = 3,
        in_ch: int = 3,
        alphas_cumprod: Tensor | None = None,
        predicts: str | None = None,
        time_features: str = "positional",
    ) -> None:
        if image_resolution % patch:
            raise ValueError(
                f"Patches of {patch} x {patch} pixels do not fill {image_resolution} x "
                f"{image_resolution}; use a resolution that {patch} divides."
            )
        shared = (T, image_resolution, in_ch, width, use_cfg, cfg_dropout, num_classes)
        super().__init__(*shared, alphas_cumprod, predicts, time_features)
        if time_features == "positional":  # the features are the token, without layers
            self.time_embedding = TimeEmbedding(width, None)
        elif time_features == "fourier":
            self.time_embedding = FourierEmbedding(width // 2, None)
        self.patch = patch
        tokens = 1 + use_cfg + (image_resolution // patch) ** 2
        self.patches = nn.Conv2d(in_ch, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, tokens, width))
        half = depth // 2
        self.down = nn.ModuleList(Block(width, heads) for _ in range(half))
        self.middle = Block(width, heads)
        self.up = nn.ModuleList(Block(width, heads, skip=True) for _ in range(half))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, patch**2 * in_ch)
        self.tail = nn.Conv2d(in_ch, in_ch, 3, padding=1)
        self._draw_weights()

    def _draw_weights(self):
        """Normal weights of standard deviation .02, zero biases (Bao et al. 2023, appendix A)."""
        nn.init.trunc_normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _combine(self, level: Tensor, label: Tensor | None) -> Tensor:
        """(B, 1 or 2, D): the tokens of the class, where there are classes, and the noise level."""
        return torch.stack([level] if label is None else [label, level], dim=1)

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, C, H, W) and the first tokens (B, k, D) give (B, C, H, W): what `predicts` says."""
        B, C, H, W = x.shape
        p, k = self.patch, emb.shape[1]
        patches = self.patches(x).flatten(2).transpose(1, 2)  # (B, H W / p^2, D)
        h = torch.cat([emb.to(patches.dtype), patches], dim=1) + self.positions
        skips = []
        for block in self.down:
            skips.append(h := self.through(block, h))
        h = self.through(self.middle, h)
        for block in self.up:
            h = self.through(block, h, skips.pop())
        h = self.pixels(self.norm(h))[:, k:]  # (B, H W / p^2, p p C)
        h = h.reshape(B, H // p, W // p, p, p, C).permute(0, 5, 1, 3, 2, 4)
        return self.tail(h.reshape(B, C, H, W))

    def through(self, block: nn.Module, *parts: Tensor) -> Tensor:
        """A block of what flows, and of what skips to it."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *parts, use_reentrant=False)
        return block(*parts)


class Block(nn.Module):
    """Attention, then two layers, each with a residual connection, on (B, L, D).

    Args:
        width: D.
        heads: of the attention.
        skip: the input is first joined with an earlier block's output, by a linear layer.
    """

    def __init__(self, width: int, heads: int, skip: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.join = nn.Linear(2 * width, width) if skip else None
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """(B, L, D), and where there is a skip another one, give (B, L, D)."""
        if self.join is not None:
            x = self.join(torch.cat([x, skip], dim=-1))
        x = x + self._attention(self.norm1(x))
        return x + self.layers(self.norm2(x))

    def _attention(self, x):
        """softmax(Q K^T / sqrt(D / heads)) V of each head, side by side, and a linear layer."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v)  # (B, heads, L, D / heads)
        return self.out(h.transpose(1, 2).flatten(2))
