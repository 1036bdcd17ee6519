"""What of a student's modules counts when they are graded, said at home in the same words.

Only the TODO files are handed in, as UTF-8 text, and only the packages of `PACKAGES_THERE` can be
imported. What breaks these rules works at home, so `pytest` refuses it there as the grader does.
"""

import builtins
import codecs
import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from given.runtime.submission import DOORS, TODO_MODULES, module_file

LARGEST = 1 << 20  # bytes of a module
PACKAGES_THERE: tuple[str, ...] = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "matplotlib",
    "PIL",
    "sklearn",
    "ot",
)
PACKAGES_THERE += ("tqdm",)
GIVEN = ("given", "experiments", *TODO_MODULES)
ALSO_THERE = ("__future__", "mpl_toolkits")  # of Python, of matplotlib
NEED_JUPYTER = ("tqdm.notebook",)


class Unreadable(ValueError):
    """What was handed in cannot be read; the message is for the student."""


def text_of(file: str, data: bytes) -> tuple[str, list[str]]:
    """The text of a module, with \\n at the ends of lines, and what had to be changed for it.

    Raises:
        Unreadable: it is too long, or no UTF-8.
    """
    if len(data) > LARGEST:
        raise Unreadable(f"{file} is longer than {LARGEST >> 20} MB; a module has a few kB.")
    notes = []
    if data.startswith(codecs.BOM_UTF8):
        data, notes = data[3:], [f"{file} begins with a byte order mark; it was ignored."]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{file} is no UTF-8 text (byte {error.start}); save it so.") from None
    if "\0" in text:
        raise Unreadable(f"{file} holds zero bytes; it is no Python text.")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        notes += [f"{file} has the line ends of Windows; they were changed."]
    return text, notes


@contextlib.contextmanager
def imports_as_graded() -> Iterator[None]:
    """Let TODO modules be imported, and import, only what the grader would take.

    Raises:
        Unreadable: the text of a TODO module that is imported would be refused.
        ModuleNotFoundError: in the TODO module that imports what is not there.
    """
    real = builtins.__import__

    def checked(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        importer = globals.get("__name__", "") if isinstance(globals, dict) else ""
        package, _, _ = importer.partition(".")
        if package in TODO_MODULES or name.partition(".")[0] in TODO_MODULES:
            full = importlib.util.resolve_name("." * level + name, package) if level else name
            for wanted in (full, *(f"{full}.{part}" for part in fromlist or ())):
                if _is_todo(importer):
                    refuse_import(wanted)
                if _is_todo(wanted):
                    refuse_text(wanted)
        return real(name, globals, locals, fromlist, level)

    builtins.__import__ = checked
    try:
        yield
    finally:
        builtins.__import__ = real


def _is_todo(name):
    package, _, module = name.partition(".")
    return module in TODO_MODULES.get(package, ())


def refuse_text(name: str) -> None:
    """Raise Unreadable where the grader would not read the file of a TODO module."""
    package, _, module = name.partition(".")
    with contextlib.suppress(OSError), open(module_file(package, module), "rb") as stream:
        text_of(f"{package}/{module}.py", stream.read(LARGEST + 1))


def refuse_import(name: str) -> None:
    """Raise ModuleNotFoundError where a module is not there when it is graded.

    Args:
        name: "package.module"; or "package.name", of something that is imported from a package.
    """
    top, _, rest = name.partition(".")
    own = (*TODO_MODULES.get(top, ()), *DOORS.get(top, ()))
    missing = f"No module named {name!r} is there when this is graded"
    if name in NEED_JUPYTER:
        raise ModuleNotFoundError(f"{missing}: it needs Jupyter.")
    if top in TODO_MODULES and rest and rest.partition(".")[0] not in own:
        found = vars(sys.modules[top]).get(rest) if top in sys.modules else None
        if found is None or isinstance(found, ModuleType):
            raise ModuleNotFoundError(
                f"{missing}: of {top}/ only the files with tasks are handed in. Move what you need "
                "of it into this file."
            )
    elif top not in (*sys.stdlib_module_names, *PACKAGES_THERE, *GIVEN, *ALSO_THERE):
        raise ModuleNotFoundError(
            f"{missing}: only the files with tasks, what is given, Python's own modules, "
            f"{', '.join(PACKAGES_THERE)}. Do without it in this file."
        )
