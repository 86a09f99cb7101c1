"""The edges that enter every node, in the order attention needs them: by target, then by source.

Self-loops follow PyG's rule for attention, unlike that for GCN: existing loops are removed and every
node receives one. Edges that occur several times stay several edges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Fetch, Part
from gnnkit.graph.pattern import off_tape, row_pointers
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sparse_product import over_nodes
from gnnkit.graph.validation import checked_edge_index

Kept = TypeVar("Kept")


class EntryOrder(NamedTuple):
    """A CSR pattern and its transpose, int32 wherever that holds the numbers: half the memory of int64."""

    crow: Tensor  # entries of row r are crow[r] .. crow[r + 1] - 1
    col: Tensor
    row: Tensor
    t_crow: Tensor
    t_col: Tensor
    order: Tensor  # entry e of the transpose is entry order[e] of the pattern
    place: Tensor | None = None  # of copies: where entry e of the pattern stands among numbers of (copies, entries)


class Listing(NamedTuple):
    """Edges as a user lists them: the input edges in their order, then the added self-loops."""

    edge_index: Tensor  # (2, E'), sources and targets by position among the layer's rows
    entry: Tensor  # (E'), where each lies among the entries; -1 for a repeated self-loop, which sends nothing
    is_added: Tensor  # (E'), bool


class EnteringEdges:
    """Edges sorted by target, with or without one self-loop per target.

    Args:
        edge_index: Sources and targets, by position among the rows that go in and come out, ``(2, E)``.
        num_sources: How many rows go in.
        num_targets: How many come out; target i is source i.
        self_loops: Remove existing self-loops and add one per target.
        edge_ids: The number of every edge in the list that edge features follow; 0 .. E - 1 when omitted.
        num_listed: How long that list is.
        fetch: Brings the sources' rows where a layer is given those of some only; of a :class:`Part`.
    """

    def __init__(
        self,
        edge_index: Tensor,
        num_sources: int,
        num_targets: int,
        *,
        self_loops: bool,
        edge_ids: Tensor | None = None,
        num_listed: int | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self.num_sources, self.num_targets, self.self_loops = num_sources, num_targets, self_loops
        self.num_listed = edge_index.size(1) if num_listed is None else num_listed
        ids = torch.arange(edge_index.size(1), device=edge_index.device) if edge_ids is None else edge_ids
        source, target = edge_index
        is_loop = source == target
        self.loop_edges, self.loop_nodes = ids[is_loop], source[is_loop]
        if self_loops:
            nodes = torch.arange(num_targets, device=source.device)
            source, target = torch.cat([source[~is_loop], nodes]), torch.cat([target[~is_loop], nodes])
            ids = torch.cat([ids[~is_loop], torch.full_like(nodes, -1)])
        sort = torch.sort(target * max(num_sources, 1) + source, stable=True).indices
        small = max(source.numel() + self.num_listed, num_sources, num_targets) < 2**31
        self._index_dtype = torch.int32 if small else torch.int64
        self.crow = self._narrow(row_pointers(target, num_targets))
        self.col, self.row = self._narrow(source[sort]), self._narrow(target[sort])
        # Per entry the number of its edge in the list; -1 for the self-loops that were added.
        self.edge_ids = self._narrow(ids[sort])
        self._fetch = fetch
        self._kept: dict[object, Any] = {}

    def source_rows(self, x: Tensor) -> Tensor:
        """The rows of all sources, ``(*, num_sources, F)``, from those a layer is given."""
        return x if self._fetch is None else over_nodes(self._fetch, x)

    def _narrow(self, index: Tensor) -> Tensor:
        return index.to(self._index_dtype)

    @property
    def num_entries(self) -> int:
        """How many edges send a message, self-loops included."""
        return self.col.numel()

    @cached_property
    def transpose(self) -> tuple[Tensor, Tensor, Tensor]:
        """``(crow, col, order)`` by source."""

        def compute() -> tuple[Tensor, Tensor, Tensor]:
            order = torch.sort(self.col, stable=True).indices
            pointers = row_pointers(self.col, self.num_sources)
            return self._narrow(pointers), self.row[order], self._narrow(order)

        return off_tape(compute)

    def copies(self, count: int) -> EntryOrder:
        """The pattern ``count`` times: several heads as one graph of as many components.

        Node n of copy h is row n ``count`` + h, so that features ``(N, count, C)`` are its rows as they lie in memory.
        """
        return self.keep(("copies", count), lambda: self._copied(count))

    def keep(self, key: object, compute: Callable[[], Kept]) -> Kept:
        """What ``compute`` makes of these edges, kept with them."""
        if key not in self._kept:
            self._kept[key] = off_tape(compute)
        return cast(Kept, self._kept[key])

    def _copied(self, count: int) -> EntryOrder:
        t_crow, t_col, order = self.transpose
        if count == 1:
            return EntryOrder(self.crow, self.col, self.row, t_crow, t_col, order)
        copy = torch.arange(count, device=self.col.device)
        entry_of, t_entry_of = _interleaved(self.crow, self.row, count), _interleaved(t_crow, self.col[order], count)
        place = torch.empty_like(entry_of).view(-1)
        place[entry_of.view(-1)] = torch.arange(place.numel(), device=place.device)
        turned = torch.empty_like(place)
        turned[t_entry_of.view(-1)] = entry_of[:, order.long()].view(-1)

        def copied(nodes: Tensor, position: Tensor) -> Tensor:
            numbers = torch.empty_like(place)
            numbers[position.view(-1)] = (nodes.long() * count + copy.unsqueeze(1)).view(-1)
            return self._narrow(numbers)

        return EntryOrder(
            self._narrow(_interleaved_rows(self.crow, count)),
            copied(self.col, entry_of),
            copied(self.row, entry_of),
            self._narrow(_interleaved_rows(t_crow, count)),
            copied(t_col, t_entry_of),
            self._narrow(turned),
            self._narrow(place),
        )

    @cached_property
    def feature_rows(self) -> Tensor:
        """Where every entry's features are when those of the added self-loops follow the list's."""
        return off_tape(lambda: torch.where(self.edge_ids < 0, self.row + self.num_listed, self.edge_ids))

    @cached_property
    def listing(self) -> Listing:
        """The edges in the order of the list they came from, then the self-loops that were added."""
        return off_tape(self._listed)

    def _listed(self) -> Listing:
        ids, device = self.edge_ids.long(), self.col.device
        of_list = ids >= 0
        number = ids[of_list]
        edge_index = torch.full((2, self.num_listed), -1, dtype=torch.int64, device=device)
        entry = torch.full((self.num_listed,), -1, dtype=torch.int64, device=device)
        positions = torch.arange(self.num_entries, device=device)
        edge_index[0, number], edge_index[1, number] = self.col[of_list].long(), self.row[of_list].long()
        entry[number] = positions[of_list]
        added = torch.zeros(0, dtype=torch.int64, device=device)
        if self.self_loops:
            loop = torch.empty(self.num_targets, dtype=torch.int64, device=device)
            loop[self.row[~of_list].long()] = positions[~of_list]
            edge_index[:, self.loop_edges] = self.loop_nodes
            # A node's first self-loop in the list stands for the one it keeps.
            first = torch.full((self.num_targets,), self.num_listed, dtype=torch.int64, device=device)
            first = first.scatter_reduce(0, self.loop_nodes, self.loop_edges, "amin")
            listed = first < self.num_listed
            entry[first[listed]] = loop[listed]
            added = torch.nonzero(~listed).view(-1)
            entry = torch.cat([entry, loop[added]])
        # A block's list is the full graph's: only the edges that enter its targets are listed.
        inside = edge_index[0] >= 0
        keep = torch.cat([inside, torch.ones_like(added, dtype=torch.bool)])
        edge_index = torch.cat([edge_index[:, inside], added.expand(2, -1)], dim=1)
        is_added = torch.zeros(edge_index.size(1), dtype=torch.bool, device=device)
        is_added[edge_index.size(1) - added.numel() :] = True
        return Listing(edge_index, entry[keep], is_added)


def _interleaved_rows(crow: Tensor, count: int) -> Tensor:
    """Where the rows of ``count`` copies begin, each row's copies one after another."""
    degree = crow.long().diff().repeat_interleave(count)
    return functional.pad(degree.cumsum(0), (1, 0))


