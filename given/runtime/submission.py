"""Given: the modules that a student writes, and the folder that they are read from.

With COURSE=DIR in the environment the modules in DIR/sde_todo and DIR/image_diffusion are imported
under the student's names, so that COURSE=solutions runs everything on the reference. Only the
modules of TODO_MODULES are looked for there: whatever else DIR holds never replaces a given file.
"""

import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TODO_MODULES = {
    "sde_todo": (
        *("sde", "network", "loss", "train", "sampling", "recipe"),
        *("likelihood", "flow", "bridge", "light_sb"),
    ),
    "image_diffusion": ("scheduler", "ddpm", "inpainting", "guidance"),
}
PACKAGES = tuple(TODO_MODULES)


class SubmittedModules(importlib.abc.MetaPathFinder):
    """Finds the TODO modules of a folder, before Python looks in the course."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        file = self.folder / package / f"{module}.py"
        if module in TODO_MODULES.get(package, ()) and file.is_file():
            return importlib.util.spec_from_file_location(name, file)
        return None


def read_modules_from(folder):
    """Import TODO modules from `folder`/PACKAGE from now on, and the missing ones from the course.

    A later call takes the place of an earlier one.

    Args:
        folder: a tree with one or both of the packages, or None for the course itself.
    """
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, SubmittedModules)]
    if folder is not None:
        sys.meta_path.insert(0, SubmittedModules(folder))
    importlib.invalidate_caches()


def course_folder():
    """The folder named by COURSE, or None; a relative one is looked for here, then in the course.

    Raises:
        SystemExit: there is no such folder, which is a mistake on the command line.
    """
    course = os.environ.get("COURSE")
    if not course:
        return None
    trees = [folder / course for folder in (Path.cwd(), ROOT)]
    for tree in trees:
        if any((tree / package).is_dir() for package in PACKAGES):
            return tree
    raise SystemExit(
        f"COURSE={course}: there is no folder {trees[0]} with sde_todo/ or image_diffusion/."
    )


def forget_modules():
    """Let the next import of a TODO module read its file.

    Returns:
        {name: module} of those that had been imported.
    """
    forgotten = {}
    for package, modules in TODO_MODULES.items():
        for module in modules:
            name = f"{package}.{module}"
            if name in sys.modules:
                forgotten[name] = sys.modules.pop(name)
                vars(sys.modules[package]).pop(module, None)
    importlib.invalidate_caches()
    return forgotten
