"""The same job over many seeds, side by side in processes or one after another: the same bits either way.

Each job uses one torch thread, since the order of a sum's terms, so its bits, depends on how many
share it. A job that fails, or whose process is killed, is reported and costs no other.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from gnnkit.errors import RunError
from gnnkit.runs import worker
from gnnkit.runs.interrupt import Interrupted, StopRequest, catch_interrupt

WorkT = TypeVar("WorkT")
SharedT = TypeVar("SharedT")
ResultT = TypeVar("ResultT")

_POLL = 0.2  # seconds between looks at ctrl-C


@dataclass(frozen=True)
class Outcome(Generic[ResultT]):
    """What became of one job.

    Attributes:
        index: Its place in ``work``.
        status: ``"interrupted"`` means stopped by ctrl-C, or not begun because of it.
        value: What the function returned, if it did.
        error: One line, ``"ValueError: ..."``; empty when done.
        trace: The traceback, where there is one.
        transient: Whether the machine failed rather than the job, by a full disk, want of memory or a killed
            process: the same job may succeed another time.
        seconds: Wall time of the job.
    """

    index: int
    status: Literal["done", "failed", "interrupted"]
    value: ResultT | None = None
    error: str = ""
    trace: str = ""
    transient: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether ``value`` is a result."""
        return self.status == "done"


