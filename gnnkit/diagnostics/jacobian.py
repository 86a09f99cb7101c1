"""Norms of a network's Jacobian with respect to its input rows, without a column for every input feature.

What enters through a linear map, z = x W^T, has the Jacobian J_x = J_z W: the backward pass ends at z, 16 wide
where a citation network's x is 1433, and the norm is taken of the product, a block of rows at a time. For
the Frobenius norm W gives way to the triangular factor of W^T = Q R, as ||J_z W|| = ||J_z R^T||.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.inputs import MAPPED_FIRST

Norm = Literal["l1", "l2"]
_CHUNK = 1 << 18  # numbers of the product at a time: what stays in the cache
_MOST_MAPS = 8  # first maps of a model whose outputs are kept for all nodes
_ABOUT = {  # what tells of a tensor's form, not of its numbers
    Tensor.dim,
    Tensor.size,
    Tensor.numel,
    Tensor.is_floating_point,
    Tensor.__len__,
    *(
        getattr(Tensor, name).__get__
        for name in ("shape", "dtype", "device", "layout", "ndim", "is_sparse", "is_cuda", "requires_grad")
    ),
}


class RowsAreReadError(Exception):
    """A model did something else with its input than map it linearly, where only such maps were at hand."""


class MappedNodes:
    """The first linear maps of every node's features, each computed once: rows that come often are looked up.

    Args:
        x: Features of all nodes, ``(N, F)``.
    """

    def __init__(self, x: Tensor | SparseMatrix) -> None:
        self._x, self._known = x, dict[tuple[Any, ...], tuple[Tensor, Tensor | None, Tensor]]()

    def rows(self, nodes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``x W^T + b`` of ``nodes``."""
        key = (weight.data_ptr(), weight.shape, weight.stride(), None if bias is None else bias.data_ptr())
        if key not in self._known:
            if len(self._known) == _MOST_MAPS:
                self._known.clear()
            if isinstance(self._x, SparseMatrix):
                mapped = self._x.matmul(weight.t())
                mapped = mapped if bias is None else mapped + bias
            else:
                mapped = functional.linear(self._x, weight, bias)
            self._known[key] = weight, bias, mapped  # the weights too, so that nothing else comes to lie there
        return self._known[key][2][nodes]

    def stand_in(self, count: int) -> Tensor:
        """What a model is given instead of ``count`` rows: their form, one number of memory."""
        values = self._x.values if isinstance(self._x, SparseMatrix) else self._x
        return values.new_zeros(1, 1).expand(count, self._x.shape[1])


class FirstMaps(TorchFunctionMode):
    """While active, cuts the tape behind every linear map of ``x`` itself.

    Whatever else a model does with ``x`` stays on the tape of ``x``, so that nothing is missed.

    Args:
        x: The input rows, a leaf that requires a gradient; or, with ``mapped``, what stands in for them.
        mapped: Where the maps of all nodes are kept, and the node of each row.

    Raises:
        RowsAreReadError: If ``x`` only stands in and a model asks for its numbers.

    Attributes:
        outputs: What the maps put out, each a leaf.
        weights: Their weights, as ``torch.nn.Linear`` holds them.
    """

    def __init__(self, x: Tensor, mapped: tuple[MappedNodes, Tensor] | None = None) -> None:
        super().__init__()
        setattr(x, MAPPED_FIRST, True)
        self.x, self.outputs, self.weights = x, list[Tensor](), list[Tensor]()
        self._mapped = mapped

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.linear or not args or args[0] is not self.x or len(args) < 2:
            if self._mapped and func not in _ABOUT and any(each is self.x for each in tree_leaves((args, kwargs))):
                raise RowsAreReadError
            return func(*args, **kwargs)
        with torch.no_grad():
            out = self._mapped_rows(*args, **kwargs) if self._mapped else func(*args, **kwargs)
        self.outputs.append(out.detach().requires_grad_())
        self.weights.append(args[1].detach())
        return self.outputs[-1].clone()  # a leaf could not be changed in place

    def _mapped_rows(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        assert self._mapped is not None
        table, nodes = self._mapped
        return table.rows(nodes, weight, bias)


def row_norms(out: Tensor, maps: FirstMaps, norm: Norm, *, retain: bool = False) -> Tensor:
    """The norm of d(sum of the rows of ``out``) / dx for every row of x, ``(M)``: of a block ``(C, F)`` each.

    Rows of ``out`` that depend on no common row of x share the backward passes, one for each of the C columns.

    Args:
        out: What the model gave under ``maps``, ``(S, C)``.
        maps: The linear maps it began with.
        norm: ``"l1"``: the sum of absolute values; ``"l2"``: the root of the sum of squares.
        retain: Keep the tape, for other rows of the same pass.
    """
    total = out.new_zeros(maps.x.size(0))
    if not out.requires_grad:  # nothing of x comes through
        return total
    weight = torch.cat(maps.weights) if maps.weights else None
    last = out.size(1) - 1
    for column in range(out.size(1)):
        leaves = [maps.x, *maps.outputs] if maps.x.requires_grad else maps.outputs
        found = torch.autograd.grad(
            out[:, column].sum(), leaves, retain_graph=retain or column < last, allow_unused=True
        )
        direct, through = (found[0], found[1:]) if maps.x.requires_grad else (None, found)
        if weight is None or all(each is None for each in through):
            behind = None
        else:
            behind = torch.cat([_zeros(*pair) for pair in zip(through, maps.outputs, strict=True)], dim=-1)
        _add_norms(total, direct, behind, weight, norm)
    return total if norm == "l1" else total.sqrt_()


def _zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def _add_norms(total: Tensor, direct: Tensor | None, behind: Tensor | None, weight: Tensor | None, norm: Norm) -> None:
    """Add each row's sum of absolute values, or of squares, of ``direct + behind @ weight``."""
    if behind is None or weight is None:
        if direct is not None:
            total += _sums(direct, norm)
        return
    if norm == "l2" and direct is None:
        weight = torch.linalg.qr(weight.t(), mode="r").R.t()
    step = max(1, _CHUNK // weight.size(1))
    product = weight.new_empty(min(step, behind.size(0)), weight.size(1))
    for start in range(0, behind.size(0), step):
        rows = behind[start : start + step]
        block = torch.mm(rows, weight, out=product[: rows.size(0)])
        if direct is not None:
            block += direct[start : start + step]
        total[start : start + step] += _sums(block, norm)


def _sums(block: Tensor, norm: Norm) -> Tensor:
    """Of every row; in place where that spares a pass: ``block`` is not needed afterwards."""
    # Several times as fast as torch.linalg.vector_norm along rows.
    return block.abs_().sum(1) if norm == "l1" else block.square_().sum(1)


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, its weights without gradients; every module's mode as it was afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, mode in modes:
            module.training = mode


@contextmanager
def counted_bytes() -> Iterator[list[int]]:
    """Adds up, in the list's one number, what the tape keeps for the backward pass."""
    count, seen = [0], set[int]()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            count[0] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield count
