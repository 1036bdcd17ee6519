"""Correct answers to the tasks of sde_todo/likelihood.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import likelihood as here

LOOP = f"        for v in probes:\n            {here.VJP}\n            {here.DIVERGENCE}\n"
ENCODE = f"    slope = velocity(sde, score_fn)\n    {here.ENCODE}"
DECODE = f"    slope = velocity(sde, score_fn)\n    {here.DECODE}"
INTERPOLATE = f"    {here.COSINE}\n    {here.ANGLE}\n    {here.ARC}"
RATE = f"    {here.FIELD}\n    {here.RATE}"
SLICES = f"    rates = []\n    for t_k in t:\n        {here.SLICE}\n        {here.RATES}\n    {here.INTEGRAL}\n"
PATH = (
    f"        {here.FAMILY}\n"
    "        drift, divergence = trace(field, x, directions)\n"
    f"        {here.PULL}\n"
    f"        {here.SQUARE}\n"
)

ALTERNATIVES = {
    "trace by one batched gradient": [
        ("likelihood", LOOP,
         "        vjps = torch.autograd.grad(y, x, probes, is_grads_batched=True)[0]\n"
         '        divergence = torch.einsum("kb...,kb...->b", vjps, probes)\n'),
    ],
    "trace by gradients of products": [
        ("likelihood", LOOP,
         "        for k in range(len(probes)):\n"
         "            product = (y * probes[k]).sum()\n"
         "            (vjp,) = torch.autograd.grad(product, x, create_graph=True)\n"
         "            divergence += torch.sum(vjp * probes[k], dim=tuple(range(1, x.ndim)))\n"),
    ],
    "flow as a mean of two drifts": [
        ("likelihood", here.FLOW, "back = f - g * g * score_fn(t, x)\n    return (f + back) / 2"),
    ],
    "flow by the given drift": [
        ("likelihood", here.FLOW, "return -reverse_drift(sde, score_fn, t, x, lam=1.0)"),
    ],
    "likelihood with the integral from T down": [
        ("likelihood", here.SOLVE,
         "zeros = x.new_zeros(x.shape[0])\n    x_T, integral = solve(slope, eps, sde.T, [x, zeros], tol)"),
        ("likelihood", here.LOGP, "return integral.add_(sde.prior_logp(x_T))"),
    ],
    "likelihood by scipy, all in one array": [
        ("likelihood", f"    {here.SOLVE}\n",
         "    from scipy.integrate import solve_ivp\n\n"
         "    def right(t, flat):\n"
         "        state = torch.from_numpy(flat[: x.numel()]).to(x).reshape(x.shape)\n"
         "        parts = slope(t, (state, None))\n"
         "        return torch.cat([part.flatten() for part in parts]).double().numpy()\n\n"
         "    start = torch.cat([x.flatten(), torch.zeros(len(x))]).double().numpy()\n"
         '    done = solve_ivp(right, (eps, sde.T), start, "DOP853", rtol=tol, atol=tol)\n'
         "    end = torch.from_numpy(done.y[:, -1].copy()).to(x)\n"
         "    x_T, integral = end[: x.numel()].reshape(x.shape), end[x.numel() :]\n"),
    ],
    "encoding by a slope of its own": [
        ("likelihood", ENCODE,
         "    def slope(t, state):\n"
         "        return (flow(sde, score_fn, t * torch.ones(len(x)), state[0]),)\n\n"
         "    (x_T,) = solve(slope, eps, sde.T, (x,), tol)\n    return x_T"),
        ("likelihood", DECODE,
         "    forward = velocity(sde, score_fn)\n\n"
         "    def slope(s, state):\n        return (-forward(sde.T - s, state)[0],)\n\n"
         "    return solve(slope, 0.0, sde.T - eps, (x_T,), tol)[-1]"),
    ],
    "arc by norms, in double precision": [
        ("likelihood", INTERPOLATE,
         "    u, v = a.flatten(1).double(), b.flatten(1).double()\n"
         "    cosine = (u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1))\n"
         "    angle = torch.acos(cosine)[:, None]\n"
         "    first = torch.sin(angle - weight * angle) / torch.sin(angle)\n"
         "    second = torch.sin(weight * angle) / torch.sin(angle)\n"
         "    return (first * u + second * v).reshape(a.shape).to(a)"),
    ],
    "rate from the score": [
        ("likelihood", RATE,
         "    score = score_fn(t, x)\n"
         "    div = trace(lambda y: g**2 * score_fn(t, y), x, probes)[1]\n"
         "    div = div - trace(lambda y: sde.sde_coeff(t, y)[0], x, probes)[1]\n"
         "    return (g * score).flatten(1).norm(dim=1) ** 2 / 2 + div"),
    ],
    "rate one direction after the other": [
        ("likelihood", RATE,
         "    field = functools.partial(reverse_drift, sde, score_fn, t)\n"
         "    total = sum(trace(field, x, probes[k : k + 1])[1] for k in range(len(probes)))\n"
         "    pull = field(x) + f\n"
         '    return total + torch.einsum("bi,bi->b", *[(pull / g).flatten(1)] * 2) / 2'),
    ],
    "bound as a running mean, the end first": [
        ("likelihood", SLICES,
         "    end = torch.ones_like(x.flatten(1)[:, 0]) * sde.T\n"
         "    logp = first_step(sde, score_fn, x, eps)\n"
         "    logp = logp + sde.prior_logp(diffuse(sde, end, x)[0])\n"
         "    for w, t_k in zip(weight, t):\n"
         "        x_k = diffuse(sde, t_k, x)[0]\n"
         "        v = make_probes(x_k, method=method, probes=probes)\n"
         "        logp = logp - w / len(t) * elbo_rate(sde, score_fn, t_k, x_k, v)\n"
         "    return logp\n    integral = 0\n"),
    ],
    "bound of all slices in one batch": [
        ("likelihood", SLICES,
         "    many, times = x.repeat(len(t), *[1] * (x.ndim - 1)), t.flatten()\n"
         "    x_t, _ = diffuse(sde, times, many)\n"
         "    rate = elbo_rate(sde, score_fn, times, x_t, make_probes(many, method, probes))\n"
         "    integral = (weight.flatten() * rate).reshape(t.shape).mean(0)\n"),
    ],
    "path by the score and the given noise": [
        ("likelihood", PATH,
         "        score = score_fn(t, x)\n"
         "        field = lambda y: (1 - lam / 2) * g**2 * score_fn(t, y) - sde.sde_coeff(t, y)[0]\n"
         "        _, divergence = trace(field, x, directions)\n"
         "        pull = g**2 * score\n"
         "        square = (1 - lam) * ((g * score) ** 2).flatten(1).sum(1) / 2\n"),
        ("likelihood", here.NOISE, "noise = g * sde.dw(x, dt) * (1 - lam) ** 0.5"),
        ("likelihood", here.SUM, "integral += (square + divergence) * dt"),
    ],
    "path with fresh directions for each step": [
        ("likelihood", PATH, PATH.replace("x, directions)", "x, make_probes(x, method, probes))")),
        ("likelihood", here.MOVE, "x = x + f * dt - 0.5 * lam * pull * dt + noise"),
    ],
    "levels by uniform_, bits by log2": [
        ("likelihood", here.SPREAD, "return x + torch.empty_like(x).uniform_(-step / 2, step / 2)"),
        ("likelihood", here.BITS, "return -logp / (D * math.log(2)) - math.log2(step)"),
    ],
}  # fmt: skip
