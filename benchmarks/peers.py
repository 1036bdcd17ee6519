"""The course beside its public peers: `python benchmarks/peers.py --parts flow toy images ode`.

flow    flow matching beside torchcfm: lines, pairing by transport, a training step, what it reaches
toy     the Swiss roll beside smalldiffusion's recipe for points, after the same CPU seconds
images  DDPM and DDIM beside denoising-diffusion-pytorch: every step, the loss, images a second
ode     adaptive ODE solving and likelihood beside torchdiffeq, and beside the truth

Peers are installed from benchmarks/peers.txt; a part whose peer is missing says so. Both figures of
a row come from one run on one thread, in turns where they are times. The smaller the ratio of two
times, errors or distances is, the better for the course.
"""

import argparse
import inspect
import os
import time

os.environ.setdefault("TQDM_DISABLE", "1")  # the peers draw bars without a terminal, too

import numpy as np
import torch

from benchmarks import plane  # sets COURSE, and finds the course
from benchmarks.peers_images import images
from benchmarks.turns import agreement, in_turns, missing, ratio, show
from given.bridges.plane_network import VelocityNet
from given.levels import alpha_std
from given.plane import metrics as judge
from given.plane.mixture import demo_mixture
from given.plane.point_sets import Batches, make_points
from sde_todo.flow import flow_loss, flow_path, flow_sample, ot_coupling
from sde_todo.likelihood import flow as ode_velocity
from sde_todo.likelihood import log_likelihood, make_probes, trace
from sde_todo.sampling import solve_rk45
from sde_todo.sde import VESDE, VPSDE

PAIR, BATCH, FLOW_STEPS, SEEDS = ("moons", "8gaussians"), 256, 1000, (0, 1, 2)
TOY_BATCH, TOY_SCALE = 512, 4.0  # which brings our roll to the size of theirs
TOY_METRICS, TOY_SETS = ("EMD 2000", "sliced W2"), 2
TOY_DRAWS = 5  # of 10,000 points; a single one scatters by a tenth in EMD
TOL, ODE_POINTS = 1e-5, 1000


def flow():
    """Flow matching beside torchcfm."""
    if missing("flow", torchcfm="torchcfm", torchdiffeq="torchdiffeq"):
        return
    from torchcfm.conditional_flow_matching import (
        ConditionalFlowMatcher,
        ExactOptimalTransportConditionalFlowMatcher,
    )
    from torchcfm.optimal_transport import OTPlanSampler

    torch.manual_seed(0)
    x0, x1 = (make_points(name, BATCH, 1) for name in PAIR)
    t = torch.rand(BATCH)
    _, x_t, u_t = ConditionalFlowMatcher(0.0).sample_location_and_conditional_flow(x0, x1, t)
    own = flow_path(x0, x1, t)
    rows = [agreement("x_t", own[0], x_t), agreement("velocity", own[1], u_t)]
    rows += pairing_rows(x0, x1, OTPlanSampler("exact"))
    rows += flow_training_rows("independent pairs", False, ConditionalFlowMatcher(0.0))
    rows += flow_training_rows("transport", True, ExactOptimalTransportConditionalFlowMatcher(0.0))
    title = f"flow: {PAIR[0]} to {PAIR[1]}, {FLOW_STEPS} steps of {BATCH}, {len(SEEDS)} seeds"
    show(title, rows, "torchcfm", "torchdiffeq", "POT")


def pairing_rows(x0, x1, sampler):
    """Minibatch transport: the plan's cost, how much of a batch is used, and the time."""
    cost = torch.cdist(x0.double(), x1.double()) ** 2
    j, plan = ot_coupling(x0, x1), torch.from_numpy(sampler.get_map(x0, x1))
    _, drawn = sampler.sample_map(plan.numpy(), len(x0))
    own, peer = in_turns(lambda: ot_coupling(x0, x1), lambda: sampler.sample_plan(x0, x1))
    return [
        agreement("cost of the plan", cost[torch.arange(len(x0)), j].mean(), (plan * cost).sum()),
        ratio("share of a batch that is used", len(j.unique()) / len(j), len(set(drawn)) / len(j)),
        ratio("pairing, ms", 1e3 * own, 1e3 * peer),
    ]


