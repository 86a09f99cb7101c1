"""What the time loop promises for every cell, kernel or not."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from recurrent import (
    GRUCell,
    HiddenState,
    LSTMCell,
    LSTMState,
    MinGRUCell,
    OrthogonalRNNCell,
    PhasedLSTMCell,
    RNNCell,
    unroll,
    unroll_states,
)


class LeakyState(NamedTuple):
    hidden: Tensor


class LeakyCell(nn.Module):
    """A user's own cell: the bare contract, neither prepared steps nor a form for whole sequences."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.lin = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, *batch_size: int) -> LeakyState:
        return LeakyState(self.lin.weight.new_zeros(*batch_size, self.hidden_size))

    def forward(self, input: Tensor, state: LeakyState) -> tuple[Tensor, LeakyState]:
        new = 0.5 * state.hidden + self.lin(torch.cat([input, state.hidden], -1)).tanh()
        return new.square(), LeakyState(new)  # the output is not the state


CELLS = [RNNCell, LSTMCell, GRUCell, PhasedLSTMCell, MinGRUCell, OrthogonalRNNCell, LeakyCell]
cells = pytest.mark.parametrize("cell_type", CELLS, ids=lambda cell: cell.__name__)
BATCH, STEPS, FEATURES, HIDDEN = 4, 9, 3, 6
LENGTHS = torch.tensor([9, 0, 4, 1])
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def make(cell_type):
    torch.manual_seed(0)
    options = {"r_on": 0.6, "tau_range": (2.0, 9.0)} if cell_type is PhasedLSTMCell else {}
    cell = cell_type(FEATURES, HIDDEN, **options).double()
    inputs = torch.randn(BATCH, STEPS, FEATURES, dtype=torch.float64)
    state = type(cell.initial_state())(*(torch.randn_like(field) for field in cell.initial_state(BATCH)))
    return cell, inputs, state


def assert_states_close(actual, expected):
    assert type(actual) is type(expected)
    torch.testing.assert_close(tuple(actual), tuple(expected), **EXACT)


@cells
def test_unrolled_equals_calling_the_cell_step_by_step(cell_type):
    cell, inputs, state = make(cell_type)
    outputs, last = unroll(cell, inputs, state)
    expected = []
    for x in inputs.unbind(1):
        output, state = cell(x, state)
        expected.append(output)
    torch.testing.assert_close(outputs, torch.stack(expected, 1), **EXACT)
    assert_states_close(last, state)


