"""Many nodes' receptive fields side by side, each with copies of its own, under the full graph's degrees.

Row v of a network's output depends on the nodes within L hops of v. Where every target has its own copy of
those nodes, one backward pass gives one target's gradients in its own rows and another's in others, so
that hundreds of nodes share it. Edges enter the copies within L - 1 hops; rows at the rim are never read.
Normalised weights are slices of the full graph's, which a subgraph normalised anew would get wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.pattern import Pattern, entries_of_rows, row_pointers
from gnnkit.graph.receptive_field import Block
from gnnkit.nn.pruned import Edges, Pruned

Kept = TypeVar("Kept")


class Entering(NamedTuple):
    """Edges by the node they enter: those of node t are entries ``crow[t] .. crow[t + 1] - 1``."""

    crow: Tensor
    source: Tensor
    edge: Tensor  # the number of every entry in the list the edges came from

    @classmethod
    def of(cls, edge_index: Tensor, num_nodes: int) -> Entering:
        """Those of PyG's edge list."""
        order = torch.sort(edge_index[1], stable=True).indices
        return cls(row_pointers(edge_index[1], num_nodes), edge_index[0, order], order)

    @classmethod
    def of_graph(cls, graph: Adjacency) -> Entering:
        """Those of a graph, numbered as in its ``to_edge_index()``."""
        pattern = graph._matrix.pattern
        transpose = pattern.transpose
        return cls(transpose.crow, transpose.col, transpose.order)


class Egos:
    """The fields of several targets.

    Args:
        entering: The full graph's edges.
        targets: Distinct node ids, ``(S)``.
        num_layers: L, how many hops a field reaches.

    Attributes:
        owner: Which target each copy belongs to, as a position among the targets, ``(M)``.
        node: Which node it copies, ``(M)``.
        hop: How far that is from its target, ``(M)``, ascending: the targets themselves come first, in order.
        sizes: How many copies lie within 0, 1, ..., L hops.
    """

    def __init__(self, entering: Entering, targets: Tensor, num_layers: int) -> None:
        self.num_nodes = entering.crow.numel() - 1
        self.targets, self.num_layers = targets, num_layers
        count, device = targets.numel(), targets.device
        owner, node = torch.arange(count, device=device), targets
        # Where each pair (owner, node) stands among the copies; -1 where it does not.
        self._position = torch.full((count * self.num_nodes,), -1, dtype=torch.int64, device=device)
        self._position[owner * self.num_nodes + node] = owner
        found, self.sizes = [owner * self.num_nodes + node], [count]
        for _ in range(num_layers):
            at, entry = entries_of_rows(entering.crow, node)
            reached = owner[at] * self.num_nodes + entering.source[entry]
            reached = reached[self._position[reached] < 0]
            # Of copies reached several times the last to write stays: distinct without sorting them all.
            numbers = torch.arange(reached.numel(), device=device)
            self._position[reached] = numbers
            reached = reached[self._position[reached] == numbers].sort().values
            self._position[reached] = torch.arange(reached.numel(), device=device) + self.sizes[-1]
            found.append(reached)
            self.sizes.append(self.sizes[-1] + reached.numel())
            owner, node = reached // self.num_nodes, reached % self.num_nodes
        copies = torch.cat(found)
        self.owner, self.node = copies // self.num_nodes, copies % self.num_nodes
        counts = torch.tensor(self.sizes, device=device).diff(prepend=torch.zeros(1, dtype=torch.int64, device=device))
        self.hop = torch.repeat_interleave(torch.arange(num_layers + 1, device=device), counts)
        self._entries: dict[int, tuple[Entering, tuple[Tensor, Tensor, Tensor]]] = {}

    def __len__(self) -> int:
        return self.node.numel()

    def edges(self, entering: Entering) -> tuple[Tensor, Tensor, Tensor]:
        """The edges into the copies within L - 1 hops, by target: ``(source copy, target copy, edge number)``.

        ``entering`` may hold other edges than the fields were found by (self-loops), if none leads farther.
        """
        known = self._entries.get(id(entering))
        if known is None:
            inner = self.sizes[self.num_layers - 1] if self.num_layers else 0
            target, entry = entries_of_rows(entering.crow, self.node[:inner])
            source = self._position[self.owner[target] * self.num_nodes + entering.source[entry]]
            known = entering, (source, target, entering.edge[entry])
            self._entries = {id(entering): known}  # it holds the key's object, so that its id stays its own
        return known[1]


