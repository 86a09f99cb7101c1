"""What makes a function a command of ``gnnkit``: the options all share, and errors as exit codes.

0: done. 1: the job failed. 2: bad usage. 130: interrupted.

A command lives in a file of its own: a function under :func:`command` that imports what it needs
when it is called, so that ``gnnkit --help`` loads none of it; :mod:`gnnkit.cli.main` lists it.
"""

import errno
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from gnnkit.cli import signals
from gnnkit.cli.printing import Verbosity, complain, set_verbosity, write_any_character

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
_COMMON_OPTIONS = {
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")],
    "verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Say more on the way.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}


class BadUsageError(Exception):
    """The command line asks for what cannot be; the message says what can."""


@contextmanager
def options_checked() -> Iterator[None]:
    """Turn what is said against settings, while a job is made of them, into bad usage; want of memory is none.

    Raises:
        BadUsageError: With the first line of a ``ValueError`` or ``RuntimeError``.
    """
    from gnnkit.errors import out_of_memory

    try:
        yield
    except (ValueError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        raise BadUsageError(str(error).splitlines()[0]) from error


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a function ``--quiet``, ``--verbose`` and ``--debug``, and turn its errors into exit codes."""

    @functools.wraps(function)
    def run(*, quiet: bool, verbose: bool, debug: bool, **options: Any) -> None:
        verbosity: Verbosity = "quiet" if quiet else "verbose" if verbose else "normal"
        set_verbosity(verbosity)
        write_any_character()
        with _errors_as_exit_codes(debug, _HowToGoOn(options)):
            signals.begin()
            if quiet and verbose:
                raise BadUsageError("--quiet and --verbose cannot both be given")
            function(**options)
            sys.stdout.flush()  # so that a closed pipe is noticed here

    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _COMMON_OPTIONS.items()
    ]
    signature = inspect.signature(function)
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*parameters, *common])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, **_COMMON_OPTIONS}
    return run


class _HowToGoOn:
    """What to do after ctrl-C at any moment of a command, in words."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._resumable, self._resumed = "resume" in options, options.get("resume")
        self._before = self._folder()

    def __str__(self) -> str:
        if not self._resumable:
            return "run the same command again"
        if self._resumed is not None:
            return f"continue with --resume {self._resumed}"
        folder = self._folder()
        if folder is None or folder is self._before or not folder.is_dir():
            return "no run folder was made yet, so run the same command again"
        return f"continue with --resume {folder}"

    def told(self, message: str) -> str:
        """The message, with what to do at its end unless it says that already."""
        return message if "--resume" in message or "the same command" in message else f"{message}; {self}"

    def after(self, error: Exception) -> str:
        """The same, as the end of a message, where the machine failed a job that can be gone on with."""
        from gnnkit.errors import RunError, transient

        folder = self._folder()
        if isinstance(error, RunError) or not (self._resumable and transient(error)) or folder is self._before:
            return ""  # a RunError says it itself
        return f"; then {self}"

    @staticmethod
    def _folder() -> Any:
        # Not imported for this: without the module there is no folder.
        module = sys.modules.get("gnnkit.runs.folder")
        return None if module is None else module.outermost_folder()


@contextmanager
def _errors_as_exit_codes(debug: bool, how_to_go_on: _HowToGoOn) -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise  # typer's own business
    except BrokenPipeError:
        _give_up_stdout()  # the reader has gone: `gnnkit ... | head`
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt as error:
        signals.end()  # one more must not interrupt this
        complain(how_to_go_on.told(str(error) or "interrupted"))
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        complain(_message(error) + how_to_go_on.after(error))
        raise typer.Exit(BAD_USAGE if isinstance(error, BadUsageError) else FAILED) from None
    finally:
        signals.end()


def _give_up_stdout() -> None:
    """Python flushes the stream at its exit, and must not complain of it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message(error: Exception) -> str:
    """One sentence on an error that a user can act on."""
    from gnnkit.errors import DivergedError, MissingDataError, MissingSoftwareError, RunError, out_of_memory

    if out_of_memory(error):
        detail = str(error).partition("\n")[0][-200:] or "no size given"
        return f"out of memory ({detail}); the job needs a machine with more, or smaller settings"
    if isinstance(error, OSError) and not isinstance(error, MissingDataError) and error.strerror:
        names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        if not names and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            names = "standard output"  # every other writer names its file
            _give_up_stdout()
        return f"{names}: {error.strerror}" if names else error.strerror
    known = (ValueError, BadUsageError, MissingDataError, MissingSoftwareError, RunError, DivergedError)
    if isinstance(error, known):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"
