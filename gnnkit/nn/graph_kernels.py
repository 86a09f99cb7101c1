"""A whole sequence of a graph LSTM or GRU as one function, its backward pass written out.

The same numbers as the cells' own steps, several times sooner: gates are added up and squashed in place, block by
block of rows while they are in the processor's cache, and the backward pass adds a block's share to the gradients
of the weights at once, so that no gradient of a gate is kept. For the plain case only: no clocks, no absent nodes,
no gradient for the graph, no second derivative. The GRUs are in `gnnkit.nn.graph_gru_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnkit.nn.operators import Terms

# As many rows as have their gates stay in the processor's cache from the product to the last squashing.
ROWS_AT_ONCE = 2048
_NUMPY_TYPES = {torch.float32: np.float32, torch.float64: np.float64}

sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, σ(x)) -> gradient * σ'(x)
tanh_backward = torch.ops.aten.tanh_backward


def blocks_of(rows: int) -> list[slice]:
    """Rows in blocks."""
    return [slice(start, min(start + ROWS_AT_ONCE, rows)) for start in range(0, rows, ROWS_AT_ONCE)]


def empty(like: Tensor, *shape: int) -> Tensor:
    """Memory for all steps at once, not yet written to.

    numpy's asks for huge pages, torch's does not: to touch 160 MB for the first time then takes 17 ms
    instead of 78, and it is new at every call.
    """
    if like.device.type != "cpu" or like.dtype not in _NUMPY_TYPES:
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, _NUMPY_TYPES[like.dtype]))


def tanh_(x: Tensor) -> Tensor:
    """Tanh in place, as 2 σ(2x) - 1: torch's σ is several times as quick as its tanh, and as exact absolutely."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def refuse_second_derivatives() -> None:
    """Raise where the gradient is to have one itself: torch's ``once_differentiable`` would let some pass as 0."""
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "this recurrent layer is differentiable once; gradients of its gradients are not implemented, "
            "so leave out create_graph=True"
        )


class Heard:
    """Z of the states at every step, kept for the gradient of their weights.

    Args:
        terms: Z at every step.
        size: Nodes and sequences; rows are their pairs, node by node.
        like: The states of one step.
        count: Terms.
    """

    def __init__(self, terms: list[Terms], size: tuple[int, int], like: Tensor, count: int) -> None:
        self.terms, self.size = terms, size
        # The first term is the state itself, kept elsewhere already.
        self.others = empty(like, len(terms), count - 1, *like.shape)

    def listen(self, step: int, hidden: Tensor) -> list[Tensor]:
        """The terms of ``hidden``, each ``(rows, H)``."""
        others, shape = self.others[step], (*self.size, hidden.size(-1))
        self.terms[step].write(hidden.view(shape), others.view(len(others), *shape))
        return [hidden, *others]


def add_terms(total: Tensor, terms: list[Tensor], weights: list[Tensor], at: slice) -> None:
    """Add to ``total`` what each term's rows ``at`` give."""
    for term, weight in zip(terms, weights, strict=True):
        total.addmm_(term[at], weight)


class StateGradients:
    """What gradients of gates mean for W_h and for the terms of the states, block by block.

    Args:
        weight_hh: W_h, its columns term by term.
        like: The states of one step.
    """

    def __init__(self, weight_hh: Tensor, like: Tensor) -> None:
        self.weights = torch.split(weight_hh, like.size(1), dim=1)
        self.of_terms = like.new_empty(len(self.weights), *like.shape)
        self._turned = weight_hh.new_zeros(weight_hh.size(1), weight_hh.size(0))
        self._shares = torch.split(self._turned, like.size(1))

    def add(self, at: slice, gates: Tensor, terms: list[Tensor]) -> None:
        """Take in the gradients of the gates of the rows ``at``, from ``terms`` of all rows."""
        for weight, product, share, term in zip(self.weights, self.of_terms, self._shares, terms, strict=True):
            torch.mm(gates, weight, out=product[at])
            share.addmm_(term[at].t(), gates)

    def of_states(self, terms: Terms, size: tuple[int, int]) -> Tensor:
        """The gradient of the states, whose terms' gradients this overwrites; it may be written to itself."""
        count, rows, h = self.of_terms.shape
        return terms.adjoint(self.of_terms.view(count, *size, h)).view(rows, h)

    @property
    def of_weight(self) -> Tensor:
        """The gradient of W_h."""
        return self._turned.t()


class InputGradients:
    """What gradients of gates mean for W_x, its bias and what was heard of the inputs, block by block.

    Args:
        weight_ih: W_x.
        heard: Z of the inputs at all steps, ``(T, rows, terms x F)``.
        wanted: Whether the gradient of ``heard`` is asked for.
    """

    def __init__(self, weight_ih: Tensor, heard: Tensor, wanted: bool) -> None:
        self.weight, self.heard = weight_ih, heard
        self.of_heard = empty(heard, *heard.shape) if wanted else None
        # Turned round: with few channels the product the other way is many times slower.
        self._turned = weight_ih.new_zeros(weight_ih.size(1), weight_ih.size(0))
        self.of_bias = weight_ih.new_zeros(1, weight_ih.size(0))
        self._ones = weight_ih.new_ones(1, min(ROWS_AT_ONCE, heard.size(1)))

    def add(self, step: int, at: slice, gates: Tensor) -> None:
        """Take in the gradients of the gates of the rows ``at``."""
        if self.of_heard is not None:
            torch.mm(gates, self.weight, out=self.of_heard[step, at])
        self._turned.addmm_(self.heard[step, at].t(), gates)
        self.of_bias.addmm_(self._ones[:, : len(gates)], gates)  # several times as quick as a sum

    @property
    def of_weight(self) -> Tensor:
        """The gradient of W_x."""
        return self._turned.t()


