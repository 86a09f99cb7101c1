"""``gnnkit info``: what a graph looks like at a glance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.graph_argument import (
    DataRootOption,
    DelimiterOption,
    DirectedOption,
    GraphArgument,
    HeaderOption,
    NamedGraph,
    NodesOption,
    open_graph,
)
from gnnkit.cli.printing import show_json, show_rows
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.graph.summary import DegreeRange, GraphSummary


@command
def info(
    graph: GraphArgument,
    directed: DirectedOption = False,
    nodes: NodesOption = None,
    delimiter: DelimiterOption = None,
    header: HeaderOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel="Graph files", help="A table of the nodes' classes: name, class."),
    ] = None,
    data_root: DataRootOption = None,
    json: JsonOption = False,
) -> None:
    """Count nodes, edges, degrees, components, isolated nodes and self-loops; homophily where labels exist."""
    if labels is None:
        opened = open_graph(
            graph, directed=directed, nodes=nodes, delimiter=delimiter, header=header, data_root=data_root
        )
    else:
        if delimiter is not None or header is not None:
            raise BadUsageError("--labels does not go with --delimiter or --header; name the edge list .csv or .tsv")
        if data_root is not None:
            raise BadUsageError(f"--data-root says where data sets lie, and {graph} is here; leave it out")
        opened = _labelled(Path(graph), labels, nodes, directed)
    from gnnkit.graph.summary import summarize

    summary = summarize(opened.adjacency, opened.y)
    if json:
        document = summary._asdict()
        document["in_degree"], document["out_degree"] = summary.in_degree._asdict(), summary.out_degree._asdict()
        show_json({"graph": opened.name, **document})
    else:
        show_rows([("graph", printable(opened.name)), *_rows(summary)])


def _labelled(path: Path, labels: Path, nodes: Path | None, directed: bool) -> NamedGraph:
    if not path.is_file():
        raise BadUsageError(f"--labels is for graph files, and there is no file {str(path)!r}")
    from gnnkit.data.user_graph import read_node_data

    data = read_node_data(path, labels=labels, nodes=nodes, directed=directed)
    return NamedGraph(path.name, data.adjacency, data.node_names, data.y)


def _rows(summary: "GraphSummary") -> list[tuple[str, str]]:
    if summary.is_undirected:
        pairs = (summary.num_edges + summary.num_self_loops) // 2
        edges = f"{pairs} undirected (stored as {summary.num_edges} directed)"
        degrees = [("degree", _range(summary.in_degree))]
        components = [("components", f"{summary.num_weak_components} (largest: {summary.largest_component} nodes)")]
    else:
        edges = f"{summary.num_edges} directed"
        degrees = [("in-degree", _range(summary.in_degree)), ("out-degree", _range(summary.out_degree))]
        components = [
            ("weak components", f"{summary.num_weak_components} (largest: {summary.largest_component} nodes)"),
            ("strong components", str(summary.num_strong_components)),
        ]
    rows = [
        ("nodes", str(summary.num_nodes)),
        ("edges", edges + (", weighted" if summary.is_weighted else "")),
        *degrees,
        *components,
        ("isolated nodes", str(summary.num_isolated_nodes)),
        ("self-loops", str(summary.num_self_loops)),
    ]
    if summary.edge_homophily is not None:
        rows.append(("homophily", f"{summary.edge_homophily:.4f} of the edges join nodes of one class"))
    return rows


def _range(degree: "DegreeRange") -> str:
    return f"min {degree.min}, mean {degree.mean:.2f}, max {degree.max}"
