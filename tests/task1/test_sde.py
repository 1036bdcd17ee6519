"""Task 1.1: the processes, forward and in reverse."""

import math

import numpy as np

from autograder import standins
from autograder.formula import Formula
from autograder.harness import expect, expect_gaussian, expect_mean, expect_that, graded, one

B, D = 7, 3


def times_and_points(rng, T=1.0):
    t, x = rng.uniform(0.05 * T, T, B), rng.normal(size=(B, D))
    return {"t": t, "x": x, "image": rng.normal(size=(B, 2, 3, 4))}


def evaluate(sde, t, x, image):
    """Coefficients and marginals on points and on images, as arrays."""
    f, g = sde.sde_coeff(t, x)
    mean, std = sde.marginal_prob(t, x)
    image_mean, image_std = sde.marginal_prob(t, image)
    return {"f": f, "g": g, "mean": mean, "std": std} | {
        "image_mean": image_mean,
        "image_std": image_std,
    }


def own_prior(sde):
    """Draws and log densities of a process's own prior, empty where it has that of SDE (1.1e)."""
    import torch

    from sde_todo.sde import SDE

    def own(name):
        return getattr(type(sde), name) is not getattr(SDE, name)

    none = torch.zeros(0, D)
    like = torch.full((20_000, D), 100.0)
    draws = sde.prior_sampling(like) if own("prior_sampling") else none
    logp = sde.prior_logp(torch.ones(2, D)) if own("prior_logp") else none
    return {"prior draws": draws, "prior logp": logp}


def check_own_prior(got, std):
    """The law that `own_prior` found is N(0, std^2 I)."""
    if len(got["prior draws"]):
        message = "standard deviation of its own prior_sampling; that of SDE would do"
        named = {"it is 1; the prior has prior_std()": 1.0, "this is the variance": std**2}
        expect(got["prior draws"].std(), std, message, named, rtol=0.02)
        moved = {"it moves with x; only the shape of x counts": 100.0}
        expect_mean(got["prior draws"], np.zeros(D), "mean of its own prior_sampling", moved)
    if len(got["prior logp"]):
        want = np.full(2, -D / 2 * (1 / std**2 + np.log(2 * np.pi * std**2)))
        expect(got["prior logp"], want, "its own prior_logp at (1, ..., 1); that of SDE would do")


def check_images(got, t, image, alpha, std):
    """The marginals on (B, C, H, W): alpha and std are (B, 1)."""
    shape = (len(t), 1, 1, 1)
    expect(got["image_mean"], alpha.reshape(shape) * image, "mean of images (B, C, H, W)")
    want = np.broadcast_to(std.reshape(shape), image.shape)
    expect(got["image_std"], want, "std of images (B, C, H, W)", broadcast=True)


@graded("1.1a", points=2)
class OUCoefficients:
    """Drift and diffusion of the OU process."""

    def inputs(rng):
        return times_and_points(rng)

    def probe(t, x, image):
        from sde_todo.sde import OU

        f, g = OU().sde_coeff(t, x)
        return {"f": f, "g": g}

    def check(got, t, x, image):
        drifts = {
            "this is -x, but the drift is -x/2": -x,
            "the sign is wrong: the drift pulls towards 0": x / 2,
        }
        expect(got["f"], Formula(lambda x: -x / 2, {"x": x}), "drift f", drifts)
        expect(got["g"], np.ones_like(x), "diffusion g", broadcast=True)


@graded("1.1a", points=3)
class OUMarginal:
    """Mean and standard deviation of the OU process, on points and images."""

    def inputs(rng):
        return times_and_points(rng, T=3.0)

    def probe(t, x, image):
        from sde_todo.sde import OU

        return evaluate(OU(), t, x, image) | own_prior(OU())

    def check(got, t, x, image):
        t = t[:, None]
        means = {
            "it decays too fast: this is exp(-t) x0, the mean is exp(-t/2) x0": np.exp(-t) * x,
            "it grows: the mean is exp(-t/2) x0": np.exp(t / 2) * x,
            "this is x0: the drift shrinks it by exp(-t/2)": x,
        }
        true = Formula(lambda t, x_0: np.exp(-t / 2) * x_0, {"t": t, "x_0": x})
        expect(got["mean"], true, "mean", means)
        variance = 1 - np.exp(-t)
        check_std(
            got["std"],
            variance,
            x,
            {
                "the exponent is half of what it should be: var = 1 - exp(-t)": 1 - np.exp(-t / 2),
                "the exponent is twice what it should be: var = 1 - exp(-t)": 1 - np.exp(-2 * t),
                "this is Brownian motion, var = t; the drift keeps it below 1": t,
            },
        )
        check_images(got, t, image, np.exp(-t / 2), np.sqrt(variance))
        check_own_prior(got, 1.0)


