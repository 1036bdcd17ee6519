"""What helps while parts are still open: one line for a TODO, and edits seen at once.

A part that is not written yet raises NotImplementedError("TODO 1.1a: OU.marginal_prob"). A notebook
calls `friendly_todos()` once; a script runs its main function inside `one_line_errors()`.
"""

import contextlib
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from given.runtime.submission import ROOT

OPEN_TODO = re.compile(r"TODO \d+\.\d+[a-z]*: .+")


def todo_line(error: BaseException) -> str | None:
    """Say in one line which TODO is open and where it is written.

    Args:
        error: an exception that was caught, with its traceback.

    Returns:
        The line, or None where the exception is no open TODO.
    """
    if not isinstance(error, NotImplementedError) or not OPEN_TODO.fullmatch(str(error)):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return f"{error} is still open: write it, then run this again."
    where = f"{short_path(frames[-1].filename)}, line {frames[-1].lineno}"
    return f"{error} is still open: write it in {where}, then run this again."


@contextlib.contextmanager
def optional() -> Iterator[None]:
    """Leave out the rest of a block that meets an open TODO, and say so in one line."""
    try:
        yield
    except NotImplementedError as error:
        line = todo_line(error)
        if line is None:
            raise
        print(f"Optional, skipped: {line}")


def friendly_todos() -> None:
    """Make a notebook show open TODOs in one line, and see edited modules without a restart.

    Other exceptions keep their traceback. Outside IPython this does nothing.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    shell.set_custom_exc((NotImplementedError,), _show_in_notebook)
    if "autoreload" not in shell.extension_manager.loaded:
        shell.run_line_magic("load_ext", "autoreload")
    shell.run_line_magic("autoreload", "2")


def _show_in_notebook(shell, kind, error, tb, tb_offset=None):
    """Exception handler with the arguments that IPython's set_custom_exc asks for."""
    line = todo_line(error)
    if line is not None:
        # IPython's own way to shorten a traceback. The cell still counts as failed, so that "run
        # all cells" stops here and a test of the notebook sees it.
        error._render_traceback_ = lambda: [line]
    shell.showtraceback((kind, error, tb), tb_offset=tb_offset)


def short_path(filename: Path | str) -> str:
    """A path as a student would type it: from the course's folder, or from the current one."""
    path = Path(filename).resolve()
    for folder in (ROOT, Path.cwd()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return str(path)
