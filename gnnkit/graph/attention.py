"""Attention over entering edges: out_t = sum_e alpha_e x_s(e), alpha = softmax of the logits over the edges into t.

Reference: Velickovic et al., "Graph Attention Networks", ICLR 2018, https://arxiv.org/abs/1710.10903,
eqs. 1-4.

One head at a time, an edge holds a number instead of a row of channels: the sum is a sparse product
with the attention as values, and its gradient a sampled dense-dense product. What is kept for the
backward is the logarithm of each target's sum of exponentials; the attention is computed again from
it, as in Dao et al., "FlashAttention", NeurIPS 2022, https://arxiv.org/abs/2205.14135. Memory beyond
the inputs and outputs is thus a few numbers per edge, whatever the heads and channels. Where a graph
is small, so that calls cost more than numbers, several heads are done at once as one graph of as many
components, whose rows are the nodes' heads in turn: so they lie in memory already.
"""

from __future__ import annotations

from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from gnnkit.graph.attention_kernels import attend_backward, attend_forward
from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.sparse_product import HALF, apply, is_traced

# Heads are done together while they have fewer entries than this: from there on calls cost little.
_MERGED_ENTRIES = 1 << 17


def attend(
    x: Tensor,
    edges: EnteringEdges,
    *,
    source: Tensor | None = None,
    target: Tensor | None = None,
    edge: Tensor | None = None,
    negative_slope: float = 1.0,
    kept: Tensor | None = None,
    keep_probability: float = 1.0,
) -> Tensor:
    r"""The attention-weighted sum over the edges entering every target; 0 where none do.

    An edge's logit is LeakyReLU of the sum of its source's, its target's and its own part, as far as
    they are given. K counts heads, times whatever is batched.

    Args:
        x: What the sources send.
        edges: Which sources every target hears.
        source: The sources' parts of the logits.
        target: The targets' parts.
        edge: The edges' own parts, in the order of ``edges``; head k takes row k modulo L.
        negative_slope: LeakyReLU's; 1 leaves the sum as it is.
        kept: Dropout on the attention: which edges of which head stay.
        keep_probability: What the attention that stays is divided by.

    Shapes:
        - **x:** :math:`(K, |\mathcal{V}_s|, C)`
        - **source:** :math:`(K, |\mathcal{V}_s|)`; **target:** :math:`(K, |\mathcal{V}_t|)`
        - **edge:** :math:`(L, |\mathcal{E}|)` with L a divisor of K; **kept:** :math:`(K, |\mathcal{E}|)`, bool
        - **output:** :math:`(K, |\mathcal{V}_t|, C)`

    Differentiable once; a second time raises ``NotImplementedError``.
    """
    if torch.is_autocast_enabled(x.device.type) or x.dtype in HALF:
        # A softmax and a long sum: both belong to what mixed precision keeps in float32.
        with torch.autocast(x.device.type, enabled=False):
            wide = tuple(None if part is None else part.float() for part in (source, target, edge))
            source, target, edge = wide
            out = _attend(x.float(), source, target, edge, edges, negative_slope, kept, keep_probability)
            return out.to(x.dtype)
    return _attend(x, source, target, edge, edges, negative_slope, kept, keep_probability)


def _attend(
    x: Tensor,
    source: Tensor | None,
    target: Tensor | None,
    edge: Tensor | None,
    edges: EnteringEdges,
    negative_slope: float,
    kept: Tensor | None,
    keep_probability: float,
) -> Tensor:
    count = x.size(0) if edge is None else edge.size(0)
    copies = _heads_at_once(count, edges.num_entries)
    scale = 1.0 / keep_probability if keep_probability > 0 else 0.0
    numbers = scale, negative_slope, copies
    crow, col, row, *transpose, place = edges.copies(copies)
    args = x, source, target, edge, kept, *numbers, place, crow, col, row
    parts = x, source, target, edge
    if is_traced() or (torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in parts)):
        return _apply_pair(_Attend, *args, *transpose)[0]
    return attend_forward(*args, with_lse=False)[0]


