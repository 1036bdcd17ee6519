"""Task 1.6, second part: chains, their bridges, targets, caches and the rounds."""

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_that, graded

B, D, N = 7, 3, 6
IMAGE = (2, 1, 3)
METHODS = ("dsb", "sdsb", "tr", "fr", "dsbm", "sb-fbsde-alt")


@graded("1.6e", points=2)
class GammaSchedule:
    """The step sizes of both kinds of schedule."""

    def inputs(rng):
        return {"G": round(float(rng.uniform(0.02, 0.05)), 4), "A": 0.01, "B": 0.07}

    def probe(G, A, B):
        from sde_todo.bridge import gamma_schedule

        return {
            "constant": gamma_schedule(f"constant_{G}", 6),
            "linear": gamma_schedule(f"linear_{A}_{B}", 8),
        }

    def check(got, G, A, B):
        expect(
            got["constant"],
            np.full(6, G),
            "constant schedule",
            {"it is divided among the steps; each step is G": G / 6},
        )
        up = np.linspace(A, B, 4)
        fine = np.linspace(A, B, 5)
        expect(
            got["linear"],
            np.concatenate([up, up[::-1]]),
            "linear schedule",
            {
                "the second half rises once more; it is the mirror image of the first": (
                    np.concatenate([up, up])
                ),
                "it rises over all steps; it falls over the second half": np.linspace(A, B, 8),
                "it falls first: small steps belong to both ends": np.concatenate([up[::-1], up]),
                "it falls over both halves": np.concatenate([up[::-1], up[::-1]]),
                "the peak is there once; the second half is the whole mirror image of the "
                "first": np.concatenate([up, fine[:-1][::-1]]),
                "the peak is never reached: each half has N // 2 numbers from A to B": (
                    np.concatenate([fine[:-1], fine[:-1][::-1]])
                ),
                "the ends are never reached: each half has N // 2 numbers from A to B": (
                    np.concatenate([fine[1:], fine[1:][::-1]])
                ),
                "it grows by a factor; it is linear": np.concatenate(
                    [np.geomspace(A, B, 4), np.geomspace(A, B, 4)[::-1]]
                ),
            },
        )
        expect_that(
            got["linear"].dtype == np.float64 and got["constant"].dtype == np.float64,
            "A schedule is float64: its sums are differences of times near 1.",
        )


def increasing(rng):
    """Step sizes that grow, so that their mirror image is another schedule."""
    return np.sort(rng.uniform(0.02, 0.3, N))


@graded("1.6f", points=1)
class ReferenceChain:
    """Times, factors and variances of Brownian motion and of an Ornstein-Uhlenbeck process."""

    def inputs(rng):
        return {"gammas": increasing(rng), "theta": float(rng.uniform(1.0, 2.0))}

    def probe(gammas, theta):
        from sde_todo.bridge import reference_chain

        out = {}
        for name, value in (("Brownian", 0.0), ("OU", theta)):
            chain = reference_chain(gammas.double(), value)
            out |= {f"{name} {part}": getattr(chain, part) for part in chain._fields}
        return out

    def check(got, gammas, theta):
        total, dt = gammas.sum(), gammas / gammas.sum()
        s = np.concatenate([[0.0], dt.cumsum()])
        for name, rate in (("Brownian", 0.0), ("OU", theta)):
            expect_that(
                got[f"{name} s"].shape != gammas.shape,
                f"s ({name}) has a time for each step; there is one more state, and s starts "
                "with 0.",
            )
            expect(
                got[f"{name} s"],
                s,
                f"s ({name})",
                {
                    "its steps are equal; they are as long as the step's share of gamma": (
                        np.linspace(0, 1, N + 1)
                    ),
                    "it ends at the sum of the gammas; it ends at 1": s * total,
                    "it ends at the variance; it ends at 1": 2 * s * total,
                },
            )
            a = np.exp(-rate * dt)
            expect(
                got[f"{name} a"],
                Formula(
                    lambda theta, dt: np.exp(-theta * dt) + 0 * s[1:],
                    {"theta": rate, "dt": dt},
                ),
                f"a ({name})",
                {
                    "it grows: the process pulls towards 0": 1 / a,
                    "this is an Euler step; the exact one decays like exp(-theta dt)": (
                        1 - rate * dt
                    ),
                    "gamma is used instead of dt": np.exp(-rate * gammas),
                    "it is exp(-theta dt / 2)": np.exp(-rate * dt / 2),
                    "1/N is used instead of dt": np.exp(-rate / N),
                    "it is that of the whole time up to the step": np.exp(-rate * s[1:]),
                    "it is 1, as without a drift": 1.0,
                },
            )
            gain = (1 - a**2) / (2 * rate) if rate else dt
            ou = Formula(
                lambda total, one, a, power, theta: total * (one - a**power) / theta,
                {
                    "the sum of gammas": total,
                    "the 1 of 1 - a^2": 1,
                    "a": a,
                    "the exponent of a": 2,
                    "theta": rate,
                },
            )
            expect(
                got[f"{name} q"],
                ou if rate else 2 * total * gain,
                f"q ({name})",
                {
                    "it is half of that: the noise is sqrt(2 gamma) z, not sqrt(gamma) z": (
                        total * gain
                    ),
                    "this is the deviation; q is the variance": np.sqrt(2 * total * gain),
                    "these are the variances without a drift": 2 * gammas,
                    "sigma is used instead of sigma^2": np.sqrt(2 * total) * gain,
                    "it is 2 dt; the sum of the gammas is missing": 2 * gain,
                    "it has a factor 2 too many": 4 * total * gain,
                    "it is 1 + a^2 instead of 1 - a^2": total * (1 + a**2) / (rate or 1),
                    "a is used instead of a^2": 2 * total * (1 - a) / (2 * rate or 1),
                    "it is what has come since the start": 2 * total * gain.cumsum(),
                },
            )
            expect(
                got[f"{name} sigma"],
                Formula(
                    lambda two, total, root: (two * total) ** root,
                    {
                        "the 2 of 2 sum gamma": 2,
                        "the sum of gammas": total,
                        "the exponent 1/2": 0.5,
                    },
                ),
                f"sigma ({name})",
                {
                    "this is sigma^2": 2 * total,
                    "the factor 2 is missing: sigma^2 = 2 sum gamma": np.sqrt(total),
                    "this has the mean of the gammas; it is their sum": np.sqrt(2 * gammas.mean()),
                },
            )


