"""Scores of pairs of nodes, a . LeakyReLU(l_source + r_target + W e): the logits of dynamic attention.

Reference: Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022,
https://arxiv.org/abs/2105.14491, eq. 7.

The nonlinearity stands between the sum and the product, so every edge needs a row of heads x channels
numbers: a few thousand edges at a time, which stay in the cache, forward and again backward. The
gradient is summed in two passes, in the order of the targets and in that of the sources, so that each
pass writes rows in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn, cast

import torch
from torch import Tensor
from torch.nn import functional

from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.sparse_product import HALF, apply, row_sums

# Numbers in the rows of one chunk of edges: 2 MB of float32.
_CHUNK_NUMBERS = 1 << 19


def pair_scores(
    left: Tensor,
    right: Tensor,
    att: Tensor,
    edges: EnteringEdges,
    *,
    edge_attr: Tensor | None = None,
    edge_weight: Tensor | None = None,
    negative_slope: float = 0.2,
) -> Tensor:
    r"""Att . LeakyReLU(left[source] + right[target] + edge_attr W^T), per edge and head.

    Args:
        left: The sources' rows; B counts what is batched.
        right: The targets' rows.
        att: One vector per head.
        edges: The pairs.
        edge_attr: Edge features in the order of ``edges``, D per edge.
        edge_weight: W.
        negative_slope: LeakyReLU's.

    Shapes:
        - **left:** :math:`(B, |\mathcal{V}_s|, H C)`; **right:** :math:`(B, |\mathcal{V}_t|, H C)`
        - **att:** :math:`(H, C)`; **edge_attr:** :math:`(|\mathcal{E}|, D)`; **edge_weight:** :math:`(H C, D)`
        - **output:** :math:`(B H, |\mathcal{E}|)`

    Differentiable once; a second time raises ``NotImplementedError``.
    """
    tensors = (left, right, att, edge_attr, edge_weight)
    device = left.device.type
    if torch.is_autocast_enabled(device) or left.dtype in HALF:
        with torch.autocast(device, enabled=False):
            wide = (None if part is None else part.float() for part in tensors)
            return apply(_PairScores, *wide, negative_slope, *edges.copies(1)[:6]).to(left.dtype)
    return apply(_PairScores, *tensors, negative_slope, *edges.copies(1)[:6])


class _Chunk(NamedTuple):
    entries: slice
    rows: slice
    crow: Tensor  # of those rows, within the chunk


def _chunk_size(width: int) -> int:
    return max(1, _CHUNK_NUMBERS // max(width, 1))


def _chunks(crow: Tensor, row: Tensor, width: int) -> Iterator[_Chunk]:
    """Runs of entries; a row that straddles two of them is summed over both."""
    size = _chunk_size(width)
    starts = list(range(0, row.numel(), size))
    ends = [min(start + size, row.numel()) for start in starts]
    firsts, lasts = row[starts].tolist(), row[[end - 1 for end in ends]].tolist()
    for start, end, first, last in zip(starts, ends, firsts, lasts, strict=True):
        local = crow[first : last + 2].clamp(start, end) - start
        yield _Chunk(slice(start, end), slice(first, last + 1), local)


def block_diagonal(*att: Tensor) -> Tensor:
    """One vector per head, ``(H, C) -> (H C, H)``: a product with it is every head's dot product with its own.

    Several lie side by side, ``(H C, K H)``.
    """
    heads = att[0].size(0)
    own = torch.eye(heads, dtype=att[0].dtype, device=att[0].device).view(heads, 1, 1, heads)
    return (torch.stack(att, dim=2).unsqueeze(3) * own).view(-1, len(att) * heads)


def _sum_rows(into: Tensor, chunk: _Chunk, rows: Tensor) -> None:
    """Add every entry's row to that of its node."""
    count = rows.size(0)
    entry = torch.arange(count, dtype=chunk.crow.dtype, device=rows.device)
    into[chunk.rows] += row_sums(chunk.crow, entry, rows.new_ones(count), rows.contiguous())


