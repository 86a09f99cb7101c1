"""A whole sequence of a graph LSTM or GRU as one function, its backward pass written out.

The same numbers as the cells' own steps, some three times sooner: gates are added up and squashed in
place, no step sets aside what a later one can overwrite, and the weights' gradients of all steps are one
product each at the end. For the plain case only: no clocks, no absent nodes, no gradient for the graph,
no second derivative.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gnnkit.nn.graph_cells import GraphGRUCell, GraphLSTMCell
from gnnkit.nn.operators import Terms
from recurrent.cells import HiddenState, LSTMState

_sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, σ(x)) -> gradient * σ'(x)
_tanh_backward = torch.ops.aten.tanh_backward


def is_fused(cell: object, terms: list[Terms], state: LSTMState | HiddenState) -> bool:
    """Whether these steps may be taken as one function."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    if torch.is_autocast_enabled(state[0].device.type) or any(each.varies for each in terms):
        return False
    return type(cell) is GraphLSTMCell or (type(cell) is GraphGRUCell and cell.reset == "after")


def run_fused(
    cell: GraphLSTMCell | GraphGRUCell, heard: Tensor, terms: list[Terms], state: Any, size: tuple[int, int]
) -> tuple[Tensor, Any]:
    """All steps: ``heard (T, rows, terms x F)`` to every hidden state ``(T, rows, H)`` and the last state.

    ``size`` is nodes and sequences; rows are their pairs, node by node.
    """
    weights = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    if isinstance(cell, GraphLSTMCell):
        outputs, last = _apply(_LSTMSequence, terms, size, heard, *state, *weights, cell.peephole)
        return outputs, LSTMState(outputs[-1], last)
    outputs = _apply(_GRUSequence, terms, size, heard, *state, *weights)
    return outputs, HiddenState(outputs[-1])


def _apply(function: type[torch.autograd.Function], *args: Any) -> Any:
    return function.apply(*args)  # type: ignore[no-untyped-call]


class _Memory:
    """What the states' terms were at every step, for the gradient of their weights."""

    def __init__(self, terms: list[Terms], size: tuple[int, int], like: Tensor, count: int, steps: int) -> None:
        self.terms, self.size = terms, size
        # The first term is the state itself, kept among the outputs already.
        self.heard = like.new_empty(count - 1, steps, *like.shape)

    def listen(self, step: int, hidden: Tensor) -> list[Tensor]:
        _, *others = self.terms[step](hidden.view(*self.size, -1))
        for place, term in zip(self.heard[:, step], others, strict=True):
            place.copy_(term.view(place.shape))
        return [hidden, *self.heard[:, step]]


def _tanh_(x: Tensor) -> Tensor:
    """Tanh in place, as 2 σ(2x) - 1: torch's σ is several times as quick as its tanh, and as exact absolutely."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _project(heard: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The inputs' share of all steps' gates, in memory of its own."""
    return torch.addmm(bias, heard.flatten(0, 1), weight.t()).view(*heard.shape[:2], -1)


def _weight_gradients(gates: Tensor, before: Tensor, outputs: Tensor, heard: Tensor) -> Tensor:
    """dL/dW_h over all steps: the gates' gradients times what each term was."""
    first = torch.mm(gates[0].t(), before)
    if len(gates) > 1:
        first.addmm_(gates[1:].flatten(0, 1).t(), outputs[:-1].flatten(0, 1))
    flat = gates.flatten(0, 1).t()
    return torch.cat([first, *(torch.mm(flat, term.flatten(0, 1)) for term in heard)], dim=1)


def _input_gradients(
    ctx: Any, gates: Tensor, heard: Tensor, weight: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """dL/d heard, dL/dW_x and dL/db from the gates' gradients of all steps."""
    flat = gates.flatten(0, 1)
    grad_heard = torch.mm(flat, weight).view(heard.shape) if ctx.needs_input_grad[2] else None
    ones = flat.new_ones(1, len(flat))  # the sum over rows as a product: several times as quick
    # Turned round: with few channels the product the other way is many times slower.
    grad_weight = torch.mm(heard.flatten(0, 1).t(), flat).t()
    return grad_heard, grad_weight, torch.mm(ones, flat).view(-1)


class _LSTMSequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        terms: list[Terms],
        size: tuple[int, int],
        heard: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        peephole: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        steps, h = len(heard), hidden.size(1)
        gates = _project(heard, weight_ih, bias_ih + bias_hh)
        weights = [weight.t() for weight in torch.split(weight_hh, h, dim=1)]
        memory = _Memory(terms, size, hidden, len(weights), steps)
        outputs, cells, shown = (hidden.new_empty(steps, *hidden.shape) for _ in range(3))
        before, c = hidden, cell
        for step in range(steps):
            all_gates = gates[step]
            for term, weight in zip(memory.listen(step, before), weights, strict=True):
                all_gates.addmm_(term, weight)
            i, f, g, o = all_gates.chunk(4, dim=1)
            if peephole is not None:
                i.addcmul_(peephole[0], c)
                f.addcmul_(peephole[1], c)
            all_gates[:, : 2 * h].sigmoid_()
            _tanh_(g)
            c = torch.mul(i, g, out=cells[step]).addcmul_(f, c)
            if peephole is not None:
                o.addcmul_(peephole[2], c)
            o.sigmoid_()
            before = torch.mul(o, _tanh_(shown[step].copy_(c)), out=outputs[step])
        ctx.terms, ctx.size = terms, size
        ctx.save_for_backward(
            heard, hidden, cell, weight_ih, weight_hh, peephole, gates, memory.heard, outputs, cells, shown
        )
        return outputs, cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor, grad_cell: Tensor) -> tuple[Any, ...]:
        heard, hidden, cell, weight_ih, weight_hh, peephole, gates, terms_heard, outputs, cells, shown = (
            ctx.saved_tensors
        )
        h = hidden.size(1)
        weights = torch.split(weight_hh, h, dim=1)
        found = torch.empty_like(gates)
        d_hidden, d_cell = torch.zeros_like(hidden), grad_cell
        for step in range(len(gates) - 1, -1, -1):
            c_before = cells[step - 1] if step else cell
            i, f, g, o = gates[step].chunk(4, dim=1)
            d_i, d_f, d_g, d_o = found[step].chunk(4, dim=1)
            d_hidden = d_hidden.add_(grad_outputs[step])
            _sigmoid_backward(d_hidden * shown[step], o, grad_input=d_o)
            d_cell = _tanh_backward(d_hidden.mul_(o), shown[step]).add_(d_cell)
            if peephole is not None:
                d_cell.addcmul_(d_o, peephole[2])
            _sigmoid_backward(d_cell * g, i, grad_input=d_i)
            _sigmoid_backward(d_cell * c_before, f, grad_input=d_f)
            _tanh_backward(d_cell * i, g, grad_input=d_g)
            d_cell.mul_(f)
            if peephole is not None:
                d_cell.addcmul_(d_i, peephole[0]).addcmul_(d_f, peephole[1])
            d_hidden = _before(ctx.terms[step], ctx.size, [torch.mm(found[step], weight) for weight in weights])
        grad_peephole = None
        if peephole is not None:
            previous = torch.cat([cell.unsqueeze(0), cells[:-1]])
            seen = zip(found.chunk(4, dim=2), (previous, previous, None, cells), strict=True)
            grad_peephole = torch.stack([(d * c).sum(dim=(0, 1)) for d, c in seen if c is not None])
        grad_heard, grad_ih, grad_bias = _input_gradients(ctx, found, heard, weight_ih)
        grad_hh = _weight_gradients(found, hidden, outputs, terms_heard)
        grads = d_hidden, d_cell, grad_ih, grad_hh, grad_bias, grad_bias, grad_peephole
        return None, None, grad_heard, *grads


