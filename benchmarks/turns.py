"""Two programs side by side: times taken in turns within one run, and a table of both.

Times are CPU time of the process. On one thread that is what a quiet machine takes.
"""

import time
from importlib import metadata, util

import numpy as np
import torch

from benchmarks.plane import print_table


def missing(part, **packages):
    """Say in one line which packages a part lacks; whether there are any.

    Args:
        packages: name of the module to the name under which pip installs it.
    """
    absent = [name for module, name in packages.items() if not util.find_spec(module)]
    if absent:
        print(f"\n{part}: skipped, {' and '.join(absent)} not installed (benchmarks/peers.txt).")
    return bool(absent)


def in_turns(*calls, rounds=5):
    """Median CPU seconds of each call; all take turns, and a first round only warms up."""
    times = [[] for _ in calls]
    for _ in range(rounds + 1):
        for slot, call in zip(times, calls, strict=True):
            start = time.process_time()
            call()
            slot.append(time.process_time() - start)
    return [float(np.median(slot[1:])) for slot in times]


def ratio(what, own, peer, form=".3g"):
    """A row of two figures and their ratio."""
    return what, format(own, form), format(peer, form), f"{own / peer:.2f}"


def agreement(what, own, peer):
    """A row of two results that shall be the same: largest absolute values, and difference."""
    own, peer = (torch.as_tensor(v, dtype=torch.float64) for v in (own, peer))
    sizes = (f"{v.abs().max():.6g}" for v in (own, peer))
    return what, *sizes, f"off by {(own - peer).abs().max():.0e}"


def show(title, rows, *packages):
    """Print rows of `ratio` and `agreement` under a title with versions and threads."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", *packages))
    title = f"{title}\n{versions}; {torch.get_num_threads()} threads"
    print_table(title, ("", "own", "peer", "own / peer"), rows)
