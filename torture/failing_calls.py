"""Calls to the system that change files, counted, and one of them made to fail; for a child process that ends soon."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What each kind of call is made to meet. A short write takes half, and the next finds the disk full. KILL ends the
# process before the call, KILL_AFTER behind it: a rename that never came, and one nothing came after.
FAULTS = {
    "open": ("ENOSPC", "EACCES"),
    "mkdir": ("EACCES",),
    "write": ("ENOSPC", "SHORT"),
    "truncate": ("EIO",),
    "fsync": ("EIO",),
    "rename": ("EACCES", "KILL", "KILL_AFTER"),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Calls:
    """Watches this process from `install` on.

    Args:
        root: Only files below it count.
        log: Where each call is noted: a line of its kind and its path.
        fails: The number of the call to fail; none if negative.
        fault: How it fails.
    """

    def __init__(self, root: Path, log: Path, fails: int = -1, fault: str = "") -> None:
        self._root, self._fails, self._fault = str(root), fails, fault
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._count = 0
        self._full = False

    def install(self) -> None:
        """Begin; there is no end to it but the process's."""
        self._wrap("write", "write", self._write)
        self._wrap("fsync", "fsync")
        self._wrap("ftruncate", "truncate")
        self._wrap("replace", "rename")
        self._wrap("mkdir", "mkdir")
        sys.addaudithook(self._opened)

    def _wrap(self, name: str, kind: str, instead: Callable[..., Any] | None = None) -> None:
        original: Callable[..., Any] = getattr(os, name)

        def call(target: Any, *others: Any, **named: Any) -> Any:
            path = self._path(target)
            if path is None or (
                kind == "mkdir" and os.path.isdir(path)
            ):  # it is there: no call that could fail matters
                return original(target, *others, **named)
            fault = self._next(kind, path, named=not isinstance(target, int))
            if instead is not None:
                return instead(original, fault, target, *others)
            result = original(target, *others, **named)
            if fault == "KILL_AFTER":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(os, name, call)

    def _write(self, original: Callable[..., int], fault: str, descriptor: int, content: Any) -> int:
        if self._full:
            self._full = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fault == "SHORT":
            self._full = True
            return original(descriptor, content[: len(content) // 2 or 1])
        return original(descriptor, content)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python asks before it opens anything, by whatever function."""
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        _, mode, flags = arguments
        if (flags or 0) & _WRITES or (isinstance(mode, str) and set(mode) & set("wax+")):
            path = self._path(arguments[0])
            if path is not None:
                self._next("open", path)

    def _path(self, target: Any) -> str | None:
        try:
            if isinstance(target, int):
                name = os.readlink(f"/proc/self/fd/{target}")
            else:
                name = os.path.realpath(os.fsdecode(target))
        except OSError:
            return None
        return name if name == self._root or name.startswith(self._root + os.sep) else None

    def _next(self, kind: str, path: str, *, named: bool = True) -> str:
        """Note a call; it fails here unless it is to fail in a way of its own, which is returned.

        The system names the file only in errors of calls that were given its name.
        """
        number, self._count = self._count, self._count + 1
        slash = os.sep if kind == "fsync" and os.path.isdir(path) else ""
        os.pwrite(self._log, f"{kind} {path}{slash}\n".encode(), os.fstat(self._log).st_size)
        if number != self._fails:
            return ""
        if self._fault == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault in ("SHORT", "KILL_AFTER"):
            return self._fault
        code = getattr(errno, self._fault)
        raise OSError(code, os.strerror(code), path) if named else OSError(code, os.strerror(code))
