"""Formula, module, and torch's own modules agree on the number of parameters."""

import pytest
import torch
from torch import nn

from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell
from recurrent.parameter_count import parameter_count, parameter_formula

D, N, O = 7, 11, 3  # noqa: E741 the report's letters


@pytest.mark.parametrize(
    ("cell_type", "formula", "redundant"),
    [
        (RNNCell, N * D + N**2 + N, N),
        (LSTMCell, 4 * (N * D + N**2 + N), 4 * N),
        (GRUCell, 3 * (N * D + N**2 + N) + N, 2 * N),
        (PhasedLSTMCell, 4 * (N * D + N**2 + N) + 3 * N, 4 * N),
        (MinGRUCell, 2 * (N * D + N), 0),
        (OrthogonalRNNCell, N * D + N * (N - 1) // 2 + 2 * N, 0),
    ],
)
def test_formula_and_module_agree(cell_type, formula, redundant):
    cell = cell_type(D, N)
    counted = sum(p.numel() for p in cell.parameters())
    assert parameter_count(cell) == (formula, counted, redundant)
    assert counted == formula + redundant
    head = nn.Linear(N, O)
    assert parameter_count(cell, head) == (formula + O * N + O, counted + O * N + O, redundant)
    assert parameter_formula(cell_type, D, N, O) == formula + O * N + O


@pytest.mark.parametrize("cell_type", [RNNCell, LSTMCell, GRUCell])
def test_the_redundant_bias_is_redundant_and_nothing_more(cell_type):
    """The rank of the output's derivative for all biases is the number the formula counts."""
    torch.manual_seed(0)
    cell = cell_type(2, 3).double()
    x, state = torch.randn(40, 2).double(), cell.initial_state(40)
    state = type(state)(*(torch.randn_like(field) for field in state))

    def output(bias_ih, bias_hh):
        return torch.func.functional_call(cell, {"bias_ih": bias_ih, "bias_hh": bias_hh}, (x, state))[0]

    jacobian = torch.autograd.functional.jacobian(output, (cell.bias_ih, cell.bias_hh))
    matrix = torch.cat([part.reshape(40 * 3, -1) for part in jacobian], dim=1)
    count = parameter_count(cell)
    assert torch.linalg.matrix_rank(matrix) == 2 * len(cell.bias_ih) - count.redundant


def test_what_has_no_formula_is_named():
    with pytest.raises(ValueError, match="no formula for LSTMCell"):
        parameter_formula(nn.LSTMCell, 2, 3)
    with pytest.raises(ValueError, match="hold 96 parameters"):
        parameter_count(LSTMCell(2, 3), nn.Linear(3, 4, bias=False))
