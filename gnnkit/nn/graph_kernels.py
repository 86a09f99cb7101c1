"""A whole sequence of a graph LSTM or GRU as one function, its backward pass written out.

The same numbers as the cells' own steps, some three times sooner: gates are added up and squashed in
place, no step sets aside what a later one can overwrite, and the weights' gradients of all steps are one
product each at the end. For the plain case only: no clocks, no absent nodes, no gradient for the graph,
no second derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnkit.nn.attention_terms import AttentionTerms
from gnnkit.nn.graph_cells import GraphGRUCell, GraphLSTMCell
from gnnkit.nn.operators import Terms
from recurrent.cells import HiddenState, LSTMState

_sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, σ(x)) -> gradient * σ'(x)
_tanh_backward = torch.ops.aten.tanh_backward


def is_fused(cell: object, terms: Sequence[Terms | AttentionTerms], state: LSTMState | HiddenState) -> bool:
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


_BLOCK = 2048
_NUMPY_TYPES = {torch.float32: np.float32, torch.float64: np.float64}


def _large(like: Tensor, *shape: int) -> Tensor:
    """Memory for all steps at once, not yet written to.

    numpy's asks for huge pages, torch's does not: to touch 160 MB for the first time then takes 17 ms
    instead of 78, and it is new at every call.
    """
    if like.device.type != "cpu" or like.dtype not in _NUMPY_TYPES:
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, _NUMPY_TYPES[like.dtype]))


def _blocks(rows: int) -> list[slice]:
    """Rows in blocks whose gates stay in the processor's cache from the product to the last squashing."""
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]


def _refuse_second_derivatives() -> None:
    """Raise where the gradient is to have one itself: torch's ``once_differentiable`` would let some pass as 0."""
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "this recurrent layer is differentiable once; gradients of its gradients are not implemented, "
            "so leave out create_graph=True"
        )


class _Memory:
    """What the states' terms were at every step, for the gradient of their weights."""

    def __init__(self, terms: list[Terms], size: tuple[int, int], like: Tensor, count: int, steps: int) -> None:
        self.terms, self.size = terms, size
        # The first term is the state itself, kept among the outputs already.
        self.heard = _large(like, count - 1, steps, *like.shape)

    def listen(self, step: int, hidden: Tensor) -> list[Tensor]:
        _, *others = self.terms[step](hidden.view(*self.size, hidden.size(-1)))
        for place, term in zip(self.heard[:, step], others, strict=True):
            place.copy_(term.view(place.shape))
        return [hidden, *self.heard[:, step]]


