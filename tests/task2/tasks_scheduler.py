"""The tasks of image_diffusion/scheduler.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"2.1": "Images: noise schedules, DDPM and DDIM"}
TASKS = {
    "2.1a": Task(
        "Noise schedules: the betas",
        15,
        [
            "linear and quad differ in what rises in equal steps: beta itself, or its root. "
            "cosine fixes the product abar first and reads the betas off it.",
            "beta_t = 1 - f(t + 1)/f(t), at most .999: with f at the T + 1 points t = 0 .. T, all "
            "ratios come from f[1:] / f[:-1].",
            "linear: torch.linspace(beta_1, beta_T, T, dtype=torch.float64); quad: the same "
            "between the roots, squared; cosine: (1 - f[1:] / f[:-1]).clamp(max=0.999).",
        ],
    ),
    "2.1b": Task(
        "alpha and its running product",
        5,
        [
            "Each step keeps the share alpha_t of the variance of the image. How much is left "
            "after all the steps up to t?",
            "alpha_t = 1 - beta_t; abar_t = alpha_0 alpha_1 ... alpha_t, alpha_t included.",
            "alphas = 1 - betas; return alphas, torch.cumprod(alphas, dim=0).",
        ],
    ),
    "2.1c": Task(
        "Noise added at once",
        10,
        [
            "Every image has a timestep of its own, so abar is (B,) and the images (B, C, H, W).",
            "x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise. Return x_t and this very noise: the "
            "loss compares with it.",
            "abar = self.alphas_cumprod[timesteps].reshape(-1, 1, 1, 1), and noise_like("
            "original_sample) where noise is None.",
        ],
    ),
    "2.1d": Task(
        "A step of DDPM",
        25,
        [
            "A step from t to s may pass over many timesteps: their alphas multiply to "
            "abar_t / abar_s, and s is -1 in the step to the data.",
            "Compute the mean of the docstring. Add noise of standard deviation sqrt(variance), "
            "except where s is -1.",
            "mean = (sample - beta / (1 - abar_t).sqrt() * noise_pred) / alpha.sqrt(); "
            "if s < 0: return mean; return mean + variance.sqrt() * noise_like(sample).",
        ],
    ),
    "2.1f": Task(
        "Timesteps of a short run",
        15,
        [
            "n of the T timesteps, the largest first. Try T = 10 and n = 5 on paper, both ways.",
            "trailing starts at T - 1 and goes down by T / n, which need not be whole: round at "
            "the end. leading goes by the whole number T // n and ends at 0.",
            "trailing: np.round(T - np.arange(n) * (T / n)) - 1; leading: "
            "np.arange(n)[::-1] * (T // n); then torch.from_numpy(... .astype(np.int64)).",
        ],
    ),
    "2.1g": Task(
        "A step of DDIM",
        20,
        [
            "Guess the clean image from x_t and the predicted noise, then noise that guess again "
            "to the lower level of s.",
            "The variance 1 - abar_s of x_s has two parts: sigma^2 of fresh noise, and the rest in "
            "the direction noise_pred. abar_s is 1 in the last step already.",
            "x_s = abar_s.sqrt() * x0 + (1 - abar_s - sigma**2).clamp(min=0).sqrt() * noise_pred "
            "+ sigma * noise_like(sample).",
        ],
    ),
    "2.1h": Task(
        "A step of DPM-Solver++ 2M",
        30,
        [
            "As DDIM it moves towards a guess of the clean image, but it draws a line through this "
            "guess and the one of the step before.",
            "lambda = logit(abar)/2. The first step takes D = x0; later ones "
            "D = (1 + r) x0 - r x0' with r = h/(2 h').",
            "sigma_s / sigma_t * sample - a_s * torch.expm1(-h) * D; then self.before = (x0, h).",
        ],
        optional=True,
    ),
}