def check_std(got, variance, x, variances):
    """Check a standard deviation (B, 1); `variances` maps mistakes to the variance they give."""
    mistakes = {"this is the variance; the standard deviation is its square root": variance}
    for message, value in variances.items():
        mistakes[message] = np.sqrt(value)
        mistakes[message + ", and a square root is missing"] = value
    mistakes = {message: np.broadcast_to(v, x.shape) for message, v in mistakes.items()}
    want = np.broadcast_to(np.sqrt(variance), x.shape)
    expect(got, want, "standard deviation", mistakes, broadcast=True)


@graded("1.1b", points=4)
class VP:
    """Coefficients and marginals of the VP process, with beta_min, beta_max and T of its own."""

    def inputs(rng):
        T = float(rng.uniform(1.6, 2.4))
        betas = {"beta_min": float(rng.uniform(0.2, 1)), "beta_max": float(rng.uniform(4, 7))}
        return times_and_points(rng, T) | betas | {"T": T}

    def probe(t, x, image, beta_min, beta_max, T):
        from sde_todo.sde import VPSDE

        sde = VPSDE(beta_min=beta_min, beta_max=beta_max, T=T)
        return evaluate(sde, t, x, image) | own_prior(sde)

    def check(got, t, x, image, beta_min, beta_max, T):
        t = t[:, None]
        beta, integral = vp_rates(t, beta_min, beta_max, T)
        rates = {
            TAKEN_FOR_1: vp_rates(t, beta_min, beta_max, 1.0)[0],
            "t is multiplied by T; divide, so that beta_max is reached at t = T": vp_rates(
                t, beta_min, beta_max, 1 / T
            )[0],
            "this has beta_max = 20; use self.beta_max": vp_rates(t, beta_min, 20.0, T)[0],
            "this has beta_min = .1; use self.beta_min": vp_rates(t, 0.1, beta_max, T)[0],
            "beta_min is missing: beta(0) is beta_min": beta - beta_min,
            "this is beta_min + beta_max t/T, which ends above beta_max": beta + beta_min * t / T,
            "the slope is (beta_max - beta_min)/T; their sum ends above beta_max": (
                beta + 2 * beta_min * t / T
            ),
            "beta falls: it is beta_min at t = 0 and beta_max at t = T": (
                beta_max - (beta_max - beta_min) * t / T
            ),
            "beta goes from beta_min down: the slope has the wrong sign": 2 * beta_min - beta,
            "this has the integral of beta instead of beta": integral,
        }
        default = {said: -value * x / 2 for said, value in rates.items()}
        check_vp_drift(got["f"], rate_of(beta_min, beta_max, T), t, x, default)
        roots = {"this is beta; g is its square root": beta * np.ones_like(x)}
        expect(got["g"], np.sqrt(beta) * np.ones_like(x), "diffusion g", roots, broadcast=True)
        integrals = {
            TAKEN_FOR_1: vp_rates(t, beta_min, beta_max, 1.0)[1],
            "the integral of t/T is t^2/(2 T): the T has moved": vp_rates(
                t, beta_min, beta_max, 1 / T
            )[1],
            "beta_min t is missing in the integral": integral - beta_min * t,
            "the integral of beta_min is beta_min t, and there is beta_min": (
                integral - beta_min * t + beta_min
            ),
            "the part of the integral with t^2 is missing": beta_min * t,
            "the part of the integral with t^2 has the wrong sign": 2 * beta_min * t - integral,
            "t^2 is t in the integral: that of t/T is t^2/(2 T)": (
                beta_min * t + (beta_max - beta_min) * t / (2 * T)
            ),
            "the integral has beta_max t^2, not (beta_max - beta_min) t^2": (
                integral + beta_min * t**2 / (2 * T)
            ),
            "this has beta instead of its integral": beta,
        }
        means = {said: np.exp(-value / 2) * x for said, value in integrals.items()}
        check_vp_mean(got["mean"], rate_of(beta_min, beta_max, T, 1), t, beta * t, x, means)
        check_std(
            got["std"],
            1 - np.exp(-integral),
            x,
            {
                "beta(t) t is used instead of the integral of beta": 1 - np.exp(-beta * t),
                "the exponent is half of what it should be": 1 - np.exp(-integral / 2),
                "that is the sub-VP process: VP has var = 1 - exp(-B)": (1 - np.exp(-integral))
                ** 2,
            },
        )
        check_images(got, t, image, np.exp(-integral / 2), np.sqrt(1 - np.exp(-integral)))
        check_own_prior(got, 1.0)


TAKEN_FOR_1 = "T is taken for 1: beta reaches beta_max at t = T, so it grows with t/T"


def vp_rates(t, beta_min, beta_max, T):
    """beta and its integral from 0 to t."""
    slope = (beta_max - beta_min) / T
    return beta_min + slope * t, beta_min * t + slope * t**2 / 2


def rate_of(beta_min, beta_max, T, which=0):
    """beta as a function of time alone; its integral with which = 1."""
    return lambda t: vp_rates(t, beta_min, beta_max, T)[which]


