"""GatedGraph: against PyG's GatedGraphConv, and the equations with dense matrices; its read-outs; laws."""

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GatedGraphConv

from gnnkit.graph import Adjacency
from gnnkit.nn import GatedGraph, GatedReadout, NodeSelection

EDGES = torch.tensor([[0, 1, 1, 2, 4, 4, 0, 3, 0], [1, 0, 2, 2, 1, 3, 1, 4, 1]])
TYPES = torch.tensor([0, 1, 2, 0, 1, 1, 2, 0, 0])  # 0 -> 1 twice of type 0, once of type 2


def layer_of(num_types: int = 3, **options: bool) -> GatedGraph:
    torch.manual_seed(1)
    return GatedGraph(4, 3, num_types=num_types, **options).double()


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def dense(layer: GatedGraph, x: Tensor, matrices: list[Tensor]) -> Tensor:
    """The equations, edge types as dense matrices [source, target], the GRU gate by gate."""
    hidden = torch.cat([x, x.new_zeros(len(x), layer.hidden_size - x.size(1))], dim=1)
    if layer.directions == 2:
        matrices = matrices + [matrix.t() for matrix in matrices]
    w, u = layer.rnn.weight_ih.chunk(3), layer.rnn.weight_hh.chunk(3)
    b, d = layer.rnn.bias_ih.chunk(3), layer.rnn.bias_hh.chunk(3)
    for _ in range(layer.num_steps):
        sums = []
        for first in range(0, len(matrices), layer.num_types):
            total = torch.zeros_like(hidden)
            for r in range(first, first + layer.num_types):
                message = hidden @ layer.weight[r]
                if layer.bias is not None:
                    message = message + layer.bias[r]
                total = total + matrices[r].t() @ message
            sums.append(total)
        a = torch.cat(sums, dim=1)
        reset = torch.sigmoid(a @ w[0].t() + b[0] + hidden @ u[0].t() + d[0])
        keep = torch.sigmoid(a @ w[1].t() + b[1] + hidden @ u[1].t() + d[1])
        new = torch.tanh(a @ w[2].t() + b[2] + reset * (hidden @ u[2].t() + d[2]))
        hidden = (1 - keep) * new + keep * hidden
    return hidden


def matrices_of(edges: Tensor, types: Tensor, num_nodes: int, num_types: int) -> list[Tensor]:
    found = torch.zeros(num_types, num_nodes, num_nodes, dtype=torch.float64)
    found.index_put_((types, edges[0], edges[1]), torch.ones(len(types), dtype=torch.float64), accumulate=True)
    return list(found)


@pytest.mark.parametrize("edges", [EDGES, EDGES[:, :0]])
def test_one_type_is_pygs_layer(edges):
    layer = layer_of(1, bias=False)
    peer = GatedGraphConv(4, 3).double()
    with torch.no_grad():
        peer.weight.copy_(layer.weight.expand(3, -1, -1))  # the same at every step
    peer.rnn.load_state_dict(layer.rnn.state_dict())
    x = inputs(5, 2)
    close(layer(x, edges), peer(x, edges))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_types_match_dense_matrices(bias, both):
    layer = layer_of(both_directions=both, bias=bias)
    x = inputs(5, 3)
    close(layer(x, EDGES, TYPES), dense(layer, x, matrices_of(EDGES, TYPES, 5, 3)))


def test_a_graph_per_type_and_weights():
    weights = torch.rand(len(TYPES), dtype=torch.float64)
    graphs = [
        Adjacency.from_edge_index(EDGES[:, chosen], weights[chosen], num_nodes=5)
        for chosen in (r == TYPES for r in range(3))
    ]
    layer, x = layer_of(both_directions=True), inputs(5, 4)
    close(layer(x, graphs), dense(layer, x, [graph.to_dense() for graph in graphs]))
    one = layer_of(1)
    close(one(x, graphs[0]), dense(one, x, [graphs[0].to_dense()]))


