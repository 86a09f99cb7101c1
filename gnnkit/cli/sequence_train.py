"""``gnnkit sequence train`` and ``sweep``: recurrent models on memory tasks, at one length or many."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.printing import note, show, show_json, show_rows, verbosity
from gnnkit.cli.sequence_options import (
    CELLS,
    CellOption,
    TaskArgument,
    job_from,
    known_cells,
    numbers,
    refuse_settings,
    with_settings,
)
from gnnkit.cli.table import aligned
from gnnkit.storage.text import printable

TaskName = Annotated[TaskArgument, typer.Argument(metavar="[TASK]", help="What to learn.")]
JobsOption = Annotated[int, typer.Option(help="Runs side by side.", rich_help_panel="Training", min=1)]
OutOption = Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder; a fresh one in runs/ if omitted.")]
ResumeOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Continue the run in this folder; its own settings hold.")
]


def progress_mode() -> Literal["auto", "quiet"]:
    """How to show progress, by the verbosity asked for."""
    return "quiet" if verbosity() == "quiet" else "auto"


@command
@with_settings
def train(
    context: typer.Context,
    settings: dict[str, Any],
    task: TaskName = "palindrome",
    cell: Annotated[CellOption, typer.Option(help="Which cell.", rich_help_panel="Model")] = "lstm",
    length: Annotated[int, typer.Option(help="The task's length.", rich_help_panel="Task", min=1)] = 10,
    jobs: JobsOption = 1,
    out: OutOption = None,
    resume: ResumeOption = None,
    json: JsonOption = False,
) -> None:
    """Train a recurrent model on a task that makes its own data; report accuracy on held-out samples."""
    from gnnkit.jobs.sequence_report import rows
    from gnnkit.jobs.train_sequences import resume_sequence_job, run_sequence_job

    if resume is not None:
        refuse_settings(context)
        summary = resume_sequence_job(resume, jobs=jobs, progress=progress_mode(), warn=note)
    else:
        if settings["runs"] == 1:
            refuse(context, ("jobs",), "is for several runs; add --runs, or leave it out")
        job = job_from(task, cell, length, settings)
        summary = run_sequence_job(job, out, jobs=jobs, progress=progress_mode())
    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    show(f"{summary.content['model']} on {printable(summary.content['dataset'])}")
    show_rows(rows(summary.content))
    show_rows([("run folder", printable(summary.folder)), ("picture", printable(summary.folder / "curves.png"))])


@command
@with_settings
def sweep(
    context: typer.Context,
    settings: dict[str, Any],
    task: TaskName = "palindrome",
    cell: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Which cell: {CELLS}; several for one picture of all. lstm if omitted.",
            rich_help_panel="Model",
            show_default=False,
        ),
    ] = None,
    lengths: Annotated[
        str, typer.Option(metavar="LIST", help="As 5,10,20 or 5-50:5,75,100.", rich_help_panel="Task")
    ] = "5,10,15,20",
    jobs: JobsOption = 1,
    out: OutOption = None,
    resume: ResumeOption = None,
    json: JsonOption = False,
) -> None:
    """Train at several lengths: accuracy against length, over all steps and over the last 1000."""
    from gnnkit.jobs.sequence_sweep import SweepJob, resume_sweep, run_sweep, table

    if resume is not None:
        refuse_settings(context)
        summary = resume_sweep(resume, jobs=jobs, progress=progress_mode(), warn=note)
    else:
        if settings["threads"] is not None:
            raise BadUsageError("--threads is for a single run; a sweep uses one thread each, side by side with --jobs")
        cells = known_cells(cell or ["lstm"])
        chosen = numbers(lengths, "--lengths")
        for each in cells:  # what does not go together is bad usage, at any length
            for length in chosen:
                job_from(task, each, length, settings)
        job = SweepJob(_base(task, cells[0], chosen[0], settings), chosen, cells)
        summary = run_sweep(job, out, jobs=jobs, progress=progress_mode())
    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    for line in aligned(table(summary.content), right=range(1, 7)):
        show(line)
    show_rows([("folder", printable(summary.folder)), ("picture", printable(summary.folder / "accuracy.png"))])


def _base(task: str, cell: str, length: int, settings: dict[str, Any]) -> Any:
    """The job with what depends on length or cell left open, so that every point fills it in."""
    from dataclasses import replace

    job = job_from(task, cell, length, settings)
    model = replace(job.model, embedding_dim=settings["embedding"])
    return replace(job, task=replace(job.task, encoding=settings["encoding"]), model=model, threads=1)
