"""The rows of a pruned model are those of the full one, gradients included; what cannot be pruned is refused."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.nn import models

import gnnkit
from gnnkit.data import load_dataset
from gnnkit.graph import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.pruned import prune
from tests.pyg_models import GRAPHS, MODELS, TARGETS, F, N, build, features, random_graph


def full(model, x, graph):
    """The plain call that pruning must equal, with fresh caches."""
    model = copy.deepcopy(model)
    edge_index, weight = graph.to_edge_index()
    return model, model(x, edge_index, edge_weight=weight) if graph.is_weighted else model(x, edge_index)


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_same_gradients(first, second):
    assert first.keys() == second.keys()
    # Of all: one that is 0 in exact arithmetic, as the bias before a softmax, is rounding alone.
    scale = max(float(value.abs().max()) for value in second.values() if value is not None)
    for name, value in first.items():
        if value is None or second[name] is None:  # jumping knowledge leaves some unused either way
            assert value is second[name]
        else:
            torch.testing.assert_close(value, second[name], rtol=1e-9, atol=1e-9 * scale, msg=name)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_rows_losses_and_gradients_are_the_full_ones(name, num_layers, graph):
    model, x, labels = build(name, num_layers), features(), torch.tensor([0, 1, 2, 0, 1])
    if graph.is_weighted and not getattr(model, "supports_edge_weight", True):
        with pytest.raises(ValueError, match=f"the graph has edge_weight, and {type(model).__name__} takes none"):
            prune(model, graph, TARGETS)
        graph = GRAPHS["directed"]
    pruned = prune(model, graph, TARGETS)
    given = x.clone().requires_grad_()
    rows = pruned(given)
    loss = cross_entropy(rows, labels)
    loss.backward()
    reference_input = x.clone().requires_grad_()
    reference, out = full(model, reference_input, graph)
    reference.zero_grad()
    expected = cross_entropy(out[TARGETS], labels)
    expected.backward()
    torch.testing.assert_close(rows, out[TARGETS], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(given.grad, reference_input.grad, rtol=1e-9, atol=1e-10)
    assert_same_gradients(gradients(model), gradients(reference))
    torch.testing.assert_close(pruned(pruned.select(x)), rows)


def mixed_layers():
    graph, torch_seed = random_graph(), torch.manual_seed(0)  # noqa: F841
    edges = torch.rand(graph.num_edges, 2, dtype=torch.float64)
    mlp = partial(nn.Linear, F, F)
    return (
        graph,
        edges,
        {
            "GraphConv": pyg.GraphConv(F, F),
            "GINEConv": pyg.GINEConv(mlp(), edge_dim=2),
            "GATConv": pyg.GATConv(F, F, edge_dim=2),
            "GATv2Conv": pyg.GATv2Conv(F, F, edge_dim=2, residual=True),
            "TransformerConv": pyg.TransformerConv(F, F, edge_dim=2, beta=True),
            "ResGatedGraphConv": pyg.ResGatedGraphConv(F, F, edge_dim=2),
            "EdgeConv": pyg.EdgeConv(nn.Linear(2 * F, F)),
            "GCNConv": pyg.GCNConv(F, F),
            "SAGEConv": pyg.SAGEConv(F, F, aggr="median"),
        },
    )


class Twice(nn.Module):
    """Two copies of a layer; edge features go to those that take them."""

    def __init__(self, layer, takes_edges):
        super().__init__()
        self.takes_edges, self.first, self.second = takes_edges, layer, copy.deepcopy(layer)

    def forward(self, x, edge_index, edge_attr=None):
        more = {"edge_attr": edge_attr} if self.takes_edges else {}
        return self.second(self.first(x, edge_index, **more).tanh(), edge_index, **more)


@pytest.mark.parametrize("name", mixed_layers()[2])
def test_every_layer_that_qualifies_with_edge_features(name):
    graph, edge_attr, layers = mixed_layers()
    takes_edges = getattr(layers[name], "edge_dim", None) is not None or getattr(layers[name], "lin", None) is not None
    takes_edges = takes_edges and name not in ("GCNConv", "SAGEConv")
    model, x = Twice(layers[name], takes_edges).double(), features()
    rows = prune(model, graph, TARGETS, edge_attr=edge_attr)(x)
    torch.testing.assert_close(rows, model(x, graph.to_edge_index()[0], edge_attr)[TARGETS], rtol=1e-10, atol=1e-12)


def test_a_graph_conv_gets_the_weights_of_its_edges():
    graph, x = random_graph(weighted=True), features()
    layer = pyg.GraphConv(F, 2).double()
    edge_index, weight = graph.to_edge_index()
    torch.testing.assert_close(prune(layer, graph, TARGETS)(x), layer(x, edge_index, weight)[TARGETS])


def test_repeated_edges_of_a_data_stay_apart():
    x, torch_seed = features(), torch.manual_seed(0)  # noqa: F841
    edge_index = torch.tensor([[0, 0, 1, 2, 2], [1, 1, 2, 2, 3]])
    data = Data(x=x, edge_index=edge_index, edge_weight=torch.rand(5, dtype=torch.float64), num_nodes=N)
    for model in (build("GCN", 2), build("GCNII", 2)):
        expected = full_on(model, data)[[2, 3]]
        torch.testing.assert_close(prune(model, data, [2, 3])(x), expected)
    del data.edge_weight
    attr = torch.rand(5, 2, dtype=torch.float64)
    layer = pyg.GINEConv(nn.Linear(F, 2), edge_dim=2).double()
    torch.testing.assert_close(prune(layer, data, [2, 3], edge_attr=attr)(x), layer(x, edge_index, attr)[[2, 3]])


def full_on(model, data):
    return copy.deepcopy(model)(data.x, data.edge_index, edge_weight=data.edge_weight)


def test_learned_weights_get_their_gradients_at_every_step():
    x = features()
    weight = nn.Parameter(torch.rand(5, dtype=torch.float64) + 0.1)
    data = Data(x=x, edge_index=torch.tensor([[0, 4, 1, 2, 2], [1, 1, 2, 2, 3]]), num_nodes=N, edge_weight=weight)
    model = build("GCN", 2)
    pruned = prune(model, data, [2, 3])
    for _ in range(2):
        found = torch.autograd.grad(pruned(x).square().sum(), weight)[0]
        expected = torch.autograd.grad(full_on(model, data)[[2, 3]].square().sum(), weight)[0]
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_fewer_nodes_go_in_and_the_rows_are_in_the_order_asked_for():
    chain = Adjacency.from_edge_index(torch.stack([torch.arange(9), torch.arange(1, 10)]), num_nodes=10)
    pruned = prune(models.GCN(4, 8, 2, 3), chain, [7, 4])
    assert pruned.nodes.tolist() == [2, 3, 4, 5, 6, 7]
    assert pruned.targets.tolist() == [7, 4]
    assert repr(pruned) == "Pruned(GCN: 2 rows from 6 of 10 nodes, 4 of 9 edges)"
    mask = torch.zeros(10, dtype=torch.bool)
    mask[4] = True
    assert prune(models.GCN(4, 8, 2, 3), chain, mask).nodes.tolist() == [2, 3, 4]


@pytest.mark.parametrize("name", ["GCN", "GraphSAGE", "GAT", "GIN", "GCNII"])
def test_no_nodes_give_no_rows(name):
    assert prune(build(name, 2), GRAPHS["directed"], torch.empty(0, dtype=torch.long))(features()).shape == (0, 3)


def test_features_may_be_sparse_when_selected():
    x = features() * (features() > 0.5)
    pruned = prune(build("GCN", 1), GRAPHS["directed"], TARGETS)
    expected = pruned(x)
    for sparse in (x.to_sparse_csr(), x.to_sparse(), SparseMatrix.from_tensor(x.to_sparse_csr())):
        torch.testing.assert_close(pruned(pruned.select(sparse)), expected)
    with pytest.raises(ValueError, match=r"a row for each of 60 nodes, got \(3, 6\)"):
        pruned(x[:3])


def test_the_model_is_the_same_object_and_follows_to_another_dtype():
    model = build("GCN", 2)
    pruned = prune(model, random_graph(weighted=True), TARGETS)
    assert pruned.model is model
    assert {id(each) for each in pruned.parameters()} == {id(each) for each in model.parameters()}
    assert not any("edge" in name or "nodes" in name for name in pruned.state_dict())
    before = pruned(features())
    pruned.float()
    torch.testing.assert_close(pruned(features().float()), before.float(), rtol=1e-4, atol=1e-5)


def test_caches_are_neither_used_nor_filled():
    graph, x = GRAPHS["undirected"], features()
    model = models.GCN(F, 8, 2, 3, cached=True).double()
    pruned = prune(model, graph, TARGETS)
    rows = pruned(x)
    assert all(conv._cached_edge_index is None for conv in model.convs)
    other = GRAPHS["directed"].to_edge_index()[0]
    model(x, other)  # fills the caches with another graph
    filled = [conv._cached_edge_index for conv in model.convs]
    torch.testing.assert_close(pruned(x), rows)
    assert all(conv._cached_edge_index is before for conv, before in zip(model.convs, filled, strict=True))


class FailsInTheMiddle(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = pyg.GCNConv(F, 4), pyg.GCNConv(4, 2)

    def forward(self, x, edge_index):
        self.second(self.first(x, edge_index), edge_index)
        raise RuntimeError("after both layers")


def test_layers_are_restored_after_an_error():
    model = FailsInTheMiddle().double()
    hooks = [len(layer._forward_pre_hooks) for layer in (model.first, model.second)]
    with pytest.raises(RuntimeError, match="after both layers"):
        prune(model, GRAPHS["directed"], TARGETS)(features())
    assert model.first.normalize
    assert model.second.normalize
    assert [len(layer._forward_pre_hooks) for layer in (model.first, model.second)] == hooks


# ---- the same dropout masks, and training ------------------------------------------------------------


class NodeDropout(nn.Module):
    """Dropout with the mask of each node given, so that the full and the pruned run drop the same numbers."""

    def __init__(self, num_features, seed):
        super().__init__()
        self.mask = (torch.rand(N, num_features, generator=torch.Generator().manual_seed(seed)) < 0.5).double() * 2
        self.rows = torch.arange(N)

    def forward(self, x):
        return x * self.mask[self.rows]


@pytest.mark.parametrize("name", ["GCN", "GraphSAGE", "GAT", "GIN", "GCNII"])
def test_gradients_under_the_same_dropout_masks(name):
    graph, x = GRAPHS["undirected"], features()
    model = build(name, 2)
    mask = NodeDropout(F if name == "GCNII" else 8, seed=5)
    model.dropout = nn.Identity() if name == "GCNII" else mask
    if name == "GCNII":
        model.first = nn.Sequential(mask, model.first)
    reference, out = full(model, x, graph)
    reference.zero_grad()
    out[TARGETS].square().sum().backward()
    pruned = prune(model, graph, TARGETS)
    mask.rows = pruned.nodes
    pruned(x).square().sum().backward()
    assert_same_gradients(gradients(model), gradients(reference))


def test_prune_is_at_hand():
    assert gnnkit.prune is prune
    assert "prune" in dir(gnnkit)


@pytest.mark.data
@pytest.mark.parametrize("name", ["GCN", "GraphSAGE", "GAT", "GIN", "GCNII"])
def test_on_cora(name, data_root):
    data = load_dataset("cora", data_root)
    torch.manual_seed(0)
    model = MODELS[name](data.num_features, 16, 2, data.num_classes)
    nodes = torch.nonzero(data.train_mask).view(-1)
    pruned = prune(model, data.adjacency, nodes)
    assert pruned.nodes.numel() < data.num_nodes
    x, y = data.x.to_dense(), data.y[nodes]
    losses, grads = [], []
    selected = pruned.select(data.x)
    for rows in (lambda: pruned(selected), lambda: model(x, data.adjacency.to_edge_index()[0])[nodes]):
        model.zero_grad()
        loss = cross_entropy(rows(), y)
        loss.backward()
        losses.append(loss.detach())
        grads.append([each.grad.clone() for each in model.parameters()])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-6)
    for pruned_gradient, full_gradient in zip(*grads, strict=True):
        scale = float(full_gradient.abs().max())
        torch.testing.assert_close(pruned_gradient, full_gradient, rtol=1e-6, atol=1e-6 * scale)
