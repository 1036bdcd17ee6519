"""What students get: the right files, no answer, and a workflow for GitHub."""

import base64
import json
import os
import re
import subprocess
import sys
import zipfile

import pytest

from autograder import classroom
from autograder.harness import Result
from autograder.tasks import PACKAGES, all_tasks
from given.runtime.submission import ROOT, TODO_MODULES
from grading.release import package, stubs


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    return package.student(tmp_path_factory.mktemp("student") / "course")


@pytest.fixture
def tree():
    return package.student_tree()


def run_there(folder, *arguments, **environment):
    """Run Python in an unpacked package: its own modules come first, not those of this course."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTEST", "GITHUB"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_module_of_a_students_rooms_is_in_the_package_or_known_to_stay(tree):
    rooms = ("given", "experiments", "autograder", "tests/task1", "tests/task2", *TODO_MODULES)
    here = {p.relative_to(ROOT).as_posix() for room in rooms for p in (ROOT / room).rglob("*.py")}
    there = {name for name in tree if name.endswith(".py")}
    assert here - there == {"autograder/__main__.py", "autograder/classroom.py"}
    assert there - here == {"tests/__init__.py"}


def test_no_answer_and_nothing_of_the_instructor(unpacked):
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    assert {"README.md", "Makefile", "LICENSE", "pyproject.toml", "sde_todo/sde.py"} <= names
    theirs = r"solutions|grading|project/|benchmarks|results|classroom|\.git$|\.github|_cache|\.pyc"
    assert not [name for name in names if re.search(theirs, name)]
    for package_name, modules in TODO_MODULES.items():
        for module in modules:
            text = (unpacked / package_name / f"{module}.py").read_text(encoding="utf-8")
            assert "raise NotImplementedError" in text
            assert "BEGIN SOLUTION" not in text


def test_the_readme_speaks_to_a_student(unpacked):
    text = (unpacked / "README.md").read_text(encoding="utf-8")
    assert "## If you are a student" in text
    assert "python -m sde_todo check" in text
    assert not re.search(r"instructor|If you are a reader|solutions/|make demo|make test", text)
    for name in re.findall(r"\]\(([\w/.]+)\)", text):
        assert (unpacked / name).is_file()


@pytest.mark.parametrize(("part", "name"), PACKAGES.items())
def test_the_tasks_are_listed_for_a_student(unpacked, part, name):
    text = (unpacked / name / "README.md").read_text(encoding="utf-8")
    own = [
        task for task in all_tasks() if task[0] == {"sde_todo": "1", "image_diffusion": "2"}[name]
    ]
    assert re.findall(r"^\| (\d\.\d[a-z]) \|", text, flags=re.MULTILINE) == own
    assert "100 points" in text and not re.search(r"instructor|solutions\b", text)


def test_a_readme_for_students_speaks_of_what_they_get():
    with pytest.raises(ValueError, match=r"README.md mentions 'solutions' .* \(line 2 there\)"):
        package.check_words("README.md", "Fine.\nSee solutions/.\n")


def test_the_makefile_has_the_targets_that_work(unpacked):
    text = (unpacked / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", text, flags=re.MULTILINE)
    assert targets == ["help", "grade", "lab", "clean"]
    assert set(re.findall(r"make (\w+)", text)) == {"grade", "lab"}
    assert not re.search(r"solutions|tests|grading|ruff", text)
    done = subprocess.run(["make", "-n", "grade"], cwd=unpacked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_autograder_runs_there_and_sees_open_tasks(unpacked):
    done = run_there(unpacked, "-m", "pytest", "-q", "tests/task1/test_sde.py")
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "Traceback" not in output and "WRONG" not in output
    assert re.search(r"^0 of \d+ points", output, flags=re.MULTILINE), output
    assert "1.1a" in output and "TODO" in output
    assert str(ROOT) not in output


def test_solutions_that_are_not_there_get_one_line(unpacked):
    done = run_there(unpacked, "-m", "pytest", "--solutions")
    assert done.returncode == 4
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1


def test_a_zip_is_the_same_each_time(tmp_path):
    first = package.student(tmp_path / "a.zip").read_bytes()
    assert first == package.student(tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {package.FOLDER}
        assert archive.testzip() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip"]


def test_stubs_come_from_the_solutions_not_from_the_working_tree(tree):
    assert tree["sde_todo/sde.py"].decode() == stubs.stubs()["sde_todo/sde.py"]


def long_lines(name, task):
    """The lines of a solution that count, by the name of the module and the task."""
    regions = package._regions()
    return next(lines for key, lines in regions.items() if key.startswith(f"{task} ({name}"))


OTHER_FILES = ("README.md", "notebooks/DDPM.ipynb", "autograder/settings.py")


@pytest.mark.parametrize(
    "name", ["sde_todo/loss.py", *(pytest.param(n, marks=pytest.mark.slow) for n in OTHER_FILES)]
)
def test_one_line_of_a_solution_is_refused(tree, name):
    assert package.leaks(tree) == []
    line = min(long_lines("sde_todo/sde.py", "1.1g"))
    if name.endswith(".ipynb"):
        book = json.loads(tree[name])
        book["cells"][-1]["source"] = ["x = 1\n", f"    {line}"]
        tree[name] = json.dumps(book).encode()
    else:
        tree[name] += f"\n        {line}\n".encode()
    assert package.leaks(tree)[0].startswith(f"{name} holds {line!r} of solution 1.1g")


def test_two_lines_of_one_solution_are_refused_in_a_test(tree):
    lines = sorted(long_lines("sde_todo/sde.py", "1.1g"))
    tree["autograder/standins.py"] += f"\n{lines[0]}\n".encode()
    assert package.leaks(tree) == []
    tree["autograder/standins.py"] += f"\n{lines[1]}\n".encode()
    assert "autograder/standins.py" in package.leaks(tree)[0]


def test_a_hidden_line_or_a_mark_is_refused(tree):
    source = (ROOT / "autograder/settings.py").read_text(encoding="utf-8")
    hidden = re.search(r"^LATE = .*", source, flags=re.MULTILINE)[0]
    assert b"LATE" not in tree["autograder/settings.py"]
    tree["autograder/board.py"] += f"\n{hidden}\n".encode()
    assert "hidden settings" in package.leaks(tree)[0]
    tree["autograder/board.py"] = b"# END SOLUTION\n"
    assert "mark" in package.leaks(tree)[0]


def test_a_leak_means_that_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "leaks", lambda tree: ["a", "b"])
    with pytest.raises(ValueError, match="give answers away: a and 1 more"):
        package.student(tmp_path / "s.zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["X = 1\n", "# BEGIN HIDDEN\nX = 1\n", "# END HIDDEN\n"])
def test_settings_without_proper_marks_are_refused(text):
    with pytest.raises(ValueError, match="HIDDEN"):
        package.student_settings(f'"""Doc."""\n{text}')


def test_a_missing_or_linked_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="LICENSE belongs to the package"):
        package._read(tmp_path, "LICENSE")
    (tmp_path / "LICENSE").symlink_to(ROOT / "LICENSE")
    with pytest.raises(ValueError, match="link"):
        package._read(tmp_path, "LICENSE")


def test_a_place_that_is_taken_is_refused_and_kept(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="no empty folder"):
        package.student(tmp_path / "work")
    with pytest.raises(ValueError, match="cannot be written"):
        package.student(tmp_path / "work" / "mine.txt" / "s.zip")
    assert [path.name for path in tmp_path.rglob("*")] == ["work", "mine.txt"]


def test_the_workflow_has_a_step_for_each_task_and_what_the_reporter_needs(tmp_path):
    yaml = pytest.importorskip("yaml")
    folder = package.classroom(tmp_path / "classroom")
    workflow = yaml.safe_load((folder / ".github/workflows/classroom.yml").read_text("utf-8"))
    assert workflow["name"] == "Autograding Tests"
    assert workflow["permissions"] == {"actions": "read", "contents": "read"}
    (name, job), *others = workflow["jobs"].items()
    assert name == "run-autograding-tests" and not others
    steps = {step["id"]: step for step in job["steps"] if "id" in step}
    assert [f"task-{task.replace('.', '-')}" for task in classroom.tasks()] == list(steps)
    assert all(step["continue-on-error"] and step["timeout-minutes"] for step in steps.values())
    reporter = job["steps"][-1]
    runners = reporter["with"]["runners"].split(",")
    assert {f"{runner.upper()}_RESULTS" for runner in runners} == set(reporter["env"])
    optional = [task for task, card in all_tasks().items() if card.optional]
    assert not [task for task in optional if f"task-{task.replace('.', '-')}" in runners]
    for runner in runners:
        value = reporter["env"][f"{runner.upper()}_RESULTS"]
        output, encoded = re.fullmatch(r"\$\{\{ (\S+) \|\| '(\S+)' \}\}", value).groups()
        assert output == f"steps.{runner}.outputs.result"
        assert_for_the_reporter(json.loads(base64.b64decode(encoded)), passed=False)
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@v\d+", action) for action in actions)


def assert_for_the_reporter(data, passed):
    """What the reporter's source reads: every score a number, and the words of `status`."""
    assert set(data) == {"version", "status", "max_score", "tests"}
    assert data["version"] == 1 and data["max_score"] > 0
    assert data["status"] == ("pass" if passed else "fail")
    for test in data["tests"]:
        assert test["status"] in ("pass", "fail")
        assert isinstance(test["score"], (int, float)) and test["name"]
        assert (test["message"] is None) == (test["status"] == "pass")
    score = sum(test["score"] for test in data["tests"])
    assert (score == data["max_score"]) == passed


