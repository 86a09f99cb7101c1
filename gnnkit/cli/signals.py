"""Ctrl-C, and SIGTERM, at any moment of the program: one line and exit code 130, never a traceback.

Python raises KeyboardInterrupt wherever it happens to be. Not every place bears that: an import would leave
half a module behind, which C extensions then report as an error of their own, and what is raised in a
finaliser is printed and lost. There the exception is put off. While a training loop runs,
`gnnkit.runs.catch_interrupt` has the signals instead.

This module is light, so that the program listens before it imports anything else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Literal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_RETRY = 0.02  # seconds until an exception that was put off is tried again
_PATIENCE = 1.0  # seconds after the first signal from which on another ends the process

_state: Literal["starting", "working", "over"] = "starting"
_asked_at: float | None = None
_retrying = False


def listen() -> None:
    """Take ctrl-C and SIGTERM from now on, unless whoever started the program has them ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    sys.unraisablehook = _raise_again


def begin() -> None:
    """The command begins: signals raise from here on, also one that came before it did.

    Raises:
        KeyboardInterrupt: If a signal came while the program was starting.
    """
    global _state
    _state = "working"
    if _asked_at is not None:
        raise KeyboardInterrupt


def end() -> None:
    """The command is over, and what is left is to exit: signals change nothing any more."""
    global _state, _asked_at
    _state, _asked_at = "over", None


def leave() -> None:
    """Nothing but Python's own end is left. It would give the signals back their usual effect: to end the process,
    as if it had failed.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: FrameType | None) -> None:
    global _asked_at, _retrying
    if _state == "over":
        return
    again, _retrying = _asked_at is not None and not _retrying, False
    if _asked_at is None:
        _asked_at = time.monotonic()
    if again:
        if time.monotonic() - _asked_at > _PATIENCE:  # asked anew, because the first time had no effect yet
            os.write(2, b"gnnkit: interrupted again, so ended at once; every file is whole or as it was before\n")
            os._exit(130)
    elif _state == "working":
        if _bears_an_exception(frame):
            raise KeyboardInterrupt
        _retry(number)


def _bears_an_exception(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_code.co_name == "__del__":
            return False
        frame = frame.f_back
    return True


def _retry(number: int) -> None:
    """Deliver the signal once more, soon."""

    def deliver() -> None:
        global _retrying
        _retrying = True
        # To the main thread, so that it wakes where it waits for something.
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    timer = threading.Timer(_RETRY, deliver)
    timer.daemon = True
    timer.start()


def _raise_again(lost: Any) -> None:
    """Deliver a KeyboardInterrupt again that Python dropped, in a weak reference's callback, say."""
    if lost.exc_type is KeyboardInterrupt and _state == "working":
        _retry(signal.SIGINT)
    elif lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
