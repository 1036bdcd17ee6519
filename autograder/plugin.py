"""Options of the autograder, collection of graded tests, the board at the end and results/.

A pytest plugin (an entry point of the installed course), not a conftest.py: the options must be
known before pytest looks for tests, or it takes the folder after --submission for one of them.
pytest loads it in every project of the same installation; outside the course it does nothing.
"""

import base64
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograder import board, harness, report
from autograder.harness import Graded
from autograder.tasks import all_sections, section
from given.runtime.cli import NO_DOCSTRINGS
from given.runtime.submission import PACKAGES, ROOT

MISSED = pytest.StashKey()  # the first task that was not done
ALL_KNOWN = pytest.StashKey()  # whether --next found nothing to run
RUNNING = pytest.StashKey()  # the test that runs now


def in_course(config: pytest.Config) -> bool:
    """Whether pytest runs on this course, and not on another project of the installation."""
    return config.inipath is not None and config.inipath.parent == ROOT


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not in_course(pluginmanager.get_plugin("pytestconfig")):
        return  # the project may have a --seed of its own
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
    group.addoption("--next", action="store_true", help="run only the next task that is not done")
    group.addoption(
        "--watch",
        action="store_true",
        help="stay, and run the tests of each file as soon as it is saved, but for training",
    )
    group.addoption(
        "--results",
        metavar="DIR",
        help="where grade.json and grade.html go (default results)",
    )
    group.addoption("--seed", type=int, default=0, help="seed of the inputs (default 0)")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Refuse `--samples PATH` with PATH outside the course: pytest would look for tests there.

    Refuse a copy of the course, too: its tests would run on the modules that are installed.
    """
    if in_course(early_config):
        return
    here = early_config.invocation_params.dir
    if here.is_relative_to(ROOT):
        for name in ("--submission", "--samples", "--results"):
            if name in args:
                raise pytest.UsageError(f"Write {name}=PATH, with = and no space.")
    project = early_config.inipath and early_config.inipath.parent
    if project and (project / "autograder" / "plugin.py").is_file():
        raise pytest.UsageError(
            f"The course that is installed is in {ROOT}. For this copy: python -m pytest, or "
            f"install it by `pip install -e .`, in {project}."
        )


def pytest_configure(config: pytest.Config) -> None:
    if not in_course(config):
        return
    set_course(config)
    run_all_from_any_folder(config)
    for number, title in all_sections().items():
        config.addinivalue_line("markers", f"{marker(number)}: Task {number}, {title}")
    if config.getoption("--next"):
        config.option.verbose = min(config.option.verbose, -1)  # no list of files not run
        config.option.dist = "no"  # of pytest-xdist: a task waits for the one before it


def run_all_from_any_folder(config: pytest.Config) -> None:
    """Without paths, run the graded tests, in whichever folder of the course pytest starts."""
    here = config.invocation_params.dir
    inside = here.is_relative_to(ROOT / "tests")  # there a folder means its own tests
    if config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR and not inside:
        config.args[:] = [str(ROOT / path) for path in config.getini("testpaths")]


def marker(number: str) -> str:
    """The name of the marker of a section: task1_1 of "1.1"."""
    return f"task{number.replace('.', '_')}"


def set_course(config: pytest.Config) -> None:
    """Take the folders of the command line over into the environment."""
    if sys.flags.optimize > 1:
        raise pytest.UsageError(NO_DOCSTRINGS)
    os.environ["MPLBACKEND"] = "Agg"  # a plt.show() of the student's would wait for its window
    submission = config.getoption("--submission") or os.environ.get("COURSE")
    if config.getoption("--solutions"):
        submission = config.rootpath / "solutions"
        if not submission.is_dir():
            raise pytest.UsageError("--solutions: this copy of the course holds no solutions.")
    if submission:
        folders = [base / submission for base in (Path.cwd(), config.rootpath)]
        found = [f for f in folders if any((f / name).is_dir() for name in PACKAGES)]
        if not found:
            raise pytest.UsageError(
                f"--submission={submission}: there is no folder {folders[0]} with "
                f"{'/ or '.join(PACKAGES)}/."
            )
        os.environ["COURSE"] = str(found[0].resolve())
    samples = config.getoption("--samples")
    if samples:
        os.environ["COURSE_SAMPLES"] = str(Path(samples).resolve())
    if config.getoption("--dataset"):
        os.environ["COURSE_DATASET"] = config.getoption("--dataset")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if not in_course(config):
        return None
    wanted = config.getoption("--hints")
    if wanted and wanted != "next":
        print(board.hints(wanted))
        return 0
    if config.getoption("--watch"):
        from autograder import watch

        set_course(config)
        return watch.main(results_folder(config), config.getoption("--seed"))
    return None


def results_folder(config: pytest.Config) -> Path:
    """Where the report and the page of a run go."""
    folder = config.getoption("--results")
    return Path(folder).absolute() if folder else ROOT / "results"


def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> Any:
    graded = isinstance(obj, type) and "task" in vars(obj) and "probe" in vars(obj)
    if graded and in_course(collector.config):
        return GradedItem.from_parent(collector, name=name, test=obj)
    return None


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    """With --next, begin at the first task that is not known as done."""
    if not config.getoption("--next", False) or config.getoption("--collect-only"):
        return
    chosen = {item.test: item for item in items if isinstance(item, GradedItem)}
    path = results_folder(config) / "grade.json"
    earlier = board.known(path, report.submission(), list(chosen))
    done = {name for name, entry in earlier.items() if entry["status"] == "passed"}
    tests = board.in_order(list(chosen))
    missing = [test.task for test in tests if (test.task, test.__name__) not in done]
    first = [test.task for test in tests].index(missing[0]) if missing else len(tests)
    config.stash[ALL_KNOWN] = bool(tests) and not missing
    config.hook.pytest_deselected(items=[chosen[test] for test in tests[:first]])
    items[:] = [chosen[test] for test in tests[first:]]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """With --next, leave out what comes after the first task that is not done."""
    if not item.config.getoption("--next", False):  # graded tests alone are left, then
        return None
    return item.config.stash.get(MISSED, item.test.task) != item.test.task or None


class GradedItem(pytest.Item):
    """One graded test as pytest sees it."""

    def __init__(self, *, test: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.test = test
        self.add_marker(marker(section(test.task)))
        # Other plugins take every item for a function of a test file.
        self.module, self.cls = self.getparent(pytest.Module).obj, None
        self.fixturenames: list[str] = []

    def runtest(self) -> None:
        self.config.stash[RUNNING] = self.test
        self.result = harness.run(self.test, self.config.getoption("--seed"))
        del self.config.stash[RUNNING]
        if self.result.verdict != "done":
            self.config.stash.setdefault(MISSED, self.test.task)
            raise harness.Wrong(self.result.message)

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        if isinstance(excinfo.value, harness.Wrong):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.test.task} {self.name}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    outcome = yield
    if isinstance(item, GradedItem) and call.when == "call":
        report = outcome.get_result()
        report.graded = (item.test, getattr(item, "result", None))


@pytest.hookimpl(hookwrapper=True)
def pytest_report_to_serializable(report: Any) -> Any:
    """Send a graded test and its result on as text: pytest-xdist takes no objects."""
    outcome = yield
    data = outcome.get_result()
    if data and "graded" in data:
        test, result = data["graded"]
        values = None if result is None else as_plain(vars(result))
        data["graded"] = [f"{test.__module__}.{test.__name__}", values]


@pytest.hookimpl(tryfirst=True)
def pytest_report_from_serializable(data: dict[str, Any]) -> None:
    """Read them back in the process that shows the board; pytest makes the report."""
    if "graded" in data:
        name, values = data["graded"]
        tests = {f"{test.__module__}.{test.__name__}": test for test in harness.graded_tests()}
        result = None if values is None else harness.Result(**from_plain(values))
        data["graded"] = (tests[name], result)


def as_plain(value: Any) -> Any:
    """Arrays of numbers, and what holds them, as JSON; of anything else its text."""
    if isinstance(value, dict):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(each) for each in value]
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub":
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(value), allow_pickle=False)
        return {"npy": base64.b64encode(buffer.getvalue()).decode()}
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def from_plain(value: Any) -> Any:
    """The inverse of `as_plain`."""
    if isinstance(value, dict):
        if set(value) == {"npy"}:
            data = io.BytesIO(base64.b64decode(value["npy"]))
            return np.load(data, allow_pickle=False)
        return {key: from_plain(each) for key, each in value.items()}
    return [from_plain(each) for each in value] if isinstance(value, list) else value


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    test, result = getattr(report, "graded", (None, None))
    if test is None or result is None:
        return None
    letter, word = {"done": (".", "DONE"), "wrong": ("W", "WRONG"), "todo": ("-", "TODO")}[
        result.verdict
    ]
    return {"done": "passed"}.get(result.verdict, result.verdict), letter, word


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    reports = [
        run
        for group in terminalreporter.stats.values()
        for run in group
        if getattr(run, "graded", (None, None))[1]
    ]
    # Of a test that a plugin has repeated, the last run counts.
    last = {run.graded[0]: run for run in sorted(reports, key=lambda run: run.stop)}
    runs = list(last.values())
    graded = [run.graded for run in runs]
    if graded:
        # After Ctrl-C nothing of the student's code runs any more.
        drawn = [] if exitstatus == pytest.ExitCode.INTERRUPTED else graded
        seconds = sum(run.duration for run in runs)
        for text in finish(config, graded, drawn, seconds):
            terminalreporter.write_line(text)
            terminalreporter.flush()
    if RUNNING in config.stash:
        test = config.stash[RUNNING]
        terminalreporter.write_line(f"Stopped in {test.task} {test.__name__}.")
    elif not graded and config.stash.get(ALL_KNOWN, False):
        terminalreporter.write_line("Every task is known as done. To run them again: pytest")


def finish(config: pytest.Config, graded: Graded, drawn: Graded, seconds: float) -> Iterator[str]:
    """Write what a run has found into the folder of the results; yield its board and the end.

    The board comes first, as the pictures of all tasks take a while.
    """
    tests = harness.graded_tests()  # first of all, as it sets the points of settings.py
    whole, folder = report.build(graded, seconds), results_folder(config)
    try:
        whole, failed = report.save(whole, folder), None
    except OSError as error:
        failed = error
    total = board.progress(whole, tests) if config.option.next else None
    yield board.render(graded, bool(config.option.hints), total)
    try:
        if failed:
            raise failed
        yield f"Pictures: {write_page(drawn, whole, folder, config)}"
    except OSError as error:
        yield f"The results could not be written: {error}"
    except KeyboardInterrupt:
        yield "Stopped while the pictures were drawn."


def write_page(graded: Graded, whole: dict[str, Any], folder: Path, config: pytest.Config) -> Path:
    """Write folder/grade.html with the pictures of the tasks that ran; return its path."""
    from autograder import page, pictures

    path = Path(folder) / "grade.html"
    drawn = pictures.draw_all(graded, config.getoption("--seed"))
    page.write(path, whole, drawn, "Your points")
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
