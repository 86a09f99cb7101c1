"""A layer's slice of a graph as it was sampled, with the weights that make up for the edges not drawn.

Where k of the d edges that enter a node were drawn, each counts d / k times: what a layer sums over its
neighbours is then, on average over the draws, what it would sum over them all. With every edge drawn it
is exactly that, normalised by the degrees of the full graph, and no matrix of the full graph is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.normalization import _power, checked_kind
from gnnkit.graph.pattern import Pattern, row_pointers
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sampling import Backend, EnteringRows, NeighborSampler, Sample
from gnnkit.graph.self_loops import checked_loop_weight
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.walk import IntArray

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class WeightedForm:
    """Which weights a layer asks for: the calls of an ``Adjacency`` that derive them, noted for each block.

    Attributes:
        dtype: Of the weights.
        has_negative_weights: Whether a weight of the full graph is below 0.
        self_loop_weight: lambda of the loops added to nodes without one; None where none are added.
        kind: The normalisation; None for the weights as they are.
    """

    dtype: torch.dtype
    has_negative_weights: bool = False
    self_loop_weight: float | Tensor | None = None
    kind: Literal["sym", "row"] | None = None

    def with_self_loops(self, weight: float | Tensor = 1.0) -> WeightedForm:
        """As `Adjacency.with_self_loops`.

        Raises:
            ValueError: If lambda is no finite number that the weights' dtype holds.
        """
        return replace(self, self_loop_weight=checked_loop_weight(weight, self.dtype))

    def normalized(self, kind: Literal["sym", "row"] = "sym") -> WeightedForm:
        """As `Adjacency.normalized`.

        Raises:
            ValueError: If a weight is negative, or the normalisation needs the edges that leave a node.
        """
        if checked_kind(kind) == "column":
            raise ValueError("a sampled block knows the edges that enter its nodes; normalise by 'sym' or 'row'")
        if self.has_negative_weights:
            raise ValueError(
                f"{kind} normalisation needs non-negative weights, but some are negative; take their absolute "
                "value, or pass normalize=False to use the weights as they are"
            )
        return replace(self, kind=kind)

    @property
    def key(self) -> object:
        """By what a block keeps the matrix; None where its weights carry gradients."""
        return None if isinstance(self.self_loop_weight, Tensor) else ("form", self.self_loop_weight, self.kind)


class SampledBlock(Block):
    """One layer's slice of a sampled graph: the edges drawn into ``target_ids``, from ``source_ids``.

    The targets come first among the sources. It holds tensors of its own size alone, and none of the graph. Degrees
    and shares are float64, and a weight takes its dtype last, as `gnnkit.graph.normalization` has it: float16 ends at
    65504, below the degree of many a hub.

    Args:
        source_ids: Nodes whose features go in, ``(S)``.
        target_ids: Nodes whose features come out, the first T of them, ``(T)``.
        edge_index: Edges by position among the two, targets ascending, ``(2, E)``.
        edge_weight: Their weights; None where every weight is 1.
        dtype: Of the weights.
        degree: The sum of the weights entering each source in the full graph, ``(S)``, float64.
        has_loop: Whether the full graph has an edge from each source to itself, ``(S)``.
        share: d / k of each target, ``(T)``, float64; None where every edge was drawn.
        has_negative_weights: Whether the full graph has any.
    """

    def __init__(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        edge_index: Tensor,
        *,
        edge_weight: Tensor | None,
        dtype: torch.dtype,
        degree: Tensor,
        has_loop: Tensor,
        share: Tensor | None,
        has_negative_weights: bool = False,
    ) -> None:
        self.source_ids, self.target_ids, self.edge_index = source_ids, target_ids, edge_index
        self.edge_weight, self.degree, self.has_loop, self.share = edge_weight, degree, has_loop, share
        # What a layer takes for the full graph, to derive the weights of: see `gnnkit.nn.inputs.full_graph`.
        self.graph = cast(Adjacency, WeightedForm(dtype, has_negative_weights))
        self._derived: dict[object, object] = {}

    def restrict(self, full: Adjacency) -> SparseMatrix:
        """The matrix ``(num_targets, num_sources)`` of a form of the full graph's weights."""
        form = cast(WeightedForm, full)
        if form.key is None:
            return self._matrix(form)
        return self._keep(form.key, lambda: self._matrix(form))

    def _matrix(self, form: WeightedForm) -> SparseMatrix:
        source, target = self.edge_index
        weight = self.degree.new_ones(source.numel()) if self.edge_weight is None else self.edge_weight.double()
        if self.share is not None:
            weight = weight * self.share[target]
        degree, loop = self.degree, form.self_loop_weight
        if loop is not None:
            # In the weights' dtype first: the loops of the full graph are.
            number = torch.as_tensor(loop, dtype=form.dtype, device=degree.device).double().reshape(1)
            degree = degree + number * (~self.has_loop).double()
            added = torch.nonzero(~self.has_loop[: self.num_targets]).view(-1)
            fill = number.expand(added.numel())
            target = torch.cat([target, added])
            order = torch.sort(target, stable=True).indices
            source, target = torch.cat([source, added])[order], target[order]
            weight = torch.cat([weight, fill])[order]
        if form.kind is not None:
            scale = _power(degree, -0.5 if form.kind == "sym" else -1.0)
            weight = weight * (scale[target] * scale[source] if form.kind == "sym" else scale[target])
        pattern = Pattern(row_pointers(target, self.num_targets), source, self.num_sources)
        return SparseMatrix(pattern, weight.to(form.dtype), symmetric=False)

    def _keep(self, key: object, compute: Callable[[], Kept]) -> Kept:
        if isinstance(key, tuple) and key[0] == "entering":
            # What attention asks of a block is looked up in the full graph, which this one does not have.
            return super()._keep(key, lambda: self._attended(key[1]))  # type: ignore[return-value]
        return super()._keep(key, compute)

    def _attended(self, self_loops: bool) -> EnteringEdges:
        return EnteringEdges(self.edge_index, self.num_sources, self.num_targets, self_loops=self_loops)

    def to(self, device: torch.device | str) -> SampledBlock:
        """The block on another device."""
        if self.source_ids.device == torch.device(device):
            return self
        weight, share = self.edge_weight, self.share
        return SampledBlock(
            self.source_ids.to(device),
            self.target_ids.to(device),
            self.edge_index.to(device),
            edge_weight=None if weight is None else weight.to(device),
            dtype=self.graph.dtype,
            degree=self.degree.to(device),
            has_loop=self.has_loop.to(device),
            share=None if share is None else share.to(device),
            has_negative_weights=cast(WeightedForm, self.graph).has_negative_weights,
        )

    def __repr__(self) -> str:
        return f"SampledBlock({self.num_sources} -> {self.num_targets} nodes, {self.edge_index.size(1)} edges)"


