"""The modules that a student writes, and the folder that they are read from.

With COURSE=DIR in the environment the modules in DIR/sde_todo and DIR/image_diffusion are imported
under the student's names, so that COURSE=solutions runs everything on the reference. Only the
modules of TODO_MODULES are looked for there: whatever else DIR holds never replaces a given file.
"""

import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TODO_MODULES = {
    "sde_todo": (
        *("sde", "network", "loss", "train", "sampling", "recipe"),
        *("likelihood", "flow", "bridge", "light_sb"),
    ),
    "image_diffusion": ("scheduler", "ddpm", "inpainting", "guidance"),
}
DOORS = {  # other modules of the two packages, which are given
    "sde_todo": ("__main__", "dataset", "eval"),
    "image_diffusion": (
        *("__main__", "train", "sampling", "dataset", "network", "module", "inpaint", "fid"),
    ),
}
PACKAGES = tuple(TODO_MODULES)


class SubmittedModules(importlib.abc.MetaPathFinder):
    """Finds TODO modules in `folder`, else in that of COURSE, before Python looks in the course."""

    folder: Path | None = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        package, _, module = name.partition(".")
        if module not in TODO_MODULES.get(package, ()):
            return None
        folder = self.folder or course_folder()
        file = folder / package / f"{module}.py" if folder else None
        if file is None or not file.is_file():
            return None
        return importlib.util.spec_from_file_location(name, file)


def course_folder() -> Path | None:
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


def read_modules_from(folder: Path | str | None) -> Path | None:
    """Import TODO modules from `folder`/PACKAGE from now on, and the missing ones from the course.

    Args:
        folder: a tree with one or both of the packages, or None for that of COURSE.

    Returns:
        the folder of before.
    """
    before, FINDER.folder = FINDER.folder, Path(folder) if folder else None
    importlib.invalidate_caches()
    return before


def module_file(package: str, module: str) -> Path:
    """The file that the next import of a TODO module reads, whatever has been imported."""
    spec = FINDER.find_spec(f"{package}.{module}")
    return Path(spec.origin) if spec and spec.origin else ROOT / package / f"{module}.py"


def forget_modules() -> dict[str, Any]:
    """Let the next import of a TODO module read its file, and that of an experiment find it.

    Returns:
        {name: module} of those that had been imported.
    """
    todo = {f"{package}.{name}" for package, names in TODO_MODULES.items() for name in names}
    forgotten = {}
    for name in list(sys.modules):
        if name in todo or name.startswith("experiments."):
            forgotten[name] = sys.modules.pop(name)
            package, _, attribute = name.rpartition(".")
            vars(sys.modules.get(package, forgotten.get(package))).pop(attribute, None)
    importlib.invalidate_caches()
    return forgotten


FINDER = SubmittedModules()
sys.meta_path.insert(0, FINDER)
