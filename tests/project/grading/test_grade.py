"""Whole grades: of one submission and of a class, from the command line as an instructor runs it.

Class runs use a copy of the course with the tests of two modules, narrow limits, and a hidden test.
"""

import ast
import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from autograder import harness, report, settings
from autograder.harness import Result
from given.runtime.submission import ROOT, TODO_MODULES
from grading import class_page, class_run, commands, grade
from grading.isolation import runtime
from grading.isolation.sandbox import Sandbox

ENDLESS = "\n\nimport time\nwhile True:\n    pass\n"
HUNGRY = "\n\nx = []\nwhile True:\n    x.append([0] * 1_000_000)\n"
HIDDEN_TEST = '''
import numpy as np
from autograder.harness import expect, graded


def secret_truth(t, x):
    return np.exp(-t / 2)[:, None] * x


@graded("1.1a", points=2)
class SecretMarginal:
    """A test that students do not see."""

    def inputs(rng):
        return {"t": rng.uniform(0.1, 2, 5), "x": rng.normal(size=(5, 2))}

    def probe(t, x):
        from sde_todo.sde import OU

        return {"mean": OU().marginal_prob(t, x)[0]}

    def check(got, t, x):
        expect(got["mean"], secret_truth(t, x), "mean")
'''
CHANGES = {
    "POINTS: dict[str, float] = {}": 'POINTS = {"1.1b": 40}',
    'VISIBILITY = {"all": "visible"}': 'VISIBILITY = {"SecretMarginal": "hidden", '
    '"1.1b": "after_published", "2.1": "after_due_date", "all": "visible"}',
    '"SECONDS": 20': '"SECONDS": 2',
    '"MEMORY_MB": 2000': '"MEMORY_MB": 300',
    "# END HIDDEN": HIDDEN_TEST + "# END HIDDEN",
}


@pytest.fixture(scope="module")
def sandbox():
    """One for all grades in this process."""
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course with few tests and settings of its own."""
    place = tmp_path_factory.mktemp("course")
    left_out = shutil.ignore_patterns("__pycache__", "project", "test_*.py")
    for name in (
        "given",
        "experiments",
        "autograder",
        "grading",
        "tests",
        "solutions",
        *TODO_MODULES,
    ):
        shutil.copytree(ROOT / name, place / name, ignore=left_out)
    for name in ("task1/test_sde.py", "task2/test_scheduler.py"):
        shutil.copy(ROOT / "tests" / name, place / "tests" / name)
    for path in place.glob("tests/task?/pictures_*.py"):  # they look at tests that are not there
        path.unlink()
    file = place / "autograder" / "settings.py"
    text = file.read_text(encoding="utf-8")
    for old, new in CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return place


def start(course, *arguments):
    """Start `python -m grading` on the copy."""
    return subprocess.Popen(
        [sys.executable, "-m", "grading", *map(str, arguments)],
        cwd=course,
        env={k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTHONPATH"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(course, *arguments):
    """Run `python -m grading` on the copy; return its status and what it printed."""
    process = start(course, *arguments)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def copy_solutions(place, sde=""):
    """A submission of the solutions, with some text at the end of sde.py."""
    for package, names in TODO_MODULES.items():
        (place / package).mkdir(parents=True)
        for name in names:
            shutil.copy(ROOT / "solutions" / package / f"{name}.py", place / package)
    with open(place / "sde_todo" / "sde.py", "a") as file:
        file.write(sde)
    return place


def copy_stubs(place):
    """A submission in which nothing is done."""
    for package, names in TODO_MODULES.items():
        (place / package).mkdir(parents=True)
        for name in names:
            shutil.copy(ROOT / package / f"{name}.py", place / package)
    return place


@pytest.fixture
def classroom(tmp_path):
    """Six submissions: two right ones, an untouched one, an empty one and two that misbehave."""
    folder = tmp_path / "in"
    copy_solutions(folder / "ann")
    copy_solutions(folder / "=1+1")
    copy_stubs(folder / "bob")
    copy_solutions(folder / "endless", ENDLESS)
    copy_solutions(folder / "hungry", HUNGRY)
    (folder / "zero.zip").write_bytes(b"PK\5\6" + bytes(18))
    return folder


def rows(out):
    """The table of a class: {submission: row}."""
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


def leftovers(course):
    """Processes that belong to a class run on the copy."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                said = file.read()
            if str(course).encode() in said or os.readlink(f"/proc/{name}/cwd") == str(course):
                found.append(said)
        except OSError:
            pass
    return found


