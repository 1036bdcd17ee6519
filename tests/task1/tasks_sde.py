"""The tasks of sde_todo/sde.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"1.1": "Forward and reverse processes"}
TASKS = {
    "1.1a": Task(
        "Ornstein-Uhlenbeck process",
        15,
        [
            "Both answers are in the docstring: read f and g off dX = -X/2 dt + dW, then solve the "
            "two ordinary differential equations for mean and variance.",
            "The mean decays like exp(-t/2), the variance like 1 - exp(-t). Which of the two does "
            "marginal_prob want, the variance or its root?",
            "return torch.exp(-t / 2) * x0, torch.sqrt(1 - torch.exp(-t))  after per_sample.",
        ],
    ),
    "1.1b": Task(
        "VP process",
        15,
        [
            "It is the OU process on another clock: t becomes B(t), the integral of beta.",
            "beta is a straight line from beta_min to beta_max, so B is beta_min t plus half the "
            "slope times t squared.",
            "mean exp(-B/2) x0, std sqrt(1 - exp(-B)), f = -beta/2 x, g = sqrt(beta).",
        ],
    ),
    "1.1c": Task(
        "VE process",
        10,
        [
            "There is no drift: the variance grows as the integral of g squared.",
            "g^2 is the derivative of sigma(t)^2. Write sigma(t) as an exponential first.",
            "g = sigma(t) sqrt(2 log(sigma_max/sigma_min) / T); std = sigma(t).",
        ],
    ),
    "1.1d": Task(
        "Sub-VP process",
        10,
        [
            "The drift is that of VP; only the noise is smaller.",
            "Try var = (1 - exp(-B))^2 in d var/dt = -beta var + g^2.",
            "std = 1 - exp(-B), g = sqrt(beta (1 - exp(-2B))).",
        ],
    ),
    "1.1e": Task(
        "The prior: draws and log density",
        10,
        [
            "The prior is N(0, s^2 I) with s = self.prior_std().",
            "The log density sums over all D numbers of a sample; so does its constant.",
            "-|x|^2/(2 s^2) - D/2 log(2 pi s^2), with x.flatten(1) for |x|^2 and D.",
        ],
    ),
    "1.1f": Task(
        "Brownian increment and a forward step",
        10,
        [
            "Over a time dt a Brownian motion gains variance dt.",
            "A step is x + f dt + g dw, with the dt that was passed, or self.dt.",
            "dw = math.sqrt(dt) * torch.randn_like(x).",
        ],
    ),
    "1.1g": Task(
        "The reverse process, SDE and ODE",
        20,
        [
            "Everything of the forward process is evaluated at t = T - s. Time runs backwards, so "
            "the drift changes its sign.",
            "lam = 0: drift -f + g^2 score, diffusion g. lam = 1: drift -f + g^2 score / 2, none.",
            "drift = -f + (1 - lam/2) g^2 score, diffusion = sqrt(1 - lam) g.",
        ],
    ),
    "1.3c": Task(
        "Langevin corrector, predictor-corrector",
        20,
        [
            "Langevin: a step eps along the score and noise of variance 2 eps.",
            "eps = 2 (snr sqrt(D)/|score|)^2, a norm per sample, then the mean over the batch, and "
            "at least `least`.",
            "The corrector acts after the predictor, so at s + ds.",
        ],
    ),
}
