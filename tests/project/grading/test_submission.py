"""What is handed in may be anything: a clear line for the student, and the rest is graded."""

import json
import os
import shutil
import stat
import subprocess
import time
import zipfile

import pytest

from autograder import harness, settings
from given.runtime.submission import ROOT
from grading import grade, submission
from grading.isolation import arrays
from grading.isolation.sandbox import Sandbox
from tests.project.trees import course_tree

SDE = "sde_todo/sde.py"
SCHEDULER = "image_diffusion/scheduler.py"
ATTACKED, HEALTHY = "OUMarginal", "Betas"


@pytest.fixture(scope="module")
def sandbox():
    """One for all submissions here."""
    with Sandbox() as made:
        yield made


@pytest.fixture(autouse=True)
def few_tests(monkeypatch):
    """A test of each of two modules."""
    known = {test.__name__: test for test in harness.graded_tests()}
    chosen = [known["OUMarginal"], known["Betas"]]
    monkeypatch.setattr(harness, "graded_tests", lambda: chosen)
    monkeypatch.setattr(settings, "LIMITS", settings.LIMITS | {"SECONDS": 5, "OUTPUT_MB": 1})


def solution(file):
    """The text of a module of the solutions."""
    return (ROOT / "solutions" / file).read_text(encoding="utf-8")


def folder_with(place, **files):
    """A submission of the solutions; `sde=...` is bytes or a text instead of sde.py."""
    for file in (SDE, SCHEDULER):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(solution(file), encoding="utf-8")
    if "sde" in files:
        data = files["sde"]
        (place / SDE).write_bytes(data if isinstance(data, bytes) else data.encode())
    return place


def zip_with(path, members, kind=zipfile.ZIP_DEFLATED):
    """A zip of {name: text}; returns its path."""
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def both(top=""):
    """The members of a good zip."""
    return {f"{top}{file}": solution(file) for file in (SDE, SCHEDULER)}


def outcome(path, sandbox):
    """{test: (its points, what the student reads)}, and the text of the whole report."""
    report, _, _ = grade.grade(path, sandbox, trained=False)
    json.dumps(report, allow_nan=False)
    found = {t["name"].rpartition(": ")[2]: (t["score"], t["output"]) for t in report["tests"]}
    return found, report.get("output", "")


def assert_only_sde_fails(path, sandbox, said):
    """Betas has its points, OUMarginal none, and the student reads `said`."""
    found, notes = outcome(path, sandbox)
    assert found[HEALTHY][0] == 4, found
    assert found[ATTACKED][0] == 0
    assert said in found[ATTACKED][1], found[ATTACKED][1]
    assert found[ATTACKED][1].count("\n") < 4 and "Traceback" not in notes


def assert_right(path, sandbox, note=""):
    """Both tests have their points, and the student reads `note`."""
    found, notes = outcome(path, sandbox)
    assert found[HEALTHY][0] == 4 and found[ATTACKED][0] == 3, found
    assert note in notes


def assert_unreadable(path, sandbox, said):
    """No points, and the same clear line everywhere."""
    found, notes = outcome(path, sandbox)
    assert all(points == 0 and said in output for points, output in found.values()), found
    assert said in notes


# What the whole submission may be.


def test_empty_folder(sandbox, tmp_path):
    assert_unreadable(tmp_path, sandbox, "holds none of the files to hand in: sde_todo/sde.py")


def test_nothing_there(sandbox, tmp_path):
    assert_unreadable(tmp_path / "no", sandbox, "There is no folder or zip no.")


def test_empty_zip(sandbox, tmp_path):
    path = zip_with(tmp_path / "a.zip", {})
    assert_unreadable(path, sandbox, "holds none of the files to hand in")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\3\4" + bytes(100), b"PK\5\6" + b"\xff" * 18])
def test_no_zip(data, sandbox, tmp_path):
    (tmp_path / "a.zip").write_bytes(data)
    assert_unreadable(tmp_path / "a.zip", sandbox, "zip")


def test_link_as_submission(sandbox, tmp_path):
    (tmp_path / "a").symlink_to(ROOT / "solutions")
    assert_unreadable(tmp_path / "a", sandbox, "There is no folder or zip")


