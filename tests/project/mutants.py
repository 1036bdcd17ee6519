"""Wrong answers that nobody thought of: small changes of the solutions, one at a time.

`mutants()` changes a constant, a sign, an operator, a name, an axis and so on in every solution
region, by its syntax tree. `benchmarks/mutants.py` runs the graded tests on them.
"""

import ast
import collections
import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

from grading.release.stubs import Region, regions, solutions

Variants = Iterator[tuple[str, ast.AST]]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one region.

    Attributes:
        task: whose region it is, such as "1.1a".
        file: such as "sde_todo/sde.py".
        owner: the function, as Class.function.
        line: of the file, from 1.
        kind: such as "sign".
        old: the text that was replaced.
        new: the text there now.
        source: the whole changed module.
        number: of this change in this function, where it can be made in several places.
    """

    task: str
    file: str
    owner: str
    line: int
    kind: str
    old: str
    new: str
    source: str = dataclasses.field(repr=False)
    number: int = 1

    @property
    def key(self) -> str:
        """A name that line numbers do not change."""
        number = f" (#{self.number})" if self.number > 1 else ""
        return f"{self.file}:{self.owner}: {self.old} -> {self.new}{number}"


def mutants(task: str = "") -> list[Mutant]:
    """All mutants of the regions of a task or section, in order; no source occurs twice."""
    found: dict[str, Mutant] = {}
    for file, source in solutions():
        tree = ast.parse(source)
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for region in regions(source, file):
            if not region.task.startswith(task):
                continue
            lines = range(region.begin + 1, region.end)
            nodes = [n for n in ast.walk(tree) if getattr(n, "lineno", 0) in lines]
            for node in nodes:
                if not is_code(node, parents):
                    continue
                for kind, new in variants(node, parents):
                    made = replaced(file, source, region, node, kind, new)
                    if made:
                        found.setdefault(made.source, made)
    return numbered(list(found.values()))


def numbered(made: list[Mutant]) -> list[Mutant]:
    """The same mutants, told apart where a function has the same text in several places."""
    counts: collections.Counter = collections.Counter()
    out = []
    for mutant in made:
        counts[mutant.key] += 1
        out.append(dataclasses.replace(mutant, number=counts[mutant.key]))
    return out


def is_code(node: ast.AST, parents: dict) -> bool:
    """Whether a node is neither an annotation nor a part of a message, a format or an import."""
    while node in parents:
        above = parents[node]
        if isinstance(above, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
            return False
        if node is getattr(above, "annotation", None) or node is getattr(above, "returns", None):
            return False
        node = above
    return True


def replaced(
    file: str, source: str, region: Region, node: Any, kind: str, new: ast.AST
) -> Mutant | None:
    """The mutant with `new` instead of `node`; None where this is no Python or the same."""
    text = ast.unparse(new)
    if text == ast.unparse(node):
        return None
    if isinstance(new, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp)):
        text = f"({text})"
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    if isinstance(node, ast.stmt):
        text = text.replace("\n", "\n" + " " * node.col_offset)
    whole = source.encode()
    changed = (whole[:start] + text.encode() + whole[end:]).decode()
    try:
        compile(changed, file, "exec")
    except SyntaxError:
        return None
    old = " ".join(whole[start:end].decode().split())
    return Mutant(
        region.task, file, region.owner, node.lineno, kind, old, " ".join(text.split()), changed
    )


def variants(node: Any, parents: dict) -> Variants:
    """Kind and new node of each change of one node."""
    if isinstance(node, ast.Constant):
        yield from of_constant(node, parents)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.BinOp):
        yield from of_binary(node)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from of_compare(node)
    elif isinstance(node, ast.BoolOp):
        op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "condition", ast.BoolOp(op, node.values)
    elif isinstance(node, ast.IfExp):
        yield "condition", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Call):
        yield from of_call(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from of_name(node, parents)
    elif isinstance(node, ast.stmt):
        yield from of_statement(node)


def of_constant(node: ast.Constant, parents: dict) -> Variants:
    """A number that is one larger, twice as large, or negative; True for False."""
    above = parents[node]
    if isinstance(node.value, bool):
        yield "flag", ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        axis = isinstance(above, ast.keyword) and above.arg in ("dim", "start_dim", "axis")
        kind = "axis" if axis else "index" if in_subscript(node, parents) else "constant"
        yield kind, ast.Constant(node.value + 1)
        if node.value:
            yield kind, ast.Constant(0)
        if kind == "constant" and node.value not in (0, 1):
            yield kind, ast.Constant(2 * node.value)


def in_subscript(node: ast.AST, parents: dict) -> bool:
    """Whether a node is a part of what is between brackets."""
    while isinstance(parents[node], (ast.Slice, ast.Tuple, ast.UnaryOp)):
        node = parents[node]
    return isinstance(parents[node], ast.Subscript) and node is not parents[node].value


def of_binary(node: ast.BinOp) -> Variants:
    """Another operator, one side alone, both sides exchanged."""
    left, op, right = node.left, node.op, node.right
    if isinstance(op, (ast.Add, ast.Sub)):
        yield "sign", ast.BinOp(left, ast.Sub() if isinstance(op, ast.Add) else ast.Add(), right)
        yield "dropped term", left
        minus = isinstance(op, ast.Sub)
        yield "dropped term", ast.UnaryOp(ast.USub(), right) if minus else right
    elif isinstance(op, ast.Mult):
        yield "operator", ast.BinOp(left, ast.Div(), right)
        yield "dropped factor", left
        yield "dropped factor", right
    elif isinstance(op, ast.Div):
        yield "operator", ast.BinOp(left, ast.Mult(), right)
        yield "dropped factor", left
        yield "swapped sides", ast.BinOp(right, op, left)
    elif isinstance(op, ast.Pow):
        yield "root or square", left
    elif isinstance(op, (ast.MatMult, ast.FloorDiv, ast.Mod)):
        yield "swapped sides", ast.BinOp(right, op, left)


def of_compare(node: ast.Compare) -> Variants:
    """< for <=, and the opposite."""
    near = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
    far = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
    far |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
    for table in (near, far):
        if type(node.ops[0]) in table:
            yield (
                "condition",
                ast.Compare(node.left, [table[type(node.ops[0])]()], node.comparators),
            )


# What is called: its kind and what may be written for it; None for its argument alone.
CALLS = {
    "sqrt": ("root or square", (None,)),
    "square": ("root or square", (None,)),
    "rsqrt": ("root or square", ("sqrt",)),
    "exp": ("function", ("expm1", None)),
    "expm1": ("function", ("exp",)),
    "log": ("function", ("exp", None)),
    "sin": ("function", ("cos",)),
    "cos": ("function", ("sin",)),
    "abs": ("function", (None,)),
    "sum": ("sum for mean", ("mean",)),
    "mean": ("sum for mean", ("sum",)),
    "cumprod": ("function", ("cumsum",)),
    "cumsum": ("function", ("cumprod",)),
    "min": ("function", ("max",)),
    "max": ("function", ("min",)),
    "minimum": ("function", ("maximum",)),
    "maximum": ("function", ("minimum",)),
    "clamp": ("function", (None,)),
    "clip": ("function", (None,)),
    "flip": ("function", (None,)),
    "round": ("function", (None,)),
    "randn": ("noise", ("rand", "zeros", "ones")),
    "randn_like": ("noise", ("rand_like", "zeros_like", "ones_like")),
    "rand": ("noise", ("randn",)),
    "rand_like": ("noise", ("randn_like",)),
    "zeros_like": ("function", ("ones_like",)),
    "ones_like": ("function", ("zeros_like",)),
    "ones": ("function", ("zeros",)),
    "zeros": ("function", ("ones",)),
    "detach": ("detach", (None,)),
    "clone": ("in place", (None,)),
    "to": ("dtype", (None,)),
    "float": ("dtype", (None,)),
    "double": ("dtype", (None,)),
    "long": ("dtype", (None,)),
}


def of_call(node: ast.Call) -> Variants:
    """Another function, its argument alone, arguments exchanged or missing, one turn less."""
    func = node.func
    name = getattr(func, "attr", getattr(func, "id", ""))
    kind, others = CALLS.get(name, ("", ()))
    for other in others:
        if other is not None:
            changed = copy.deepcopy(func)
            setattr(changed, "attr" if isinstance(func, ast.Attribute) else "id", other)
            yield kind, ast.Call(changed, node.args, node.keywords)
        elif isinstance(func, ast.Attribute) and getattr(func.value, "id", "") not in (
            "torch",
            "math",
            "np",
        ):
            yield kind, func.value
        elif node.args:
            yield kind, node.args[0]
    if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
        first, second, *rest = node.args
        yield "swapped arguments", ast.Call(func, [second, first, *rest], node.keywords)
    if name == "range" and len(node.args) == 1:
        shorter = ast.BinOp(node.args[0], ast.Sub(), ast.Constant(1))
        yield "one step less", ast.Call(func, [shorter], [])
    for k in range(len(node.keywords)):
        yield (
            "dropped argument",
            ast.Call(func, node.args, node.keywords[:k] + node.keywords[k + 1 :]),
        )


def of_name(node: ast.Name, parents: dict) -> Variants:
    """The next argument of the function for one of its arguments, as s for t."""
    function: Any = node
    while not isinstance(function, ast.FunctionDef):
        function = parents[function]
    names = [a.arg for a in function.args.posonlyargs + function.args.args if a.arg != "self"]
    if node.id in names and len(names) > 1:
        yield "wrong name", ast.Name(names[(names.index(node.id) + 1) % len(names)], ast.Load())


def of_statement(node: Any) -> Variants:
    """No statement, in place, results exchanged, the opposite condition, with gradients."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "dropped statement", ast.Pass()
    elif isinstance(node, ast.AugAssign):
        yield "dropped statement", ast.Pass()
        yield "dropped statement", ast.Assign([node.target], node.value, lineno=0)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
        target, value = node.targets[0], node.value
        if isinstance(value.left, ast.Name) and ast.unparse(target) == value.left.id:
            yield "in place", ast.AugAssign(target, value.op, value.right)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        first, second, *rest = node.value.elts
        yield "swapped results", ast.Return(ast.Tuple([second, first, *rest], ast.Load()))
    elif isinstance(node, ast.If):
        yield "condition", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.With):
        yield "detach", ast.If(ast.Constant(True), node.body, [])
