"""``SparseMatrix``: a rectangular matrix in CSR form, a pattern that never changes and one value per entry.

``Adjacency`` is its square public form; the product itself is `gnnkit.graph.sparse_product`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gnnkit.graph.pattern import Pattern, Transpose, entries_of_rows, lasting, may_vary, row_pointers
from gnnkit.graph.sparse_product import sparse_product


class SparseMatrix:
    """An immutable rectangular matrix: a pattern and the value of every entry.

    Args:
        pattern: Where the entries are.
        values: One value per entry, ``(num_entries)``.
        symmetric: Known to equal its transpose, pattern and values; found on first need when omitted.
    """

    def __init__(self, pattern: Pattern, values: Tensor, *, symmetric: bool | None = None) -> None:
        self.pattern, self.values = pattern, values
        # What is known of a graph from the start, by the name under which `Adjacency` would keep it.
        self.facts: dict[object, Any] = {}
        if symmetric is not None:
            self.__dict__["symmetric"] = symmetric

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> SparseMatrix:
        """The matrix of a two-dimensional sparse tensor of torch, CSR, CSC or COO.

        Raises:
            ValueError: If it has another layout, or more dimensions.
        """
        layouts = torch.sparse_csr, torch.sparse_csc, torch.sparse_coo
        if tensor.layout not in layouts or tensor.dim() != 2 or tensor.dense_dim() != 0:
            raise ValueError(
                "a sparse matrix must be a two-dimensional CSR, CSC or COO tensor of numbers, got "
                f"{tensor.layout} of shape {tuple(tensor.shape)}; convert with .to_dense()"
            )
        if tensor.layout != torch.sparse_csr:
            # COO is summed over duplicates on the way, as torch itself reads it.
            tensor = (tensor.coalesce() if tensor.layout == torch.sparse_coo else tensor).to_sparse_csr()
        crow, col = tensor.crow_indices().long(), tensor.col_indices().long()
        return cls(Pattern(crow, col, tensor.size(1)), tensor.values())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pattern.num_rows, self.pattern.num_cols

    @property
    def num_entries(self) -> int:
        """How many entries are stored."""
        return self.pattern.num_entries

    @cached_property
    def symmetric(self) -> bool:
        """Whether the matrix equals its transpose; False where values carry gradients or are mapped."""
        pattern = self.pattern
        if pattern.num_rows != pattern.num_cols or may_vary(self.values):
            return False
        # A cheap look first: in- and out-degrees differ in nearly every directed graph.
        if not torch.equal(row_pointers(pattern.col, pattern.num_cols), pattern.crow):
            return False
        # A symmetric matrix has no more need of its transpose; another has, and it is three numbers an entry.
        transpose: Transpose = pattern.once("transpose")
        found = torch.equal(transpose.col, pattern.col) and torch.equal(self.values[transpose.order], self.values)
        if not found:
            vars(pattern).setdefault("transpose", transpose)
        return found

    @cached_property
    def transposed_values(self) -> Tensor | None:
        """Values in the transpose's order; None where they carry gradients and may not be kept."""
        if may_vary(self.values):
            return None
        if self.symmetric:
            return self.values
        return lasting(lambda: self.values.index_select(0, self.pattern.transpose.order), self.values)

    @property
    def transposed(self) -> SparseMatrix:
        """The transpose as a matrix of its own."""
        if self.symmetric:
            return self
        transpose = self.pattern.transpose
        values = self.transposed_values
        if values is None:
            values = self.values.index_select(0, transpose.order)
        return SparseMatrix(Pattern(transpose.crow, transpose.col, self.pattern.num_rows), values)

    def copy(self) -> SparseMatrix:
        """The same matrix in memory of its own, off the tape."""
        pattern = Pattern(self.pattern.crow.clone(), self.pattern.col.clone(), self.pattern.num_cols)
        return SparseMatrix(pattern, self.values.detach().clone())

    def with_values(self, values: Tensor) -> SparseMatrix:
        """The same pattern with other values."""
        return SparseMatrix(self.pattern, values)

    def select_rows(self, rows: Tensor) -> SparseMatrix:
        """The matrix of chosen rows, in the order given."""
        position, entry = entries_of_rows(self.pattern.crow, rows)
        pattern = Pattern(row_pointers(position, rows.numel()), self.pattern.col[entry], self.pattern.num_cols)
        return SparseMatrix(pattern, self.values[entry])

    def to(self, device: torch.device | str) -> SparseMatrix:
        """The matrix on another device."""
        pattern = self.pattern
        if self.values.device == torch.device(device):
            return self
        return SparseMatrix(pattern.to(device), self.values.to(device))

    def matmul(self, x: Tensor) -> Tensor:
        """M x for ``x`` of shape ``(num_cols, F)``."""
        pattern = self.pattern
        needs_transpose = torch.is_grad_enabled() and x.requires_grad
        if not needs_transpose:
            return sparse_product(self.values, x, *pattern.kernel)
        if self.symmetric:
            return sparse_product(self.values, x, *pattern.kernel, symmetric=True)
        kept = self.transposed_values
        order = pattern.transpose.order if kept is None else None
        return sparse_product(self.values, x, *pattern.kernel, *pattern.transpose_kernel, kept, order)

    def t_matmul(self, x: Tensor) -> Tensor:
        """M^T x for ``x`` of shape ``(num_rows, F)``."""
        if self.symmetric:
            return self.matmul(x)
        pattern, t = self.pattern, self.pattern.transpose
        kept = self.transposed_values
        values = self.values[t.order] if kept is None else kept
        back = None if kept is None else self.values
        inverse = pattern.transpose_inverse if back is None else None
        return sparse_product(values, x, *pattern.transpose_kernel, *pattern.kernel, back, inverse)

    def to_dense(self) -> Tensor:
        """The dense matrix, duplicates summed."""
        flat = self.pattern.row * self.pattern.num_cols + self.pattern.col
        dense = self.values.new_zeros(self.pattern.num_rows * self.pattern.num_cols)
        return dense.index_add(0, flat, self.values).view(self.shape)


def prepare(matrix: SparseMatrix) -> bool:
    """Find what products with a matrix need, before the compiler traces one: the search looks at values."""
    matrix.pattern.kernel  # noqa: B018
    if not matrix.symmetric:
        matrix.pattern.transpose_kernel  # noqa: B018
        if matrix.transposed_values is None:
            matrix.pattern.transpose_inverse  # noqa: B018
    return True


# What torch.compiler.assume_constant_result does, without loading the compiler.
prepare._dynamo_marked_constant = True  # type: ignore[attr-defined]
