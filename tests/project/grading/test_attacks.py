"""Every hostile submission ends in no points for it, a whole report and a grader that lives.

`pytest tests/project/grading/test_attacks.py -s` prints each attack by name.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder import board, harness, settings
from given.runtime.submission import PACKAGES, ROOT
from grading import grade
from grading.isolation import attempts, confine, runtime
from grading.isolation.sandbox import Sandbox
from tests.project.grading.attacks import ATTACKS, FAMILIES, HUNGRY, OU_LINE, SLOW

SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lock")
TIGHT = {"SECONDS": 1, "WAITING": 4, "MEMORY_MB": 400, "OUTPUT_MB": 2, "FILES_MB": 8}
SOLUTION = (ROOT / "solutions" / "sde_todo" / "sde.py").read_text(encoding="utf-8")
survived = {}


@pytest.fixture(scope="module")
def sandbox():
    """One for all attacks, so that each would find what another left."""
    with Sandbox() as made:
        yield made
        assert made.weaknesses() == [] or not is_tight()
    for name, outcome in survived.items():
        print(f"\n  {name:<55}{outcome}", end="")
    print(f"\n{sum(v == 'survived' for v in survived.values())} of {len(survived)} survived.")


def is_tight():
    """Whether this machine has what the isolation is made of."""
    return confine.LINUX and os.getuid() == 0 and can_unshare()


def can_unshare():
    """Whether a child may enter a process namespace."""
    child = os.fork()
    if child == 0:
        os._exit(confine.libc.unshare(confine.CLONE_NEWPID | confine.CLONE_NEWNET) != 0)
    return os.waitpid(child, 0)[1] == 0


def chosen_tests(*names):
    """Graded tests by name, in the order of the names."""
    known = {test.__name__: test for test in harness.graded_tests()}
    return [known[name] for name in names]


def write_submission(folder, attack):
    """The two modules that the tests here use, one of them hostile, and what else it brings."""
    for name in ("sde_todo/sde.py", "image_diffusion/scheduler.py"):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / "solutions" / name, folder / name)
    (folder / "sde_todo" / "sde.py").write_text(attack.source(SOLUTION), encoding="utf-8")
    for name, data in attack.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, tuple):
            path.symlink_to(data[1])
        else:
            path.write_bytes(data if isinstance(data, bytes) else data.encode())


def hash_of_course():
    """A hash of everything that a submission might want to change."""
    found = hashlib.sha256()
    for folder in ("solutions", *PACKAGES):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def processes_of(uid):
    """Processes of a user."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == uid:
                found.append(name)
    return found


def files_of(uid):
    """Files of a user in the folders that everybody may write to, and ones named after attacks."""
    found = []
    for folder in filter(os.path.isdir, SHARED):
        for item in os.scandir(folder):
            with contextlib.suppress(OSError):
                if item.stat(follow_symlinks=False).st_uid == uid or item.name in (
                    "left-over",
                    "evil",
                ):
                    found.append(item.path)
    return found


def assert_whole(report, planned):
    """The report has every planned test once, with points that are possible, as plain JSON."""
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report
    assert [test["name"].rpartition(": ")[2] for test in report["tests"]] == planned
    for test in report["tests"]:
        assert test["score"] in (0, test["max_score"])
        assert (test["score"] > 0) == (test["status"] == "passed")
        assert len(test["output"]) < 3000
        assert not any(sign in test["output"] for sign in "\x1b\x07\x9b\0\r\u202e")
    assert report["score"] == sum(test["score"] for test in report["tests"])


@pytest.fixture
def planned(monkeypatch):
    """Few tests: one before and one after the attacked one, and one of another module."""
    planned = ["OUCoefficients", "OUMarginal", "Betas"]
    chosen = chosen_tests(*planned)
    monkeypatch.setattr(harness, "graded_tests", lambda: chosen)
    monkeypatch.setattr(settings, "LIMITS", settings.LIMITS | {"SECONDS": 10})
    return planned


QUICK = [name for family in FAMILIES for name in list(family)[:3]]  # all take a minute and a half


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ATTACKS],
)
def test_attack(name, sandbox, planned, tmp_path, monkeypatch):
    attack, before = ATTACKS[name], hash_of_course()
    if attack.harms and not is_tight():
        pytest.skip("this could do damage here: the isolation lacks something")
    if attack.kind in (SLOW, HUNGRY):
        monkeypatch.setattr(grade.Run, "limits", lambda *_: settings.LIMITS | TIGHT)
    survived[name] = "NOT SURVIVED"
    write_submission(tmp_path / "in", attack)
    start = time.monotonic()
    report, graded, _ = grade.grade(tmp_path / "in", sandbox, trained=False)
    assert_whole(report, planned)
    points = {test["name"].rpartition(": ")[2]: test["score"] for test in report["tests"]}
    assert points[attack.task] == 0, "the attack has won points"
    assert points["Betas"] == 4, "a test of another module suffers from the attack"
    assert "\x1b" not in board.render(graded)
    assert processes_of(sandbox.uid) == [] and files_of(sandbox.uid) == []
    assert hash_of_course() == before
    said = next(test["output"] for test in report["tests"] if test["name"].endswith(attack.task))
    said = said.splitlines()[1:] or said.splitlines()
    survived[name] = "survived"
    print(f"\n   {time.monotonic() - start:.1f} s  {' '.join(said)[:150]}", end=" ")


def test_the_healthy_code_has_its_points(sandbox, planned, tmp_path):
    class Healthy:
        source, files = staticmethod(lambda text: text), {}

    write_submission(tmp_path / "in", Healthy)
    report, _, _ = grade.grade(tmp_path / "in", sandbox, trained=False)
    assert all(test["status"] == "passed" for test in report["tests"]), report