_NAMES = "Tensor left, Tensor right, Tensor att, Tensor? edge_attr, Tensor? edge_weight, float slope"
_ORDER = "Tensor crow, Tensor col, Tensor row, Tensor t_crow, Tensor t_col, Tensor order"
_TAGS = (torch.Tag.pt2_compliant_tag,)
torch.library.define("gnnkit::pair_scores", f"({_NAMES}, Tensor crow, Tensor col, Tensor row) -> Tensor", tags=_TAGS)
torch.library.define(
    "gnnkit::pair_scores_backward",
    f"(Tensor grad, bool wants_attr, {_NAMES}, {_ORDER}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    tags=_TAGS,
)


class _Rows:
    """Memory for the rows of one chunk, made once per call: fresh memory costs more than the sums in it."""

    def __init__(self, like: Tensor) -> None:
        width = like.size(2)
        self.width, self.buffers = width, [like.new_empty(_chunk_size(width) * width) for _ in range(2)]

    def empty(self, index: int, count: int) -> Tensor:
        return self.buffers[index][: count * self.width].view(count, self.width)

    def sums(
        self,
        left: Tensor,
        right: Tensor,
        source: Tensor,
        target: Tensor,
        attr: Tensor | None,
        weight: Tensor | None,
    ) -> Tensor:
        """left[source] + right[target] + attr W^T, in the first buffer; overwrites the second."""
        total = torch.index_select(left, 0, source, out=self.empty(0, source.numel()))
        total.add_(torch.index_select(right, 0, target, out=self.empty(1, source.numel())))
        return total if attr is None or weight is None else total.addmm_(attr, weight.t())

    def slanted(self, sums: Tensor, logit_grad: Tensor, spread: Tensor, slope: float) -> Tensor:
        """Each head's gradient (H, n) for all its channels, times LeakyReLU's slope; in the second buffer."""
        out = torch.mm(logit_grad.t(), spread, out=self.empty(1, sums.size(0)))
        torch.ops.aten.leaky_relu_backward.grad_input(out, sums, slope, False, grad_input=out)
        return out


def _pair_scores_op(
    left: Tensor,
    right: Tensor,
    att: Tensor,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    slope: float,
    crow: Tensor,
    col: Tensor,
    row: Tensor,
) -> Tensor:
    heads, mixing, rows = att.size(0), block_diagonal(att), _Rows(left)
    scores = left.new_empty(left.size(0) * heads, col.numel())
    for batch in range(left.size(0)):
        for chunk in _chunks(crow, row, left.size(2)):
            part = chunk.entries
            attr = None if edge_attr is None else edge_attr[part]
            sums = rows.sums(left[batch], right[batch], col[part], row[part], attr, edge_weight)
            score = functional.leaky_relu_(sums, slope) @ mixing
            scores[batch * heads : (batch + 1) * heads, part] = score.t()
    return scores


torch.library.impl("gnnkit::pair_scores", "CompositeExplicitAutograd", _pair_scores_op)


@torch.library.register_fake("gnnkit::pair_scores")  # type: ignore[untyped-decorator]
def _(left: Tensor, right: Tensor, att: Tensor, *args: Any) -> Tensor:
    return left.new_empty(left.shape[0] * att.shape[0], args[4].shape[0])