def chain_inputs(rng, theta=0.8):
    """An Ornstein-Uhlenbeck chain whose steps grow."""
    gammas = increasing(rng)
    dt = gammas / gammas.sum()
    a = np.exp(-theta * dt)
    return {
        "s": np.concatenate([[0.0], dt.cumsum()]),
        "a": a,
        "q": (1 - a**2) * gammas.sum() / theta,
        "sigma": float(np.sqrt(2 * gammas.sum())),
    }


def chain_of(s, a, q, sigma):
    from sde_todo.bridge import Chain

    return Chain(s.double(), a.double(), q.double(), float(sigma))


@graded("1.6f", points=1)
class ReverseChain:
    """The reference from its other end: the steps in the opposite order, on the clock 1 - s."""

    def inputs(rng):
        return chain_inputs(rng)

    def probe(**chain):
        from sde_todo.bridge import reverse_chain

        other = reverse_chain(chain_of(**chain))
        return {name: getattr(other, name) for name in other._fields}

    def check(got, s, a, q, sigma):
        for name, value in (("q", q), ("a", a)):
            expect(
                got[name],
                value[::-1],
                name,
                {
                    "it is not reversed; the other direction meets the last step first": value,
                },
            )
        expect(
            got["s"],
            1 - s[::-1],
            "s",
            {
                "this is the clock of the chain itself; that of the other direction is 1 - s": s,
                "it falls from 1 to 0: the times are in the order of the other direction too": (
                    1 - s
                ),
                "it is reversed, but still the chain's own clock; take 1 - s": s[::-1],
            },
        )
        expect(got["sigma"], sigma, "sigma")


def weights_of(a, q):
    """A and V of what is left of the chain after each step, and the three weights, by sums."""
    A = np.array([a[k + 1 :].prod() for k in range(len(a))])
    V = np.array(
        [
            sum(q[j] * a[j + 1 :].prod() ** 2 for j in range(k + 1, len(a))) + 0.0
            for k in range(len(a))
        ]
    )
    precision = 1 / q + A**2 / np.maximum(V, 1e-300)
    var = np.where(V > 0, 1 / precision, 0.0)
    to_end = np.where(V > 0, var * A / np.maximum(V, 1e-300), 1.0)
    return A, V, (var * a / q, to_end, var)


def weights_formula(a, q, which):
    """One of the three weights by its recursion, with the numbers that are in it."""
    factors = {"to_state": ("V", "a"), "to_end": ("A", "q"), "var": ("V", "q")}[which]

    def weight(a, q, power, gathered, first, second, below):
        A, V, out = 1.0, 0.0, []
        for k in range(len(a))[::-1]:
            total = V + A**power * q[k]
            known = {"A": A, "V": V, "a": a[k], "q": q[k]}
            one, two = (known[name] for name in factors)
            out.append(one**first * two**second / total**below)
            A, V = A**gathered * a[k], total
        return np.array(out[::-1])

    return Formula(
        weight,
        {
            "a": a,
            "q": q,
            "the exponent of A in V + A^2 q": 2,
            "the exponent of A in A a": 1,
            f"the exponent of {factors[0]} in the numerator": 1,
            f"the exponent of {factors[1]} in the numerator": 1,
            "the exponent of the denominator V + A^2 q": 1,
        },
    )


