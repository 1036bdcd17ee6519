"""What the autograder says to small changes of the solutions that nobody thought of.

    python benchmarks/mutants.py                       all of them, six minutes
    python benchmarks/mutants.py --every 20 --seed 3   some of them
    python benchmarks/mutants.py --task 1.3g --show    the messages of one task, and what passed

A mutant is caught when a graded test fails or runs longer than a limit; at its own task when that
test belongs to the task of the changed region; named when the message is more than one number
beside another, and the check came to an end. Equivalent are those that no test can tell from the
solution, listed with a reason in tests/project/equivalent.py. All rows are in
results/benchmarks/mutants.json.
"""

import argparse
import collections
import json
import os
import re
import select
import shutil
import signal
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")

import torch
from tqdm import tqdm

from autograder import harness
from given.runtime.files import write
from given.runtime.submission import ROOT
from tests.project import trees
from tests.project.equivalent import reason
from tests.project.mutants import Mutant, mutants

OUT = Path("results/benchmarks/mutants.json")
SECONDS = 30  # of a mutant's tests; the longest of a right answer takes one
DIED = "the process died"
SHAPES = re.compile(r"has shape \([\d, ]*\); expected \([\d, ]*\)\.$")
NUMBERS = re.compile(r"^[^:]*: expected [-+.\deinf]+, got ")


def judge(mutant: Mutant, seed: int) -> dict:
    """Run the graded tests on a mutant in a child process; return a row of the report."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            row = results(mutant, seed)
            os.write(writer, json.dumps(row).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
        said = pipe.read() if ready else b""
    os.waitpid(child, 0)
    row = json.loads(said) if said else {"own": "no end" if not ready else DIED}
    return {"key": mutant.key, "task": mutant.task, "kind": mutant.kind, "line": mutant.line} | row


def results(mutant: Mutant, seed: int) -> dict:
    """The first message of a test of the mutant's task, else of another test."""
    warnings.simplefilter("ignore")
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    folder = Path(tempfile.mkdtemp(prefix="mutant-"))
    try:
        shutil.copytree(ROOT / "solutions", folder, dirs_exist_ok=True)
        (folder / mutant.file).write_text(mutant.source, encoding="utf-8")
        tests = users(mutant.file)
        with trees.course_tree(folder):
            for test in sorted(tests, key=lambda test: test.task != mutant.task):
                result = harness.run(test, seed)
                if result.verdict != "done":
                    return {"own" if test.task == mutant.task else "other": result.message}
    finally:
        shutil.rmtree(folder)
    return {}


def users(file: str) -> list:
    """The graded tests that import a module with tasks."""
    module = tuple(file.removesuffix(".py").split("/"))
    return [test for test, modules in trees.modules_used().items() if module in modules]


def is_named(message: str) -> bool:
    """Whether a message says more than what came and what was expected."""
    return message != DIED and not NUMBERS.match(message) and not SHAPES.search(message)


def table(rows: list[dict], by: str) -> str:
    """Counts by task or kind."""
    lines = [f"{by:<18}{'tried':>7}{'equivalent':>12}{'caught':>8}{'own task':>10}{'named':>7}"]
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row[by]].append(row)
    for name, found in [*sorted(groups.items()), ("all", rows)]:
        rest = [row for row in found if not row["equivalent"]]
        own = [row for row in rest if "own" in row]
        caught = len(own) + sum("other" in row for row in rest)
        named = sum(is_named(row["own"]) for row in own)
        counts = f"{len(found):>7}{len(found) - len(rest):>12}{caught:>8}{len(own):>10}{named:>7}"
        lines.append(f"{name:<18}{counts}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="try every n-th mutant")
    parser.add_argument("--task", default="", help="of one task or section, 1.1a or 1.1")
    parser.add_argument("--seed", type=int, default=0, help="of the tests' inputs")
    parser.add_argument("--show", action="store_true", help="print every mutant and its message")
    args = parser.parse_args()
    torch.set_num_threads(1)
    trained = {test.task for test in harness.graded_tests()}
    trained -= {test.task for test in trees.graded_tests()}
    chosen = [mutant for mutant in mutants(args.task) if mutant.task not in trained]
    trees.modules_used()
    rows = []
    for mutant in tqdm(chosen[args.seed % args.every :: args.every], disable=None):
        row = judge(mutant, args.seed) | {"equivalent": reason(mutant)}
        rows.append(row)
        if args.show:
            said = row.get("own") or row.get("other") or row["equivalent"] or "PASSES"
            print(f"{mutant.task} line {mutant.line} {mutant.kind}: {mutant.key}\n    {said}")
    write(OUT, json.dumps(rows, indent=1))
    print(table(rows, "task"), table(rows, "kind"), sep="\n\n")
    missed = [row for row in rows if not row["equivalent"] and not {"own", "other"} & set(row)]
    print(f"\n{len(missed)} pass:", *(f"{row['task']} {row['key']}" for row in missed), sep="\n  ")
    print(f"All rows: {OUT}")


if __name__ == "__main__":
    main()
