"""The formulas of row 24 against autograd in float64."""

import pytest
import torch
from torch import nn

from recurrent import RNNCell, unroll, unroll_states
from recurrent.analytic_gradients import rnn_gradients

EXACT = {"rtol": 1e-10, "atol": 1e-14}


def make(steps):
    torch.manual_seed(0)
    cell, head = RNNCell(4, 6).double(), nn.Linear(6, 5).double()
    return cell, head, torch.randn(3, steps, 4).double(), torch.tensor([4, 0, 2])


@pytest.mark.parametrize("steps", [1, 2, 15])
def test_formulas_equal_autograd(steps):
    cell, head, inputs, targets = make(steps)
    by_hand = rnn_gradients(cell, head, inputs, targets)
    hidden = [state.hidden for state in unroll_states(cell, inputs)]
    loss = nn.functional.cross_entropy(head(hidden[-1]), targets)
    wanted = [head.weight, head.bias, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, *hidden]
    w_ph, b_p, w_hx, w_hh, b_ih, b_hh, *states = torch.autograd.grad(loss, wanted)
    expected = (loss, w_ph, b_p, w_hx, w_hh, b_ih, torch.stack(states, dim=1))
    torch.testing.assert_close(tuple(by_hand), expected, **EXACT)
    torch.testing.assert_close(by_hand.bias_h, b_hh, **EXACT)
    assert steps == 1 or by_hand.weight_hh.abs().max() > 1e-3


def test_the_state_gradient_is_a_product_of_full_jacobians():
    cell, head, inputs, targets = make(6)
    hidden, _ = unroll(cell, inputs[:1])
    gradient = rnn_gradients(cell, head, inputs[:1], targets[:1]).hidden[0]
    product = torch.eye(6).double()
    for h in hidden[0, 1:].flip(0):
        product = product @ (torch.diag(1 - h**2) @ cell.weight_hh)
    torch.testing.assert_close(gradient[0], product.t() @ gradient[-1], **EXACT)
    element_by_element = (1 - hidden[0, 1:] ** 2).prod(0) * gradient[-1]  # the reports' mistake
    assert not torch.allclose(gradient[0], element_by_element, rtol=0.5)


def test_relu_units_are_refused():
    with pytest.raises(ValueError, match="got nonlinearity='relu'"):
        rnn_gradients(RNNCell(2, 3, nonlinearity="relu"), nn.Linear(3, 2), torch.zeros(1, 2, 2), torch.zeros(1))