def flow_training_rows(name, pairs, matcher):
    """The same network, optimizer and draws: time of a step, and EMD at the end over its floor."""
    from torchdiffeq import odeint

    ends, times = ([], []), ([], [])
    for seed in SEEDS:
        nets = train_flows(seed, pairs, matcher, times)
        start, unit = make_points(PAIR[0], 2000, 500 + seed), torch.tensor([0.0, 1.0])

        def velocity(t, x, net=nets[1]):
            return net(t.expand(len(x)), x)

        with torch.no_grad():
            peer = odeint(velocity, start, unit, rtol=1e-4, atol=1e-4, method="dopri5")[-1]
        for slot, end in zip(ends, (flow_sample(nets[0], start)[-1], peer), strict=True):
            slot.append(mean_emd(end))
    floor = np.mean([mean_emd(make_points(PAIR[1], 2000, 700 + seed)) for seed in SEEDS])
    return [
        ratio(f"{name}: a step, ms", *(1e3 * np.median(slot) for slot in times)),
        ratio(f"{name}: EMD 2000 / floor", *(np.mean(slot) / floor for slot in ends)),
    ]


def mean_emd(points, sets=2):
    """EMD of points to real ones of the target, a mean over sets."""
    real = (make_points(PAIR[1], len(points), 600 + k) for k in range(sets))
    return np.mean([judge.emd(points, other) for other in real])


def train_flows(seed, pairs, matcher, times):
    """Train our flow and the peer's step by step in turns; append their seconds to `times`."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # the peer pairs by NumPy's generator
    nets = VelocityNet(), VelocityNet()
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [torch.optim.Adam(net.parameters(), 2e-3) for net in nets]

    def own(x0, x1):
        x1 = x1[ot_coupling(x0, x1)] if pairs else x1
        return flow_loss(nets[0], x0, x1, torch.rand(len(x0)))

    def peer(x0, x1):
        t, x_t, u_t = matcher.sample_location_and_conditional_flow(x0, x1)
        return (nets[1](t, x_t) - u_t).pow(2).mean()

    # Two seeds: of one, the sets are of the same uniform numbers, and their points go together.
    seeds = zip(PAIR, (2 * seed, 2 * seed + 1), strict=True)
    sources = [Batches(make_points(name, 50_000, k), BATCH, k) for name, k in seeds]
    for _, x0, x1 in zip(range(FLOW_STEPS), *sources, strict=False):
        for slot, loss_fn, opt in zip(times, (own, peer), optimizers, strict=True):
            start = time.process_time()
            opt.zero_grad()
            loss_fn(x0, x1).backward()
            opt.step()
            slot.append(time.process_time() - start)
    return nets


def toy():
    """The Swiss roll beside smalldiffusion: its readme's network, noise levels and sampler."""
    if missing("toy", smalldiffusion="smalldiffusion"):
        return
    floor = judge.floor(plane.DATASET, TOY_METRICS, sets=6)
    own = {name: own_recipe(*row, floor) for name, row in plane.RECIPES.items()}
    peer = smalldiffusion_recipe({name: row["CPU s"] for name, row in own.items()}, floor)
    rows = [ratio(f"{n}_recipe: {k}", own[n][k], peer[n][k]) for n in own for k in own[n]]
    show("toy: the Swiss roll, the same points for as many CPU seconds", rows, "smalldiffusion")


def own_recipe(recipe, options, ways, floor):
    """Figures of a recipe of the course by the way of sampling that it is meant for."""
    start = time.process_time()
    points, sde, score_fn, _ = plane.train(recipe, options, 0)
    seconds = time.process_time() - start
    steps = inspect.signature(recipe).parameters["N_steps"].default
    draws = [plane.draw(points, sde, score_fn, ways[0]) for _ in range(TOY_DRAWS)]
    evaluations = draws[0][1]
    return toy_figures([samples for samples, _ in draws], floor, seconds, steps, evaluations)


def toy_figures(draws, floor, seconds, steps, evaluations):
    """What a row of `toy` compares; distances are means over draws."""
    figures, values = {}, []
    for k, samples in enumerate(draws):  # each meets real sets of its own
        first = plane.REAL_SEED + TOY_SETS * k
        values.append(judge.score(samples, plane.DATASET, TOY_METRICS, TOY_SETS, first))
    for metric in TOY_METRICS:
        figures[f"{metric} / floor"] = np.mean([value[metric] for value in values]) / floor[metric]
    figures |= {"CPU s": seconds, "CPU ms a step": 1e3 * seconds / steps}
    return figures | {"evaluations": evaluations}


