"""The benchmarks can be run: their parts exist, and those that need minutes run small here."""

import json
import os
import subprocess
import sys

import pytest
import torch

from benchmarks import __main__ as runner
from benchmarks import matrix
from given.runtime.submission import ROOT


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_every_script_is_a_part():
    scripts = {command.split()[0] for _, command, _ in runner.PARTS.values()}
    # the runner, what needs Pythons, clones or photographs, a process of endurance.py
    others = {"__main__.py", "matrix.py", "parity.py", "papers.py", "endurance_runs.py"}
    start = 'if __name__ == "__main__":'
    found = [p.name for p in (ROOT / "benchmarks").glob("*.py") if start in p.read_text("utf-8")]
    assert set(found) == scripts | others


def test_the_matrix_names_tests_that_exist():
    assert not [n for n in matrix.TESTS if not (ROOT / f"tests/project/{n}.py").is_file()]


def test_an_unknown_part_is_one_line():
    done = run("-m", "benchmarks", "nonsense")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("benchmarks: error: no part nonsense")


@pytest.mark.slow
def test_a_part_lands_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setitem(runner.PARTS, "gpu", ("A <title>", "gpu.py --parts batch", 1))
    assert runner.run("gpu") == 0
    title, head, content = runner.section("gpu")
    assert title == "gpu. A <title>" and "python benchmarks/gpu.py --parts batch" in head
    assert "<pre>" in content and "torch" in runner.versions()


@pytest.mark.slow
def test_the_gpu_script_runs_on_a_bare_machine(tmp_path):
    """Truth: from another folder, without POT, every part leaves its rows in the file."""
    script, out = ROOT / "benchmarks/gpu.py", tmp_path / "gpu.json"
    words = ["gpu.py", "--device", "cpu", "--smallest", "--out", str(out)]
    words += ["--parts", "ladder", "batch", "sampling", "minutes"]
    code = f"import runpy, sys; sys.modules['ot'] = None; sys.argv = {words}; "
    code += f"runpy.run_path({str(script)!r}, run_name='__main__')"
    bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COURSE")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=bare, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text("utf-8"))["rows"]
    names = {row["name"] for row in rows}
    assert {row["part"] for row in rows} == {"ladder", "batch", "sampling", "minutes"}
    assert {"plain loop", "train.py", "images, DPM-Solver++ 20", "test images"} <= names
    assert not any(row.get("skipped") for row in rows)
    assert [row["images"] for row in rows if "after" in row["name"]] == [20, 40, 20]


@pytest.fixture
def gpu(tmp_path):
    """The command's options at their smallest, a report, and its rows as they are in the file."""
    from benchmarks import gpu, gpu_report

    out = tmp_path / "gpu.json"
    args = gpu.parse(["--smallest", "--device", "cpu", "--out", str(out)])
    report = gpu_report.Report(out, {"device": "cpu"})
    return args, report, lambda: json.loads(out.read_text("utf-8"))["rows"]


def test_nothing_starts_that_would_end_after_the_deadline(gpu):
    from benchmarks.gpu_correct import correct
    from benchmarks.gpu_report import Deadline
    from benchmarks.gpu_speed import batch, sampling

    args, report, rows = gpu
    for part in (correct, batch, sampling):
        part(args, torch.device("cpu"), report, Deadline(0))
    assert {row["part"] for row in rows()} == {"correct", "batch", "sampling"}
    assert all(row.get("skipped") for row in rows() if row["name"] != "in all")


def test_a_check_that_fails_or_breaks_is_a_row_and_the_next_one_is_made(gpu, monkeypatch):
    from benchmarks import gpu_correct
    from benchmarks.gpu_report import Deadline

    def broken(device):
        raise RuntimeError("no kernel image")

    seen = iter((1.0, 1.2, float("nan"), 1.0, 1.0, 1.0))
    found = {"far": (0.1, lambda device: torch.tensor([next(seen)])), "broken": (0.1, broken)}
    found |= {"nan": found["far"], "same": found["far"]}
    monkeypatch.setattr(gpu_correct, "comparisons", lambda: found)
    monkeypatch.setattr(gpu_correct, "programs", lambda args, device: {})
    args, report, rows = gpu
    gpu_correct.correct(args, torch.device("cpu"), report, Deadline(60))
    *checks, last = rows()
    assert [row["passed"] for row in checks] == [False, False, False, True]
    assert checks[0]["difference"] == pytest.approx(0.2) and "no kernel image" in checks[1]["error"]
    assert last["name"] == "in all"


@pytest.mark.slow
def test_a_comparison_of_each_kind_is_made_on_the_cpu(gpu):
    """Truth: the same device twice differs by nothing, and every value is a number."""
    from benchmarks.gpu_correct import apart, comparisons

    found = comparisons()
    for name in ("loss edm", "loss ve, likelihood", "network ncsn++", "moments"):
        assert apart(found[name][1], torch.device("cpu")) == 0, name


@pytest.mark.slow
def test_operations_are_counted_for_networks_with_fourier_features(gpu):
    from benchmarks.gpu_speed import make_run, training_flops

    args, device, counted = gpu[0], torch.device("cpu"), []
    for words in (["--network", "ddpm"], ["--network", "ddpm", "--time_features", "fourier"]):
        counted.append(training_flops(make_run(args, device, 2, options=words)[0]))
    assert 1 < counted[1] / counted[0] < 1.01, (
        "only the first layer of the time's features is wider"
    )


def test_ring_moves_the_gradient_twice_when_there_are_many():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import scale
    finally:
        sys.path.pop(0)
    assert scale.ring(2, 1e9, 1e9, 0.0) == pytest.approx(1.0)
    assert scale.ring(1000, 1e9, 1e9, 0.0) == pytest.approx(2.0, rel=2e-3)
    assert scale.ring(4, 0, 1e9, 1e-3) == pytest.approx(6e-3)


@pytest.mark.slow
def test_epoch_on_paper():
    done = run("benchmarks/scale.py", "--parts", "epoch", "--images_per_second", "50")
    assert done.returncode == 0, done.stderr
    assert "50.0 images/s a GPU (measured)" in done.stdout and "64 GPUs" in done.stdout
