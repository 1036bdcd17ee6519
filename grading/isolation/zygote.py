"""The process that forks one process for each probe: torch is loaded once, no student code ever.

It is started by sandbox.py as `python -I`, on a folder (see runtime.py) in which no answer lies.
For each probe it forks a process, watches it, and kills whatever is left of it:

    grader <- bytes - zygote (root where the grader is) <- bytes - probe (limited, the submission)

arrays.py reads what comes back without trust.
"""

import contextlib
import gc
import importlib
import os
import pickle
import select
import signal
import struct
import sys
import time
import traceback
import types
from types import ModuleType
from typing import Any, BinaryIO

from autograder import harness
from grading.isolation import arrays, confine

VALUES, WRONG, TODO = b"V", b"W", b"T"  # the first byte of an answer
PRELOADED: tuple[str, ...] = (
    "numpy",
    "scipy.integrate",
    "scipy.optimize",
    "scipy.stats",
    "torch",
    "torch.func",
)
PRELOADED += ("torch.optim.swa_utils", "torch.utils.data", "torch._dynamo", "tqdm", "PIL.Image")
PRELOADED += ("given.plane.point_sets", "given.images.data.imageset", "autograder.standins_images")


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next message of a pipe, or None at its end."""
    head = stream.read(8)
    return stream.read(struct.unpack("Q", head)[0]) if len(head) == 8 else None


def write_frame(stream: BinaryIO, data: bytes) -> None:
    """Send a message, its length first."""
    stream.write(struct.pack("Q", len(data)) + data)
    stream.flush()


def main() -> None:
    """Answer requests until the grader closes the pipe."""
    confine.enter_user_namespace()
    confine.close_door()
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for name in PRELOADED:
        importlib.import_module(name)
    warm_up()
    gc.collect()
    gc.freeze()  # or the collector writes to every page that a fork shares with us
    write_frame(answers, b"ready")
    with contextlib.suppress(BrokenPipeError):
        while (request := read_frame(requests)) is not None:
            # The grader alone writes to this pipe; no submission ever holds an end of it.
            write_frame(answers, supervise(pickle.loads(request)))


def warm_up() -> None:
    """Let torch set up what it sets up at first use, once for all forks."""
    import torch

    torch.set_num_threads(1)  # before anything else: a pool of threads does not survive a fork
    layer = torch.nn.Conv2d(1, 8, 3)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.zeros(2, 1, 8, 8).half().float()).square().sum().backward()
    optimizer.step()


def supervise(request: dict[str, Any]) -> bytes:
    """Run a probe in a process of its own, watch it, leave nothing alive; return its answer."""
    uid = request["uid"] if os.getuid() == 0 else None
    results, result_end = os.pipe()
    output, output_end = os.pipe()
    probe, separate = confine.fork_apart()
    if probe == 0:
        try:
            give_up_rights(request, uid, separate, result_end, output_end)
            send(3, outcome(request))
        except OSError:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(result_end)
    os.close(output_end)
    limits = request["limits"]
    reason, data = b"The grader failed here.", b""
    try:
        reason, data = watch(probe, results, output, request["work"], limits)
    finally:
        status, seconds = end(probe, uid, separate)
    data += drain(results)
    os.close(results)
    os.close(output)
    return data if data and not reason else WRONG + (reason or died(status, seconds, limits))


def give_up_rights(
    request: dict[str, Any], uid: int | None, separate: bool, result_end: int, output_end: int
) -> None:
    """Give up everything that a probe does not need; the answer goes to descriptor 3."""
    if separate:
        confine.leave_network()
        confine.furnish(
            request["work"], request["hidden"], request["needed"], request["limits"]["FILES_MB"]
        )
    os.setsid()
    high = [os.dup2(end, 100 + k) for k, end in enumerate((result_end, output_end))]
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (high[1], 1), (high[1], 2), (high[0], 3)):
        os.dup2(source, target)
    os.closerange(4, 4096)
    os.umask(0o077)
    os.chdir(request["work"])
    os.environ.clear()
    os.environ.update(request["environment"], HOME=request["work"], TMPDIR=request["work"])
    sys.dont_write_bytecode = True
    confine.set_limits(request["limits"], private=separate or bool(uid))
    confine.drop_rights(uid)
    confine.landlock(request["readable"], request["work"])
    confine.refuse_calls()


def outcome(request: dict[str, Any]) -> bytes:
    """Import the submission and run one probe on it: the bytes of the answer."""
    from given.runtime.submission import read_modules_from

    try:
        read_modules_from(request["tree"])
        test = getattr(test_module(request), request["name"])
        return VALUES + arrays.pack(harness.run_probe(test, request["inputs"], request["seed"]))
    except harness.Open as error:
        return TODO + str(error).encode()
    except harness.Wrong as error:
        return WRONG + str(error).encode()
    except BaseException as error:  # SystemExit, pytest.skip and the like are no results
        return WRONG + f"The code raised {type(error).__name__}: {error}".encode()


def test_module(request: dict[str, Any]) -> ModuleType:
    """The module of a test; one that students do not see comes with the request, as its text."""
    if request["source"] is None:
        return importlib.import_module(request["module"])
    module = types.ModuleType(request["module"])
    exec(request["source"], vars(module))
    return module


class Import:
    """The probe that only imports a module of the submission."""

    @staticmethod
    def probe(name: str) -> dict[str, Any]:
        importlib.import_module(name.removesuffix(".py").replace("/", "."))
        return {}


def send(descriptor: int, data: bytes) -> None:
    """Write bytes, and end: nothing that the submission left may run after it."""
    while data:
        data = data[os.write(descriptor, data) :]
    os._exit(0)


def watch(
    probe: int, results: int, output: int, work: str, limits: dict[str, int]
) -> tuple[bytes, bytes]:
    """Wait for the end of a probe, and collect its answer.

    Returns:
        why it had to be stopped, or b"", and what it had answered until then.
    """
    deadline = time.monotonic() + limits["WAITING"]
    data, printed, looked, open_ends = b"", 0, 0.0, [results, output]
    while not has_ended(probe):
        ready, _, _ = select.select([0, *open_ends], [], [], 0.02)
        if 0 in ready:  # nobody asks while an answer is due: the grader has gone
            return b"The grader has gone.", b""
        for end in ready:
            piece = os.read(end, 1 << 20)
            if not piece:
                open_ends.remove(end)
            elif end == results:
                data += piece
            else:
                printed += len(piece)
        if time.monotonic() > deadline:
            return b"It did not end within %d seconds." % limits["WAITING"], b""
        if printed > limits["OUTPUT_MB"] << 20:
            return b"The code printed more than %d MB." % limits["OUTPUT_MB"], b""
        if len(data) > arrays.MOST:
            return b"It gave back more than %d MB." % (arrays.MOST >> 20), b""
        if time.monotonic() > looked + 0.2:
            if reason := takes_too_much(work, limits):
                return reason, b""
            looked = time.monotonic()
    return b"", data


def takes_too_much(work: str, limits: dict[str, int]) -> bytes:
    """Why a probe takes too much of the disk or the memory, or b""."""
    if too_full(work, limits["FILES_MB"] << 20):
        return b"The code wrote more than %d MB of files." % limits["FILES_MB"]
    if confine.memory_below() > limits["MEMORY_MB"] << 20:
        return b"The code and what it started took more than %d MB." % limits["MEMORY_MB"]
    return b""


def has_ended(process: int) -> bool:
    """Whether a child has ended; it stays there to be waited for."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def too_full(folder: str, most: int) -> bool:
    """Whether the files of a folder, at any depth up to 2,000 of them, hold more than `most`."""
    total, count = 0, 0
    with contextlib.suppress(RecursionError):
        for place, folders, files in os.walk(folder):
            count += len(folders) + len(files)
            for name in files:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(place, name)).st_size
            if total > most or count > 2000:
                return True
        return False
    return True


def end(probe: int, uid: int | None, separate: bool) -> tuple[int, float]:
    """Kill what is left of a probe; return its exit status and the seconds of work that it did."""
    confine.kill_group(probe)
    _, status, usage = os.wait4(probe, 0)
    if not separate:  # the first process of a namespace takes all others with it
        confine.kill_rest(uid)
    return status, usage.ru_utime + usage.ru_stime


def drain(pipe: int) -> bytes:
    """What is still in a pipe that nobody writes to any more."""
    os.set_blocking(pipe, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while len(data) <= arrays.MOST and (piece := os.read(pipe, 1 << 20)):
            data += piece
    return data


def died(status: int, seconds: float, limits: dict[str, int]) -> bytes:
    """Say why a probe brought no answer, from its exit status (wait4) and its processor time."""
    if seconds >= 0.8 * limits["SECONDS"]:  # the kernel counts in ticks, and not so exactly
        return harness.too_long(limits["SECONDS"]).encode()
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"The process died ({name}) before it gave a result.".encode()
    code = os.WEXITSTATUS(status)
    return f"The process ended (exit status {code}) before it gave a result.".encode()
