"""What the parts of gpu.py share: rows that are kept at once, a deadline, and throughput."""

import gc
import json
import time
from pathlib import Path

import torch

from given.runtime.files import write

# Dense bf16 products a second, from the makers' data sheets.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


class Deadline:
    """How long a part may take.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds):
        self.end = time.perf_counter() + seconds

    def left(self):
        """Seconds until the end; below 0 after it."""
        return self.end - time.perf_counter()


class Report:
    """The rows of a run: each is printed at once, and the file is written again after it.

    Args:
        path: of the JSON file.
        about: what was measured with: a dict of plain values.
    """

    def __init__(self, path, about):
        self.path, self.about, self.rows = Path(path), about, []

    def row(self, part, name, text, **figures):
        """Print `text` and keep the figures under the part and the name."""
        print(f"{part:<9} {name:<44} {text}", flush=True)
        self.rows.append({"part": part, "name": name} | figures)
        write(self.path, json.dumps({"about": self.about, "rows": self.rows}, indent=1) + "\n")

    def skipped(self, part, name, deadline, seconds):
        """Say that something was not started, as it would end too late."""
        text = f"not started: {deadline.left():.0f} s are left, and it takes about {seconds:.0f}"
        self.row(part, name, text, skipped=True)


def sync(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def start_afresh(device):
    """Forget compiled graphs and free what earlier networks held: compiled ones are cycles."""
    torch._dynamo.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def images_per_second(step, batch_size, seconds, device):
    """Throughput of a step, once three calls have warmed it up; the host waits once, at the end.

    Steps are counted out beforehand from the time of a few, so that nothing is measured on the way.
    """
    for _ in range(3):
        step()
    sync(device)
    count = 3
    each = seconds_of_steps(step, count, device) / count
    count = min(max(int(seconds / each), 3), 10_000)
    return batch_size * count / seconds_of_steps(step, count, device)


def seconds_of_steps(step, count, device):
    start = time.perf_counter()
    for _ in range(count):
        step()
    sync(device)
    return time.perf_counter() - start


def memory_of(device):
    """Most bytes that lay on the device since `start_afresh`; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def peak_of(device):
    """The card's peak, or None where it is not in the table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for key, peak in PEAKS.items() if key in name), None)


def share(speed, flops, device):
    """`12.3 TFLOP/s`, and the share of the peak where it is known."""
    peak, rate = peak_of(device), speed * flops
    return f"{rate / 1e12:8.2f} TFLOP/s" + (f", {100 * rate / peak:4.1f}% of peak" if peak else "")