def gone(course, seconds):
    """Wait until no process of the copy is left."""
    end = time.monotonic() + seconds
    while leftovers(course) and time.monotonic() < end:
        time.sleep(0.1)
    return leftovers(course)


# One submission.


@pytest.mark.slow
def test_reference_has_full_points(sandbox, tmp_path):
    built, graded, _ = grade.grade(copy_solutions(tmp_path / "a"), sandbox, trained=False)
    wrong = [(test.__name__, result.message) for test, result in graded if result.message]
    assert not wrong and built["score"] == sum(test["max_score"] for test in built["tests"])
    planned = [t for t in harness.graded_tests() if not t.__module__.endswith("test_marks")]
    assert len(built["tests"]) == len(planned) == len(graded)


@pytest.mark.slow
def test_stubs_have_no_points(sandbox, tmp_path):
    built, graded, _ = grade.grade(copy_stubs(tmp_path / "a"), sandbox, trained=False)
    assert built["score"] == 0
    assert {result.verdict for _, result in graded} == {"todo"}
    assert all(result.message.startswith("TODO ") for _, result in graded)


def without_time(built):
    """A report without what differs from run to run."""
    return {key: value for key, value in built.items() if key != "execution_time"}


@pytest.mark.slow
def test_seed_repeats_a_grade_and_none_is_secret(sandbox, tmp_path, monkeypatch):
    submission = copy_solutions(tmp_path / "a", "\nOU.marginal_prob = lambda s, t, x: (x, x)\n")
    chosen = [t for t in harness.graded_tests() if t.__name__ in ("OUMarginal", "VP", "Betas")]
    monkeypatch.setattr(harness, "graded_tests", lambda: chosen)
    seen = []
    real = sandbox.probe

    def look(test, inputs, *rest, **options):
        seen.append([test.__name__, str(inputs), rest[0]])
        return real(test, inputs, *rest, **options)

    monkeypatch.setattr(sandbox, "probe", look)
    texts = []
    for seed in (5, 5, None, None):
        seen.clear()
        built, _, used = grade.grade(submission, sandbox, seed, trained=False)
        texts.append((json.dumps(without_time(built)), str([s for s in seen if s[0] != "Import"])))
        assert used == 5 or seed is None
    assert texts[0] == texts[1]
    assert len({inputs for _, inputs in texts}) == 3


def test_points_and_visibility(monkeypatch):
    tests = {test.__name__: test for test in harness.graded_tests()}
    monkeypatch.setattr(
        settings, "VISIBILITY", {"VP": "hidden", "1.1a": "after_due_date", "2.1": "after_published"}
    )
    chosen = [tests[name] for name in ("OUMarginal", "VP", "VE", "Betas")]
    built = report.build([(test, Result("done")) for test in chosen])
    found = [test["visibility"] for test in built["tests"]]
    assert found == ["after_due_date", "hidden", "visible", "after_published"]


@pytest.mark.parametrize("value", ["nan", "huge", "empty", "axes", "whole", "truth", "number"])
def test_no_check_accepts_or_fails_on_odd_values(value):
    """What a probe sends may be forged: each check refuses it, with a result, and in time."""
    import numpy as np

    odd = {
        "nan": np.full((3, 4), np.nan),
        "huge": np.zeros((1_000_000, 1)),
        "empty": np.zeros(0),
        "axes": np.zeros((1,) * 12),
        "whole": np.full((5, 2), np.iinfo(np.int64).min),
        "truth": np.ones((7, 3), bool),
        "number": np.zeros(()),
    }[value]
    rng = np.random.default_rng(0)
    for test in harness.graded_tests():
        if test.__module__.endswith("test_marks"):
            continue
        names = keys_of(test)
        start = time.process_time()
        with np.errstate(all="ignore"):
            result = grade.judge(test, dict.fromkeys(names, odd), test.inputs(rng))
        assert result.verdict == "wrong", f"{test.__name__} accepts {value}"
        assert time.process_time() - start < 5, test.__name__


