"""Pixels as logits, where a density has no walls: --logit of train.py.

Pixels x in [-1, 1] lie in a box, and most of them on its sides; a Gaussian, and so every reverse
process, puts part of its mass outside. With u = (x + 1)/2 in [0, 1] and alpha = .05,

    y = logit(alpha + (1 - 2 alpha) u) / logit(1 - alpha)

has the whole line (Dinh et al. 2017, section 4.1; Huang et al. 2021 train so). The divisor, 2.94,
is not theirs: it keeps black at -1 and white at 1, so that all samplers work as they do on pixels.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

ALPHA = 0.05
SLOPE = 0.5 - ALPHA  # alpha + (1 - 2 alpha) u = 1/2 + SLOPE x
END = math.log((1 - ALPHA) / ALPHA)


def to_logits(x: Tensor) -> Tensor:
    """y of pixels x (B, ...), in [-1, 1] or less than .1 beyond; shape of x."""
    return torch.logit(0.5 + SLOPE * x) / END


def from_logits(y: Tensor) -> Tensor:
    """The pixels x of any y; undoes `to_logits`. They end at -1.11 and 1.11."""
    return (torch.sigmoid(END * y) - 0.5) / SLOPE


def log_det(x: Tensor) -> Tensor:
    """log |det dy/dx| of pixels x (B, ...), so that log p(x) = log p(y) + log_det(x); (B,)."""
    s = 0.5 + SLOPE * x
    return torch.log(SLOPE / (END * s * (1 - s))).flatten(1).sum(1)


def uses_logits(network: nn.Module) -> bool:
    """Whether a network was trained on logits; see `given.images.load.build_network`."""
    return getattr(network, "logit", False)


def as_pixels(network: nn.Module, x: Tensor) -> Tensor:
    """What a sampler drew with a network, as pixels."""
    return from_logits(x) if uses_logits(network) else x


def refuse_logits(config: dict[str, Any], path: Any, use: str) -> None:
    """Refuse a checkpoint that was trained on logits where only pixels make sense.

    Args:
        config: of the checkpoint.
        path: of the checkpoint.
        use: what works on pixels, part of a sentence.

    Raises:
        ValueError: the network was trained with --logit.
    """
    if config["network"].get("logit"):
        raise ValueError(
            f"{path} was trained with --logit, and {use} works on pixels; name one without it."
        )
