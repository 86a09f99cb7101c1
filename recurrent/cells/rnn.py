r"""The simple (Elman) recurrent cell, h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

Reference: Elman, "Finding Structure in Time", Cognitive Science 14, 1990. The two biases
act as one; both are kept because ``torch.nn.RNNCell`` has both.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.cell import HiddenState
from recurrent.cells.kernels import run_kernel
from recurrent.cells.parameters import add_parameters, torch_default_
from recurrent.checks import check_step


class RNNActivations(NamedTuple):
    """What an RNN computes in a step: it has no gates, only its hidden units ``h``."""

    h: Tensor


class RNNCell(nn.Module):
    r"""One step ``(input, HiddenState) -> (output, HiddenState)``; the output is the hidden state.

    Args:
        input_size: Features of one step's input.
        hidden_size: Units.
        nonlinearity: ``"tanh"``, or ``"relu"`` as the identity initialisation (IRNN) wants it.
        generator: Source of the initial weights; torch's global one when omitted.

    Shapes:
        - **input:** :math:`(*, input\_size)`
        - **output** and **hidden:** :math:`(*, hidden\_size)`

    Raises:
        ValueError: If a size is not positive or the nonlinearity is unknown.

    Example:
        >>> cell = RNNCell(3, 4)
        >>> output, state = cell(torch.zeros(2, 3), cell.initial_state(2))
        >>> output.shape
        torch.Size([2, 4])
    """

    gate_names: ClassVar[tuple[str, ...]] = ("h",)
    weight_ih: nn.Parameter
    weight_hh: nn.Parameter
    bias_ih: nn.Parameter
    bias_hh: nn.Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.nonlinearity = nonlinearity
        add_parameters(self, 1, input_size, hidden_size)
        torch_default_(self, generator)

    def initial_state(self, *batch_size: int) -> HiddenState:
        """Zeros of shape ``[*batch_size, hidden_size]``."""
        return HiddenState(self.weight_hh.new_zeros(*batch_size, self.hidden_size))

    def forward(self, input: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step; see the class."""
        check_step(self, input, state)
        projected = linear(input, self.weight_ih, self.bias_ih)
        return self._update(projected + linear(state.hidden, self.weight_hh, self.bias_hh))

    def prepare(self, inputs: Tensor, state: HiddenState) -> Iterable[Tensor]:
        """The input projections of all steps and both biases, in one product."""
        return linear(inputs, self.weight_ih, self.bias_ih + self.bias_hh).unbind(0)

    def step(self, prepared: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step from a projected input, ``[B, hidden_size]``."""
        return self._update(torch.addmm(prepared, state.hidden, self.weight_hh.t()))

    def _update(self, total: Tensor) -> tuple[Tensor, HiddenState]:
        hidden = total.tanh() if self.nonlinearity == "tanh" else total.relu()
        return hidden, HiddenState(hidden)

    def run(self, inputs: Tensor, state: HiddenState, lengths: Tensor | None = None) -> tuple[Tensor, HiddenState]:
        """All steps in one kernel call; see :func:`recurrent.unroll`."""
        kernel = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return run_kernel(kernel, inputs, state, weights, lengths)

    def gates(self, input: Tensor, state: HiddenState) -> RNNActivations:
        """The activations of one step, or of many along leading axes."""
        return RNNActivations(self(input, state)[0])

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        return f"{self.input_size}, {self.hidden_size}, nonlinearity={self.nonlinearity!r}"
