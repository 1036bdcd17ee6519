"""The READMEs say what is true: tasks, minutes, points, files."""

import re

import pytest

from autograder.tasks import PACKAGES, all_tasks
from given.runtime import check
from given.runtime.submission import ROOT
from grading.release import tasks_table

NAMES = ("README.md", *(f"{package}/README.md" for package in PACKAGES.values()))
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
LISTS = {part[-1]: TEXTS[f"{package}/README.md"] for part, package in PACKAGES.items()}


def test_the_tables_list_every_task_with_its_file_minutes_and_points():
    points = tasks_table.points()
    for name, task in all_tasks().items():
        (row,) = re.findall(rf"^\| {name} \|.*$", LISTS[name[0]], re.M)
        assert f"`{task.file}`" in row and task.title in row
        assert row.endswith(f"| {task.minutes} | {points[name]} |"), row
        assert ("optional" in row) == task.optional


def test_points_add_up():
    tasks = all_tasks()
    for part, text in LISTS.items():
        own = {name: p for name, p in tasks_table.points().items() if name[0] == part}
        extra = sum(points for name, points in own.items() if tasks[name].optional)
        assert sum(own.values()) - extra == 100
        assert "100 points" in text and f"add up\nto {extra} more" in text


def test_a_readme_without_its_marks_is_refused(monkeypatch, tmp_path):
    for package in PACKAGES.values():
        (tmp_path / package).mkdir()
        (tmp_path / package / "README.md").write_text("# A title\n", encoding="utf-8")
    monkeypatch.setattr(tasks_table, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"sde_todo/README.md needs one `<!-- BEGIN TASKS -->`"):
        tasks_table.readmes()


@pytest.mark.parametrize("name", NAMES)
def test_every_path_of_a_readme_exists(name):
    rooms = "given|experiments|autograder|sde_todo|image_diffusion|solutions|tests|grading"
    for path in set(re.findall(rf"`((?:{rooms}|benchmarks|notebooks)/[^` ]*)`", TEXTS[name])):
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
