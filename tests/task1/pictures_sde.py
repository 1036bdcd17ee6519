"""The pictures of sde_todo/sde.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder.harness import picture
from autograder.pictures import Curves, Histogram, Places, draws, normal, panels
from tests.task1.test_sampling import call_step
from tests.task1.test_sde import toy_score

N = 25
START = 2.0


def process_inputs(T=1.0, **parameters):
    """Times over [0, T], one starting point for all, and the parameters of a process."""
    t = np.linspace(0.02 * T, T, N)
    return {"t": t, "x": np.full((N, 1), START), **parameters}


def evaluate(sde, t, x):
    """Coefficients and marginals of a process, (N, 1) each."""
    f, g = sde.sde_coeff(t, x)
    mean, std = sde.marginal_prob(t, x)
    return {"f": f, "g": g + 0 * x, "mean": mean, "std": std + 0 * x}


def fan(mean, std):
    """The three curves mean - 2 std, mean, mean + 2 std."""
    return np.column_stack([mean - 2 * std, mean, mean + 2 * std])


def draw_process(got, title, t, mean, std, f, g):
    """The fan of a process, and its coefficients at the starting point."""
    got = {name: draws(value, (N, 1))[:, 0] for name, value in got.items()}
    want = fan(mean, std)
    marginal = Curves("mean and ± 2 std", t, want, fan(got["mean"], got["std"]), "t", band=True)
    both = np.column_stack([f, g])
    mine = np.column_stack([got["f"], got["g"]])
    lower = Curves("f (below) and g (above)", t, both, mine, "t")
    return panels(title, marginal, lower)


@picture("1.1a")
class OUFan:
    """The mean of X_t decays from x = 2 while its spread grows towards 1; f and g at x = 2."""

    def inputs(rng):
        return process_inputs(T=4.0)

    def probe(t, x):
        from sde_todo.sde import OU

        return evaluate(OU(), t, x)

    def draw(got, t, x):
        mean, std = START * np.exp(-t / 2), np.sqrt(1 - np.exp(-t))
        f, g = 0 * t - START / 2, 0 * t + 1
        return draw_process(got, "OU: where X_t is", t, mean, std, f, g)


def integrals(t, beta_min, beta_max):
    """beta and its integral."""
    slope = beta_max - beta_min
    return beta_min + slope * t, beta_min * t + slope * t**2 / 2


@picture("1.1b")
class VPFan:
    """VP: the point is forgotten and the spread ends at 1; the drift pulls ever harder."""

    def inputs(rng):
        return process_inputs(beta_min=0.5, beta_max=12.0)

    def probe(t, x, beta_min, beta_max):
        from sde_todo.sde import VPSDE

        return evaluate(VPSDE(beta_min=beta_min, beta_max=beta_max), t, x)

    def draw(got, t, x, beta_min, beta_max):
        beta, B = integrals(t, beta_min, beta_max)
        mean, std = START * np.exp(-B / 2), np.sqrt(1 - np.exp(-B))
        f, g = -beta * START / 2, np.sqrt(beta)
        return draw_process(got, "VP: where X_t is", t, mean, std, f, g)


@picture("1.1c")
class VEFan:
    """VE: the mean stays at x = 2 while the spread explodes; there is no drift."""

    def inputs(rng):
        return process_inputs(sigma_min=0.05, sigma_max=10.0)

    def probe(t, x, sigma_min, sigma_max):
        from sde_todo.sde import VESDE

        return evaluate(VESDE(sigma_min=sigma_min, sigma_max=sigma_max), t, x)

    def draw(got, t, x, sigma_min, sigma_max):
        ratio = sigma_max / sigma_min
        std = sigma_min * ratio**t
        f, g = 0 * t, std * np.sqrt(2 * np.log(ratio))
        return draw_process(got, "VE: where X_t is", t, 0 * t + START, std, f, g)


@picture("1.1d")
class SubVPFan:
    """Sub-VP: the drift of VP, and a spread that starts more slowly than VP's."""

    inputs = VPFan.inputs

    def probe(t, x, beta_min, beta_max):
        from sde_todo.sde import SubVPSDE

        sde = SubVPSDE(beta_min=beta_min, beta_max=beta_max)
        sde.beta = lambda t: integrals(t, beta_min, beta_max)[0]
        sde.beta_integral = lambda t: integrals(t, beta_min, beta_max)[1]
        return evaluate(sde, t, x)

    def draw(got, t, x, beta_min, beta_max):
        beta, B = integrals(t, beta_min, beta_max)
        mean, std = START * np.exp(-B / 2), 1 - np.exp(-B)
        f, g = -beta * START / 2, np.sqrt(beta * (1 - np.exp(-2 * B)))
        return draw_process(got, "Sub-VP: where X_t is", t, mean, std, f, g)


