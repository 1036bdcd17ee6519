"""The methods of bridges, in three facts each."""

from typing import NamedTuple


class Method(NamedTuple):
    """What the code of bridges must know of a method.

    Attributes:
        predicts: what its network gives at (s, x): a "drift", a "policy" z = drift / sigma, the
            "end" of the path, the "velocity" to it, or a "potential" that needs no time.
        between: whether the states of a target are drawn between the ends of a path, with the
            noise of the reference, instead of taken from the path itself.
        needs_means: whether a target needs the means of the simulated steps.
    """

    predicts: str
    between: bool = False
    needs_means: bool = False


METHODS = {
    "dsb": Method("drift", needs_means=True),
    "sdsb": Method("drift"),
    "tr": Method("end"),
    "fr": Method("velocity"),
    "dsbm": Method("velocity", between=True),
    "sb-fbsde-alt": Method("policy", needs_means=True),
    "sb-fbsde-joint": Method("policy"),
    "lightsb": Method("potential"),
    "flow": Method("velocity"),
}
# Those that fit one direction to simulations of the other, in turn: `sde_todo.bridge.train_bridge`.
ITERATIVE = ("dsb", "sdsb", "tr", "fr", "dsbm", "sb-fbsde-alt")


def check_iterative(name: str) -> None:
    """Refuse a method whose network takes no step and has no target.

    Raises:
        ValueError: it is not in `ITERATIVE`.
    """
    if name not in ITERATIVE:
        raise ValueError(f"method = {name!r}: choose {', '.join(ITERATIVE)}.")
