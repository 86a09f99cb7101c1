"""Which nodes a layer can see: the L-hop field of messages arriving at given nodes.

An L-layer network's output at a node depends on the nodes within L hops of it, against the edges'
direction. A training step therefore needs only the field of the labelled nodes: one :class:`Block`
per layer, a rectangular slice of the full graph, normalised by the full graph's degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.pattern import Pattern, entries_of_rows, lasting, may_vary, off_tape, row_pointers
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.validation import check_graph, checked_node_ids

Kept = TypeVar("Kept")


class Block:
    """One layer's slice of a graph: every edge that enters ``target_ids``, from ``source_ids``.

    The targets come first among the sources, so a layer that needs a node's own row finds it in
    ``x[:num_targets]``.

    Args:
        graph: The full graph; degrees and weights are its own.
        source_ids: Nodes whose features go in, ``(S)``.
        target_ids: Nodes whose features come out, ``(T)``; the first T of ``source_ids``.

    Raises:
        TypeError: If the graph is no ``Adjacency``, or ids are no integers.
        ValueError: If an id is not a node or occurs twice, or the targets are not the first of the sources.
    """

    def __init__(self, graph: Adjacency, source_ids: Tensor, target_ids: Tensor) -> None:
        # A subclass says for itself what its rows are: several copies of a node, for one.
        if type(self) is Block:
            source_ids, target_ids = _checked_rows(graph, source_ids, target_ids)
        self._hold(graph, source_ids, target_ids)

    @classmethod
    def _of_field(cls, graph: Adjacency, source_ids: Tensor, target_ids: Tensor) -> Block:
        """The block of ids that were found in the graph itself, and need no check."""
        block = object.__new__(cls)
        block._hold(graph, source_ids, target_ids)
        return block

    def _hold(self, graph: Adjacency, source_ids: Tensor, target_ids: Tensor) -> None:
        self.graph, self.source_ids, self.target_ids = graph, source_ids, target_ids
        self._kept: dict[int, tuple[Adjacency, SparseMatrix]] = {}
        self._sliced: tuple[Pattern, bool, Pattern, Tensor] | None = None
        self._derived: dict[object, Any] = {}

    @property
    def num_sources(self) -> int:
        """How many rows go in."""
        return self.source_ids.numel()

    @property
    def num_targets(self) -> int:
        """How many rows come out."""
        return self.target_ids.numel()

    def restrict(self, full: Adjacency) -> SparseMatrix:
        """The rows entering the targets of ``full``, a weighted form of this block's graph.

        Returns:
            A matrix ``(num_targets, num_sources)`` whose product with the sources' rows gives the
            targets' rows of ``full.propagate``; kept while its weights carry no gradients.

        Raises:
            TypeError: If it is no ``Adjacency``.
            ValueError: If it has another number of nodes than the block's graph.
        """
        if not isinstance(full, Adjacency):
            raise TypeError(f"a block is cut from an Adjacency, got {type(full).__name__}")
        if full.num_nodes != self.graph.num_nodes:
            raise ValueError(f"the block's graph has {self.graph.num_nodes} nodes, but this one {full.num_nodes}")
        known = self._kept.get(id(full))
        if known is not None:
            return known[1]
        values = full._matrix.values
        pattern, entry = self._slice_of(full)
        # Asked of the full graph's weights: under no_grad the slice of weights that carry gradients has none.
        if may_vary(values):
            return SparseMatrix(pattern, values[entry], symmetric=False)
        matrix = SparseMatrix(pattern, lasting(lambda: values[entry], values), symmetric=False)
        # The entry holds the graph too, so that its id cannot come to mean another one.
        self._kept = {id(full): (full, matrix)}
        return matrix

    def _slice_of(self, full: Adjacency) -> tuple[Pattern, Tensor]:
        """The slice's pattern and its entries' places in ``full``; kept for weights that vary on one pattern."""
        matrix = full._matrix
        key = matrix.pattern, matrix.symmetric
        if self._sliced is None or self._sliced[0] is not key[0] or self._sliced[1] != key[1]:
            self._sliced = *key, *lasting(lambda: self._slice(full), matrix.values)
        return self._sliced[2:]

    def _keep(self, key: object, compute: Callable[[], Kept]) -> Kept:
        """What ``compute`` makes of the block's structure, kept with it."""
        if key not in self._derived:
            self._derived[key] = off_tape(compute)
        return cast(Kept, self._derived[key])

    def _slice(self, full: Adjacency) -> tuple[Pattern, Tensor]:
        matrix = full._matrix
        if matrix.symmetric:
            crow, col, order = matrix.pattern.crow, matrix.pattern.col, None
        else:
            transpose = matrix.pattern.transpose
            crow, col, order = transpose.crow, transpose.col, transpose.order
        target, entry = entries_of_rows(crow, self.target_ids)
        position = torch.full((full.num_nodes,), -1, dtype=torch.int64, device=full.device)
        position[self.source_ids] = torch.arange(self.num_sources, device=full.device)
        source = position[col[entry]]
        if source.numel() and int(source.min()) < 0:
            raise ValueError("a block's sources must hold every node with an edge into its targets")
        sort = torch.sort(target * self.num_sources + source).indices
        entry = entry[sort]
        pattern = Pattern(row_pointers(target, self.num_targets), source[sort], self.num_sources)
        return pattern, entry if order is None else order[entry]

    def __repr__(self) -> str:
        return f"Block({self.num_sources} -> {self.num_targets} of {self.graph.num_nodes} nodes)"


