"""Run the graded tests on altered copies of the solutions, here or in a process of their own."""

import contextlib
import importlib
import os
import subprocess
import sys

from tests import harness

TODO_MODULES = ("sde", "network", "loss", "train", "sampling", "recipe")
TEST_FILES = ("test_sde", "test_network", "test_loss", "test_train", "test_sampling")


def run_module(module, *arguments, course=None):
    """Run `python -m module` in the course's folder, on the stubs or on a course tree."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=harness.ROOT,
        env=environment | ({"COURSE": course} if course else {}),
        capture_output=True,
        text=True,
        timeout=600,
    )


def run_pytest(*arguments):
    """Run the autograder on the stubs; return status and output."""
    done = run_module("pytest", *arguments)
    return done.returncode, done.stdout + done.stderr


def graded_tests():
    """All graded tests of Task 1 but the marks, which train."""
    modules = [importlib.import_module(f"tests.task1.{name}") for name in TEST_FILES]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and "task" in vars(value)
    ]


@contextlib.contextmanager
def alterations(tmp_path, changes):
    """Import the solutions with some text replaced.

    Args:
        tmp_path: an empty folder. changes: (file, old, new) with `old` standing there just once.
    """
    tree = tmp_path / "sde_todo"
    tree.mkdir(exist_ok=True)
    for name in TODO_MODULES:
        source = (harness.ROOT / "solutions" / "sde_todo" / f"{name}.py").read_text("utf-8")
        for file, old, new in changes:
            if file == name:
                assert source.count(old) == 1, f"{file}: {source.count(old)} places hold {old!r}"
                source = source.replace(old, new)
        (tree / f"{name}.py").write_text(source, encoding="utf-8")
    with course_tree(tree):
        yield


@contextlib.contextmanager
def course_tree(tree):
    """Import the TODO modules from `tree` (a folder sde_todo) for a while."""
    import sde_todo

    names = [f"sde_todo.{name}" for name in TODO_MODULES]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sde_todo.__path__.insert(0, str(tree))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sde_todo.__path__.remove(str(tree))
        for name in names:
            sys.modules.pop(name, None)
            vars(sde_todo).pop(name.partition(".")[2], None)
        sys.modules.update(before)


def run_all(seed=0, tests=None):
    """Run graded tests on the modules that are imported now: {test: Result}."""
    return {test: harness.run(test, seed) for test in tests or graded_tests()}
