"""The rows of a pruned model are those of the full one, gradients included; what cannot be pruned is refused."""

import copy
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.nn import models

import gnnkit
from gnnkit.data import NodeData, load_dataset, stratified_split
from gnnkit.graph import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models import GCN
from gnnkit.nn import GCNConv
from gnnkit.nn.pruned import prune
from gnnkit.training import TrainConfig, fit
from gnnkit.training.nodes import view_of

N, F = 60, 6
MODELS = {
    "GCN": models.GCN,
    "GCN improved": partial(models.GCN, improved=True),
    "GCN without self-loops": partial(models.GCN, add_self_loops=False),
    "GCN not normalised": partial(models.GCN, normalize=False),
    "GraphSAGE": models.GraphSAGE,
    "GraphSAGE max": partial(models.GraphSAGE, aggr=["max", "std", "softmax"], project=True, normalize=True),
    "GAT": partial(models.GAT, heads=2),
    "GATv2": partial(models.GAT, heads=2, v2=True, add_self_loops=False),
    "GIN": partial(models.GIN, train_eps=True),
    "jumping knowledge": partial(models.GCN, jk="lstm"),
    "normalised by row": partial(models.GCN, norm="layer_norm", norm_kwargs={"mode": "node"}),
}


class GCNII(nn.Module):
    def __init__(self, in_channels, hidden, num_layers, out_channels, dropout=0.0):
        super().__init__()
        self.first, self.last = nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)
        self.dropout = nn.Dropout(dropout)
        self.convs = nn.ModuleList(
            pyg.GCN2Conv(hidden, alpha=0.1, theta=0.5, layer=layer + 1, shared_weights=layer % 2 == 0, cached=True)
            for layer in range(num_layers)
        )

    def forward(self, x, edge_index, edge_weight=None):
        x = start = self.first(self.dropout(x)).relu()
        for conv in self.convs:
            x = conv(self.dropout(x), start, edge_index, edge_weight=edge_weight).relu()
        return self.last(x)


MODELS["GCNII"] = GCNII


