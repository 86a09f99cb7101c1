"""Arrays from an ``.npz`` file that may come from anyone.

`numpy.load(allow_pickle=False)` runs no code, but it decompresses whatever a member declares. Here the
archive's directory is judged before anything is unpacked, members nobody asks for are never touched, and
a header must announce exactly the bytes that follow it.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit.data.arrays import Array, array_from_buffer, number_type, read_bytes
from gnnkit.errors import FileFormatError

MAX_UNPACKED_BYTES = 512 * 2**20
_MAX_PACKED_BYTES = 128 * 2**20
_MAX_MEMBERS = 64
_ENTRY = b"PK\x01\x02"
_MEMBER = re.compile(r"[A-Za-z0-9_]{1,64}\.npy")
_STRINGS = re.compile(r"[<>|=]?[US]\d{1,4}")
# What numpy writes, word for word. Its own reader evaluates the header as a Python literal, which is
# safe but not cheap for a header of someone else's making.
_HEADER = re.compile(
    r"\{'descr': '(?P<order>[<>|=]?)(?P<code>[A-Za-z]\d{1,5})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,10}L?, ?)*(?:\d{1,10}L?)?)\),? ?\} *\n"
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


def read_npz(
    path: Path,
    required: Collection[str],
    optional: Collection[str] = (),
    *,
    max_bytes: int = MAX_UNPACKED_BYTES,
) -> dict[str, Array]:
    """The named arrays of an ``.npz`` file; an optional one that is absent or no plain array is left out.

    Args:
        path: The file.
        required: Names of arrays that must be there.
        optional: Names of arrays that may be.
        max_bytes: What all of them together may unpack to.

    Raises:
        MissingDataError: If there is no such file.
        FileFormatError: If it is no such archive, lacks an array, holds Python objects, unpacks to more
            than ``max_bytes``, or has members whose names are not those of arrays.
    """
    content = read_bytes(path, _MAX_PACKED_BYTES)
    # Counted before zipfile makes an object of each: compressed data holds this signature by chance
    # once in 2^32 positions.
    if content.count(_ENTRY) > _MAX_MEMBERS:
        raise FileFormatError(path, f"has more than {_MAX_MEMBERS} members")
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _members(path, archive)
            wanted = [name for name in (*required, *optional) if name in members]
            declared = sum(members[name].file_size for name in wanted)
            if declared > max_bytes:
                raise FileFormatError(path, f"unpacks to {declared} bytes, more than {max_bytes}")
            for name in required:
                if name not in members:
                    raise FileFormatError(path, f"has no array {name!r}")
                arrays[name] = _array(path, name, archive.read(members[name]))
            for name in optional:
                if name in members:
                    try:
                        arrays[name] = _array(path, name, archive.read(members[name]))
                    except FileFormatError:
                        continue  # names stored as Python objects, as some copies do: nothing depends on them
    except FileFormatError:
        raise
    except _DAMAGED as error:
        raise FileFormatError(path, f"is not an intact npz archive ({error})") from None
    return arrays


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if not _MEMBER.fullmatch(member.filename):
            raise FileFormatError(path, "a member is not named like an array", text=member.filename)
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise FileFormatError(path, f"has two arrays {name!r}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(path, f"{name!r} is packed with method {member.compress_type}, not deflate")
        members[name] = member
    return members


def _array(path: Path, name: str, content: bytes) -> Array:
    """The array of one ``.npy`` member, versions 1 to 3 of the format."""
    if content[:6] != b"\x93NUMPY" or len(content) < 12 or content[6] not in (1, 2, 3):
        raise FileFormatError(path, f"{name!r} is not an npy array")
    start, layout = (10, "<H") if content[6] == 1 else (12, "<I")
    (length,) = struct.unpack_from(layout, content, 8)
    header = _HEADER.fullmatch(content[start : start + length].decode("latin1")) if length <= 4096 else None
    if header is None:
        problem = f"{name!r} is not an array of plain numbers or text; arrays of Python objects are not read"
        raise FileFormatError(path, problem)
    shape = tuple(int(side) for side in re.findall(r"\d+", header["shape"]))
    try:
        return array_from_buffer(
            content[start + length :],
            _element_type(header["order"], header["code"]),
            shape,
            fortran=header["fortran"] == "True",
        )
    except ValueError as error:
        raise FileFormatError(path, f"{name!r}: {error}") from None


def _element_type(order: str, code: str) -> np.dtype[Any]:
    if _STRINGS.fullmatch(order + code):
        return np.dtype(order + code)
    return number_type(code, order or "|")
