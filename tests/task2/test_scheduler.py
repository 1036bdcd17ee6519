"""Task 2.1: noise schedules, timesteps, and one step of each sampler."""

import numpy as np

from autograder import standins_images as toy
from autograder.formula import Formula
from autograder.harness import expect, expect_gaussian, expect_mean, expect_that, graded

B, SHAPE, MANY = 5, (2, 3, 3), 4000


def are_tensors(*values):
    import torch

    return all(isinstance(value, torch.Tensor) for value in values)


@graded("2.1a", points=4)
class Betas:
    """The linear, quadratic and cosine schedule, with ends of their own."""

    def inputs(rng):
        ends = {"beta_1": float(rng.uniform(1e-4, 5e-4)), "beta_T": float(rng.uniform(0.02, 0.05))}
        return {"T": int(rng.integers(30, 60)), **ends}

    def probe(T, beta_1, beta_T):
        from image_diffusion.scheduler import make_betas

        out = {mode: make_betas(T, beta_1, beta_T, mode) for mode in ("linear", "quad", "cosine")}
        return out | {"tensors": are_tensors(*out.values())}

    def check(got, T, beta_1, beta_T):
        expect_that(got["tensors"], "make_betas returns no tensor; use torch, or torch.from_numpy.")
        steps = np.linspace(0, 1, T)
        linear = beta_1 + steps * (beta_T - beta_1)
        roots = beta_1**0.5 + steps * (beta_T**0.5 - beta_1**0.5)
        inner = beta_1 + np.arange(T) / T * (beta_T - beta_1)
        expect(
            got["linear"], linear, "linear betas", {"the last one must be beta_T": inner}, atol=1e-8
        )
        mistakes = {
            "equal steps lie between the roots of beta_1 and beta_T, then square": linear,
            "the square is missing": roots,
            "these are the squares of betas in equal steps": linear**2,
        }
        true = Formula(
            lambda low, root_low, high, root_high, square: (
                (low**root_low + steps * (high**root_high - low**root_low)) ** square
            ),
            {
                "beta_1": beta_1,
                "the exponent of beta_1": 0.5,
                "beta_T": beta_T,
                "the exponent of beta_T": 0.5,
                "the exponent 2": 2,
            },
        )
        expect(got["quad"], true, "quadratic betas", mistakes, atol=1e-8)
        check_cosine(got["cosine"], T)


