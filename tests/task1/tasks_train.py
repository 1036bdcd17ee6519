"""The tasks of sde_todo/train.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

TASKS = {
    "1.2m": Task(
        "Moving average of the weights",
        10,
        [
            "The average keeps the fraction d of itself, and d is near 1.",
            "d = min(decay, (1 + k)/(10 + k)) with k the number of updates before this one.",
            "average.lerp_(p, 1 - d) for every pair of parameters, then self.updates += 1.",
        ],
    ),
    "1.2n": Task(
        "One training step",
        25,
        [
            "Noise the batch to the drawn times, ask the loss, step the optimizer.",
            "x_t = mean + std z; y = dsm_target(z, std); w = time_weight * weight_fn(...), (B,).",
            "Order: opt.zero_grad, loss.backward, opt.step, ema.update, schedule.step.",
        ],
    ),
    "1.6q": Task(
        "SB-FBSDE, one training step",
        20,
        [
            "The losses differentiate by x: it must require gradients before a policy sees it.",
            "Joint: all states but the first, flattened; policy at s_k, the other at 1 - s_{k+1}.",
            "x = states[1:].flatten(0, 1); other(1 - times[1:].flatten(), x); "
            "dt = times.diff(dim=0).flatten().",
        ],
        optional=True,
    ),
}
