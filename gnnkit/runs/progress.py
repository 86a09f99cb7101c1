"""How far a job is: a bar on a terminal, a plain line now and then elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TextIO

from gnnkit.storage.text import printable

ProgressMode = Literal["auto", "bar", "plain", "quiet"]

_BAR_INTERVAL = 0.1


class Progress:
    """Shows a job's progress; as cheap as a clock reading on most calls, so call `update` every step.

    Args:
        total: Steps in all; None when unknown.
        description: What is going on; names from files may stand in it.
        mode: ``"auto"`` is a bar where ``stream`` is a terminal, plain lines elsewhere.
        stream: Standard error when None, so that results alone go to standard output.
        interval: Seconds between plain lines.

    Example:
        >>> with Progress(2, "train karate", mode="plain", stream=sys.stdout) as progress:
        ...     for epoch in (1, 2):
        ...         progress.update(epoch, loss=1 / epoch)
        train karate: 1/2  loss 1.0000
        train karate: 2/2  loss 0.5000
    """

    def __init__(
        self,
        total: int | None,
        description: str,
        *,
        mode: ProgressMode = "auto",
        stream: TextIO | None = None,
        interval: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._description = printable(description)
        self._stream = sys.stderr if stream is None else stream
        if mode == "auto":
            mode = "bar" if self._stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
        if mode not in ("bar", "plain", "quiet"):
            raise ValueError(f'mode must be "auto", "bar", "plain" or "quiet", got {mode!r}')
        self._mode = mode
        self._interval = _BAR_INTERVAL if mode == "bar" else interval
        self._clock = clock
        self._shown_at = -float("inf")
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._mode == "bar":
            self._start_bar()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, completed: int, **fields: float | str) -> None:
        """Say that ``completed`` steps are done, with what to show beside it (loss, accuracy)."""
        if self._mode == "quiet":
            return
        now = self._clock()
        if now - self._shown_at < self._interval and completed != self._total:
            return
        self._shown_at = now
        shown = "  ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in fields.items())
        if self._bar is not None:
            self._bar.update(self._task, completed=completed, shown=shown)
            self._bar.refresh()
        else:
            total = "" if self._total is None else f"/{self._total}"
            self._line(f"{self._description}: {completed}{total}  {shown}".rstrip())

    def note(self, text: str) -> None:
        """Print a line of its own (a generated sample, a warning); line breaks in ``text`` are kept."""
        if self._mode == "quiet":
            return
        harmless = "\n".join(printable(line) for line in text.split("\n"))
        if self._bar is not None:
            self._bar.console.print(harmless, markup=False, highlight=False, soft_wrap=True)
        else:
            self._line(harmless)

    def _start_bar(self) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[shown]}", markup=False),
            console=Console(file=self._stream, force_terminal=True),
            auto_refresh=False,  # no thread beside the training
        )
        self._task = self._bar.add_task(self._description, total=self._total, shown="")
        self._bar.start()

    def _line(self, text: str) -> None:
        try:
            print(text, file=self._stream, flush=True)
        except OSError:  # whoever watched has gone, or the log's disk is full; the training goes on
            self._mode = "quiet"


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return printable(value)
    return str(value) if isinstance(value, int) else f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"
