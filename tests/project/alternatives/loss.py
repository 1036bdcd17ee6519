"""Correct answers to the tasks of sde_todo/loss.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import loss as here

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
        ("loss", "vjp = torch.autograd.grad((s * v).sum(), x, create_graph=True)[0]",
         "vjp = torch.autograd.grad(s, x, v, create_graph=True)[0]"),
    ],
    "uniform times without strata": [
        ("loss", "t = eps + (sde.T - eps) * u\n",
         "t = eps + (sde.T - eps) * torch.rand(B, generator=generator)\n"),
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
}  # fmt: skip
