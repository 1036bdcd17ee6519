"""Task 1.3: time grids, one step of each method, and the walk."""

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_gaussian, expect_mean, expect_that, graded, one

B, D, T = 7, 3, 3.0


@graded("1.3a", points=2)
class Grid:
    """From 0 to T - eps, uniform for rho = 1 and denser near the data for rho = 3."""

    def inputs(rng):
        return {"eps": float(rng.uniform(0.02, 0.1))}

    def probe(eps):
        from sde_todo.sampling import time_grid

        grids = {"uniform": time_grid(T, eps, 6), "dense": time_grid(T, eps, 6, rho=3.0)}
        return grids | {"end": T - time_grid(T, 1e-6, 200, rho=7.0).double()}

    def check(got, eps):
        steps = np.linspace(0, 1, 7)
        uniform = (T - eps) * steps
        dense = (T ** (1 / 3) + steps * (eps ** (1 / 3) - T ** (1 / 3))) ** 3
        expect(
            got["uniform"],
            grid_formula(eps, 1.0),
            "grid for rho = 1",
            {
                "this is t; the clock s = T - t runs forward from 0": T - uniform,
                "it ends at T; stop eps before the data": T * steps,
                AFTER_EPS: np.append((T - eps) * steps[:6] / steps[5], T),
                "it starts at eps; the clock starts at 0 and ends at T - eps": uniform + eps,
            },
        )
        expect(
            got["dense"],
            grid_formula(eps, 3.0),
            "grid for rho = 3",
            {
                "this is t; return s = T - t": dense,
                "it ends at T; stop eps before the data": T - T * (1 - steps) ** 3,
                AFTER_EPS: np.append(
                    T
                    - (T ** (1 / 3) + steps[:6] / steps[5] * (eps ** (1 / 3) - T ** (1 / 3))) ** 3,
                    T,
                ),
                "rho is not used": uniform,
                "the dense end lies at the noise; space t, not s": (T - eps) * steps ** (1 / 3),
                "the dense end lies at the noise: t^(1/rho) is equally spaced, not s^(1/rho)": (
                    steps * (T - eps) ** (1 / 3)
                )
                ** 3,
                "the exponents 1/rho and rho are exchanged": T
                - (T**3 + steps * (eps**3 - T**3)) ** (1 / 3),
            },
        )
        expect_that(
            (np.diff(got["end"]) < 0).all() and abs(got["end"][-1] / 1e-6 - 1) < 1e-3,
            "Near the data times are equal, or t = 0: float32 holds s = T - t to T/10^7 only. "
            "Return the float64 numbers.",
        )


def grid_formula(eps, rho):
    """The grid, with its three exponents."""

    def grid(T, top, eps, bottom, rho):
        start, end = T ** (1 / top), eps ** (1 / bottom)
        return T - (start + np.linspace(0, 1, 7) * (end - start)) ** rho

    return Formula(
        grid,
        {"T": T, "rho of T^(1/rho)": rho, "eps": eps, "rho of eps^(1/rho)": rho, "rho": rho},
    )


def check_evaluations(got, want, name="evaluations"):
    """Say how many evaluations of the score are counted, and how many there are."""
    expect(got * 0, 0, name)
    times = {1: "once", 2: "twice"}.get(want, f"{want} times")
    expect_that(got == want, f"{name}: {got:g} counted; the score is evaluated {times}.")


AFTER_EPS = "the last time is t = 0, after eps; all N steps lie between T and eps"


def call_step(name, sde, s, ds, x):
    """A step function of the student's sampling module, and what it asked of the process."""
    from sde_todo import sampling

    out, evaluations = getattr(sampling, name)(sde, s, ds, x)
    return {"out": out, "evaluations": evaluations}


def step_inputs(rng):
    return {
        "x": rng.normal(size=(B, D)),
        "s": np.full(B, float(rng.uniform(0.5, 1.0))),
        "ds": float(rng.uniform(0.1, 0.3)),
    }


@graded("1.3b", points=1)
class EulerMaruyama:
    """One predict_fn of the reverse SDE with the given step, and one evaluation."""

    def inputs(rng):
        return step_inputs(rng) | {"n": 5000}

    def probe(x, s, ds, n):
        sde = standins.ToyReverse()
        return call_step("euler_maruyama_step", sde, s[:1].repeat(n), ds, x[:1].repeat(n, 1))

    def check(got, x, s, ds, n):
        slope = -0.7 * (1 + s[0]) * x[0]
        check_evaluations(got["evaluations"], 1)
        expect_mean(
            got["out"],
            x[0] + slope * ds,
            "mean of a step",
            {
                "sde.dt is used instead of ds": x[0] + slope * T / 20,
            },
        )
        expect(
            got["out"].var(0),
            np.full(D, 0.09 * ds),
            "variance of a step",
            {
                "there is no noise: that is the ODE": 0.0,
                "sde.dt is used instead of ds": 0.09 * T / 20,
            },
            rtol=0.12,
        )


