"""Correct answers to the tasks of sde_todo/sde.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import sde as here
from tests.project.trees import answer

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
        ("sde", VP_MARGINAL, "log_mean = -0.25 * t**2 / self.T * (self.beta_max - self.beta_min)"
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
        ("sde", here.SCORE_NORM,
         "score_norm = score.flatten(1).pow(2).sum(1).sqrt().mean()\n"
         "        score_norm = torch.maximum(score_norm, least)"),
        ("sde", here.LANGEVIN_EPS,
         "ratio = snr * x[0].numel() ** 0.5 / score_norm\n        eps = 2 * ratio * ratio"),
    ],
    "ve with a prior of its own": [
        ("sde", here.VE_PRIOR,
         here.VE_PRIOR + "\n    def prior_sampling(self, x):\n"
         "        return torch.normal(0.0, self.sigma_max, x.shape).to(x)\n"),
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
    "ou by helpers of the module": [
        ("sde", "class SDE(abc.ABC):", '''def shrink(t: Tensor) -> Tensor:
    """What is left of the data, exp(-t/2)."""
    return t.mul(-0.5).exp()


class SDE(abc.ABC):'''),
        answer("sde", "OU.sde_coeff", """
            drift: Tensor = x.neg().div(2)
            return (drift, x.new_ones(len(x), *[1] * (x.ndim - 1)))"""),
        answer("sde", "OU.marginal_prob", """
            alpha = shrink(t)
            variance = 1 - alpha.square()
            return x0 * alpha, variance.sqrt()"""),
    ],
    "ou by einsum and numpy": [
        answer("sde", "OU.sde_coeff", "return torch.lerp(torch.zeros_like(x), x, -0.5), torch.full_like(x, 1.0)"),
        answer("sde", "OU.marginal_prob", '''
            import numpy as np

            times = t.flatten().cpu().numpy().astype(np.float64)
            shape = (len(x0),) + (1,) * (x0.ndim - 1)
            alpha, std = np.exp(-times / 2), np.sqrt(-np.expm1(-times))
            mean = torch.einsum("b,b...->b...", torch.from_numpy(alpha).to(x0), x0)
            return mean, torch.from_numpy(std).to(x0).reshape(shape)'''),
    ],
    "ou with a diffusion of one entry": [
        answer("sde", "OU.sde_coeff", "return x / -2, torch.ones(1, dtype=x.dtype, device=x.device)"),
    ],
    "ou by its variance in a loop over the batch": [
        answer("sde", "OU.marginal_prob", """
            means, stds = [], []
            for time, point in zip(t.flatten().tolist(), x0):
                means.append(math.exp(-0.5 * time) * point)
                stds.append(math.sqrt(1 - math.exp(-time)))
            std = torch.tensor(stds, dtype=x0.dtype, device=x0.device)
            return torch.stack(means), std.view_as(t)"""),
    ],
    "vp by shares of both ends": [
        answer("sde", "VPSDE.beta", """
            u = t / self.T
            return (1 - u) * self.beta_min + u * self.beta_max"""),
        answer("sde", "VPSDE.beta_integral", """
            u = t / self.T
            return self.T * (self.beta_min * (u - u**2 / 2) + self.beta_max * u**2 / 2)"""),
        answer("sde", "VPSDE.sde_coeff", """
            g = self.beta(t) ** 0.5
            f = -(g**2) * x / 2
            return f, g"""),
        answer("sde", "VPSDE.marginal_prob", """
            abar = torch.exp(-self.beta_integral(t))
            return abar.sqrt() * x0, (1 - abar).sqrt()"""),
    ],
    "vp integral by Simpson's rule, in place": [
        answer("sde", "VPSDE.beta", """
            out = torch.full_like(t, self.beta_min)
            out += (self.beta_max - self.beta_min) / self.T * t
            return out"""),
        answer("sde", "VPSDE.beta_integral", """
            total = self.beta(0 * t)
            total += 4 * self.beta(t / 2)
            total += self.beta(t)
            total *= t / 6
            return total"""),
        answer("sde", "VPSDE.marginal_prob", """
            half = self.beta_integral(t).mul_(0.5)
            std = torch.expm1(-2 * half).neg_().sqrt_()
            return x0 * torch.exp(-half), std"""),
    ],
    "vp by slope and start, marginal by the log SNR": [
        answer("sde", "VPSDE.beta", """
            slope = (self.beta_max - self.beta_min) / self.T
            return torch.addcmul(torch.full_like(t, self.beta_min), t, torch.full_like(t, slope))"""),
        answer("sde", "VPSDE.beta_integral", """
            mean_rate = self.beta_min + 0.5 * (self.beta_max - self.beta_min) * t / self.T
            return mean_rate * t"""),
        answer("sde", "VPSDE.marginal_prob", """
            log_snr = -torch.log(torch.expm1(self.beta_integral(t)))
            return x0 * torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()"""),
    ],
    "ve with its slope by torch.func": [
        answer("sde", "VESDE.sigma", """
            u = t / self.T
            return self.sigma_max**u * self.sigma_min ** (1 - u)"""),
        answer("sde", "VESDE.sde_coeff", """
            def variance(time: Tensor) -> Tensor:
                return self.sigma(time).square()

            _, slope = torch.func.jvp(variance, (t,), (torch.ones_like(t),))
            return x * 0.0, slope.sqrt()"""),
        answer("sde", "VESDE.marginal_prob", """
            sigma = self.sigma(t)
            return x0.clone(), sigma.expand(x0.shape)"""),
        answer("sde", "VESDE.prior_std", "return float(self.sigma(torch.tensor(float(self.T), dtype=torch.float64)))"),
    ],
    "ve with its slope by autograd": [
        answer("sde", "VESDE.sigma", """
            ratio = math.log(self.sigma_max) - math.log(self.sigma_min)
            return self.sigma_min * torch.exp(ratio * t / self.T)"""),
        answer("sde", "VESDE.sde_coeff", """
            with torch.enable_grad():
                time = t.detach().clone().requires_grad_(True)
                (slope,) = torch.autograd.grad((self.sigma(time) ** 2).sum(), time)
            g = slope**0.5
            return torch.zeros(x.shape, dtype=x.dtype, device=x.device), g"""),
        answer("sde", "VESDE.marginal_prob", "return x0 + 0 * t, self.sigma(t) * torch.ones_like(x0)"),
    ],
    "sub-vp from vp": [
        answer("sde", "SubVPSDE.sde_coeff", """
            f, g = super().sde_coeff(t.flatten(), x)
            left = torch.exp(-2 * self.beta_integral(t))
            return f, g * (1 - left).sqrt()"""),
        answer("sde", "SubVPSDE.marginal_prob", """
            mean, std = super().marginal_prob(t.flatten(), x0)
            return mean, std**2"""),
    ],
    "sub-vp in float64, by hyperbolic functions": [
        answer("sde", "SubVPSDE.sde_coeff", """
            B = self.beta_integral(t.double())
            beta = self.beta(t.double())
            g = torch.sqrt(2 * beta * torch.exp(-B) * torch.sinh(B))
            return (-beta * x / 2).to(x), g.to(x)"""),
        answer("sde", "SubVPSDE.marginal_prob", """
            half = self.beta_integral(t.double()) / 2
            alpha = torch.exp(-half)
            return (alpha * x0).to(x0.dtype), (2 * alpha * torch.sinh(half)).to(x0.dtype)"""),
    ],
    "prior by torch.normal, density in a loop": [
        answer("sde", "SDE.prior_sampling", """
            size = tuple(x.shape)
            return torch.normal(0.0, float(self.prior_std()), size, dtype=x.dtype, device=x.device)"""),
        answer("sde", "SDE.prior_logp", """
            s = self.prior_std()
            logs = []
            for sample in x:
                energy = 0.5 * (sample / s).pow(2).sum()
                logs.append(-energy - sample.numel() * (math.log(s) + 0.5 * math.log(2 * math.pi)))
            return torch.stack(logs)"""),
    ],
    "prior by a product, density by einsum": [
        answer("sde", "SDE.prior_sampling", """
            z = torch.randn(x.shape, dtype=x.dtype, device=x.device)
            z *= self.prior_std()
            return z"""),
        answer("sde", "SDE.prior_logp", """
            D = math.prod(x.shape[1:])
            u = x.reshape(-1, D) / self.prior_std()
            square = torch.einsum("bi,bi->b", u, u)
            return -0.5 * (square + D * math.log(2 * math.pi)) - D * math.log(self.prior_std())"""),
    ],
    "prior density by a multivariate normal": [
        answer("sde", "SDE.prior_sampling", """
            scale = torch.full_like(x, float(self.prior_std()))
            return torch.distributions.Normal(torch.zeros_like(x), scale).sample()"""),
        answer("sde", "SDE.prior_logp", """
            flat = x.reshape(x.shape[0], -1)
            root = self.prior_std() * torch.eye(flat.shape[1]).to(flat)
            law = torch.distributions.MultivariateNormal(torch.zeros_like(flat[0]), scale_tril=root)
            return law.log_prob(flat)"""),
    ],
    "increments by torch.normal, a step in place": [
        answer("sde", "SDE.dw", """
            if dt is None:
                dt = self.T / self.N
            return torch.normal(0.0, dt**0.5, x.shape, dtype=x.dtype, device=x.device)"""),
        answer("sde", "SDE.predict_fn", """
            if dt is None:
                dt = self.dt
            drift, diffusion = self.sde_coeff(t, x)
            out = x.clone()
            out += dt * drift
            out += diffusion * self.dw(x, dt=dt)
            return out"""),
    ],
    "increments as a sum of shorter ones, a step by addcmul": [
        answer("sde", "SDE.dw", """
            step = self.dt if dt is None else dt
            halves = [torch.randn(x.shape).to(x) for _ in range(2)]
            return torch.stack(halves).sum(0) * math.sqrt(step / 2)"""),
        answer("sde", "SDE.predict_fn", """
            noise = self.dw(x, dt)
            f, g = self.sde_coeff(t=t, x=x)
            moved = torch.add(x, f, alpha=self.dt if dt is None else dt)
            return torch.addcmul(moved, torch.as_tensor(g).expand_as(x), noise)"""),
    ],
    "reverse process from the ODE": [
        answer("sde", "ReverseSDE.family_coeff", """
            time = self.forward.T - s
            forward_drift, g = self.forward.sde_coeff(time, x)
            push = 0.5 * torch.as_tensor(g).square() * self.score_fn(time, x)
            ode = push - forward_drift
            return ode + (1 - lam) * push, g * (1 - lam) ** 0.5"""),
        answer("sde", "ReverseSDE.predict_fn", """
            if not ode:
                return super().predict_fn(s, x, dt)
            slope = self.ode_coeff(s, x)[0]
            return x + slope * (self.dt if dt is None else dt)"""),
    ],
    "reverse step with coefficients chosen": [
        answer("sde", "ReverseSDE.family_coeff", """
            f, g = self.forward.sde_coeff(self.T - s, x)
            score = self.score_fn(self.T - s, x)
            drift = g**2 * score - f
            drift = drift - lam / 2 * g**2 * score
            noise = torch.zeros_like(x) if lam == 1 else math.sqrt(1 - lam) * g
            return drift, noise"""),
        answer("sde", "ReverseSDE.predict_fn", """
            coefficients = self.ode_coeff if ode else self.sde_coeff
            drift, diffusion = coefficients(s, x)
            length = self.dt if dt is None else dt
            return x + length * drift + diffusion * self.dw(x, length)"""),
    ],
    "langevin by einsum, in float64": [
        answer("sde", "SDE.correct_fn", """
            noise = torch.randn(x.shape, dtype=x.dtype, device=x.device)
            score = score_fn(t, x)

            def mean_length(v: Tensor) -> Tensor:
                v = v.flatten(1).double()
                return torch.einsum("bi,bi->b", v, v).sqrt().mean()

            length = max(mean_length(score), least.double())
            eps = (2 * x[0].numel() * (snr / length) ** 2).to(x)
            return x + eps * score + noise * (2 * eps) ** 0.5"""),
    ],
    "langevin by python numbers and torch.normal": [
        answer("sde", "SDE.correct_fn", """
            score = score_fn(t, x)
            z = torch.normal(torch.zeros_like(x), 1.0)
            lengths = torch.linalg.vector_norm(score, dim=tuple(range(1, x.ndim)))
            score_norm = max(lengths.mean().item(), least.item())
            deviation = 2 * snr * root_D / score_norm  # sqrt(2 eps)
            out = x.clone()
            out.add_(score, alpha=deviation**2 / 2)
            return out.add_(z, alpha=deviation)"""),
    ],
    "ve by numpy's numbers": [
        answer("sde", "VESDE.sde_coeff", """
            import numpy as np

            sigma = self.sigma_min * (self.sigma_max / self.sigma_min) ** (t / self.T)
            rate = (np.log(self.sigma_max) - np.log(self.sigma_min)) / self.T
            diffusion = sigma * torch.sqrt(torch.tensor(2 * rate, dtype=x.dtype, device=x.device))
            return torch.zeros_like(x), diffusion"""),
        answer("sde", "VESDE.marginal_prob", """
            std = self.sigma_min * (self.sigma_max / self.sigma_min) ** (t / self.T)
            mean = x0
            return mean, std"""),
    ],
    "reverse step by the family": [
        answer("sde", "ReverseSDE.predict_fn", """
            if dt is None:
                dt = self.dt
            lam = 1.0 if ode else self.lam
            drift, diffusion = self.family_coeff(s, x, lam)
            moved = x + dt * drift
            return moved if ode else moved + diffusion * self.dw(x, dt)"""),
    ],
}  # fmt: skip
