"""SequenceGraph: its parts put together by hand, blocks, ragged sequences one by one, training."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv as PyGGCNConv

from gnnkit import Adjacency, NodeData, TrainConfig, fit
from gnnkit.data import random_split
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.models import SequenceGraph
from gnnkit.training.view import features_of, view_of
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell, Sequences

N = 12
CELLS = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "phased": PhasedLSTMCell,
    "minGRU": MinGRUCell,
    "orthogonal RNN": OrthogonalRNNCell,
    "relu": partial(RNNCell, nonlinearity="relu"),
}


def graph(dtype=torch.float64):
    """Directed, weighted, with an isolated node and a loop."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(N - 1, (2, 30), generator=generator)
    edges[1, 0] = edges[0, 0]
    return Adjacency.from_edge_index(edges, torch.rand(30, generator=generator, dtype=dtype) + 0.1, num_nodes=N)


def texts(largest=9):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 8, (N,), generator=generator)
    lengths[3] = 0
    return Sequences(torch.randint(largest, (int(lengths.sum()),), generator=generator), lengths)


def features():
    generator = torch.Generator().manual_seed(2)
    lengths = torch.randint(1, 8, (N,), generator=generator)
    return Sequences(torch.randn(int(lengths.sum()), 4, generator=generator, dtype=torch.float64), lengths)


def test_equals_torchs_lstm_and_pygs_convolutions():
    torch.manual_seed(0)
    model = SequenceGraph(LSTMCell, 4, 5, 3, hidden_channels=6, bidirectional=True).double()
    x, adjacency = features(), graph()
    forward, backward = (nn.LSTM(4, 5, batch_first=True).double() for _ in range(2))
    for lstm, cell in zip((forward, backward), model.encoder.cells, strict=True):
        lstm.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    begin = [0, *x.lengths.cumsum(0).tolist()]
    encoded = []
    for start, end in pairwise(begin):
        steps = x.values[start:end].unsqueeze(0)
        ends = [forward(steps)[1][0][0, 0], backward(steps.flip(1))[1][0][0, 0]]
        encoded.append(torch.cat(ends))
    h = torch.stack(encoded)
    edge_index, weight = adjacency.to_edge_index()
    z = h
    for layer, conv in enumerate(model.network.convs):
        theirs = PyGGCNConv(conv.lin.in_features, conv.lin.out_features).double()
        theirs.load_state_dict(conv.state_dict())
        z = theirs(z.relu() if layer else z, edge_index, weight)
    torch.testing.assert_close(model(x, adjacency), model.out(torch.cat([h, z.relu()], dim=1)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("network", ["gcn", "gat"])
@pytest.mark.parametrize("name", CELLS)
def test_blocks_equal_rows_of_the_full_graph(name, network):
    torch.manual_seed(0)
    model = SequenceGraph(CELLS[name], 9, 5, 3, embedding_dim=4, network=network, summary="mean").double()
    targets = torch.tensor([5, N - 1, 0, 3])
    field = receptive_field(graph(), targets, 2)
    assert len(field.nodes) < N
    pruned = model(texts().select_rows(field.nodes), field.blocks)
    full = model(texts(), graph())[targets]
    torch.testing.assert_close(pruned, full, rtol=1e-10, atol=1e-12)
    got, wanted = (torch.autograd.grad(out.square().sum(), list(model.parameters())) for out in (pruned, full))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("summary", ["last", "mean"])
def test_ragged_equals_one_by_one(summary, monkeypatch):
    torch.manual_seed(0)
    model = SequenceGraph(GRUCell, 9, 5, 3, embedding_dim=4, encoder_layers=2, bidirectional=True, summary=summary)
    x = texts()
    whole = model.encode(model.embed(x))
    for node in range(N):
        one = x.select_rows(torch.tensor([node]))
        torch.testing.assert_close(whole[node], model.encode(model.embed(one))[0])
    assert not bool(whole[3].any())  # an empty sequence says nothing
    monkeypatch.setattr("gnnkit.models.sequence_graph._STEPS_AT_ONCE", 10)
    torch.testing.assert_close(model.encode(model.embed(x)), whole)


def test_tensors_are_sequences_of_one_length():
    torch.manual_seed(0)
    model = SequenceGraph(LSTMCell, 2, 5, 3).double()
    x = torch.randn(4, 6, N, 2, dtype=torch.float64)  # B, T, N, F
    out = model(x, graph())
    assert out.shape == (4, N, 3)
    for one, expected in zip(x, out, strict=True):
        torch.testing.assert_close(model(one, graph()), expected)
        ragged = Sequences.from_padded(one.transpose(0, 1))
        torch.testing.assert_close(model(ragged, graph()), expected)
    ids = SequenceGraph(LSTMCell, 9, 5, 3, embedding_dim=2, summary="mean")
    assert ids(torch.randint(9, (6, N)), graph(torch.float32)).shape == (N, 3)


def test_a_permutation_of_nodes_permutes():
    torch.manual_seed(0)
    model = SequenceGraph(LSTMCell, 4, 5, 3, network="gat", heads=2).double()
    order = torch.randperm(N)
    moved = Adjacency.from_dense(graph().to_dense()[order][:, order])
    torch.testing.assert_close(model(features().select_rows(order), moved), model(features(), graph())[order])


def test_without_graph_layers_the_graph_plays_no_part():
    torch.manual_seed(0)
    model = SequenceGraph(LSTMCell, 4, 5, 3, num_layers=0).double()
    lone = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=N)
    assert torch.equal(model(features(), graph()), model(features(), lone))


def labelled(x):
    y = torch.arange(N) % 3
    return NodeData(graph(torch.float32), x, y, *random_split(y, train_per_class=1, num_val=3, num_test=4))


@pytest.mark.parametrize("network", ["gcn", "gat"])
def test_training_reads_the_receptive_field_alone_and_gives_the_same(network):
    data = labelled(texts())
    model = SequenceGraph(LSTMCell, 9, 5, 3, embedding_dim=4, network=network)
    view = view_of(model, data, features_of(data), data.train_mask)
    assert view.rows is None
    assert len(view.x) < N
    pruned, full = (fit(model, data, TrainConfig(epochs=5, prune=prune)) for prune in (True, False))
    assert pruned.history["train_loss"] == pytest.approx(full.history["train_loss"], rel=1e-4)
    assert pruned.val_loss == pytest.approx(full.val_loss, rel=1e-4)


def test_training_starts_from_the_seed_and_learns():
    data = labelled(features().to(dtype=torch.float32))
    model = SequenceGraph(LSTMCell, 4, 8, 3, dropout=0.2, encoder_layers=2)
    first, second = (fit(model, data, TrainConfig(epochs=40, lr=0.03)) for _ in range(2))
    assert first.history["train_loss"] == second.history["train_loss"]
    assert first.history["train_loss"][-1] < 0.5 * first.history["train_loss"][0]
    decayed, free = model.parameter_groups(0.1)
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))
    assert all(each.dim() == 2 for each in decayed["params"])


