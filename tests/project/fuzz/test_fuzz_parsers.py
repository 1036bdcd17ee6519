"""Damaged words: command lines, submissions, metadata and reports, and what comes of them."""

import html.parser
import json

import torch
from hypothesis import strategies as st

from autograder import page
from given.plane.point_sets import make_points
from grading import class_page, class_run, late, submission
from grading.release import gradescope, results_format
from tests.project.fuzz.broken import (
    NAMES,
    PLAIN,
    Refusal,
    attempt,
    changes,
    damaged,
    damaged_zip,
    fuzz,
    zipped,
)
from tests.project.fuzz.test_fuzz_commands import VALUES

NUMBER_TEXT = st.sampled_from(
    ["0.1", "1e-3", "nan", "inf", "-1", "0", "1e999", "", "x", "1_0", "²"]
) | st.floats().map(str)
SCHEDULES = st.tuples(
    st.sampled_from(["constant", "linear", "", "x"]), st.lists(NUMBER_TEXT, max_size=3)
).map(lambda t: "_".join([t[0], *t[1]])) | st.text(max_size=8)


@fuzz(120, SCHEDULES, st.integers(-3, 20))
def test_gamma_schedules(text, N):
    from sde_todo.bridge import gamma_schedule, reference_chain

    gammas = attempt(gamma_schedule, text, N)
    if not isinstance(gammas, Refusal):
        assert len(gammas) == N and torch.equal(gammas, gammas.flip(0))
        assert bool((gammas > 0).all()) and reference_chain(gammas).sigma > 0


@fuzz(
    40,
    st.sampled_from(["checkerboard:", "gaussians:", "moons:", "", ":"]),
    VALUES,
    st.integers(-2, 5),
)
def test_names_of_sets(base, text, n):
    points = attempt(make_points, f"{base}{text}", n)
    assert isinstance(points, Refusal) or (points.shape == (n, 2) and points.isfinite().all())


FILES = {
    "sde_todo/sde.py": b"x = 1\n",
    "image_diffusion/train.py": b"",
    "samples/1/a.png": b"p",
    "model.ckpt": b"c",
}
TEXTS = st.binary(max_size=6) | st.sampled_from(
    [b"\xef\xbb\xbfx", b"a\r\nb\r", b"\0", "é".encode("utf-16")]
)
PARTS = (
    st.sampled_from(
        [
            "sde_todo",
            "sde.py",
            "..",
            "/",
            "\\",
            "samples",
            "a.png",
            "model.ckpt",
            "__MACOSX",
            ".git",
        ]
    )
    | NAMES
)
MEMBERS = st.dictionaries(st.lists(PARTS, min_size=1, max_size=4).map("/".join), TEXTS, max_size=4)


@fuzz(120, damaged_zip(zipped(FILES)) | MEMBERS.map(zipped))
def test_submissions_of_any_kind(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("sent")
    path = folder / "x.zip"
    path.write_bytes(data)
    made = attempt(submission.read, path)
    if not isinstance(made, Refusal):
        files, problems, _ = made
        assert set(files) | set(problems) == set(submission.TODO_FILES)
        submission.write_tree(files | {"a.py": ""}, folder / "tree")
        for file, text in files.items():
            assert (folder / "tree" / file).read_bytes() == text.encode()
            assert "\r" not in text and "\0" not in text
    attempt(submission.copy_images, path, "samples", folder / "images")
    attempt(submission.copy_checkpoint, path, "model.ckpt", folder / "c")
    json.dumps(class_run.fingerprint(path))
    assert {each.name for each in folder.iterdir()} <= {"x.zip", "tree", "images", "c"}


META = {
    "created_at": "2026-01-02T03:04:05.678901-08:00",
    "assignment": {"due_date": "2026-01-01T03:04:05Z"},
    "users": [{"assignment": {"due_date": "2026-01-01T03:04:05Z"}}],
    "previous_submissions": [
        {"submission_time": "2026-01-01T03:04:05Z", "score": "1.5", "results": {"extra_data": {}}}
    ],
}
STAMPS = st.sampled_from(
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-02-30T00:00:00Z",
        "2026-01-01T00:00:00+99:99",
        "٢٠٢٦-01-01T00:00:00Z",
    ]
)
POLICY = {"PER_DAY": 0.1, "GRACE_MINUTES": 15, "LAST_DAY": 7}


