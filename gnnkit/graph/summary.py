"""What a graph looks like at a glance: sizes, degrees, components, and whether neighbours are alike."""

from typing import NamedTuple

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import check_graph


class DegreeRange(NamedTuple):
    """The smallest, mean and largest number of edges at a node; zeros for a graph without nodes."""

    min: int
    mean: float
    max: int


class GraphSummary(NamedTuple):
    """Facts about a graph; an undirected edge counts as the two directed ones it is stored as.

    Attributes:
        num_nodes: Nodes.
        num_edges: Directed edges, self-loops included.
        is_undirected: Whether every edge's reverse is there too; its weight may differ.
        is_weighted: Whether some weight is not 1.
        num_self_loops: Edges from a node to itself.
        num_isolated_nodes: Nodes without an edge to or from another.
        in_degree: Edges that enter a node.
        out_degree: Edges that leave a node.
        num_weak_components: Parts connected when edges may be walked either way.
        num_strong_components: Parts in which every node reaches every other.
        largest_component: Nodes in the largest weak component.
        edge_homophily: Fraction of the edges between two labelled nodes that join nodes of one class,
            self-loops left out (Zhu et al. 2020, https://arxiv.org/abs/2006.11468); ``None`` without
            labels or without such an edge.
    """

    num_nodes: int
    num_edges: int
    is_undirected: bool
    is_weighted: bool
    num_self_loops: int
    num_isolated_nodes: int
    in_degree: DegreeRange
    out_degree: DegreeRange
    num_weak_components: int
    num_strong_components: int
    largest_component: int
    edge_homophily: float | None


def edge_homophily(graph: Adjacency, y: Tensor) -> float | None:
    """Fraction of edges that join nodes of one class; see :class:`GraphSummary`.

    Args:
        graph: Its weights are ignored.
        y: The nodes' classes, -1 where unknown.

    Raises:
        ValueError: If ``y`` is not one class per node.

    Example:
        >>> path = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> edge_homophily(path, torch.tensor([0, 0, 1, -1]))
        0.5
    """
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise TypeError(f"y must hold whole numbers, got {y.dtype}; convert with .long()")
    if y.shape != (graph.num_nodes,):
        raise ValueError(f"y must have shape ({graph.num_nodes},), one class per node, got {tuple(y.shape)}")
    (source, target), _ = graph.to_edge_index()
    counted = (source != target) & (y[source] >= 0) & (y[target] >= 0)
    if not bool(counted.any()):
        return None
    alike = (y[source] == y[target]) & counted
    return int(alike.sum()) / int(counted.sum())


def summarize(graph: Adjacency, y: Tensor | None = None) -> GraphSummary:
    """Collect a :class:`GraphSummary`; ``y`` holds the nodes' classes, -1 where unknown, if there are any.

    Example:
        >>> summary = summarize(Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3))
        >>> summary.num_isolated_nodes, summary.num_weak_components, summary.out_degree.max
        (1, 2, 1)
    """
    check_graph(graph)
    from scipy.sparse.csgraph import connected_components

    (source, target), _ = graph.to_edge_index()
    between = source != target
    touched = torch.zeros(graph.num_nodes, dtype=torch.bool)
    touched[source[between]] = True
    touched[target[between]] = True
    structure = graph.to_scipy()
    structure.data = abs(structure.data) + 1  # an edge of weight 0 connects, too
    num_weak, weak = connected_components(structure, directed=True, connection="weak")
    num_strong, _ = connected_components(structure, directed=True, connection="strong")
    return GraphSummary(
        num_nodes=graph.num_nodes,
        num_edges=graph.num_edges,
        is_undirected=graph.is_undirected,
        is_weighted=graph.is_weighted,
        num_self_loops=graph.num_self_loops,
        num_isolated_nodes=int((~touched).sum()),
        in_degree=_degree_range(graph.in_degree()),
        out_degree=_degree_range(graph.out_degree()),
        num_weak_components=int(num_weak),
        num_strong_components=int(num_strong),
        largest_component=int(torch.bincount(torch.from_numpy(weak)).max()) if graph.num_nodes else 0,
        edge_homophily=None if y is None else edge_homophily(graph, y),
    )


def _degree_range(degree: Tensor) -> DegreeRange:
    if degree.numel() == 0:
        return DegreeRange(0, 0.0, 0)
    return DegreeRange(int(degree.min()), float(degree.double().mean()), int(degree.max()))
