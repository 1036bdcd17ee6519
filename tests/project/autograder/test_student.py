"""What a student types: `pytest`, `--next`, `--watch`, and what these leave in results/."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from autograder import board, harness, report, settings
from autograder.harness import Result
from autograder.tasks import all_tasks
from given.runtime.submission import ROOT, TODO_MODULES
from tests.project.trees import course_tree, run_module

TESTS = harness.graded_tests()
OU_STD = "torch.sqrt(-torch.expm1(-t))"


def tree(folder, solved=(), edit=()):
    """A submission of stubs with some modules solved; edit: (old, new) in sde.py."""
    for package, modules in TODO_MODULES.items():
        (folder / package).mkdir(parents=True)
        for module in modules:
            source = ROOT / "solutions" if module in solved else ROOT
            shutil.copy(source / package / f"{module}.py", folder / package)
    if edit:
        path = folder / "sde_todo" / "sde.py"
        path.write_text(altered(path.read_text("utf-8"), *edit), encoding="utf-8")
    return folder


def altered(source, old, new):
    assert source.count(old) == 1
    return source.replace(old, new)


def run_course(submission, results, *arguments):
    done = run_module("pytest", f"--submission={submission}", f"--results={results}", *arguments)
    return done.stdout + done.stderr


def tasks_in(output):
    """The tasks on a board: {task: word}."""
    rows = [line.split() for line in output.splitlines()]
    return {row[0]: row[-1] for row in rows if row and row[-1] in ("done", "WRONG", "TODO")}


def all_right(output):
    """Whether a board of sde.py shows 1.1 done; its 1.3c needs sampling.py too."""
    words = tasks_in(output)
    return len(words) == 8 and {word for task, word in words.items() if task != "1.3c"} == {"done"}


def grades(results):
    return json.loads((results / "grade.json").read_text(encoding="utf-8"))


def by_task(results):
    """{task: the set of the statuses of its tests} in grade.json."""
    found = {}
    for entry in grades(results)["tests"]:
        found.setdefault(entry["number"], set()).add(entry["status"])
    return found


def outcome(task, verdict="done"):
    """A run of the tests of one task that all end alike."""
    return [(test, Result(verdict, "said")) for test in TESTS if test.task == task]


@pytest.mark.slow
def test_next_runs_on_to_the_first_open_task_and_begins_there_the_next_time(tmp_path):
    submission = tree(tmp_path / "mine", solved=["sde"])
    points = sum(test.points for test in TESTS if test.task.startswith("1.1"))
    first = run_course(submission, tmp_path, "--next")
    section = [name for name in all_tasks() if name.startswith("1.1")]
    assert tasks_in(first) == dict.fromkeys(section, "done") | {"1.2a": "TODO"}
    assert (
        "Next: 1.2a" in first and "--hints 1.2a:2" in first and f"So far {points} of 200" in first
    )
    assert max(map(len, first.replace(str(tmp_path), "").splitlines())) <= board.WIDTH
    second = run_course(submission, tmp_path, "--next")
    assert tasks_in(second) == {"1.2a": "TODO"} and f"So far {points} of 200" in second
    assert by_task(tmp_path)["1.1a"] == {"passed"} and by_task(tmp_path)["1.2a"] == {"failed"}
    assert (tmp_path / "grade.html").stat().st_size
    known = grades(tmp_path)
    assert known["score"] == points and known["extra_data"]["submission"] == str(submission)


@pytest.mark.slow
def test_next_says_when_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE", str(ROOT / "solutions"))
    report.save(report.build(outcome("1.1a")), tmp_path)
    output = run_course(ROOT / "solutions", tmp_path, "--next", "-k", "OUMarginal")
    assert "Every task is known as done" in output and not tasks_in(output)


def test_optional_tasks_come_last():
    order = [all_tasks()[test.task].optional for test in board.in_order(TESTS)]
    assert order == sorted(order) and any(order)


def test_ctrl_c_keeps_what_ran(tmp_path):
    stop = (
        "return self.beta_min * t + ",
        "raise KeyboardInterrupt\n        return self.beta_min * t + ",
    )
    submission = tree(tmp_path / "mine", ["sde"], stop)
    output = run_course(submission, tmp_path, "-k", "OUCoefficients or OUMarginal or VP")
    assert tasks_in(output) == {"1.1a": "done"} and "Stopped in 1.1b VP." in output
    assert by_task(tmp_path) == {"1.1a": {"passed"}} and (tmp_path / "grade.html").exists()


@pytest.mark.slow
def test_nothing_is_written_where_nothing_ran(tmp_path):
    run_course(ROOT / "solutions", tmp_path / "results", "--collect-only", "-q", "-k", "OU")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    output = run_course(ROOT, tmp_path / "file", "-k", "OUMarginal")
    assert "The results could not be written:" in output and "INTERNALERROR" not in output
    assert tasks_in(output) == {"1.1a": "TODO"}


def test_results_of_tests_that_did_not_run_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE", "mine")
    report.save(report.build(outcome("1.1b") + outcome("1.1a", "wrong")), tmp_path)
    whole = report.save(report.build(outcome("1.1a")), tmp_path)
    assert by_task(tmp_path) == {"1.1a": {"passed"}, "1.1b": {"passed"}}
    assert [entry["number"] for entry in whole["tests"]] == ["1.1a", "1.1a", "1.1b"]
    assert whole["score"] == 9 == whole["leaderboard"][0]["value"] == whole["extra_data"]["full"]
    assert board.progress(whole, TESTS).startswith("So far 9 of 200 points; 2 of 42 tasks")


def test_results_of_another_submission_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE", "theirs")
    report.save(report.build(outcome("1.1b")), tmp_path)
    monkeypatch.setenv("COURSE", "mine")
    report.save(report.build(outcome("1.1a")), tmp_path)
    assert by_task(tmp_path) == {"1.1a": {"passed"}}


MINE = '{"extra_data": {"submission": "mine"}, "tests": [%s]}'
NO_SCORE = '{"number": "1.1a", "name": "x: OUMarginal"}'


@pytest.mark.parametrize("text", ["", "[]", "{}", MINE % 1, MINE % NO_SCORE, "\x00\xff"])
def test_a_broken_report_counts_as_none(tmp_path, text):
    (tmp_path / "grade.json").write_bytes(text.encode("latin-1"))
    assert board.known(tmp_path / "grade.json", "mine", TESTS) == {}


def test_a_test_that_is_no_more_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE", "mine")
    report.save(report.build(outcome("1.1a")), tmp_path)
    left = board.known(tmp_path / "grade.json", "mine", [outcome("1.1a")[0][0]])
    assert list(left) == [("1.1a", outcome("1.1a")[0][0].__name__)]


def test_the_board_fits_80_columns():
    graded = [(test, Result("wrong", f"{'word ' * 60}\n{'x' * 200}")) for test in TESTS]
    for verdict in ("wrong", "todo", "done"):
        for test, _ in graded:
            lines = board.render([(test, Result(verdict, "long " * 60))], all_hints=True)
            assert max(map(len, lines.splitlines())) <= board.WIDTH, lines
    assert max(map(len, board.render(graded).splitlines())) <= board.WIDTH


@pytest.mark.parametrize(
    ("dataset", "marks", "said"),
    [
        ("fashion", {}, False),
        ("cifar10", {}, True),
        ("afhq", {}, True),
        ("afhq", {"2.4a": {"plain": 20.0}}, False),
    ],
)
def test_marks_that_were_never_measured_are_said(monkeypatch, dataset, marks, said):
    monkeypatch.setenv("COURSE_DATASET", dataset)
    monkeypatch.setattr(settings, "MARKS", marks)
    board_of = lambda task: board.render(outcome(task))  # noqa: E731
    assert ("marks of 2.4a for " + dataset in board_of("2.4a")) == said
    assert ("not calibrated" in board_of("2.4a")) == said
    assert "not calibrated" not in board_of("2.1a")


class Watcher:
    """`pytest --watch` on a submission, and what it prints."""

    def __init__(self, submission, results):
        command = [sys.executable, "-m", "pytest", "--watch", f"--results={results}"]
        # A shell may have told this process to ignore Ctrl-C; its child must not.
        heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
        self.process = subprocess.Popen(
            [*command, f"--submission={submission}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **heed if os.name == "posix" else {},
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def until(self, said, seconds=60):
        """The output up to the line that holds `said`."""
        output, end = "", time.monotonic() + seconds
        while said not in output:
            try:
                output += self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{said!r} did not come: {output}") from None
        return output


@pytest.fixture
def watched(tmp_path):
    """A watcher, and the sde.py that it watches, a stub."""
    submission = tree(tmp_path / "mine")
    watcher = Watcher(submission, tmp_path)
    watcher.until("Ctrl-C ends")
    yield watcher, submission / "sde_todo" / "sde.py"
    watcher.process.kill()
    watcher.process.wait()


LOOP = """