@graded("1.3b", points=4)
class Walk:
    """The walk stores the state after each step, hands over the right times, counts evaluations."""

    def inputs(rng):
        return {"x": rng.normal(size=(B, D)), "timesteps": np.array([0.0, 0.5, 0.7, 1.5, 2.9])}

    def probe(x, timesteps):
        import torch

        from sde_todo.sampling import walk

        seen = {"s": [], "ds": []}

        def step(sde, s, ds, x):
            standins.check_step(sde, s, ds, x, "step")
            seen["s"].append(float(s[0]))
            seen["ds"].append(float(ds))
            return x + 1.0, 3

        x_traj, ntot = walk(step, standins.ToyReverse(), timesteps, x)
        return {
            "traj": x_traj,
            "ntot": ntot,
            "s": torch.tensor(seen["s"]),
            "ds": torch.tensor(seen["ds"]),
        }

    def check(got, x, timesteps):
        states = np.stack([x + k for k in range(5)])
        before, last = states[[0, 0, 1, 2, 3]], states[[4, 4, 4, 4, 4]]
        if got["traj"].shape == (4, B, D):
            named = {"the state is stored before the step; out must equal x_traj[-1]": states[:4]}
            expect(got["traj"], states[1:], "x_traj without the start", named)
            expect_that(False, "x_traj lacks the start: x_traj[0] is the given x.")
        expect(
            got["traj"],
            states,
            "x_traj",
            {
                "the state is stored before the step; out must equal x_traj[-1]": before,
                "all entries are the last state: one tensor is changed in place": last,
            },
        )
        expect(
            got["ntot"],
            12,
            "ntot for four steps of three evaluations",
            {
                "it counts steps, not evaluations": 4,
                "it counts stored states": 5,
                "the evaluations are not counted": 0,
                "this is the count of the last step alone; add them up": 3,
                "the count starts at 1": 13,
            },
        )
        expect(
            got["s"],
            timesteps[:-1],
            "time s given to each step",
            {
                "it is the time after the step; a step starts at s": timesteps[1:],
            },
        )
        expect(
            got["ds"],
            Formula(lambda s_next, s: s_next - s, {"s_next": timesteps[1:], "s": timesteps[:-1]}),
            "length given to each step",
            {
                "it is sde.dt; the grid need not be uniform": T / 20,
            },
        )


@graded("1.3c", points=2)
class PredictorCorrector:
    """A predictor step, then the corrector at the new time, and the evaluations of both."""

    def inputs(rng):
        return step_inputs(rng)

    def probe(x, s, ds):
        import torch

        from sde_todo import sampling

        def predictor(sde, s, ds, x):
            standins.check_step(sde, s, ds, x, "reverse_diffusion_step")
            return 2 * x + 3 * s[:, None] + 5 * ds, 3

        sde = standins.ToyReverse()
        steps = sampling.STEPS | {"reverse_diffusion": predictor}
        with standins.patched(sampling, reverse_diffusion_step=predictor, STEPS=steps):
            got = call_step("predictor_corrector_step", sde, s, ds, x)
            sampling.predictor_corrector_step(sde, s, ds, x, 0.31)
        snrs = [snr for name, _, snr in sde.calls if name == "correct"]
        return got | {"snrs": torch.tensor(snrs)}

    def check(got, x, s, ds):
        s = s[0]

        def predicted(x, s=s, ds=ds):
            return 2 * x + 3 * s + 5 * ds

        expect(
            got["out"],
            predicted(x) + 10 + s + ds,
            "state after both",
            {
                "the corrector works at s; after the predictor the time is s + ds": predicted(x)
                + 10
                + s,
                "the corrector comes first": predicted(x + 10 + s),
                "the corrector comes first, at s + ds": predicted(x + 10 + s + ds),
                "the corrector is missing": predicted(x),
                "the predictor is missing": x + 10 + s + ds,
                "the corrector starts from the old state": x + 10 + s + ds,
                "the predictor works at s + ds; a step starts at s": predicted(x, s + ds)
                + 10
                + s
                + ds,
                "the corrector works at ds; after the predictor the time is s + ds": predicted(x)
                + 10
                + ds,
                "the corrector works at s - ds; after the predictor the time is s + ds": predicted(
                    x
                )
                + 10
                + s
                - ds,
                "the predictor was called with ds as its time": predicted(x, ds) + 10 + s + ds,
            },
        )
        expect(
            got["evaluations"],
            4,
            "evaluations of a predictor that asks three times, and the corrector",
            {
                "the corrector's is not counted": 3,
                "the predictor's are not counted; it returns how often it asks": 1,
                "the predictor is counted once; it returns how often it asks": 2,
                "the corrector asks once": 5,
            },
        )
        expect(
            got["snrs"],
            np.array([0.16, 0.31]),
            "snr of the corrector",
            {"snr is not handed on": np.array([0.16, 0.16])},
        )


