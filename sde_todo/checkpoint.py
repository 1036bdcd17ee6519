"""Given: checkpoints: tensors and plain data, written whole or not at all.

A checkpoint is a dict with `config` (what rebuilds the model), `network` (the weights to sample
from, the averaged ones where training kept them) and, for going on with training, `training`.
"""

import os
import pickle
from pathlib import Path

import torch


def save_whole(path, state):
    """Write a checkpoint to a neighbour of `path`, then rename it: no reader meets a half."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        torch.save(state, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_checkpoint(path, device="cpu"):
    """Read a checkpoint; nothing in it is executed.

    Args:
        path: of the file. device: where its tensors go.

    Returns:
        the dict.

    Raises:
        ValueError: no such file, not a checkpoint, or not one of this course.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such checkpoint; training writes one.")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} holds objects other than tensors and plain data, and was not loaded; "
            f"use one that training wrote."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise ValueError(
            f"{path} is no checkpoint, or is cut short; use one that training wrote."
        ) from None
    if not isinstance(state, dict) or not {"config", "network"} <= state.keys():
        raise ValueError(f"{path} is not a checkpoint of this course: it has no 'config'.")
    return state


def put_weights(network, weights, path):
    """Put weights into a network; `path` is named where they do not fit."""
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(w[name].shape) if name in w else "missing" for w in (own, weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{path} is of another architecture: {name} is {shapes[1]} there and "
                f"{shapes[0]} in this network."
            )
    network.load_state_dict(weights)
