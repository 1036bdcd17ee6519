"""What an installation holds, a student's and a developer's; the files of GitHub and of hooks."""

import ast
import re
import sys

import pytest
import yaml

from autograder.handed_in import PACKAGES_THERE
from given.runtime.submission import ROOT
from grading.release.gradescope import NOT_FOR_GRADING

PACKAGES = ("given", "sde_todo", "image_diffusion", "experiments", "autograder")
NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "ot": "pot"}  # where an import is named else
DEVELOPERS = {"ruff", "hypothesis", "pytest-xdist", "nbval", "mypy"}


def requirements(*extras):
    """The names that pyproject.toml requires, those of extras added."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tables = [project["dependencies"], *(project["optional-dependencies"][e] for e in extras)]
    lines = [line for table in tables for line in table]
    return {re.match(r"[\w-]+", line)[0] for line in lines} - {project["name"]}


def imported(packages):
    """The top names of what the modules of packages import, without Python's and the course's."""
    found = set()
    for package in packages:
        for path in [*(ROOT / package).rglob("*.py"), *(ROOT / "solutions" / package).glob("*.py")]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(node.module)
    tops = {name.partition(".")[0] for name in found}
    return {NAMES.get(top, top) for top in tops - {*sys.stdlib_module_names, *PACKAGES, "tests"}}


def test_what_is_imported_is_required():
    elsewhere = {"IPython", "safetensors", "diffusers"}  # in notebooks; asked for in a sentence
    assert imported(PACKAGES[:-1]) - elsewhere <= requirements()
    assert imported(PACKAGES) - elsewhere <= requirements("test")


def test_a_student_installs_no_tool_of_developers():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line[0] != "#"] == ["-e .[notebooks,test]"]
    assert not requirements("notebooks", "test") & DEVELOPERS
    assert requirements("dev") >= DEVELOPERS


def test_a_submission_may_import_what_is_required():
    assert {NAMES.get(name, name) for name in PACKAGES_THERE} == requirements()


def test_every_pin_is_of_something_that_is_required():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
    every = requirements("notebooks", "test", "dev")
    assert pins <= every and every - pins <= {"pillow"}  # no version of it fits all Pythons


def test_gradescope_installs_what_is_imported_and_no_more():
    assert set(NOT_FOR_GRADING) == requirements("notebooks", "test", "dev") - requirements()


@pytest.mark.parametrize("room", ["given", "experiments"])
def test_the_readme_of_a_room_lists_its_modules(room):
    text = (ROOT / room / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in (ROOT / room).rglob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", text)) == names


YAML = sorted((ROOT / ".github").rglob("*.yml")) + [ROOT / ".pre-commit-config.yaml"]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_yaml_can_be_read(path):
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert read["name"] == path.stem and read["permissions"] == {"contents": "read"}
        for job in read["jobs"].values():
            runs = [step["run"] for step in job["steps"] if "run" in step]
            targets = [re.match(r"make ([\w-]+)", run)[1] for run in runs]
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert targets and all(f"\n{target}:" in makefile for target in targets)
    elif path.parent.name == "ISSUE_TEMPLATE" and path.stem != "config":
        assert {"name", "description", "body"} <= read.keys()


def test_hooks_run_what_is_installed():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repo["repo"] == "local"
    for hook in repo["hooks"]:
        assert hook["language"] == "system" and hook["entry"].startswith("python -m ")
