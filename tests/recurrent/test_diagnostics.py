"""Gradients by step against finite differences and retain_grad; gates against the equations."""

import pytest
import torch
from torch import nn

from recurrent import (
    GRUCell,
    LSTMCell,
    MinGRUCell,
    OrthogonalRNNCell,
    PhasedLSTMCell,
    RNNCell,
    unroll,
    unroll_states,
)
from recurrent.diagnostics import (
    gate_activations,
    gradient_by_step,
    recurrent_gradient_norms,
    state_gradients,
)
from recurrent.initialization import xavier_
from recurrent.models import CellStack

CELLS = [RNNCell, LSTMCell, GRUCell, PhasedLSTMCell, MinGRUCell, OrthogonalRNNCell]
cells = pytest.mark.parametrize("cell_type", CELLS, ids=lambda cell: cell.__name__)
EXACT = {"rtol": 1e-10, "atol": 1e-14}


class SlowLSTM(LSTMCell):
    """A subclass with a step of its own, which a shortcut for LSTMs must not overlook."""

    def step(self, prepared, state):
        output, after = super().step(prepared, state)
        return 0.5 * output, after._replace(hidden=0.5 * after.hidden)


def relu_cell(input_size, hidden_size):
    return RNNCell(input_size, hidden_size, nonlinearity="relu")


def make(cell_type, steps=8):
    torch.manual_seed(0)
    options = {"r_on": 0.6, "tau_range": (2.0, 9.0)} if cell_type is PhasedLSTMCell else {}
    cell = cell_type(3, 5, **options).double()
    inputs = torch.randn(4, steps, 3).double()
    state = type(cell.initial_state())(*(torch.randn_like(field) for field in cell.initial_state(4)))
    return cell, inputs, state


def mixed_loss(hidden):
    return (hidden[:, -1] ** 2).sum() + hidden[:, 2].sin().sum()  # a middle step is heard directly too


@pytest.mark.parametrize("cell_type", [*CELLS, relu_cell, SlowLSTM], ids=lambda cell: cell.__name__)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_gradients_equal_retain_grad_on_every_state(cell_type, training):
    cell, inputs, state = make(cell_type)
    cell.train(training)
    actual = state_gradients(cell, inputs, mixed_loss, state)
    hidden = [after.hidden for after in unroll_states(cell, inputs, state)]
    for h in hidden:
        h.retain_grad()
    mixed_loss(torch.stack(hidden, 1)).backward()
    expected = torch.stack([h.grad for h in hidden], 1)
    torch.testing.assert_close(actual, expected, **EXACT)
    torch.testing.assert_close(
        gradient_by_step(cell, inputs, mixed_loss, state), expected.square().sum((0, 2)).sqrt(), **EXACT
    )


@cells
def test_gradient_equals_a_nudge_of_the_state(cell_type):
    cell, inputs, state = make(cell_type)
    cell.eval()
    gradient = state_gradients(cell, inputs, mixed_loss, state)
    step, nudge = 3, 1e-6
    ahead, middle = unroll(cell, inputs[:, : step + 1], state)
    direction = torch.randn_like(middle.hidden)

    def after(amount):
        hidden = middle.hidden + amount * direction
        rest, _ = unroll(cell, inputs[:, step + 1 :], middle._replace(hidden=hidden))
        return mixed_loss(torch.cat([ahead[:, :step], hidden.unsqueeze(1), rest], 1))

    slope = (after(nudge) - after(-nudge)) / (2 * nudge)
    torch.testing.assert_close((gradient[:, step] * direction).sum(), slope, rtol=1e-6, atol=1e-8)


def test_steps_after_the_loss_have_no_gradient_and_training_is_left_alone():
    cell, inputs, _ = make(LSTMCell)
    cell.bias_hh.requires_grad_(False)
    with torch.no_grad():
        norms = gradient_by_step(cell, inputs, lambda hidden: hidden[:, 4].sum())
    assert not norms[5:].any()
    assert norms[:5].min() > 0
    assert [p.requires_grad for p in cell.parameters()] == [True, True, True, False]
    assert all(p.grad is None for p in cell.parameters())


def test_a_frozen_cell_thaws_after_an_error():
    cell, inputs, _ = make(RNNCell)
    with pytest.raises(ValueError, match=r"got shape \(4, 5\)"):
        gradient_by_step(cell, inputs, lambda hidden: hidden[:, -1])
    with pytest.raises(ValueError, match="requires_grad=False"):
        gradient_by_step(cell, inputs, lambda hidden: torch.zeros(()))
    assert all(p.requires_grad for p in cell.parameters())


def test_the_lstm_hears_further_than_the_rnn():
    inputs = torch.randn(16, 60, 3, generator=torch.Generator().manual_seed(0))
    reach = {}
    for cell_type in (RNNCell, LSTMCell):
        torch.manual_seed(0)
        norms = gradient_by_step(cell_type(3, 32), inputs, lambda hidden: hidden[:, -1].square().sum())
        reach[cell_type] = norms[0] / norms[-1]
    assert reach[RNNCell] < 1e-8
    assert reach[LSTMCell] > reach[RNNCell]


@cells
def test_gates_are_those_of_every_step(cell_type):
    cell, inputs, state = make(cell_type)
    activations = gate_activations(cell, inputs, state)
    for step, x in enumerate(inputs.unbind(1)):
        for name, values in cell.gates(x, state)._asdict().items():
            torch.testing.assert_close(activations[name][:, step], values, **EXACT)
        _, state = cell(x, state)


def test_gates_make_the_next_state():
    cell, inputs, state = make(LSTMCell)
    outputs, _ = unroll(cell, inputs, state)
    gates = gate_activations(cell, inputs, state)
    memory = state.cell
    for step in range(inputs.size(1)):
        i, f, g, o = (gates[name][:, step] for name in "ifgo")
        memory = f * memory + i * g
        torch.testing.assert_close(o * memory.tanh(), outputs[:, step], **EXACT)


def test_gates_follow_the_given_times():
    cell, inputs, _ = make(PhasedLSTMCell)
    cell.eval()
    times = torch.rand(4, 8).double().mul(5).cumsum(1)
    torch.testing.assert_close(gate_activations(cell, inputs, times=times)["k"], cell.openness(times), **EXACT)
    shared = gate_activations(cell, inputs, times=times[0])["k"]
    torch.testing.assert_close(shared, cell.openness(times[0]).expand(4, -1, -1), **EXACT)


def test_recurrent_gradient_norms_by_name():
    torch.manual_seed(0)
    stack = CellStack(LSTMCell, 3, 4, num_layers=2)
    with pytest.raises(ValueError, match=r"cells\.0\.weight_hh"):
        recurrent_gradient_norms(stack)
    stack(torch.randn(2, 5, 3))[0].sum().backward()
    norms = recurrent_gradient_norms(stack)
    assert list(norms) == ["cells.0.weight_hh", "cells.1.weight_hh"]
    expected = stack.cells[1].weight_hh.grad.square().sum().sqrt().item()
    assert norms["cells.1.weight_hh"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="Linear has no weight_hh"):
        recurrent_gradient_norms(nn.Linear(2, 2))


def test_rnn_gradient_falls_by_a_constant_factor():
    """Row 3: untrained, T = 100, a straight line on a logarithmic axis."""
    cell = xavier_(RNNCell(10, 128), generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(8, 100, 10, generator=torch.Generator().manual_seed(1))
    norms = gradient_by_step(cell, inputs, lambda hidden: hidden[:, -1].square().sum())
    factors = norms[60:-1] / norms[61:]
    assert 0.3 < factors.mean() < 1
    assert factors.std() < 0.1
