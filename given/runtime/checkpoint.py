"""Checkpoints: tensors and plain data, written whole or not at all.

A checkpoint is a dict with `config` (what rebuilds the model), `network` (the weights to sample
from, the averaged ones where training kept them) and, for going on with training, `training`.
"""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from given.runtime.files import atomic_write


def save_whole(path: Path | str, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    with atomic_write(path) as file:
        torch.save(state, file)


def read_checkpoint(path: Path | str, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Args:
        path: of the file.
        device: where its tensors go.

    Returns:
        the dict.

    Raises:
        ValueError: no such file, not a checkpoint, or not one of this course.
    """
    state = read_plain(path, device)
    if not isinstance(state, dict) or not {"config", "network"} <= state.keys():
        raise ValueError(f"{path} is not a checkpoint of this course: it has no 'config'.")
    if not all(isinstance(state[name], dict) for name in ("config", "network")):
        raise ValueError(f"{path} has no names in 'config' or 'network'; use one of training.")
    return state


def read_plain(
    path: Path | str, device: str | torch.device = "cpu", source: str = "one that training wrote"
) -> Any:
    """What torch.save wrote, if it is tensors and plain data; nothing in it is executed.

    Args:
        path: of the file.
        device: where its tensors go.
        source: what to use instead of a file that is none, the end of a sentence.

    Raises:
        ValueError: no such file, one that executing code would open, or a damaged one.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such checkpoint; training writes one.")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} holds objects other than tensors and plain data, and was not loaded; "
            f"use {source}."
        ) from None
    except Exception:  # of damaged data, torch makes any error
        raise ValueError(f"{path} is no checkpoint, or is cut short; use {source}.") from None


@contextlib.contextmanager
def blamed_on(path: Path | str, remedy: str = "use one that training wrote") -> Iterator[None]:
    """Say of a file, in one sentence, what fails inside: damaged data can make any error.

    An open TODO passes, and so does an error that names the file already.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        if isinstance(error, NotImplementedError) or (str(path) in reason and error.args[1:] == ()):
            raise
        raise ValueError(
            f"{path} cannot be used ({type(error).__name__}: {reason[:200]}); {remedy}."
        ) from error


def check_weights(network: nn.Module, weights: dict[str, Tensor], path: Path | str) -> None:
    """Refuse weights of other names or shapes than a network's; `path` is named."""
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys(), key=str):
        shapes = [tuple(getattr(w.get(name), "shape", ["missing"])) for w in (own, weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{path} is of another architecture: {name} is {shapes[1]} there and "
                f"{shapes[0]} in this network."
            )


def load_weights(network: nn.Module, weights: dict[str, Tensor], path: Path | str) -> None:
    """Put weights of any precision into a network; `path` is named where they do not fit."""
    with blamed_on(path):
        check_weights(network, weights, path)
        network.load_state_dict(weights)


def rebuilt(
    build: Callable[[], nn.Module], weights: dict[str, Tensor], path: Path | str
) -> nn.Module:
    """The network that `build` makes, with the weights of a file.

    It is tried without memory first, because a file may ask for any amount.
    """
    with blamed_on(path):
        with torch.device("meta"):
            check_weights(build(), weights, path)
        network = build()
    load_weights(network, weights, path)
    return network


def refuse_to_overwrite(path: Path, overwrite: bool) -> None:
    """Leave the checkpoint of an earlier run alone, unless asked to train over it."""
    if path.exists() and not overwrite:
        raise ValueError(
            f"{path} is there already; go on with --resume, train from scratch with --overwrite, "
            "or choose another folder."
        )
