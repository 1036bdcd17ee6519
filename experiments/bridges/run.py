"""Given: the state of a bridge in training, and the loop that saves it, stops it and goes on.

Everything random is drawn from the seed and the number of the step, and from nothing else: a cache
that was lost is collected again as it was, and several processes that share a batch draw together
what a single one would draw. The same run serves points and images.
"""

import copy
import math
import time

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from given.runtime.checkpoint import blamed_on, read_checkpoint
from given.runtime.files import alone
from given.runtime.machine import agreed, autocast, parallel, seed_of, stop_signals
from given.runtime.run_log import LOG_EVERY, close_window, save
from sde_todo import bridge
from sde_todo.flow import flow_loss, flow_sample, ot_coupling
from sde_todo.loss import SBALoss, SBJLoss
from sde_todo.train import get_sb_step_fn

OTHER = {"forward": "backward", "backward": "forward"}


class Predictor(nn.Module):
    """What a method's network predicts, made from a velocity v(s, x): see `bridge.mean_map`.

    Args:
        net: called as net(s, x). method: of the bridge. sigma: of the reference.
    """

    def __init__(self, net, method, sigma):
        super().__init__()
        self.net, self.method, self.sigma = net, method, sigma

    def forward(self, s, x):
        """(B,), (B, ...) -> (B, ...): the end for tr, a policy for SB-FBSDE, else the velocity."""
        v = self.net(s, x)
        if self.method == "tr":
            return x + (1 - s).view(-1, *[1] * (x.ndim - 1)) * v
        return v / self.sigma if self.method.startswith("sb-fbsde") else v


class Side:
    """One direction: its chain, its network, the moving average of it, and its optimizer."""

    def __init__(self, chain, net, config, device):
        self.chain = chain
        self.model = Predictor(net, config["method"], chain.sigma).to(device)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.initial = copy.deepcopy(self.model.state_dict()) if config["reinit"] else None
        self.weights = list(self.model.parameters())
        self.averaged = list(self.average.parameters())
        self.optimizer = torch.optim.Adam(
            self.weights,
            config["lr"],
            betas=(0.9, 0.99),
            fused=device.type != "mps",  # one call for all weights: a third of the time of a step
        )

    def parts(self):
        """The parts whose state a checkpoint keeps."""
        return {"model": self.model, "average": self.average, "optimizer": self.optimizer}

    @torch.no_grad()
    def update_average(self, decay, i):
        """Move the average towards the weights, after step i of a half-round.

        Its warm-up, as in Task 1.2m, lets it forget what the half-round before ended with.
        """
        decay = min(decay, (1 + i) / (10 + i))
        get_ema_multi_avg_fn(decay)(self.averaged, self.weights, None)

    def reset(self):
        """Begin again with the first weights and an optimizer that knows nothing."""
        self.model.load_state_dict(self.initial)
        self.optimizer.state.clear()


