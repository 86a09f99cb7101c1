"""The edges of a graph as a search walks them: plain numpy, in the direction in which hops are counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gnnkit.graph.adjacency import Adjacency

Direction = Literal["out", "in", "both"]
IntArray = NDArray[np.integer[Any]]


class Arcs(NamedTuple):
    """Compressed rows: the neighbours of node ``i`` are ``indices[indptr[i]:indptr[i + 1]]``."""

    indptr: IntArray
    indices: IntArray

    def degrees(self, nodes: IntArray) -> IntArray:
        """Number of neighbours of each of ``nodes``."""
        return self.indptr[1:].take(nodes) - self.indptr.take(nodes)

    def neighbors(self, nodes: IntArray) -> IntArray:
        """Neighbours of each of ``nodes``, one row after the other."""
        starts = self.indptr.take(nodes)
        return self.indices.take(ranges(starts, self.indptr[1:].take(nodes)), mode="clip")


@dataclass(frozen=True, eq=False)
class Walk:
    """The edges of a graph in the direction in which hops are counted.

    ``ahead`` holds the nodes one hop further from each node, ``behind`` those one hop nearer; the two are
    one object where every edge can be walked either way.
    """

    num_nodes: int
    ahead: Arcs
    behind: Arcs

    @property
    def num_arcs(self) -> int:
        """Number of edges that can be walked."""
        return int(self.ahead.indices.size)

    @property
    def is_symmetric(self) -> bool:
        """Whether every edge can be walked either way."""
        return self.ahead is self.behind

    @cached_property
    def back(self) -> Walk:
        """The walk back: hops to a node rather than from it."""
        if self.is_symmetric:
            return self
        back = Walk(self.num_nodes, self.behind, self.ahead)
        back.__dict__["back"] = self  # where cached_property keeps it, so that each prepares its searches once
        return back

    @cached_property
    def enterable(self) -> IntArray:
        """The nodes that some arc leads to."""
        return np.diff(self.behind.indptr).nonzero()[0].astype(self.behind.indptr.dtype)

    @cached_property
    def first_behind(self) -> IntArray:
        """A node with an arc to each of the enterable nodes: the one with the smallest id."""
        return self.behind.indices.take(self.behind.indptr.take(self.enterable))

    @cached_property
    def csgraph(self) -> scipy.sparse.csr_array[Any]:
        """The edges as ``scipy.sparse.csgraph`` wants them: int32 indices and float64 ones.

        The ones are a single number seen everywhere at once, so that nothing is copied.
        """
        ones = np.broadcast_to(np.float64(1.0), self.num_arcs)
        indptr, indices = self.ahead
        return scipy.sparse.csr_array((ones, indices, indptr), shape=(self.num_nodes, self.num_nodes))

    @cached_property
    def components(self) -> IntArray:
        """Label per node of its strongly connected component: nodes that reach each other."""
        if self.num_nodes == 0:
            return np.zeros(0, dtype=np.int32)
        labels: IntArray = connected_components(self.csgraph, directed=True, connection="strong")[1]
        return labels


def walk_along(graph: Adjacency, direction: Direction) -> Walk:
    """The walk along the edges, against them, or either way; kept with the graph.

    Raises:
        TypeError: If ``graph`` is not an ``Adjacency``.
        ValueError: If there is no such direction.
    """
    if not isinstance(graph, Adjacency):
        raise TypeError(
            f"hops are counted on an Adjacency, got {type(graph).__name__}; make one with Adjacency.from_edge_index, "
            "from_networkx, from_scipy or from_dense"
        )
    if direction not in ("out", "in", "both"):
        raise ValueError(f"direction must be 'out', 'in' or 'both', got {direction!r}")
    if direction == "in":
        return walk_along(graph, "out").back
    if direction == "both" and graph.is_undirected:
        direction = "out"
    return graph._keep(("walk", direction), lambda: _walk(graph, direction))


def checked_max_hops(max_hops: int | None) -> int | None:
    """``max_hops`` as a number that is not negative, or None.

    Raises:
        TypeError: If it is not a whole number.
        ValueError: If it is negative.
    """
    if max_hops is None:
        return None
    if isinstance(max_hops, bool) or not hasattr(max_hops, "__index__"):
        raise TypeError(f"max_hops must be a whole number or None, got {max_hops!r}")
    if max_hops < 0:
        raise ValueError(f"max_hops must be 0 or more, got {max_hops}; leave it out to count every hop")
    return int(max_hops)


def _walk(graph: Adjacency, direction: Direction) -> Walk:
    num_nodes, pattern = graph.num_nodes, graph._matrix.pattern
    ahead = _arcs(*(part.cpu().numpy() for part in pattern.kernel))
    if graph.is_undirected:
        return Walk(num_nodes, ahead, ahead)
    behind = _arcs(*(part.cpu().numpy() for part in pattern.transpose_kernel))
    if direction == "out":
        return Walk(num_nodes, ahead, behind)
    forth, back = (
        scipy.sparse.csr_array((np.ones(arcs.indices.size, dtype=bool), arcs.indices, arcs.indptr), (num_nodes,) * 2)
        for arcs in (ahead, behind)
    )
    either = scipy.sparse.csr_array(forth + back)
    either.sort_indices()
    arcs = _arcs(either.indptr, either.indices)
    return Walk(num_nodes, arcs, arcs)


def _arcs(indptr: IntArray, indices: IntArray) -> Arcs:
    # Half the memory to read, and what scipy's searches take.
    narrow = np.int32 if max(indices.size, indptr.size) <= np.iinfo(np.int32).max else np.int64
    return Arcs(indptr.astype(narrow, copy=False), indices.astype(narrow, copy=False))


def ranges(starts: IntArray, ends: IntArray) -> IntArray:
    """``[starts[0], ..., ends[0] - 1, starts[1], ..., ends[1] - 1, ...]``."""
    counts = (ends - starts).astype(np.int64)
    positions: IntArray = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    positions += np.arange(positions.size)
    return positions
