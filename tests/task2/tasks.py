"""The tasks of Task 2: what they are called, where they are, how long they take, and their hints.

Hints come in levels, from a nudge to nearly the line itself: `pytest --hints 2.1a`, `2.1a:2`, ...
"""

from autograder.board import Task
from tests.task2 import tasks_guidance

SECTIONS = {
    "2.1": "Images: noise schedules, DDPM and DDIM",
    "2.2": "Guidance",
    "2.3": "Inpainting",
    "2.4": "The marks of Task 2",
    "2.5": "Control by a measurement or a classifier",
}

TASKS = {
    "2.1a": Task(
        "Noise schedules: the betas",
        "image_diffusion/scheduler.py",
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
        "image_diffusion/scheduler.py",
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
        "image_diffusion/scheduler.py",
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
        "image_diffusion/scheduler.py",
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
    "2.1e": Task(
        "The simple loss",
        "image_diffusion/ddpm.py",
        15,
        [
            "Noise the images to timesteps drawn at random and ask the network for the noise.",
            "add_noise returns x_t and the noise in it; the mean of the squared differences "
            "between that noise and network(x_t, timestep, class_label) is the loss.",
            "x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise); "
            "return F.mse_loss(self.network(x_t, timestep, class_label), noise).",
        ],
    ),
    "2.1f": Task(
        "Timesteps of a short run",
        "image_diffusion/scheduler.py",
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
        "image_diffusion/scheduler.py",
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
        "image_diffusion/scheduler.py",
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
    "2.1i": Task(
        "Sampling: the whole chain",
        "image_diffusion/ddpm.py",
        10,
        [
            "A loop over self.var_scheduler.timesteps, which already run downwards.",
            "At each t: the noise of x by self.predict_noise, then the scheduler's step. Keep "
            "every state, x_T too, for return_traj.",
            "x = self.var_scheduler.step(x, t, self.predict_noise(x, t, class_label, "
            "guidance_scale)); traj.append(x).",
        ],
    ),
    "2.1j": Task(
        "The score of an image model",
        "image_diffusion/ddpm.py",
        25,
        [
            "The network knows x_t only with a^2 + b^2 = 1. Scale x until it looks like that.",
            "After division by sqrt(a^2 + b^2) x is the x_t with abar = a^2 / (a^2 + b^2), and "
            "the score of x itself is -noise / b.",
            "size = (a**2 + b**2).sqrt(); ask predict_noise for x / size at "
            "timestep_of(((a / size) ** 2).reshape(-1)); return -noise / b.",
        ],
        optional=True,
    ),
    "2.2a": Task(
        "Labels dropped in training",
        "image_diffusion/ddpm.py",
        10,
        [
            "The network learns both with and without a class if some images lose theirs. Each "
            "image decides on its own, and only in training.",
            "Draw one uniform number for each image: the label becomes 0 where it lies below "
            "network.cfg_dropout. Leave the given tensor as it is.",
            "dropped = torch.rand(len(class_label), device=class_label.device) < "
            "self.network.cfg_dropout; torch.where(dropped, 0, class_label) if self.training.",
        ],
    ),
    "2.2b": Task(
        "Classifier-free guidance",
        "image_diffusion/ddpm.py",
        10,
        [
            "Ask the network twice, without and with the class, and go past the second answer in "
            "the direction from the first to the second.",
            "e_u + s (e_c - e_u), with label 0 for e_u. Check: s = 0 gives e_u, s = 1 gives e_c.",
            "e_u = self.network(x, timestep, torch.zeros_like(class_label)); e_c the same with "
            "class_label.",
        ],
    ),
    "2.3a": Task(
        "What is known, at the right noise level",
        "image_diffusion/inpainting.py",
        10,
        [
            "x_t is noisy. A clean patch in it looks to the network like nothing it was trained "
            "on, so the known part needs the noise of x_t.",
            "known = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise, and the mask, 1 in the hole, says "
            "where x stays.",
            "known = abar.sqrt() * self.x0 + (1 - abar).sqrt() * noise_like(x); "
            "return self.mask * x + (1 - self.mask) * known.",
        ],
    ),
    "2.3b": Task(
        "Replacement",
        "image_diffusion/inpainting.py",
        10,
        [
            "Sample as in 2.1i, with one more line in the loop.",
            "After the step from t the image stands at scheduler.previous(t): that is the level "
            "to paste at.",
            "x = self.scheduler.step(x, t, self.predict_noise(x, t)); "
            "x = self.paste_known(x, self.scheduler.previous(t)).",
        ],
    ),
    "2.3c": Task(
        "Back up: noise added to x_s",
        "image_diffusion/inpainting.py",
        10,
        [
            "It is add_noise, but the start is x_s, which holds noise already.",
            "Between s and t the signal shrinks by sqrt(abar_t / abar_s); fresh noise makes up "
            "the missing variance 1 - abar_t / abar_s.",
            "ratio = abar_t / abar_s; ratio.sqrt() * x + (1 - ratio).sqrt() * noise_like(x).",
        ],
    ),
    "2.3d": Task(
        "RePaint",
        "image_diffusion/inpainting.py",
        20,
        [
            "The loop of replacement, with an inner loop around its two lines.",
            "From x (at t) make x_s; unless this was the last try, x = renoise(x_s, s, t) and "
            "once more. After the last try x = x_s.",
            "tries = resamplings if s >= 0 else 1; for i in range(tries): step, paste; "
            "if i < tries - 1: x = self.renoise(x_s, s, t).",
        ],
    ),
    "2.3e": Task(
        "The gradient of the misfit",
        "image_diffusion/inpainting.py",
        25,
        [
            "How must x_t move for the guess of the clean image to agree with what is known? "
            "The guess depends on x_t through the network as well.",
            "Make x a leaf that requires a gradient, compute noise, x0_hat and the misfit "
            "(1 - mask)(x0 - x0_hat), and differentiate the sum of the norms, one per image.",
            "torch.autograd.grad(misfit.flatten(1).norm(dim=1).sum(), x)[0], all of it inside "
            "torch.enable_grad(); return noise.detach() with it.",
        ],
        optional=True,
    ),
    "2.3f": Task(
        "MCG",
        "image_diffusion/inpainting.py",
        10,
        [
            "The loop of replacement, with a pull towards what is known after the step.",
            "Both the noise and the gradient belong to x_t, before the step: mcg_gradient gives "
            "the two at once.",
            "noise, gradient = self.mcg_gradient(x, t); "
            "x = self.scheduler.step(x, t, noise) - step_size * gradient; then paste_known.",
        ],
        optional=True,
    ),
    "2.4a": Task(
        "Images without guidance",
        "image_diffusion/sampling.py",
        10,
        [
            "Nothing new to write: your scheduler and your model draw images with a network that "
            "comes with the course. Look at them: python image_diffusion/sampling.py.",
            "Noise is left in all of them: the last step, where abar is 1. They hardly differ or "
            "are pale: x0 or the direction in the step of DDIM. Noise only: the order of the "
            "timesteps.",
            "Every step has a test of its own in 2.1; if these pass and the images do not, look at "
            "2.1f, 2.1g and 2.1i, which they rest on.",
        ],
    ),
    "2.4b": Task(
        "Images guided to a class",
        "image_diffusion/sampling.py",
        10,
        [
            "Nothing new to write. Look at one class: --class_label 1 --guidance_scale 1.5.",
            "Other classes than those asked for: the labels do not reach the network, or e_u and "
            "e_c are exchanged. Glaring, alike images: the scale counts twice.",
            "They rest on 2.2b and on how `sample` hands class_label and guidance_scale on, 2.1i.",
        ],
    ),
    "2.4c": Task(
        "Filled holes",
        "image_diffusion/inpainting.py",
        10,
        [
            "Nothing new to write. Look at originals, holes and fillings: "
            "python -m image_diffusion inpaint.",
            "A seam around the hole: the known part has the wrong noise level. What is known has "
            "changed: it is pasted, clean, behind the last step too.",
            "The mark rests on 2.3a and 2.3b. RePaint makes better fillings and is not needed.",
        ],
    ),
} | tasks_guidance.TASKS
