"""The GAT model: PyG's, blocks, groups of parameters."""

import pytest
import torch

import gnnkit.nn.gat as gat_module
from gnnkit.graph import Adjacency
from gnnkit.graph.entering import EnteringEdges
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.models import GAT


def random_graph() -> Adjacency:
    edges = torch.randint(0, 40, (2, 90), generator=torch.Generator().manual_seed(0))
    return Adjacency.from_edge_index(edges, num_nodes=40)


@pytest.mark.parametrize("version", [1, 2])
def test_equals_pyg_with_its_weights(version: int) -> None:
    from torch_geometric.nn.models import GAT as PyGGAT

    torch.manual_seed(0)
    # PyG's hidden_channels count all heads together; its last layer takes the mean of as many heads.
    theirs = PyGGAT(6, 8, 3, 5, dropout=0.6, act="elu", v2=version == 2, heads=2).eval()
    ours = GAT(6, 4, 3, 5, heads=2, out_heads=2, version=version).eval()
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    graph, x = random_graph(), torch.randn(40, 6)
    torch.testing.assert_close(ours(x, graph), theirs(x, graph.to_edge_index()[0]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_blocks_equal_rows_of_the_full_graph(sparse: bool, num_layers: int, version: int) -> None:
    torch.manual_seed(0)
    graph = random_graph()
    model = GAT(6, 3, num_layers, 5, dropout=0.0, heads=2, out_heads=3, version=version, residual=True).double()
    x = torch.randn(40, 6, dtype=torch.float64) * (torch.rand(40, 6) > 0.5)
    targets = torch.tensor([5, 39, 0, 17])
    field = receptive_field(graph, targets, num_layers)
    rows = x[field.nodes]
    pruned = model(rows.to_sparse() if sparse else rows, field.blocks)
    full = model(x, graph)[targets]
    torch.testing.assert_close(pruned, full)
    got, wanted = (torch.autograd.grad(out.square().sum(), list(model.parameters())) for out in (pruned, full))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_blocks_equal_the_full_graph_under_the_same_attention_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph()
    model = GAT(6, 3, 2, 5, dropout=0.0, heads=2).double()
    for conv in model.convs:
        conv.dropout = 0.5  # attention only: a test of its own injects masks for the features
    targets = torch.tensor([5, 39, 0, 17])
    field = receptive_field(graph, targets, 2)
    by_edge = torch.rand(2, graph.num_edges) > 0.5
    by_node = torch.rand(2, graph.num_nodes) > 0.5

    def same_for_every_edge(edges: EnteringEdges, heads: int, p: float) -> torch.Tensor:
        node = edges.row.long()
        if edges.num_targets != graph.num_nodes:
            node = field.nodes[node]
        return torch.where(edges.edge_ids >= 0, by_edge[:heads, edges.edge_ids], by_node[:heads, node])

    monkeypatch.setattr(gat_module, "dropped_edges", same_for_every_edge)
    x = torch.randn(40, 6, dtype=torch.float64)
    pruned, full = model(x[field.nodes], field.blocks), model(x, graph)[targets]
    torch.testing.assert_close(pruned, full)
    got, wanted = (torch.autograd.grad(out.square().sum(), list(model.parameters())) for out in (pruned, full))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_layers_end_with_the_output() -> None:
    model = GAT(6, 4, 3, 5, heads=2).eval()
    outputs = model.layers(torch.randn(40, 6), random_graph())
    assert [tuple(out.shape) for out in outputs] == [(40, 8), (40, 8), (40, 5)]


def test_every_parameter_is_in_one_group_and_biases_do_not_decay() -> None:
    model = GAT(6, 4, 2, 5, heads=2, residual=True, edge_dim=2)
    decaying, free = model.parameter_groups(5e-4)
    assert decaying["weight_decay"] == 5e-4
    assert free["weight_decay"] == 0.0
    grouped = [*decaying["params"], *free["params"]]
    assert {id(each) for each in grouped} == {id(each) for each in model.parameters()}
    assert len(grouped) == len(list(model.parameters()))
    assert [tuple(each.shape) for each in free["params"]] == [(8,), (5,)]


def test_edge_features_reach_every_layer() -> None:
    graph = random_graph()
    model = GAT(6, 4, 2, 5, heads=2, edge_dim=3).eval()
    attr = torch.randn(graph.num_edges, 3, requires_grad=True)
    model(torch.randn(40, 6), graph, attr).sum().backward()
    assert all(conv.att_edge.grad.abs().sum() > 0 for conv in model.convs)
    assert attr.grad.abs().sum() > 0


def test_reset_draws_anew() -> None:
    model = GAT(6, 4, 2, 5)
    before = [each.clone() for each in model.parameters() if each.dim() > 1]
    model.reset_parameters()
    assert not any(
        torch.equal(one, other)
        for one, other in zip(before, [each for each in model.parameters() if each.dim() > 1], strict=True)
    )


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_layers must be 1 or more, got 0"):
        GAT(6, 4, 0, 5)
    with pytest.raises(ValueError, match="2 layers takes one Block per layer, got 1"):
        GAT(6, 4, 2, 5)(torch.randn(40, 6), receptive_field(random_graph(), torch.tensor([0]), 1).blocks)
