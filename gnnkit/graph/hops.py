"""Hop distances: how many edges a message must cross from one node to another.

Weights are ignored; for weighted distances use ``scipy.sparse.csgraph.dijkstra(graph.to_scipy())``.
Every function takes a ``direction``: ``"out"`` walks the edges from source to target, ``"in"`` against them,
``"both"`` either way. Searches run on the CPU; results lie on the graph's device.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.bfs import single_source
from gnnkit.graph.bit_parallel import WORD, Level
from gnnkit.graph.bit_planes import BitPlanes, HopArray
from gnnkit.graph.hop_statistics import average_distance, diameter, eccentricity, hop_histogram
from gnnkit.graph.many_sources import ManySources, block_words
from gnnkit.graph.validation import checked_node_ids
from gnnkit.graph.walk import Direction, IntArray, checked_max_hops, walk_along

__all__ = [
    "average_distance",
    "diameter",
    "eccentricity",
    "hop_count",
    "hop_distance",
    "hop_histogram",
    "iter_hop_distance",
    "shortest_path",
]

_BLOCK_CELLS = 1 << 28
_NUMPY_DTYPES: dict[torch.dtype, type[np.integer[Any]]] = {
    torch.uint8: np.uint8,
    torch.int8: np.int8,
    torch.int16: np.int16,
    torch.int32: np.int32,
    torch.int64: np.int64,
}


def hop_distance(
    graph: Adjacency,
    sources: Tensor | Sequence[int] | None = None,
    *,
    max_hops: int | None = None,
    direction: Direction = "out",
    dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""Fewest edges from each source to every node, or -1 where no path leads there.

    Args:
        graph: Directed edges, source to target; weights are ignored.
        sources: Node ids, or a mask over the nodes; every node when omitted.
        max_hops: Nodes farther than this count as unreached.
        direction: Follow edges ``"out"`` of a source, ``"in"`` to it, or ``"both"`` ways.
        dtype: An integer dtype; by default the smallest signed one that holds the hops. ``torch.uint8`` holds up to
            254 hops and marks unreached nodes with 255.
        out: A tensor to fill and return.

    Shapes:
        - **sources:** :math:`(S)`
        - **output:** :math:`(S, |\mathcal{V}|)`, in hops

    Raises:
        TypeError: If ``graph`` is not an ``Adjacency`` or ``dtype`` is not an integer dtype.
        ValueError: If a source is not a node, ``max_hops`` is negative, ``out`` has the wrong shape, or ``dtype``
            cannot hold a distance.

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
        >>> hop_distance(chain, torch.tensor([0])).tolist()
        [[0, 1, 2, -1]]
        >>> hop_distance(chain, [0, 2], direction="in", max_hops=1).tolist()
        [[0, -1, -1, -1], [-1, 1, 0, -1]]
    """
    walk, max_hops = walk_along(graph, direction), checked_max_hops(max_hops)
    if sources is None:
        # Every node is a source, so columns will do as well as rows, and those need no transposing.
        ids, backwards = np.arange(graph.num_nodes), True
        walk = walk.back
    else:
        ids, backwards = checked_node_ids(sources, graph.num_nodes, name="sources").cpu().numpy(), False
    shape = (ids.size, graph.num_nodes)
    numpy_dtype = _checked_dtype(dtype, out, shape)
    search = ManySources(walk, ids.size, max_hops)
    on_cpu = out.numpy() if out is not None and out.device.type == "cpu" else None
    hops = torch.from_numpy(_distances(search, ids, graph.num_nodes, numpy_dtype, on_cpu, backwards))
    if out is None:
        return hops.to(graph.device)
    return out if on_cpu is not None else out.copy_(hops)


