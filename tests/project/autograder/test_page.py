"""The page with its pictures: on solutions, on mistakes, and on hostile values."""

import html.parser
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from autograder import harness, page, pictures, report
from autograder.harness import Result
from autograder.tasks import all_tasks
from given.runtime.submission import ROOT
from grading.isolation import runtime
from tests.project import trees
from tests.project.mistakes import ALL as MISTAKES

TASKS = [task for task in all_tasks() if task[:3] not in ("1.4", "2.4")]
VOID = {"meta", "link", "img", "br"}
PICTURE = ("What to see.", b"\x89PNG", "Task 1.1a: what to see.")


@pytest.fixture(scope="module")
def classes():
    """All picture classes of the course."""
    """The picture classes that run a probe; those of the marks draw what a test got."""
    groups = pictures.task_pictures().values()
    return [cls for group in groups for cls in group if not hasattr(cls, "of")]


def begun(tasks=TASKS):
    """Every test of some tasks, all done."""
    return [(test, Result("done")) for test in trees.graded_tests() if test.task in tasks]


def test_every_task_has_a_picture_that_says_what_to_see():
    found = pictures.task_pictures()
    assert set(found) == set(all_tasks())
    tests = {test.__name__: test.task for test in harness.graded_tests()}
    for cls in (cls for group in found.values() for cls in group):
        assert tests[cls.of] == cls.task if hasattr(cls, "of") else cls.probe
        assert "\n" not in cls.__doc__.strip() and cls.__doc__.endswith((".", "?")), cls


def test_pictures_of_the_solutions_agree(classes, monkeypatch):
    pairs, notes, real = [], [], pictures.fitting

    def fitting(got, want):
        pairs.append((real(got, want), np.asarray(want, dtype=float)))
        return pairs[-1][0]

    monkeypatch.setattr(pictures, "fitting", fitting)
    monkeypatch.setattr(pictures, "note", lambda ax, outside, *rest: notes.append((outside, *rest)))
    for cls in classes:
        pairs.clear(), notes.clear()
        inputs = cls.inputs(np.random.default_rng(0))
        figure = cls.draw(harness.run_probe(cls, inputs), **inputs)
        assert isinstance(figure, Figure), cls
        for got, want in pairs:
            assert np.isfinite(got).all()
            assert np.abs(got - want).mean() < 0.03 * max(1, np.abs(want).max()), cls
        assert all(not lost and outside <= 0.01 * total for outside, lost, total, *_ in notes), cls


ISOLATED = """
import pickle, sys
from autograder import harness
inputs = pickle.load(sys.stdin.buffer)
found = {c.__name__: c for m in harness.course_modules("pictures") for c in vars(m).values()
         if isinstance(c, type) and "task" in vars(c)}
got = {name: harness.run_probe(found[name], own) for name, own in inputs.items()}
pickle.dump(got, sys.stdout.buffer)
"""


