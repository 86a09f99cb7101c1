"""Layers of recurrent cells, in one direction or both."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from recurrent.cells.cell import Cell
from recurrent.checks import check_sizes
from recurrent.unroll import unroll

CellType = Callable[[int, int], nn.Module]  # (input_size, hidden_size); a class, or a partial of one
StackState = tuple[Any, ...]  # one cell's state per layer and direction


class CellStack(nn.Module):
    r"""Each layer reads what the one below puts out: both directions side by side, after dropout.

    Args:
        cell_type: Makes a cell from ``(input_size, hidden_size)``: a cell's class, or
            ``functools.partial`` of one with options.
        input_size: Features of one step's input.
        hidden_size: Units of a cell.
        num_layers: Layers.
        dropout: Probability, on what each layer but the last puts out.
        bidirectional: Two cells a layer; one reads from the end.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **outputs:** :math:`(B, T, output\_size)`, where ``output_size`` is ``hidden_size`` times directions
        - **state:** one cell's state per layer and direction, layer by layer, as in ``torch.nn.LSTM``

    Raises:
        ValueError: If there is no layer, the dropout is no probability, or there is no layer for it.

    Example:
        >>> from recurrent import GRUCell
        >>> outputs, state = CellStack(GRUCell, 3, 4, num_layers=2, bidirectional=True)(torch.zeros(1, 5, 3))
        >>> outputs.shape, len(state)
        (torch.Size([1, 5, 8]), 4)
    """

    def __init__(
        self,
        cell_type: CellType,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if dropout and num_layers == 1:
            raise ValueError(f"dropout acts between layers, got {dropout} with num_layers=1; leave it at 0")
        self.num_directions = 2 if bidirectional else 1
        self.output_size = self.num_directions * hidden_size
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.cells = nn.ModuleList(cell_type(size, hidden_size) for size in sizes for _ in range(self.num_directions))
        self.dropout = nn.Dropout(dropout)

    @property
    def num_layers(self) -> int:
        """Layers."""
        return len(self.cells) // self.num_directions

    def initial_state(self, *batch_size: int) -> StackState:
        """The cells' initial states."""
        return tuple(cell.initial_state(*batch_size) for cell in self._cells())

    def forward(
        self,
        inputs: Tensor,
        state: StackState | None = None,
        *,
        lengths: Tensor | None = None,
        times: Tensor | None = None,
    ) -> tuple[Tensor, StackState]:
        """Whole sequences; arguments as in :func:`recurrent.unroll`."""
        before = self._checked(state, inputs)
        cells = self._cells()
        outputs, after = inputs, []
        for layer in range(self.num_layers):
            if layer:
                outputs = self.dropout(outputs)
            directions = []
            for direction in range(self.num_directions):
                place = layer * self.num_directions + direction
                read, last = unroll(
                    cells[place], outputs, before[place], lengths=lengths, reverse=direction == 1, times=times
                )
                directions.append(read)
                after.append(last)
            outputs = directions[0] if len(directions) == 1 else torch.cat(directions, dim=-1)
        return outputs, tuple(after)

    def step(self, input: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        """One time step, ``[B, input_size] -> [B, output_size]``, at the same cost however long the past is.

        Raises:
            ValueError: If the stack is bidirectional: its second direction starts at the end.
        """
        if self.num_directions == 2:
            raise ValueError("a bidirectional stack cannot step: it reads from the end, which is not there yet")
        after = []
        for layer, (cell, before) in enumerate(zip(self._cells(), self._checked(state, input), strict=True)):
            if layer:
                input = self.dropout(input)
            input, last = cell(input, before)
            after.append(last)
        return input, tuple(after)

    def last_hidden(self, state: StackState) -> Tensor:
        """The top layer's last hidden states, ``[B, output_size]``: forward, then backward."""
        return torch.cat([top[0] for top in state[-self.num_directions :]], dim=-1)

    def _cells(self) -> list[Cell[Any]]:
        return [cast(Cell[Any], cell) for cell in self.cells]

    def _checked(self, state: StackState | None, inputs: Tensor) -> StackState:
        if state is None:
            if not inputs.dim():
                raise ValueError(f"inputs begin with their batch, got shape {tuple(inputs.shape)}")
            return self.initial_state(inputs.size(0))
        if len(state) != len(self.cells):
            raise ValueError(
                f"the state of {self.num_layers} layer(s) in {self.num_directions} direction(s) is a tuple "
                f"of {len(self.cells)} cell states, got {len(state)}"
            )
        return state
