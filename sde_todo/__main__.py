"""Commands of Task 1: `python -m sde_todo demo|check|bridge`."""

from given.runtime.cli import STOPPED, run_package

COMMANDS = {
    "demo": (
        "experiments.plane.demo",
        "train, sample and score your modules on the Swiss roll, with pictures",
        STOPPED,
    ),
    "check": ("given.runtime.check", "say whether torch works", STOPPED),
    "bridge": (
        "experiments.bridges.plane",
        "a Schrödinger bridge between two sets of points",
        STOPPED,
    ),
}

if __name__ == "__main__":
    run_package("sde_todo", COMMANDS)
