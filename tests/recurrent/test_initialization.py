"""Each initialisation has the property it is named for."""

import math

import pytest
import torch

from recurrent import GRUCell, HiddenState, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell
from recurrent.initialization import (
    chrono_,
    forget_bias_,
    gate_rows,
    identity_,
    kaiming_,
    latch_,
    orthogonal_,
    standard_normal_,
    xavier_,
)
from recurrent.models import SequenceClassifier

RECURRENT = [RNNCell, LSTMCell, GRUCell, PhasedLSTMCell]
CELLS = [*RECURRENT, MinGRUCell]
cells = pytest.mark.parametrize("cell_type", CELLS, ids=lambda cell: cell.__name__)
recurrent_cells = pytest.mark.parametrize("cell_type", RECURRENT, ids=lambda cell: cell.__name__)
IN, HIDDEN = 30, 60


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def biases(cell):
    return torch.cat([p for name, p in cell.named_parameters() if name in ("bias_ih", "bias_hh")])


@pytest.mark.parametrize(
    ("start", "cell_type"),
    [
        *[(start, cell_type) for start in (xavier_, kaiming_, standard_normal_) for cell_type in CELLS],
        *[(orthogonal_, cell_type) for cell_type in RECURRENT],
        *[(chrono_, cell_type) for cell_type in CELLS if cell_type is not RNNCell],
    ],
)
def test_the_generator_decides(start, cell_type):
    arguments = (50,) if start is chrono_ else ()
    torch.manual_seed(0)
    one, other, third = (cell_type(4, 5, generator=generator()) for _ in range(3))
    assert start(one, *arguments, generator=generator(7)) is one
    torch.rand(3)
    start(other, *arguments, generator=generator(7))
    start(third, *arguments, generator=generator(8))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), third.parameters(), strict=True))


@cells
def test_kaiming_draws_by_what_enters_a_unit(cell_type):
    cell = kaiming_(cell_type(400, 100), generator=generator())
    assert not biases(cell).any()
    for gate in cell.gate_names:
        for name, fan_in in (("weight_ih", 400), ("weight_hh", 100)):
            if hasattr(cell, name):
                weights = gate_rows(cell, name, gate).detach()
                assert float(weights.std()) * math.sqrt(fan_in) == pytest.approx(1, abs=0.05)


@cells
def test_xavier_bounds_every_gate_by_its_own_fans(cell_type):
    cell = xavier_(cell_type(IN, HIDDEN), generator=generator())
    for gate in cell.gate_names:
        weights = gate_rows(cell, "weight_ih", gate)
        bound = math.sqrt(6 / (IN + HIDDEN))
        assert weights.shape == (HIDDEN, IN)
        assert 0.95 * bound < weights.abs().max() <= bound
        if cell_type is not MinGRUCell:
            recurrent = gate_rows(cell, "weight_hh", gate)
            bound = math.sqrt(6 / (2 * HIDDEN))
            assert 0.95 * bound < recurrent.abs().max() <= bound
    assert not biases(cell).any()


@cells
def test_standard_normal_has_unit_variance(cell_type):
    cell = standard_normal_(cell_type(IN, HIDDEN), generator=generator())
    assert abs(cell.weight_ih.std() - 1) < 0.1
    assert abs(cell.weight_ih.mean()) < 0.1
    assert not biases(cell).any()


@recurrent_cells
def test_orthogonal_keeps_norms(cell_type):
    cell = orthogonal_(cell_type(IN, HIDDEN), gain=1.3, generator=generator())
    for gate in cell.gate_names:
        matrix = gate_rows(cell, "weight_hh", gate)
        torch.testing.assert_close(matrix @ matrix.t(), 1.69 * torch.eye(HIDDEN), rtol=0, atol=1e-4)


def test_identity_is_the_irnn():
    cell = identity_(RNNCell(IN, HIDDEN, nonlinearity="relu"), scale=0.9, generator=generator())
    torch.testing.assert_close(cell.weight_hh.detach(), 0.9 * torch.eye(HIDDEN))
    assert abs(cell.weight_ih.std() - 0.001) < 1e-4
    state = HiddenState(torch.rand(2, HIDDEN))
    torch.testing.assert_close(cell(torch.zeros(2, IN), state)[0], 0.9 * state.hidden)
    with pytest.raises(TypeError, match="got LSTMCell"):
        identity_(LSTMCell(2, 3))


