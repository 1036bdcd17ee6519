"""The state of a bridge in training, and the loop that saves it, stops it and goes on.

Everything random is drawn from the seed and the number of the step, and from nothing else: a cache
that was lost is collected again as it was, and several processes that share a batch draw together
what a single one would draw. The same run serves points and images.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.bridges.caches import Rows, chain_on, place_of_cache
from experiments.bridges.direct import flow_steps, joint_steps
from experiments.bridges.sides import OTHER, Side, step_weights, walked_chain
from given.bridges.methods import METHODS
from given.runtime.checkpoint import blamed_on, read_checkpoint
from given.runtime.files import alone
from given.runtime.machine import autocast, parallel, seed_of, sent
from given.runtime.training import TrainingRun, lr_factor, set_lr, until_stopped
from given.runtime.training import train as train_to_the_end
from sde_todo import bridge
from sde_todo.flow import flow_sample, ot_coupling
from sde_todo.loss import SBALoss
from sde_todo.train import get_sb_step_fn


class BridgeRun(TrainingRun):
    """A bridge in training; what `bridge.train_bridge` asks for is here."""

    def __init__(
        self,
        config: dict,
        nets: Mapping[str, nn.Module],
        sources: Mapping[str, Callable],
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
    ):
        """Build both directions.

        Args:
            config: see `make_config`.
            nets: networks net(s, x) of "forward" and "backward".
            sources: the sets where a direction starts: "forward" p0, "backward" p1. Each is called
                as source(rows, B, own, generator) and returns the columns `own` (a slice) of
                rows x B draws, (rows, columns, ...).
            device: where it trains.
            rank: of this process.
            world_size: the number of processes.
        """
        super().__init__(2 * config["rounds"] * config["iters"], device, rank, world_size)
        self.advice = f"lower --lr (now {config['lr']:g}), or take smaller steps by --gamma"
        self.config, self.sources, self.method = config, sources, METHODS[config["method"]]
        # A policy takes the same steps whether it was trained in turn or jointly.
        self.steps_as = "sb-fbsde-alt" if self.method.predicts == "policy" else config["method"]
        self.rounds, self.iters = config["rounds"], config["iters"]
        self.refresh_every = config["refresh_every"]
        self.step = 2 * config["skip_rounds"] * self.iters
        self.history: list[dict] = []
        columns = config["batch_size"] // world_size
        self.own = slice(rank * columns, (rank + 1) * columns)
        self.build_sides(nets)

    def build_sides(self, nets: Mapping[str, nn.Module]) -> None:
        """The chains, models and weights of both directions."""
        config = self.config
        gammas = bridge.gamma_schedule(config["gamma"], config["num_steps"])
        forward = bridge.reference_chain(gammas, config["theta"])
        chains = {"forward": forward, "backward": bridge.reverse_chain(forward)}
        self.sides = {n: Side(c, nets[n], config, self.device) for n, c in chains.items()}
        self.walked = {n: walked_chain(c, config["variance"]) for n, c in chains.items()}
        self.wrapped = {n: parallel(side.model, self.world_size) for n, side in self.sides.items()}
        predicts = self.method.predicts
        self.weights = {n: step_weights(predicts, c).to(self.device) for n, c in chains.items()}
        self.dt = {n: c.dt.flip(0).float().to(self.device) for n, c in chains.items()}
        if config["method"] == "sb-fbsde-joint":  # one optimizer for the weights of both
            weights = {"params": self.sides["forward"].weights}
            self.sides["backward"].optimizers[0].add_param_group(weights)

    def mean_map(self, name: str, half: int | None = None) -> Callable:
        """The mean map of a direction: of its averaged network, or of the reference at the start.

        Args:
            name: "forward" or "backward".
            half: number of the half-round that simulates it; None after training.
        """
        chain, average = self.sides[name].chain, self.sides[name].average
        if half == 0 and not self.config["init_from"]:
            return bridge.reference_map(chain)
        return bridge.mean_map(self.steps_as, chain, average, self.config["published"])

    def autocast(self) -> AbstractContextManager:
        """bfloat16 inside the networks, where it was asked for."""
        return autocast(self.device, self.config["bf16"])

    @torch.no_grad()
    def collect(self, name: str, half: int, i: int) -> bridge.Cache:
        """Simulate a direction, and cut its trajectories into pairs.

        Args:
            name: "forward" or "backward".
            half: number of the half-round.
            i: step within it; with half and the seed it decides all that is random.
        """
        config, chain = self.config, self.sides[name].chain
        generator = torch.Generator(self.device).manual_seed(seed_of(config["seed"], half, i))
        B, rows = config["batch_size"], config["cache_size"] // config["batch_size"]

        def noise(x):  # this process's columns of the noise that all processes draw alike
            z = torch.randn((B, *x.shape[1:]), generator=generator, device=self.device)
            return z[self.own]

        lines = half == 0 and config["reference"] == "flow"
        if lines:
            starts, ends = self.line_ends(name, rows, generator)
        else:
            starts = ends = self.sources[name](rows, B, self.own, generator)
        F = self.mean_map(name, half)
        place = place_of_cache(config, starts[0, 0], self.device, starts.shape[1])
        kept = Rows(rows, place)
        with self.autocast():
            for row, (x, end) in enumerate(zip(starts, ends, strict=True)):
                walked = self.lines(chain, x, end, noise) if lines else self.walk(name, F, x, noise)
                kept.put(row, walked)
        order = torch.rand((B, rows * chain.N), generator=generator, device=self.device)
        order = order.argsort(1)[self.own].to(place)
        states, means, means_next = kept.whole()
        chain, published = chain_on(chain, place), config["published"]
        return bridge.Cache(config["method"], chain, order, states, means, means_next, published)

    def walk(self, name: str, F: Callable, x: Tensor, noise: Callable) -> tuple:
        """Trajectories from x, and the means that the method's target needs (else None)."""
        states, means = bridge.simulate(self.walked[name], F, x, noise)
        if self.method.between:
            chain = self.sides[name].chain
            states = bridge.draw_between(chain, states[0], states[-1], noise)
        if not self.method.needs_means:
            return states, None, None
        return states, means, bridge.maps_at_next(F, states)

    def line_ends(self, name: str, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Both ends of the flow reference's lines, (rows, columns, ...) each.

        Where --ot says so, a batch is paired by transport as a whole, whoever walks its columns.
        """
        B = self.config["batch_size"]
        starts, ends = (
            self.sources[n](rows, B, slice(0, B), generator) for n in (name, OTHER[name])
        )
        if self.config["ot"]:
            pairs = zip(starts, ends, strict=True)
            ends = torch.stack([y[ot_coupling(x, y)] for x, y in pairs])
        return starts[:, self.own], ends[:, self.own]

    def lines(self, chain: bridge.Chain, x: Tensor, end: Tensor, noise: Callable) -> tuple:
        """The flow interpolant as reference: straight lines from x to end, whose mean map is a step
        along the line; for a method that draws between ends, with noise around them."""
        noise = noise if self.method.between else torch.zeros_like
        states = bridge.draw_between(chain, x, end, noise)
        if not self.method.needs_means:
            return states, None, None
        return states, states[1:], 2 * states[1:] - states[:-1]

    def fit(self, name: str, batch: tuple) -> Tensor:
        """One step of gradient descent and of the average; returns the loss, a tensor."""
        config, side = self.config, self.sides[name]
        batch = tuple(sent(part, self.device) for part in batch)
        half, i = divmod(self.step, self.iters)
        if i == 0 and half > 1 and config["reinit"]:
            side.reset()
        self.set_rate(side, i, self.iters)
        if self.method.predicts == "policy":
            loss = self.fit_policy(name, batch)
        else:
            loss = self.fit_regression(name, batch)
        side.update_average(config["ema"], i)
        return loss

    def set_rate(self, side: Side, i: int, total: int) -> None:
        """The rates of step i of `total`: a short warm-up, then a cosine to a twentieth."""
        factor = lr_factor(i, total, warmup=50, last=0.05)
        for optimizer in side.optimizers:
            set_lr(optimizer, optimizer.defaults["lr"] * factor)

    def fit_regression(self, name: str, batch: tuple) -> Tensor:
        """A step on the weighted squared error of a prediction. batch: of `bridge.Cache`."""
        side, (s, x, y, k) = self.sides[name], batch
        weight = self.weights[name][k].view(-1, *[1] * (x.ndim - 1))
        with self.autocast():
            prediction = self.wrapped[name](s, x)
        loss = (weight * (prediction.float() - y) ** 2).mean()
        self.descend(side, loss)
        return loss.detach()

    def descend(self, side: Side, loss: Tensor) -> None:
        """One step against the gradient, which is clipped where the networks are large."""
        side.model.zero_grad(set_to_none=True)
        loss.backward()
        if self.config["clip"]:
            torch.nn.utils.clip_grad_norm_(side.weights, self.config["clip"])
        for optimizer in side.optimizers:
            optimizer.step()

    def fit_policy(self, name: str, batch: tuple) -> Tensor:
        """A step of alternating SB-FBSDE."""
        side, (s, x, z_other, k) = self.sides[name], batch
        dt = self.dt[name][k]
        torch.manual_seed(seed_of(self.config["seed"], self.step))  # of Hutchinson's probes
        loss_fn = SBALoss(self.config["divergence"])
        step_fn = get_sb_step_fn(side.model, side.optimizers[0], loss_fn, side.chain)
        return torch.tensor(step_fn((dt, s, x, z_other)), device=self.device)

    def train_steps(self) -> Iterator[Tensor]:
        """Yield the loss of each step from here on, by the loop of the method."""
        loops = {"flow": flow_steps, "sb-fbsde-joint": joint_steps}
        loop = loops.get(self.config["method"], bridge.train_bridge)
        for step, loss in loop(self, self.step):
            self.step = step + 1
            yield loss

    def state(self) -> dict:
        """Everything that going on needs, as a checkpoint."""
        training = {
            n: {k: p.state_dict() for k, p in s.parts().items()} for n, s in self.sides.items()
        }
        training |= self.progress() | {"history": self.history}
        networks = {n: side.average.net.state_dict() for n, side in self.sides.items()}
        return {"config": self.config, "network": networks, "training": training}

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        with blamed_on(path):
            training = read_checkpoint(path, self.device)["training"]
            for name, side in self.sides.items():
                for key, part in side.parts().items():
                    part.load_state_dict(training[name][key])
            self.history = training["history"]
            self.set_progress(training)

    @torch.no_grad()
    def carry(
        self,
        name: str,
        x: Tensor,
        generator: torch.Generator | None = None,
        last_noise: bool = False,
    ) -> Tensor:
        """Carry points or images over by the averaged network of a direction.

        Args:
            name: "forward" or "backward".
            x: (B, ...) from the set where it starts.
            generator: of the noise.
            last_noise: whether the last step adds its noise; without it the end is a mean, which
                looks cleaner and is off by that little variance.

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


def train(run: BridgeRun, folder: Path, evaluate: Callable, save_every: float = 60.0) -> bool:
    """Train to the end, saving on the way and at SIGINT or SIGTERM.

    Args:
        run: what is trained.
        folder: of the results.
        evaluate: called after each round as evaluate(run); returns a dict that joins run.history.
        save_every: seconds between two checkpoints.

    Returns:
        whether it came to the end.
    """
    per_round, first = 2 * run.iters, run.rank == 0
    networks = [side.average for side in run.sides.values()]

    def describe(loss):
        return f"round {(run.step - 1) // per_round + 1}, loss {loss:.4f}"

    def after_step():
        if first and run.step % per_round == 0:
            with until_stopped(run.signals, *networks):
                run.history.append({"round": run.step // per_round} | evaluate(run))

    path, steps = folder / "last.ckpt", run.train_steps()
    with alone(folder, first):
        judged = [row["round"] for row in run.history]
        rounds = run.step // per_round
        if rounds > run.config["skip_rounds"] and rounds not in judged:  # stopped while judging
            after_step()
        return train_to_the_end(run, steps, path, save_every, after_step, describe)
