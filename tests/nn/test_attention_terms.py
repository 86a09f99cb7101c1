"""Attention as the operator of GraphLSTM and GraphGRU: against dense equations, PyG's GATConv, and laws."""

import itertools

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GATConv

from gnnkit import flow
from gnnkit.graph import Adjacency
from gnnkit.graph.hops import hop_distance
from gnnkit.nn import GraphGRU, GraphLSTM
from gnnkit.nn.attention_terms import EdgeAttention
from tests.graphs import GRAPHS

KINDS = {"lstm": GraphLSTM, "gru": GraphGRU}
CASES = {name: case for name, case in GRAPHS.items() if case.num_nodes}


def layer_of(kind, *sizes, **options):
    torch.manual_seed(1)
    return kind(*sizes, operator="attention", **options).double()


def inputs(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def directed():
    return GRAPHS["directed, weighted, unsorted"].adjacency()


def attention(own: EdgeAttention, edges: Tensor, x: Tensor) -> Tensor:
    """A(x), target by source, from the equation; an edge of a count n is n edges."""
    logits = torch.nn.functional.leaky_relu((x @ own.att_dst)[:, None] + (x @ own.att_src)[None, :], 0.2)
    weights = logits.exp() * edges.T
    total = weights.sum(1, keepdim=True)
    return torch.where(total > 0, weights / total.where(total > 0, 1.0), 0.0)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def stepped(layer, x: Tensor, dense: list[Tensor]) -> Tensor:
    """An LSTM of one layer, one sequence ``(T, N, F)``, from the equations; ``dense[t]`` counts step t's edges."""
    cell, size = layer.cells[0], layer.hidden_size
    hidden = cell_state = torch.zeros(x.size(1), size, dtype=x.dtype)
    outputs = []

    def heard(own, edges, values):
        s = attention(own, edges, values)
        return torch.cat([torch.linalg.matrix_power(s, hop) @ values for hop in range(layer.K + 1)], dim=-1)

    for step, edges in zip(x, dense, strict=True):
        gates = heard(layer.input_attention[0], edges, step) @ cell.weight_ih.T + cell.bias_ih
        gates = gates + heard(layer.state_attention[0], edges, hidden) @ cell.weight_hh.T + cell.bias_hh
        i, f, g, o = (gates[:, gate * size : (gate + 1) * size] for gate in range(4))
        cell_state = f.sigmoid() * cell_state + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell_state.tanh()
        outputs.append(hidden)
    return torch.stack(outputs)


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lstm_matches_equations(case, hops):
    layer, x = layer_of(GraphLSTM, 3, 4, K=hops), inputs(2, 5, case.num_nodes, 3)
    graph = case.adjacency()
    counts = Adjacency.from_edge_index(graph.to_edge_index()[0], num_nodes=case.num_nodes).to_dense().double()
    out, state = layer(x, graph)
    for b in range(2):
        expected = stepped(layer, x[b], [counts] * 5)
        close(out[b], expected)
        close(state.hidden[0, b], expected[-1])


def test_the_neighbours_share_of_the_gates_is_pygs_graph_attention():
    graph = directed()
    layer = layer_of(GraphLSTM, 3, 4, K=1)
    cell, own = layer.cells[0], layer.input_attention[0]
    conv = GATConv(3, 16, add_self_loops=False).double()
    torch.nn.init.normal_(conv.bias)
    with torch.no_grad():
        conv.lin.weight.copy_(cell.weight_ih[:, 3:])
        own.att_src.copy_(conv.att_src.view(-1) @ conv.lin.weight)
        own.att_dst.copy_(conv.att_dst.view(-1) @ conv.lin.weight)
        cell.bias_ih.copy_(conv.bias)
        cell.bias_hh.zero_()
    x = inputs(1, graph.num_nodes, 3)
    gates = conv(x[0], graph.to_edge_index()[0]) + x[0] @ cell.weight_ih[:, :3].T
    i, _, g, o = gates.chunk(4, dim=-1)
    close(layer(x, graph)[0][0], o.sigmoid() * (i.sigmoid() * g.tanh()).tanh())


def test_a_graph_per_step_and_absent_nodes():
    layer, x = layer_of(GraphLSTM, 3, 4, K=2), inputs(4, 5, 3)
    graphs = [Adjacency.from_edge_index(torch.randint(5, (2, 4 + 2 * step)), num_nodes=5) for step in range(4)]
    graphs = [graph.to(dtype=torch.float64) for graph in graphs]
    counts = [(graph.to_dense() > 0).double() for graph in graphs]
    close(layer(x, graphs)[0], stepped(layer, x, counts))
    present = torch.ones(4, 5, dtype=torch.bool)
    present[1:3, 2] = False
    out, _ = layer(x, directed(), present=present)
    without = [(directed().to_dense() > 0).double() * there[:, None] * there[None, :] for there in present.double()]
    expected = stepped(layer, x, without)
    close(out[:2, [0, 1, 3, 4]], expected[:2, [0, 1, 3, 4]])
    torch.testing.assert_close(out[2, 2], out[0, 2], rtol=0, atol=0)  # waits
    other = x.clone()
    other[1:3, 2] += 100.0
    torch.testing.assert_close(layer(other, directed(), present=present)[0], out, rtol=0, atol=0)
    nobody = layer(x, directed(), present=torch.zeros(4, 5, dtype=torch.bool))[0]
    assert not bool(nobody.any())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_without_edges_it_is_the_layer_of_no_hops(kind):
    layer = layer_of(kind, 3, 4, K=2)
    plain = kind(3, 4, K=0).double()
    with torch.no_grad():
        for name, value in plain.cells[0].named_parameters():
            mine = getattr(layer.cells[0], name)
            value.copy_(mine[:, : value.size(1)] if value.dim() == 2 else mine)
    empty = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=5).to(dtype=torch.float64)
    x = inputs(2, 6, 5, 3)
    close(layer(x, empty)[0], plain(x, empty)[0])
    assert layer_of(kind, 3, 4, K=0).input_attention is None


