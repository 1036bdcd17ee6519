"""What is still missing of a task: the six places that a person writes, and those left alone."""

import importlib
import json
import re

from autograder import harness, pictures
from autograder.tasks import PACKAGES, all_tasks, order
from given.runtime.submission import ROOT, TODO_MODULES
from grading.release import stubs

# Tasks that have nothing in some of the places, and why.
DRAWS = "its images are drawn by the tasks before it"
MARKS = dict.fromkeys(("1.4a", "1.4b", "1.4c"), "it trains, too long to do for every mistake")
MARKS |= dict.fromkeys(("2.4a", "2.4b", "2.4c"), DRAWS)
EXEMPT: dict[str, dict[str, str]] = {
    "solution": {"1.4b": "the model of 1.4a, sampled by the ODE"}
    | dict.fromkeys(("2.4a", "2.4b", "2.4c"), DRAWS),
    "mistake": MARKS,
    "alternative": MARKS,
}
ADVICE = {
    "solution": "no solution region; put `# BEGIN SOLUTION {task}` and `# END SOLUTION` around its "
    "lines in solutions/{file}",
    "entry": "no entry; describe it in tests/{folder}/tasks_{stem}.py",
    "test": 'no graded test; write a class with @graded("{task}", points=...) in '
    "tests/{folder}/test_{stem}.py",
    "picture": 'no picture; write a class with @picture("{task}") in '
    "tests/{folder}/pictures_{stem}.py",
    "mistake": "no mistakes; add some to tests/project/mistakes/{stem}.py",
    "alternative": "no alternative; add a correct answer, written another way, to "
    "tests/project/alternatives/{stem}.py",
    "notebook": "no cell of a notebook names it; put it into the table or a heading of its section",
}


def missing() -> list[str]:
    """One line for each place in which a task is missing, and for each list that is out of date."""
    where, lines = places(), stray_modules()
    for task in sorted(set().union(*where.values()), key=order):
        for place, tasks in where.items():
            if task not in tasks and task not in EXEMPT.get(place, {}):
                lines.append(f"{task}: {ADVICE[place].format(task=task, **_home(task))}.")
    for place, reasons in EXEMPT.items():
        for task in reasons:
            if task in where[place]:
                lines.append(f"{task}: it has a {place}, so take it out of EXEMPT in {__name__}.")
    return lines


def places() -> dict[str, set[str]]:
    """The tasks that are in each of the places, those before the tables first."""
    return {
        "solution": {r.task for regions in stubs.all_regions().values() for r in regions},
        "entry": set(all_tasks()),
        "test": {test.task for test in harness.graded_tests()},
        "picture": set(pictures.task_pictures()),
        "mistake": {task for task, *_ in _of_the_project("mistakes").values()},
        "alternative": alternative_tasks(_of_the_project("alternatives")),
        "notebook": named_in_notebooks(),
    }


def _of_the_project(name):
    """The mistakes or alternatives; by name, as the tests know the grader and not it them."""
    return importlib.import_module(f"tests.project.{name}").ALL


def alternative_tasks(alternatives: dict) -> set[str]:
    """The tasks whose regions some alternative changes.

    Args:
        alternatives: {name: [(file, old, new), ...]}.
    """
    sources, found = dict(stubs.solutions()), set()
    for file, old, _ in (change for changes in alternatives.values() for change in changes):
        for name in (name for name in sources if f"/{name}".endswith(f"/{file}.py")):
            at = sources[name].find(old)
            first, last = (sources[name].count("\n", 0, k) + 1 for k in (at, at + len(old)))
            for region in stubs.regions(sources[name], name):
                if at >= 0 and region.begin <= last and first <= region.end:
                    found.add(region.task)
    return found


def named_in_notebooks() -> set[str]:
    """The tasks that the text of the notebooks names, also as in "1.5b, c" and "1.6k to 1.6n"."""
    found = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                found |= named("".join(cell["source"]).replace("\\*", ""))
    return found


def named(text: str) -> set[str]:
    """The tasks that a text names."""
    found = set()
    for section, first, rest in re.findall(r"\b([12]\.\d)([a-z])\b((?:, [a-z]\b)*)", text):
        found |= {section + letter for letter in (first, *re.findall("[a-z]", rest))}
    for section, first, last in re.findall(r"\b([12]\.\d)([a-z]) to \1([a-z])\b", text):
        found |= {section + chr(letter) for letter in range(ord(first), ord(last) + 1)}
    return found


def stray_modules() -> list[str]:
    """One line for each difference between solutions/, TODO_MODULES and the files of the tests."""
    listed = {f"{package}/{m}.py" for package, modules in TODO_MODULES.items() for m in modules}
    there = {name for name, _ in stubs.solutions()}
    listing = "TODO_MODULES of given/runtime/submission.py"
    lines = [f"solutions/{name} is not in {listing}." for name in sorted(there - listed)]
    lines += [f"{name} of {listing} is not in solutions/." for name in sorted(listed - there)]
    for kind in ("tasks", "pictures"):
        for path in harness.course_files(kind):
            package, stem = PACKAGES[path.parent.name], path.stem.removeprefix(f"{kind}_")
            if stem != "marks" and stem not in TODO_MODULES[package]:
                name = path.relative_to(ROOT).as_posix()
                lines.append(f"{name} belongs to no module: there is no {package}/{stem}.py.")
    return lines


def _home(task):
    """The file, stem and folder of tests of a task, from its entry or its region."""
    tasks, folder = all_tasks(), f"task{task[0]}"
    regions = [name for name, own in stubs.all_regions().items() for r in own if r.task == task]
    file = tasks[task].file if task in tasks else (regions or [f"{PACKAGES[folder]}/MODULE.py"])[0]
    return {"file": file, "folder": folder, "stem": file.rpartition("/")[2].removesuffix(".py")}
