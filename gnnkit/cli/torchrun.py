"""What a command does differently in a process that ``torchrun`` started."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from gnnkit.cli.command import BAD_USAGE, FAILED, INTERRUPTED, BadUsageError
from gnnkit.distributed.launch import process_number


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first process alone say what all processes meet alike: bad usage, a NaN loss, ctrl-C."""
    from gnnkit.errors import DivergedError
    from gnnkit.runs import Interrupted

    try:
        yield
    except (BadUsageError, DivergedError, Interrupted) as error:
        if not process_number():
            raise
        kinds = {BadUsageError: BAD_USAGE, Interrupted: INTERRUPTED}
        raise typer.Exit(kinds.get(type(error), FAILED)) from None