class BridgeRun:
    """A bridge in training; what `bridge.train_bridge` asks for is here.

    Args:
        config: see `make_config`. nets: dict "forward", "backward" of networks net(s, x).
        sources: dict of the sets where a direction starts: "forward" p0, "backward" p1. Each is
            called as source(rows, B, own, generator) and returns the columns `own` (a slice) of
            rows x B draws, (rows, columns, ...).
        device, rank, world_size: of this process.
    """

    ADVICE = "or take smaller steps by --gamma"

    def __init__(self, config, nets, sources, device, rank=0, world_size=1):
        self.config, self.sources, self.device = config, sources, device
        self.rank, self.world_size = rank, world_size
        self.rounds, self.iters = config["rounds"], config["iters"]
        self.total = 2 * self.rounds * self.iters  # steps of both directions
        self.refresh_every = config["refresh_every"]
        gammas = bridge.gamma_schedule(config["gamma"], config["num_steps"])
        forward = bridge.reference_chain(gammas, config["theta"])
        chains = {"forward": forward, "backward": bridge.reverse_chain(forward)}
        self.sides = {n: Side(chains[n], nets[n], config, device) for n in chains}
        self.walked = {n: walked_chain(chain, config["variance"]) for n, chain in chains.items()}
        self.step = 2 * config["skip_rounds"] * self.iters
        self.losses, self.recent, self.history = [], [], []
        if config["method"] == "sb-fbsde-joint":  # one optimizer for the weights of both
            weights = {"params": self.sides["forward"].weights}
            self.sides["backward"].optimizer.add_param_group(weights)
        columns = config["batch_size"] // world_size
        self.own = slice(rank * columns, (rank + 1) * columns)
        self.wrapped = {n: parallel(side.model, world_size) for n, side in self.sides.items()}
        self.weights = {n: step_weights(config["method"], c).to(device) for n, c in chains.items()}

    def mean_map(self, name, half=None):
        """The mean map of a direction: of its averaged network, or of the reference at the start.

        Args:
            half: number of the half-round that simulates it; None after training.
        """
        chain, average = self.sides[name].chain, self.sides[name].average
        if half == 0 and not self.config["init_from"]:
            return bridge.reference_map(chain)
        method = self.config["method"].replace("joint", "alt")  # alike but for their training
        return bridge.mean_map(method, chain, average, self.config["published"])

    def autocast(self):
        """bfloat16 inside the networks, where it was asked for."""
        return autocast(self.device, self.config["use_amp"])

    @torch.no_grad()
    def collect(self, name, half, i):
        """Simulate a direction, and cut its trajectories into pairs: a `bridge.Cache`."""
        config, chain = self.config, self.sides[name].chain
        generator = torch.Generator(self.device).manual_seed(seed_of(config["seed"], half, i))
        B, rows = config["batch_size"], config["cache_size"] // config["batch_size"]

        def noise(x):  # this process's columns of the noise that all processes draw alike
            z = torch.randn((B, *x.shape[1:]), generator=generator, device=self.device)
            return z[self.own]

        lines = half == 0 and config["reference"] == "flow"
        starts = self.sources[name](rows, B, self.own, generator)
        ends = self.sources[OTHER[name]](rows, B, self.own, generator) if lines else starts
        if lines and config["ot"]:
            ends = torch.stack([y[ot_coupling(x, y)] for x, y in zip(starts, ends, strict=True)])
        F = self.mean_map(name, half)
        with self.autocast():
            walks = [
                self.lines(chain, x, end, noise) if lines else self.walk(name, F, x, noise)
                for x, end in zip(starts, ends, strict=True)
            ]
        parts = [torch.stack(p, 1) if p[0] is not None else None for p in zip(*walks, strict=True)]
        order = torch.rand((B, rows * chain.N), generator=generator, device=self.device)
        return bridge.Cache(
            config["method"], chain, order.argsort(1)[self.own], *parts, config["published"]
        )

    def walk(self, name, F, x, noise):
        """Trajectories from x, and the means that the method's target asks for (else None)."""
        method = self.config["method"]
        states, means = bridge.simulate(self.walked[name], F, x, noise)
        if method == "dsbm":
            chain = self.sides[name].chain
            states = bridge.draw_between(chain, states[0], states[-1], noise)
        if method not in ("dsb", "sb-fbsde-alt"):
            return states, None, None
        return states, means, bridge.maps_at_next(F, states)

    def lines(self, chain, x, end, noise):
        """The flow interpolant as reference: straight lines from x to end, whose mean map is a step
        along the line; for dsbm with the reference's noise around them."""
        method = self.config["method"]
        noise = noise if method == "dsbm" else torch.zeros_like
        states = bridge.draw_between(chain, x, end, noise)
        if method not in ("dsb", "sb-fbsde-alt"):
            return states, None, None
        return states, states[1:], 2 * states[1:] - states[:-1]

    def fit(self, name, batch):
        """One step of gradient descent and of the average; returns the loss, a tensor."""
        config, side = self.config, self.sides[name]
        half, i = divmod(self.step, self.iters)
        if i == 0 and half > 1 and config["reinit"]:
            side.reset()
        self.set_rate(side.optimizer, i, self.iters)
        if config["method"] == "sb-fbsde-alt":
            loss = self.fit_policy(side, batch)
        else:
            loss = self.fit_regression(name, batch)
        side.update_average(config["ema"], i)
        return loss

    def set_rate(self, optimizer, i, total):
        """The learning rate of step i of a schedule of `total` steps."""
        for group in optimizer.param_groups:
            group["lr"] = self.config["lr"] * rate(i, total)

    def fit_regression(self, name, batch):
        """A step on the weighted squared error of a prediction. batch: of `bridge.Cache`."""
        side, (s, x, y, k) = self.sides[name], batch
        weight = self.weights[name][k].view(-1, *[1] * (x.ndim - 1))
        with self.autocast():
            prediction = self.wrapped[name](s, x)
        loss = (weight * (prediction.float() - y) ** 2).mean()
        self.descend(side, loss)
        return loss.detach()

    def descend(self, side, loss):
        """One step of the optimizer, against the gradient, clipped where the networks are large."""
        side.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config["clip"]:
            torch.nn.utils.clip_grad_norm_(side.weights, self.config["clip"])
        side.optimizer.step()

    def fit_policy(self, side, batch):
        """A step of alternating SB-FBSDE."""
        s, x, z_other, k = batch
        dt = side.chain.dt.flip(0).to(x)[k]
        torch.manual_seed(seed_of(self.config["seed"], self.step))  # of Hutchinson's probes
        loss_fn = SBALoss(self.config["divergence"])
        step_fn = get_sb_step_fn(side.model, side.optimizer, loss_fn, side.chain)
        return torch.tensor(step_fn((dt, s, x, z_other)))

    def train_steps(self):
        """The loop of the method: yields (step, loss)."""
        if self.config["method"] == "sb-fbsde-joint":
            return self.joint_steps()
        if self.config["method"] == "flow":
            return self.flow_steps()
        return bridge.train_bridge(self, self.step)

    def flow_steps(self):
        """Flow matching: straight lines between the two sets, a fresh batch in every step."""
        side, B, total = self.sides["forward"], self.config["batch_size"], self.total
        for step in range(self.step, total):
            seed = seed_of(self.config["seed"], step)
            generator = torch.Generator(self.device).manual_seed(seed)
            x0, x1 = (self.sources[n](1, B, self.own, generator)[0] for n in OTHER)
            t = torch.rand(B, generator=generator, device=self.device)[self.own]
            if self.config["ot"]:
                x1 = x1[ot_coupling(x0, x1)]
            self.set_rate(side.optimizer, step, total)
            with self.autocast():
                loss = flow_loss(self.wrapped["forward"], x0, x1, t)
            self.descend(side, loss)
            side.update_average(self.config["ema"], step)
            yield step, loss.detach()

    def joint_steps(self):
        """Joint SB-FBSDE: the way from the data to the prior, simulated with gradients."""
        policy, other = self.sides["backward"], self.sides["forward"]
        opt = policy.optimizer
        F = bridge.mean_map("sb-fbsde-alt", policy.chain, policy.model)
        step_fn = get_sb_step_fn(
            policy.model,
            opt,
            SBJLoss(self.config["divergence"]),
            policy.chain,
            other.model,
            prior_logp=normal_logp,
            walk=lambda x: bridge.simulate(policy.chain, F, x)[0],
        )
        for step in range(self.step, self.total):
            seed = seed_of(self.config["seed"], step)
            generator = torch.Generator(self.device).manual_seed(seed)
            torch.manual_seed(seed)
            x = self.sources["backward"](1, self.config["batch_size"], self.own, generator)[0]
            self.set_rate(opt, step, self.total)
            loss = step_fn(x)
            for side in (policy, other):
                side.update_average(self.config["ema"], step)
            yield step, torch.tensor(loss)

    def state(self):
        """Everything that going on needs, as a checkpoint."""
        training = {
            n: {k: p.state_dict() for k, p in s.parts().items()} for n, s in self.sides.items()
        }
        training |= {"step": self.step, "losses": self.losses, "history": self.history}
        training["recent"] = [loss.cpu() for loss in self.recent]
        networks = {n: side.average.net.state_dict() for n, side in self.sides.items()}
        return {"config": self.config, "network": networks, "training": training}

    def load(self, path):
        """Go on from a checkpoint."""
        with blamed_on(path):
            training, names = read_checkpoint(path, self.device)["training"], ("losses", "history")
            for name, side in self.sides.items():
                for key, part in side.parts().items():
                    part.load_state_dict(training[name][key])
            self.step, self.losses, self.history = (training[k] for k in ("step", *names))
            self.recent = [loss.to(self.device) for loss in training["recent"]]

    @torch.no_grad()
    def carry(self, name, x, generator=None, last_noise=False):
        """Carry points or images over by the averaged network of a direction.

        Args:
            name: "forward" or "backward". x: (B, ...) from the set where it starts.
            generator: of the noise. last_noise: whether the last step adds its noise; without it
                the end is a mean, which looks cleaner and is off by that little variance.

        Returns:
            (N + 1, B, ...), the states.
        """

        if self.config["method"] == "flow":
            return flow_sample(
                self.sides["forward"].average, x, self.config["num_steps"], name == "backward"
            )

        def noise(x):
            return torch.randn(x.shape, generator=generator, device=x.device)

        states, means = bridge.simulate(self.walked[name], self.mean_map(name), x, noise)
        if not last_noise:
            states[-1] = means[-1]
        return states


