"""Correct answers to Task 1.6 written another way, in the form of alternatives.py."""

from tests.project.mistakes import bridges as here

WEIGHTS_LOOP = (
    "    weights, A, V = [], 1.0, 0.0\n"
    "    for a, q in zip(chain.a.flip(0), chain.q.flip(0), strict=True):\n"
    "        total = V + A**2 * q\n"
    f"        {here.WEIGHTS}\n"
    "        A, V = A * a, total\n"
    "    return torch.stack(weights[::-1], dim=1).unbind(0)"
)
CACHE = (
    f"        {here.ROW}\n"
    "        at = (k, row, column)\n"
    "        x = self.states[k + 1, row, column]\n"
    "        means = [m if m is None else m[at] for m in (self.means, self.means_next)]\n"
    f"        {here.PAIRS}\n"
    f"        {here.CLOCK}\n"
)
ROUNDS_LOOP = (
    f"        trained, simulated = {here.ROUNDS}\n"
    "        since = i % run.refresh_every\n"
    "        if since == 0 or step == first:\n"
    f"            {here.COLLECT}\n"
    f"        {here.FIT}"
)
JOINT = (
    "        x = states[1:].flatten(0, 1)\n"
    "        z = policy(times[:-1].flatten(), x)\n"
    "        z_other = other(1 - times[1:].flatten(), x)\n"
    "        dt = times.diff(dim=0).flatten()\n"
)
LOG_V = (
    "        u = torch.linalg.solve_triangular(self.cholesky(), away.mT, upper=False)  # (K, D, B)\n"
    f"        {here.LOG_DET}\n"
    f"        {here.LOG_NORMAL}\n"
    "        return (self.log_alpha[:, None] + log_normal).logsumexp(0)"
)

