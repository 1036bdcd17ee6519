"""`pytest --watch`: stay, and run the graded tests of one of the student's files when it is saved.

Results go to grade.json. The pictures of grade.html are left to `pytest`: they take seconds.
"""

import sys
import time
from pathlib import Path

from autograder import board, harness, report
from autograder.harness import Graded
from autograder.tasks import all_tasks
from given.runtime.submission import TODO_MODULES, forget_modules, module_file

POLL, SETTLE = 0.3, 0.1  # seconds between two looks, and without a change until a file is whole


def main(folder: Path, seed: int = 0) -> int:
    """Watch until Ctrl-C. folder: where grade.json is. seed: of the inputs. Returns 0."""
    import torch  # noqa: F401 -- once: it takes longer than the tests of a file

    # Bytecode is told from a source of the same length by the second alone.
    sys.dont_write_bytecode = True
    tests = harness.graded_tests()
    seen = look()
    say(f"Watching {len(seen)} files in {report.submission()}.")
    say("Save one, and its tests run. Ctrl-C ends.")
    try:
        while True:
            before, seen = seen, wait(seen)
            for name in seen:
                if seen[name] != before.get(name):
                    answer(name, tests, folder, seed)
    except KeyboardInterrupt:
        say("\nNo longer watching.")
    return 0


def paths() -> dict[str, Path]:
    """{"sde_todo/sde.py": the file that is imported under this name}, for all with TODOs."""
    found = {}
    for package, modules in TODO_MODULES.items():
        for module in modules:
            path = module_file(package, module)
            if path.is_file():
                found[f"{package}/{module}.py"] = path
    return found


def look() -> dict:
    """What tells one version of a file from the next: {name: (path, time, size)}."""
    seen = {}
    for name, path in paths().items():
        try:
            stat = path.stat()
        except OSError:  # an editor puts another file in its place just now
            continue
        seen[name] = (path, stat.st_mtime_ns, stat.st_size)
    return seen


def wait(seen: dict) -> dict:
    """Wait until a file has changed and no longer does; return what `look` sees then."""
    now = look()
    while now == seen:
        time.sleep(POLL)
        now = look()
    while True:
        time.sleep(SETTLE)
        before, now = now, look()
        if now == before:
            return now


def answer(name: str, tests: list, folder: Path, seed: int) -> None:
    """Run the tests of a saved file and print their board; Ctrl-C stops only this."""
    tasks = all_tasks()
    own = [test for test in board.in_order(tests) if tasks[test.task].file == name]
    quick = [test for test in own if not harness.is_trained(test)]
    clear()
    say(f"{name}, saved {time.strftime('%H:%M:%S')}")
    began = time.perf_counter()
    mistake = syntax_error(name)
    if mistake:
        say(mistake)
    elif not quick:
        say(f"Its tests train, so they do not run here: pytest -k '{names(own)}'")
    else:
        graded = run_all(quick, seed)
        if graded:
            say(show(graded, folder, time.perf_counter() - began))


def names(tests: list) -> str:
    return " or ".join(test.__name__ for test in tests)


def syntax_error(name: str) -> str:
    """One line about a file that is no Python, or ""."""
    try:
        compile(paths()[name].read_bytes(), name, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = f": {error.text.strip()}" if error.text else ""
        return f"{name}, line {error.lineno}: {type(error).__name__}: {error.msg}{text}"
    except (ValueError, OSError, KeyError, RecursionError) as error:
        return f"{name}: {error}"
    return ""


def run_all(tests: list, seed: int) -> Graded:
    """Pairs (test, result) on the files as they are now; empty after Ctrl-C."""
    forget_modules()
    graded = []
    for test in tests:
        try:
            graded.append((test, harness.run(test, seed)))
        except KeyboardInterrupt:
            say(f"\nStopped in {test.task} {test.__name__}. Still watching.")
            return []
    return graded


def show(graded: Graded, folder: Path, seconds: float) -> str:
    """The board of a file; grade.json takes its results over."""
    whole = report.build(graded, seconds)
    try:
        whole, note = report.save(whole, folder), ""
    except OSError as error:
        note = f"\nThe results could not be written: {error}"
    total = board.progress(whole, harness.graded_tests())
    return f"{board.render(graded, total=total)}\n({seconds:.1f} s){note}"


def clear() -> None:
    """Begin at the top of a terminal; leave a file or a pipe as it is."""
    if sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")


def say(text: str) -> None:
    print(text, flush=True)
