"""One direction of a bridge: its chain, its network, and how its errors are weighted."""

import copy

import torch
from torch import Tensor, nn

from given.bridges.methods import METHODS
from given.runtime.muon import make_optimizers
from given.runtime.training import MovingAverage, ema_decay
from sde_todo import bridge

OTHER = {"forward": "backward", "backward": "forward"}


class Predictor(nn.Module):
    """What a method's network predicts, made from a velocity v(s, x): see `bridge.mean_map`."""

    def __init__(self, net: nn.Module, predicts: str, sigma: float):
        """Wrap a network.

        Args:
            net: the velocity, called as net(s, x).
            predicts: see `given.bridges.methods.Method`.
            sigma: of the reference.
        """
        super().__init__()
        self.net, self.predicts, self.sigma = net, predicts, sigma

    def forward(self, s: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, ...) -> (B, ...): the end, a policy, or the velocity itself."""
        v = self.net(s, x)
        if self.predicts == "end":
            return x + (1 - s).view(-1, *[1] * (x.ndim - 1)) * v
        return v / self.sigma if self.predicts == "policy" else v


class Side:
    """One direction: its chain, its network, the moving average of it, and its optimizers."""

    def __init__(self, chain: bridge.Chain, net: nn.Module, config: dict, device: torch.device):
        """Build model and optimizers around a network.

        Args:
            chain: of this direction.
            net: the velocity, called as net(s, x).
            config: of the run.
            device: where it trains.
        """
        self.chain = chain
        predicts = METHODS[config["method"]].predicts
        self.model = Predictor(net, predicts, chain.sigma).to(device)
        self.moving = MovingAverage(self.model)
        self.average = self.moving.module
        self.initial = copy.deepcopy(self.model.state_dict()) if config["reinit"] else {}
        self.weights = list(self.model.parameters())
        self.optimizers = make_optimizers(self.model, config, device)

    def parts(self) -> dict:
        """The parts whose state a checkpoint keeps."""
        optimizers = zip(("optimizer", "muon"), self.optimizers, strict=False)
        return {"model": self.model, "average": self.average, **dict(optimizers)}

    def update_average(self, decay: float, i: int) -> None:
        """Move the average towards the weights, after step i of a half-round.

        Its warm-up, as in Task 1.2m, lets it forget what the half-round before ended with.
        """
        self.moving.update(ema_decay(decay, i))

    def reset(self) -> None:
        """Begin again with the first weights and optimizers that know nothing."""
        self.model.load_state_dict(self.initial)
        for optimizer in self.optimizers:
            optimizer.state.clear()


def walked_chain(chain: bridge.Chain, variance: str) -> bridge.Chain:
    """The chain as it is simulated: with the noise of the reference, or of the reference's bridge.

    A step of the reference gains q_k, right where the target is smooth on that scale. To a target
    that is thin, as images are, the way is a bridge to one point, with the smaller variance of
    `bridge.bridge_weights` and no noise in the last step (so differ the two variances of DDPM).

    Args:
        chain: the reference in the clock of a direction.
        variance: "reference" or "bridge".
    """
    if variance == "reference":
        return chain
    return chain._replace(q=bridge.bridge_weights(chain)[2])


def step_weights(predicts: str, chain: bridge.Chain) -> Tensor:
    """(N,) weights of the squared error, by the number of the step of the simulated direction.

    A drift or a velocity weighs dt_k, as in the Kullback-Leibler divergence of two chains. An end
    weighs by the inverse of the time left: by as much as the ends of paths through x scatter.

    Args:
        predicts: see `given.bridges.methods.Method`.
        chain: of the trained direction.
    """
    chain = bridge.reverse_chain(chain)
    weight = 1 / chain.s[1:] if predicts == "end" else chain.dt
    return (weight / weight.mean()).float()