@graded("1.6g", points=2)
class BridgeWeights:
    """The next step towards a known end: of Brownian motion, then of a process with a drift."""

    def inputs(rng):
        return chain_inputs(rng) | {"gammas": increasing(rng)}

    def probe(gammas, **chain):
        import torch

        from sde_todo.bridge import bridge_weights

        s = torch.cat([torch.zeros(1), gammas.cumsum(0) / gammas.sum()])
        plain = chain_of(s, torch.ones(len(gammas)), 2 * gammas, (2 * gammas.sum()) ** 0.5)
        names = ("to_state", "to_end", "var")
        out = dict(zip(names, bridge_weights(plain), strict=True))
        drift = zip(names, bridge_weights(chain_of(**chain)), strict=True)
        return out | {f"{name} (drift)": value for name, value in drift}

    def check(got, gammas, s, a, q, sigma):
        left = gammas[::-1].cumsum()[::-1]  # with the step itself
        part = gammas / left
        others = {
            "it is 1/(N - k), which holds for a constant gamma alone": 1 / np.arange(N, 0, -1.0),
            "this is the fraction of the gammas so far; it is that of the gammas left": gammas
            / gammas.cumsum(),
            "it is the step's share of all gammas; only those left count": gammas / gammas.sum(),
            "it is in reversed order: the last step goes to the end": part[::-1],
            "it is not taken as a fraction": gammas,
        }
        plain = (1 + 0 * gammas, 2 * gammas)
        expect(
            got["to_end"],
            weights_formula(*plain, "to_end"),
            "to_end of Brownian motion",
            others | {"this is to_state": 1 - part},
        )
        named = {said: 1 - value for said, value in others.items()}
        true = weights_formula(*plain, "to_state")
        expect(got["to_state"], true, "to_state of Brownian motion", named)
        var = 2 * gammas * (1 - part)
        expect(
            got["var"],
            weights_formula(*plain, "var"),
            "var of Brownian motion",
            {
                "it does not shrink: this is q of the step without an end": 2 * gammas,
                "this is the deviation; var is its square": np.sqrt(var),
                "it is the variance of the end, V": 2 * (left - gammas),
                "it is half of that: q is 2 gamma": var / 2,
                "it is q times the share of the end": 2 * gammas * part,
            },
        )
        A, V, (_, to_end, _) = weights_of(a, q)
        total = V + A**2 * q
        no_a = V + q
        expect(
            got["to_end (drift)"],
            weights_formula(a, q, "to_end"),
            "to_end of a process with a drift",
            {
                "A is missing in the numerator: q A / (V + A^2 q)": q / total,
                "A is not gathered: it is the product of the factors a of all later steps": q
                / no_a,
                "A is used instead of A^2 in V + A^2 q": q * A / (q * A)[::-1].cumsum()[::-1],
                "the product has a/A for A a": backwards(a, q, lambda A, a: A / a),
                "the next A is a alone; it is A a": backwards(a, q, lambda A, a: a),
                "the drift is not used: these are the sums of q alone": q / q[::-1].cumsum()[::-1],
                "A holds the step's own factor too; it is that of the steps after it": q
                * (A * a)
                / (V + (A * a) ** 2 * q),
            },
        )
        expect(
            got["to_state (drift)"],
            weights_formula(a, q, "to_state"),
            "to_state of a process with a drift",
            {
                "a is missing: a V / (V + A^2 q)": V / total,
                "it is 1 - to_end, which holds without a drift alone": 1 - to_end,
                "A is used instead of a in the numerator: a V / (V + A^2 q)": A * V / total,
            },
        )
        expect(
            got["var (drift)"],
            weights_formula(a, q, "var"),
            "var of a process with a drift",
            {
                "it does not shrink: this is q of the step without an end": q,
                "the drift is not used": q * (1 - q / q[::-1].cumsum()[::-1]),
            },
        )


def backwards(a, q, gather):
    """to_end with another A of the step before, from A and a."""
    A, V, out = 1.0, 0.0, []
    for k in range(len(a))[::-1]:
        total = V + A**2 * q[k]
        out.append(q[k] * A / total)
        A, V = gather(A, a[k]), total
    return np.array(out[::-1])


def named_weights(rng):
    """A chain, and its weights as inputs of their own."""
    chain = chain_inputs(rng)
    weights = weights_of(chain["a"], chain["q"])[2]
    return chain | dict(zip(("to_state", "to_end", "var"), weights, strict=True))


