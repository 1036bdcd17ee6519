"""The plugin in pytest's own world: several processes, other plugins, folders and projects."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from autograder import harness, plugin
from given.runtime.submission import ROOT
from tests.project.trees import run_module

HERE = ("-q", "--solutions", "-k", "OUCoefficients or Betas")


def run_pytest(folder, *arguments, before="pass", **environment):
    """Run pytest as its own command does, without the working folder on the path."""
    code = f"import sys; sys.path.pop(0); {before}; import pytest; sys.exit(pytest.main())"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), **kept, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def other(tmp_path):
    """Another project, with tests and a --seed of its own."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--seed')\n"
    )
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "tests" / "test_a.py").write_text(
        "class TestA:\n    task = probe = 1\n    def test_a(self):\n        pass\n"
    )
    return tmp_path


@pytest.mark.slow
def test_another_project_is_not_disturbed(other):
    done = run_pytest(other, "-q", "--seed", "3")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_another_package_called_tests_comes_first_on_the_path(other):
    shutil.move(other / "tests", other / "site" / "tests")
    before = f"sys.path.insert(0, {str(other / 'site')!r})"
    done = run_pytest(ROOT, *HERE, f"--results={other}", before=before)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert (other / "grade.html").exists()


def test_another_copy_of_the_course_is_named(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "autograder", tmp_path / "autograder")
    done = run_pytest(tmp_path, "-q")
    assert done.returncode and f"The course that is installed is in {ROOT}." in done.stderr
    assert done.stderr.count("\n") < 4


@pytest.mark.slow
def test_any_folder_of_the_course_will_do(tmp_path):
    done = run_pytest(ROOT / "notebooks", *HERE, f"--results={tmp_path}")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_results_can_be_sent_as_text():
    test = next(test for test in harness.graded_tests() if test.__name__ == "OUMarginal")
    result = harness.run(test)
    sent = plugin.pytest_report_to_serializable(None)
    next(sent)
    data = {"graded": (test, result)}
    with pytest.raises(StopIteration):
        sent.send(type("Outcome", (), {"get_result": lambda self: data})())
    data = json.loads(json.dumps(data))
    plugin.pytest_report_from_serializable(data)
    back, same = data["graded"]
    assert back is test and same.verdict == result.verdict and same.got.keys() == result.got.keys()


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--next",)])
def test_several_processes_give_the_same_board(more, tmp_path):
    """With --next a task waits for the one before it, so one process runs them."""
    pytest.importorskip("xdist")
    boards = []
    for processes in ((), ("-n", "2")):
        results = f"--results={tmp_path / str(len(boards))}"
        done = run_module("pytest", "-q", "-m", "task1_1", results, *processes, *more)
        boards.append(done.stdout.partition("Task 1.1")[2].partition("Pictures")[0])
        assert (tmp_path / str(len(boards) - 1) / "grade.html").exists()
    assert boards[0] == boards[1] and "1.1a" in boards[0]


@pytest.mark.slow
def test_a_figure_of_the_student_opens_no_window(tmp_path):
    place = shutil.copytree(ROOT / "solutions", tmp_path / "mine") / "sde_todo" / "sde.py"
    with open(place, "a", encoding="utf-8") as file:
        file.write("\nimport matplotlib.pyplot as plt\nprint(plt.get_backend())\nplt.show()\n")
    options = ("-q", "-s", "-k", "OUMarginal", f"--submission={tmp_path / 'mine'}")
    done = run_pytest(ROOT, *options, f"--results={tmp_path}", MPLBACKEND="TkAgg")
    assert "1 passed" in done.stdout and done.stdout.startswith("Agg\n"), done.stdout


@pytest.mark.parametrize(
    "command",
    [
        *("sde_todo check", "grading isolation"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("pytest", "benchmarks")),
    ],
)
def test_without_docstrings_one_line_says_so(command, monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    done = run_module(command)
    assert done.returncode and "start Python without -OO" in done.stderr
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.slow
def test_without_asserts_the_board_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    done = run_module("pytest", *HERE, f"--results={tmp_path}")
    assert "2 passed" in done.stdout
    done = run_module("pytest", "-q", "-k", "OUCoefficients", f"--results={tmp_path}")
    assert "1 todo" in done.stdout


ODD_PLUGIN = """
import pytest
from _pytest.runner import runtestprotocol


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.reverse()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    for _ in range(2):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
    return True


def pytest_runtest_setup(item):
    assert item.module.__file__ == str(item.path) and item.cls is None
    assert list(item.fixturenames) == []
"""


@pytest.mark.slow
def test_other_plugins(tmp_path):
    """They order and repeat tests, read what a test function has, and write their own reports."""
    (tmp_path / "odd_plugin.py").write_text(ODD_PLUGIN)
    done = run_pytest(
        ROOT,
        *(*HERE, f"--results={tmp_path}", "-p", "odd_plugin", "-p", "no:cacheprovider"),
        f"--junitxml={tmp_path / 'junit.xml'}",
        PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}",
    )
    assert "4 passed" in done.stdout and "6 of 6 points" in done.stdout, done.stdout + done.stderr
    assert done.stdout.index("1.1a") < done.stdout.index("2.1a")
    assert 'tests="4"' in (tmp_path / "junit.xml").read_text(encoding="utf-8")