def check_cosine(got, T):
    def f(s=0.008, power=2, curve=np.cos):
        return curve((np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2) ** power

    def betas(top=0.999, **options):
        values = f(**options)
        return np.minimum(1 - values[1:] / values[:-1], top)

    expect_that(
        got.shape != (T - 1,),
        "there are T - 1 cosine betas; f at the T + 1 points t = 0 .. T gives T ratios.",
    )
    mistakes = {
        "the offset s = .008 is missing": betas(s=0.0),
        "the largest beta is .999": betas(top=np.inf),
        "the cosine is squared": betas(power=1),
        "this is 1 - f(t + 1) / f(0), so 1 - abar; beta compares with the step before": np.minimum(
            1 - f()[1:] / f()[0], 0.999
        ),
        "this is f(t + 1) / f(t), so alpha; beta is 1 - alpha": np.minimum(
            f()[1:] / f()[:-1], 0.999
        ),
    }
    mistakes["this is the sine; f is the squared cosine"] = betas(curve=np.sin)
    mistakes["the two f are multiplied; beta is 1 - f(t + 1)/f(t)"] = np.minimum(
        1 - f()[1:] * f()[:-1], 0.999
    )
    expect(got, cosine_formula(T), "cosine betas", mistakes, rtol=1e-4, atol=1e-8)


def cosine_formula(T):
    """The cosine betas with the numbers that are in them."""

    def betas(steps, s, below, whole, pi, square, one, after, before):
        angle = ((np.arange(T + 1) / steps + s) / below) ** whole * pi
        f = np.cos(angle) ** square
        return np.minimum(one - f[1:] ** after / f[:-1] ** before, 0.999)

    return Formula(
        betas,
        {
            "T": float(T),
            "the offset s": 0.008,
            "1 + s": 1.008,
            "the exponent of (t/T + s)/(1 + s)": 1,
            "pi/2": np.pi / 2,
            "the exponent of the cosine": 2,
            "the 1 of 1 - f(t + 1)/f(t)": 1,
            "the exponent of f(t + 1)": 1,
            "the exponent of f(t)": 1,
        },
    )


@graded("2.1b", points=3)
class Alphas:
    """alphas = 1 - betas, and their running product."""

    def inputs(rng):
        return {"betas": rng.uniform(0.01, 0.3, size=9)}

    def probe(betas):
        from image_diffusion.scheduler import make_alphas

        given = betas.clone()
        alphas, alphas_cumprod = make_alphas(given)
        out = {"alphas": alphas, "alphas_cumprod": alphas_cumprod, "given": given}
        return out | {"tensors": are_tensors(alphas, alphas_cumprod)}

    def check(got, betas):
        expect_that(got["tensors"], "make_alphas returns no tensors; torch.cumprod gives one.")
        expect_that(
            np.allclose(got["given"], betas), "betas is changed in place; it must stay as it is."
        )
        mistakes = {
            "these are the betas": betas,
            "alphas and alphas_cumprod are exchanged": np.cumprod(1 - betas),
        }
        expect(got["alphas"], 1 - betas, "alphas", mistakes)
        mistakes = {
            "this is 1 - beta; it never reaches noise: multiply all up to t": 1 - betas,
            "this is 1 minus the product of betas": 1 - np.cumprod(betas),
            "this is a sum; it is a product": np.cumsum(1 - betas),
            "this is its root; the root belongs into add_noise": np.sqrt(np.cumprod(1 - betas)),
            "the product stops one short: alpha_t belongs to abar_t": np.append(
                1, np.cumprod(1 - betas)[:-1]
            ),
        }
        expect(got["alphas_cumprod"], np.cumprod(1 - betas), "alphas_cumprod", mistakes)


@graded("2.1c", points=5)
class AddNoise:
    """x_t for a given noise and a timestep of its own for every image; drawn noise is returned."""

    def inputs(rng):
        timesteps = rng.permutation(np.arange(4, toy.T - 4))[:B]
        return {
            "x0": rng.normal(size=(B, *SHAPE)),
            "noise": rng.normal(size=(B, *SHAPE)),
            "timesteps": timesteps,
        }

    def probe(x0, noise, timesteps):
        with toy.toy_scheduler("BaseScheduler") as scheduler:
            given = x0.clone()
            pair = scheduler.add_noise(given, timesteps, noise)
            if are_tensors(pair):
                return {"alone": pair}
            (many,) = repeated(x0)
            drawn_x, drawn = scheduler.add_noise(many, timesteps[:1].repeat(MANY))
        return {
            "x_t": pair[0],
            "noise": pair[1],
            "drawn_x": drawn_x,
            "drawn": drawn,
            "given": given,
        }

    def check(got, x0, noise, timesteps):
        expect_that(
            "alone" not in got,
            "add_noise returns one tensor; it returns two, x_t and the noise that is in it.",
        )
        abar = toy.abar(timesteps).reshape(-1, 1, 1, 1)
        signal, level = np.sqrt(abar), np.sqrt(1 - abar)
        check_noised(got["x_t"], x0, noise, got["noise"], timesteps)
        check_unchanged(got["given"], x0, "original_sample")
        expect(got["noise"], noise, "the returned noise", {ANOTHER_DRAW: got["noise"]})
        expect_that(
            got["drawn"].shape == (MANY, *SHAPE),
            f"drawn noise has shape {got['drawn'].shape}; expected that of x_0.",
        )
        expect_that(
            not np.allclose(got["drawn"], got["drawn"][:1]), "all images get the same noise."
        )
        uniform = {"these numbers are uniform; torch.randn_like draws normal ones": 0.5}
        expect_mean(got["drawn"].mean((1, 2, 3)), 0.0, "mean of drawn noise", uniform)
        expect_mean((got["drawn"] ** 2).mean((1, 2, 3)), 1.0, "variance of drawn noise")
        inside = (got["drawn_x"] - signal[0] * x0[:1]) / level[0]
        expect_that(
            np.allclose(inside, got["drawn"], rtol=1e-3, atol=1e-3),
            f"drawn noise: {ANOTHER_DRAW}.",
        )


ANOTHER_DRAW = (
    "it is not the noise that is in x_t: the loss would compare the prediction with another draw, "
    "and never fall"
)


def check_noised(got, x0, noise, returned, timesteps):
    def noised(abar):
        abar = np.reshape(abar, (-1, 1, 1, 1))
        return np.sqrt(abar) * x0 + np.sqrt(1 - abar) * noise

    abar = toy.abar(timesteps).reshape(-1, 1, 1, 1)
    signal, level = np.sqrt(abar), np.sqrt(1 - abar)
    mistakes = {
        "the square roots are missing: x_0 gets sqrt(abar), the noise sqrt(1 - abar)": signal**2
        * x0
        + level**2 * noise,
        "the noise gets 1 - abar, its variance; its standard deviation is the root": signal * x0
        + level**2 * noise,
        "x_0 gets abar instead of its root": signal**2 * x0 + level * noise,
        "the factors of x_0 and noise are exchanged": level * x0 + signal * noise,
        "x_0 is not scaled": x0 + level * noise,
        "the noise is not scaled": signal * x0 + noise,
        "this uses alpha_t; abar_t is alphas_cumprod": noised(
            toy.abar(timesteps) / toy.abar(timesteps - 1)
        ),
        "all images get the timestep of the first; each has its own": noised(
            toy.abar(timesteps[:1])
        ),
        "it has the level of t - 1; the first timestep is 0": noised(toy.abar(timesteps - 1)),
        "it has the level of t + 1": noised(toy.abar(timesteps + 1)),
        "the given noise is not used": signal * x0 + level * returned,
    }
    want = noised(toy.abar(timesteps))
    true = Formula(
        lambda root, x_0, level, noise: root * x_0 + level * noise,
        {"sqrt(abar)": signal, "x_0": x0, "sqrt(1 - abar)": level, "noise": noise},
    )
    expect(got, true, "x_t", {m: v for m, v in mistakes.items() if not np.allclose(v, want)})


@graded("2.1f", points=4)
class Timesteps:
    """Trailing and leading timesteps, also where n does not divide T."""

    def inputs(rng):
        return {"odd": int(rng.choice([7, 9, 11]))}

    def probe(odd):
        out = {}
        for n in (odd, 10, toy.T - 1, toy.T, 1):
            for spacing in ("trailing", "leading"):
                with toy.toy_scheduler("DDIMScheduler") as scheduler:
                    scheduler.set_timesteps(n, spacing)
                    out[f"{spacing} {n}"] = scheduler.timesteps
        return out | {"tensors": are_tensors(*out.values())}

    def check(got, odd):
        T = toy.T
        expect_that(got.pop("tensors"), "`timesteps` is no tensor; use torch.from_numpy.")
        for name, timesteps in got.items():
            spacing, n = name.split()[0], int(name.split()[1])
            expect_that(
                len(timesteps) != T or n == T,
                f"set_timesteps({n}) leaves all {T} timesteps; set self.timesteps.",
            )
            expect_that(
                timesteps.dtype.kind == "i",
                f"timesteps are of type {timesteps.dtype}; they must be whole numbers (.long()).",
            )
            steps = np.arange(n)
            leading = (n - 1 - steps) * (T // n)
            trailing = np.round(T - steps * (T / n)) - 1
            mistakes = {
                "they rise; sampling starts at the largest": np.sort(timesteps)
                if timesteps.shape == (n,)
                else np.full(n, np.nan),
                "these are leading timesteps: the first must be T - 1, pure noise": leading,
                "these are trailing timesteps": trailing,
                "they count from 1; the schedule's last timestep is T - 1": trailing + 1,
                "they count from 1; the last leading timestep is 0": leading + 1,
                "the stride is a whole number, so the first one misses T - 1 or the last "
                "is too small": T - 1 - steps * (T // n),
                "they are rounded down; round to the nearest": np.floor(T - steps * (T / n)) - 1,
                "they run evenly from T - 1 to 0; trailing ones end at T / n - 1": np.round(
                    np.linspace(T - 1, 0, n)
                ),
            }
            want = trailing if spacing == "trailing" else leading
            mistakes = {m: v for m, v in mistakes.items() if not np.array_equal(v, want)}
            if (timesteps.shape == (n,) and (np.diff(timesteps) < 0).all()) or n == 1:
                mistakes.pop("they rise; sampling starts at the largest", None)
            expect(timesteps, want, f"{spacing} timesteps, n = {n}", mistakes, rtol=0, atol=0.1)


def step_inputs(rng):
    timesteps = np.array([37, 30, 21, 14, 6, 2])
    return {
        "x": rng.normal(size=(B, *SHAPE)),
        "noise": rng.normal(size=(B, *SHAPE)),
        "timesteps": timesteps,
        "middle": int(rng.choice([30, 21])),
    }


def repeated(*tensors):
    """The first image of each, MANY times."""
    return [tensor[:1].repeat(MANY, 1, 1, 1) for tensor in tensors]


def check_unchanged(got, given, name):
    expect_that(
        np.allclose(got, given, atol=1e-6),
        f"{name} is changed in place; write into a new tensor, others still use it.",
    )


def all_steps():
    return np.arange(toy.T)[::-1].copy()


@graded("2.1d", points=7)
class DDPMStep:
    """Mean, both variances, steps of one and of many timesteps, and no noise in the last step."""

    def inputs(rng):
        return step_inputs(rng) | {"single": int(rng.integers(15, 25))}

    def probe(x, noise, timesteps, middle, single):
        out = {"given": x}
        many = repeated(x, noise)
        for size in ("small", "large"):
            with toy.toy_scheduler("DDPMScheduler", all_steps(), sigma_type=size) as scheduler:
                out[f"{size} single"] = scheduler.step(many[0].clone(), single, many[1])
                out[f"{size} last"] = scheduler.step(x, 0, noise).clone()
                out[f"{size} first"] = scheduler.step(many[0].clone(), 1, many[1])
                scheduler.timesteps = timesteps
                out[f"{size} long"] = scheduler.step(many[0].clone(), middle, many[1])
        return out

    def check(got, x, noise, timesteps, middle, single):
        check_unchanged(got["given"], x, "sample")
        for size in ("small", "large"):
            check_last_ddpm(got[f"{size} last"], x, noise)
            check_ddpm(got[f"{size} single"], x, noise, single, single - 1, size)
            check_ddpm(got[f"{size} first"], x, noise, 1, 0, size)  # timestep 0 is not the data
            s = toy.previous(middle, timesteps)
            check_ddpm(got[f"{size} long"], x, noise, middle, s, size)


def check_last_ddpm(got, x, noise):
    a = toy.abar(0)
    mean = ddpm_mean(x, noise, 0, -1)
    spread = np.sqrt(np.mean((got - mean) ** 2))
    name = "x_0, the last step"
    mistakes = mean_mistakes(x, noise, 0, -1) | {
        "abar after the last step is 1; a negative index reads the end of the table": ddpm_mean(
            x, noise, 0, toy.T - 1
        )
    }
    known = [mean, *mistakes.values()]
    expect_that(
        any(np.allclose(got, value, rtol=1e-3, atol=1e-4) for value in known)
        or not 0.3 * np.sqrt(1 - a) < spread < 1.5,
        f"{name}: noise is added (or the mean is wrong); the step to the data adds none.",
    )
    expect(got, mean, name, mistakes, atol=1e-4)


def ddpm_mean(x, noise, t, s):
    alpha = toy.abar(t) / toy.abar(s)
    return (x - (1 - alpha) / np.sqrt(1 - toy.abar(t)) * noise) / np.sqrt(alpha)


def mean_mistakes(x, noise, t, s):
    """What plausible mistakes give for the mean of a DDPM step."""
    a_t = toy.abar(t)
    alpha = a_t / toy.abar(s)
    beta, mean = 1 - alpha, ddpm_mean(x, noise, t, s)
    mistakes = {
        "the division by sqrt(alpha) is missing": mean * np.sqrt(alpha),
        "the division is by alpha; take its root": mean / np.sqrt(alpha),
        "the noise is multiplied by beta / (1 - abar); the root of 1 - abar is missing": (
            x - beta / (1 - a_t) * noise
        )
        / np.sqrt(alpha),
        "the sign of the noise is wrong: it is taken away": (x + beta / np.sqrt(1 - a_t) * noise)
        / np.sqrt(alpha),
        "beta is multiplied without the division by sqrt(1 - abar)": (x - beta * noise)
        / np.sqrt(alpha),
        "this is 0, the noise alone: the mean is missing": 0 * mean,
        "alpha is abar_t abar_s; it is abar_t / abar_s": (
            x - (1 - a_t * toy.abar(s)) / np.sqrt(1 - a_t) * noise
        )
        / np.sqrt(a_t * toy.abar(s)),
        "this is the estimate of x_0, not the mean of x_s (alpha is abar_t / abar_s, not abar_t)": (
            x - np.sqrt(1 - a_t) * noise
        )
        / np.sqrt(a_t),
        "alpha is not abar_t / abar_s: this step is longer than one timestep": ddpm_mean(
            x, noise, t, t - 1
        ),
    }
    return {m: v for m, v in mistakes.items() if not np.allclose(v, mean)}


def check_ddpm(draws, x, noise, t, s, size):
    a_t, a_s = toy.abar(t), toy.abar(s)
    beta = 1 - a_t / a_s
    name = f"step {t} -> {s}, mean"
    mean, mistakes = ddpm_mean(x[0], noise[0], t, s), mean_mistakes(x[0], noise[0], t, s)
    check_own_noise(draws, [mean, *mistakes.values()], f"step {t} -> {s}")
    expect_mean(draws, mean, name, mistakes)
    small = beta * (1 - a_s) / (1 - a_t)
    variance, other = (small, beta) if size == "small" else (beta, small)
    check_spread(
        draws,
        variance,
        f"step {t} -> {s}, noise of sigma_type '{size}'",
        {
            "its standard deviation is the variance: take the root": variance**2,
            "this is the variance of the other sigma_type": other,
            "beta is divided and multiplied the wrong way round": beta * (1 - a_t) / (1 - a_s),
            "there is none": 0.0,
            "its variance is 1: multiply by the standard deviation": 1.0,
        }
        | ({} if size == "large" else posterior_variances(beta, a_t, a_s)),
    )


def posterior_variances(beta, a_t, a_s):
    """What plausible mistakes give for beta (1 - abar_s) / (1 - abar_t)."""
    small, wide = beta * (1 - a_s) / (1 - a_t), (1 - a_s) / (1 - a_t)
    return {
        "1 - abar_t multiplies; divide by it": small * (1 - a_t) ** 2,
        "the division by 1 - abar_t is missing": small * (1 - a_t),
        "1 - abar_s divides; multiply by it": beta / (1 - a_s) / (1 - a_t),
        "1 - abar_s is missing": beta / (1 - a_t),
        "beta is missing": wide,
        "it is upside down": 1 / small,
        "it is divided by 1 + abar_t; by 1 - abar_t": small * (1 - a_t) / (1 + a_t),
        "it is divided by 2 - abar_t; by 1 - abar_t": small * (1 - a_t) / (2 - a_t),
        "it is multiplied by 1 + abar_s; by 1 - abar_s": beta * (1 + a_s) / (1 - a_t),
        "it is multiplied by 2 - abar_s; by 1 - abar_s": beta * (2 - a_s) / (1 - a_t),
    }


def check_own_noise(draws, means, name):
    """Say so where equal images get the same noise, and not one of these means."""
    if np.allclose(draws, draws[:1]) and not any(np.allclose(draws[0], m) for m in means):
        expect_that(False, f"{name}: all images get the same noise; each draws its own.")


def check_spread(draws, variance, name, mistakes):
    """Check the variance of independent draws (MANY, ...), which is the same in every pixel."""
    expect_gaussian(draws, name)
    squares = ((draws - draws.mean(0)) ** 2).mean(tuple(range(1, draws.ndim)))
    expect_mean(
        squares / max(variance, 1e-12),
        1.0,
        name,
        {message: value / max(variance, 1e-12) for message, value in mistakes.items()},
        rtol=0.003,
    )


@graded("2.1g", points=8)
class DDIMStep:
    """Deterministic and noisy steps, of any length, and the last one to the data."""

    def inputs(rng):
        return step_inputs(rng) | {"eta": float(rng.uniform(0.4, 0.8))}

    def probe(x, noise, timesteps, middle, eta):
        many = repeated(x, noise)
        with toy.toy_scheduler("DDIMScheduler", timesteps) as scheduler:
            return {
                "first": scheduler.step(x, 37, noise),
                "given": x.clone(),
                "first again": scheduler.step(x.clone(), 37, noise),
                "step": scheduler.step(x.clone(), middle, noise, eta=0.0),
                "last": scheduler.step(x.clone(), 2, noise, eta=0.0),
                "noisy last again": scheduler.step(x.clone(), 2, noise, eta=1.0),
                "noisy last": scheduler.step(x.clone(), 2, noise, eta=1.0),
                "noisy": scheduler.step(many[0].clone(), middle, many[1], eta=eta),
                "full": scheduler.step(many[0].clone(), middle, many[1], eta=1.0),
            }

    def check(got, x, noise, timesteps, middle, eta):
        check_unchanged(got["given"], x, "sample")
        expect_that(
            np.allclose(got["first"], got["first again"]),
            "the same step gives two results; with eta = 0 there is no noise: sigma = eta ...",
        )
        check_ddim(got["first"], x, noise, 37, 30, "the first step")
        s = toy.previous(middle, timesteps)
        check_ddim(got["step"], x, noise, middle, s, f"step {middle} -> {s}")
        expect_that(
            not np.isnan(got["last"]).any(),
            "the last step is NaN: abar after it is 1, and a negative index reads the end of the "
            "table, so that 1 - abar_t / abar_s is negative.",
        )
        check_ddim(got["last"], x, noise, 2, -1, "the last step")
        expect_that(
            got["noisy last"].shape != got["last"].shape
            or np.isnan(got["noisy last"]).any()
            or np.allclose(got["noisy last"], got["noisy last again"]),
            "two last steps with eta = 1 differ: sigma has the factor sqrt(1 - abar_s), which is "
            "0 in the last step.",
        )
        check_ddim(got["noisy last"], x, noise, 2, -1, "the last step with eta = 1")
        for name, value in (("noisy", eta), ("full", 1.0)):
            check_noisy_ddim(got[name], x[0], noise[0], middle, s, value)


def ddim(x, noise, t, s, sigma=0.0, a_s=None):
    a_t, a_s = toy.abar(t), toy.abar(s) if a_s is None else a_s
    x0 = (x - np.sqrt(1 - a_t) * noise) / np.sqrt(a_t)
    return np.sqrt(a_s) * x0 + np.sqrt(np.maximum(1 - a_s - sigma**2, 0)) * noise


def check_ddim(got, x, noise, t, s, name):
    mistakes = {}
    if s < 0:
        mistakes = {
            "noise is left: abar after the last step is 1, and a negative index "
            "reads the end of the table": ddim(x, noise, t, s, a_s=toy.abar(toy.T - 1)),
            "noise is left: abar after the last step is 1, not abar_0": ddim(x, noise, t, 0),
        }
    else:
        mistakes = {
            "the step goes to t - 1; it goes to the next of `timesteps`": ddim(x, noise, t, t - 1)
        }
    a_t, a_s = toy.abar(t), toy.abar(s)
    x0 = (x - np.sqrt(1 - a_t) * noise) / np.sqrt(a_t)
    mistakes |= {
        "this is x0, without its noise": x0,
        "the noise of x_s is missing": np.sqrt(a_s) * x0,
        "x0 is not scaled by sqrt(abar_s)": x0 + np.sqrt(1 - a_s) * noise,
        "the noise has the level of t, not of s": np.sqrt(a_s) * x0 + np.sqrt(1 - a_t) * noise,
        "the division of x0 by sqrt(abar_t) is missing": np.sqrt(a_s * a_t) * x0
        + np.sqrt(1 - a_s) * noise,
        "roots are missing": a_s * (x - (1 - a_t) * noise) / a_t + (1 - a_s) * noise,
        "the sign of the noise in x0 is wrong: it is taken away": np.sqrt(a_s)
        * (x + np.sqrt(1 - a_t) * noise)
        / np.sqrt(a_t)
        + np.sqrt(1 - a_s) * noise,
        "x0 is clamped; this step takes it as it is": np.sqrt(a_s) * x0.clip(-1, 1)
        + np.sqrt(1 - a_s) * noise,
        "the direction is x_t; it is the predicted noise": np.sqrt(a_s) * x0 + np.sqrt(1 - a_s) * x,
    }
    want = ddim(x, noise, t, s)
    true = Formula(
        lambda root_s, x, level_t, n, root_t, whole, level_s, noise: (
            root_s * ((x - level_t * n) / root_t) ** whole + level_s * noise
        ),
        {
            "sqrt(abar_s)": np.sqrt(a_s),
            "x_t": x,
            "sqrt(1 - abar_t)": np.sqrt(1 - a_t),
            "noise_pred (in x0)": noise,
            "sqrt(abar_t)": np.sqrt(a_t),
            "the exponent of x0": 1,
            "sqrt(1 - abar_s)": np.sqrt(1 - a_s),
            "noise_pred": noise,
        },
    )
    mistakes["it has the timestep instead of x_t"] = (
        np.sqrt(a_s) * (t - np.sqrt(1 - a_t) * noise) / np.sqrt(a_t) + np.sqrt(1 - a_s) * noise
    )
    expect(got, true, name, {m: v for m, v in mistakes.items() if not np.allclose(v, want)})


def check_noisy_ddim(draws, x, noise, t, s, eta):
    a_t, a_s = toy.abar(t), toy.abar(s)
    unit = np.sqrt((1 - a_s) / (1 - a_t) * (1 - a_t / a_s))
    sigma = eta * unit
    name = f"step {t} -> {s} with eta = {eta:.2g}"
    x0 = (x - np.sqrt(1 - a_t) * noise) / np.sqrt(a_t)
    plain = ddim(x, noise, t, s)
    expect_that(
        not np.allclose(draws, draws[:1]) or not np.allclose(draws[0], plain, rtol=1e-3, atol=1e-4),
        f"{name}: this is the step with eta = 0; the eta that was passed is not used.",
    )
    check_own_noise(draws, [ddim(x, noise, t, s, sigma)], name)
    short = eta * np.sqrt((1 - a_s) / (1 - a_t))
    mistakes = {
        "eta is not used in sigma": ddim(x, noise, t, s, unit),
        "sigma is the root of the product; it is missing": ddim(x, noise, t, s, sigma * unit),
        "the second root of sigma, that of 1 - abar_t / abar_s, is missing": ddim(
            x, noise, t, s, short
        ),
        "the noise that is put in must be taken off the direction: sqrt(1 - abar_s - sigma^2)": (
            plain
        ),
        "sigma is taken off without its square": np.sqrt(a_s) * x0
        + np.sqrt(max(1 - a_s - sigma, 0)) * noise,
    }
    want = ddim(x, noise, t, s, sigma)
    mistakes = {m: v for m, v in mistakes.items() if not np.allclose(v, want)}
    expect_mean(draws, want, f"{name}, mean", mistakes)
    others = {
        "there is none": 0.0,
        "eta is not used": unit**2,
        "eta enters by its root": eta * unit**2,
        "its standard deviation is sigma^2": sigma**4,
        "sigma is missing before the noise": 1.0,
        "1 - abar_t multiplies in sigma; divide by it": sigma**2 * (1 - a_t) ** 2,
        "the division by 1 - abar_t is missing in sigma": sigma**2 * (1 - a_t),
        "sigma is divided by 1 + abar_t; by 1 - abar_t": sigma**2 * (1 - a_t) / (1 + a_t),
        "the second root of sigma, that of 1 - abar_t / abar_s, is missing": short**2,
    }
    others = {m: v for m, v in others.items() if not np.isclose(v, sigma**2, rtol=1e-2)}
    check_spread(draws, sigma**2, f"{name}, noise", others)


@graded("2.1h", points=6)
class MultistepSolver:
    """Five steps of DPM-Solver++ 2M: the first of order 1, then 2, and the last to the data."""

    def inputs(rng):
        return {
            "x": rng.normal(size=(B, *SHAPE)),
            "noises": rng.normal(size=(5, B, *SHAPE)),
            "timesteps": np.array([31, 26, 17, int(rng.integers(6, 10)), 0]),
        }

    def probe(x, noises, timesteps):
        out = {}
        with toy.toy_scheduler("DPMSolverScheduler", timesteps) as scheduler:
            for run in ("", "again "):
                state = x
                for i, t in enumerate(timesteps.tolist()):
                    state = scheduler.step(state, t, noises[i])
                    out[f"{run}{i + 1}"] = state
        return out

    def check(got, x, noises, timesteps):
        state, before = x, None
        for i, t in enumerate(timesteps):
            s = toy.previous(t, timesteps)
            true, mistakes, before = multistep(state, noises[i], t, s, before)
            expect(got[f"{i + 1}"], true, f"step {i + 1}, {t} -> {s}", mistakes)
            want = true.value
            expect(
                got[f"again {i + 1}"],
                want,
                f"step {i + 1} of a second run (the first step starts over)",
            )
            state = want


def multistep(x, noise, t, s, before):
    """A step of DPM-Solver++ 2M, mistakes, and what the next step needs, in numpy."""
    a_t, a_s = np.sqrt(toy.abar(t)), np.sqrt(toy.abar(s))
    n_t, n_s = np.sqrt(1 - a_t**2), np.sqrt(1 - a_s**2)
    free = (x - n_t * noise) / a_t
    x0 = free.clip(-1, 1)
    if s < 0:
        named = {"the last step returns x0, clamped": free}
        return Formula(prediction, of_prediction(x, noise, a_t, n_t)), named, None
    h = np.log(a_s / n_s) - np.log(a_t / n_t)

    def move(D, h=h):
        return n_s / n_t * x - a_s * np.expm1(-h) * D

    if before is None:
        D, mistakes = x0, {}
    else:
        D, mistakes = second_order(x0, h, *before, move)
    mistakes |= {
        "x0 is not clamped to [-1, 1]": move(free + D - x0),
        "this is exp(-h) instead of exp(-h) - 1": n_s / n_t * x - a_s * np.exp(-h) * D,
        "the sign before D is wrong": n_s / n_t * x + a_s * np.expm1(-h) * D,
        "h is twice as large: lambda is half of logit(abar)": move(D, 2 * h),
        "h has the wrong sign: lambda_s - lambda_t is positive": move(D, -h),
        "x_t is scaled by a_s / a_t; by sigma_s / sigma_t": a_s / a_t * x - a_s * np.expm1(-h) * D,
    }
    mistakes["this is x0, as in the last step alone"] = x0
    mistakes["x0 is clamped with its bounds exchanged, so that it is -1 everywhere"] = move(
        D - x0 - 1
    )
    return solver_formula(x, noise, t, s, before), mistakes, (x0, h, D)


def prediction(x, level, noise, root, whole, low, high):
    """x0 of a step, clamped."""
    return np.clip(((x - level * noise) / root) ** whole, low, high)


def of_prediction(x, noise, a_t, n_t):
    """The parts of x0."""
    return {
        "x_t": x,
        "sigma_t (of x0)": n_t,
        "noise_pred": noise,
        "a_t (of x0)": a_t,
        "the exponent of x0 before it is clamped": 1,
        "the lower bound of x0": -1.0,
        "the upper bound of x0": 1.0,
    }


def solver_formula(x, noise, t, s, before):
    """A step of DPM-Solver++ 2M with the numbers that are in it."""
    a_t, a_s = np.sqrt(toy.abar(t)), np.sqrt(toy.abar(s))
    n_t, n_s = np.sqrt(1 - a_t**2), np.sqrt(1 - a_s**2)
    parts = of_prediction(x, noise, a_t, n_t)
    count = len(parts)
    parts |= {
        "1 - abar_t (of sigma_t)": n_t**2,
        "logit(abar_s)": 2 * np.log(a_s / n_s),
        "logit(abar_t)": 2 * np.log(a_t / n_t),
        "the 2 of logit(abar)/2": 2,
        "x_t (beside sigma_s/sigma_t)": x,
        "sigma_s": n_s,
        "sigma_t": n_t,
        "a_s": a_s,
        "the exponent of exp(-h) - 1": 1,
        "the exponent of D": 1,
        "the factor of the part with D": 1,
    }
    if before is not None:
        parts |= {
            "the 2 of h/(2 h')": 2,
            "h'": before[1],
            "the exponent of h/(2 h')": 1,
            "the 1 of 1 + h/(2 h')": 1,
            "the factor of h/(2 h') in 1 + h/(2 h')": 1,
            "the exponent of x0": 1,
            "the factor of x0": 1,
            "the factor of h/(2 h') x0'": 1,
            "the exponent of x0'": 1,
            "the exponent of h/(2 h') beside x0'": 1,
        }

    def step(*values):
        left, log_s, log_t, two, x, n_s, below, a_s, of_exp, of_D, size, *second = values[count:]
        scale = np.sqrt(left) / n_t  # 1, but where sigma_t is another in both places
        x0 = prediction(values[0], scale * values[1], *values[2:count])
        h, D = (log_s - log_t) / two, x0
        if second:
            two, h_old, inverse, one, plus, of_x0, first, minus, of_old, beside = second
            r = (h / (two * h_old)) ** inverse
            D = first * (one + plus * r) * x0**of_x0 - minus * r**beside * before[0] ** of_old
        return n_s / (scale * below) * x - size * a_s * np.expm1(-h) ** of_exp * D**of_D

    return Formula(step, parts)


def second_order(x0, h, x0_old, h_old, D_old, move):
    """The D of a step with one before it, and what mistakes in it give for x_s."""
    r = h / (2 * h_old)
    mistakes = {
        "this is the first-order step: the x0 of the step before is not used": move(x0),
        "the correction has the wrong sign": move((1 - r) * x0 + r * x0_old),
        "h and h' are exchanged": move((1 + 1 / (4 * r)) * x0 - x0_old / (4 * r)),
        "the 2 of h / (2 h') is missing": move((1 + 2 * r) * x0 - 2 * r * x0_old),
    }
    if not np.allclose(D_old, x0_old):
        kept = "self.before keeps D; it must keep x0, the prediction of the step before"
        mistakes[kept] = move((1 + r) * x0 - r * D_old)
    return (1 + r) * x0 - r * x0_old, mistakes
