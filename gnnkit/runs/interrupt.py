"""Ctrl-C as a request: the job stops at a step boundary, its checkpoint written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGTERM is how `run_many`, a batch scheduler or a shutdown asks for the same.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A job stopped because it was asked to; it can be resumed, and the message says how."""


class StopRequest:
    """What `catch_interrupt` yields; ``requested`` is read at every step boundary."""

    def __init__(self) -> None:
        self._asked = False
        self._seen = False

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        self._seen = self._asked
        return self._asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt  # asked twice: at once
        self._asked = True

    def _raise_unless_seen(self) -> None:
        if self._asked and not self._seen:
            raise KeyboardInterrupt


@contextmanager
def catch_interrupt() -> Iterator[StopRequest]:
    """Turn the first ctrl-C (or SIGTERM) in the block into ``requested``; the second raises at once.

    Outside the main thread, which alone may handle signals, ``requested`` stays False; a signal that whoever
    started the program has ignored, as shells do for jobs in the background, stays ignored. A request that
    comes after the last look at ``requested`` raises KeyboardInterrupt at the end of the block, so that none is
    lost.

    Example:
        >>> with catch_interrupt() as stop:
        ...     for step in range(3):
        ...         if stop.requested:
        ...             raise Interrupted(f"stopped after step {step}; continue with --resume")
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop._handle) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    stop._raise_unless_seen()
