"""Grade one submission: plan, run apart, judge at home, report."""

import contextlib
import dataclasses
import functools
import os
import resource
import secrets
import shutil
import signal
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from autograder import harness, page, pictures, report, settings
from autograder.handed_in import Unreadable
from autograder.harness import Open, Result, Wrong, is_trained
from autograder.tasks import all_tasks
from given.images.data.imageset import find_set
from given.runtime.submission import ROOT
from grading import submission
from grading.isolation.sandbox import Sandbox
from grading.isolation.zygote import Import
from grading.release.stubs import stubs

PICTURES_SECONDS = 120
CHECK_SECONDS = 60  # a check works on what anybody sent
course_stubs = functools.cache(stubs)  # which stay as they are while a class is graded


def grade(
    path: Path | str,
    sandbox: Sandbox | None = None,
    seed: int | None = None,
    trained: bool = True,
    progress: Callable | None = None,
    page_file: Path | None = None,
) -> tuple[dict[str, Any], list[tuple[Any, Result]], int]:
    """Grade a submission; it is never imported here.

    Args:
        path: folder or zip.
        sandbox: a running `Sandbox`; one is made by default.
        seed: of all inputs; a secret one by default.
        trained: whether to run the tests that train or draw images, which take minutes.
        progress: called with each test.
        page_file: where to write a page with pictures for the student, or None.

    Returns:
        report: as `autograder.report.build`. graded: pairs (test, `Result`) in order.
        seed: repeats the grade.
    """
    if sandbox is None:
        with Sandbox(hidden=[Path(path).resolve()]) as own:
            return grade(path, own, seed, trained, progress, page_file)
    seed = secrets.randbits(63) if seed is None else seed
    start = time.monotonic()
    tests = [t for t in harness.graded_tests() if trained or not is_trained(t)]
    with tempfile.TemporaryDirectory(prefix="submission-", dir=sandbox.box) as name:
        Path(name).chmod(0o755)
        run = Run(path, Path(name), sandbox, seed)
        graded = []
        for test in tests:
            graded.append((test, run.result(test)))
            if progress:
                progress(test)
        built = report.build(graded, time.monotonic() - start)
        if run.notes:
            built |= {"output": report.clean("\n".join(run.notes)), "output_format": "text"}
        if page_file:
            page.write(page_file, built, run.pictures(graded), f"Points: {Path(path).name}")
    return built, graded, seed


