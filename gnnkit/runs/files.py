"""Writing files so that a crash, a full disk or a `kill -9` never costs the older version.

The new bytes go to a temporary file in the same folder, reach the disk (fsync), take the old
name in one step (`os.replace`), and the folder's entry reaches the disk too. A reader sees the
whole old file or the whole new one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any

from gnnkit.errors import FileFormatError

_TEMPORARY = re.compile(r"^\..+\.[0-9a-f]{12}\.tmp$")


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Put ``data`` (text as UTF-8) at ``path``: completely, or not at all.

    What is large or fails in the middle is built in memory first (a checkpoint, a picture), so
    nothing but file system calls can fail here. A symbolic link is followed.

    Raises:
        OSError: The subclass that fits (``PermissionError``, ...), naming ``path``. The file that
            was there before is untouched and no temporary file remains.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(f"{folder}/note.txt", "kept")
        ...     print(Path(folder, "note.txt").read_text(), os.listdir(folder))
        kept ['note.txt']
    """
    raw = data.encode() if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".{target.name[:100]}.{secrets.token_hex(6)}.tmp"
    try:
        # Renaming over a device or a pipe would destroy it: `--out /dev/null` as root.
        if target.exists() and not target.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        try:
            _write_to_disk(temporary, raw)
            os.replace(temporary, target)
        except BaseException:  # ctrl-C too must leave no temporary file
            _remove_quietly(temporary)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, f"cannot write the file ({reason})", str(path)) from error


def remove_temporary_files(folder: Path) -> None:
    """Delete what a killed `atomic_write` left in ``folder``; only its owner, holding the lock, may."""
    for entry in folder.iterdir():
        if is_temporary(entry):
            _remove_quietly(entry)


def is_temporary(path: Path) -> bool:
    """Whether ``path`` bears the name of an unfinished `atomic_write`."""
    return _TEMPORARY.match(path.name) is not None


def read_regular(path: str | os.PathLike[str], *, limit: int | None = None) -> bytes:
    """The bytes of a regular file, of at most ``limit`` bytes if that is given.

    Raises:
        FileFormatError: If it is larger, or a pipe or device, on which reading could hang.
        OSError: If it cannot be opened.
    """
    # O_NONBLOCK: opening a pipe nobody writes to would otherwise wait for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileFormatError(path, "is not a regular file")
        if limit is not None and status.st_size > limit:
            raise FileFormatError(path, f"is larger than {limit:,} bytes, so not what was expected here")
        return file.read(status.st_size)


def write_json(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write strict JSON atomically: NaN and infinity, which JSON lacks, become null; numpy scalars, numbers."""
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, text + "\n")


def read_json(path: str | os.PathLike[str], *, limit: int = 16 * 2**20) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileFormatError: If it is not JSON, not an object, too large or nested beyond reason.
        OSError: If it cannot be opened.
    """
    try:
        content = json.loads(read_regular(path, limit=limit))
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise FileFormatError(path, f"should hold a JSON object, holds a {type(content).__name__}")
    return content


def _write_to_disk(path: Path, raw: bytes) -> None:
    # O_EXCL: never through a link somebody put there. 0o666: the umask decides, as for any new file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        write_all(descriptor, raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, raw: bytes) -> None:
    """`os.write` until nothing is left: one call may take only a part."""
    rest = memoryview(raw)
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errno.EIO, "the file system takes no more bytes")
        rest = rest[written:]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):  # the error that brought us here matters more
        path.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
