"""The tasks of sde_todo/bridge.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

TASKS = {
    "1.6e": Task(
        "Schedules of step sizes",
        10,
        [
            "Of N steps, N // 2 rise from A to B, and their mirror image follows.",
            "torch.linspace(A, B, N // 2, dtype=torch.float64) is the first half.",
            "torch.cat([half, half.flip(0)]); constant: torch.full((N,), G, dtype=torch.float64).",
        ],
        optional=True,
    ),
    "1.6f": Task(
        "The reference, from both of its ends",
        20,
        [
            "Brownian motion adds noise of variance 2 gamma_k in step k, and nothing else.",
            "Time is the share of the gammas so far. An OU process shrinks by exp(-theta dt) and "
            "gains sigma^2 (1 - a^2)/(2 theta), with sigma^2 = 2 sum gamma.",
            "The other direction: Chain(1 - s.flip(0), a.flip(0), q.flip(0), sigma).",
        ],
        optional=True,
    ),
    "1.6g": Task(
        "The next step towards a known end",
        25,
        [
            "Two things are known of x_{k+1}: a x_k with variance q, and x_N = A x_{k+1} with "
            "variance V. Multiply both Gaussians.",
            "Precisions add: 1/var = 1/q + A^2/V. Write all with V + A^2 q, which is never 0.",
            "Backwards from A = 1, V = 0: total = V + A**2 * q; a * V / total, q * A / total, "
            "q * V / total; then A, V = A * a, total.",
        ],
        optional=True,
    ),
    "1.6h": Task(
        "From a prediction to a mean map",
        15,
        [
            "A drift is added for a time dt; an end is approached by the weights of the bridge.",
            "A policy p is the drift sigma p; a velocity p leads to the end x + (1 - s_k) p.",
            "to_state[k] * x + to_end[k] * end, with the end p for tr.",
        ],
        optional=True,
    ),
    "1.6i": Task(
        "Walking a chain",
        10,
        [
            "Each step has a mean, F(k, x_k), and noise of variance q_k.",
            "Keep the mean before the noise comes; the next step starts from the noisy state.",
            "states.append(means[-1] + float(chain.q[k]) ** 0.5 * noise(x)).",
        ],
        optional=True,
    ),
    "1.6j": Task(
        "States between given ends",
        10,
        [
            "It is a walk whose mean is that of the bridge: it knows where it ends.",
            "The noise dies out towards the end: its variance is var_k, not q_k.",
            "to_state * states[-1] + to_end * end + var ** 0.5 * noise(start), step after step.",
        ],
        optional=True,
    ),
    "1.6k": Task(
        "The mean map after each step",
        5,
        [
            "DSB compares the mean of step k at two states: where the step began, where it ended.",
            "The number of the step stays k; the state is x_{k+1}.",
            "torch.stack([F(k, x) for k, x in enumerate(states[1:])]).",
        ],
        optional=True,
    ),
    "1.6l": Task(
        "What the other direction learns",
        20,
        [
            "First write where the step back should lead, then what the network must predict for "
            "its own mean map to lead there.",
            "A drift is (mean - x_{k+1})/dt; in DSB's mean x_{k+1} + F(x_k) - F(x_{k+1}) it "
            "cancels. A velocity is (x_0 - x_{k+1}) / left.",
            "dsb (mean - mean_next)/dt, sdsb (previous - x)/dt, tr start, fr (start - x)/left, "
            "sb-fbsde-alt (mean_next - x)/(dt sigma).",
        ],
        optional=True,
    ),
    "1.6m": Task(
        "A batch out of the cache",
        20,
        [
            "A pair is a row and a step: `order` counts the steps of row 0, then those of row 1.",
            "row = it // N and k = it % N; index states by (k + 1, row, column), all (B,).",
            "The trained direction is at x_{k+1}, at the time 1 - chain.s[k + 1].",
        ],
        optional=True,
    ),
    "1.6n": Task(
        "Half-round after half-round",
        15,
        [
            "No direction learns from its own trajectories; forward learns first.",
            "half % 2 says who learns. A cache lasts refresh_every steps of its half-round.",
            "since = i % run.refresh_every; collect(simulated, half, i - since) where since == 0, "
            "or where the run goes on; then fit(trained, cache.batch(since)).",
        ],
        optional=True,
    ),
}
