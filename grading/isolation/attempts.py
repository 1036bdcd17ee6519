"""What a submission might try, tried inside: which of it succeeds is what the isolation lacks.

Each function does the deed and raises where it is prevented. It is a probe like any other, so what
is measured is what holds for a submission.
"""

import os
import socket
import tempfile
from typing import Any


def read_answers(place: str, port: int, grader: int) -> None:
    """Read a solution."""
    with open(os.path.join(place, "solutions", "sde_todo", "sde.py")) as file:
        file.read()


def read_checks(place: str, port: int, grader: int) -> None:
    """Read the checks of the graded tests."""
    with open(os.path.join(place, "tests", "task1", "test_sde.py")) as file:
        file.read()


def change_runtime(place: str, port: int, grader: int) -> None:
    """Change a given module for the tests that follow."""
    import sde_todo

    with open(sde_todo.__file__, "a"):
        pass


def write_elsewhere(place: str, port: int, grader: int) -> None:
    """Leave a file where other tests and other submissions could find it."""
    with tempfile.NamedTemporaryFile(dir="/tmp"):
        pass


def connect(place: str, port: int, grader: int) -> None:
    """Connect to a server on this machine."""
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


def signal_grader(place: str, port: int, grader: int) -> None:
    """Send a signal to the grader."""
    os.kill(grader, 0)


def read_memory(place: str, port: int, grader: int) -> None:
    """Read the memory of the grader."""
    with open(f"/proc/{grader}/mem", "rb"):
        pass


ATTEMPTS = {
    function.__name__: function
    for function in (
        read_answers,
        read_checks,
        change_runtime,
        write_elsewhere,
        connect,
        signal_grader,
        read_memory,
    )
}


class Attempts:
    """The probe: 1 for each attempt that succeeded, 0 for each that did not."""

    @staticmethod
    def probe(place: str, port: int, grader: int) -> dict[str, Any]:
        done = {}
        for name, attempt in ATTEMPTS.items():
            try:
                attempt(place, port, grader)
                done[name] = 1
            except Exception:  # prevented, by whichever measure
                done[name] = 0
        return done
