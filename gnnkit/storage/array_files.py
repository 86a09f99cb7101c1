"""Arrays in ``.npy`` files: written piece by piece, and memory-mapped.

What is written grows at its end, so that a writer killed at any moment goes on from the last length
that somebody recorded; only `ArrayWriter.finish` makes the file one that numpy opens.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnkit.errors import FileFormatError
from gnnkit.storage.atomic import write_all
from gnnkit.storage.reading import open_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEADER_BYTES = 128  # room for the length of any array of one axis; a multiple of 64, as numpy writes it
_HASHED_AT_ONCE = 1 << 22
_LARGEST_HEADER = 1 << 12


class ArrayWriter:
    """Writes an array of one axis to ``path``, piece by piece.

    Args:
        path: The file.
        dtype: Of its numbers.
        count: How many were written before, by a writer that is gone; what lies behind them is cut off.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], *, count: int = 0) -> None:
        self.path, self.dtype, self.count = path, dtype, count
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        length = _HEADER_BYTES + count * dtype.itemsize
        if count and os.fstat(self._descriptor).st_size < length:
            os.close(self._descriptor)
            raise FileFormatError(path, f"is shorter than the {count} numbers that were written to it")
        with self._named():
            os.ftruncate(self._descriptor, length)
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def append(self, values: NDArray[Any]) -> None:
        """Write more numbers behind those there are."""
        import numpy as np

        values = np.ascontiguousarray(values, dtype=self.dtype)
        if values.size:
            with self._named():
                write_all(self._descriptor, values.view(np.uint8).data)  # type: ignore[arg-type]
        self.count += values.size

    def flush(self) -> int:
        """Bring all to the disk; returns how many numbers are safe there."""
        with self._named():
            os.fsync(self._descriptor)
        return self.count

    def finish(self, *, columns: int | None = None) -> None:
        """Write the header, bring all to the disk, and close the file; with ``columns``, as rows of so many."""
        shape = (self.count,) if columns is None else (self.count // max(columns, 1), columns)
        text = repr({"descr": self.dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape})
        header = text.encode().ljust(_HEADER_BYTES - 11) + b"\n"
        with self._named():
            os.pwrite(self._descriptor, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header, 0)
        self.flush()
        self.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """An error of a call on an open file does not say which; say it."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(error.errno or errno.EIO, f"cannot write the file ({reason})", str(self.path)) from error

    def close(self) -> None:
        """Close the file as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def map_array(path: Path, *, kinds: str = "iufb", dimensions: int = 1) -> NDArray[Any]:
    """An array of a ``.npy`` file, memory-mapped and read-only.

    Args:
        path: The file.
        kinds: The kinds of numbers (numpy's letters) that are taken.
        dimensions: How many axes it must have.

    Raises:
        FileFormatError: If it is no such file, holds other things, or is not as long as it says.
        OSError: If it cannot be opened.
    """
    import numpy as np

    dtype, shape, fortran, offset = _header(path)
    if dtype.kind not in kinds or len(shape) != dimensions:
        raise FileFormatError(path, f"must hold numbers along {dimensions} axes, got {dtype} of shape {shape}")
    expected = offset + dtype.itemsize * int(np.prod(shape, dtype=object))
    size = path.stat().st_size
    if size != expected:
        raise FileFormatError(path, f"should be {expected} bytes long, is {size}: it is cut off or was not finished")
    if 0 in shape:  # nothing can be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _header(path: Path) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    import numpy as np

    with open_regular(path) as file:
        start = file.read(12)
        version = start[6:7]
        wide = version in (b"\x02", b"\x03")
        if start[:6] != b"\x93NUMPY" or not (wide or version == b"\x01") or len(start) < 12:
            raise FileFormatError(path, "is not an array file of numpy (.npy)")
        length = struct.unpack("<I", start[8:12])[0] if wide else struct.unpack("<H", start[8:10])[0]
        offset = (12 if wide else 10) + length
        if length > _LARGEST_HEADER:
            raise FileFormatError(path, f"has a header of {length} bytes, as no array of numbers has")
        file.seek(12 if wide else 10)
        text = file.read(length)
    try:
        header = ast.literal_eval(text.decode("latin-1"))
        dtype, shape = np.dtype(header["descr"]), header["shape"]
        if dtype.hasobject or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError(f"{dtype} of shape {shape}")
        return dtype, tuple(shape), bool(header["fortran_order"]), offset
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise FileFormatError(path, f"has no header of numbers that numpy writes ({error})") from None


def sha256_of(path: Path, tell: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal digits; ``tell`` hears how many were read."""
    found, done = hashlib.sha256(), 0
    with open_regular(path) as file:
        while block := file.read(_HASHED_AT_ONCE):
            found.update(block)
            done += len(block)
            if tell is not None:
                tell(done)
    return found.hexdigest()
