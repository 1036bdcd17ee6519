"""Given: files that are written whole or not at all, in folders of one run at a time."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def atomic_write(path):
    """A neighbour of `path`, open for bytes, that is renamed at the end: no reader meets a half.

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


def clear_parts(folder, pattern):
    """Delete the parts of files of a pattern, as last.ckpt, that a killed process left."""
    for part in Path(folder).glob(f"{pattern}.*.part"):
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder, first=True):
    """Keep a folder of results for one run, where the system can; clear what a kill left there.

    Args:
        folder: of last.ckpt. first: whether this is the first of the run's processes.

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


def write(path, data):
    """Write bytes or text to a file that is replaced whole or not at all."""
    with atomic_write(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def npz(**arrays):
    """Tensors as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: x.cpu().numpy() for name, x in arrays.items()})
    return buffer.getvalue()


def make_folder(path):
    """Make a folder before the work starts, not after it has been done in vain."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"Cannot write to {path}: {error.strerror}.") from None
