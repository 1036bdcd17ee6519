"""Correct answers written another way: every graded test must pass on each.

An alternative is a list of (file, old, new), applied to solutions/sde_todo/FILE.
"""

OU_MARGINAL = "return torch.exp(-t / 2) * x0, torch.sqrt(-torch.expm1(-t))"
VP_MARGINAL = "return torch.exp(-B / 2) * x0, torch.sqrt(-torch.expm1(-B))"
ISM_SUM = (
    "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) + get_div(s, x, self.method, self.noise)\n"
    "        return weighted_mean(per_sample, weight)"
)

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
    "embedding by einsum, mlp by hand": [
        ("network", "angles = t[:, None] * self.freqs.to(t)",
         'angles = torch.einsum("b,f->bf", t, self.freqs.to(t))'),
        ("network", "self.layers = nn.Sequential(*layers[:-1])",
         "self.linears = nn.ModuleList(layers[::2])"),
        ("network", "        return self.layers(x)\n",
         "        for linear in self.linears[:-1]:\n"
         "            x = torch.tanh(linear(x))\n"
         "        return self.linears[-1](x)\n"),
    ],
    "another network": [
        ("network", "z = z + block(nn.functional.silu(z))", "z = z + block(z)"),
        ("network", "self.out = nn.Sequential(nn.SiLU(), nn.Linear(z_dim, in_dim))",
         "self.out = nn.Sequential(nn.LayerNorm(z_dim), nn.GELU(), nn.Linear(z_dim, in_dim))"),
    ],
    "score by Tweedie for every prediction": [
        ("network", "return -(std * x + alpha * prediction) / std",
         "return -x - alpha / std * prediction"),
        ("network", "return (alpha * prediction - x) / std**2",
         "return -(x - prediction * alpha) / (std * std)"),
    ],
    "losses by einsum": [
        ("loss", "per_sample = 0.5 * (model(t, x) - y).pow(2).flatten(1).sum(1)  # (B,)",
         'error = model(t, x) - y\n'
         '        per_sample = torch.einsum("b...,b...->b", error, error) / 2'),
        ("loss", ISM_SUM,
         "per_sample = get_div(s, x, self.method, self.noise) + (s * s).sum(-1) / 2\n"
         "        w = torch.ones_like(per_sample) if weight is None else weight\n"
         "        return (w * per_sample).sum() / len(x)"),
    ],
    "divergence by vmap of the Jacobian's rows": [
        ("loss", "return sum(grad.flatten(1)[:, i] for i, grad in enumerate(grads))",
         "rows = torch.stack([grad.flatten(1) for grad in grads], 1)\n"
         '        return torch.einsum("bii->b", rows)'),
    ],
    "divergence in a loop that accumulates": [
        ("loss", "return sum(grad.flatten(1)[:, i] for i, grad in enumerate(grads))",
         "div = torch.zeros(len(x), dtype=x.dtype)\n"
         "        for i, grad in enumerate(grads):\n"
         "            div = div + grad.reshape(len(x), -1)[:, i]\n"
         "        return div"),
    ],
    "sliced score matching by a double product": [
        ("loss", "vjp = torch.autograd.grad((s * v).sum(), x, create_graph=True)[0]",
         "vjp = torch.autograd.grad(s, x, v, create_graph=True)[0]"),
    ],
    "uniform times without strata": [
        ("loss", "t = eps + (sde.T - eps) * u\n",
         "t = eps + (sde.T - eps) * torch.rand(B, generator=generator)\n"),
    ],
    "ema by an explicit sum": [
        ("train", "            for average, p in pairs:\n                average.lerp_(p, 1 - d)",
         "            for average, p in pairs:\n                average.copy_(d * average + (1 - d) * p)"),
    ],
    "step with zero_grad at its end": [
        ("train", "        opt.zero_grad()\n        loss = loss_fn", "        loss = loss_fn"),
        ("train", "y, w)\n        loss.backward()\n        opt.step()\n",
         "y, w)\n        loss.backward()\n        opt.step()\n        opt.zero_grad()\n"),
    ],
    "target by the residual": [
        ("train", "y = dsm_target(z, std)", "y = (alpha * batch - x_t) / std**2"),
    ],
    "grid in numpy": [
        ("sampling", "    t = torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1, dtype=torch.float64)"
         " ** rho\n    return (T - t).float()",
         "    u = np.linspace(0, 1, N + 1)\n"
         "    t = (T ** (1 / rho) * (1 - u) + eps ** (1 / rho) * u) ** rho\n"
         "    return torch.from_numpy(T - t).float()"),
    ],
    "walk into a tensor made beforehand": [
        ("sampling", "        x_traj.append(x)\n        ntot += evaluations\n"
         "    return torch.stack(x_traj), ntot",
         "        x_traj.append(x.clone())\n        ntot = ntot + evaluations\n"
         "    out = torch.zeros(len(timesteps), *x.shape)\n"
         "    for k, state in enumerate(x_traj):\n"
         "        out[k] = state\n"
         "    return out, ntot"),
    ],
    "euler-maruyama written out": [
        ("sampling", "return sde.predict_fn(s, x, ds), 1",
         "f, g = sde.sde_coeff(s, x)\n"
         "    return x + f * ds + g * math.sqrt(ds) * torch.randn_like(x), 1"),
    ],
    "heun from the euler state": [
        ("sampling", "return x + ds * (slope + end_slope) / 2, 2",
         "return (x + ds * slope) + ds / 2 * (end_slope - slope), 2"),
    ],
    "multistep weights by Lagrange polynomials": [
        ("sampling", "return np.linalg.solve(powers, moments).tolist()",
         "return (np.linalg.inv(powers) @ np.array(moments)).tolist()"),
    ],
}  # fmt: skip
