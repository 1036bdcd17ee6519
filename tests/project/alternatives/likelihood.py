"""Correct answers to the tasks of sde_todo/likelihood.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import likelihood as here
from tests.project.trees import answer

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
         "        vjps = torch.autograd.grad(y + 0 * x, x, probes, is_grads_batched=True)[0]\n"
         '        divergence = torch.einsum("kb...,kb...->b", vjps, probes)\n'),
    ],
    "trace by gradients of products": [
        ("likelihood", LOOP,
         "        for k in range(len(probes)):\n"
         "            product = (y * probes[k]).sum()\n"
         "            (vjp,) = torch.autograd.grad(product + 0 * x.sum(), x, create_graph=True)\n"
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
         "    angle = torch.acos(cosine.clamp(-1 + 1e-7, 1 - 1e-7))[:, None]\n"
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
    "trace by forward derivatives": [
        answer("likelihood", "trace", """
            total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
            with torch.no_grad():
                for v in probes:
                    y, slope = torch.func.jvp(field, (x.detach(),), (v,))
                    total += (v * slope).flatten(1).sum(1)
            return y.detach(), total.detach()"""),
    ],
    "trace by a pullback over all directions": [
        answer("likelihood", "trace", """
            y, pull = torch.func.vjp(field, x.detach())
            (vjps,) = torch.func.vmap(pull)(probes.contiguous())
            products = (vjps * probes).flatten(2)  # (K, B, D)
            return y.detach(), products.sum(dim=(0, 2)).detach()"""),
    ],
    "trace by backward on a clone": [
        answer("likelihood", "trace", """
            parts = []
            for v in probes:
                with torch.enable_grad():
                    leaf = x.clone().detach().requires_grad_(True)
                    y = field(leaf) + 0 * leaf
                    (y * v).sum().backward()
                parts.append(torch.einsum("bi,bi->b", leaf.grad.flatten(1), v.flatten(1)))
            return y.detach(), torch.stack(parts).sum(0)"""),
    ],
    "flow by the reverse process": [
        answer("likelihood", "flow", """
            s = sde.T - t
            slope, _ = sde.reverse(score_fn, lam=1.0).ode_coeff(s, x)
            return -slope"""),
    ],
    "flow by the noise, in place": [
        answer("likelihood", "flow", """
            drift, g = sde.sde_coeff(t, x)
            half = torch.as_tensor(g).square() / 2
            out = score_fn(t, x) * half
            out = out.neg()
            out += drift
            return out"""),
    ],
    "flow with alpha and std alone": [
        answer("likelihood", "flow", """
            # f = x d log alpha/dt and g^2 = std^2 d log(std^2/alpha^2)/dt, by a derivative in t.
            def logs(time):
                alpha, std = alpha_std(sde, time, x)
                return alpha.log(), (std / alpha).log()

            rates = torch.func.jvp(logs, (t,), (torch.ones_like(t),))[1]
            std = alpha_std(sde, t, x)[1]
            return rates[0] * x - std**2 * rates[1] * score_fn(t, x)"""),
    ],
    "likelihood by keywords": [
        answer("likelihood", "log_likelihood", """
            start = (x, torch.zeros(x.shape[0], dtype=x.dtype, device=x.device))
            end = solve(slope, start=eps, end=sde.T, state=start, tol=tol)
            prior = sde.prior_logp(end[0])
            return prior + end[1]"""),
    ],
    "likelihood that starts from log p": [
        answer("likelihood", "log_likelihood", """
            def lost(t, state):
                velocity, divergence = slope(t, state)
                return velocity, -divergence

            x_T, minus = solve(lost, eps, sde.T, (x, x.flatten(1)[:, 0] * 0), tol)
            return sde.prior_logp(x_T).sub(minus)"""),
    ],
    "encoding with one helper for both ways": [
        ("likelihood", "def encode(", '''def carry(sde, score_fn, x, start, end, tol):
    """x at time `end` along the ODE."""

    @torch.no_grad()
    def slope(t, state):
        times = x.new_full((x.shape[0],), t)
        return [flow(sde, score_fn, times, state[0])]

    return solve(slope, start, end, [x], tol)[0]


def encode('''),
        answer("likelihood", "encode", "return carry(sde, score_fn, x, eps, sde.T, tol)"),
        answer("likelihood", "decode", "return carry(sde, score_fn, x_T, start=sde.T, end=eps, tol=tol)"),
    ],
    "encoding in the log of time": [
        answer("likelihood", "encode", """
            slope = velocity(sde, score_fn)

            def in_log_time(u, state):
                return tuple(math.exp(u) * part for part in slope(math.exp(u), state))

            (noise,) = solve(in_log_time, math.log(eps), math.log(sde.T), (x,), tol)
            return noise"""),
        answer("likelihood", "decode", """
            from scipy.integrate import solve_ivp

            slope = velocity(sde, score_fn)

            def right(t, flat):
                (rate,) = slope(t, (torch.from_numpy(flat).to(x_T).reshape(x_T.shape),))
                return rate.double().flatten().numpy()

            start = x_T.double().flatten().numpy()
            done = solve_ivp(right, (sde.T, eps), start, rtol=tol, atol=tol)
            return torch.from_numpy(done.y[:, -1].copy()).to(x_T).reshape(x_T.shape)"""),
    ],
    "arc by the part of b that is upright on a": [
        answer("likelihood", "interpolate", """
            shape = (len(a),) + (1,) * (a.ndim - 1)
            u = torch.nn.functional.normalize(a.flatten(1).double(), dim=1)
            v = torch.nn.functional.normalize(b.flatten(1).double(), dim=1)
            along = (u * v).sum(1)
            across = (v - along[:, None] * u).norm(dim=1)
            angle = torch.atan2(across, along).clamp(1e-6, math.pi - 1e-6)
            weights = [torch.sin(w * angle) / torch.sin(angle) for w in (1 - weight, weight)]
            first, second = (w.reshape(shape).to(a) for w in weights)
            return first * a + second * b"""),
    ],
    "arc sample by sample": [
        answer("likelihood", "interpolate", """
            out = []
            for p, q in zip(a, b):
                cosine = (torch.sum(p * q) / (p.norm() * q.norm())).item()
                angle = math.acos(max(-0.999999, min(0.999999, cosine)))
                # sin((1 - w) angle)/sin(angle) = cos(w angle) - sin(w angle) cot(angle)
                second = math.sin(weight * angle) / math.sin(angle)
                first = math.cos(weight * angle) - second * math.cos(angle)
                out.append(first * p + second * q)
            return torch.stack(out)"""),
    ],
    "rate by the score and two traces": [
        answer("likelihood", "elbo_rate", """
            f, g = sde.sde_coeff(t, x)
            _, of_f = trace(lambda y: sde.sde_coeff(t, y)[0], x, probes)
            score, of_score = trace(lambda y: score_fn(t, y), x, probes)
            size = torch.as_tensor(g).to(x).expand_as(x).flatten(1)[:, 0] ** 2
            square = torch.einsum("b,bi,bi->b", size, score.flatten(1), score.flatten(1)) / 2
            return square + size * of_score - of_f"""),
    ],
    "rate with a nested function": [
        answer("likelihood", "elbo_rate", """
            def upward(y: Tensor) -> Tensor:
                f, g = sde.sde_coeff(t, y)
                return g**2 * score_fn(t, y) - f

            drift, div = trace(upward, x, probes)
            f, g = sde.sde_coeff(t, x)
            size = (drift + f).square() / torch.as_tensor(g).square()
            return div + 0.5 * size.sum(dim=tuple(range(1, x.ndim)))"""),
    ],
    "bound with one time for all at the end": [
        answer("likelihood", "elbo", """
            x_T = diffuse(sde, sde.T, x)[0]
            bound = sde.prior_logp(x_T) + first_step(sde, score_fn, x, eps)
            for t_k, weight_k in zip(t, weight):
                x_k, _ = diffuse(sde, t_k, x)
                directions = make_probes(x, method=method, probes=probes)
                rate = elbo_rate(sde, score_fn, t_k, x_k, directions)
                bound = bound - weight_k * rate / len(t)
            return bound"""),
    ],
    "bound with noise of its own": [
        answer("likelihood", "elbo", """
            def rate(t_k):
                z = torch.randn(x.shape).to(x)
                x_k = diffuse(sde, t_k, x, z=z)[0]
                return elbo_rate(sde, score_fn, t_k, x_k, make_probes(x_k, method, probes))

            rates = torch.stack([rate(t_k) for t_k in t])
            integral = torch.einsum("kb,kb->b", weight, rates) / slices
            end = diffuse(sde, torch.full((len(x),), sde.T).to(x), x, torch.randn_like(x))[0]
            return first_step(sde, score_fn, x, eps) - integral + sde.prior_logp(end)"""),
    ],
    "encoding by coefficients of the process": [
        answer("likelihood", "encode", """
            def slope(t, state):
                times = torch.full((len(x),), t).to(x)
                f, g = sde.sde_coeff(times, state[0])
                return (f - 0.5 * g**2 * score_fn(times, state[0]),)

            return solve(slope, eps, sde.T, (x,), tol)[0]"""),
        answer("likelihood", "decode", """
            reverse = sde.reverse(score_fn, 1.0)

            def slope(s, state):
                return (reverse.ode_coeff(torch.full((len(x_T),), s).to(x_T), state[0])[0],)

            return solve(slope, 0.0, sde.T - eps, (x_T,), tol)[0]"""),
    ],
    "bound with states by the marginal": [
        answer("likelihood", "elbo", """
            def at(time):
                mean, std = sde.marginal_prob(time, x)
                return mean + std * torch.randn(x.shape).to(x)

            rates = [
                weight[k] * elbo_rate(sde, score_fn, t[k], at(t[k]), make_probes(x, method, probes))
                for k in range(slices)
            ]
            x_T = at(torch.full((len(x),), float(sde.T)).to(x))
            return sde.prior_logp(x_T) - sum(rates) / slices + first_step(sde, score_fn, x, eps)"""),
    ],
    "path by the score, in float64": [
        answer("likelihood", "path_elbo", """
            f, g = sde.sde_coeff(t, x)
            score = score_fn(t, x)

            def upward(y, t=t):
                drift, spread = sde.sde_coeff(t, y)
                return (1 - lam / 2) * spread**2 * score_fn(t, y) - drift

            divergence = trace(upward, x, directions)[1]
            rate = (1 - lam) / 2 * (g * score).flatten(1).square().sum(1) + divergence
            integral = integral + rate.double() * dt
            x = x + dt * f - dt * lam / 2 * g**2 * score
            if lam < 1:
                x = x + torch.normal(0.0, ((1 - lam) * dt) ** 0.5, x.shape).to(x) * g"""),
        ("likelihood", "    return sde.prior_logp(x) - integral\n\n\ndef dequantise",
         "    return (sde.prior_logp(x) - integral).to(x)\n\n\ndef dequantise"),
    ],
    "path by the flow and half of what is left": [
        answer("likelihood", "path_elbo", """
            f, g = sde.sde_coeff(t, x)
            drift, divergence = trace(
                lambda y: reverse_drift(sde, score_fn, t, y, lam), x, directions
            )
            # drift = (1 - lam/2) g^2 score - f, and the path moves by f - lam/2 g^2 score.
            g2_score = 2 * (drift + f) / (2 - lam)
            energy = torch.einsum("bi,bi->b", (g2_score / g).flatten(1), (g2_score / g).flatten(1))
            integral += dt * divergence + dt * (1 - lam) / 2 * energy
            z = torch.randn(x.shape, dtype=x.dtype, device=x.device)
            x = x - dt * drift + dt * (1 - lam) * g2_score + (dt * (1 - lam)) ** 0.5 * g * z"""),
    ],
    "levels by rand of a shape, bits by a quotient": [
        answer("likelihood", "dequantise", """
            u = torch.rand(x.shape, dtype=x.dtype, device=x.device)
            return x - step / 2 + step * u"""),
        answer("likelihood", "bits_per_dim", """
            D = math.prod(x.shape[1:])
            log_probability = logp + D * math.log(step)
            nats = -log_probability / D
            return nats / math.log(2)"""),
    ],
    "levels between two ends, bits in two parts": [
        answer("likelihood", "dequantise", """
            low, high = x - 0.5 * step, x + 0.5 * step
            return torch.lerp(low, high, torch.rand_like(x))"""),
        answer("likelihood", "bits_per_dim", """
            D = x.flatten(1).shape[1]
            per_number = logp.double() / D
            return -(per_number * math.log2(math.e) + math.log2(step)).to(logp)"""),
    ],
    "trace with x marked for a while": [
        answer("likelihood", "trace", """
            total = 0
            for v in probes:
                with torch.enable_grad():
                    x.requires_grad_(True)
                    y = field(x)
                    product = torch.sum(y * v)
                    grad = torch.autograd.grad(product, x, materialize_grads=True)[0]
                x.requires_grad_(False)
                total = total + torch.sum(grad * v, dim=tuple(range(1, len(x.shape))))
            return y.detach(), total.detach()"""),
    ],
    "trace by a row for each direction, in float64": [
        answer("likelihood", "trace", """
            with torch.enable_grad():
                leaf = x.detach().clone().requires_grad_()
                y = field(leaf) + 0 * leaf
                dots = torch.einsum("kb...,b...->k", probes, y)
                rows = [torch.autograd.grad(d, leaf, retain_graph=True)[0] for d in dots]
            products = torch.stack(rows).double() * probes
            return y.detach(), products.flatten(2).sum((0, 2)).to(x)"""),
    ],
}  # fmt: skip