@pytest.mark.parametrize("cell_type", [LSTMCell, PhasedLSTMCell, GRUCell, MinGRUCell])
def test_chrono_spreads_forgetting_times(cell_type):
    cell = chrono_(cell_type(4, 500), max_length=100, generator=generator())
    zeros = torch.zeros(1, 4)
    gates = cell.gates(zeros, cell.initial_state(1))
    # A unit that keeps the share k of its state at each step forgets in 1 / (1 - k) steps.
    kept = {LSTMCell: "f", PhasedLSTMCell: "f", GRUCell: "z"}.get(cell_type)
    keep = getattr(gates, kept) if kept else 1 - gates.z
    times = 1 / (1 - keep[0])
    assert 2 <= times.min() < 4
    assert 95 < times.max() <= 100
    assert abs(times.mean() - 51) < 3
    if cell_type in (LSTMCell, PhasedLSTMCell):
        torch.testing.assert_close(gates.i, 1 - gates.f)


def test_forget_bias_opens_the_forget_gate_only():
    cell = forget_bias_(xavier_(LSTMCell(4, 5)), 2.0)
    gates = cell.gates(torch.zeros(1, 4), cell.initial_state(1))
    torch.testing.assert_close(gates.f, torch.full((1, 5), 2.0).sigmoid())
    torch.testing.assert_close(gates.i, torch.full((1, 5), 0.5))
    with pytest.raises(TypeError, match="got GRUCell"):
        forget_bias_(GRUCell(2, 3))


@recurrent_cells
def test_latched_units_hold_a_sign_through_silence(cell_type):
    cell = latch_(xavier_(cell_type(4, 6), generator=generator())).eval()
    if cell_type is PhasedLSTMCell:
        cell.set_clock(tau=1.0, s=-0.5, r_on=1.0)  # always wide open at whole numbers
    with torch.no_grad():
        if cell_type in (LSTMCell, PhasedLSTMCell):
            # Only the candidate's recurrence is under test: the other gates hear nothing.
            for gate in "ifo":
                gate_rows(cell, "weight_hh", gate).zero_()
        elif cell_type is GRUCell:
            for gate in "rz":
                gate_rows(cell, "weight_hh", gate).zero_()
        signs = torch.tensor([[1.0, -1, 1, -1, -1, 1]])
        state = cell.initial_state(1)._replace(hidden=0.5 * signs)
        for _ in range(300):
            output, state = cell(torch.zeros(1, 4), state)
    assert torch.equal(output.sign(), signs)
    assert output.abs().min() > 0.3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: chrono_(LSTMCell(2, 3), 2), ValueError, "got 2"),
        (lambda: chrono_(RNNCell(2, 3), 20), TypeError, "RNNCell has not"),
        (lambda: latch_(LSTMCell(2, 3), gain=1.0), ValueError, r"got 1\.0"),
        (lambda: latch_(GRUCell(2, 3), gain=2.0), ValueError, r"above 2, .* got 2\.0"),
        (lambda: latch_(RNNCell(2, 3, nonlinearity="relu")), ValueError, "got 'relu'"),
        (lambda: latch_(MinGRUCell(2, 3)), TypeError, "MinGRUCell has not"),
        (lambda: forget_bias_(LSTMCell(2, 3), math.inf), ValueError, "got inf"),
        (lambda: xavier_(SequenceClassifier(LSTMCell, 2, 3, 4)), TypeError, r"got SequenceClassifier; .*stack\.cells"),
        (lambda: kaiming_(torch.nn.LSTM(2, 3)), TypeError, "got LSTM"),
        (lambda: standard_normal_(torch.nn.LSTMCell(2, 3)), TypeError, "got LSTMCell"),
        (lambda: orthogonal_(MinGRUCell(2, 3)), TypeError, "MinGRUCell has not"),
        (lambda: orthogonal_(OrthogonalRNNCell(2, 3)), TypeError, "OrthogonalRNNCell has not"),
        (lambda: gate_rows(GRUCell(2, 3), "weight_hh", "f"), ValueError, "r, z, n, got 'f'"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_chrono_beyond_all_lengths_is_refused():
    with pytest.raises(ValueError, match=r"at most 2\*\*31, got 1000"):
        chrono_(LSTMCell(1, 2), 10**60)