@graded("1.3d", points=1)
class ODEEuler:
    """An Euler step of the ODE."""

    def inputs(rng):
        return step_inputs(rng)

    def probe(x, s, ds):
        return call_step("ode_euler_step", standins.ToyReverse(), s, ds, x)

    def check(got, x, s, ds):
        slope = -0.7 * (1 + s[:, None]) * x
        noise = got["out"] - (x + slope * ds)
        expect_that(
            np.abs(noise).max() < 1e-4 or np.allclose(noise / x, (noise / x)[0, 0], rtol=1e-2),
            "There is noise in the step: ask predict_fn for the ODE.",
        )
        expect(
            got["out"],
            x + slope * ds,
            "an Euler step",
            {
                "sde.dt is used instead of ds": x + slope * T / 20,
            },
        )
        check_evaluations(got["evaluations"], 1)


@graded("1.3d", points=3)
class Heun:
    """Heun's step: the mean of the slopes at both ends."""

    def inputs(rng):
        return step_inputs(rng)

    def probe(x, s, ds):
        return call_step("ode_heun_step", standins.ToyReverse(), s, ds, x)

    def check(got, x, s, ds):
        s = s[:, None]
        k, k_next, k_mid = (-0.7 * (1 + time) for time in (s, s + ds, s + ds / 2))
        euler = x + ds * k * x

        def heun(x, ds, at_start, step, share, whole):
            slope = k * x
            end = k_next * (x + ds * slope**at_start)
            return x + step * (share * (slope + end)) ** whole

        numbers = {
            "x": x,
            "ds (of the Euler point)": ds,
            "the exponent of the first slope": 1,
            "ds": ds,
            "the factor of both slopes": 0.5,
            "the exponent of their mean": 1,
        }
        expect(
            got["out"],
            Formula(heun, numbers),
            "a Heun step",
            {
                "this is Euler": euler,
                "the second slope is taken at s; it belongs to s + ds": x
                + ds * (k * x + k * euler) / 2,
                "the second slope is taken at the old state; it belongs to the Euler point": x
                + ds * (k * x + k_next * x) / 2,
                "the slopes are added, not averaged": x + ds * (k * x + k_next * euler),
                "the mean slope is added to the Euler point; it starts from x": euler
                + ds * (k * x + k_next * euler) / 2,
                "only the slope at the end is used": x + ds * k_next * euler,
                "this is the midpoint rule": x + ds * k_mid * (x + ds / 2 * k * x),
            },
        )
        check_evaluations(got["evaluations"], 2)


ONLY_VE = "this is right for VE alone"
A_SQUARED = "b^2 = std(t)^2 - a^2 std(t - ds)^2"


