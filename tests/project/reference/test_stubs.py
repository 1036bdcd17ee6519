"""The gate: stubs come from the solutions, all of them are open, and the solutions pass."""

import os
import re
import shutil

import pytest

from autograder.tasks import all_tasks
from given.runtime.submission import ROOT, TODO_MODULES
from grading.release import derived, task_places
from grading.release.stubs import stub_source, stubs
from tests.project.trees import course_tree, run_all, run_pytest


def test_what_is_derived_is_as_committed():
    for name, text in derived.derived_files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} is stale: run make stubs"
    assert set(stubs()) < set(derived.derived_files())


def test_no_task_is_missing_from_a_place():
    assert task_places.missing() == []


def test_a_task_that_is_missing_from_a_place_gets_one_line_each(monkeypatch):
    found = {place: tasks - {"1.1b"} for place, tasks in task_places.places().items()}
    monkeypatch.setattr(task_places, "places", lambda: found | {"notebook": {"1.1b"}})
    monkeypatch.setattr(task_places, "EXEMPT", {"picture": {"1.1a": "it has one"}})
    lines = [line for line in task_places.missing() if line.startswith(("1.1a", "1.1b"))]
    said = [line.partition(";")[0] for line in lines]
    no = ["solution region", "entry", "graded test", "picture", "mistakes", "alternative"]
    assert said[0] == "1.1a: no cell of a notebook names it"
    assert said[1:-1] == [f"1.1b: no {place}" for place in no]
    assert said[-1].startswith("1.1a: it has a picture, so take it out of EXEMPT")
    assert all("sde" in line or "notebook" in line for line in lines[:-1])


def test_a_stale_file_and_a_missing_place_are_named(monkeypatch, capsys):
    monkeypatch.setattr(derived, "derived_files", lambda: {"sde_todo/sde.py": "x"})
    monkeypatch.setattr(derived, "missing", lambda: ["1.1b: no picture"])
    with pytest.raises(ValueError, match="lines above"):
        derived.check()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("sde_todo/sde.py differs") and said[1:] == ["1.1b: no picture"]


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("## 2.1a The betas", "2.1a"),
        ("| 1.5b, c | `flow` |", "1.5b 1.5c"),
        ("| 1.6k to 1.6n | maps |", "1.6k 1.6l 1.6m 1.6n"),
        ("1.2i, 1.2j and 1.2", "1.2i 1.2j"),
    ],
)
def test_tasks_are_found_in_a_text(text, tasks):
    assert task_places.named(text) == set(tasks.split())


def test_a_module_without_a_place_in_the_lists_is_named(monkeypatch):
    listed = TODO_MODULES | {"sde_todo": ("loss", "more")}
    monkeypatch.setattr(task_places, "TODO_MODULES", listed)
    lines = task_places.stray_modules()
    listing = "TODO_MODULES of given/runtime/submission.py"
    assert f"solutions/sde_todo/sde.py is not in {listing}." in lines
    assert f"sde_todo/more.py of {listing} is not in solutions/." in lines
    assert any(line.startswith("tests/task1/tasks_sde.py belongs to no module") for line in lines)


@pytest.mark.skipif("COURSE" in os.environ, reason="looks at the stubs, not at a submission")
def test_on_the_stubs_every_graded_test_is_open_and_none_passes():
    status, output = run_pytest("-v")
    results = re.findall(r"::(\w+) +(DONE|WRONG|TODO|PASSED|FAILED|ERROR)", output)
    assert len(results) > 60
    assert {word for _, word in results} == {"TODO"}, output
    assert status == 1
    assert f"{len(results)} todo in" in output
    for task in all_tasks():
        assert re.search(rf"  {task} .*TODO", output), f"{task} is not on the board"


def test_every_graded_test_names_its_own_task_on_the_stubs_and_passes_on_the_solutions():
    with course_tree(ROOT):
        for test, result in run_all().items():
            assert result.verdict == "todo" and result.message.startswith(f"TODO {test.task}: ")
    with course_tree(ROOT / "solutions"):
        for test, result in run_all().items():
            assert result.verdict == "done", (test, result.message)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["sde_todo", "image_diffusion"])
def test_a_submission_may_hold_one_package_only(package, tmp_path):
    """The other package then is the course's own, with its open TODOs."""
    shutil.copytree(ROOT / "solutions" / package, tmp_path / package)
    _, output = run_pytest(f"--submission={tmp_path}", "-k", "OUMarginal or AddNoise")
    words = {"1.1a": "TODO", "2.1c": "TODO"}
    words["1.1a" if package == "sde_todo" else "2.1c"] = "done"
    for task, word in words.items():
        assert re.search(rf"  {task} .*{word}$", output, re.M), output


def test_stubs_hold_no_line_of_a_solution():
    for name, stub in stubs().items():
        source = (ROOT / "solutions" / name).read_text(encoding="utf-8")
        for region in re.findall(r"# BEGIN SOLUTION \S+\n(.*?)# END SOLUTION", source, re.S):
            code = [line for line in region.splitlines() if not line.strip().startswith("#")]
            assert "\n".join(code) not in stub


@pytest.mark.parametrize(
    ("arguments", "shown", "hidden"),
    [
        (["-m", "task1_3"], "Task 1.3", "Task 1.1"),
        pytest.param(["-m", "task2_3"], "Task 2.3", "Task 2.1", marks=pytest.mark.slow),
        pytest.param(
            ["tests/task2", "-m", "not task2_4"], "Next: 2.1a", "Task 1", marks=pytest.mark.slow
        ),
        pytest.param(
            ["-m", "task1_1 or task2_1"], "Next: 1.1a", "Task 1.2", marks=pytest.mark.slow
        ),
    ],
)
def test_one_task_runs_alone_while_the_ones_before_are_open(arguments, shown, hidden):
    _, output = run_pytest(*arguments)
    assert shown in output and hidden not in output
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--submission", "nowhere"], "there is no folder"),
        (["--submission", "tests"], "with sde_todo/ or image_diffusion/"),
        (["--samples", "/"], "Write --samples=PATH"),
        (["--hints", "9.9z"], "There is no task '9.9z'"),
        (["--hints", "1.1a:2"], "More: pytest --hints 1.1a:3"),
    ],
)
def test_options_answer_in_one_line(arguments, said):
    _, output = run_pytest(*arguments)
    assert said in output and "Traceback" not in output
