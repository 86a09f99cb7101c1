"""What commands say: results on stdout, everything else on stderr, and names that do no harm."""

import json
import sys
import unicodedata
from typing import Any, Literal

import typer

from gnnkit.storage.json_files import strict

Verbosity = Literal["quiet", "normal", "verbose"]
_verbosity: Verbosity = "normal"


def set_verbosity(verbosity: Verbosity) -> None:
    """Choose how much :func:`note` and :func:`detail` say; results are printed whatever it is."""
    global _verbosity
    _verbosity = verbosity


def verbosity() -> Verbosity:
    """How much is to be said."""
    return _verbosity


def harmless(text: object) -> str:
    r"""Text in one line whose control and direction-changing characters are written as escapes.

    Example:
        >>> print(harmless("A\x1b[2Jé"))
        A\x1b[2Jé
    """
    # C: control, format, surrogate, private, unassigned; Zl, Zp: line and paragraph separators.
    return "".join(
        repr(character)[1:-1] if unicodedata.category(character)[0] == "C" or character in "\u2028\u2029" else character
        for character in str(text)
    )


def show(text: str) -> None:
    """Print a result."""
    typer.echo(text)


def show_json(document: Any) -> None:
    """Print a result as one JSON document, in ASCII, so that no name can drive a terminal; NaN becomes null."""
    typer.echo(json.dumps(strict(document), indent=2, allow_nan=False))


def show_rows(rows: list[tuple[str, str]]) -> None:
    """Print what each row names beside its value."""
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        typer.echo(f"{label:<{width}}  {value}")


def note(message: object) -> None:
    """Tell the user something that is not the result; silent under ``-q``."""
    if _verbosity != "quiet":
        typer.echo(harmless(message), err=True)


def detail(message: object) -> None:
    """Tell the user something only ``-v`` asks for."""
    if _verbosity == "verbose":
        typer.echo(harmless(message), err=True)


def complain(message: object) -> None:
    """Print an error, in one line."""
    typer.echo(f"gnnkit: {harmless(' '.join(str(message).splitlines()))}", err=True)


def write_any_character() -> None:
    """Let output streams that cannot encode a name write it as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