@graded("1.3e", points=3)
class ReverseDiffusion:
    """Reverse diffusion of the toy process: mean and variance of a step."""

    def inputs(rng):
        return step_inputs(rng) | {"n": 40_000}

    def probe(x, s, ds, n):
        sde = standins.ToyReverse()
        return call_step("reverse_diffusion_step", sde, s[:1].repeat(n), ds, x[:1].repeat(n, 1))

    def check(got, x, s, ds, n):
        x, t = x[0], T - s[0]
        a = standins.alpha(t) / standins.alpha(t - ds)
        b2 = standins.std(t) ** 2 - a**2 * standins.std(t - ds) ** 2
        ve, vp = standins.std(t) ** 2 - standins.std(t - ds) ** 2, 1 - a**2
        score, stale = -(0.5 + t) * x, -(0.5 + s[0]) * x
        check_evaluations(got["evaluations"], 1)
        expect(one(got["out"]) * 0, np.zeros((1, D)), "one step")
        expect_mean(
            got["out"],
            Formula(
                lambda two, x, before, after, ve, power, score, share: (
                    (two - before / after) * x
                    + (standins.std(t) ** 2 - (before / after) ** power * ve) * score**share
                ),
                {
                    "the 2 of 2 - a": 2,
                    "x": x,
                    "alpha(t)": standins.alpha(t),
                    "alpha(t - ds)": standins.alpha(t - ds),
                    "std(t - ds)^2": standins.std(t - ds) ** 2,
                    "the exponent of a": 2,
                    "the score": score,
                    "the exponent of the score": 1,
                },
            ),
            "mean of a step",
            {
                "the score is taken at s; it wants t = T - s": (2 - a) * x + b2 * stale,
                "x is multiplied by a; going back it grows by 1 - a": a * x + b2 * score,
                "the factor of the score is b; it is b^2": (2 - a) * x + np.sqrt(b2) * score,
                "the change of x is missing": x + b2 * score,
                "this is 0, the noise alone: the mean is missing": 0 * x,
                f"{ONLY_VE}, where a = 1: x + (std(t)^2 - std(t - ds)^2) score": x + ve * score,
                f"b^2 is right for VE alone: {A_SQUARED}": (2 - a) * x + ve * score,
                f"b^2 = 1 - a^2 is right for VP alone: {A_SQUARED}": (2 - a) * x + vp * score,
            },
        )
        expect_gaussian(got["out"], "a step")
        expect(
            got["out"].var(0),
            np.full(D, b2),
            "variance of a step",
            {
                "there is no noise": 0.0,
                "the noise is multiplied by b^2; it is b": b2**2,
                f"b^2 is right for VE alone: {A_SQUARED}": ve,
                f"b^2 = 1 - a^2 is right for VP alone: {A_SQUARED}": vp,
            },
            rtol=0.05,
        )


@graded("1.3f", points=3)
class RK45:
    """The adaptive solver follows the exact solution at every time of the grid."""

    def inputs(rng):
        return {"x": rng.normal(size=(B, D)), "timesteps": np.array([0.0, 0.3, 0.5, 1.1, 1.6])}

    def probe(x, timesteps):
        import torch

        from sde_todo.sampling import solve_rk45

        sde = standins.ToyReverse()
        x_traj, ntot = solve_rk45(sde, timesteps, x, 1e-6)
        calls = len(sde.calls)
        image = torch.stack([x, 2 * x], 1)
        images, _ = solve_rk45(sde, timesteps, image, 1e-6)
        _, tight = solve_rk45(sde, timesteps, x, 1e-7)
        _, small = solve_rk45(sde, timesteps, 1e-4 * x, 1e-9)
        got = {"traj": x_traj, "ntot": ntot, "images": images, "calls": calls}
        return got | {"tight": tight, "small": small, "like x": x_traj.dtype == x.dtype}

    def check(got, x, timesteps):
        want = standins.solution(timesteps)[:, None, None] * x
        expect(
            got["traj"],
            want,
            "x_traj",
            {
                "the clock runs backwards: s grows from 0": standins.solution(-timesteps)[
                    :, None, None
                ]
                * x,
                "the slope has the wrong sign": x / standins.solution(timesteps)[:, None, None],
            },
            rtol=1e-3,
            atol=1e-4,
        )
        expect(
            got["images"],
            np.stack([want, 2 * want], 2),
            "states of shape (B, 2, D)",
            rtol=1e-3,
            atol=1e-4,
        )
        expect_that(
            12 <= got["ntot"] <= got["calls"],
            f"ntot is {got['ntot']}, but the slope was evaluated {got['calls']} times: "
            f"solution.nfev.",
        )
        expect_that(got["like x"], "x_traj does not have the dtype of x: .to(x).")
        ignored = "the solver does no more for a smaller tol"
        expect_that(got["tight"] > 50, f"tol is not used as rtol: {ignored}.")  # 68 to 80; else 26
        expect_that(got["small"] > 32, f"tol is not used as atol or rtol: {ignored}.")  # 38 to 44


@graded("1.3g", points=3)
class MultistepWeights:
    """The weights integrate e^u times a polynomial exactly."""

    def inputs(rng):
        lams = np.cumsum(rng.uniform(0.2, 0.6, 4))
        return {"lams": lams, "coefficients": rng.normal(size=3)}

    def probe(lams, coefficients):
        import torch

        from sde_todo.sampling import multistep_weights

        lams = lams.double().tolist()
        return {
            str(order): torch.tensor(multistep_weights(lams[3 - order : 3], lams[3]))
            for order in (1, 2, 3)
        }

    def check(got, lams, coefficients):
        h = lams[3] - lams[2]
        nodes, quadrature = np.polynomial.legendre.leggauss(20)
        u = h * (nodes + 1) / 2
        for order in (1, 2, 3):
            c = coefficients[:order]
            want = (h / 2 * quadrature * np.exp(u) * np.polyval(c, u)).sum()
            weights = got[str(order)]
            right = np.array(given_weights(lams[3 - order : 3], lams[3]))
            expect(weights * 0, np.zeros(order), f"weights of order {order}")
            if not np.allclose(weights @ np.polyval(c, lams[3 - order : 3] - lams[2]), want, 1e-3):
                backwards = {"they are in the wrong order; the newest comes last": right[::-1]}
                expect(
                    weights,
                    weights_formula(lams[3 - order :]),
                    f"weights of order {order}",
                    backwards,
                )
            values = np.polyval(c, lams[3 - order : 3] - lams[2])
            expect(
                weights @ values,
                want,
                f"integral of e^u p(u) by the weights of order {order}",
                {
                    "the factor e^u is missing": (h / 2 * quadrature * np.polyval(c, u)).sum(),
                    "the weights are in the wrong order; the newest comes last": right[::-1]
                    @ values,
                },
            )


