"""Run the graded tests on altered copies of the solutions, here or in a process of their own."""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import textwrap

import numpy as np

from autograder import harness, pictures
from autograder.tasks import all_tasks
from given.runtime.submission import ROOT, TODO_MODULES, forget_modules, read_modules_from
from grading.release import stubs


def run_module(module, *arguments, course=None):
    """Run `python -m module`, or "-m sde_todo demo", in the course's folder, on stubs or a tree."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", *module.split(), *arguments],
        cwd=ROOT,
        env=environment | ({"COURSE": course} if course else {}),
        capture_output=True,
        text=True,
        timeout=600,
    )


def run_pytest(*arguments):
    """Run the autograder on the stubs; return status and output."""
    with tempfile.TemporaryDirectory() as results:
        done = run_module("pytest", f"--results={results}", *arguments)
    return done.returncode, done.stdout + done.stderr


def graded_tests():
    """All graded tests but the marks, which train."""
    return [test for test in harness.graded_tests() if not test.__module__.endswith("test_marks")]


def is_file(file, package, module):
    """Whether the file of a change, "sde" or "sde_todo/sde", is this module."""
    return file in (module, f"{package}/{module}")


def answer(file, owner, code, part=0):
    """The change (file, old, new) that writes a whole answer; see `alterations`.

    Args:
        file: "sde", or "sde_todo/sde".
        owner: the function, as "OU.sde_coeff".
        code: what to write between BEGIN and END SOLUTION, at any indentation.
        part: which region of the function, where it has several.
    """
    for name, source in stubs.solutions():
        if f"/{name}".endswith(f"/{file}.py"):
            regions = [r for r in stubs.regions(source, name) if r.owner == owner]
            old = "\n".join(regions[part].lines)
            code = textwrap.dedent(code).strip("\n")
            return file, old, textwrap.indent(code, regions[part].indent)
    raise ValueError(f"{file}: no such module; write it as sde_todo/sde or sde.")


@contextlib.contextmanager
def alterations(tmp_path, changes):
    """Import the solutions with some text replaced.

    Args:
        tmp_path: an empty folder. changes: (file, old, new) with `old` standing there just once;
            file is "sde", or "sde_todo/sde" where both packages have such a module.
    """
    for package, modules in TODO_MODULES.items():
        (tmp_path / package).mkdir(exist_ok=True)
        for name in modules:
            source = (ROOT / "solutions" / package / f"{name}.py").read_text("utf-8")
            for file, old, new in changes:
                if is_file(file, package, name):
                    assert source.count(old) == 1, f"{file}: {source.count(old)} x {old!r}"
                    source = source.replace(old, new)
            (tmp_path / package / f"{name}.py").write_text(source, encoding="utf-8")
    with course_tree(tmp_path):
        yield


@contextlib.contextmanager
def course_tree(tree):
    """Import the TODO modules of both packages from `tree`/PACKAGE for a while."""
    modules, folder = forget_modules(), read_modules_from(tree)
    try:
        yield
    finally:
        forget_modules()
        read_modules_from(folder)
        sys.modules.update(modules)
        for name, module in modules.items():
            package, _, attribute = name.rpartition(".")
            vars(sys.modules[package])[attribute] = module


def run_all(seed=0, tests=None):
    """Run graded tests on the modules that are imported now: {test: Result}."""
    return {test: harness.run(test, seed) for test in tests or graded_tests()}


@functools.cache
def modules_used():
    """{graded test: the TODO modules that it imports}, found by running each on the solutions."""
    used = {}
    for test in graded_tests():
        with course_tree(ROOT / "solutions"):
            harness.run(test)
            used[test] = [
                (package, name)
                for package, modules in TODO_MODULES.items()
                for name in modules
                if f"{package}.{name}" in sys.modules
            ]
    return used


def lost_pictures(tmp_path, changes):
    """{picture: error} of those of the altered modules whose probe fails."""
    files = {f"{file.rpartition('/')[2]}.py" for file, _, _ in changes}
    own, lost = [], {}
    for task, classes in pictures.task_pictures().items():
        if all_tasks()[task].file.rpartition("/")[2] in files:
            own += [cls for cls in classes if not hasattr(cls, "of")]
    with alterations(tmp_path, changes):
        for cls in own:
            try:
                harness.run_probe(cls, cls.inputs(np.random.default_rng(0)))
            except harness.Wrong as error:
                lost[cls] = str(error)
    return lost


def run_altered(tmp_path, changes, seed=0):
    """Run the graded tests that import an altered module, altered: {test: Result}."""
    tests = [
        test
        for test, modules in modules_used().items()
        if any(is_file(file, *module) for file, _, _ in changes for module in modules)
    ]
    with alterations(tmp_path, changes):
        return run_all(seed, tests)
