"""The folder in which submissions run: given modules and probes, and no answer.

A graded test shares one file with its check, which knows the true values. Here its file is cut
down to the probe and what the probe uses, so that nothing in a submission's process, or in a file
that it can read, knows what is expected.
"""

import ast
import shutil
import symtable
from collections.abc import Set
from pathlib import Path
from typing import Any

from autograder.harness import course_files
from given.images.data.imageset import decoded_folder, find_set, load_dataset
from given.runtime.submission import PACKAGES, ROOT, TODO_MODULES

HALVES_AT_HOME = ("inputs", "check", "draw")
SHARED = (
    *("__init__", "harness", "handed_in", "case", "diagnose", "formula", "terms"),
    *("shapes", "standins", "standins_images"),
)
GRADING = ("__init__", "zygote", "confine", "arrays", "attempts")
GIVEN = ("given", "experiments", *PACKAGES)


def build(folder: Path) -> None:
    """Write the runtime into an empty folder that every user may read."""
    for package in GIVEN:
        shutil.copytree(ROOT / package, folder / package, ignore=_not_given)
    for module, source in probe_sources().items():
        path = folder / f"{module.replace('.', '/')}.py"
        _write(path, source)
        _write(path.parent / "__init__.py", "")
    for name in SHARED:
        _copy(f"autograder/{name}.py", folder)
    for name in GRADING:
        _copy(f"grading/isolation/{name}.py", folder)
    for package in ("tests", "grading"):
        _write(folder / package / "__init__.py", "")
    for path in (folder, *folder.rglob("*")):  # the course itself may be closed to other users
        path.chmod(0o755 if path.is_dir() else 0o644)


def _not_given(folder, names):
    """Names in a package's folder that stay at home: TODO modules, and what Python left there."""
    package = Path(folder).name if Path(folder).parent == ROOT else None
    todo = [f"{name}.py" for name in TODO_MODULES.get(package, ())]
    return [name for name in names if name in todo or name == "__pycache__"]


def _copy(name, folder):
    _write(folder / name, (ROOT / name).read_text(encoding="utf-8"))


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def hidden_source(test: Any) -> str | None:
    """The probe of a test that students do not see, as the text of its module; else None.

    It is not in the runtime: a submission could read it there and tell of it in a message.
    """
    if test.__module__ != "autograder.settings":
        return None
    return probe_source((ROOT / "autograder" / "settings.py").read_text(encoding="utf-8"))


def add_images(folder: Path, dataset: str) -> None:
    """Give a runtime the test images of a set, decoded, for the marks that fill holes in them."""
    load_dataset(dataset, "test")
    place = folder / "data" / find_set(dataset)[0]  # "folder" for the path of one
    place.mkdir(parents=True, exist_ok=True)
    for file in decoded_folder(dataset).glob("test_*"):
        shutil.copyfile(file, place / file.name)
    for path in (place.parent, place):
        path.chmod(0o755)


def probe_sources() -> dict[str, str]:
    """The texts of all files of tests and pictures, cut down to probes: {module: text}.

    What one file imports from another stays in both.
    """
    files = [*course_files("test"), *course_files("pictures")]
    sources = {f"tests.{p.parent.name}.{p.stem}": p.read_text(encoding="utf-8") for p in files}
    asked: dict[str, set[str]] = {}
    cut: dict[str, str] = {}
    changed = set(sources)
    while changed:
        cut |= {name: probe_source(sources[name], asked.get(name, set())) for name in changed}
        before, asked = asked, {}
        for node in (node for text in cut.values() for node in ast.parse(text).body):
            if isinstance(node, ast.ImportFrom) and node.module in sources:
                asked.setdefault(node.module, set()).update(alias.name for alias in node.names)
        changed = {name for name in asked if asked[name] != before.get(name, set())}
    return cut


def probe_source(source: str, asked: Set[str] = frozenset()) -> str:
    """The text of a test file without `inputs` and `check`, and without what only they use.

    Args:
        source: the whole text.
        asked: names that other files import from this one.
    """
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _is_test(node):
            node.body = [part for part in node.body if not _stays_at_home(part)] or [ast.Pass()]
    tests = [node for node in tree.body if isinstance(node, ast.ClassDef) and _is_test(node)]
    used = _names(tests) | asked
    named = {name: node for node in tree.body for name in _defines(node)}
    waiting = list(used)
    while waiting:
        user = named.get(waiting.pop())
        new = _names([user]) - used if user is not None else set()
        used |= new
        waiting += new
    tree.body = [node for node in map(_needed_imports(used), tree.body) if _is_kept(node, used)]
    return ast.unparse(tree) + "\n"


def _is_test(node):
    """Whether a class carries @graded or @picture."""
    calls = [call.func for call in node.decorator_list if isinstance(call, ast.Call)]
    return any(isinstance(f, ast.Name) and f.id in ("graded", "picture") for f in calls)


def _stays_at_home(part):
    if isinstance(part, ast.Assign):  # such as check = Another.check
        return any(isinstance(t, ast.Name) and t.id in HALVES_AT_HOME for t in part.targets)
    return isinstance(part, ast.FunctionDef) and part.name in HALVES_AT_HOME


def _names(nodes):
    """The names that statements take from their module, those of local variables apart."""
    found, tables = set(), [symtable.symtable(ast.unparse(node), "", "exec") for node in nodes]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                found.add(symbol.get_name())
    return found


def _defines(node):
    """Names that a statement at the top of a module makes, imports apart."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return []


def _needed_imports(used):
    def cut(node):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
            node.names = [a for a, name in zip(node.names, named, strict=True) if name in used]
        return node

    return cut


def _is_kept(node, used):
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return bool(node.names)
    if isinstance(node, ast.ClassDef) and _is_test(node):
        return True
    return any(name in used for name in _defines(node))
