"""What commands say: results on stdout, everything else on stderr, and names that do no harm."""

import json
import sys
from contextlib import suppress
from typing import Any, Literal

import typer

from gnnkit.distributed.launch import process_number
from gnnkit.storage.json_files import strict
from gnnkit.storage.text import printable, printable_text

Verbosity = Literal["quiet", "normal", "verbose"]
_verbosity: Verbosity = "normal"


def set_verbosity(verbosity: Verbosity) -> None:
    """Choose how much :func:`note` and :func:`detail` say; results are printed whatever it is."""
    global _verbosity
    _verbosity = verbosity


def verbosity() -> Verbosity:
    """How much is to be said."""
    return _verbosity


def show(text: str) -> None:
    """Print a result; what a terminal could obey is shown as escapes, whatever name it came with."""
    typer.echo(printable_text(text))


def show_json(document: Any) -> None:
    """Print a result as one JSON document, in ASCII, so that no name can drive a terminal; NaN becomes null."""
    typer.echo(json.dumps(strict(document), indent=2, allow_nan=False))


def show_rows(rows: list[tuple[str, str]]) -> None:
    """Print what each row names beside its value."""
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        show(f"{label:<{width}}  {value}")


def note(message: object) -> None:
    """Tell the user something that is not the result; silent under ``-q``."""
    if _verbosity != "quiet":
        typer.echo(printable(message), err=True)


def detail(message: object) -> None:
    """Tell the user something only ``-v`` asks for."""
    if _verbosity == "verbose":
        typer.echo(printable(message), err=True)


def complain(message: object) -> None:
    """Print an error, in one line; the exit code says it too, should nobody be able to read this."""
    with suppress(OSError):
        process = process_number()  # one of several that torchrun started, perhaps
        program = f"gnnkit, process {process}" if process else "gnnkit"
        typer.echo(f"{program}: {printable(' '.join(str(message).splitlines()))}", err=True)


def write_any_character() -> None:
    """Let output streams that cannot encode a name write it as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
