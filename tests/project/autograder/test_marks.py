"""The marks let real points pass and refuse every fake; samples from a file are marked too."""

import numpy as np
import pytest
import torch

from autograder import harness
from given.plane import metrics as metrics
from given.plane.mixture import matched_gaussian
from given.plane.point_sets import make_points
from tests.project.trees import alterations, run_pytest
from tests.task1 import test_marks as marks

N = metrics.MARK_SIZE
MARKS = [test for test in harness.graded_tests() if test.__module__.endswith("test_marks")]
PLAIN = [test for test in MARKS if test.task in ("1.4a", "1.4b")]  # of one recipe, trained once
GROUPS = [PLAIN, *([test] for test in MARKS if test not in PLAIN)]


@pytest.mark.parametrize("tests", GROUPS, ids=lambda tests: tests[0].__name__)
def test_the_solutions_meet_the_marks(tests):
    for test in tests:
        result = harness.run(test)
        assert result.verdict == "done", result.message


def fakes():
    """Name, samples and whether they deserve to pass."""
    real = make_points("swiss_roll", N, 5)
    z = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    pick = torch.randint(100, (N,), generator=torch.Generator().manual_seed(1))
    return {
        "real points": (real, True),
        "noise .02": (real + 0.02 * z, True),
        "noise .2": (real + 0.2 * z, False),
        "noise .3": (real + 0.3 * z, False),
        "100 memorised points": (real[pick], False),
        "shifted by .1": (real + 0.1, False),
        "half a roll": (torch.cat([real[real[:, 0] > 0]] * 3)[:N], False),
        "matched Gaussian": (matched_gaussian(real).sample(N), False),
        "standard normal": (z, False),
        "one point": (real[:1].expand(N, 2), False),
    }


@pytest.mark.slow
def test_marks_pass_the_real_and_refuse_every_fake():
    print(f"\n{'':<22}{'CD 100x100':>12}{'sliced W2':>12}{'CD':>12}  old mark  ours")
    for name, (samples, deserves) in fakes().items():
        values = metrics.score(samples, sets=3)
        old = values["CD 100x100"] <= metrics.SEED_MARK["CD 100x100"]
        ours = metrics.passes(values)
        row = "".join(f"{values[m]:>12.4f}" for m in ("CD 100x100", "sliced W2", "CD"))
        print(f"{name:<22}{row}  {'pass' if old else '-':<10}{'pass' if ours else '-'}")
        assert ours == deserves, (name, values)


@pytest.mark.slow
def test_marks_are_far_above_the_spread_of_real_points():
    """Truth: what is marked is a mean over three draws; its standard deviation is measured here."""
    metric, draws = "sliced W2", marks.DRAWS
    values = [
        metrics.score(make_points("swiss_roll", N, 300 + i), metrics=(metric,), seed=900 + 10 * i)
        for i in range(24)
    ]
    values = np.array([value[metric] for value in values])
    mean, deviation = values.mean(), values.std(ddof=1) / draws**0.5
    assert mean + 6 * deviation < metrics.MARKS[metric], (mean, deviation)
    assert mean + 3 * deviation < marks.FLOOR_MARKS[metric], (mean, deviation)


REAL = make_points("swiss_roll", N, 6).numpy()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"samples": REAL}, "done"),
        ({"samples": np.zeros((0, 2))}, "A cloud has 0 points"),
        ({"samples": np.full((N, 2), np.nan)}, "NaN"),
        pytest.param({"samples": np.zeros((N, 2))}, "the mark", marks=pytest.mark.slow),
        ({"x": np.zeros((N, 2))}, "has no array `samples`"),
        ({"samples": np.array([{"a": 1}], dtype=object)}, "is no .npz file of plain arrays"),
    ],
)
def test_samples_of_a_file_are_marked_in_one_clear_sentence(arrays, said, tmp_path, monkeypatch):
    np.savez(tmp_path / "samples.npz", **arrays)
    monkeypatch.setenv("COURSE_SAMPLES", str(tmp_path / "samples.npz"))
    result = harness.run(marks.SamplesBySDE)
    assert said in f"{result.verdict} {result.message}" and "Traceback" not in result.message


@pytest.mark.parametrize(
    ("content", "said"), [(None, "There is no file"), (b"hello", "is no .npz")]
)
def test_a_file_of_samples_that_is_none_is_named(content, said, tmp_path, monkeypatch):
    if content is not None:
        (tmp_path / "samples.npz").write_bytes(content)
    monkeypatch.setenv("COURSE_SAMPLES", str(tmp_path / "samples.npz"))
    result = harness.run(marks.SamplesBySDE)
    assert said in result.message and "Traceback" not in result.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "said"),
    [(REAL, "done"), (np.zeros((0, 2)), "0 points")],
)
def test_the_option_names_the_file_of_samples(samples, said, tmp_path):
    np.savez(tmp_path / "samples.npz", samples=samples)
    _, output = run_pytest("-k", "SamplesBySDE", f"--samples={tmp_path / 'samples.npz'}")
    assert said in " ".join(output.split()) and "Traceback" not in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "prediction"),
    [
        (marks.SamplesBySDE, "noise"),
        (marks.SamplesByODE, "noise"),
        (marks.SamplesAtTheFloor, "data"),
    ],
)
def test_a_recipe_that_trains_too_briefly_is_refused(test, prediction, tmp_path, monkeypatch):
    monkeypatch.setattr(marks, "DRAWS", 1)
    last = f'    return sde, get_score_fn(sde, ema.model, "{prediction}")\n'
    steps = "    train_diffusion(batches, step_fn, {}, checkpoint=checkpoint)\n"
    change = ("recipe", steps.format("N_steps") + last, steps.format("N_steps // 30") + last)
    marks.train.cache_clear()
    try:
        with alterations(tmp_path, [change]):
            result = harness.run(test)
    finally:
        marks.train.cache_clear()
    assert result.verdict == "wrong" and "the mark" in result.message, result