def _gradients_like(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    given = next(tensor for tensor in tensors if tensor is not None)
    return tuple(given.new_zeros(0 if tensor is None else tensor.shape) for tensor in tensors)


def _pair_scores_backward_op(
    grad: Tensor,
    wants_attr: bool,
    left: Tensor,
    right: Tensor,
    att: Tensor,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    slope: float,
    crow: Tensor,
    col: Tensor,
    row: Tensor,
    t_crow: Tensor,
    t_col: Tensor,
    order: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of the five tensors; empty where one was not given or, for the features, not wanted."""
    attr_or_none = edge_attr if wants_attr else None
    of_left, of_right, of_att, of_attr, of_weight = _gradients_like(left, right, att, attr_or_none, edge_weight)
    heads, rows, spread = att.size(0), _Rows(left), block_diagonal(torch.ones_like(att)).t()
    # The vectors multiply every gradient column by column, so that can wait until the edges are summed.
    vectors, of_vectors = att.reshape(-1), of_att.view(-1)
    t_row = col.index_select(0, order)  # the transpose has the sources as its rows
    for batch in range(left.size(0)):
        mine = grad[batch * heads : (batch + 1) * heads]
        for chunk in _chunks(crow, row, left.size(2)):
            part = chunk.entries
            attr = None if edge_attr is None else edge_attr[part]
            sums = rows.sums(left[batch], right[batch], col[part], row[part], attr, edge_weight)
            slanted = rows.slanted(sums, mine[:, part], spread, slope)
            _sum_rows(of_right[batch], chunk, slanted)
            if attr is not None and edge_weight is not None:
                of_weight.addmm_(slanted.t(), attr)
                if wants_attr:
                    of_attr[part] += slanted @ (edge_weight * vectors.unsqueeze(1))
            of_vectors += sums.mul_(slanted).sum(0)  # LeakyReLU(z) = LeakyReLU'(z) z
        for chunk in _chunks(t_crow, t_row, left.size(2)):
            part = chunk.entries
            attr = None if edge_attr is None else edge_attr.index_select(0, order[part])
            sums = rows.sums(left[batch], right[batch], t_row[part], t_col[part], attr, edge_weight)
            slanted = rows.slanted(sums, mine.index_select(1, order[part]), spread, slope)
            _sum_rows(of_left[batch], chunk, slanted)
    if edge_weight is not None:
        of_weight *= vectors.unsqueeze(1)
    return of_left.mul_(vectors), of_right.mul_(vectors), of_att, of_attr, of_weight


torch.library.impl("gnnkit::pair_scores_backward", "CompositeExplicitAutograd", _pair_scores_backward_op)


@torch.library.register_fake("gnnkit::pair_scores_backward")  # type: ignore[untyped-decorator]
def _(grad: Tensor, wants_attr: bool, left: Tensor, right: Tensor, att: Tensor, *args: Any) -> tuple[Tensor, ...]:
    edge_attr, edge_weight = args[:2]
    return _gradients_like(left, right, att, edge_attr if wants_attr else None, edge_weight)


class _PairScores(torch.autograd.Function):
    @staticmethod
    def forward(*args: Any) -> Tensor:
        # All but the transpose, which only the backward reads.
        return cast(Tensor, torch.ops.gnnkit.pair_scores.default(*args[:-3]))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.slope = inputs[5]
        ctx.save_for_backward(*inputs[:5], *inputs[6:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors, order = ctx.saved_tensors[:5], ctx.saved_tensors[5:]
        wanted = ctx.needs_input_grad[:5]
        args = grad, wanted[3], *tensors, ctx.slope, *order
        # The compiler traces no Function inside another's backward; it refuses second derivatives itself.
        compiling = torch.compiler.is_compiling()
        grads: Any = _PairScoresBackward.forward(*args) if compiling else apply(_PairScoresBackward, *args)
        return *(g if want else None for g, want in zip(grads, wanted, strict=True)), *[None] * 7

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        calls = _calls(info.batch_size, in_dims, args)
        return torch.stack([apply(_PairScores, *call) for call in calls]), 0


class _PairScoresBackward(torch.autograd.Function):
    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, ...]:
        return cast("tuple[Tensor, ...]", torch.ops.gnnkit.pair_scores_backward.default(*args))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> NoReturn:
        raise NotImplementedError("attention is differentiable once; gradients of its gradients are not implemented")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        results = [apply(_PairScoresBackward, *call) for call in _calls(info.batch_size, in_dims, args)]
        return tuple(torch.stack(parts) for parts in zip(*results, strict=True)), (0,) * 5


def _calls(size: int, in_dims: tuple[int | None, ...], args: tuple[Any, ...]) -> list[list[Any]]:
    """The arguments of one call per mapped element."""
    return [
        [arg if dim is None else arg.select(dim, index) for arg, dim in zip(args, in_dims, strict=True)]
        for index in range(size)
    ]
