"""The tasks of sde_todo/sampling.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"1.3": "Sampling"}
TASKS = {
    "1.3a": Task(
        "Time grid",
        10,
        [
            "Space t, not s, and return s = T - t.",
            "Equal steps in t^(1/rho), from T down to eps.",
            "torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1) ** rho.",
        ],
    ),
    "1.3b": Task(
        "Euler-Maruyama and the walk",
        15,
        [
            "The trajectory starts with the given x and gets one state after each step.",
            "s goes in as a tensor (B,), the step length is the difference of neighbouring times.",
            "x, evaluations = step(sde, s.expand(len(x)), s_next - s, x); x_traj.append(x).",
        ],
    ),
    "1.3d": Task(
        "ODE by Euler and Heun",
        15,
        [
            "The slope is ode_coeff(s, x)[0].",
            "Heun: go an Euler step, ask for the slope there, and use the mean of both from x.",
            "The second slope is at s + ds. Two evaluations.",
        ],
    ),
    "1.3e": Task(
        "Reverse diffusion",
        20,
        [
            "In the reverse clock, t belongs to s and t - ds to s + ds.",
            "a = alpha(s)/alpha(s + ds), b^2 = std(s)^2 - a^2 std(s + ds)^2.",
            "(2 - a) x + b^2 score + b z, score at t = T - s.",
        ],
    ),
    "1.3f": Task(
        "Adaptive RK45",
        15,
        [
            "scipy.integrate.solve_ivp works on flat float64 arrays.",
            "Write slope(s, flat): reshape, ask ode_coeff, flatten again. t_eval = the timesteps.",
            "solution.y.T has one row per time; solution.nfev counts the evaluations.",
        ],
    ),
    "1.3g": Task(
        "Exponential multistep",
        40,
        [
            "Order 1 first: y' = r y + (1 - r) D with r = sigma'/sigma.",
            "The polynomial is integrated exactly if its powers are: one small linear system.",
            "weights = solve(u_j^k, I_k); y' = r y + r sum_j w_j D_j.",
        ],
        optional=True,
    ),
    "1.3h": Task(
        "Ancestral sampling",
        20,
        [
            "It has the a, b^2 and score of reverse diffusion, and nearly its mean.",
            "The state before knows where the data are: its variance is smaller than b^2.",
            "(x + b^2 score)/a + b std(s + ds)/std(s) z.",
        ],
        optional=True,
    ),
    "1.3i": Task(
        "Annealed Langevin",
        10,
        [
            "It is the corrector of 1.3c with a step that no norm decides.",
            "eps = 2 (snr std)^2, with the std that the process has at its clock s.",
            "x + eps * score + torch.sqrt(2 * eps) * torch.randn_like(x).",
        ],
        optional=True,
    ),
    "1.3j": Task(
        "Any predictor with any corrector",
        10,
        [
            "Write a function inside the function: it steps first and then corrects.",
            "After the step the clock shows s + ds, for every correction.",
            "return x, evaluations + corrections  at the end of the inner function.",
        ],
        optional=True,
    ),
}
