"""A step of a GitHub workflow: the graded tests of one task, `python -m autograder 1.1a`.

What happened goes to the log and to the summary of the job; points and messages go to the step's
output `result`, in the format that GitHub Classroom's reporter reads: base64 of JSON with version,
status, max_score and tests (name, status, message, test_code, filename, line_no, duration, score).
It is published as code only: src/main.js in github.com/classroom-resources/autograding-io-grader
writes it; src/main.js and src/notify-classroom.js in
github.com/classroom-resources/autograding-grading-reporter read it and add up the scores.

GitHub retired the Classroom service on 28 August 2026
(https://github.com/orgs/community/discussions/205975). The workflow needs nothing of it: it runs in
any repository, and shows the points as annotations and in its summary.

A student's code runs in one process with the tests and may change what they say, and a student may
edit this very file: the workflow is for feedback, not for marks.
"""

import argparse
import base64
import json
import os
import sys
import time
from typing import Any

from autograder import harness, report
from autograder.tasks import all_tasks

WORKFLOW = """\
# Written by `python -m grading package classroom`; see autograder/classroom.py. The reporter needs
# the names of the workflow and of its only job as they are. For feedback, not for marks.
name: Autograding Tests
on:
  - push
  - workflow_dispatch
permissions:
  actions: read
  contents: read
concurrency:
  group: autograding-${{ github.ref }}
  cancel-in-progress: true
jobs:
  run-autograding-tests:
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: |
            requirements.txt
            constraints.txt
      - name: CPU wheels of torch
        timeout-minutes: 10
        run: >-
          pip install torch torchvision -c constraints.txt
          --index-url https://download.pytorch.org/whl/cpu
      - name: Everything else
        timeout-minutes: 10
        run: pip install -r requirements.txt -c constraints.txt
"""
STEP = """\
      - name: {name}
        id: {id}
        timeout-minutes: 3
        continue-on-error: true
        run: python -m autograder {task}
"""
REPORTER = """\
      - name: Autograding Reporter
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
{env}
        with:
          runners: {runners}
"""


def main() -> None:
    """Run one task; the exit status is 1 unless all its tests pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", help="such as 1.1a")
    task = parser.parse_args().task
    tests = tests_of(task)
    if not tests:
        sys.exit(f"There is no task {task!r}. Tasks: {', '.join(tasks())}.")
    entries = [run(test) for test in tests]
    data = result(tests, entries)
    _append("GITHUB_OUTPUT", f"result={encode(data)}")
    title = all_tasks()[task].title
    points = f"{sum(each['score'] for each in entries):g} of {data['max_score']:g} points"
    print(f"{task}  {title}: {points}")
    _append("GITHUB_STEP_SUMMARY", f"- {task} {title}: {points}")
    sys.exit(data["status"] != "pass")


def tests_of(task: str) -> list[type]:
    """The graded tests of a task, but those that train or draw images."""
    return [
        test
        for test in harness.graded_tests()
        if test.task == task
        and test.__module__.rpartition(".")[2] not in ("test_marks", "settings")
    ]


def tasks() -> list[str]:
    """The tasks that have such tests, in order."""
    return [task for task in all_tasks() if tests_of(task)]


def run(test: Any) -> dict[str, Any]:
    """Run one graded test and return its entry in the format of the reporter."""
    start = time.monotonic()
    outcome = harness.run(test)
    passed = outcome.verdict == "done"
    print(f"{outcome.verdict:<6}{test.__name__}  {report.clean(outcome.message)}", flush=True)
    return {
        "name": f"{test.task} {test.__name__}",
        "status": "pass" if passed else "fail",
        "message": None if passed else report.clean(outcome.message),
        "test_code": " ".join(test.__doc__.split()),
        "filename": "",
        "line_no": 0,  # the reporter prints any other
        "duration": round(1000 * (time.monotonic() - start)),
        "score": test.points if passed else 0,
    }


def result(tests: list, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a step, in the format of the reporter."""
    return {
        "version": 1,
        "status": "pass" if all(each["status"] == "pass" for each in entries) else "fail",
        "max_score": sum(test.points for test in tests),
        "tests": entries,
    }


def encode(data: Any) -> str:
    """Base64 of JSON, the value of a step's output."""
    return base64.b64encode(json.dumps(data).encode()).decode()


def workflow() -> str:
    """The text of .github/workflows/classroom.yml: a step for each task, then the reporter.

    Optional tasks have their step, but are not reported: an open one would turn every run red.
    """
    every = all_tasks()
    steps = [_step(task, every[task]) for task in tasks()]
    reported = [task for task in tasks() if not every[task].optional]
    values = [
        f"          {_id(task).upper()}_RESULTS: "
        f"${{{{ steps.{_id(task)}.outputs.result || '{encode(_stopped(task))}' }}}}"
        for task in reported
    ]
    reporter = REPORTER.format(env="\n".join(values), runners=",".join(map(_id, reported)))
    return WORKFLOW + "".join(steps) + reporter


def _step(task, card):
    name = json.dumps(f"{task} {card.title}{' (optional)' if card.optional else ''}")
    return STEP.format(name=name, id=_id(task), task=task)


def _id(task):
    return f"task-{task.replace('.', '-')}"


def _stopped(task):
    """The result of a step that ended without one; the reporter cannot read an empty value."""
    tests = tests_of(task)
    entry = {
        "name": task,
        "status": "fail",
        "message": "The tests did not come to an end: see the log of this step.",
        "test_code": "",
        "filename": "",
        "line_no": 0,
        "duration": 0,
        "score": 0,
    }
    return result(tests, [entry])


def _append(variable, line):
    """Add a line to the file that GitHub names in the environment; elsewhere do nothing."""
    path = os.environ.get(variable)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