@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "num_layers": 2}, {"state_hops": 0}, {"checkpoint_every": 2}], ids=str
)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_laws(kind, options):
    layer, x, graph = layer_of(kind, 2, 3, K=1, **options), inputs(3, 4, 5, 2), directed()
    out, state = layer(x, graph)
    for b in range(3):
        close(layer(x[b], graph)[0], out[b])
    close(layer(x, [graph] * 4)[0], out)
    close(layer(x, graph, present=torch.ones(3, 4, 5, dtype=torch.bool))[0], out)
    order = torch.tensor([3, 0, 4, 1, 2])
    close(layer(x[:, :, order], graph.subgraph(order))[0], out[:, :, order])
    layer.reset_parameters()
    assert not torch.equal(layer(x, graph)[0], out)
    assert state.hidden.shape[1:] == (3, 5, 3)


@pytest.mark.parametrize(("kind", "options"), list(itertools.product(KINDS.values(), [{}, {"phased": True}])), ids=str)
def test_gradients(kind, options):
    layer = layer_of(kind, 2, 2, K=1, **options)
    x, graph = inputs(1, 3, 3, 2).requires_grad_(), GRAPHS["both ways, unequal weights"].adjacency()
    given = {"times": 20 * torch.rand(1, 3, dtype=torch.float64)} if options else {}
    names = [name for name, _ in layer.named_parameters()]
    assert any("attention" in name for name in names)

    def run(x, *values):
        out, state = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, graph), given)
        return out, *state

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()), fast_mode=True)


def test_its_light_cone_is_zero_beyond_reach():
    graph, x = directed(), inputs(3, 5, 2)
    layer = layer_of(GraphLSTM, 2, 3, K=1)
    found = flow(layer, x, graph, by=("hop", "step"))
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x, graph)[0][-1], x)
    norms = jacobian.abs().sum((1, 4))  # (N, T, N)
    hops = hop_distance(graph, direction="in").long()
    for hop in range(found.influence.size(1)):
        close(found.influence[:, hop], (norms * (hops == hop).unsqueeze(1)).sum(2).flip(1))
    for step in range(3):
        assert not bool(found.influence[:, step + 2 :, step].any())
