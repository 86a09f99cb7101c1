"""Where a sparse matrix has entries, in CSR form, and what is found of that once and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


class Transpose(NamedTuple):
    """The transposed pattern; entry e of it is entry ``order[e]`` of the original."""

    crow: Tensor
    col: Tensor
    order: Tensor


class WithDiagonal(NamedTuple):
    """A pattern with a full diagonal, and what has become of the one it was made of."""

    pattern: Pattern
    target: Tensor  # entry e of the original is entry target[e]
    added: Tensor  # where the new entries lie, by row


class Pattern:
    """Where a matrix has entries: ``crow`` (num_rows + 1) and ``col`` (num_entries), int64, rows in order."""

    def __init__(self, crow: Tensor, col: Tensor, num_cols: int) -> None:
        self.crow, self.col = crow, col
        self.num_rows, self.num_cols = crow.numel() - 1, num_cols

    @property
    def num_entries(self) -> int:
        """How many entries there are."""
        return self.col.numel()

    def column_counts(self) -> Tensor:
        """How many entries each column has, ``(num_cols)``."""
        return torch.bincount(self.col, minlength=self.num_cols)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Pattern:
        """The pattern on another device."""
        crow, col = (part.to(device, non_blocking=non_blocking) for part in (self.crow, self.col))
        return Pattern(crow, col, self.num_cols)

    def pin_memory(self) -> Pattern:
        """A copy in page-locked memory."""
        return Pattern(self.crow.pin_memory(), self.col.pin_memory(), self.num_cols)

    @cached_property
    def row(self) -> Tensor:
        """The row of every entry."""
        return lasting(lambda: expand_rows(self.crow, self.num_entries), self.crow)

    @cached_property
    def transpose(self) -> Transpose:
        """The pattern by columns; a stable sort, so rows stay in order within a column."""
        return lasting(lambda: transpose_csr(self.crow, self.col, self.num_cols), self.crow)

    @cached_property
    def transpose_inverse(self) -> Tensor:
        """Where the transpose has every entry: entry e of the original is entry ``inverse[e]`` of it."""
        return lasting(lambda: inverse_of(self.transpose.order), self.crow)

    @cached_property
    def kernel(self) -> tuple[Tensor, Tensor]:
        """Row pointers and columns as the product's kernel reads them."""
        return lasting(lambda: narrowed(self.crow, self.col), self.crow)

    @cached_property
    def transpose_kernel(self) -> tuple[Tensor, Tensor]:
        """The same of the transpose."""
        return lasting(lambda: narrowed(self.transpose.crow, self.transpose.col), self.crow)

    @cached_property
    def with_diagonal(self) -> WithDiagonal:
        """The pattern of a square matrix with an entry in every place of the diagonal."""
        return lasting(lambda: with_diagonal(self), self.crow)

    def once(self, name: str) -> Any:
        """One of the properties above without keeping it, unless it is kept already: each takes memory by the entry."""
        kept = name in vars(self)
        value = getattr(self, name)
        if not kept:
            vars(self).pop(name, None)
        return value


def off_tape(compute: Callable[[], Result]) -> Result:
    """Compute what is kept for later: without gradients and never as inference tensors."""
    with torch.inference_mode(False), torch.no_grad():
        return compute()


def lasting(compute: Callable[[], Result], given: Tensor) -> Result:
    """``off_tape``, and outside every ``torch.func`` transform too unless ``given`` belongs to one.

    What ``torch.func.grad`` makes is wrapped for that call; kept, the wrapper would outlive it.
    """
    if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active() or is_transformed(given):
        return off_tape(compute)
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    with temporarily_clear_interpreter_stack():
        return off_tape(compute)


def is_transformed(tensor: Tensor) -> bool:
    """Whether a ``torch.func`` transform is at work on the tensor."""
    return not torch.compiler.is_compiling() and torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def may_vary(values: Tensor) -> bool:
    """Whether values carry gradients or are mapped, so that nothing made of them may be kept."""
    return values.requires_grad or is_transformed(values)


def plain(tensor: Tensor) -> Tensor:
    """The numbers themselves, all mapped elements at once: what can be looked at within a transform."""
    while is_transformed(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor.detach()


def expand_rows(crow: Tensor, num_entries: int) -> Tensor:
    """Row id of every entry, from row pointers."""
    rows = torch.arange(crow.numel() - 1, device=crow.device)
    return torch.repeat_interleave(rows, crow.diff(), output_size=num_entries)


def row_pointers(rows: Tensor, num_rows: int) -> Tensor:
    """CSR row pointers (num_rows + 1) of entries in any order."""
    crow = torch.zeros(num_rows + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(torch.bincount(rows, minlength=num_rows), 0, out=crow[1:])
    return crow


def transpose_csr(crow: Tensor, col: Tensor, num_cols: int) -> Transpose:
    """CSR of the transpose, with the order in which it has the entries."""
    order = torch.sort(col, stable=True).indices
    return Transpose(row_pointers(col, num_cols), expand_rows(crow, col.numel())[order], order)


def inverse_of(order: Tensor) -> Tensor:
    """The permutation that undoes ``order``."""
    inverse = torch.empty(order.numel(), dtype=torch.int64, device=order.device)
    inverse[order] = torch.arange(order.numel(), device=order.device)
    return inverse


def with_diagonal(pattern: Pattern) -> WithDiagonal:
    """The pattern of a square matrix with an entry added wherever the diagonal has none."""
    row, col, size = pattern.once("row"), pattern.col, pattern.num_rows
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
    return WithDiagonal(Pattern(crow, merged, size), target, loop)


def narrowed(crow: Tensor, col: Tensor) -> tuple[Tensor, Tensor]:
    """Indices as int32 where they fit, on the CPU: torch would copy them to that at every product."""
    if crow.device.type != "cpu" or max(col.numel(), crow.numel()) >= 2**31:
        return crow, col
    return crow.int(), col.int()


def entries_of_rows(crow: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of chosen rows, row by row in the order given: ``(position in rows, entry)``."""
    counts = crow[rows + 1] - crow[rows]
    position = torch.repeat_interleave(torch.arange(rows.numel(), device=rows.device), counts)
    # Entry ids count up by one within a row and start at its pointer.
    start = torch.cumsum(counts, 0) - counts
    entry = torch.arange(position.numel(), device=rows.device) + (crow[rows] - start)[position]
    return position, entry