@graded("1.6h", points=2)
class MeanMap:
    """The mean map of each method from what its network predicts, on points and images."""

    def inputs(rng):
        return named_weights(rng) | {
            "x": rng.normal(size=(B, D)),
            "image": rng.normal(size=(B - 2, *IMAGE)),
        }

    def probe(x, image, to_state, to_end, var, **chain):
        import torch

        from sde_todo import bridge

        def model(s, x):
            return 0.5 * x + 2 * s.reshape(-1, *[1] * (x.ndim - 1)) + 1

        given = (to_state.double(), to_end.double(), var.double())
        chain, out = chain_of(**chain), {}
        with standins.patched(bridge, bridge_weights=lambda chain: given):
            for method in METHODS:
                F = bridge.mean_map(method, chain, model)
                out[method] = torch.stack([F(k, x) for k in range(chain.N)])
            for method in ("tr", "fr"):
                F = bridge.mean_map(method, chain, model, published=True)
                out[f"published {method}"] = torch.stack([F(k, x) for k in range(chain.N)])
            F = bridge.mean_map("fr", chain, model)
            out["images"] = torch.stack([F(k, image) for k in range(chain.N)])
        return out

    def check(got, x, image, s, a, q, sigma, to_state, to_end, var):
        def along(v, x):  # what belongs to a step, beside all its states
            return np.asarray(v, dtype=float).reshape(-1, *[1] * x.ndim)

        def maps(method, x, published):
            """The map, and what plausible mistakes make of it."""
            p, late = (0.5 * x + 2 * along(v, x) + 1 for v in (s[:-1], s[1:]))
            dt, state, end, left, far = (
                along(v, x) for v in (np.diff(s), to_state, to_end, 1 - s[:-1], 1 - s[1:])
            )
            steps = along(1 / np.arange(N, 0, -1.0), x)
            if published:
                state, end, left = 1 - steps, steps, 1 / steps / N
            step = dt * sigma if method == "sb-fbsde-alt" else dt
            off = "the model is evaluated at s_{k+1}, one step too late; it is at s_k"
            if method in ("dsb", "sdsb", "sb-fbsde-alt"):
                named = {
                    off: x + step * late,
                    "dt is missing": x + step / dt * p,
                    "x is missing: F = x + dt p": step * p,
                    "sigma does not belong to a drift": x + dt * sigma * p,
                    "sigma is missing: a policy p is the drift sigma p": x + dt * p,
                    "sigma^2 belongs there; a policy p is the drift sigma p": (
                        x + dt * sigma**2 * p
                    ),
                    "the model predicts a drift, not the mean itself": p + 0 * x,
                    "the root of dt belongs to the noise": x + np.sqrt(dt) * step / dt * p,
                    "the sign is wrong": x - step * p,
                    "x shrinks by to_state; the drift that is learned holds that already": (
                        state * x + step * p
                    ),
                    "a drift is no end to walk to": state * x + end * p,
                }
                named["this is the map of tr"] = state * x + end * p
                named["this is the map of fr"] = state * x + end * (x + left * p)
                named["this is the map of dsb"] = x + dt * p
                true = Formula(
                    lambda x, dt, p: x + dt * p,
                    {"x": x, "dt" if step is dt else "dt sigma": step, "p": p},
                )
                return true, named
            goal = p if method == "tr" else x + left * p
            wrong = {
                "it is divided by the time left; a velocity is multiplied by it": x + p / left,
                "the velocity is not multiplied by the time left": x + p,
                "the time left is that of the next state; it is 1 - s_k": x + far * p,
                "this is s, the time that has passed; 1 - s is left": x + (1 - left) * p,
                "a velocity is not the end itself": p,
            }
            if method == "tr":
                wrong = {"the model predicts the end itself, no velocity": x + left * p}
            named = {said: state * x + end * value for said, value in wrong.items()}
            ending = late if method == "tr" else x + left * late
            named |= {
                off: state * x + end * ending,
                "the step is 1/(N - k), which holds for a constant gamma alone": (
                    (1 - steps) * x + steps * goal
                ),
                "the step is 1/(N - k) and the time left (N - k)/N, which hold for a constant "
                "gamma alone": (1 - steps) * x
                + steps * (p if method == "tr" else x + p / steps / N),
                "published is not used": along(to_state, x) * x
                + along(to_end, x) * (p if method == "tr" else x + (1 - along(s[:-1], x)) * p),
                "x is not weighted by to_state": x + end * goal,
                "1 - to_end is used instead of to_state, which holds without a drift alone": (
                    x + end * (goal - x)
                ),
                "dt is used instead of to_end": x + dt * (goal - x),
                "to_state and to_end are exchanged": end * x + state * goal,
                "this is the end; one step goes part of the way": goal + 0 * x,
                "the prediction is taken for a drift": x + dt * p,
            }
            named["this is the map of dsb"] = x + dt * p
            named["this is the map of sb-fbsde-alt"] = x + dt * sigma * p
            named["to_end is divided by the end; multiply"] = state * x + end / goal
            named["the time left is divided by the velocity; multiply"] = state * x + end * (
                x + left / p
            )
            true = Formula(
                lambda state, x, end, goal: state * x + end * goal,
                {"to_state": state, "x": x, "to_end": end, "the end": goal},
            )
            return true, named

        for name in ("dsb", "sdsb", "sb-fbsde-alt", "tr", "fr", "dsbm"):
            want, named = maps(name, x, published=False)
            expect(got[name], want, f"F of {name}", named)
        want, named = maps("fr", image, published=False)
        expect(got["images"], want, "F of fr on images", named)
        for name in ("tr", "fr"):
            want, named = maps(name, x, published=True)
            named = {said: v for said, v in named.items() if "1/(N - k)" not in said}
            expect(got[f"published {name}"], want, f"F of {name} with published=True", named)


def given_noise(noise):
    """A noise function that returns noise[0], noise[1], ... in the shape asked, and its calls."""
    calls = []

    def take(x):
        calls.append(x)
        return noise[(len(calls) - 1) % len(noise)].flatten()[: x.numel()].reshape(x.shape)

    return take, calls


@graded("1.6i", points=2)
class Simulate:
    """All states and means of a walk with known noise."""

    def inputs(rng):
        return chain_inputs(rng) | {
            "x": rng.normal(size=(B, D)),
            "noise": rng.normal(size=(N, B, D)),
        }

    def probe(x, noise, **chain):
        from sde_todo.bridge import simulate

        draw, calls = given_noise(noise)
        F = lambda k, x: 0.8 * x + 0.3 * k  # noqa: E731
        states, means = simulate(chain_of(**chain), F, x, noise=draw)
        return {"states": states, "means": means, "draws": len(calls)}

    def check(got, x, noise, s, a, q, sigma):
        steps = np.arange(N)

        def walk(scale, number=steps, previous=lambda states: states[-1], kept=True):
            states, means = [x], []
            for k in range(N):
                means.append(0.8 * previous(states) + 0.3 * number[k])
                before = means[-1] if kept else states[-1]
                states.append(before + scale[k] * noise[k])
            return np.stack(states), np.stack(means)

        scale = np.sqrt(q)
        states, means = walk(scale)
        expect_that(
            got["draws"] > 0, "The noise is not that of the argument: call noise(x) in each step."
        )
        wrong = {
            "the noise is multiplied by the variance q; it is sqrt(q) z": walk(q),
            "the noise has half of its variance: q is 2 gamma already": walk(scale / np.sqrt(2)),
            "the noise has twice its variance: q is 2 gamma already": walk(scale * np.sqrt(2)),
            "the noise is not multiplied by sqrt(q_k)": walk(1 + 0 * q),
            "there is no noise": walk(0 * q),
            "the noise is that of the steps in reversed order": walk(scale[::-1]),
            "the noise is sigma sqrt(dt) z; the chain's own is sqrt(q_k) z": walk(
                sigma * np.sqrt(np.diff(s))
            ),
            "F is called with k + 1 in step k": walk(scale, np.arange(1, N + 1)),
            "F is always called with the first k": walk(scale, np.zeros(N)),
            "F is called with the k of the opposite order": walk(scale, np.arange(N)[::-1]),
            "each step starts from x; it goes on from the last state": walk(
                scale, previous=lambda states: states[0]
            ),
            "the mean is dropped: the noise is added to the last state": walk(scale, kept=False),
        }
        expect(got["states"], states, "states", {said: value[0] for said, value in wrong.items()})
        expect(
            got["means"],
            means,
            "means",
            {said: value[1] for said, value in wrong.items()}
            | {
                "these are the states after the steps, with the noise": states[1:],
                "these are the states before the steps": states[:-1],
            },
        )