def keys_of(test):
    """The names that a check asks for."""
    import inspect
    import re

    source = inspect.getsource(inspect.getmodule(test))
    return sorted(set(re.findall(r'got\["([^"]+)"\]', source)))


# From the command line.


def test_one_submission_from_the_command_line(course, tmp_path):
    submission, out = copy_solutions(tmp_path / "a"), tmp_path / "grade.json"
    status, said = run(course, "grade", submission, "--out", out, "--seed", 3, "--no_marks")
    assert status == 0, said
    built = json.loads(out.read_text(encoding="utf-8"))
    tests = {test["name"].rpartition(": ")[2]: test for test in built["tests"]}
    assert tests["SecretMarginal"]["score"] == 2
    assert tests["SecretMarginal"]["visibility"] == "hidden"
    assert tests["VP"]["score"] == 40 and tests["VP"]["visibility"] == "after_published"
    assert tests["Betas"]["visibility"] == "after_due_date"
    assert tests["OUMarginal"]["visibility"] == "visible"
    assert built["score"] == sum(test["max_score"] for test in built["tests"])
    assert "--seed 3" in said and "Traceback" not in said


def test_runtime_shows_no_hidden_answer(course, tmp_path):
    """The probe of a hidden test goes to the process that runs it; its truth goes nowhere."""
    code = (
        "import pathlib; from grading.isolation import runtime; runtime.build(pathlib.Path('%s'))\n"
    )
    code += "from autograder import settings; print(runtime.hidden_source(settings.SecretMarginal))"
    command = [sys.executable, "-c", code % (tmp_path / "r")]
    text = subprocess.run(command, cwd=course, check=True, capture_output=True, text=True).stdout
    assert "SecretMarginal" in text and "secret_truth" not in text
    files = (tmp_path / "r").rglob("*.py")
    assert not any("SecretMarginal" in file.read_text(encoding="utf-8") for file in files)


def test_runtime_holds_what_its_modules_import():
    for name in runtime.SHARED:
        tree = ast.parse((ROOT / "autograder" / f"{name}.py").read_text(encoding="utf-8"))
        found = {n.module for n in tree.body if isinstance(n, ast.ImportFrom)}
        own = {module for module in found if module.partition(".")[0] == "autograder"}
        assert own <= {f"autograder.{shared}" for shared in runtime.SHARED}, name


def test_no_such_submission(course, tmp_path):
    status, said = run(course, "grade", tmp_path / "no")
    assert status and said.strip().endswith(
        "There is no folder or zip " + str(tmp_path / "no") + "."
    )


@pytest.mark.slow
def test_class(course, classroom, tmp_path):
    out, most = tmp_path / "out", None
    status, said = run(course, "grade", "--all", classroom, "--out", out, "--jobs", 2, "--no_marks")
    assert status == 0 and "Traceback" not in said, said
    table = rows(out)
    assert set(table) == {"ann", "'=1+1", "bob", "endless", "hungry", "zero.zip"}
    most = float(table["ann"]["score"])
    assert float(table["'=1+1"]["score"]) == most > 50
    assert table["bob"]["score"] == table["zero.zip"]["score"] == "0"
    assert "none of the files" in table["zero.zip"]["note"]
    for name, words in {"endless": "endless loop", "hungry": "Memory"}.items():
        row = table[name]
        assert float(row["1.1a"]) == 0 and float(row["2.1a"]) > 0
        assert words in row["note"], row["note"]
    assert float(table["ann"]["seed"]) != float(table["'=1+1"]["seed"])
    again_changes_only_what_changed(course, classroom, out)


