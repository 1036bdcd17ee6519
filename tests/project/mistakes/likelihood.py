"""Plausible mistakes in sde_todo/likelihood.py: name -> (task, file, old, new, part of what is said)."""

VJP = "vjp = torch.autograd.grad(y, x, v, retain_graph=True, materialize_grads=True)[0]"
DIVERGENCE = "divergence = divergence + (vjp * v).flatten(1).sum(1)"
FLOW = "return f - 0.5 * g**2 * score_fn(t, x)"
SOLVE = "x_T, integral = solve(slope, eps, sde.T, (x, torch.zeros(len(x)).to(x)), tol)"
LOGP = "return sde.prior_logp(x_T) + integral"
ENCODE = "return solve(slope, eps, sde.T, (x,), tol)[0]"
DECODE = "return solve(slope, sde.T, eps, (x_T,), tol)[0]"
COSINE = "cosine = torch.cosine_similarity(a.flatten(1), b.flatten(1)).clamp(-1 + 1e-6, 1 - 1e-6)"
ANGLE = "angle = torch.acos(cosine).reshape(-1, *[1] * (a.ndim - 1))"
ARC = "return (torch.sin((1 - weight) * angle) * a + torch.sin(weight * angle) * b) / angle.sin()"
FIELD = "drift, divergence = trace(lambda y: reverse_drift(sde, score_fn, t, y), x, probes)"
RATE = "return 0.5 * ((drift + f) / g).pow(2).flatten(1).sum(1) + divergence"
SLICE = "x_t, _ = diffuse(sde, t_k, x)"
RATES = "rates.append(elbo_rate(sde, score_fn, t_k, x_t, make_probes(x, method, probes)))"
INTEGRAL = "integral = (weight * torch.stack(rates)).mean(0)"
END = "x_T, _ = diffuse(sde, torch.full((len(x),), sde.T).to(x), x)"
BOUND = "return sde.prior_logp(x_T) - integral + first_step(sde, score_fn, x, eps)"
FAMILY = "field = functools.partial(reverse_drift, sde, score_fn, t, lam=lam)"
PULL = "pull = (drift + f) / (1 - lam / 2)"
SQUARE = "square = 0.5 * (1 - lam) * (pull / g).pow(2).flatten(1).sum(1)"
SUM = "integral = integral + dt * (square + divergence)"
NOISE = "noise = math.sqrt(1 - lam) * g * math.sqrt(dt) * torch.randn_like(x)"
MOVE = "x = x + (f - lam / 2 * pull) * dt + noise"
RATE_THEN_MOVE = f"{SQUARE}\n        {SUM}\n        {NOISE}\n        {MOVE}"
PATH_BOUND = "return sde.prior_logp(x) - integral"
SPREAD = "return x + step * (torch.rand_like(x) - 0.5)"
BITS = "return -(logp + D * math.log(step)) / (D * math.log(2))"

