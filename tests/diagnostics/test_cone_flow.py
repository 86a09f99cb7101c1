"""Influence by hop and step at once: against dense float64 Jacobians, and the light cone's edge."""

import pytest
import torch
from torch import nn

from gnnkit import Adjacency, flow
from gnnkit.graph.hops import hop_distance
from gnnkit.models import SequenceGraph
from gnnkit.nn import GCNConv
from gnnkit.nn.graph_lstm import GraphGRU, GraphLSTM
from recurrent import GRUCell, LSTMCell, Sequences, unroll

T, N, F, H = 4, 9, 2, 3


def graph():
    """A path of eight nodes, and one by itself."""
    steps = torch.tensor([[node, node + 1] for node in range(N - 2)]).t()
    return Adjacency.from_edge_index(torch.cat([steps, steps.flip(0)], dim=1), num_nodes=N).to(dtype=torch.float64)


class EncodedFirst(nn.Module):
    """A sequence on every node, encoded, then mixed: a SequenceGraph of one's own."""

    def __init__(self):
        super().__init__()
        self.cell, self.conv = LSTMCell(F, H), GCNConv(H, 2)

    def forward(self, x, graph):
        return self.conv(unroll(self.cell, x.transpose(0, 1))[0][:, -1], graph)


MODELS = {
    "GraphLSTM": lambda: GraphLSTM(F, H, K=1),
    "GraphLSTM of two layers": lambda: GraphLSTM(F, H, operator="gcn", K=2, num_layers=2),
    "GraphGRU": lambda: GraphGRU(F, H, operator="diffusion", K=1),
    "inputs mixed only": lambda: GraphLSTM(F, H, K=1, state_hops=0),
    "encoded first": EncodedFirst,
    "SequenceGraph": lambda: SequenceGraph(LSTMCell, F, H, 2, bidirectional=True),
    "SequenceGraph with attention": lambda: SequenceGraph(GRUCell, F, H, 2, network="gat", summary="mean"),
}


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("name", MODELS)
def test_models_match_a_dense_jacobian(name, norm):
    torch.manual_seed(0)
    model, x = MODELS[name]().double(), torch.randn(T, N, F, dtype=torch.float64)
    found = flow(model, x, graph(), by=("hop", "step"), norm=norm)
    assert found.by == ("hop", "step")
    assert model.training

    def last(x):
        out = model(x, graph())
        return out[0][-1] if isinstance(out, tuple) else out

    jacobian = torch.autograd.functional.jacobian(last, x)  # (N, C, T, N, F)
    norms = jacobian.abs().sum((1, 4)) if norm == "l1" else jacobian.square().sum((1, 4)).sqrt()
    hops = hop_distance(graph(), direction="in").long()
    for hop in range(found.influence.size(1)):
        expected = (norms * (hops == hop).unsqueeze(1)).sum(2).flip(1)
        torch.testing.assert_close(found.influence[:, hop], expected, rtol=1e-9, atol=1e-13)
    assert float((norms * (hops >= found.influence.size(1)).unsqueeze(1)).sum()) == 0
    assert not bool(found.elsewhere.any())


def test_states_that_travel_a_hop_a_step_draw_a_cone():
    torch.manual_seed(0)
    found = flow(
        MODELS["GraphLSTM"]().double(), torch.randn(T, N, F, dtype=torch.float64), graph(), [0], by=("hop", "step")
    )
    # One hop for the input and one for every step since: s steps ago, hops up to s + 1 are heard, and no others.
    seen = found.influence[0] > 0
    expected = torch.tensor([[hop <= step + 1 for step in range(T)] for hop in range(T + 1)])
    assert torch.equal(seen, expected)
    alone = flow(
        MODELS["inputs mixed only"]().double(), torch.randn(T, N, F, dtype=torch.float64), graph(), by=("hop", "step")
    )
    assert alone.influence.size(1) == 2
    single = flow(
        MODELS["GraphLSTM"](),
        torch.randn(T, N, F),
        graph().to(dtype=torch.float32),
        by=("hop", "step"),
        dtype=torch.float64,
    )
    assert single.influence.dtype == torch.float64


