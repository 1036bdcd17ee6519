"""The tasks of sde_todo/likelihood.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"1.5": "Likelihood"}
TASKS = {
    "1.5a": Task(
        "A divergence along given directions",
        10,
        [
            "With the unit vectors as directions it is the trace of the Jacobian dy/dx.",
            "grad(y, x, v) multiplies v from the left, for the whole batch at once; then v again.",
            "divergence = divergence + (vjp * v).flatten(1).sum(1) for every v of probes.",
        ],
        optional=True,
    ),
    "1.5b": Task(
        "The flow, in the time of the data",
        5,
        [
            "It is the ODE of task 1.1g, but time is that of the forward process.",
            "f keeps its sign. The score enters by g squared, and by half.",
            "f, g = sde.sde_coeff(t, x); return f - 0.5 * g**2 * score_fn(t, x).",
        ],
        optional=True,
    ),
    "1.5c": Task(
        "The log-likelihood of a point",
        15,
        [
            "Two things run along the solution together: the point, and the integral.",
            "A flow that spreads points apart thins their density out: the density at x is that "
            "of x_T with the integral of the divergence added.",
            "x_T, integral = solve(slope, eps, sde.T, (x, zeros (B,)), tol).",
        ],
        optional=True,
    ),
    "1.5d": Task(
        "Data to noise, back, and between",
        15,
        [
            "Both ways are one equation; only start and end change places.",
            "solve takes and gives a tuple of states. The angle: acos of the cosine similarity of "
            "the flattened noises, one for each sample.",
            "solve(velocity(sde, score_fn), sde.T, eps, (x_T,), tol)[0] decodes; the arc is in the "
            "docstring, with the angle of shape (B, 1, ...).",
        ],
        optional=True,
    ),
    "1.5e": Task(
        "What the bound loses per unit of time",
        20,
        [
            "A square, as in score matching, and the divergence of the reverse drift.",
            "trace gives the drift and its divergence in one go.",
            "g score = (drift + f)/g; half its square, summed per sample, plus the divergence.",
        ],
        optional=True,
    ),
    "1.5f": Task(
        "A bound by the reverse SDE",
        20,
        [
            "Three parts: the prior at X_T, the integral of the rate, the last step to the data.",
            "Every slice draws an x_t of its own from the same x, with directions of its own.",
            "integral = (weight * torch.stack(rates)).mean(0); x_T is diffuse at sde.T.",
        ],
        optional=True,
    ),
    "1.5g": Task(
        "Bounds between the SDE and the ODE",
        25,
        [
            "Take the rate at the state where the step begins, then move.",
            "pull = (drift + f)/(1 - lam/2) is g^2 score, so g score is pull/g.",
            "integral + dt ((1 - lam)/2 |pull/g|^2 + divergence); "
            "x + (f - lam/2 pull) dt + sqrt((1 - lam) dt) g z.",
        ],
        optional=True,
    ),
    "1.5h": Task(
        "Bits per number",
        10,
        [
            "The noise fills one level: half a step to either side.",
            "A density times the volume step^D is a probability; -log2 of it are bits.",
            "x + step * (torch.rand_like(x) - 0.5); -(logp + D log(step))/(D log 2).",
        ],
        optional=True,
    ),
}
