"""One of the processes that grade a class: reads names from its input, writes a report for each.

Started by `grading/class_run.py`. Should a report, a check or the machine bring it down, only the
submission that it was working on is concerned.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from autograder import report
from grading import grade
from grading.isolation.sandbox import Sandbox

DONE = b"."  # one byte, which no pipe can cut


def main(hidden: str) -> None:
    """Say DONE when ready, then grade what is asked for, a JSON line each, until the input ends.

    Args:
        hidden: folder with all submissions, which none may see.
    """
    sys.stdout = sys.stderr  # nothing but DONE may go to descriptor 1
    with (
        Sandbox([Path(hidden)]) as sandbox,
        contextlib.suppress(BrokenPipeError),
    ):  # killed: we go too
        sandbox.start()
        grade.limit_own_memory()
        os.write(1, DONE)
        for line in sys.stdin:
            work_on(json.loads(line), sandbox)
            os.write(1, DONE)


def work_on(job: dict[str, Any], sandbox: Sandbox) -> None:
    """Grade one submission; its page comes first, its report last: with it the job is done."""
    options = {"trained": job["trained"], "page_file": job["page"]}
    built, _, seed = grade.grade(job["path"], sandbox, **options)
    built["extra_data"] |= {"seed": seed, "content": job["content"]}
    report.write_json(job["report"], built)


if __name__ == "__main__":
    main(*sys.argv[1:])
