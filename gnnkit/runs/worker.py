"""One process of `gnnkit.runs.run_many`: both ends of it.

Spawned, never forked: a fork of a process with threads (torch's, CUDA's) may hang.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gnnkit.errors import transient

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Read by OpenMP, MKL and OpenBLAS when they load, which in the worker is later.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_report: Callable[[Any], None] | None = None


def report_progress(message: Any) -> None:
    """From within a job of `run_many`: hand ``message`` to its ``on_progress``; elsewhere nothing happens.

    It crosses a process border: report some times a second, not every step.
    """
    if _report is not None:
        _report(message)


@contextmanager
def reporting(report: Callable[[Any], None] | None) -> Iterator[None]:
    """Send what `report_progress` gets in this block to ``report``."""
    global _report
    before, _report = _report, report
    try:
        yield
    finally:
        _report = before


def one_line(error: BaseException) -> str:
    """An exception as ``Type: message``."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


class Attempt(NamedTuple):
    """How one call went."""

    status: Literal["done", "failed", "interrupted"]
    value: Any
    error: str
    trace: str
    transient: bool = False


def attempt(function: Callable[[Any, Any], Any], shared: Any, item: Any) -> Attempt:
    """``function(shared, item)``, its exceptions turned into words."""
    try:
        return Attempt("done", function(shared, item), "", "")
    except KeyboardInterrupt as stopped:
        return Attempt("interrupted", None, one_line(stopped), "")
    except (Exception, SystemExit) as failed:
        return Attempt("failed", None, one_line(failed), traceback.format_exc(), transient(failed))


def describe_exit(code: int | None) -> str:
    """An exit code of a process in words.

    Example:
        >>> describe_exit(-9)
        'its process was killed by SIGKILL (out of memory?)'
    """
    if code is not None and code < 0:
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"its process was killed by {signal.Signals(-code).name}{hint}"
    return f"its process ended with exit code {code}"


class Member:
    """The parent's end: a process with the job ``index`` to do."""

    def __init__(self, index: int) -> None:
        import multiprocessing
        from multiprocessing import resource_tracker

        self.index = index
        self._begun = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), name=f"gnnkit-worker-{index}")
        resource_tracker.ensure_running()  # its start, part of the first process', lifts any block on ctrl-C
        with _started_with_one_thread(), _signals_held_back():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def begin(self, task: bytes | None, item: bytes) -> None:
        """Send a job, with the function and shared data before the first."""
        self._begun = time.perf_counter()
        with suppress(OSError):  # it has just died: `receive` will say so
            if task is not None:
                self.connection.send_bytes(task)
            self.connection.send_bytes(item)

    def receive(self) -> tuple[str, Any] | None:
        """Its next message, or None if it has died."""
        try:
            if not self.connection.poll():
                return None
            message: tuple[str, Any] = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None
        return message

    def seconds(self) -> float:
        """Since the job began."""
        return time.perf_counter() - self._begun

    def terminate(self) -> None:
        """Ask it to stop, as `catch_interrupt` understands; ends it where nobody listens."""
        self._process.terminate()

    def dismiss(self) -> None:
        """Let it go after its last job."""
        self.connection.close()
        self._process.join(timeout=10)
        self.kill()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def cause_of_death(self) -> str:
        """How it ended, in words."""
        self._process.join(timeout=10)
        code = self._process.exitcode
        self.kill()
        return describe_exit(code)


def with_news(members: Sequence[Member], timeout: float) -> list[Member]:
    """Those with a message or an end to report, waiting up to ``timeout`` seconds for one."""
    from multiprocessing.connection import wait

    ends: dict[Any, Member] = {}
    for member in members:
        ends[member.connection] = member
        ends[member._process.sentinel] = member
    ready = {id(ends[end]) for end in wait(list(ends), timeout)}
    return [member for member in members if id(member) in ready]


def _work(connection: Connection) -> None:
    """The worker's end: jobs until the pipe closes."""
    _end_with_parent()
    _send(connection, "ready", None)
    try:
        function, shared = pickle.loads(connection.recv_bytes())
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        with reporting(lambda message: _send(connection, "progress", message)):
            while True:
                item = pickle.loads(connection.recv_bytes())
                _send_result(connection, attempt(function, shared, item))
    except EOFError:  # no more jobs
        return


def _send_result(connection: Connection, result: Attempt) -> None:
    try:
        _send(connection, "result", result)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        problem = f"the result cannot be sent back ({one_line(error)})"
        _send(connection, "result", Attempt("failed", None, problem, traceback.format_exc()))


def _send(connection: Connection, kind: str, content: Any) -> None:
    connection.send_bytes(pickle.dumps((kind, content)))


def _end_with_parent() -> None:
    """A worker whose parent was killed would train on unseen and hold its run folder's lock."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a spawned process only"
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _started_with_one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A terminal sends ctrl-C to the workers too; held back for good there (a child inherits the mask),
    it reaches them only as the parent's `terminate`, once.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
