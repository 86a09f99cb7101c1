"""Reading a whole file that may be of any size, or no file at all."""

from __future__ import annotations

import os
import stat

from gnnkit.errors import FileFormatError


def read_regular(path: str | os.PathLike[str], *, limit: int | None = None) -> bytes:
    """The bytes of a regular file, of at most ``limit`` bytes if that is given.

    Raises:
        FileFormatError: If it is larger, or a pipe or device, on which reading could hang.
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
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(descriptor)