def test_leading_dimensions_permutations_and_components():
    layer, x = layer_of(both_directions=True), inputs(2, 5, 3)
    out = layer(x, EDGES, TYPES)
    close(out[1], layer(x[1], EDGES, TYPES))
    order = torch.tensor([3, 0, 4, 2, 1])
    close(layer(x[:, order], torch.argsort(order)[EDGES], TYPES), out[:, order])
    joined = layer(x.flatten(0, 1), torch.cat([EDGES, EDGES + 5], dim=1), TYPES.repeat(2))
    close(joined, out.flatten(0, 1))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_gradients(bias, both):
    layer = layer_of(both_directions=both, bias=bias)
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, EDGES, TYPES))

    assert torch.autograd.gradcheck(run, (inputs(5, 3).requires_grad_(), *layer.parameters()))


def test_no_nodes():
    assert layer_of()(inputs(0, 3), EDGES[:, :0], TYPES[:0]).shape == (0, 4)


def test_read_outs_are_those_of_each_graph():
    torch.manual_seed(0)
    select, readout = NodeSelection(4, 2).double(), GatedReadout(4, 2, 3).double()
    hidden, x, batch = inputs(7, 4) * 30, inputs(7, 2), torch.tensor([0, 0, 1, 1, 1, 1, 2])
    logs = select(hidden, x, batch)
    vectors = readout(hidden, x, batch)
    for graph in range(3):
        mine = batch == graph
        close(logs[mine], select(hidden[mine], x[mine]))
        close(vectors[graph], readout(hidden[mine], x[mine])[0])
        both = torch.cat([hidden[mine], x[mine]], dim=1)
        expected = (readout.gate(both).sigmoid() * readout.content(both).tanh()).sum(0).tanh()
        close(vectors[graph], expected)
    close(logs.exp().sum(), torch.tensor(3.0, dtype=torch.float64))
    assert readout(hidden[:0], x[:0], batch[:0]).shape == (0, 3)
    assert select(hidden[:0], x[:0], batch[:0]).shape == (0,)


def test_read_out_gradients():
    torch.manual_seed(0)
    hidden, x, batch = inputs(4, 4).requires_grad_(), inputs(4, 2), torch.tensor([0, 0, 1, 1])
    for module in (NodeSelection(4, 2).double(), GatedReadout(4, 2, 3).double()):
        assert torch.autograd.gradcheck(lambda h, m=module: m(h, x, batch), (hidden,))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((inputs(5, 5), EDGES, TYPES), ValueError, r"got \(5, 5\)"),
        ((torch.rand(5, 3), EDGES, TYPES), TypeError, "float32"),
        ((inputs(5, 3), EDGES, TYPES + 1), ValueError, "edge_type holds 3, but num_types=3"),
        ((inputs(5, 3), EDGES, TYPES[:2]), ValueError, r"shape \(9,\), got \(2,\)"),
        ((inputs(3, 3), EDGES, TYPES), ValueError, "4"),
        ((inputs(5, 3), [Adjacency.from_edge_index(EDGES, num_nodes=5)]), ValueError, "3 of them, got 1"),
        ((inputs(5, 3), [Adjacency.from_edge_index(EDGES, num_nodes=6)] * 3), ValueError, "has 6 nodes"),
        ((inputs(5, 3), [Adjacency.from_edge_index(EDGES, num_nodes=5)] * 3, TYPES), ValueError, "edge_type goes"),
        ((inputs(5, 3), [Adjacency.from_edge_index(EDGES, num_nodes=5)] * 3), TypeError, "torch.float32"),
    ],
)
def test_arguments_that_do_not_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        layer_of()(*arguments)


@pytest.mark.parametrize(
    ("batch", "message"),
    [(torch.zeros(3, dtype=torch.long), r"shape \(4,\), int64, got \(3,\)"), (torch.tensor([0, -1, 0, 0]), "got -1")],
)
def test_batches_that_do_not_fit(batch, message):
    for module in (NodeSelection(4, 2).double(), GatedReadout(4, 2, 3).double()):
        with pytest.raises(ValueError, match=message):
            module(inputs(4, 4), inputs(4, 2), batch)


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="num_steps must be 1 or more, got 0"):
        GatedGraph(4, 0)


def test_it_is_an_ordinary_module():
    layer = layer_of(both_directions=True)
    twin = layer_of(both_directions=True)
    assert isinstance(layer, nn.Module)
    twin.load_state_dict(layer.state_dict())
    assert layer.weight.shape == (6, 4, 4)