def smalldiffusion_recipe(stops, floor):
    """The peer's figures at every stop, when its training has used so many CPU seconds.

    It gets our points by our batches: its own loader hands them over one by one.
    """
    import smalldiffusion as peer
    from accelerate import Accelerator

    torch.manual_seed(0)
    points = make_points(plane.DATASET, plane.TRAIN_SIZE, 0) / TOY_SCALE
    model = peer.TimeInputMLP(hidden_dims=(16, 128, 128, 128, 128, 16))
    schedule = peer.ScheduleLogLinear(N=200, sigma_min=0.005, sigma_max=10)
    cpu = {"accelerator": Accelerator(cpu=True)}
    trainer = peer.training_loop(Batches(points, TOY_BATCH), model, schedule, epochs=1, **cpu)
    found, spent, steps = {}, 0.0, 0
    for name, seconds in sorted(stops.items(), key=lambda item: item[1]):
        while spent < seconds:
            start = time.process_time()
            next(trainer)
            spent, steps = spent + time.process_time() - start, steps + 1
        sigmas = schedule.sample_sigmas(20)
        draws = []
        for _ in range(TOY_DRAWS):
            *_, x = peer.samples(model, sigmas, gam=2, batchsize=judge.MARK_SIZE, **cpu)
            draws.append(x * TOY_SCALE)
        found[name] = toy_figures(draws, floor, spent, steps, len(sigmas) - 1)
    return found


def ode():
    """Adaptive Runge-Kutta 4(5) beside torchdiffeq's, with the exact score of a mixture."""
    if missing("ode", torchdiffeq="torchdiffeq"):
        return
    rows = []
    for name, sde in {"VP": VPSDE(), "VE": VESDE(sigma_min=0.02, sigma_max=12.0)}.items():
        rows += [(f"{name}, {what}", *cells) for what, *cells in sampling_rows(sde)]
        rows += [(f"{name}, {what}", *cells) for what, *cells in likelihood_rows(sde)]
    show(f"ode: {ODE_POINTS} points, tolerances {TOL:g}", rows, "torchdiffeq", "scipy")


class Counted:
    """A function that counts its calls."""

    def __init__(self, call):
        self.call, self.count = call, 0

    def __call__(self, *args):
        self.count += 1
        return self.call(*args)


def dopri5(times, tol):
    """Options of the peer: it would step over the end, where a process refuses to be evaluated."""
    return {"method": "dopri5", "rtol": tol, "atol": tol, "options": {"step_t": times[1:]}}


def sampling_rows(sde):
    """Noise to data by the ODE; the truth is the same ODE in float64 at 1e-11."""
    from torchdiffeq import odeint

    torch.manual_seed(0)
    score = Counted(demo_mixture().score_fn(sde))
    reverse, times = sde.reverse(score), torch.tensor([0.0, sde.T - 1e-3])
    x = sde.prior_sampling(torch.empty(ODE_POINTS, 2))

    def slope(s, x):
        return reverse.ode_coeff(s.expand(len(x)), x)[0]

    def solve(x, times, tol):
        return odeint(slope, x, times, **dopri5(times, tol))[-1]

    def own():
        return solve_rk45(reverse, times, x, TOL)[0][-1]

    truth = solve(x.double(), times.double(), 1e-11)
    return solver_rows("samples", own, lambda: solve(x, times, TOL), truth, score)


def likelihood_rows(sde):
    """log p by the ODE; the truth is the mixture's law at 1e-5, its law at T the prior."""
    from torchdiffeq import odeint

    mixture = demo_mixture()
    score, x = Counted(mixture.score_fn(sde)), mixture.sample(ODE_POINTS, 1)
    sde.prior_logp = lambda x: mixture.log_prob(x, *alpha_std(sde, torch.full((len(x),), sde.T), x))
    truth = mixture.log_prob(x, *alpha_std(sde, torch.full((len(x),), 1e-5), x))
    probes, times = make_probes(x), torch.tensor([1e-5, sde.T])

    def slope(t, state):
        t = t.expand(len(x))
        return trace(lambda y: ode_velocity(sde, score, t, y), state[0], probes)

    def own():
        return log_likelihood(sde, score, x, tol=TOL)

    def peer():
        state = odeint(slope, (x, torch.zeros(len(x))), times, **dopri5(times, TOL))
        return sde.prior_logp(state[0][-1]) + state[1][-1]

    return solver_rows("log p", own, peer, truth, score)


def solver_rows(what, own, peer, truth, score):
    """Agreement, errors, evaluations and seconds of two solvers."""
    results, counts = [], []
    for call in (own, peer):
        before = score.count
        results.append(call())
        counts.append(score.count - before)
    errors = ((result - truth).abs().mean().item() for result in results)
    return [
        agreement(what, *results),
        ratio(f"{what}: mean error", *errors),
        ratio(f"{what}: evaluations", *counts, ".0f"),
        ratio(f"{what}: CPU seconds", *in_turns(own, peer, rounds=3)),
    ]


PARTS = {part.__name__: part for part in (flow, toy, images, ode)}


def main():
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    torch.set_num_threads(1)
    for part in parser.parse_args().parts:
        PARTS[part]()


if __name__ == "__main__":
    main()