def weights_formula(lams):
    """The weights for lams[:-1], integrated to lams[-1], with the numbers that are in them."""

    def weights(end, start, first, growth, power, of_last, last, nodes, shift):
        h = end - start
        moments = [np.exp(h) - first]
        for k in range(1, len(lams) - 1):
            step = np.exp(h) ** growth * h ** (k * power)
            moments.append(step - of_last * k * moments[-1] ** last)
        powers = np.vander(nodes - shift, increasing=True).T
        return np.linalg.lstsq(powers, moments, rcond=None)[0]

    return Formula(
        weights,
        {
            "lam_next": lams[-1],
            "lams[-1]": lams[-2],
            "the 1 of I_0 = e^h - 1": 1,
            "the exponent of e^h in I_k": 1,
            "the exponent of h^k in I_k": 1,
            "the factor of k I_(k-1)": 1,
            "the exponent of I_(k-1)": 1,
            "lams (of u_j)": lams[:-1],
            "lams[-1] (of u_j)": lams[-2],
        },
    )


@graded("1.3g", points=3)
class Multistep:
    """On Gaussian data, where the ODE has a known solution, order 3 is far better than order 1."""

    def inputs(rng):
        return {"x": rng.normal(size=(B, D)), "variance": 0.8}

    def probe(x, variance):
        import torch

        from sde_todo import sampling

        sde = standins.ToyReverse()

        def score_fn(t, x):
            t = t[:, None]
            return -x / (standins.alpha(t) ** 2 * variance + standins.std(t) ** 2)

        sde.score_fn = score_fn
        timesteps = T - torch.logspace(np.log10(T), -1, 25)
        out = {}
        with standins.patched(sampling, multistep_weights=given_weights):
            for order in (1, 3):
                x_traj, ntot = sampling.multistep(sde, timesteps, x, order)
                out[f"order {order}"] = x_traj
            box = (torch.tensor([-0.4, -0.2, -0.3]), torch.tensor([0.1, 0.3, 0.2]))
            out["boxed"], _ = sampling.multistep(sde, timesteps, x, 1, box)
        return out | {"ntot": ntot, "timesteps": timesteps, "box": torch.stack(box)}

    def check(got, x, variance):
        def deviation(t):
            return np.sqrt(standins.alpha(t) ** 2 * variance + standins.std(t) ** 2)

        t = (T - got["timesteps"].astype(float))[:, None, None]
        exact = deviation(t) / deviation(T) * x
        D_end = exact[-1] * standins.alpha(t[-1]) * variance / deviation(t[-1]) ** 2
        expect(got["order 3"] * 0, np.zeros_like(exact), "x_traj")
        check_evaluations(got["ntot"], 25, "ntot for 25 times")
        expect_that(
            not np.allclose(got["order 3"], got["order 1"]),
            "Order 3 does the same as order 1: the older values of D are not used.",
        )
        expect(
            got["order 3"][-1],
            D_end,
            "output of order 3: D at the last time",
            {
                "this is the state x; the last entry is D": exact[-1],
            },
            rtol=4e-3,
            atol=2e-3,
        )
        expect(
            got["order 3"][:-1],
            exact[:-1],
            "states of order 3",
            {
                "this is y = x/alpha; multiply by alpha again": exact[:-1] / standins.alpha(t[:-1]),
            },
            rtol=0.01,
            atol=0.005,
        )
        errors = [np.abs(got[f"order {order}"][5:-1] - exact[5:-1]).max() for order in (1, 3)]
        expect_that(
            errors[1] < errors[0] / 4,
            f"Order 3 errs by {errors[1]:.2g}, order 1 by {errors[0]:.2g}: the older values of D "
            f"do not help.",
        )
        low, high = got["box"].astype(float)
        times = t[:, 0, 0]
        unclipped = one_step_each(times, x, variance, lambda D: D)
        expect(
            got["boxed"],
            one_step_each(times, x, variance, lambda D: np.clip(D, low, high)),
            "x_traj of order 1 with D in a box",
            {
                "the box is not used: clamp D to it": unclipped,
                "only the last D is in the box; clamp every D": np.concatenate(
                    [unclipped[:-1], np.clip(unclipped[-1:], low, high)]
                ),
                "the states are in the box; clamp D": np.clip(unclipped, low, high),
            },
            rtol=2e-3,
            atol=2e-3,
        )