@picture("1.1e")
class Prior:
    """Draws of the prior fill its density, and its log density is the parabola of a Gaussian."""

    def inputs(rng):
        return {"s": 2.5, "x": np.linspace(-8, 8, N)[:, None]}

    def probe(s, x):
        import torch

        from sde_todo.sde import SDE

        sde = standins.toy_forward(SDE)
        sde.prior_std = lambda: s
        draws = sde.prior_sampling(torch.full((4000, 1), 3.0))
        return {"draws": draws, "log": sde.prior_logp(x)}

    def draw(got, s, x):
        x = x[:, 0]
        wide = np.linspace(-11, 11, 200)
        values = draws(got["draws"], (4000, 1))[:, 0]
        drawn = Histogram("prior_sampling", values, wide, normal(wide, 0, s), "x")
        density = Curves("prior_logp", x, np.log(normal(x, 0, s)), got["log"], "x")
        return panels(f"The prior N(0, {s}²)", drawn, density)


@picture("1.1f")
class ForwardNoise:
    """The std of dw grows as the root of dt; steps of a toy process spread as they should."""

    def inputs(rng):
        return {"lengths": np.array([0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])}

    def probe(lengths):
        import torch

        from sde_todo.sde import SDE

        sde, x = standins.toy_forward(SDE), torch.full((3000, 1), START)
        spread = [sde.dw(x, dt).std() for dt in lengths.tolist()]
        sde.dw = lambda x, dt=None: torch.randn_like(x) * (sde.dt if dt is None else dt) ** 0.5
        moments = [(x.mean(), x.std())]
        for k in range(sde.N):
            x = sde.predict_fn(torch.full((len(x),), k * sde.dt), x, sde.dt)
            moments.append((x.mean(), x.std()))
        return {"spread": torch.stack(spread), "moments": torch.tensor(moments)}

    def draw(got, lengths):
        dt, mean, variance = 3.0 / 20, [START], [0.0]
        for t in np.arange(20) * dt:
            keep = 1 - dt / (1 + t)
            mean.append(keep * mean[-1])
            variance.append(keep**2 * variance[-1] + standins.g(t) ** 2 * dt)
        moments = draws(got["moments"], (21, 2))
        want = fan(np.array(mean), np.sqrt(variance))
        noise = Curves("std of dw", lengths, np.sqrt(lengths), got["spread"], "dt")
        steps = np.arange(21) * dt
        walk = Curves("20 steps: mean and ± 2 std", steps, want, fan(*moments.T), "t", band=True)
        return panels("Brownian increments, and steps forward", noise, walk)


@picture("1.1g")
class ReverseDrift:
    """Where the drift of the reverse SDE, and of the ODE, takes each point of a grid."""

    def inputs(rng):
        axis = np.linspace(-2, 2, 5)
        return {"x": np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), "s": np.full(25, 1.4)}

    def probe(x, s):
        from sde_todo.sde import SDE

        reverse = standins.toy_forward(SDE, c=2.0).reverse(toy_score)
        return {"sde": reverse.sde_coeff(s, x)[0], "ode": reverse.ode_coeff(s, x)[0]}

    def draw(got, x, s):
        t, parts = 3.0 - s[:, None], []
        for name, share, title in (("sde", 1.0, "reverse SDE"), ("ode", 0.5, "ODE")):
            score = -(0.4 + t) * x + 0.3
            drift = x / (1 + t) + share * standins.g(t, 2.0) ** 2 * score
            parts.append(Places(title, x + 0.2 * drift, x + 0.2 * draws(got[name], x.shape), x))
        return panels("The drift moves each point", *parts, height=2.9)


@picture("1.3c")
class Corrector:
    """A Langevin step moves by eps score and spreads by sqrt(2 eps); then predictor-corrector."""

    def inputs(rng):
        return {"snr": 0.25, "x": np.linspace(-2, 2, N)[:, None], "s": np.full(N, 0.8), "ds": 0.2}

    def probe(snr, x, s, ds):
        import torch

        from sde_todo import sampling
        from sde_todo.sde import SDE

        n, score = 6000, torch.tensor([2.0, 1.0])
        sde = standins.toy_forward(SDE)
        start = torch.full((n, 2), 0.5)
        out = sde.correct_fn(torch.full((n,), 0.7), start, lambda t, x: score + 0 * x, snr)
        with standins.patched(sampling, reverse_diffusion_step=lambda sde, s, ds, x: (2 * x, 1)):
            both = call_step("predictor_corrector_step", standins.ToyReverse(), s, ds, x)
        return {"out": out, "both": both["out"]}

    def draw(got, snr, x, s, ds):
        eps = 2 * (snr * np.sqrt(2 / 5)) ** 2
        mean, std = 0.5 + 2 * eps, np.sqrt(2 * eps)
        place = np.linspace(mean - 5 * std, mean + 5 * std, 200)
        out = draws(got["out"], (6000, 2))[:, 0]
        want = 2 * x[:, 0] + 10 + s + ds
        parts = [
            Histogram("one Langevin step", out, place, normal(place, mean, std), "$x_1$"),
            Curves("toy predictor, then corrector", x[:, 0], want, got["both"][:, 0], "x"),
        ]
        return panels("Langevin, predictor-corrector", *parts)
