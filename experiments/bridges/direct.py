"""The loops of the two methods that train without rounds: flow matching, joint SB-FBSDE.

Both have the interface of `sde_todo.bridge.train_bridge`: they yield the number of a step and its
loss, and draw everything random from the seed and that number.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from experiments.bridges.sides import OTHER
from given.runtime.machine import seed_of
from sde_todo import bridge
from sde_todo.flow import flow_loss, ot_coupling
from sde_todo.loss import SBJLoss
from sde_todo.train import get_sb_step_fn


def flow_steps(run: Any, first: int = 0) -> Iterator[tuple[int, Tensor]]:
    """Flow matching: straight lines between the two sets, a fresh batch in every step.

    Args:
        run: a BridgeRun.
        first: the step to start from.
    """
    side, B = run.sides["forward"], run.config["batch_size"]
    for step in range(first, run.total):
        seed = seed_of(run.config["seed"], step)
        generator = torch.Generator(run.device).manual_seed(seed)
        x0, x1 = (run.sources[n](1, B, slice(0, B), generator)[0] for n in OTHER)
        t = torch.rand(B, generator=generator, device=run.device)[run.own]
        if run.config["ot"]:  # pairs of the whole batch, whatever part of it this process takes
            x1 = x1[ot_coupling(x0, x1)]
        x0, x1 = x0[run.own], x1[run.own]
        run.set_rate(side, step, run.total)
        with run.autocast():
            loss = flow_loss(run.wrapped["forward"], x0, x1, t)
        run.descend(side, loss)
        side.update_average(run.config["ema"], step)
        yield step, loss.detach()


def joint_steps(run: Any, first: int = 0) -> Iterator[tuple[int, Tensor]]:
    """Joint SB-FBSDE: the way from the data to the prior, simulated with gradients.

    Args:
        run: a BridgeRun.
        first: the step to start from.
    """
    policy, other = run.sides["backward"], run.sides["forward"]
    opt = policy.optimizers[0]
    F = bridge.mean_map(run.steps_as, policy.chain, policy.model)
    step_fn = get_sb_step_fn(
        policy.model,
        opt,
        SBJLoss(run.config["divergence"]),
        policy.chain,
        other.model,
        prior_logp=normal_logp,
        walk=lambda x: bridge.simulate(policy.chain, F, x)[0],
    )
    for step in range(first, run.total):
        seed = seed_of(run.config["seed"], step)
        generator = torch.Generator(run.device).manual_seed(seed)
        torch.manual_seed(seed)
        x = run.sources["backward"](1, run.config["batch_size"], run.own, generator)[0]
        run.set_rate(policy, step, run.total)
        loss = step_fn(x)
        for side in (policy, other):
            side.update_average(run.config["ema"], step)
        yield step, torch.tensor(loss, device=run.device)


def normal_logp(x: Tensor) -> Tensor:
    """log N(x; 0, I), (B,), for x (B, ...)."""
    return -0.5 * (x**2 + math.log(2 * math.pi)).flatten(1).sum(1)