class LSTMSequence(torch.autograd.Function):
    """All steps of a `GraphLSTMCell`."""

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
        """Every hidden state, and the last cell's."""
        steps, (rows, h) = len(heard), hidden.shape
        gates = empty(hidden, steps, rows, 4 * h)
        outputs, cells = (empty(hidden, steps, rows, h) for _ in range(2))
        weights = [weight.t() for weight in torch.split(weight_hh, h, dim=1)]
        bias, states = bias_ih + bias_hh, Heard(terms, size, hidden, len(weights))
        before, c_before = hidden, cell
        for step in range(steps):
            terms_of_states = states.listen(step, before)
            for at in blocks_of(rows):
                all_gates = torch.addmm(bias, heard[step, at], weight_ih.t(), out=gates[step, at])
                add_terms(all_gates, terms_of_states, weights, at)
                i, f, g, o = all_gates.chunk(4, dim=1)
                if peephole is None:
                    o.sigmoid_()
                else:
                    i.addcmul_(peephole[0], c_before[at])
                    f.addcmul_(peephole[1], c_before[at])
                all_gates[:, : 2 * h].sigmoid_()
                c = torch.mul(i, tanh_(g), out=cells[step, at]).addcmul_(f, c_before[at])
                if peephole is not None:
                    o.addcmul_(peephole[2], c).sigmoid_()
                tanh_(outputs[step, at].copy_(c)).mul_(o)
            before, c_before = outputs[step], cells[step]
        ctx.terms, ctx.size = terms, size
        ctx.save_for_backward(heard, hidden, cell, weight_ih, weight_hh, peephole, gates, states.others, outputs, cells)
        return outputs, cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor, grad_cell: Tensor) -> tuple[Any, ...]:
        """See `forward`."""
        refuse_second_derivatives()
        heard, hidden, cell, weight_ih, weight_hh, peephole, gates, others, outputs, cells = ctx.saved_tensors
        rows = len(hidden)
        of_terms = StateGradients(weight_hh, hidden)
        of_inputs = InputGradients(weight_ih, heard, ctx.needs_input_grad[2])
        grad_peephole = None if peephole is None else torch.zeros_like(peephole)
        d_hidden, d_cell = torch.zeros_like(hidden), grad_cell.clone()
        scratch = gates.new_empty(min(rows, ROWS_AT_ONCE), gates.size(2))
        for step in range(len(gates) - 1, -1, -1):
            before, c_before = (outputs[step - 1], cells[step - 1]) if step else (hidden, cell)
            terms = [before, *others[step]]
            for at in blocks_of(rows):
                c, d_c = cells[step, at], d_cell[at]
                d_h = d_hidden[at].add_(grad_outputs[step, at])
                d_gates = scratch[: len(d_h)]
                _through_update(d_gates, d_h, d_c, gates[step, at], c, c_before[at], peephole)
                if grad_peephole is not None:
                    d_i, d_f, _, d_o = d_gates.chunk(4, dim=1)
                    seen = (d_i, c_before[at]), (d_f, c_before[at]), (d_o, c)
                    grad_peephole.add_(torch.stack([(d * by).sum(dim=0) for d, by in seen]))
                of_terms.add(at, d_gates, terms)
                of_inputs.add(step, at, d_gates)
            d_hidden = of_terms.of_states(ctx.terms[step], ctx.size)
        grad_bias = of_inputs.of_bias.view(-1)
        of_weights = of_inputs.of_weight, of_terms.of_weight, grad_bias, grad_bias
        return None, None, of_inputs.of_heard, d_hidden, d_cell, *of_weights, grad_peephole


def _through_update(
    d_gates: Tensor, d_h: Tensor, d_c: Tensor, gates: Tensor, c: Tensor, c_before: Tensor, peephole: Tensor | None
) -> None:
    """From the gradients of h_t and c_t those of the gates, and in place of ``d_c`` that of c_{t-1}; eats ``d_h``."""
    i, f, g, o = gates.chunk(4, dim=1)
    d_i, d_f, d_g, d_o = d_gates.chunk(4, dim=1)
    tanh_c = tanh_(c.clone())
    sigmoid_backward(d_h * tanh_c, o, grad_input=d_o)
    d_c.add_(tanh_backward(d_h.mul_(o), tanh_c))
    if peephole is not None:
        d_c.addcmul_(d_o, peephole[2])
    sigmoid_backward(d_c * g, i, grad_input=d_i)
    sigmoid_backward(d_c * c_before, f, grad_input=d_f)
    tanh_backward(d_c * i, g, grad_input=d_g)
    d_c.mul_(f)
    if peephole is not None:
        d_c.addcmul_(d_i, peephole[0]).addcmul_(d_f, peephole[1])
