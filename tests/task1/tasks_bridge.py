"""The tasks of Task 1.6, flow matching and Schrödinger bridges; see tasks.py."""

from autograder.board import Task

FLOW, BRIDGE, LIGHT = (f"sde_todo/{name}.py" for name in ("flow", "bridge", "light_sb"))


def bonus(title, file, minutes, hints):
    """An optional task; all of 1.6 are."""
    return Task(title, file, minutes, hints, optional=True)


TASKS = {
    "1.6a": bonus(
        "A line and its velocity",
        FLOW,
        5,
        [
            "At t = 0 the point is x0, at t = 1 it is x1, and in between it moves evenly.",
            "The velocity is the derivative of the point by t; it does not depend on t.",
            "return (1 - t) * x0 + t * x1, x1 - x0.",
        ],
    ),
    "1.6b": bonus(
        "Flow matching loss",
        FLOW,
        10,
        [
            "The model sees the point of the line and predicts its velocity.",
            "flow_path gives both. Square the error, sum over coordinates, mean over the batch.",
            "(model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean().",
        ],
    ),
    "1.6c": bonus(
        "Following a flow with Heun",
        FLOW,
        15,
        [
            "An Euler step shows where the step would end; the velocity there is asked as well.",
            "x + dt (v + v_next)/2 with v_next at t_next and x + dt v. On the way back dt < 0.",
            "A number t becomes the times of a batch by torch.full((len(x),), t).to(x).",
        ],
    ),
    "1.6d": bonus(
        "Pairing by optimal transport",
        FLOW,
        15,
        [
            "ot.emd finds the plan of least cost; with n points on both sides it is a permutation.",
            "The cost is the squared distance, (B, B), in float64 NumPy, images flattened.",
            "Row i of the plan has one entry that is not 0: j = plan.argmax(1).",
        ],
    ),
    "1.6e": bonus(
        "Schedules of step sizes",
        BRIDGE,
        10,
        [
            "Of N steps, N // 2 rise from A to B, and their mirror image follows.",
            "torch.linspace(A, B, N // 2, dtype=torch.float64) is the first half.",
            "torch.cat([half, half.flip(0)]); constant: torch.full((N,), G, dtype=torch.float64).",
        ],
    ),
    "1.6f": bonus(
        "The reference, from both of its ends",
        BRIDGE,
        20,
        [
            "Brownian motion adds noise of variance 2 gamma_k in step k, and nothing else.",
            "Time is the share of the gammas so far. An OU process shrinks by exp(-theta dt) and "
            "gains sigma^2 (1 - a^2)/(2 theta), with sigma^2 = 2 sum gamma.",
            "The other direction: Chain(1 - s.flip(0), a.flip(0), q.flip(0), sigma).",
        ],
    ),
    "1.6g": bonus(
        "The next step towards a known end",
        BRIDGE,
        25,
        [
            "Two things are known of x_{k+1}: a x_k with variance q, and x_N = A x_{k+1} with "
            "variance V. Multiply both Gaussians.",
            "Precisions add: 1/var = 1/q + A^2/V. Write all with V + A^2 q, which is never 0.",
            "Backwards from A = 1, V = 0: total = V + A**2 * q; a * V / total, q * A / total, "
            "q * V / total; then A, V = A * a, total.",
        ],
    ),
    "1.6h": bonus(
        "From a prediction to a mean map",
        BRIDGE,
        15,
        [
            "A drift is added for a time dt; an end is approached by the weights of the bridge.",
            "A policy p is the drift sigma p; a velocity p leads to the end x + (1 - s_k) p.",
            "to_state[k] * x + to_end[k] * end, with the end p for tr.",
        ],
    ),
    "1.6i": bonus(
        "Walking a chain",
        BRIDGE,
        10,
        [
            "Each step has a mean, F(k, x_k), and noise of variance q_k.",
            "Keep the mean before the noise comes; the next step starts from the noisy state.",
            "states.append(means[-1] + float(chain.q[k]) ** 0.5 * noise(x)).",
        ],
    ),
    "1.6j": bonus(
        "States between given ends",
        BRIDGE,
        10,
        [
            "It is a walk whose mean is that of the bridge: it knows where it ends.",
            "The noise dies out towards the end: its variance is var_k, not q_k.",
            "to_state * states[-1] + to_end * end + var ** 0.5 * noise(start), step after step.",
        ],
    ),
    "1.6k": bonus(
        "The mean map behind each step",
        BRIDGE,
        5,
        [
            "DSB compares the mean of step k at two states: where the step began, where it ended.",
            "The number of the step stays k; the state is x_{k+1}.",
            "torch.stack([F(k, x) for k, x in enumerate(states[1:])]).",
        ],
    ),
    "1.6l": bonus(
        "What the other direction learns",
        BRIDGE,
        20,
        [
            "First write where the step back should lead, then what the network must predict for "
            "its own mean map to lead there.",
            "A drift is (mean - x_{k+1})/dt; in DSB's mean x_{k+1} + F(x_k) - F(x_{k+1}) it "
            "cancels. A velocity is (x_0 - x_{k+1}) / left.",
            "dsb (mean - mean_next)/dt, sdsb (previous - x)/dt, tr start, fr (start - x)/left, "
            "sb-fbsde-alt (mean_next - x)/(dt sigma).",
        ],
    ),
    "1.6m": bonus(
        "A batch out of the cache",
        BRIDGE,
        20,
        [
            "A pair is a row and a step: `order` counts the steps of row 0, then those of row 1.",
            "row = it // N and k = it % N; index states by (k + 1, row, column), all (B,).",
            "The trained direction stands at x_{k+1}, at the time 1 - chain.s[k + 1].",
        ],
    ),
    "1.6n": bonus(
        "Half-round after half-round",
        BRIDGE,
        15,
        [
            "No direction learns from its own trajectories; forward learns first.",
            "half % 2 says who learns. A cache lasts refresh_every steps of its half-round.",
            "since = i % run.refresh_every; collect(simulated, half, i - since) where since == 0, "
            "or where the run goes on; then fit(trained, cache.batch(since)).",
        ],
    ),
    "1.6o": bonus(
        "SB-FBSDE, alternating loss",
        "sde_todo/loss.py",
        15,
        [
            "Compare with implicit score matching: half a square, a product, a divergence.",
            "z (z/2 + z_other) is summed over the coordinates; the divergence is that of g z.",
            "weighted_mean(product + get_div(g * z, x, self.method, self.noise), dt).",
        ],
    ),
    "1.6p": bonus(
        "SB-FBSDE, joint loss",
        "sde_todo/loss.py",
        15,
        [
            "A path adds up over its steps; the mean is over paths.",
            "The divergence is that of g z_other, and log q of the end is subtracted.",
            "(dt * per_state).sum() / len(log_q) - log_q.mean().",
        ],
    ),
    "1.6q": bonus(
        "SB-FBSDE, one training step",
        "sde_todo/train.py",
        20,
        [
            "The losses differentiate by x: it must require gradients before a policy sees it.",
            "Joint: all states but the first, flattened; policy at s_k, the other at 1 - s_{k+1}.",
            "x = states[1:].flatten(0, 1); other(1 - times[1:].flatten(), x); "
            "dt = times.diff(dim=0).flatten().",
        ],
    ),
    "1.6r": bonus(
        "LightSB: the potential",
        LIGHT,
        20,
        [
            "It is the log of a sum of Gaussian densities with weights: logsumexp.",
            "With u = L^{-1} (y - r), |u|^2/eps is the exponent, and log det L that of the root.",
            "log_alpha - |u|^2/(2 eps) - log_diagonal.sum(1) - D/2 log(2 pi eps).",
        ],
    ),
    "1.6s": bonus(
        "LightSB: weights and loss",
        LIGHT,
        15,
        [
            "Multiply exp(x.y/eps) with a Gaussian in y and complete the square.",
            "log alpha + (x^T S x + 2 x^T r)/(2 eps); their logsumexp is log C(x).",
            "x^T S x = |L^T x|^2: torch.einsum('kij,bi->bkj', L, x).pow(2).sum(2).",
        ],
    ),
    "1.6t": bonus(
        "LightSB: draws",
        LIGHT,
        15,
        [
            "A component is drawn already; what is left is a Gaussian for each row.",
            "Its mean is r + S x and its covariance eps S, whose root is sqrt(eps) L.",
            "r[k] + L L^T x + sqrt(eps) L z with L = self.cholesky()[k].",
        ],
    ),
}
