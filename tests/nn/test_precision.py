"""Every layer in bfloat16, float16, float64 and under autocast, and on graphs of nothing.

Tolerances are shares of the largest output, against the same rounded weights and inputs in float64: 2^-6 for
bfloat16 (eight bits of mantissa, a few roundings) and 2^-9 for float16.
"""

import pytest
import torch
from torch import nn

from gnnkit.graph import Adjacency
from gnnkit.nn import GATConv, GCN2Conv, GCNConv, GraphGRU, GraphLSTM
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell, unroll
from tests.graphs import random_case

TOLERANCE = {torch.bfloat16: 2**-6, torch.float16: 2**-9}
N, F, H, T = 30, 8, 6, 5


def over_graph(layer, x, graph):
    return layer(x, graph)


def over_initial(layer, x, graph):
    return layer(x, x.flip(0), graph)


def over_steps(layer, x, graph):
    return layer(x, graph)[0]


def over_sequences(cell, x, graph):
    return unroll(cell, x)[0]


# How a layer is made, how it is called, and the shape of its input on n nodes.
LAYERS = {
    "GCN": (lambda: GCNConv(F, H), over_graph, lambda n: (n, F)),
    "GCN, row": (lambda: GCNConv(F, H, normalize="row"), over_graph, lambda n: (n, F)),
    "GCNII": (lambda: GCN2Conv(F, alpha=0.1, theta=0.5, layer=2), over_initial, lambda n: (n, F)),
    "GAT": (lambda: GATConv(F, H, heads=2), over_graph, lambda n: (n, F)),
    "GATv2": (lambda: GATConv(F, H, heads=2, version=2), over_graph, lambda n: (n, F)),
    **{
        f"{kind.__name__}, {operator}": (
            lambda kind=kind, operator=operator: kind(F, H, operator=operator, K=2),
            over_steps,
            lambda n: (T, n, F),
        )
        for kind in (GraphLSTM, GraphGRU)
        for operator in ("gcn", "diffusion", "chebyshev")
    },
    **{
        kind.__name__: (lambda kind=kind: kind(F, H), over_sequences, lambda n: (n, T, F))
        for kind in (RNNCell, LSTMCell, GRUCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell)
    },
}


def made(name: str, nodes: int = N):
    build, call, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = build()
    graph = random_case(nodes, 4 * nodes).adjacency(torch.float32)
    return layer, call, torch.randn(shape(nodes)), graph


def off(actual, expected):
    """The largest difference as a share of the largest output."""
    return float((actual.double() - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_is_float64_rounded(name, dtype):
    layer, call, x, graph = made(name)
    layer, x, graph = layer.to(dtype), x.to(dtype).requires_grad_(), graph.to(dtype=dtype)
    out = call(layer, x, graph)
    assert out.dtype == dtype
    out.float().square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in layer.parameters())
    expected = call(layer.double(), x.detach().double(), graph.to(dtype=torch.float64))
    assert off(out.detach(), expected.detach()) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", LAYERS)
def test_float64_is_finer_than_float32(name):
    layer, call, x, graph = made(name)
    single = call(layer, x, graph)
    double = call(layer.double(), x.double(), graph.to(dtype=torch.float64))
    assert double.dtype == torch.float64
    assert off(single.detach(), double.detach()) < 1e-5


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_autocast_stays_close_to_float32(name, dtype):
    layer, call, x, graph = made(name)
    expected = call(layer, x, graph).detach().double()
    with torch.autocast("cpu", dtype=dtype):
        out = call(layer, x, graph)
    assert off(out.detach(), expected) < 2 * TOLERANCE[dtype]
    out.float().sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("nodes", [0, 3])
def test_graphs_of_nothing(name, nodes):
    build, call, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = build()
    graph = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=nodes)
    x = torch.randn(shape(nodes), requires_grad=True)
    out = call(layer, x, graph)
    assert out.shape[:-1] == x.shape[:-1]
    assert out.isfinite().all()
    out.sum().backward()
    assert x.grad.isfinite().all()


WEIGHTS = {
    torch.float32: (1e-45, 1e-40, 1e-38, 1e-20, 3e38),
    torch.float64: (5e-324, 1e-310, 1e-300, 1e300, 1.7e308),
    torch.bfloat16: (1e-40, 1e-38, 3e38),
    torch.float16: (6e-8, 1e-5, 6e4),
}


@pytest.mark.parametrize("kind", ["sym", "row", "column"])
@pytest.mark.parametrize(("dtype", "weight"), [(d, w) for d, every in WEIGHTS.items() for w in every], ids=str)
def test_weights_of_any_size_normalise(dtype, weight, kind):
    """Subnormal weights have inverses beyond their dtype, the largest have sums beyond it."""
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    graph = Adjacency.from_edge_index(edges, torch.full((4,), weight, dtype=dtype), num_nodes=4)
    found = graph.normalized(kind).to_dense()
    assert found.isfinite().all()
    if dtype != torch.float64 or 1e-300 <= weight < 1e308:
        ones = Adjacency.from_edge_index(edges, torch.ones(4, dtype=torch.float64), num_nodes=4)
        torch.testing.assert_close(found.double(), ones.normalized(kind).to_dense(), rtol=8e-3, atol=0)


def test_learned_subnormal_weights_have_finite_gradients():
    weight = torch.full((2,), 1e-40, requires_grad=True)
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), weight, num_nodes=2)
    graph.normalized("row").to_edge_index()[1].square().sum().backward()
    assert not weight.grad.isnan().any()


def test_every_layer_of_the_public_packages_is_here():
    import gnnkit.nn

    made_here = {type(build()) for build, _, _ in LAYERS.values()}
    public = {getattr(gnnkit.nn, name) for name in gnnkit.nn.__all__}
    layers = {each for each in public if isinstance(each, type) and issubclass(each, nn.Module)}
    # Thin wrappers of these, or tested with their own trees and molecules.
    tested_elsewhere = {
        "NeighborLSTM",
        "NeighborGraphLSTM",
        "GatedGraph",
        "GatedReadout",
        "NodeSelection",
        "GatedGraphConv",
    }
    assert {each.__name__ for each in layers - made_here} <= tested_elsewhere
