"""The registry of tasks: everything else about a task is derived from it.

A file tests/task1/tasks_MODULE.py or tests/task2/tasks_MODULE.py has TASKS, a dict from a name such
as "1.1a" to a `Task`, for the tasks of one module of a student's. SECTIONS, a dict such as
{"1.1": title}, is in the file with the first task of a section.
"""

import dataclasses
import functools

from autograder.harness import course_modules

PACKAGES = {"task1": "sde_todo", "task2": "image_diffusion"}


@dataclasses.dataclass(frozen=True)
class Task:
    """A task as a student sees it.

    Attributes:
        title: a few words.
        minutes: the time it takes.
        hints: from faint to plain.
        optional: whether its points are a bonus.
        file: where a student works on it; left empty, it is that of the module in the file's name.
    """

    title: str
    minutes: int
    hints: list[str]
    optional: bool = False
    file: str = ""


@functools.cache
def all_tasks() -> dict[str, Task]:
    """All tasks by name, in the order of their numbers."""
    found = {}
    for module in course_modules("tasks"):
        _, folder, name = module.__name__.split(".")
        file = f"{PACKAGES[folder]}/{name.removeprefix('tasks_')}.py"
        for number, task in module.TASKS.items():
            if number in found:
                raise ValueError(f"{module.__name__} has task {number}, which is already there.")
            found[number] = dataclasses.replace(task, file=task.file or file)
    return dict(sorted(found.items(), key=lambda item: order(item[0])))


@functools.cache
def all_sections() -> dict[str, str]:
    """The titles of all sections by number, such as "1.1", in order."""
    parts = [getattr(module, "SECTIONS", {}) for module in course_modules("tasks")]
    found = {number: title for part in parts for number, title in part.items()}
    return {number: found[number] for number in dict.fromkeys(map(section, all_tasks()))}


def section(task: str) -> str:
    """The section of a task: "1.1" of "1.1a"."""
    return task[:-1]


def order(task: str) -> tuple[int, int, str]:
    """The place of a task among all others, for sorting."""
    part, _, rest = task.partition(".")
    return int(part), int(rest[:-1]), rest[-1]
