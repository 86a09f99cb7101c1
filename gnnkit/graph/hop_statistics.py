"""What the hop distances of a graph amount to, without ever holding the matrix of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.bfs import single_source
from gnnkit.graph.bit_parallel import WORD, Level, union
from gnnkit.graph.many_sources import ManySources, block_words
from gnnkit.graph.validation import checked_node_ids
from gnnkit.graph.walk import Direction, IntArray, Walk, checked_max_hops, walk_along

Disconnected = Literal["raise", "reachable"]

# Bounds are narrowed by this many single searches at a time, while each settles enough nodes on average. The rest is
# searched in blocks, where a search costs some thirty times less but settles only its own node.
_PATIENCE, _PATIENCE_AFTER_SWEEPS = 64, 4
_WORTH_A_SEARCH = 32


def eccentricity(
    graph: Adjacency,
    nodes: Tensor | Sequence[int] | None = None,
    *,
    direction: Direction = "out",
    disconnected: Disconnected = "raise",
) -> Tensor:
    r"""Hops from each node to the node farthest from it.

    Args:
        graph: Directed edges, source to target; weights are ignored.
        nodes: Node ids, or a mask over the nodes; every node when omitted.
        direction: Follow edges ``"out"`` of a node, ``"in"`` to it, or ``"both"`` ways.
        disconnected: Where some node does not reach another, ``"raise"`` (the default), or count the
            ``"reachable"`` nodes only: per component, in an undirected graph.

    Shapes:
        - **nodes:** :math:`(S)`
        - **output:** :math:`(S)`, int64; 0 for a node that reaches no other

    Raises:
        ValueError: If an id is not a node, or the graph is disconnected and ``disconnected="raise"``.

    Example:
        >>> path = Adjacency.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> eccentricity(path).tolist()
        [2, 1, 2]
    """
    walk = _checked_walk(graph, direction, disconnected)
    ids = checked_node_ids(torch.arange(graph.num_nodes) if nodes is None else nodes, graph.num_nodes).cpu().numpy()
    bounds = _Bounds(walk)
    bounds.tighten(np.unique(ids), lambda: bounds.upper > bounds.lower, _PATIENCE)
    return torch.from_numpy(bounds.lower[ids]).to(graph.device)


def diameter(graph: Adjacency, *, direction: Direction = "out", disconnected: Disconnected = "raise") -> int:
    """The longest of all hop distances: the layers a message passing network needs to join any two nodes.

    Exact, though only a few nodes are searched from as a rule: every search bounds the eccentricities of the
    nodes around it (Takes & Kosters, "Determining the Diameter of Small World Networks", CIKM 2011,
    https://doi.org/10.1145/2063576.2063748; for directed graphs within strong components).

    Args:
        graph: Directed edges, source to target; weights are ignored.
        direction: Follow edges ``"out"``, ``"in"`` or ``"both"`` ways.
        disconnected: Where some node does not reach another, ``"raise"`` (the default), or take the longest
            distance between ``"reachable"`` nodes: the largest diameter of a component, in an undirected graph.

    Raises:
        ValueError: If there are no nodes, or the graph is disconnected and ``disconnected="raise"``.

    Example:
        >>> cycle = Adjacency.from_edge_index(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), num_nodes=4)
        >>> diameter(cycle), diameter(cycle, direction="both")
        (3, 2)
    """
    walk = _checked_walk(graph, direction, disconnected)
    if not graph.num_nodes:
        raise ValueError("a graph of 0 nodes has no diameter; it needs a node")
    bounds = _Bounds(walk)
    if walk.is_symmetric:
        bounds.sweep_twice()
    patience = _PATIENCE_AFTER_SWEEPS if walk.is_symmetric else _PATIENCE
    bounds.tighten(np.arange(graph.num_nodes), lambda: bounds.upper > bounds.lower.max(), patience)
    return int(bounds.lower.max())


def hop_histogram(
    graph: Adjacency,
    sources: Tensor | Sequence[int] | None = None,
    *,
    max_hops: int | None = None,
    direction: Direction = "out",
    disconnected: Disconnected = "reachable",
) -> Tensor:
    r"""How many pairs of a source and a node lie 0, 1, 2, ... hops apart.

    Args:
        graph: Directed edges, source to target; weights are ignored.
        sources: Node ids, or a mask over the nodes; every node when omitted.
        max_hops: Pairs farther apart than this are not counted.
        direction: Follow edges ``"out"`` of a source, ``"in"`` to it, or ``"both"`` ways.
        disconnected: Where some node does not reach another, count the ``"reachable"`` pairs (the default), or
            ``"raise"``.

    Shapes:
        - **output:** :math:`(D + 1)`, int64, where :math:`D` is the longest distance counted. Entry 0 counts
          each source with itself; the pairs out of reach are what the sum lacks of :math:`S |\mathcal{V}|`.

    Raises:
        ValueError: If a source is not a node, ``max_hops`` is negative, or the graph is disconnected and
            ``disconnected="raise"``.

    Example:
        >>> path = Adjacency.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> hop_histogram(path).tolist()
        [3, 4, 2]
    """
    walk, max_hops = _checked_walk(graph, direction, disconnected), checked_max_hops(max_hops)
    nodes = torch.arange(graph.num_nodes) if sources is None else sources
    ids = checked_node_ids(nodes, graph.num_nodes, name="sources").cpu().numpy()
    counts = _Histogram()
    ManySources(walk, ids.size, max_hops).visit(ids, counts)
    return torch.from_numpy(counts.counts).to(graph.device)


def average_distance(graph: Adjacency, *, direction: Direction = "out", disconnected: Disconnected = "raise") -> float:
    """The mean of the hop distances between different nodes, over ordered pairs.

    Args:
        graph: Directed edges, source to target; weights are ignored.
        direction: Follow edges ``"out"``, ``"in"`` or ``"both"`` ways.
        disconnected: Where some node does not reach another, ``"raise"`` (the default), or take the mean over the
            ``"reachable"`` pairs.

    Returns:
        The mean; 0.0 where no node reaches another.

    Raises:
        ValueError: If there are no nodes, or the graph is disconnected and ``disconnected="raise"``.

    Example:
        >>> path = Adjacency.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> round(average_distance(path), 3)
        1.333
    """
    if isinstance(graph, Adjacency) and not graph.num_nodes:
        raise ValueError("a graph of 0 nodes has no average distance; it needs a node")
    counts = hop_histogram(graph, direction=direction, disconnected=disconnected).cpu()
    pairs = int(counts[1:].sum())
    return int((counts * torch.arange(counts.numel())).sum()) / pairs if pairs else 0.0


def _checked_walk(graph: Adjacency, direction: Direction, disconnected: Disconnected) -> Walk:
    walk = walk_along(graph, direction)
    if disconnected not in ("raise", "reachable"):
        raise ValueError(f"disconnected must be 'raise' or 'reachable', got {disconnected!r}")
    if disconnected == "raise" and walk.num_nodes:
        components = int(walk.components.max()) + 1
        if components > 1:
            raise ValueError(
                f"the graph has {components} {'' if walk.is_symmetric else 'strongly '}connected components, so some "
                'distances are infinite; pass disconnected="reachable" to leave those out'
                + ("" if walk.is_symmetric else ', or direction="both" to walk edges either way')
            )
    return walk


class _Histogram:
    """Counts pairs by distance."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._lock = threading.Lock()

    def block(self, begin: int, num_sources: int, row_of: IntArray | None, levels: Iterator[Level]) -> None:
        self._add([int(np.bitwise_count(found.new).sum(dtype=np.int64)) for found in levels])

    def row(self, position: int, hops: IntArray) -> None:
        self._add(np.bincount(hops[hops >= 0]).tolist())

    def _add(self, counts: list[int]) -> None:
        with self._lock:
            if len(counts) > self.counts.size:
                self.counts = np.pad(self.counts, (0, len(counts) - self.counts.size))
            self.counts[: len(counts)] += counts