def one_step_each(times, x, variance, clip):
    """The states of order 1, which is DDIM, on Gaussian data; the last is D at the last time."""
    states = [x]
    for k, t in enumerate(times):
        x, alpha, std = states[-1], standins.alpha(t), standins.std(t)
        D = clip((x - std**2 * x / (alpha**2 * variance + std**2)) / alpha)
        if k == len(times) - 1:
            return np.stack([*states[:-1], D])
        after = standins.std(times[k + 1]) / std
        states.append(standins.alpha(times[k + 1]) * D + after * (x - alpha * D))


@graded("1.3h", points=3)
class Ancestral:
    """Ancestral steps at three times of the toy process: mean and variance of each."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(3, D)),
            "s": rng.uniform(0.3, 2.0, 3),
            "ds": float(rng.uniform(0.3, 0.6)),
            "n": 20_000,
        }

    def probe(x, s, ds, n):
        sde = standins.ToyReverse()
        many = x.repeat_interleave(n, 0)
        got = call_step("ancestral_step", sde, s.repeat_interleave(n), ds, many)
        image = call_step("ancestral_step", sde, s, ds, x[:, None, :, None])
        return got | {"image": image["out"]}

    def check(got, x, s, ds, n):
        t = T - s[:, None]
        std, after = standins.std(t), standins.std(t - ds)
        a = standins.alpha(t) / standins.alpha(t - ds)
        b2 = std**2 - a**2 * after**2
        score = -(0.5 + t) * x
        ve, vp = std**2 - after**2, 1 - a**2
        means = {
            f"{ONLY_VE}, where a = 1: x + (std(t)^2 - std(t - ds)^2) score": x + ve * score,
            f"b^2 is right for VE alone: {A_SQUARED}": (x + ve * score) / a,
            f"b^2 = 1 - a^2 is right for VP alone: {A_SQUARED}": (x + vp * score) / a,
            "it is not divided by a": x + b2 * score,
            "this is reverse diffusion, (2 - a) x + b^2 score": (2 - a) * x + b2 * score,
            "it is multiplied by a; it is divided": a * (x + b2 * score),
            "the score is not divided by a": x / a + b2 * score,
            "x is not divided by a": x + b2 * score / a,
            "the score has the wrong sign": (x - b2 * score) / a,
            "the score is missing": x / a,
            "the factor of the score is b; it is b^2": (x + np.sqrt(b2) * score) / a,
            "the factor of the score is std^2; that leads to the data at once": (x + std**2 * score)
            / a,
            "the score is taken at s; it wants t = T - s": (x - b2 * (0.5 + s[:, None]) * x) / a,
            "ds has the wrong sign: the time before is that of s + ds": mean_after(
                x, score, t, -ds
            ),
        }
        ratio = after**2 / std**2
        variances = {
            "this is the large variance b^2; the small one is b^2 std(t - ds)^2/std(t)^2": b2,
            "there is no noise": 0.0,
            "the noise is multiplied by the variance; take its root": (b2 * ratio) ** 2,
            "the noise is b^2 std(t - ds)/std(t); it is b": b2**2 * ratio,
            "the ratio of the variances is not rooted": b2 * ratio**2,
            "the ratio is upside down: std(t - ds)/std(t)": b2 / ratio,
            "b is missing in the noise": ratio,
            "the noise is divided by a too; it comes after": b2 * ratio / a**2,
            "the noise is std(t - ds); that is the law given the data": after**2,
            "ds has the wrong sign: the time before is that of s + ds": variance_after(t, -ds),
            f"b^2 is right for VE alone: {A_SQUARED}": ve * ratio,
            f"b^2 = 1 - a^2 is right for VP alone: {A_SQUARED}": vp * ratio,
            f"b^2 = 1 - a^2 is right for VP alone, and so is the large variance: {A_SQUARED}": vp,
        }
        check_evaluations(got["evaluations"], 1)
        expect(got["out"] * 0, np.zeros((3 * n, D)), "one step")
        expect(got["image"] * 0, np.zeros((3, 1, D, 1)), "one step of images")
        drawn = got["out"].reshape(3, n, D)
        for k in range(3):
            named = {said: value[k] for said, value in means.items()}
            true = ancestral_mean(x[k], t[k, 0], ds, score[k])
            expect_mean(drawn[k], true, "mean of an ancestral step", named)
            expect_gaussian(drawn[k], "an ancestral step")
        wide = {said: value + np.zeros((3, D)) for said, value in variances.items()}
        want = b2 * ratio + np.zeros((3, D))
        expect(drawn.var(1), want, "variance of an ancestral step", wide, rtol=0.06)


def ancestral_mean(x, t, ds, score):
    """The mean of an ancestral step from one point, with the numbers that are in it."""

    def mean(x, before, after, ve, power, score, share, divided):
        a = before / after
        b2 = standins.std(t) ** 2 - a**power * ve
        return (x + b2 * score**share) / a**divided

    return Formula(
        mean,
        {
            "x": x,
            "alpha(t)": standins.alpha(t),
            "alpha(t - ds)": standins.alpha(t - ds),
            "std(t - ds)^2": standins.std(t - ds) ** 2,
            "the exponent of a": 2,
            "score": score,
            "the exponent of the score": 1,
            "the exponent of a in the division": 1,
        },
    )


def mean_after(x, score, t, ds):
    """The mean of an ancestral step of the toy process."""
    a = standins.alpha(t) / standins.alpha(t - ds)
    b2 = np.maximum(standins.std(t) ** 2 - a**2 * standins.std(t - ds) ** 2, 0)
    return (x + b2 * score) / a


def variance_after(t, ds):
    """The variance of an ancestral step of the toy process."""
    a = standins.alpha(t) / standins.alpha(t - ds)
    b2 = np.maximum(standins.std(t) ** 2 - a**2 * standins.std(t - ds) ** 2, 0)
    return b2 * standins.std(t - ds) ** 2 / standins.std(t) ** 2


@graded("1.3i", points=2)
class AnnealedLangevin:
    """Langevin steps at three times of the toy process: mean and variance of each."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(3, D)),
            "s": np.array([0.2, 0.9, 2.4]) + rng.uniform(0, 0.2, 3),
            "snr": float(rng.uniform(0.3, 0.45)),
            "n": 20_000,
        }

    def probe(x, s, snr, n):
        from sde_todo.sampling import annealed_langevin

        sde, many = standins.ToyReverse(), x.repeat_interleave(n, 0)
        out = annealed_langevin(sde, s.repeat_interleave(n), many, snr)
        return {"out": out, "image": annealed_langevin(sde, s, x[:, None, :, None], snr)}

    def check(got, x, s, snr, n):
        s = s[:, None]
        t = T - s
        std, score = standins.std(t), -(0.5 + t) * x
        eps = 2 * (snr * std) ** 2
        sizes = {
            "the factor 2 of eps = 2 (snr std)^2 is missing": eps / 2,
            "snr std is not squared in eps": 2 * snr * std,
            "snr is not squared in eps": 2 * snr * std**2,
            "std is not squared in eps": 2 * snr**2 * std,
            "2 is squared too: eps = 2 (snr std)^2": 2 * eps,
            "std is missing in eps": 2 * snr**2 + 0 * std,
            "snr is missing in eps": 2 * std**2,
            "it is std at T - s; the process that runs backwards takes its own clock, s": (
                2 * (snr * standins.std(s)) ** 2
            ),
        }
        means = {said: x + size * score for said, size in sizes.items()} | {
            "the score has the wrong sign": x - eps * score,
            "the score is missing": x,
            "the score is taken at s; it wants t = T - s": x - eps * (0.5 + s) * x,
            "the score has the factor 2 eps; that belongs under the root of the noise": x
            + 2 * eps * score,
            "the score has the factor eps/2; this algorithm's alpha is 2 eps": x + eps * score / 2,
            "x is missing": eps * score,
        }
        variances = {
            "the 2 of sqrt(2 eps) is missing": eps,
            "there is no noise": 0.0,
            "the noise is 2 eps z; take the root": (2 * eps) ** 2,
            "the noise is 2 sqrt(eps) z; the 2 is under the root": 4 * eps,
        } | {said: 2 * size for said, size in sizes.items()}
        expect(got["out"] * 0, np.zeros((3 * n, D)), "one step")
        expect(got["image"] * 0, np.zeros((3, 1, D, 1)), "one step of images")
        drawn = got["out"].reshape(3, n, D)
        for k in range(3):
            named = {said: value[k] for said, value in means.items()}
            named["this is 0, the noise alone: x + eps score is missing"] = 0 * x[k]
            true = Formula(
                lambda x, two, snr, std, square, score, share: (
                    x + two * (snr * std) ** square * score**share
                ),
                {
                    "x": x[k],
                    "the 2 of eps": 2,
                    "snr": snr,
                    "std": std[k],
                    "the exponent of snr std": 2,
                    "score": score[k],
                    "the exponent of the score": 1,
                },
            )
            expect_mean(drawn[k], true, "mean of a Langevin step", named)
            expect_gaussian(drawn[k], "a Langevin step")
        wide = {said: value + np.zeros((3, D)) for said, value in variances.items()}
        want = 2 * eps + np.zeros((3, D))
        expect(drawn.var(1), want, "variance of a Langevin step", wide, rtol=0.06)


