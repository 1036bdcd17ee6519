"""The pictures of sde_todo/train.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Dots, draws, panels
from tests.task1.test_train import average, make_step

N = 8


@picture("1.2m")
class SmoothedWeights:
    """The average follows restless weights, at once at first and then more and more calmly."""

    def inputs(rng):
        return {"weights": 1 + rng.normal(size=(40, 1)), "decay": 0.9}

    def probe(weights, decay):
        import torch

        from sde_todo.train import EMA

        model = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            model.weight.zero_()
            ema, averages = EMA(model, decay), []
            for w in weights:
                model.weight.copy_(w[None])
                ema.update()
                averages.append(ema.model.weight.detach().clone()[0])
        return {"averages": torch.stack(averages)}

    def draw(got, weights, decay):
        want = average(weights, [min(decay, (1 + k) / (10 + k)) for k in range(40)])
        part = Curves(
            "of weights that vary by 1", np.arange(1, 41), want, got["averages"], "update"
        )
        return panels("The moving average", part, columns=1)


@picture("1.2n")
class Step:
    """The target points from x_t back to its mean; the weights go from 1 to 2 by gradient steps."""

    def inputs(rng):
        return {"batch": np.full((60, 3), 2.0)}

    def probe(batch):
        import torch

        seen = {}

        def loss(t, x, score, y=None, weight=None):
            seen.update(t=t, x=x.detach(), y=y)
            return ((model.b - 2) ** 2).sum() / 2

        model, step = make_step(torch, loss, len(batch))
        path = [model.b.detach().clone()[0]]
        for _ in range(12):
            step(batch)
            path.append(model.b.detach().clone()[0])
        return seen | {"path": torch.stack(path)}

    def draw(got, batch):
        t, x, y = draws(got["t"], (60,)), *(draws(got[k], (60, 3))[:, 0] for k in ("x", "y"))
        alpha, std = standins.alpha(t), standins.std(t)
        want = np.clip(np.nan_to_num((alpha * 2 - x) / std**2), -9, 9)
        order = np.argsort(want)
        target = Dots("target y", want[order], want[order], y[order], "(mean - x_t) / std²")
        path = Curves("a weight", np.arange(13), 2 - 0.9 ** np.arange(13), got["path"], "step")
        return panels("Training steps", target, path)


def growing_chain(theta=0.8):
    """The parts of a chain whose steps grow, so that its mirror image is another one."""
    gammas = np.linspace(0.02, 0.3, N)
    dt = gammas / gammas.sum()
    a = np.exp(-theta * dt)
    q = (1 - a**2) * gammas.sum() / theta if theta else 2 * gammas
    s = np.concatenate([[0.0], dt.cumsum()])
    return {"s": s, "a": a, "q": q, "sigma": float(np.sqrt(2 * gammas.sum()))}


def chain_of(s, a, q, sigma):
    from sde_todo.bridge import Chain

    return Chain(s.double(), a.double(), q.double(), sigma)


@picture("1.6q")
class PoliciesInTheStep:
    """What a step hands to its loss: policies at the right states, each on its own clock."""

    def inputs(rng):
        return growing_chain() | {"x": np.linspace(-2, 2, 9)[:, None], "time": np.linspace(0, 1, 9)}

    def probe(x, time, **chain):
        import torch

        from sde_todo import train

        policy = standins.LinearNet(torch.eye(1), torch.ones(1))
        other = standins.LinearNet(-torch.eye(1), 2 * torch.ones(1))
        opt, chain, seen = torch.optim.SGD(policy.parameters(), 0.0), chain_of(**chain), {}

        def walk(x):
            return torch.stack([x + k for k in range(chain.N + 1)])

        def note(name):
            def loss(dt, x, z, z_other, g, log_q=None):
                seen.update({f"{name} z": z.detach(), f"{name} other": z_other.detach()})
                return (z**2).sum()

            return loss

        train.get_sb_step_fn(policy, opt, note("alternating"), chain)((time, time, x, -x))
        options = {"other": other, "prior_logp": lambda x: x[:, 0], "walk": walk}
        train.get_sb_step_fn(policy, opt, note("joint"), chain, **options)(x[4:5])
        return {name: seen[name] for name in ("alternating z", "joint z", "joint other")}

    def draw(got, s, a, q, sigma, x, time):
        k = np.arange(1, N + 1)
        wants = {
            "alternating z": (x[:, 0], x[:, 0] + time, "x"),
            "joint z": (k, k + s[:-1], "state"),
            "joint other": (k, -k + 2 * (1 - s[1:]), "state"),
        }
        parts = []
        for name, (place, want, label) in wants.items():
            yours = draws(got[name], (len(place), 1))[:, 0]
            parts.append(Curves(name, place, want, yours, label))
        return panels("One step of SB-FBSDE", *parts, columns=3, height=2.2)
