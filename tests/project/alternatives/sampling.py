"""Correct answers to the tasks of sde_todo/sampling.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import sampling as here

ALTERNATIVES = {
    "grid in numpy": [
        ("sampling", "    t = torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1, dtype=torch.float64)"
         " ** rho\n    return (T - t).float()",
         "    u = np.linspace(0, 1, N + 1)\n"
         "    t = (T ** (1 / rho) * (1 - u) + eps ** (1 / rho) * u) ** rho\n"
         "    return torch.from_numpy(T - t).float()"),
    ],
    "walk into a tensor made beforehand": [
        ("sampling", "        x_traj.append(x)\n        ntot += evaluations\n"
         "    return torch.stack(x_traj), ntot",
         "        x_traj.append(x.clone())\n        ntot = ntot + evaluations\n"
         "    out = torch.zeros(len(timesteps), *x.shape)\n"
         "    for k, state in enumerate(x_traj):\n"
         "        out[k] = state\n"
         "    return out, ntot"),
    ],
    "euler-maruyama written out": [
        ("sampling", "return sde.predict_fn(s, x, ds), 1",
         "f, g = sde.sde_coeff(s, x)\n"
         "    return x + f * ds + g * math.sqrt(ds) * torch.randn_like(x), 1"),
    ],
    "heun from the euler state": [
        ("sampling", "return x + ds * (slope + end_slope) / 2, 2",
         "return (x + ds * slope) + ds / 2 * (end_slope - slope), 2"),
    ],
    "multistep weights by Lagrange polynomials": [
        ("sampling", "return np.linalg.solve(powers, moments).tolist()",
         "return (np.linalg.inv(powers) @ np.array(moments)).tolist()"),
    ],
    "ancestral steps from the guessed data": [
        ("sampling", here.ANCESTRAL_MEAN,
         "x0 = (x + std**2 * sde.score_fn(sde.T - s, x)) / alpha\n"
         "    mean = (a * next_std**2 * x + next_alpha * b_squared * x0) / std**2"),
        ("sampling", here.ANCESTRAL,
         "variance = b_squared * (next_std / std) ** 2\n"
         "    return torch.addcmul(mean, variance.sqrt(), torch.randn_like(x)), 1"),
    ],
    "langevin by its deviation": [
        ("sampling", here.LANGEVIN_EPS, "deviation = 2 * snr * std"),
        ("sampling", here.LANGEVIN,
         "return x + deviation**2 / 2 * score + deviation * torch.randn(x.shape).to(x)"),
    ],
    "correction by a wrapped step": [
        ("sampling", here.STEPPED,
         "x, evaluations = step(sde, s, ds, x)\n        after = s + ds\n"
         "        k = 0\n        while k < corrections:\n"
         "            x, k = corrector(sde, after, x, snr=snr), k + 1"),
        ("sampling", here.COUNT, "return x, corrections + evaluations"),
    ],
    "reverse diffusion by its variance": [
        ("sampling", "    score = sde.score_fn(sde.T - s, x)\n"
         "    return (2 - a) * x + b_squared * score + b_squared.sqrt() * torch.randn_like(x), 1",
         "    backward = x - (a - 1) * x + b_squared * sde.score_fn(sde.T - s, x)\n"
         "    return torch.normal(backward, b_squared.sqrt().expand_as(x)), 1"),
    ],
    "rk45 from time to time": [
        ("sampling", '    solution = solve_ivp(slope, clock[[0, -1]], start, "RK45", clock, rtol=tol, atol=tol)\n'
         "    x_traj = torch.from_numpy(solution.y.T.copy()).to(x).reshape(len(clock), *x.shape)\n"
         "    return x_traj, solution.nfev",
         "    ends = (clock[0], clock[-1])\n"
         "    solution = solve_ivp(slope, ends, start, rtol=tol, atol=tol, dense_output=True)\n"
         "    states = [torch.from_numpy(solution.sol(s)).reshape(x.shape) for s in clock]\n"
         "    return torch.stack(states).to(x), solution.nfev"),
    ],
}  # fmt: skip
