"""The GCNII model: its equations, blocks, groups of parameters."""

import pytest
import torch

from gnnkit.diagnostics import smoothness
from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.models import GCN, GCNII


def random_graph(dtype: torch.dtype = torch.float32) -> Adjacency:
    edges = torch.randint(0, 40, (2, 90), generator=torch.Generator().manual_seed(0))
    return Adjacency.from_edge_index(edges, num_nodes=40).to(dtype=dtype)


@pytest.mark.parametrize("shared", [True, False])
def test_equals_pygs_layers_put_together(shared: bool) -> None:
    from torch_geometric.nn import GCN2Conv

    torch.manual_seed(0)
    model = GCNII(6, 8, 4, 3, alpha=0.2, theta=0.7, shared_weights=shared).eval()
    graph, x = random_graph(), torch.randn(40, 6)
    edge_index, weight = graph.to_edge_index()
    first = hidden = model.lin_in(x).relu()
    for layer, conv in enumerate(model.convs, start=1):
        theirs = GCN2Conv(8, 0.2, 0.7, layer, shared)
        theirs.load_state_dict(conv.state_dict())
        hidden = theirs(hidden, first, edge_index, weight).relu()
    torch.testing.assert_close(model(x, graph), model.lin_out(hidden), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2, 5])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_blocks_equal_rows_of_the_full_graph(sparse: bool, num_layers: int) -> None:
    torch.manual_seed(0)
    graph = random_graph(torch.float64)
    model = GCNII(6, 8, num_layers, 3, dropout=0.0).double()
    x = torch.randn(40, 6, dtype=torch.float64) * (torch.rand(40, 6) > 0.5)
    targets = torch.tensor([5, 39, 0])
    field = receptive_field(graph, targets, num_layers)
    rows = x[field.nodes]
    pruned = model(rows.to_sparse() if sparse else rows, field.blocks)
    full = model(x, graph)[targets]
    torch.testing.assert_close(pruned, full)
    got, wanted = (torch.autograd.grad(out.square().sum(), list(model.parameters())) for out in (pruned, full))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_deep_stacks_stay_rough_where_gcn_goes_flat() -> None:
    torch.manual_seed(0)
    # Connected: otherwise every component keeps a level of its own.
    ring = torch.stack([torch.arange(40), torch.arange(1, 41) % 40])
    edges = torch.cat([random_graph().to_edge_index()[0], ring], dim=1)
    graph = Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], dim=1), num_nodes=40, coalesce="max")
    x = torch.randn(40, 6)
    deep = smoothness(GCNII(6, 16, 32, 3), x, graph).relative
    flat = smoothness(GCN(6, 16, 32, 3), x, graph).relative
    assert len(deep) == 1 + 1 + 32 + 1
    assert len(flat) == 1 + 32
    assert flat[-2] < 1e-4  # before the last layer: alike up to their degrees
    assert deep[-2] > 1e-3  # before the last linear layer


def test_groups_decay_as_the_paper_says() -> None:
    model = GCNII(6, 8, 3, 4)
    convs, linear = model.parameter_groups(5e-4)
    assert (convs["weight_decay"], linear["weight_decay"]) == (pytest.approx(0.01), 5e-4)
    assert [tuple(each.shape) for each in convs["params"]] == [(8, 8)] * 3
    assert len(convs["params"]) + len(linear["params"]) == len(list(model.parameters()))
    assert all(group["weight_decay"] == 0 for group in model.parameter_groups(0.0))


def test_dropout_and_batches() -> None:
    model, graph, x = GCNII(6, 8, 3, 4), random_graph(), torch.randn(2, 40, 6)
    assert not torch.equal(model(x, graph), model(x, graph))
    model.eval()
    torch.testing.assert_close(model(x, graph)[1], model(x[1], graph))


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_layers must be 1 or more, got 0"):
        GCNII(6, 4, 0, 5)
    with pytest.raises(ValueError, match="conv_decay must be 0 or more, got -1"):
        GCNII(6, 4, 1, 5, conv_decay=-1)
    with pytest.raises(ValueError, match=r"got \(40, 5\)"):
        GCNII(6, 4, 1, 5)(torch.randn(40, 5), random_graph())