def test_zip_of_too_many_entries(sandbox, tmp_path):
    path = zip_with(tmp_path / "a.zip", both() | {f"x/{k}": "" for k in range(21_000)})
    assert_unreadable(path, sandbox, "more than 20,000")


def test_folder_of_too_many_files(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MEMBERS", 20)
    for k in range(30):
        (tmp_path / str(k)).touch()
    assert_unreadable(tmp_path, sandbox, "more than 20 files")


def test_damaged_zips_are_unreadable_or_read(tmp_path):
    """Any byte may be wrong: either it is read, or refused as unreadable, and nothing else."""
    import random

    rng, good = random.Random(0), zip_with(tmp_path / "a.zip", both()).read_bytes()
    for _ in range(400):
        data = bytearray(good)
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.choice((rng.randrange(len(data)), -rng.randrange(1, 180)))] = rng.randrange(
                256
            )
        (tmp_path / "a.zip").write_bytes(data[: rng.choice((None, rng.randrange(len(data))))])
        try:
            submission.read(tmp_path / "a.zip")
        except submission.Unreadable as error:
            assert len(str(error)) < 1000


# What a zip may hold.


@pytest.mark.slow
def test_zip_bomb(sandbox, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(SDE, "w", force_zip64=True) as file:
            for _ in range(64):
                file.write(bytes(1 << 22))
        archive.writestr(SCHEDULER, solution(SCHEDULER))
    start = time.process_time()
    assert_only_sde_fails(tmp_path / "a.zip", sandbox, "sde_todo/sde.py is longer than 1 MB")
    assert time.process_time() - start < 10


def test_zip_in_a_zip(sandbox, tmp_path):
    inner = zip_with(tmp_path / "inner.zip", both()).read_bytes()
    path = zip_with(tmp_path / "a.zip", {"inner.zip": inner})
    assert_unreadable(path, sandbox, "holds none of the files to hand in")
    assert_unreadable(path, sandbox, "It holds inner.zip: hand in what is in there.")


@pytest.mark.parametrize("name", ["sde (1).py", "Sde.py", "doe_jane_17_sde-1.py", "sde.py.txt"])
def test_renamed_module_is_named(name, tmp_path):
    path = zip_with(
        tmp_path / "a.zip", {f"sde_todo/{name}": "", SCHEDULER: "", "test_vesde.py": ""}
    )
    _, problems, _ = submission.read(path)
    said = f"{SDE} is not in the submission, but sde_todo/{name} is: it must be called sde.py."
    assert problems[SDE] == said
    assert problems["sde_todo/loss.py"] == "sde_todo/loss.py is not in the submission."


WAYS_OUT = ("../sde_todo/sde.py", "x/../../sde_todo/sde.py", "/sde_todo/sde.py", "//x/y/sde.py")
WAYS_OUT += ("C:/sde_todo/sde.py", "c:sde_todo/sde.py")


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("name", WAYS_OUT)
def test_no_member_leads_out(name, back, tmp_path):
    name = name.replace("/", "\\") if back else name
    assert submission.member_path(name) is None
    path = zip_with(tmp_path / "a.zip", {name: "x", f"samples{name}": "x"})
    assert not [m for m in submission.open_submission(path).members if ".." in m.parts]


@pytest.mark.parametrize("name", WAYS_OUT[::2] + tuple(n.replace("/", "\\") for n in WAYS_OUT[::2]))
def test_zip_with_ways_out(name, sandbox, tmp_path):
    path = zip_with(tmp_path / "a.zip", {SCHEDULER: solution(SCHEDULER), name: solution(SDE)})
    assert_only_sde_fails(path, sandbox, "sde_todo/sde.py is not in the submission")
    assert not (tmp_path.parent / "sde_todo").exists()


def test_zip_of_powershell(sandbox, tmp_path):
    """Its names are separated by backslashes; so are those of files that unzip leaves of it."""
    members = {name.replace("/", "\\"): text for name, text in both("my work/").items()}
    assert_right(zip_with(tmp_path / "a.zip", members | {"my work\\": ""}), sandbox)
    (tmp_path / "unpacked").mkdir()
    for name, text in members.items():
        (tmp_path / "unpacked" / name).write_text(text, encoding="utf-8")
    assert_right(tmp_path / "unpacked", sandbox)


@pytest.mark.parametrize("junk", [".git", "__MACOSX", "a/.ipynb_checkpoints", ".Trash-1000\\files"])
def test_hidden_folders_do_not_count(junk, tmp_path):
    """Neither modules nor images of them, in a zip and in a folder."""
    members = {f"{junk}/{SDE}": "x = 1\n", f"{junk}/samples/a.png": "x", "b/samples/._b.png": "x"}
    archive = zip_with(
        tmp_path / "a.zip", members | {"b/sde.py": "x = 2\n", "b/samples/b.webp": "y"}
    )
    place = tmp_path / "folder"
    with zipfile.ZipFile(archive) as source:
        source.extractall(place)
    for path in (archive, place):
        assert submission.read(path)[0] == {SDE: "x = 2\n"}
        submission.copy_images(path, "samples", tmp_path / f"{path.stem}-images")
        assert [p.name for p in (tmp_path / f"{path.stem}-images").iterdir()] == ["b.webp"]


def test_zip_with_a_link(sandbox, tmp_path):
    entry = zipfile.ZipInfo(SDE)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zip_with(tmp_path / "a.zip", {SCHEDULER: solution(SCHEDULER)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, str(ROOT / "solutions" / SDE))
    assert_only_sde_fails(path, sandbox, "sde_todo/sde.py is not in the submission")


def damaged(path, offset, value):
    """Set a byte of the central entry of the zip's first member."""
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + offset] = value
    path.write_bytes(data)
    return path


def test_encrypted_zip(sandbox, tmp_path):
    path = damaged(zip_with(tmp_path / "a.zip", both()), 8, 1)
    assert_only_sde_fails(path, sandbox, "sde_todo/sde.py cannot be unpacked")


def test_zip_with_a_wrong_checksum(sandbox, tmp_path):
    path = zip_with(tmp_path / "a.zip", both())
    path = damaged(path, 16, path.read_bytes()[path.read_bytes().index(b"PK\1\2") + 16] ^ 1)
    assert_only_sde_fails(path, sandbox, "sde_todo/sde.py cannot be unpacked (Bad CRC-32")


def test_zip_of_an_unknown_kind(sandbox, tmp_path):
    path = damaged(zip_with(tmp_path / "a.zip", both()), 10, 97)
    assert_only_sde_fails(path, sandbox, "sde_todo/sde.py cannot be unpacked")


def test_zip_with_garbage_for_lzma(sandbox, tmp_path):
    path = zip_with(tmp_path / "a.zip", both(), zipfile.ZIP_LZMA)
    data = path.read_bytes()
    path.write_bytes(data[:60] + os.urandom(500) + data[560:])
    assert_only_sde_fails(path, sandbox, "sde_todo/sde.py ")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_with_a_module_twice(sandbox, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for text in ("x = 1\n", solution(SDE)):
            archive.writestr(SDE, text)
        archive.writestr(SCHEDULER, solution(SCHEDULER))
    assert_right(tmp_path / "a.zip", sandbox)  # as an unpacked zip: the last one counts


@pytest.mark.parametrize("top", ["", "repo-main/", "a/b/c/repo-main/"])
def test_zip_with_folders_around(top, sandbox, tmp_path):
    junk = {f"__MACOSX/{top}._sde.py": "\0", f"__MACOSX/{SDE}": "\0", f"{top}.git/x": "x"}
    assert_right(zip_with(tmp_path / "a.zip", both(top) | junk), sandbox)


def test_zip_of_loose_files(sandbox, tmp_path):
    members = {file.rpartition("/")[2]: solution(file) for file in (SDE, SCHEDULER)}
    assert_right(zip_with(tmp_path / "a.zip", members), sandbox)


@pytest.mark.slow
def test_zip_of_packages_in_two_places(sandbox, tmp_path):
    members = {f"one/{SDE}": solution(SDE), f"two/{SCHEDULER}": solution(SCHEDULER)}
    found, _ = outcome(zip_with(tmp_path / "a.zip", members), sandbox)
    assert found[ATTACKED][0] == 3 and found[HEALTHY][0] == 0
    assert f"{SCHEDULER} is not in the submission" in found[HEALTHY][1]


# What a folder may hold.


def test_one_package_only(sandbox, tmp_path):
    folder_with(tmp_path)
    shutil.rmtree(tmp_path / "sde_todo")
    assert_only_sde_fails(tmp_path, sandbox, "sde_todo/sde.py is not in the submission")


def test_module_that_is_a_link(sandbox, tmp_path):
    folder_with(tmp_path)
    (tmp_path / SDE).unlink()
    (tmp_path / SDE).symlink_to(ROOT / "solutions" / SDE)
    assert_only_sde_fails(tmp_path, sandbox, "sde_todo/sde.py is not in the submission")


def test_package_that_is_a_link(sandbox, tmp_path):
    folder_with(tmp_path)
    shutil.rmtree(tmp_path / "sde_todo")
    (tmp_path / "sde_todo").symlink_to(ROOT / "solutions" / "sde_todo")
    assert_only_sde_fails(tmp_path, sandbox, "sde_todo/sde.py is not in the submission")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, "device", "socket"])
