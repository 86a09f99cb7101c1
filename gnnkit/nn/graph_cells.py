r"""Recurrent cells whose gates see the neighbourhood, one time step each.

.. code-block:: text

    [i, f, g, o] = Z(X_t) W_x + b_x + Z(H_{t-1}) W_h + b_h,  Z(H) = [H, S_1 H, ..., S_M H]

then the updates of `recurrent`. With no S at all (K = 0) they are ``torch.nn``'s LSTM and GRU, and take
their weights.

Reference: Seo et al., "Structured Sequence Modeling with Graph Convolutional Recurrent Networks",
2016, https://arxiv.org/abs/1612.07659, eq. 7 (its peephole weights included).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells import HiddenState, LSTMState, gru_update, lstm_update, temporal_gate

Listen = Callable[[Tensor], list[Tensor]]  # hidden states (rows, H) to the terms of Z, each (rows, H)
Reset = Literal["after", "before"]


class _GraphCell(nn.Module):
    """Weights for every term of Z, named and stacked as ``torch.nn``'s cells have them, term by term."""

    num_gates: int

    def __init__(self, in_channels: int, hidden_size: int, input_terms: int, state_terms: int) -> None:
        super().__init__()
        if in_channels < 1 or hidden_size < 1:
            raise ValueError(f"in_channels and hidden_size must be at least 1, got {in_channels} and {hidden_size}")
        self.in_channels, self.hidden_size = in_channels, hidden_size
        self.input_terms, self.state_terms = input_terms, state_terms
        rows = self.num_gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_terms * in_channels))
        self.weight_hh = nn.Parameter(torch.empty(rows, state_terms * hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))

    def reset_parameters(self) -> None:
        """Uniform on +-1/sqrt(terms x hidden_size): ``torch.nn``'s range where there is one term."""
        bound = (self.state_terms * self.hidden_size) ** -0.5
        for parameter in (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh):
            nn.init.uniform_(parameter, -bound, bound)

    def recurrent_weights(self) -> list[Tensor]:
        """W_h of every term, ``(H, gates x H)``: cut once for all steps."""
        return [weight.t() for weight in torch.split(self.weight_hh, self.hidden_size, dim=1)]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_channels}, {self.hidden_size}, input_terms={self.input_terms}, state_terms={self.state_terms}"


class GraphLSTMCell(_GraphCell):
    """One step of an LSTM on every node.

    Args:
        in_channels: Features per node.
        hidden_size: Units per node.
        input_terms: Terms of Z(X).
        state_terms: Terms of Z(H).
        peephole: i and f see c_{t-1}, o sees c_t, unit by unit.
    """

    num_gates = 4

    def __init__(
        self, in_channels: int, hidden_size: int, input_terms: int, state_terms: int, *, peephole: bool = False
    ) -> None:
        super().__init__(in_channels, hidden_size, input_terms, state_terms)
        self.peephole = nn.Parameter(torch.empty(3, hidden_size)) if peephole else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As ``torch.nn``; the peepholes too."""
        super().reset_parameters()
        if self.peephole is not None:
            nn.init.uniform_(self.peephole, -(self.hidden_size**-0.5), self.hidden_size**-0.5)

    def initial_state(self, rows: int) -> LSTMState:
        """Zeros."""
        zeros = self.weight_hh.new_zeros(rows, self.hidden_size)
        return LSTMState(zeros, zeros)

    def project(self, heard: Tensor) -> Tensor:
        """The input's share of the gates, both biases in it: ``(*, terms x in_channels) -> (*, 4 H)``."""
        return linear(heard, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, projected: Tensor, state: LSTMState, listen: Listen, weights: list[Tensor]) -> LSTMState:
        """The state after one step, from a projected input ``(rows, 4 H)``."""
        gates = add_products(projected, listen(state.hidden), weights)
        if self.peephole is None:
            return lstm_update(gates, state.cell)
        see_i, see_f, see_o = self.peephole.unbind(0)
        i, f, g, o = gates.chunk(4, dim=-1)
        i, f = torch.addcmul(i, see_i, state.cell).sigmoid(), torch.addcmul(f, see_f, state.cell).sigmoid()
        cell = torch.addcmul(i * g.tanh(), f, state.cell)
        return LSTMState(torch.addcmul(o, see_o, cell).sigmoid() * cell.tanh(), cell)


