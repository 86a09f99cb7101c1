"""The orthogonal RNN: its equations, and that nothing it remembers or hears back fades."""

import math

import pytest
import torch

from recurrent import HiddenState, OrthogonalRNNCell, unroll
from recurrent.diagnostics import gradient_by_step
from tests.reference.recurrent import orthogonal_rnn_reference


@pytest.mark.parametrize("hidden_size", [1, 2, 5])
def test_equals_its_equations(hidden_size):
    torch.manual_seed(0)
    cell = OrthogonalRNNCell(3, hidden_size).double()
    with torch.no_grad():
        cell.margin.normal_()
        cell.skew.normal_()
    inputs, hidden = torch.randn(2, 9, 3).double(), torch.randn(2, hidden_size).double()
    outputs, state = unroll(cell, inputs, HiddenState(hidden))
    weights = {name: parameter.detach() for name, parameter in cell.named_parameters()}
    expected = orthogonal_rnn_reference(weights, inputs, hidden)
    torch.testing.assert_close(outputs.detach(), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(state.hidden.detach(), expected[:, -1], rtol=1e-10, atol=1e-12)


def test_training_cannot_leave_the_orthogonal_matrices():
    torch.manual_seed(0)
    cell = OrthogonalRNNCell(3, 8)
    start = cell.weight_hh.detach().clone()
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        outputs, _ = unroll(cell, torch.randn(4, 6, 3))
        outputs[:, -1].pow(2).sum().backward()
        optimizer.step()
    matrix = cell.weight_hh.detach()
    assert (matrix - start).abs().max() > 0.1
    torch.testing.assert_close(matrix @ matrix.t(), torch.eye(8), rtol=0, atol=1e-5)
    assert torch.linalg.det(matrix) == pytest.approx(1, abs=1e-5)


def test_a_new_cell_hears_every_step_back_equally():
    """Without a margin modReLU is the identity, so the gradient keeps its norm over any number of steps."""
    torch.manual_seed(0)
    cell = OrthogonalRNNCell(3, 16).double()
    norms = gradient_by_step(cell, torch.randn(4, 500, 3).double(), lambda hidden: hidden[:, -1].sum())
    torch.testing.assert_close(norms, norms[-1:].expand(500), rtol=1e-9, atol=0)


def test_units_start_turning_in_pairs():
    cell = OrthogonalRNNCell(3, 400, generator=torch.Generator().manual_seed(0))
    matrix = cell.weight_hh.detach()
    blocks = torch.block_diag(*torch.ones(200, 2, 2)).bool()
    torch.testing.assert_close(matrix[~blocks], torch.zeros(400 * 400 - 800), rtol=0, atol=1e-6)
    angles = torch.atan2(matrix.diagonal(1)[::2], matrix.diagonal()[::2])
    assert angles.abs().max() < math.pi + 1e-5
    assert abs(angles.mean()) < 0.5
    assert angles.std() == pytest.approx(math.pi / math.sqrt(3), abs=0.2)


def test_gradients():
    torch.manual_seed(0)
    cell = OrthogonalRNNCell(2, 4).double()
    inputs = torch.randn(2, 3, 2).double()

    def run(*values):
        names = [name for name, _ in cell.named_parameters()]
        weights = {f"cell.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(_Unrolled(cell), weights, inputs)

    values = [torch.randn_like(parameter).requires_grad_() for parameter in cell.parameters()]
    assert torch.autograd.gradcheck(run, values)


class _Unrolled(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, inputs):
        return unroll(self.cell, inputs)[0]