def check_vp_drift(got, rate, t, x, mistakes=None):
    beta = rate(t)
    mistakes = (mistakes or {}) | {
        "this is -beta x; the drift is -beta x / 2, or the variance settles at 1/2": -beta * x,
        "the sign is wrong: the drift pulls towards 0": beta * x / 2,
    }
    true = Formula(lambda t, x: -rate(t) * x / 2, {"t": t, "x": x})
    expect(got, true, "drift f", mistakes)


def check_vp_mean(got, rate, t, product, x, mistakes=None):
    integral = rate(t)
    mistakes = (mistakes or {}) | {
        "it decays too fast: this is exp(-B) x0, the mean is exp(-B/2) x0": np.exp(-integral) * x,
        "beta(t) t is used instead of the integral of beta: that of t is t^2/2": np.exp(
            -product / 2
        )
        * x,
        "this is x0: the drift shrinks it": x,
    }
    true = Formula(lambda t, x_0: np.exp(-rate(t) / 2) * x_0, {"t": t, "x_0": x})
    expect(got, true, "mean", mistakes)


@graded("1.1c", points=4)
class VE:
    """Coefficients, marginals and prior of the VE process."""

    def inputs(rng):
        sigmas = {
            "sigma_min": float(rng.uniform(0.02, 0.1)),
            "sigma_max": float(rng.uniform(5, 20)),
        }
        T = float(rng.uniform(1.6, 2.4))
        return times_and_points(rng, T) | sigmas | {"T": T}

    def probe(t, x, image, sigma_min, sigma_max, T):
        from sde_todo.sde import VESDE

        sde = VESDE(sigma_min=sigma_min, sigma_max=sigma_max, T=T)
        return evaluate(sde, t, x, image) | {"prior_std": sde.prior_std()} | own_prior(sde)

    def check(got, t, x, image, sigma_min, sigma_max, T):
        t = t[:, None]
        one = np.ones_like(x)
        ratio = sigma_max / sigma_min
        rate = np.log(ratio) / T
        sigma = sigma_min * ratio ** (t / T)
        linear = sigma_min + (sigma_max - sigma_min) * t / T
        expect(got["f"], 0 * x, "drift f", {"VE has no drift; this is that of OU": -x / 2})
        levels = {
            "T is taken for 1 in sigma(t): it reaches sigma_max at t = T": sigma_min * ratio**t,
            "t is multiplied by T in sigma(t); divide": sigma_min * ratio ** (t * T),
            "sigma grows in a straight line; it is its logarithm that does": linear,
            "sigma_min is missing in front: this is (sigma_max/sigma_min)^(t/T)": ratio ** (t / T),
            "sigma falls: the ratio is upside down": sigma_min * ratio ** (-t / T),
            "sigma(0) is sigma_max: the ends are exchanged": sigma_max * ratio ** (-t / T),
        }
        factors = {
            "T is missing: the derivative of t/T is 1/T": np.log(ratio),
            "log(sigma_max/sigma_min) is multiplied by T; the derivative of t/T is 1/T": (
                np.log(ratio) * T
            ),
            "the logarithm is missing: log(sigma_max/sigma_min)/T": ratio / T,
        }
        level = Formula(
            lambda t, sigma_min, ratio: sigma_min * ratio ** (t / T) * np.sqrt(2 * rate) * one,
            {"t": t, "sigma_min": sigma_min, "sigma_max/sigma_min": ratio},
        )
        expect(
            got["g"],
            level,
            "diffusion g",
            {
                "a factor of 2 is missing under the root: g^2 is the derivative of sigma^2, "
                "not sigma times that of sigma": sigma * np.sqrt(rate) * one,
                "this is sigma(t), the marginal's deviation: the factor "
                "sqrt(2 log(sigma_max/sigma_min) / T) is missing, as g^2 is the derivative of "
                "sigma^2": sigma * one,
                "the root of 2 log(sigma_max/sigma_min) is missing": sigma * 2 * rate * one,
                "this is g^2": sigma**2 * 2 * rate * one,
            }
            | {said: level * np.sqrt(2 * rate) * one for said, level in levels.items()}
            | {said: sigma * np.sqrt(2 * factor) * one for said, factor in factors.items()}
            | {
                f"{said}, and T is missing under the root": level * np.sqrt(2 * np.log(ratio)) * one
                for said, level in levels.items()
            }
            | {said: g * one for said, g, _ in other_ve(t, T, sigma_max, sigma_min)},
            broadcast=True,
        )
        expect(
            got["mean"],
            x,
            "mean",
            {
                "VE does not shrink the data: the mean is x0": np.exp(-t / 2) * x,
            },
        )
        check_std(
            got["std"],
            sigma**2,
            x,
            {
                "here X_0 already carries the noise sigma_min: std is sigma(t) itself": sigma**2
                - sigma_min**2,
            }
            | {said: level**2 for said, level in levels.items()}
            | {said: variance for said, _, variance in other_ve(t, T, sigma_max, sigma_min)},
        )
        expect(
            got["prior_std"],
            sigma_max,
            "prior_std",
            {
                "the prior is the law at T, N(0, sigma_max^2 I), not a standard normal": 1.0,
                "this is the variance": sigma_max**2,
                "this is sigma_min, the level at 0; at T it is sigma_max": sigma_min,
            },
        )
        check_images(got, t, image, np.ones_like(t), sigma)
        check_own_prior(got, sigma_max)


