"""The course under other Pythons and torches: `python benchmarks/matrix.py [3.10:2.4.1 ...]`.

For each pair an environment is made in a temporary folder, with that torch and otherwise with what
pyproject.toml asks for (constraints.txt names one set of versions; this tries the ends of the
ranges), and removed again (5 GB each on Linux). In it run the check of torch, the stub gate, the
autograder on the solutions and a choice of the project's tests. The Pythons are those that the
shell finds as python3.10 and so on (on Windows: py -3.10).
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Each torch needs the torchvision that was built with it.
TORCHVISION = {"2.4.1": "0.19.1", "2.6.0": "0.21.0", "2.8.0": "0.23.0", "2.12.1": "0.27.1"}
CELLS = ("3.10:2.4.1", "3.11:2.12.1", "3.12:2.8.0", "3.13:2.6.0", "3.13:newest")
TESTS = ("given/test_given", "given/test_edm", "given/test_objectives", "given/test_training")
TESTS += ("reference/test_stubs", "reference/test_own_parts", "reference/test_song_formulas")
TESTS += ("autograder/test_doors",)
CHECKS = {
    "check": ["-m", "sde_todo", "check"],
    "stub gate": ["-m", "grading", "stubs", "--check"],
    "autograder": ["-m", "pytest", "-q", "--solutions", "-k", "not Marks"],
    "project": ["-m", "pytest", "-q", *(f"tests/project/{name}.py" for name in TESTS)],
}


def find_python(version):
    """The command of a Python, or None."""
    launcher = ["py", f"-{version}"] if platform.system() == "Windows" else [f"python{version}"]
    if not shutil.which(launcher[0]):
        return None
    tried = subprocess.run([*launcher, "-c", "import venv"], capture_output=True)
    return launcher if tried.returncode == 0 else None


def install(python, torch, folder):
    """An environment with that torch; return its interpreter."""
    subprocess.run([*python, "-m", "venv", folder], check=True)
    bin_folder = "Scripts" if platform.system() == "Windows" else "bin"
    interpreter = Path(folder) / bin_folder / "python"
    pair = ["torch", "torchvision"]
    if torch != "newest":
        pair = [f"torch=={torch}", f"torchvision=={TORCHVISION[torch]}"]
    command = [interpreter, "-m", "pip", "install", "--quiet", "-e", ".[dev]", *pair]
    subprocess.run(command, cwd=ROOT, check=True)
    return interpreter


def try_cell(cell):
    """Install one pair, run the checks; return a row: versions, outcome of each check, seconds."""
    version, _, torch = cell.partition(":")
    python = find_python(version)
    if python is None:
        return [cell, "this Python is not here"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        start = time.perf_counter()
        try:
            interpreter = install(python, torch, folder)
        except subprocess.CalledProcessError as error:
            return [cell, f"cannot be installed (pip exits with {error.returncode})"]
        seconds = time.perf_counter() - start
        return [cell, *run_checks(interpreter), f"installed in {seconds:.0f} s"]


def run_checks(interpreter):
    """The versions that were found, and one word or the last lines of each check."""
    for name, arguments in CHECKS.items():
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("COURSE", None)
        command = [str(interpreter), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines() or [""]
        if done.returncode:
            print(f"{name} failed:\n" + "\n".join(lines[-30:]) + done.stderr[-2000:], flush=True)
        verdict = "ok" if done.returncode == 0 else f"exit status {done.returncode}"
        yield f"{name}: {verdict} ({lines[-1].strip('= ')})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "cells", nargs="*", default=CELLS, help=f"PYTHON:TORCH, default {' '.join(CELLS)}"
    )
    args = parser.parse_args()
    known = ("newest", *TORCHVISION)
    if bad := [cell for cell in args.cells if cell.partition(":")[2] not in known]:
        parser.error(f"{bad[0]}: write PYTHON:TORCH with one of the torches {', '.join(known)}")
    rows = []
    for cell in args.cells:
        rows.append(try_cell(cell))
        print("   ".join(rows[-1]), flush=True)
    if any("exit status" in word or "cannot" in word for row in rows for word in row):
        sys.exit("Some of these failed.")


if __name__ == "__main__":
    main()
