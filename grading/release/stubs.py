"""Make the students' stubs from the solutions: `python -m grading stubs` or `make stubs`.

`solutions/` is the only hand-written copy of a TODO module. A region

    # BEGIN SOLUTION 1.1a
    # Hint: one or more comment lines, kept in the stub
    ...
    # END SOLUTION

becomes, in the student's copy, the hint and

    raise NotImplementedError("TODO 1.1a: OU.marginal_prob")
"""

import ast
import re

from given.runtime.submission import ROOT

BEGIN = re.compile(r"( *)# BEGIN SOLUTION (\d+\.\d+[a-z])$")
END = re.compile(r" *# END SOLUTION$")


def stub_source(source, path="source"):
    """Return the stub of a solution module.

    Args:
        source: text of the module. path: its name, for messages.

    Raises:
        ValueError: a region that is not closed, is empty or outside a function.
    """
    names = _owners(source)
    out, region = [], None  # region: indent, task and lines of the open region
    for number, line in enumerate(source.splitlines(), 1):
        begin = BEGIN.match(line)
        if begin and region is None:
            region = (*begin.groups(), number, [])
        elif begin:
            raise ValueError(f"{path}:{number}: a region opens inside the one of line {region[2]}.")
        elif END.match(line):
            if region is None:
                raise ValueError(f"{path}:{number}: END SOLUTION without a BEGIN.")
            out += _stub_lines(*region, names.get(region[2]), path)
            region = None
        elif region is not None:
            region[3].append(line)
        else:
            out.append(line)
    if region is not None:
        raise ValueError(f"{path}:{region[2]}: region {region[1]} is not closed.")
    return "\n".join(out) + "\n"


def _stub_lines(indent, task, number, lines, owner, path):
    if owner is None or not any(line.strip() for line in lines):
        raise ValueError(f"{path}:{number}: region {task} is empty or outside a function.")
    hint = []
    for line in lines:
        if not line.strip().startswith("#"):
            break
        hint.append(line)
    return [
        f"{indent}# TODO {task}: replace the raise below with your code.",
        *hint,
        f'{indent}raise NotImplementedError("TODO {task}: {owner}")',
    ]


def _owners(source):
    """Map each line number to the innermost function around it, as Class.function."""
    owners = {}

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                name = f"{prefix}{child.name}"
                if isinstance(child, ast.FunctionDef):
                    owners.update(dict.fromkeys(range(child.lineno, child.end_lineno + 2), name))
                visit(child, f"{name}.")
            else:
                visit(child, prefix)

    visit(ast.parse(source), "")
    return owners


def stubs(root=ROOT):
    """Yield (path of the stub, its text) for every module in `root`/solutions."""
    for path in sorted((root / "solutions").rglob("*.py")):
        relative = path.relative_to(root / "solutions")
        yield root / relative, stub_source(path.read_text(encoding="utf-8"), relative)


def write_stubs(check=False):
    """Write the stubs, or with `check` only say which differ.

    Raises:
        ValueError: with `check`, some differ.
    """
    stale = [
        (path, text)
        for path, text in stubs()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{'differs' if check else 'wrote'}: {path.relative_to(ROOT)}")
    if check and stale:
        raise ValueError("The stubs are not those of the solutions; run `make stubs`.")
