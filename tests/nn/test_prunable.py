"""What is not exact on a receptive field is refused by name, at once or in the call that shows it."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import CheckpointError, checkpoint
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.nn import models

from gnnkit.models import GCN
from gnnkit.nn import GCNConv
from gnnkit.nn.pruned import prune
from tests.pyg_models import GRAPHS, TARGETS, Centres, DropsEdges, F, Holds, N, build, features, random_graph


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
    torch.testing.assert_close(pruned(x), model(x, graph.to_edge_index()[0])[TARGETS])
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


def test_edges_dropped_in_training_are_found_before_it_begins():
    x, graph = features(), GRAPHS["directed"]
    model = DropsEdges().double()
    with pytest.raises(ValueError, match=r"conv \(GCNConv\) is given other edges"):
        prune(model, graph, TARGETS).check(x)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_recomputed_convolution_never_gives_wrong_gradients(reentrant):
    class Recomputes(Holds):
        def forward(self, x, edge_index):
            return checkpoint(self.conv, x, edge_index, use_reentrant=reentrant)

    x = features().requires_grad_()
    with pytest.raises((ValueError, CheckpointError), match=r"conv \(GCNConv\) runs without|different metadata"):
        prune(Recomputes().double(), GRAPHS["directed"], TARGETS)(x).sum().backward()


class Counts(Holds):
    """Has a buffer that every call changes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, edge_index):
        self.calls += 1
        return self.conv(x, edge_index)


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
    counts = Counts().double()
    prune(counts, graph, TARGETS).check(x)
    assert counts.calls == 0
    with pytest.raises(ValueError, match="Centres gives other rows"):
        prune(Centres().double(), graph, TARGETS).check(x)
    with pytest.raises(TypeError, match=r"must return a row for each of the \d+ nodes it is given, got \(1, 6\)"):
        prune(Pools().double(), graph, TARGETS)(x)


def test_bad_arguments():
    model, graph = models.GraphSAGE(F, 8, 2, 3), GRAPHS["directed"]
    with pytest.raises(TypeError, match="an Adjacency or a PyG Data with edge_index, got Tensor"):
        prune(model, graph.to_edge_index()[0], TARGETS)
    with pytest.raises(ValueError, match="set num_nodes"):
        prune(model, Data(edge_index=torch.tensor([[0], [1]])), TARGETS)
    with pytest.raises(ValueError, match=r"edge_attr must have a row for each of \d+ edges, got \(3, 2\)"):
        prune(model, graph, TARGETS, edge_attr=torch.rand(3, 2))
    with pytest.raises(ValueError, match="edge_weight, and Holds"):
        prune(Holds(), random_graph(weighted=True), TARGETS)
    with pytest.raises(ValueError, match="edge_attr, and Holds"):
        prune(Holds(), graph, TARGETS, edge_attr=torch.rand(graph.num_edges, 2))
    for ignores in (models.GraphSAGE, models.GAT, models.GIN):
        with pytest.raises(ValueError, match=f"edge_weight, and {ignores.__name__} takes none; pass the graph without"):
            prune(ignores(F, 8, 2, 3), random_graph(weighted=True), TARGETS)
    edge_attr = torch.rand(graph.num_edges, 2)
    for ignores in (models.GCN, models.GraphSAGE):
        with pytest.raises(ValueError, match=f"edge_attr, and {ignores.__name__} takes none; pass the graph without"):
            prune(ignores(F, 8, 2, 3), graph, TARGETS, edge_attr=edge_attr)
    prune(models.GAT(F, 8, 2, 3, edge_dim=2), graph, TARGETS, edge_attr=edge_attr)
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, .* got NoneType"):
        prune(None, graph, TARGETS)
    with pytest.raises(TypeError, match="got type: make one of the class first"):
        prune(GCN, graph, TARGETS)
    with pytest.raises(ValueError, match="60"):
        prune(model, graph, [60])
    with pytest.raises(ValueError, match="compiled model"):
        prune(torch.compile(model, backend="eager"), graph, TARGETS)
