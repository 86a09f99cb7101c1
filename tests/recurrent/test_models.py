"""Stacks and classifiers against torch.nn and against their own parts."""

import functools

import pytest
import torch
from torch import nn

from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell, unroll
from recurrent.cells import layer_state_dict
from recurrent.models import CellStack, SequenceClassifier, bilstm
from recurrent.tasks import Adding, CopyMemory, Palindromes, TaskStream

CELLS = [RNNCell, LSTMCell, GRUCell, PhasedLSTMCell, MinGRUCell, OrthogonalRNNCell]
EXACT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize(("cell_type", "module_type"), [(LSTMCell, nn.LSTM), (GRUCell, nn.GRU)])
def test_a_stack_equals_torchs_layers(cell_type, module_type, bidirectional):
    torch.manual_seed(0)
    module = module_type(3, 4, num_layers=3, bidirectional=bidirectional, batch_first=True).double()
    stack = CellStack(cell_type, 3, 4, num_layers=3, bidirectional=bidirectional).double()
    for place, cell in enumerate(stack.cells):
        layer, direction = divmod(place, stack.num_directions)
        cell.load_state_dict(layer_state_dict(module, layer, reverse=direction == 1))
    inputs = torch.randn(2, 6, 3).double()
    outputs, state = stack(inputs)
    expected, last = module(inputs)
    torch.testing.assert_close(outputs, expected, **EXACT)
    hidden = last[0] if isinstance(last, tuple) else last
    torch.testing.assert_close(torch.stack([part.hidden for part in state]), hidden, **EXACT)
    again, _ = stack(inputs, state)
    torch.testing.assert_close(again, module(inputs, last)[0], **EXACT)


def test_dropout_between_layers_is_torchs():
    module = nn.LSTM(3, 4, num_layers=2, dropout=0.5, batch_first=True)
    stack = CellStack(LSTMCell, 3, 4, num_layers=2, dropout=0.5)
    for layer, cell in enumerate(stack.cells):
        cell.load_state_dict(layer_state_dict(module, layer))
    inputs = torch.randn(64, 6, 3)
    seen = {}
    stack.dropout.register_forward_hook(lambda _, given, kept: seen.update(given=given[0], kept=kept))
    stack(inputs)
    dropped = (seen["kept"] == 0).float().mean()
    assert 0.45 < dropped < 0.55
    kept = seen["kept"] != 0
    torch.testing.assert_close(seen["kept"][kept], 2 * seen["given"][kept])
    stack.eval(), module.eval()
    torch.testing.assert_close(stack(inputs)[0], module(inputs)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell_type", CELLS)
def test_stepping_equals_the_whole_sequence(cell_type):
    torch.manual_seed(0)
    stack = CellStack(cell_type, 3, 4, num_layers=2).double()
    inputs = torch.randn(2, 5, 3).double()
    expected, last = stack(inputs)
    state = stack.initial_state(2)
    outputs = []
    for x in inputs.unbind(1):
        output, state = stack.step(x, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), expected, **EXACT)
    torch.testing.assert_close([tuple(s) for s in state], [tuple(s) for s in last], **EXACT)


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_bilstm_is_its_definition(ragged):
    torch.manual_seed(0)
    model = bilstm(3, 4, 5).double()
    forward, backward = model.stack.cells
    inputs = torch.randn(3, 6, 3).double()
    lengths = torch.tensor([6, 2, 4]) if ragged else None
    logits = model(inputs, lengths=lengths)
    for row, length in enumerate([6, 2, 4] if ragged else [6] * 3):
        sequence = inputs[row : row + 1, :length]
        _, ahead = unroll(forward, sequence)
        _, back = unroll(backward, sequence.flip(1))
        both = torch.cat([ahead.hidden, back.hidden], dim=-1)
        torch.testing.assert_close(logits[row : row + 1], model.head(both), **EXACT)


def test_bilstm_per_step_is_the_head_of_every_output():
    torch.manual_seed(0)
    model = bilstm(3, 4, 5, per_step=True).double()
    inputs = torch.randn(3, 6, 3).double()
    logits = model(inputs)
    assert logits.shape == (3, 6, 5)
    back, _ = unroll(model.stack.cells[1], inputs.flip(1))
    ahead, _ = unroll(model.stack.cells[0], inputs)
    expected = model.head(torch.cat([ahead[:, 2], back[:, 6 - 1 - 2]], dim=-1))
    torch.testing.assert_close(logits[:, 2], expected, **EXACT)


def test_embedding_looks_token_ids_up():
    torch.manual_seed(0)
    model = SequenceClassifier(RNNCell, 7, 4, 2, embedding_dim=3)
    tokens = torch.tensor([[1, 6, 0]])
    plain = SequenceClassifier(RNNCell, 3, 4, 2)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k != "embedding.weight"})
    torch.testing.assert_close(model(tokens), plain(model.embedding.weight[tokens]))
    with pytest.raises(ValueError, match=r"without an embedding got inputs of torch\.int64"):
        plain(tokens)
    with pytest.raises(ValueError, match=r"with an embedding got inputs of torch\.float32"):
        model(torch.randn(1, 3, 7))


def test_times_reach_the_clocks():
    torch.manual_seed(0)
    model = SequenceClassifier(PhasedLSTMCell, 3, 4, 2)
    inputs = torch.randn(2, 5, 3)
    torch.testing.assert_close(model(inputs, times=torch.arange(5.0)), model(inputs))
    assert not torch.allclose(model(inputs, times=torch.arange(5.0) * 7), model(inputs))


@pytest.mark.parametrize(
    ("task", "cell_type", "accuracy"),
    [
        (Palindromes(4), RNNCell, 0.95),  # a class after the last step
        (Palindromes(4), LSTMCell, 0.95),
        (Palindromes(4), GRUCell, 0.95),
        (Palindromes(4), PhasedLSTMCell, 0.95),
        (CopyMemory(1), GRUCell, 0.2),  # a class at every step; chance is 1/8
        (Adding(4), MinGRUCell, 0.2),  # a number; chance is 0.08
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_every_kind_of_task_is_learnt_in_one_loop(task, cell_type, accuracy):
    torch.manual_seed(0)
    if cell_type is PhasedLSTMCell:
        cell_type = functools.partial(cell_type, tau_range=(1.0, 4.0), r_on=0.5)
    layers = 1 if isinstance(task, Palindromes) else 2
    model = SequenceClassifier(
        cell_type, task.input_size, 32, task.num_outputs, num_layers=layers, per_step=task.per_step
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _, (inputs, targets) in zip(range(250), TaskStream(task, 64, seed=0), strict=False):
        optimizer.zero_grad()
        task.loss(model(inputs), targets).backward()
        optimizer.step()
    inputs, targets = next(TaskStream(task, 1000, seed=0, split="held_out"))
    with torch.no_grad():
        assert task.accuracy(model.eval()(inputs), targets) >= accuracy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "got 0"),
        ({"dropout": 1.0, "num_layers": 2}, r"got 1\.0"),
        ({"dropout": 0.5}, r"got 0\.5 with num_layers=1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CellStack(LSTMCell, 2, 3, **options)


def test_bad_states_are_named():
    stack = CellStack(LSTMCell, 2, 3, num_layers=2)
    with pytest.raises(ValueError, match="2 cell states, got 1"):
        stack(torch.zeros(1, 2, 2), stack.initial_state(1)[:1])
    both_ways = CellStack(LSTMCell, 2, 3, bidirectional=True)
    with pytest.raises(ValueError, match="cannot step"):
        both_ways.step(torch.zeros(1, 2), both_ways.initial_state(1))
