"""The lines of a text file from elsewhere, plain or gzipped: decoded, numbered, and bounded.

Whoever reads a table (edges, labels, features) starts here, so that a truncated archive, a
decompression bomb, a wrong encoding, or a binary file in disguise is one clear
:class:`~gnnkit.errors.FileFormatError` everywhere.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from gnnkit.errors import FileFormatError

MAX_LINE_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def unpack_limit(packed_size: int) -> int:
    """Bytes that a packed file of this size may unpack to.

    Edge lists and arrays of real graphs pack 3 to 30 times smaller; a bomb, up to 1,000 times.
    """
    return max(256 << 20, 200 * packed_size)


class _Unpacking(io.RawIOBase):
    """A gzip stream whose faults name the file and whose length is bounded."""

    def __init__(self, path: Path, packed: io.FileIO) -> None:
        self._path = path
        self._stream = gzip.GzipFile(fileobj=packed, mode="rb")
        self._left = unpack_limit(path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._stream.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            problem = f"not a whole gzip file ({error}); fetch or pack it again"
            raise FileFormatError(self._path, problem) from error
        self._left -= len(block)
        if self._left < 0:
            raise FileFormatError(
                self._path,
                f"unpacks to more than {unpack_limit(self._path.stat().st_size)} bytes, as decompression "
                "bombs do; if you trust it, unpack it with gunzip and pass the plain file",
            )
        buffer[: len(block)] = block
        return len(block)


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open a file's bytes for reading, unpacked if it is gzipped, from behind a UTF-8 byte order mark.

    Raises:
        FileFormatError: While reading, if the gzip stream is damaged or unpacks to more than
            :func:`unpack_limit`.
    """
    with path.open("rb", buffering=0) as packed:
        is_gzip = packed.read(2) == _GZIP_MAGIC or path.suffix.lower() == ".gz"
        packed.seek(0)
        # Seeking is never needed behind the first bytes, so the cast to BinaryIO holds.
        stream = io.BufferedReader(_Unpacking(path, packed) if is_gzip else packed, 1 << 17)
        if stream.peek(3)[:3] == _BYTE_ORDER_MARK:
            stream.read(3)
        yield cast("BinaryIO", stream)


def decoded(path: Path, raw: bytes, line: int) -> str:
    """One line's text.

    Raises:
        FileFormatError: If it is not UTF-8, or holds a NUL byte, as binary files and UTF-16 do.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start + 1} of the line (0x{raw[error.start]:02x}); save the file as UTF-8"
        raise FileFormatError(path, problem, line=line, text=raw.decode("utf-8", "replace")) from error
    if "\x00" in text:
        problem = f"NUL at byte {raw.index(0) + 1} of the line; this is not a text file in UTF-8"
        raise FileFormatError(path, problem, line=line, text=text)
    return text


def numbered_lines(path: Path, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, str]]:
    """Yield ``(line number from 1, text without its line ending)`` of a UTF-8 file, gzipped or not.

    Raises:
        FileFormatError: At the first line that is too long, not UTF-8, or holds a NUL byte; if the
            gzip stream is damaged or a bomb.
    """
    with open_unpacked(path) as stream:
        number = 0
        while raw := stream.readline(max_line_bytes + 1):
            number += 1
            if len(raw) > max_line_bytes:
                problem = f"longer than {max_line_bytes} bytes; this is not a table with one row a line"
                raise FileFormatError(path, problem, line=number, text=raw[:80].decode("utf-8", "replace"))
            yield number, decoded(path, raw, number).rstrip("\r\n")
