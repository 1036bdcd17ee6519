"""Public functions carry type annotations, which mypy checks in `make types`."""

import ast

import pytest

from given.runtime.submission import ROOT

ROOMS = ("given", "experiments", "autograder", "grading", "solutions")


def public_functions(node: ast.AST, owner: str = ""):
    """Every public function and method in a module, and __init__, as (name, node)."""
    for child in ast.iter_child_nodes(node):
        name = getattr(child, "name", "")
        if isinstance(child, ast.ClassDef) and not name.startswith("_"):
            yield from public_functions(child, f"{name}.")
        if isinstance(child, ast.FunctionDef) and (name == "__init__" or name[0] != "_"):
            yield owner + name, child


def is_annotated(name: str, function: ast.FunctionDef) -> bool:
    """Whether every argument has a type, and the result too; __init__ returns None anyway."""
    a = function.args
    arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
    typed = all(arg.annotation or arg.arg in ("self", "cls") for arg in arguments)
    return typed and (function.returns is not None or name.endswith("__init__"))


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_are_annotated(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"{room} has no modules"
    missing = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name, function in public_functions(ast.parse(file.read_text(encoding="utf-8")))
        if not is_annotated(name, function)
    ]
    assert not missing, "Without annotations:\n" + "\n".join(missing)