@cells
def test_a_split_sequence_with_carried_state_equals_the_whole(cell_type):
    cell, inputs, state = make(cell_type)
    whole, last = unroll(cell, inputs, state)
    first, middle = unroll(cell, inputs[:, :4], state)
    second, end = unroll(cell, inputs[:, 4:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, **EXACT)
    assert_states_close(end, last)


@cells
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_ragged_equals_each_sequence_alone_whatever_the_padding_holds(cell_type, reverse):
    cell, inputs, state = make(cell_type)
    padded = inputs.clone()
    for row, length in enumerate(LENGTHS):
        padded[row, length:] = torch.nan
    padded.requires_grad_()
    outputs, last = unroll(cell, padded, state, lengths=LENGTHS, reverse=reverse)
    (gradient,) = torch.autograd.grad(outputs.sum() + last[0].sum(), padded)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = type(state)(*(field[row : row + 1] for field in state))
        assert not outputs[row, length:].any()
        assert not gradient[row, length:].nan_to_num(1).any()
        assert gradient[row].isfinite().all()
        if length:
            expected, alone = unroll(cell, inputs[row : row + 1, :length], alone, reverse=reverse)
            torch.testing.assert_close(outputs[row : row + 1, :length], expected, **EXACT)
        assert_states_close(type(state)(*(field[row : row + 1] for field in last)), alone)


@cells
def test_reverse_equals_reading_the_flipped_sequence(cell_type):
    cell, inputs, state = make(cell_type)
    outputs, last = unroll(cell, inputs, state, reverse=True)
    flipped, expected = unroll(cell, inputs.flip(1), state)
    torch.testing.assert_close(outputs, flipped.flip(1), **EXACT)
    assert_states_close(last, expected)


@cells
def test_no_state_is_the_initial_state(cell_type):
    cell, inputs, _ = make(cell_type)
    outputs, last = unroll(cell, inputs)
    expected, end = unroll(cell, inputs, cell.initial_state(BATCH))
    torch.testing.assert_close(outputs, expected, **EXACT)
    assert_states_close(last, end)
    assert all(not field.any() and field.dtype == torch.float64 for field in cell.initial_state(2))


@cells
def test_gradients_reach_everything(cell_type):
    cell, inputs, state = make(cell_type)
    parameters = list(cell.parameters())

    def run(inputs, *fields):
        outputs, last = unroll(cell, inputs, type(state)(*fields))
        return outputs, last.hidden

    cell.eval()  # the leak's jumps have no finite differences
    inputs = inputs[:2, :4].clone().requires_grad_()
    fields = [field[:2].clone().requires_grad_() for field in state]
    torch.autograd.gradcheck(run, (inputs, *fields))
    grads = torch.autograd.grad(sum(part.square().sum() for part in run(inputs, *fields)), parameters)
    assert all(gradient.abs().max() > 0 for gradient in grads)


@cells
def test_unroll_states_keeps_every_state_in_the_graph(cell_type):
    cell, inputs, state = make(cell_type)
    outputs, last = unroll(cell, inputs, state)
    states = unroll_states(cell, inputs, state)
    assert len(states) == STEPS
    assert_states_close(states[-1], last)
    if cell_type is not LeakyCell:
        torch.testing.assert_close(torch.stack([s.hidden for s in states], 1), outputs, **EXACT)
    gradients = torch.autograd.grad(states[-1].hidden.sum(), [s.hidden for s in states])
    assert all(gradient.any() for gradient in gradients)


@cells
@pytest.mark.parametrize("autocast", [False, True], ids=["bfloat16", "autocast"])
def test_half_precision_runs_close_to_full(cell_type, autocast):
    cell, inputs, _ = make(cell_type)
    cell = cell.float().eval()
    expected, _ = unroll(cell, inputs.float())
    if autocast:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs, _ = unroll(cell, inputs.float(), lengths=torch.full((BATCH,), STEPS))
    else:
        outputs, _ = unroll(cell.bfloat16(), inputs.bfloat16())
        assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), expected, rtol=0.05, atol=0.05)


class HalvedStep(LSTMCell):
    def step(self, prepared, state):
        output, after = super().step(prepared, state)
        return 0.5 * output, after

    def forward(self, input, state):
        output, after = super().forward(input, state)
        return 0.5 * output, after


class HalvedForward(LSTMCell):
    def forward(self, input, state):
        output, after = super().forward(input, state)
        return 0.5 * output, after


@pytest.mark.parametrize("cell_type", [HalvedStep, HalvedForward])
def test_a_subclass_is_not_overtaken_by_the_kernel_it_inherits(cell_type):
    cell, inputs, state = make(cell_type)
    plain = LSTMCell(FEATURES, HIDDEN).double()
    plain.load_state_dict(cell.state_dict())
    torch.testing.assert_close(unroll(cell, inputs, state)[0], 0.5 * unroll(plain, inputs, state)[0], **EXACT)


class HalvedPrepare(LSTMCell):
    """Its inputs count for half, in the form for whole sequences only."""

    def prepare(self, inputs, state):
        return super().prepare(0.5 * inputs, state)


def test_a_subclass_that_prepares_otherwise_is_asked_by_every_form():
    cell, inputs, state = make(HalvedPrepare)
    plain = LSTMCell(FEATURES, HIDDEN).double()
    plain.load_state_dict(cell.state_dict())
    expected = unroll(plain, 0.5 * inputs, state)[0]
    torch.testing.assert_close(unroll(cell, inputs, state)[0], expected, **EXACT)
    states = unroll_states(cell, inputs, state)
    torch.testing.assert_close(torch.stack([each.hidden for each in states], dim=1), expected, **EXACT)