@pytest.mark.slow
def test_every_picture_of_a_page_comes_out_the_same_in_isolation(classes, tmp_path):
    runtime.build(tmp_path)
    inputs = {cls.__name__: cls.inputs(np.random.default_rng(0)) for cls in classes}
    done = subprocess.run(
        [sys.executable, "-c", ISOLATED],
        cwd=tmp_path,
        env=os.environ | {"COURSE": str(ROOT / "solutions"), "PYTHONPATH": str(tmp_path)},
        input=pickle.dumps(inputs),
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    there = pickle.loads(done.stdout)
    assert set(there) == {cls.__name__ for cls in classes} and len(there) > 80
    for cls in classes:
        here = harness.run_probe(cls, inputs[cls.__name__])
        for name in here:
            np.testing.assert_array_equal(here[name], there[cls.__name__][name], cls.__name__)


def test_open_tasks_have_no_picture():
    graded = [(test, Result("todo", "TODO")) for test, _ in begun()]
    assert pictures.draw_all(graded) == {}


@pytest.mark.parametrize(
    "name", ["ou std without root", "vp integral is beta t", "abar one short", "pasted at t - 1"]
)
def test_a_mistake_has_two_pictures(name, tmp_path):
    task, *change, _ = MISTAKES[name]
    tests = [test for test in trees.graded_tests() if test.task == task]
    with trees.alterations(tmp_path, [tuple(change)]):
        drawn = pictures.draw_all(trees.run_all(tests=tests).items())[task]
    assert len(drawn) == 2
    assert drawn[1][0].startswith(f"{tests[-1].__name__}: ")
    assert all(data.startswith(b"\x89PNG") and len(data) < 60_000 for _, data, _ in drawn)
    assert all(alt == f"Task {task}: {caption}" for caption, _, alt in drawn)


def test_a_failure_without_a_comparison_has_no_picture_of_its_own():
    test = trees.graded_tests()[0]
    compared = [("drift f", np.ones(3), np.ones(3))]
    assert pictures.draw_wrong(test, Result("wrong", "The output ignores x.", compared)) is None
    assert pictures.draw_wrong(test, Result("wrong", "It crashed.")) is None


KEPT = {
    "NaN": lambda x: np.full(x.shape, np.nan),
    "infinite": lambda x: np.full(x.shape, -np.inf),
    "huge": lambda x: np.full(x.shape, 1e30),
    "mixed": lambda x: np.where(np.arange(x.size).reshape(x.shape) % 3, 1e308, np.nan),
}
LOST = {
    "empty": lambda x: np.zeros(0),
    "rank": lambda x: np.zeros((1,) * 40),
    "larger": lambda x: np.zeros((3, *x.shape)),
    "complex": lambda x: x + 1j,
    "object": lambda x: np.array([{}, None], dtype=object),
    "text": lambda x: np.array(["<script>"]),
    "none": lambda x: None,
}


@pytest.mark.slow
def test_hostile_values_are_drawn_or_left_out(classes):
    kinds = list(KEPT.values())
    order = {cls: i for i, cls in enumerate(classes)}

    def probe(cls, inputs, seed):
        kind = kinds[order[cls] % len(kinds)]
        return {n: kind(np.asarray(x)) for n, x in harness.run_probe(cls, inputs, seed).items()}

    assert set(pictures.draw_all(begun(), probe=probe)) == set(TASKS)


@pytest.mark.parametrize("kind", LOST)
def test_values_that_cannot_be_drawn_are_left_out(kind):
    def probe(cls, inputs, seed):
        got = harness.run_probe(cls, inputs, seed)
        return {name: LOST[kind](np.asarray(x, dtype=float)) for name, x in got.items()}

    assert pictures.draw_all(begun(), probe=probe) == {}


def test_a_crash_of_a_probe_is_no_crash_of_the_page():
    def probe(cls, inputs, seed):
        raise RuntimeError("the sandbox is gone")

    assert pictures.draw_all(begun(), probe=probe) == {}
    assert pictures.draw_all(begun(["1.1a"]), probe=lambda *_: "no dict") == {}


def test_no_picture_is_begun_after_the_time():
    assert pictures.draw_all(begun(), seconds=-1) == {}


def test_generic_picture_of_many_hostile_values_is_small():
    got, want = np.full(100_000, np.nan), np.linspace(0, 1, 100_000)
    got[::2] = -1e300
    test = trees.graded_tests()[0]
    name = r"$\frac{ $ a <b> name"
    drawn = pictures.attempt(
        pictures.draw_wrong, test, Result("wrong", f"{name}: x", [(name, got, want)])
    )
    assert drawn and len(drawn[1]) < 60_000


def full_report(message="this <script>alert(1)</script> & that", **visibility):
    """A report with all three verdicts, some tests with a visibility of their own."""
    results = [Result("wrong", message), Result("todo", "TODO 1.1b: x"), Result("done")]
    tests = trees.graded_tests()
    made = report.build([(test, results[k % 3]) for k, test in enumerate(tests)])
    for entry in made["tests"]:
        entry["visibility"] = visibility.get(page.class_of(entry), "visible")
    return made


class Checker(html.parser.HTMLParser):
    """Collects tags, their addresses, and the text outside the style; fails where they cross."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.text = [], set(), [], ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "srcset")]
        assert not any(k.startswith("on") for k, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""


def test_page_is_whole_and_asks_for_nothing():
    found = Checker(page.render(full_report(), {"1.1a": [PICTURE]}, "A <b>title</b>"))
    assert not found.tags & {"script", "iframe", "object", "base", "form", "b"}
    assert all(a.startswith(("#", "data:")) for a in found.addresses), found.addresses
    assert "data:image/png;base64,iVBORw==" in found.addresses
    assert "<script>alert(1)</script> & that" in found.text
    for text in ("A <b>title</b>", "WRONG", "TODO", "done", "Next: 1.1a", PICTURE[0]):
        assert text in found.text


def test_page_leaves_out_what_students_do_not_see():
    made = full_report(OUMarginal="hidden", VP="after_published")
    own = ("OUMarginal: mean, expected and yours.", b"", "")
    seen = page.render(made, {"1.1a": [PICTURE, own], "1.1b": [PICTURE]}, "t")
    assert "OUMarginal" not in seen and "task-1.1b" not in seen and "OUCoefficients" in seen
    everything = page.render(made, {"1.1a": [own]}, "t", hidden=True)
    assert "OUMarginal: mean" in everything and "task-1.1b" in everything


def test_page_opens_the_wrong_and_counts_the_points():
    made = full_report()
    text = page.render(made, {}, "t")
    wrong = {e["number"] for e in made["tests"] if page.state_of(e) == "wrong"}
    assert text.count("<details id=") == len(TASKS)
    assert text.count(" open>") == len(wrong)
    required = [e for e in made["tests"] if "(optional)" not in e["name"]]
    got, full = (sum(e[k] for e in required) for k in ("score", "max_score"))
    assert f"{got:g} of {full:g} points" in text
    assert "Everything here is done" in page.render({"tests": []}, {}, "t")


def test_page_is_written_whole(tmp_path):
    page.write(tmp_path / "results" / "grade.html", full_report("\ud800\x00\u202e"), {}, "t")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["grade.html"]