def again_changes_only_what_changed(course, classroom, out):
    """The same command again grades a changed submission, and leaves the others as they are."""
    before = contents(out)
    with open(classroom / "bob" / "sde_todo" / "sde.py", "a") as file:
        file.write("\n# changed\n")
    command = ("grade", "--all", classroom, "--out", out, "--jobs", 2)
    status, said = run(course, *command, "--no_marks")
    assert status == 0 and "6 submissions, 5 of them graded already." in said, said
    changed = {name for name, data in contents(out).items() if data != before[name]}
    assert "bob.json" in changed and changed <= {"bob.json", "grades.csv", "index.html"}
    status, said = run(course, *command)
    assert status and "grades by other tests or settings; name another --out." in said


def contents(out):
    """The files below a folder: {name: (bytes, time of the last change)}."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.slow
def test_killed_class_run_goes_on(course, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for k in range(5):
        copy_solutions(folder / f"s{k}")
    command = ("grade", "--all", folder, "--out", out, "--jobs", 2, "--no_marks")
    process = start(course, *command)
    while not out.exists() or len(list(out.glob("reports/s*.json"))) < 2:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    process.kill()
    process.wait()
    killed = time.monotonic()
    left = gone(course, 60)
    assert not left, left
    print(f"\nnothing left after {time.monotonic() - killed:.1f} s")
    done = contents(out)
    status, said = run(course, *command)
    assert status == 0, said
    assert f"{len([n for n in done if n.startswith('s')])} of them graded already" in said
    after = contents(out)
    assert all(after[name] == done[name] for name in done if name.startswith("s"))
    assert len({row["score"] for row in rows(out).values()}) == 1 and len(rows(out)) == 5
    assert not [name for name in after if name.endswith(".part")]


@pytest.mark.slow
def test_stopped_class_run_says_how_it_goes_on(course, tmp_path):
    copy_solutions(tmp_path / "in" / "a", "\n\nimport time\ntime.sleep(999)\n")
    process = start(
        course, "grade", "--all", tmp_path / "in", "--out", tmp_path / "out", "--no_marks"
    )
    while len(leftovers(course)) < 4:  # itself, a worker, the zygote and its probe
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode and "the same command goes on with what is missing" in said
    assert "Traceback" not in said and not gone(course, 3), leftovers(course)


@pytest.mark.parametrize("name", ["course", "index", "a b", "caf\u00e9", b"caf\xe9", "x\ny"])
def test_odd_names_of_submissions(name, tmp_path, monkeypatch):
    """A name must not clash with files of the class, nor stop its table."""
    name = os.fsdecode(name)
    copy_stubs(tmp_path / "in" / name)
    grade_nothing(monkeypatch)
    for _ in range(2):
        class_run.grade_all(tmp_path / "in", tmp_path / "out", 1, trained=False, pages=True)
    assert len(rows(tmp_path / "out")) == 1


def test_what_is_no_submission_is_named_and_becomes_no_student(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "in"
    for name in ("anna", "Zo\u00eb \u00d6 (late)", "__MACOSX", "__pycache__", ".hidden"):
        copy_stubs(folder / name)
    shutil.make_archive(str(folder / "anna"), "zip", folder / "anna")
    for name in ("carla.tar.gz", "dora_sde.py", "README.md", "grades.csv", "._anna.zip"):
        (folder / name).write_bytes(b"x")
    (folder / "link").symlink_to(folder / "anna")
    grade_nothing(monkeypatch)
    shown = []
    monkeypatch.setattr(class_run.class_page, "render", lambda *a: shown.append(a[-1]) or "")
    class_run.grade_all(folder, folder / "earlier", 1, trained=False)
    class_run.grade_all(folder, folder / "out", 1, trained=False)
    assert set(rows(folder / "out")) == {"anna", "anna.zip", "Zo\u00eb \u00d6 (late)"}
    assert shown[-1] == {
        **dict.fromkeys((".hidden", "._anna.zip"), "it is hidden"),
        **dict.fromkeys(("__MACOSX", "__pycache__"), "macOS or Python made it, not a student"),
        "carla.tar.gz": "an archive, but no zip; unpack it into a folder of its own",
        "dora_sde.py": "a single file; put it into a folder with its student's name",
        **dict.fromkeys(("README.md", "grades.csv"), "neither a folder nor a zip"),
        "link": "it is a link; put what it points to here",
        "earlier": "it holds grades of an earlier run",
    }
    said = capsys.readouterr().out
    assert all(f"Not graded: {name!r} ({why}).\n" in said for name, why in shown[-1].items())
    assert "carla.tar.gz (an archive" in class_page.not_graded(shown[-1])


def test_one_submission_is_no_class(tmp_path):
    copy_stubs(tmp_path / "anna")
    with pytest.raises(SystemExit, match="is one submission, as it holds sde_todo/: grade it"):
        class_run.find(tmp_path / "anna", tmp_path / "out")


def grade_nothing(monkeypatch):
    """Leave a class run its files and its table, without sandbox, workers and page."""
    sandbox = contextlib.nullcontext(SimpleNamespace(warn=lambda: None))
    monkeypatch.setattr(class_run, "Sandbox", lambda folders: sandbox)
    monkeypatch.setattr(class_run.Worker, "begin", lambda self: True)
    monkeypatch.setattr(class_run.Worker, "finish", pretend_to_grade)
    monkeypatch.setattr(class_run.class_page, "render", lambda *a: "")


def pretend_to_grade(self, job):
    """What a worker does, without the tests."""
    built = report.build([]) | {"extra_data": {"content": job["content"], "seed": 1}}
    if job["page"]:
        report.write(job["page"], "a page")
    report.write_json(job["report"], built)
    return True


def test_one_unreadable_submission_does_not_stop_a_class(tmp_path, monkeypatch):
    copy_stubs(tmp_path / "in" / "a")
    copy_stubs(tmp_path / "in" / "b")
    real = class_run.submission.Folder

    def refuse(path):
        if path.name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(class_run.submission, "Folder", refuse)
    grade_nothing(monkeypatch)
    class_run.grade_all(tmp_path / "in", tmp_path / "out", 1, trained=False)
    assert len(rows(tmp_path / "out")) == 2


def test_machines_share_a_class_and_one_writes_its_tables(tmp_path, monkeypatch, capsys):
    for k in range(5):
        copy_stubs(tmp_path / "in" / f"s{k}")
    grade_nothing(monkeypatch)
    monkeypatch.setattr(class_run.class_page, "render", lambda *a: "a page")
    folder, out = tmp_path / "in", tmp_path / "out"
    class_run.grade_all(folder, out, 1, trained=False, shard=(1, 3))
    assert sorted(path.stem for path in (out / "reports").iterdir()) == ["s0", "s3"]
    assert not (out / "grades.csv").exists()
    with pytest.raises(SystemExit, match="3 of 5 submissions are not graded yet, such as 's1'"):
        class_run.merge(folder, out, trained=False)
    for which in (2, 3):
        class_run.grade_all(folder, out, 1, trained=False, shard=(which, 3))
    assert "Share 3 of 3 is graded; --merge writes the tables" in capsys.readouterr().out
    class_run.merge(folder, out, trained=False)
    assert sorted(rows(out)) == [f"s{k}" for k in range(5)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--all", "--shard", "3/2"), "'3/2' is no share; write 1/8 to 8/8."),
        (("--all", "--shard", "x"), "'x' is no share"),
        (("--merge",), "--shard and --merge are of a class; add --all."),
        (("--all", "--merge", "--shard", "1/2"), "leave one out"),
    ],
)
def test_a_share_that_cannot_be_is_one_sentence(tmp_path, capsys, options, sentence):
    with pytest.raises(SystemExit):
        commands.parse(["grade", str(tmp_path), *options])
    assert sentence in capsys.readouterr().err


def test_cells_that_a_spreadsheet_would_run():
    for cell in ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"):
        assert class_run.plain(cell)[0] == "'", repr(cell)
    assert class_run.plain(-1) == -1 and class_run.plain("ann") == "ann"
