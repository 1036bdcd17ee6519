"""Plausible mistakes in Task 1.6, in the form of mistakes.py: (task, file, old, new, said)."""

LINE = "return (1 - t) * x0 + t * x1, x1 - x0"
FLOW_LOSS = "return (model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean()"
HEUN = "states.append(x + 0.5 * dt * (v + v_next))"
SECOND = "v_next = model(torch.full((len(x),), t_next).to(x), x + dt * v)"
PLAN = "return torch.from_numpy(plan.argmax(1)).to(x0.device)"
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
SBA = "return weighted_mean(product + get_div(g * z, x, self.method, self.noise), dt)"
SBJ_DIV = "per_state = per_state + get_div(g * z_other, x, self.method, self.noise)"
SBJ = "return (dt * per_state).sum() / len(log_q) - log_q.mean()"
LOG_NORMAL = "log_normal = -u.pow(2).sum(1) / (2 * self.eps) - log_det[:, None]  # (K, B)"
LOG_DET = "log_det = self.log_diagonal.sum(1) + 0.5 * D * math.log(2 * math.pi * self.eps)  # (K,)"
LOG_WEIGHTS = "return self.log_alpha + (Lx.pow(2).sum(2) + 2 * x @ self.r.T) / (2 * self.eps)"
LIGHT_LOSS = "return self.log_weights(x0).logsumexp(1).mean() - self.log_v(x1).mean()"
LIGHT_MEAN = 'mean = self.r[k] + torch.einsum("bij,bkj,bk->bi", L, L, x)'
LIGHT_NOISE = 'return mean + math.sqrt(self.eps) * torch.einsum("bij,bj->bi", L, z)'

