"""The one sparse product of the code base, y = M x, with M in CSR form.

``SparseMatrix`` is a rectangular matrix: a pattern that never changes, and one value per
entry. ``Adjacency`` is its square public form. The product is an ``autograd.Function`` over
plain tensors, whose backward is the same Function on the transpose, so it differentiates
any number of times; a mapped (``torch.vmap``) feature dimension becomes more columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from gnnkit.graph.pattern import (
    Pattern,
    Transpose,
    entries_of_rows,
    expand_rows,
    inverse_of,
    lasting,
    may_vary,
    row_pointers,
    transpose_csr,
)

_HALF = (torch.float16, torch.bfloat16)
_COLUMNS_OF_A_BAG = 3  # below that the CSR product is as fast, or faster where rows are long

with warnings.catch_warnings():
    # torch says once per process that CSR is in beta: nothing a caller of ours can act on.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1), check_invariants=False)


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


def row_sums(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """Sum over each row's entries of value times x[col], without gradients: ``(R, *)``.

    Args:
        crow: Where each row's entries begin, ``(R + 1)``.
        col: Columns of the entries, ``(E)``.
        values: Values of the entries, ``(E)``, in the dtype of ``x``.
        x: ``(C)`` or ``(C, F)``, without gaps in memory.
    """
    num_rows, dtype = crow.numel() - 1, x.dtype
    if x.numel() == 0 or col.numel() == 0:
        return x.new_zeros(num_rows, *x.shape[1:])
    values = values.contiguous()  # equal weights may be a single number, expanded
    if x.device.type == "cpu":
        if x.shape[1:].numel() >= _COLUMNS_OF_A_BAG and dtype == values.dtype != torch.float64:
            # A row's sum is a weighted bag of rows of x. torch's kernel for bags fetches ahead, which its CSR product
            # does not: it takes 2/3 of the time on 16 columns, 1/4 on 128, and sums half precision in float32.
            return torch.embedding_bag(x.detach(), col, crow, False, 0, False, values, True)[0]
        if dtype in _HALF:  # torch has no CSR product of these on the CPU
            x, values = x.float(), values.float()
    matrix = torch.sparse_csr_tensor(crow, col, values, (num_rows, x.size(0)), check_invariants=False)
    return (matrix @ x).to(dtype)


# Operators of their own, so that torch.compile takes them whole. Declared through define/impl:
# custom_op's wrapper would cost as much time as the product itself on a small graph.
_SCHEMA = "(Tensor crow, Tensor col, Tensor {}, Tensor {}) -> Tensor"
_TAGS = (torch.Tag.pt2_compliant_tag,)
torch.library.define("gnnkit::csr_product", _SCHEMA.format("values", "x"), tags=_TAGS)
torch.library.define("gnnkit::csr_sampled_product", _SCHEMA.format("left", "right"), tags=_TAGS)


@torch.library.impl("gnnkit::csr_product", "CompositeExplicitAutograd")
def _csr_product(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """Sum over each row's entries of value times x[col]: (R + 1), (E), (E), (C, F) -> (R, F)."""
    return row_sums(crow, col, values, x)