def test_module_that_is_no_file(make, sandbox, tmp_path, monkeypatch):
    folder_with(tmp_path)
    (tmp_path / SDE).unlink()
    if make == "device":
        if os.getuid():
            pytest.skip("only root makes devices")
        os.mknod(tmp_path / SDE, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    elif make == "socket":
        os.mknod(tmp_path / SDE, stat.S_IFSOCK | 0o666)
    else:
        make(tmp_path / SDE)
    assert_only_sde_fails(tmp_path, sandbox, "sde_todo/sde.py is not in the submission")


def test_module_that_may_not_be_read(sandbox, tmp_path, monkeypatch):
    folder_with(tmp_path)
    real = open

    def refuse(path, *options):
        if str(path).endswith(SDE):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *options)

    monkeypatch.setattr(submission, "open", refuse, raising=False)
    assert_only_sde_fails(tmp_path, sandbox, "sde_todo/sde.py cannot be read")


def test_deep_folder(sandbox, tmp_path):
    """A path longer than the system takes; as it does, only relative steps get there."""
    folder_with(tmp_path)
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(600):
            os.mkdir("deep-folder")
            os.chdir("deep-folder")
        os.fchdir(here)
        assert_right(tmp_path, sandbox)
    finally:
        os.fchdir(here)
        os.close(here)
        subprocess.run(["rm", "-rf", tmp_path / "deep-folder"], check=True)


