"""What is derived from the solutions and the registry of tasks: `python -m grading stubs`.

These are the students' stubs and the tables of tasks in the READMEs of both packages. `--check`
compares them with what is committed, and says which place a task is missing from.
"""

from given.runtime.submission import ROOT
from grading.release.stubs import stubs
from grading.release.task_places import missing
from grading.release.tasks_table import readmes


def derived_files() -> dict[str, str]:
    """The texts of all derived files, by name."""
    return stubs() | readmes()


def write() -> None:
    """Write the derived files that differ."""
    for name, text in _stale().items():
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote: {name}")


def check() -> None:
    """Say which derived files differ, and what is missing of a task.

    Raises:
        ValueError: some differ, or something is missing.
    """
    lines = [f"{name} differs from what is derived; run `make stubs`." for name in _stale()]
    lines += missing()
    print(*lines, sep="\n", end="\n" if lines else "")
    if lines:
        raise ValueError("The lines above say what is stale or missing.")


def _stale():
    """The derived files that are not as committed: {name: text}."""
    files = {name: (ROOT / name, text) for name, text in derived_files().items()}
    return {
        name: text
        for name, (path, text) in files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
