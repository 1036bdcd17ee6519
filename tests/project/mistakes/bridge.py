"""Plausible mistakes in sde_todo/bridge.py: name -> (task, file, old, new, part of what is said)."""

HALVES = "return torch.cat([half, half.flip(0)])"
VARIANCE = "q = 2 * gammas if theta == 0 else gammas.sum() * (1 - a**2) / theta"
REVERSED = "return Chain(1 - chain.s.flip(0), chain.a.flip(0), chain.q.flip(0), chain.sigma)"
WEIGHTS = "weights.append(torch.stack([a * V / total, q * A / total, q * V / total]))"
STATE_MAP = "return to_state[k] * x + to_end[k] * end"
STEP = "states.append(means[-1] + float(chain.q[k]) ** 0.5 * noise(x))"
BETWEEN = "states.append(mean + float(var) ** 0.5 * noise(start))"
NEXT = "return torch.stack([F(k, x) for k, x in enumerate(states[1:])])"
DSB = "return (mean - mean_next) / dt"
FR = 'return start if method == "tr" else (start - x) / left'
SBA_POLICY = "return (mean_next - x) / (dt * chain.sigma)"
CLOCK = "s = (1 - self.chain.s[1:]).to(x)[k]"
PAIRS = "pairs = Pairs(k, x, self.states[at], self.states[0, row, column], *means)"
ROW = "row, k = self.order[:, i] // self.chain.N, self.order[:, i] % self.chain.N"
ROUNDS = '("forward", "backward") if half % 2 == 0 else ("backward", "forward")'
COLLECT = "cache = run.collect(simulated, half, i - since)"
FIT = "yield step, run.fit(trained, cache.batch(since))"

