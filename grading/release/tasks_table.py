"""The tables of tasks in sde_todo/README.md and image_diffusion/README.md.

A table is between two marks; what a person writes is around them. Titles, minutes and files come
from the registry, functions from the regions of solutions/, points from the graded tests.
"""

from autograder import harness
from autograder.tasks import PACKAGES, all_tasks
from given.runtime.submission import ROOT
from grading.release.stubs import all_regions

BEGIN, END = "<!-- BEGIN TASKS -->\n", "<!-- END TASKS -->"
HEAD = """\
| task | what | file | functions | minutes | points |
|---|---|---|---|---|---|
"""
TOTAL = """
{points:g} points, about {hours} hours (an estimate, like all minutes here); optional tasks add up
to {bonus_points:g} more, in about {bonus_hours} hours, and nothing later depends on them.
"""


def readmes() -> dict[str, str]:
    """The READMEs of both packages with their tables as they should be, by name.

    Raises:
        ValueError: a README is missing, or has not the two marks.
    """
    out = {}
    for part, package in PACKAGES.items():
        name = f"{package}/README.md"
        path = ROOT / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (text.count(BEGIN), text.count(END)) != (1, 1):
            raise ValueError(f"{name} needs one `{BEGIN.strip()}` and one `{END}`.")
        head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
        out[name] = head + BEGIN + tasks_table(part.removeprefix("task")) + END + tail
    return out


def tasks_table(part: str) -> str:
    """The table of the tasks of Task 1 or Task 2, and its totals."""
    tasks = {name: task for name, task in all_tasks().items() if name.startswith(f"{part}.")}
    scores, places = points(), functions()
    rows = [_row(name, task, places.get(name, {}), scores[name]) for name, task in tasks.items()]
    total = {}
    for optional, prefix in ((False, ""), (True, "bonus_")):
        own = [name for name, task in tasks.items() if task.optional == optional]
        total[f"{prefix}points"] = sum(scores[name] for name in own)
        total[f"{prefix}hours"] = round(sum(tasks[name].minutes for name in own) / 60)
    return HEAD + "".join(rows) + TOTAL.format(**total)


def _row(name, task, places, points):
    files = ", ".join(f"`{file}`" for file in places or [task.file])
    owners = ", ".join(f"`{owner}`" for names in places.values() for owner in names)
    title = f"{task.title}{' *(optional)*' if task.optional else ''}"
    own = owners or "nothing new to write"
    return f"| {name} | {title} | {files} | {own} | {task.minutes} | {points:g} |\n"


def points() -> dict[str, float]:
    """The points of each task, without those of an instructor's own tests."""
    out: dict[str, float] = dict.fromkeys(all_tasks(), 0)
    for test in harness.graded_tests():
        if test.__module__ != "autograder.settings":
            out[test.task] = out.get(test.task, 0) + test.points
    return out


def functions() -> dict[str, dict[str, list[str]]]:
    """What a student fills in: {task: {file: [Class.function, ...]}}, from the solutions."""
    out: dict[str, dict[str, list[str]]] = {}
    for file, regions in all_regions().items():
        for region in regions:
            owners = out.setdefault(region.task, {}).setdefault(file, [])
            if region.owner not in owners:
                owners.append(region.owner)
    return out
