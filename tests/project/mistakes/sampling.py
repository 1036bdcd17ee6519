"""Plausible mistakes in sde_todo/sampling.py: name -> (task, file, old, new, part of what is said)."""

ANCESTRAL_MEAN = "mean = (x + b_squared * sde.score_fn(sde.T - s, x)) / a"
ANCESTRAL = "return mean + b_squared.sqrt() * next_std / std * torch.randn_like(x), 1"
LANGEVIN_STD = "_, std = alpha_std(sde, s, x)"
LANGEVIN_EPS = "eps = 2 * (snr * std) ** 2"
LANGEVIN = "return x + eps * score + torch.sqrt(2 * eps) * torch.randn_like(x)"
LANGEVIN_SCORE = f"score = sde.score_fn(sde.T - s, x)\n    {LANGEVIN}"
CORRECT = "x = corrector(sde, s + ds, x, snr)"
STEPPED = f"x, evaluations = step(sde, s, ds, x)\n        for _ in range(corrections):\n            {CORRECT}"
COUNT = "return x, evaluations + corrections"

MISTAKES = {
    "grid is t": ("1.3a", "sampling", "return T - t", "return t", "this is t"),
    "grid dense at the noise": ("1.3a", "sampling", "    t = torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1, dtype=torch.float64) ** rho\n    return T - t", "    s = torch.linspace(0, (T - eps) ** (1 / rho), N + 1, dtype=torch.float64) ** rho\n    return s", "dense end"),
    "grid in float32": ("1.3a", "sampling", "return T - t", "return (T - t).float()", "float64"),
    "grid ends at T": ("1.3a", "sampling", "t = torch.linspace(T ** (1 / rho), eps ** (1 / rho),", "t = torch.linspace(T ** (1 / rho), 0.0,", "stop eps before"),
    "em ignores ds": ("1.3b", "sampling", "return sde.predict_fn(s, x, ds), 1", "return sde.predict_fn(s, x), 1", "sde.dt"),
    "walk stores before the step": ("1.3b", "sampling", "        x, evaluations = step(sde, s.expand(len(x)), (s_next - s).item(), x)\n        x_traj.append(x)\n", "        x_traj.append(x)\n        x, evaluations = step(sde, s.expand(len(x)), (s_next - s).item(), x)\n", "before the step"),
    "walk gives the end time": ("1.3b", "sampling", "step(sde, s.expand(len(x)), (s_next - s)", "step(sde, s_next.expand(len(x)), (s_next - s)", "starts at s"),
    "walk counts steps": ("1.3b", "sampling", "ntot += evaluations", "ntot += 1", "not evaluations"),
    "corrector at the old time": ("1.3c", "sampling", "sde.correct_fn(s + ds, x, snr)", "sde.correct_fn(s, x, snr)", "s + ds"),
    "corrector not counted": ("1.3c", "sampling", "return sde.correct_fn(s + ds, x, snr), evaluations + 1", "return sde.correct_fn(s + ds, x, snr), evaluations", "not counted"),
    "heun slope at s": ("1.3d", "sampling", "sde.ode_coeff(s + ds, x + ds * slope)", "sde.ode_coeff(s, x + ds * slope)", "belongs to s + ds"),
    "heun adds the slopes": ("1.3d", "sampling", "x + ds * (slope + end_slope) / 2, 2", "x + ds * (slope + end_slope), 2", "not averaged"),
    "heun counts once": ("1.3d", "sampling", "x + ds * (slope + end_slope) / 2, 2", "x + ds * (slope + end_slope) / 2, 1", "asks twice"),
    "ode step with the sde": ("1.3d", "sampling", "sde.predict_fn(s, x, ds, ode=True), 1", "sde.predict_fn(s, x, ds), 1", "noise"),
    "reverse diffusion shrinks": ("1.3e", "sampling", "return (2 - a) * x + b_squared * score", "return a * x + b_squared * score", "grows by"),
    "reverse diffusion noise b squared": ("1.3e", "sampling", "b_squared.sqrt() * torch.randn_like(x), 1", "b_squared * torch.randn_like(x), 1", "b^2"),
    "reverse diffusion score at s": ("1.3e", "sampling", "    score = sde.score_fn(sde.T - s, x)\n    return (2 - a)", "    score = sde.score_fn(s, x)\n    return (2 - a)", "T - s"),
    "rk45 backwards": ("1.3f", "sampling", "return drift.cpu().double().numpy().ravel()", "return -drift.cpu().double().numpy().ravel()", "slope has the wrong sign"),
    "rk45 counts the grid": ("1.3f", "sampling", "return x_traj, solution.nfev", "return x_traj, len(clock)", "nfev"),
    "multistep weights reversed": ("1.3g", "sampling", "return np.linalg.solve(powers, moments).tolist()", "return np.linalg.solve(powers, moments).tolist()[::-1]", "wrong order"),
    "multistep returns the state": ("1.3g", "sampling", "torch.stack([*x_traj[:-1], D]), len(timesteps)", "torch.stack(x_traj), len(timesteps)", "the last entry"),
    "multistep of order 1": ("1.3g", "sampling", "D)][-order:]", "D)][-1:]", "same as order 1"),
    "ancestral with the large variance": ("1.3h", "sampling", ANCESTRAL, "return mean + b_squared.sqrt() * torch.randn_like(x), 1", "the large variance"),
    "ancestral not divided by a": ("1.3h", "sampling", ANCESTRAL_MEAN, "mean = x + b_squared * sde.score_fn(sde.T - s, x)", "not divided by a"),
    "ancestral by reverse diffusion": ("1.3h", "sampling", ANCESTRAL_MEAN, "mean = (2 - a) * x + b_squared * sde.score_fn(sde.T - s, x)", "this is reverse diffusion"),
    "ancestral divides x alone": ("1.3h", "sampling", ANCESTRAL_MEAN, "mean = x / a + b_squared * sde.score_fn(sde.T - s, x)", "score is not divided by a"),
    "ancestral score at s": ("1.3h", "sampling", ANCESTRAL_MEAN, "mean = (x + b_squared * sde.score_fn(s, x)) / a", "taken at s"),
    "ancestral score by b": ("1.3h", "sampling", ANCESTRAL_MEAN, "mean = (x + b_squared.sqrt() * sde.score_fn(sde.T - s, x)) / a", "it is b^2"),
    "ancestral against the score": ("1.3h", "sampling", ANCESTRAL_MEAN, "mean = (x - b_squared * sde.score_fn(sde.T - s, x)) / a", "wrong sign"),
    "ancestral ratio upside down": ("1.3h", "sampling", ANCESTRAL, "return mean + b_squared.sqrt() * std / next_std * torch.randn_like(x), 1", "upside down"),
    "ancestral noise without root": ("1.3h", "sampling", ANCESTRAL, "return mean + b_squared * (next_std / std) ** 2 * torch.randn_like(x), 1", "take its root"),
    "ancestral noise by b squared": ("1.3h", "sampling", ANCESTRAL, "return mean + b_squared * next_std / std * torch.randn_like(x), 1", "it is b"),
    "ancestral without noise": ("1.3h", "sampling", ANCESTRAL, "return mean, 1", "there is no noise"),
    "ancestral counts two": ("1.3h", "sampling", ANCESTRAL, "return mean + b_squared.sqrt() * next_std / std * torch.randn_like(x), 2", "evaluated once"),
    "annealed langevin noise sqrt(eps)": ("1.3i", "sampling", LANGEVIN, "return x + eps * score + torch.sqrt(eps) * torch.randn_like(x)", "2 of sqrt(2 eps)"),
    "annealed langevin eps without 2": ("1.3i", "sampling", LANGEVIN_EPS, "eps = (snr * std) ** 2", "factor 2 of eps"),
    "annealed langevin eps not squared": ("1.3i", "sampling", LANGEVIN_EPS, "eps = 2 * snr * std", "not squared"),
    "annealed langevin snr not squared": ("1.3i", "sampling", LANGEVIN_EPS, "eps = 2 * snr * std**2", "snr is not squared"),
    "annealed langevin without std": ("1.3i", "sampling", LANGEVIN_EPS, "eps = 2 * (snr + 0 * std) ** 2", "std is missing"),
    "annealed langevin std of the other clock": ("1.3i", "sampling", LANGEVIN_STD, "_, std = alpha_std(sde, sde.T - s, x)", "its own clock"),
    "annealed langevin score at s": ("1.3i", "sampling", LANGEVIN_SCORE, f"score = sde.score_fn(s, x)\n    {LANGEVIN}", "wants t = T - s"),
    "annealed langevin down the score": ("1.3i", "sampling", LANGEVIN, "return x - eps * score + torch.sqrt(2 * eps) * torch.randn_like(x)", "wrong sign"),
    "annealed langevin noise without root": ("1.3i", "sampling", LANGEVIN, "return x + eps * score + 2 * eps * torch.randn_like(x)", "take the root"),
    "correction at s": ("1.3j", "sampling", CORRECT, "x = corrector(sde, s, x, snr)", "the corrector works at s"),
    "correction moves the clock": ("1.3j", "sampling", STEPPED, STEPPED.replace("s + ds", "s").replace("            x =", "            s = s + ds\n            x ="), "clock goes on"),
    "correction comes first": ("1.3j", "sampling", STEPPED, f"for _ in range(corrections):\n            {CORRECT}\n        x, evaluations = step(sde, s, ds, x)", "comes first, at s + ds"),
    "correction comes first at s": ("1.3j", "sampling", STEPPED, "for _ in range(corrections):\n            x = corrector(sde, s, x, snr)\n        x, evaluations = step(sde, s, ds, x)", "the corrector comes first"),
    "correction once": ("1.3j", "sampling", STEPPED, f"x, evaluations = step(sde, s, ds, x)\n        {CORRECT}", "corrects once"),
    "correction not counted": ("1.3j", "sampling", COUNT, "return x, evaluations", "are not counted"),
    "correction counted once": ("1.3j", "sampling", COUNT, "return x, evaluations + 1", "counted once"),
    "correction counted as the step": ("1.3j", "sampling", COUNT, "return x, evaluations * (1 + corrections)", "not as often as the step"),
    "correction without snr": ("1.3j", "sampling", CORRECT, "x = corrector(sde, s + ds, x, 0.16)", "snr is not handed on"),
    "correction of the old state": ("1.3j", "sampling", STEPPED, "old = x\n        x, evaluations = step(sde, s, ds, x)\n        x = old\n        for _ in range(corrections):\n            x = corrector(sde, s + ds, x, snr)", "starts from the old state"),
}  # fmt: skip
