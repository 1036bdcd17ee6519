"""The result of a run as plain data: the fields of Gradescope's results.json, here and there."""

import json
import os
import re
from pathlib import Path
from typing import Any

from autograder import board, harness, settings
from autograder.harness import Graded
from autograder.tasks import all_tasks
from given.runtime.files import atomic_write
from given.runtime.submission import ROOT

STATUS = {"done": "passed", "wrong": "failed", "todo": "failed"}
LONGEST = 2000  # characters of a message
# Control characters, and those that hide text or turn its direction
CONTROL = re.compile(r"[^\n\x20-\x7e\u00a0-\uffff]|[\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def build(graded: Graded, seconds: float | None = None) -> dict[str, Any]:
    """The report of a run.

    Args:
        graded: pairs (graded test, `harness.Result`).
        seconds: what the run took.

    Returns:
        dict with score, tests, leaderboard, execution_time, stdout_visibility and extra_data.
    """
    tasks = all_tasks()
    order = {name: k for k, name in enumerate(tasks)}
    graded = sorted(graded, key=lambda pair: order[pair[0].task])
    tests = [entry(test, result, tasks[test.task]) for test, result in graded]
    required = [(test, result) for test, result in graded if not tasks[test.task].optional]
    score = round(sum(each["score"] for each in tests), 4)
    return {
        "score": score,
        "tests": tests,
        "leaderboard": [{"name": "Points", "value": score, "order": "desc"}],
        "execution_time": round(seconds or 0),
        "stdout_visibility": "hidden",
        "extra_data": {"full": sum(test.points for test, _ in required)},
    }


def entry(test: Any, result: Any, task: Any) -> dict[str, Any]:
    """One test of the report."""
    text = clean(result.message)
    if result.verdict == "wrong":
        text = f"{' '.join(test.__doc__.split())}\n{text}"
    title = f"{task.title}{' (optional)' if task.optional else ''}"
    return {
        "name": f"{test.task} {title}: {test.__name__}",
        "number": test.task,
        "score": test.points if result.verdict == "done" else 0,
        "max_score": test.points,
        "status": STATUS[result.verdict],
        "output": text or "Right.",
        "output_format": "text",
        "visibility": visibility(test),
    }


def visibility(test: Any) -> str:
    """Who sees a test, by the settings of the instructor; students' copies have none."""
    rules = getattr(settings, "VISIBILITY", {})
    keys = (test.__name__, test.task, test.task[:-1], "all")
    return next((rules[key] for key in keys if key in rules), "visible")


def clean(text: str) -> str:
    """Text that may come from a submission, fit for a report: no control characters, not long."""
    text = text[: 2 * LONGEST].encode("utf-8", "replace").decode()
    text = CONTROL.sub("?", text)
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."


def write(path: Path | str, text: str) -> None:
    """Write a file whole or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path | str, data: dict[str, Any]) -> None:
    """Write plain data as JSON, whole or not at all; NaN is refused."""
    write(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def submission() -> str:
    """The folder whose modules are tested."""
    return os.environ.get("COURSE") or str(ROOT)


def save(current: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write folder/grade.json: a report, and what is known of the tests that it does not hold.

    Returns:
        The report that was written.
    """
    path, tasks = Path(folder) / "grade.json", all_tasks()
    earlier = board.known(path, submission(), harness.graded_tests())
    entries = earlier | {board.key(entry): entry for entry in current["tests"]}
    order = list(tasks)
    tests = sorted(entries.values(), key=lambda entry: order.index(entry["number"]))
    score = sum(entry["score"] for entry in tests)
    required = [entry for entry in tests if not tasks[entry["number"]].optional]
    whole = current | {"tests": tests, "score": score}
    whole["leaderboard"] = [current["leaderboard"][0] | {"value": score}]
    full = sum(entry["max_score"] for entry in required)
    whole["extra_data"] = current["extra_data"] | {"full": full, "submission": submission()}
    write_json(path, whole)
    return whole
