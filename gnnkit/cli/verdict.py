"""``gnnkit verdict``: does the graph help here?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import show, show_json, verbosity
from gnnkit.cli.table import aligned
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.data import NodeData
    from gnnkit.jobs.verdict import Verdict
    from gnnkit.jobs.verdict_on_forecasts import ForecastVerdict

_FILES, _FORECASTS = "A graph of your own", "Forecasts"
_OF_NODES = ("features", "labels", "nodes", "model", "splits", "split")
_OF_FORECASTS = ("edges", "period", "runs")


@command
def verdict(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A data set's name, a graph file, or with --edges a table of values: a node a column, a step a row.",
            show_default=False,
        ),
    ],
    features: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_FILES, help="Table of the nodes' features.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_FILES, help="Table of the nodes' classes.")
    ] = None,
    nodes: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_FILES, help="Names of nodes, one a line.")
    ] = None,
    directed: Annotated[
        bool, typer.Option("--directed", rich_help_panel=_FILES, help="Each line is one directed edge.")
    ] = False,
    data_root: DataRootOption = None,
    edges: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_FORECASTS, help="The graph of a table of values.")
    ] = None,
    period: Annotated[
        int | None, typer.Option(rich_help_panel=_FORECASTS, help="Steps of a cycle in it, such as a day.", min=2)
    ] = None,
    runs: Annotated[int, typer.Option(rich_help_panel=_FORECASTS, help="Seeds of every trained row.", min=2)] = 10,
    model: Annotated[str, typer.Option(help="gcn, gat or gcnii.")] = "gcn",
    splits: Annotated[int, typer.Option(help="Random splits to compare over.", min=2)] = 50,
    split: Annotated[
        Literal["stratified", "random"], typer.Option(help="60/20/20 % of every class, or 20 training nodes a class.")
    ] = "stratified",
    epochs: Annotated[int | None, typer.Option(help="Instead of the paper's.", min=1, show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the first split.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Splits side by side.", min=1)] = 1,
    json: JsonOption = False,
) -> None:
    """Tell whether the graph helps to classify nodes, or to forecast values on them (diffusion, chickenpox, metr-la).

    Yes means that the model on the graph beats both the same model without one and itself on rewired graphs.
    """
    from dataclasses import replace

    from gnnkit.data.temporal import TEMPORAL_DATASETS
    from gnnkit.jobs.verdict import verdict as judge
    from gnnkit.models.registry import recipe_of
    from gnnkit.training import TrainConfig

    if data in TEMPORAL_DATASETS or edges is not None:
        refuse(context, _OF_NODES, f"is for classifying nodes, and {data} is to be forecast")
        _forecasts(data, edges, directed, period, data_root, runs, epochs, seed, jobs, json)
        return
    refuse(
        context,
        _OF_FORECASTS,
        f"is for forecasts, and {data} is none of {', '.join(TEMPORAL_DATASETS)} nor has --edges",
    )
    loaded = _load(data, features, labels, nodes, directed, data_root)
    try:
        training = TrainConfig(**recipe_of(model).training_for(loaded.name))
    except ValueError as error:
        raise BadUsageError(str(error)) from error
    if epochs is not None:
        training = replace(training, epochs=epochs)
    quiet = json or verbosity() == "quiet"
    found = judge(
        loaded,
        model=model,
        splits=splits,
        split=split,
        training=training,
        seed=seed,
        jobs=jobs,
        progress="quiet" if quiet else "auto",
    )
    if json:
        show_json({**asdict(found), "sentence": found.sentence})
    else:
        _show(found)


def _forecasts(
    data: str,
    edges: Path | None,
    directed: bool,
    period: int | None,
    data_root: Path | None,
    runs: int,
    epochs: int | None,
    seed: int,
    jobs: int,
    json: bool,
) -> None:
    from dataclasses import replace

    from gnnkit.jobs.forecast_job import ForecastJob, TemporalSource
    from gnnkit.jobs.verdict_on_forecasts import verdict_on_forecasts

    if edges is None and (directed or period is not None):
        raise BadUsageError("--directed and --period are for a table of your own: name its graph with --edges")
    if edges is None:
        source = TemporalSource(data, _text(data_root))
    else:
        source = TemporalSource("", values=data, edges=str(edges), directed=directed, period=period)
    job = ForecastJob(source, runs=runs).resolved()
    assert job.training is not None, "resolved"
    job = replace(job, training=replace(job.training, seed=seed, epochs=epochs or job.training.epochs))
    quiet = json or verbosity() == "quiet"
    found = verdict_on_forecasts(source.load(), job=job, jobs=jobs, progress="quiet" if quiet else "auto")
    if json:
        rows = [{**row._asdict(), "error": row.error} for row in found.rows]
        gaps = {name: getattr(found, name)._asdict() for name in ("gap", "gap_to_rewired", "rewired_gap")}
        show_json({**asdict(found), "rows": rows, **gaps, "sentence": found.sentence})
    else:
        _show_forecasts(found)


def _load(
    data: str, features: Path | None, labels: Path | None, nodes: Path | None, directed: bool, data_root: Path | None
) -> "NodeData":
    from gnnkit.data.registry import dataset_info
    from gnnkit.jobs import DataSource

    is_folder = (Path(data) / "graph.json").is_file()
    if Path(data).is_file() or is_folder:
        if labels is None and not is_folder:
            raise BadUsageError(f"a verdict on {data} needs the nodes' classes: name a table with --labels")
        return DataSource("", None, data, _text(features), _text(labels), _text(nodes), directed=directed).load()
    for option, value in {"--features": features, "--labels": labels, "--nodes": nodes, "--directed": directed}.items():
        if value:
            raise BadUsageError(f"{option} is for a graph file, and there is no file {data!r}")
    try:
        name = dataset_info(data).name
    except ValueError as error:
        raise BadUsageError(f"there is no file {data!r}, and {error}") from error
    return DataSource(name, _text(data_root)).load()


def _show_forecasts(found: "ForecastVerdict") -> None:
    from gnnkit.runs import spread

    unit = f" ({printable(found.unit)})" if found.unit and found.error == "mae" else ""
    show(f"{printable(found.title)}")
    show(
        f"test {found.error}{unit} of {found.horizon} steps ahead, over {found.test_windows} windows and "
        f"{found.runs} seeds of every trained row\n"
    )
    table = [["", "mean", "std", "first step", "last step"]]
    for row in found.rows:
        std = f"{spread(row.errors).std:.3f}" if len(row.errors) > 1 else ""
        table.append([row.name, f"{row.error:.3f}", std, f"{row.by_horizon[0]:.3f}", f"{row.by_horizon[-1]:.3f}"])
    for line in aligned(table, right=(1, 2, 3, 4)):
        show(line)
    show("")
    for name, gap in (("no graph", found.gap), ("rewired graph", found.gap_to_rewired)):
        show(
            f"graph - {name}: {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] (95 %, bootstrap over blocks of "
            f"{found.block_steps} steps and over seeds)"
        )
    show(f"\ndoes the graph help? {found.sentence}")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _show(found: "Verdict") -> None:
    show(
        f"test accuracy on {printable(found.dataset)} in %, over {found.rows[0].score.n} {found.split} splits "
        f"({found.num_train} training and {found.num_test} test nodes each)\n"
    )
    table = [["", "mean", "std", "95 % interval of the mean"]]
    for row in found.rows:
        low, high = 100 * row.score.interval.low, 100 * row.score.interval.high
        score = [f"{100 * row.score.mean:.2f}", f"{100 * row.score.std:.2f}", f"{low:.2f} to {high:.2f}"]
        table.append([printable(row.name), *score])
    for line in aligned(table, right=(1, 2)):
        show(line)
    against = zip(("MLP", "rewired graph"), (found.gain, found.gain_over_rewired), found.p_values, strict=True)
    show("")
    for name, each, p_value in against:
        low, high = 100 * each.interval.low, 100 * each.interval.high
        p = "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
        show(
            f"{printable(found.model)} - {name}: {100 * each.difference:+.2f} points [{low:+.2f}, {high:+.2f}], {p} "
            "(corrected resampled t-test, Holm over 2)"
        )
    show(f"\ndoes the graph help? {found.sentence}")