MISTAKES = {
    "schedule rises twice": ("1.6e", "bridge", HALVES, "return torch.cat([half, half])", "mirror image"),
    "schedule rises all along": ("1.6e", "bridge", HALVES, "return torch.linspace(ends[0], ends[1], N, dtype=torch.float64)", "second half"),
    "schedule with a single peak": ("1.6e", "bridge", HALVES, "down = torch.linspace(ends[0], ends[1], N // 2 + 1, dtype=torch.float64).flip(0)\n    return torch.cat([half, down[1:]])", "peak is there once"),
    "schedule upside down": ("1.6e", "bridge", HALVES, "return torch.cat([half.flip(0), half])", "falls first"),
    "schedule in single precision": ("1.6e", "bridge", HALVES, "return torch.cat([half, half.flip(0)]).float()", "float64"),
    "reference variance gamma": ("1.6f", "bridge", VARIANCE, "q = gammas if theta == 0 else gammas.sum() * (1 - a**2) / theta", "sqrt(2 gamma)"),
    "reference variance is a deviation": ("1.6f", "bridge", VARIANCE, VARIANCE + "\n    q = q.sqrt()", "deviation"),
    "reference drift without its variance": ("1.6f", "bridge", VARIANCE, "q = 2 * gammas", "without a drift"),
    "reference drift by euler": ("1.6f", "bridge", "a = torch.exp(-theta * dt)", "a = 1 - theta * dt", "Euler step"),
    "reference clock even": ("1.6f", "bridge", "s = torch.cat([torch.zeros(1).to(dt), dt.cumsum(0)])", "s = torch.linspace(0, 1, len(dt) + 1).to(dt)", "steps are equal"),
    "reference clock without its start": ("1.6f", "bridge", "s = torch.cat([torch.zeros(1).to(dt), dt.cumsum(0)])", "s = dt.cumsum(0)", "starts with 0"),
    "reference sigma without 2": ("1.6f", "bridge", "float(2 * gammas.sum()) ** 0.5", "float(gammas.sum()) ** 0.5", "factor 2 is missing"),
    "reversed chain with the old schedule": ("1.6f", "bridge", REVERSED, "return Chain(1 - chain.s.flip(0), chain.a.flip(0), chain.q, chain.sigma)", "not reversed"),
    "reversed chain with the old clock": ("1.6f", "bridge", REVERSED, "return Chain(chain.s, chain.a.flip(0), chain.q.flip(0), chain.sigma)", "clock of the chain itself"),
    "reversed chain with a falling clock": ("1.6f", "bridge", REVERSED, "return Chain(1 - chain.s, chain.a.flip(0), chain.q.flip(0), chain.sigma)", "falls from 1 to 0"),
    "bridge step of constant gamma": ("1.6g", "bridge", "total = V + A**2 * q\n", "q = chain.q.mean()\n        total = V + A**2 * q\n", "constant gamma alone"),
    "bridge step of the gammas so far": ("1.6g", "bridge", "return torch.stack(weights[::-1], dim=1).unbind(0)", "to_end = chain.q / chain.q.cumsum(0)\n    return 1 - to_end, to_end, chain.q * (1 - to_end)", "so far"),
    "bridge weights not turned": ("1.6g", "bridge", "return torch.stack(weights[::-1], dim=1).unbind(0)", "return torch.stack(weights, dim=1).unbind(0)", "reversed order"),
    "bridge variance does not shrink": ("1.6g", "bridge", WEIGHTS, "weights.append(torch.stack([a * V / total, q * A / total, q + 0 * V]))", "does not shrink"),
    "bridge without the drift's own factor": ("1.6g", "bridge", WEIGHTS, "weights.append(torch.stack([V / total, q * A / total, q * V / total]))", "a is missing"),
    "bridge with A instead of its square": ("1.6g", "bridge", "total = V + A**2 * q\n", "total = V + A * q\n", "A is used instead of A^2"),
    "bridge end without A": ("1.6g", "bridge", WEIGHTS, "weights.append(torch.stack([a * V / total, q / total, q * V / total]))", "A is missing"),
    "map of a drift without dt": ("1.6h", "bridge", "return x + dt[k] * p", "return x + p", "dt is missing"),
    "map is the prediction": ("1.6h", "bridge", "return x + dt[k] * p", "return p", "not the mean itself"),
    "map of a policy without sigma": ("1.6h", "bridge", "return x + dt[k] * chain.sigma * p", "return x + dt[k] * p", "sigma is missing"),
    "map asks one step too late": ("1.6h", "bridge", "p = model(x.new_full((len(x),), s[k]), x)", "p = model(x.new_full((len(x),), s[k + 1]), x)", "one step too late"),
    "map of the published step by default": ("1.6h", "bridge", STATE_MAP, "return x + (end - x) / (chain.N - k)", "constant gamma alone"),
    "map goes to the end at once": ("1.6h", "bridge", STATE_MAP, "return end", "part of the way"),
    "map with the weights exchanged": ("1.6h", "bridge", STATE_MAP, "return to_end[k] * x + to_state[k] * end", "exchanged"),
    "map without the drift of the reference": ("1.6h", "bridge", STATE_MAP, "return x + to_end[k] * (end - x)", "without a drift alone"),
    "map of a velocity without the time left": ("1.6h", "bridge", 'end = p if method == "tr" else x + left[k] * p', 'end = p if method == "tr" else x + p', "not multiplied by the time left"),
    "map of a velocity with the time gone": ("1.6h", "bridge", 'end = p if method == "tr" else x + left[k] * p', 'end = p if method == "tr" else x + s[k] * p', "1 - s is left"),
    "map takes an end for a velocity": ("1.6h", "bridge", 'end = p if method == "tr" else x + left[k] * p', "end = x + left[k] * p", "the end itself"),
    "map forgets what is published": ("1.6h", "bridge", "    if published:\n        left = torch.arange", "    if False:\n        left = torch.arange", "published is not used"),
    "walk with the variance": ("1.6i", "bridge", STEP, "states.append(means[-1] + float(chain.q[k]) * noise(x))", "sqrt(q) z"),
    "walk with half the variance": ("1.6i", "bridge", STEP, "states.append(means[-1] + float(chain.q[k] / 2) ** 0.5 * noise(x))", "half of its variance"),
    "walk with the schedule reversed": ("1.6i", "bridge", STEP, "states.append(means[-1] + float(chain.q.flip(0)[k]) ** 0.5 * noise(x))", "reversed order"),
    "walk with noise of its own": ("1.6i", "bridge", STEP, "states.append(means[-1] + float(chain.q[k]) ** 0.5 * torch.randn_like(x))", "call noise(x)"),
    "walk always from the start": ("1.6i", "bridge", "means.append(F(k, states[-1]))", "means.append(F(k, x))", "starts from x"),
    "walk keeps states as means": ("1.6i", "bridge", STEP, STEP + "\n        means[-1] = states[-1]", "with the noise"),
    "walk counts from 1": ("1.6i", "bridge", "means.append(F(k, states[-1]))", "means.append(F(k + 1, states[-1]))", "k + 1"),
    "between with a variance that stays": ("1.6j", "bridge", BETWEEN, "states.append(mean + float(chain.q[len(states) - 1]) ** 0.5 * noise(start))", "does not shrink"),
    "between with the variance itself": ("1.6j", "bridge", BETWEEN, "states.append(mean + float(var) * noise(start))", "sqrt(var)"),
    "between always from the start": ("1.6j", "bridge", "mean = float(to_state) * states[-1] + float(to_end) * end", "mean = float(to_state) * start + float(to_end) * end", "starts from x_0"),
    "between without an end": ("1.6j", "bridge", "mean = float(to_state) * states[-1] + float(to_end) * end", "mean = float(to_state) * states[-1]", "end is not used"),
    "maps at the states before": ("1.6k", "bridge", NEXT, "return torch.stack([F(k, x) for k, x in enumerate(states[:-1])])", "these are the means"),
    "maps of the next step": ("1.6k", "bridge", NEXT, "return torch.stack([F(k + 1, x) for k, x in enumerate(states[1:])])", "k + 1"),
    "maps of every state": ("1.6k", "bridge", NEXT, "return torch.stack([F(k, x) for k, x in enumerate(states)])", "no step before it"),
    "target of dsb with wrong sign": ("1.6l", "bridge", DSB, "return (mean_next - mean) / dt", "sign is wrong"),
    "target of dsb simplified": ("1.6l", "bridge", DSB, "return (previous - x) / dt", "simplified DSB"),
    "target of dsb without the map after": ("1.6l", "bridge", DSB, "return (mean - x) / dt", "F(x_{k+1}) is missing"),
    "target of dsb is the mean": ("1.6l", "bridge", DSB, "return x + mean - mean_next", "predicts the drift"),
    "target of dsb not divided": ("1.6l", "bridge", DSB, "return mean - mean_next", "not divided by dt"),
    "target of dsb counts the state": ("1.6l", "bridge", DSB, "return (x + mean - mean_next) / dt", "cancels"),
    "target of sdsb is the full one": ("1.6l", "bridge", "return (previous - x) / dt", "return (mean - mean_next) / dt", "full DSB"),
    "target of sdsb walks on": ("1.6l", "bridge", "return (previous - x) / dt", "return (x - previous) / dt", "sign is wrong"),
    "target of tr is the state before": ("1.6l", "bridge", FR, 'return previous if method == "tr" else (start - x) / left', "state before"),
    "target of fr not divided": ("1.6l", "bridge", FR, 'return start if method == "tr" else start - x', "not divided by the time left"),
    "target of fr by the other time left": ("1.6l", "bridge", FR, 'left = (1 - chain.s[1:]).to(x)[k].view(shape)\n    return start if method == "tr" else (start - x) / left', "simulated direction has left"),
    "target of fr by dt": ("1.6l", "bridge", FR, 'return start if method == "tr" else (start - x) / dt', "one step led"),
    "target of fr by the time of the state before": ("1.6l", "bridge", "left = chain.s[1:].to(x)[k].view(shape)", "left = chain.s[:-1].to(x)[k].clamp(min=1e-300).view(shape)", "target of fr"),
    "target policy without sigma": ("1.6l", "bridge", SBA_POLICY, "return (mean_next - x) / dt", "sigma is missing"),
    "target policy at the state before": ("1.6l", "bridge", SBA_POLICY, "return (mean - previous) / (dt * chain.sigma)", "policy at x_k"),
    "cache gives the first batch for ever": ("1.6m", "bridge", ROW, "i = 0\n        " + ROW, "every batch is batch 0"),
    "cache with rows and steps exchanged": ("1.6m", "bridge", ROW, "rows = self.states.shape[1]\n        row, k = self.order[:, i] % rows, self.order[:, i] // rows", "steps of a row before"),
    "cache on the simulated clock": ("1.6m", "bridge", CLOCK, "s = self.chain.s[1:].to(x)[k]", "clock of the simulated direction"),
    "cache time off by one step": ("1.6m", "bridge", CLOCK, "s = (1 - self.chain.s[:-1]).to(x)[k]", "off by one step"),
    "cache gives the state before": ("1.6m", "bridge", "x = self.states[k + 1, row, column]", "x = self.states[at]", "is evaluated after the step"),
    "cache takes the end for the start": ("1.6m", "bridge", PAIRS, "pairs = Pairs(k, x, self.states[at], self.states[-1, row, column], *means)", "where the simulated path ends"),
    "cache gives the next state as previous": ("1.6m", "bridge", PAIRS, "pairs = Pairs(k, x, x, self.states[0, row, column], *means)", "state before the step"),
    "cache exchanges both means": ("1.6m", "bridge", PAIRS, "pairs = Pairs(k, x, self.states[at], self.states[0, row, column], *means[::-1])", "this is mean_next"),
    "cache forgets what is published": ("1.6m", "bridge", "target(self.method, self.chain, pairs, self.published), k", "target(self.method, self.chain, pairs), k", "published is not handed on"),
    "rounds in the wrong order": ("1.6n", "bridge", ROUNDS, '("backward", "forward") if half % 2 == 0 else ("forward", "backward")', "wrong order"),
    "rounds on their own trajectories": ("1.6n", "bridge", COLLECT, "cache = run.collect(trained, half, i - since)", "own trajectories"),
    "rounds that change with each step": ("1.6n", "bridge", ROUNDS, ROUNDS.replace("half", "step"), "from step to step"),
    "rounds with one cache a half-round": ("1.6n", "bridge", "if since == 0 or step == first:", "if i == 0 or step == first:", "one is collected in each half-round"),
    "rounds with batch 0 alone": ("1.6n", "bridge", FIT, "yield step, run.fit(trained, cache.batch(0))", "batch 0 every time"),
    "rounds with batches of the half-round": ("1.6n", "bridge", FIT, "yield step, run.fit(trained, cache.batch(i))", "start of the half-round"),
    "rounds that collect where they went on": ("1.6n", "bridge", COLLECT, "cache = run.collect(simulated, half, i)", "cache began before"),
    "weights of the start as chain": ("1.6j", "bridge", "zip(*bridge_weights(chain), strict=True)", "zip(*bridge_weights(start), strict=True)", "has no attribute"),
    "map of swapped arguments": ("1.6k", "bridge", "F(k, x) for k, x in enumerate(states[1:])", "F(x, k) for k, x in enumerate(states[1:])", "F(k, x_{k+1})"),
}  # fmt: skip