class _Farthest:
    """Keeps, for each source, the last level at which its search found a node."""

    def __init__(self, num_sources: int) -> None:
        self.hops: NDArray[np.int64] = np.zeros(num_sources, dtype=np.int64)

    def block(self, begin: int, num_sources: int, row_of: IntArray | None, levels: Iterator[Level]) -> None:
        mine = self.hops[begin : begin + num_sources]
        for found in levels:
            on_their_way = np.unpackbits(union(found.new).view(np.uint8), bitorder="little", count=num_sources)
            mine[on_their_way != 0] = found.level

    def row(self, position: int, hops: IntArray) -> None:
        self.hops[position] = hops.max()


class _Bounds:
    """Bounds on every node's eccentricity, narrowed search by search until they say enough.

    With e(w) known, a node v that reaches w and is reached by it has d(v, w) <= e(v) <= d(v, w) + e(w): within a
    strong component all nodes reach the same nodes, of which none is farther from w than e(w).
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        components = walk.components
        sizes = np.bincount(components)[components] if walk.num_nodes else components
        self.lower: NDArray[np.int64] = (sizes > 1).astype(np.int64)
        # Without a way out of its component, a node reaches no more nodes than that holds.
        most = sizes if walk.is_symmetric else walk.num_nodes
        self.upper: NDArray[np.int64] = np.full(walk.num_nodes, most - 1, dtype=np.int64)
        self.upper[np.diff(walk.ahead.indptr) == 0] = 0
        self._degrees = np.diff(walk.ahead.indptr).astype(np.int64)

    def sweep_twice(self) -> None:
        """Search to and fro across the largest component, and from halfway: from its centre, or near it.

        Crescenzi, Grossi, Habib, Lanzi & Marino, "On computing the diameter of real-world undirected graphs",
        Theoretical Computer Science 514, 2013, https://doi.org/10.1016/j.tcs.2012.09.018: a central node bounds most
        eccentricities below the diameter that the sweeps have found.
        """
        inside = self._walk.components == np.bincount(self._walk.components).argmax()
        hops = self._search(int(np.where(inside, self._degrees, -1).argmax()))
        for _ in range(2):
            from_one_end = self._search(int(hops.argmax()))
            from_other_end = self._search(int(from_one_end.argmax()))
            between = from_one_end + from_other_end == from_one_end.max()
            halfway = between & (np.abs(from_one_end - from_other_end) <= 1) & inside
            hops = self._search(int(np.where(halfway, self._degrees, -1).argmax()))

    def tighten(self, nodes: IntArray, is_open: Callable[[], NDArray[np.bool_]], patience: int) -> None:
        """Search until no node of ``nodes`` is open any more: until its bounds say enough.

        Single searches go on while ``patience`` of them settle some nodes each; the rest is searched in blocks.
        """
        outermost_first = True
        remaining = nodes[is_open()[nodes]]
        searches, before = 0, remaining.size
        while remaining.size:
            # In turn a node that may lie far out, which raises lower bounds, and a central one, which lowers upper
            # bounds; of several the one of highest degree.
            bound = self.upper[remaining] if outermost_first else -self.lower[remaining]
            degrees = self._degrees[remaining]
            self._search(int(remaining[(bound * (degrees.max() + 1) + degrees).argmax()]))
            outermost_first = not outermost_first
            remaining = remaining[is_open()[remaining]]
            searches += 1
            if searches == patience:
                if before - remaining.size < patience * _WORTH_A_SEARCH:
                    break
                searches, before = 0, remaining.size
        self._search_all(remaining, is_open)

    def _search(self, node: int) -> NDArray[np.int64]:
        """Search from one node and to it; narrow the bounds of the nodes around it. Returns the hops from it."""
        from_node = single_source(self._walk, node).astype(np.int64)
        to_node = from_node if self._walk.is_symmetric else single_source(self._walk.back, node).astype(np.int64)
        farthest = from_node.max()
        np.maximum(self.lower, to_node, out=self.lower)  # -1, where no path leads to the node, changes nothing
        around = self._walk.components == self._walk.components[node]
        np.maximum(self.lower, farthest - from_node, out=self.lower, where=around)
        np.minimum(self.upper, farthest + to_node, out=self.upper, where=around)
        self.lower[node] = self.upper[node] = farthest
        return from_node

    def _search_all(self, remaining: IntArray, is_open: Callable[[], NDArray[np.bool_]]) -> None:
        """Search from the nodes still open in blocks, the farthest out first: they may settle the others."""
        search = ManySources(self._walk, remaining.size, None)
        remaining = remaining[np.argsort(-self.upper[remaining], kind="stable")]
        size = block_words(self._walk.num_nodes, remaining.size) * WORD * torch.get_num_threads()
        while remaining.size:
            found = _Farthest(remaining[:size].size)
            search.visit(remaining[:size], found)
            self.lower[remaining[:size]] = self.upper[remaining[:size]] = found.hops
            remaining = remaining[is_open()[remaining]]
