"""Where the trajectories of a bridge wait to be trained on: on the device, or beside it.

A cache on the host is gathered there batch by batch, and a batch goes to the device out of pinned
memory, so that nobody waits for it.
"""

from typing import Any

import torch
from torch import Tensor

from given.bridges.methods import METHODS
from given.runtime.memory import host_memory, memory_of
from sde_todo.bridge import Chain

HOST = torch.device("cpu")


def place_of_cache(config: dict, image: Tensor, device: torch.device, columns: int) -> torch.device:
    """Where a cache is kept: on the device up to a quarter of its memory, else on the host.

    An old cache lives until the new one is whole.

    Args:
        config: of the run.
        image: (...) one point or image, for its size.
        device: where the run trains.
        columns: this process's part of a batch.

    Raises:
        ValueError: it fits on neither; says how many bytes it takes.
    """
    size, there, host = cache_bytes(config, image, columns), memory_of(device), host_memory()
    if device.type != "cpu" and (there is None or size <= there // 4):
        return device
    if host is not None and 2 * size > host:
        raise ValueError(
            f"The cache of {config['cache_size']} trajectories of {config['num_steps']} steps "
            f"takes {size:,} bytes, twice while it is renewed, and this machine has {host:,}; "
            f"lower --cache_size, --num_steps or --resolution."
        )
    return HOST


def cache_bytes(config: dict, image: Tensor, columns: int) -> int:
    """The bytes of this process's part of a cache: states, and means where the method has them."""
    N, rows = config["num_steps"], config["cache_size"] // config["batch_size"]
    states = N + 1 + (2 * N if METHODS[config["method"]].needs_means else 0)
    return states * rows * columns * image.numel() * image.element_size()


class Rows:
    """Trajectories (steps, rows, B, ...), filled row by row: no second copy while they are made.

    Args:
        rows: how many.
        place: where they are kept.
    """

    def __init__(self, rows: int, place: torch.device) -> None:
        self.rows, self.place = rows, place
        self.arrays: list[Tensor | None] = []

    def put(self, row: int, parts: tuple[Tensor | None, ...]) -> None:
        """Keep the states and the means, (steps, B, ...) each or None, of a row."""
        if not self.arrays:
            self.arrays = [
                None if x is None else x.new_empty((self.rows, *x.shape), device=self.place)
                for x in parts
            ]
        for array, x in zip(self.arrays, parts, strict=True):
            if array is not None and x is not None:
                array[row].copy_(x)

    def whole(self) -> list[Any]:
        """All rows, (steps, rows, B, ...) each, or None."""
        return [x if x is None else x.transpose(0, 1) for x in self.arrays]


def chain_on(chain: Chain, place: torch.device) -> Chain:
    """A chain whose numbers are where they are looked up, so that no batch waits for a copy."""
    dtype = torch.float32 if place.type == "mps" else torch.float64  # MPS has no float64
    s, a, q = (x.to(place, dtype) for x in (chain.s, chain.a, chain.q))
    return Chain(s, a, q, chain.sigma)