def other_ve(t, T, sigma_max, sigma_min):
    """g and variance of the popular process dX = sigma^t dW, for what may be its sigma and t."""
    for base, symbol in ((sigma_max, "sigma_max"), (sigma_max / sigma_min, "sigma_max/sigma_min")):
        for time, power in ((t, "sigma^t"), (t / T, "sigma^(t/T)")):
            said = (
                f"this is another process, dX = {power} dW with sigma = {symbol}; here the std is "
                f"sigma(t) = sigma_min (sigma_max/sigma_min)^(t/T) and g^2 = d sigma(t)^2/dt"
            )
            yield said, base**time, (base ** (2 * time) - 1) / (2 * np.log(base))


@graded("1.1d", points=3)
class SubVP:
    """Coefficients and marginals of the sub-VP process."""

    inputs = VP.inputs

    def probe(t, x, image, beta_min, beta_max, T):
        from sde_todo.sde import SubVPSDE

        sde = SubVPSDE(beta_min=beta_min, beta_max=beta_max, T=T)
        sde.beta = lambda t: vp_rates(t, beta_min, beta_max, T)[0]
        sde.beta_integral = lambda t: vp_rates(t, beta_min, beta_max, T)[1]
        return evaluate(sde, t, x, image) | own_prior(sde)

    def check(got, t, x, image, beta_min, beta_max, T):
        t, one = t[:, None], np.ones_like(x)
        beta, integral = vp_rates(t, beta_min, beta_max, T)
        decay = np.exp(-2 * integral)
        variance_rate, vp = beta * (1 - decay), np.sqrt(beta)
        check_vp_drift(got["f"], rate_of(beta_min, beta_max, T), t, x)
        expect(
            got["g"],
            np.sqrt(variance_rate) * one,
            "diffusion g",
            {
                "this is g^2; take its root": variance_rate * one,
                "this is VP; sub-VP has the factor 1 - exp(-2 B) under the root": vp * one,
                "the exponent is -2 B, not -B": np.sqrt(beta * (1 - np.exp(-integral))) * one,
                "the exponent is -2 B, not -4 B": np.sqrt(beta * (1 - decay**2)) * one,
                "1 - exp(-2 B) belongs under the root too": vp * (1 - decay) * one,
                "this is sqrt(beta) (1 - exp(-B)); under the root is beta (1 - exp(-2 B))": (
                    vp * (1 - np.exp(-integral)) * one
                ),
                "beta belongs under the root too": beta * np.sqrt(1 - decay) * one,
                "beta is missing under the root": np.sqrt(1 - decay) * one,
                "1 - is missing under the root: beta (1 - exp(-2 B))": vp * np.sqrt(decay) * one,
                "it is a sum under the root: 1 - exp(-2 B), not 1 + exp(-2 B)": (
                    np.sqrt(beta * (1 + decay)) * one
                ),
                "this is the std; g^2 is the rate beta (1 - exp(-2 B))": (
                    (1 - np.exp(-integral)) * one
                ),
                "B is taken for beta(t) t; use self.beta_integral": (
                    np.sqrt(beta * (1 - np.exp(-2 * beta * t))) * one
                ),
                "beta and its integral B are exchanged": (
                    np.sqrt(integral * (1 - np.exp(-2 * beta))) * one
                ),
                "beta in the exponent is the rate; B is its integral, self.beta_integral": (
                    np.sqrt(beta * (1 - np.exp(-2 * beta))) * one
                ),
                "B in front is the integral; the rate is self.beta": (
                    np.sqrt(integral * (1 - decay)) * one
                ),
            },
            broadcast=True,
        )
        check_vp_mean(got["mean"], rate_of(beta_min, beta_max, T, 1), t, beta * t, x)
        check_std(
            got["std"],
            (1 - np.exp(-integral)) ** 2,
            x,
            {
                "this is the VP process; sub-VP has var = (1 - exp(-B))^2": 1 - np.exp(-integral),
                "the exponent is twice what it should be": (1 - decay) ** 2,
                "the exponent is half of what it should be": (1 - np.exp(-integral / 2)) ** 2,
                "the variance is squared twice: std is 1 - exp(-B)": (1 - np.exp(-integral)) ** 4,
                "beta(t) t is used instead of the integral of beta": (1 - np.exp(-beta * t)) ** 2,
                "beta is used instead of its integral B": (1 - np.exp(-beta)) ** 2,
                "1 - is missing: std is 1 - exp(-B)": np.exp(-2 * integral),
            },
        )
        check_images(got, t, image, np.exp(-integral / 2), 1 - np.exp(-integral))
        check_own_prior(got, 1.0)


