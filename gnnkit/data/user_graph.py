"""A user's own graph, features and labels, from files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gnnkit.data.arrays import identity_features
from gnnkit.data.node_data import NodeData
from gnnkit.data.tables import FeatureTable, LabelTable, read_features, read_labels, row_of_each_name
from gnnkit.errors import FileFormatError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.edge_list import sorted_names
from gnnkit.graph.files import GraphFile, read_graph

_Path = str | Path


def read_node_data(
    edges: _Path,
    *,
    features: _Path | None = None,
    labels: _Path | None = None,
    nodes: _Path | None = None,
    directed: bool = False,
    name: str | None = None,
) -> NodeData:
    """Read a graph, and the features and labels of its nodes.

    A table (see `gnnkit.data.tables`) begins each row with its node's name; or it has no names, its rows
    are nodes 0..N-1, and the edges name nodes by these numbers. A table of labels has names if it has two
    columns; a table of features if its first column has a cell that is no number, or holds different
    whole numbers among which is at least half of the graph's nodes.

    A first row that numbers the columns, such as ``0,1``, is taken for titles where the table shows that it is none
    of its nodes (see `gnnkit.data.tables.read_features`), and refused where it may be either.

    A node that only the features name has no edges. A node that only the labels name is an error; one
    that they do not name has no label. No node trains, validates or tests yet: see `NodeData.with_split`.

    Args:
        edges: Any file that `gnnkit.graph.read_graph` reads.
        features: Table of numbers, a row for every node; where omitted, each node is its own feature.
        labels: Table of labels, which may be words; where omitted, no label is known.
        nodes: Names of nodes that may have no edges, one a line.
        directed: Whether a line of an edge list is one directed edge.
        name: What to call the data; the name of the file without its ending where omitted.

    Raises:
        FileFormatError: If a file is not what it should be, or does not fit the others.
        FileNotFoundError: If there is no such file.
    """
    feature_table = None if features is None else read_features(Path(features))
    label_table = None if labels is None else read_labels(Path(labels))
    graph = read_graph(edges, directed=directed, nodes=nodes)
    known = set(_node_names(graph))
    by_name = feature_table is not None and feature_table.has_names(known)
    if feature_table is not None and not by_name:
        graph = _numbered_graph(Path(edges), graph, feature_table)
        _check_first_row(feature_table, known, str(len(feature_table.lines) - 1))
    elif label_table is not None and label_table.names is None:
        graph = _numbered_graph(Path(edges), graph, label_table)
        if feature_table is None:
            _check_first_row(label_table, known, str(len(label_table.lines) - 1))
    x = None
    if feature_table is not None and by_name:
        graph, x = _with_features(graph, feature_table)
        _check_first_row(feature_table, known, feature_table.first[0])
    elif feature_table is not None:
        x = torch.from_numpy(feature_table.values())
    num_nodes = graph.adjacency.num_nodes
    nobody = torch.zeros(num_nodes, dtype=torch.bool)
    return NodeData(
        adjacency=graph.adjacency,
        x=identity_features(num_nodes) if x is None else x,
        y=torch.full((num_nodes,), -1) if label_table is None else _labels(graph, label_table),
        train_mask=nobody,
        val_mask=nobody,
        test_mask=nobody,
        name=Path(edges).name.split(".")[0] if name is None else name,
        class_names=label_table.class_names or None if label_table is not None else None,
        node_names=graph.node_names,
    )


def _node_names(graph: GraphFile) -> tuple[str, ...]:
    """Names by which tables may call the nodes: their numbers where the file has no names."""
    return graph.node_names or tuple(map(str, range(graph.adjacency.num_nodes)))


def _check_first_row(table: FeatureTable | LabelTable, known: set[str], node: str) -> None:
    """Refuse a first row that may be titles where, read as a node's, it makes ``node`` one without edges."""
    if table.counts and node not in known:
        titles = "label" if isinstance(table, LabelTable) else "a,b (or node,a,b)"
        raise FileFormatError(
            table.path,
            f"numbers the columns, as titles may; read as a node's row, it makes {node!r} a node that no edge names; "
            f"put titles in words, such as {titles}, in its place or above it",
            line=table.lines[0],
        )


def _numbered_graph(edges: Path, graph: GraphFile, table: FeatureTable | LabelTable) -> GraphFile:
    """The graph whose nodes are the rows of the table, and its tokens their numbers."""
    count = len(table.lines)
    for name in _node_names(graph):
        if not (name.isascii() and name.isdigit() and len(name) < 19 and int(name) < count):
            raise FileFormatError(
                table.path,
                f"has {count} rows without names, so the nodes of {edges} must be row numbers 0..{count - 1}, "
                f"but one is {name[:80]!r}; put each node's name in the first column",
            )
    if graph.node_names is None:
        if graph.adjacency.num_nodes != count:
            raise FileFormatError(table.path, f"has {count} rows, the graph {graph.adjacency.num_nodes} nodes")
        return graph
    if len({int(name) for name in graph.node_names}) != len(graph.node_names):
        raise FileFormatError(edges, "names one node in two ways, such as 1 and 01, where names are row numbers")
    return _renumbered(graph.adjacency, torch.tensor([int(n) for n in graph.node_names]), count, None)


def _with_features(graph: GraphFile, table: FeatureTable) -> tuple[GraphFile, Tensor]:
    """The graph with the nodes that only the table names, and the features in the nodes' order."""
    row_of = row_of_each_name(table.path, table.first, table.lines)
    known = _node_names(graph)
    absent = [name for name in known if name not in row_of]
    if absent:
        others = f" and {len(absent) - 1} other nodes" if len(absent) > 1 else ""
        raise FileFormatError(table.path, f"has no row for the node {absent[0][:80]!r}{others}")
    if len(row_of) > len(known):
        if graph.node_names is None:
            problem = f"has {len(row_of)} rows, the graph {len(known)} nodes"
            raise FileFormatError(table.path, problem)
        names = tuple(sorted_names(row_of))
        number_of = {name: number for number, name in enumerate(names)}
        ids = torch.tensor([number_of[name] for name in known])
        graph = _renumbered(graph.adjacency, ids, len(names), names)
    order = [row_of[name] for name in _node_names(graph)]
    return graph, torch.from_numpy(table.rest[order])


def _renumbered(adjacency: Adjacency, ids: Tensor, num_nodes: int, names: tuple[str, ...] | None) -> GraphFile:
    """Node ``i`` becomes node ``ids[i]`` of ``num_nodes``."""
    edge_index, edge_weight = adjacency.to_edge_index()
    return GraphFile(Adjacency.from_edge_index(ids[edge_index], edge_weight, num_nodes=num_nodes), names)


def _labels(graph: GraphFile, table: LabelTable) -> Tensor:
    num_nodes = graph.adjacency.num_nodes
    if table.names is None:
        if len(table.y) != num_nodes:
            problem = f"has {len(table.y)} labels for {num_nodes} nodes; write ? where one is not known"
            raise FileFormatError(table.path, problem)
        return torch.from_numpy(table.y)
    row_of = row_of_each_name(table.path, table.names, table.lines)
    number_of = {name: number for number, name in enumerate(_node_names(graph))}
    y = torch.full((num_nodes,), -1)
    for name, row in row_of.items():
        if name not in number_of:
            problem = "not a node of the graph; name it in the nodes file if it has no edges"
            if row == 0:
                problem += ", or title the columns node and label if this line holds titles"
            raise FileFormatError(table.path, problem, line=table.lines[row], text=name)
        y[number_of[name]] = int(table.y[row])
    return y
