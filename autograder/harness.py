"""How a graded test works.

A graded test is a class with three plain functions, and never an instance of it:

    @graded("1.1a", points=2)
    class OUMarginal:
        '''One line: what is tested.'''

        def inputs(rng): ...            # NumPy generator -> dict of arrays and numbers
        def probe(t, x0): ...           # calls the student's code on tensors -> dict of arrays
        def check(got, t, x0): ...      # sees the inputs and the arrays, never the student's code

`probe` and `check` share nothing but arrays, so that an instructor can run the probe in a process
of its own (`python -m grading`). In a `check`, `expect` compares and says what a wrong value looks
like.
"""

import contextlib
import dataclasses
import importlib
import linecache
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from autograder.diagnose import diagnose
from autograder.formula import Formula
from autograder.handed_in import Unreadable, imports_as_graded
from autograder.shapes import of_crash, of_result
from given.runtime.submission import ROOT, TODO_MODULES


class Wrong(AssertionError):
    """A wrong answer; the message is for the student."""


class Open(Exception):
    """A TODO that is not filled in yet; the message is its line."""


@dataclasses.dataclass
class Result:
    """The outcome of one graded test.

    Attributes:
        verdict: done, wrong or todo.
        message: what is wrong, or which TODO is open.
        compared: what `expect` compared, in order: (name, got, expected), arrays of one shape.
        got: the arrays that the check saw.
        inputs: the inputs that the check saw.
    """

    verdict: str
    message: str = ""
    compared: list = dataclasses.field(default_factory=list)
    got: dict = dataclasses.field(default_factory=dict, repr=False)
    inputs: dict = dataclasses.field(default_factory=dict, repr=False)


Graded: TypeAlias = list[tuple[Any, Result]]  # each graded test with its result

_running: dict[str, Any] = {"inputs": {}, "compared": []}  # of the check that runs now


def graded(task: str, points: int) -> Callable[[type], type]:
    """Mark a class as a graded test of `task`, such as "1.1a", worth `points`."""

    def mark(cls):
        cls.task, cls.points = task, points
        return cls

    return mark


def picture(task: str) -> Callable[[type], type]:
    """Mark a class as a picture of a task for the page, such as results/grade.html.

    It has `inputs` and `probe` as a graded test has, and instead of `check` a function
    `draw(got, **inputs)` that returns a matplotlib Figure: what was expected beside what came. Its
    docstring says what to see. With the name of a graded test as `of` it has no probe, but draws
    what that test got.
    """

    def mark(cls):
        cls.task = task
        return cls

    return mark


def course_files(kind: str) -> list[Path]:
    """The files of one kind, "test", "pictures" or "tasks", of all modules; the marks come last."""
    paths = ROOT.glob(f"tests/task?/{kind}_*.py")
    return sorted(paths, key=lambda p: (p.parent.name, p.stem.endswith("_marks"), p.stem))


def course_modules(kind: str) -> list[ModuleType]:
    """The modules of `course_files`, imported."""
    if sys.path[0] != str(ROOT):  # other packages are called `tests`, too
        sys.path.insert(0, str(ROOT))
    names = [f"tests.{path.parent.name}.{path.stem}" for path in course_files(kind)]
    return [importlib.import_module(name) for name in names]


def graded_tests() -> list:
    """All graded tests of the course: task after task, the marks last, then those of settings.py.

    A task that `autograder/settings.py` gives other points has them shared among its tests.
    """
    from autograder import settings  # its own tests use this module

    tests = [test for module in course_modules("test") for test in classes(module, "check")]
    set_points(tests)
    return tests + classes(settings, "check")


def set_points(tests: list) -> None:
    """Give the tests of the course the points that settings.py sets for their tasks."""
    from autograder import settings

    for task, points in settings.POINTS.items():
        own = [test for test in tests if test.task == task]
        total = sum(test.points for test in own)
        for test in own:
            test.points = test.points * points / total


def classes(module: ModuleType, method: str) -> list:
    """The classes of a module that are `graded` (method "check") or a `picture` (method "draw")."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and "task" in vars(value) and method in vars(value)
    ]


def run(test: Any, seed: int = 0) -> Result:
    """Run inputs, probe and check of a graded test; return a `Result`.

    What the grader would refuse is wrong here too: a file that it cannot read, and an endless loop.
    """
    from autograder import settings

    inputs = test.inputs(np.random.default_rng(seed))
    seconds = settings.LIMITS["TRAINED_SECONDS" if is_trained(test) else "SECONDS"]
    try:
        with time_limit(seconds):
            got = run_probe(test, inputs, seed)
    except Open as error:
        return Result("todo", str(error))
    except Wrong as error:
        return Result("wrong", str(error))
    except TooLong:
        return Result("wrong", too_long(seconds))
    try:
        return run_check(test, got, inputs)
    except Exception as error:  # a check is written for values of about the right shape
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in got.items())
        said = f"{type(error).__name__}: {error}"
        return Result("wrong", f"What came back has the shapes {shapes}: no comparison ({said}).")


def is_trained(test: Any) -> bool:
    """Whether a test trains a model or draws many images."""
    return test.__module__.endswith("test_marks")


class TooLong(BaseException):
    """A probe worked for too long; no Exception, which a student's code might catch."""


