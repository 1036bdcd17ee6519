"""The command line: commands by name, numbers, and one line for an error.

`python -m PACKAGE COMMAND` and the doors, such as image_diffusion/train.py, start here. Nothing but
the standard library is imported before Ctrl-C is one line too, as loading torch takes seconds.
"""

import argparse
import contextlib
import importlib
import math
import os
import re
import runpy
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from given.runtime.submission import PACKAGES, ROOT
from given.runtime.todo import short_path, todo_line

# Packages whose own errors are sentences.
COURSE = (*PACKAGES, "given", "experiments", "autograder", "grading")
STOPPED = "Stopped before the end."
NO_DOCSTRINGS = (
    "The course shows its docstrings: start Python without -OO, and without PYTHONOPTIMIZE=2."
)
OLD_SPELLINGS = {  # each goes on working for one release
    "sde_todo.demo": "sde_todo demo",
    "sde_todo.check": "sde_todo check",
    "sde_todo.bridge": "sde_todo bridge",
    "image_diffusion.demo": "image_diffusion demo",
    "image_diffusion.inpaint": "image_diffusion inpaint",
    "image_diffusion.inpainting": "image_diffusion inpaint",
    "image_diffusion.control": "image_diffusion control",
    "image_diffusion.likelihood": "image_diffusion likelihood",
    "image_diffusion.bridge": "image_diffusion bridge",
    "image_diffusion.checkpoint": "image_diffusion export",
    "image_diffusion.make_subset": "image_diffusion subset",
    "image_diffusion.fid.train_classifier": "image_diffusion classifier",
    "grading.stubs": "grading stubs",
}


def run_package(package: str, commands: dict[str, Any]) -> None:
    """Run the command that is named first on the command line of `python -m package`.

    Args:
        package: its name.
        commands: {name: (module with `main`, what it does, what Ctrl-C says)}.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        usage="%(prog)s COMMAND [options]; COMMAND --help lists the options",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="\n".join(f"{name:<12}{what}" for name, (_, what, _) in commands.items()),
    )
    parser.add_argument("command", choices=commands, metavar="COMMAND", help=argparse.SUPPRESS)
    if not sys.argv[1:]:
        parser.print_help()
        sys.exit(2)
    name = parser.parse_args(sys.argv[1:2]).command
    sys.argv = [f"{parser.prog} {name}", *sys.argv[2:]]
    module, _, stopped = commands[name]
    run_command(module, stopped)


def run_command(module: str, stopped: str = STOPPED) -> None:
    """Import a module and call its `main`, with errors and Ctrl-C as one line.

    Args:
        module: its name.
        stopped: the line of Ctrl-C, where the command itself does not handle it.
    """

    first = os.environ.get("RANK", "0") == "0"  # of several processes, Ctrl-C ends the others at
    # once and without a word, even while they wait for each other

    def end(*_):
        os.write(2, f"{stopped}\n".encode())
        os._exit(1)  # an exception could be swallowed or wrapped by a library on its way up

    require_docstrings()
    signal.signal(signal.SIGINT, end if first else signal.SIG_DFL)
    with one_line_errors(stopped):
        main = importlib.import_module(module).main
        signal.signal(signal.SIGINT, signal.default_int_handler if first else signal.SIG_DFL)
        main()


def require_docstrings() -> None:
    """End a command of a Python that has dropped the docstrings, which --help and messages show."""
    if sys.flags.optimize > 1:
        sys.exit(NO_DOCSTRINGS)


def run_old_spelling() -> None:
    """Run `python -m sde_todo.demo` as `python -m sde_todo demo`, and say so."""
    if sys.argv[:1] != ["-m"]:  # so it is while Python looks for the module of -m
        return
    name, *_ = _words_after_m()
    if name in OLD_SPELLINGS:
        run_as(OLD_SPELLINGS[name])


def run_as(spelling: str) -> None:
    """Run `python -m spelling` with the options of this command line, and end."""
    print(f"This command is now: python -m {spelling}", file=sys.stderr)
    options = _words_after_m()[1:] if sys.argv[0] == "-m" else sys.argv[1:]
    package, command = spelling.split()
    sys.argv = [package, command, *options]
    runpy.run_module(package, run_name="__main__", alter_sys=True)
    sys.exit()


def _words_after_m():
    """The module's name and its options, of `python -m name` or `python -mname`."""
    words = sys.orig_argv
    k = next(k for k, word in enumerate(words) if word.startswith("-m"))
    return [words[k][2:], *words[k + 1 :]] if words[k] != "-m" else words[k + 1 :]


def whole(text: str) -> int:
    """A whole number of the command line, not too large for any seed or size, for argparse."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 999999999.")
    return int(text)


def number(text: str) -> float:
    """A number of the command line that is neither NaN nor infinite, for argparse."""
    if not math.isfinite(float(text)):
        raise ValueError
    return float(text)


def file_path(text: str) -> Path:
    """A path of the command line, for argparse; a shell leaves the ~ of --data_root=~/sets."""
    return Path(os.path.expanduser(text))


@contextlib.contextmanager
def one_line_errors(stopped: str = STOPPED) -> Iterator[None]:
    """End a script at an open TODO, a wrong value, a file or Ctrl-C with one line and status 1.

    Args:
        stopped: the line of Ctrl-C.
    """
    try:
        yield
    except NotImplementedError as error:
        line = todo_line(error)
        if line is None:
            raise
        sys.exit(line)
    except (ValueError, OSError) as error:
        sys.exit(" ".join(f"{error}{_place(error)}".split()))
    except KeyboardInterrupt:
        sys.exit(stopped)


def _place(error):
    """Where the course's code met an error that it did not raise itself: a slip, not a sentence."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if _is_own(Path(f.filename))]
    if isinstance(error, OSError) or not own or own[-1].line.startswith("raise"):
        return ""
    return f" ({short_path(own[-1].filename)}, line {own[-1].lineno})"


def _is_own(path):
    """Whether a file is the course's or that of a submission, and not of an installed package."""
    inside = path.relative_to(ROOT).parts[0] if path.is_relative_to(ROOT) else None
    return inside in COURSE or path.parent.name in PACKAGES