class Run:
    """One submission on its way through the tests.

    Args:
        path: folder or zip.
        folder: an empty one, readable by all, for the tree of the TODO files.
        sandbox: a `Sandbox`.
        seed: of all inputs.
    """

    def __init__(self, path: Path | str, folder: Path, sandbox: Sandbox, seed: int) -> None:
        self.path, self.folder, self.sandbox, self.seed = path, folder, sandbox, seed
        self.tree, self.end = folder / "tree", time.monotonic() + settings.LIMITS["TOTAL_SECONDS"]
        self.unreadable = None
        try:
            files, self.problems, self.notes = submission.read(path)
        except Unreadable as error:
            self.unreadable = str(error)
            files, self.problems, self.notes = {}, {}, [self.unreadable]
        submission.write_tree(course_stubs() | files, self.tree)
        self.problems |= self.broken_modules(files)
        self.notes += self.problems.values()
        self.task_files = {name: task.file for name, task in all_tasks().items()}

    def broken_modules(self, files: dict[str, Any]) -> dict[str, str]:
        """Why modules cannot be imported; a stub takes the place of each, for the other tests."""
        broken = {}
        for file in files:
            try:
                self.sandbox.probe(Import, {"name": file}, 0, self.tree, self.limits())
            except (Wrong, Open) as error:
                why = str(error).replace(str(self.tree), "")
                broken[file] = f"{file} cannot be imported: {why}"
                submission.write_tree({file: course_stubs()[file]}, self.tree)
        return broken

    def result(self, test: Any) -> Result:
        """Run one test: the probe apart, the check here; whatever happens, there is a result."""
        try:
            result = self.attempt(test)
        except Open as error:
            result = Result("todo", str(error))
        except (Wrong, Unreadable) as error:
            result = Result("wrong", str(error).replace(str(self.tree), ""))
        except Exception as error:  # a fault of ours must not cost the other tests
            traceback.print_exc()
            result = Result("wrong", f"The grader failed here ({type(error).__name__}).")
        finally:
            shutil.rmtree(self.folder / "course", ignore_errors=True)
        return dataclasses.replace(result, message=report.clean(result.message))

    def attempt(self, test: Any) -> Result:
        """The result of one test, or an exception that says why there is none."""
        problem = self.unreadable or self.problems.get(self.task_files[test.task])
        if problem:
            raise Wrong(problem)
        trained = is_trained(test)
        if time.monotonic() > self.end:
            total = settings.LIMITS["TOTAL_SECONDS"]
            raise Wrong(f"Not run: the tests before took more than {total} seconds.")
        rng = np.random.default_rng([self.seed, zlib.crc32(test.__qualname__.encode())])
        inputs = test.inputs(rng)
        draw = int(rng.integers(2**31))
        tree, options = self.source(test) if trained else (self.tree, {})
        got = self.sandbox.probe(test, inputs, draw, tree, self.limits(trained), **options)
        there = options.get("environment", {})  # the check asks, too; it can reach a folder
        with mock.patch.dict(os.environ, there | {"COURSE_DATASET": settings.IMAGES["DATASET"]}):
            return judge(test, got, inputs)

    def pictures(self, graded: list) -> dict:
        """The pictures of the page: probes run apart as those of the tests do."""

        def probe(test, inputs, seed):
            return self.sandbox.probe(test, inputs, seed, self.tree, self.limits())

        left = max(0, self.end - time.monotonic())
        return pictures.draw_all(graded, self.seed % 2**31, probe, min(left, PICTURES_SECONDS))

    def limits(self, trained: bool = False) -> dict[str, Any]:
        """What a probe may use: seconds of work, and of waiting twice as many while there are."""
        seconds = settings.LIMITS["TRAINED_SECONDS" if trained else "SECONDS"]
        left = max(1, round(self.end - time.monotonic()))
        return settings.LIMITS | {"SECONDS": seconds, "WAITING": min(left, 2 * seconds + 10)}

    def source(self, test: Any) -> Any:
        """Where the samples of a mark come from: the tree to run, and options of `probe`."""
        choice = settings.IMAGES
        if not test.task.startswith("2."):
            return self.tree, {}
        self.sandbox.add_images(choice["DATASET"])
        if choice["FROM"] == "code":
            return self.tree, {}
        environment = {"COURSE_DATASET": find_set(choice["DATASET"])[0]}
        if choice["FROM"] == "samples":
            place, tree = self.folder / "samples", self.tree
            if not place.exists():
                submission.copy_images(self.path, choice["SAMPLES"], place)
        else:
            place, tree = self.folder / "model.ckpt", self.folder / "course"
            submission.copy_checkpoint(self.path, choice["CHECKPOINT"], place)
            folder = ROOT / "solutions"
            texts = {file: (folder / file).read_text(encoding="utf-8") for file in course_stubs()}
            submission.write_tree(texts, tree)  # until this test ends; none of theirs runs
        environment["COURSE_SAMPLES"] = str(place)
        return tree, {"samples": place, "environment": environment}


def judge(test: Any, got: Any, inputs: dict) -> Result:
    """Check values that anybody may have sent: whatever they are, there is a result."""
    try:
        with patience(CHECK_SECONDS), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return harness.run_check(test, got, inputs)
    except KeyError as error:
        return Result("wrong", f"{error} did not come back.")
    except Exception as error:  # a check is written for honest values; these may be any
        kind = type(error).__name__
        return Result("wrong", f"The values that came back cannot be judged ({kind}: {error}).")


@contextlib.contextmanager
def patience(seconds: int) -> Any:
    """Raise TimeoutError in what takes longer."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def limit_own_memory(megabytes: int = 4000) -> None:
    """Let a check that is sent huge arrays fail by itself, and not this machine."""
    with contextlib.suppress(ValueError, OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