THIEF = """
import os, sys, torch
for place in sys.argv[1:]:
    if not (child := os.fork()):
        sys.path.insert(0, place)
        import sde
        mean, _ = sde.OU().marginal_prob(torch.ones(2), torch.ones(2, 2))
        os._exit(mean.sum().item() > 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_thefts_succeed_where_nothing_holds_them(tmp_path):
    """Else they would prove nothing: run as plain processes here, they find their answers."""
    names = [name for name, attack in ATTACKS.items() if attack.own]
    for k, name in enumerate(names):
        write_submission(tmp_path / str(k), ATTACKS[name])
    places = [tmp_path / str(k) / "sde_todo" for k in range(len(names))]
    command = [sys.executable, "-c", THIEF, *places]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    found = dict(zip(names, done.stdout.split(), strict=True))
    assert set(found.values()) == {"1"}, found


def test_answers_beside_the_tree_cannot_be_read(sandbox, planned, tmp_path):
    """Where checkpoints are graded, a copy of the solutions lies in the sandbox's own folder."""
    write_submission(tmp_path / "in", ATTACKS["its own folder's neighbours"])
    shutil.copytree(ROOT / "solutions", sandbox.box / "other" / "course")
    try:
        report, _, _ = grade.grade(tmp_path / "in", sandbox, trained=False)
    finally:
        shutil.rmtree(sandbox.box / "other")
    assert report["score"] == sum(t["score"] for t in report["tests"] if "Marg" not in t["name"])


def test_runtime_holds_no_answer(tmp_path):
    runtime.build(tmp_path)
    texts = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.py")}
    assert len(texts) > 30
    for path, text in texts.items():
        if path.parent.name.startswith("task") or path.name == "settings.py":
            assert not any(f"    def {half}(" in text for half in runtime.HALVES_AT_HOME), path
    for line in solution_lines():
        for path, text in texts.items():
            assert line not in text, f"{path.relative_to(tmp_path)} shows {line!r}"


def solution_lines():
    """The lines in the solution regions, but short ones, which say nothing by themselves."""
    for path in sorted((ROOT / "solutions").rglob("*.py")):
        inside = False
        for line in path.read_text(encoding="utf-8").splitlines():
            line = line.strip()
            inside = line.startswith("# BEGIN SOLUTION") or (inside and "END SOLUTION" not in line)
            if inside and len(line) > 30 and not line.startswith(("#", "raise", "for", "if")):
                yield line


def test_isolation_can_fail():
    """Each attempt of the self-test succeeds in a plain process."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        place, port = str(ROOT), server.getsockname()[1]
        grader = os.getpid()
        for name, attempt in attempts.ATTEMPTS.items():
            if name != "change_runtime" and (name != "read_memory" or os.getuid() == 0):
                attempt(place, port, grader)


def test_isolation_holds_here(sandbox):
    if not is_tight():
        pytest.skip("this needs root and Linux namespaces")
    assert sandbox.weaknesses() == []


def test_attacks_are_many():
    assert len(ATTACKS) >= 40
    assert SOLUTION.count(OU_LINE) == 1
    assert Path("/proc").exists() or not confine.LINUX


# What holds where the system lacks something, as root in a usual container.

LEVELS = {
    "no namespaces": {"libc.unshare(CLONE_NEWPID) == 0": "False"},
    "no Landlock": {"    if version < 1:": "    if True:"},
    "another user alone": {
        "libc.unshare(CLONE_NEWPID) == 0": "False",
        "    if version < 1:": "    if True:",
    },
}
HOLDS_ANYWHERE = (
    "a process that outlives it",
    "daemons that answer for later tests",
    "a daemon that outlives it and kills",
    "kill(-1)",
    "kills its parent and its group",
    "writes into the given modules and the runtime",
    "a folder 5000 levels deep",
    "fills the disk with many files",
    "children that loop",
    "memory of its parents",
)


SLOW_LEVELS = [pytest.param(name, marks=pytest.mark.slow) for name in list(LEVELS)[1:]]


@pytest.fixture(scope="module", params=["no namespaces", *SLOW_LEVELS])
def weaker_sandbox(request):
    """A sandbox whose runtime believes that the system lacks something."""
    if os.getuid() != 0:
        pytest.skip("another user needs root")
    with Sandbox() as made:
        file = made.box / "runtime" / "grading" / "isolation" / "confine.py"
        text = file.read_text(encoding="utf-8")
        for old, new in LEVELS[request.param].items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")
        print(f"\n{request.param}: {made.weaknesses()}")
        yield made


@pytest.mark.parametrize(
    "name",
    [*HOLDS_ANYWHERE[:3], *(pytest.param(n, marks=pytest.mark.slow) for n in HOLDS_ANYWHERE[3:])],
)
def test_attack_where_something_lacks(name, weaker_sandbox, planned, tmp_path, monkeypatch):
    attack = ATTACKS[name]
    if attack.kind in (SLOW, HUNGRY):
        monkeypatch.setattr(grade.Run, "limits", lambda *_: settings.LIMITS | TIGHT)
    write_submission(tmp_path / "in", attack)
    report, _, _ = grade.grade(tmp_path / "in", weaker_sandbox, trained=False)
    assert_whole(report, planned)
    points = {test["name"].rpartition(": ")[2]: test["score"] for test in report["tests"]}
    assert (points[attack.task], points["Betas"]) == (0, 4)
    assert processes_of(weaker_sandbox.uid) == []
