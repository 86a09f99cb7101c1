"""The project's own errors, each a subclass of the built-in a caller would expect.

Bad arguments are plain ``ValueError`` or ``TypeError``. The classes here exist where a
caller, the command line above all, must tell one failure from another.
"""

import errno
import re

# oneDNN says of a workspace it cannot have no more than that it could not create or execute a primitive.
# What torch, oneDNN, the loader of libraries, and torch's writer of archives (checkpoints are made in memory) say.
_NO_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|bad_alloc|could not (create|execute) a primitive"
    r"|failed to map segment|unexpected pos \d+ vs \d+",
    re.IGNORECASE,
)


class FileFormatError(ValueError):
    """A file is not what it should be; the message names the file and, where it has lines, the line."""

    def __init__(self, path: object, problem: str, *, line: int | None = None, text: str | None = None) -> None:
        where = f"{path}" if line is None else f"{path}, line {line}"
        # repr() shows control characters as escapes, so a hostile line cannot drive the terminal.
        shown = "" if text is None else f": {_shortened(text)!r}"
        super().__init__(f"{where}: {_shortened(_harmless(problem), 1000)}{shown}")
        self.path, self.line = path, line


class MissingDataError(FileNotFoundError):
    """A data set's file is absent; the message says which, where it was looked for, and what helps."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class RunError(RuntimeError):
    """A run folder cannot be used: it exists already, is locked, is of an unknown format, or is damaged."""


class DivergedError(RuntimeError):
    """Training met a loss that is NaN or infinite; the message names the step."""


class MissingSoftwareError(ImportError):
    """An optional program or package is absent; the message says which, and how to install it."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a RuntimeError for it, loading a library an ImportError."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and _NO_MEMORY.search(str(error)) is not None


def transient(error: BaseException) -> bool:
    """Whether the machine failed, its disk or memory, rather than the job: it may succeed another time."""
    return isinstance(error, OSError | RunError) or out_of_memory(error)


def _harmless(text: str) -> str:
    # A problem may quote the file, through a library's own message: neither line breaks nor terminal codes pass.
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _shortened(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