def _tanh_(x: Tensor) -> Tensor:
    """Tanh in place, as 2 σ(2x) - 1: torch's σ is several times as quick as its tanh, and as exact absolutely."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _project(heard: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The inputs' share of all steps' gates, in memory of its own."""
    gates = _large(heard, *heard.shape[:2], weight.size(0))
    torch.addmm(bias, heard.flatten(0, 1), weight.t(), out=gates.view(-1, weight.size(0)))
    return gates


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
        outputs, cells, shown = (_large(hidden, steps, *hidden.shape) for _ in range(3))
        before, c_before = hidden, cell
        blocks = _blocks(len(hidden))
        for step in range(steps):
            heard_by_term = memory.listen(step, before)
            for at in blocks:
                all_gates = gates[step, at]
                for term, weight in zip(heard_by_term, weights, strict=True):
                    all_gates.addmm_(term[at], weight)
                i, f, g, o = all_gates.chunk(4, dim=1)
                if peephole is not None:
                    i.addcmul_(peephole[0], c_before[at])
                    f.addcmul_(peephole[1], c_before[at])
                all_gates[:, : 2 * h].sigmoid_()
                _tanh_(g)
                c = torch.mul(i, g, out=cells[step, at]).addcmul_(f, c_before[at])
                if peephole is not None:
                    o.addcmul_(peephole[2], c)
                o.sigmoid_()
                torch.mul(o, _tanh_(shown[step, at].copy_(c)), out=outputs[step, at])
            before, c_before = outputs[step], cells[step]
        ctx.terms, ctx.size = terms, size
        ctx.save_for_backward(
            heard, hidden, cell, weight_ih, weight_hh, peephole, gates, memory.heard, outputs, cells, shown
        )
        return outputs, cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor, grad_cell: Tensor) -> tuple[Any, ...]:
        _refuse_second_derivatives()
        heard, hidden, cell, weight_ih, weight_hh, peephole, gates, terms_heard, outputs, cells, shown = (
            ctx.saved_tensors
        )
        h = hidden.size(1)
        weights = torch.split(weight_hh, h, dim=1)
        found = _large(gates, *gates.shape)
        d_hidden, d_cell = torch.zeros_like(hidden), grad_cell.clone()
        products = [torch.empty_like(hidden) for _ in weights]
        blocks = _blocks(len(hidden))
        for step in range(len(gates) - 1, -1, -1):
            c_before = cells[step - 1] if step else cell
            for at in blocks:
                i, f, g, o = gates[step, at].chunk(4, dim=1)
                d_gates, tanh_c = found[step, at], shown[step, at]
                d_i, d_f, d_g, d_o = d_gates.chunk(4, dim=1)
                d_h = d_hidden[at].add_(grad_outputs[step, at])
                _sigmoid_backward(d_h * tanh_c, o, grad_input=d_o)
                d_c = d_cell[at].add_(_tanh_backward(d_h.mul_(o), tanh_c))
                if peephole is not None:
                    d_c.addcmul_(d_o, peephole[2])
                _sigmoid_backward(d_c * g, i, grad_input=d_i)
                _sigmoid_backward(d_c * c_before[at], f, grad_input=d_f)
                _tanh_backward(d_c * i, g, grad_input=d_g)
                d_c.mul_(f)
                if peephole is not None:
                    d_c.addcmul_(d_i, peephole[0]).addcmul_(d_f, peephole[1])
                for product, weight in zip(products, weights, strict=True):
                    torch.mm(d_gates, weight, out=product[at])
            d_hidden = _before(ctx.terms[step], ctx.size, products)
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
        outputs, from_hidden = (_large(hidden, steps, *hidden.shape) for _ in range(2))
        from_hidden.copy_(bias_hh[2 * h :].expand_as(from_hidden))
        before = hidden
        blocks = _blocks(len(hidden))
        for step in range(steps):
            heard_by_term = memory.listen(step, before)
            for at in blocks:
                r_and_z, n = gates[step, at, : 2 * h], gates[step, at, 2 * h :]
                for term, weight in zip(heard_by_term, weights, strict=True):
                    r_and_z.addmm_(term[at], weight[:, : 2 * h])
                    from_hidden[step, at].addmm_(term[at], weight[:, 2 * h :])
                r, z = r_and_z.sigmoid_().chunk(2, dim=1)
                _tanh_(n.addcmul_(r, from_hidden[step, at]))
                torch.lerp(n, before[at], z, out=outputs[step, at])
            before = outputs[step]
        ctx.terms, ctx.size = terms, size
        ctx.save_for_backward(heard, hidden, weight_ih, weight_hh, gates, memory.heard, outputs, from_hidden)
        return outputs

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Any, ...]:
        _refuse_second_derivatives()
        heard, hidden, weight_ih, weight_hh, gates, terms_heard, outputs, from_hidden = ctx.saved_tensors
        h = hidden.size(1)
        weights = torch.split(weight_hh, h, dim=1)
        found, of_hidden = (_large(gates, *gates.shape) for _ in range(2))
        d_hidden, kept = torch.zeros_like(hidden), torch.empty_like(hidden)
        products = [torch.empty_like(hidden) for _ in weights]
        blocks = _blocks(len(hidden))
        for step in range(len(gates) - 1, -1, -1):
            before = outputs[step - 1] if step else hidden
            for at in blocks:
                r, z, n = gates[step, at].chunk(3, dim=1)
                d_r, d_z, d_n = found[step, at].chunk(3, dim=1)
                d_states = of_hidden[step, at]
                d_h = d_hidden[at].add_(grad_outputs[step, at])
                _sigmoid_backward(d_h * (before[at] - n), z, grad_input=d_z)
                own = torch.mul(d_h, z, out=kept[at])
                _tanh_backward(d_h.sub_(own), n, grad_input=d_n)
                _sigmoid_backward(d_n * from_hidden[step, at], r, grad_input=d_r)
                # To the states r and z pass on the same gradient, n only its share behind r.
                d_states[:, : 2 * h] = found[step, at, : 2 * h]
                torch.mul(d_n, r, out=d_states[:, 2 * h :])
                for product, weight in zip(products, weights, strict=True):
                    torch.mm(d_states, weight, out=product[at])
            d_hidden = _before(ctx.terms[step], ctx.size, products).add_(kept)
        grad_heard, grad_ih, grad_bias_ih = _input_gradients(ctx, found, heard, weight_ih)
        grad_hh = _weight_gradients(of_hidden, hidden, outputs, terms_heard)
        ones = hidden.new_ones(1, of_hidden.size(0) * of_hidden.size(1))
        grad_bias_hh = torch.mm(ones, of_hidden.flatten(0, 1)).view(-1)
        return None, None, grad_heard, d_hidden, grad_ih, grad_hh, grad_bias_ih, grad_bias_hh


def _before(terms: Terms, size: tuple[int, int], grads: list[Tensor]) -> Tensor:
    """The gradient of the states that the terms were made of; may be written to, as may ``grads`` from then on."""
    rows = [grad.view(*size, grad.size(-1)) for grad in grads]
    return terms.adjoint(rows).view(grads[0].shape)
