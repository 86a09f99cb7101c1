"""Arrays from an ``.npz`` file that may come from anyone.

`numpy.load(allow_pickle=False)` runs no code, but it decompresses whatever a member declares. Here the
archive's directory is judged before anything is unpacked, members nobody asks for are never touched, and
a header must announce exactly the bytes that follow it.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from gnnkit.errors import FileFormatError
from gnnkit.storage.arrays import array_from_buffer
from gnnkit.storage.reading import open_regular
from gnnkit.storage.text_lines import unpack_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_MEMBERS = 64
_MAX_DIRECTORY_BYTES = 1 << 17  # 64 members need 20 kB at most; the search for its end reads 65 kB
_MEMBER = re.compile(r"[^/\\:]{1,64}\.npy")
# What numpy writes, word for word. Its own reader evaluates the header as a Python literal, which is
# safe but not cheap for a header of someone else's making.
_HEADER = re.compile(
    r"\{'descr': '(?P<type>[<>|=]?(?:b1|[iu][1248]|f[248]|c8|c16|[US]\d{1,4}))', "
    r"'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,19}L?, ?)*(?:\d{1,19}L?)?)\),? ?\} *\n"
)
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,  # zipfile's word for an encrypted member
)


class NotPlainError(FileFormatError):
    """An array of Python objects, records or dates, which are not read."""


class ArrayArchive:
    """An open ``.npz`` file; made by :func:`open_arrays`.

    Attributes:
        path: The file.
        names: The arrays it says it has.
    """

    def __init__(self, path: str | os.PathLike[str], archive: zipfile.ZipFile, max_bytes: int) -> None:
        self.path = path
        self._archive, self._max_bytes, self._unpacked = archive, max_bytes, 0
        self._members = _members(path, archive)
        self.names = frozenset(self._members)

    def array(self, name: str) -> NDArray[Any]:
        """Read one array of numbers or text, of at most two axes; it may be read-only.

        Raises:
            NotPlainError: If it holds anything else, such as Python objects, which only unpickling could read.
            FileFormatError: If it is absent or damaged; if all that was read so far unpacks to more than it may.
        """
        member = self._members.get(name)
        if member is None:
            self.fail(f"has no array {name!r}; there are {listed(self.names)}")
        self._unpacked += member.file_size
        if self._unpacked > self._max_bytes:
            self.fail(f"unpacks to {self._unpacked} bytes, more than {self._max_bytes}, as decompression bombs do")
        try:
            with self._archive.open(member) as stream:
                # read() without a size would unpack up to 2 GiB of a member that declares less.
                content = stream.read(member.file_size)
        except _DAMAGED as error:
            raise FileFormatError(self.path, f"the array {name!r} is damaged ({error})") from None
        return _array(self.path, name, content)

    def fail(self, problem: str) -> NoReturn:
        """Raise the `FileFormatError` that names this file."""
        raise FileFormatError(self.path, problem)


@contextmanager
def open_arrays(
    path: str | os.PathLike[str], *, max_bytes: int | None = None, max_packed_bytes: int | None = None
) -> Iterator[ArrayArchive]:
    """Open an ``.npz`` file.

    Args:
        path: The file.
        max_bytes: What all arrays that are read together may unpack to; `unpack_limit` when None.
        max_packed_bytes: The largest file to look at.

    Raises:
        FileFormatError: If it is no such archive, too large, or has members that are no arrays.
        OSError: If it cannot be opened.
    """
    with open_regular(path, limit=max_packed_bytes) as file:
        if max_bytes is None:
            max_bytes = unpack_limit(os.fstat(file.fileno()).st_size)
        reader = _DirectoryFirst(file)
        try:
            opened = zipfile.ZipFile(reader)
        except _DAMAGED as error:
            raise FileFormatError(path, f"is not an intact npz archive ({error})") from None
        reader.directory_is_read = True
        with opened:
            yield ArrayArchive(path, opened, max_bytes)


def listed(names: Iterable[str]) -> str:
    """The names in short, for a message.

    Example:
        >>> listed({"y", "x"}), listed([])
        ('x, y', 'none')
    """
    shown = sorted(names)
    return (", ".join(name[:40] for name in shown[:8]) + (", ..." if len(shown) > 8 else "")) or "none"


class _DirectoryFirst(io.BufferedReader):
    """A file whose directory must be small: zipfile reads it at once and makes an object of each entry."""

    directory_is_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.directory_is_read and size is not None and size > _MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"a directory of {size} bytes")
        return super().read(size)


def _members(path: object, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > _MAX_MEMBERS:
        raise FileFormatError(path, f"has more than {_MAX_MEMBERS} members")
    for member in archive.infolist():
        if not (_MEMBER.fullmatch(member.filename) and member.filename.isprintable()):
            raise FileFormatError(path, "a member is not named like an array", text=member.filename)
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise FileFormatError(path, f"has two arrays {name!r}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(path, f"{name!r} is packed with method {member.compress_type}, not deflate")
        members[name] = member
    return members


def _array(path: object, name: str, content: bytes) -> NDArray[Any]:
    """The array of one ``.npy`` member, versions 1 to 3 of the format."""
    import numpy as np

    if content[:6] != b"\x93NUMPY" or len(content) < 12 or content[6] not in (1, 2, 3):
        raise FileFormatError(path, f"{name!r} is not an npy array")
    start, layout = (10, "<H") if content[6] == 1 else (12, "<I")
    (length,) = struct.unpack_from(layout, content, 8)
    header = _HEADER.fullmatch(content[start : start + length].decode("latin1")) if length <= 4096 else None
    if header is None:
        problem = f"{name!r} is not an array of plain numbers or text; arrays of Python objects are not read"
        raise NotPlainError(path, problem)
    shape = tuple(int(side) for side in re.findall(r"\d+", header["shape"]))
    buffer, dtype = memoryview(content)[start + length :], np.dtype(header["type"])
    try:
        array = array_from_buffer(buffer, dtype, shape, fortran=header["fortran"] == "True")
    except ValueError as error:
        raise FileFormatError(path, f"{name!r}: {error}") from None
    if dtype.kind == "U" and (np.frombuffer(buffer, dtype.str[0] + "u4") > 0x10FFFF).any():
        # numpy hands four bytes that are no character on to Python, which then reports an error of its own.
        raise FileFormatError(path, f"{name!r} is not text")
    return array