@graded("1.6j", points=2)
class DrawBetween:
    """States between given ends, with known weights and noise."""

    def inputs(rng):
        return named_weights(rng) | {
            "start": rng.normal(size=(B, D)),
            "end": rng.normal(size=(B, D)) + 2.0,
            "noise": rng.normal(size=(N, B, D)),
        }

    def probe(start, end, noise, to_state, to_end, var, **chain):
        from sde_todo import bridge

        draw, calls = given_noise(noise)
        given = (to_state.double(), to_end.double(), var.double())
        with standins.patched(bridge, bridge_weights=lambda chain: chain.a is not None and given):
            states = bridge.draw_between(chain_of(**chain), start, end, noise=draw)
        return {"states": states, "draws": len(calls)}

    def check(got, start, end, noise, s, a, q, sigma, to_state, to_end, var):
        def walk(scale, state=to_state, goal=to_end, ends=(start, end), first=False):
            states = [ends[0]]
            for k in range(N):
                before = ends[0] if first else states[-1]
                states.append(state[k] * before + goal[k] * ends[1] + scale[k] * noise[k])
            return np.stack(states)

        scale = np.sqrt(var)
        expect_that(
            got["draws"] > 0,
            "The noise is not that of the argument: call noise(start) in each step.",
        )
        steps = 1 / np.arange(N, 0, -1.0)

        def states(to_state, x, to_end, end, var, power, noise):
            found = [start]
            for k in range(N):
                mean = to_state[k] * found[-1] ** x + to_end[k] * end
                found.append(mean + var[k] ** power * noise[k])
            return np.stack(found)

        true = {
            "to_state": to_state,
            "the exponent of the last state": 1,
            "to_end": to_end,
            "end": end,
            "var": var,
            "the exponent of var": 0.5,
            "noise": noise,
        }
        expect(
            got["states"],
            Formula(states, true),
            "states",
            {
                "the variance does not shrink: this is sqrt(q), it is sqrt(var)": walk(np.sqrt(q)),
                "the noise is multiplied by var; it is sqrt(var) z": walk(var),
                "there is no noise": walk(0 * var),
                "the noise has half of its variance": walk(scale / np.sqrt(2)),
                "each step starts from x_0; it goes on from the last state": walk(
                    scale, first=True
                ),
                "to_state and to_end are exchanged": walk(scale, to_end, to_state),
                "start and end are exchanged": walk(scale, ends=(end, start)),
                "the end is not used": walk(scale, goal=0 * to_end),
                "1 - to_end is used instead of to_state, which holds without a drift alone": walk(
                    scale, 1 - to_end
                ),
                "the step is 1/(N - k), which holds for a constant gamma alone": walk(
                    scale, 1 - steps, steps
                ),
                "the weights are taken in reversed order": walk(
                    scale[::-1], to_state[::-1], to_end[::-1]
                ),
            },
        )


@graded("1.6k", points=2)
class MapsAtNext:
    """Each step's mean map at the state after the step."""

    def inputs(rng):
        return {"states": rng.normal(size=(N + 1, B, D))}

    def probe(states):
        from sde_todo.bridge import maps_at_next

        return {"maps": maps_at_next(lambda k, x: (1 + 0.5 * k) * x + 2 * k, states)}

    def check(got, states):
        def maps(number, at):
            number = np.asarray(number)[:, None, None]
            return (1 + 0.5 * number) * at + 2 * number

        k = np.arange(N)
        expect_that(
            len(got["maps"]) != N + 1,
            f"There is a map for each of the {N + 1} states; the start has no step before it.",
        )
        expect(
            got["maps"],
            maps(k, states[1:]),
            "F(k, x_{k+1})",
            {
                "it is taken at x_k: these are the means, which are known": maps(k, states[:-1]),
                "k and x are exchanged in the call F(k, x)": (1 + 0.5 * states[1:])
                * k[:, None, None]
                + 2 * states[1:],
                "F has the number k + 1 there; the same step k is evaluated at both states": maps(
                    k + 1, states[1:]
                ),
                "F and its state both belong to step k + 1": maps(k + 1, states[:-1]),
                "the steps are counted in the opposite order": maps(k[::-1], states[1:]),
                "the states are taken in the opposite order": maps(k, states[1:][::-1]),
                "the number of the step is the same for all": maps(0 * k, states[1:]),
            },
        )