# What a module may hold.

MODULES = {
    "a syntax error": (
        "x = 1\ndef f(:\n    pass\n",
        "SyntaxError: invalid syntax (sde.py, line 2)",
    ),
    "a wrong indent": ("def f():\nx = 1\n", "IndentationError"),
    "nothing": ("", "OU"),
    "an import that fails": ("import no_such_thing\n", "No module named 'no_such_thing'"),
    "an error at import": ("x = 1 / 0\n", "sde_todo/sde.py, line 1: x = 1 / 0"),
    "UTF-16": ("x = 1\n".encode("utf-16"), "is no UTF-8 text (byte 0); save it so."),
    "Latin-1": ("# na\u00efve\n".encode("latin-1"), "is no UTF-8 text (byte 4); save it so."),
    "zero bytes": (b"x = 1\n\0\0", "holds zero bytes"),
    "5 MB": (b"#" * (5 << 20), "is longer than 1 MB"),
    "200 MB printed": ("print('x' * (200 << 20))\n", "printed more than"),
    "a declared encoding of its own": ("# coding: utf-7\nx = 1\n", "OU"),
    "deep brackets": ("x = " + "(" * 900 + ")" * 900, "sde_todo/sde.py cannot be imported"),
}


@pytest.mark.parametrize("name", MODULES)
def test_module(name, sandbox, tmp_path):
    text, said = MODULES[name]
    assert_only_sde_fails(folder_with(tmp_path, sde=text), sandbox, said)


