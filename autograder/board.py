"""The board at the end of a run: every task with its points, what is wrong, and what comes next."""

import json
import os
import textwrap
from pathlib import Path
from typing import Any

from autograder import settings
from autograder.harness import Graded
from autograder.tasks import all_sections, all_tasks

WIDTH = 80
CALIBRATED = "fashion"  # the set for whose images the marks of 2.4 were measured


def in_order(tests: list) -> list:
    """Graded tests task after task, those of optional tasks after all others."""
    tasks = all_tasks()
    order = {name: (task.optional, k) for k, (name, task) in enumerate(tasks.items())}
    return sorted(tests, key=lambda test: order[test.task])


def key(entry: dict[str, Any]) -> tuple[str, str]:
    """Task and name of the graded test that an entry of a report is about."""
    return entry["number"], entry["name"].rpartition(": ")[2]


def known(path: Path, submission: str, tests: list) -> dict[tuple[str, str], dict[str, Any]]:
    """What an earlier run has left: {key: entry}; empty where that was of another submission.

    Args:
        path: grade.json.
        submission: the folder tested.
        tests: graded tests; others are ignored.
    """
    wanted = {(test.task, test.__name__) for test in tests}
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        if report["extra_data"]["submission"] != submission:
            return {}
        found = {key(entry): entry for entry in report["tests"]}
        return {name: entry for name, entry in found.items() if name in wanted and _whole(entry)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _whole(entry):
    numbers = entry["score"], entry["max_score"]
    return all(isinstance(n, int | float) for n in numbers) and isinstance(entry["status"], str)


def progress(report: dict[str, Any], tests: list) -> str:
    """One line: the points and tasks of a report, of those of all graded tests."""
    tasks = all_tasks()
    passed = {key(entry) for entry in report["tests"] if entry["status"] == "passed"}
    required = [test for test in tests if not tasks[test.task].optional]
    right = [test for test in required if (test.task, test.__name__) in passed]
    open_tasks = {test.task for test in required if (test.task, test.__name__) not in passed}
    all_names = {test.task for test in required}
    got, full = _sum(right), _sum(required)
    done = len(all_names - open_tasks)
    return f"So far {got} of {full} points; {done} of {len(all_names)} tasks done."


def _sum(tests):
    return f"{sum(test.points for test in tests):g}"


def render(graded: Graded, all_hints: bool = False, total: str | None = None) -> str:
    """The board as text.

    Args:
        graded: pairs (graded test, `harness.Result`).
        all_hints: whether to show every level of hint for the next task, not only the first.
        total: a line instead of the points of these tests.
    """
    sections, tasks = all_sections(), all_tasks()
    rows: dict[str, Graded] = {}
    for test, result in graded:
        rows.setdefault(test.task, []).append((test, result))
    lines = []
    for section, title in sections.items():
        here = {name: rows[name] for name in tasks if name in rows and name.startswith(section)}
        if here:
            lines += [f"Task {section}  {title}"]
            lines += [_row(name, tasks[name], results) for name, results in here.items()]
            lines += [""]
    lines += _wrong(rows, tasks)
    lines += _not_calibrated(rows)
    lines += [total or _total(rows, tasks)]
    lines += _next(rows, tasks, all_hints)
    return "\n".join(["", *lines])


def _verdict(results):
    verdicts = {result.verdict for _, result in results}
    return "wrong" if "wrong" in verdicts else "todo" if "todo" in verdicts else "done"


def _points(results):
    return sum(test.points for test, result in results if result.verdict == "done")


def _row(name, task, results):
    title = f"{name}  {task.title}{' (optional)' if task.optional else ''}"
    word = {"done": "done", "wrong": "WRONG", "todo": "TODO"}[_verdict(results)]
    points = f"{_points(results):g}/{_sum(test for test, _ in results)}"
    return f"  {title:<56}{points:>7}  {word}"


def _wrong(rows, tasks):
    lines = []
    for name in tasks:
        for test, result in rows.get(name, []):
            if result.verdict == "wrong":
                title = f"{name} {test.__name__}: {' '.join(test.__doc__.split())}"
                lines += textwrap.wrap(title, WIDTH, subsequent_indent="  ")
                for part in result.message.splitlines():
                    lines += _indented(part)
                lines += [""]
    return lines


def _not_calibrated(rows):
    """Say of which marks nobody has seen what a good model reaches; not of an instructor's own."""
    dataset = os.environ.get("COURSE_DATASET", CALIBRATED)
    names = [name for name in rows if name.startswith("2.4") and name not in settings.MARKS]
    if dataset == CALIBRATED or not names:
        return []
    text = f"The marks of {', '.join(names)} for {dataset} are not calibrated: they are a guess."
    return [*textwrap.wrap(text, WIDTH), ""]


def _indented(text):
    return textwrap.wrap(text, WIDTH - 4, initial_indent="  ", subsequent_indent="  ")


def _total(rows, tasks):
    def total(optional):
        chosen = [results for name, results in rows.items() if tasks[name].optional == optional]
        tests = [test.points for results in chosen for test, _ in results]
        return sum(map(_points, chosen)), sum(tests)

    got, full = total(optional=False)
    bonus, bonus_full = total(optional=True)
    extra = f", and {bonus:g} of {bonus_full:g} optional ones" if bonus_full else ""
    return f"{got:g} of {full:g} points{extra}."


def _next(rows, tasks, all_hints):
    unfinished = [name for name in tasks if name in rows and _verdict(rows[name]) != "done"]
    if not unfinished:
        return ["Everything here is done."]
    name = min(unfinished, key=lambda name: tasks[name].optional)
    task = tasks[name]
    line = f"Next: {name}  {task.title}, in {task.file} (about {task.minutes} minutes)."
    lines = textwrap.wrap(line, WIDTH, subsequent_indent="  ")
    for hint in task.hints if all_hints else task.hints[:1]:
        lines += _indented(hint)
    if not all_hints:
        lines += [f"  More: pytest --hints {name}:2"]
    return lines


def hints(wanted: str) -> str:
    """The hints of a task up to a level: "1.1a" is level 1, "1.1a:2" levels 1 and 2."""
    tasks = all_tasks()
    name, _, level = wanted.partition(":")
    if name not in tasks or not (level.isdigit() or not level):
        return f"There is no task {wanted!r}. Tasks: {', '.join(tasks)}; levels as in 1.1a:2."
    task = tasks[name]
    shown = max(1, min(int(level or 1), len(task.hints)))
    lines = [f"{name}  {task.title}, in {task.file}"]
    for number, hint in enumerate(task.hints[:shown], 1):
        lines += textwrap.wrap(f"{number}. {hint}", WIDTH - 2, subsequent_indent="   ")
    if shown < len(task.hints):
        lines += [f"More: pytest --hints {name}:{shown + 1}"]
    return "\n".join(lines)
