"""A model's rows with every neighbour, layer by layer: exact, in memory that the nodes bound and no field does.

The field of a few nodes is soon most of a graph, so scoring mini-batches with all neighbours would compute
the same rows many times over. Here each layer's rows are computed once, for a part of the nodes at a time,
as in the inference of Hamilton, Ying & Leskovec's GraphSAGE by OGB and DGL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sampled_block import BlockSampler
from gnnkit.graph.sampling import ALL, EnteringRows
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.walk import IntArray, ranges

_EDGES_AT_ONCE = 1 << 20


class LayeredModel(Protocol):
    """A model that can be run one layer at a time, as those of `gnnkit.models` can."""

    num_layers: int
    training: bool
    reads_initial: ClassVar[bool]  # whether a layer looks at ``initial``

    def enter(self, x: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
        """What the first layer is given of these nodes' features."""

    def layer(self, layer: int, hidden: Tensor, initial: Tensor, graph: Block) -> Tensor:
        """The rows of the block's targets, from its sources' ``hidden`` and what `enter` gave for the targets."""

    def leave(self, hidden: Tensor) -> Tensor:
        """The model's output of what the last layer gave."""


def check_layered(model: nn.Module) -> None:
    """Raise ValueError if calling the model does more than its ``enter``, ``layer`` and ``leave`` in turn.

    That is so where a class overrides what calls them, and not them: layer by layer the override never runs.
    """
    kind = type(getattr(model, "_orig_mod", model))  # of a compiled model, what it was made from
    for part in ("enter", "layer", "leave"):
        home = next((base for base in kind.__mro__ if part in vars(base)), kind)
        for caller in ("forward", "layers"):
            if getattr(home, caller, None) is not getattr(kind, caller, None):
                raise ValueError(
                    f"{kind.__name__} overrides {caller}, but mini-batches are scored layer by layer, by the {part} "
                    f"of {home.__name__}, which does not know of it; override enter, layer or leave instead, or "
                    "train without batch_size"
                )


class Layerwise:
    """Runs models on a graph with every neighbour, layer by layer.

    Args:
        sampler: Of the graph, with any fan-outs; its degrees and rows are shared.
        x: Features of all nodes.
        device: Where the model is.
        edges_at_once: About how many edges a part of the nodes has.
    """

    def __init__(
        self,
        sampler: BlockSampler,
        x: Tensor | SparseMatrix,
        *,
        device: torch.device | str = "cpu",
        edges_at_once: int = _EDGES_AT_ONCE,
    ) -> None:
        self.sampler, self.x, self.device, self.edges_at_once = sampler.with_fanouts([ALL]), x, device, edges_at_once

    @torch.no_grad()
    def logits(self, model: LayeredModel, nodes: Tensor) -> Tensor:
        """The model's output at ``nodes``, in evaluation mode: the rows that the full graph gives."""
        if not nodes.numel():
            return self.logits(model, torch.zeros(1, dtype=torch.int64))[:0]
        return self._left(model, self._hidden(model, nodes, model.num_layers))

    @torch.no_grad()
    def embedding(self, model: LayeredModel, nodes: Tensor) -> Tensor:
        """What the last layer but one gives at ``nodes``; the output of a model of one layer."""
        if model.num_layers == 1:
            return self.logits(model, nodes)
        return self._hidden(model, nodes, model.num_layers - 1).cpu()

    def _left(self, model: LayeredModel, hidden: Tensor) -> Tensor:
        parts = torch.split(hidden, max(self.edges_at_once // 16, 1))
        return torch.cat([model.leave(part.to(self.device)).cpu() for part in parts])

    def _hidden(self, model: LayeredModel, nodes: Tensor, num_layers: int) -> Tensor:
        """What comes out of ``num_layers`` layers at ``nodes``, in their order."""
        assert not model.training, "layer by layer, a model is only scored"
        rows = self.sampler.rows
        wanted, order = np.unique(nodes.cpu().numpy(), return_inverse=True)
        needed = [wanted]  # by layer, the nodes whose rows go in; the first layer reads features instead
        for _ in range(num_layers - 1):
            needed.insert(0, self._with_sources(rows, needed[0]))
        hidden: Tensor | None = None
        given: IntArray | None = None
        for layer, targets in enumerate(needed):
            parts = [
                self._part(model, layer, hidden, given, part) for part in _parts(rows, targets, self.edges_at_once)
            ]
            hidden, given = torch.cat(parts), targets
        assert hidden is not None
        return hidden[torch.from_numpy(order.ravel())]

    def _part(
        self, model: LayeredModel, layer: int, hidden: Tensor | None, given: IntArray | None, targets: IntArray
    ) -> Tensor:
        block = self.sampler.blocks(targets, [0])[0]
        if hidden is None or given is None:
            source_rows = initial = self._entered(model, block.source_ids)
        else:
            source_rows = hidden[torch.from_numpy(np.searchsorted(given, block.source_ids.numpy()))].to(self.device)
            initial = self._entered(model, block.target_ids) if model.reads_initial else source_rows
        return model.layer(layer, source_rows, initial, block.to(self.device)).cpu()

    def _entered(self, model: LayeredModel, nodes: Tensor) -> Tensor:
        rows = self.x.select_rows(nodes) if isinstance(self.x, SparseMatrix) else self.x[nodes]
        entered: Tensor = model.enter(rows.to(self.device))  # type: ignore[assignment]
        return entered

    def _with_sources(self, rows: EnteringRows, nodes: IntArray) -> IntArray:
        found = np.zeros(rows.num_nodes, dtype=bool)
        found[nodes] = True
        for part in _parts(rows, nodes, self.edges_at_once):
            start = rows.indptr[part].astype(np.int64)
            found[rows.source[ranges(start, start + rows.num_entering(part))]] = True
        return np.flatnonzero(found)


def _parts(rows: EnteringRows, nodes: IntArray, edges: int) -> Iterator[IntArray]:
    """``nodes`` in parts that about so many edges enter, in their order; a node and an edge count alike."""
    total = np.cumsum(rows.num_entering(nodes).astype(np.int64) + 1)
    begin = 0
    while begin < nodes.size:
        before = int(total[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(total, before + edges, side="right")), begin + 1)
        yield nodes[begin:end]
        begin = end