@graded("1.3j", points=2)
class WithCorrector:
    """A given step, then a given corrector twice: the states, the times, the evaluations."""

    def inputs(rng):
        return step_inputs(rng) | {"snr": 0.31}

    def probe(x, s, ds, snr):
        from sde_todo.sampling import with_corrector

        def step(sde, s, ds, x):
            standins.check_step(sde, s, ds, x, "step")
            return 2 * x + ds + 5 * s[:, None], 4

        def corrector(sde, s, x, snr=0.16):
            standins.check_step(sde, s, 0.0, x, "corrector")
            return 3 * x + s.reshape(-1, *[1] * (x.ndim - 1)) + snr

        out = {}
        for name, numbers in (("once", (1, snr)), ("twice", (2, snr)), ("default", ())):
            step_fn = with_corrector(step, corrector, *numbers)
            out[name], out[f"{name} evaluations"] = step_fn(standins.ToyReverse(), s, ds, x)
        return out

    def check(got, x, s, ds, snr):
        s = s[:, None]
        stepped = 2 * x + ds + 5 * s

        def after(k, at=s + ds, snr=snr, start=stepped, moving=0.0):
            for i in range(k):
                start = 3 * start + at + i * moving + snr
            return start

        for name, k, size in (("once", 1, snr), ("twice", 2, snr), ("default", 1, 0.16)):
            moved = 2 * after(k, snr=size, start=x) + ds + 5 * s
            early = 2 * after(k, at=s, snr=size, start=x) + ds + 5 * s
            mistakes = {
                "the corrector works at s; after the step the time is s + ds": after(k, s, size),
                "the clock goes on with each correction; it stays at s + ds": after(
                    k, snr=size, moving=ds
                ),
                "the corrector comes first": early,
                "the corrector comes first, at s + ds": moved,
                "the corrector is missing": after(0),
                "corrections is not used: it corrects once": after(1, snr=size),
                "it corrects once too often": after(k + 1, snr=size),
                "the corrector starts from the old state": after(k, snr=size, start=x),
                "every correction starts from the state after the step": after(1, snr=size),
                "snr is not handed on": after(k, snr=0.16),
                "the step is made at s + ds; it starts at s": after(
                    k, snr=size, start=stepped + 5 * ds
                ),
                "the step is made at ds; it starts at s": after(k, snr=size, start=2 * x + 6 * ds),
                "the corrector works at ds; after the step the time is s + ds": after(k, ds, size),
                "the corrector works at s - ds; after the step the time is s + ds": after(
                    k, s - ds, size
                ),
                "the step is missing": after(k, snr=size, start=x),
            }
            expect(got[name], after(k, snr=size), f"state, {name} corrected", mistakes)
            expect(
                got[f"{name} evaluations"],
                4 + k,
                f"evaluations, {name} corrected",
                {
                    "those of the corrector are not counted": 4,
                    "the corrector's is counted once; it is evaluated at every correction": 5,
                    "those of the step are not counted": k,
                    "a corrector asks once, not as often as the step": 4 + 4 * k,
                    "the step is counted once; it says how often it asks": 1 + k,
                    "those of the corrector are subtracted": 4 - k,
                },
            )


def given_weights(lams, lam_next):
    """A stand-in for multistep_weights, by quadrature."""
    lams = np.asarray(lams, dtype=float)
    nodes, quadrature = np.polynomial.legendre.leggauss(20)
    h = lam_next - lams[-1]
    u = lams[-1] + h * (nodes + 1) / 2
    weights = []
    for j in range(len(lams)):
        others = np.delete(lams, j)
        basis = np.prod([(u - o) / (lams[j] - o) for o in others], axis=0) if len(others) else 1.0
        weights.append(float((h / 2 * quadrature * np.exp(u - lams[-1]) * basis).sum()))
    return weights
