"""Neighbour sampling: for each node of a hop at most so many of the edges that enter it.

The sampling of Hamilton, Ying & Leskovec, "Inductive Representation Learning on Large Graphs",
NIPS 2017, https://arxiv.org/abs/1706.02216, in the form that PyG's ``NeighborLoader`` gives it: a node
is asked for neighbours in the hop that follows its discovery, and never again. All nodes of a hop are
served by the same few array operations, so no compiled library is needed; distinct edges are drawn by
Floyd's algorithm (Bentley & Floyd, "A sample of brilliance", CACM 30(9), 1987) in all rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import checked_edge_index
from gnnkit.graph.walk import IntArray, ranges

Backend = Literal["auto", "numpy", "pyg-lib"]
ALL = -1  # a fan-out of every edge, as PyG writes it
_ROWS_OF_ENTRIES = 1 << 24  # entries looked at together where all are looked at


class EnteringRows:
    """The edges that enter every node, as compressed rows in the order of sources.

    Args:
        indptr: The entries of node t are ``indptr[t] .. indptr[t + 1] - 1``, ``(N + 1)``.
        source: Where the edge of an entry begins, ``(E)``.
        weight: Its weight, ``(E)``; None where every weight is 1.
        edge_id: Gives every entry's edge, its place among the graph's edges, ``(E)``; called when needed.
    """

    def __init__(
        self,
        indptr: IntArray,
        source: IntArray,
        weight: NDArray[np.floating[Any]] | None,
        edge_id: Callable[[], IntArray],
    ) -> None:
        self.indptr, self.source, self.weight, self._find_edge_id = indptr, source, weight, edge_id

    @classmethod
    def of_graph(cls, graph: Adjacency) -> EnteringRows:
        """Those of a graph, kept with it; an edge's id is its place in ``graph.to_edge_index()``.

        Raises:
            TypeError: If it is no ``Adjacency``.
            ValueError: If the weights require gradients: what is drawn here is off the tape.
        """
        if not isinstance(graph, Adjacency):
            raise TypeError(f"the graph must be an Adjacency, got {type(graph).__name__}")
        if graph._matrix.values.requires_grad:
            raise ValueError("a graph whose weights require gradients cannot be sampled; detach the weights")
        return graph._keep("entering rows", lambda: cls._of_graph(graph))

    @classmethod
    def _of_graph(cls, graph: Adjacency) -> EnteringRows:
        matrix, pattern = graph._matrix, graph._matrix.pattern
        # Where every edge has its reverse, rows are columns, and need no sorting.
        indptr, source = pattern.kernel if graph.is_undirected else pattern.transpose_kernel
        weight = matrix.transposed_values if graph.is_weighted else None
        return cls(
            indptr.cpu().numpy(),
            source.cpu().numpy(),
            None if weight is None else weight.cpu().numpy(),
            lambda: pattern.transpose.order.cpu().numpy(),
        )

    @classmethod
    def of_edge_index(cls, edge_index: Tensor, num_nodes: int) -> EnteringRows:
        """Those of an edge list in which edges may repeat; an edge's id is its column.

        Raises:
            TypeError, ValueError: If it is no ``edge_index`` of so many nodes.
        """
        source, target = checked_edge_index(edge_index, num_nodes).cpu().numpy()
        order = np.lexsort((source, target))
        indptr = np.zeros(num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(target, minlength=num_nodes), out=indptr[1:])
        return cls(indptr, source[order], None, lambda: order)

    @property
    def num_nodes(self) -> int:
        """How many nodes there are."""
        return self.indptr.size - 1

    @cached_property
    def edge_id(self) -> IntArray:
        """The edge of every entry, ``(E)``."""
        return self._find_edge_id()

    def num_entering(self, nodes: IntArray) -> IntArray:
        """How many edges enter each of ``nodes``."""
        count: IntArray = self.indptr[nodes + 1] - self.indptr[nodes]
        return count

    @cached_property
    def in_degree(self) -> NDArray[np.floating[Any]]:
        """The sum of the weights that enter each node, ``(N)``."""
        if self.weight is None:
            return np.diff(self.indptr).astype(np.float64)
        sums = np.zeros(self.num_nodes, dtype=np.float64)
        filled = np.flatnonzero(np.diff(self.indptr))
        if filled.size:  # reduceat sums from each start to the next; rows without an entry have none
            sums[filled] = np.add.reduceat(self.weight, self.indptr[filled], dtype=np.float64)
        return sums

    @cached_property
    def has_loop(self) -> NDArray[np.bool_]:
        """Whether an edge leads from each node to itself, ``(N)``."""
        found = np.zeros(self.num_nodes, dtype=bool)
        for begin, end in self.parts(_ROWS_OF_ENTRIES):
            first, last = self.indptr[begin], self.indptr[end]
            target = np.repeat(np.arange(begin, end), np.diff(self.indptr[begin : end + 1]))
            found[target[self.source[first:last] == target]] = True
        return found

    def parts(self, entries: int) -> Iterator[tuple[int, int]]:
        """Ranges of nodes, in order, that have about so many entries each; one node may have more."""
        begin = 0
        while begin < self.num_nodes:
            room = int(self.indptr[begin]) + entries
            end = max(int(np.searchsorted(self.indptr, room, side="right")) - 1, begin + 1)
            end = min(end, self.num_nodes, begin + max(entries, 1))
            yield begin, end
            begin = end


class Sample(NamedTuple):
    """What was drawn: nodes in the order of their discovery, and the edges along which they were discovered.

    Attributes:
        nodes: Node ids, the seeds first, ``(n)``.
        source: Where each edge begins, by position in ``nodes``, ``(e)``.
        target: Where it ends, ascending, ``(e)``.
        entry: Which entry of the rows it is, ``(e)``.
        num_nodes: How many nodes each hop discovered; the seeds are hop 0.
        num_edges: How many edges each hop drew.
        seed: The seed (its position) from which a node was discovered, ``(n)``, where every seed has a
            tree of its own; None where they share one graph.
    """

    nodes: IntArray
    source: IntArray
    target: IntArray
    entry: IntArray
    num_nodes: list[int]
    num_edges: list[int]
    seed: IntArray | None


def checked_fanouts(fanouts: Sequence[int]) -> tuple[int, ...]:
    """How many edges to draw per node in hop 1, 2, ...; -1 stands for all.

    Raises:
        ValueError: If there is none, or one is neither -1 nor 0 or more.
    """
    found = tuple(int(fanout) for fanout in fanouts)
    if not found or any(not ALL <= fanout < 2**31 for fanout in found):
        raise ValueError(f"fan-outs must be one number per hop, 0 or more, or -1 for all edges; got {list(fanouts)}")
    return found


def checked_seeds(rows: EnteringRows, seeds: IntArray, *, distinct: bool) -> IntArray:
    """The seeds as int64.

    Raises:
        TypeError: If they are not whole numbers.
        ValueError: If they are not in one row, one is not a node, or one is given twice where they must be
            ``distinct``.
    """
    given = np.asarray(seeds)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(f"seeds must be whole numbers, got {given.dtype}")
    if given.ndim != 1:
        raise ValueError(f"seeds must be one row of nodes, got shape {given.shape}")
    seeds = given.astype(np.int64)
    if seeds.size and not 0 <= seeds.min() <= seeds.max() < rows.num_nodes:
        wrong = seeds.min() if seeds.min() < 0 else seeds.max()
        raise ValueError(f"the seed {wrong} is not among the nodes 0..{rows.num_nodes - 1}")
    if distinct and seeds.size:
        ascending = np.sort(seeds)
        twice = ascending[1:][ascending[1:] == ascending[:-1]]
        if twice.size:
            raise ValueError(f"the seed {twice[0]} is given twice; pass distinct nodes, or disjoint=True: a tree each")
    return seeds


def sample_neighbors(
    rows: EnteringRows,
    seeds: IntArray,
    fanouts: Sequence[int],
    generator: np.random.Generator,
    *,
    replace: bool = False,
    disjoint: bool = False,
) -> Sample:
    """Draw, hop by hop, at most ``fanouts[hop]`` of the edges that enter each node discovered in the hop before.

    Without replacement every set of so many edges is equally likely; a node with fewer gives all it has.
    With replacement every draw is independent, and an edge may come several times.

    Args:
        rows: The graph.
        seeds: Where to begin; distinct, unless ``disjoint``.
        fanouts: Edges per node in hop 1, 2, ...; -1 for all.
        generator: Where chance comes from.
        replace: Draw with replacement.
        disjoint: Give each seed a tree of its own, even where trees meet in the graph.

    Raises:
        ValueError: If a seed is not a node, or is given twice though not ``disjoint``.
    """
    fanouts, seeds = checked_fanouts(fanouts), checked_seeds(rows, seeds, distinct=not disjoint)
    known = _Known(seeds, rows.num_nodes if disjoint else None)
    source, target, entry = [], [], []
    num_nodes, num_edges, begin = [seeds.size], [], 0
    for fanout in fanouts:
        frontier = known.nodes[-1]
        position, drawn = _drawn(rows.indptr, frontier, fanout, generator, replace)
        source.append(known.positions(rows.source[drawn].astype(np.int64), begin + position))
        target.append(begin + position)
        entry.append(drawn)
        begin += frontier.size
        num_nodes.append(known.nodes[-1].size)
        num_edges.append(drawn.size)
    return Sample(
        np.concatenate(known.nodes),
        np.concatenate(source),
        np.concatenate(target),
        np.concatenate(entry),
        num_nodes,
        num_edges,
        np.concatenate(known.seeds) if disjoint else None,
    )


class _Known:
    """Which nodes are discovered, and their positions; a node of a disjoint tree is its seed and its id."""

    def __init__(self, seeds: IntArray, trees_of: int | None) -> None:
        self._trees_of = trees_of
        self.nodes: list[IntArray] = [seeds]
        self.seeds: list[IntArray] = [np.arange(seeds.size)]
        key = seeds if trees_of is None else self.seeds[0] * trees_of + seeds
        order = np.argsort(key)
        self._key, self._position = key[order], order  # ascending keys, and where each node is

    def positions(self, nodes: IntArray, parent: IntArray) -> IntArray:
        """The positions of ``nodes``, reached from those at ``parent``; who is new is added behind, ascending."""
        key = nodes
        if self._trees_of is not None:
            key = np.concatenate(self.seeds)[parent] * self._trees_of + nodes
        found, which = np.unique(key, return_inverse=True)
        place = np.searchsorted(self._key, found)
        is_known = np.zeros(found.size, dtype=bool)
        inside = place < self._key.size
        is_known[inside] = self._key[place[inside]] == found[inside]
        position = np.empty(found.size, dtype=np.int64)
        position[is_known] = self._position[place[is_known]]
        fresh = found[~is_known]
        position[~is_known] = self._key.size + np.arange(fresh.size)
        self._position = np.insert(self._position, place[~is_known], position[~is_known])
        self._key = np.insert(self._key, place[~is_known], fresh)
        self.nodes.append(fresh if self._trees_of is None else fresh % self._trees_of)
        self.seeds.append(fresh[:0] if self._trees_of is None else fresh // self._trees_of)
        return position[which.ravel()]


def _drawn(
    indptr: IntArray, nodes: IntArray, fanout: int, generator: np.random.Generator, replace: bool
) -> tuple[IntArray, IntArray]:
    """Entries drawn for each of ``nodes``, one node after the other: ``(position in nodes, entry)``."""
    start = indptr[nodes].astype(np.int64)
    degree = indptr[nodes + 1] - start
    if fanout == ALL:
        return np.repeat(np.arange(nodes.size), degree), ranges(start, start + degree)
    if replace:
        count = np.where(degree > 0, fanout, 0)
        position = np.repeat(np.arange(nodes.size), count)
        return position, start[position] + _below(degree[position], generator)
    count = np.minimum(degree, fanout)
    position, entry = np.repeat(np.arange(nodes.size), count), ranges(start, start + count)
    many = np.flatnonzero(degree > fanout)
    if many.size and fanout:
        picked = _distinct(degree[many], fanout, generator)
        first = (np.cumsum(count) - count)[many]
        entry[first[:, None] + np.arange(fanout)] = start[many][:, None] + picked
    return position, entry


def _below(bound: IntArray, generator: np.random.Generator) -> IntArray:
    """A number from 0 to below each bound; the bias of rounding is below bound / 2^53."""
    drawn: IntArray = (generator.random(bound.shape) * bound).astype(np.int64)
    return drawn


def _distinct(size: IntArray, count: int, generator: np.random.Generator) -> IntArray:
    """``count`` distinct numbers below each size, every set as likely as every other, ascending: ``(S, count)``."""
    picked = np.empty((count, size.size), dtype=np.int64)
    for draw in range(count):
        last = size - count + draw
        number = _below(last + 1, generator)
        # Floyd: whoever draws a number that is taken gets the last one, which no earlier draw could give.
        picked[draw] = np.where((picked[:draw] == number).any(axis=0), last, number)
    return np.sort(picked.T, axis=1)


class NeighborSampler:
    """Draws neighbours with one set of rules; the same key gives the same sample.

    Args:
        rows: The graph.
        fanouts: Edges per node in hop 1, 2, ...; -1 for all.
        replace: Draw with replacement.
        disjoint: Give each seed a tree of its own.
        backend: ``"numpy"``; ``"pyg-lib"``, PyG's compiled library; or ``"auto"``, that library where it can be
            imported. The two draw different samples from one key.

    Raises:
        ValueError: If a fan-out is below -1, or there is no such backend.
        ImportError: If pyg-lib is asked for and cannot be imported.
    """

    def __init__(
        self,
        rows: EnteringRows,
        fanouts: Sequence[int],
        *,
        replace: bool = False,
        disjoint: bool = False,
        backend: Backend = "auto",
    ) -> None:
        self.rows, self.fanouts, self.replace, self.disjoint = rows, checked_fanouts(fanouts), replace, disjoint
        if backend not in get_args(Backend):
            raise ValueError(f"backend must be one of {', '.join(get_args(Backend))}, got {backend!r}")
        if backend == "auto":
            backend = "pyg-lib" if find_spec("pyg_lib") else "numpy"
        elif backend == "pyg-lib" and not find_spec("pyg_lib"):
            raise ImportError("backend='pyg-lib' needs PyG's library pyg-lib; install it, or pass backend='numpy'")
        self.backend = backend

    def sample(self, seeds: IntArray, key: Sequence[int]) -> Sample:
        """What `sample_neighbors` draws by chance of ``key``, numbers such as a seed, an epoch and a batch.

        Raises:
            ValueError: If a seed is not a node, or is given twice though not ``disjoint``.
        """
        if self.backend == "numpy":
            if not all(isinstance(each, int | np.integer) and each >= 0 for each in key):
                raise ValueError(f"the key of a draw must be whole numbers, 0 or more, got {list(key)}")
            generator = np.random.default_rng(list(key))
            return sample_neighbors(
                self.rows, seeds, self.fanouts, generator, replace=self.replace, disjoint=self.disjoint
            )
        from gnnkit.graph.pyg_lib import sample_by_pyg_lib

        seeds = checked_seeds(self.rows, seeds, distinct=not self.disjoint)
        return sample_by_pyg_lib(self.rows, seeds, self.fanouts, key, replace=self.replace, disjoint=self.disjoint)
