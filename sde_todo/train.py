"""Task 1.2, third part: one training step, and the moving average of the weights.

The loop around the steps, `train_diffusion`, and the schedule `warmup_linear` are given.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from given.levels import Process, alpha_std
from given.plane.training import train_diffusion, warmup_linear
from sde_todo.loss import dsm_target, sample_time
from sde_todo.network import get_score_fn

__all__ = [
    "EMA",
    "WEIGHTS",
    "get_sb_step_fn",
    "get_sde_step_fn",
    "train_diffusion",
    "warmup_linear",
]


class EMA:
    """Exponential moving average of a model's weights, kept in `self.model`, a copy.

        ema <- d ema + (1 - d) p,    d = min(decay, (1 + k)/(10 + k)) after k updates

    The warm-up lets the average forget the initial weights quickly.

    Args:
        model: the network that is trained.
        decay: between 0 and 1.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay = {decay}: choose it in [0, 1).")
        self.source = model
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    def update(self) -> None:
        """Move the average towards the weights that the trained model has now."""
        # TODO 1.2m: replace the raise below with your code.
        # Hint: count the update, then for each pair of parameters: average.lerp_(p, 1 - d),
        #   under torch.no_grad().
        raise NotImplementedError("TODO 1.2m: EMA.update")

    def state_dict(self) -> dict:
        """Averaged weights and number of updates."""
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]


def denoising_weight(alpha: Tensor, std: Tensor, g: Tensor) -> Tensor:
    """std^2: with it the loss of a noise-predicting network is |noise - prediction|^2 / 2."""
    return std**2


def likelihood_weight(alpha: Tensor, std: Tensor, g: Tensor) -> Tensor:
    """g^2: with it the loss bounds the negative log likelihood (Song et al. 2021, "Maximum...")."""
    return g**2


def edm_weight(alpha: Tensor, std: Tensor, g: Tensor, sigma_data: float = 2.0) -> Tensor:
    """Karras et al. 2022, table 1: every noise level starts with the same loss."""
    sigma = std / alpha
    return std**2 * (sigma**2 + sigma_data**2) / sigma_data**2


def mass_weight(alpha: Tensor, std: Tensor, g: Tensor) -> Tensor:
    """`edm_weight` times sqrt(sigma): errors at high noise move mass, those at low noise blur."""
    return edm_weight(alpha, std, g) * (std / alpha).sqrt()


WEIGHTS = {
    "denoising": denoising_weight,
    "likelihood": likelihood_weight,
    "edm": edm_weight,
    "mass": mass_weight,
}


def get_sde_step_fn(
    model: nn.Module,
    ema: EMA | None,
    opt: torch.optim.Optimizer,
    loss_fn: Callable,
    sde: Process,
    predicts: str = "score",
    weight: str = "denoising",
    density: str = "uniform",
    eps: float = 1e-3,
    stable_target: Callable | None = None,
    schedule: LRScheduler | None = None,
) -> Callable[[Tensor], float]:
    """Return step_fn(batch) -> loss: one optimization step of score matching.

    Args:
        model: network (t, x).
        ema: moving average of the model, or None.
        opt: optimizer of its parameters.
        loss_fn: called as loss_fn(t, x_t, score_fn, y, weight).
        sde: the forward process.
        predicts: what the network predicts, see `get_score_fn`.
        weight: name in `WEIGHTS`.
        density: of the times, see `sample_time`.
        eps: the smallest time.
        stable_target: `StableTarget` of the data, or None for the drawn x_0.
        schedule: learning-rate schedule, stepped after every step, or None.

    The tensors of the state that a resumed run needs are in step_fn.parts.
    """
    score_fn = get_score_fn(sde, model, predicts)
    if weight not in WEIGHTS:
        raise ValueError(f"weight = {weight!r}: choose {', '.join(WEIGHTS)}.")
    weight_fn = WEIGHTS[weight]

    def step_fn(batch):
        t, time_weight = sample_time(len(batch), sde, eps, density, batch.device)
        # TODO 1.2n: replace the raise below with your code.
        # Hint: diffuse the batch to x_t = alpha x_0 + std z, form the target and the weight, then
        #   zero_grad, loss, backward and three kinds of step. time_weight is a factor of w.
        raise NotImplementedError("TODO 1.2n: get_sde_step_fn.step_fn")

    parts = {"model": model, "ema": ema, "opt": opt, "schedule": schedule}
    kept = {name: part for name, part in parts.items() if part is not None}
    step_fn.parts = kept  # type: ignore[attr-defined]
    return step_fn


def get_sb_step_fn(
    policy: nn.Module,
    opt: torch.optim.Optimizer,
    loss_fn: Callable,
    chain: Any,
    other: nn.Module | None = None,
    ema: EMA | None = None,
    prior_logp: Callable[[Tensor], Tensor] | None = None,
    walk: Callable[[Tensor], Tensor] | None = None,
) -> Callable[..., float]:
    """Return step_fn(batch) -> loss: one optimization step of SB-FBSDE (Chen et al. 2022).

    With `SBALoss` the batch is (dt, s, x, z_other): states of the other direction, frozen, and its
    policy there; `policy` learns. With `SBJLoss` it is where paths start, (B, ...): they follow
    `policy` to the prior with gradients, and `policy` and `other` learn together. Both are
    evaluated at the state after a step, each at the time at which its own chain takes that step.

    Args:
        policy: network (s, x), z of dX = g z ds + g dW.
        opt: optimizer of what learns.
        loss_fn: `SBALoss` or `SBJLoss`.
        chain: `bridge.Chain` in the clock of `policy`.
        other: for SBJLoss, the policy of the way back.
        ema: moving average of `policy`, or None.
        prior_logp: for SBJLoss, log q(x) -> (B,).
        walk: for SBJLoss, the paths of `policy`, x (B, ...) -> states (N + 1, B, ...), with
            gradients.
    """

    def alternating(dt, s, x, z_other):
        # TODO 1.6q: replace the raise below with your code.
        # Hint: the divergence needs x.detach().requires_grad_() before the policy sees it.
        raise NotImplementedError("TODO 1.6q: get_sb_step_fn.alternating")

    def joint(x):
        states = walk(x.detach().requires_grad_())
        times = chain.s.to(x).repeat_interleave(len(x)).view(-1, len(x))  # (N + 1, B)
        # TODO 1.6q: replace the raise below with your code.
        # Hint: the states after the steps, flattened to (N B, ...); there `policy` at the time
        #   s_k of the step, and `other`, whose clock runs backwards, at 1 - s_{k+1}.
        raise NotImplementedError("TODO 1.6q: get_sb_step_fn.joint")

    def step_fn(batch):
        opt.zero_grad()
        loss = joint(batch) if other is not None else alternating(*batch)
        loss.backward()
        opt.step()
        if ema is not None:
            ema.update()
        return loss.item()

    return step_fn
