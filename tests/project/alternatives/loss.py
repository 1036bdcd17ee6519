"""Correct answers to the tasks of sde_todo/loss.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import loss as here
from tests.project.trees import answer

ISM_SUM = (
    "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) + get_div(s, x, self.method, self.noise)\n"
    "        return weighted_mean(per_sample, weight)"
)

ALTERNATIVES = {
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
        ("loss", "vjp = torch.autograd.grad((s * v).sum(), x, create_graph=True, materialize_grads=True)[0]",
         "vjp = torch.autograd.grad(s + 0 * x, x, v, create_graph=True)[0]"),
    ],
    "uniform times with one shift for all strata": [
        ("loss", "t = eps + (sde.T - eps) * u\n",
         "u = (torch.arange(B) + torch.rand(1, generator=generator)) / B\n"
         "        t = eps + (sde.T - eps) * u\n"),
    ],
    "losses of sb-fbsde by einsum": [
        ("loss", "product = (z * (0.5 * z + z_other)).flatten(1).sum(1)",
         'product = torch.einsum("b...,b...->b", z, z / 2 + z_other)'),
        ("loss", here.SBA,
         "div = g * get_div(z, x, self.method, self.noise)\n"
         "        return (dt * (product + div)).sum() / len(dt)"),
        ("loss", here.SBJ,
         "steps = len(dt) // len(log_q)\n"
         "        return steps * weighted_mean(per_state, dt) - log_q.sum() / len(log_q)"),
    ],
    "debiased times by np.interp": [
        ("loss", "        i = torch.searchsorted(value, target).clamp(1, len(grid) - 1)\n"
         "        slope = (value[i] - value[i - 1]) / (grid[i] - grid[i - 1])\n"
         "        t = (grid[i - 1] + (target - value[i - 1]) / slope).clamp(eps, sde.T)\n",
         "        import numpy as np\n\n"
         "        t = torch.from_numpy(np.interp(target.numpy(), value.numpy(), grid.numpy()))\n"
         "        h = 1e-4 * t\n"
         "        slope = (log_nsr(sde, t + h) - log_nsr(sde, t - h)) / (2 * h)\n"),
    ],
    "stable target for every row, by the normal density": [
        ("loss", "        target = x0.clone()\n        target[far] = logits.softmax(1) @ c\n"
         "        return target",
         "        square = torch.cdist((x / alpha).double(), c.double()) ** 2\n"
         "        density = self.log_weight - square / (2 * (std / alpha).double() ** 2)\n"
         "        share = (density - density.logsumexp(1, keepdim=True)).exp().to(x)\n"
         '        mean = torch.einsum("bk,kd->bd", share, c)\n'
         "        return torch.where(std > self.above * alpha, mean, x0)"),
    ],
    "target by autograd of the log density": [
        answer("loss", "dsm_target", """
            def logp(moved):
                return -(moved**2 / (2 * std**2)).sum()

            return torch.func.grad(logp)((std * z).detach())"""),
        answer("loss", "DSMLoss.__call__", """
            B = x.shape[0]
            error = model(t, x) - y
            if weight is None:
                return error.square().sum() / (2 * B)
            return 0.5 * torch.einsum("b,b...->", weight, error**2) / B"""),
    ],
    "target in place, losses in a loop": [
        answer("loss", "dsm_target", "return z.clone().div_(std).neg_()"),
        answer("loss", "DSMLoss.__call__", """
            s = model(t, x)
            total = torch.zeros(())
            for i in range(len(x)):
                w = 1.0 if weight is None else weight[i]
                total = total + w * torch.sum((s[i] - y[i]) ** 2) / 2
            return total / len(x)"""),
    ],
    "denoising loss by mse_loss": [
        answer("loss", "dsm_target", "return torch.mul(z, -1 / std)"),
        answer("loss", "DSMLoss.__call__", """
            squares = torch.nn.functional.mse_loss(model(t, x), y, reduction="none")
            per_sample = squares.reshape(len(x), -1).sum(dim=-1) / 2
            weight = torch.ones_like(per_sample) if weight is None else weight
            return torch.mean(weight * per_sample)"""),
    ],
    "divergence by one batched gradient": [
        answer("loss", "get_div", """
            flat = y.flatten(1)
            D = flat.shape[1]
            units = torch.eye(D).to(y)[:, None].expand(D, len(y), D).reshape(D, *y.shape)
            rows = torch.autograd.grad(y, x, units, create_graph=True, is_grads_batched=True)[0]
            return rows.flatten(2).diagonal(dim1=0, dim2=2).sum(-1)"""),
        answer("loss", "get_div", """
            if noise == "gaussian":
                v = torch.randn(x.shape, dtype=x.dtype, device=x.device)
            else:
                v = random_probe(x, noise)
            (vjp,) = torch.autograd.grad((y * v).sum(), x, create_graph=True)
            return torch.einsum("bi,bi->b", vjp.flatten(1), v.flatten(1))""", part=1),
    ],
    "divergence by products with the unit vectors": [
        answer("loss", "get_div", """
            div = 0
            for i in range(y[0].numel()):
                unit = torch.zeros_like(y)
                unit.reshape(len(y), -1)[:, i] = 1
                (row,) = torch.autograd.grad(y, x, unit, create_graph=True)
                div = div + (row * unit).sum(dim=list(range(1, x.ndim)))
            return div"""),
        answer("loss", "get_div", """
            # v^T (J v) by two backward passes: u -> J^T u is linear, its transpose is J.
            v = random_probe(x, noise)
            u = torch.zeros_like(y, requires_grad=True)
            (vjp,) = torch.autograd.grad(y, x, u, create_graph=True)
            (jvp,) = torch.autograd.grad(vjp, u, v, create_graph=True)
            return (v * jvp).reshape(len(x), -1).sum(1)""", part=1),
    ],
    "implicit loss by the Jacobian of torch.func": [
        answer("loss", "ISMLoss.__call__", """
            if self.method != "exact":
                x = x.clone().detach().requires_grad_(True)
                s = model(t, x)
                div = get_div(s, x, method=self.method, noise=self.noise)
            else:
                s = model(t, x)
                jacobian = torch.func.vmap(
                    torch.func.jacrev(lambda x, t: model(t[None], x[None])[0].flatten())
                )(x.detach(), t)
                div = jacobian.flatten(2).diagonal(dim1=1, dim2=2).sum(-1)
            w = 1 if weight is None else weight
            return (w * (s.square().flatten(1).sum(1) / 2 + div)).mean()"""),
    ],
    "implicit loss in two means": [
        answer("loss", "ISMLoss.__call__", """
            points = x.detach().clone()
            points.requires_grad_()
            s = model(t, points)
            w = torch.ones(len(x)).to(x) if weight is None else weight
            energy = torch.einsum("b,b...->b", w, s * s) / 2
            divergence = w * get_div(s, points, self.method, self.noise)
            return energy.mean() + divergence.mean()"""),
    ],
    "sliced loss by a forward derivative": [
        answer("loss", "SSMLoss.__call__", """
            x = x.detach()
            v = random_probe(x, self.noise)
            s, slope = torch.func.jvp(lambda x: model(t, x), (x,), (v,))
            per_sample = (s * s / 2 + slope * v).flatten(1).sum(1)
            if weight is not None:
                per_sample = weight * per_sample
            return per_sample.mean()"""),
    ],
    "sliced loss by a pullback and own directions": [
        answer("loss", "SSMLoss.__call__", """
            if self.noise == "gaussian":
                v = torch.randn(x.shape).to(x)
            else:
                v = torch.where(torch.rand(x.shape) < 0.5, -1.0, 1.0).to(x)
            s, pull = torch.func.vjp(lambda x: model(t, x), x.detach())
            (vjp,) = pull(v)
            square = torch.linalg.vector_norm(s.flatten(1), dim=1) ** 2
            return weighted_mean(0.5 * square + (v * vjp).flatten(1).sum(-1), weight)"""),
    ],
    "times in another order": [
        answer("loss", "sample_time", """
            u = u[torch.randperm(B, generator=generator)]
            times = torch.lerp(torch.full_like(u, eps), torch.full_like(u, sde.T), u)
            return times.to(device=device), torch.ones_like(times).to(device)"""),
    ],
    "debiased times by bisection, weights by g and std": [
        answer("loss", "sample_time", """
            ends = log_nsr(sde, torch.tensor([eps, sde.T], dtype=torch.float64))
            target = torch.lerp(ends[0], ends[1], u.double())
            low, high = torch.full_like(target, eps), torch.full_like(target, sde.T)
            for _ in range(50):
                middle = (low + high) / 2
                below = log_nsr(sde, middle) < target
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            t = (low + high) / 2
            one = torch.ones(B, 1, dtype=t.dtype)
            g = torch.as_tensor(sde.sde_coeff(t, one)[1]).expand(B, 1)[:, 0]
            std = alpha_std(sde, t, one)[1][:, 0]
            weight = (ends[1] - ends[0]) / ((sde.T - eps) * (g / std) ** 2)
            return t.float().to(device), weight.float().to(device)""", part=1),
    ],
    "debiased times with the slope by autograd": [
        answer("loss", "sample_time", """
            import numpy as np

            grid = torch.from_numpy(np.geomspace(eps, sde.T, 10_001))
            value = log_nsr(sde, grid).numpy()
            drawn = value[0] + (value[-1] - value[0]) * u.double().numpy()
            t = torch.from_numpy(np.interp(drawn, value, grid.numpy())).clamp(eps, sde.T)
            with torch.enable_grad():
                t.requires_grad_()
                (slope,) = torch.autograd.grad(log_nsr(sde, t).sum(), t)
            weight = (value[-1] - value[0]) / slope / (sde.T - eps)
            return tuple(v.detach().float().to(device) for v in (t, weight))""", part=1),
    ],
    "stable target row by row": [
        answer("loss", "StableTarget.__call__", """
            rows = []
            for point, drawn, a, s in zip(x, x0, alpha[:, 0], std[:, 0]):
                if s <= self.above * a:
                    rows.append(drawn)
                    continue
                square = (point / a - self.centres).pow(2).sum(1)
                share = torch.softmax(self.log_weight - square / (2 * (s / a) ** 2), dim=0)
                rows.append(share @ self.centres)
            return torch.stack(rows)"""),
    ],
    "stable target by densities of x": [
        answer("loss", "StableTarget.__call__", """
            away = x[:, None] - alpha[:, :, None] * self.centres  # (B, K, D)
            log_p = self.log_weight - (away**2).sum(2) / (2 * std**2)
            p = torch.exp(log_p - log_p.amax(1, keepdim=True))
            mean = torch.einsum("bk,kd->bd", p, self.centres) / p.sum(1, keepdim=True)
            keep = (std / alpha <= self.above).to(x)
            return keep * x0 + (1 - keep) * mean"""),
    ],
    "loss of sb-fbsde by completing the square": [
        answer("loss", "SBALoss.__call__", """
            square = ((z + z_other) ** 2 - z_other**2) / 2
            div = get_div(g * z, x, method=self.method, noise=self.noise)
            return torch.mean(dt * (square.reshape(len(x), -1).sum(1) + div))"""),
        answer("loss", "SBJLoss.__call__", """
            B = log_q.shape[0]
            both = z + z_other
            square = torch.einsum("bi,bi->b", both.flatten(1), both.flatten(1)) / 2
            div = g * get_div(z_other, x, self.method, self.noise)
            paths = (dt * (square + div)).reshape(-1, B).sum(0)
            return (paths - log_q).mean()"""),
    ],
}  # fmt: skip
