"""Which process owns which nodes: contiguous blocks of an order in which neighbours lie close together.

The order is that of METIS where pymetis is installed (the extra ``metis``), which cuts fewest edges, else
reverse Cuthill-McKee, which narrows the band of the matrix and so the edges that cross a block's bound.

References: Cuthill & McKee, "Reducing the bandwidth of sparse symmetric matrices", ACM 1969,
https://doi.org/10.1145/800195.805928; Karypis & Kumar, "A Fast and High Quality Multilevel Scheme for
Partitioning Irregular Graphs", SIAM J. Sci. Comput. 20, 1998, https://doi.org/10.1137/S1064827595287997.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from gnnkit.graph.adjacency import Adjacency

Method = Literal["rcm", "metis", "given"]


class Entering(NamedTuple):
    """The edges by target: ``crow`` (N + 1), and per edge its source (ascending within a row) and weight."""

    crow: NDArray[Any]
    col: NDArray[Any]
    weight: NDArray[Any] | None  # None where all are 1
    pattern: csr_array  # with ones of one byte, over the same memory

    @classmethod
    def of(cls, graph: Adjacency) -> Entering:
        """The entering edges of a graph; no more than 9 bytes an edge beyond what the graph holds."""
        held, size = graph._matrix.pattern, graph.num_nodes
        weighted = graph.is_weighted
        narrow = np.int32 if max(graph.num_edges, size) < 2**31 else np.int64
        crow, col = held.crow.numpy().astype(narrow, copy=False), held.col.numpy().astype(narrow, copy=False)
        content = graph._matrix.values.detach().numpy() if weighted else np.ones(col.size, np.int8)
        by_target = csr_array((content, col, crow), (size, size)).tocsc()
        ones = np.ones(col.size, np.int8) if weighted else by_target.data
        pattern = csr_array((ones, by_target.indices, by_target.indptr), (size, size))
        return cls(by_target.indptr, by_target.indices, by_target.data if weighted else None, pattern)


class Partition(NamedTuple):
    """Who owns what.

    Attributes:
        order: The nodes, process by process, ``(N)``.
        bounds: Process r owns ``order[bounds[r]:bounds[r + 1]]``.
        method: Where the order comes from; ``"given"`` for a single process, which needs none.
    """

    order: NDArray[np.int64]
    bounds: list[int]
    method: Method


def default_method() -> Method:
    """METIS where pymetis is installed, else reverse Cuthill-McKee."""
    return "metis" if find_spec("pymetis") is not None else "rcm"


def partition(edges: Entering, parts: int, method: Method | None = None) -> Partition:
    """Share a graph's nodes among ``parts`` processes, so that few edges run between them.

    With reverse Cuthill-McKee blocks are balanced by nodes and entering edges, half each; METIS balances
    nodes.

    Raises:
        ValueError: If there are fewer nodes than parts, or METIS is asked for and pymetis is not there.

    Example:
        >>> import torch
        >>> ring = Adjacency.from_edge_index(torch.tensor([[0, 2, 1, 3], [2, 1, 3, 0]]), num_nodes=4)
        >>> found = partition(Entering.of(ring), 2, "rcm")
        >>> sorted(found.order.tolist()), found.bounds
        ([0, 1, 2, 3], [0, 2, 4])
    """
    size = edges.crow.size - 1
    if not 1 <= parts <= size:
        raise ValueError(f"a graph of {size} nodes can be shared by 1 to {size} processes, got {parts}; start fewer")
    if parts == 1:
        return Partition(np.arange(size), [0, size], "given")
    method = method or default_method()
    if method == "metis":
        return _metis(edges, parts)
    order = np.arange(size)
    if method == "rcm":
        order = reverse_cuthill_mckee(_undirected(edges.pattern), symmetric_mode=True).astype(np.int64)
    return Partition(order, balanced(np.diff(edges.crow)[order], parts), method)


def balanced(degrees: NDArray[Any], parts: int) -> list[int]:
    """Bounds of contiguous blocks, none empty, that hold equal shares of nodes and edges, half each.

    Example:
        >>> balanced(np.array([6, 0, 0, 0, 0, 0]), 2)
        [0, 1, 6]
    """
    size = degrees.size
    edges = max(float(degrees.sum()), 1.0)
    share = np.cumsum(0.5 / size + 0.5 * degrees / edges)
    bounds = [0]
    for part in range(1, parts):
        # The cut nearest to an equal share, leaving a node for each block still to come.
        target = share[-1] * part / parts
        after = int(np.searchsorted(share, target))
        before = share[after - 1] if after else 0.0
        cut = after if target - before <= share[after] - target else after + 1
        bounds.append(min(max(cut, bounds[-1] + 1), size - (parts - part)))
    return [*bounds, size]


def _undirected(pattern: csr_array) -> csr_array:
    """The pattern with every edge both ways."""
    reverse = pattern.T.tocsr()
    if np.array_equal(reverse.indptr, pattern.indptr) and np.array_equal(reverse.indices, pattern.indices):
        return pattern
    union = pattern.maximum(reverse).tocsr()
    assert isinstance(union, csr_array)
    return union


def _metis(edges: Entering, parts: int) -> Partition:
    try:
        import pymetis
    except ImportError as error:
        raise ValueError("METIS needs pymetis, which is not installed: pip install 'gnnkit[metis]'") from error
    pattern = _undirected(edges.pattern)
    row = np.repeat(np.arange(pattern.shape[0], dtype=pattern.indices.dtype), np.diff(pattern.indptr))
    kept = row != pattern.indices  # METIS takes no self-loops
    starts = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=pattern.shape[0]))])
    _, owner = pymetis.part_graph(
        parts, pymetis.CSRAdjacency(starts.astype(pattern.indices.dtype), pattern.indices[kept])
    )
    owners = np.asarray(owner)
    counts = np.bincount(owners, minlength=parts)
    order = np.argsort(owners, kind="stable")
    if counts.min() == 0:  # as METIS leaves parts of tiny graphs; a process without nodes would have no place
        return Partition(order, balanced(np.diff(edges.crow)[order], parts), "metis")
    return Partition(order, [0, *np.cumsum(counts).tolist()], "metis")
