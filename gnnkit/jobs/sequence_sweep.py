"""The same training at many lengths, for one cell or several: how long a memory is learned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gnnkit.jobs.job_run import JobSummary, job_of, settings_section, warn_of_changes
from gnnkit.jobs.sequence_job import CellName, PhasedOptions, SequenceJob
from gnnkit.jobs.train_sequences import run_sequence_jobs
from gnnkit.runs import ProgressMode, RunFolder, environment
from gnnkit.storage.atomic import atomic_write

KIND = "sequence-sweep"

# The reports' two summaries, and the score of the kept weights.
SUMMARIES = {
    "mean_train_accuracy": "mean over all steps",
    "mean_train_accuracy_last_1000": "mean over the last 1000 steps",
    "test_accuracy": "test",
}


@dataclass(frozen=True)
class SweepJob:
    """A job at several lengths, for several cells.

    Attributes:
        base: Everything else.
        lengths: Of the task.
        cells: Which cells to train at each length; the settings of ``base.model`` hold for all.
    """

    base: SequenceJob = field(default_factory=SequenceJob)
    lengths: tuple[int, ...] = (5, 10, 15, 20)
    cells: tuple[CellName, ...] = ("lstm",)

    def __post_init__(self) -> None:
        for name, values in (("lengths", self.lengths), ("cells", self.cells)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be given and all different, got {list(values)}")

    def points(self) -> dict[str, SequenceJob]:
        """Folder name to job, for every cell and length."""
        return {job.name: job for job in (self._point(cell, length) for cell in self.cells for length in self.lengths)}

    def _point(self, cell: CellName, length: int) -> SequenceJob:
        phased = (self.base.model.phased or PhasedOptions()) if cell == "phased-lstm" else None
        model = replace(self.base.model, cell=cell, phased=phased)
        return replace(self.base, task=replace(self.base.task, length=length), model=model)


def run_sweep(
    sweep: SweepJob, out: str | os.PathLike[str] | None = None, *, jobs: int = 1, progress: ProgressMode = "auto"
) -> JobSummary:
    """Train at every length, into a new folder with a run folder for each cell and length.

    All runs share one queue, ``jobs`` at a time.

    Raises:
        ValueError: If settings do not go together at some length.
        RunError: If the folder is not empty, or all runs of a length failed.
        Interrupted: After ctrl-C; finished lengths are kept.
    """
    for job in sweep.points().values():
        job.resolved()  # refused before a folder is made
    record = environment(device=sweep.base.training.device, threads=1)
    name = f"sweep-{sweep.base.task.name}"
    with RunFolder.create(out, kind=KIND, name=name, environment=record, config=sweep) as folder:
        return _sweep(sweep, folder, jobs, progress)


def resume_sweep(
    path: str | os.PathLike[str], *, jobs: int = 1, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on with an interrupted sweep; what is finished is not done again.

    Raises:
        RunError: If the folder holds no sweep.
    """
    with RunFolder.resume(path) as folder:
        sweep, done = job_of(folder, KIND, SweepJob), folder.read_summary()
        if done is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device=sweep.base.training.device, threads=1), warn)
        return _sweep(sweep, folder, jobs, progress)


def _sweep(sweep: SweepJob, folder: RunFolder, jobs: int, progress: ProgressMode) -> JobSummary:
    title, hint = f"sweep {sweep.base.task.name}", f"continue with --resume {folder.path}"
    points = sweep.points()
    done = run_sequence_jobs(points, folder.path, jobs=jobs, progress=progress, title=title, hint=hint)
    found = [(job, done[name]) for name, job in points.items()]
    content: dict[str, Any] = {
        "kind": KIND,
        "dataset": sweep.base.task.name,
        "lengths": list(sweep.lengths),
        "cells": list(sweep.cells),
        "points": [_point(job, summary) for job, summary in found],
        "seconds": sum(summary.content["seconds"] for _, summary in found),
    }
    draw_by_length(found, folder.path / "accuracy.png", title=sweep.base.task.name)
    _write_report(sweep, folder, content)
    folder.write_summary(content)
    return JobSummary(folder.path, content)


def _point(job: SequenceJob, summary: JobSummary) -> dict[str, Any]:
    content = summary.content
    scores = {f"{name}_{part}": content[f"{name}_{part}"] for name in SUMMARIES for part in ("mean", "std")}
    return {
        "folder": summary.folder.name,
        "cell": job.model.label,
        "length": job.task.length,
        "runs": content["runs"],
        "failed_runs": content["failed_runs"],
        **scores,
        "per_run": {name: content["per_run"][name] for name in SUMMARIES},
        "seconds": content["seconds"],
    }


def draw_by_length(
    done: Iterable[tuple[SequenceJob, JobSummary]],
    path: Path,
    *,
    title: str = "",
    label: Callable[[SequenceJob], str] = lambda job: job.model.label,
) -> None:
    """Draw accuracy against length, a panel per summary, a line per ``label``."""
    from gnnkit.plots import save_figure
    from gnnkit.plots.lengths import accuracy_by_length

    panels: dict[str, dict[str, dict[int, list[float]]]] = {called: {} for called in SUMMARIES.values()}
    chances = set()
    for job, summary in done:
        chances.add(job.task.build().chance)
        for name, called in SUMMARIES.items():
            by_length = panels[called].setdefault(label(job), {})
            by_length[job.task.length] = summary.content["per_run"][name]
    chance = chances.pop() if len(chances) == 1 else None
    save_figure(accuracy_by_length(panels, chance=chance, title=title), path)


def table(content: Mapping[str, Any]) -> list[list[str]]:
    """What a sweep's summary says: a row of titles, then one per cell and length."""

    def score(point: Mapping[str, Any], name: str) -> str:
        mean, std = point[f"{name}_mean"], point[f"{name}_std"]
        if mean is None or mean != mean:
            return "-"
        return f"{100 * mean:.1f}" + (f" +- {100 * std:.1f}" if point["runs"] > 1 else "")

    titles = ["cell", "length", *(f"{called} (%)" for called in SUMMARIES.values()), "runs", "seconds"]
    return [
        titles,
        *(
            [
                point["cell"],
                str(point["length"]),
                *(score(point, name) for name in SUMMARIES),
                str(point["runs"]),
                f"{point['seconds']:.0f}",
            ]
            for point in content["points"]
        ),
    ]


def _write_report(sweep: SweepJob, folder: RunFolder, content: Mapping[str, Any]) -> None:
    titles, *body = table(content)
    lines = [
        f"# {sweep.base.task.name} by length",
        "",
        "Training accuracy is that of fresh batches; the test is of held-out samples, with the weights of the",
        "lowest evaluation loss. Mean and sample deviation over the runs.",
        "",
        "| " + " | ".join(titles) + " |",
        "|---" * len(titles) + "|",
        *("| " + " | ".join(row) + " |" for row in body),
        "",
        "![Accuracy against length](accuracy.png)",
        "",
        *settings_section(sweep),
    ]
    atomic_write(folder.path / "report.md", "\n".join(lines))