@cells
def test_hooks_are_called_at_every_step(cell_type):
    cell, inputs, state = make(cell_type)
    calls = []
    handle = cell.register_forward_hook(lambda *_: calls.append(1))
    hooked = unroll(cell, inputs, state)[0]
    handle.remove()
    assert len(calls) == inputs.size(1)
    torch.testing.assert_close(hooked, unroll(cell, inputs, state)[0], **EXACT)


def test_a_pruned_cell_trains_and_stays_pruned():
    cell = LSTMCell(3, 4)
    prune.l1_unstructured(cell, "weight_hh", 0.5)
    optimizer = torch.optim.SGD(cell.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        unroll(cell, torch.randn(2, 5, 3))[0].sum().backward()
        optimizer.step()
    unroll(cell, torch.randn(2, 5, 3))
    assert (cell.weight_hh == 0).sum() == 32


def test_errors_name_what_was_received():
    cell = LSTMCell(3, 4)
    inputs = torch.randn(2, 5, 3)
    with pytest.raises(ValueError, match=r"input_size = 3\], got \(2, 5, 4\)"):
        unroll(cell, torch.randn(2, 5, 4))
    with pytest.raises(ValueError, match=r"got \(5, 3\)"):
        unroll(cell, torch.randn(5, 3))
    with pytest.raises(ValueError, match=r"got \(2, 0, 3\)"):
        unroll(cell, torch.randn(2, 0, 3))
    with pytest.raises(ValueError, match="got 1 to 6"):
        unroll(cell, inputs, lengths=torch.tensor([6, 1]))
    with pytest.raises(ValueError, match="got -1 to 5"):
        unroll(cell, inputs, lengths=torch.tensor([5, -1]))
    with pytest.raises(ValueError, match=r"batch_size = 2\], got \(3,\)"):
        unroll(cell, inputs, lengths=torch.tensor([1, 2, 3]))
    with pytest.raises(TypeError, match=r"torch\.float32"):
        unroll(cell, inputs, lengths=torch.tensor([5.0, 1.0]))
    with pytest.raises(TypeError, match="is a LSTMState, got HiddenState"):
        unroll(cell, inputs, HiddenState(torch.zeros(2, 4)))
    with pytest.raises(ValueError, match=r"got \[\(1, 4\), \(2, 4\)\]"):
        unroll(cell, inputs, LSTMState(torch.zeros(1, 4), torch.zeros(2, 4)))
    with pytest.raises(ValueError, match="LSTMCell has no clock"):
        unroll(cell, inputs, times=torch.arange(5))
    with pytest.raises(ValueError, match=r"\(2, 5\), got \(4,\)"):
        unroll(PhasedLSTMCell(3, 4), inputs, times=torch.arange(4))


@pytest.mark.parametrize("cell_type", [RNNCell, LSTMCell, GRUCell, PhasedLSTMCell, MinGRUCell, OrthogonalRNNCell])
def test_sizes_are_checked_and_weights_follow_the_generator(cell_type):
    with pytest.raises(ValueError, match=r"input_size must be from 1 .*, got 0"):
        cell_type(0, 4)
    one = cell_type(2, 3, generator=torch.Generator().manual_seed(5))
    torch.rand(1)
    other = cell_type(2, 3, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@cells
def test_an_empty_batch_passes(cell_type):
    outputs, state = unroll(cell_type(3, 4), torch.randn(0, 5, 3))
    assert outputs.shape == (0, 5, 4)
    assert state.hidden.shape == (0, 4)
    outputs, state = unroll(cell_type(3, 4), torch.randn(0, 5, 3), lengths=torch.zeros(0, dtype=torch.long))
    assert outputs.shape == (0, 5, 4)
    assert state.hidden.shape == (0, 4)
