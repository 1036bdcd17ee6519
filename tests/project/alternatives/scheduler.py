"""Correct answers to the tasks of image_diffusion/scheduler.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import scheduler as here
from tests.project.trees import answer

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
    "betas by lerp, cosine by a product": [
        answer("scheduler", "make_betas", """
            u = torch.arange(T, dtype=torch.float64) / max(T - 1, 1)
            if mode == "cosine":
                edge = torch.linspace(0, 1, T + 1, dtype=torch.float64)
                half = math.pi / 2 / 1.008
                f = (1 + torch.cos(2 * half * (edge + 0.008))) / 2
                ratio = f[1:] / f[:-1]
                return torch.where(1 - ratio > 0.999, torch.full_like(ratio, 0.999), 1 - ratio)
            power = {"linear": 1, "quad": 2}[mode]
            first, last = (torch.tensor(b ** (1 / power), dtype=torch.float64) for b in (beta_1, beta_T))
            return torch.lerp(first, last, u).pow(power)"""),
        answer("scheduler", "make_alphas", """
            alphas = torch.ones_like(betas).sub(betas)
            return alphas, alphas.double().log().cumsum(dim=-1).exp().to(betas.dtype)"""),
    ],
    "betas in a table of functions, alphas by numpy": [
        answer("scheduler", "make_betas", '''
            def cosine() -> Tensor:
                """The ratios of two shifted copies of f."""
                k = np.arange(T + 1) / T
                f = np.square(np.cos((k + 0.008) / 1.008 * np.pi / 2))
                return torch.from_numpy(np.minimum(1 - f[1:] / f[:-1], 0.999))

            if mode == "cosine":
                return cosine()
            make = {
                "linear": lambda: np.linspace(beta_1, beta_T, num=T),
                "quad": lambda: np.square(np.linspace(math.sqrt(beta_1), math.sqrt(beta_T), num=T)),
            }
            return torch.as_tensor(make[mode]())'''),
        answer("scheduler", "make_alphas", """
            alphas = 1.0 - betas
            products = np.multiply.accumulate(alphas.numpy())
            return alphas, torch.from_numpy(products).type_as(betas)"""),
    ],
    "add_noise by the noise levels": [
        answer("scheduler", "BaseScheduler.add_noise", """
            from given.levels import signal_and_noise

            a, s = signal_and_noise(self.levels.log_snr_at(timesteps))
            z = torch.randn_like(original_sample) if noise is None else noise
            return torch.addcmul(a * original_sample, s, z), z"""),
    ],
    "add_noise by torch.normal": [
        answer("scheduler", "BaseScheduler.add_noise", """
            ratio = self.alphas_cumprod.gather(0, timesteps.long())
            ratio = ratio.unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)
            mean, std = ratio.sqrt() * original_sample, (1 - ratio).sqrt()
            if noise is not None:
                return mean + std * noise, noise
            x_t = torch.normal(mean, std.expand_as(mean))
            return x_t, (x_t - mean) / std"""),
    ],
    "add_noise with noise of its own, in place": [
        answer("scheduler", "BaseScheduler.add_noise", """
            if noise is None:
                noise = torch.empty(original_sample.shape, dtype=original_sample.dtype).normal_()
                noise = noise.to(original_sample.device)
            level = torch.sqrt(1 - self.alphas_cumprod[timesteps])
            signal = torch.sqrt(self.alphas_cumprod[timesteps])
            x_t = original_sample.clone().mul_(signal[:, None, None, None])
            x_t += level[:, None, None, None] * noise
            return x_t, noise"""),
    ],
    "timesteps by a helper and early returns": [
        answer("scheduler", "BaseScheduler.set_timesteps", """
            def trailing(i: int) -> int:
                return round(T - i * (T / n)) - 1

            if spacing == "leading":
                stride = T // n
                self.timesteps = torch.arange((n - 1) * stride, -1, -stride)[:n]
                return
            self.timesteps = torch.tensor([trailing(i) for i in range(n)], dtype=torch.long)"""),
    ],
    "timesteps by linspace": [
        answer("scheduler", "BaseScheduler.set_timesteps", """
            if spacing == "trailing":
                ends = torch.linspace(T, T / n, n, dtype=torch.float64)
                # What rounding left of halves must not decide.
                ends = torch.round(ends, decimals=9)
                self.timesteps = ends.round().sub(1).to(torch.int64)
            else:
                self.timesteps = (torch.linspace(n - 1, 0, n).round() * (T // n)).to(torch.int64)"""),
    ],
    "ddpm step by the posterior of x0": [
        answer("scheduler", "DDPMScheduler.step", """
            x0 = (sample - torch.sqrt(1 - abar_t) * noise_pred) / torch.sqrt(abar_t)
            beta = 1 - abar_t / abar_s
            # The product of N(x_t; sqrt(alpha) x_s, beta) and N(x_s; sqrt(abar_s) x0, 1 - abar_s).
            gain = (abar_t / abar_s).sqrt() * (1 - abar_s) / (1 - abar_t)
            mean = gain * (sample - abar_t.sqrt() * x0) + abar_s.sqrt() * x0
            variance = {"large": beta, "small": beta * (1 - abar_s) / (1 - abar_t)}[self.sigma_type]
            if s == -1:
                return mean
            z = torch.randn(sample.shape, dtype=sample.dtype, device=sample.device)
            return torch.addcmul(mean, variance.sqrt().to(mean), z)"""),
    ],
    "ddpm step by the score": [
        answer("scheduler", "DDPMScheduler.step", """
            a = math.sqrt(abar_t.item() / abar_s.item())
            b2 = 1 - a**2
            score = -noise_pred / (1 - abar_t.item()) ** 0.5
            x = (sample + b2 * score) / a
            if s >= 0:
                keep = 1.0
                if self.sigma_type == "small":
                    keep = (1 - abar_s.item()) / (1 - abar_t.item())
                x = x + math.sqrt(b2 * keep) * noise_like(x)
            return x"""),
    ],
    "ddpm step by the log SNR": [
        answer("scheduler", "DDPMScheduler.step", """
            if s < 0:
                return (sample - (1 - abar_t) ** 0.5 * noise_pred) / abar_t**0.5
            gain = torch.logit(abar_t) - torch.logit(abar_s)  # of the log SNR, below 0
            fresh = -torch.expm1(gain)  # share of the variance of x_t that came after s
            alpha = abar_t / abar_s
            mean = (sample - fresh * (1 - abar_t).sqrt() * noise_pred) / alpha.sqrt()
            variance = fresh * (1 - abar_t if self.sigma_type == "large" else 1 - abar_s)
            noise = torch.normal(0.0, variance.sqrt().item(), sample.shape).to(sample)
            return mean + noise"""),
    ],
    "ddim step by noise-to-signal ratios": [
        answer("scheduler", "DDIMScheduler.step", """
            before, after = ((1 / abar - 1).sqrt() for abar in (abar_t, abar_s))
            y = sample / abar_t.sqrt()
            x0 = y - before * noise_pred
            fresh = eta * after * torch.sqrt(torch.clamp_min(1 - (after / before) ** 2, 0))
            kept = torch.sqrt(torch.clamp_min(after**2 - fresh**2, 0))
            y_s = x0 + kept * noise_pred
            if fresh > 0:
                y_s = y_s + fresh * torch.randn_like(y_s)
            return abar_s.sqrt() * y_s"""),
    ],
    "ddim step by python numbers, in place": [
        answer("scheduler", "DDIMScheduler.step", """
            a_t, a_s = abar_t.item(), abar_s.item()
            x0 = sample.clone()
            x0 -= math.sqrt(1 - a_t) * noise_pred
            x0 /= math.sqrt(a_t)
            variance = eta**2 * (1 - a_s) * (1 - a_t / a_s) / (1 - a_t)
            x0 *= math.sqrt(a_s)
            x0 += math.sqrt(max(0.0, 1 - a_s - variance)) * noise_pred
            if variance:
                x0 += math.sqrt(variance) * torch.randn(x0.shape, dtype=x0.dtype, device=x0.device)
            return x0"""),
    ],
    "ddim step by way of v, in float64": [
        answer("scheduler", "DDIMScheduler.step", """
            x, e = sample.double(), noise_pred.double()
            v = (e - (1 - abar_t).sqrt() * x) / abar_t.sqrt()
            x0 = abar_t.sqrt() * x - (1 - abar_t).sqrt() * v
            ratio = (1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)
            sigma = eta * torch.sqrt(ratio)
            direction = torch.sqrt(torch.maximum(1 - abar_s - sigma**2, torch.zeros(())))
            x_s = abar_s.sqrt() * x0 + direction * e + sigma * noise_like(x)
            return x_s.to(sample.dtype)"""),
    ],
    "multistep by slopes of x0": [
        answer("scheduler", "DPMSolverScheduler.step", """
            def lam(abar: Tensor) -> Tensor:
                return 0.5 * torch.log(abar / (1 - abar))

            x0 = (sample - torch.sqrt(1 - abar_t) * noise_pred) / torch.sqrt(abar_t)
            x0 = torch.clip(x0, min=-1.0, max=1.0)
            if s == -1:
                return x0
            h = lam(abar_s) - lam(abar_t)
            D = x0
            if self.before:
                old, h_old = self.before
                slope = (x0 - old) / h_old
                D = x0 + 0.5 * h * slope
            self.before = x0, h
            rest = torch.exp(-h)
            scale = torch.sqrt((1 - abar_s) / (1 - abar_t))
            return scale * sample + abar_s.sqrt() * (1 - rest) * D"""),
    ],
    "multistep by the noise-to-signal ratio": [
        answer("scheduler", "DPMSolverScheduler.step", """
            sigma_t = math.sqrt(1 / abar_t.item() - 1)
            sigma_s = math.sqrt(1 / abar_s.item() - 1)
            y = sample / math.sqrt(abar_t.item())
            x0 = torch.minimum(torch.maximum(y - sigma_t * noise_pred, -torch.ones(())), torch.ones(()))
            if sigma_s == 0:
                return x0
            h, D = math.log(sigma_t / sigma_s), x0.clone()
            if self.before is not None:
                D += h / (2 * self.before[1]) * (x0 - self.before[0])
            self.before = (x0, h)
            ratio = sigma_s / sigma_t  # exp(-h)
            return math.sqrt(abar_s.item()) * torch.lerp(D, y, ratio)"""),
    ],
    "add_noise by a helper that extracts": [
        ("scheduler", "class BaseScheduler(nn.Module):", '''def extract(values: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """values[t] (B,) in the shape (B, 1, ..., 1), to go with x."""
    out = torch.gather(values, 0, t)
    return out.reshape(t.shape[0], *((1,) * (x.dim() - 1))).to(x)


class BaseScheduler(nn.Module):'''),
        answer("scheduler", "BaseScheduler.add_noise", """
            eps = torch.randn(original_sample.shape) if noise is None else noise
            eps = eps.to(original_sample)
            abar = extract(self.alphas_cumprod, timesteps, original_sample)
            return torch.sqrt(abar) * original_sample + torch.sqrt(1.0 - abar) * eps, eps"""),
    ],
    "ddpm step by the float32 table": [
        answer("scheduler", "DDPMScheduler.step", """
            abar_t = self.alphas_cumprod[timestep]
            abar_s = self.alphas_cumprod[s] if s >= 0 else torch.ones_like(abar_t)
            alpha = abar_t / abar_s
            factor = (1 - alpha) / torch.sqrt(1 - abar_t)
            mean = (sample - factor * noise_pred) / torch.sqrt(alpha)
            variance = 1 - alpha
            if self.sigma_type == "small":
                variance = variance * (1 - abar_s) / (1 - abar_t)
            noise = torch.randn_like(sample) if s >= 0 else torch.zeros_like(sample)
            return mean + torch.sqrt(variance) * noise"""),
    ],
    "ddim step by the float32 table": [
        answer("scheduler", "DDIMScheduler.step", """
            s = self.previous(timestep)
            abar_t = self.alphas_cumprod[int(timestep)]
            abar_s = self.alphas_cumprod[s] if s >= 0 else torch.tensor(1.0, device=sample.device)
            x0 = (sample - torch.sqrt(1 - abar_t) * noise_pred) / torch.sqrt(abar_t)
            variance = (1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)
            sigma = eta * torch.sqrt(variance)
            direction = torch.sqrt(torch.clamp(1 - abar_s - sigma**2, min=0.0)) * noise_pred
            return torch.sqrt(abar_s) * x0 + direction + sigma * torch.randn_like(sample)"""),
    ],
    "multistep by the float32 table, its memory in a dictionary": [
        answer("scheduler", "DPMSolverScheduler.step", """
            abar_t = self.alphas_cumprod[int(timestep)]
            a_t, sigma_t = abar_t.sqrt(), (1 - abar_t).sqrt()
            x0 = torch.clamp((sample - sigma_t * noise_pred) / a_t, -1, 1)
            if s < 0:
                return x0
            abar_s = self.alphas_cumprod[s]
            a_s, sigma_s = abar_s.sqrt(), (1 - abar_s).sqrt()
            h = torch.log(a_s * sigma_t / (a_t * sigma_s))
            memory, self.before = self.before, {"x0": x0, "h": h}
            if memory is None:
                return sigma_s / sigma_t * sample - a_s * (torch.exp(-h) - 1) * x0
            share = h / memory["h"] / 2
            D = (1 + share) * x0 - share * memory["x0"]
            return sigma_s / sigma_t * sample - a_s * (torch.exp(-h) - 1) * D"""),
    ],
}  # fmt: skip