def _interleaved(crow: Tensor, row: Tensor, count: int) -> Tensor:
    """Where each entry of each copy comes to lie, ``(count, E)``, if row r of copy h is row r count + h."""
    crow, row = crow.long(), row.long()
    copy = torch.arange(count, device=crow.device).unsqueeze(1)
    within = torch.arange(row.numel(), device=crow.device) - crow[row]
    return crow[row] * count + copy * crow.diff()[row] + within


def entering_edges(graph: Adjacency | Block | Part | Tensor, num_nodes: int, *, self_loops: bool) -> EnteringEdges:
    """The entering edges of a graph, kept with it; those of a raw ``edge_index`` are sorted anew.

    Raises:
        ValueError: If an id of a raw ``edge_index`` is not a node.
    """
    if isinstance(graph, Tensor):
        edge_index = checked_edge_index(graph, num_nodes)
        return off_tape(lambda: EnteringEdges(edge_index, num_nodes, num_nodes, self_loops=self_loops))
    compute = _of_block if isinstance(graph, Block) else _of_part if isinstance(graph, Part) else _of_graph
    return graph._keep(("entering", self_loops), lambda: compute(graph, self_loops))  # type: ignore[arg-type]


def _of_graph(graph: Adjacency, self_loops: bool) -> EnteringEdges:
    edge_index, _ = graph.to_edge_index()
    return EnteringEdges(edge_index, graph.num_nodes, graph.num_nodes, self_loops=self_loops)


def _of_part(part: Part, self_loops: bool) -> EnteringEdges:
    return EnteringEdges(part.entering(), part.num_sources, part.num_nodes, self_loops=self_loops, fetch=part.fetch)


def _of_block(block: Block, self_loops: bool) -> EnteringEdges:
    full, _ = block.graph.to_edge_index()
    device = full.device
    target_of = torch.full((block.graph.num_nodes,), -1, dtype=torch.int64, device=device)
    target_of[block.target_ids] = torch.arange(block.num_targets, device=device)
    source_of = torch.full_like(target_of, -1)
    source_of[block.source_ids] = torch.arange(block.num_sources, device=device)
    ids = torch.nonzero(target_of[full[1]] >= 0).view(-1)
    edge_index = torch.stack([source_of[full[0, ids]], target_of[full[1, ids]]])
    if edge_index.numel() and int(edge_index[0].min()) < 0:
        raise ValueError("a block's sources must hold every node with an edge into its targets")
    return EnteringEdges(
        edge_index,
        block.num_sources,
        block.num_targets,
        self_loops=self_loops,
        edge_ids=ids,
        num_listed=full.size(1),
    )
