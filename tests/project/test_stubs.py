"""The gate: stubs come from the solutions, all of them are open, and the solutions pass."""

import os
import re

import pytest

from grading.stubs import ROOT, stub_source, stubs
from tests.board import all_tasks
from tests.project.trees import run_pytest


def test_committed_stubs_are_those_of_the_solutions():
    for path, text in stubs():
        assert path.read_text(encoding="utf-8") == text, f"{path} is stale: run make stubs"


@pytest.mark.skipif("COURSE" in os.environ, reason="looks at the stubs, not at a submission")
def test_on_the_stubs_every_graded_test_is_open_and_none_passes():
    status, output = run_pytest("-v")
    results = re.findall(r"::(\w+) +(DONE|WRONG|TODO|PASSED|FAILED|ERROR)", output)
    assert len(results) > 40
    assert {word for _, word in results} == {"TODO"}, output
    assert status == 1
    assert f"{len(results)} todo in" in output
    for task in all_tasks()[1]:
        assert re.search(rf"  {task} .*TODO", output), f"{task} is not on the board"


def test_every_task_has_a_region_and_every_region_a_task():
    regions = {
        task
        for path in (ROOT / "solutions").rglob("*.py")
        for task in re.findall(r"# BEGIN SOLUTION (\S+)", path.read_text(encoding="utf-8"))
    }
    # 1.4b is the same code as 1.4a, sampled by the ODE.
    assert regions == set(all_tasks()[1]) - {"1.4b"}


def test_stubs_hold_no_line_of_a_solution():
    for path in (ROOT / "solutions").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        stub = stub_source(source)
        for region in re.findall(r"# BEGIN SOLUTION \S+\n(.*?)# END SOLUTION", source, re.S):
            code = [line for line in region.splitlines() if not line.strip().startswith("#")]
            assert "\n".join(code) not in stub


def test_one_task_runs_alone_while_the_ones_before_are_open():
    _, output = run_pytest("-m", "task1_3")
    assert "Task 1.3" in output and "Task 1.1" not in output
    assert "TODO 1.1" not in output


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f():\n    # BEGIN SOLUTION 1.1a\n    return 1\n", "not closed"),
        ("def f():\n    # END SOLUTION\n    return 1\n", "without a BEGIN"),
        ("# BEGIN SOLUTION 1.1a\nx = 1\n# END SOLUTION\n", "outside a function"),
        (
            "def f():\n    # BEGIN SOLUTION 1.1a\n    # BEGIN SOLUTION 1.1b\n    return 1\n",
            "inside the one",
        ),
    ],
)
def test_a_malformed_region_is_named(source, message):
    with pytest.raises(ValueError, match=message):
        stub_source(source)


def test_a_stub_names_task_and_function_and_keeps_the_hint():
    source = (
        "class OU:\n    def f(self):\n        # BEGIN SOLUTION 1.1a\n        # Hint: think.\n"
        "        return 41\n        # END SOLUTION\n"
    )
    stub = stub_source(source)
    assert 'raise NotImplementedError("TODO 1.1a: OU.f")' in stub
    assert "# Hint: think." in stub and "41" not in stub


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--submission", "nowhere"], "there is no folder"),
        (["--samples", "/"], "Write --samples=PATH"),
        (["--hints", "9.9z"], "There is no task '9.9z'"),
        (["--hints", "1.1a:2"], "More: pytest --hints 1.1a:3"),
    ],
)
def test_options_answer_in_one_line(arguments, said):
    _, output = run_pytest(*arguments)
    assert said in output and "Traceback" not in output
