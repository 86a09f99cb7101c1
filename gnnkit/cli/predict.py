"""``gnnkit predict``: the classes of every node, of the training graph or of a new one."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnkit.cli.command import BadUsageError, command
from gnnkit.cli.graph_argument import DataRootOption, DirectedOption
from gnnkit.cli.printing import note

if TYPE_CHECKING:
    from gnnkit.data import NodeData


@command
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="Where to write them.", show_default=False)],
    graph: Annotated[
        str | None,
        typer.Option(metavar="NEW", help="Another graph: a file, else a data set's name.", show_default=False),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of the new graph's features.", show_default=False),
    ] = None,
    nodes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of the new graph's nodes, one a line.", show_default=False),
    ] = None,
    directed: DirectedOption = False,
    data_root: DataRootOption = None,
) -> None:
    """Predict every node's class; write node, class and the classes' probabilities as CSV."""
    from gnnkit.jobs.trained import load_nodes as load
    from gnnkit.storage.atomic import atomic_write

    trained = load(run)
    if graph is None:
        for option, value in {"--features": features, "--nodes": nodes, "--directed": directed}.items():
            if value:
                raise BadUsageError(f"{option} is for another graph: name it with --graph")
        data = trained.data(None if data_root is None else str(data_root))
    else:
        data = _new_graph(graph, features, nodes, directed, data_root)
    found = trained.predict(data)
    sizes = trained.job.sizes
    classes = (sizes.class_names if sizes else None) or tuple(map(str, range(found.probabilities.size(1))))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["node", "class", *(f"probability of {name}" for name in classes)])
    names = data.node_names or tuple(map(str, range(data.num_nodes)))
    for name, chosen, row in zip(names, found.classes.tolist(), found.probabilities.tolist(), strict=True):
        writer.writerow([name, classes[chosen], *(f"{probability:.6f}" for probability in row)])
    atomic_write(out, text.getvalue())
    note(f"wrote the classes of {data.num_nodes} nodes to {out}")


def _new_graph(
    graph: str, features: Path | None, nodes: Path | None, directed: bool, data_root: Path | None
) -> "NodeData":
    from gnnkit.data import dataset_info, load_dataset, read_folder, read_node_data

    is_folder = (Path(graph) / "graph.json").is_file()
    if data_root is not None and (is_folder or Path(graph).is_file()):
        raise BadUsageError(f"--data-root says where data sets lie, and {graph} is here; leave it out")
    if is_folder:
        for option, value in {"--features": features, "--nodes": nodes, "--directed": directed}.items():
            if value:
                raise BadUsageError(f"{option} is for edge-list files; {graph} is a graph folder, and knows it")
        return read_folder(graph)
    if Path(graph).is_file():
        return read_node_data(graph, features=features, nodes=nodes, directed=directed)
    for option, value in {"--features": features, "--nodes": nodes, "--directed": directed}.items():
        if value:
            raise BadUsageError(f"{option} is for graph files, and there is no file {graph!r}")
    try:
        name = dataset_info(graph).name
    except ValueError as error:
        raise BadUsageError(f"there is no file {graph!r}, and {error}") from error
    return load_dataset(name, data_root)
