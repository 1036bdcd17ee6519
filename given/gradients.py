"""What differentiating and calling a network wants of its surroundings."""

from typing import Any

import torch
from torch import Tensor, nn


def check_gradients(enables: bool = True) -> None:
    """Refuse to differentiate where the caller has switched gradients off.

    Args:
        enables: whether torch.enable_grad() follows, so that the caller may be in torch.no_grad().

    Raises:
        ValueError: inside torch.inference_mode(), or inside torch.no_grad() where that counts.
    """
    remedy = "use torch.no_grad()" if enables else "call it outside"
    if torch.is_inference_mode_enabled():
        raise ValueError(f"There are no gradients in torch.inference_mode(); {remedy}.")
    if not enables and not torch.is_grad_enabled():
        raise ValueError(f"There are no gradients in torch.no_grad(); {remedy}.")


def in_dtype_of(model: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the dtype of a network's weights; as they are for a plain function."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return tensors if weight is None else tuple(v.to(weight.dtype) for v in tensors)