@graded("1.6l", points=2)
class Target:
    """What the other direction's network learns at x_{k+1}, for each method, points and images."""

    def inputs(rng):
        # Not the last step: there a wrong time left could be 0. It comes with the images.
        found = chain_inputs(rng) | {"k": np.array([3, 0, 4, 1, 2, 4, 0])}
        found["image_k"] = np.array([5, 1, 3, 5, 0])
        for name, n, shape in (("points", B, (D,)), ("images", B - 2, IMAGE)):
            found[name] = rng.normal(size=(5, n, *shape))
        return found

    def probe(k, image_k, points, images, **chain):
        from sde_todo.bridge import Pairs, target

        chain = chain_of(**chain)
        pairs = Pairs(k, *points)
        out = {method: target(method, chain, pairs) for method in METHODS}
        out["published fr"] = target("fr", chain, pairs, published=True)
        pairs = Pairs(image_k, *images)
        return out | {f"{method} images": target(method, chain, pairs) for method in ("dsb", "fr")}

    def check(got, k, image_k, points, images, s, a, q, sigma):
        def others(values, dt, left):
            """The targets of all methods."""
            x, previous, start, mean, after = values
            targets = {
                "dsb": (mean - after) / dt,
                "sdsb": (previous - x) / dt,
                "sb-fbsde-alt": (after - x) / (dt * sigma),
                "tr": start,
                "fr": (start - x) / left,
            }
            return {f"this is the target of {name}": value for name, value in targets.items()}

        def targets(method, k, values, published=False):
            """The target, and what plausible mistakes make of it."""
            x, previous, start, mean, after = values

            def at(v):
                return np.asarray(v, dtype=float)[k].reshape(-1, *[1] * (x.ndim - 1))

            dt, left = at(np.diff(s)), at(s[1:])
            if published:
                left = at(np.arange(1, N + 1) / N)
            changes = {
                "dsb": mean - after,
                "sdsb": previous - x,
                "sb-fbsde-alt": (after - x) / sigma,
            }
            if method in changes:
                change = changes[method]
                wanted = {"dsb": "simplified", "sdsb": "full"}
                named = {
                    "the sign is wrong": -change / dt,
                    "it is not divided by dt: the network predicts a drift": change,
                    "it is multiplied by dt": change * dt,
                    "it is the mean of the step back; the network predicts the drift, (mean - "
                    "x_{k+1})/dt": x + change,
                    "it leads to the start of the path; one step leads to the state before": (
                        start - x
                    )
                    / dt,
                    "dt is that of the step after": change / at(np.append(np.diff(s)[1:], 1)),
                    "it is divided by 1/N; the steps differ": change * N,
                    "it is divided by the time left; a drift by dt": change / left,
                    "x_{k+1} is counted: it is part of the mean and cancels": (change + x) / dt,
                }
                if method in wanted:
                    other = changes["sdsb" if method == "dsb" else "dsb"]
                    named[f"this is the target of {wanted[method]} DSB"] = other / dt
                if method == "dsb":
                    named |= {
                        "F(x_{k+1}) is missing: x_k's own step is not all": (mean - x) / dt,
                        "x_k is used instead of F(x_k)": (previous - after) / dt,
                    }
                if method == "sb-fbsde-alt":
                    named |= {
                        "sigma is missing: a policy p is the drift sigma p": change * sigma / dt,
                        "it is multiplied by sigma; divide": change * sigma**2 / dt,
                        "it is divided by sigma^2": change / sigma / dt,
                        "it is the policy at x_k; it is wanted at x_{k+1}": (mean - previous)
                        / (sigma * dt),
                        "F(x_k) is used instead of F(x_{k+1})": (mean - x) / (sigma * dt),
                        "x_k is used instead of x_{k+1}": (after - previous) / (sigma * dt),
                        "it is the way back of DSB": (mean - after) / (sigma * dt),
                    }
                named |= {
                    said: v for said, v in others(values, dt, left).items() if method not in said
                }
                return drift_formula(method, values, dt, sigma), named
            if method == "tr":
                return start, {
                    "it is the state before; the network predicts where the other direction ends": (
                        previous
                    ),
                    "it is x_{k+1} itself": x,
                    "it leads to x_0; the network predicts x_0 itself": start - x,
                    "it is a velocity, as for fr; the network predicts x_0 itself": (start - x)
                    / left,
                } | {said: v for said, v in others(values, dt, left).items() if "tr" not in said}
            with np.errstate(divide="ignore"):
                own = (start - x) / at(1 - s[1:])
            true = Formula(
                lambda x_0, x, left: (x_0 - x) / left,
                {"x_0": start, "x_{k+1}": x, "the time left": left},
            )
            return true, {
                "the sign is wrong: it leads from x_{k+1} to x_0": (x - start) / left,
                "it is not divided by the time left": start - x,
                "it is multiplied by the time left": (start - x) * left,
                "it is divided by the time that the simulated direction has left, 1 - s_{k+1}; "
                "the other one has s_{k+1}": own,
                "it is divided by s_k, the time of the state before": (start - x)
                / np.maximum(at(s[:-1]), 1e-300),
                "it is divided by dt, as if one step led to x_0": (start - x) / dt,
                "it is x_0; the network predicts the velocity": start,
                "it leads to the state before; the network predicts the way to x_0": (previous - x)
                / left,
                "that is a step's drift": (previous - x) / dt,
                "published is not used": (start - x) / at(s[1:]),
                "the time left is (k + 1)/N, which holds for a constant gamma alone": (start - x)
                / at(np.arange(1, N + 1) / N),
            }

        for method in METHODS:
            want, named = targets(method, k, points)
            expect(got[method], want, f"target of {method}", named)
        want, named = targets("fr", k, points, published=True)
        expect(got["published fr"], want, "target of fr with published=True", named)
        for method in ("dsb", "fr"):
            want, named = targets(method, image_k, images)
            expect(got[f"{method} images"], want, f"target of {method} on images", named)


def drift_formula(method, values, dt, sigma):
    """The target of a method that learns a drift, as a difference over dt."""
    x, previous, _, mean, after = values
    first, second = {
        "dsb": {"F(x_k)": mean, "F(x_{k+1})": after},
        "sdsb": {"x_k": previous, "x_{k+1}": x},
        "sb-fbsde-alt": {"F(x_{k+1})": after, "x_{k+1}": x},
    }[method].items()
    policy = {"sigma": sigma} if method == "sb-fbsde-alt" else {}
    return Formula(
        lambda a, b, dt, sigma=1: (a - b) / (dt * sigma),
        dict([first, second]) | {"dt": dt} | policy,
    )


