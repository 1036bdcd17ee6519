"""Task 1.2, third part: one training step, the moving average, and the loop around them."""

import contextlib
import copy
import math
import time
from pathlib import Path

import torch
from tqdm.auto import tqdm

from given.levels import alpha_std
from given.runtime.checkpoint import blamed_on, save_whole
from given.runtime.files import clear_parts
from given.runtime.machine import stop_signals
from sde_todo.loss import dsm_target, sample_time
from sde_todo.network import get_score_fn


class EMA:
    """Exponential moving average of a model's weights, kept in `self.model`, a copy.

        ema <- d ema + (1 - d) p,    d = min(decay, (1 + k)/(10 + k)) after k updates

    The warm-up lets the average forget the initial weights quickly.

    Args:
        model: the network that is trained. decay: between 0 and 1.
    """

    def __init__(self, model, decay=0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"decay = {decay}: choose it in [0, 1).")
        self.source = model
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    def update(self):
        """Move the average towards the weights that the trained model has now."""
        # BEGIN SOLUTION 1.2m
        # Hint: count the update, then for each pair of parameters: average.lerp_(p, 1 - d),
        #   under torch.no_grad().
        d = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        pairs = zip(self.model.parameters(), self.source.parameters(), strict=True)
        with torch.no_grad():
            for average, p in pairs:
                average.lerp_(p, 1 - d)
        # END SOLUTION

    def state_dict(self):
        """Averaged weights and number of updates."""
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state):
        """Go on from `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]


def denoising_weight(alpha, std, g):
    """std^2: with it the loss of a noise-predicting network is |noise - prediction|^2 / 2."""
    return std**2


def likelihood_weight(alpha, std, g):
    """g^2: with it the loss bounds the negative log likelihood (Song et al. 2021, "Maximum...")."""
    return g**2


def edm_weight(alpha, std, g, sigma_data=2.0):
    """Karras et al. 2022, table 1: every noise level starts with the same loss."""
    sigma = std / alpha
    return std**2 * (sigma**2 + sigma_data**2) / sigma_data**2


WEIGHTS = {
    "denoising": denoising_weight,
    "likelihood": likelihood_weight,
    "edm": edm_weight,
}


def get_sde_step_fn(
    model,
    ema,
    opt,
    loss_fn,
    sde,
    predicts="score",
    weight="denoising",
    density="uniform",
    eps=1e-3,
    stable_target=None,
    schedule=None,
):
    """Return step_fn(batch) -> loss: one optimization step of score matching.

    Args:
        model: network (t, x). ema: `EMA` of it, or None. opt: optimizer of its parameters.
        loss_fn: called as loss_fn(t, x_t, score_fn, y, weight).
        sde: the forward process.
        predicts: what the network predicts, see `get_score_fn`.
        weight: name in `WEIGHTS`. density, eps: of the times, see `sample_time`.
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
        # BEGIN SOLUTION 1.2n
        # Hint: diffuse the batch to x_t = alpha x_0 + std z, form the target and the weight, then
        #   zero_grad, loss, backward and three kinds of step. time_weight is a factor of w.
        alpha, std = alpha_std(sde, t, batch)  # (B, 1)
        _, g = sde.sde_coeff(t, batch)
        z = torch.randn_like(batch)
        x_t = alpha * batch + std * z
        if stable_target is None:
            y = dsm_target(z, std)
        else:
            y = (alpha * stable_target(x_t, batch, alpha, std) - x_t) / std**2
        g = torch.as_tensor(g).to(batch).expand_as(batch).flatten(1)[:, 0]
        w = time_weight * weight_fn(alpha.flatten(), std.flatten(), g)  # (B,)

        opt.zero_grad()
        loss = loss_fn(t, x_t, score_fn, y, w)
        loss.backward()
        opt.step()
        if ema is not None:
            ema.update()
        if schedule is not None:
            schedule.step()
        return loss.item()
        # END SOLUTION

    parts = {"model": model, "ema": ema, "opt": opt, "schedule": schedule}
    step_fn.parts = {name: part for name, part in parts.items() if part is not None}
    return step_fn


def get_sb_step_fn(policy, opt, loss_fn, chain, other=None, ema=None, prior_logp=None, walk=None):
    """Return step_fn(batch) -> loss: one optimization step of SB-FBSDE (Chen et al. 2022).

    With `SBALoss` the batch is (dt, s, x, z_other): states of the other direction, frozen, and its
    policy there; `policy` learns. With `SBJLoss` it is where paths start, (B, ...): they follow
    `policy` to the prior with gradients, and `policy` and `other` learn together. Both are
    evaluated at the state after a step, each at the time at which its own chain takes that step.

    Args:
        policy: network (s, x), z of dX = g z ds + g dW. opt: optimizer of what learns.
        loss_fn: `SBALoss` or `SBJLoss`. chain: `bridge.Chain` in the clock of `policy`.
        other, prior_logp, walk: for SBJLoss, the policy of the way back, log q(x) -> (B,), and
            the paths of `policy`, x (B, ...) -> states (N + 1, B, ...), with gradients.
        ema: `EMA`, or None.
    """

    def alternating(dt, s, x, z_other):
        # BEGIN SOLUTION 1.6q
        # Hint: the divergence needs x.detach().requires_grad_() before the policy sees it.
        x = x.detach().requires_grad_()
        return loss_fn(dt, x, policy(s, x), z_other, chain.sigma)
        # END SOLUTION

    def joint(x):
        states = walk(x.detach().requires_grad_())
        times = chain.s.to(x).repeat_interleave(len(x)).view(-1, len(x))  # (N + 1, B)
        # BEGIN SOLUTION 1.6q
        # Hint: the states after the steps, flattened to (N B, ...); there `policy` at the time
        #   s_k of the step, and `other`, whose clock runs backwards, at 1 - s_{k+1}.
        x = states[1:].flatten(0, 1)
        z = policy(times[:-1].flatten(), x)
        z_other = other(1 - times[1:].flatten(), x)
        dt = times.diff(dim=0).flatten()
        return loss_fn(dt, x, z, z_other, chain.sigma, prior_logp(states[-1]))
        # END SOLUTION

    def step_fn(batch):
        opt.zero_grad()
        loss = joint(batch) if other is not None else alternating(*batch)
        loss.backward()
        opt.step()
        if ema is not None:
            ema.update()
        return loss.item()

    return step_fn


