"""RNN, LSTM and GRU against torch.nn: outputs, states and every gradient."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurrent import GRUCell, HiddenState, LSTMCell, LSTMState, RNNCell, unroll, unroll_states
from recurrent.cells import layer_state_dict

TWINS = {
    "rnn": (RNNCell, nn.RNN, nn.RNNCell, {}, {}),
    "rnn relu": (RNNCell, nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}, {"nonlinearity": "relu"}),
    "lstm": (LSTMCell, nn.LSTM, nn.LSTMCell, {}, {}),
    "gru": (GRUCell, nn.GRU, nn.GRUCell, {}, {}),
}
twins = pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
BATCH, STEPS, FEATURES, HIDDEN = 4, 7, 3, 5
LENGTHS = torch.tensor([7, 2, 5, 1])


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    return {"rtol": 0, "atol": 1e-6 if dtype == torch.float32 else 1e-12}


def make(twin, dtype, **options):
    """A cell per direction with the weights of a torch module, inputs, and a state per direction."""
    cell_type, module_type, _, cell_options, module_options = twin
    torch.manual_seed(0)
    module = module_type(FEATURES, HIDDEN, batch_first=True, **module_options, **options).to(dtype)
    cells = []
    for reverse in [False, True][: 2 if module.bidirectional else 1]:
        cell = cell_type(FEATURES, HIDDEN, **cell_options).to(dtype)
        cell.load_state_dict(layer_state_dict(module, reverse=reverse))
        cells.append(cell)
    inputs = torch.randn(BATCH, STEPS, FEATURES, dtype=dtype)
    hidden = torch.randn(len(cells), BATCH, HIDDEN, dtype=dtype)
    memory = torch.randn(len(cells), BATCH, HIDDEN, dtype=dtype)
    return cells, module, inputs, hidden, memory


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


def torch_forward(module, inputs, hidden, memory, lengths=None):
    state = (hidden, memory) if isinstance(module, nn.LSTM) else hidden
    if lengths is not None:
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, state = module(packed, state)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))
    else:
        outputs, state = module(inputs, state)
    return outputs, list(state) if isinstance(state, tuple) else [state]


def our_forward(cells, inputs, hidden, memory, lengths=None):
    outputs, last = [], []
    for direction, cell in enumerate(cells):
        is_lstm = isinstance(cell, LSTMCell)
        state = LSTMState(hidden[direction], memory[direction]) if is_lstm else HiddenState(hidden[direction])
        output, state = unroll(cell, inputs, state, lengths=lengths, reverse=direction == 1)
        outputs.append(output)
        last.append(state)
    return torch.cat(outputs, dim=-1), [torch.stack(fields) for fields in zip(*last, strict=True)]


def gradients(outputs, state, wanted):
    torch.manual_seed(1)
    loss = sum((part * torch.randn(part.shape, dtype=part.dtype)).sum() for part in [outputs, *state])
    return torch.autograd.grad(loss, wanted, allow_unused=True)


@twins
@dtypes
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
def test_unroll_equals_the_torch_module(twin, dtype, ragged, bidirectional):
    cells, module, *data = make(twin, dtype, bidirectional=bidirectional)
    lengths = LENGTHS if ragged else None
    theirs_in, ours_in = leaves(*data), leaves(*data)
    theirs = torch_forward(module, *theirs_in, lengths)
    ours = our_forward(cells, *ours_in, lengths)
    torch.testing.assert_close(ours, theirs, **tolerance(dtype))

    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    their_weights = [
        getattr(module, f"{name}_l0{suffix}") for suffix in ["", "_reverse"][: len(cells)] for name in names
    ]
    our_weights = [getattr(cell, name) for cell in cells for name in names]
    inputs_used = 3 if isinstance(module, nn.LSTM) else 2
    expected = gradients(*theirs, theirs_in[:inputs_used] + their_weights)
    actual = gradients(*ours, ours_in[:inputs_used] + our_weights)
    scale = max(float(gradient.abs().max()) for gradient in expected)
    assert scale > 0.1
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one / scale, other / scale, **tolerance(dtype))


@twins
@dtypes
def test_one_step_equals_the_torch_cell(twin, dtype):
    cell_type, _, torch_cell_type, cell_options, options = twin
    torch.manual_seed(0)
    theirs = torch_cell_type(FEATURES, HIDDEN, **options).to(dtype)
    cell = cell_type(FEATURES, HIDDEN, **cell_options).to(dtype)
    assert list(cell.state_dict()) == list(theirs.state_dict())
    cell.load_state_dict(theirs.state_dict())
    x = torch.randn(BATCH, FEATURES, dtype=dtype)
    state = type(cell.initial_state())(*(torch.randn_like(field) for field in cell.initial_state(BATCH)))
    output, after = cell(x, state)
    expected = theirs(x, tuple(state) if len(state) == 2 else state[0])
    expected = expected if isinstance(expected, tuple) else (expected,)
    torch.testing.assert_close(tuple(after), expected, **tolerance(dtype))
    torch.testing.assert_close(output, after.hidden, rtol=0, atol=0)


@twins
@dtypes
def test_the_step_by_step_loop_equals_the_kernel(twin, dtype):
    cells, _, inputs, hidden, memory = make(twin, dtype)
    (cell,) = cells
    state = LSTMState(hidden[0], memory[0]) if isinstance(cell, LSTMCell) else HiddenState(hidden[0])
    outputs, last = unroll(cell, inputs, state)
    states = unroll_states(cell, inputs, state)
    torch.testing.assert_close(torch.stack([s.hidden for s in states], 1), outputs, **tolerance(dtype))
    torch.testing.assert_close(tuple(states[-1]), tuple(last), **tolerance(dtype))


def test_a_second_layer_copies_across():
    torch.manual_seed(0)
    module = nn.LSTM(FEATURES, HIDDEN, num_layers=2, batch_first=True)
    inputs = torch.randn(BATCH, STEPS, FEATURES)
    hidden = inputs
    for layer, size in enumerate([FEATURES, HIDDEN]):
        cell = LSTMCell(size, HIDDEN)
        cell.load_state_dict(layer_state_dict(module, layer))
        hidden, _ = unroll(cell, hidden)
    torch.testing.assert_close(hidden, module(inputs)[0], rtol=0, atol=1e-6)


def test_a_missing_layer_or_direction_is_named():
    with pytest.raises(ValueError, match="'_l1'"):
        layer_state_dict(nn.GRU(2, 3), 1)
    with pytest.raises(ValueError, match="bidirectional=False"):
        layer_state_dict(nn.GRU(2, 3), reverse=True)
    with pytest.raises(ValueError, match="bias=False"):
        layer_state_dict(nn.GRU(2, 3, bias=False))