ROWS, COLUMNS = 3, 4


@graded("1.6m", points=2)
class CacheBatch:
    """Which pairs make up the i-th batch of a cache of images, and the time that goes with them."""

    def inputs(rng):
        shape = (ROWS, COLUMNS, *IMAGE)
        return chain_inputs(rng) | {
            "order": np.stack([rng.permutation(ROWS * N) for _ in range(COLUMNS)]),
            "states": rng.normal(size=(N + 1, *shape)),
            "means": rng.normal(size=(N, *shape)),
            "means_next": rng.normal(size=(N, *shape)),
        }

    def probe(order, states, means, means_next, **chain):
        import torch

        from sde_todo import bridge

        seen = {}

        def target(method, chain, pairs, published=False):
            k, x, previous, start, *rest = pairs
            rest = [torch.zeros(0) if m is None else m for m in [*rest, None, None][:2]]
            seen.update(previous=previous, start=start, mean=rest[0], mean_next=rest[1])
            seen.update(pair_k=k, pair_x=x, published=published, method=method == "dsb")
            return 10 * x + start

        chain, out = chain_of(**chain), {}
        with standins.patched(bridge, target=target):
            full = bridge.Cache("dsb", chain, order, states, means, means_next, published=True)
            for i in (2, 0, 5 + order.shape[1]):
                seen.clear()
                s, x, y, k = full.batch(i)
                out |= {f"{i} {name}": v for name, v in {"s": s, "x": x, "y": y, "k": k}.items()}
                out |= {f"{i} {name}": value for name, value in seen.items()}
                out[f"{i} called"] = bool(seen)
            seen.clear()
            bridge.Cache("tr", chain, order, states).batch(1)
            out["without means"] = bool(seen) and not len(seen["mean"]) + len(seen["mean_next"])
        return out

    def check(got, order, states, means, means_next, s, a, q, sigma):
        column = np.arange(COLUMNS)
        for i in (2, 0, 5 + order.shape[1]):

            def pairs(i, N=N, swap=False):
                row, k = np.divmod(order[:, i % order.shape[1]], N)
                return (k % ROWS, row) if swap else (row, k)

            row, k = pairs(i)
            expect_that(got[f"{i} called"], "y is not made by `target`, which knows the method.")
            expect(
                got[f"{i} k"],
                k.astype(float),
                f"k of batch {i}",
                {
                    "every batch is batch 0": pairs(0)[1],
                    "it is the number of the row; k is the remainder": row,
                    "order counts the steps of a row before the next row: row = it // N": (
                        order[:, i % order.shape[1]] // ROWS
                    ),
                    "it is the number of the state after the step; k counts the step": k + 1,
                    "it is one batch too far": pairs(i + 1)[1],
                    "these are the pairs of one column for all; each column has its own order": (
                        order[0, i % order.shape[1]] % N
                    ),
                },
            )

            def at(values, k=k, row=row):
                return values[k, row, column]

            moved = {
                "it is x_k; the other direction is evaluated after the step, at x_{k+1}": at(
                    states
                ),
                "it is x_{k-1}; the other direction is evaluated after the step, at x_{k+1}": at(
                    states, k - 1
                ),
                "it is always taken from row 0": at(states, k + 1, 0 * row),
                "it is that of the first column for all": states[k + 1, row, 0],
            }
            expect(got[f"{i} x"], at(states, k + 1), f"x of batch {i}", moved)
            expect(got[f"{i} pair_x"], at(states, k + 1), f"x of the pairs of batch {i}", moved)
            expect(got[f"{i} pair_k"], k.astype(float), f"k of the pairs of batch {i}")
            last = states[-1][row, column]
            expect(
                got[f"{i} previous"],
                at(states),
                f"previous of batch {i}",
                {
                    "it is x_{k+1}; it is the state before the step": at(states, k + 1),
                    "it is the start of the path": at(states, 0 * k),
                },
            )
            expect(
                got[f"{i} start"],
                at(states, 0 * k),
                f"start of batch {i}",
                {
                    "it is x_N, where the simulated path ends; the other direction walks to its "
                    "start, x_0": last,
                    "it is x_k": at(states),
                    "it is x_1, the state after the first step": at(states, 0 * k + 1),
                    "it is that of row 0": at(states, 0 * k, 0 * row),
                },
            )
            wrong = "it belongs to the next step; mean and state have the number k"
            expect(
                got[f"{i} mean"],
                at(means),
                f"mean of batch {i}",
                {
                    "this is mean_next": at(means_next),
                    wrong: at(means, (k + 1) % N),
                },
            )
            expect(
                got[f"{i} mean_next"],
                at(means_next),
                f"mean_next of batch {i}",
                {
                    "this is mean": at(means),
                    wrong: at(means_next, (k + 1) % N),
                },
            )
            expect(
                got[f"{i} s"],
                1 - s[k + 1],
                f"s of batch {i}",
                {
                    "this is the clock of the simulated direction; that of the trained one is "
                    "1 - s": s[k + 1],
                    "it is off by one step: 1 - s of x_k, but the trained direction is at "
                    "x_{k+1}": 1 - s[k],
                    "it is s of x_k: neither the trained direction's clock nor that of the "
                    "state after the step": s[k],
                    "it is 1 + s": 1 + s[k + 1],
                    "it is 1 - (k + 1)/N; the steps differ": 1 - (k + 1) / N,
                    "it is k/N; the steps differ": k / N,
                    "it is taken from the end of the clock: 1 - s is no index that counts "
                    "backwards": 1 - s[::-1][k],
                },
            )
            want = 10 * at(states, k + 1) + at(states, 0 * k)
            expect(got[f"{i} y"], want, f"y of batch {i}", {"this is x": at(states, k + 1)})
            expect_that(got[f"{i} method"], "target is not asked for the method of the cache.")
            expect_that(got[f"{i} published"], "published is not handed on to target.")
        expect_that(
            got["without means"], "Where a cache holds no means, the pairs have None there."
        )


