"""Correct answers to the tasks of sde_todo/sde.py, written another way: name -> [(file, old, new), ...]."""

OU_MARGINAL = "return torch.exp(-t / 2) * x0, torch.sqrt(-torch.expm1(-t))"
VP_MARGINAL = "return torch.exp(-B / 2) * x0, torch.sqrt(-torch.expm1(-B))"

ALTERNATIVES = {
    "std of full shape": [
        ("sde", OU_MARGINAL, "std = (1 - torch.exp(-t)) ** 0.5\n"
         "        return torch.exp(-t / 2) * x0, std * torch.ones_like(x0)"),
    ],
    "time reshaped by hand": [
        ("sde", OU_MARGINAL, "t = t.flatten()\n"
         "        shape = (-1,) + (1,) * (x0.ndim - 1)\n"
         "        mean = torch.exp(-0.5 * t).view(shape) * x0\n"
         "        return mean, (1 - torch.exp(-t)).sqrt().view(shape)"),
    ],
    "diffusion as a full tensor": [
        ("sde", "return -0.5 * x, torch.ones_like(t)", "return x / -2, torch.ones_like(x)"),
        ("sde", "return -0.5 * beta * x, torch.sqrt(beta)",
         "return -0.5 * beta * x, beta.sqrt().expand_as(x)"),
    ],
    "diffusion as a number": [
        ("sde", "return -0.5 * x, torch.ones_like(t)", "return -0.5 * x, 1.0"),
    ],
    "float64 inside": [
        ("sde", VP_MARGINAL, "B = B.double()\n"
         "        std = torch.sqrt(1 - torch.exp(-B))\n"
         "        return (torch.exp(-B / 2) * x0).to(x0), std.to(x0)"),
    ],
    "float64 outside": [
        ("sde", OU_MARGINAL, "t, x0 = t.double(), x0.double()\n"
         "        return torch.exp(-t / 2) * x0, torch.sqrt(1 - torch.exp(-t))"),
    ],
    "log mean coefficient": [
        ("sde", VP_MARGINAL, "log_mean = -0.25 * t**2 * (self.beta_max - self.beta_min)"
         " - 0.5 * t * self.beta_min\n"
         "        return torch.exp(log_mean) * x0, torch.sqrt(1 - torch.exp(2 * log_mean))"),
    ],
    "integral by the trapezium rule, exact for a line": [
        ("sde", "return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / (2 * self.T)",
         "return t * (self.beta(torch.zeros_like(t)) + self.beta(t)) / 2"),
    ],
    "ve by exponentials": [
        ("sde", "return self.sigma_min * (self.sigma_max / self.sigma_min) ** (t / self.T)",
         "low, high = math.log(self.sigma_min), math.log(self.sigma_max)\n"
         "        return torch.exp(low + (high - low) * t / self.T)"),
        ("sde", "return torch.zeros_like(x), self.sigma(t) * math.sqrt(2 * rate)",
         "return 0 * x, (2 * rate * self.sigma(t) ** 2).sqrt()"),
    ],
    "prior by scaling a Gaussian, density by torch.distributions": [
        ("sde", "return self.prior_std() * torch.randn_like(x)",
         "return torch.empty_like(x).normal_(0, self.prior_std())"),
        ("sde", "        x = x.flatten(1)  # (B, D)\n"
         "        variance = self.prior_std() ** 2\n"
         "        D = x.shape[1]\n"
         "        return -x.pow(2).sum(1) / (2 * variance) - D / 2 * math.log(2 * math.pi * variance)",
         "        normal = torch.distributions.Normal(0.0, float(self.prior_std()))\n"
         "        return normal.log_prob(x).flatten(1).sum(1)"),
    ],
    "a step that draws its own noise": [
        ("sde", "return x + f * dt + g * self.dw(x, dt)",
         "return torch.normal(x + f * dt, (g * dt**0.5).expand_as(x))"),
        ("sde", "return x + drift * dt + diffusion * self.dw(x, dt)",
         "z = torch.randn_like(x)\n        return x + drift * dt + diffusion * dt**0.5 * z"),
    ],
    "reverse process case by case": [
        ("sde", "drift = -f + (1 - lam / 2) * g**2 * self.score_fn(t, x)\n"
         "        return drift, math.sqrt(1 - lam) * g",
         "score = self.score_fn(t, x)\n"
         "        sde, ode = g * g * score - f, 0.5 * g * g * score - f\n"
         "        return (1 - lam) * sde + lam * ode, (1 - lam) ** 0.5 * g"),
    ],
    "langevin with its own norms": [
        ("sde", "z_norm = z.flatten(1).norm(dim=1).mean()",
         "z_norm = z.flatten(1).pow(2).sum(1).sqrt().mean()"),
        ("sde", "eps = 2 * (snr * z_norm / score_norm) ** 2",
         "ratio = snr * z_norm / score_norm\n        eps = 2 * ratio * ratio"),
    ],
    "sub-vp by exponentials": [
        ("sde", "        beta = self.beta(t)\n"
         "        return -0.5 * beta * x, torch.sqrt(-beta * torch.expm1(-2 * self.beta_integral(t)))",
         "        decay = torch.exp(-self.beta_integral(t))\n"
         "        g_squared = self.beta(t) * (1 - decay) * (1 + decay)\n"
         "        return x * self.beta(t) / -2, g_squared**0.5"),
        ("sde", "return torch.exp(-B / 2) * x0, -torch.expm1(-B)",
         "mean = x0 / torch.exp(0.5 * B)\n        return mean, (1 - torch.exp(-B)).expand_as(x0)"),
    ],
}  # fmt: skip
