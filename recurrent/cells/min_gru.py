r"""The minimal gated recurrent unit, whose gate and candidate see the input alone.

.. code-block:: text

    z = σ(W_z x + b_z)
    h~ = W_h x + b_h
    h_t = (1 - z) * h_{t-1} + z * h~

Without W_hh each unit is a linear recurrence, so all steps are one parallel scan, and
memory decays only as far as z lets it: made for very long sequences, in several layers.

Reference: Feng et al., "Were RNNs All We Needed?", 2024,
https://arxiv.org/abs/2410.01201, section 3.1. Here z opens to the new value, as there;
torch's GRU names the gate that keeps the old one z.
"""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.cell import HiddenState
from recurrent.cells.parameters import torch_default_
from recurrent.checks import check_sizes, check_step
from recurrent.scan import gated_scan


class MinGRUGates(NamedTuple):
    """Activations of the update gate (1 overwrites) and the candidate."""

    z: Tensor
    h: Tensor


class MinGRUCell(nn.Module):
    r"""One step ``(input, HiddenState) -> (output, HiddenState)``; the output is the hidden state.

    Its parameters are ``weight_ih`` and ``bias_ih``, stacked as z, h.

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

    gate_names: ClassVar[tuple[str, ...]] = ("z", "h")

    def __init__(self, input_size: int, hidden_size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias_ih = nn.Parameter(torch.empty(2 * hidden_size))
        torch_default_(self, generator)

    def initial_state(self, *batch_size: int) -> HiddenState:
        """Zeros of shape ``[*batch_size, hidden_size]``."""
        return HiddenState(self.weight_ih.new_zeros(*batch_size, self.hidden_size))

    def forward(self, input: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step; see the class."""
        check_step(self, input, state)
        return self.step(linear(input, self.weight_ih, self.bias_ih), state)

    def prepare(self, inputs: Tensor, state: HiddenState) -> Iterable[Tensor]:
        """The gates and candidates of all steps, in one product."""
        return linear(inputs, self.weight_ih, self.bias_ih).unbind(0)

    def step(self, prepared: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step from a projected input."""
        z, candidate = prepared.chunk(2, dim=-1)
        hidden = torch.lerp(state.hidden, candidate, z.sigmoid())
        return hidden, HiddenState(hidden)

    def run(self, inputs: Tensor, state: HiddenState, lengths: Tensor | None = None) -> tuple[Tensor, HiddenState]:
        """All steps in one scan; see :func:`recurrent.unroll`."""
        padding = None
        if lengths is not None:
            steps = torch.arange(inputs.size(1), device=inputs.device)
            padding = (steps >= lengths.unsqueeze(-1)).unsqueeze(-1)
            inputs = inputs.masked_fill(padding, 0)  # padding may hold anything, NaN included
        time_major = inputs.transpose(0, 1).contiguous()
        z, candidate = linear(time_major, self.weight_ih, self.bias_ih).chunk(2, dim=-1)
        z = z.sigmoid()
        if padding is not None:
            z = z.masked_fill(padding.transpose(0, 1), 0)  # a closed gate carries the state past the end
        outputs = gated_scan(z, candidate, state.hidden)
        state = HiddenState(outputs[-1])
        outputs = outputs.transpose(0, 1)
        return outputs if padding is None else outputs.masked_fill(padding, 0), state

    def gates(self, input: Tensor, state: HiddenState) -> MinGRUGates:
        """The gates of one step, or of many along leading axes."""
        z, candidate = linear(input, self.weight_ih, self.bias_ih).chunk(2, dim=-1)
        return MinGRUGates(z.sigmoid(), candidate)

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        return f"{self.input_size}, {self.hidden_size}"
