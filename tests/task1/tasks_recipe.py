"""The tasks of sde_todo/recipe.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"1.4": "The marks"}
TASKS = {
    "1.4a": Task(
        "Trained samples by the SDE",
        30,
        [
            "Put the parts together: network, EMA, Adam, step function, loop, score function.",
            "If the samples are blurred, train longer or lower the rate to 0 at the end.",
            "SimpleNet predicting noise, Adam 8e-3 with warmup_linear, 2,000 steps of 512 pass.",
        ],
    ),
    "1.4b": Task(
        "Trained samples by the ODE",
        5,
        [
            "The same score, sampled with Heun in 50 evaluations.",
            "If the SDE passes and the ODE does not, look at ode_coeff and at the time grid.",
            "Late times matter: rho = 2 puts more steps near the data.",
        ],
    ),
    "1.4c": Task(
        "Down to the floor",
        60,
        [
            "Preconditioning, log-uniform noise, its weight, the stable target, a better sampler.",
            "VESDE with uniform t has log-uniform noise; each part names its paper.",
            "Everything is in the docstring and hint of floor_recipe.",
        ],
        optional=True,
    ),
}