STARTS = {"from the first step": 0, "from step 5": 5, "from step 11": 11, "from step 14": 14}


class Recorder:
    """A run that notes what it is asked for, as rows of numbers; 1 is forward, 0 backward."""

    rounds, iters, refresh_every = 2, 7, 3

    def __init__(self):
        self.collected, self.trained = [], []

    def collect(self, name, half, i):
        self.collected.append([name == "forward", half, i])
        return Numbered(len(self.collected) - 1)

    def fit(self, name, batch):
        self.trained.append([name == "forward", *batch])
        return 100.0 + len(self.trained)


class Numbered:
    """A cache whose batches are its own number and theirs."""

    def __init__(self, number):
        self.number = number

    def batch(self, i):
        return self.number, i


@graded("1.6n", points=2)
class Rounds:
    """Which direction is simulated, which learns, on which batches; also where a run goes on."""

    def inputs(rng):
        return {"starts": np.array(list(STARTS.values()))}

    def probe(starts):
        import torch

        from sde_todo.bridge import train_bridge

        out = {}
        for first in starts.tolist():
            run = Recorder()
            yielded = list(train_bridge(run, first) if first else train_bridge(run))
            out[f"{first} yielded"] = torch.tensor(yielded).reshape(len(yielded), -1)
            out[f"{first} collected"] = torch.tensor(run.collected).float().reshape(-1, 3)
            out[f"{first} trained"] = torch.tensor(run.trained).float().reshape(-1, 3)
        return out

    def check(got, starts):
        rounds, iters, refresh = 2, 7, 3
        for name, first in STARTS.items():
            steps = np.arange(first, 2 * rounds * iters)
            half, i = np.divmod(steps, iters)
            begins = (i % refresh == 0) | (steps == first)
            forward = 1.0 - half % 2  # learns in half-rounds 0, 2, ...
            trained, collected = got[f"{first} trained"], got[f"{first} collected"]
            expect(
                np.array(len(trained)),
                float(len(steps)),
                f"number of steps ({name})",
                {
                    "a round is two half-rounds, one for each direction": rounds * iters - first,
                    "all steps are done once more": 2 * rounds * iters,
                },
            )
            expect(
                trained[:, 0],
                forward,
                f"direction that learns ({name}; 1 is forward)",
                {
                    "the half-rounds are in the wrong order: forward learns first": 1 - forward,
                    "backward never learns": 1.0,
                    "the directions are counted by 4; they alternate": 1.0 * (half % 4 == 0),
                    "forward never learns": 0.0,
                    "the directions change from step to step; a half-round has many": (
                        1.0 - steps % 2
                    ),
                    "the directions change after a whole round; they change after each half": (
                        1.0 - half // 2 % 2
                    ),
                },
            )
            expect(
                np.array(len(collected)),
                float(begins.sum()),
                f"number of caches ({name})",
                {
                    "a new one is collected in every step": len(steps),
                    "only one is collected in each half-round": len(np.unique(half)),
                    "only one is collected in all": 1,
                    "one is collected in every step but those where it is due": len(steps)
                    - ((i % refresh == 0) & (steps != first)).sum(),
                    "one is collected a step too late, or one step early": (
                        (i % refresh == 1) | (steps == first)
                    ).sum(),
                    "it is not collected again at the first step of a half-round": (
                        (steps % refresh == 0) | (steps == first)
                    ).sum(),
                },
            )
            expect(
                collected[:, 0],
                1 - forward[begins],
                f"direction that is simulated ({name}; 1 is forward)",
                {
                    "a direction learns from its own trajectories; it learns from the other's": (
                        forward[begins]
                    ),
                    "backward is never simulated": 1.0,
                    "forward is never simulated": 0.0,
                },
            )
            expect(
                collected[:, 1],
                half[begins].astype(float),
                f"half-round of each cache ({name})",
                {"it is the number of the round": half[begins] // 2},
            )
            expect(
                collected[:, 2],
                (i - i % refresh)[begins].astype(float),
                f"step at which each cache begins ({name})",
                {
                    "it is where the run went on; the cache began before that": i[begins],
                    "it counts from the first half-round": (steps - i % refresh)[begins],
                    "it is the number of the cache": (i // refresh)[begins],
                    "it is 0 for all": 0.0,
                },
            )
            expect(
                trained[:, 2],
                (i % refresh).astype(float),
                f"number of the batch ({name})",
                {
                    "it is batch 0 every time": 0.0,
                    "it counts from the start of the half-round; a new cache begins with 0": i,
                    "it counts from the first step of all": steps,
                    "it counts on from the first half-round": steps % refresh,
                    "it counts from where the run went on; the cache began before that": (
                        np.array([(steps[: n + 1][begins[: n + 1]]).max() for n in range(len(i))])
                        * -1
                        + steps
                    ),
                    "it starts with 1": i % refresh + 1,
                },
            )
            expect(
                trained[:, 1],
                begins.cumsum() - 1.0,
                f"cache of each batch ({name})",
                {"it is always the first": 0.0},
            )
            expect(
                got[f"{first} yielded"],
                np.stack([steps, 101.0 + np.arange(len(steps))], 1),
                f"steps and losses ({name})",
            )
