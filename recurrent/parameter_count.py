"""How many parameters a cell has: as the formula says and as the module holds."""

from typing import NamedTuple

from torch import nn

from recurrent.cells.gru import GRUCell
from recurrent.cells.lstm import LSTMCell
from recurrent.cells.min_gru import MinGRUCell
from recurrent.cells.orthogonal_rnn import OrthogonalRNNCell
from recurrent.cells.phased_lstm import PhasedLSTMCell
from recurrent.cells.rnn import RNNCell

CountedCell = RNNCell | LSTMCell | GRUCell | PhasedLSTMCell | MinGRUCell | OrthogonalRNNCell


class ParameterCount(NamedTuple):
    """``counted = formula + redundant``, checked when it is made.

    ``redundant`` is torch's second bias where it only adds to the first: such a layout holds more
    numbers than the model has degrees of freedom.
    """

    formula: int
    counted: int
    redundant: int


def parameter_formula(
    cell_type: type[CountedCell], input_size: int, hidden_size: int, num_outputs: int | None = None
) -> int:
    r"""Parameters by the equations, one bias where two would add up.

    With d inputs, n units and o outputs: RNN nd + n² + n; LSTM 4(nd + n² + n); Phased LSTM 3n more, for
    τ, s and r_on; GRU 3(nd + n² + n) + n, since r scales b_hn and not b_in; minGRU 2(nd + n); orthogonal
    RNN nd + n(n - 1)/2 + 2n, its matrix, its bias and its margin. An output map adds on + o.

    Args:
        cell_type: One of the cells.
        input_size: d.
        hidden_size: n.
        num_outputs: o; without the output map when omitted.

    Example:
        >>> parameter_formula(LSTMCell, 10, 128, num_outputs=10)
        72458
    """
    d, n = input_size, hidden_size
    blocks = n * d + n * n + n
    cells: dict[type[CountedCell], int] = {
        RNNCell: blocks,
        LSTMCell: 4 * blocks,
        PhasedLSTMCell: 4 * blocks + 3 * n,
        GRUCell: 3 * blocks + n,
        MinGRUCell: 2 * (n * d + n),
        OrthogonalRNNCell: n * d + n * (n - 1) // 2 + 2 * n,
    }
    if cell_type not in cells:
        known = ", ".join(known.__name__ for known in cells)
        raise ValueError(f"no formula for {cell_type.__name__}; there is one for {known}")
    return cells[cell_type] + (0 if num_outputs is None else num_outputs * n + num_outputs)


def parameter_count(cell: CountedCell, output_map: nn.Linear | None = None) -> ParameterCount:
    """The formula for this cell (and output map) beside what its tensors hold.

    Raises:
        ValueError: If there is no formula for the cell.

    Example:
        >>> parameter_count(LSTMCell(10, 128), nn.Linear(128, 10))
        ParameterCount(formula=72458, counted=72970, redundant=512)
    """
    outputs = None if output_map is None else output_map.out_features
    formula = parameter_formula(type(cell), cell.input_size, cell.hidden_size, outputs)
    modules = [cell] if output_map is None else [cell, output_map]
    counted = sum(parameter.numel() for module in modules for parameter in module.parameters())
    second_biases = {RNNCell: 1, LSTMCell: 4, PhasedLSTMCell: 4, GRUCell: 2}
    redundant = second_biases.get(type(cell), 0) * cell.hidden_size
    if counted != formula + redundant:
        raise ValueError(
            f"{type(cell).__name__} and its output map hold {counted} parameters, the formula says "
            f"{formula} + {redundant}; count a plain cell with a linear map that has a bias"
        )
    return ParameterCount(formula, counted, redundant)
