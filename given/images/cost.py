"""What training a network costs: parameters, operations and memory, counted on meta tensors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from given.images.load import NETWORKS, build_network
from given.runtime.memory import memory_of

# float32 weights, gradients, two moments of Adam, and the moving average
BYTES_A_PARAMETER = 20
SMALL = 32  # pixels a side


class Cost(NamedTuple):
    """What one image costs in training.

    Attributes:
        parameters: of the network.
        flops: of its forward and backward pass, two for each multiplication.
        saved: bytes that the backward pass needs of the forward pass, in float32.
    """

    parameters: int
    flops: int
    saved: int


class Saved:
    """Counts the bytes of what the backward pass will need, each memory once.

    Args:
        network: whose weights do not count.
    """

    def __init__(self, network: nn.Module) -> None:
        self.total, self.kept = 0, [p.untyped_storage() for p in network.parameters()]
        self.known = {storage._cdata for storage in self.kept}

    def pack(self, x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.kept.append(storage)  # else another may get its address
            self.total += storage.nbytes()
        return x


class FusedAttention(torch.autograd.Function):
    """Attention with the products and the memory of a fused kernel, and without its softmax.

    On the meta device torch keeps the weights of all pairs for the backward pass. A kernel keeps
    its inputs and its output, and multiplies queries and keys once more.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, heads, n, c) each give (B, heads, n, c)."""
        out = (q @ k.mT) @ v
        ctx.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        """The gradients of q, k and v: five products."""
        q, k, v, _ = ctx.saved_tensors
        pairs, grad_pairs = q @ k.mT, grads[0] @ v.mT
        return grad_pairs @ k, grad_pairs.mT @ q, pairs.mT @ grads[0]


@contextmanager
def fused_attention() -> Iterator[None]:
    """Networks that are called inside attend by FusedAttention."""
    kernel = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = FusedAttention.apply
    try:
        yield
    finally:
        F.scaled_dot_product_attention = kernel


def cost_of(config: dict[str, Any], checkpointing: bool = False) -> Cost:
    """Count a network on the meta device, where nothing is computed.

    Args:
        config: of `build_network`.
        checkpointing: see UNet. What the largest block computes again counts as saved.

    Raises:
        ValueError: a network that cannot compute again.
    """
    plain, largest = _count(config, False)
    if not checkpointing:
        return plain
    check_checkpointing(config)
    kept, _ = _count(config, True)
    return kept._replace(saved=kept.saved + largest)


def check_checkpointing(config: dict[str, Any]) -> None:
    """Refuse checkpointing where the network of a configuration has none."""
    if not hasattr(NETWORKS[config["name"]], "through"):
        raise ValueError(
            f"--checkpointing is for U-Nets and U-ViT, not for {config['name']}; leave it out."
        )


def check_memory(config: dict[str, Any], images: int, device: torch.device) -> None:
    """Refuse a training that a device has not the memory for.

    The estimate is low: weights with what the optimizer keeps of them, and what the backward pass
    needs, half of it in bfloat16. Small images are not counted, and always fit.

    Args:
        config: of a run, with `network`, `bf16` and `checkpointing`.
        images: that this process trains on in a step.
        device: where.

    Raises:
        ValueError: says what would fit.
    """
    network, there = config["network"], memory_of(device)
    if there is None or network["image_resolution"] <= SMALL:
        return
    cost = cost_of(network, config.get("checkpointing", False))
    weights, image = BYTES_A_PARAMETER * cost.parameters, cost.saved / (2 if config["bf16"] else 1)
    needed, fitting = weights + images * image, int((there - weights) // image)
    memory_saver = "" if config.get("checkpointing") else "--checkpointing, "
    if needed > there:
        fewer = f"a --batch_size of {fitting} a process, " if fitting > 0 else ""
        raise ValueError(
            f"{images} images of {network['image_resolution']} pixels a side take about "
            f"{needed / 2**30:.0f} GiB to train on, and {device} has {there / 2**30:.0f}; use "
            f"{fewer}{memory_saver}or a smaller --resolution."
        )


def _count(config, checkpointing):
    """The Cost, and the bytes that the block that saves the most of all does."""
    with torch.device("meta"):
        network = build_network(config).to("meta")
        size = network.image_resolution
        x, t = torch.zeros(1, network.in_ch, size, size), torch.zeros(1, dtype=torch.long)
    saved, blocks = Saved(network), [0]
    network.checkpointing = checkpointing
    if hasattr(network, "through"):
        apply = network.through

        def through(*args):
            before = saved.total
            out = apply(*args)
            blocks.append(saved.total - before)
            return out

        network.through = through
    hooks = saved_tensors_hooks(saved.pack, lambda x: x)
    with fused_attention(), FlopCounterMode(display=False) as counter, hooks:
        network(x, t).sum().backward()
    parameters = sum(p.numel() for p in network.parameters())
    return Cost(parameters, counter.get_total_flops(), saved.total), max(blocks)
