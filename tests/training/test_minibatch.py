"""Training on sampled batches: full-batch training at full fan-out, exact scores, resumed bit for bit."""

import math

import pytest
import torch

from gnnkit.data import NodeData, load_dataset
from gnnkit.data.splits import stratified_split
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN
from gnnkit.models.gcnii import GCNII
from gnnkit.runs import Interrupted, RunFolder
from gnnkit.training import TrainConfig, fit
from gnnkit.training.minibatch import MiniBatches, layerwise_of


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(80, (2, 500), generator=generator)
    weight = torch.rand(500, generator=generator) + 0.5
    y, nobody = torch.arange(80) % 3, torch.zeros(80, dtype=torch.bool)
    graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=80, coalesce="max")
    x = torch.rand(80, 6, generator=generator)
    return NodeData(graph, x, y, nobody, nobody, nobody).with_split(stratified_split(y, seed=1))


MODELS = {
    "gcn": lambda: GCN(6, 8, 2, 3, 0.0),
    "gcn, one layer": lambda: GCN(6, 8, 1, 3, 0.0),
    "gat": lambda: GAT(6, 4, 3, 3, 0.0, heads=2),
    "gcnii": lambda: GCNII(6, 8, 3, 3, 0.0),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_layer_by_layer_gives_the_full_graphs_rows(data, make):
    torch.manual_seed(0)
    model = make().eval()
    layerwise = layerwise_of(data)
    layerwise.edges_at_once = 37  # many small parts
    nodes = torch.tensor([70, 3, 3, 41])
    outputs = model.layers(data.x, data.adjacency)
    torch.testing.assert_close(layerwise.logits(model, nodes), outputs[-1][nodes])
    torch.testing.assert_close(layerwise.logits(model, torch.arange(80)), outputs[-1])
    assert layerwise.logits(model, nodes[:0]).shape == (0, 3)
    hidden = outputs[model.num_layers - 1] if isinstance(model, GCNII) else outputs[max(model.num_layers - 2, 0)]
    torch.testing.assert_close(layerwise.embedding(model, nodes), hidden[nodes])


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_one_batch_of_all_neighbours_is_full_batch_training(data, make):
    """Losses, weights and choice of epoch to rounding, with no dropout to draw for."""
    settings = {"epochs": 8, "lr": 0.02, "weight_decay": 1e-3}
    model, twin = make().double(), make().double()
    double = NodeData(data.adjacency.to(dtype=torch.float64), data.x.double(), data.y, *split_of(data))
    full = fit(model, double, TrainConfig(**settings))
    fanout = (-1,) * model.num_layers
    batches = fit(twin, double, TrainConfig(**settings, batch_size=1000, fanout=fanout))
    for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert batches.history[name] == pytest.approx(full.history[name], rel=1e-6)
    assert batches.test == full.test
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def split_of(data):
    return data.train_mask, data.val_mask, data.test_mask


def test_the_number_of_workers_changes_no_bit(data):
    config = {"epochs": 2, "batch_size": 16, "fanout": (3, 2)}
    alone = fit(GCN(6, 8, 2, 3), data, TrainConfig(**config))
    together = fit(GCN(6, 8, 2, 3), data, TrainConfig(**config, workers=2))
    assert alone.history == together.history


def test_a_resumed_run_is_the_undisturbed_one(data, tmp_path, monkeypatch):
    config = TrainConfig(epochs=6, batch_size=16, fanout=(3, 2))
    undisturbed = fit(GCN(6, 8, 2, 3), data, config)

    train_epoch = MiniBatches.train_epoch

    def stopped(self, model, optimizer, epoch, **settings):
        if epoch == 4:
            raise Interrupted("asked to")
        return train_epoch(self, model, optimizer, epoch, **settings)

    with RunFolder.create(tmp_path / "run", kind="nodes") as folder:
        folder_saves = type("Due", (), {"due": lambda self: True, "restart": lambda self: None})
        monkeypatch.setattr("gnnkit.training.session.CheckpointTimer", folder_saves)
        monkeypatch.setattr(MiniBatches, "train_epoch", stopped)
        with pytest.raises(Interrupted):
            fit(GCN(6, 8, 2, 3), data, config, folder=folder)
        monkeypatch.setattr(MiniBatches, "train_epoch", train_epoch)
        model = GCN(6, 8, 2, 3)
        resumed = fit(model, data, config, folder=folder)
    assert resumed.history == undisturbed.history
    assert resumed.test == undisturbed.test


def test_a_long_epoch_stops_where_it_is_asked_to(data, monkeypatch):
    monkeypatch.setattr("gnnkit.training.minibatch.LONG_EPOCH", -1.0)
    batches = MiniBatches(GCN(6, 8, 2, 3), data, batch_size=10)
    stop = type("Stop", (), {"requested": True})()
    model = GCN(6, 8, 2, 3)
    told = []
    with pytest.raises(Interrupted, match="stopped within epoch 1"):
        batches.train_epoch(
            model, torch.optim.SGD(model.parameters()), 1, stop=stop, tell=lambda *place: told.append(place)
        )
    assert told == [(1, 5)]


def test_it_learns_sparse_features_without_validation_nodes():
    karate = load_dataset("karate")
    result = fit(GCN(34, 16, 2, 4), karate, TrainConfig(epochs=60, batch_size=2))
    assert result.test_accuracy > 0.7
    assert math.isnan(result.val_loss)


class Negated(GCN):
    """Another output than its layers'."""

    def forward(self, *given):
        return -super().forward(*given)


class LayersNegated(GCN):
    def layers(self, *given):
        return [-each for each in super().layers(*given)]


class NegatedInTwoPlaces(Negated):
    def layer(self, *given):
        return -super().layer(*given)


class Deeper(GCN):
    """Its own layers, called as a GCN calls its."""

    def layer(self, *given):
        return super().layer(*given).tanh()

    def leave(self, hidden):
        return 3 * hidden


def test_what_runs_when_a_model_is_called_but_not_layer_by_layer_is_refused(data):
    config = TrainConfig(epochs=4, batch_size=1000, fanout=(-1, -1))
    for kind, words in (
        (Negated, "Negated overrides forward, .* by the enter of GCN, which does not know of it; override enter"),
        (LayersNegated, "LayersNegated overrides layers, .* train without batch_size"),
        (NegatedInTwoPlaces, "overrides forward"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(kind(6, 8, 2, 3, 0.0), data, config)
    whole = fit(Deeper(6, 8, 2, 3, 0.0), data, TrainConfig(epochs=4))
    batches = fit(Deeper(6, 8, 2, 3, 0.0), data, config)
    assert batches.history["val_loss"] == pytest.approx(whole.history["val_loss"], rel=1e-4)
    compiled = torch.compile(GCN(6, 8, 2, 3), backend="eager")
    assert MiniBatches(compiled, data, batch_size=10).loader is not None


def test_more_classes_than_there_are_stay_unused_and_fewer_are_refused(data):
    config = TrainConfig(epochs=1, batch_size=16)
    assert len(fit(GCN(6, 8, 2, 5), data, config).test.confusion) == 5
    with pytest.raises(ValueError, match="GCN gives 2 logits per node, but the data have 3 classes"):
        fit(GCN(6, 8, 2, 2), data, config)


def test_mistakes_are_named(data):
    with pytest.raises(ValueError, match=r"one number per layer, 2, got \[3\]"):
        fit(GCN(6, 8, 2, 3), data, TrainConfig(batch_size=4, fanout=(3,)))
    with pytest.raises(ValueError, match="takes blocks"):
        fit(torch.nn.Linear(6, 3), data, TrainConfig(batch_size=4))
    with pytest.raises(ValueError, match="give a batch_size"):
        TrainConfig(fanout=(3, 2))
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        TrainConfig(batch_size=0)
    with pytest.raises(ValueError, match="fan-outs must be"):
        TrainConfig(batch_size=2, fanout=(-2, 1))