@torch.library.register_fake("gnnkit::csr_product")  # type: ignore[untyped-decorator]
def _(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(crow.shape[0] - 1, x.shape[1])


@torch.library.impl("gnnkit::csr_sampled_product", "CompositeExplicitAutograd")
def _csr_sampled_product(crow: Tensor, col: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The dot product of left[row] and right[col] for every entry: (R + 1), (E), (R, F), (C, F) -> (E)."""
    if col.numel() == 0 or left.size(1) == 0:
        return left.new_zeros(col.numel())
    dtype = left.dtype
    if dtype in _HALF:
        left, right = left.float(), right.float()
    if col.numel() > left.size(0) * right.size(0):  # repeated entries: torch's kernel would write beyond its memory
        return (left[expand_rows(crow, col.numel())] * right[col]).sum(dim=1).to(dtype)
    if 1 < left.size(1) < 8:
        # torch takes up to 15 times as long for 2 to 7 columns as for 8, on the CPU.
        left, right = (functional.pad(side, (0, 8 - side.size(1))) for side in (left, right))
    zeros = left.new_zeros(col.numel())
    pattern = torch.sparse_csr_tensor(crow, col, zeros, (left.size(0), right.size(0)), check_invariants=False)
    # Into the pattern itself: torch would copy its indices for a result of its own.
    return cast(Tensor, torch.sparse.sampled_addmm(pattern, left, right.t(), beta=0.0, out=pattern)).values().to(dtype)


@torch.library.register_fake("gnnkit::csr_sampled_product")  # type: ignore[untyped-decorator]
def _(crow: Tensor, col: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return left.new_empty(col.shape[0])


_product_op = torch.ops.gnnkit.csr_product.default
_sampled_product_op = torch.ops.gnnkit.csr_sampled_product.default


def _is_traced() -> bool:
    """Whether the compiler or a ``torch.func`` transform looks on, and must meet operators it knows.

    Otherwise they are passed by: a call of one costs as much as the product on a small graph.
    """
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _apply(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    """``function.apply``, minus a signature inspection (30 us a call) that only transforms need."""
    if _is_traced():
        return cast(Tensor, function.apply(*args))  # type: ignore[no-untyped-call]
    return cast(Tensor, super(torch.autograd.Function, function).apply(*args))  # type: ignore[misc]


def sparse_product(
    values: Tensor,
    x: Tensor,
    crow: Tensor,
    col: Tensor,
    t_crow: Tensor | None = None,
    t_col: Tensor | None = None,
    t_values: Tensor | None = None,
    t_order: Tensor | None = None,
    *,
    symmetric: bool = False,
) -> Tensor:
    """M x as a function of plain tensors.

    ``t_values`` are the values in the transpose's order, kept from earlier, or None where
    ``values`` carry gradients: then the backward takes ``values[t_order]``. Without the
    transpose's tensors the backward finds them itself, correct but slower, or takes the matrix
    itself where it is ``symmetric`` (a flag, since the compiler takes no tensor twice).
    """
    if x.device != values.device:
        raise ValueError(f"features are on {x.device} and the graph on {values.device}; move one with .to()")
    if torch.is_autocast_enabled(x.device.type):
        # A sum over neighbours accumulates, so it belongs to what autocast keeps in float32.
        dtype = torch.promote_types(torch.promote_types(values.dtype, x.dtype), torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            kept = None if t_values is None else t_values.to(dtype)
            wide = values.to(dtype), x.to(dtype)
            return sparse_product(*wide, crow, col, t_crow, t_col, kept, t_order, symmetric=symmetric)
    if _is_traced() or (torch.is_grad_enabled() and (values.requires_grad or x.requires_grad)):
        return _apply(_Product, values, x, crow, col, t_crow, t_col, t_values, t_order, symmetric)
    return row_sums(crow, col, values, x.contiguous())


def over_nodes(product: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A product of matrices ``(N, F)``, such as ``matmul``, for node features ``(*, N, F)``."""
    if x.dim() == 2:
        return product(x)
    nodes_first = x.movedim(-2, 0)
    result = product(nodes_first.flatten(1))
    return result.view(result.size(0), *nodes_first.shape[1:]).movedim(0, -2)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        values: Tensor,
        x: Tensor,
        crow: Tensor,
        col: Tensor,
        t_crow: Tensor | None,
        t_col: Tensor | None,
        t_values: Tensor | None,
        t_order: Tensor | None,
        symmetric: bool,
    ) -> Tensor:
        product = _product_op if _is_traced() else row_sums
        return cast(Tensor, product(crow, col, values, x.contiguous()))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        values, x, *structure, ctx.symmetric = inputs
        # x is needed only for the gradient of the values: without one its memory is free to go.
        ctx.save_for_backward(values, x if ctx.needs_input_grad[0] else None, *structure)
        ctx.num_cols = x.shape[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, x, crow, col, t_crow, t_col, t_values, t_order = ctx.saved_tensors
        grad_values = grad_x = None
        if ctx.needs_input_grad[0]:
            grad_values = sampled_product(grad, x, crow, col)
        if ctx.needs_input_grad[1] and ctx.symmetric:
            grad_x = sparse_product(values, grad, crow, col, symmetric=True)
        elif ctx.needs_input_grad[1]:
            if t_crow is None:
                t_crow, t_col, t_order = transpose_csr(crow, col, ctx.num_cols)
            if t_values is None:
                back: tuple[Tensor | None, Tensor | None] = None, inverse_of(t_order)
                t_values = values.index_select(0, t_order)
            else:
                back = values, None
            grad_x = sparse_product(t_values, grad, t_crow, t_col, crow, col, *back)
        return grad_values, grad_x, None, None, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        values_dim, x_dim, *other_dims = in_dims
        if values_dim is None and x_dim is not None and all(dim is None for dim in other_dims):
            values, x, *structure, symmetric = args
            # (C, F, V) as (C, F V): mapped features are more columns of the same product.
            columns = x.movedim(x_dim, -1)
            product = sparse_product(values, columns.flatten(1), *structure, symmetric=symmetric)
            return product.view(product.size(0), *columns.shape[1:]), 2
        if values_dim is not None and all(dim is None for dim in other_dims):
            return _block_diagonal(info.batch_size, values_dim, x_dim, *args), 0
        return _looped(info.batch_size, in_dims[:-1], args[:-1], sparse_product), 0


def _block_diagonal(
    size: int,
    values_dim: int,
    x_dim: int | None,
    values: Tensor,
    x: Tensor,
    crow: Tensor,
    col: Tensor,
    *others: Any,
) -> Tensor:
    """Products of one pattern with mapped values, and mapped features or not, as one product of the blocks' diagonal.

    The transpose of the blocks is not among the arguments; the backward finds it.
    """
    blocks = torch.arange(size, device=crow.device, dtype=crow.dtype).unsqueeze(1)
    rows = torch.cat([crow[:1], (crow[1:] + blocks * col.numel()).flatten()])
    features = x.expand(size, *x.shape) if x_dim is None else x.movedim(x_dim, 0)
    cols = (col + blocks * features.size(1)).flatten()
    product = sparse_product(values.movedim(values_dim, 0).flatten(), features.flatten(0, 1), rows, cols)
    return torch.unflatten(product, 0, (size, -1))


def sampled_product(left: Tensor, right: Tensor, crow: Tensor, col: Tensor) -> Tensor:
    """left[row] . right[col] for every entry of a pattern: the gradient of the product's values."""
    return _apply(_SampledProduct, left, right, crow, col)


class _SampledProduct(torch.autograd.Function):
    @staticmethod
    def forward(left: Tensor, right: Tensor, crow: Tensor, col: Tensor) -> Tensor:
        return cast(Tensor, _sampled_product_op(crow, col, left.contiguous(), right.contiguous()))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, right, crow, col = ctx.saved_tensors
        grad_left = grad_right = None
        if ctx.needs_input_grad[0]:
            grad_left = sparse_product(grad, right, crow, col)
        if ctx.needs_input_grad[1]:
            t_crow, t_col, order = transpose_csr(crow, col, right.size(0))
            grad_right = sparse_product(grad[order], left, t_crow, t_col, crow, col, None, inverse_of(order))
        return grad_left, grad_right, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        return _looped(info.batch_size, in_dims, args, sampled_product), 0


def _looped(
    size: int, in_dims: tuple[int | None, ...], args: tuple[Any, ...], function: Callable[..., Tensor]
) -> Tensor:
    """The vmap rule of last resort: one call per mapped element."""
    calls = (
        [arg if dim is None else arg.select(dim, index) for arg, dim in zip(args, in_dims, strict=True)]
        for index in range(size)
    )
    return torch.stack([function(*call) for call in calls])
