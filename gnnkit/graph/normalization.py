"""Normalised weights: symmetric, by row, by column.

``sym`` is D^-1/2 A D^-1/2 of Kipf & Welling, ICLR 2017, https://arxiv.org/abs/1609.02907,
with in-degrees at both ends, as PyG does for directed graphs.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch
from torch import Tensor

from gnnkit.graph.pattern import may_vary
from gnnkit.graph.sparse import SparseMatrix

Normalization = Literal["sym", "row", "column"]


def checked_kind(kind: str) -> str:
    """The normalisation's name.

    Raises:
        ValueError: If there is none of that name.
    """
    if kind not in get_args(Normalization):
        raise ValueError(f"normalisation must be one of {', '.join(get_args(Normalization))}, got {kind!r}")
    return kind


def normalized(matrix: SparseMatrix, kind: str) -> SparseMatrix:
    """``matrix``, whose entry [s, t] weighs the edge s -> t, with its weights normalised.

    Args:
        matrix: Square, with non-negative weights.
        kind: ``"sym"``, w_st / sqrt(d_s d_t); ``"row"``, w_st / d_t, so that the weights entering each
            node sum to 1; ``"column"``, w_st / (weights leaving s). d is the weighted in-degree. Nodes
            of degree 0 keep weights of 0. Degrees and their powers are float64, so that weights of any size
            normalise: the inverse of a subnormal float32 is infinite in float32, as is the sum of two large ones.
    """
    pattern, values = matrix.pattern, matrix.values.double()
    col = pattern.col
    entering = degree(values, col, pattern.num_cols)
    if kind == "sym":
        scale = _power(entering, -0.5)
        # The product of both scales first: it commutes, so a symmetric graph stays symmetric to the last bit.
        factor = scale[_rows(matrix)] * scale[col]
    elif kind == "row":
        factor = _power(entering, -1.0)[col]
    else:
        row = _rows(matrix)
        factor = _power(degree(values, row, pattern.num_rows), -1.0)[row]
    result = (values * factor).to(matrix.values.dtype)
    known = kind == "sym" and not result.requires_grad and matrix.symmetric
    return SparseMatrix(pattern, result, symmetric=True if known else None)


def _rows(matrix: SparseMatrix) -> Tensor:
    # Kept where weights are learned, and so normalised at every step.
    return matrix.pattern.row if may_vary(matrix.values) else cast(Tensor, matrix.pattern.once("row"))


def degree(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum of the values per index; half dtypes are summed in float32."""
    wide = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
    return wide.new_zeros(size).index_add(0, index, wide)


def _power(degrees: Tensor, exponent: float) -> Tensor:
    # A degree of 0 is replaced before the power, so that no infinity enters the gradient either.
    positive, limits = degrees > 0, torch.finfo(degrees.dtype)
    # Even a float64 can be subnormal, or the sum of two infinite: the limits keep products with the weight finite.
    bounded = torch.where(positive, degrees, 1.0).clamp(limits.tiny, limits.max)
    return torch.where(positive, bounded.pow(exponent), 0.0)
