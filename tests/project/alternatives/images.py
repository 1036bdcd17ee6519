"""Correct answers of Task 2 written another way, in the form of alternatives.py."""

from tests.project.mistakes import images as code

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
        ("scheduler", code.CLAMPED,
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
    "randn_like in the place of noise_like": [
        ("scheduler", "            noise = noise_like(original_sample)\n",
         "            noise = torch.randn_like(original_sample)\n"),
        ("scheduler", code.DDPM_NOISE, "return mean + variance.sqrt() * torch.randn_like(mean)"),
        ("scheduler", code.DDIM_NOISE, "return x_s + sigma * torch.randn_like(sample)"),
    ],
    "add_noise in a loop over the images": [
        ("scheduler", code.NOISED, "out = [a.sqrt() * x + (1 - a).sqrt() * z\n"
         "               for a, x, z in zip(abar, original_sample, noise, strict=True)]\n"
         "        return torch.stack(out), noise"),
    ],
    "add_noise by einsum": [
        ("scheduler", code.NOISED, "signal, level = abar.flatten().sqrt(), (1 - abar.flatten()).sqrt()\n"
         '        x_t = torch.einsum("b,bchw->bchw", signal, original_sample)\n'
         '        return x_t + torch.einsum("b,bchw->bchw", level, noise), noise'),
    ],
    "add_noise with axes by None, in a list": [
        ("scheduler", code.PER_IMAGE, "self.alphas_cumprod[timesteps][:, None, None, None]"),
        ("scheduler", code.NOISED,
         "x_t = abar**0.5 * original_sample + (1 - abar) ** 0.5 * noise\n        return [x_t, noise]"),
    ],
    "add_noise in float64": [
        ("scheduler", code.PER_IMAGE, "self.alphas_cumprod.double()[timesteps].view(-1, 1, 1, 1)"),
        ("scheduler", code.NOISED, "x_t = abar.sqrt() * original_sample + (1 - abar).sqrt() * noise\n"
         "        return x_t.float(), noise"),
    ],
    "timesteps by torch": [
        ("scheduler", code.TRAILING,
         "timesteps = torch.round(T - torch.arange(n, dtype=torch.float64) * (T / n)) - 1"),
        ("scheduler", "timesteps = np.arange(n)[::-1] * (T // n)",
         "timesteps = (torch.arange(n) * (T // n)).flip(0)"),
        ("scheduler", code.SET, "self.timesteps = timesteps.long()"),
    ],
    "timesteps by arange, cut": [
        ("scheduler", code.TRAILING, "timesteps = (np.round(np.arange(T, 0, -T / n)) - 1)[:n]"),
    ],
    "timesteps in a list": [
        ("scheduler", code.TRAILING, "timesteps = [round(T - i * T / n) - 1 for i in range(n)]"),
        ("scheduler", "timesteps = np.arange(n)[::-1] * (T // n)",
         "timesteps = [(n - 1 - i) * (T // n) for i in range(n)]"),
        ("scheduler", code.SET, "self.timesteps = torch.tensor(timesteps, dtype=torch.int32)"),
    ],
    "ddpm mean by x0, eq. 7 of Ho et al.": [
        ("scheduler", code.MEAN,
         "x0 = (sample - (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt()\n"
         "        mean = abar_s.sqrt() * beta / (1 - abar_t) * x0\n"
         "        mean = mean + alpha.sqrt() * (1 - abar_s) / (1 - abar_t) * sample"),
    ],
    "ddpm with the noise switched off by a factor": [
        ("scheduler", "        if s < 0:\n            return mean\n", ""),
        ("scheduler", code.DDPM_NOISE,
         "noise = noise_like(sample) * float(s >= 0)\n        return mean + variance**0.5 * noise"),
    ],
    "ddpm in float64": [
        ("scheduler", code.RATIO,
         "abar_t, abar_s = abar_t.double(), abar_s.double()\n        " + code.RATIO),
        ("scheduler", "            return mean\n", "            return mean.float()\n"),
        ("scheduler", code.DDPM_NOISE,
         "return (mean + variance.sqrt() * noise_like(sample)).to(sample)"),
    ],
    "ddpm by python numbers": [
        ("scheduler", code.RATIO,
         "abar_t, abar_s = torch.tensor(abar_t.item()), torch.tensor(abar_s.item())\n        "
         + code.RATIO),
        ("scheduler", code.DDPM_NOISE,
         "return torch.normal(mean, torch.full_like(mean, math.sqrt(variance)))"),
    ],
    "ddpm variance as a posterior": [
        ("scheduler", "beta * (1 - abar_s) / (1 - abar_t)", "1 / (alpha / beta + 1 / (1 - abar_s))"),
    ],
    "ddim without drawing where sigma is 0": [
        ("scheduler", code.DDIM_NOISE,
         "if eta == 0:\n            return x_s\n        return x_s.add_(sigma * noise_like(x_s))"),
    ],
    "ddim with the last step apart": [
        ("scheduler", code.SIGMA,
         "if self.previous(timestep) < 0:\n            return x0\n        " + code.SIGMA),
    ],
    "ddim sigma in two roots": [
        ("scheduler", code.SIGMA, "sigma = eta * torch.sqrt((1 - abar_s) / (1 - abar_t))\n"
         "        sigma = sigma * torch.sqrt(1 - abar_t / abar_s)"),
        ("scheduler", "(1 - abar_s - sigma**2).clamp(min=0).sqrt()",
         "torch.sqrt(torch.relu(1 - abar_s - sigma * sigma))"),
    ],
    "ddim by noise-to-signal ratios": [
        ("scheduler", code.DDIM_MEAN,
         "direction = (1 - abar_s - sigma**2).clamp(min=0).sqrt() - (abar_s / abar_t * (1 - abar_t)).sqrt()\n"
         "        x_s = (abar_s / abar_t).sqrt() * sample + direction * noise_pred"),
    ],
    "multistep by python numbers": [
        ("scheduler", code.SECOND, "D = x0 + r * (x0 - x0_before)"),
        ("scheduler", code.MOVE,
         "return sample * (sigma_s / sigma_t) + a_s * (1 - math.exp(-h)) * D"),
    ],
    "multistep lambda by logs": [
        ("scheduler", "h = (torch.logit(abar_s) - torch.logit(abar_t)) / 2",
         "h = torch.log(a_s / sigma_s) - torch.log(a_t / sigma_t)"),
    ],
    "loss by the mean of squares": [
        ("ddpm", code.LOSS, "error = noise - self.network(x_t, timestep, class_label)\n"
         "        if weight is not None:\n"
         "            error = error * weight.sqrt().reshape(-1, 1, 1, 1)\n"
         "        return (error**2).mean()"),
    ],
    "loss of each image, then their mean": [
        ("ddpm", code.LOSS, "error = self.network(x_t, timestep, class_label) - noise\n"
         "        weight = torch.ones(len(x0)) if weight is None else weight\n"
         '        squares = torch.einsum("bchw,bchw,b->b", error, error, weight)\n'
         "        return squares.mean() / error[0].numel()"),
    ],
    "loss that draws noise itself": [
        ("ddpm", code.ADDED, "if noise is None:\n            noise = torch.randn_like(x0)\n"
         "        x_t = self.var_scheduler.add_noise(x0, timestep, noise)[0]"),
        ("ddpm", code.DRAWN_T,
         "timestep = torch.randint(self.var_scheduler.num_train_timesteps, (x0.shape[0],))"),
    ],
    "loss with keywords": [
        ("ddpm", code.LOSS, "noise_pred = self.network(x_t, timestep=timestep, class_label=class_label)\n"
         '        if weight is None:\n            return F.mse_loss(noise_pred, noise, reduction="mean")\n'
         '        squares = F.mse_loss(noise_pred, noise, reduction="none")\n'
         "        return torch.mean(squares * weight[:, None, None, None])"),
    ],
    "sampling by index, with timesteps of each image": [
        ("ddpm", "for t in " + code.VISITED, "for t in self.var_scheduler.timesteps.tolist()"),
        ("ddpm", "noise_pred = self.predict_noise(x, t, class_label, guidance_scale)",
         "times = torch.full((batch_size,), t, device=self.device)\n"
         "            noise_pred = self.predict_noise(x, times, class_label, guidance_scale)"),
        ("ddpm", "            if return_traj:\n                traj.append(x)\n",
         "            traj.append(x.clone())\n"),
        ("ddpm", code.RETURNED, "return traj if return_traj else traj[-1]"),
    ],
    "score with the noise scaled back": [
        ("ddpm", "            size = (a**2 + b**2).sqrt()\n"
         "            timestep = self.var_scheduler.timestep_of((a / size).square().reshape(-1))\n",
         "            size = torch.hypot(a, b)\n"
         "            snr = (a / b).flatten() ** 2\n"
         "            timestep = self.var_scheduler.timestep_of(snr / (1 + snr))\n"),
        ("ddpm", "return -noise / b\n", "return -(noise / b)\n"),
    ],
    "labels by a product": [
        ("ddpm", code.WHERE, "return class_label * ~dropped"),
        ("ddpm", "        if not self.training:\n            return class_label\n", ""),
        ("ddpm", "dropped = dropped < self.network.cfg_dropout",
         "dropped = (dropped < self.network.cfg_dropout) & self.training"),
    ],
    "labels by bernoulli, in a copy": [
        ("ddpm", code.DRAWN_U, "dropped = torch.full(class_label.shape, float(self.network.cfg_dropout))"),
        ("ddpm", "dropped = dropped < self.network.cfg_dropout", "dropped = torch.bernoulli(dropped).bool()"),
        ("ddpm", code.WHERE,
         "class_label = class_label.clone()\n        class_label[dropped] = 0\n        return class_label"),
    ],
    "labels by masked_fill": [
        ("ddpm", code.WHERE, "return class_label.masked_fill(dropped, 0)"),
    ],
    "guidance in one call": [
        ("ddpm", "        e_u = self.network(x, timestep, torch.zeros_like(class_label))\n"
         "        e_c = self.network(x, timestep, class_label)\n",
         "        times = torch.as_tensor(timestep, device=x.device).expand(len(x)).repeat(2)\n"
         "        labels = torch.cat([torch.zeros_like(class_label), class_label])\n"
         "        e_u, e_c = self.network(torch.cat([x, x]), times, labels).chunk(2)\n"),
    ],
    "guidance as a weighted sum": [
        ("ddpm", code.GUIDED, "return (1 - guidance_scale) * e_u + guidance_scale * e_c"),
        ("ddpm", code.NULL, "class_label * 0)\n        e_c"),
    ],
    "guidance by lerp, the network without a label": [
        ("ddpm", code.GUIDED, "return torch.lerp(e_u, e_c, guidance_scale)"),
        ("ddpm", "self.network(x, timestep, " + code.NULL, "self.network(x, timestep)\n        e_c"),
    ],
    "paste by where": [
        ("inpainting", code.PASTED, "return torch.where(self.mask.bool(), x, known)"),
    ],
    "paste by add_noise": [
        ("inpainting", code.KNOWN, "known = self.x0\n"
         "        if timestep >= 0:\n"
         "            times = torch.full((len(x),), int(timestep), device=x.device)\n"
         "            known, _ = self.scheduler.add_noise(self.x0, times)"),
    ],
    "paste in place": [
        ("inpainting", code.PASTED, "inside = self.mask.bool().expand_as(x)\n"
         "        known[inside] = x[inside]\n        return known"),
    ],
    "paste and up in place of x": [
        ("inpainting", code.PASTED, "x *= self.mask\n"
         "        x += (1 - self.mask) * known\n        return x"),
        ("inpainting", code.UP, "x.mul_(ratio.sqrt())\n"
         "        return x.add_(noise_like(x), alpha=(1 - ratio).sqrt().item())"),
    ],
    "replacement that pastes x0 itself in the end": [
        ("inpainting", code.REPLACED + "\n        return x", code.REPLACED
         + "\n        return self.paste_known(x, -1)"),
    ],
    "up by random numbers of a given law": [
        ("inpainting", code.UP,
         "return torch.normal(x * ratio**0.5, ((1 - ratio) ** 0.5).expand_as(x))"),
    ],
    "repaint with an early break": [
        ("inpainting", code.AGAIN, "if i == tries - 1:\n                    break\n"
         "                x = self.renoise(x_s, s, t)"),
    ],
    "repaint that goes up before a try": [
        ("inpainting", code.TRY, "                if i:\n"
         "                    x = self.renoise(x_s, s, t)\n" + code.TRY),
        ("inpainting", "                if i < tries - 1:\n                    x = self.renoise(x_s, s, t)\n", ""),
    ],
    "repaint with one variable": [
        ("inpainting", code.TRY, code.TRY.replace("x_s", "x")),
        ("inpainting", "x = self.renoise(x_s, s, t)", "x = self.renoise(x, s, t)"),
        ("inpainting", "            x = x_s\n", ""),
    ],
    "mcg by backward": [
        ("inpainting", "(gradient,) = torch.autograd.grad(" + code.NORM + ", x)",
         code.NORM + ".backward()\n            gradient = x.grad"),
        ("inpainting", "x = x.detach().requires_grad_()", "x = x.clone().requires_grad_(True)"),
    ],
    "mcg norm by a root": [
        ("inpainting", code.NORM, "misfit.square().sum((1, 2, 3)).sqrt().sum()"),
        ("inpainting", code.MISFIT, "misfit = (x0_hat - self.x0) * (self.mask == 0)"),
    ],
    "mcg pulls in place": [
        ("inpainting", code.PULLED, code.PULLED.replace(" - step_size * gradient",
         "\n            x -= step_size * gradient")),
    ],
    "noise by plain torch": [
        ("inpainting", code.KNOWN,
         "known = abar.sqrt() * self.x0 + torch.sqrt(1 - abar) * torch.randn(x.shape)"),
        ("inpainting", code.UP,
         "return ratio.sqrt() * x + torch.sqrt(1 - ratio) * torch.randn(*x.shape, dtype=x.dtype)"),
    ],
}  # fmt: skip
