"""Correct answers to the tasks of image_diffusion/scheduler.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import scheduler as here

ALTERNATIVES = {
    "betas by numpy": [
        ("scheduler", "return torch.linspace(beta_1, beta_T, T, dtype=torch.float64)",
         "return torch.from_numpy(np.linspace(beta_1, beta_T, T))"),
        ("scheduler", "return torch.linspace(beta_1**0.5, beta_T**0.5, T, dtype=torch.float64) ** 2",
         "return torch.tensor(np.linspace(np.sqrt(beta_1), np.sqrt(beta_T), T) ** 2)"),
    ],
    "betas in a loop": [
        ("scheduler", "    t = torch.arange(T + 1, dtype=torch.float64)\n"
         "    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2\n"
         "    return (1 - f[1:] / f[:-1]).clamp(max=0.999)",
         "    def f(t):\n"
         "        return math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2\n\n"
         "    return torch.tensor([min(1 - f(t + 1) / f(t), 0.999) for t in range(T)])"),
    ],
    "cosine normalised by f(0)": [
        ("scheduler", here.CLAMPED,
         "torch.clip(1 - (f / f[0])[1:] / (f / f[0])[:-1], 0, 0.999)"),
    ],
    "abar by exp of a sum of logs": [
        ("scheduler", "torch.cumprod(alphas, dim=0)",
         "torch.exp(torch.cumsum(torch.log1p(-betas.double()), 0)).to(betas)"),
    ],
    "abar in a loop": [
        ("scheduler", "return alphas, torch.cumprod(alphas, dim=0)",
         "out = [alphas[0]]\n"
         "    for alpha in alphas[1:]:\n"
         "        out.append(out[-1] * alpha)\n"
         "    return alphas, torch.stack(out)"),
    ],
    "randn_like instead of noise_like": [
        ("scheduler", "            noise = noise_like(original_sample)\n",
         "            noise = torch.randn_like(original_sample)\n"),
        ("scheduler", here.DDPM_NOISE, "return mean + variance.sqrt() * torch.randn_like(mean)"),
        ("scheduler", here.DDIM_NOISE, "return x_s + sigma * torch.randn_like(sample)"),
    ],
    "add_noise in a loop over the images": [
        ("scheduler", here.NOISED, "out = [a.sqrt() * x + (1 - a).sqrt() * z\n"
         "               for a, x, z in zip(abar, original_sample, noise, strict=True)]\n"
         "        return torch.stack(out), noise"),
    ],
    "add_noise by einsum": [
        ("scheduler", here.NOISED, "signal, level = abar.flatten().sqrt(), (1 - abar.flatten()).sqrt()\n"
         '        x_t = torch.einsum("b,bchw->bchw", signal, original_sample)\n'
         '        return x_t + torch.einsum("b,bchw->bchw", level, noise), noise'),
    ],
    "add_noise with axes by None, in a list": [
        ("scheduler", here.PER_IMAGE, "self.alphas_cumprod[timesteps][:, None, None, None]"),
        ("scheduler", here.NOISED,
         "x_t = abar**0.5 * original_sample + (1 - abar) ** 0.5 * noise\n        return [x_t, noise]"),
    ],
    "add_noise in float64": [
        ("scheduler", here.PER_IMAGE, "self.alphas_cumprod.double()[timesteps].view(-1, 1, 1, 1)"),
        ("scheduler", here.NOISED, "x_t = abar.sqrt() * original_sample + (1 - abar).sqrt() * noise\n"
         "        return x_t.float(), noise"),
    ],
    "timesteps by torch": [
        ("scheduler", here.TRAILING,
         "timesteps = torch.round(T - torch.arange(n, dtype=torch.float64) * (T / n)) - 1"),
        ("scheduler", "timesteps = np.arange(n)[::-1] * (T // n)",
         "timesteps = (torch.arange(n) * (T // n)).flip(0)"),
        ("scheduler", here.SET, "self.timesteps = timesteps.long()"),
    ],
    "timesteps by arange, cut": [
        ("scheduler", here.TRAILING, "timesteps = (np.round(np.arange(T, 0, -T / n)) - 1)[:n]"),
    ],
    "timesteps in a list": [
        ("scheduler", here.TRAILING, "timesteps = [round(T - i * T / n) - 1 for i in range(n)]"),
        ("scheduler", "timesteps = np.arange(n)[::-1] * (T // n)",
         "timesteps = [(n - 1 - i) * (T // n) for i in range(n)]"),
        ("scheduler", here.SET, "self.timesteps = torch.tensor(timesteps, dtype=torch.int32)"),
    ],
    "ddpm mean by x0, eq. 7 of Ho et al.": [
        ("scheduler", here.MEAN,
         "x0 = (sample - (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt()\n"
         "        mean = abar_s.sqrt() * beta / (1 - abar_t) * x0\n"
         "        mean = mean + alpha.sqrt() * (1 - abar_s) / (1 - abar_t) * sample"),
    ],
    "ddpm with the noise switched off by a factor": [
        ("scheduler", "        if s < 0:\n            return mean\n", ""),
        ("scheduler", here.DDPM_NOISE,
         "noise = noise_like(sample) * float(s >= 0)\n        return mean + variance**0.5 * noise"),
    ],
    "ddpm in float64": [
        ("scheduler", here.RATIO,
         "abar_t, abar_s = abar_t.double(), abar_s.double()\n        " + here.RATIO),
        ("scheduler", "            return mean\n", "            return mean.float()\n"),
        ("scheduler", here.DDPM_NOISE,
         "return (mean + variance.sqrt() * noise_like(sample)).to(sample)"),
    ],
    "ddpm by python numbers": [
        ("scheduler", here.RATIO,
         "abar_t, abar_s = torch.tensor(abar_t.item()), torch.tensor(abar_s.item())\n        "
         + here.RATIO),
        ("scheduler", here.DDPM_NOISE,
         "return torch.normal(mean, torch.full_like(mean, math.sqrt(variance)))"),
    ],
    "ddpm variance as a posterior": [
        ("scheduler", "beta * (1 - abar_s) / (1 - abar_t)", "1 / (alpha / beta + 1 / (1 - abar_s))"),
    ],
    "ddim without drawing where sigma is 0": [
        ("scheduler", here.DDIM_NOISE,
         "if eta == 0:\n            return x_s\n        return x_s.add_(sigma * noise_like(x_s))"),
    ],
    "ddim with the last step apart": [
        ("scheduler", here.SIGMA,
         "if self.previous(timestep) < 0:\n            return x0\n        " + here.SIGMA),
    ],
    "ddim sigma in two roots": [
        ("scheduler", here.SIGMA, "sigma = eta * torch.sqrt((1 - abar_s) / (1 - abar_t))\n"
         "        sigma = sigma * torch.sqrt(1 - abar_t / abar_s)"),
        ("scheduler", "(1 - abar_s - sigma**2).clamp(min=0).sqrt()",
         "torch.sqrt(torch.relu(1 - abar_s - sigma * sigma))"),
    ],
    "ddim by noise-to-signal ratios": [
        ("scheduler", here.DDIM_MEAN,
         "direction = (1 - abar_s - sigma**2).clamp(min=0).sqrt() - (abar_s / abar_t * (1 - abar_t)).sqrt()\n"
         "        x_s = (abar_s / abar_t).sqrt() * sample + direction * noise_pred"),
    ],
    "multistep by python numbers": [
        ("scheduler", here.SECOND, "D = x0 + r * (x0 - x0_before)"),
        ("scheduler", here.MOVE,
         "return sample * (sigma_s / sigma_t) + a_s * (1 - math.exp(-h)) * D"),
    ],
    "multistep lambda by logs": [
        ("scheduler", "h = (torch.logit(abar_s) - torch.logit(abar_t)) / 2",
         "h = torch.log(a_s / sigma_s) - torch.log(a_t / sigma_t)"),
    ],
}  # fmt: skip
