"""Grade a folder of submissions, several at once; what is graded already is left as it is."""

import contextlib
import csv
import hashlib
import io
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autograder import report, settings
from autograder.tasks import all_tasks
from given.runtime.submission import PACKAGES, ROOT
from grading import class_page, submission
from grading.isolation.sandbox import Sandbox
from grading.worker import DONE

COURSE = ".course.json"  # in a folder of grades: by which tests they are
ARCHIVES = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


def grade_all(
    folder: Path,
    out: Path,
    jobs: int | None = None,
    trained: bool = True,
    pages: bool = False,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Grade every folder and zip in `folder`; write a report for each, grades.csv and index.html.

    Args:
        folder: submissions by name.
        out: where the reports are, new or from a run that stopped.
        jobs: submissions at a time; as many as processors by default.
        trained: whether to run the tests that train.
        pages: whether to write a page for each.
        shard: (i, n): only every n-th submission from the i-th on, without the tables: several
            machines that see the same `out` share a class, and `merge` writes its tables.

    Raises:
        SystemExit: there is nothing to grade, or `out` holds grades by other tests.
    """
    folder, out = Path(folder).resolve(), Path(out).resolve()
    paths, skipped = open_class(folder, out, trained)
    which, shards = shard
    share = paths[which - 1 :: shards]
    todo = [job for job in (make_job(path, out, trained, pages) for path in share) if job]
    print(f"{len(share)} submissions, {len(share) - len(todo)} of them graded already.")
    if todo:
        with Sandbox([folder]) as sandbox:
            sandbox.warn()
    try:
        run(todo, folder, jobs or os.cpu_count() or 1)
    except KeyboardInterrupt:
        raise SystemExit("Stopped; the same command goes on with what is missing.") from None
    if shards == 1:
        write_tables(paths, skipped, out, pages)
    else:
        print(f"Share {which} of {shards} is graded; --merge writes the tables once all are.")


def merge(folder: Path, out: Path, trained: bool = True, pages: bool = False) -> None:
    """Write grades.csv and index.html of a class whose shares were graded apart.

    Raises:
        SystemExit: submissions that are not graded yet, or have changed since.
    """
    folder, out = Path(folder).resolve(), Path(out).resolve()
    paths, skipped = open_class(folder, out, trained)
    missing = [path.name for path in paths if make_job(path, out, trained, pages)]
    if missing:
        raise SystemExit(
            f"{len(missing)} of {len(paths)} submissions are not graded yet, such as "
            f"{missing[0]!a}; run their --shard, or --all without one, and merge then."
        )
    write_tables(paths, skipped, out, pages)


def open_class(folder: Path, out: Path, trained: bool) -> tuple[list[Path], dict[str, str]]:
    """The submissions in a folder, and what is none; `out` is made, or is of the same course."""
    paths, skipped = find(folder, out)
    for name, why in skipped.items():
        print(f"Not graded: {name!a} ({why}).")
    out.mkdir(parents=True, exist_ok=True)
    check_same_course(out / COURSE, trained)
    return paths, skipped


def write_tables(paths: list[Path], skipped: dict[str, str], out: Path, pages: bool) -> None:
    """The table and the page of a class, of all its reports."""
    reports = {path.name: json.loads(report_of(path, out).read_text("utf-8")) for path in paths}
    report.write(out / "grades.csv", table(reports))
    report.write(out / "index.html", class_page.render(reports, pages, skipped))
    print(f"Grades: {out / 'grades.csv'}\nPage: {out / 'index.html'}")


def find(folder: Path, out: Path) -> tuple[list[Path], dict[str, str]]:
    """The submissions in a folder, which are folders and zips.

    Returns:
        their paths, and {name: why it is no submission} of all else that the folder holds.
    """
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder}.")
    packages = [name for name in PACKAGES if (folder / name).is_dir()]
    if packages:
        raise SystemExit(
            f"{folder} is one submission, as it holds {packages[0]}/: grade it without --all."
        )
    paths = sorted(path for path in folder.iterdir() if path != out)
    skipped = {path.name: why for path in paths if (why := why_not(path))}
    paths = [path for path in paths if path.name not in skipped]
    if not paths:
        raise SystemExit(f"{folder} holds no folder and no zip.")
    return paths, skipped


def why_not(path: Path) -> str:
    """Why something in the folder of a class is no submission, or ""."""
    if path.name.startswith("."):
        return "it is hidden"
    if path.name in ("__MACOSX", "__pycache__"):
        return "macOS or Python made it, not a student"
    if path.is_symlink():
        return "it is a link; put what it points to here"
    if path.is_dir():
        return "it holds grades of an earlier run" if (path / COURSE).exists() else ""
    if path.suffix.lower() == ".zip":
        return ""
    if path.suffix.lower() == ".py":
        return "a single file; put it into a folder with its student's name"
    if path.suffix.lower() in ARCHIVES:
        return "an archive, but no zip; unpack it into a folder of its own"
    return "neither a folder nor a zip"


def check_same_course(file: Path, trained: bool) -> None:
    """Refuse to mix grades by different tests, points or settings in one folder."""
    files = [*(ROOT / "autograder").glob("*.py"), *(ROOT / "tests").glob("task*/*.py")]
    texts = [path.read_bytes() for path in sorted(files)]
    now = {"tests": hashlib.sha256(b"\0".join(texts)).hexdigest(), "trained": trained}
    if not file.exists():
        report.write_json(file, now)
    elif json.loads(file.read_text(encoding="utf-8")) != now:
        raise SystemExit(
            f"{file.parent} holds grades by other tests or settings; name another --out."
        )


def report_of(path: Path, out: Path) -> Path:
    return out / "reports" / f"{path.name}.json"


def make_job(path: Path, out: Path, trained: bool, pages: bool) -> dict[str, Any] | None:
    """What a worker needs to know of a submission; None where its report is there already."""
    content = fingerprint(path)
    file, page = report_of(path, out), out / class_page.page_of(path.name)
    if file.exists() and (page.exists() or not pages):
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):  # damaged
            built = json.loads(file.read_text(encoding="utf-8"))
            shown, before = {path.name: built}, built["extra_data"]
            whole = table(shown) and class_page.render(shown)  # or an error
            if whole and before["content"] == content and not before.get("failed"):
                return None
    job = {"path": str(path), "report": str(file), "content": content, "trained": trained}
    return job | {"page": str(page) if pages else None}


def fingerprint(path: Path) -> str:
    """A hash of what is graded of a submission: another answer is another submission."""
    try:
        files, problems, _ = submission.read(path)
        told: list = [files, problems]
        if settings.IMAGES["FROM"] != "code":
            told += submission.listing(path)
    except submission.Unreadable as error:
        told = [str(error)]
    return hashlib.sha256(json.dumps(told).encode("utf-8", "replace")).hexdigest()


def run(todo: list[dict[str, Any]], folder: Path, jobs: int) -> None:
    """Let workers take jobs until none is left."""
    waiting: queue.SimpleQueue[dict] = queue.SimpleQueue()
    stop = threading.Event()
    for job in todo:
        waiting.put(job)
    with tqdm(total=len(todo), unit=" submissions", disable=None) as bar:
        workers = [Worker(folder, waiting, stop, bar) for _ in range(min(jobs, len(todo)))]
        for worker in workers:
            worker.start()
        try:
            while any(worker.is_alive() for worker in workers):
                time.sleep(0.2)  # Ctrl-C in join() would make a thread look as if it had ended
        finally:
            stop.set()
            for worker in workers:
                worker.join()
    if any(worker.broken for worker in workers):
        raise SystemExit("The grader could not be started; see the reason above.")


class Worker(threading.Thread):
    """Feeds one process (`grading/worker.py`), and starts another where that fails."""

    def __init__(self, folder: Path, waiting: Any, stop: Any, bar: Any) -> None:
        super().__init__(daemon=True)
        self.folder, self.waiting, self.stop, self.bar = folder, waiting, stop, bar
        self.process: Any = None
        self.broken = False

    def run(self) -> None:
        while not (self.stop.is_set() or self.broken):
            try:
                job = self.waiting.get_nowait()
            except queue.Empty:
                break
            if self.process is None or self.process.poll() is not None:
                self.broken = not self.begin()
            if not self.broken and not self.finish(job) and not self.stop.is_set():
                self.give_up(job)
            self.bar.update(not self.broken)
        self.end()

    def begin(self) -> bool:
        """Start the process; return whether it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "grading.worker", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        return self.answered(300)

    def finish(self, job: dict[str, Any]) -> bool:
        """Let the process do a job; return whether it did."""
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            return self.answered(settings.LIMITS["TOTAL_SECONDS"] + 600)
        except OSError:
            return False

    def answered(self, seconds: int) -> bool:
        """Wait for the process to say that a job is done; False where it ended or took too long."""
        for _ in range(2 * seconds):
            if self.stop.is_set():
                break
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                return os.read(self.process.stdout.fileno(), 1) == DONE
        return False

    def give_up(self, job: dict[str, Any]) -> None:
        """Report a submission that brought its grader down: no points, and whom to ask."""
        self.end()
        said = "The grader could not finish this submission. Please tell your instructor."
        data = {"content": job["content"], "seed": None, "failed": True}
        built = {"score": 0, "output": said, "tests": [], "extra_data": data}
        report.write_json(job["report"], built)

    def end(self) -> None:
        """End the process and everything that it has started."""
        if self.process is None:
            return
        self.process.stdin.close()
        try:
            self.process.wait(0 if self.stop.is_set() else 10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


def table(reports: dict[str, dict]) -> str:
    """The class as CSV: a row for each submission, a column for each task."""
    tasks = list(all_tasks())
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["submission", "score", *tasks, "seconds", "seed", "note"])
    for name, built in reports.items():
        points = dict.fromkeys(tasks, 0)
        for test in built["tests"]:
            points[test["number"]] += test["score"]
        tail = [built.get("execution_time"), built["extra_data"].get("seed")]
        note = " ".join(built.get("output", "").split())
        row = [name, built["score"], *points.values(), *tail, note]
        writer.writerow([plain(cell) for cell in row])
    return out.getvalue().encode("utf-8", "replace").decode()


def plain(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: names and notes come from submissions."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r\n") else cell