def _checked_rows(graph: Adjacency, source_ids: Tensor, target_ids: Tensor) -> tuple[Tensor, Tensor]:
    check_graph(graph)
    sources, targets = (
        checked_node_ids(ids, graph.num_nodes, name=name).to(graph.device)
        for name, ids in (("source_ids", source_ids), ("target_ids", target_ids))
    )
    counts = torch.bincount(sources)
    if counts.numel() and int(counts.max()) > 1:
        raise ValueError(f"source_ids holds {int(counts.argmax())} twice; a block takes each node once")
    if not torch.equal(sources[: targets.numel()], targets):
        raise ValueError(
            f"source_ids must begin with target_ids, got {sources[: targets.numel()].tolist()[:5]} where these are "
            f"{targets.tolist()[:5]}; put the targets first, or use receptive_field, which does"
        )
    return sources, targets


@dataclass(frozen=True)
class ReceptiveField:
    """The nodes that an L-layer network needs for the rows of ``targets``.

    Attributes:
        graph: The full graph.
        targets: The nodes asked for, ``(S)``.
        nodes: Every node within L hops, nearest first, the targets in front, ``(M)``.
        hops: Each one's hop distance to the nearest target, along the edges, ``(M)``.
        num_layers: L.
    """

    graph: Adjacency
    targets: Tensor
    nodes: Tensor
    hops: Tensor
    num_layers: int

    @property
    def sizes(self) -> list[int]:
        """How many nodes lie within 0, 1, ..., L hops."""
        counts = torch.bincount(self.hops, minlength=self.num_layers + 1)
        return [int(size) for size in torch.cumsum(counts, 0)]

    @property
    def fractions(self) -> list[float]:
        """The share of the graph within 0, 1, ..., L hops."""
        return [size / max(self.graph.num_nodes, 1) for size in self.sizes]

    @cached_property
    def adjacency(self) -> Adjacency:
        """The edges among ``nodes``, renumbered in their order; degrees are those of this smaller graph."""
        return self.graph.subgraph(self.nodes)

    @cached_property
    def blocks(self) -> list[Block]:
        """One block per layer, the first layer's first; the last one's targets are ``targets``."""
        sizes = self.sizes
        return [
            Block._of_field(self.graph, self.nodes[: sizes[hop + 1]], self.nodes[: sizes[hop]])
            for hop in reversed(range(self.num_layers))
        ]


def receptive_field(graph: Adjacency, nodes: Tensor | Sequence[int] | int, num_layers: int) -> ReceptiveField:
    r"""The nodes within ``num_layers`` hops of messages arriving at ``nodes``, with their hop.

    Messages travel along edges, so the field grows against them: the sources of the edges into
    ``nodes``, then the sources of the edges into those.

    Args:
        graph: Directed edges, source to target.
        nodes: Distinct node ids, or a boolean mask.
        num_layers: How many hops, 0 or more.

    Raises:
        ValueError: If an id is not a node or occurs twice, or ``num_layers`` is negative.

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=5)
        >>> field = receptive_field(chain, torch.tensor([3]), num_layers=2)
        >>> field.nodes.tolist(), field.hops.tolist(), field.sizes
        ([3, 2, 1], [0, 1, 2], [1, 2, 3])
    """
    check_graph(graph)
    if num_layers < 0:
        raise ValueError(f"num_layers must be 0 or more, got {num_layers}")
    targets = checked_node_ids(nodes, graph.num_nodes).to(graph.device)
    return off_tape(lambda: _field(graph, targets.clone(), num_layers))


def _field(graph: Adjacency, targets: Tensor, num_layers: int) -> ReceptiveField:
    crow, col = _entering(graph)
    hop_of = torch.full((graph.num_nodes,), -1, dtype=torch.int64, device=graph.device)
    hop_of[targets] = 0
    if int((hop_of == 0).sum()) != targets.numel():
        raise ValueError(f"nodes holds an id twice ({targets.numel()} ids, fewer distinct); pass nodes.unique()")
    found, frontier = [targets], targets
    for hop in range(1, num_layers + 1):
        _, entry = entries_of_rows(crow, frontier)
        neighbours = col[entry]
        hop_of[neighbours[hop_of[neighbours] < 0]] = hop
        frontier = torch.nonzero(hop_of == hop).view(-1)
        found.append(frontier)
    reached = torch.cat(found)
    return ReceptiveField(graph, targets, reached, hop_of[reached], num_layers)


def _entering(graph: Adjacency) -> tuple[Tensor, Tensor]:
    pattern = graph._matrix.pattern
    if graph.is_symmetric:
        return pattern.crow, pattern.col
    return pattern.transpose.crow, pattern.transpose.col


def layers_needed(graph: Adjacency, source: int | None = None, target: int | None = None) -> int:
    """How many layers before ``source`` can influence ``target``: their hop distance.

    Without a pair, the diameter: the layers after which every node can have influenced every other.

    Raises:
        ValueError: If only one of the two is given, an id is not a node, or no path leads there (a
            number of layers that would do does not exist).
    """
    from gnnkit.graph import hops

    if (source is None) != (target is None):
        raise ValueError(f"layers_needed takes both a source and a target or neither, got {source} and {target}")
    if source is None or target is None:
        return hops.diameter(graph)
    distance = hops.hop_count(graph, source, target)
    if distance < 0:
        raise ValueError(f"no path leads from {source} to {target}: no number of layers carries a message there")
    return distance