def _heads_at_once(heads: int, num_entries: int) -> int:
    """The largest divisor of the number of heads whose entries together are few."""
    fitting = (count for count in range(heads, 1, -1) if heads % count == 0 and count * num_entries <= _MERGED_ENTRIES)
    return next(fitting, 1)


def _apply_pair(function: type[torch.autograd.Function], *args: Any) -> tuple[Tensor, Tensor]:
    return cast("tuple[Tensor, Tensor]", apply(function, *args))


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, Tensor]:
        # All but the transpose, which only the backward reads.
        attend_op = torch.ops.gnnkit.attend.default if is_traced() else attend_forward
        return cast("tuple[Tensor, Tensor]", attend_op(*args[:-3]))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        out, lse = output
        ctx.mark_non_differentiable(lse)
        tensors, ctx.numbers, order = inputs[:5], inputs[5:8], inputs[8:]
        ctx.save_for_backward(out, lse, *tensors, *order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        out, lse, x, source, target, edge, kept, *order = ctx.saved_tensors
        args = grad, out, lse, x, source, target, edge, kept, *ctx.numbers, *order
        # The compiler traces no Function inside another's backward; it refuses second derivatives itself.
        compiling = torch.compiler.is_compiling()
        grads: Any = _AttendBackward.forward(*args) if compiling else apply(_AttendBackward, *args)
        given = (x, source, target, edge)
        return *(g if part is not None else None for g, part in zip(grads, given, strict=True)), *[None] * 11

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        size, edge = info.batch_size, args[3]
        x, source, target, kept = (_as_heads(args[i], in_dims[i], size) for i in (0, 1, 2, 4))
        if in_dims[3] is not None:
            edge = _edge_per_head(edge, in_dims[3], size, x.size(0) // size)
        out, lse = _apply_pair(_Attend, x, source, target, edge, kept, *args[5:])
        return (torch.unflatten(out, 0, (size, -1)), torch.unflatten(lse, 0, (size, -1))), (0, 0)


def _as_heads(part: Tensor | None, dim: int | None, size: int) -> Any:
    """The vmap rule's idea: ``size`` mapped elements of K heads are ``size`` K heads."""
    if part is None:
        return None
    return (part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)).flatten(0, 1)


def _edge_per_head(edge: Tensor | None, dim: int | None, size: int, heads: int) -> Any:
    """As :func:`_as_heads`, with a row for every one of an element's heads."""
    if edge is None:
        return None
    mapped = edge.expand(size, *edge.shape) if dim is None else edge.movedim(dim, 0)
    return mapped.repeat(1, heads // mapped.size(1), 1).flatten(0, 1)


class _AttendBackward(torch.autograd.Function):
    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, ...]:
        backward_op = torch.ops.gnnkit.attend_backward.default if is_traced() else attend_backward
        return cast("tuple[Tensor, ...]", backward_op(*args))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> NoReturn:
        raise NotImplementedError("attention is differentiable once; gradients of its gradients are not implemented")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        size = info.batch_size
        grad, out, lse, x, source, target, _, kept = (_as_heads(args[i], in_dims[i], size) for i in range(8))
        heads = x.size(0) // size
        edge = _edge_per_head(args[6], in_dims[6], size, heads)
        grads = apply(_AttendBackward, grad, out, lse, x, source, target, edge, kept, *args[8:])
        of_x, of_source, of_target, of_edge = (torch.unflatten(part, 0, (size, -1)) for part in grads)
        if edge is not None:
            rows = args[6].size(0 if in_dims[6] != 0 else 1)
            of_edge = torch.unflatten(of_edge, 1, (heads // rows, rows)).sum(1)
        return (of_x, of_source, of_target, of_edge), (0, 0, 0, 0)
