"""Edge features in the order attention needs them, with features for the self-loops that were added."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.pattern import Pattern
from gnnkit.graph.sparse import SparseMatrix

_REDUCTIONS = {"min": "amin", "max": "amax", "mul": "prod"}


def entering_features(edge_attr: Tensor, edges: EnteringEdges, fill_value: float | Tensor | str) -> Tensor:
    """One row per entering edge, ``(E, D) -> (E', D)``.

    Args:
        edge_attr: Features in the order of the list that ``edges`` came from.
        edges: Where they enter.
        fill_value: A self-loop's features: a number, a row of them, or a reduction over the features of
            the other edges entering the node. Where none do, it is 0, or 1 for ``"mul"``, as in PyG.
    """
    if not edges.self_loops:
        return edge_attr.index_select(0, edges.edge_ids)
    rows = torch.cat([edge_attr, _loop_features(edge_attr, edges, fill_value)])
    return rows.index_select(0, edges.feature_rows)


def _loop_features(edge_attr: Tensor, edges: EnteringEdges, fill_value: float | Tensor | str) -> Tensor:
    shape = edges.num_targets, edge_attr.size(1)
    if not isinstance(fill_value, str):
        row = torch.as_tensor(fill_value, dtype=edge_attr.dtype, device=edge_attr.device)
        return row.expand(shape)
    if fill_value in ("mean", "add"):
        matrix = edges.keep(("features", fill_value, edge_attr.dtype), lambda: _summing(edges, fill_value, edge_attr))
        return matrix.matmul(edge_attr)
    entry = torch.nonzero(edges.edge_ids >= 0).view(-1)
    entering = edge_attr.index_select(0, edges.edge_ids[entry])
    target = edges.row[entry].long().unsqueeze(1).expand_as(entering)
    start = edge_attr.new_full(shape, 1.0 if fill_value == "mul" else 0.0)
    return start.scatter_reduce(0, target, entering, _REDUCTIONS[fill_value], include_self=fill_value == "mul")


def _summing(edges: EnteringEdges, how: str, like: Tensor) -> SparseMatrix:
    """The matrix that sums, or averages, the features of the edges entering each target."""
    entry = edges.edge_ids >= 0
    # Each target has one self-loop, so the others' pointers are the rows' less one per row before.
    crow = edges.crow.long() - torch.arange(edges.num_targets + 1, device=edges.crow.device)
    counts = crow.diff().to(like.dtype)
    weight = torch.ones_like(counts) if how == "add" else counts.clamp(min=1).reciprocal()
    values = weight[edges.row[entry].long()]
    return SparseMatrix(Pattern(crow, edges.edge_ids[entry].long(), like.size(0)), values, symmetric=False)