ALTERNATIVES = {
    "line by lerp, velocity written out": [
        ("flow", here.LINE, "velocity = x1 - x0\n    return torch.lerp(x0, x1, t), velocity"),
        ("flow", "x_t, velocity = flow_path(x0, x1, t)",
         "s = t.view(-1, *[1] * (x0.ndim - 1))\n"
         "    velocity = x1 - x0\n    x_t = x0 + s * velocity"),
        ("flow", here.FLOW_LOSS,
         "error = (model(t, x_t) - velocity).flatten(1)\n"
         '    return torch.einsum("bi,bi->", error, error) / len(x0)'),
    ],
    "heun from the euler state, times of full length": [
        ("flow", here.SECOND,
         "there = x + v * dt\n        v_next = model(t_next * torch.ones(len(x)), there)"),
        ("flow", here.HEUN, "states.append(there + dt / 2 * (v_next - v))"),
    ],
    "coupling by scipy's assignment": [
        ("flow", here.PLAN,
         "from scipy.optimize import linear_sum_assignment\n\n"
         "    return torch.from_numpy(linear_sum_assignment(cost.numpy())[1])"),
    ],
    "coupling of single precision, with weights": [
        ("flow", "    cost = torch.cdist(x0.flatten(1).cpu().double(), x1.flatten(1).cpu().double()) ** 2\n"
         "    plan = ot.emd([], [], cost.numpy())\n",
         "    a, b = x0.flatten(1), x1.flatten(1)\n"
         "    cost = ((a[:, None] - b[None]) ** 2).sum(2)\n"
         "    plan = ot.emd(ot.unif(len(a)), ot.unif(len(b)), cost.double().numpy())\n"),
        ("flow", here.PLAN, "return torch.from_numpy(plan).nonzero()[:, 1]"),
    ],
    "schedule in numbers": [
        ("bridge", here.HALVES,
         "A, B, n = *ends, N // 2\n"
         "    up = [A + (B - A) * k / (n - 1) for k in range(n)]\n"
         "    return torch.tensor(up + up[::-1], dtype=torch.float64)"),
    ],
    "reference by expm1, times by a sum": [
        ("bridge", "s = torch.cat([torch.zeros(1).to(dt), dt.cumsum(0)])",
         "s = torch.nn.functional.pad(dt, (1, 0)).cumsum(0)"),
        ("bridge", here.VARIANCE,
         "q = 2 * gammas if theta == 0 else -gammas.sum() * torch.expm1(-2 * theta * dt) / theta"),
        ("bridge", here.REVERSED,
         "return chain._replace(s=(1 - chain.s)[range(chain.N, -1, -1)], a=chain.a.flip(0),\n"
         "                          q=chain.q.flip(0))"),
    ],
    "bridge weights by precisions": [
        ("bridge", WEIGHTS_LOOP,
         "    out = torch.zeros(3, chain.N, dtype=chain.a.dtype)\n"
         "    out[1, -1] = 1\n"
         "    for k in range(chain.N - 1):\n"
         "        later = chain.a[k + 1 :]\n"
         "        tail = torch.cat([later.flip(0).cumprod(0).flip(0)[1:], torch.ones(1).to(later)])\n"
         "        V = (chain.q[k + 1 :] * tail**2).sum()\n"
         "        A = later.prod()\n"
         "        var = 1 / (1 / chain.q[k] + A**2 / V)\n"
         "        out[:, k] = torch.stack([var / chain.q[k] * chain.a[k], var * A / V, var])\n"
         "    return out[0], out[1], out[2]"),
    ],
    "mean map case by case": [
        ("bridge", here.STATE_MAP,
         'if method == "tr":\n'
         "            return torch.add(to_end[k] * p, x, alpha=to_state[k])\n"
         "        return (to_state[k] + to_end[k]) * x + to_end[k] * left[k] * p"),
        ("bridge", "return x + dt[k] * chain.sigma * p",
         "drift = p.mul(chain.sigma)\n            return torch.add(x, drift, alpha=dt[k])"),
    ],
    "walks by tensors made beforehand": [
        ("bridge", here.STEP,
         "scale = torch.sqrt(chain.q).to(x)\n"
         "        states.append(scale[k] * noise(states[-1]) + means[k])"),
        ("bridge", here.BETWEEN,
         "last = len(states) == chain.N\n"
         "        states.append(end if last else mean + var.sqrt().item() * noise(end))"),
    ],
    "maps behind the steps in a loop": [
        ("bridge", here.NEXT,
         "out = torch.empty_like(states[1:])\n"
         "    for k in range(len(out)):\n"
         "        out[k] = F(k, states[k + 1])\n"
         "    return out"),
    ],
    "targets from the means they lead to": [
        ("bridge", here.DSB, "return ((x + mean - mean_next) - x) / dt"),
        ("bridge", here.SBA_POLICY, "return ((mean_next - x) / dt) / chain.sigma"),
        ("bridge", here.FR,
         'return {"tr": start}[method] if method == "tr" else torch.div(start - x, left)'),
    ],
    "cache by flat indices": [
        ("bridge", CACHE,
         "        N, rows, B = self.chain.N, self.states.shape[1], len(self.order)\n"
         "        index = self.order[:, i]\n"
         '        row = torch.div(index, N, rounding_mode="floor")\n'
         "        k = index - N * row\n"
         "        flat = self.states.flatten(0, 2)  # (N + 1) rows B\n"
         "        place = (k * rows + row) * B + column\n"
         "        x, previous = flat[place + rows * B], flat[place]\n"
         "        mean, after = (\n"
         "            None if m is None else m.flatten(0, 2)[place]\n"
         "            for m in (self.means, self.means_next)\n"
         "        )\n"
         "        pairs = Pairs(k, x, previous, flat[row * B + column], mean, after)\n"
         "        s = 1 - self.chain.s.to(x)[k + 1]\n"),
    ],
    "rounds with the caches apart": [
        ("bridge", ROUNDS_LOOP,
         '        names = ["forward", "backward"]\n'
         "        learns = names[half % 2]\n"
         "        begin = i // run.refresh_every * run.refresh_every\n"
         "        if step == first or i == begin:\n"
         "            cache = run.collect(names[1 - half % 2], half, begin)\n"
         "        loss = run.fit(learns, cache.batch(i - begin))\n"
         "        yield step, loss"),
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
    "steps of sb-fbsde with clones and repeated times": [
        ("train", "        x = x.detach().requires_grad_()\n        return loss_fn(dt",
         "        x = x.clone()\n        x.requires_grad_(True)\n        return loss_fn(dt"),
        ("train", JOINT,
         "        x = torch.cat(list(states[1:]))\n"
         "        s = chain.s.to(x)\n"
         "        B = len(states[0])\n"
         "        z_other = other((1 - s[1:]).repeat_interleave(B), x)\n"
         "        z = policy(s[:-1].repeat_interleave(B), x)\n"
         "        dt = s.diff().repeat_interleave(B)\n"),
    ],
    "potential by torch.distributions": [
        ("light_sb", LOG_V,
         "        normal = torch.distributions.MultivariateNormal(\n"
         "            self.r, scale_tril=math.sqrt(self.eps) * self.cholesky()\n"
         "        )\n"
         "        return (self.log_alpha + normal.log_prob(y[:, None])).logsumexp(1)"),
    ],
    "plan by full covariances": [
        ("light_sb", 'Lx = torch.einsum("kij,bi->bkj", self.cholesky(), x)',
         "L = self.cholesky()\n        S = L @ L.mT"),
        ("light_sb", here.LOG_WEIGHTS,
         'square = torch.einsum("bi,kij,bj->bk", x, S, x) / 2\n'
         "        return self.log_alpha + (square + x @ self.r.T) / self.eps"),
        ("light_sb", here.LIGHT_MEAN, "S = L @ L.mT\n        mean = self.r[k] + (S @ x[:, :, None])[..., 0]"),
        ("light_sb", here.LIGHT_NOISE,
         "root = torch.linalg.cholesky(S)\n"
         "        return mean + self.eps**0.5 * (root @ z[..., None]).squeeze(-1)"),
        ("light_sb", here.LIGHT_LOSS,
         "C = torch.logsumexp(self.log_weights(x0), dim=1)\n"
         "        return -(self.log_v(x1).sum() / len(x1)) + C.sum() / len(x0)"),
    ],
}  # fmt: skip
