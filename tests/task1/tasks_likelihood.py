"""The tasks of Task 1.5, likelihood; see tasks.py."""

from autograder.board import Task

FILE = "sde_todo/likelihood.py"


def bonus(title, minutes, hints):
    """An optional task; all of 1.5 are."""
    return Task(title, FILE, minutes, hints, optional=True)


TASKS = {
    "1.5a": bonus(
        "A divergence along given directions",
        10,
        [
            "With the unit vectors as directions it is the trace of the Jacobian dy/dx.",
            "grad(y, x, v) multiplies v from the left, for the whole batch at once; then v again.",
            "divergence = divergence + (vjp * v).flatten(1).sum(1) for every v of probes.",
        ],
    ),
    "1.5b": bonus(
        "The flow, in the time of the data",
        5,
        [
            "It is the ODE of task 1.1g, but time is that of the forward process.",
            "f keeps its sign. The score enters by g squared, and by half.",
            "f, g = sde.sde_coeff(t, x); return f - 0.5 * g**2 * score_fn(t, x).",
        ],
    ),
    "1.5c": bonus(
        "The log-likelihood of a point",
        15,
        [
            "Two things run along the solution together: the point, and the integral.",
            "A flow that spreads points apart thins their density out: the density at x is that "
            "of x_T with the integral of the divergence added.",
            "x_T, integral = solve(slope, eps, sde.T, (x, zeros (B,)), tol).",
        ],
    ),
    "1.5d": bonus(
        "Data to noise, back, and between",
        15,
        [
            "Both ways are one equation; only start and end change places.",
            "solve takes and gives a tuple of states. The angle: acos of the cosine similarity of "
            "the flattened noises, one for each sample.",
            "solve(velocity(sde, score_fn), sde.T, eps, (x_T,), tol)[0] decodes; the arc is in the "
            "docstring, with the angle of shape (B, 1, ...).",
        ],
    ),
    "1.5e": bonus(
        "What the bound loses per unit of time",
        20,
        [
            "A square, as in score matching, and the divergence of the reverse drift.",
            "trace gives the drift and its divergence in one go.",
            "g score = (drift + f)/g; half its square, summed per sample, plus the divergence.",
        ],
    ),
    "1.5f": bonus(
        "A bound by the reverse SDE",
        20,
        [
            "Three parts: the prior at X_T, the integral of the rate, the last step to the data.",
            "Every slice draws an x_t of its own from the same x, with directions of its own.",
            "integral = (weight * torch.stack(rates)).mean(0); x_T is diffuse at sde.T.",
        ],
    ),
    "1.5g": bonus(
        "Bounds between the SDE and the ODE",
        25,
        [
            "Take the rate at the state where the step begins, then move.",
            "pull = (drift + f)/(1 - lam/2) is g^2 score, so g score is pull/g.",
            "integral + dt ((1 - lam)/2 |pull/g|^2 + divergence); "
            "x + (f - lam/2 pull) dt + sqrt((1 - lam) dt) g z.",
        ],
    ),
    "1.5h": bonus(
        "Bits per number",
        10,
        [
            "The noise fills one level: half a step to either side.",
            "A density times the volume step^D is a probability; -log2 of it are bits.",
            "x + step * (torch.rand_like(x) - 0.5); -(logp + D log(step))/(D log 2).",
        ],
    ),
}
