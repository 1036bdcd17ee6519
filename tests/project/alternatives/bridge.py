"""Correct answers to the tasks of sde_todo/bridge.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import bridge as here

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

ALTERNATIVES = {
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
    "maps after the steps in a loop": [
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
}  # fmt: skip
