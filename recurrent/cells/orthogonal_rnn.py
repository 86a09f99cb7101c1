r"""The orthogonal recurrent network, which keeps the length of what it remembers.

.. code-block:: text

    h_t = modReLU(W x_t + b + Q h_{t-1}),   Q = exp(A),  A = -Aᵀ
    modReLU(a) = sign(a) max(|a| + m, 0)

Q is orthogonal whatever A is, so training cannot leave the orthogonal matrices, and a gradient that goes
back through Q alone keeps its norm over any number of steps. The margin m, one per unit, is learned from 0,
where modReLU does nothing.

References: the exponential, Lezcano-Casado & Martínez-Rubio, "Cheap Orthogonal Constraints in Neural
Networks", ICML 2019, https://arxiv.org/abs/1901.08428; modReLU, Arjovsky, Shah & Bengio, "Unitary Evolution
Recurrent Neural Networks", ICML 2016, https://arxiv.org/abs/1511.06464, eq. 8; the start of A from turns by
uniform angles, Henaff, Szlam & LeCun, "Recurrent Orthogonal Networks and Long-Memory Tasks", ICML 2016,
https://arxiv.org/abs/1602.06662.
"""

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.cell import HiddenState
from recurrent.cells.parameters import torch_default_
from recurrent.cells.rnn import RNNActivations
from recurrent.checks import check_sizes, check_step


class OrthogonalRNNCell(nn.Module):
    r"""One step ``(input, HiddenState) -> (output, HiddenState)``; the output is the hidden state.

    Its parameters are ``weight_ih``, ``bias_ih``, ``margin`` (m) and ``skew``, the entries of A above its
    diagonal, row by row; ``weight_hh`` is Q, computed from them.

    Args:
        input_size: Features of one step's input.
        hidden_size: Units.
        generator: Source of the initial weights; torch's global one when omitted.

    Shapes:
        - **input:** :math:`(*, input\_size)`
        - **output** and **hidden:** :math:`(*, hidden\_size)`

    Raises:
        ValueError: If a size is not positive.

    Example:
        >>> cell = OrthogonalRNNCell(3, 4).double()
        >>> torch.allclose(cell.weight_hh @ cell.weight_hh.t(), torch.eye(4, dtype=torch.float64))
        True
    """

    gate_names: ClassVar[tuple[str, ...]] = ("h",)
    _above: Tensor  # rows and columns of the entries of A that ``skew`` holds

    def __init__(self, input_size: int, hidden_size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.bias_ih = nn.Parameter(torch.empty(hidden_size))
        self.skew = nn.Parameter(torch.zeros(hidden_size * (hidden_size - 1) // 2))
        self.margin = nn.Parameter(torch.zeros(hidden_size))
        self.register_buffer("_above", torch.triu_indices(hidden_size, hidden_size, 1), persistent=False)
        torch_default_(self, generator)
        self._turn_pairs(generator)

    @torch.no_grad()
    def _turn_pairs(self, generator: torch.Generator | None) -> None:
        """Units 0 and 1, 2 and 3, ... turn in their plane by angles uniform on ±π."""
        row, column = self._above.unbind(0)
        is_pair = (row % 2 == 0) & (column == row + 1)
        angles = torch.empty(self.hidden_size // 2).uniform_(-math.pi, math.pi, generator=generator)
        self.skew[is_pair] = angles

    @property
    def weight_hh(self) -> Tensor:
        """Q, the orthogonal matrix between one hidden state and the next, ``[hidden_size, hidden_size]``."""
        size = self.hidden_size
        row, column = self._above.unbind(0)
        above = self.skew.new_zeros(size, size).index_put((row, column), self.skew)
        # Of half precision there is no exponential; and products that are to keep lengths want all digits.
        exponential: Tensor = torch.linalg.matrix_exp(
            (above - above.t()).to(torch.promote_types(above.dtype, torch.float32))
        )
        return exponential.to(above.dtype)

    def initial_state(self, *batch_size: int) -> HiddenState:
        """Zeros of shape ``[*batch_size, hidden_size]``."""
        return HiddenState(self.weight_ih.new_zeros(*batch_size, self.hidden_size))

    def forward(self, input: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step; see the class."""
        check_step(self, input, state)
        return self._update(linear(input, self.weight_ih, self.bias_ih) + linear(state.hidden, self.weight_hh))

    def prepare(self, inputs: Tensor, state: HiddenState) -> Iterable[tuple[Tensor, Tensor]]:
        """The input projections of all steps in one product, each with Q's transpose, which is computed once."""
        turned = self.weight_hh.t()
        return [(projected, turned) for projected in linear(inputs, self.weight_ih, self.bias_ih).unbind(0)]

    def step(self, prepared: tuple[Tensor, Tensor], state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One step from a projected input, ``[B, hidden_size]``, and Q's transpose."""
        projected, turned = prepared
        return self._update(torch.addmm(projected, state.hidden, turned))

    def _update(self, total: Tensor) -> tuple[Tensor, HiddenState]:
        hidden = torch.sign(total) * (total.abs() + self.margin).relu()
        return hidden, HiddenState(hidden)

    def gates(self, input: Tensor, state: HiddenState) -> RNNActivations:
        """The activations of one step, or of many along leading axes."""
        return RNNActivations(self(input, state)[0])

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        return f"{self.input_size}, {self.hidden_size}"
