"""GCN2Conv against PyG, against the equation, and against the laws of graphs."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.nn import GCN2Conv

GRAPHS = {
    "no edges": [[], []],
    "a self-loop already": [[0, 0, 1], [0, 1, 0]],
    "isolated last node": [[0, 1], [1, 0]],
    "directed": [[0, 0, 1], [1, 2, 2]],
}


def random_graph(num_nodes: int = 20, num_edges: int = 70) -> Tensor:
    return torch.randint(0, num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(0))


OPTIONS = list(
    itertools.product([0.0, 0.3, 1.0], [(None, None), (0.5, 3)], [True, False], [True, False], [True, False])
)


@pytest.mark.parametrize(("alpha", "beta", "shared", "loops", "normalize"), OPTIONS)
def test_equals_pyg_with_its_weights(
    alpha: float, beta: tuple[float | None, int | None], shared: bool, loops: bool, normalize: bool
) -> None:
    from torch_geometric.nn import GCN2Conv as PyGGCN2Conv

    torch.manual_seed(0)
    theirs = PyGGCN2Conv(5, alpha, *beta, shared, add_self_loops=loops, normalize=normalize).double()
    ours = GCN2Conv(5, alpha, *beta, shared, add_self_loops=loops, normalize=normalize).double()
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    edge_index = random_graph().unique(dim=1)
    weight = torch.rand(edge_index.size(1), dtype=torch.float64)
    x, x_0 = torch.randn(2, 20, 5, dtype=torch.float64)
    out = ours(x, x_0, edge_index, weight)
    torch.testing.assert_close(out, theirs(x, x_0, edge_index, weight), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS)
def test_equals_the_equation(edges: list[list[int]], shared: bool) -> None:
    torch.manual_seed(0)
    layer = GCN2Conv(3, 0.2, 0.5, 4, shared).double()
    graph = Adjacency.from_edge_index(torch.tensor(edges, dtype=torch.long), num_nodes=4)
    x, x_0 = torch.randn(2, 4, 3, dtype=torch.float64)
    matrix = graph.to_dense().double()
    matrix += torch.diag((matrix.diagonal() == 0).double())
    scale = matrix.sum(0).rsqrt()
    operator = (scale[:, None] * matrix * scale).T
    beta, eye = math.log(0.5 / 4 + 1), torch.eye(3, dtype=torch.float64)
    neighbours, initial = 0.8 * operator @ x, 0.2 * x_0
    first = (1 - beta) * eye + beta * layer.weight1
    second = first if shared else (1 - beta) * eye + beta * layer.weight2
    expected = neighbours @ first + initial @ second
    torch.testing.assert_close(layer(x, x_0, graph.to(dtype=torch.float64)), expected, rtol=1e-10, atol=1e-12)


def test_gradcheck() -> None:
    graph = Adjacency.from_edge_index(random_graph(5, 9), num_nodes=5).to(dtype=torch.float64)
    layer = GCN2Conv(3, 0.2, 0.5, 2, shared_weights=False).double()
    x, x_0 = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    names = [name for name, _ in layer.named_parameters()]

    def call(x: Tensor, x_0: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, x_0, graph))

    assert torch.autograd.gradcheck(call, (x, x_0, *layer.parameters()))


def test_permutation_batch_and_block() -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=20).to(dtype=torch.float64)
    layer = GCN2Conv(3, 0.2, 0.5, 2).double()
    x, x_0 = torch.randn(2, 2, 20, 3, dtype=torch.float64)
    out = layer(x, x_0, graph)
    torch.testing.assert_close(out[1], layer(x[1], x_0[1], graph))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(layer(x[0][order], x_0[0][order], graph.subgraph(order)), out[0][order])
    targets = torch.tensor([3, 19, 0])
    (block,) = receptive_field(graph, targets, 1).blocks
    rows = block.source_ids
    torch.testing.assert_close(layer(x[0][rows], x_0[0][rows], block), out[0][targets])


def test_errors_name_the_value() -> None:
    x = torch.randn(20, 3)
    with pytest.raises(ValueError, match=r"alpha must lie in 0..1, got 1\.2"):
        GCN2Conv(3, 1.2)
    with pytest.raises(ValueError, match=r"got 0\.5 and None"):
        GCN2Conv(3, 0.1, theta=0.5)
    with pytest.raises(ValueError, match="counts from 1, got 0"):
        GCN2Conv(3, 0.1, 0.5, 0)
    with pytest.raises(ValueError, match="each of the 20 nodes that come out, got 19"):
        GCN2Conv(3, 0.1)(x, x[:19], random_graph())
    with pytest.raises(TypeError, match="dense"):
        GCN2Conv(3, 0.1)(x.to_sparse(), x, random_graph())
