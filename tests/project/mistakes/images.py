"""Plausible mistakes in Task 2, in the form of mistakes.py: (task, file, old, new, said)."""

CLAMPED = "(1 - f[1:] / f[:-1]).clamp(max=0.999)"
NOISED = "return abar.sqrt() * original_sample + (1 - abar).sqrt() * noise, noise"
PER_IMAGE = "self.alphas_cumprod[timesteps].reshape(-1, 1, 1, 1)"
TRAILING = "timesteps = np.round(T - np.arange(n) * (T / n)) - 1"
SET = "self.timesteps = torch.from_numpy(timesteps.astype(np.int64))"
RATIO = "alpha = abar_t / abar_s\n        beta"
MEAN = "mean = (sample - beta / (1 - abar_t).sqrt() * noise_pred) / alpha.sqrt()"
DDPM_NOISE = "return mean + variance.sqrt() * noise_like(sample)"
DDIM_X0 = "        x0 = (sample - (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt()\n        sigma"
SIGMA = "sigma = eta * ((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)).sqrt()"
DDIM_MEAN = "x_s = abar_s.sqrt() * x0 + (1 - abar_s - sigma**2).clamp(min=0).sqrt() * noise_pred"
DDIM_NOISE = "return x_s + sigma * noise_like(sample)"
SECOND = "D = (1 + r) * x0 - r * x0_before"
MOVE = "return sigma_s / sigma_t * sample - a_s * torch.expm1(-h) * D"
LOSS = (
    "prediction = self.network(x_t, timestep, class_label)\n"
    '        error = F.mse_loss(prediction, noise, reduction="none").flatten(1).mean(1)  # (B,)\n'
    "        return error.mean() if weight is None else (weight * error).mean()"
)
DRAWN_T = "timestep = self.var_scheduler.uniform_sample_t(len(x0))"
ADDED = "x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise)"
STEPPED = "x = self.var_scheduler.step(x, t, noise_pred)"
VISITED = 'tqdm(self.var_scheduler.timesteps, "sampling", leave=False, disable=None)'
RETURNED = "return traj if return_traj else x"
WHERE = "return torch.where(dropped, 0, class_label)"
DRAWN_U = "dropped = torch.rand(len(class_label), device=class_label.device)"
GUIDED = "return e_u + guidance_scale * (e_c - e_u)"
NULL = "torch.zeros_like(class_label))\n        e_c"
KNOWN = "known = abar.sqrt() * self.x0 + (1 - abar).sqrt() * noise_like(x)"
PASTED = "return self.mask * x + (1 - self.mask) * known"
REPLACED = "            x = self.scheduler.step(x, t, self.predict_noise(x, t))\n            x = self.paste_known(x, self.scheduler.previous(t))"
UP = "return ratio.sqrt() * x + (1 - ratio).sqrt() * noise_like(x)"
AGAIN = "if i < tries - 1:\n                    x = self.renoise(x_s, s, t)"
TRY = "                x_s = self.scheduler.step(x, t, self.predict_noise(x, t))\n                x_s = self.paste_known(x_s, s)\n"
MISFIT = "misfit = (1 - self.mask) * (self.x0 - x0_hat)"
NORM = "misfit.flatten(1).norm(dim=1).sum()"
PULLED = "            x = self.scheduler.step(x, t, noise) - step_size * gradient\n            x = self.paste_known(x, self.scheduler.previous(t))"