@fuzz(
    120,
    changes(META, PLAIN | STAMPS),
    changes(POLICY, PLAIN) | st.just(None),
    st.none() | st.integers(-1, 3),
)
def test_metadata_and_policies(metadata, policy, attempts):
    graded = {"score": 10, "leaderboard": [{"name": "Points", "value": 10}]}
    policy = policy.on(POLICY) if policy else POLICY
    made = attempt(late.adjust, graded, metadata.on(META), policy, attempts)
    if not isinstance(made, Refusal):
        assert not results_format.problems(made), results_format.problems(made)


@fuzz(40, damaged(json.dumps(META).encode()) | st.binary() | st.just(b"[" * 100_000))
def test_bytes_of_metadata(tmp_path, data):
    (tmp_path / "m.json").write_bytes(data)
    metadata = attempt(gradescope._metadata, tmp_path / "m.json")
    attempt(late.adjust, {"score": 1}, metadata, POLICY, 1)


CONTENT = class_run.fingerprint("nowhere")
GRADED = {
    "score": 4,
    "tests": [
        {
            "number": "1.1a",
            "name": "1.1a x: OUMarginal",
            "score": 4,
            "max_score": 4,
            "status": "passed",
            "output": "Right.",
            "visibility": "visible",
        }
    ],
    "extra_data": {"content": CONTENT, "full": 100, "seed": 1},
    "execution_time": 3,
    "output": "said",
}


@fuzz(
    40,
    damaged(json.dumps(GRADED).encode())
    | changes(GRADED, st.none() | st.integers() | st.text(max_size=3)).map(
        lambda c: json.dumps(c.on(GRADED)).encode()
    ),
)
def test_reports_that_are_found_again(tmp_path, data):
    path = tmp_path / "anna"
    path.mkdir(exist_ok=True)
    (tmp_path / "reports").mkdir(exist_ok=True)
    (tmp_path / "reports/anna.json").write_bytes(data)
    if attempt(class_run.make_job, path, tmp_path, False, False) is None:  # it is taken as it is
        built = json.loads(data)
        assert class_run.table({"anna": built}) and class_page.render({"anna": built})


class Seen(html.parser.HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text.append(data)


ANY = st.text(max_size=12) | st.sampled_from(
    ["<script>", "</pre><img src=x onerror=y>", "{title}", "%s", "\udc80", "\x1b[31m", "'\"&"]
)


@fuzz(40, ANY, ANY, ANY, ANY)
def test_pages_of_any_text(name, title, output, message):
    test = GRADED["tests"][0] | {
        "name": f"1.1a: {name}",
        "output": message,
        "status": "failed",
        "score": 0,
    }
    built = GRADED | {"tests": [test], "output": output}
    plain = built | {"output": "a", "tests": [test | {"name": "1.1a: b", "output": "c\nd"}]}
    (seen, wanted) = (Seen(page.render(r, {}, t)) for r, t in ((built, title), (plain, "t")))
    assert {tag for tag, _ in seen.tags} <= {tag for tag, _ in wanted.tags} | {"pre", "br"}
    assert not any(a.startswith("on") for _, attrs in seen.tags for a in attrs)
    rendered = class_page.render({name: built}, pages=True)
    assert {tag for tag, _ in Seen(rendered).tags} <= {
        tag for tag, _ in Seen(class_page.render({"b": plain}, True)).tags
    } | {"br"}
    rendered.encode()
    table = class_run.table({name: built})
    assert len(table.splitlines()) >= 2