NOT_THERE = "No module named {!r} is there when this is graded: "
HELPERS = NOT_THERE.format("sde_todo.helpers") + "of sde_todo/ only the files with tasks are"
REFUSED = {
    **{name: MODULES[name] for name in ("UTF-16", "Latin-1", "zero bytes", "5 MB")},
    "its own encoding": (
        "# -*- coding: latin-1 -*-\n# na\u00efve\n".encode("latin-1"),
        "sde_todo/sde.py is no UTF-8 text (byte 30); save it so.",
    ),
    "a helper module": ("from sde_todo.helpers import half\n", HELPERS),
    "a helper module of its package": ("from . import helpers\n", HELPERS),
    "a helper module in a function": ("def OU():\n    import sde_todo.helpers\n", HELPERS),
    "a helper module at the top": ("import helpers\n", NOT_THERE.format("helpers")),
    "a notebook's package": (
        "from IPython.display import display\n",
        NOT_THERE.format("IPython.display") + "only the files with tasks, what is given, "
        "Python's own modules, torch, torchvision, numpy, scipy, matplotlib, PIL, sklearn, ot, ",
    ),
    "a notebook's bar": ("from tqdm.notebook import tqdm\n", NOT_THERE.format("tqdm.notebook")),
    "the end of Python": ("exit()\n", "The code ends Python: exit()."),
    "an endless loop": (
        "while True:\n    try:\n        pass\n    except Exception:\n        pass\n",
        "It worked for more than 2 seconds: is there an endless loop?",
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * ("loop" in n)) for n in REFUSED]
)
def test_what_is_refused_is_refused_at_home_in_the_same_words(name, sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "LIMITS", settings.LIMITS | {"SECONDS": 2})
    text, said = REFUSED[name]
    path = folder_with(tmp_path, sde=text)
    (path / "sde_todo" / "helpers.py").write_text("def half(x):\n    return x / 2\n")
    assert_only_sde_fails(path, sandbox, said)
    attacked, healthy = harness.graded_tests()
    with course_tree(path):
        results = [harness.run(test) for test in (attacked, healthy)]
    assert [result.verdict for result in results] == ["wrong", "done"]
    assert said in results[0].message


def test_an_import_that_may_fail_costs_nothing(sandbox, tmp_path):
    """What is tried, and what only a type checker reads, works at home and when graded."""
    text = (
        "from typing import TYPE_CHECKING\ntry:\n    from sde_todo.helpers import half\n"
        "except ImportError:\n    half = None\nif TYPE_CHECKING:\n    import pandas\n"
        "import sde_todo.eval, given.noise\nfrom sde_todo import network\nimport json\n"
    )
    path = folder_with(tmp_path, sde=solution(SDE) + text)
    assert_right(path, sandbox)
    with course_tree(path):
        assert all(harness.run(test).verdict == "done" for test in harness.graded_tests())


def test_renamed_function(sandbox, tmp_path):
    text = solution(SDE).replace("class OU(", "class Ou(")
    path = folder_with(tmp_path, sde=text)
    found, _ = outcome(path, sandbox)
    assert "OU" in found[ATTACKED][1] and SDE in found[ATTACKED][1], found[ATTACKED][1]


def test_renamed_method(sandbox, tmp_path):
    text = solution(SDE).replace("def marginal_prob", "def marginal_probability")
    path = folder_with(tmp_path, sde=text)
    assert_only_sde_fails(path, sandbox, "marginal_prob")


def test_line_ends_and_mark(sandbox, tmp_path):
    plain = solution(SDE)
    for text, note in {
        plain.replace("\n", "\r\n"): "has the line ends of Windows",
        plain.replace("\n", "\r"): "has the line ends of Windows",
        "\ufeff" + plain: "begins with a byte order mark",
    }.items():
        assert_right(folder_with(tmp_path, sde=text), sandbox, note)


def test_images_may_be_anything(tmp_path):
    """Names that are files and folders at once, too long, or too many: no other error."""
    for k, names in enumerate((["s/a.png", "s/a.png/b.png"], ["s/" + "a" * 300 + ".png"])):
        path = zip_with(tmp_path / f"{k}.zip", dict.fromkeys(names, "x"))
        try:
            submission.copy_images(path, "s", tmp_path / str(k))
        except submission.Unreadable as error:
            assert str(error)


# What comes back from a process may be any bytes.


@pytest.mark.slow
def test_arrays_of_any_bytes():
    import random

    import numpy as np

    rng, good = random.Random(1), arrays.pack({"a": np.ones((3, 4)), "b": np.arange(5)})
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.choice((1, 2, 10))):
            data[rng.randrange(len(data))] = rng.choice((rng.randrange(256), *b"(){}[]':,"))
        try:
            arrays.unpack(bytes(data))
        except ValueError as error:
            assert len(str(error)) < 20_000
