"""The machine that a run has: its device, its processes, its signals, and its seeds."""

import contextlib
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def pick_device(name: str = "auto") -> torch.device:
    """The torch device of a name; "auto" takes CUDA, else MPS, else the CPU.

    On CUDA every command that asks for its device here multiplies float32 matrices in TF32, and
    lets cuDNN try out which of its convolutions is the fastest for a shape.

    Raises:
        ValueError: the device cannot be used.
    """
    device = device_of(name)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    return device


def device_of(name: str) -> torch.device:
    """The device of a name, tried by a tensor of one number."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ValueError(f"The device {name!r} cannot be used here; try --device auto.") from None
    return device


@contextlib.contextmanager
def processes(device: torch.device) -> Iterator[tuple[int, int, torch.device]]:
    """Join the other processes of a torchrun, where there are any, and leave them at the end.

    Yields:
        rank, world size, and this process's own device: of several on CUDA the local_rank-th.
    """
    rank, world_size = (int(os.environ.get(k, v)) for k, v in (("RANK", 0), ("WORLD_SIZE", 1)))
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", device.index or 0)))
        torch.cuda.set_device(device)
    if rank:  # a terminal shows the progress bars of process 0
        sys.stderr.isatty = lambda: False  # type: ignore[method-assign]
    if world_size > 1:  # gloo too: what processes agree on each step waits for no device
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield rank, world_size, device
    finally:
        if world_size > 1:
            distributed.destroy_process_group()


def autocast(device: torch.device, wanted: bool) -> contextlib.AbstractContextManager:
    """bfloat16 where it is wanted; torch 2.4 knows no autocast on MPS, not even one that is off."""
    return torch.autocast(device.type, torch.bfloat16) if wanted else contextlib.nullcontext()


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself; cards before Ampere, as the T4, emulate it."""
    if device.type != "cuda":
        return False
    try:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    except TypeError:  # torch 2.4 does not tell the two apart
        return torch.cuda.get_device_capability(device) >= (8, 0)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works for a device without more: CUDA from Volta on, and Triton."""
    triton = importlib.util.find_spec("triton") is not None  # not on Windows
    cuda = device.type == "cuda" and torch.cuda.is_available()
    return cuda and triton and torch.cuda.get_device_capability(device) >= (7, 0)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Inside, float32 products on CUDA keep 24 bits, where TF32 would keep 11 of each factor."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def memory_format(device: torch.device, compiled: bool) -> torch.memory_format:
    """How the images of a network should lie in memory: channels last, but on eager CUDA.

    There GroupNorm knows (B, C, H, W) only: every norm would turn its input round, and the
    convolution after it turn it back. A compiled network has no such kernel.
    """
    turned = device.type == "cuda" and not compiled
    return torch.contiguous_format if turned else torch.channels_last


def sent(x: Tensor, device: torch.device) -> Tensor:
    """x on a device; from the host to CUDA out of pinned memory, so that nobody waits for it."""
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """How long a call takes once it is warm; a first one that takes seconds counts itself."""
    for _ in range(2):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
        if seconds > 2:
            break
    return seconds


def warn_of_cost(seconds: float, steps: float, device: torch.device, advice: str) -> None:
    """Say in one line what a training costs on a CPU, where a step takes 10 s or all half a day.

    Args:
        seconds: of a step.
        steps: how many are left.
        device: where it trains.
        advice: what else can be done, a sentence.
    """
    hours = seconds * steps / 3600
    if device.type != "cpu" or (hours < 12 and seconds < 10):
        return
    whole = f"{hours / 24:,.0f} days" if hours > 72 else f"{hours:.0f} hours"
    step = f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.2g}"
    rest = f", and {steps:,} steps {whole}" if hours > 2 else ""
    print(
        f"A step takes about {step} s on this CPU{rest}: this is for a GPU. {advice}",
        flush=True,
    )


@contextlib.contextmanager
def first_of_machine(rank: int, world_size: int) -> Iterator[None]:
    """Let the first process of each machine run a block before its others do, as to decode a set.

    Args:
        rank: of this process.
        world_size: number of processes.
    """
    waits = int(os.environ.get("LOCAL_RANK", rank)) > 0
    if waits:
        largest([0.0], world_size)
    try:
        yield
    finally:
        if not waits:
            largest([0.0], world_size)


def parallel(module: nn.Module, world_size: int) -> nn.Module:
    """The module, wrapped in DistributedDataParallel if several processes share a batch.

    Buffers are constants here, and the same in all processes; and a gradient lies where it is
    averaged, instead of in a copy.
    """
    if world_size == 1:
        return module
    return DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)


@contextlib.contextmanager
def together(world_size: int) -> Iterator[None]:
    """A block that all processes leave at once: where it fails in one, the others end silently.

    Without it they would go on to wait for the one that is gone, and end in an error of their own.

    Args:
        world_size: number of processes.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    if largest([failed is not None], world_size)[0]:
        if failed is None:
            with contextlib.suppress(RuntimeError):  # torchrun ends all once one has ended: wait
                largest([0.0], world_size)  # until the one that failed has said why
        raise failed or SystemExit(1)


def sum_over_processes(value: Tensor, world_size: int) -> Tensor:
    """The sum of a tensor over all processes, in its own place."""
    if world_size > 1:
        distributed.all_reduce(value, distributed.ReduceOp.SUM)
    return value


def mean_over_processes(value: Tensor, world_size: int) -> Tensor:
    """The mean of a tensor over all processes."""
    value = sum_over_processes(value, world_size)
    return value / world_size if world_size > 1 else value


def rows_of_all(rows: np.ndarray, world_size: int) -> np.ndarray:
    """An array of which each process has filled its own rows, the others being 0, with all rows."""
    return sum_over_processes(torch.from_numpy(rows), world_size).numpy()


def largest(numbers: list[float], world_size: int) -> list[float]:
    """The largest of each number over all processes, the same in all; no device is waited for."""
    if world_size == 1:
        return numbers
    values = torch.tensor(numbers, dtype=torch.float64)
    distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return values.tolist()


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into an entry of a list, so that a step ends before training does.

    Outside the main thread, where Python delivers no signals, the list just stays empty.
    """
    stopped: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    names = SIGNALS if main else ()
    before = {s: signal.signal(s, lambda number, _: stopped.append(number)) for s in names}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def seed_of(*numbers: int) -> int:
    """One 63-bit seed from several whole numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


@contextlib.contextmanager
def cpu_threads(fixed: int | None, probe: int = 20) -> Iterator[Callable[[int], None]]:
    """Set the number of CPU threads of a run, and restore the old number at its end.

    Steps 0 to probe - 1 run on one thread, the next `probe` on all, and from then on the faster of
    both is used: small networks lose more by sharing out work than they win.

    Args:
        fixed: a number to use instead of measuring, or None.
        probe: steps of each measurement.

    Yields:
        pick(step), to be called before each step, counted from 0.
    """
    before = torch.get_num_threads()
    marks = {}

    def pick(step):
        if fixed is not None or before == 1 or step > 2 * probe:
            return
        if step in (0, probe, 2 * probe):
            marks[step] = time.perf_counter()
        if step == probe:
            torch.set_num_threads(before)
        if step == 2 * probe and marks[probe] - marks[0] < marks[2 * probe] - marks[probe]:
            torch.set_num_threads(1)

    torch.set_num_threads(1 if fixed is None else fixed)
    try:
        yield pick
    finally:
        torch.set_num_threads(before)