class GraphGRUCell(_GraphCell):
    """One step of a GRU on every node.

    Args:
        in_channels: Features per node.
        hidden_size: Units per node.
        input_terms: Terms of Z(X).
        state_terms: Terms of Z(H).
        reset: Where r acts: ``"after"`` the product with W_h, as in ``torch.nn.GRU``, or ``"before"``, on
            H itself, as in the papers (GConvGRU, DCRNN, T-GCN): a second product a step.
    """

    num_gates = 3

    def __init__(
        self, in_channels: int, hidden_size: int, input_terms: int, state_terms: int, *, reset: Reset = "after"
    ) -> None:
        super().__init__(in_channels, hidden_size, input_terms, state_terms)
        if reset not in ("after", "before"):
            raise ValueError(f"reset must be 'after' or 'before', got {reset!r}")
        self.reset: Reset = reset
        self.reset_parameters()

    def initial_state(self, rows: int) -> HiddenState:
        """Zeros."""
        return HiddenState(self.weight_hh.new_zeros(rows, self.hidden_size))

    def project(self, heard: Tensor) -> Tensor:
        """The input's share of r, z and n, with its bias: ``(*, terms x in_channels) -> (*, 3 H)``."""
        return linear(heard, self.weight_ih, self.bias_ih)

    def step(self, projected: Tensor, state: HiddenState, listen: Listen, weights: list[Tensor]) -> HiddenState:
        """The state after one step, from a projected input ``(rows, 3 H)``."""
        if self.reset == "after":
            first, *others = listen(state.hidden)
            from_hidden = add_products(torch.addmm(self.bias_hh, first, weights[0]), others, weights[1:])
            return HiddenState(gru_update(projected, from_hidden, state.hidden))
        size = self.hidden_size
        gates = projected + self.bias_hh
        r_and_z = [weight[:, : 2 * size] for weight in weights]
        r, z = add_products(gates[:, : 2 * size], listen(state.hidden), r_and_z).sigmoid().chunk(2, dim=-1)
        n = add_products(gates[:, 2 * size :], listen(r * state.hidden), [weight[:, 2 * size :] for weight in weights])
        return HiddenState(torch.lerp(n.tanh().to(state.hidden.dtype), state.hidden, z.to(state.hidden.dtype)))


def add_products(total: Tensor, terms: list[Tensor], weights: list[Tensor]) -> Tensor:
    """``total`` and every term's product with its weights; no copy that sets the terms side by side."""
    for term, weight in zip(terms, weights, strict=True):
        total = torch.addmm(total, term, weight)
    return total


class TemporalGate(nn.Module):
    """The Phased LSTM's clock of every unit: how far it is open at given times, ``(*) -> (*, hidden_size)``.

    Args:
        hidden_size: Units.
        r_on: Initial share of the period during which a gate is open.
        leak: Slope of the closed gate in training; evaluation uses 0.
        tau_range: Initial periods are log-uniform on this range.

    Reference: Neil, Pfeiffer & Liu, NIPS 2016, https://arxiv.org/abs/1610.09513, eq. 2.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        r_on: float = 0.05,
        leak: float = 0.001,
        tau_range: tuple[float, float] = (math.e, math.e**6),
    ) -> None:
        super().__init__()
        if not 0 < r_on < 1:
            raise ValueError(f"r_on must lie between 0 and 1, got {r_on}")
        self.initial_r_on, self.leak, self.tau_range = r_on, leak, tau_range
        self.log_tau = nn.Parameter(torch.empty(hidden_size))
        self.s = nn.Parameter(torch.empty(hidden_size))
        self.logit_r_on = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Periods log-uniform, shifts uniform on a period, the open ratio as given."""
        self.log_tau.uniform_(math.log(self.tau_range[0]), math.log(self.tau_range[1]))
        self.s.uniform_().mul_(self.log_tau.exp())
        self.logit_r_on.fill_(math.log(self.initial_r_on / (1 - self.initial_r_on)))

    def forward(self, times: Tensor) -> Tensor:
        """How far each unit is open; phases are computed in the wider dtype of times and weights."""
        leak = self.leak if self.training else 0.0
        opened = temporal_gate(times.unsqueeze(-1), self.log_tau.exp(), self.s, self.logit_r_on.sigmoid(), leak)
        return opened.to(self.s.dtype)
