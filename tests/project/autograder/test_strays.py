"""A submission replaces TODO modules and nothing else; an optional task never breaks another."""

import os
import shutil
import subprocess
import sys

import pytest

from autograder import harness
from autograder.harness import graded_tests
from given.runtime.submission import ROOT, TODO_MODULES
from grading import grade
from grading.isolation.sandbox import Sandbox
from tests.project.trees import course_tree, run_all, run_module

TASKS = ("OUMarginal", "UniformTimes", "Betas")  # a test each of three modules
BROKEN = 'raise SystemExit("A file of the submission was imported as a given one.")\n'
STRAYS = [
    *("plot.py", "machine.py", "dataset.py", "torch.py", "numpy/__init__.py", "conftest.py"),
    *("sde_todo/__init__.py", "sde_todo/dataset.py", "sde_todo/eval.py", "sde_todo/plot.py"),
    *("image_diffusion/__init__.py", "image_diffusion/dataset.py", "image_diffusion/network.py"),
    *("given/__init__.py", "given/noise.py", "given/plane/metrics.py", "given/runtime/machine.py"),
    *("experiments/__init__.py", "autograder/__init__.py", "autograder/harness.py"),
    *("tests/__init__.py", "tests/task1/test_sde.py", "tests/task1/tasks.py"),
]


@pytest.fixture
def submission(tmp_path):
    """The solutions, with files that carry the names of given modules and of packages."""
    tree = shutil.copytree(ROOT / "solutions", tmp_path / "mine")
    for name in STRAYS:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(BROKEN, encoding="utf-8")
    return tree


def test_pytest_imports_no_stray_file(submission, tmp_path):
    done = run_module(
        "pytest",
        *("-q", f"--submission={submission}", f"--results={tmp_path}"),
        *("-k", " or ".join(TASKS)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.slow
def test_a_command_and_a_door_import_no_stray_file(submission):
    """A door is looked for where a TODO module is, and yet is the course's own."""
    code = "import sde_todo.eval, sde_todo.sde, image_diffusion.network, given, experiments"
    code += "\nprint(sde_todo.sde.__file__, sde_todo.eval.__file__)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | {"COURSE": str(submission)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [
        str(submission / "sde_todo" / "sde.py"),
        str(ROOT / "sde_todo" / "eval.py"),
    ], done.stderr
    done = run_module("sde_todo bridge", "--help", course=str(submission))
    assert done.returncode == 0 and not done.stderr


@pytest.mark.slow
def test_the_grader_imports_no_stray_file(submission, monkeypatch):
    chosen = [test for test in graded_tests() if test.__name__ in TASKS]
    monkeypatch.setattr(harness, "graded_tests", lambda: chosen)
    with Sandbox(hidden=[submission]) as sandbox:
        report, _, _ = grade.grade(submission, sandbox, trained=False)
    assert len(report["tests"]) == 3
    assert all(test["status"] == "passed" for test in report["tests"]), report


@pytest.mark.parametrize("name", ["bridge", "flow", "light_sb", "likelihood"])
def test_a_syntax_error_in_an_optional_module_leaves_training_alone(name, tmp_path):
    tree = shutil.copytree(ROOT / "solutions", tmp_path / "mine")
    (tree / "sde_todo" / f"{name}.py").write_text("def f(:\n", encoding="utf-8")
    training = [test for test in graded_tests() if test.task in ("1.2m", "1.2n")]
    with course_tree(tree):
        results = run_all(tests=training)
        assert {result.verdict for result in results.values()} == {"done"}, results
        assert_trains()
        with pytest.raises(SyntaxError):
            __import__(f"sde_todo.{name}")


def assert_trains():
    """Task 1.4 on a few points: train, and draw by the SDE and by the ODE."""
    from given.plane.point_sets import make_points
    from sde_todo.recipe import floor_recipe, plain_recipe
    from sde_todo.sampling import Sampler

    points = make_points("swiss_roll", 600, 0)
    for recipe, methods in (
        (plain_recipe, ("euler_maruyama", "ode_heun")),
        (floor_recipe, ("multistep",)),
    ):
        sde, score_fn = recipe(points, N_steps=3)
        reverse = sde.reverse(score_fn)
        reverse.N = 4
        for method in methods:
            drawn = Sampler(1e-3, method).get_sampling_fn(reverse, points)(20)[0]
            assert drawn.shape == (20, 2) and drawn.isfinite().all()


def test_every_optional_module_of_task_1_is_tried():
    required = {"sde", "network", "loss", "train", "sampling", "recipe"}
    assert set(TODO_MODULES["sde_todo"]) - required == {"bridge", "flow", "light_sb", "likelihood"}
