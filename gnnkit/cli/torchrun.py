"""What a command does differently in a process that ``torchrun`` started."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from gnnkit.cli.command import BAD_USAGE, FAILED, INTERRUPTED, BadUsageError
from gnnkit.distributed.launch import process_number


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first process alone say what all processes meet alike: bad usage, a NaN loss, ctrl-C.

    One that has done its work ends at once. In a process whose peers may still be at theirs, the interpreter's
    own end has been seen to abort in threads of torch, and torchrun takes that for a failure of the job.
    """
    from gnnkit.errors import DivergedError
    from gnnkit.runs import Interrupted

    try:
        yield
    except (BadUsageError, DivergedError, Interrupted) as error:
        if not process_number():
            raise
        kinds = {BadUsageError: BAD_USAGE, Interrupted: INTERRUPTED}
        raise typer.Exit(kinds.get(type(error), FAILED)) from None
    if process_number() is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
