"""What a forward pass needs to score some nodes: the least of the graph that gives exactly their rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from gnnkit.data.node_data import NodeData
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import Block, receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.prunable import is_pyg_model
from gnnkit.nn.pruned import Edges, Pruned, call, check_takes
from gnnkit.nn.pruned import prune as pruned_model
from gnnkit.nn.rows import check_blocks, checked_rows
from recurrent.sequences import Sequences

Features = Tensor | SparseMatrix | Sequences


class View(NamedTuple):
    """Rows of features or sequences, the graph as the model takes it, and the rows of the output to keep."""

    x: Features
    graph: Adjacency | Sequence[Block] | Edges | Pruned
    rows: Tensor | None  # None: the output has the scored nodes' rows and no others
    labels: Tensor

    def logits(self, model: nn.Module) -> Tensor:
        """The model's output at the scored nodes.

        Raises:
            TypeError: If the model does not give a row of numbers per node.
        """
        out: Any
        if isinstance(self.graph, Pruned):
            out = self.graph(cast(Tensor | SparseMatrix, self.x))  # runs the model, which is the one it was made of
        elif isinstance(self.graph, Edges):
            out = call(model, cast(Tensor, self.x), self.graph)
        else:
            out = model(self.x, self.graph)
        if self.rows is None:
            return checked_rows(model, out, self.labels.numel())
        num_nodes = len(self.x) if isinstance(self.x, Sequences) else self.x.shape[0]
        return checked_rows(model, out, num_nodes)[self.rows]


def view_of(model: nn.Module, data: NodeData, features: Features, mask: Tensor, *, prune: bool = True) -> View:
    """The smallest exact view of the masked nodes: their receptive field, where the model allows it.

    Models of gnnkit get Blocks; models of PyG are pruned. Where that is not exact in the mode the model is in,
    training or evaluation, it gets the full graph, with a warning that says why.

    Raises:
        TypeError: If the model does not give a row of numbers per node.
        ValueError: If the graph has weights and a model of PyG takes none, or nodes have sequences.
    """
    nodes = torch.nonzero(mask).view(-1)
    if is_pyg_model(model):
        if isinstance(features, Sequences):
            raise ValueError(
                f"layers of PyG take a row of features per node, got {features}; gnnkit.models.SequenceGraph reads them"
            )
        return _pyg_view(model, data, features, nodes, prune)
    whole = View(features, data.adjacency, nodes, data.y[nodes])
    if not (prune and getattr(model, "takes_blocks", False)):
        return whole
    known = receptive_field(data.adjacency, nodes, cast(int, model.num_layers))
    rows = features[known.nodes] if isinstance(features, Tensor) else features.select_rows(known.nodes)
    view = View(rows, known.blocks, None, data.y[nodes])
    try:
        check_blocks(model, lambda: view.logits(model), lambda: whole.logits(model))
    except ValueError as reason:
        _warn(model, reason)
        return whole
    return view


def _pyg_view(model: nn.Module, data: NodeData, features: Tensor | SparseMatrix, nodes: Tensor, prune: bool) -> View:
    edges = Edges.of(data.adjacency)
    check_takes(model, edges)
    if prune:
        try:
            pruned = pruned_model(model, data.adjacency, nodes)
            pruned.check(features)
        except ValueError as reason:
            _warn(model, reason)
        else:
            return View(pruned.select(features), pruned, None, data.y[nodes])
    x = features.to_dense() if isinstance(features, SparseMatrix) else features
    return View(x, edges, nodes, data.y[nodes])


def _warn(model: nn.Module, reason: ValueError) -> None:
    mode = "training" if model.training else "scoring"
    warnings.warn(f"{mode} on the full graph, as with prune=False: {reason}", stacklevel=4)


def features_of(data: NodeData) -> Features:
    """The features in the form that layers compute with: a sparse matrix converted once, not at every step."""
    if isinstance(data.x, Sequences) or data.x.layout == torch.strided:
        return data.x
    return SparseMatrix.from_tensor(data.x)
