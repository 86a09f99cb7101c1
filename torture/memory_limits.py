"""Memory that runs out in the middle of a training: a clear message, and the checkpoint kept."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_children import Finds, run
from fault_jobs import JOBS, RUN, differences, write_inputs

from gnnkit.errors import FileFormatError
from gnnkit.runs import load_checkpoint

_NAMES = ("nodes, GCN", "sequences, LSTM", "text", "forecasts", "many runs")
_STEPS = (3,)
_SLACKS = (2**16, 2**18, 2**20, 2**22)  # bytes left when the limit is reached: where the next want meets it differs


def campaign(work: Path, *, quick: bool = False) -> dict[str, Any]:
    """Reach the limit before a job loads its data, and after some steps with little and less little to spare."""
    finds = Finds()
    cases = stopped = 0
    for name in _NAMES[:1] if quick else _NAMES:
        job, whole = JOBS[name], work / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        write_inputs(whole)
        if (ended := run(job.start(), whole)).code:
            raise SystemExit(f"{name} fails undisturbed: {ended.said}")
        for step in (0, *_STEPS):
            for slack in _SLACKS[1:2] if quick else _SLACKS:
                cases += 1
                folder = work / "limited"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write_inputs(folder)
                ended = run(job.start(), folder, before=lambda step=step, slack=slack: _limit_after(step, slack))
                stopped += ended.code != 0
                case = f"{name}, {slack >> 10} KiB to spare after step {step}"
                finds += [f"{case}: {each}" for each in _problems(ended.code, ended.said, folder, step)]
                begun = (folder / RUN / "config.toml").exists()
                after = run(job.go_on() if begun else job.start(), folder)
                found = [after.said] if after.code else differences(whole / RUN, folder / RUN)
                finds += [f"{case}, gone on with: {each}" for each in found]
    return {"cases": cases, "stopped": stopped, "finds": finds}


def _problems(code: int, said: str, folder: Path, step: int) -> list[str]:
    if code == 0:  # what was to spare was enough
        return []
    problems = [] if code == 1 else [f"exit code {code}: {said}"]
    if "memory" not in said.lower():
        problems.append(f"memory is not named: {said}")
    for path in folder.rglob("checkpoint.pt"):
        try:
            kept = int(load_checkpoint(path)["step"])
        except FileFormatError as error:
            problems.append(f"lost checkpoint: {error}")
            continue
        if kept < step and path.parent.name == RUN:
            problems.append(f"lost checkpoint: of step {step} there is that of {kept}")
    return problems


def _limit_after(step: int, slack: int) -> None:
    """In the child: let the process have no more than ``slack`` beyond what it has after that step's checkpoint."""
    if step == 0:
        _leave(slack)
        return
    from gnnkit.training.session import Session

    record: Callable[..., None] = Session.record

    def limiting(self: Session, row: dict[str, float]) -> None:
        record(self, row)
        if self.step == step and not _held:
            self.save()
            _leave(slack)

    Session.record = limiting  # type: ignore[method-assign, assignment]


_held: list[Any] = []


def _leave(slack: int) -> None:
    import torch

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 4 * slack
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # What malloc has to give without asking for more is taken too, but for the slack.
    _held.append(bytearray(slack))
    for size in (2**22, 2**20, 2**18, 2**16, 2**14):
        try:
            while True:
                _held.append(torch.empty(size, dtype=torch.uint8))
        except (RuntimeError, MemoryError):
            continue
    _held.pop(0)
    _held.append(None)
