"""The instructor's side: grade submissions apart from this process, and package the course.

python -m grading grade SUBMISSION             a folder or zip
python -m grading grade --all FOLDER           all folders and zips in it
python -m grading isolation                    what a submission could do on this machine
python -m grading package student              also gradescope, classroom
python -m grading stubs                        the students' modules and tables of tasks
python -m grading container                    inside Gradescope's container
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder import board, report, settings
from given.runtime.cli import file_path


def main() -> None:
    """The command line."""
    args = parse(sys.argv[1:])
    if args.run not in (run_package, run_stubs) and not hasattr(os, "waitid"):
        sys.exit("Grading needs Linux, or macOS with Python 3.13 (elsewhere: WSL, or a container).")
    args.run(args)


def run_grade(args: argparse.Namespace) -> None:
    """Grade one submission, or a folder of them."""
    trained = settings.TRAINED and not args.no_marks
    if args.all:
        from grading.class_run import grade_all, merge

        out = args.out or Path("results") / "grades"
        if args.merge:
            return merge(args.submission, out, trained, args.pages)
        return grade_all(args.submission, out, args.jobs, trained, args.pages, args.shard)
    return grade_one(args, trained)


def grade_one(args: argparse.Namespace, trained: bool) -> None:
    """Grade one submission, print its board, and write its report and page."""
    from tqdm import tqdm

    from grading.grade import grade, limit_own_memory
    from grading.isolation.sandbox import Sandbox

    if not args.submission.exists():
        raise SystemExit(f"There is no folder or zip {args.submission}.")
    with (
        Sandbox(hidden=[args.submission.resolve()]) as sandbox,
        tqdm(desc="Grading", unit=" tests", disable=None, leave=False) as bar,
    ):
        sandbox.warn()
        limit_own_memory()
        built, graded, seed = grade(
            args.submission, sandbox, args.seed, trained, lambda _: bar.update(), args.page
        )
    print(board.render(graded))
    if "output" in built:
        print(built["output"])
    print(f"{built['execution_time']} s; to repeat it: --seed {seed}")
    if args.out:
        report.write_json(args.out, built)
        print(f"Report: {args.out}")
    if args.page:
        print(f"Page: {args.page}")


def run_isolation(args: argparse.Namespace) -> None:
    """Try what a submission might try, and say what succeeded."""
    from grading.isolation.attempts import ATTEMPTS
    from grading.isolation.sandbox import Sandbox

    with Sandbox() as sandbox:
        found = sandbox.weaknesses()
    for attempt in ATTEMPTS.values():
        print(f"{'POSSIBLE ' if attempt.__doc__ in found else 'prevented'}  {attempt.__doc__}")
    sys.exit(bool(found))


def run_package(args: argparse.Namespace) -> None:
    """Package the course."""
    from grading.release import package

    out = args.out or Path("results") / f"{args.kind}.zip"
    print(f"Written: {getattr(package, args.kind)(out)}")


def run_stubs(args: argparse.Namespace) -> None:
    """Write what is derived from the solutions and the tasks, or say what is stale or missing."""
    from grading.release import derived

    derived.check() if args.check else derived.write()


def run_container(args: argparse.Namespace) -> None:
    """Grade in the folder of Gradescope's container."""
    from grading.grade import limit_own_memory
    from grading.release import gradescope

    limit_own_memory()
    gradescope.run(args.root)


def share_of(text: str) -> tuple[int, int]:
    """(2, 8) for "2/8"."""
    which, _, shards = text.partition("/")
    if not (which.isdecimal() and shards.isdecimal() and 1 <= int(which) <= int(shards)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 1/8 to 8/8.")
    return int(which), int(shards)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m grading", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    grade = commands.add_parser("grade", help="grade a submission, or a folder of them")
    grade.set_defaults(run=run_grade)
    grade.add_argument(
        "submission", type=file_path, help="folder or zip; with --all a folder of them"
    )
    grade.add_argument("--all", action="store_true", help="grade every folder and zip in it")
    grade.add_argument("--out", type=file_path, help="report to write (.json); with --all a folder")
    grade.add_argument("--page", type=file_path, help="page with pictures to write (.html)")
    grade.add_argument("--pages", action="store_true", help="with --all: a page for each")
    grade.add_argument("--jobs", type=int, help="with --all: how many at a time")
    grade.add_argument(
        "--shard",
        type=share_of,
        default=(1, 1),
        metavar="I/N",
        help="with --all: the I-th of N machines' share, without the tables",
    )
    grade.add_argument(
        "--merge", action="store_true", help="with --all: the tables of shares that are graded"
    )
    grade.add_argument("--seed", type=int, help="of the inputs, to repeat a grade")
    grade.add_argument("--no_marks", action="store_true", help="without 1.4 and 2.4, which train")
    isolation = commands.add_parser("isolation", help="try what a submission could do here")
    isolation.set_defaults(run=run_isolation)
    package = commands.add_parser("package", help="make what is handed out or uploaded")
    package.set_defaults(run=run_package)
    package.add_argument("kind", choices=("student", "gradescope", "classroom"))
    package.add_argument("--out", type=file_path, help="file or folder to write")
    stubs = commands.add_parser("stubs", help="write the students' modules from solutions/")
    stubs.set_defaults(run=run_stubs)
    stubs.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    container = commands.add_parser("container")
    container.set_defaults(run=run_container)
    container.add_argument("root", type=file_path, nargs="?", default="/autograder")
    if not argv:
        parser.print_help()
        sys.exit(2)
    args = parser.parse_args(argv)
    if getattr(args, "jobs", None) is not None and args.jobs < 1:
        parser.error(f"--jobs is {args.jobs}; it must be at least 1.")
    if getattr(args, "submission", None) and not args.all and (args.merge or args.shard != (1, 1)):
        parser.error("--shard and --merge are of a class; add --all.")
    if getattr(args, "merge", False) and args.shard != (1, 1):
        parser.error("--shard grades a share, --merge writes the tables of all; leave one out.")
    return args
