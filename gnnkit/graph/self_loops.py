"""Weighted self-loops, A + lambda I, on the CSR of a square matrix.

PyG's rule for GCN, ``add_remaining_self_loops``: a node that has a self-loop keeps its
weight, the others receive one of weight lambda.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gnnkit.graph.pattern import Pattern, off_tape
from gnnkit.graph.sparse import SparseMatrix


def self_loop_entries(pattern: Pattern) -> Tensor:
    """Which entries lie on the diagonal, as a boolean mask ``(num_entries)``."""
    return pattern.row == pattern.col


def with_remaining_self_loops(matrix: SparseMatrix, weight: float | Tensor) -> SparseMatrix:
    """Give every node without a self-loop one of ``weight``; gradients reach a tensor's weight."""
    pattern, target, loop = off_tape(lambda: _merged_pattern(matrix.pattern))
    values = matrix.values.new_zeros(pattern.col.numel()).index_copy(0, target, matrix.values)
    if isinstance(weight, Tensor):
        fill = weight.to(values.dtype).reshape(1).expand(loop.numel())
    else:
        fill = torch.full((loop.numel(),), float(weight), dtype=values.dtype, device=values.device)
    values = values.index_copy(0, loop, fill)
    known = matrix.symmetric if not values.requires_grad else None
    return SparseMatrix(pattern, values, symmetric=True if known else None)


def _merged_pattern(pattern: Pattern) -> tuple[Pattern, Tensor, Tensor]:
    """The pattern with a full diagonal; where the old entries went, and where the new loops lie."""
    row, col, size = pattern.row, pattern.col, pattern.num_rows
    has_loop = torch.zeros(size, dtype=torch.bool, device=row.device)
    has_loop[row[row == col]] = True
    missing = torch.nonzero(~has_loop).view(-1)
    # An entry moves by the loops added in earlier rows, and by its own row's when it lies beyond the diagonal.
    added_before = torch.cumsum(~has_loop, 0)  # loops added in rows 0..i
    shift = torch.where(col < row, added_before[row] - (~has_loop[row]).long(), added_before[row])
    target = torch.arange(col.numel(), device=row.device) + shift
    below = torch.bincount(row[col < row], minlength=size)
    loop = pattern.crow[missing] + below[missing] + added_before[missing] - 1
    merged = torch.empty(col.numel() + missing.numel(), dtype=torch.int64, device=row.device)
    merged[target], merged[loop] = col, missing
    crow = torch.cat([pattern.crow[:1], pattern.crow[1:] + added_before])
    return Pattern(crow, merged, size), target, loop
