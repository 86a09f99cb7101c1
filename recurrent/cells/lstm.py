r"""The long short-term memory cell.

.. code-block:: text

    [i, f, g, o] = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    c_t = σ(f) * c_{t-1} + σ(i) * tanh(g)
    h_t = σ(o) * tanh(c_t)

Reference: Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8),
1997; the forget gate is of Gers, Schmidhuber & Cummins, "Learning to Forget", 2000. The
modulation gate g makes the candidate, o gates tanh(c). Gates are stacked in
``torch.nn.LSTM``'s order, so weights copy across.
"""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.kernels import run_kernel
from recurrent.cells.parameters import add_parameters, torch_default_
from recurrent.checks import check_stacked, check_step


class LSTMState(NamedTuple):
    """What an LSTM carries from step to step."""

    hidden: Tensor
    cell: Tensor


class LSTMGates(NamedTuple):
    """Activations of the input, forget, modulation and output gate."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor


def lstm_gates(gates: Tensor) -> LSTMGates:
    """The four activations from their stacked pre-activations, ``[*, 4 hidden_size]``."""
    check_stacked(4, gates=gates)
    return _activations(gates)


def _activations(gates: Tensor) -> LSTMGates:
    i, f, g, o = gates.chunk(4, dim=-1)
    return LSTMGates(i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid())


def lstm_update(gates: Tensor, cell: Tensor) -> LSTMState:
    r"""The LSTM's new state, wherever its gates came from: a sequence, a graph, a tree.

    Args:
        gates: Pre-activations of i, f, g, o, stacked in this order.
        cell: Cell state before the step.

    Shapes:
        - **gates:** :math:`(*, 4\,hidden\_size)`
        - **cell** and both fields of the output: :math:`(*, hidden\_size)`

    Example:
        >>> lstm_update(torch.zeros(1, 8), torch.ones(1, 2)).cell  # every sigmoid is 1/2, tanh is 0
        tensor([[0.5000, 0.5000]])
    """
    check_stacked(4, cell, gates=gates)
    i, f, g, o = _activations(gates)
    cell = torch.addcmul(i * g, f, cell)
    return LSTMState(hidden=o * cell.tanh(), cell=cell)


class LSTMCell(nn.Module):
    r"""One step ``(input, LSTMState) -> (output, LSTMState)``; the output is the hidden state.

    Args:
        input_size: Features of one step's input.
        hidden_size: Units.
        generator: Source of the initial weights; torch's global one when omitted.

    Shapes:
        - **input:** :math:`(*, input\_size)`
        - **output**, **hidden** and **cell:** :math:`(*, hidden\_size)`

    Raises:
        ValueError: If a size is not positive.

    Example:
        >>> cell = LSTMCell(3, 4)
        >>> output, state = cell(torch.zeros(2, 3), cell.initial_state(2))
        >>> output is state.hidden, state.cell.shape
        (True, torch.Size([2, 4]))
    """

    gate_names: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    weight_ih: nn.Parameter
    weight_hh: nn.Parameter
    bias_ih: nn.Parameter
    bias_hh: nn.Parameter

    def __init__(self, input_size: int, hidden_size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        add_parameters(self, 4, input_size, hidden_size)
        torch_default_(self, generator)

    def initial_state(self, *batch_size: int) -> LSTMState:
        """Zeros of shape ``[*batch_size, hidden_size]``."""
        zeros = self.weight_hh.new_zeros(*batch_size, self.hidden_size)
        return LSTMState(hidden=zeros, cell=zeros.clone())

    def forward(self, input: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """One step; see the class."""
        check_step(self, input, state)
        projected = linear(input, self.weight_ih, self.bias_ih)
        new = lstm_update(projected + linear(state.hidden, self.weight_hh, self.bias_hh), state.cell)
        return new.hidden, new

    def prepare(self, inputs: Tensor, state: LSTMState) -> Iterable[Tensor]:
        """The input projections of all steps and both biases, in one product."""
        return linear(inputs, self.weight_ih, self.bias_ih + self.bias_hh).unbind(0)

    def step(self, prepared: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """One step from a projected input, ``[B, 4 hidden_size]``."""
        new = lstm_update(torch.addmm(prepared, state.hidden, self.weight_hh.t()), state.cell)
        return new.hidden, new

    def run(self, inputs: Tensor, state: LSTMState, lengths: Tensor | None = None) -> tuple[Tensor, LSTMState]:
        """All steps in one kernel call; see :func:`recurrent.unroll`."""
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return run_kernel(torch.lstm, inputs, state, weights, lengths)

    def gates(self, input: Tensor, state: LSTMState) -> LSTMGates:
        """The gates of one step, or of many along leading axes."""
        projected = linear(input, self.weight_ih, self.bias_ih)
        return lstm_gates(projected + linear(state.hidden, self.weight_hh, self.bias_hh))

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        return f"{self.input_size}, {self.hidden_size}"
