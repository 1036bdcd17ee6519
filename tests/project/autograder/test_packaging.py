"""What an installation holds: a student's and a developer's; and the files of GitHub and editors."""

import ast
import re
import sys

import pytest
import yaml

from given.runtime.submission import ROOT

PACKAGES = ("given", "sde_todo", "image_diffusion", "experiments", "autograder")
NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "ot": "pot"}  # where an import is named else
DEVELOPERS = {"ruff", "hypothesis", "pytest-xdist", "nbval"}
SETTINGS = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def requirements(table):
    """The names in a list of pyproject.toml, such as "dependencies"."""
    text = re.search(rf"^{table} = \[(.*?)^?\]$", SETTINGS, re.MULTILINE | re.DOTALL)[1]
    return set(re.findall(r'"([\w-]+)', text))


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
    dependencies = requirements("dependencies")
    assert imported(PACKAGES[:-1]) - {"IPython"} <= dependencies
    assert imported(PACKAGES) <= dependencies | requirements("test") | {"IPython"}


def test_a_student_installs_no_tool_of_developers():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line[0] != "#"] == ["-e .[notebooks,test]"]
    installed = requirements("dependencies") | requirements("notebooks") | requirements("test")
    assert not installed & DEVELOPERS and requirements("dev") >= DEVELOPERS


def test_every_pin_is_of_something_that_is_required():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
    every = requirements("dependencies") | requirements("notebooks") | requirements("test")
    every |= requirements("dev") - {"diffusion-course"}
    assert pins <= every and every - pins <= {"pillow"}  # its versions differ between Pythons


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
