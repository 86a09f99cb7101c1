"""Attention's kernels, forward and backward: some heads at a time, as one graph, in memory made once per call."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from gnnkit.graph.sparse_product import row_sums

# Logits of which none lies further below the highest need no maximum for every target: e^-20 is a good float32 yet.
_NARROW = 20.0
_SMALLEST_SUM = 1e-10  # of exponentials over any edges at all: one of them is e^-20 or more


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


def attend_forward(
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
    *,
    with_lse: bool = True,
) -> tuple[Tensor, Tensor]:
    """The sum ``(K, T, C)`` and the log of each target's sum of exponentials ``(K, T)``, which the backward reads."""
    out, lse = (None, None) if copies == x.size(0) else _empty_outputs(x, copies, crow)
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
        if with_lse:
            lse = _with_heads(lse, group, total.log().add_(peak), copies)
        summed = row_sums(crow, col, group.drop(weight, spare), _rows(x[group.heads]))
        # Only a target without edges has less: 0 / 1e-10 there, not 0 / 0.
        summed /= total.clamp_min_(_SMALLEST_SUM).unsqueeze(1)
        out = _with_heads(out, group, summed if scale == 1.0 else summed.mul_(scale), copies)
    return cast("tuple[Tensor, Tensor]", (out, lse))


def _with_heads(whole: Tensor | None, group: _Group, rows: Tensor, copies: int) -> Tensor:
    """``whole``, (K, N, ...), with a group's heads from (N g, ...); those themselves where they are all."""
    if whole is None:
        return _heads(rows, copies)
    whole[group.heads] = _heads(rows, copies)
    return whole


torch.library.impl("gnnkit::attend", "CompositeExplicitAutograd", attend_forward)


@torch.library.register_fake("gnnkit::attend")  # type: ignore[untyped-decorator]
def _(x: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    copies, crow = args[6], args[8]
    return _empty_outputs(x, copies, crow)


def _empty_gradients(
    x: Tensor, source: Tensor | None, target: Tensor | None, edge: Tensor | None, together: bool = False
) -> tuple[Any, ...]:
    """What the heads' gradients are written into; None where one product gives those of all heads together."""

    def of_nodes(part: Tensor | None) -> Tensor | None:
        if part is None:
            return x.new_zeros(0)
        return None if together else x.new_zeros(part.shape[::-1]).t()

    of_x = None if together else x.new_empty(x.shape[1], x.shape[0], x.shape[2]).transpose(0, 1)
    return of_x, of_nodes(source), of_nodes(target), x.new_zeros(0) if edge is None else x.new_zeros(edge.shape)


def attend_backward(
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
    grad_x, grad_source, grad_target, grad_edge = _empty_gradients(x, source, target, edge, copies == x.size(0))
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


torch.library.impl("gnnkit::attend_backward", "CompositeExplicitAutograd", attend_backward)


@torch.library.register_fake("gnnkit::attend_backward")  # type: ignore[untyped-decorator]
def _(grad: Tensor, out: Tensor, lse: Tensor, x: Tensor, *args: Any) -> tuple[Tensor, ...]:
    return _empty_gradients(x, *args[:3])