@graded("1.1e", points=2)
class PriorSampling:
    """Draws from N(0, s^2 I): mean, deviation, and nothing taken from x."""

    def inputs(rng):
        return {"s": float(rng.uniform(2, 4))}

    def probe(s):
        import torch

        from sde_todo.sde import SDE

        sde = standins.toy_forward(SDE)
        sde.prior_std = lambda: s
        like = torch.full((20_000, D), 100.0, dtype=torch.float64)
        draws = sde.prior_sampling(like)
        return {"draws": draws, "double": draws.dtype == torch.float64}

    def check(got, s):
        expect(one(got["draws"]) * 0, np.zeros((1, D)), "one draw")
        expect_that(got["double"], "The draws do not have the dtype of x; torch.randn_like does.")
        expect_mean(
            got["draws"],
            np.zeros(D),
            "mean of the prior",
            {
                "it moves with x; only the shape of x counts": 100.0,
            },
        )
        expect_mean(
            got["draws"] ** 2,
            np.full(D, s**2),
            "variance of the prior",
            {
                "it is 1: multiply by self.prior_std()": 1.0,
                "it is s, so the noise was multiplied by the root of the deviation": s,
                "it is s^4, so the noise was multiplied by the variance": s**4,
            },
        )
        check_normal(got["draws"] / s, "the prior")


def check_normal(z, name, unit=1.0):
    """Check that noise of the right mean and variance is normal: 1/z has neither.

    Args:
        z: (n, D) draws that should be standard normal.
        name: what they are of.
        unit: z with z in the denominator is 1/(unit z).
    """

    def within(deviations):
        return math.erf(deviations / math.sqrt(2))

    expect_mean(
        np.abs(z) < 1,
        np.full(z.shape[1], within(1)),
        f"share of draws within one deviation ({name})",
        {
            "the noise is in the denominator; multiply by it": 1 - within(1 / unit),
            "the noise is uniform; it is normal, as by torch.randn_like": 1 / math.sqrt(3),
            "the noise is a sign; it is normal, as by torch.randn_like": 0.0,
        },
    )


