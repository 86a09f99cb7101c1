"""A pass of the neighbour LSTM, level by level, as one function whose backward pass is written out.

Nodes stand in the order of their levels, so that a level is a slice; states and activations are written
in place, and the weights' gradients of all levels are one product at the end. Gates are stacked as
f, i, o, g here: then those of a node's own update lie together, and those that are squashed alike, too.
No second derivative.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from gnnkit.nn.neighbor_plan import NeighborPlan

_sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, σ(x)) -> gradient * σ'(x)
_tanh_backward = torch.ops.aten.tanh_backward


def run_levels(
    plan: NeighborPlan,
    gates: Tensor,
    cell: Tensor | None,
    weight: Tensor,
    scale: Tensor | None,
    *,
    by_place: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""New hidden and cell state of every node, in the nodes' own order, or by place where asked.

    Args:
        plan: Levels and fresh edges; with slots where neighbours have weights of their own.
        gates: Pre-activations f, i, o, g from all that is known before the pass, by place.
        cell: What the cell keeps of what is known before the pass, by place; nothing where None.
        weight: Of the neighbours' states; rows f, i, o, g, or f_1, ..., f_K, i, o, g with slots.
        scale: What the sums over neighbours are multiplied by, by place; nothing where None.
        by_place: Leave the states in the order of places.

    Shapes:
        - **gates:** :math:`(N, 4H)`; **cell**, outputs: :math:`(N, H)`; **scale:** :math:`(N, 1)`
        - **weight:** :math:`(4H, H)`, or :math:`((3 + K)H, KH)` with slots
    """
    function: Any = _ByPosition if plan.slots is not None else _Summed
    arguments = (plan, gates, weight) if plan.slots is not None else (plan, gates, cell, weight, scale)
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        hidden, new = function.apply(*arguments)
    else:  # the same, minus a signature inspection that only transforms need
        hidden, new = super(torch.autograd.Function, function).apply(*arguments)
    if plan.place is not None and not by_place:
        hidden, new = hidden.index_select(0, plan.place), new.index_select(0, plan.place)
    return cast(Tensor, hidden), cast(Tensor, new)


def _tanh_(x: Tensor) -> Tensor:
    """Tanh in place, as 2 σ(2x) - 1: torch's σ is several times as quick as its tanh, and as exact absolutely."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _squash(gates: Tensor, h: int) -> tuple[Tensor, Tensor, Tensor]:
    """i, o, g activated in place; they are the last three of the row, and what stands before goes with i and o."""
    gates[:, :-h].sigmoid_()
    _tanh_(gates[:, -h:])
    return gates[:, -3 * h : -2 * h], gates[:, -2 * h : -h], gates[:, -h:]


def _emit(hidden: Tensor, cell: Tensor, o: Tensor) -> None:
    """H = o tanh(c)."""
    hidden.copy_(cell)
    _tanh_(hidden).mul_(o)


def _own_gradients(gates: Tensor, cell: Tensor, grad_hidden: Tensor, grad_cell: Tensor, out: Tensor, h: int) -> None:
    """From dL/dh and dL/dc those of i, o, g, into the end of ``out``; dL/dc then holds what came through h, too."""
    i, o, g = gates[:, -3 * h : -2 * h], gates[:, -2 * h : -h], gates[:, -h:]
    squashed = _tanh_(cell.clone())
    out[:, -2 * h : -h] = _sigmoid_backward(grad_hidden * squashed, o)
    grad_cell.add_(_tanh_backward(grad_hidden * o, squashed))
    out[:, -3 * h : -2 * h] = _sigmoid_backward(grad_cell * g, i)
    out[:, -h:] = _tanh_backward(grad_cell * i, g)


def _refuse_second_derivatives() -> None:
    """Raise where the gradient is to have one itself: torch's ``once_differentiable`` would let some pass as 0."""
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "the neighbour LSTM is differentiable once; gradients of its gradients are not implemented, "
            "so leave out create_graph=True"
        )