def test_data_with_sequences():
    data = labelled(texts())
    assert data.num_features == texts().num_features
    with pytest.raises(ValueError, match="got Sequences"):
        data.to_data()
    with pytest.raises(ValueError, match="a sequence for each of 12 nodes, got 11"):
        labelled(texts().select_rows(torch.arange(N - 1)))
    with pytest.raises(ValueError, match="1 values that are NaN"):
        labelled(Sequences(torch.tensor([[float("nan")]] * 1), torch.tensor([1] + [0] * (N - 1))))
    with pytest.raises(ValueError, match="PyG take a row of features per node"):
        fit(PyGGCNConv(4, 3), data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SequenceGraph(LSTMCell, 4, 5, 3, network="gin"), "one of gcn, gat, got 'gin'"),
        (lambda: SequenceGraph(LSTMCell, 4, 5, 3, summary="first"), "one of last, mean, got 'first'"),
        (lambda: SequenceGraph(LSTMCell, 4, 5, 3, num_layers=-1), "got -1"),
        (lambda: SequenceGraph(LSTMCell, 4, 5, 3, num_layers=0, heads=2), "no heads to set"),
        (lambda: SequenceGraph(LSTMCell, 4, 5, 3)(texts(), graph()), "without an embedding got steps of torch.int64"),
        (lambda: SequenceGraph(LSTMCell, 9, 5, 3, embedding_dim=2)(features(), graph()), "with an embedding got"),
        (lambda: SequenceGraph(LSTMCell, 3, 5, 3, embedding_dim=2)(texts(), graph()), "from 0 to 2, got 0 to 8"),
        (lambda: SequenceGraph(LSTMCell, 5, 5, 3)(features(), graph()), "in_channels=5 features, got 4"),
        (lambda: SequenceGraph(LSTMCell, 5, 5, 3)(torch.zeros(3, 5), graph()), r"got \(3, 5\)"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
