"""Arrays between processes: plain numbers as an uncompressed npz, read without trust."""

import io
import math
import zipfile
from typing import Any

import numpy as np

MOST = 16 << 20  # bytes that one probe may give back


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """A dict of arrays as bytes."""
    buffer = io.BytesIO()
    plain: dict[str, Any] = dict(arrays)
    np.savez(buffer, **plain)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """The dict of arrays in bytes that anybody may have written.

    Raises:
        ValueError: it is no plain set of arrays of numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            stored = all(m.compress_type == zipfile.ZIP_STORED for m in members)
            if not stored or sum(m.file_size for m in members) > len(data):
                raise ValueError("it is compressed")
            return {m.filename.removesuffix(".npy"): _array(archive.read(m)) for m in members}
    except Exception as error:  # such bytes make the readers of zip and npy raise anything
        raise ValueError(str(error)[:200] or type(error).__name__) from None


def _array(data):
    """One array from the text of a .npy file; its memory is never more than the text's."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it has another version of npy")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    body = data[stream.tell() :]
    if dtype.kind not in "fiub" or dtype.itemsize > 8 or dtype.shape or len(shape) > 12:
        raise ValueError(f"it holds {dtype}, not numbers")
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError("its size is not that of its shape")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C").copy()
