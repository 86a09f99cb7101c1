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
from torch.nn import functional

from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.sparse import _HALF, _apply, _is_traced, row_sums

# Heads are done together while they have fewer entries than this: from there on calls cost little.
_MERGED_ENTRIES = 1 << 17

# Logits of which none lies further below the highest need no maximum for every target: e^-20 is a good float32 yet.
_NARROW = 20.0
_SMALLEST_SUM = 1e-10  # of exponentials over any edges at all: one of them is e^-20 or more


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
    if torch.is_autocast_enabled(x.device.type) or x.dtype in _HALF:
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
    if _is_traced() or (torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in parts)):
        return _apply_pair(_Attend, *args, *transpose)[0]
    return _attend_op(*args)[0]


def _heads_at_once(heads: int, num_entries: int) -> int:
    """The largest divisor of the number of heads whose entries together are few."""
    fitting = (count for count in range(heads, 1, -1) if heads % count == 0 and count * num_entries <= _MERGED_ENTRIES)
    return next(fitting, 1)


def _apply_pair(function: type[torch.autograd.Function], *args: Any) -> tuple[Tensor, Tensor]:
    return cast("tuple[Tensor, Tensor]", _apply(function, *args))


# ---- one group of heads --------------------------------------------------------------------------


def _row_sum(crow: Tensor, col: Tensor, values: Tensor, num_cols: int) -> Tensor:
    return row_sums(crow, col, values, values.new_ones(num_cols))


