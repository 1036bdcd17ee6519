"""The zip for Gradescope, and a replay of what happens in its container."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from autograder import harness, settings
from given.runtime.submission import ROOT
from grading import late
from grading.grade import is_trained
from grading.release import gradescope, package, results_format

METADATA = {
    "id": 1,
    "created_at": "2026-03-02T12:00:00.000000-08:00",
    "assignment": {"due_date": "2026-03-01T23:00:00.000000-08:00", "total_points": "200.0"},
    "users": [{"email": "a@example.com", "id": 1, "name": "A"}],
    "previous_submissions": [],
}
GRADED = {"score": 10, "tests": [{"score": 10, "max_score": 10, "name": "a", "output": "Right."}]}


@pytest.fixture
def autograder(tmp_path):
    """A folder laid out like Gradescope's /autograder, with an empty submission."""
    for name in ("source", "submission", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "submission_metadata.json").write_text(json.dumps(METADATA))
    return tmp_path


@pytest.fixture
def graded(monkeypatch):
    """A stand-in for the grader: a function to call with what `grade` is to do; a policy is set."""
    late_policy = {"PER_DAY": 0.1, "GRACE_MINUTES": 15, "LAST_DAY": 7}
    monkeypatch.setattr(settings, "LATE", late_policy)
    monkeypatch.setattr(settings, "ATTEMPTS", None)

    def stand_in(action):
        monkeypatch.setattr("grading.grade.grade", action)

    return stand_in


def result_of(autograder):
    result = json.loads((autograder / "results" / "results.json").read_text("utf-8"))
    assert results_format.problems(result) == []
    assert result["stdout_visibility"] == "hidden"
    return result


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return package.gradescope(tmp_path_factory.mktemp("zip") / "autograder.zip")


def run_script(autograder, archive, python=sys.executable):
    """Unpack the zip as Gradescope does and run its run_autograder."""
    source = autograder / "source"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(source)
    shutil.copy(source / "run_autograder", autograder)
    (autograder / "run_autograder").chmod(0o755)
    source.chmod(0o700)  # as setup.sh does
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTEST"))}
    return subprocess.run(
        [autograder / "run_autograder"],
        cwd=autograder,
        env=kept | {"AUTOGRADER_ROOT": str(autograder), "AUTOGRADER_PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_zip_has_what_gradescope_needs(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        infos = {info.filename: info for info in opened.infolist()}
        for name in ("setup.sh", "run_autograder"):
            assert infos[name].external_attr >> 16 == 0o100755
            text = opened.read(name)
            assert text.startswith(b"#!/usr/bin/env bash\n") and b"\r" not in text
            assert b"/autograder}" in text and b"set -euo pipefail" in text
            subprocess.run(["bash", "-n"], input=text, check=True)
        setup = opened.read("setup.sh").decode()
        assert b"HIDDEN" in opened.read("course/autograder/settings.py")
        stub = opened.read("course/sde_todo/sde.py")
    assert {name.partition("/")[0] for name in infos} == {
        "setup.sh",
        "run_autograder",
        "README.txt",
        "course",
    }
    assert b"raise NotImplementedError" in stub
    assert "course/solutions/sde_todo/sde.py" in infos and "course/grading/grade.py" in infos
    assert not [name for name in infos if "tests/project" in name or "_cache" in name]
    assert "https://download.pytorch.org/whl/cpu torch==" in setup
    assert 'chmod go-rwx "$root/source"' in setup
    assert not [name for name in ("jupyter", "nbval", "pytest", "ruff") if name in setup]
    assert package.gradescope(tmp_path / "b.zip").read_bytes() == archive.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="setup.sh runs as root")
def test_setup_closes_the_source_and_pins_what_it_installs(autograder, archive):
    """Run setup.sh with stand-ins for what installs."""
    tools, source = autograder / "tools", autograder / "source"
    tools.mkdir()
    log = f'echo "$(basename "$0") $*" >>{autograder}/log\n'
    venv = f'[ "$2" != venv ] || {{ mkdir -p "$3/bin"; cp {tools}/pip {tools}/python "$3/bin"; }}\n'
    python = f'exec {sys.executable} "$@"\n'
    for name, rest in {"apt-get": log, "pip": log, "python3": log + venv, "python": python}.items():
        (tools / name).write_text(f"#!/usr/bin/env bash\n{rest}")
        (tools / name).chmod(0o755)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(source)
    place = {"AUTOGRADER_ROOT": str(autograder), "AUTOGRADER_VENV": str(autograder / "venv")}
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", source / "setup.sh"], env=os.environ | place | path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    calls = (autograder / "log").read_text().splitlines()
    installed = [word for call in calls for word in call.split() if "==" in word]
    assert [pin.partition("==")[0] for pin in installed[:2]] == ["torch", "torchvision"]
    assert set(installed) <= set(pins.split()) and len(installed) > 5
    assert source.stat().st_mode & 0o777 == 0o700
    given = source / "course" / "sde_todo" / "dataset.py"
    assert given.stat().st_mode & 0o777 == 0o644


def test_only_a_zip_and_only_a_policy_that_makes_sense(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="zip"):
        package.gradescope(tmp_path / "folder")
    monkeypatch.setattr(settings, "ATTEMPTS", 0)
    with pytest.raises(ValueError, match="ATTEMPTS"):
        package.gradescope(tmp_path / "a.zip")


@pytest.mark.slow
def test_replay_of_a_submission(autograder, archive):
    """One right module of many, a day late, graded by the real grader."""
    (autograder / "submission" / "sde_todo").mkdir()
    shutil.copy(ROOT / "solutions/sde_todo/sde.py", autograder / "submission" / "sde_todo")
    done = run_script(autograder, archive)
    assert done.returncode == 0, done.stderr
    result = result_of(autograder)
    assert result["output"] != gradescope.FAILED, done.stderr
    every = [test for test in harness.graded_tests() if settings.TRAINED or not is_trained(test)]
    assert len(result["tests"]) == len(every)
    points = {test["number"]: test["score"] for test in result["tests"]}
    assert points["1.1a"] and points["1.1g"] and not points["1.2e"] and not points.get("1.4a")
    earned = {"score": sum(test["score"] for test in result["tests"])}
    policy = settings.LATE, settings.ATTEMPTS
    assert result["score"] == pytest.approx(late.adjust(earned, METADATA, *policy)["score"])


def test_without_python_there_is_still_a_result(autograder, archive):
    done = run_script(autograder, archive, python="/nowhere/python")
    assert done.returncode == 0
    result = result_of(autograder)
    assert result["score"] == 0 and result["output"] == gradescope.FAILED
    assert [path.name for path in (autograder / "results").iterdir()] == ["results.json"]


def test_the_grade_is_written_with_the_late_policy(autograder, graded):
    graded(lambda path, trained: (dict(GRADED), [], 1))
    gradescope.run(autograder)
    result = result_of(autograder)
    assert result["score"] == pytest.approx(9) and "Late: 1 day" in result["output"]
    assert result["tests"] == GRADED["tests"]


@pytest.mark.parametrize(
    "answer",
    [
        ({"score": float("nan")}, [], 1),
        ({"score": 1, "secret": "x"}, [], 1),
        ({"tests": []}, [], 1),
        None,
    ],
)
def test_a_report_that_does_not_fit_is_not_written(autograder, graded, answer, capfd):
    graded(lambda path, trained: answer)
    gradescope.run(autograder)
    assert result_of(autograder) == gradescope.failure()
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, MemoryError])
def test_a_grader_that_fails_gives_zero_and_says_so(autograder, graded, error, capfd):
    def fail(path, trained):
        print("something of the submission")
        raise error("detail")

    graded(fail)
    gradescope.run(autograder)
    result = result_of(autograder)
    assert result["score"] == 0 and "tell your instructor" in result["output"]
    assert "detail" not in json.dumps(result) and "something" not in json.dumps(result)
    assert "detail" in capfd.readouterr().err