MISTAKES = {
    # 2.1a
    "linear betas stop one short": ("2.1a", "scheduler", "torch.linspace(beta_1, beta_T, T, dtype=torch.float64)", "torch.linspace(beta_1, beta_T, T + 1, dtype=torch.float64)[:-1]", "must be beta_T"),
    "quad betas without square": ("2.1a", "scheduler", "dtype=torch.float64) ** 2", "dtype=torch.float64)", "square is missing"),
    "quad betas are squared betas": ("2.1a", "scheduler", "torch.linspace(beta_1**0.5, beta_T**0.5, T, dtype=torch.float64) ** 2", "torch.linspace(beta_1, beta_T, T, dtype=torch.float64) ** 2", "squares of betas"),
    "quad betas are linear": ("2.1a", "scheduler", "torch.linspace(beta_1**0.5, beta_T**0.5, T, dtype=torch.float64) ** 2", "torch.linspace(beta_1, beta_T, T, dtype=torch.float64)", "between the roots"),
    "cosine betas reach 1": ("2.1a", "scheduler", ".clamp(max=0.999)", "", "largest beta is .999"),
    "cosine without offset": ("2.1a", "scheduler", "torch.cos((t / T + 0.008) / 1.008 * math.pi / 2)", "torch.cos(t / T * math.pi / 2)", "offset"),
    "cosine not squared": ("2.1a", "scheduler", "* math.pi / 2) ** 2", "* math.pi / 2)", "cosine is squared"),
    "cosine betas are 1 - abar": ("2.1a", "scheduler", CLAMPED, "(1 - f[1:] / f[0]).clamp(max=0.999)", "1 - abar"),
    "cosine betas are alphas": ("2.1a", "scheduler", CLAMPED, "(f[1:] / f[:-1]).clamp(max=0.999)", "so alpha"),
    "cosine has T - 1 betas": ("2.1a", "scheduler", "t = torch.arange(T + 1, dtype=torch.float64)", "t = torch.arange(T, dtype=torch.float64)", "T + 1 points"),
    "betas are numpy": ("2.1a", "scheduler", "return torch.linspace(beta_1, beta_T, T, dtype=torch.float64)", "return np.linspace(beta_1, beta_T, T)", "no tensor"),
    # 2.1b
    "abar is alpha": ("2.1b", "scheduler", "torch.cumprod(alphas, dim=0)", "alphas", "never reaches noise"),
    "abar is a sum": ("2.1b", "scheduler", "torch.cumprod(alphas, dim=0)", "torch.cumsum(alphas, dim=0)", "this is a sum"),
    "abar of betas": ("2.1b", "scheduler", "torch.cumprod(alphas, dim=0)", "1 - torch.cumprod(betas, dim=0)", "product of betas"),
    "abar one short": ("2.1b", "scheduler", "torch.cumprod(alphas, dim=0)", "torch.cat([torch.ones(1), torch.cumprod(alphas, dim=0)[:-1]])", "one short"),
    "abar is its root": ("2.1b", "scheduler", "torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).sqrt()", "this is its root"),
    "alphas are betas": ("2.1b", "scheduler", "return alphas, torch", "return betas, torch", "these are the betas"),
    "alphas and abar exchanged": ("2.1b", "scheduler", "return alphas, torch.cumprod(alphas, dim=0)", "return torch.cumprod(alphas, dim=0), alphas", "exchanged"),
    "betas changed in place": ("2.1b", "scheduler", "alphas = 1 - betas\n", "alphas = betas.neg_().add_(1)\n", "in place"),
    "abar is numpy": ("2.1b", "scheduler", "torch.cumprod(alphas, dim=0)", "np.cumprod(alphas.numpy())", "no tensors"),
    # 2.1c
    "add_noise without roots": ("2.1c", "scheduler", NOISED, "return abar * original_sample + (1 - abar) * noise, noise", "roots are missing"),
    "add_noise by the variance": ("2.1c", "scheduler", NOISED, "return abar.sqrt() * original_sample + (1 - abar) * noise, noise", "its variance"),
    "add_noise x0 without root": ("2.1c", "scheduler", NOISED, "return abar * original_sample + (1 - abar).sqrt() * noise, noise", "in the place of its root"),
    "add_noise factors exchanged": ("2.1c", "scheduler", NOISED, "return (1 - abar).sqrt() * original_sample + abar.sqrt() * noise, noise", "exchanged"),
    "add_noise keeps x0": ("2.1c", "scheduler", NOISED, "return original_sample + (1 - abar).sqrt() * noise, noise", "not scaled"),
    "add_noise returns fresh noise": ("2.1c", "scheduler", NOISED, "return abar.sqrt() * original_sample + (1 - abar).sqrt() * noise, noise_like(noise)", "never fall"),
    "add_noise returns fresh noise where it draws": ("2.1c", "scheduler", "            noise = noise_like(original_sample)\n        abar", "            noise = noise_like(original_sample)\n            original_sample = original_sample + 0.1 * noise_like(noise)\n        abar", "never fall"),
    "add_noise ignores the noise": ("2.1c", "scheduler", "        if noise is None:\n            noise = noise_like(original_sample)", "        noise = noise_like(original_sample)", "given noise is not used"),
    "add_noise by alpha": ("2.1c", "scheduler", PER_IMAGE, "self.alphas[timesteps].reshape(-1, 1, 1, 1)", "alphas_cumprod"),
    "add_noise one timestep for all": ("2.1c", "scheduler", PER_IMAGE, "self.alphas_cumprod[timesteps[0]]", "timestep of the first"),
    "add_noise without axes": ("2.1c", "scheduler", PER_IMAGE, "self.alphas_cumprod[timesteps]", "(B, 1, 1, 1)"),
    "add_noise at t - 1": ("2.1c", "scheduler", PER_IMAGE, "self.alphas_cumprod[timesteps - 1].reshape(-1, 1, 1, 1)", "level of t - 1"),
    "add_noise returns x_t only": ("2.1c", "scheduler", NOISED, "return abar.sqrt() * original_sample + (1 - abar).sqrt() * noise", "returns one tensor"),
    "add_noise one noise for all": ("2.1c", "scheduler", "            noise = noise_like(original_sample)\n", "            noise = noise_like(original_sample[:1]).expand_as(original_sample)\n", "same noise"),
    "add_noise one noise for all, not expanded": ("2.1c", "scheduler", "            noise = noise_like(original_sample)\n", "            noise = noise_like(original_sample[:1])\n", "has shape"),
    "add_noise uniform": ("2.1c", "scheduler", "            noise = noise_like(original_sample)\n", "            noise = torch.rand_like(original_sample)\n", "these numbers are uniform"),
    "add_noise changes x0": ("2.1c", "scheduler", NOISED, "return original_sample.mul_(abar.sqrt()).add_((1 - abar).sqrt() * noise), noise", "in place"),
    # 2.1d
    "ddpm changes x": ("2.1d", "scheduler", MEAN, "mean = sample.sub_(beta / (1 - abar_t).sqrt() * noise_pred).div_(alpha.sqrt())", "in place"),
    "ddpm noise by the variance": ("2.1d", "scheduler", DDPM_NOISE, "return mean + variance * noise_like(sample)", "take the root"),
    "ddpm noise in the last step": ("2.1d", "scheduler", "        if s < 0:\n            return mean\n", "", "adds none"),
    "ddpm other variance": ("2.1d", "scheduler", 'self.sigma_type == "large" else', 'self.sigma_type == "small" else', "other sigma_type"),
    "ddpm small variance always": ("2.1d", "scheduler", 'variance = beta if self.sigma_type == "large" else beta', "variance = beta", "other sigma_type"),
    "ddpm alpha of one timestep": ("2.1d", "scheduler", RATIO, "alpha = self.alphas[int(timestep)]\n        beta", "longer than one timestep"),
    "ddpm alpha is abar": ("2.1d", "scheduler", RATIO, "alpha = abar_t\n        beta", "not abar_t"),
    "ddpm alpha by a negative index": ("2.1d", "scheduler", RATIO, "alpha = abar_t / self.alphas_cumprod[s]\n        beta", "negative index"),
    "ddpm mean without division": ("2.1d", "scheduler", MEAN, "mean = sample - beta / (1 - abar_t).sqrt() * noise_pred", "division by sqrt(alpha)"),
    "ddpm mean divided by alpha": ("2.1d", "scheduler", MEAN, "mean = (sample - beta / (1 - abar_t).sqrt() * noise_pred) / alpha", "take its root"),
    "ddpm mean misses a root": ("2.1d", "scheduler", MEAN, "mean = (sample - beta / (1 - abar_t) * noise_pred) / alpha.sqrt()", "root of 1 - abar"),
    "ddpm mean adds the noise": ("2.1d", "scheduler", MEAN, "mean = (sample + beta / (1 - abar_t).sqrt() * noise_pred) / alpha.sqrt()", "sign of the noise"),
    "ddpm mean by beta alone": ("2.1d", "scheduler", MEAN, "mean = (sample - beta * noise_pred) / alpha.sqrt()", "without the division by sqrt(1 - abar)"),
    "ddpm returns x0": ("2.1d", "scheduler", MEAN, "mean = (sample - (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt()", "estimate of x_0"),
    "ddpm variance upside down": ("2.1d", "scheduler", "beta * (1 - abar_s) / (1 - abar_t)", "beta * (1 - abar_t) / (1 - abar_s)", "wrong way round"),
    "ddpm without noise": ("2.1d", "scheduler", DDPM_NOISE, "return mean", "there is none"),
    "ddpm noise of variance 1": ("2.1d", "scheduler", DDPM_NOISE, "return mean + noise_like(sample)", "variance is 1"),
    "ddpm one noise for all": ("2.1d", "scheduler", DDPM_NOISE, "return mean + variance.sqrt() * noise_like(sample[:1])", "same noise"),
    # 2.1e
    "loss against x0": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), x0)", "compared with x_0"),
    "loss against x_t": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), x_t)", "compared with x_t"),
    "loss against fresh noise": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), noise_like(noise))", "another draw"),
    "loss against noise drawn before": ("2.1e", "ddpm", ADDED, "target = noise_like(x0) if noise is None else noise\n        x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise)\n        noise = target", "not in x_t"),
    "loss ignores the noise": ("2.1e", "ddpm", ADDED, "x_t, noise = self.var_scheduler.add_noise(x0, timestep)", "what is given is not used"),
    "loss ignores the timestep": ("2.1e", "ddpm", "        if timestep is None:\n            timestep =", "        timestep =", "what is given is not used"),
    "loss of x0": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x0, timestep, class_label), noise)", "it gets x_t"),
    "loss of absolute errors": ("2.1e", "ddpm", LOSS, "return F.l1_loss(self.network(x_t, timestep, class_label), noise)", "absolute errors"),
    "loss sums over pixels": ("2.1e", "ddpm", LOSS, "return (self.network(x_t, timestep, class_label) - noise).pow(2).flatten(1).sum(1).mean()", "sum over pixels"),
    "loss is a sum": ("2.1e", "ddpm", LOSS, "return (self.network(x_t, timestep, class_label) - noise).pow(2).sum()", "this is a sum"),
    "loss with a half": ("2.1e", "ddpm", LOSS, "return 0.5 * F.mse_loss(self.network(x_t, timestep, class_label), noise)", "factor of 1/2"),
    "loss for each image": ("2.1e", "ddpm", LOSS, "return (self.network(x_t, timestep, class_label) - noise).pow(2).flatten(1).mean(1)", "has shape"),
    "loss without a class": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep), noise)", "does not get class_label"),
    "loss without a gradient": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label).detach(), noise)", "no gradient"),
    "loss under no_grad": ("2.1e", "ddpm", LOSS, "with torch.no_grad():\n            return F.mse_loss(self.network(x_t, timestep, class_label), noise)", "no gradient"),
    "loss as a number": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), noise).item()", "no gradient"),
    "loss at one timestep for all": ("2.1e", "ddpm", DRAWN_T, "timestep = self.var_scheduler.uniform_sample_t(1)", "share one timestep"),
    "loss never sees t = 0": ("2.1e", "ddpm", DRAWN_T, "timestep = torch.randint(1, self.var_scheduler.num_train_timesteps, (len(x0),))", "never are [0]"),
    "loss without the weight": ("2.1e", "ddpm", "if weight is None else (weight * error).mean()", "", "weight is not used"),
    "loss with the mean weight": ("2.1e", "ddpm", "(weight * error).mean()", "weight.mean() * error.mean()", "its own weight"),
    "loss as a weighted mean": ("2.1e", "ddpm", "(weight * error).mean()", "(weight * error).sum() / weight.sum()", "do not divide"),
    "loss at t / T": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep / self.var_scheduler.num_train_timesteps, class_label), noise)", "asked for t / T"),
    "loss at early timesteps more often": ("2.1e", "ddpm", DRAWN_T, "T = self.var_scheduler.num_train_timesteps\n            timestep = (T * torch.rand(len(x0)) ** 1.5).long()", "more often than others"),
    "loss at timesteps beyond the last": ("2.1e", "ddpm", DRAWN_T, "timestep = torch.randint(self.var_scheduler.num_train_timesteps - 5, (len(x0),)) + 10", "outside"),
    # 2.1f
    "trailing is leading": ("2.1f", "scheduler", TRAILING, "timesteps = np.arange(n)[::-1] * (T // n)", "the first must be T - 1"),
    "leading is trailing": ("2.1f", "scheduler", 'if spacing == "leading":\n            timesteps', 'if spacing == "none":\n            timesteps', "these are trailing"),
    "leading rises": ("2.1f", "scheduler", "np.arange(n)[::-1] * (T // n)", "np.arange(n) * (T // n)", "they rise"),
    "trailing rises": ("2.1f", "scheduler", TRAILING, TRAILING + "\n            timesteps = timesteps[::-1]", "they rise"),
    "trailing counts from 1": ("2.1f", "scheduler", TRAILING, "timesteps = np.round(T - np.arange(n) * (T / n))", "count from 1"),
    "leading counts from 1": ("2.1f", "scheduler", "np.arange(n)[::-1] * (T // n)", "np.arange(n)[::-1] * (T // n) + 1", "count from 1"),
    "trailing with a whole stride": ("2.1f", "scheduler", TRAILING, "timesteps = T - 1 - np.arange(n) * (T // n)", "stride is a whole number"),
    "trailing rounded down": ("2.1f", "scheduler", TRAILING, "timesteps = np.floor(T - np.arange(n) * (T / n)) - 1", "rounded down"),
    "trailing evenly to 0": ("2.1f", "scheduler", TRAILING, "timesteps = np.round(np.linspace(T - 1, 0, n))", "T / n - 1"),
    "timesteps are floats": ("2.1f", "scheduler", SET, "self.timesteps = torch.from_numpy(timesteps.astype(np.float32))", "whole numbers"),
    "timesteps are numpy": ("2.1f", "scheduler", SET, "self.timesteps = timesteps.astype(np.int64)", "no tensor"),
    "timesteps are returned": ("2.1f", "scheduler", SET, "return torch.from_numpy(timesteps.astype(np.int64))", "set self.timesteps"),
    # 2.1g
    "ddim last step by a negative index": ("2.1g", "scheduler", DDIM_X0, "        abar_s = self.alphas_cumprod[self.previous(timestep)]\n" + DDIM_X0, "negative index"),
    "ddim last step to abar_0": ("2.1g", "scheduler", DDIM_X0, "        abar_s = self.alphas_cumprod[max(self.previous(timestep), 0)]\n" + DDIM_X0, "not abar_0"),
    "ddim step to t - 1": ("2.1g", "scheduler", DDIM_X0, "        abar_s = self.abar(int(timestep) - 1)\n" + DDIM_X0, "goes to t - 1"),
    "ddim direction keeps the noise": ("2.1g", "scheduler", DDIM_MEAN, "x_s = abar_s.sqrt() * x0 + (1 - abar_s).sqrt() * noise_pred", "taken off the direction"),
    "ddim direction takes off sigma": ("2.1g", "scheduler", "(1 - abar_s - sigma**2)", "(1 - abar_s - sigma)", "without its square"),
    "ddim sigma without root": ("2.1g", "scheduler", SIGMA, SIGMA.replace(".sqrt()", ""), "root of the product"),
    "ddim sigma misses a factor": ("2.1g", "scheduler", SIGMA, "sigma = eta * ((1 - abar_s) / (1 - abar_t)).sqrt()", "second root"),
    "ddim sigma without eta": ("2.1g", "scheduler", SIGMA, SIGMA.replace("eta * ", ""), "sigma = eta"),
    "ddim ignores the eta passed": ("2.1g", "scheduler", SIGMA, SIGMA.replace("eta *", "self.eta *"), "eta that was passed"),
    "ddim without noise": ("2.1g", "scheduler", DDIM_NOISE, "return x_s", "there is none"),
    "ddim noise by the variance": ("2.1g", "scheduler", DDIM_NOISE, "return x_s + sigma**2 * noise_like(sample)", "deviation is sigma^2"),
    "ddim one noise for all": ("2.1g", "scheduler", DDIM_NOISE, "return x_s + sigma * noise_like(sample[:1])", "same noise"),
    "ddim x0 not divided": ("2.1g", "scheduler", DDIM_X0, "        x0 = sample - (1 - abar_t).sqrt() * noise_pred\n        sigma", "division of x0"),
    "ddim x0 adds the noise": ("2.1g", "scheduler", DDIM_X0, DDIM_X0.replace("sample -", "sample +"), "sign of the noise"),
    "ddim x0 clamped": ("2.1g", "scheduler", DDIM_X0, DDIM_X0.replace("abar_t.sqrt()\n", "abar_t.sqrt()\n        x0 = x0.clamp(-1, 1)\n"), "clamped"),
    "ddim x0 not scaled": ("2.1g", "scheduler", DDIM_MEAN, DDIM_MEAN.replace("abar_s.sqrt() * x0", "x0"), "not scaled by sqrt(abar_s)"),
    "ddim level of t": ("2.1g", "scheduler", DDIM_MEAN, DDIM_MEAN.replace("1 - abar_s", "1 - abar_t"), "level of t"),
    "ddim returns x0": ("2.1g", "scheduler", DDIM_MEAN, "x_s = x0", "x0, without its noise"),
    "ddim changes x": ("2.1g", "scheduler", DDIM_X0, "        x0 = sample.sub_((1 - abar_t).sqrt() * noise_pred).div_(abar_t.sqrt())\n        sigma", "in place"),
    "ddim drops the noise": ("2.1g", "scheduler", DDIM_MEAN, "x_s = abar_s.sqrt() * x0", "noise of x_s is missing"),
    "ddim direction is x_t": ("2.1g", "scheduler", DDIM_MEAN, DDIM_MEAN.replace("noise_pred", "sample"), "direction is x_t"),
    "ddim without roots": ("2.1g", "scheduler", DDIM_X0, "        x0 = (sample - (1 - abar_t) * noise_pred) / abar_t\n        return abar_s * x0 + (1 - abar_s) * noise_pred\n        sigma", "roots are missing"),
    # 2.1h
    "multistep correction reversed": ("2.1h", "scheduler", SECOND, "D = (1 - r) * x0 + r * x0_before", "wrong sign"),
    "multistep h exchanged": ("2.1h", "scheduler", "r = h / (2 * h_before)", "r = h_before / (2 * h)", "exchanged"),
    "multistep without the 2": ("2.1h", "scheduler", "r = h / (2 * h_before)", "r = h / h_before", "2 of h"),
    "multistep forgets x0": ("2.1h", "scheduler", "        self.before = (x0, h)\n", "", "first-order"),
    "multistep keeps D": ("2.1h", "scheduler", "self.before = (x0, h)", "self.before = (D, h)", "keeps D"),
    "multistep without clamp": ("2.1h", "scheduler", ".clamp(-1, 1)\n        if s < 0", "\n        if s < 0", "clamped"),
    "multistep exp": ("2.1h", "scheduler", MOVE, MOVE.replace("expm1", "exp"), "exp(-h) - 1"),
    "multistep adds": ("2.1h", "scheduler", MOVE, MOVE.replace("sample - a_s", "sample + a_s"), "sign before D"),
    "multistep h doubled": ("2.1h", "scheduler", "h = (torch.logit(abar_s) - torch.logit(abar_t)) / 2", "h = torch.logit(abar_s) - torch.logit(abar_t)", "twice as large"),
    "multistep h reversed": ("2.1h", "scheduler", "h = (torch.logit(abar_s) - torch.logit(abar_t)) / 2", "h = (torch.logit(abar_t) - torch.logit(abar_s)) / 2", "h has the wrong sign"),
    "multistep scales by a": ("2.1h", "scheduler", MOVE, MOVE.replace("sigma_s / sigma_t", "a_s / a_t"), "by sigma_s / sigma_t"),
    # 2.1i
    "sampling upwards": ("2.1i", "ddpm", VISITED, VISITED.replace("timesteps,", "timesteps.flip(0),"), "run upwards"),
    "sampling visits every timestep": ("2.1i", "ddpm", VISITED, "reversed(range(self.var_scheduler.num_train_timesteps))", "n + 1"),
    "sampling skips the last step": ("2.1i", "ddpm", VISITED, "self.var_scheduler.timesteps[:-1]", "n + 1"),
    "sampling counts steps": ("2.1i", "ddpm", VISITED, "reversed(range(len(self.var_scheduler.timesteps)))", "count the steps down"),
    "sampling in place": ("2.1i", "ddpm", STEPPED, "x.copy_(self.var_scheduler.step(x, t, noise_pred))", "changed in place"),
    "trajectory without x_T": ("2.1i", "ddpm", "traj = [x]", "traj = []", "x_T first"),
    "trajectory is the last state": ("2.1i", "ddpm", RETURNED, "return x", "not the last one"),
    "sampling returns the prediction": ("2.1i", "ddpm", RETURNED, "return traj if return_traj else traj", "sample returns"),
    "trajectory stores before the step": ("2.1i", "ddpm", "            " + STEPPED + "\n            if return_traj:\n                traj.append(x)\n", "            if return_traj:\n                traj.append(x)\n            " + STEPPED + "\n", "before the step"),
    "sampling without a class": ("2.1i", "ddpm", "noise_pred = self.predict_noise(x, t, class_label, guidance_scale)", "noise_pred = self.predict_noise(x, t)", "gets neither"),
    "sampling without guidance": ("2.1i", "ddpm", "noise_pred = self.predict_noise(x, t, class_label, guidance_scale)", "noise_pred = self.predict_noise(x, t, class_label)", "guidance_scale"),
    "sampling steps with x exchanged": ("2.1i", "ddpm", STEPPED, "x = self.var_scheduler.step(noise_pred, t, x)", "are exchanged"),
    # 2.1j
    "score of x unscaled": ("2.1j", "ddpm", "self.predict_noise(x / size,", "self.predict_noise(x,", "not divided by sqrt(a^2 + b^2)"),
    "score of x / a": ("2.1j", "ddpm", "self.predict_noise(x / size,", "self.predict_noise(x / a,", "divided by a"),
    "score by the variance": ("2.1j", "ddpm", "return -noise / b\n", "return -noise / b**2\n", "b^2"),
    "score without division": ("2.1j", "ddpm", "return -noise / b\n", "return -noise\n", "division by b"),
    "score has the wrong sign": ("2.1j", "ddpm", "return -noise / b\n", "return noise / b\n", "sign"),
    "score is the noise": ("2.1j", "ddpm", "return -noise / b\n", "return noise\n", "this is the noise"),
    "score at a rounded timestep": ("2.1j", "ddpm", ".square().reshape(-1))\n", ".square().reshape(-1)).round()\n", "rounded"),
    "score with timesteps of four axes": ("2.1j", "ddpm", ".square().reshape(-1))\n", ".square())\n", "one for each image"),
    "score without a class": ("2.1j", "ddpm", "timestep, class_label, guidance_scale)\n            return", "timestep)\n            return", "gets neither"),
    # 2.2a
    "labels fall together": ("2.2a", "ddpm", DRAWN_U, "dropped = torch.rand(1, device=class_label.device)", "fall together"),
    "labels stay with p": ("2.2a", "ddpm", "dropped = dropped < self", "dropped = dropped > self", "stay with this probability"),
    "labels fall in evaluation": ("2.2a", "ddpm", "        if not self.training:\n            return class_label\n", "", "evaluation mode"),
    "labels fall only in evaluation": ("2.2a", "ddpm", "if not self.training:", "if self.training:", "evaluation mode"),
    "labels changed in place": ("2.2a", "ddpm", WHERE, "class_label[dropped] = 0\n        return class_label", "it must stay as it is"),
    "labels fall with .1": ("2.2a", "ddpm", "dropped < self.network.cfg_dropout", "dropped < 0.1", "default .1"),
    "labels fall to 1": ("2.2a", "ddpm", WHERE, "return torch.where(dropped, 1, class_label)", "null class is 0"),
    "labels fall to -1": ("2.2a", "ddpm", WHERE, "return torch.where(dropped, -1, class_label)", "null class is 0"),
    "labels become floats": ("2.2a", "ddpm", WHERE, "return class_label * (~dropped).float()", "whole numbers"),
    "labels never fall": ("2.2a", "ddpm", WHERE, "return class_label", "no label falls"),
    "labels fall by normal numbers": ("2.2a", "ddpm", DRAWN_U, "dropped = torch.randn(len(class_label), device=class_label.device)", "the numbers are normal"),
    # 2.2b
    "guidance exchanged": ("2.2b", "ddpm", GUIDED, "return e_c + guidance_scale * (e_u - e_c)", "exchanged"),
    "guidance from e_c": ("2.2b", "ddpm", GUIDED, "return e_c + guidance_scale * (e_c - e_u)", "1 + s"),
    "guidance without e_u": ("2.2b", "ddpm", GUIDED, "return guidance_scale * (e_c - e_u)", "e_u is missing"),
    "guidance adds": ("2.2b", "ddpm", GUIDED, "return guidance_scale * e_c + (1 + guidance_scale) * e_u", "(1 + s) e_u"),
    "guidance without scale": ("2.2b", "ddpm", GUIDED, "return e_c", "scale is not used"),
    "guidance without class": ("2.2b", "ddpm", GUIDED, "return e_u", "class is not used"),
    "guidance null class is 1": ("2.2b", "ddpm", NULL, NULL.replace("zeros", "ones"), "null class"),
    "guidance null class is the last": ("2.2b", "ddpm", NULL, NULL.replace("torch.zeros_like(class_label)", "torch.full_like(class_label, self.network.num_classes)"), "not the last"),
    "guidance clears the labels": ("2.2b", "ddpm", NULL, NULL.replace("torch.zeros_like(class_label)", "class_label.zero_()"), "class is not used"),
    "guidance of one class for all": ("2.2b", "ddpm", "e_c = self.network(x, timestep, class_label)", "e_c = self.network(x, timestep, class_label[:1].expand(len(x)))", "class of the first"),
    # 2.3a
    "mask inverted": ("2.3a", "inpainting", PASTED, "return (1 - self.mask) * x + self.mask * known", "hole is where the mask is 1"),
    "known part clean": ("2.3a", "inpainting", KNOWN, "known = self.x0", "left clean"),
    "known part without noise": ("2.3a", "inpainting", KNOWN, "known = abar.sqrt() * self.x0", "seams"),
    "known part without roots": ("2.3a", "inpainting", KNOWN, "known = abar * self.x0 + (1 - abar) * noise_like(x)", "take the root"),
    "known part noised by the variance": ("2.3a", "inpainting", KNOWN, "known = abar.sqrt() * self.x0 + (1 - abar) * noise_like(x)", "1 - abar; take the root"),
    "known part exchanged": ("2.3a", "inpainting", KNOWN, "known = (1 - abar).sqrt() * self.x0 + abar.sqrt() * noise_like(x)", "exchanged"),
    "known part with all the noise": ("2.3a", "inpainting", KNOWN, "known = abar.sqrt() * self.x0 + (timestep >= 0) * noise_like(x)", "variance is 1"),
    "known part at t + 1": ("2.3a", "inpainting", KNOWN, "abar = self.scheduler.abar(timestep + 1) if timestep >= 0 else abar\n        " + KNOWN, "timestep t + 1"),
    "known part at t - 1": ("2.3a", "inpainting", KNOWN, "abar = self.scheduler.abar(timestep - 1) if timestep >= 0 else abar\n        " + KNOWN, "timestep t - 1"),
    "known part by a negative index": ("2.3a", "inpainting", KNOWN, "abar = self.scheduler.alphas_cumprod[int(timestep)]\n        " + KNOWN, "negative index"),
    "known part with one noise": ("2.3a", "inpainting", KNOWN, KNOWN.replace("noise_like(x)", "noise_like(x[:1])"), "same noise"),
    "hole noised as well": ("2.3a", "inpainting", PASTED, "return known + self.mask * x", "in the hole"),
    # 2.3b
    "pasted at the level of t": ("2.3b", "inpainting", REPLACED, REPLACED.replace("self.scheduler.previous(t)", "t"), "level of t"),
    "pasted before the step": ("2.3b", "inpainting", REPLACED, "            x = self.paste_known(x, t)\n            x = self.scheduler.step(x, t, self.predict_noise(x, t))", "before the step"),
    "pasted at t - 1": ("2.3b", "inpainting", REPLACED, REPLACED.replace("self.scheduler.previous(t)", "t - 1"), "t - 1"),
    "never pasted": ("2.3b", "inpainting", REPLACED, REPLACED.splitlines()[0], "nothing is pasted"),
    "pasted at the end": ("2.3b", "inpainting", REPLACED + "\n        return x", REPLACED.splitlines()[0] + "\n        return self.paste_known(x, -1)", "only at the end"),
    "not pasted at the end": ("2.3b", "inpainting", REPLACED, REPLACED.splitlines()[0] + "\n            if self.scheduler.previous(t) >= 0:\n                x = self.paste_known(x, self.scheduler.previous(t))", "behind the last step nothing"),
    "replacement upwards": ("2.3b", "inpainting", 'self.steps("replacement")', 'reversed(list(self.steps("replacement")))', "run upwards"),
    # 2.3c
    "up without scale": ("2.3c", "inpainting", UP, "return x + (1 - ratio).sqrt() * noise_like(x)", "keeps its size"),
    "up as from the data": ("2.3c", "inpainting", "ratio = abar_t / abar_s", "ratio = abar_t", "in the place of abar_t / abar_s"),
    "up one timestep": ("2.3c", "inpainting", "ratio = abar_t / abar_s", "ratio = abar_t / self.scheduler.abar(t - 1)", "one timestep"),
    "up without roots": ("2.3c", "inpainting", UP, "return ratio * x + (1 - ratio) * noise_like(x)", "is missing"),
    "up by the variance": ("2.3c", "inpainting", UP, "return ratio.sqrt() * x + (1 - ratio) * noise_like(x)", "take the root"),
    "up without noise": ("2.3c", "inpainting", UP, "return ratio.sqrt() * x", "there is none"),
    "up with all the noise": ("2.3c", "inpainting", UP, "return ratio.sqrt() * x + (1 - abar_t).sqrt() * noise_like(x)", "from the data"),
    "up with the ratio turned": ("2.3c", "inpainting", "ratio = abar_t / abar_s", "ratio = abar_s / abar_t", "below 1"),
    "up with one noise": ("2.3c", "inpainting", UP, UP.replace("noise_like(x)", "noise_like(x[:1])"), "same noise"),
    # 2.3d
    "repaint stays up": ("2.3d", "inpainting", AGAIN + "\n            x = x_s", "if s >= 0:\n                    x = self.renoise(x_s, s, t)\n                else:\n                    x = x_s", "after the last try"),
    "repaint never goes up": ("2.3d", "inpainting", AGAIN, "x = x_s", "does not go up"),
    "repaint forgets to go down": ("2.3d", "inpainting", "            x = x_s\n        return x", "        return x_s", "from the x_t of the last try"),
    "repaint repeats the last step": ("2.3d", "inpainting", "tries = resamplings if s >= 0 else 1", "tries = resamplings", "steps per timestep"),
    "repaint one try short": ("2.3d", "inpainting", "for i in range(tries):", "for i in range(max(tries - 1, 1)):", "steps per timestep"),
    "repaint pastes at t": ("2.3d", "inpainting", "x_s = self.paste_known(x_s, s)", "x_s = self.paste_known(x_s, t)", "level of t"),
    "repaint turns s and t": ("2.3d", "inpainting", "self.renoise(x_s, s, t)", "self.renoise(x_s, t, s)", "wrong order"),
    "repaint pastes once": ("2.3d", "inpainting", "x_s = self.paste_known(x_s, s)\n", "if i == tries - 1:\n                    x_s = self.paste_known(x_s, s)\n", "only after the last try"),
    "repaint tries from the same x": ("2.3d", "inpainting", AGAIN, "pass", "from the same x_t"),
    # 2.3e
    "mcg network detached": ("2.3e", "inpainting", "noise = self.predict_noise(x, timestep)\n            x0_hat = (x - (1 - abar).sqrt() * noise)", "noise = self.predict_noise(x, timestep).detach()\n            x0_hat = (x - (1 - abar).sqrt() * noise)", "detached"),
    "mcg squared norm": ("2.3e", "inpainting", NORM, "misfit.pow(2).sum()", "squared norm"),
    "mcg norm of the batch": ("2.3e", "inpainting", NORM, "misfit.norm()", "over the batch"),
    "mcg misfit of the hole": ("2.3e", "inpainting", MISFIT, "misfit = self.mask * (self.x0 - x0_hat)", "that of the hole"),
    "mcg misfit of all": ("2.3e", "inpainting", MISFIT, "misfit = self.x0 - x0_hat", "counts the hole"),
    "mcg misfit of x_t": ("2.3e", "inpainting", MISFIT, "misfit = (1 - self.mask) * (self.x0 - x)", "compares x_t"),
    "mcg estimate not divided": ("2.3e", "inpainting", "* noise) / abar.sqrt()", "* noise)", "not divided"),
    "mcg noise with a graph": ("2.3e", "inpainting", "return noise.detach(), gradient", "return noise, gradient", "graph"),
    "mcg gradient with a graph": ("2.3e", "inpainting", NORM + ", x)", NORM + ", x, create_graph=True)", "graph"),
    "mcg without enable_grad": ("2.3e", "inpainting", "with torch.enable_grad():", "with torch.no_grad():", "does not require grad"),
    "mcg gradient downwards": ("2.3e", "inpainting", "return noise.detach(), gradient", "return noise.detach(), -gradient", "sign"),
    "mcg returns the estimate": ("2.3e", "inpainting", "return noise.detach(), gradient", "return x0_hat.detach(), gradient", "estimate of x_0"),
    # 2.3f
    "mcg climbs": ("2.3f", "inpainting", PULLED, PULLED.replace("- step_size", "+ step_size"), "is added"),
    "mcg without gradient": ("2.3f", "inpainting", PULLED, PULLED.replace(" - step_size * gradient", ""), "not used"),
    "mcg without step size": ("2.3f", "inpainting", PULLED, PULLED.replace("step_size * ", ""), "step_size is not used"),
    "mcg gradient at x_s": ("2.3f", "inpainting", PULLED, PULLED.replace(" - step_size * gradient\n", "\n            x = x - step_size * self.mcg_gradient(x, t)[1]\n"), "at x_s"),
    "mcg pulls after pasting": ("2.3f", "inpainting", PULLED, PULLED.replace(" - step_size * gradient", "") + "\n            x = x - step_size * gradient", "after what is known"),
    "mcg pastes at t": ("2.3f", "inpainting", PULLED, PULLED.replace("self.scheduler.previous(t)", "t"), "level of t"),
    "mcg never pastes": ("2.3f", "inpainting", PULLED, PULLED.splitlines()[0], "nothing is pasted"),
}  # fmt: skip
