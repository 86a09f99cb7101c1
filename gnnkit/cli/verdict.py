"""``gnnkit verdict``: does the graph help here?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import show, show_json, verbosity
from gnnkit.cli.table import aligned
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.data import NodeData
    from gnnkit.jobs.verdict import Verdict

_FILES = "A graph of your own"


@command
def verdict(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A data set's name, or a graph file.", show_default=False)
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
    """Tell whether the graph helps: majority, MLP, label propagation, a rewired graph and the graph itself.

    Yes means that the network on the graph beats both the MLP and itself on rewired graphs.
    """
    from dataclasses import replace

    from gnnkit.jobs.verdict import verdict as judge
    from gnnkit.models.registry import recipe_of
    from gnnkit.training import TrainConfig

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


def _load(
    data: str, features: Path | None, labels: Path | None, nodes: Path | None, directed: bool, data_root: Path | None
) -> "NodeData":
    from gnnkit.data.registry import dataset_info
    from gnnkit.jobs import DataSource

    if Path(data).is_file():
        if labels is None:
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
