"""What to say of shapes: of those that met where a student's line failed, and of a wrong result."""

import ast
import linecache
import types
from typing import Any

import numpy as np

MISFITS = (  # parts of what torch says where shapes, axes or types do not go together
    "must match",
    "shapes cannot be",
    "Dimension out of range",
    "same dtype",
    "out of bounds",
    "shape",
)
ELEMENTWISE = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
REDUCTIONS = ("sum", "mean", "norm", "prod", "amax", "amin", "std", "var")


def of_crash(text: str, frame: types.FrameType, line: int, images: bool) -> str:
    """The shapes that met in the line that failed, and what to do about this pair of shapes.

    Args:
        text: what the exception says.
        frame: of the student's function, as the exception left it.
        line: the line of its file at which it is.
        images: whether the file is one of Task 2.

    Returns:
        A sentence or two, or nothing where the exception is not about shapes.
    """
    if not any(part in text for part in MISFITS):
        return ""
    nodes = _nodes(frame, line)
    for node in nodes:
        met = _operands(node, frame)
        if met and not _fit(node, *(value for _, value in met)):
            pair = " and ".join(f"{name} is {tuple(value.shape)}" for name, value in met)
            left, right = (value.shape for _, value in met)
            return f"The shapes do not go together: {pair}.{_advice(node.op, left, right, images)}"
    tensors = _tensors(nodes, frame)
    if not tensors:
        return ""
    said = ", ".join(f"{name} is {_described(value, text)}" for name, value in tensors.items())
    deepest = max(_axes(nodes), default=0)
    few = any(0 < value.ndim <= deepest for value in tensors.values())
    if "Dimension out of range" in text and few and not images:
        said += (
            ". A sample may be a point (B, D) or an image (B, C, H, W): flatten each sample first, "
            "x.flatten(1), and sum over axis 1"
        )
    return f"There {said}."


def _nodes(frame, line):
    """The syntax nodes of the statement at a line, inner ones first; of a loop, its head."""
    source = "".join(linecache.getlines(frame.f_code.co_filename))
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.expr, ast.AugAssign)) and node.lineno <= line <= node.end_lineno
    ]
    return sorted(found, key=lambda node: len(list(ast.walk(node))))


def _operands(node, frame):
    """Both sides of an operation, as (text, tensor); None where they are not two tensors."""
    import torch

    if isinstance(node, ast.BinOp):
        sides = [node.left, node.right]
    elif isinstance(node, ast.AugAssign):
        sides = [node.target, node.value]
    else:
        return None
    met = []
    for side in sides:
        try:
            code = compile(ast.unparse(side), "<operand>", "eval")
            value = eval(code, frame.f_globals, frame.f_locals)  # the student's own expression
        except Exception:  # whatever it raises, it is not the operand that failed
            return None
        if not torch.is_tensor(value):
            return None
        met.append((ast.unparse(side), value))
    return met


def _fit(node, left, right):
    """Whether two tensors go together in an operation."""
    import torch

    if isinstance(node.op, ELEMENTWISE):
        try:
            torch.broadcast_shapes(left.shape, right.shape)
        except RuntimeError:
            return False
    if isinstance(node.op, ast.MatMult) and left.ndim and right.ndim:
        return left.shape[-1] == right.shape[-2 if right.ndim > 1 else 0]
    return True


def _advice(op, left, right, images):
    """What to do about two shapes of which one is a number for each sample; else nothing."""
    if isinstance(op, ast.MatMult):
        return " The last axis of the one is the first but one of the other."
    small, large = sorted((tuple(left), tuple(right)), key=len)
    per_sample = len(small) < len(large) and small[:1] == large[:1] and set(small[1:]) <= {1}
    if not per_sample:
        return ""
    if isinstance(op, (ast.Add, ast.Sub)) and len(small) == 1:
        return (
            " Is the second to be one number for each sample too? A sum over all numbers of a "
            "sample is .flatten(1).sum(1); else reshape the one that is (B,) to (B, 1, ...)."
        )
    if images:
        return " Reshape what belongs to an image to (B, 1, 1, 1)."
    return " Reshape what belongs to a sample to (B, 1, ...), as per_sample does."


