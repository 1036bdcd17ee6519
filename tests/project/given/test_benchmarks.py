"""The benchmarks can be run: their parts exist, and those that need minutes run small here."""

import subprocess
import sys

import pytest

from benchmarks import __main__ as runner
from benchmarks import matrix
from given.runtime.submission import ROOT


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_every_script_is_a_part():
    scripts = {command.split()[0] for _, command, _ in runner.PARTS.values()}
    # the runner, what needs other Pythons, and a process that endurance.py starts
    others = {"__main__.py", "matrix.py", "endurance_runs.py"}
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
def test_gpu_part_runs_on_a_cpu():
    small = ("--resolution", 8, "--ch", 32, "--batch_size", 2, "--largest", 32, "--seconds", 0.01)
    done = run("benchmarks/gpu.py", "--device", "cpu", *small)
    assert done.returncode == 0, done.stderr
    assert all(
        word in done.stdout for word in ("ladder:", "train.py's step", "batch:", "sampling:")
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