class EgoBlock(Block):
    """One layer's slice of a graph, with copies for rows: from those within ``hops + 1`` to those within ``hops``."""

    def __init__(self, graph: Adjacency, egos: Egos, hops: int, entering_of: Callable[[Adjacency], Entering]) -> None:
        super().__init__(graph, egos.node[: egos.sizes[hops + 1]], egos.node[: egos.sizes[hops]])
        self._egos, self._entering_of = egos, entering_of

    def _slice(self, full: Adjacency) -> tuple[Pattern, Tensor]:
        source, target, edge = self._edges(full)
        order = torch.sort(target * self.num_sources + source).indices
        return Pattern(row_pointers(target, self.num_targets), source[order], self.num_sources), edge[order]

    def _edges(self, graph: Adjacency) -> tuple[Tensor, Tensor, Tensor]:
        source, target, edge = self._egos.edges(self._entering_of(graph))
        # Targets ascend, and with them hops: those of this layer come first.
        count = int(torch.searchsorted(target, self.num_targets))
        return source[:count], target[:count], edge[:count]

    def _keep(self, key: object, compute: Callable[[], Kept]) -> Kept:
        if isinstance(key, tuple) and key[0] == "entering":
            # What attention asks of a block is found by node ids, of which there are several copies here.
            return super()._keep(key, lambda: self._attended(key[1]))  # type: ignore[return-value]
        return super()._keep(key, compute)

    def _attended(self, self_loops: bool) -> EnteringEdges:
        source, target, edge = self._edges(self.graph)
        return EnteringEdges(
            torch.stack([source, target]),
            self.num_sources,
            self.num_targets,
            self_loops=self_loops,
            edge_ids=edge,
            num_listed=self.graph.num_edges,
        )


class EgoBlocks:
    """Cuts :class:`EgoBlock` layers from one graph; what they share of it is kept between batches."""

    def __init__(self, graph: Adjacency) -> None:
        self.graph, self.entering = graph, Entering.of_graph(graph)
        self._known: dict[int, tuple[Adjacency, Entering]] = {id(graph): (graph, self.entering)}

    def blocks(self, egos: Egos) -> list[EgoBlock]:
        """One block per layer, the first layer's first; equal ones are one object."""
        blocks: list[EgoBlock] = []
        for hops in range(egos.num_layers):
            size = egos.sizes[hops + 1]
            if blocks and blocks[-1].num_sources == size and blocks[-1].num_targets == egos.sizes[hops]:
                blocks.append(blocks[-1])
            else:
                blocks.append(EgoBlock(self.graph, egos, hops, self._entering_of))
        return blocks[::-1]

    def _entering_of(self, graph: Adjacency) -> Entering:
        if id(graph) not in self._known:
            if len(self._known) > 8:  # normalised forms that a model makes anew at every call
                self._known = {id(self.graph): (self.graph, self.entering)}
            self._known[id(graph)] = graph, Entering.of_graph(graph)
        return self._known[id(graph)][1]


class EgoModel(Pruned):
    """A PyG model on the copies; like :class:`~gnnkit.nn.pruned.Pruned`, of which a node may be in several fields."""

    def __init__(self, model: nn.Module, edges: Edges, num_nodes: int, egos: Egos, shared: SharedEdges) -> None:
        nn.Module.__init__(self)
        self.model, self.num_nodes, self.targets, self.nodes = model, num_nodes, egos.targets, egos.node
        self._egos, self._shared = egos, shared
        source, target, self._kept = egos.edges(shared.entering)
        self._edge_index = torch.stack([source, target])
        self._edge_attr = None if edges.edge_attr is None else edges.edge_attr[self._kept]
        self._full_edge_index, self._full_edge_weight = edges.edge_index, edges.edge_weight
        self._rows = torch.arange(egos.targets.numel(), device=egos.node.device)

    def _normalized_for(self, layer: Any, weighted: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        entering, weight = self._shared.normalized(layer, weighted, dtype)
        source, target, edge = self._egos.edges(entering)
        return torch.stack([source, target]), weight[edge]


class SharedEdges:
    """The full graph's edges by target, and their normalised forms, for all batches."""

    def __init__(self, edges: Edges, num_nodes: int) -> None:
        self._edges, self._num_nodes = edges, num_nodes
        self.entering = Entering.of(edges.edge_index, num_nodes)
        self._normalized: dict[Any, tuple[Entering, Tensor]] = {}

    def normalized(self, layer: Any, weighted: bool, dtype: torch.dtype) -> tuple[Entering, Tensor]:
        """The normalised edges and their weights, as this layer would have made them of the full graph."""
        improved = bool(getattr(layer, "improved", False))
        key = improved, bool(layer.add_self_loops), weighted, dtype
        if key not in self._normalized:
            from torch_geometric.nn.conv.gcn_conv import gcn_norm

            given = self._edges.edge_weight if weighted else None
            index, weight = gcn_norm(
                self._edges.edge_index, given, self._num_nodes, improved, layer.add_self_loops, layer.flow, dtype
            )
            self._normalized[key] = Entering.of(index, self._num_nodes), weight.detach()
        return self._normalized[key]
