"""What the autograder notices, names, accepts and survives: `python benchmarks/grader.py`.

    mistakes      plausible mistakes, one at a time: caught, at their own task, named
    alternatives  right answers written another way: accepted
    attacks       hostile submissions (tests/project/grading/test_attacks.py): survived
    speed         one submission graded apart, and a class of copies with `grade --all`

Writes results/grader.json.
"""

import argparse
import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from given.runtime.cli import file_path
from grading.class_run import grade_all
from grading.grade import grade
from tests.project import trees
from tests.project.alternatives import ALL as ALTERNATIVES
from tests.project.mistakes import ALL as MISTAKES

ROOT = Path(__file__).resolve().parents[1]
# What a test says of any wrong value, whatever the mistake is
GENERIC = re.compile(r"expected \S+, got|right but for a factor of|^[\w ()]+ has shape")


def try_mistakes():
    """Apply every mistake alone; count what became of it."""
    caught, at_task, named, unnamed = 0, 0, 0, []
    for name, (task, file, old, new, said) in MISTAKES.items():
        with tempfile.TemporaryDirectory() as folder:
            results = trees.run_altered(Path(folder), [(file, old, new)])
        wrong = {test: r.message for test, r in results.items() if r.verdict != "done"}
        caught += bool(wrong)
        at_task += bool(wrong) and {test.task for test in wrong} == {task}
        messages = [m for m in wrong.values() if said in m and (said or not GENERIC.search(m))]
        if messages and not GENERIC.search(said or " "):
            named += 1
        else:
            unnamed.append(name)
    n = len(MISTAKES)
    print(f"mistakes      {n} tried, {caught} caught, {at_task} at their own task and no other,")
    print(f"              {named} named by the message ({100 * named / n:.1f}%)")
    for name in unnamed:
        print(f"              not named: {name}")
    return {"tried": n, "caught": caught, "at task": at_task, "named": named, "unnamed": unnamed}


def try_alternatives():
    """Apply every alternative; count how many pass all tests."""
    accepted = 0
    for changes in ALTERNATIVES.values():
        with tempfile.TemporaryDirectory() as folder:
            results = trees.run_altered(Path(folder), changes)
        accepted += all(result.verdict == "done" for result in results.values())
    print(f"alternatives  {len(ALTERNATIVES)} tried, {accepted} accepted")
    return {"tried": len(ALTERNATIVES), "accepted": accepted}


def try_attacks():
    """Run the tests of the attacks; print each by its name."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/project/grading/test_attacks.py"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    rows = dict(re.findall(r"^  (.+?) {2,}(survived|NOT SURVIVED)$", text, re.M))
    for name, outcome in rows.items():
        print(f"  {name:<60}{outcome}")
    survived = sum(outcome == "survived" for outcome in rows.values())
    print(f"attacks       {len(rows)} tried, {survived} survived")
    return {"tried": len(rows), "survived": survived}


def measure_speed(copies, jobs):
    """Seconds of one submission, and of a class of copies of the reference."""
    start = time.perf_counter()
    report, *_ = grade(ROOT / "solutions", trained=False)
    one = time.perf_counter() - start
    tests = len(report["tests"])
    print(f"speed         one submission, {tests} tests: {one:.1f} s with the start of the sandbox")
    with tempfile.TemporaryDirectory() as folder:
        for k in range(copies):
            shutil.copytree(ROOT / "solutions", Path(folder) / "class" / f"s{k:03}")
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            grade_all(Path(folder) / "class", Path(folder) / "out", jobs, trained=False)
        seconds = time.perf_counter() - start
    print(f"              {copies} copies, {jobs} at a time: {seconds:.0f} s,", end=" ")
    print(f"{60 * copies / seconds:.1f} a minute")
    return {"tests": tests, "one": one, "copies": copies, "jobs": jobs, "seconds": seconds}


def main():
    """Run the parts that are asked for, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {"mistakes": try_mistakes, "alternatives": try_alternatives, "attacks": try_attacks}
    parser.add_argument("--parts", nargs="+", choices=[*parts, "speed"], default=[*parts, "speed"])
    parser.add_argument("--copies", type=int, default=20, help="size of the class (default 20)")
    parser.add_argument("--jobs", type=int, default=2, help="submissions at a time (default 2)")
    parser.add_argument("--out", type=file_path, default=ROOT / "results" / "grader.json")
    args = parser.parse_args()
    found = {name: run() for name, run in parts.items() if name in args.parts}
    if "speed" in args.parts:
        found["speed"] = measure_speed(args.copies, args.jobs)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