def warmup_linear(opt, N_steps, warmup=100):
    """Learning-rate schedule: linear to the full rate in `warmup` steps, then linear to 0."""

    def factor(k):
        return min((k + 1) / warmup, (N_steps - k) / max(N_steps - warmup, 1), 1.0)

    return torch.optim.lr_scheduler.LambdaLR(opt, factor)


def train_diffusion(
    dataloader, step_fn, N_steps, plot=False, checkpoint=None, save_every=30.0, threads=None
):
    """Run the training loop; stop with Ctrl-C and go on later where a checkpoint is named.

    Args:
        dataloader: endless batches, such as `given.plane.point_sets.Batches`.
        step_fn: from `get_sde_step_fn`. N_steps: number of steps in all.
        plot: whether to draw the loss curve at the end.
        checkpoint: file to write every `save_every` seconds, at the end and when stopped; where
            it exists the run goes on from it, bit for bit.
        threads: number of CPU threads; None measures one against all over the first 40 steps
            and takes the faster. Fix it to repeat a run bit for bit.

    Returns:
        list of the losses of all steps, from the first on.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
        KeyboardInterrupt: stopped, with no checkpoint to go on from.
    """
    losses = _resume(checkpoint, dataloader, step_fn, N_steps)
    saved = time.monotonic()
    with _threads(threads) as pick_threads, stop_signals() as stopped:
        for loss in _steps(dataloader, step_fn, len(losses), N_steps, pick_threads):
            losses.append(loss)
            if checkpoint and time.monotonic() - saved > save_every:
                save_checkpoint(checkpoint, dataloader, step_fn, losses)
                saved = time.monotonic()
            if stopped:
                break
    if checkpoint:
        save_checkpoint(checkpoint, dataloader, step_fn, losses)
    if stopped:
        if checkpoint is None:
            raise KeyboardInterrupt
        print(f"Stopped after {len(losses)} steps; run again to go on from {checkpoint}.")
    if plot:
        from given.plane.figures import plot_loss
        from given.runtime.figures import show

        show(plot_loss(losses), "loss")
    return losses


def _steps(dataloader, step_fn, first, N_steps, pick_threads):
    """Yield the loss of each step from `first` on, with a progress bar."""
    bar = tqdm(range(first, N_steps), initial=first, total=N_steps, desc="training", disable=None)
    for step, batch in zip(bar, dataloader, strict=False):
        pick_threads(step - first)
        loss = step_fn(batch)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} at step {step}; the usual causes are a time of 0 (where "
                f"std = 0), a learning rate that is too high, and the root of a negative number."
            )
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss:.4f}")
        yield loss


def save_checkpoint(path, dataloader, step_fn, losses):
    """Write everything that a run needs to go on; the file is replaced whole or not at all."""
    state = {name: part.state_dict() for name, part in step_fn.parts.items()}
    if hasattr(dataloader, "state_dict"):
        state["dataloader"] = dataloader.state_dict()
    state |= {"losses": torch.tensor(losses, dtype=torch.float64), "rng": torch.get_rng_state()}
    save_whole(path, state)


def _resume(path, dataloader, step_fn, N_steps):
    """Load a checkpoint where there is one, and return the losses so far."""
    if path is None or not Path(path).exists():
        return []
    clear_parts(Path(path).parent, Path(path).name)
    with blamed_on(path):
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name, part in step_fn.parts.items():
            part.load_state_dict(state[name])
        if "dataloader" in state:
            dataloader.load_state_dict(state["dataloader"])
        torch.set_rng_state(state["rng"])
        losses = state["losses"].tolist()
    print(f"Going on from {path} at step {len(losses)} of {N_steps}.")
    return losses


@contextlib.contextmanager
def _threads(fixed, probe=20):
    """Set the number of threads for a run and put the old one back at its end.

    Yields pick(step): steps 0 to probe - 1 run on one thread, the next on all, and from then on
    the faster of both is used. Small networks lose more to handing work over than they win.
    """
    before = torch.get_num_threads()
    marks = {}

    def pick(step):
        if fixed is not None or before == 1 or step > 2 * probe:
            return
        if step in (0, probe, 2 * probe):
            marks[step] = time.perf_counter()
        if step == probe:
            torch.set_num_threads(before)
        if step == 2 * probe and marks[probe] - marks[0] < marks[2 * probe] - marks[probe]:
            torch.set_num_threads(1)

    torch.set_num_threads(1 if fixed is None else fixed)
    try:
        yield pick
    finally:
        torch.set_num_threads(before)