class _GRUSequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        terms: list[Terms],
        size: tuple[int, int],
        heard: Tensor,
        hidden: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> Tensor:
        steps, h = len(heard), hidden.size(1)
        bias = bias_ih.clone()
        bias[: 2 * h] += bias_hh[: 2 * h]
        gates = _project(heard, weight_ih, bias)
        weights = [weight.t() for weight in torch.split(weight_hh, h, dim=1)]
        memory = _Memory(terms, size, hidden, len(weights), steps)
        outputs, from_hidden = (hidden.new_empty(steps, *hidden.shape) for _ in range(2))
        from_hidden.copy_(bias_hh[2 * h :].expand_as(from_hidden))
        before = hidden
        for step in range(steps):
            r_and_z, n = gates[step, :, : 2 * h], gates[step, :, 2 * h :]
            for term, weight in zip(memory.listen(step, before), weights, strict=True):
                r_and_z.addmm_(term, weight[:, : 2 * h])
                from_hidden[step].addmm_(term, weight[:, 2 * h :])
            r, z = r_and_z.sigmoid_().chunk(2, dim=1)
            _tanh_(n.addcmul_(r, from_hidden[step]))
            before = torch.lerp(n, before, z, out=outputs[step])
        ctx.terms, ctx.size = terms, size
        ctx.save_for_backward(heard, hidden, weight_ih, weight_hh, gates, memory.heard, outputs, from_hidden)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Any, ...]:
        heard, hidden, weight_ih, weight_hh, gates, terms_heard, outputs, from_hidden = ctx.saved_tensors
        h = hidden.size(1)
        weights = torch.split(weight_hh, h, dim=1)
        found, of_hidden = torch.empty_like(gates), torch.empty_like(gates)
        d_hidden = torch.zeros_like(hidden)
        for step in range(len(gates) - 1, -1, -1):
            before = outputs[step - 1] if step else hidden
            r, z, n = gates[step].chunk(3, dim=1)
            d_r, d_z, d_n = found[step].chunk(3, dim=1)
            d_hidden = d_hidden.add_(grad_outputs[step])
            _sigmoid_backward(d_hidden * (before - n), z, grad_input=d_z)
            kept = d_hidden * z
            _tanh_backward(d_hidden.sub_(kept), n, grad_input=d_n)
            _sigmoid_backward(d_n * from_hidden[step], r, grad_input=d_r)
            # To the states r and z pass on the same gradient, n only its share behind r.
            of_hidden[step, :, : 2 * h] = found[step, :, : 2 * h]
            torch.mul(d_n, r, out=of_hidden[step, :, 2 * h :])
            products = [torch.mm(of_hidden[step], weight) for weight in weights]
            d_hidden = _before(ctx.terms[step], ctx.size, products).add_(kept)
        grad_heard, grad_ih, grad_bias_ih = _input_gradients(ctx, found, heard, weight_ih)
        grad_hh = _weight_gradients(of_hidden, hidden, outputs, terms_heard)
        ones = hidden.new_ones(1, of_hidden.size(0) * of_hidden.size(1))
        grad_bias_hh = torch.mm(ones, of_hidden.flatten(0, 1)).view(-1)
        return None, None, grad_heard, d_hidden, grad_ih, grad_hh, grad_bias_ih, grad_bias_hh


def _before(terms: Terms, size: tuple[int, int], grads: list[Tensor]) -> Tensor:
    """The gradient of the states that the terms were made of; may be written to."""
    rows = [grad.view(*size, -1) for grad in grads]
    return terms.adjoint(rows).view(grads[0].shape)
