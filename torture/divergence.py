"""NaN and infinity where they should not be: inputs, weights, losses, and rates far too high."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fault_children import Finds, run
from fault_jobs import JOBS, RUN, write_inputs

from gnnkit.runs import load_checkpoint

_TRAININGS = ("nodes, GCN", "nodes, GAT", "sequences, LSTM", "text", "forecasts", "many runs")
_RATES = ("1e3", "1e30")
_REFUSALS = {
    "a feature": ("features.csv", "nodes, own files", "features.csv, line 3"),
    "a value to forecast from": ("values.csv", "forecasts", "values.csv, line 3"),
}
_CELLS = ("nan", "inf", "-inf", "1e400")


def campaign(work: Path, *, quick: bool = False) -> dict[str, Any]:
    """Train at rates far too high, with weights and losses that are no numbers, and on tables with such cells."""
    finds = Finds()
    cases = 0
    for name in _TRAININGS[:1] if quick else _TRAININGS:
        for rate in _RATES:
            cases += 1
            finds += [f"{name}, lr {rate}: {each}" for each in _at_rate(work / f"case-{cases}", name, rate)]
        for what in ("weight", "loss"):
            for value in (math.nan, math.inf):
                cases += 1
                found = _poisoned(work / f"case-{cases}", name, what, value)
                finds += [f"{name}, {what} {value}: {each}" for each in found]
    for what, (file, name, place) in _REFUSALS.items():
        for cell in _CELLS[:1] if quick else _CELLS:
            cases += 1
            found = _refused(work / f"case-{cases}", file, name, place, cell)
            finds += [f"{what} that is {cell}: {each}" for each in found]
    return {"cases": cases, "finds": finds}


def _at_rate(folder: Path, name: str, rate: str) -> list[str]:
    folder.mkdir(parents=True)
    write_inputs(folder)
    ended = run([*JOBS[name].start(), "--lr", rate], folder)
    # Some bear any rate: their gates saturate, their losses are large and finite. The weights must be finite, too.
    return _diverged(ended.code, ended.said, folder) if ended.code else _finite(folder)


def _poisoned(folder: Path, name: str, what: str, value: float) -> list[str]:
    folder.mkdir(parents=True)
    write_inputs(folder)
    ended = run(JOBS[name].start(), folder, before=lambda: _poison(what, value))
    return _diverged(ended.code, ended.said, folder)


def _poison(what: str, value: float) -> None:
    """In the child: at the fifth step a weight, or the loss, becomes ``value``; the steps before are saved."""
    from gnnkit.training.session import Session

    record: Callable[..., None] = Session.record
    check: Callable[..., None] = Session.check_finite

    def recording(self: Session, row: dict[str, float]) -> None:
        if self.step == 3:
            self.save()
        record(self, row)
        if what == "weight" and self.step == 4:
            with torch.no_grad():
                next(self.model.parameters()).view(-1)[0] = value

    def checking(self: Session, loss: float, *others: Any) -> None:
        check(self, value if what == "loss" and self.step == 4 else loss, *others)

    Session.record, Session.check_finite = recording, checking  # type: ignore[method-assign, assignment]


def _diverged(code: int, said: str, folder: Path) -> list[str]:
    problems = [] if code == 1 else [f"exit code {code}: {said}"]
    if not re.search(r"(became (nan|-?inf)|NaN or infinite).*try a lower lr", said) or "Traceback" in said:
        problems.append(f"the loss or weight is not named: {said}")
    return problems + _finite(folder)


def _finite(folder: Path) -> list[str]:
    """Checkpoints that hold a weight which is no number."""
    found = []
    for path in (folder / RUN).rglob("checkpoint.pt"):
        weights = load_checkpoint(path)["parts"]["model"]
        broken = [name for name, each in weights.items() if not each.isfinite().all()]
        found += [f"{path.parent.name}: {name} is not finite" for name in broken]
    return found


def _refused(folder: Path, file: str, name: str, place: str, cell: str) -> list[str]:
    folder.mkdir(parents=True)
    write_inputs(folder)
    lines = (folder / file).read_text().splitlines()
    lines[2] = ",".join([*lines[2].split(",")[:-1], cell])
    (folder / file).write_text("\n".join(lines) + "\n")
    ended = run(JOBS[name].start(), folder)
    if file == "values.csv" and cell == "nan":
        return [] if ended.code == 0 else [ended.said]  # a value that was not observed
    problems = [] if ended.code == 1 else [f"exit code {ended.code}: {ended.said}"]
    if place not in ended.said or cell not in ended.said:
        problems.append(f"{place!r} and {cell!r} are not named: {ended.said}")
    if (folder / RUN).exists():
        problems.append("a run folder is left")
    return problems
