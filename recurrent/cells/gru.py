r"""The gated recurrent unit, in torch's convention.

.. code-block:: text

    r = σ(W_ir x + b_ir + W_hr h + b_hr)
    z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
    h' = (1 - z) * n + z * h

Here z keeps the old state: the z of the paper, and of the course's sheets, is 1 minus
this one. r acts after the product with W_hn (in the paper, before), as in cuDNN.

Reference: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for
Statistical Machine Translation", EMNLP 2014, https://arxiv.org/abs/1406.1078.
"""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.cell import HiddenState
from recurrent.cells.kernels import run_kernel
from recurrent.cells.parameters import add_parameters, torch_default_
from recurrent.checks import check_stacked, check_step


class GRUGates(NamedTuple):
    """Activations of the reset gate, the update gate (1 keeps) and the candidate."""

    r: Tensor
    z: Tensor
    n: Tensor


def gru_gates(from_input: Tensor, from_hidden: Tensor) -> GRUGates:
    """The activations from the stacked projections of input and state, each ``[*, 3 hidden_size]``.

    The two come apart because r scales only the state's share of n.
    """
    check_stacked(3, from_input=from_input, from_hidden=from_hidden)
    return _activations(from_input, from_hidden)


def _activations(from_input: Tensor, from_hidden: Tensor) -> GRUGates:
    i_r, i_z, i_n = from_input.chunk(3, dim=-1)
    h_r, h_z, h_n = from_hidden.chunk(3, dim=-1)
    r = (i_r + h_r).sigmoid()
    return GRUGates(r, (i_z + h_z).sigmoid(), torch.addcmul(i_n, r, h_n).tanh())


def gru_update(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    r"""The GRU's new hidden state, wherever its projections came from.

    Shapes:
        - **from_input** and **from_hidden:** :math:`(*, 3\,hidden\_size)`, stacked as r, z, n
        - **hidden** and output: :math:`(*, hidden\_size)`

    Example:
        >>> gru_update(torch.zeros(1, 6), torch.zeros(1, 6), torch.ones(1, 2))  # halfway to n = 0
        tensor([[0.5000, 0.5000]])
    """
    check_stacked(3, hidden, from_input=from_input, from_hidden=from_hidden)
    _, z, n = _activations(from_input, from_hidden)
    if n.dtype != hidden.dtype:  # under autocast the gates are half, the state that goes on is not
        n, z = n.to(hidden.dtype), z.to(hidden.dtype)
    return torch.lerp(n, hidden, z)


class GRUCell(nn.Module):
    r"""One step ``(input, HiddenState) -> (output, HiddenState)``; the output is the hidden state.

    Args:
        input_size: Features of one step's input.
        hidden_size: Units.
        generator: Source of the initial weights; torch's global one when omitted.

    Shapes:
        - **input:** :math:`(*, input\_size)`
        - **output** and **hidden:** :math:`(*, hidden\_size)`

    Raises:
        ValueError: If a size is not positive.
    """

    gate_names: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    weight_ih: nn.Parameter
    weight_hh: nn.Parameter
    bias_ih: nn.Parameter
    bias_hh: nn.Parameter

    def __init__(self, input_size: int, hidden_size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        add_parameters(self, 3, input_size, hidden_size)
        torch_default_(self, generator)

    def initial_state(self, *batch_size: int) -> HiddenState:
        """Zeros of shape ``[*batch_size, hidden_size]``."""
        return HiddenState(self.weight_hh.new_zeros(*batch_size, self.hidden_size))

    def forward(self, input: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step; see the class."""
        check_step(self, input, state)
        return self.step(linear(input, self.weight_ih, self.bias_ih), state)

    def prepare(self, inputs: Tensor, state: HiddenState) -> Iterable[Tensor]:
        """The input projections of all steps, in one product."""
        return linear(inputs, self.weight_ih, self.bias_ih).unbind(0)

    def step(self, prepared: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step from a projected input."""
        from_hidden = linear(state.hidden, self.weight_hh, self.bias_hh)
        hidden = gru_update(prepared, from_hidden, state.hidden)
        return hidden, HiddenState(hidden)

    def run(self, inputs: Tensor, state: HiddenState, lengths: Tensor | None = None) -> tuple[Tensor, HiddenState]:
        """All steps in one kernel call; see :func:`recurrent.unroll`."""
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return run_kernel(torch.gru, inputs, state, weights, lengths)

    def gates(self, input: Tensor, state: HiddenState) -> GRUGates:
        """The gates of one step, or of many along leading axes."""
        return gru_gates(
            linear(input, self.weight_ih, self.bias_ih), linear(state.hidden, self.weight_hh, self.bias_hh)
        )

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        return f"{self.input_size}, {self.hidden_size}"
