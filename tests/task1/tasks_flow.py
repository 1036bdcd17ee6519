"""The tasks of sde_todo/flow.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"1.6": "Flow matching and Schrödinger bridges"}
TASKS = {
    "1.6a": Task(
        "A line and its velocity",
        5,
        [
            "At t = 0 the point is x0, at t = 1 it is x1, and in between it moves evenly.",
            "The velocity is the derivative of the point by t; it does not depend on t.",
            "return (1 - t) * x0 + t * x1, x1 - x0.",
        ],
        optional=True,
    ),
    "1.6b": Task(
        "Flow matching loss",
        10,
        [
            "The model sees the point of the line and predicts its velocity.",
            "flow_path gives both. Square the error, sum over coordinates, mean over the batch.",
            "(model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean().",
        ],
        optional=True,
    ),
    "1.6c": Task(
        "Following a flow with Heun",
        15,
        [
            "An Euler step shows where the step would end; evaluate the velocity there as well.",
            "x + dt (v + v_next)/2 with v_next at t_next and x + dt v. On the way back dt < 0.",
            "A number t becomes the times of a batch by torch.full((len(x),), t).to(x).",
        ],
        optional=True,
    ),
    "1.6d": Task(
        "Pairing by optimal transport",
        15,
        [
            "transport_plan finds the plan of least cost; between equal numbers, a permutation.",
            "The cost is the squared distance, (B, B), in float64 NumPy, images flattened.",
            "Row i of the plan has one entry that is not 0: j = plan.argmax(1).",
        ],
        optional=True,
    ),
}
