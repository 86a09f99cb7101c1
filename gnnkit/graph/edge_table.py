"""What every reader of graph files hands on: edges as plain arrays, before they become an Adjacency."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class EdgeTable(NamedTuple):
    r"""Directed edges, one per row.

    Shapes:
        - **source**, **target**, **weight:** :math:`(|\mathcal{E}|)`
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64] | None
    num_nodes: int
    node_names: tuple[str, ...] | None


class DistinctEdges(NamedTuple):
    """Which rows are the first of their edge, and a pair of rows that contradict each other, if any."""

    first_rows: NDArray[np.int64]
    contradiction: tuple[int, int] | None


def distinct_edges(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.float64] | None,
    *,
    num_nodes: int,
    directed: bool,
) -> DistinctEdges:
    """Find each edge's first row; an undirected edge is the same edge in both directions.

    Two rows contradict each other when they give one edge two weights; the pair returned is
    ``(earlier row, first row that contradicts it)``.
    """
    low, high = (source, target) if directed else (np.minimum(source, target), np.maximum(source, target))
    key = low * num_nodes + high  # below 2^63 for the three thousand million nodes that memory never holds
    if weight is None:
        return DistinctEdges(np.sort(np.unique(key, return_index=True)[1]), None)
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    differing = np.flatnonzero(weight != weight[first[which]])
    contradiction = (int(first[which[differing[0]]]), int(differing[0])) if differing.size else None
    return DistinctEdges(np.sort(first), contradiction)


def both_directions(table: EdgeTable) -> EdgeTable:
    """Each edge followed by its reverse; a self-loop is its own reverse and stays single."""
    rows = np.concatenate([np.arange(table.source.size), np.flatnonzero(table.source != table.target)])
    half = table.source.size
    return table._replace(
        source=np.concatenate([table.source, table.target[rows[half:]]]),
        target=np.concatenate([table.target, table.source[rows[half:]]]),
        weight=None if table.weight is None else table.weight[rows],
    )


def too_many_nodes(num_nodes: int, num_edges: int) -> str | None:
    """Say what is wrong with a file that declares far more nodes than its edges could use, if it does.

    A header of sixty bytes must not make the reader allocate gigabytes.
    """
    if num_nodes <= max(10_000_000, 64 * num_edges):
        return None
    return f"declares {num_nodes} nodes for {num_edges} edges, and memory is spent on every node"