def walked_chain(chain, variance):
    """The chain as it is simulated: with the noise of the reference, or of the reference's bridge.

    A step of the reference gains q_k, right where the target is smooth on that scale. To a target
    that is thin, as images are, the way is a bridge to one point, with the smaller variance of
    `bridge.bridge_weights` and no noise in the last step (so differ the two variances of DDPM).

    Args:
        variance: "reference" or "bridge".
    """
    if variance == "reference":
        return chain
    return chain._replace(q=bridge.bridge_weights(chain)[2])


def normal_logp(x):
    """log N(x; 0, I), (B,), for x (B, ...)."""
    return -0.5 * (x**2 + math.log(2 * math.pi)).flatten(1).sum(1)


def step_weights(method, chain):
    """(N,) weights of the squared error, by the number of the step of the simulated direction.

    A drift or a velocity weighs dt_k, as in the Kullback-Leibler divergence of two chains. An end
    weighs by the inverse of the time left: by as much as the ends of paths through x scatter.

    Args:
        chain: of the trained direction.
    """
    chain = bridge.reverse_chain(chain)
    weight = 1 / chain.s[1:] if method == "tr" else chain.dt
    return (weight / weight.mean()).float()


def rate(i, iters, warmup=50, last=0.05):
    """Factor of the learning rate within a half-round: a short warm-up, then a cosine to `last`."""
    cosine = last + (1 - last) * 0.5 * (1 + math.cos(math.pi * i / iters))
    return min(1.0, (i + 1) / warmup) * cosine


def train(run, folder, evaluate, save_every=60.0):
    """Train to the end, saving on the way and at SIGINT or SIGTERM.

    Args:
        run: a BridgeRun. folder: of the results. save_every: seconds between two checkpoints.
        evaluate: called after each round as evaluate(run); returns a dict that joins run.history.

    Returns:
        whether it came to the end.
    """
    per_round, total, first = 2 * run.iters, run.total, run.rank == 0
    bar = tqdm(total=total, initial=run.step, desc="training", disable=None if first else True)
    saved = time.monotonic()
    with bar, alone(folder, first), stop_signals() as stopped:
        for step, loss in run.train_steps():
            run.step = step + 1
            run.recent.append(loss)
            bar.update()
            if run.step % LOG_EVERY == 0:
                bar.set_postfix_str(f"round {step // per_round + 1}, loss {close_window(run):.4f}")
            if run.step % per_round == 0 and first:
                run.history.append({"round": run.step // per_round} | evaluate(run))
            if first and time.monotonic() - saved > save_every:
                save(run, folder)
                saved = time.monotonic()
            if agreed(stopped, run.device, run.world_size):
                break
    if first:
        save(run, folder)
    return run.step == total