@pytest.mark.parametrize("passed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_step_writes_its_result(tmp_path, passed):
    output, summary = tmp_path / "output", tmp_path / "summary"
    done = run_there(
        ROOT,
        *("-m", "autograder", "1.1a"),
        COURSE=str(ROOT / "solutions") if passed else "",
        GITHUB_OUTPUT=str(output),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.returncode == (not passed), done.stderr
    name, _, encoded = output.read_text().strip().partition("=")
    assert name == "result"
    assert_for_the_reporter(json.loads(base64.b64decode(encoded)), passed)
    assert " points" in summary.read_text() and " points" in done.stdout


def test_a_task_in_part_gets_part_of_its_points(monkeypatch):
    verdicts = iter([Result("done"), Result("wrong", "no")])
    monkeypatch.setattr(classroom.harness, "run", lambda test: next(verdicts))
    tests = classroom.tests_of("1.1a")
    data = classroom.result(tests, [classroom.run(test) for test in tests])
    assert_for_the_reporter(data, passed=False)
    assert 0 < sum(test["score"] for test in data["tests"]) < data["max_score"]


def test_an_unknown_task_gets_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["classroom", "9.9z"])
    with pytest.raises(SystemExit, match=r"no task '9.9z'. Tasks: 1.1a, "):
        classroom.main()
