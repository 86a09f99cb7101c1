"""The parallel scan and the minGRU that runs on it."""

import pytest
import torch

from recurrent import HiddenState, MinGRUCell, unroll
from recurrent.scan import gated_scan, linear_scan
from tests.reference.recurrent import min_gru_reference


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 33, 100])
def test_scan_equals_the_loop(length):
    generator = torch.Generator().manual_seed(length)
    a, b = torch.randn(2, length, 3, 2, dtype=torch.float64, generator=generator)
    a[length // 2] = 0  # where logarithms would fail
    state = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    actual = linear_scan(a, b, state)
    expected = []
    for a_t, b_t in zip(a, b, strict=True):
        state = a_t * state + b_t
        expected.append(state)
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 5, 6])
def test_scan_gradients(length):
    a, b = torch.randn(2, length, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    initial = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    arguments = (a.requires_grad_(), b.requires_grad_(), initial)
    torch.autograd.gradcheck(linear_scan, arguments)
    torch.autograd.gradgradcheck(linear_scan, arguments)


def test_scan_names_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(3, 2\), \(3, 2\) and \(3,\)"):
        linear_scan(torch.ones(3, 2), torch.ones(3, 2), torch.ones(3))


@pytest.mark.parametrize("length", [1, 2, 9])
def test_the_gated_scan_of_the_cpu_equals_the_parallel_one(length):
    generator = torch.Generator().manual_seed(length)
    z = torch.rand(length, 3, 2, dtype=torch.float64, generator=generator).requires_grad_()
    candidate = torch.randn(length, 3, 2, dtype=torch.float64, generator=generator).requires_grad_()
    initial = torch.randn(3, 2, dtype=torch.float64, generator=generator).requires_grad_()
    weights = torch.randn(length, 3, 2, dtype=torch.float64, generator=generator)
    results = [
        (states, *torch.autograd.grad((states * weights).sum(), (z, candidate, initial)))
        for states in (gated_scan(z, candidate, initial), linear_scan(1 - z, z * candidate, initial))
    ]
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-12)
    torch.autograd.gradcheck(gated_scan, (z, candidate, initial))
    torch.autograd.gradgradcheck(gated_scan, (z, candidate, initial))


def test_scans_of_no_step_have_gradients():
    for scan in (gated_scan, linear_scan):
        z, initial = torch.zeros(0, 3, requires_grad=True), torch.ones(3, requires_grad=True)
        (scan(z, z, initial).sum() + initial.sum()).backward()
        assert initial.grad.tolist() == [1, 1, 1]


def test_min_gru_under_functional_gradients():
    torch.manual_seed(0)
    cell, inputs = MinGRUCell(3, 4), torch.randn(2, 5, 3, requires_grad=True)

    def total(inputs):
        return unroll(cell, inputs)[0].square().sum()

    (expected,) = torch.autograd.grad(total(inputs), inputs)
    torch.testing.assert_close(torch.func.grad(total)(inputs.detach()), expected)


def test_min_gru_equals_its_equations():
    torch.manual_seed(0)
    cell = MinGRUCell(3, 4).double()
    inputs, hidden = torch.randn(2, 9, 3).double(), torch.randn(2, 4).double()
    outputs, state = unroll(cell, inputs, HiddenState(hidden))
    expected = min_gru_reference(dict(cell.named_parameters()), inputs, hidden)
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(state.hidden, expected[:, -1], rtol=1e-10, atol=1e-12)
