"""The project's own errors, each a subclass of the built-in a caller would expect.

Bad arguments are plain ``ValueError`` or ``TypeError``. The classes here exist where a
caller, the command line above all, must tell one failure from another.
"""


class FileFormatError(ValueError):
    """A file is not what it should be; the message names the file and, where it has lines, the line."""

    def __init__(self, path: object, problem: str, *, line: int | None = None, text: str | None = None) -> None:
        where = f"{path}" if line is None else f"{path}, line {line}"
        # repr() shows control characters as escapes, so a hostile line cannot drive the terminal.
        shown = "" if text is None else f": {_shortened(text)!r}"
        super().__init__(f"{where}: {problem}{shown}")
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


def _shortened(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
