"""Grade one submission inside Gradescope's container, and the two scripts that start it there.

What the container needs (Settings, Autograder): 2 CPU, 3 GB of memory and a timeout of 40 minutes,
the longest there is, for submissions that run into the limits of many tests. All processes together
took 1.2 GB at most on the solutions; a test may take LIMITS["MEMORY_MB"] of autograder/settings.py.
Gradescope's default of 768 MB is too little for torch.

The image is built once by setup.sh, as root: Python, the CPU wheels of torch, and a folder
/autograder/source that only root can enter, so that the code of a submission, which runs under
another user, finds no test and no solution. run_autograder runs once for each submission. Layout of
the folders: https://gradescope-autograders.readthedocs.io/en/latest/specs/.
"""

import contextlib
import json
import os
import traceback
from pathlib import Path
from typing import Any

from autograder import report, settings
from grading import late
from grading.release import results_format

CPUS, MEMORY_GB, TIMEOUT_MINUTES = 2, 3, 40
NOT_FOR_GRADING = (
    "hypothesis",
    "jupyter",
    "mypy",
    "nbval",
    "pytest",
    "pytest-xdist",
    "ruff",
    "safetensors",
)
TORCH = ("torch", "torchvision")
FAILED = "The grader failed; this says nothing about your work. Please tell your instructor."

README = f"""\
An autograder for Gradescope: upload this zip as it is ("Configure Autograder"), on Ubuntu 22.04 or
later. Give the container {CPUS} CPU and {MEMORY_GB} GB of memory, and a timeout of
{TIMEOUT_MINUTES} minutes. Then test it with a submission of yours before students submit.
"""

SETUP = """\
#!/usr/bin/env bash
# Runs once, as root, when Gradescope builds the image.
set -euo pipefail
root="${AUTOGRADER_ROOT:-/autograder}"
venv="${AUTOGRADER_VENV:-/opt/course-venv}"
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv
python3 -m venv "$venv"
"$venv/bin/pip" install --no-cache-dir \\
    --index-url https://download.pytorch.org/whl/cpu TORCH_PINS
"$venv/bin/pip" install --no-cache-dir \\
    OTHER_PINS
cd "$root/source/course"
"$venv/bin/python" -m sde_todo check
# The code of a submission runs under another user, who must not read tests and solutions. Closing
# the outer folder is enough; the grader hands on the given modules with the permissions below it.
chown -R root:root "$root/source"
chmod -R u=rwX,go=rX "$root/source/course"
chmod go-rwx "$root/source"
"""

RUN = """\
#!/usr/bin/env bash
# Runs once for each submission; a results.json is there at the end, whatever happens.
set -euo pipefail
root="${AUTOGRADER_ROOT:-/autograder}"
python="${AUTOGRADER_PYTHON:-/opt/course-venv/bin/python}"
results="$root/results"
mkdir -p "$results"
rm -f "$results/results.json"
{ cd "$root/source/course" && "$python" -m grading container "$root"; } ||
    echo "The grader ended with status $?." >&2
if [ ! -s "$results/results.json" ]; then
    printf '%s\\n' 'FAILURE' >"$results/.results.part"
    mv "$results/.results.part" "$results/results.json"
fi
"""


def scripts(constraints: str) -> dict[str, str]:
    """The files at the root of the zip: {name: text}.

    Args:
        constraints: text of constraints.txt, which pins what is installed.
    """
    lines = [line.strip() for line in constraints.splitlines()]
    pins = {line.partition("==")[0]: line for line in lines if line and not line.startswith("#")}
    missing = [name for name in TORCH if name not in pins]
    if missing:
        raise ValueError(f"constraints.txt does not pin {' and '.join(missing)}.")
    others = [pin for name, pin in pins.items() if name not in TORCH + NOT_FOR_GRADING]
    setup = SETUP.replace("TORCH_PINS", " ".join(pins[name] for name in TORCH))
    return {
        "setup.sh": setup.replace("OTHER_PINS", " \\\n    ".join(others)),
        "run_autograder": RUN.replace("FAILURE", json.dumps(failure())),
        "README.txt": README,
    }


def run(root: Path = Path("/autograder")) -> None:
    """Grade root/submission and write root/results/results.json, last and whole.

    Whatever fails gives a valid report with score 0 that tells the student to ask the instructor;
    the traceback goes to stderr, which Gradescope shows to instructors only.
    """
    root = Path(root)
    try:
        result = _graded(root)
        broken = results_format.problems(result)
        if broken:
            raise ValueError(f"the report does not fit Gradescope's format: {'; '.join(broken)}")
    except (Exception, SystemExit):
        traceback.print_exc()
        result = failure()
    report.write_json(root / "results" / "results.json", result)
    return result


def failure() -> dict[str, Any]:
    """The report of a grader that failed."""
    return {
        "score": 0,
        "output": FAILED,
        "stdout_visibility": "hidden",
        "extra_data": {"grader_failed": True},
    }


def _graded(root):
    """The adjusted report; a submission beyond the attempt limit is not graded at all."""
    metadata = _metadata(root / "submission_metadata.json")
    policy, attempts = getattr(settings, "LATE", None), getattr(settings, "ATTEMPTS", None)
    with contextlib.suppress(late.Unreadable):  # said by `adjust`
        if late.kept_score(metadata, attempts) is not None:
            return late.adjust({"score": 0, "stdout_visibility": "hidden"}, metadata, {}, attempts)
    from grading import grade

    if not (root / "submission").is_dir():
        raise ValueError(f"there is no folder {root / 'submission'}")
    result, *_ = grade.grade(root / "submission", trained=settings.TRAINED)
    return late.adjust({**result, "stdout_visibility": "hidden"}, metadata, policy, attempts)


def _metadata(path):
    """The content of submission_metadata.json; None where it is missing or no JSON."""
    with contextlib.suppress(OSError):
        # It holds the results of earlier runs, hidden tests included: not for the submission.
        os.chmod(path, 0o600)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