class _Summed(torch.autograd.Function):
    """Neighbours share their weights: gates see the sum of the neighbours, and each has its forget gate."""

    @staticmethod
    def forward(
        ctx: Any, plan: NeighborPlan, gates: Tensor, cell0: Tensor | None, weight: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        h, first = weight.size(1), plan.first
        forget_weight, own_weight = weight[:h].t(), weight[h:].t()
        gates = gates.clone()
        cell = gates.new_zeros(plan.num_nodes, h) if cell0 is None else cell0.clone()
        hidden = torch.empty_like(cell)
        heard = gates.new_zeros(plan.num_nodes - first, h)
        forget = gates.new_empty(plan.source.numel(), h)
        i, o, g = _squash(gates[:first, h:], h)
        cell[:first].addcmul_(i, g)
        _emit(hidden[:first], cell[:first], o)
        for nodes, edges in plan.levels:
            source, local = plan.source[edges], plan.local[edges]
            arriving = hidden.index_select(0, source)
            total = heard[nodes.start - first : nodes.stop - first].index_add_(0, local, arriving)
            kept = torch.index_select(gates[nodes, :h], 0, local, out=forget[edges])
            kept.addmm_(arriving, forget_weight).sigmoid_()
            remembered = kept * cell.index_select(0, source)
            new = cell[nodes]
            if scale is None:
                new.index_add_(0, local, remembered)
            else:
                total.mul_(scale[nodes])
                new.addcmul_(torch.zeros_like(new).index_add_(0, local, remembered), scale[nodes])
            i, o, g = _squash(gates[nodes, h:].addmm_(total, own_weight), h)
            new.addcmul_(i, g)
            _emit(hidden[nodes], new, o)
        ctx.plan, ctx.has_cell = plan, cell0 is not None
        ctx.save_for_backward(gates, cell, hidden, heard, forget, weight, scale)
        return hidden, cell

    @staticmethod
    def backward(ctx: Any, grad_hidden: Tensor, grad_cell: Tensor) -> tuple[Any, ...]:
        _refuse_second_derivatives()
        plan: NeighborPlan = ctx.plan
        gates, cell, hidden, heard, forget, weight, scale = ctx.saved_tensors
        h, first = weight.size(1), plan.first
        forget_weight, own_weight = weight[:h], weight[h:]
        grad_hidden, grad_cell = grad_hidden.clone(), grad_cell.clone()
        grad_gates = torch.empty_like(gates)
        grad_gates[:, :h].zero_()
        grad_forget = torch.empty_like(forget)
        for nodes, edges in reversed(plan.levels):
            source, local = plan.source[edges], plan.local[edges]
            here, kept = grad_gates[nodes], forget[edges]
            _own_gradients(gates[nodes], cell[nodes], grad_hidden[nodes], grad_cell[nodes], here, h)
            through_cell, through_sum = grad_cell[nodes], here[:, h:] @ own_weight
            if scale is not None:
                through_cell, through_sum = through_cell * scale[nodes], through_sum.mul_(scale[nodes])
            arriving = through_cell.index_select(0, local)
            change = _sigmoid_backward(arriving * cell.index_select(0, source), kept)
            grad_forget[edges] = change
            here[:, :h].index_add_(0, local, change)
            grad_cell.index_add_(0, source, arriving.mul_(kept))
            grad_hidden.index_add_(0, source, torch.addmm(through_sum.index_select(0, local), change, forget_weight))
        _own_gradients(gates[:first], cell[:first], grad_hidden[:first], grad_cell[:first], grad_gates[:first], h)
        grad_weight = None
        if ctx.needs_input_grad[3]:
            from_forget = grad_forget.t() @ hidden.index_select(0, plan.source)
            grad_weight = torch.cat([from_forget, grad_gates[first:, h:].t() @ heard])
        return None, grad_gates, grad_cell if ctx.has_cell else None, grad_weight, None


class _ByPosition(torch.autograd.Function):
    """Each position has weights of its own, for every gate, the forget gates of its siblings included."""

    @staticmethod
    def forward(ctx: Any, plan: NeighborPlan, gates: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        assert plan.slots is not None, "asked by who calls"
        h, first, arity = gates.size(1) // 4, plan.first, plan.slots.size(1)
        weight_t = weight.t()
        # One row more than nodes: what stands for a neighbour that is not there.
        hidden, cell = gates.new_zeros(2, plan.num_nodes + 1, h).unbind()
        leaves = gates[:first, h:].clone()
        inner = gates.new_empty(plan.num_nodes - first, (3 + arity) * h)
        inner[:, : arity * h].view(-1, arity, h).copy_(gates[first:, None, :h])
        inner[:, arity * h :] = gates[first:, h:]
        i, o, g = _squash(leaves, h)
        torch.mul(i, g, out=cell[:first])
        _emit(hidden[:first], cell[:first], o)
        for nodes, _ in plan.levels:
            rows = slice(nodes.start - first, nodes.stop - first)
            slots, here, new = plan.slots[rows].view(-1), inner[rows], cell[nodes]
            arriving = hidden.index_select(0, slots).view(-1, arity * h)
            i, o, g = _squash(here.addmm_(arriving, weight_t), h)
            torch.mul(i, g, out=new)
            remembered = cell.index_select(0, slots).view(-1, arity * h)
            remembered.mul_(here[:, : arity * h])
            for part in remembered.chunk(arity, dim=1):
                new.add_(part)
            _emit(hidden[nodes], new, o)
        ctx.plan = plan
        ctx.save_for_backward(leaves, inner, cell, hidden, weight)
        return hidden[:-1], cell[:-1]

    @staticmethod
    def backward(ctx: Any, grad_hidden: Tensor, grad_cell: Tensor) -> tuple[Any, ...]:
        _refuse_second_derivatives()
        plan: NeighborPlan = ctx.plan
        leaves, inner, cell, hidden, weight = ctx.saved_tensors
        h, first, arity = cell.size(1), plan.first, plan.slots.size(1)  # type: ignore[union-attr]
        grads = cell.new_zeros(2, plan.num_nodes + 1, h)
        grads[0, :-1], grads[1, :-1] = grad_hidden, grad_cell
        grad_hidden, grad_cell = grads.unbind()
        grad_inner = torch.empty_like(inner)
        for nodes, _ in reversed(plan.levels):
            rows = slice(nodes.start - first, nodes.stop - first)
            slots, kept, change = plan.slots[rows].view(-1), inner[rows, : arity * h], grad_inner[rows]  # type: ignore[index]
            _own_gradients(inner[rows], cell[nodes], grad_hidden[nodes], grad_cell[nodes], change, h)
            arriving = grad_cell[nodes].repeat(1, arity)
            remembered = cell.index_select(0, slots).view(-1, arity * h)
            change[:, : arity * h] = _sigmoid_backward(arriving * remembered, kept)
            grad_cell.index_add_(0, slots, arriving.mul_(kept).view(-1, h))
            grad_hidden.index_add_(0, slots, (change @ weight).view(-1, h))
        grad_gates = leaves.new_zeros(plan.num_nodes, 4 * h)
        _own_gradients(leaves, cell[:first], grad_hidden[:first], grad_cell[:first], grad_gates[:first], h)
        grad_gates[first:, h:] = grad_inner[:, arity * h :]
        torch.sum(grad_inner[:, : arity * h].view(-1, arity, h), dim=1, out=grad_gates[first:, :h])
        grad_weight = None
        if ctx.needs_input_grad[2]:
            assert plan.slots is not None, "as in the forward pass"
            grad_weight = grad_inner.t() @ hidden.index_select(0, plan.slots.view(-1)).view(-1, arity * h)
        return None, grad_gates, grad_weight