@pytest.mark.parametrize("network", ["gcn", "gat"])
@pytest.mark.parametrize("ids", [True, False], ids=["token ids", "features"])
def test_ragged_sequences_match_a_dense_jacobian_from_each_end(ids, network):
    torch.manual_seed(0)
    lengths = torch.tensor([3, 1, 4, 0, 2, 4, 1, 3, 2])
    model = SequenceGraph(LSTMCell, 6 if ids else F, H, 2, network=network, embedding_dim=F if ids else None).double()
    count = int(lengths.sum())
    x = Sequences(torch.randint(6, (count,)) if ids else torch.randn(count, F, dtype=torch.float64), lengths)
    found = flow(model, x, graph(), by=("hop", "step"))

    embedded = model.embed(x)
    jacobian = torch.autograd.functional.jacobian(
        lambda values: model.read_out(Sequences(values, lengths), graph()), embedded.values.detach()
    )  # (N, C, all steps, F)
    norms = jacobian.abs().sum((1, 3))
    hops = hop_distance(graph(), direction="in").long()
    owner = torch.repeat_interleave(torch.arange(N), lengths)
    back = lengths.cumsum(0)[owner] - 1 - torch.arange(count)
    expected = torch.zeros(N, 3, 4, dtype=torch.float64)
    for node in range(N):
        for step in range(count):
            hop = int(hops[node, owner[step]])
            if not 0 <= hop <= 2:
                assert float(norms[node, step]) == 0  # beyond reach: exactly
                continue
            expected[node, hop, back[step]] += norms[node, step]
    torch.testing.assert_close(found.influence, expected, rtol=1e-9, atol=1e-13)
    assert torch.equal(found.influence == 0, expected == 0)
    assert model.training
    some = flow(model.float(), x.to(dtype=torch.float32), graph(), [2, 5], by=("hop", "step"), dtype=torch.float64)
    torch.testing.assert_close(some.influence, expected[[2, 5]], rtol=1e-5, atol=1e-7)


def test_a_sequence_graph_draws_a_rectangle():
    torch.manual_seed(0)
    model = SequenceGraph(LSTMCell, F, H, 2, num_layers=2).double()
    found = flow(model, torch.randn(T, N, F, dtype=torch.float64), graph(), [0], by=("hop", "step"))
    assert found.influence.shape == (1, 3, T)  # every step of whatever is within two hops, and of nothing else
    assert bool((found.influence > 0).all())
    alone = flow(model, torch.randn(T, N, F, dtype=torch.float64), graph(), [N - 1], by=("hop", "step"))
    assert alone.influence.shape == (1, 1, T)
    assert alone.along("hop").range == 0


def test_mistakes_are_named():
    model = GraphLSTM(F, H).double()
    with pytest.raises(ValueError, match=r"got \(4, 8, 2\)"):
        flow(model, torch.zeros(T, N - 1, F), graph(), by=("hop", "step"))
    with pytest.raises(ValueError, match="edge_attr"):
        flow(model, torch.zeros(T, N, F), graph(), by=("hop", "step"), edge_attr=torch.zeros(14, 1))
    with pytest.raises(ValueError, match=r"got \('step', 'hop'\)"):
        flow(model, torch.zeros(T, N, F), graph(), by=("step", "hop"))
    encoded = SequenceGraph(LSTMCell, F, H, 2).double()
    with pytest.raises(ValueError, match="each of 9 nodes, got 8"):
        flow(encoded, torch.zeros(T, N - 1, F, dtype=torch.float64), graph(), by=("hop", "step"))
    with pytest.raises(ValueError, match=r"must be \(T, N, F\)"):
        flow(encoded, torch.zeros(2, T, N, F, dtype=torch.float64), graph(), by=("hop", "step"))
    with pytest.raises(ValueError, match=r'measured with by=\("hop", "step"\)'):
        flow(encoded, Sequences.from_padded(torch.zeros(N, T, F)), graph())
    with pytest.raises(TypeError, match="the model must give"):
        flow(Summed(), torch.zeros(T, N, F), graph(), by=("hop", "step"))


class Summed(nn.Module):
    def forward(self, x, graph):
        return x.sum()