MISTAKES = {
    # 1.6a-d
    "line with t reversed": ("1.6a", "flow", LINE, "return t * x0 + (1 - t) * x1, x1 - x0", "wrong way"),
    "velocity with wrong sign": ("1.6a", "flow", LINE, "return (1 - t) * x0 + t * x1, x0 - x1", "sign is wrong"),
    "velocity is the target": ("1.6a", "flow", LINE, "return (1 - t) * x0 + t * x1, x1", "this is x1"),
    "line is a diffusion": ("1.6a", "flow", LINE, "return (1 - t**2).sqrt() * x0 + t * x1, x1 - x0", "diffusion"),
    "flow loss against the target": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x_t) - x1).pow(2).flatten(1).sum(1).mean()", "target is x1"),
    "flow loss mean over coordinates": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x_t) - velocity).pow(2).mean()", "mean over the coordinates"),
    "flow loss with half": ("1.6b", "flow", FLOW_LOSS, "return 0.5 * (model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean()", "factor 1/2"),
    "flow loss with ends exchanged": ("1.6b", "flow", "x_t, velocity = flow_path(x0, x1, t)", "x_t, velocity = flow_path(x1, x0, t)", "wrong way"),
    "flow loss asks at x1": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x1) - velocity).pow(2).flatten(1).sum(1).mean()", "asked at x1"),
    "flow by euler": ("1.6c", "flow", HEUN, "states.append(x + dt * v)", "Euler steps"),
    "flow second velocity at the old time": ("1.6c", "flow", SECOND, "v_next = model(torch.full((len(x),), t).to(x), x + dt * v)", "wrong time"),
    "flow second velocity at the old state": ("1.6c", "flow", SECOND, "v_next = model(torch.full((len(x),), t_next).to(x), x)", "Euler step first"),
    "flow velocities added": ("1.6c", "flow", HEUN, "states.append(x + dt * (v + v_next))", "not averaged"),
    "flow back with positive steps": ("1.6c", "flow", "x, dt = states[-1], t_next - t\n", "x, dt = states[-1], abs(t_next - t)\n", "negative"),
    "flow time as a number": ("1.6c", "flow", "v = model(torch.full((len(x),), t).to(x), x)", "v = model(torch.full((1,), t).to(x), x)", "time for each sample"),
    "coupling is the identity": ("1.6d", "flow", PLAN, "return torch.arange(len(x0)).to(x0.device)", "as before"),
    "coupling of nearest neighbours": ("1.6d", "flow", PLAN, "return cost.argmin(1)", "nearest neighbour"),
    "coupling inverted": ("1.6d", "flow", PLAN, "return torch.from_numpy(plan.argmax(0)).to(x0.device)", "inverse"),
    "coupling maximises": ("1.6d", "flow", "plan = ot.emd([], [], cost.numpy())", "plan = ot.emd([], [], -cost.numpy())", "maximises"),
    "coupling with plain distances": ("1.6d", "flow", "x1.flatten(1).cpu().double()) ** 2", "x1.flatten(1).cpu().double())", "not squared"),
    "coupling greedy": ("1.6d", "flow", PLAN, "j = []\n    for row in cost:\n        row[j] = torch.inf\n        j.append(int(row.argmin()))\n    return torch.tensor(j)", "nearest that is left"),
    # 1.6e-g
    "schedule rises twice": ("1.6e", "bridge", HALVES, "return torch.cat([half, half])", "mirror image"),
    "schedule rises all along": ("1.6e", "bridge", HALVES, "return torch.linspace(ends[0], ends[1], N, dtype=torch.float64)", "second half"),
    "schedule with a single peak": ("1.6e", "bridge", HALVES, "down = torch.linspace(ends[0], ends[1], N // 2 + 1, dtype=torch.float64).flip(0)\n    return torch.cat([half, down[1:]])", "peak stands there once"),
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
    "bridge with A in the place of its square": ("1.6g", "bridge", "total = V + A**2 * q\n", "total = V + A * q\n", "A stands for A^2"),
    "bridge end without A": ("1.6g", "bridge", WEIGHTS, "weights.append(torch.stack([a * V / total, q / total, q * V / total]))", "A is missing"),
    # 1.6h
    "map of a drift without dt": ("1.6h", "bridge", "return x + dt[k] * p", "return x + p", "dt is missing"),
    "map is the prediction": ("1.6h", "bridge", "return x + dt[k] * p", "return p", "not the mean itself"),
    "map of a policy without sigma": ("1.6h", "bridge", "return x + dt[k] * chain.sigma * p", "return x + dt[k] * p", "sigma is missing"),
    "map asks one step too late": ("1.6h", "bridge", "p = model(torch.full((len(x),), s[k]).to(x), x)", "p = model(torch.full((len(x),), s[k + 1]).to(x), x)", "one step too late"),
    "map of the published step by default": ("1.6h", "bridge", STATE_MAP, "return x + (end - x) / (chain.N - k)", "constant gamma alone"),
    "map goes to the end at once": ("1.6h", "bridge", STATE_MAP, "return end", "part of the way"),
    "map with the weights exchanged": ("1.6h", "bridge", STATE_MAP, "return to_end[k] * x + to_state[k] * end", "exchanged"),
    "map without the drift of the reference": ("1.6h", "bridge", STATE_MAP, "return x + to_end[k] * (end - x)", "without a drift alone"),
    "map of a velocity without the time left": ("1.6h", "bridge", 'end = p if method == "tr" else x + left[k] * p', 'end = p if method == "tr" else x + p', "not multiplied by the time left"),
    "map of a velocity with the time gone": ("1.6h", "bridge", 'end = p if method == "tr" else x + left[k] * p', 'end = p if method == "tr" else x + s[k] * p', "1 - s is left"),
    "map takes an end for a velocity": ("1.6h", "bridge", 'end = p if method == "tr" else x + left[k] * p', "end = x + left[k] * p", "the end itself"),
    "map forgets what is published": ("1.6h", "bridge", "    if published:\n        left = torch.arange", "    if False:\n        left = torch.arange", "published is not used"),
    # 1.6i-k
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
    # 1.6l
    "target of dsb with wrong sign": ("1.6l", "bridge", DSB, "return (mean_next - mean) / dt", "sign is wrong"),
    "target of dsb simplified": ("1.6l", "bridge", DSB, "return (previous - x) / dt", "simplified DSB"),
    "target of dsb without the map behind": ("1.6l", "bridge", DSB, "return (mean - x) / dt", "F(x_{k+1}) is missing"),
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
    # 1.6m-n
    "cache gives the first batch for ever": ("1.6m", "bridge", ROW, "i = 0\n        " + ROW, "every batch is batch 0"),
    "cache with rows and steps exchanged": ("1.6m", "bridge", ROW, "rows = self.states.shape[1]\n        row, k = self.order[:, i] % rows, self.order[:, i] // rows", "steps of a row before"),
    "cache on the simulated clock": ("1.6m", "bridge", CLOCK, "s = self.chain.s[1:].to(x)[k]", "clock of the simulated direction"),
    "cache time off by one step": ("1.6m", "bridge", CLOCK, "s = (1 - self.chain.s[:-1]).to(x)[k]", "off by one step"),
    "cache gives the state before": ("1.6m", "bridge", "x = self.states[k + 1, row, column]", "x = self.states[at]", "stands behind the step"),
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
    # 1.6o-q
    "sba without half": ("1.6o", "loss", "product = (z * (0.5 * z + z_other))", "product = (z * (z + z_other))", "1/2 is missing"),
    "sba divergence without g": ("1.6o", "loss", SBA, "return weighted_mean(product + get_div(z, x, self.method, self.noise), dt)", "of g z"),
    "sba without the other policy": ("1.6o", "loss", "product = (z * (0.5 * z + z_other))", "product = (z * (0.5 * z))", "z_other is missing"),
    "sba without dt": ("1.6o", "loss", SBA, "return weighted_mean(product + get_div(g * z, x, self.method, self.noise))", "dt is missing"),
    "sba with the joint square": ("1.6o", "loss", "product = (z * (0.5 * z + z_other))", "product = (0.5 * (z + z_other) ** 2)", "joint loss"),
    "sba ignores the method": ("1.6o", "loss", SBA, "return weighted_mean(product + get_div(g * z, x), dt)", "self.method"),
    "sbj mean over states": ("1.6p", "loss", SBJ, "return (dt * per_state).mean() - log_q.mean()", "mean over all states"),
    "sbj divergence of the wrong policy": ("1.6p", "loss", SBJ_DIV, SBJ_DIV.replace("g * z_other", "g * z"), "that of z;"),
    "sbj divergence without g": ("1.6p", "loss", SBJ_DIV, SBJ_DIV.replace("g * z_other", "z_other"), "without g"),
    "sbj without log q": ("1.6p", "loss", SBJ, "return (dt * per_state).sum() / len(log_q)", "log q is missing"),
    "sbj with log q added": ("1.6p", "loss", SBJ, "return (dt * per_state).sum() / len(log_q) + log_q.mean()", "log q has the wrong sign"),
    "sbj without half": ("1.6p", "loss", "per_state = 0.5 * (z + z_other)", "per_state = (z + z_other)", "1/2 is missing"),
    "sb step with time mirrored": ("1.6q", "train", "return loss_fn(dt, x, policy(s, x), z_other, chain.sigma)", "return loss_fn(dt, x, policy(1 - s, x), z_other, chain.sigma)", "own clock"),
    "sb step without gradients of x": ("1.6q", "train", "        x = x.detach().requires_grad_()\n        return loss_fn(dt", "        return loss_fn(dt", "require gradients"),
    "joint step with the other's time not mirrored": ("1.6q", "train", "z_other = other(1 - times[1:].flatten(), x)", "z_other = other(times[1:].flatten(), x)", "not mirrored"),
    "joint step with the other's time off by one": ("1.6q", "train", "z_other = other(1 - times[1:].flatten(), x)", "z_other = other(1 - times[:-1].flatten(), x)", "off by one step"),
    "joint step at the states before": ("1.6q", "train", "x = states[1:].flatten(0, 1)", "x = states[:-1].flatten(0, 1)", "before the steps"),
    "joint step with detached paths": ("1.6q", "train", "x = states[1:].flatten(0, 1)", "x = states[1:].flatten(0, 1).detach().requires_grad_()", "detached"),
    "joint step with the density of the start": ("1.6q", "train", "prior_logp(states[-1])", "prior_logp(states[0])", "paths begin"),
    # 1.6r-t
    "potential without eps": ("1.6r", "light_sb", LOG_NORMAL, "log_normal = -u.pow(2).sum(1) / 2 - log_det[:, None]", "eps is missing"),
    "potential without determinant": ("1.6r", "light_sb", LOG_DET, "log_det = torch.zeros(1) + 0.5 * D * math.log(2 * math.pi * self.eps)", "determinant is missing"),
    "potential with twice the determinant": ("1.6r", "light_sb", LOG_DET, LOG_DET.replace("self.log_diagonal.sum(1)", "2 * self.log_diagonal.sum(1)"), "counts twice"),
    "potential with S for L": ("1.6r", "light_sb", "u = torch.linalg.solve_triangular(self.cholesky(), away.mT, upper=False)", "u = torch.linalg.solve(self.cholesky() @ self.cholesky().mT, away.mT)", "S stands for L"),
    "potential is a mean": ("1.6r", "light_sb", "return (self.log_alpha[:, None] + log_normal).logsumexp(0)", "return (self.log_alpha[:, None] + log_normal).logsumexp(0) - math.log(len(self.r))", "mean over the components"),
    "potential with normalised alpha": ("1.6r", "light_sb", "return (self.log_alpha[:, None] + log_normal).logsumexp(0)", "return (self.log_alpha.log_softmax(0)[:, None] + log_normal).logsumexp(0)", "normalised"),
    "weights without 2": ("1.6s", "light_sb", LOG_WEIGHTS, LOG_WEIGHTS.replace("2 * x @", "x @"), "factor 2 of x.r"),
    "weights without half": ("1.6s", "light_sb", LOG_WEIGHTS, LOG_WEIGHTS.replace("(2 * self.eps)", "self.eps"), "divide by 2 eps"),
    "weights with L the wrong way": ("1.6s", "light_sb", 'Lx = torch.einsum("kij,bi->bkj", self.cholesky(), x)', 'Lx = torch.einsum("kij,bj->bki", self.cholesky(), x)', "|L^T x|^2"),
    "light loss upside down": ("1.6s", "light_sb", LIGHT_LOSS, "return self.log_v(x1).mean() - self.log_weights(x0).logsumexp(1).mean()", "sign is wrong"),
    "light loss sums over the batch": ("1.6s", "light_sb", LIGHT_LOSS, LIGHT_LOSS.replace("logsumexp(1)", "logsumexp(0)"), "runs over the batch"),
    "light loss with sets exchanged": ("1.6s", "light_sb", LIGHT_LOSS, "return self.log_weights(x1).logsumexp(1).mean() - self.log_v(x0).mean()", "exchanged"),
    "draws without r": ("1.6t", "light_sb", LIGHT_MEAN, LIGHT_MEAN.replace("self.r[k] + ", ""), "r is missing"),
    "draws with L for S": ("1.6t", "light_sb", LIGHT_MEAN, 'mean = self.r[k] + torch.einsum("bij,bj->bi", L, x)', "L stands for S"),
    "draws without eps": ("1.6t", "light_sb", LIGHT_NOISE, 'return mean + torch.einsum("bij,bj->bi", L, z)', "eps is missing"),
    "draws with eps": ("1.6t", "light_sb", LIGHT_NOISE, 'return mean + self.eps * torch.einsum("bij,bj->bi", L, z)', "sqrt(eps) L z"),
    "draws with noise S z": ("1.6t", "light_sb", LIGHT_NOISE, 'return mean + math.sqrt(self.eps) * torch.einsum("bij,bkj,bk->bi", L, L, z)', "noise is S z"),
    "draws without noise": ("1.6t", "light_sb", LIGHT_NOISE, "return mean", "no noise"),
}  # fmt: skip