def random_graph(directed=True, weighted=False, seed=0):
    """Self-loops, and nodes without edges at the end."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(N - 4, (2, 110), generator=generator)
    edge_index = torch.cat([edge_index, torch.tensor([[3, 7], [3, 7]])], dim=1)
    weight = torch.rand(edge_index.size(1), generator=generator, dtype=torch.float64) + 0.1
    if not directed:
        edge_index, weight = torch.cat([edge_index, edge_index.flip(0)], dim=1), weight.repeat(2)
    return Adjacency.from_edge_index(edge_index, weight if weighted else None, num_nodes=N, coalesce="max")


GRAPHS = {
    "directed": random_graph(),
    "undirected": random_graph(directed=False),
    "weighted": random_graph(weighted=True),
    "no edges": Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=N),
}
TARGETS = torch.tensor([11, 3, N - 1, 20, 7])  # in no order; two with self-loops, one isolated


def build(name, num_layers, dtype=torch.float64, **options):
    torch.manual_seed(0)
    model = MODELS[name](F, 8, num_layers, 3, **options).to(dtype)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)  # no bias of zero, which would hide a misplaced one
    return model


def features(dtype=torch.float64):
    return torch.randn(N, F, dtype=dtype, generator=torch.Generator().manual_seed(1))


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


# ---- what is refused ---------------------------------------------------------------------------------


class Holds(nn.Module):
    """One sound layer, and a module of which only the presence matters."""

    def __init__(self, **parts):
        super().__init__()
        self.conv = pyg.GCNConv(F, F)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


class VirtualNode(nn.Module):
    pass


class OwnConv(pyg.GCNConv):
    pass


REFUSED = {
    "cheb": (lambda: pyg.ChebConv(F, F, 3), r"part \(ChebConv\).*known to be exact"),
    "appnp": (lambda: pyg.APPNP(3, 0.1), r"part \(APPNP\)"),
    "a subclass": (lambda: OwnConv(F, F), r"part \(OwnConv\)"),
    "flow": (lambda: pyg.GCNConv(F, F, flow="target_to_source"), r"part \(GCNConv\).*flow is 'target_to_source'"),
    "lstm": (lambda: pyg.SAGEConv(F, F, aggr="lstm"), r"part\.aggr_module \(LSTMAggregation\).*largest degree"),
    "torch's batch norm": (lambda: nn.BatchNorm1d(F), r"part \(BatchNorm1d\).*training mode"),
    "batch norm": (lambda: pyg.BatchNorm(F), r"part\.module \(BatchNorm1d\).*training mode"),
    "batch norm in an MLP": (lambda: pyg.GINConv(pyg.MLP([F, F, F])), r"part\.nn\.norms\.0"),
    "batch norm without averages": (
        lambda: nn.BatchNorm1d(F, track_running_stats=False).eval(),
        r"part \(BatchNorm1d\).*without running averages",
    ),
    "graph norm": (lambda: pyg.GraphNorm(F), r"part \(GraphNorm\)"),
    "pair norm": (lambda: pyg.PairNorm(), r"part \(PairNorm\)"),
    "instance norm": (lambda: pyg.InstanceNorm(F), r"part \(InstanceNorm\)"),
    "instance norm, scoring": (lambda: pyg.InstanceNorm(F).eval(), r"part \(InstanceNorm\).*without running"),
    "layer norm over the graph": (lambda: pyg.LayerNorm(F, mode="graph"), r"part \(LayerNorm\)"),
    "mean subtraction": (lambda: pyg.MeanSubtractionNorm(), r"part \(MeanSubtractionNorm\)"),
    "global pooling": (lambda: pyg.MeanAggregation(), r"part \(MeanAggregation\).*global pooling"),
    "set2set": (lambda: pyg.Set2Set(F, 2), r"part \(Set2Set\).*global pooling"),
    "top-k pooling": (lambda: pyg.TopKPooling(F), r"part \(TopKPooling\).*pooling"),
    "virtual node": (VirtualNode, r"part \(VirtualNode\).*virtual node"),
    "attention over all nodes": (lambda: pyg.GPSConv(F, pyg.GCNConv(F, F)), r"part \(GPSConv\).*not known"),
    "our own layer": (lambda: GCNConv(F, F), r"part \(GCNConv\).*take Blocks"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_mixes_rows_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        prune(Holds(part=make()), GRAPHS["directed"], TARGETS)


def test_a_model_without_layers_and_a_model_that_takes_blocks_are_refused():
    with pytest.raises(ValueError, match="Linear holds no message-passing layer"):
        prune(nn.Linear(F, 2), GRAPHS["directed"], TARGETS)
    with pytest.raises(ValueError, match=r"pass it the rows of field\.nodes and field\.blocks"):
        prune(GCN(F, 4, 2, 3), GRAPHS["directed"], TARGETS)


def test_a_batch_norm_is_pruned_in_evaluation_mode_only():
    model, x, graph = models.GCN(F, 8, 2, 3, norm="batch_norm").double(), features(), GRAPHS["directed"]
    model(x, graph.to_edge_index()[0])  # averages that are not the initial ones
    pruned = prune(model.eval(), graph, TARGETS)
    torch.testing.assert_close(pruned(x), full(model, x, graph)[1][TARGETS])
    model.train()
    with pytest.raises(ValueError, match=r"norms\.0\.module \(BatchNorm1d\).*training mode"):
        pruned(x)


class Loops(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = pyg.GCNConv(F, F)

    def forward(self, x, edge_index):
        for _ in range(3):
            x = self.conv(x, edge_index)
        return x


class Rewires(Holds):
    def forward(self, x, edge_index):
        return self.conv(x, edge_index.flip(0))


class WeighsItself(Holds):
    def forward(self, x, edge_index):
        return self.conv(x, edge_index, torch.ones(edge_index.size(1), dtype=x.dtype))


class KeepsRows(Holds):
    def __init__(self):
        super().__init__(table=nn.Embedding(N, F))

    def forward(self, x, edge_index):
        return self.conv(self.table.weight, edge_index)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Loops(), r"conv \(GCNConv\) runs twice"),
        (Rewires(), r"conv \(GCNConv\) is given other edges"),
        (WeighsItself(), r"conv \(GCNConv\) is given weights computed within the model"),
        (KeepsRows(), r"conv \(GCNConv\) is given 60 rows"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, nn.Module) else "",
)
def test_what_shows_only_in_the_call_is_refused_there(model, words):
    pruned = prune(model.double(), GRAPHS["directed"], TARGETS)
    with pytest.raises(ValueError, match=words):
        pruned(features())
    assert model.conv.normalize


class Centres(Holds):
    """Mixes all rows outside any module."""

    def forward(self, x, edge_index):
        x = self.conv(x, edge_index)[:, :3]
        return x - x.mean(dim=0)


class Pools(Holds):
    def forward(self, x, edge_index):
        return pyg.global_mean_pool(self.conv(x, edge_index), None)


def test_check_finds_what_no_module_shows():
    x, graph = features(), GRAPHS["directed"]
    sound = build("GAT", 2, dropout=0.5)
    sound.convs[0].train(False)
    modes = [module.training for module in sound.modules()]
    state = torch.get_rng_state()
    prune(sound, graph, TARGETS).check(x)
    assert [module.training for module in sound.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="Centres gives other rows"):
        prune(Centres().double(), graph, TARGETS).check(x)
    with pytest.raises(TypeError, match=r"must return a row for each of the \d+ nodes it is given, got \(1, 6\)"):
        prune(Pools().double(), graph, TARGETS)(x)


def test_bad_arguments():
    model, graph = models.GraphSAGE(F, 8, 2, 3), GRAPHS["directed"]
    with pytest.raises(TypeError, match="an Adjacency or a PyG Data with edge_index, got Tensor"):
        prune(model, graph.to_edge_index()[0], TARGETS)
    with pytest.raises(ValueError, match=r"edge_attr must have a row for each of \d+ edges, got \(3, 2\)"):
        prune(model, graph, TARGETS, edge_attr=torch.rand(3, 2))
    with pytest.raises(ValueError, match="edge_weight, and Holds"):
        prune(Holds(), random_graph(weighted=True), TARGETS)
    with pytest.raises(ValueError, match="edge_attr, and Holds"):
        prune(Holds(), graph, TARGETS, edge_attr=torch.rand(graph.num_edges, 2))
    with pytest.raises(ValueError, match="60"):
        prune(model, graph, [60])
    with pytest.raises(ValueError, match="compiled model"):
        prune(torch.compile(model, backend="eager"), graph, TARGETS)


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


def node_data(weighted=False, dtype=torch.float32):
    graph = random_graph(directed=False, weighted=weighted).to(dtype=dtype)
    y = torch.randint(3, (N,), generator=torch.Generator().manual_seed(2))
    nobody = torch.zeros(N, dtype=torch.bool)
    x = (features(dtype) * (features(dtype) > 0)).to_sparse_csr()
    data = NodeData(adjacency=graph, x=x, y=y, train_mask=nobody, val_mask=nobody, test_mask=nobody, name="random")
    return data.with_split(stratified_split(y, ratios=(0.1, 0.2, 0.7), seed=1))


def trained(model, data, prune):
    result = fit(model, data, TrainConfig(epochs=20, prune=prune))
    return result, {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ["GCN", "GraphSAGE", "GAT", "GIN", "GCNII"])
def test_twenty_epochs_give_the_same_weights(name):
    data = node_data(weighted=name == "GCN", dtype=torch.float64)
    model = build(name, 2)
    if name == "GCNII":
        model.reset_parameters = lambda: [each.reset_parameters() for each in (model.first, model.last, *model.convs)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the pruned run is truly pruned
        first, second = trained(model, data, True), trained(model, data, False)
    for column, values in first[0].history.items():
        assert values == pytest.approx(second[0].history[column], rel=1e-8, abs=1e-10)
    assert first[0].test.confusion == second[0].test.confusion
    for key, value in first[1].items():
        torch.testing.assert_close(value, second[1][key], rtol=1e-6, atol=1e-8)


def test_views_hold_only_the_field_and_norms_over_nodes_train_on_the_full_graph():
    data = node_data()
    nodes = torch.zeros(N, dtype=torch.bool)
    nodes[3] = True
    view = view_of(models.GIN(F, 8, 1, 3), data, data.x.to_dense(), nodes)
    assert view.rows is None
    assert view.x.size(0) < N
    model = models.GCN(F, 8, 2, 3, norm="batch_norm")
    with pytest.warns(UserWarning, match=r"training on the full graph, as with prune=False: norms\.0\.module") as given:
        result = fit(model, data, TrainConfig(epochs=3))
    assert len(given) == 1  # in evaluation mode it is pruned
    again = fit(model, data, TrainConfig(epochs=3, prune=False))
    assert result.history["train_loss"] == again.history["train_loss"]
    assert result.history["val_loss"] == pytest.approx(again.history["val_loss"], rel=1e-5)


def test_fit_falls_back_where_only_a_check_can_tell():
    data = node_data()
    with pytest.warns(UserWarning, match="full graph, as with prune=False: Centres gives other rows") as given:
        fit(Centres(), data, TrainConfig(epochs=2))
    assert len(given) == 3
    with pytest.raises(ValueError, match="edge_weight, and Centres"):
        fit(Centres(), node_data(weighted=True), TrainConfig(epochs=2))


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
