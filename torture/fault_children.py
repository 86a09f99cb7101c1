"""Commands of ``gnnkit`` in child processes: forked from one that has imported everything, so that it takes no time."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

_MODULES = (
    "matplotlib.pyplot",
    "scipy.io",
    "scipy.sparse",
    "torch._dynamo",  # by any optimiser
    "gnnkit.cli.main",
    "gnnkit.jobs.compare",
    "gnnkit.jobs.flow_of_runs",
    "gnnkit.jobs.forecast_report",
    "gnnkit.jobs.sequence_report",
    "gnnkit.jobs.sequence_rows",
    "gnnkit.jobs.sequence_sweep",
    "gnnkit.jobs.text_report",
    "gnnkit.jobs.text_train",
    "gnnkit.jobs.train_forecasts",
    "gnnkit.jobs.train_distributed",
    "gnnkit.jobs.train_nodes",
    "gnnkit.jobs.train_trees",
    "gnnkit.jobs.verdict",
    "gnnkit.plots",
)
_TICK = 0.2
_LIMIT = 300  # seconds that any command of a campaign may take; they are made to take one or two


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (minus the signal that ended it), and what it said."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """Its error output as one line, for a report."""
        return " ".join(self.err.split())[-400:]


class Finds(list[str]):
    """What was not as promised, printed as it comes: a campaign may take an hour."""

    def __iadd__(self, found: Iterable[str]) -> Finds:  # type: ignore[override, misc]
        for each in found:
            self.append(each)
            print(f"find: {each}", flush=True)
        return self


class Running:
    """A command at work in a folder, with its own process group."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, *, before: Callable[[], object] | None = None, fork: bool = True
    ) -> None:
        self._begun = time.monotonic()
        self._files = [tempfile.TemporaryFile(dir=folder.parent) for _ in range(2)]  # noqa: SIM115 (read later)
        self.pid = os.fork()
        if self.pid == 0:
            self._child(arguments, folder, before, fork)

    def _child(self, arguments: Sequence[str], folder: Path, before: Callable[[], object] | None, fork: bool) -> None:
        """Never returns."""
        code = 99
        try:
            os.setsid()
            # A shell's job in the background ignores ctrl-C, and all its children would.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(folder)
            for number, file in enumerate(self._files, start=1):
                os.dup2(file.fileno(), number)
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            if not fork:
                os.execv(sys.executable, [sys.executable, "-m", "gnnkit", *arguments])
            if arguments[0] == "torchrun":
                arguments = _as_one_of_several(arguments)
            sys.argv = ["gnnkit", *arguments]
            _stand_in_for_main()
            from gnnkit.cli.start import main

            if before is not None:
                before()
            try:
                main()
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def kill(self, number: int = signal.SIGKILL, *, group: bool = True) -> None:
        """Send a signal to the command, or to it and all that it started, if it is still there."""
        try:
            (os.killpg if group else os.kill)(self.pid, number)
        except ProcessLookupError:  # before its setsid, or after its end
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def _stopped(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state in "Tt"

    def sleep(self, seconds: float) -> bool:
        """Wait that long, or until it ends; whether it still runs."""
        end = time.monotonic() + seconds
        while self.running():
            left = end - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, 0.002))
        return False

    def wait(self, limit: float = _LIMIT) -> Ended:
        """How it ended; one that hangs is killed, its code -9. Time during which somebody stopped it does not count."""
        left = limit
        while left > 0 and self.sleep(_TICK):  # of a stop of this process, too, only a tick counts
            left -= 0.0 if self._stopped() else _TICK
        if left <= 0:
            self.kill()
        _, status = os.waitpid(self.pid, 0)
        self.kill()  # workers that would outlive it must not disturb what comes next
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        return Ended(os.waitstatus_to_exitcode(status), *texts, time.monotonic() - self._begun)


def _as_one_of_several(arguments: Sequence[str]) -> Sequence[str]:
    """Do as torchrun does, without its start-up: a process for each, told of the others; the command that is left."""
    size = int(arguments[2])  # torchrun --nproc-per-node N -m gnnkit ...
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rank = next((rank for rank in range(1, size) if os.fork() == 0), 0)
    where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in where.items()} | {"MASTER_PORT": str(port)})
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    return arguments[5:]


def run(
    arguments: Sequence[str], folder: Path, *, before: Callable[[], object] | None = None, fork: bool = True
) -> Ended:
    """Run a command in a folder, to its end."""
    return Running(arguments, folder, before=before, fork=fork).wait()


def load_everything() -> None:
    """Import what commands import, so that a fork finds it; nothing is computed, for threads do not survive a fork."""
    import torch

    for name in _MODULES:
        import_module(name)
    torch.set_num_threads(1)


def _stand_in_for_main() -> None:
    import quick_checkpoints

    sys.modules["__main__"] = quick_checkpoints
