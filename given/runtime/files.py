"""Files that are written whole or not at all, in folders of one run at a time."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch import Tensor

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for bytes; at the end it is renamed to `path`.

    Args:
        path: the file to write; its folder is made.

    Yields:
        the open file.

    Raises:
        OSError: the disk is full, or nothing may be written there; names the file.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            yield file
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch's RuntimeError hides the OSError
        errors = (error, error.__context__)
        reason = next((e.strerror for e in errors if isinstance(e, OSError)), None)
        if reason is None:
            raise
        raise OSError(
            f"{path} could not be written ({reason}); fix that and run the command again."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # of a folder that nothing may be deleted from
            part.unlink()


def clear_parts(folder: Path | str, pattern: str) -> None:
    """Delete the temporary files of a killed process, of files such as last.ckpt."""
    for part in Path(folder).glob(f"{pattern}.*.part"):
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: Path, first: bool = True) -> Iterator[None]:
    """Lock a folder of results for one run, where the system can; clear what a kill left there.

    Args:
        folder: of last.ckpt.
        first: whether this is the first of the run's processes.

    Raises:
        ValueError: another run is at work there.
    """
    with contextlib.ExitStack() as stack:
        if first and fcntl:
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"Another run is at work in {folder}; wait for its end, or name another folder."
                ) from None
            clear_parts(folder, "last.ckpt")
        yield


def write(path: Path | str, data: bytes | str) -> None:
    """Write bytes or text to a file, atomically."""
    with atomic_write(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def npz(**arrays: Tensor) -> bytes:
    """Tensors as the bytes of an .npz file."""
    buffer = io.BytesIO()
    plain: dict[str, Any] = {name: x.cpu().numpy() for name, x in arrays.items()}
    np.savez_compressed(buffer, **plain)
    return buffer.getvalue()


def make_folder(path: Path) -> None:
    """Make a folder, or end the command with one sentence: call it before the work starts."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"Cannot write to {path}: {error.strerror}.") from None
