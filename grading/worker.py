"""One of the processes that grade a class: reads names from its input, writes a report for each.

Started by `grading/class_run.py`. Should a report, a check or the machine bring it down, only the
submission that it was working on is concerned.
"""

import json
import sys
from pathlib import Path

from grading import grade
from grading.sandbox import Sandbox
from tests import page, pictures, report


def main(number, hidden):
    """Grade what is asked for, a JSON line each, until the input ends.

    Args:
        number: of this worker. hidden: folder with all submissions, which none may see.
    """
    answers = sys.stdout
    sys.stdout = sys.stderr
    with Sandbox(int(number), [hidden]) as sandbox:
        sandbox.start()
        grade.limit_own_memory()
        for line in sys.stdin:
            work_on(json.loads(line), sandbox)
            print("done", file=answers, flush=True)


def work_on(job, sandbox):
    """Grade one submission; its page comes first, its report last: with it the job is done."""
    built, graded, seed = grade.grade(job["path"], sandbox, trained=job["trained"])
    built["extra_data"] |= {"seed": seed, "content": job["content"]}
    if job["page"]:
        drawn = pictures.draw_all(graded)
        page.write(job["page"], built, drawn, Path(job["path"]).name)
    report.write_json(job["report"], built)


if __name__ == "__main__":
    main(*sys.argv[1:])
