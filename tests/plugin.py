"""Options of the autograder, collection of graded tests, and the board at the end.

A pytest plugin (an entry point of the installed course), not a conftest.py: the options must be
known before pytest looks for tests, or it takes the folder after --submission for one of them.
"""

import os
from pathlib import Path

import pytest

from tests import board, harness


def pytest_addoption(parser):
    group = parser.getgroup("course")
    group.addoption(
        "--submission",
        metavar="DIR",
        help="test the modules in DIR/sde_todo and DIR/image_diffusion (one is enough) "
        "instead of your own",
    )
    group.addoption("--solutions", action="store_true", help="short for --submission solutions")
    group.addoption(
        "--hints",
        nargs="?",
        const="next",
        metavar="TASK[:LEVEL]",
        help="show the hints of a task, such as 1.1a or 1.1a:2; alone: those of the next task",
    )
    group.addoption(
        "--samples",
        metavar="PATH",
        help="mark the array `samples` of this .npz (Task 1), or this folder of images (Task 2)",
    )
    group.addoption("--dataset", help="what the images of --samples show (default fashion)")
    group.addoption("--seed", type=int, default=0, help="seed of the inputs (default 0)")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config, args):
    """Refuse `--samples PATH` with PATH outside the course: pytest would look for tests there."""
    settings = harness.ROOT / "pyproject.toml"
    here = early_config.invocation_params.dir
    if here.is_relative_to(harness.ROOT) and early_config.inipath != settings:
        for name in ("--submission", "--samples"):
            if name in args:
                raise pytest.UsageError(f"Write {name}=PATH, with = and no space.")


def pytest_configure(config):
    if config.inipath != harness.ROOT / "pyproject.toml":
        return
    submission = config.getoption("--submission") or os.environ.get("COURSE")
    if config.getoption("--solutions"):
        submission = config.rootpath / "solutions"
    if submission:
        folders = [base / submission for base in (Path.cwd(), config.rootpath)]
        found = [f for f in folders if any((f / name).is_dir() for name in harness.PACKAGES)]
        if not found:
            raise pytest.UsageError(
                f"--submission={submission}: there is no folder {folders[0]} with "
                f"{'/ or '.join(harness.PACKAGES)}/."
            )
        os.environ["COURSE"] = str(found[0].resolve())
    samples = config.getoption("--samples")
    if samples:
        os.environ["COURSE_SAMPLES"] = str(Path(samples).resolve())
    if config.getoption("--dataset"):
        os.environ["COURSE_DATASET"] = config.getoption("--dataset")


def pytest_cmdline_main(config):
    wanted = config.getoption("--hints")
    if wanted and wanted != "next":
        print(board.hints(wanted))
        return 0
    return None


def pytest_pycollect_makeitem(collector, name, obj):
    if isinstance(obj, type) and "task" in vars(obj) and "probe" in vars(obj):
        return GradedItem.from_parent(collector, name=name, test=obj)
    return None


class GradedItem(pytest.Item):
    """One graded test as pytest sees it."""

    def __init__(self, *, test, **kwargs):
        super().__init__(**kwargs)
        self.test = test
        self.add_marker(f"task{test.task[:-1].replace('.', '_')}")

    def runtest(self):
        self.result = harness.run(self.test, self.config.getoption("--seed"))
        if self.result.verdict != "done":
            raise harness.Wrong(self.result.message)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, harness.Wrong):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, 0, f"{self.test.task} {self.name}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if isinstance(item, GradedItem) and call.when == "call":
        report = outcome.get_result()
        report.graded = (item.test, getattr(item, "result", None))


def pytest_report_teststatus(report):
    test, result = getattr(report, "graded", (None, None))
    if test is None or result is None:
        return None
    letter, word = {"done": (".", "DONE"), "wrong": ("W", "WRONG"), "todo": ("-", "TODO")}[
        result.verdict
    ]
    return {"done": "passed"}.get(result.verdict, result.verdict), letter, word


def pytest_terminal_summary(terminalreporter, config):
    reports = [
        report
        for group in terminalreporter.stats.values()
        for report in group
        if getattr(report, "graded", None)
    ]
    if reports:
        graded = [report.graded for report in reports]
        terminalreporter.write_line(board.render(graded, all_hints=bool(config.option.hints)))