def _tensors(nodes, frame):
    """The tensors in the line, by name."""
    import torch

    found = {}
    for node in nodes:
        value = frame.f_locals.get(node.id) if isinstance(node, ast.Name) else None
        if torch.is_tensor(value):
            found[node.id] = value
    return found


def _described(value, text):
    """The shape of a tensor, and its type where the exception is about types."""
    kind = f" of {str(value.dtype).removeprefix('torch.')}" if "dtype" in text else ""
    return f"{tuple(value.shape)}{kind}"


def _axes(nodes):
    """The axes from 2 on over which the line sums, such as (1, 2, 3), without flattening."""
    if any(getattr(node, "attr", "") == "flatten" for node in nodes):
        return
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in REDUCTIONS:
            for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
                for number in ast.walk(part):
                    if isinstance(number, ast.Constant) and number.value in (2, 3):
                        yield number.value


def of_result(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    """What a wrong shape looks like.

    Args:
        got: what came.
        want: what is right, of another shape.
        inputs: of the test.

    Returns:
        a clause, or nothing where the shape is like none of these.
    """
    for rule in RESULTS:
        said = rule(got, want, inputs)
        if said:
            return said
    return ""


def exchanged(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    for i in range(want.ndim):
        for j in range(i + 1, want.ndim):
            if np.swapaxes(want, i, j).shape == got.shape:
                return f"axes {i} and {j} are exchanged"
    return ""


def one_entry(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    if want.ndim == 0 or got.shape != want.shape[1:] or len(want) < 2:
        return ""
    for k, which in ((-1, "last"), (0, "first")):
        if np.allclose(got, want[k], rtol=1e-2, atol=1e-3):
            return f"this is the {which} of {len(want)} entries alone; stack all of them"
    return f"axis 0, of {len(want)} entries, is missing" if got.ndim else ""


def length_one(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    if [n for n in got.shape if n != 1] != [n for n in want.shape if n != 1]:
        return ""
    more = got.ndim > want.ndim
    return f"there is an axis of length 1 too {'many' if more else 'few'}"


def everyone_meets_everyone(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    n = want.shape[0] if want.ndim else 0
    if n > 1 and got.shape == (n, n) and want.size == n:
        return f"every sample met every other, as where ({n},) meets ({n}, 1)"
    if n > 1 and want.ndim > 1 and [k for k in got.shape if k != 1] == [n, *want.shape]:
        return (
            f"every sample met every other: what is one number for each sample has too few or too "
            f"many axes of length 1; it takes ({n}, {', '.join('1' * (want.ndim - 1))})"
        )
    return ""


def not_reduced(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    if got.ndim > want.ndim and got.shape[: want.ndim] == want.shape:
        axes = ", ".join(str(axis) for axis in range(want.ndim, got.ndim))
        return f"a sum or mean over axis {axes} is missing"
    return ""


def one_number(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    if got.size == 1 and want.size > 1:
        return "it is one number: a sum or mean too many, or the part that depends on x is missing"
    return ""


def number_a_column(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    arrays = [value for value in inputs.values() if isinstance(value, np.ndarray)]
    for value in arrays:
        if value.ndim == 2 and (value.shape[1],) == got.shape and (value.shape[0],) == want.shape:
            return "this is a number for each coordinate; sum over axis 1, not 0"
    return ""


def number_a_sample(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    if got.ndim == want.ndim and len(got) == len(want) and got.size == len(got) < want.size:
        return "this is one number for each sample; what depends on the coordinates is missing"
    return ""


def reshaped(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    if got.size == want.size:
        return "these are as many numbers in another shape: a reshape, flatten or cat is off"
    return ""


def too_long(got: np.ndarray, want: np.ndarray, inputs: dict[str, Any]) -> str:
    for axis in range(want.ndim):
        rest = [np.delete(a.shape, axis).tolist() for a in (got, want) if a.ndim == want.ndim]
        if len(rest) == 2 and rest[0] == rest[1]:
            more = got.shape[axis] - want.shape[axis]
            return f"{abs(more)} too {'many' if more > 0 else 'few'} along axis {axis}"
    return ""


RESULTS = (
    exchanged,
    one_entry,
    length_one,
    everyone_meets_everyone,
    number_a_column,
    number_a_sample,
    not_reduced,
    one_number,
    reshaped,
    too_long,
)
