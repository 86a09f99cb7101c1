"""The program's group of commands: what typer itself complains of does no harm either."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperGroup

from gnnkit.storage.text import printable


class HarmlessGroup(TyperGroup):
    """Words of the command line come back in complaints about it, and a shell may have put file names there."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """As click does; its errors quote nothing that a terminal could obey."""
        with _harmless():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        """As click does; its errors quote nothing that a terminal could obey."""
        with _harmless():
            return super().invoke(ctx)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        message = getattr(error, "message", None)  # typer's own copy of click has its own errors, without a public name
        if isinstance(message, str) and hasattr(error, "format_message"):
            error.message = printable(message)  # type: ignore[attr-defined]
        raise
