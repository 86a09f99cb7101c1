"""Several graphs as one, and a part of one as a graph of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gnnkit.graph.coalesce import coalesced
from gnnkit.graph.pattern import Pattern
from gnnkit.graph.sparse import SparseMatrix


def block_diagonal(matrices: Sequence[SparseMatrix]) -> SparseMatrix:
    """Square matrices along the diagonal of one."""
    crow, col, nodes, edges = [matrices[0].pattern.crow[:1]], [], 0, 0
    for matrix in matrices:
        pattern = matrix.pattern
        crow.append(pattern.crow[1:] + edges)
        col.append(pattern.col + nodes)
        nodes, edges = nodes + pattern.num_rows, edges + pattern.col.numel()
    values = torch.cat([matrix.values for matrix in matrices])
    return SparseMatrix(Pattern(torch.cat(crow), torch.cat(col), nodes), values)


def induced(matrix: SparseMatrix, ids: Tensor) -> SparseMatrix:
    """The rows and columns of ``ids``, renumbered in their order.

    Raises:
        ValueError: If an id occurs twice.
    """
    pattern, size = matrix.pattern, matrix.pattern.num_rows
    position = torch.full((size,), -1, dtype=torch.int64, device=ids.device)
    position[ids] = torch.arange(ids.numel(), device=ids.device)
    if ids.numel() and int((position >= 0).sum()) != ids.numel():
        repeated = int(ids[torch.nonzero(torch.bincount(ids, minlength=size)[ids] > 1)[0]])
        raise ValueError(f"nodes holds {repeated} twice; a subgraph takes each node once: pass nodes.unique()")
    source, target = position[pattern.row], position[pattern.col]
    inside = (source >= 0) & (target >= 0)
    kept = torch.stack([source[inside], target[inside]])
    return coalesced(kept, matrix.values[inside], ids.numel(), "sum")