def _sampled(crow: Tensor, col: Tensor, left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """left[row] . right[col] for every entry, in the memory of ``out``."""
    width = left.size(1)
    out.zero_()
    if col.numel() == 0 or width == 0:
        return out
    if 1 < width < 8:
        # torch takes up to 15 times as long for 2 to 7 columns as for 8, on the CPU.
        left, right = functional.pad(left, (0, 8 - width)), functional.pad(right, (0, 8 - width))
    # torch takes no more entries than places here, and overruns them: repeated edges may be more.
    missing = -(-col.numel() // left.size(0)) - right.size(0)
    if missing > 0:
        right = functional.pad(right, (0, 0, 0, missing))
    pattern = torch.sparse_csr_tensor(crow, col, out, (left.size(0), right.size(0)), check_invariants=False)
    # Into the pattern itself: torch would copy its indices for a result of its own.
    return cast(Tensor, torch.sparse.sampled_addmm(pattern, left, right.t(), beta=0.0, out=pattern)).values()


def _rows(heads: Tensor) -> Tensor:
    """(g, N, C) -> (N g, C), packed: a view where the heads of a node lie side by side."""
    return heads.transpose(0, 1).reshape(-1, heads.size(-1)).contiguous()


def _numbers(heads: Tensor) -> Tensor:
    """(g, N) -> (N g)."""
    return heads.t().reshape(-1)


def _heads(rows: Tensor, copies: int) -> Tensor:
    """(N g, ...) -> (g, N, ...)."""
    return rows.view(-1, copies, *rows.shape[1:]).transpose(0, 1)


class _Group:
    """Some heads of one call as a single graph: views of what the kernels read."""

    def __init__(
        self, head: int, copies: int, parts: tuple[Tensor | None, ...], place: Tensor | None, col: Tensor, row: Tensor
    ) -> None:
        source, target, edge, kept = parts
        heads = slice(head, head + copies)
        self.heads, self.col, self.row, self.place = heads, col, row, place
        self.source = None if source is None else _numbers(source[heads])
        self.target = None if target is None else _numbers(target[heads])
        # Rows of `edge` repeat over what is batched; a group never straddles two rounds of them.
        first = 0 if edge is None else head % edge.size(0)
        self.edge_rows = slice(first, first + copies)
        self.edge = None if edge is None else self._placed(edge[self.edge_rows])
        # torch multiplies by bytes several times as fast as by booleans.
        self.kept = None if kept is None else self._placed(kept[heads].view(torch.uint8))

    def _placed(self, by_copy: Tensor) -> Tensor:
        """(g, E) -> (g E), in the order of the entries."""
        numbers = by_copy.reshape(-1)
        return numbers if self.place is None else numbers.index_select(0, self.place)

    def by_copy(self, values: Tensor, copies: int) -> Tensor:
        """The entries' values as ``(g, E)``."""
        if self.place is not None:
            values = torch.empty_like(values).index_copy_(0, self.place.long(), values)
        return values.view(copies, -1)

    def sums(self, out: Tensor, spare: Tensor) -> Tensor:
        """The logits before LeakyReLU, in the memory of ``out``; overwrites ``spare``."""
        out.zero_()
        if self.source is not None:
            torch.index_select(self.source, 0, self.col, out=out)
        if self.target is not None:
            out.add_(torch.index_select(self.target, 0, self.row, out=spare))
        return out if self.edge is None else out.add_(self.edge)

    def ceiling(self, slope: float) -> float | None:
        """A number that no logit is above and none far below, where the nodes' parts tell of one."""
        if self.source is None or self.target is None or self.edge is not None or slope < 0:
            return None
        if self.source.device.type != "cpu" or self.source.numel() == 0 or self.target.numel() == 0:
            return None  # elsewhere to look at a number is to wait for it
        ends = zip(self.source.aminmax(), self.target.aminmax(), strict=True)
        lowest, highest = (value if value > 0 else slope * value for value in (float(s) + float(t) for s, t in ends))
        return highest if highest - lowest <= _NARROW else None

    def drop(self, values: Tensor, spare: Tensor) -> Tensor:
        """``values`` with 0 where dropout takes an edge; overwrites ``spare``."""
        # By way of `spare`: a product of mixed dtypes would allocate that conversion anew each time.
        return values if self.kept is None else values.mul_(spare.copy_(self.kept))


def _scratch(like: Tensor, size: int, count: int) -> list[Tensor]:
    # Made once per call and used for every head: fresh memory costs more than the arithmetic done in it.
    return [like.new_empty(size) for _ in range(count)]


_PARTS = "Tensor x, Tensor? source, Tensor? target, Tensor? edge, Tensor? kept, float scale, float slope, int copies, "
_PARTS += "Tensor? place"
_TAGS = (torch.Tag.pt2_compliant_tag,)
torch.library.define(
    "gnnkit::attend", f"({_PARTS}, Tensor crow, Tensor col, Tensor row) -> (Tensor, Tensor)", tags=_TAGS
)
torch.library.define(
    "gnnkit::attend_backward",
    f"(Tensor grad, Tensor out, Tensor lse, {_PARTS}, Tensor crow, Tensor col, Tensor row, Tensor t_crow, "
    "Tensor t_col, Tensor order) -> (Tensor, Tensor, Tensor, Tensor)",
    tags=_TAGS,
)


def _empty_outputs(x: Tensor, copies: int, crow: Tensor) -> tuple[Tensor, Tensor]:
    heads, channels, targets = x.shape[0], x.shape[2], (crow.shape[0] - 1) // copies
    # Heads side by side in memory: joining them is a view, (K, T, C) -> (T, K C).
    return x.new_empty(targets, heads, channels).transpose(0, 1), x.new_empty(targets, heads).t()


def _attend_op(
    x: Tensor,
    source: Tensor | None,
    target: Tensor | None,
    edge: Tensor | None,
    kept: Tensor | None,
    scale: float,
    slope: float,
    copies: int,
    place: Tensor | None,
    crow: Tensor,
    col: Tensor,
    row: Tensor,
) -> tuple[Tensor, Tensor]:
    """The sum ``(K, T, C)`` and the log of each target's sum of exponentials ``(K, T)``."""
    out, lse = _empty_outputs(x, copies, crow)
    weight, spare = _scratch(x, col.numel(), 2)
    for head in range(0, x.size(0), copies):
        group = _Group(head, copies, (source, target, edge, kept), place, col, row)
        weight = group.sums(weight, spare)
        if slope != 1.0:
            functional.leaky_relu_(weight, slope)
        peak: Tensor | float | None = group.ceiling(slope)
        if peak is None:
            peak = torch.segment_reduce(weight, "max", offsets=crow, unsafe=True)
            torch.index_select(peak, 0, row, out=spare)
        weight.sub_(peak if isinstance(peak, float) else spare).exp_()
        total = _row_sum(crow, col, weight, copies * x.size(1))
        lse = _with_heads(lse, group, total.log().add_(peak), copies)
        summed = row_sums(crow, col, group.drop(weight, spare), _rows(x[group.heads]))
        # Only a target without edges has less: 0 / 1e-10 there, not 0 / 0.
        summed /= total.clamp_min_(_SMALLEST_SUM).unsqueeze(1)
        out = _with_heads(out, group, summed if scale == 1.0 else summed.mul_(scale), copies)
    return out, lse


def _with_heads(whole: Tensor, group: _Group, rows: Tensor, copies: int) -> Tensor:
    """``whole``, (K, N, ...), with a group's heads from (N g, ...): those themselves where they are all."""
    if copies == whole.size(0):
        return _heads(rows, copies)
    whole[group.heads] = _heads(rows, copies)
    return whole


torch.library.impl("gnnkit::attend", "CompositeExplicitAutograd", _attend_op)


@torch.library.register_fake("gnnkit::attend")  # type: ignore[untyped-decorator]
def _(x: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    copies, crow = args[6], args[8]
    return _empty_outputs(x, copies, crow)


def _empty_gradients(
    x: Tensor, source: Tensor | None, target: Tensor | None, edge: Tensor | None
) -> tuple[Tensor, ...]:
    of_x = x.new_empty(x.shape[1], x.shape[0], x.shape[2]).transpose(0, 1)
    of_nodes = (x.new_zeros(0) if part is None else x.new_zeros(part.shape[::-1]).t() for part in (source, target))
    return of_x, *of_nodes, x.new_zeros(0) if edge is None else x.new_zeros(edge.shape)


def _attend_backward_op(
    grad: Tensor,
    out: Tensor,
    lse: Tensor,
    x: Tensor,
    source: Tensor | None,
    target: Tensor | None,
    edge: Tensor | None,
    kept: Tensor | None,
    scale: float,
    slope: float,
    copies: int,
    place: Tensor | None,
    crow: Tensor,
    col: Tensor,
    row: Tensor,
    t_crow: Tensor,
    t_col: Tensor,
    order: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of ``x``, ``source``, ``target`` and ``edge``; empty where a part was not given."""
    grad_x, grad_source, grad_target, grad_edge = _empty_gradients(x, source, target, edge)
    num_targets = crow.numel() - 1
    sums, weight, logit_grad, spare = _scratch(x, col.numel(), 4)
    for head in range(0, x.size(0), copies):
        group = _Group(head, copies, (source, target, edge, kept), place, col, row)
        mine, sent = _rows(grad[group.heads]), _rows(x[group.heads])
        sums = group.sums(sums, spare)
        torch.ops.aten.leaky_relu.out(sums, slope, out=weight)
        weight.sub_(torch.index_select(_numbers(lse[group.heads]), 0, row, out=spare)).exp_()
        logit_grad = group.drop(_sampled(crow, col, mine, sent, logit_grad), spare)
        # Softmax's gradient: sum_e alpha_e d alpha_e over a target's edges is grad . out.
        mean = (mine * _rows(out[group.heads])).sum(1)
        logit_grad.mul_(scale).sub_(torch.index_select(mean, 0, row, out=spare)).mul_(weight)
        torch.ops.aten.leaky_relu_backward.grad_input(logit_grad, sums, slope, False, grad_input=logit_grad)
        if target is not None:
            grad_target = _with_heads(grad_target, group, _row_sum(crow, col, logit_grad, sent.size(0)), copies)
        if edge is not None:
            grad_edge[group.edge_rows] += group.by_copy(logit_grad, copies)
        if source is not None:
            by_source = torch.index_select(logit_grad, 0, order, out=spare)
            grad_source = _with_heads(grad_source, group, _row_sum(t_crow, t_col, by_source, num_targets), copies)
        by_source = torch.index_select(group.drop(weight, spare), 0, order, out=spare)
        received = row_sums(t_crow, t_col, by_source, mine)
        grad_x = _with_heads(grad_x, group, received if scale == 1.0 else received.mul_(scale), copies)
    return grad_x, grad_source, grad_target, grad_edge


torch.library.impl("gnnkit::attend_backward", "CompositeExplicitAutograd", _attend_backward_op)


@torch.library.register_fake("gnnkit::attend_backward")  # type: ignore[untyped-decorator]
def _(grad: Tensor, out: Tensor, lse: Tensor, x: Tensor, *args: Any) -> tuple[Tensor, ...]:
    return _empty_gradients(x, *args[:3])


# ---- autograd and vmap ---------------------------------------------------------------------------


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, Tensor]:
        # All but the transpose, which only the backward reads.
        attend_op = torch.ops.gnnkit.attend.default if _is_traced() else _attend_op
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
        grads: Any = _AttendBackward.forward(*args) if compiling else _apply(_AttendBackward, *args)
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
        backward_op = torch.ops.gnnkit.attend_backward.default if _is_traced() else _attend_backward_op
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
        grads = _apply(_AttendBackward, grad, out, lse, x, source, target, edge, kept, *args[8:])
        of_x, of_source, of_target, of_edge = (torch.unflatten(part, 0, (size, -1)) for part in grads)
        if edge is not None:
            rows = args[6].size(0 if in_dims[6] != 0 else 1)
            of_edge = torch.unflatten(of_edge, 1, (heads // rows, rows)).sum(1)
        return (of_x, of_source, of_target, of_edge), (0, 0, 0, 0)
