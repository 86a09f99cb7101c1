"""Writing files so that a crash, a full disk or a `kill -9` never costs the older version.

The new bytes go to a temporary file in the same folder, reach the disk (fsync), take the old
name in one step (`os.replace`), and the folder's entry reaches the disk too. A reader sees the
whole old file or the whole new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path

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
        sync_folder(target.parent)
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


def write_all(descriptor: int, raw: bytes) -> None:
    """`os.write` until nothing is left: one call may take only a part."""
    rest = memoryview(raw)
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errno.EIO, "the file system takes no more bytes")
        rest = rest[written:]


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut, where the system can: a renamed file is safe only then."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _write_to_disk(path: Path, raw: bytes) -> None:
    # O_EXCL: never through a link somebody put there. 0o666: the umask decides, as for any new file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        write_all(descriptor, raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):  # the error that brought us here matters more
        path.unlink(missing_ok=True)
