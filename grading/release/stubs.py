"""Make the students' stubs from the solutions.

`solutions/` is the only hand-written copy of a TODO module. A region

    # BEGIN SOLUTION 1.1a
    # Hint: one or more comment lines, kept in the stub
    ...
    # END SOLUTION

becomes, in the student's copy, the hint and

    raise NotImplementedError("TODO 1.1a: OU.marginal_prob")
"""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from given.runtime.submission import ROOT

BEGIN = re.compile(r"( *)# BEGIN SOLUTION (\d+\.\d+[a-z])$")
END = re.compile(r" *# END SOLUTION$")


@dataclasses.dataclass
class Region:
    """What a student writes in one place.

    Attributes:
        task: such as "1.1a".
        owner: the function around it, as Class.function.
        indent: the spaces before its first line.
        begin, end: the numbers of the lines BEGIN SOLUTION and END SOLUTION.
        lines: what is between them.
    """

    task: str
    owner: str
    indent: str
    begin: int
    end: int
    lines: list[str]

    def stub(self) -> list[str]:
        """The lines of a student's copy: the task, the hint, and an error."""
        code = [k for k, line in enumerate(self.lines) if not line.strip().startswith("#")]
        return [
            f"{self.indent}# TODO {self.task}: replace the raise below with your code.",
            *self.lines[: min(code, default=len(self.lines))],
            f'{self.indent}raise NotImplementedError("TODO {self.task}: {self.owner}")',
        ]


def regions(source: str, path: str | Path = "source") -> list[Region]:
    """The solution regions of a module, in order.

    Args:
        source: text of the module.
        path: its name, for messages.

    Raises:
        ValueError: a region is not closed, is empty or is outside a function.
    """
    owners, lines = _owners(source), source.splitlines()
    found, begin, indent, task = [], None, "", ""
    for number, line in enumerate(lines, 1):
        opened = BEGIN.match(line)
        if opened:
            if begin is not None:
                raise ValueError(f"{path}:{number}: a region opens inside the one of line {begin}.")
            begin, (indent, task) = number, opened.groups()
        elif END.match(line):
            if begin is None:
                raise ValueError(f"{path}:{number}: END SOLUTION without a BEGIN.")
            inside = lines[begin : number - 1]
            if begin not in owners or not any(map(str.strip, inside)):
                raise ValueError(f"{path}:{begin}: region {task} is empty or outside a function.")
            found.append(Region(task, owners[begin], indent, begin, number, inside))
            begin = None
    if begin is not None:
        raise ValueError(f"{path}:{begin}: region {task} is not closed.")
    return found


def stub_source(source: str, path: str | Path = "source") -> str:
    """The stub of a solution module; arguments and errors are those of `regions`."""
    lines, out, at = source.splitlines(), [], 0
    for region in regions(source, path):
        out += lines[at : region.begin - 1] + region.stub()
        at = region.end
    return "\n".join(out + lines[at:]) + "\n"


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


def solutions(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield (name such as sde_todo/sde.py, text) of every module in `root`/solutions."""
    for path in sorted((root / "solutions").rglob("*.py")):
        name = path.relative_to(root / "solutions").as_posix()
        yield name, path.read_text(encoding="utf-8")


def all_regions(root: Path = ROOT) -> dict[str, list[Region]]:
    """The regions of every module in `root`/solutions, by its name, such as sde_todo/sde.py."""
    return {name: regions(text, name) for name, text in solutions(root)}


def stubs(root: Path = ROOT) -> dict[str, str]:
    """The stub of every module in `root`/solutions, by its name, such as sde_todo/sde.py."""
    return {name: stub_source(text, name) for name, text in solutions(root)}
