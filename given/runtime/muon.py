"""Muon: gradient descent whose steps are orthogonal matrices, for kernels of convolutions.

Adam scales every number of a weight on its own. Muon takes the momentum of a weight as a matrix M =
U S V^T and moves by U V^T: in all directions that the gradients have shown equally far, also in
those that they showed weakly (Jordan et al. 2024, "Muon: an optimizer for hidden layers").
torch.optim.Muon, of torch 2.9, takes matrices alone, no kernels.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Of the polynomial a x + b x^3 + c x^5, which takes singular values near 1 in five steps, to within
# a third: nothing finer is needed (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """M <- m M + (1 - m) G,   W <- (1 - lr decay) W - lr sqrt(max(1, rows/columns)) U V^T,

    where U V^T is that of Nesterov's (1 - m) G + m M.

    Args:
        kernels: weights (out, in, ...), each taken as a matrix (out, in ...).
        lr: the size of a step in every direction.
        momentum: m.
        weight_decay: decay.
    """

    def __init__(
        self,
        kernels: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every kernel that has a gradient; those of one shape together."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for kernel in group["params"]:
                if kernel.grad is not None:
                    alike[kernel.shape].append(kernel)
            for kernels in alike.values():
                self._move(kernels, group)

    def _move(self, kernels, group):
        """The step of kernels of one shape."""
        lr, momentum = group["lr"], group["momentum"]
        directions = []
        for kernel in kernels:
            state = self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
            state["momentum"].lerp_(kernel.grad, 1 - momentum)
            directions.append(kernel.grad.lerp(state["momentum"], momentum).flatten(1))
        moves = orthogonal(torch.stack(directions))  # (n, rows, columns)
        size = max(1, moves.shape[1] / moves.shape[2]) ** 0.5
        for kernel, move in zip(kernels, moves, strict=True):
            kernel.mul_(1 - lr * group["weight_decay"])
            kernel.sub_(move.view(kernel.shape), alpha=lr * size)


def orthogonal(M: Tensor) -> Tensor:
    """U V^T of matrices M = U S V^T, nearly: singular values .7 to 1.2 for all that are not tiny.

    Each Newton-Schulz step X <- (a + b A + c A^2) X, A = X X^T, is a polynomial in the first A, and
    those commute. So the steps are taken on A, which is small, and X is multiplied once.

    Args:
        M: (n, rows, columns).

    Returns:
        like M.
    """
    if M.shape[1] > M.shape[2]:
        return orthogonal(M.mT).mT
    a, b, c = COEFFICIENTS
    X = M / (M.norm(dim=(1, 2), keepdim=True) + 1e-7)
    A = X @ X.mT  # (n, rows, rows)
    product = identity = torch.eye(len(A[0]), dtype=A.dtype, device=A.device)
    for _ in range(STEPS):
        factor = a * identity + b * A + c * A @ A
        product, A = factor @ product, factor @ A @ factor
    return product @ X


def hidden_kernels(network: nn.Module) -> list[nn.Parameter]:
    """The kernels of a network's convolutions, but for the first and the last, by their names."""
    ends = ("head", "patches", "tail")
    return [
        module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and name.rpartition(".")[2] not in ends
    ]


def make_optimizers(
    network: nn.Module, config: dict, device: torch.device
) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or Muon for the kernels of hidden convolutions and AdamW for the rest.

    A network without such kernels, as U-ViT is, has AdamW alone.

    Args:
        network: whose weights they move.
        config: with `lr`, and where they are not 0 `weight_decay` and `muon_lr`.
        device: of the network.
    """
    rate = config.get("muon_lr", 0.0)
    kernels = hidden_kernels(network) if rate else []
    apart = {id(kernel) for kernel in kernels}
    adam = torch.optim.AdamW(
        [p for p in network.parameters() if id(p) not in apart],
        config["lr"],
        betas=(0.9, 0.99),
        weight_decay=config.get("weight_decay", 0.0),
        fused=device.type != "mps",  # one call for all weights: a third of the time of a step
    )
    return [adam, Muon(kernels, rate)] if kernels else [adam]