def too_long(seconds: int) -> str:
    """What a student reads of a probe that worked for more than some seconds."""
    return f"It worked for more than {seconds} seconds: is there an endless loop?"


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `TooLong` in code that works for longer, where the system counts processor time.

    A debugger that waits for its user does no work.
    """

    def stop(*_: Any) -> None:
        raise TooLong

    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "ITIMER_PROF"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)  # again each second, where it was caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run_check(test: Any, got: dict[str, np.ndarray], inputs: dict[str, Any]) -> Result:
    """Run the check of a graded test on what its probe gave back; return a `Result`."""
    _running.update(inputs=inputs, compared=[])
    try:
        test.check(got, **inputs)
    except Wrong as error:
        return Result("wrong", str(error), _running["compared"], got, inputs)
    return Result("done", "", _running["compared"], got, inputs)


def run_probe(test: Any, inputs: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Call the student's code and return what came back as a dict of arrays.

    Raises:
        Open: a TODO was met. Wrong: the code raised, or gave back something that is no number.
    """
    import torch

    torch.set_num_threads(1)  # as fast for tensors this small, and steady on a busy machine
    # The generator of the CPU alone: to seed those of all devices takes as long as a short test.
    torch.default_generator.manual_seed(seed)
    tensors = {name: _to_tensor(value) for name, value in inputs.items()}
    try:
        with imports_as_graded():
            raw = test.probe(**tensors)
    except (Open, Wrong):  # said by the test itself, of a folder that it was given
        raise
    except Unreadable as error:
        raise Wrong(str(error)) from None
    except NotImplementedError as error:
        if str(error).startswith("TODO "):
            raise Open(f"{error}  ({_place(error)})") from None
        raise Wrong(_crash(error)) from error
    except SystemExit as error:
        raise Wrong(
            f"The code ends Python: exit({'' if error.code is None else error.code})."
        ) from None
    except Exception as error:
        raise Wrong(_crash(error)) from error
    return {name: _to_array(value, name) for name, value in raw.items()}


def _to_tensor(value):
    import torch

    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return torch.from_numpy(value).float()
    if isinstance(value, np.ndarray):
        # A copy: code that writes into its argument must not change what `check` sees.
        return torch.from_numpy(value.copy())
    return value


def _to_array(value, name):
    import torch

    if value is None:
        raise Wrong(f"{name} is None: is a `return` missing?")
    if isinstance(value, np.ndarray):
        raise Wrong(f"{name} is a NumPy array; it must be a torch tensor.")
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # such as a list of lists that differ in length
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise Wrong(f"{name} is a {type(value).__name__}; it must be a tensor of numbers.")
    return array


