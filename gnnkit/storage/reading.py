"""Reading a file that may be of any size, or no file at all."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from gnnkit.errors import FileFormatError


@contextmanager
def open_regular(path: str | os.PathLike[str], *, limit: int | None = None) -> Iterator[io.FileIO]:
    """Open a regular file, of at most ``limit`` bytes if that is given, for reading without a buffer.

    Raises:
        FileFormatError: If it is larger, or a folder, or a pipe or device, on which reading could hang.
        OSError: If it cannot be opened.
    """
    # O_NONBLOCK: opening a pipe nobody writes to would otherwise wait for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileFormatError(path, "is not a regular file")
        if limit is not None and status.st_size > limit:
            raise FileFormatError(path, f"is larger than {limit:,} bytes, so not what was expected here")
        with io.FileIO(descriptor, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_regular(path: str | os.PathLike[str], *, limit: int | None = None) -> bytes:
    """The bytes of such a file; the errors are those of `open_regular`."""
    with open_regular(path, limit=limit) as file:
        # As many as there were when the limit was checked; FileIO.read may return a part, this does not.
        return io.BufferedReader(file).read(os.fstat(file.fileno()).st_size)
