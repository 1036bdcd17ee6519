"""The README says what is true: tasks, minutes, points, files."""

import re

import pytest

from autograder import harness
from autograder.tasks import all_tasks
from given.runtime import check
from given.runtime.submission import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def points():
    total = {}
    for test in harness.graded_tests():
        total[test.task] = total.get(test.task, 0) + test.points
    return total


def test_task_map_lists_every_task_with_its_file_minutes_and_points():
    for name, task in all_tasks().items():
        row = re.search(rf"^\| {name} \|.*$", README, re.M)
        assert row, f"{name} is not in the README"
        assert f"`{task.file}`" in row[0] and task.title in row[0]
        assert row[0].endswith(f"| {task.minutes} | {points()[name]} |"), row[0]
        assert ("optional" in row[0]) == task.optional


def test_points_add_up():
    tasks = all_tasks()
    for part in ("1.", "2."):
        own = [p for name, p in points().items() if name.startswith(part)]
        extra = [
            p for name, p in points().items() if name.startswith(part) and tasks[name].optional
        ]
        assert sum(own) - sum(extra) == 100
        assert f"up to {sum(extra)} more" in README


def test_every_path_of_the_readme_exists():
    for path in set(
        re.findall(
            r"`((?:sde_todo|image_diffusion|solutions|tests|grading|benchmarks|notebooks)/[^` ]*)`",
            README,
        )
    ):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("operator torchvision::nms does not exist"), "come from different builds"),
        (ImportError("No module named 'torchvision'"), "pip install torchvision"),
    ],
)
def test_a_pair_that_does_not_match_is_one_clear_sentence(error, said, monkeypatch):
    import builtins

    original = builtins.__import__

    def fake(name, *args, **kwargs):
        if name == "torchvision":
            raise error
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)
    message = check.problem()
    assert said in message and "\n" not in message


def test_an_old_torch_is_one_clear_sentence(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "__version__", "2.1.0")
    assert "2.4 or later" in check.problem()


def test_this_installation_is_ready():
    assert check.problem() is None
