"""Correct answers to the tasks of sde_todo/bridge.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import bridge as here
from tests.project.trees import answer

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
    "schedule by a triangle, chain in a loop": [
        answer("bridge", "gamma_schedule", """
            if len(ends) == 1:
                return torch.tensor(ends * N, dtype=torch.float64)
            A, B = ends
            k = torch.arange(N, dtype=torch.float64)
            share = torch.minimum(k, N - 1 - k) / max(N // 2 - 1, 1)
            return torch.lerp(torch.full_like(share, A), torch.full_like(share, B), share)"""),
        answer("bridge", "reference_chain", """
            total = float(gammas.sum())
            s, a, q = [0.0], [], []
            for gamma in gammas.tolist():
                dt = gamma / total
                s.append(s[-1] + dt)
                a.append(2.718281828459045 ** (-theta * dt))
                gain = dt if theta == 0 else (1 - a[-1] ** 2) / (2 * theta)
                q.append(2 * total * gain)
            s, a, q = (torch.tensor(v, dtype=torch.float64) for v in (s, a, q))
            return Chain(s=s, a=a, q=q, sigma=(2 * total) ** 0.5)"""),
        answer("bridge", "reverse_chain", """
            backwards = torch.arange(chain.N - 1, -1, -1)
            s = torch.cat([chain.s.new_zeros(1), chain.dt[backwards].cumsum(0)])
            return Chain(s, chain.a[backwards], chain.q[backwards], chain.sigma)"""),
    ],
    "schedule by numpy": [
        answer("bridge", "gamma_schedule", """
            import numpy as np

            if kind == "linear":
                up = np.linspace(*ends, num=N // 2)
                return torch.from_numpy(np.concatenate((up, up[::-1])))
            return torch.from_numpy(np.repeat(ends, N))"""),
        answer("bridge", "reference_chain", """
            import numpy as np

            g = gammas.double().numpy()
            variance = 2 * g.sum()
            s = np.insert(np.cumsum(g), 0, 0.0) / g.sum()
            dt = np.diff(s)
            a = np.exp(-theta * dt)
            q = 2 * g if not theta else variance * -np.expm1(-2 * theta * dt) / (2 * theta)
            return Chain(*(torch.from_numpy(v) for v in (s, a, q)), float(np.sqrt(variance)))"""),
        answer("bridge", "reverse_chain", """
            s, a, q = (torch.flip(v, dims=[0]) for v in (chain.s, chain.a, chain.q))
            return Chain(1.0 - s, a, q, chain.sigma)"""),
    ],
    "bridge weights by the law at the end": [
        answer("bridge", "bridge_weights", """
            # Cov(x_{k+1}, x_N) = A q given x_k: regress x_{k+1} on x_N.
            a, q = chain.a.tolist(), chain.q.tolist()
            rows = []
            for k in range(chain.N):
                mean, variance, cov = a[k], q[k], q[k]
                for j in range(k + 1, chain.N):
                    mean, cov = a[j] * mean, a[j] * cov
                    variance = a[j] ** 2 * variance + q[j]
                gain = cov / variance
                rows.append([a[k] - gain * mean, gain, max(q[k] - gain * cov, 0.0)])
            return tuple(torch.tensor(rows, dtype=chain.a.dtype).T)"""),
    ],
    "bridge weights by cumulative sums": [
        answer("bridge", "bridge_weights", """
            # y_k = x_k / (a_0 ... a_{k-1}) has no drift, and variances r.
            scale = torch.cat([chain.a.new_ones(1), chain.a.cumprod(0)])
            r = chain.q / scale[1:] ** 2
            left = r.flip(0).cumsum(0).flip(0)
            part = r / left
            part[-1] = 1
            to_end = part * scale[1:] / scale[-1]
            to_state = (1 - part) * chain.a
            return to_state, to_end, chain.q * (1 - part)"""),
    ],
    "mean map by a table": [
        answer("bridge", "mean_map.F", """
            moves = {
                "dsb": lambda: x + p * dt[k],
                "sdsb": lambda: x + p * dt[k],
                "sb-fbsde-alt": lambda: x + (chain.sigma * dt[k]) * p,
                "tr": lambda: to_state[k] * x + to_end[k] * p,
            }
            between = lambda: to_state[k] * x + to_end[k] * (x + p * left[k])
            return moves.get(method, between)()"""),
    ],
    "walks in tensors of all states": [
        answer("bridge", "simulate", """
            mean = F(k, states[k])
            deviation = torch.sqrt(chain.q[k]).item()
            moved = mean.clone()
            moved += deviation * noise(mean)
            means += [mean]
            states += [moved]"""),
        answer("bridge", "draw_between", """
            to_state, to_end, var = (w.tolist() for w in bridge_weights(chain))
            out = start.new_empty((chain.N + 1, *start.shape))
            out[0] = start
            for k in range(chain.N):
                out[k + 1] = to_state[k] * out[k] + to_end[k] * end
                if var[k] > 0:
                    out[k + 1] += var[k] ** 0.5 * noise(start)
            return out"""),
        answer("bridge", "maps_at_next", """
            maps = []
            for k in range(states.shape[0] - 1):
                maps.append(F(k, states[k + 1]))
            return torch.stack(maps, dim=0)"""),
    ],
    "states between by simulate": [
        answer("bridge", "draw_between", """
            to_state, to_end, var = bridge_weights(chain)

            def F(k: int, x: Tensor) -> Tensor:
                return to_state[k].to(x) * x + to_end[k].to(x) * end

            return simulate(chain._replace(q=var), F, start, noise=noise)[0]"""),
        answer("bridge", "maps_at_next", """
            N = len(states) - 1
            return torch.stack(list(map(F, range(N), states[1:])))"""),
    ],
    "targets by cases, the means written out": [
        answer("bridge", "target", """
            if method == "tr":
                return start
            if method in ("fr", "dsbm"):
                velocity = start - x
                return velocity.div(left)
            if method == "sb-fbsde-alt":
                drift = (mean_next - x) / dt
                return drift / chain.sigma
            back = previous if method == "sdsb" else x + mean - mean_next
            return (back - x) / dt"""),
    ],
    "batch by gather": [
        answer("bridge", "Cache.batch", """
            row, k = torch.div(self.order[:, i], self.chain.N, rounding_mode="floor"), None
            k = self.order[:, i].remainder(self.chain.N)

            def pick(values: Tensor | None, step: Tensor) -> Tensor | None:
                if values is None:
                    return None
                return torch.stack([values[n, r, c] for c, (n, r) in enumerate(zip(step, row))])

            x = pick(self.states, k + 1)
            pairs = Pairs(
                k=k,
                x=x,
                previous=pick(self.states, k),
                start=pick(self.states, 0 * k),
                mean=pick(self.means, k),
                mean_next=pick(self.means_next, k),
            )
            y = target(method=self.method, chain=self.chain, pairs=pairs, published=self.published)
            s = torch.index_select(self.chain.s, 0, k + 1)
            return (1 - s).to(x), x, y, k"""),
    ],
    "rounds with a dictionary, keywords": [
        answer("bridge", "train_bridge", """
            names = {0: ("forward", "backward"), 1: ("backward", "forward")}
            learner, teacher = names[half % 2]
            number = i - run.refresh_every * (i // run.refresh_every)
            fresh = number == 0
            if fresh or step == first:
                cache = run.collect(name=teacher, half=half, i=i - number)
            loss = run.fit(name=learner, batch=cache.batch(i=number))
            yield (step, loss)"""),
    ],
    "walks with noise drawn beforehand": [
        answer("bridge", "draw_between", """
            weights = torch.stack(bridge_weights(chain), 1)
            z = [noise(end) for _ in range(chain.N)]
            path = [start]
            for (keep, pull, var), step in zip(weights, z):
                mean = torch.add(keep.item() * path[-1], end, alpha=pull.item())
                path.append(mean + torch.sqrt(var).to(step) * step)
            return torch.stack(path)"""),
        answer("bridge", "maps_at_next", """
            return torch.cat([F(k, after).unsqueeze(0) for k, after in zip(range(len(states) - 1), states[1:])])"""),
    ],
}  # fmt: skip