def run_many(
    function: Callable[[SharedT, WorkT], ResultT],
    work: Sequence[WorkT],
    *,
    shared: SharedT,
    jobs: int = 1,
    on_done: Callable[[Outcome[ResultT]], None] | None = None,
    on_progress: Callable[[int, Any], None] | None = None,
) -> list[Outcome[ResultT]]:
    """``function(shared, item)`` for every item of ``work``, up to ``jobs`` at a time; outcomes in order.

    With ``jobs=1`` all runs in this process; else in spawned ones, to which ``shared`` (the data,
    say) is sent once each. Ctrl-C asks the jobs to stop (see `catch_interrupt`; one that does not
    listen is ended), keeps what is finished and returns; a second one ends everything at once and
    raises KeyboardInterrupt.

    Args:
        function: Importable from a module; seeds itself, and leaves ``shared`` as it is.
        work: One item per job, such as a seed.
        shared: The same for all jobs; None if there is nothing to share.
        jobs: Processes.
        on_done: Called here with each outcome as it comes.
        on_progress: Called here with the job's index and whatever it gave `report_progress`.

    Raises:
        ValueError: If ``jobs`` is below 1, or ``function`` or ``shared`` cannot be sent to a process.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if jobs == 1 or len(work) < 2:
        return _one_after_another(function, work, shared, on_done, on_progress)
    try:
        task = pickle.dumps((function, shared))
        items = [pickle.dumps(item) for item in work]
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{function!r} and its arguments cannot be sent to another process ({error}); "
            "define the function at the top of a module, or use jobs=1"
        ) from error
    with catch_interrupt() as stop:
        return _Crew(task, items, on_done, on_progress).run(min(jobs, len(work)), stop)


def run_apart(function: Callable[[SharedT, WorkT], ResultT], item: WorkT, *, shared: SharedT) -> Outcome[ResultT]:
    """``function(shared, item)`` in a spawned process, whose memory ends with it.

    Ctrl-C, and how the call goes wrong, as for `run_many`.
    """
    with catch_interrupt() as stop:
        return _Crew(pickle.dumps((function, shared)), [pickle.dumps(item)], None, None).run(1, stop)[0]


def check_settled(outcomes: Sequence[Outcome[Any]], how_to_go_on: str) -> None:
    """See that every run ended by itself, well or not, so that what they came to is the same another time.

    Raises:
        Interrupted: If some were stopped by ctrl-C, or not begun.
        RunError: If the machine failed some; summing up without them would give them up for good.
    """
    done = sum(outcome.ok for outcome in outcomes)
    if any(outcome.status == "interrupted" for outcome in outcomes):
        raise Interrupted(f"stopped with {done} of {len(outcomes)} runs done; {how_to_go_on}")
    if failed := [outcome for outcome in outcomes if outcome.transient]:
        raise RunError(
            f"{len(failed)} of {len(outcomes)} runs failed, the first with: {failed[0].error}; "
            f"{done} are done: {how_to_go_on}"
        )


def _one_after_another(
    function: Callable[[SharedT, WorkT], ResultT],
    work: Sequence[WorkT],
    shared: SharedT,
    on_done: Callable[[Outcome[ResultT]], None] | None,
    on_progress: Callable[[int, Any], None] | None,
) -> list[Outcome[ResultT]]:
    from gnnkit.runs.seeding import use_threads

    outcomes: list[Outcome[ResultT]] = []
    with use_threads(1):
        for index, item in enumerate(work):
            start = time.perf_counter()
            report = None if on_progress is None else partial(on_progress, index)
            with worker.reporting(report):
                result = worker.attempt(function, shared, item)
            outcome: Outcome[ResultT] = Outcome(index, *result, time.perf_counter() - start)
            outcomes.append(outcome)
            if on_done is not None:
                on_done(outcome)
            if outcome.status == "interrupted":
                break
    return outcomes + [_not_begun(index) for index in range(len(outcomes), len(work))]


class _Crew:
    """The processes of one `run_many`."""

    def __init__(
        self,
        task: bytes,
        items: list[bytes],
        on_done: Callable[[Outcome[Any]], None] | None,
        on_progress: Callable[[int, Any], None] | None,
    ) -> None:
        self._task = task
        self._items = items
        self._on_done = on_done
        self._on_progress = on_progress
        self._waiting = deque(range(len(items)))
        self._outcomes: dict[int, Outcome[Any]] = {}
        self._members: list[worker.Member] = []
        self._stopping = False

    def run(self, jobs: int, stop: StopRequest) -> list[Outcome[Any]]:
        try:
            for _ in range(jobs):
                self._hire()
            while self._members:
                news = worker.with_news(self._members, _POLL)
                if stop.requested and not self._stopping:  # before a free process gets its next job
                    self._stop()
                for member in news:
                    self._hear(member)
        finally:
            for member in self._members:  # only after an error or a second ctrl-C is anyone left
                member.kill()
        return [self._outcomes.get(index, _not_begun(index)) for index in range(len(self._items))]

    def _hire(self) -> None:
        if self._waiting and not self._stopping:
            # Its job is settled now: if the process dies before it begins, that job failed.
            self._members.append(worker.Member(self._waiting.popleft()))

    def _stop(self) -> None:
        self._stopping = True
        for member in self._members:
            member.terminate()

    def _hear(self, member: worker.Member) -> None:
        message = member.receive()
        if message is None:
            self._bury(member)
            return
        kind, content = message
        if kind == "ready":
            member.begin(self._task, self._items[member.index])
        elif kind == "progress":
            if self._on_progress is not None:
                self._on_progress(member.index, content)
        else:
            result: worker.Attempt = content
            self._settle(member, Outcome(member.index, *result, member.seconds()))
            if self._waiting and not self._stopping:
                member.index = self._waiting.popleft()
                member.begin(None, self._items[member.index])
            else:
                self._members.remove(member)
                member.dismiss()

    def _bury(self, member: worker.Member) -> None:
        self._members.remove(member)
        how = member.cause_of_death()
        status: Literal["failed", "interrupted"] = "interrupted" if self._stopping else "failed"
        self._settle(member, Outcome(member.index, status, error=how, transient=True, seconds=member.seconds()))
        self._hire()

    def _settle(self, member: worker.Member, outcome: Outcome[Any]) -> None:
        self._outcomes[member.index] = outcome
        if self._on_done is not None:
            self._on_done(outcome)


def _not_begun(index: int) -> Outcome[Any]:
    return Outcome(index, "interrupted", error="not begun")