class BlockSampler:
    """Draws neighbours of seeds, as one block per layer.

    Args:
        graph: Directed edges, source to target.
        fanouts: Edges drawn per node, by hop from the seeds: the last layer's first. -1 for all.
        replace: Draw with replacement.
        backend: See `gnnkit.graph.sampling.NeighborSampler`.

    Raises:
        ValueError: If a fan-out is below -1, or the graph's weights require gradients.

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=5)
        >>> BlockSampler(chain, [-1, -1]).blocks(np.array([3]), key=[0])
        [SampledBlock(3 -> 2 nodes, 2 edges), SampledBlock(2 -> 1 nodes, 1 edges)]
    """

    def __init__(
        self, graph: Adjacency, fanouts: Sequence[int], *, replace: bool = False, backend: Backend = "auto"
    ) -> None:
        self.graph, self.rows = graph, EnteringRows.of_graph(graph)
        self.sampler = NeighborSampler(self.rows, fanouts, replace=replace, backend=backend)
        # Found here once, not by every worker process.
        self._has_loop = torch.from_numpy(self.rows.has_loop) if graph.num_self_loops else None
        self._degree = torch.from_numpy(self.rows.in_degree) if self.rows.weight is not None else None
        self._negative = graph.has_negative_weights

    def __reduce__(self) -> tuple[object, ...]:
        sampler = self.sampler
        made = partial(BlockSampler, replace=sampler.replace, backend=sampler.backend)
        return made, (self.graph, sampler.fanouts)

    def with_fanouts(self, fanouts: Sequence[int]) -> BlockSampler:
        """A sampler of the same graph, without replacement, that shares what was found of it."""
        other = object.__new__(BlockSampler)
        other.__dict__ |= self.__dict__
        other.sampler = NeighborSampler(self.rows, fanouts, backend=self.sampler.backend)
        return other

    def blocks(self, seeds: IntArray, key: Sequence[int]) -> list[SampledBlock]:
        """One block per layer, the first layer's first; the last one's targets are the seeds.

        Args:
            seeds: Distinct nodes.
            key: Where chance comes from: numbers such as a seed, an epoch and a batch.

        Raises:
            ValueError: If a seed is not a node, or given twice.
        """
        return self.blocks_of(self.sampler.sample(seeds, key))

    def blocks_of(self, sample: Sample) -> list[SampledBlock]:
        """The blocks of what was drawn: the last layer has the edges of hop 1, the one before also those of hop 2."""
        nodes = torch.from_numpy(sample.nodes)
        entering = torch.from_numpy(self.rows.num_entering(sample.nodes))
        degree = entering.double() if self._degree is None else self._degree[nodes]
        has_loop = torch.zeros(nodes.numel(), dtype=torch.bool) if self._has_loop is None else self._has_loop[nodes]
        edge_index = torch.from_numpy(np.stack([sample.source, sample.target]))
        drawn = torch.bincount(edge_index[1], minlength=nodes.numel())
        exact = not self.sampler.replace and bool((drawn == entering)[: nodes.numel() - sample.num_nodes[-1]].all())
        share = None if exact else entering.double() / drawn.clamp(min=1)
        weight = None if self.rows.weight is None else torch.from_numpy(self.rows.weight[sample.entry])
        blocks = []
        for hops in range(1, len(sample.num_edges) + 1):
            edges, targets = sum(sample.num_edges[:hops]), sum(sample.num_nodes[:hops])
            sources = targets + sample.num_nodes[hops]
            block = SampledBlock(
                nodes[:sources],
                nodes[:targets],
                edge_index[:, :edges],
                edge_weight=None if weight is None else weight[:edges],
                dtype=self.graph.dtype,
                degree=degree[:sources],
                has_loop=has_loop[:sources],
                share=None if share is None else share[:targets],
                has_negative_weights=self._negative,
            )
            blocks.append(block)
        return blocks[::-1]
