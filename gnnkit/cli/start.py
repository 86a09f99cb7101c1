"""Where the program ``gnnkit`` begins: it listens to ctrl-C before it loads anything."""

import os
import sys

from gnnkit.cli.signals import listen


def main() -> None:
    """Run the program; the entry point of the package."""
    listen()
    try:
        from gnnkit.cli.main import app

        app(prog_name="gnnkit")
    except MemoryError:  # before a command, which words its own errors, has begun
        os.write(2, b"gnnkit: out of memory while starting\n")
        sys.exit(1)
