"""``gnnkit forecast``: what comes next on the nodes of a graph, beside the rows that say what it is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.given import given_flags, refuse
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import note, show, show_json, show_rows, verbosity
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs.forecast_job import ForecastJob, TemporalSource

_DATA, _MODEL, _TRAINING = "Data", "Model", "Training"


def _option(text: str, panel: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, **settings)


@command
def forecast(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="[DATASET]", help="diffusion (if omitted), chickenpox or metr-la.", show_default=False),
    ] = None,
    values: Annotated[
        Path | None, _option("A table of your own: a node a column, a step a row.", _DATA, metavar="FILE")
    ] = None,
    edges: Annotated[Path | None, _option("Its graph.", _DATA, metavar="FILE")] = None,
    directed: Annotated[bool, _option("Each line of an edge list is one directed edge.", _DATA)] = False,
    period: Annotated[int | None, _option("Steps of a cycle in your table, such as a day.", _DATA, min=2)] = None,
    data_root: DataRootOption = None,
    length: Annotated[int | None, _option("Steps that are read.", _DATA, min=1)] = None,
    horizon: Annotated[int | None, _option("Steps to forecast.", _DATA, min=1)] = None,
    cell: Annotated[Literal["lstm", "gru"] | None, _option("The recurrent cell.", _MODEL)] = None,
    hidden: Annotated[int | None, _option("Units per node.", _MODEL, min=1)] = None,
    operator: Annotated[
        Literal["diffusion", "chebyshev", "gcn", "attention"] | None, _option("What a node hears.", _MODEL)
    ] = None,
    hops: Annotated[int | None, _option("How far it hears in a step.", _MODEL, min=1)] = None,
    mode: Annotated[
        Literal["direct", "rollout"],
        typer.Option(help="All steps at once, or one after another.", rich_help_panel=_MODEL),
    ] = "direct",
    start: Annotated[
        Literal["last", "mean"] | None, _option("What a forecast corrects: the window's last value or mean.", _MODEL)
    ] = None,
    epochs: Annotated[int | None, _option("Passes over the training windows.", _TRAINING, min=1)] = None,
    lr: Annotated[float | None, _option("Learning rate.", _TRAINING)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first run.", rich_help_panel=_TRAINING, min=0)] = 0,
    runs: Annotated[int, typer.Option(help="Seeds per trained row.", rich_help_panel=_TRAINING, min=1)] = 1,
    jobs: Annotated[
        int, typer.Option(help="Rows and seeds side by side, one thread each.", rich_help_panel=_TRAINING, min=1)
    ] = 2,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; a fresh one in runs/ if omitted.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Continue the run in this folder; its own settings hold.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Forecast values on a graph's nodes; print every row nobody prints: last value, average, linear, no graph.

    What is not asked for is as the data set has it: windows by its protocol, the rest chosen by validation.
    """
    from gnnkit.jobs.forecast_report import PICTURES, remarks, table
    from gnnkit.jobs.train_forecasts import resume_forecast_job, run_forecast_job

    progress: Literal["auto", "quiet"] = "quiet" if verbosity() == "quiet" else "auto"
    if resume is not None:
        if given := given_flags(context, besides={"resume", "jobs", "json", "quiet", "verbose", "debug"}):
            raise BadUsageError(f"--resume continues with the run's own settings; leave out {', '.join(given)}")
        summary = resume_forecast_job(resume, jobs=jobs, progress=progress, warn=note)
    else:
        if (values is None) != (edges is None):
            raise BadUsageError("a table of your own needs both --values and --edges")
        if values is not None and dataset is not None:
            raise BadUsageError(f"--values {values} comes in place of the data set {dataset!r}; give one of them")
        if values is not None:
            refuse(context, ("data_root",), f"says where data sets lie, and {values} is here; leave it out")
        model = {"cell": cell, "hidden_size": hidden, "operator": operator, "hops": hops, "mode": mode, "start": start}
        source = _source(dataset, values, edges, directed, period, data_root)
        job = _job(source, {"length": length, "horizon": horizon, **model, "runs": runs}, epochs, lr, seed)
        summary = run_forecast_job(job, out, jobs=jobs, progress=progress)
    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    show(printable(summary.content["title"]))
    show_rows([*table(summary.content), *remarks(summary.content)])
    pictures = [str(summary.folder / name) for name in PICTURES if (summary.folder / name).exists()]
    show_rows([("run folder", printable(summary.folder)), ("pictures", printable(", ".join(pictures)))])


def _source(
    dataset: str | None,
    values: Path | None,
    edges: Path | None,
    directed: bool,
    period: int | None,
    data_root: Path | None,
) -> "TemporalSource":
    from gnnkit.data.temporal import TEMPORAL_DATASETS
    from gnnkit.jobs.forecast_job import TemporalSource

    if dataset is not None and dataset not in TEMPORAL_DATASETS:
        raise BadUsageError(f"no temporal data set is called {dataset!r}; there are {', '.join(TEMPORAL_DATASETS)}")
    if values is None and (directed or period is not None):
        raise BadUsageError("--directed and --period are for a table of your own: name it with --values and --edges")
    return TemporalSource(
        "" if values is not None else dataset or "diffusion",
        None if data_root is None else str(data_root),
        None if values is None else str(values),
        None if edges is None else str(edges),
        directed,
        period,
    )


def _job(
    source: "TemporalSource", settings: dict[str, Any], epochs: int | None, lr: float | None, seed: int
) -> "ForecastJob":
    from dataclasses import replace

    from gnnkit.jobs.forecast_job import ForecastJob

    job = ForecastJob(source, **settings).resolved()
    assert job.training is not None, "resolved"
    try:
        rate = job.training.optimization if lr is None else replace(job.training.optimization, lr=lr)
    except ValueError as error:
        raise BadUsageError(str(error)) from error
    training = replace(job.training, epochs=epochs or job.training.epochs, seed=seed, optimization=rate)
    return replace(job, training=training)
