"""``fit`` trains models of PyG's layers: pruned where that is exact, on the full graph where it is not."""

import warnings

import pytest
import torch
from torch_geometric.nn import models

from gnnkit.data import NodeData, stratified_split
from gnnkit.training import TrainConfig, fit
from gnnkit.training.nodes import view_of
from tests.pyg_models import Centres, DropsEdges, F, N, build, features, random_graph


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
    with pytest.warns(UserWarning, match=r"training on the full graph, as with prune=False: conv .* other edges"):
        fit(DropsEdges(), data, TrainConfig(epochs=2))
    with pytest.raises(ValueError, match="edge_weight, and Centres"):
        fit(Centres(), node_data(weighted=True), TrainConfig(epochs=2))


class CentresWhileTraining(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gnn = models.GCN(F, 8, 2, 3, dropout=0.5)

    def forward(self, x, edge_index):
        out = self.gnn(x, edge_index)
        return out - out.mean(0) if self.training else out


def test_what_mixes_rows_in_training_alone_trains_on_the_full_graph():
    data = node_data()
    with pytest.warns(
        UserWarning, match="training on the full graph, .*: CentresWhileTraining gives other rows"
    ) as given:
        fit(CentresWhileTraining(), data, TrainConfig(epochs=2))
    assert len(given) == 1


def test_weights_that_a_model_ignores_are_an_error():
    for prune in (True, False):
        with pytest.raises(ValueError, match="the graph has edge_weight, and GraphSAGE takes none"):
            fit(models.GraphSAGE(F, 8, 2, 3), node_data(weighted=True), TrainConfig(epochs=2, prune=prune))


def test_fewer_logits_than_classes_are_an_error():
    with pytest.raises(ValueError, match="GCN gives 2 logits per node, but the data have 3 classes"):
        fit(models.GCN(F, 8, 2, 2), node_data(), TrainConfig(epochs=2))