def _place(error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(frame.filename)
    return f"{path.parent.name}/{path.name}, line {frame.lineno}"


def _crash(error):
    """One line for an exception out of the student's code, with the place in their file."""
    text = str(error).splitlines()[0] if str(error) else "no message"
    message = f"{type(error).__name__}: {text}"
    place, frame, number = _student_place(error)
    if frame:
        line = linecache.getline(frame.f_code.co_filename, number).strip()
        message += f"  ({place}, line {number}: {line})"
    if not place and isinstance(error, (AttributeError, ImportError)):
        message += "\nThe test did not find this name in your file: was it renamed or deleted?"
    if frame:
        said = of_crash(text, frame, number, place.startswith("image_diffusion"))
        message += f"\n{said}" if said else ""
    return message


def _student_place(error):
    """File, frame and line number of the innermost frame in a file with tasks.

    Without such a file, of the innermost frame in what is given; ("", None, 0) without that.
    """
    theirs = {f"{package}/{m}.py" for package, modules in TODO_MODULES.items() for m in modules}
    frames = [(frame, n) for frame, n in traceback.walk_tb(error.__traceback__)]
    paths = [Path(frame.f_code.co_filename) for frame, _ in frames]
    names = ["/".join(path.parts[-2:]) for path in paths]
    placed = [(name, *at) for name, at in zip(names, frames, strict=True) if name in theirs]
    if not placed:
        inside = [path.is_relative_to(ROOT / "given") for path in paths]
        placed = [
            (path.relative_to(ROOT).as_posix(), *at)
            for path, at, given in zip(paths, frames, inside, strict=True)
            if given
        ]
    return placed[-1] if placed else ("", None, 0)


def one(got: np.ndarray) -> np.ndarray:
    """The first of many rows; a value without axes as it is, so that its shape can be told."""
    return got[:1] if np.ndim(got) else got


def expect(
    got: Any,
    want: Any,
    name: str,
    mistakes: Mapping[str, Any] | None = None,
    rtol: float = 1e-3,
    atol: Any = 1e-5,
    broadcast: bool = False,
) -> None:
    """Compare a value with the truth; raise `Wrong` with the likeliest mistake.

    Args:
        got: array from a probe.
        want: the true array, or a `Formula` of it, whose parts are then tried for mistakes too.
        name: what it is, as the student calls it.
        mistakes: dict from "what went wrong" to the value that this mistake would give.
        rtol: relative and absolute tolerance.
        atol: relative and absolute tolerance.
        broadcast: whether a shape that broadcasts to the true one is right too.
    """
    formula = want if isinstance(want, Formula) else None
    got, want = np.asarray(got), value_of(want)
    if got.dtype.kind != "f" and want.dtype.kind == "f" and got.dtype.kind != "b":
        got = got.astype(float)
    _expect_shape(got, want, name, broadcast)
    if not np.isfinite(got).all():
        kind = "NaN" if np.isnan(got).any() else "infinite"
        raise Wrong(f"{name} is {kind} in {(~np.isfinite(got)).sum()} of {got.size} places.")
    got = np.broadcast_to(got, want.shape)
    _running["compared"].append((name, got, want))
    if np.allclose(got, want, rtol=rtol, atol=atol):
        return
    fits = {}  # where random numbers leave room for several, the nearest is the likeliest
    for message, value in (mistakes or {}).items():
        value = np.broadcast_to(np.asarray(value, dtype=float), want.shape)
        if np.allclose(got, value, rtol=rtol, atol=atol):
            fits[message] = np.abs(got - value).sum()
    if fits:
        raise Wrong(f"{name}: {min(fits, key=lambda message: fits[message])}.")
    raise Wrong(f"{name}: {diagnose(got, want, rtol, atol, _running['inputs'], formula)}")


def value_of(want: Any) -> np.ndarray:
    """A true value as an array, of a `Formula` too."""
    return want.value if isinstance(want, Formula) else np.asarray(want, dtype=float)


def _expect_shape(got, want, name, broadcast):
    if got.shape == want.shape:
        return
    if broadcast:
        try:
            np.broadcast_to(got, want.shape)
            return
        except ValueError:
            pass
    said = of_result(got, want, _running["inputs"])
    looks = f": {said}" if said else ""
    raise Wrong(f"{name} has shape {got.shape}; expected {want.shape}{looks}.")


def expect_mean(
    draws: np.ndarray,
    want: Any,
    name: str,
    mistakes: Mapping[str, Any] | None = None,
    sigmas: float = 5.0,
    rtol: float = 0.0,
) -> None:
    """Compare the mean over axis 0 of independent draws with its true value.

    The tolerance is `sigmas` standard errors, estimated from the draws, plus rtol * |want|.
    """
    draws, true = np.asarray(draws, dtype=float), value_of(want)
    if not np.isfinite(draws).all():
        raise Wrong(f"{name} has NaN or infinite values.")
    error = draws.std(0) / np.sqrt(len(draws))
    tolerance = float(np.max(sigmas * error + rtol * np.abs(true)))
    # Draws without any noise have no standard error; float32 is exact to less than 1e-5.
    expect(draws.mean(0), want, name, mistakes, rtol=1e-5, atol=tolerance + 1e-5)


def expect_gaussian(draws: np.ndarray, name: str) -> None:
    """Refuse noise whose tails are not those of a Gaussian; zero noise is for others to find.

    Args:
        draws: (N, ...) independent draws, of one deviation everywhere.
        name: what has the noise.
    """
    noise = np.asarray(draws, dtype=float)
    noise = noise - noise.mean(0)
    variance = (noise**2).mean()
    kurtosis = (noise**4).mean() / max(variance**2, 1e-30)
    expect_that(
        variance < 1e-12 or 2.2 < kurtosis < 4.5,
        f"{name}: the noise is not Gaussian, its kurtosis is {kurtosis:.3g} instead of 3. Is "
        "something divided by it instead of multiplied, or is it drawn by rand?",
    )


def expect_untouched(requires_grad: Any, name: str) -> None:
    """Refuse code that makes the tensor of its caller require gradients.

    Args:
        requires_grad: whether it does after the call.
        name: of the tensor.
    """
    expect_that(
        not requires_grad,
        f"{name}, which belongs to the caller, requires gradients now: take "
        f"{name}.detach().requires_grad_(), which is a tensor of your own.",
    )


def expect_that(condition: Any, message: str) -> None:
    """Raise `Wrong(message)` unless the condition holds."""
    if not condition:
        raise Wrong(message)
