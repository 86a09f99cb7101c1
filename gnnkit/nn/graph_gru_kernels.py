"""A whole sequence of a graph GRU as one function, its backward pass written out: see `gnnkit.nn.graph_kernels`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnkit.nn.graph_kernels import (
    ROWS_AT_ONCE,
    Heard,
    InputGradients,
    StateGradients,
    add_terms,
    blocks_of,
    empty,
    refuse_second_derivatives,
    sigmoid_backward,
    tanh_,
    tanh_backward,
)
from gnnkit.nn.operators import Terms


class GRUSequence(torch.autograd.Function):
    """All steps of a `GraphGRUCell` whose r acts after the product."""

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
        """Every hidden state."""
        steps, (rows, h) = len(heard), hidden.shape
        gates = empty(hidden, steps, rows, 3 * h)  # r, z and what n hears of the states, before r acts
        outputs, candidates = (empty(hidden, steps, rows, h) for _ in range(2))
        first, *weights = (weight.t() for weight in torch.split(weight_hh, h, dim=1))
        of_r_z, of_n = weight_ih[: 2 * h].t(), weight_ih[2 * h :].t()
        bias, states = bias_hh.clone(), Heard(terms, size, hidden, 1 + len(weights))
        bias[: 2 * h] += bias_ih[: 2 * h]
        before = hidden
        for step in range(steps):
            own, *others = states.listen(step, before)
            for at in blocks_of(rows):
                all_gates = torch.addmm(bias, own[at], first, out=gates[step, at])
                add_terms(all_gates, others, weights, at)
                all_gates[:, : 2 * h].addmm_(heard[step, at], of_r_z).sigmoid_()
                r, z, shown = all_gates.chunk(3, dim=1)
                n = torch.addmm(bias_ih[2 * h :], heard[step, at], of_n, out=candidates[step, at])
                torch.lerp(tanh_(n.addcmul_(r, shown)), before[at], z, out=outputs[step, at])
            before = outputs[step]
        ctx.terms, ctx.size = terms, size
        ctx.save_for_backward(heard, hidden, weight_ih, weight_hh, gates, states.others, outputs, candidates)
        return outputs

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Any, ...]:
        """See `forward`."""
        refuse_second_derivatives()
        heard, hidden, weight_ih, weight_hh, gates, others, outputs, candidates = ctx.saved_tensors
        rows, h = hidden.shape
        of_terms = StateGradients(weight_hh, hidden)
        of_inputs = InputGradients(weight_ih, heard, ctx.needs_input_grad[2])
        of_bias_n = hidden.new_zeros(h)
        d_hidden, kept = torch.zeros_like(hidden), torch.empty_like(hidden)
        scratch = gates.new_empty(min(rows, ROWS_AT_ONCE), 3 * h)
        for step in range(len(gates) - 1, -1, -1):
            before = outputs[step - 1] if step else hidden
            terms = [before, *others[step]]
            for at in blocks_of(rows):
                r, z, shown = gates[step, at].chunk(3, dim=1)
                d_h = d_hidden[at].add_(grad_outputs[step, at])
                d_gates = scratch[: len(d_h)]
                d_r, d_z, d_n = d_gates.chunk(3, dim=1)
                _through_mixing(d_h, z, candidates[step, at], before[at], d_z, d_n, kept[at])
                sigmoid_backward(d_n * shown, r, grad_input=d_r)
                of_inputs.add(step, at, d_gates)
                # To the states r and z pass on the same gradient, n only its share behind r.
                of_bias_n += d_n.mul_(r).sum(dim=0)
                of_terms.add(at, d_gates, terms)
            d_hidden = of_terms.of_states(ctx.terms[step], ctx.size).add_(kept)
        of_bias = of_inputs.of_bias.view(-1)
        of_biases = of_bias, torch.cat([of_bias[: 2 * h], of_bias_n])
        return None, None, of_inputs.of_heard, d_hidden, of_inputs.of_weight, of_terms.of_weight, *of_biases


class GRUSequenceResetBefore(torch.autograd.Function):
    """All steps of a `GraphGRUCell` whose r acts on the states before they travel: two products with the graph."""

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
        """Every hidden state."""
        steps, (rows, h) = len(heard), hidden.shape
        gates = empty(hidden, steps, rows, 3 * h)
        outputs, resets = (empty(hidden, steps, rows, h) for _ in range(2))
        weights = torch.split(weight_hh, h, dim=1)
        of_r_z, of_n = ([weight[part].t() for weight in weights] for part in (slice(2 * h), slice(2 * h, None)))
        states, reset_states = (Heard(terms, size, hidden, len(weights)) for _ in range(2))
        bias, before = bias_ih + bias_hh, hidden
        for step in range(steps):
            terms_of_states = states.listen(step, before)
            for at in blocks_of(rows):
                all_gates = torch.addmm(bias, heard[step, at], weight_ih.t(), out=gates[step, at])
                r_z = all_gates[:, : 2 * h]
                add_terms(r_z, terms_of_states, of_r_z, at)
                torch.mul(r_z.sigmoid_()[:, :h], before[at], out=resets[step, at])
            terms_of_states = reset_states.listen(step, resets[step])
            for at in blocks_of(rows):
                _, z, n = gates[step, at].chunk(3, dim=1)
                add_terms(n, terms_of_states, of_n, at)
                torch.lerp(tanh_(n), before[at], z, out=outputs[step, at])
            before = outputs[step]
        ctx.terms, ctx.size = terms, size
        kept = states.others, reset_states.others, outputs, resets
        ctx.save_for_backward(heard, hidden, weight_ih, weight_hh, gates, *kept)
        return outputs

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Any, ...]:
        """See `forward`."""
        refuse_second_derivatives()
        heard, hidden, weight_ih, weight_hh, gates, others, reset_others, outputs, resets = ctx.saved_tensors
        h = hidden.size(1)
        of_r_z, of_n = (StateGradients(weight, hidden) for weight in (weight_hh[: 2 * h], weight_hh[2 * h :]))
        of_inputs = InputGradients(weight_ih, heard, ctx.needs_input_grad[2])
        d_hidden, kept = torch.zeros_like(hidden), torch.empty_like(hidden)
        d_gates = torch.empty_like(gates[0])
        for step in range(len(gates) - 1, -1, -1):
            before = outputs[step - 1] if step else hidden
            terms, reset_terms = [before, *others[step]], [resets[step], *reset_others[step]]
            for at in blocks_of(len(hidden)):
                d_h = d_hidden[at].add_(grad_outputs[step, at])
                _, z, n = gates[step, at].chunk(3, dim=1)
                _, d_z, d_n = d_gates[at].chunk(3, dim=1)
                _through_mixing(d_h, z, n, before[at], d_z, d_n, kept[at])
                of_n.add(at, d_n, reset_terms)
            d_reset = of_n.of_states(ctx.terms[step], ctx.size)
            for at in blocks_of(len(hidden)):
                r = gates[step, at, :h]
                sigmoid_backward(d_reset[at] * before[at], r, grad_input=d_gates[at, :h])
                kept[at].addcmul_(d_reset[at], r)
                of_r_z.add(at, d_gates[at, : 2 * h], terms)
                of_inputs.add(step, at, d_gates[at])
            d_hidden = of_r_z.of_states(ctx.terms[step], ctx.size).add_(kept)
        of_bias = of_inputs.of_bias.view(-1)
        of_weights = of_inputs.of_weight, torch.cat([of_r_z.of_weight, of_n.of_weight]), of_bias, of_bias
        return None, None, of_inputs.of_heard, d_hidden, *of_weights


def _through_mixing(d_h: Tensor, z: Tensor, n: Tensor, before: Tensor, d_z: Tensor, d_n: Tensor, kept: Tensor) -> None:
    """From the gradient of h_t = z h_{t-1} + (1 - z) n those of z, n and, ``kept``, the first term; eats ``d_h``."""
    sigmoid_backward(d_h * (before - n), z, grad_input=d_z)
    torch.mul(d_h, z, out=kept)
    tanh_backward(d_h.sub_(kept), n, grad_input=d_n)