@graded("1.1e", points=2)
class PriorLogDensity:
    """log N(x; 0, s^2 I) on points and on images."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, D)),
            "image": rng.normal(size=(5, 2, 3, 4)),
            "s": float(rng.uniform(2, 4)),
        }

    def probe(x, image, s):
        from sde_todo.sde import SDE

        sde = standins.toy_forward(SDE)
        sde.prior_std = lambda: s
        return {"points": sde.prior_logp(x), "images": sde.prior_logp(image)}

    def check(got, x, image, s):
        for name, samples in (("points", x), ("images", image)):
            flat = samples.reshape(len(samples), -1)
            n = flat.shape[1]
            energy = (flat**2).sum(1) / 2
            constant = n / 2 * np.log(2 * np.pi * s**2)
            true = Formula(
                lambda x, p, two, s, power, D, pi, below: (
                    -(x**p).sum(1) / (two * s**power) - D / 2 * np.log(pi * below)
                ),
                {
                    "x": flat,
                    "the exponent of x": 2,
                    "the 2 of |x|^2/(2 s^2)": 2,
                    "s (below |x|^2)": s,
                    "the exponent of s": 2,
                    "D": n,
                    "2 pi": 2 * np.pi,
                    "s^2 (in the logarithm)": s**2,
                },
            )
            expect(
                got[name],
                true,
                f"log density of {name}",
                {
                    "the constant -(D/2) log(2 pi s^2) is missing": -energy / s**2,
                    "the constant counts one number a sample; each sample has D": -energy / s**2
                    - constant / n,
                    "s is taken for 1: use self.prior_std()": -energy - n / 2 * np.log(2 * np.pi),
                    "the constant holds log(2 pi s); it must be log(2 pi s^2)": -energy / s**2
                    - n / 2 * np.log(2 * np.pi * s),
                    "|x|^2 is divided by s; it must be s^2": -energy / s - constant,
                    "s is used instead of the variance s^2 in both places": -energy / s
                    - n / 2 * np.log(2 * np.pi * s),
                    "it is a mean over the D numbers; a log density is their sum": (
                        -energy / s**2 - constant
                    )
                    / n,
                    "the sign is wrong": energy / s**2 + constant,
                },
            )


@graded("1.1f", points=2)
class BrownianIncrement:
    """dw has variance dt, for the dt that is passed and for self.dt."""

    def inputs(rng):
        return {"dt": float(rng.uniform(0.02, 0.06))}

    def probe(dt):
        import torch

        from sde_todo.sde import SDE

        sde = standins.toy_forward(SDE, N=5, T=3.0)
        x = torch.full((20_000, D), 100.0)
        return {"passed": sde.dw(x, dt), "default": sde.dw(x)}

    def check(got, dt):
        for name, step in (("passed", dt), ("default", 0.6)):
            expect(one(got[name]) * 0, np.zeros((1, D)), "one increment")
            expect_mean(got[name], np.zeros(D), "mean of dw", {"it contains x": 100.0})
            expect_mean(
                got[name] ** 2,
                np.full(D, step),
                f"variance of dw ({name} dt = {step:.3g})",
                {
                    "it is dt^2: the noise is sqrt(dt) z, not dt z, which is too smooth": step**2,
                    "it is 1: multiply the noise by sqrt(dt)": 1.0,
                    "it is self.dt although a dt was passed": 0.6,
                    "it is sqrt(dt): the noise was multiplied by dt^(1/4)": step**0.5,
                },
            )
            check_normal(got[name] / step**0.5, f"dw, {name} dt")


@graded("1.1f", points=2)
class ForwardStep:
    """One Euler-Maruyama step of a toy process: mean x + f dt, variance g^2 dt."""

    def inputs(rng):
        return {"x": rng.normal(size=D), "t": 0.15, "dt": float(rng.uniform(0.02, 0.06))}

    def probe(x, t, dt):
        from sde_todo.sde import SDE

        return step_many(standins.toy_forward(SDE, N=5, T=3.0), t, x, dt)

    def check(got, x, t, dt):
        f, g = -x / (1 + t), standins.g(t)
        check_step(got["passed"], x, f, g, dt, "a step of the dt that is passed")
        check_step(got["default"], x, f, g, 0.6, "a step of self.dt")


def step_many(sde, t, x, dt, **options):
    """The same step for 20,000 copies of one point, with the dt passed and without."""
    import torch

    def dw(x, dt=None):
        return torch.randn_like(x) * (sde.dt if dt is None else dt) ** 0.5

    sde.dw = dw  # an open or wrong dw is not punished again here
    many = x.repeat(20_000, 1)
    times = torch.full((20_000,), t)
    return {
        "passed": sde.predict_fn(times, many, dt, **options),
        "default": sde.predict_fn(times, many, **options),
    }


def check_step(got, x, f, g, dt, name, others=None):
    expect(one(got) * 0, np.zeros((1, len(x))), "one step")
    expect_mean(
        got,
        Formula(lambda x, f, dt: x + f * dt, {"x": x, "the drift": f, "dt": dt}),
        f"mean of {name}",
        (others or {})
        | {
            "the drift is not multiplied by dt": x + f,
            "self.dt is used for the drift although a dt was passed": x + f * 0.6,
            "x itself is missing: a step is x plus the change": f * dt,
            "the drift has the wrong sign": x - f * dt,
            "the drift is divided by dt; multiply": x + f / dt,
            "the drift is missing": x,
        },
    )
    centred = got - got.mean(0)
    expect_mean(
        centred**2,
        np.full(len(x), g**2 * dt),
        f"variance of {name}",
        {
            "there is no noise": 0.0,
            "g is missing before the noise": dt,
            "it is g dt: the noise is multiplied by the root of g": g * dt,
            "self.dt is used for the noise although a dt was passed": g**2 * 0.6,
            "dt enters twice: dw already has the factor sqrt(dt)": g**2 * dt**2,
            "dt enters twice: dw already has the factor sqrt(dt), which is needed once": g**2
            * dt**3,
        },
    )
    check_normal((got - (x + f * dt)) / (g * dt**0.5), f"noise of {name}", unit=dt)


def toy_score(t, x):
    """A score for the toy process that depends on t and x."""
    return -(0.4 + t.reshape(-1, *[1] * (x.ndim - 1))) * x + 0.3


@graded("1.1g", points=4)
class ReverseCoefficients:
    """Drift and diffusion of the reverse SDE, of the ODE, and of the family between them."""

    def inputs(rng):
        return {
            "s": rng.uniform(0.2, 1.3, B),
            "x": rng.normal(size=(B, D)),
            "lam": float(rng.uniform(0.3, 0.7)),
        }

    def probe(s, x, lam):
        from sde_todo.sde import SDE

        forward = standins.toy_forward(SDE, N=17, T=3.0, c=2.0)
        out = {}
        for name, process in (
            ("sde", forward.reverse(toy_score)),
            ("between", forward.reverse(toy_score, lam)),
        ):
            out[f"{name} drift"], out[f"{name} g"] = process.sde_coeff(s, x)
        reverse = forward.reverse(toy_score)
        out["ode drift"], out["ode g"] = reverse.ode_coeff(s, x)
        return out | {"T": reverse.T, "N": reverse.N}

    def check(got, s, x, lam):
        expect(got["T"], 3.0, "T of the reverse process", {"it was lost": 1.0})
        expect(got["N"], 17, "N of the reverse process")
        check_reverse_drift(got["sde drift"], s, x, 0.0, "drift of the reverse SDE")
        check_reverse_drift(got["ode drift"], s, x, 1.0, "drift of the ODE")
        check_reverse_drift(got["between drift"], s, x, lam, f"drift for lam = {lam:.2f}")
        g = standins.g(3.0 - s[:, None], 2.0) * np.ones_like(x)
        stale = {
            "g is taken at s; the forward process wants t = T - s": standins.g(s[:, None], 2.0)
            * np.ones_like(x)
        }
        expect(got["sde g"], g, "diffusion of the reverse SDE", stale, broadcast=True)
        expect(
            got["ode g"], 0 * x, "diffusion of the ODE", {"an ODE has no noise": g}, broadcast=True
        )
        expect(
            got["between g"],
            np.sqrt(1 - lam) * g,
            f"diffusion for lam = {lam:.2f}",
            {
                "the variance shrinks by 1 - lam, so g by its root": (1 - lam) * g,
                "lam is not used": g,
                "the roles of lam = 0 and 1 are exchanged": np.sqrt(lam) * g,
            },
            broadcast=True,
        )


def check_reverse_drift(got, s, x, lam, name):
    def drift(t, f_sign=-1.0, half=1 - lam / 2, power=2, t_score=None, s_sign=1.0):
        score = -(0.4 + (t if t_score is None else t_score)) * x + 0.3
        return f_sign * (-x / (1 + t)) + s_sign * half * standins.g(t, 2.0) ** power * score

    s = s[:, None]
    t = 3.0 - s
    mistakes = {
        "the score is multiplied by g; it must be g^2": drift(t, power=1),
        "the forward drift keeps its sign; time runs backwards, so it is -f": drift(t, f_sign=1.0),
        "the score pulls the wrong way: the drift is -f + ... score": drift(t, s_sign=-1.0),
        "everything is evaluated at s; the forward process and the score want t = T - s": drift(s),
        "the score is evaluated at s, it wants t = T - s": drift(t, t_score=s),
        "f and g are evaluated at s, they want t = T - s": drift(s, t_score=t),
        "the forward drift -f is missing": drift(t, f_sign=0.0),
    }
    if lam == 1.0:
        mistakes["the factor 1/2 is missing: the ODE has g^2 score / 2"] = drift(t, half=1.0)
        mistakes["the score is lost: its factor is 1 - lam/2, not 1 - lam"] = drift(t, half=0.0)
    if lam == 0.0:
        mistakes["a factor 1/2 too many: that is the ODE; the SDE has g^2 score"] = drift(
            t, half=0.5
        )
    if 0 < lam < 1:
        mistakes["the factor of the score is 1 - lam; it must be 1 - lam/2"] = drift(
            t, half=1 - lam
        )
        mistakes["lam is not used"] = drift(t, half=1.0)
    expect(got, reverse_drift(s, x, lam), name, mistakes)


def reverse_drift(s, x, lam):
    """The drift as a formula, with numbers that leave parts of it out."""

    def drift(T, s, lam, of_f, power, of_score):
        t = T - s
        score = -(0.4 + t) * x + 0.3
        return of_f * x / (1 + t) + (1 - lam / 2) * standins.g(t, 2.0) ** power * score**of_score

    return Formula(
        drift,
        {
            "T": 3.0,
            "s": s,
            "lam": lam,
            "the factor of -f": 1,
            "the exponent of g": 2,
            "the exponent of the score": 1,
        },
    )


@graded("1.1g", points=2)
class ReverseStep:
    """One step of the reverse SDE and one of the ODE, with the dt that is passed."""

    def inputs(rng):
        return {"x": rng.normal(size=D), "s": 1.1, "dt": float(rng.uniform(0.02, 0.06))}

    def probe(x, s, dt):
        import torch

        from sde_todo.sde import SDE

        reverse = standins.toy_forward(SDE, N=5, T=3.0).reverse(toy_score)

        def sde_coeff(s, x):
            standins.check_times(s, x, "sde_coeff")
            return -x - 0.5 * s[:, None], torch.full_like(x, 1.7)

        def ode_coeff(s, x):
            standins.check_times(s, x, "ode_coeff")
            return 0.7 * x + s[:, None], 0.0 * x

        def family_coeff(s, x, lam):
            return ode_coeff(s, x) if lam == 1 else sde_coeff(s, x)

        reverse.sde_coeff, reverse.ode_coeff = sde_coeff, ode_coeff
        reverse.family_coeff = family_coeff
        out = step_many(reverse, s, x, dt)
        ode = step_many(reverse, s, x, dt, ode=True)
        return out | {"ode": ode["passed"][:2], "ode default": ode["default"][:2]}

    def check(got, x, s, dt):
        drift, ode = -x - 0.5 * s, 0.7 * x + s
        for name, step in (("the dt that is passed", dt), ("self.dt", 0.6)):
            ours = got["passed" if step == dt else "default"]
            others = {"it follows the ODE, which has another drift": x + ode * step}
            check_step(ours, x, drift, 1.7, step, f"a reverse SDE step of {name}", others)
        for name, step in (("ode", dt), ("ode default", 0.6)):
            expect_that(
                np.allclose(got[name][0], got[name][1]),
                "Two equal points part in an ODE step: there must be no noise.",
            )
            expect(
                got[name][0],
                Formula(lambda x, f, dt: x + f * dt, {"x": x, "the drift": ode, "dt": step}),
                f"an ODE step of dt = {step:.3g}",
                {
                    "it uses the drift of the SDE": x + drift * step,
                    "self.dt is used although a dt was passed": x + ode * 0.6,
                    "the drift is not multiplied by dt": x + ode,
                    "the drift is divided by dt; multiply": x + ode / step,
                    "the drift is missing": x,
                    "x itself is missing: a step is x plus the change": ode * step,
                    "the drift has the wrong sign": x - ode * step,
                },
            )


@graded("1.3c", points=3)
class Langevin:
    """One Langevin step: its mean moves by eps score, its variance is 2 eps."""

    def inputs(rng):
        return {"score": rng.uniform(1, 2, size=D), "snr": float(rng.uniform(0.2, 0.3))}

    def probe(score, snr):
        import torch

        from sde_todo.sde import SDE

        sde = standins.toy_forward(SDE)
        n = 40_000
        # Half of the samples have a score twice as long: a mean over the batch is 1.5 |score|.
        scores = score * (1 + (torch.arange(n) % 2)[:, None])
        x = torch.full((n, D), 0.5)

        def score_fn(t, x):
            standins.check_times(t, x, "score_fn")
            return scores + 0 * x

        t = torch.full((n,), 0.7)
        out = sde.correct_fn(t, x, score_fn, snr)
        wider = sde.correct_fn(t, x, score_fn, 2 * snr)
        steeper = sde.correct_fn(t, x, lambda t, x: 3 * score_fn(t, x), snr)
        out = {"out": out, "2 snr": wider, "3 score": steeper}
        return out | {"still": sde.correct_fn(t, x, lambda t, x: 0 * x, snr)}

    def check(got, score, snr):
        expect(one(got["out"]) * 0, np.zeros((1, D)), "one corrected sample")
        z_norm = 2 * np.sqrt(2 / np.pi)  # mean length of a normal vector in three dimensions
        square = np.linalg.norm(score) ** 2
        eps = 2 * snr**2 * D / (1.5**2 * square)
        expect_gaussian(got["out"][::2], "the step")
        runs = ("out", "2 snr", "3 score")
        ratios, lengths = np.array([1, 2, 1]), np.array([1, 1, 3])  # of snr and of the score
        eps = eps * (ratios / lengths) ** 2
        variance = np.array([got[name][::2].var(0).mean() for name in runs])
        expect(
            variance,
            Formula(
                lambda under, two, snr, root, norm, square: (
                    under * two * (snr * root / norm) ** square
                ),
                {
                    "the 2 of sqrt(2 eps)": 2,
                    "the 2 of eps": 2,
                    "snr": ratios * snr,
                    "sqrt(D)": D**0.5,
                    "|score|": lengths * 1.5 * square**0.5,
                    "the exponent of snr sqrt(D)/|score|": 2,
                },
            ),
            "variance of the step, for snr, 2 snr and 3 score",
            {
                "it is eps: Langevin noise is sqrt(2 eps) z, or the variance settles at 1/2": eps,
                "it is (2 eps)^2: the root is missing": (2 * eps) ** 2,
                "there is no noise": 0.0,
                "eps is half of 2 (snr sqrt(D)/|score|)^2": eps,
                "the ratio snr sqrt(D)/|score| is not squared": 2 * np.sqrt(2 * eps),
                "sqrt(2 eps) is missing before the noise": 1.0,
                "2 eps divides under the root; multiply": 2 / eps,
                "snr sqrt(D)/|score| is upside down in eps": 8 / eps,
                "|score| multiplies; divide by it": 2 * eps * (lengths * 1.5) ** 4 * square**2,
                "|z| is drawn with the noise; the step is to have sqrt(D), which is not": 2
                * eps
                * z_norm**2
                / D,
                "D is missing: |z| is sqrt(D)": 2 * eps / D,
                "the norm is of the whole batch; take it per sample, then the mean": 2
                * eps
                * 1.5**2
                / (2.5 * len(got["out"])),
                "the square of the norm is averaged; average the norm": 2 * eps * 1.5**2 / 2.5,
                "eps differs from sample to sample; take the mean norm over the batch": 2
                * eps
                * 1.5**2,
            },
            rtol=0.03,
        )
        moved, eps = got["out"][::2].mean(0) - 0.5, eps[0]
        expect(
            moved,
            Formula(lambda eps, score: eps * score, {"eps": eps, "score": score}),
            "mean of the step",
            {
                "the score has the wrong sign": -eps * score,
                "the mean moves by 2 eps score; it must be eps score": 2 * eps * score,
                "the mean moves by eps/2 score; here noise is sqrt(2 eps) and the move eps": eps
                / 2
                * score,
                "the score is missing": 0 * score,
                "eps is divided by the score; multiply": eps / score,
                "it moves by eps: the score is missing there": eps + 0 * score,
            },
            rtol=0.05,
            atol=6 * np.sqrt(2 * eps / 20_000),
        )
        expect_that(
            np.isfinite(got["still"]).all(),
            "Without a score the step has no end: |score| counts as `least` where it is less.",
        )
        longest = 2 * (2 * snr * standins.std(0.7)) ** 2
        expect(got["still"].var(0), np.full(D, 2 * longest), "variance without a score", rtol=0.03)
