"""Correct answers to the tasks of sde_todo/sampling.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import sampling as here
from tests.project.trees import answer

ALTERNATIVES = {
    "grid in numpy": [
        ("sampling", "    t = torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1, dtype=torch.float64)"
         " ** rho\n    return T - t",
         "    u = np.linspace(0, 1, N + 1)\n"
         "    t = (T ** (1 / rho) * (1 - u) + eps ** (1 / rho) * u) ** rho\n"
         "    return torch.from_numpy(T - t)"),
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
    "grid by python floats": [
        answer("sampling", "time_grid", """
            first, last = T ** (1 / rho), eps ** (1 / rho)
            clock = []
            for k in range(N + 1):
                root = first + (last - first) * k / N
                clock.append(T - root**rho)
            return torch.tensor(clock, dtype=torch.float64)"""),
    ],
    "grid by lerp, from the end": [
        answer("sampling", "time_grid", """
            u = torch.linspace(1, 0, steps=N + 1, dtype=torch.float64)
            ends = torch.tensor([eps, T], dtype=torch.float64).pow(1 / rho)
            t = torch.lerp(ends[0], ends[1], u) ** rho
            s: Tensor = T - t
            return s"""),
    ],
    "steps with keywords, the walk into a tensor": [
        answer("sampling", "euler_maruyama_step", "return (sde.predict_fn(s, x, dt=ds, ode=False), 1)"),
        answer("sampling", "ode_euler_step", """
            slope = sde.ode_coeff(s, x)[0]
            return torch.add(x, slope, alpha=float(ds)), 1"""),
        answer("sampling", "walk", """
            K = len(timesteps) - 1
            states = x.new_empty((K + 1, *x.shape))
            states[0] = x
            evaluations = 0
            for k in range(K):
                s = timesteps[k] * torch.ones(len(x)).to(x)
                ds = float(timesteps[k + 1] - timesteps[k])
                states[k + 1], asked = step(sde, s, ds, states[k])
                evaluations += asked
            return states, evaluations"""),
    ],
    "walk by accumulate": [
        answer("sampling", "walk", """
            clock = timesteps.tolist()

            def go(before, k):
                state, ntot = before
                s = torch.full((x.shape[0],), clock[k], dtype=x.dtype, device=x.device)
                state, asked = step(sde, s, clock[k + 1] - clock[k], state)
                return state, ntot + asked

            visits = list(itertools.accumulate(range(len(clock) - 1), go, initial=(x, 0)))
            return torch.stack([state for state, _ in visits]), visits[-1][1]"""),
    ],
    "walk by zip, the counts summed": [
        answer("sampling", "walk", """
            trajectory = [x.clone()]
            counts = []
            for now, later in tqdm(zip(timesteps[:-1], timesteps[1:]), disable=True):
                out = step(sde, now.repeat(len(x)), (later - now).item(), trajectory[-1])
                trajectory += [out[0]]
                counts += [out[1]]
            return torch.cat([state[None] for state in trajectory], dim=0), sum(counts)"""),
    ],
    "heun by two euler steps": [
        answer("sampling", "ode_heun_step", """
            euler = sde.predict_fn(s, x, ds, ode=True)
            beyond = sde.predict_fn(s + ds, euler, ds, ode=True)
            return (x + beyond) / 2, 2"""),
    ],
    "heun in place, its ends in a list": [
        answer("sampling", "ode_heun_step", """
            slopes = [sde.ode_coeff(s, x)[0]]
            slopes.append(sde.ode_coeff(s + ds, x + slopes[0] * ds)[0])
            out = x.clone()
            for slope in slopes:
                out += 0.5 * ds * slope
            return out, len(slopes)"""),
    ],
    "reverse diffusion by the log SNR": [
        answer("sampling", "reverse_diffusion_step", """
            (alpha, std), (alpha_1, std_1) = (alpha_std(sde, time, x) for time in (s, s + ds))
            gain = 2 * (torch.log(alpha / std) - torch.log(alpha_1 / std_1))  # of log SNR, below 0
            variance = -(std**2) * torch.expm1(gain)
            push = (1 - alpha / alpha_1) * x + variance * sde.score_fn(sde.T - s, x)
            return x + push + torch.sqrt(variance.clamp_min(0)) * torch.randn(x.shape).to(x), 1"""),
    ],
    "reverse diffusion in float64, by the noise": [
        answer("sampling", "reverse_diffusion_step", """
            mean, std = (v.double() for v in sde.marginal_prob(s, torch.ones_like(x)))
            mean_1, std_1 = (v.double() for v in sde.marginal_prob(s + ds, torch.ones_like(x)))
            a = mean / mean_1
            b = torch.sqrt(torch.relu(std.square() - (a * std_1).square()))
            noise = -std * sde.score_fn(sde.T - s, x).double()
            moved = x.double() + (1 - a) * x - b**2 * noise / std
            return (moved + b * torch.randn_like(moved)).to(x.dtype), 1"""),
    ],
    "predictor-corrector by the wrapper": [
        answer("sampling", "predictor_corrector_step", """
            step = with_corrector(reverse_diffusion_step, langevin, corrections=1, snr=snr)
            return step(sde, s, ds, x)"""),
    ],
    "predictor-corrector with keywords": [
        answer("sampling", "predictor_corrector_step", """
            predicted = reverse_diffusion_step(sde, s, ds, x)
            later = torch.add(s, ds)
            corrected = sde.correct_fn(later, predicted[0], snr=snr)
            return corrected, 1 + predicted[1]"""),
    ],
    "rk45 with its own count, in double precision": [
        answer("sampling", "solve_rk45", """
            asked = 0

            def velocity(s: float, flat: np.ndarray) -> np.ndarray:
                nonlocal asked
                asked += 1
                state = torch.as_tensor(flat, dtype=x.dtype, device=x.device).view(x.shape)
                times = s * torch.ones(x.shape[0], dtype=x.dtype, device=x.device)
                with torch.no_grad():
                    return sde.ode_coeff(times, state)[0].reshape(-1).cpu().numpy().astype(np.float64)

            out = solve_ivp(
                fun=velocity,
                t_span=(float(timesteps[0]), float(timesteps[-1])),
                y0=x.reshape(-1).cpu().numpy().astype(np.float64),
                method="RK45",
                t_eval=np.clip(timesteps.cpu().numpy().astype(np.float64), timesteps[0].item(), timesteps[-1].item()),
                rtol=tol,
                atol=tol,
            )
            states = np.moveaxis(out.y, -1, 0).reshape(len(timesteps), *x.shape)
            return torch.tensor(states, dtype=x.dtype, device=x.device), asked"""),
    ],
    "rk45 by the solver's class": [
        answer("sampling", "solve_rk45", """
            from scipy.integrate import RK45

            def velocity(s, flat):
                state = torch.from_numpy(flat).to(x).reshape(x.shape)
                return sde.ode_coeff(torch.full((len(x),), s).to(x), state)[0].double().numpy().ravel()

            clock = timesteps.double().tolist()
            solver = RK45(velocity, clock[0], x.double().numpy().ravel(), clock[-1], rtol=tol, atol=tol)
            states, k = [x], 1
            while k < len(clock):
                solver.step()
                dense = solver.dense_output()
                while k < len(clock) and clock[k] <= solver.t:
                    states.append(torch.from_numpy(dense(clock[k])).to(x).reshape(x.shape))
                    k += 1
            return torch.stack(states), solver.nfev"""),
    ],
    "multistep with a deque, weights by quadrature": [
        answer("sampling", "multistep", """
            from collections import deque

            alpha, std = alpha_std(sde, timesteps, timesteps[:, None])
            alpha, std = alpha.flatten(), std.flatten()
            lam = torch.log(alpha / std)
            lams, denoised = deque(maxlen=order), deque(maxlen=order)
            states = [x]
            last = len(timesteps) - 1
            for k in range(last + 1):
                score = sde.score_fn(sde.T - timesteps[k].repeat(len(x)), x)
                D = (x + std[k] ** 2 * score) / alpha[k]
                if box is not None:
                    D = torch.minimum(torch.maximum(D, box[0]), box[1])
                if k == last:
                    break
                lams.append(lam[k].item())
                denoised.append(D)
                weights = multistep_weights(list(lams), lam[k + 1].item())
                total = torch.zeros_like(x)
                for w, value in zip(weights, denoised):
                    total += w * value
                # std' / std x + alpha' sigma' / sigma (sum of w D)
                ratio = std[k + 1] / std[k]
                x = ratio * x + ratio * alpha[k] * total
                states.append(x)
            states[-1] = D
            return torch.stack(states), last + 1"""),
        answer("sampling", "multistep_weights", """
            nodes, shares = np.polynomial.legendre.leggauss(12)
            h = lam_next - lams[-1]
            u = h * (nodes + 1) / 2
            weights = []
            for j, own in enumerate(lams):
                basis = np.ones_like(u)
                for i, other in enumerate(lams):
                    if i != j:
                        basis *= (u + lams[-1] - other) / (own - other)
                weights.append(float(h / 2 * np.sum(shares * np.exp(u) * basis)))
            return weights"""),
    ],
    "multistep by the noise that D leaves, weights by polynomials": [
        answer("sampling", "multistep", """
            alphas, stds = (v[:, 0] for v in alpha_std(sde, timesteps, timesteps[:, None]))
            lams = (alphas.double() / stds.double()).log().tolist()
            states, values = [], []
            for k, s in enumerate(timesteps):
                states.append(x)
                times = torch.full((len(x),), float(sde.T - s)).to(x)
                D = x / alphas[k] + stds[k] ** 2 / alphas[k] * sde.score_fn(times, x)
                D = D.clamp(box[0], box[1]) if box else D
                values.append(D)
                if k + 1 == len(timesteps):
                    break
                kept = slice(max(0, k + 1 - order), k + 1)
                weights = torch.tensor(multistep_weights(lams[kept], lams[k + 1])).to(x)
                integral = torch.einsum("j,j...->...", weights, torch.stack(values[kept]))
                factor = alphas[k + 1] * math.exp(lams[k] - lams[k + 1])
                x = factor * (x / alphas[k] + integral)
            states[-1] = values[-1]
            return torch.stack(states), len(values)"""),
        answer("sampling", "multistep_weights", """
            from numpy.polynomial import Polynomial

            h = lam_next - lams[-1]
            nodes = [lam - lams[-1] for lam in lams]
            weights = []
            for j, u_j in enumerate(nodes):
                others = nodes[:j] + nodes[j + 1 :]
                basis = Polynomial.fromroots(others) if others else Polynomial([1.0])
                basis = basis / basis(u_j)
                # e^u (p - p' + p'' - ...) has the derivative e^u p
                primitive, term = Polynomial([0.0]), basis
                for k in range(len(lams)):
                    primitive = primitive + (-1) ** k * term
                    term = term.deriv()
                weights.append(float(math.exp(h) * primitive(h) - primitive(0.0)))
            return weights"""),
    ],
    "ancestral steps by the posterior's precision": [
        answer("sampling", "ancestral_step", """
            alpha, std = alpha_std(sde, s, x)
            alpha_1, std_1 = alpha_std(sde, s + ds, x)
            a = alpha / alpha_1
            step_variance = torch.clamp_min(std**2 - (a * std_1) ** 2, 0)
            x0 = (x + std**2 * sde.score_fn(sde.T - s, x)) / alpha
            variance = 1 / (1 / std_1**2 + a**2 / step_variance)
            mean = variance * (alpha_1 * x0 / std_1**2 + a * x / step_variance)
            return torch.normal(mean, variance.sqrt().expand(mean.shape)), 1"""),
    ],
    "ancestral steps by x0 and noise, as DDIM with eta 1": [
        answer("sampling", "ancestral_step", """
            score = sde.score_fn(sde.T - s, x)
            alpha, std = alpha_std(sde, s, x)
            alpha_1, std_1 = alpha_std(sde, s + ds, x)
            noise = -std * score
            x0 = (x - std * noise) / alpha
            ratio = alpha * std_1 / (alpha_1 * std)
            deviation = std_1 * torch.sqrt(1 - ratio.square())
            keep = torch.sqrt(std_1**2 - deviation**2)
            return alpha_1 * x0 + keep * noise + deviation * torch.randn(x.shape).to(x), 1"""),
    ],
    "annealed langevin by the noise": [
        answer("sampling", "annealed_langevin", """
            one = torch.ones_like(x)
            std = torch.as_tensor(sde.marginal_prob(s, one)[1]).expand_as(x)
            noise = -std * sde.score_fn(sde.T - s, x)
            moved = x - 2 * snr**2 * std * noise
            return torch.normal(mean=moved, std=2 * snr * std)"""),
    ],
    "annealed langevin in place": [
        answer("sampling", "annealed_langevin", """
            std = alpha_std(sde, s, x)[1]
            eps = 2 * snr * snr * std.square()
            out = torch.empty_like(x).normal_().mul_((2 * eps) ** 0.5)
            out += x
            out += eps * sde.score_fn(sde.T - s, x)
            return out"""),
    ],
    "correction as a class": [
        answer("sampling", "with_corrector", '''
            class Corrected:
                """A step, then its corrections."""

                def __call__(self, sde: ReverseProcess, s: Tensor, ds: float, x: Tensor) -> tuple[Tensor, int]:
                    moved, asked = step(sde, s, ds, x)
                    later = s + ds
                    for _ in range(corrections):
                        moved, asked = corrector(sde, later, moved, snr), asked + 1
                    return moved, asked

            return Corrected()'''),
    ],
    "correction by recursion": [
        answer("sampling", "with_corrector", """
            def correct(sde, s, x, times):
                if times == 0:
                    return x
                return correct(sde, s, corrector(sde, s, x, snr), times - 1)

            def both(sde, s, ds, x):
                state, count = step(sde, s, ds, x)
                return correct(sde, s + ds, state, corrections), count + corrections

            return both"""),
    ],
    "walk in inference mode": [
        answer("sampling", "walk", """
            out, ntot = [x], 0
            with torch.inference_mode():
                for s, ds in zip(timesteps, timesteps.diff()):
                    state, asked = step(sde, s * torch.ones_like(x.flatten(1)[:, 0]), ds.item(), out[-1])
                    out.append(state)
                    ntot += asked
            return torch.stack(out), ntot"""),
    ],
    "predictor-corrector by the table of steps": [
        answer("sampling", "predictor_corrector_step", """
            x, asked = STEPS["reverse_diffusion"](sde, s, ds, x)
            return langevin(sde, s + ds, x, snr), asked + 1"""),
    ],
}  # fmt: skip
