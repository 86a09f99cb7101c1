"""One process per run folder.

The lock is the kernel's (`flock`): it ends with the process that holds it, however that dies,
so a stale lock file is taken over at once and without a race, even where process ids mean
nothing to each other (two containers, two hosts on one network disk). The file's text, process
id, host and start time, is there to tell the second process who the first is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

from gnnkit.errors import FileFormatError, RunError
from gnnkit.storage.atomic import write_all
from gnnkit.storage.json_files import read_json

LOCK_NAME = "run.lock"


class FolderLock:
    """Held from construction to `release`, or to the death of the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._descriptor: int | None = self._acquire()

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last owner may have deleted the file between our open and our lock:
                # then a third process could lock a new file of this name. Only the file in place counts.
                if self._is_in_place(descriptor):
                    os.ftruncate(descriptor, 0)
                    write_all(descriptor, json.dumps(_this_process()).encode())
                    return descriptor
            except OSError as error:
                os.close(descriptor)
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    raise RunError(self._refusal()) from None
                raise OSError(error.errno, f"cannot lock the run folder ({error.strerror})", str(self._path)) from error
            os.close(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _refusal(self) -> str:
        try:
            owner = read_json(self._path, limit=4096)
        except (OSError, FileFormatError):  # just gone, or not yet written
            owner = {}
        who = (
            f"process {owner.get('pid')!r} on {owner.get('host')!r}, at work since {owner.get('started')!r}"
            if owner
            else "another process"
        )
        return (
            f"the run folder {self._path.parent} is in use by {who}; "
            "wait for it to end or stop it, or train into another folder with --out"
        )

    def release(self) -> None:
        """Give the folder free; calling it twice does nothing more."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):  # a folder made read-only; the text left behind locks nobody out
            self._path.unlink(missing_ok=True)
        # Said explicitly: a forked child may still hold the descriptor, and with it the lock.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _this_process() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_start_time())),
    }


def _start_time() -> float:
    """When this process began; where the system does not say (no /proc), when it took the lock."""
    try:
        return os.stat(f"/proc/{os.getpid()}").st_ctime
    except OSError:
        return time.time()