def test_no_submission_folder_is_a_failure(autograder, graded, capfd):
    graded(lambda path, trained: (dict(GRADED), [], 1))
    (autograder / "submission").rmdir()
    gradescope.run(autograder)
    assert result_of(autograder) == gradescope.failure()
    assert "there is no folder" in capfd.readouterr().err


@pytest.mark.parametrize("text", [None, "", "{", "[]"])
def test_metadata_that_cannot_be_read_costs_nothing(autograder, graded, text):
    graded(lambda path, trained: (dict(GRADED), [], 1))
    path = autograder / "submission_metadata.json"
    path.unlink() if text is None else path.write_text(text)
    gradescope.run(autograder)
    result = result_of(autograder)
    assert result["score"] == 10 and "tell your instructor" in result["output"]


def test_a_submission_too_many_is_not_graded(autograder, graded, monkeypatch):
    graded(lambda path, trained: pytest.fail("graded"))
    monkeypatch.setattr(settings, "ATTEMPTS", 1)
    earlier = [{"submission_time": "2026-02-01T12:00:00.0-08:00", "score": "7.5", "results": {}}]
    metadata = METADATA | {"previous_submissions": earlier}
    (autograder / "submission_metadata.json").write_text(json.dumps(metadata))
    gradescope.run(autograder)
    result = result_of(autograder)
    assert result["score"] == 7.5 and "stays" in result["output"]


def test_a_failure_can_be_told_from_a_zero():
    entry = {"submission_time": "2026-02-01T12:00:00Z", "score": 0.0}
    earlier = [entry | {"results": gradescope.failure()}]
    assert late.kept_score(METADATA | {"previous_submissions": earlier}, 1) is None
    assert late.kept_score(METADATA | {"previous_submissions": [entry]}, 1) == 0


def test_constraints_without_torch_are_refused():
    with pytest.raises(ValueError, match="torchvision"):
        gradescope.scripts("torch==2.12.1\n")