def iter_hop_distance(
    graph: Adjacency,
    sources: Tensor | Sequence[int] | None = None,
    *,
    block_size: int | None = None,
    max_hops: int | None = None,
    direction: Direction = "out",
    dtype: torch.dtype | None = None,
) -> Iterator[Tensor]:
    r"""The rows of :func:`hop_distance` in order, a block at a time: what does not fit into memory whole.

    Args:
        graph: Directed edges, source to target; weights are ignored.
        sources: Node ids, or a mask over the nodes; every node when omitted.
        block_size: Rows per block; by default as many as are quickest to compute, within a quarter of a gigabyte.
        max_hops: Nodes farther than this count as unreached.
        direction: Follow edges ``"out"`` of a source, ``"in"`` to it, or ``"both"`` ways.
        dtype: As for :func:`hop_distance`; by default each block has the smallest that holds it.

    Shapes:
        - **sources:** :math:`(S)`
        - **each block:** :math:`(\le \text{block\_size}, |\mathcal{V}|)`, in hops

    Raises:
        TypeError, ValueError: As :func:`hop_distance`; or if ``block_size`` is below 1.

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> [block.tolist() for block in iter_hop_distance(chain, block_size=2)]
        [[[0, 1, 2], [-1, 0, 1]], [[-1, -1, 0]]]
    """
    walk, max_hops = walk_along(graph, direction), checked_max_hops(max_hops)
    nodes = torch.arange(graph.num_nodes) if sources is None else sources
    ids = checked_node_ids(nodes, graph.num_nodes, name="sources").cpu().numpy()
    numpy_dtype = _checked_dtype(dtype, None, (ids.size, graph.num_nodes))
    if block_size is None:
        quickest = block_words(graph.num_nodes, ids.size) * WORD * torch.get_num_threads()
        block_size = max(min(quickest, _BLOCK_CELLS // max(graph.num_nodes, 1)), WORD)
    elif operator.index(block_size) < 1:
        raise ValueError(f"block_size must be 1 or more, got {block_size}")

    def blocks(size: int) -> Iterator[Tensor]:
        search = ManySources(walk, ids.size, max_hops)
        for begin in range(0, ids.size, size):
            block = ids[begin : begin + size]
            hops = _distances(search, block, graph.num_nodes, numpy_dtype)
            yield torch.from_numpy(hops).to(graph.device)

    return blocks(block_size)  # a function of its own, so that mistakes are reported before the first block


def hop_count(graph: Adjacency, source: int, target: int, *, direction: Direction = "out") -> int:
    """Fewest edges from ``source`` to ``target``; -1 where no path leads there.

    Raises:
        ValueError: If a node is not in the graph.

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> hop_count(chain, 0, 2), hop_count(chain, 2, 0)
        (2, -1)
    """
    walk = walk_along(graph, direction)
    source, target = _checked_node(graph, source, "source"), _checked_node(graph, target, "target")
    return int(single_source(walk, source, target=target)[target])


def shortest_path(graph: Adjacency, source: int, target: int, *, direction: Direction = "out") -> list[int]:
    """One path of fewest edges from ``source`` to ``target``, both included; empty where there is none.

    Of several it is the one with the smallest ids, compared from the source on.

    Raises:
        ValueError: If a node is not in the graph.

    Example:
        >>> square = Adjacency.from_edge_index(torch.tensor([[0, 0, 1, 2], [1, 2, 3, 3]]), num_nodes=4)
        >>> shortest_path(square, 0, 3), shortest_path(square, 3, 0)
        ([0, 1, 3], [])
    """
    walk = walk_along(graph, direction)
    source, target = _checked_node(graph, source, "source"), _checked_node(graph, target, "target")
    to_target = single_source(walk.back, target, target=source)
    if to_target[source] < 0:
        return []
    path, indptr, indices = [source], walk.ahead.indptr, walk.ahead.indices
    for remaining in range(int(to_target[source]) - 1, -1, -1):
        neighbors = indices[indptr[path[-1]] : indptr[path[-1] + 1]]
        path.append(int(neighbors[to_target[neighbors] == remaining].min()))
    return path


def _checked_node(graph: Adjacency, node: int, name: str) -> int:
    return int(checked_node_ids([operator.index(node)], graph.num_nodes, name=name))


def _checked_dtype(
    dtype: torch.dtype | None, out: Tensor | None, shape: tuple[int, int]
) -> type[np.integer[Any]] | None:
    """The numpy dtype asked for by ``dtype`` or ``out``; None to find the smallest."""
    if out is not None:
        if tuple(out.shape) != shape:
            raise ValueError(f"out must have shape {shape}, (sources, nodes), got {tuple(out.shape)}")
        if dtype is not None and dtype != out.dtype:
            raise ValueError(f"dtype is {dtype} but out is {out.dtype}; leave dtype out, or pass an out of that dtype")
        dtype = out.dtype
    if dtype is not None and dtype not in _NUMPY_DTYPES:
        names = ", ".join(str(known) for known in _NUMPY_DTYPES)
        raise TypeError(f"hops are whole numbers: the dtype must be one of {names}, got {dtype}")
    return None if dtype is None else _NUMPY_DTYPES[dtype]


class _Distances:
    """Writes what searches find into a matrix; widens it where hops outgrow a dtype that nobody asked for."""

    def __init__(self, hops: HopArray, may_widen: bool, backwards: bool) -> None:
        self.hops, self._may_widen, self._backwards = hops, may_widen, backwards
        self.outgrown: list[range] = []
        self._farthest = 0

    def block(self, begin: int, num_sources: int, row_of: IntArray | None, levels: Iterator[Level]) -> None:
        positions = range(begin, begin + num_sources)
        if self.outgrown:  # another block's hops did not fit: this one may wait for the wider matrix
            self.outgrown.append(positions)
            return
        planes, farthest = BitPlanes(self.hops.shape[1], num_sources, row_of), 0
        for found in levels:
            farthest = found.level
            planes.record(found)
        if not self._fits(farthest):
            self.outgrown.append(positions)  # the matrix cannot be exchanged while other blocks write to it
        elif self._backwards:
            planes.write_columns(self.hops[:, positions.start : positions.stop])
        else:
            planes.write_rows(self.hops[positions.start : positions.stop])

    def row(self, position: int, hops: IntArray) -> None:
        if not self._fits(int(hops.max())):
            self.widen()
        if self._backwards:
            self.hops[:, position] = hops
        else:
            self.hops[position] = hops

    def widen(self) -> None:
        """Exchange the matrix for one that holds the farthest hops seen."""
        self.hops = self.hops.astype(np.int16 if self._farthest <= np.iinfo(np.int16).max else np.int32)
        self.outgrown = []

    def _fits(self, farthest: int) -> bool:
        most = 254 if self.hops.dtype == np.uint8 else np.iinfo(self.hops.dtype).max
        if farthest <= most:
            return True
        if not self._may_widen:
            raise ValueError(
                f"a distance of {farthest} hops does not fit {self.hops.dtype}, which holds {most}; "
                "choose a wider dtype, or cut off with max_hops"
            )
        self._farthest = max(farthest, self._farthest)
        return False


def _distances(
    search: ManySources,
    sources: IntArray,
    num_nodes: int,
    dtype: type[np.integer[Any]] | None,
    out: HopArray | None = None,
    backwards: bool = False,
) -> HopArray:
    """The matrix of hops, in ``out`` if there is one; ``backwards`` if ``search`` leads to the sources."""
    hops = np.empty((sources.size, num_nodes), dtype=dtype or np.int8) if out is None else out
    written = _Distances(hops, may_widen=dtype is None, backwards=backwards)
    pending = [range(sources.size)]
    while pending:
        search.visit(sources, written, pending)
        pending = written.outgrown
        if pending:
            written.widen()
    return written.hops