MISTAKES = {
    "trace of a field that does not depend on x": ("1.5a", "likelihood", VJP, "vjp = torch.autograd.grad(y, x, v, retain_graph=True)[0]", "does not depend on x ends in an error"),
    "trace without the second v": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + vjp.flatten(1).sum(1)", "meet v again"),
    "trace sums the jacobian": ("1.5a", "likelihood", VJP, "v = torch.ones_like(v) / len(probes) ** 0.5\n            vjp = torch.autograd.grad(y, x, v, retain_graph=True, materialize_grads=True)[0]", "sum of the whole Jacobian"),
    "trace of the last direction": ("1.5a", "likelihood", DIVERGENCE, "divergence = (vjp * v).flatten(1).sum(1)", "only the last direction"),
    "trace as a mean over directions": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + (vjp * v).flatten(1).sum(1) / len(probes)", "mean over the directions"),
    "trace as a mean over coordinates": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + (vjp * v).flatten(1).mean(1)", "mean over the coordinates"),
    "trace of the whole batch": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + (vjp * v).sum()", "sum over the batch"),
    "trace squares the product": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + vjp.pow(2).flatten(1).sum(1)", "square of v^T"),
    "trace meets x": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + (vjp * x).flatten(1).sum(1)", "multiplied with x"),
    "trace subtracts": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence - (vjp * v).flatten(1).sum(1)", "sign is wrong"),
    "trace frees the graph": ("1.5a", "likelihood", VJP, "vjp = torch.autograd.grad(y, x, v)[0]", "second time"),
    "trace of points alone": ("1.5a", "likelihood", DIVERGENCE, "divergence = divergence + (vjp * v).sum(1)", "shapes do not go together"),
    "trace without gradients turned on": ("1.5a", "likelihood", "with torch.enable_grad():\n        x = x.detach()", "if True:\n        x = x.detach()", "does not require grad"),
    "trace keeps the graph": ("1.5a", "likelihood", "return y.detach(), divergence.detach()", "return y, divergence", "still carries the graph"),
    "trace gives the divergence first": ("1.5a", "likelihood", "return y.detach(), divergence.detach()", "return divergence.detach(), y.detach()", "field comes first"),
    "flow without half": ("1.5b", "likelihood", FLOW, "return f - g**2 * score_fn(t, x)", "1/2 is missing"),
    "flow with g": ("1.5b", "likelihood", FLOW, "return f - 0.5 * g * score_fn(t, x)", "it is g^2"),
    "flow towards the score": ("1.5b", "likelihood", FLOW, "return f + 0.5 * g**2 * score_fn(t, x)", "score has the wrong sign"),
    "flow without f": ("1.5b", "likelihood", FLOW, "return -0.5 * g**2 * score_fn(t, x)", "f is missing"),
    "flow in the reverse clock": ("1.5b", "likelihood", FLOW, "return 0.5 * g**2 * score_fn(t, x) - f", "reverse clock"),
    "flow with the score at T - t": ("1.5b", "likelihood", FLOW, "return f - 0.5 * g**2 * score_fn(sde.T - t, x)", "evaluated at T - t"),
    "flow with half inside the square": ("1.5b", "likelihood", FLOW, "return f - (0.5 * g) ** 2 * score_fn(t, x)", "squared too"),
    "likelihood subtracts the integral": ("1.5c", "likelihood", LOGP, "return sde.prior_logp(x_T) - integral", "it is added"),
    "likelihood without the integral": ("1.5c", "likelihood", LOGP, "return sde.prior_logp(x_T)", "integral is missing"),
    "likelihood of the prior at x": ("1.5c", "likelihood", LOGP, "return sde.prior_logp(x) + integral", "instead of x_T"),
    "likelihood without the prior": ("1.5c", "likelihood", LOGP, "return integral", "prior is missing"),
    "likelihood from 0": ("1.5c", "likelihood", SOLVE, SOLVE.replace("eps, sde.T", "0.0, sde.T"), "starts at 0"),
    "likelihood up to 1": ("1.5c", "likelihood", SOLVE, SOLVE.replace("eps, sde.T", "eps, 1.0"), "ends at 1"),
    "likelihood with eps and T exchanged": ("1.5c", "likelihood", SOLVE, SOLVE.replace("eps, sde.T", "sde.T, eps"), "from T to eps"),
    "likelihood redraws the directions": ("1.5c", "likelihood", SOLVE, "def slope(t, state):\n        times = torch.full((len(x),), t).to(x)\n        fresh = make_probes(x, method, probes)\n        return trace(lambda y: flow(sde, score_fn, times, y), state[0], fresh)\n\n    " + SOLVE, "stay the same"),
    "likelihood in bits": ("1.5c", "likelihood", LOGP, "return (sde.prior_logp(x_T) + integral) / math.log(2)", "leave them in nats"),
    "likelihood as a mean over coordinates": ("1.5c", "likelihood", LOGP, "return sde.prior_logp(x_T) + integral / x[0].numel()", "mean over the coordinates"),
    "encode runs back": ("1.5d", "likelihood", ENCODE, "return solve(slope, sde.T, eps, (x,), tol)[0]", "wrong way"),
    "encode from 0": ("1.5d", "likelihood", ENCODE, "return solve(slope, 0.0, sde.T, (x,), tol)[0]", "data belong to eps"),
    "encode up to 1": ("1.5d", "likelihood", ENCODE, "return solve(slope, eps, 1.0, (x,), tol)[0]", "noise is at sde.T"),
    "encode gives the tuple": ("1.5d", "likelihood", ENCODE, "return solve(slope, eps, sde.T, (x,), tol)", "only part"),
    "decode runs forward": ("1.5d", "likelihood", DECODE, "return solve(slope, eps, sde.T, (x_T,), tol)[0]", "wrong way"),
    "decode down to 0": ("1.5d", "likelihood", DECODE, "return solve(slope, sde.T, 0.0, (x_T,), tol)[0]", "data belong to eps"),
    "interpolate on the straight line": ("1.5d", "likelihood", ARC, "return (1 - weight) * a + weight * b", "straight line"),
    "interpolate in degrees": ("1.5d", "likelihood", ANGLE, "angle = torch.rad2deg(torch.acos(cosine)).reshape(-1, *[1] * (a.ndim - 1))", "degrees"),
    "interpolate with the ends exchanged": ("1.5d", "likelihood", ARC, ARC.replace("* a +", "* b +").replace("* b)", "* a)"), "exchanged"),
    "interpolate by the cosine": ("1.5d", "likelihood", ANGLE, "angle = cosine.reshape(-1, *[1] * (a.ndim - 1))", "take acos"),
    "interpolate not divided": ("1.5d", "likelihood", ARC, ARC.removesuffix(" / angle.sin()"), "not divided by sin"),
    "interpolate with one angle": ("1.5d", "likelihood", COSINE, COSINE.replace("a.flatten(1), b.flatten(1)", "a.reshape(1, -1), b.reshape(1, -1)"), "one angle"),
    "interpolate of unit noises": ("1.5d", "likelihood", ARC, "shape = angle.shape\n    a = a / a.flatten(1).norm(dim=1).reshape(shape)\n    b = b / b.flatten(1).norm(dim=1).reshape(shape)\n    " + ARC, "normalised"),
    "interpolate divides by the angle": ("1.5d", "likelihood", ARC, ARC.replace("angle.sin()", "angle"), "divided by the angle"),
    "rate without half": ("1.5e", "likelihood", RATE, RATE.replace("0.5 * ", ""), "1/2 of the square"),
    "rate subtracts the divergence": ("1.5e", "likelihood", RATE, RATE.replace("+ divergence", "- divergence"), "divergence has the wrong sign"),
    "rate without the divergence": ("1.5e", "likelihood", RATE, RATE.removesuffix(" + divergence"), "divergence is missing"),
    "rate of the score": ("1.5e", "likelihood", RATE, RATE.replace("/ g)", "/ g**2)"), "that of the score"),
    "rate of g squared": ("1.5e", "likelihood", RATE, RATE.replace("((drift + f) / g)", "(drift + f)"), "divide by g"),
    "rate of the drift": ("1.5e", "likelihood", RATE, RATE.replace("(drift + f)", "drift"), "whole drift"),
    "rate subtracts f again": ("1.5e", "likelihood", RATE, RATE.replace("drift + f", "drift - f"), "once more"),
    "rate as a mean over coordinates": ("1.5e", "likelihood", RATE, RATE.replace("sum(1)", "mean(1)"), "mean over the coordinates"),
    "rate of the ode": ("1.5e", "likelihood", FIELD, FIELD + "\n    _, divergence = trace(lambda y: reverse_drift(sde, score_fn, t, y, 1.0), x, probes)", "that of the ODE's drift"),
    "rate with the divergence of the score": ("1.5e", "likelihood", FIELD, FIELD + "\n    _, divergence = trace(lambda y: score_fn(t, y), x, probes)", "score alone"),
    "bound adds the integral": ("1.5f", "likelihood", BOUND, BOUND.replace("- integral", "+ integral"), "it is subtracted"),
    "bound without weights": ("1.5f", "likelihood", INTEGRAL, "integral = torch.stack(rates).mean(0)", "weight is not used"),
    "bound sums the slices": ("1.5f", "likelihood", INTEGRAL, INTEGRAL.replace("mean(0)", "sum(0)"), "slices are summed"),
    "bound averages the batch": ("1.5f", "likelihood", INTEGRAL, INTEGRAL.replace("mean(0)", "mean()"), "mean runs over the batch"),
    "bound of the prior at x": ("1.5f", "likelihood", BOUND, BOUND.replace("(x_T)", "(x)"), "instead of x_T"),
    "bound without the last step": ("1.5f", "likelihood", BOUND, "return sde.prior_logp(x_T) - integral", "first_step is missing"),
    "bound subtracts the last step": ("1.5f", "likelihood", BOUND, BOUND.replace("+ first", "- first"), "first_step is subtracted"),
    "bound asks the rate at x": ("1.5f", "likelihood", RATES, RATES.replace("x_t,", "x,"), "taken at x_t"),
    "bound overwrites x": ("1.5f", "likelihood", SLICE, "x, _ = diffuse(sde, t_k, x)\n        x_t = x", "overwritten"),
    "bound goes on from the last slice": ("1.5f", "likelihood", END, END.replace(" x)", " x_t)"), "from the last x_t"),
    "bound draws the end at 1": ("1.5f", "likelihood", END, END.replace("sde.T)", "1.0)"), "drawn at time 1"),
    "bound shares the directions": ("1.5f", "likelihood", f"{SLICE}\n        {RATES}", f"{SLICE}\n        fresh = fresh if rates else make_probes(x, method, probes)\n        rates.append(elbo_rate(sde, score_fn, t_k, x_t, fresh))", "share their directions"),
    "bound forgets method and probes": ("1.5f", "likelihood", RATES, RATES.replace("(x, method, probes)", "(x)"), "not handed on"),
    "path adds the integral": ("1.5g", "likelihood", PATH_BOUND, "return sde.prior_logp(x) + integral", "wrong sign"),
    "path keeps the last rate": ("1.5g", "likelihood", SUM, "integral = dt * (square + divergence)", "only the last step"),
    "path without dt": ("1.5g", "likelihood", SUM, "integral = integral + square + divergence", "dt is missing"),
    "path noise not scaled": ("1.5g", "likelihood", NOISE, NOISE.replace("math.sqrt(1 - lam) * ", ""), "not scaled"),
    "path noise scaled without root": ("1.5g", "likelihood", NOISE, NOISE.replace("math.sqrt(1 - lam)", "(1 - lam)"), "it is its root"),
    "path noise with dt": ("1.5g", "likelihood", NOISE, NOISE.replace("math.sqrt(dt)", "dt"), "multiplied by dt"),
    "path noise without g": ("1.5g", "likelihood", NOISE, NOISE.replace(" g *", ""), "lacks g"),
    "path moves first": ("1.5g", "likelihood", RATE_THEN_MOVE, f"{NOISE}\n        {MOVE}\n        pull = g**2 * score_fn(t, x)\n        {SQUARE}\n        {SUM}", "state before"),
    "path square without 1 - lam": ("1.5g", "likelihood", SQUARE, SQUARE.replace("(1 - lam) * ", ""), "1 - lam is missing"),
    "path square without half": ("1.5g", "likelihood", SQUARE, SQUARE.replace("0.5 * ", ""), "1/2 of the square"),
    "path drift without lam/2": ("1.5g", "likelihood", MOVE, "x = x + (f - pull) * dt + noise", "lacks lam/2"),
    "path drift with lam": ("1.5g", "likelihood", MOVE, "x = x + (f - lam * pull) * dt + noise", "lacks lam/2"),
    "path drift towards the score": ("1.5g", "likelihood", MOVE, "x = x + (f + lam / 2 * pull) * dt + noise", "wrong sign"),
    "path drift without the score": ("1.5g", "likelihood", MOVE, "x = x + f * dt + noise", "no score in its drift"),
    "path along the reverse drift": ("1.5g", "likelihood", MOVE, "x = x + drift * dt + noise", "reverse drift"),
    "path pull not divided": ("1.5g", "likelihood", PULL, "pull = drift + f", "not divided by 1 - lam/2"),
    "path with lam 0 in the drift": ("1.5g", "likelihood", FAMILY, FAMILY.replace(", lam=lam", ""), "not handed on"),
    "dequantise from 0 to 1": ("1.5h", "likelihood", SPREAD, "return x + step * torch.rand_like(x)", "centre it"),
    "dequantise by normal noise": ("1.5h", "likelihood", SPREAD, "return x + step * torch.randn_like(x)", "it is normal"),
    "dequantise twice as wide": ("1.5h", "likelihood", SPREAD, "return x + step * (2 * torch.rand_like(x) - 1)", "half a step"),
    "dequantise without step": ("1.5h", "likelihood", SPREAD, "return x + torch.rand_like(x) - 0.5", "step is not used"),
    "dequantise alike in an image": ("1.5h", "likelihood", SPREAD, "return x + step * (torch.rand(len(x), *[1] * (x.ndim - 1)) - 0.5)", "same noise"),
    "dequantise down a level": ("1.5h", "likelihood", SPREAD, "return x + step * (torch.rand_like(x) - 1)", "0 to -1"),
    "bits in nats": ("1.5h", "likelihood", BITS, "return -(logp + D * math.log(step)) / D", "these are nats"),
    "bits without step": ("1.5h", "likelihood", BITS, "return -logp / (D * math.log(2))", "D log(step) is missing"),
    "bits with step's sign wrong": ("1.5h", "likelihood", BITS, BITS.replace("logp + D", "logp - D"), "D log(step) has the wrong sign"),
    "bits with step once": ("1.5h", "likelihood", BITS, BITS.replace("D * math.log(step)", "math.log(step)"), "counted once"),
    "bits of a sample": ("1.5h", "likelihood", BITS, BITS.replace("(D * math.log(2))", "math.log(2)"), "not divided by D"),
    "bits per channel": ("1.5h", "likelihood", "    D = x[0].numel()\n    return -(logp", "    D = x.shape[1]\n    return -(logp", "channels"),
    "bits with the wrong sign": ("1.5h", "likelihood", BITS, BITS.replace("-(logp", "(logp"), "sign is wrong"),
    "velocity of swapped arguments": ("1.5d", "likelihood", "slope = velocity(sde, score_fn)\n    return solve(slope, eps, sde.T", "slope = velocity(score_fn, sde)\n    return solve(slope, eps, sde.T", "sde and score_fn, in this order"),
    "arc of equal noises is 0/0": ("1.5d", "likelihood", ".clamp(-1 + 1e-6, 1 - 1e-6)", "", "equal noises"),
    "bits of a batch of two at least": ("1.5h", "likelihood", "    D = x[0].numel()\n    return -(logp", "    D = x[1].numel()\n    return -(logp", "index 1 is out of bounds"),
}  # fmt: skip
