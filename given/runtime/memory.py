"""How much memory a device has."""

import contextlib
import os
from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup/memory.max")  # of a container


def memory_of(device: torch.device) -> int | None:
    """The bytes of memory of a device, or None where nothing tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return host_memory()


def host_memory() -> int | None:
    """The bytes of memory of this machine, or of the container that it is; None on Windows."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):  # "max" where there is no limit
        found.append(int(CGROUP.read_text()))
    return min(found, default=None)
