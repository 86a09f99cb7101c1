"""CharLM: whole sequences equal single steps, every input, and torch.nn's own stack."""

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell
from recurrent.models import CharLM
from recurrent.state import detached, map_tensors, select_rows, tensors_of

CELLS = [RNNCell, LSTMCell, GRUCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell]


def tokens(*shape):
    return torch.randint(7, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("input", ["one-hot", "embedding", "tied"])
@pytest.mark.parametrize("cell_type", CELLS)
def test_whole_equals_split_equals_stepwise(cell_type, input):
    torch.manual_seed(0)
    model = CharLM(7, 6, cell_type=cell_type, input=input).double().eval()
    text = tokens(3, 9)
    whole, last = model(text)
    first, middle = model(text[:, :4])
    second, end = model(text[:, 4:], middle)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-10, atol=1e-12)
    state, steps = model.initial_state(3), []
    for column in text.unbind(1):
        logits, state = model.step(column, state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, dim=1), whole, rtol=1e-10, atol=1e-12)
    for one, two, three in zip(tensors_of(last), tensors_of(end), tensors_of(state), strict=True):
        torch.testing.assert_close(one, two)
        torch.testing.assert_close(one, three)


@pytest.mark.parametrize("input", ["one-hot", "embedding", "tied"])
def test_it_equals_torchs_lstm_with_the_same_weights(input):
    torch.manual_seed(0)
    model = CharLM(7, 6, input=input).double()
    twin = nn.LSTM(7 if input == "one-hot" else 6, 6, num_layers=2, batch_first=True).double()
    for layer, cell in enumerate(model.stack.cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(twin, f"{name}_l{layer}").data.copy_(getattr(cell, name))
    text = tokens(2, 8)
    embedded = {
        "one-hot": lambda: one_hot(text, 7).double(),
        "embedding": lambda: model.embedding.weight[text],
        "tied": lambda: model.head.weight[text],
    }[input]()
    expected = twin(embedded)[0] @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(text)[0], expected, rtol=1e-10, atol=1e-12)


def test_a_detached_state_cuts_back_propagation_off():
    model = CharLM(7, 6, input="embedding").double()
    text = tokens(1, 4)
    _, state = model(text[:, :2])
    cut = detached(state)
    assert all(tensor.requires_grad for tensor in tensors_of(state))
    assert not any(tensor.requires_grad for tensor in tensors_of(cut))
    through, _ = torch.autograd.grad(model(text[:, 2:], state)[0].sum(), [model.embedding.weight, model.head.bias])
    alone, _ = torch.autograd.grad(model(text[:, 2:], cut)[0].sum(), [model.embedding.weight, model.head.bias])
    seen_only_before = [token for token in text[0, :2].tolist() if token not in text[0, 2:].tolist()]
    assert seen_only_before, "the first part has a character of its own"
    assert through[seen_only_before].abs().max() > 0
    assert alone[seen_only_before].abs().max() == 0


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    model = CharLM(7, 6, dropout=0.5, output_dropout=0.5)
    text = tokens(2, 5)
    assert not torch.equal(model(text)[0], model(text)[0])
    model.eval()
    assert torch.equal(model(text)[0], model(text)[0])


def test_forget_bias_reaches_every_layer():
    model = CharLM(7, 6).forget_bias_(1.0)
    for cell in model.stack.cells:
        total = (cell.bias_ih + cell.bias_hh).chunk(4)[1]
        torch.testing.assert_close(total, torch.ones(6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 0}, "vocab_size .* got 0"),
        ({"input": "bytes"}, "got 'bytes'"),
        ({"embedding_dim": 4}, "got 4 with input='one-hot'"),
        ({"input": "tied", "embedding_dim": 4}, "got 4 with input='tied'"),
        ({"input": "embedding", "embedding_dim": 0}, "got 0"),
        ({"output_dropout": 1.0}, "output_dropout .* got 1.0"),
        ({"num_layers": 0}, "num_layers .* got 0"),
    ],
)
def test_bad_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CharLM(**{"vocab_size": 7, "hidden_size": 6, **arguments})


def test_states_of_any_shape_are_walked():
    state = {"a": [torch.arange(3), None], "b": (torch.arange(6).view(3, 2),)}
    picked = select_rows(state, torch.tensor([2, 0, 2, 1]))
    assert picked["a"][0].tolist() == [2, 0, 2, 1]
    assert picked["a"][1] is None
    assert picked["b"][0].tolist() == [[4, 5], [0, 1], [4, 5], [2, 3]]
    assert [len(tensor) for tensor in tensors_of(state)] == [3, 3]
    assert isinstance(map_tensors(torch.neg, LSTMCell(1, 2).initial_state(1)), tuple)
