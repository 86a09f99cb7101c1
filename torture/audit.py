# ruff: noqa: E501 (tables of bytes and long conditions read best in one line)
"""A guard on what a process does: Python's own audit events, which no code run in it can switch off."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

# Events that reading a file never needs; by their beginning.
_NEVER = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "os.kill", "os.putenv", "subprocess.", "pty.",
    "socket.", "ctypes.", "pickle.find_class", "code.__new__", "urllib.", "http.", "ftplib.", "smtplib.", "telnetlib.",
    "sqlite3.", "webbrowser.", "shutil.rmtree", "shutil.move", "shutil.unpack_archive", "sys.settrace", "sys.setprofile", "builtins.input",
    "cpython.run_", "glob.glob", "mmap.__new__", "resource.setrlimit", "signal.pthread_kill", "syslog.",
)  # fmt: skip
# Where compiling is a library's own way to make a class or a function.
_MAKERS = ("dataclasses.py", os.path.join("collections", "__init__.py"), "typing.py", "enum.py", "inspect.py")
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
    "os.utime",
)


class CaughtError(BaseException):
    """Stops what is being done; no reader catches it."""


class Guard:
    """Notes, and stops, what no reader has reason to do, between `begin` and `end`.

    Args:
        sandbox: The folder in which files may be written.
        project: Where the project's own sources are.

    Attributes:
        caught: The first such thing; "" if there was none.
    """

    def __init__(self, sandbox: Path, project: Path) -> None:
        self.caught = ""
        self._active = False
        self._sandbox = str(sandbox)
        import_roots = {sys.prefix, sys.base_prefix, *filter(None, sys.path)}
        self._readable = (self._sandbox, str(project), "/proc/self", "/dev/null", *import_roots)
        sys.addaudithook(self._hook)

    def begin(self) -> None:
        """Watch from here on."""
        self.caught, self._active = "", True

    def end(self) -> None:
        """Watch no more."""
        self._active = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active:
            return
        problem = self._problem(event, arguments)
        if problem:
            self._active = False
            self.caught = f"{event}{problem}"
            raise CaughtError(self.caught)

    def _problem(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event.startswith(_NEVER) and event != "socket.gethostname":  # the owner of a lock is named
            return f" {str(arguments)[:100]!a}"
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return ""
            writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (flags or 0) & (
                os.O_WRONLY | os.O_RDWR | os.O_CREAT
            )
            # A path that does not lead anywhere else, whatever links it takes.
            real = os.path.realpath(os.fsdecode(path))
            allowed = (self._sandbox,) if writes else self._readable
            return "" if real.startswith(allowed) else f" of {real[:100]!a}, mode {mode!r}"
        if event in _CHANGES:
            paths = [
                os.path.realpath(os.fsdecode(each))
                for each in arguments[:2]
                if isinstance(each, str | bytes | os.PathLike)
            ]
            return "" if all(path.startswith(self._sandbox) for path in paths) else f" of {paths}"
        if event in ("exec", "compile") or event.startswith("marshal."):
            return self._made_by(arguments)
        if event == "import":
            name = str(arguments[0])
            return " of antigravity" if name in ("antigravity", "this") else ""
        return ""

    def _made_by(self, arguments: tuple[Any, ...]) -> str:
        frame = sys._getframe(3)
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith("<frozen") or name.endswith(_MAKERS):
                return ""
            if not name.endswith("audit.py"):
                return f" in {name}"
            frame = frame.f_back  # type: ignore[assignment]
        return ""
