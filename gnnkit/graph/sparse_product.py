"""The one sparse product of the code base, y = M x, as a function of plain tensors in CSR form.

The product is an ``autograd.Function`` whose backward is the same Function on the transpose, so it differentiates any
number of times; a mapped (``torch.vmap``) feature dimension becomes more columns. `gnnkit.graph.sparse.SparseMatrix`
is its form as an object.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from gnnkit.graph.pattern import expand_rows, inverse_of, transpose_csr

HALF = (torch.float16, torch.bfloat16)
_COLUMNS_OF_A_BAG = 3  # below that the CSR product is as fast, or faster where rows are long

with warnings.catch_warnings():
    # torch says once per process that CSR is in beta: nothing a caller of ours can act on.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1), check_invariants=False)


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
        if dtype in HALF:  # torch has no CSR product of these on the CPU
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
    if dtype in HALF:
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


def is_traced() -> bool:
    """Whether the compiler or a ``torch.func`` transform looks on, and must meet operators it knows.

    Otherwise they are passed by: a call of one costs as much as the product on a small graph.
    """
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def apply(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    """``function.apply``, minus a signature inspection (30 us a call) that only transforms need."""
    if is_traced():
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
    if is_traced() or (torch.is_grad_enabled() and (values.requires_grad or x.requires_grad)):
        return apply(_Product, values, x, crow, col, t_crow, t_col, t_values, t_order, symmetric)
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
        product = _product_op if is_traced() else row_sums
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
    return apply(_SampledProduct, left, right, crow, col)


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
