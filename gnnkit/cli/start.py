"""Where the program ``gnnkit`` begins: it listens to ctrl-C before it loads anything."""

import os
import sys
from types import TracebackType

from gnnkit.cli.signals import leave, listen


def main() -> None:
    """Run the program; the entry point of the package."""
    listen()
    sys.excepthook = _tell
    try:
        from gnnkit.cli.main import app

        app(prog_name="gnnkit")
    except (MemoryError, ImportError) as error:  # before a command, which words its own errors, has begun
        if isinstance(error, ImportError) and "failed to map segment" not in str(error):
            raise
        os.write(2, b"gnnkit: out of memory while starting\n")
        sys.exit(1)
    finally:
        leave()


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A traceback, as ``--debug`` asks for, whose messages quote nothing that a terminal could obey."""
    import traceback

    from gnnkit.storage.text import printable_text

    sys.stderr.write(printable_text("".join(traceback.format_exception(kind, error, trace))))
