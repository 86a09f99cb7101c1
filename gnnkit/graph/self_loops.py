"""Weighted self-loops, A + lambda I, on the CSR of a square matrix.

PyG's rule for GCN, ``add_remaining_self_loops``: a node that has a self-loop keeps its
weight, the others receive one of weight lambda.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnkit.graph.pattern import Pattern, may_vary, plain
from gnnkit.graph.sparse import SparseMatrix


def self_loop_entries(pattern: Pattern) -> Tensor:
    """Which entries lie on the diagonal, as a boolean mask ``(num_entries)``."""
    return pattern.row == pattern.col


def checked_loop_weight(weight: float | Tensor, dtype: torch.dtype) -> float | Tensor:
    """The weight lambda as a number; a tensor that carries gradients, or is mapped, stays one.

    Raises:
        ValueError: If it is NaN, infinite, too large for the weights' dtype, or a tensor of several numbers.
    """
    if isinstance(weight, Tensor):
        if weight.numel() != 1:
            raise ValueError(f"a self-loop weight is one number, got shape {tuple(weight.shape)}")
        if not weight.is_leaf:
            # A network made it, anew at every step: a look at each would wait for the device, and where training
            # diverges the loss says so.
            return weight
    largest = torch.finfo(dtype).max
    for number in plain(weight).reshape(-1).tolist() if isinstance(weight, Tensor) else [float(weight)]:
        if not math.isfinite(number):
            raise ValueError(f"a self-loop weight must be finite, got {number}")
        if abs(number) > largest:
            raise ValueError(f"a self-loop weight must be at most {largest:g}, {dtype}'s largest, got {number:g}")
    return weight if isinstance(weight, Tensor) and may_vary(weight) else float(weight)


def with_remaining_self_loops(matrix: SparseMatrix, weight: float | Tensor) -> SparseMatrix:
    """Give every node without a self-loop one of ``weight``; gradients reach a tensor's weight."""
    # Made again at every step where values are learned; else the result is kept with the graph, and this need not be.
    varies = may_vary(matrix.values) or isinstance(weight, Tensor)
    pattern, target, loop = matrix.pattern.with_diagonal if varies else matrix.pattern.once("with_diagonal")
    values = matrix.values.new_zeros(pattern.col.numel()).index_copy(0, target, matrix.values)
    if isinstance(weight, Tensor):
        fill = weight.to(values.dtype).reshape(1).expand(loop.numel())
    else:
        fill = torch.full((loop.numel(),), float(weight), dtype=values.dtype, device=values.device)
    values = values.index_copy(0, loop, fill)
    known = matrix.symmetric if not values.requires_grad else None
    return SparseMatrix(pattern, values, symmetric=True if known else None)
