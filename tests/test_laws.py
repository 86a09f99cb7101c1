"""The laws of the design, on graphs that hypothesis makes: `HYPOTHESIS_PROFILE=torture` asks for 1,000 of each."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gnnkit.graph import Adjacency, receptive_field
from gnnkit.models import GCN
from gnnkit.nn import GATConv, GCN2Conv, GCNConv, GraphGRU, GraphLSTM
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, RNNCell, unroll
from tests.graphs import Case, cases

seeds = st.integers(0, 2**31)
graphs = cases(min_nodes=1, max_nodes=6)
LAYERS = {
    "GCN": lambda: GCNConv(3, 2),
    "GCN without loops": lambda: GCNConv(3, 2, add_self_loops=False),
    "GCN, row": lambda: GCNConv(3, 2, normalize="row"),
    "GAT": lambda: GATConv(3, 2, heads=2),
}
SEQUENCE_LAYERS = {
    f"{kind.__name__}, {operator}": lambda kind=kind, operator=operator: kind(3, 2, operator=operator, K=2)
    for kind in (GraphLSTM, GraphGRU)
    for operator in ("gcn", "diffusion", "chebyshev")
}
CELLS = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell, "min-gru": MinGRUCell, "orthogonal-rnn": OrthogonalRNNCell}


def made(build, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layer = build().double()
    for parameter in layer.parameters():  # a zero bias would hide a misplaced one
        nn.init.normal_(parameter, std=0.5)
    return layer


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


def shuffled(case: Case, order: Tensor) -> Adjacency:
    """The graph whose node ``i`` is node ``order[i]`` of ``case``."""
    edge_index, weight = case.adjacency().to_edge_index()
    return Adjacency.from_edge_index(order.argsort()[edge_index], weight, num_nodes=case.num_nodes)


@pytest.mark.parametrize("name", LAYERS)
@given(case=graphs, seed=seeds)
def test_permuting_nodes_permutes_outputs(name, case, seed):
    layer, x = made(LAYERS[name], seed), numbers(case.num_nodes, 3, seed=seed)
    order = torch.randperm(case.num_nodes, generator=torch.Generator().manual_seed(seed))
    close(layer(x[order], shuffled(case, order)), layer(x, case.adjacency())[order])


@given(case=graphs, seed=seeds, layer=st.integers(1, 4))
def test_permuting_nodes_permutes_gcnii(case, seed, layer):
    conv, x = made(lambda: GCN2Conv(3, alpha=0.2, theta=0.5, layer=layer), seed), numbers(case.num_nodes, 3, seed=seed)
    order = torch.randperm(case.num_nodes, generator=torch.Generator().manual_seed(seed))
    x_0 = x.flip(0)
    close(conv(x[order], x_0[order], shuffled(case, order)), conv(x, x_0, case.adjacency())[order])


@pytest.mark.parametrize("name", SEQUENCE_LAYERS)
@given(case=graphs, seed=seeds)
def test_permuting_nodes_permutes_sequences(name, case, seed):
    layer, x = made(SEQUENCE_LAYERS[name], seed), numbers(3, case.num_nodes, 3, seed=seed)
    order = torch.randperm(case.num_nodes, generator=torch.Generator().manual_seed(seed))
    close(layer(x[:, order], shuffled(case, order))[0], layer(x, case.adjacency())[0][:, order])


@given(nodes=st.integers(1, 6), seed=seeds)
def test_without_edges_every_node_is_on_its_own(nodes, seed):
    layer, x = made(lambda: GraphLSTM(3, 2, operator="diffusion", K=2), seed), numbers(3, nodes, 3, seed=seed)
    one_by_one = [layer(x[:, node : node + 1], without_edges(1))[0] for node in range(nodes)]
    close(layer(x, without_edges(nodes))[0], torch.cat(one_by_one, dim=1))


def without_edges(nodes: int) -> Adjacency:
    return Case(nodes, []).adjacency()


@pytest.mark.parametrize("name", LAYERS)
@given(first=graphs, second=graphs, seed=seeds)
def test_a_batch_equals_one_by_one(name, first, second, seed):
    layer = made(LAYERS[name], seed)
    parts = [numbers(case.num_nodes, 3, seed=seed + place) for place, case in enumerate((first, second))]
    together = layer(torch.cat(parts), Adjacency.batch([first.adjacency(), second.adjacency()]))
    close(together, torch.cat([layer(x, case.adjacency()) for x, case in zip(parts, (first, second), strict=True)]))


@given(case=graphs, seed=seeds, layers=st.integers(1, 3), node=st.integers(0, 5))
def test_pruned_equals_full(case, seed, layers, node):
    torch.manual_seed(seed)
    model = GCN(3, 4, layers, 2, 0.0).double().eval()
    x, nodes = numbers(case.num_nodes, 3, seed=seed), torch.tensor([node % case.num_nodes])
    graph = case.adjacency()
    field = receptive_field(graph, nodes, layers)
    full = model(x, graph)[nodes]
    full.sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    pruned = model(x[field.nodes], field.blocks)
    pruned.sum().backward()
    close(pruned, full)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        close(parameter.grad, gradient)


@pytest.mark.parametrize("name", ["GCN", "GCN, row"])
@given(case=graphs, seed=seeds)
def test_sparse_features_equal_dense(name, case, seed):
    layer, x = made(LAYERS[name], seed), numbers(case.num_nodes, 3, seed=seed)
    x = x * (x > 0)
    close(layer(x.to_sparse_csr(), case.adjacency()), layer(x, case.adjacency()))


@given(case=graphs, seed=seeds)
def test_products_are_those_of_the_dense_matrix(case, seed):
    graph, x = case.adjacency(), numbers(case.num_nodes, 2, seed=seed)
    close(graph @ x, graph.to_dense() @ x)
    close(graph.propagate(x), graph.to_dense().T @ x)
    close(graph.T @ x, graph.propagate(x))


@pytest.mark.parametrize("name", CELLS)
@given(seed=seeds, steps=st.integers(2, 6), cut=st.integers(1, 5))
def test_two_halves_equal_the_whole(name, seed, steps, cut):
    cell, x = made(lambda: CELLS[name](3, 2), seed), numbers(2, steps, 3, seed=seed)
    cut = min(cut, steps - 1)
    outputs, state = unroll(cell, x)
    first, middle = unroll(cell, x[:, :cut])
    second, last = unroll(cell, x[:, cut:], middle)
    close(torch.cat([first, second], dim=1), outputs)
    for one, other in zip(last, state, strict=True):
        close(one, other)


@pytest.mark.parametrize("name", CELLS)
@given(seed=seeds, lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), reverse=st.booleans())
def test_a_padded_batch_equals_one_by_one(name, seed, lengths, reverse):
    cell, x = made(lambda: CELLS[name](3, 2), seed), numbers(len(lengths), 5, 3, seed=seed)
    outputs, _ = unroll(cell, x, lengths=torch.tensor(lengths), reverse=reverse)
    for row, length in enumerate(lengths):
        assert not outputs[row, length:].any()
        if length:
            close(outputs[row, :length], unroll(cell, x[row : row + 1, :length], reverse=reverse)[0][0])