def loop(x):
    print("looping", flush=True)
    while True:
        pass
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_watch_answers_every_save_until_ctrl_c(watched, tmp_path):
    watcher, path = watched
    right = (ROOT / "solutions/sde_todo/sde.py").read_text(encoding="utf-8")
    wrong = altered(right, OU_STD, OU_STD.replace("torch.sqrt", "(torch.abs)"))
    path.write_text(wrong, encoding="utf-8")
    output = watcher.until(" s)\n")
    assert tasks_in(output)["1.1a"] == "WRONG" and tasks_in(output)["1.1b"] == "done"
    assert "the standard deviation is its square root" in " ".join(output.split())
    assert "1.2a" not in tasks_in(output)

    path.write_text(right, encoding="utf-8")  # of nearly the same length, perhaps within a second
    path.write_text(right + "\n", encoding="utf-8")
    began = time.monotonic()
    output = watcher.until(" s)\n")
    assert all_right(output) and time.monotonic() - began < 20
    assert by_task(tmp_path)["1.1a"] == {"passed"}

    path.write_text(right + "\ndef f(:\n", encoding="utf-8")
    line = f"sde_todo/sde.py, line {len(right.splitlines()) + 2}: SyntaxError: invalid syntax: "
    assert watcher.until("SyntaxError").endswith(f"{line}def f(:\n")
    path.write_text(right.replace("import math\n", "import mats\n"), encoding="utf-8")
    assert "No module named 'mats'" in watcher.until(" s)\n")

    path.write_text(altered(right, OU_STD, f"loop({OU_STD})") + LOOP, encoding="utf-8")
    watcher.until("looping")
    watcher.process.send_signal(signal.SIGINT)
    assert "Stopped in 1.1a OUMarginal" in watcher.until("Still watching")
    path.write_text(right, encoding="utf-8")
    assert all_right(watcher.until(" s)\n"))

    time.sleep(0.5)
    watcher.process.send_signal(signal.SIGINT)
    assert "Traceback" not in watcher.until("No longer watching")
    assert watcher.process.wait(20) == 0


def test_watch_leaves_training_to_pytest(tmp_path, capsys):
    from autograder import watch

    watch.answer("sde_todo/recipe.py", TESTS, tmp_path, 0)
    said = capsys.readouterr().out
    assert "pytest -k 'SamplesBySDE or SamplesByODE" in said and not list(tmp_path.iterdir())


def test_files_of_a_submission_come_first_and_new_ones_are_seen(tmp_path):
    from autograder import watch

    (tmp_path / "sde_todo").mkdir()
    with course_tree(tmp_path):
        before = watch.look()
        assert before["sde_todo/sde.py"][0].parent == ROOT / "sde_todo"
        (tmp_path / "sde_todo" / "sde.py").write_text("x = 1\n")
        after = watch.wait(before)
        assert {name for name in after if after[name] != before[name]} == {"sde_todo/sde.py"}
        assert after["sde_todo/sde.py"][0].parent == tmp_path / "sde_todo"
