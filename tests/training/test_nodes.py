import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from gnnkit.data import NodeData, load_dataset, stratified_split
from gnnkit.errors import DivergedError
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.runs import Interrupted, RunFolder, read_metrics
from gnnkit.training import TrainConfig, fit
from gnnkit.training.nodes import features_of, view_of


def random_data(num_nodes: int = 60, sparse: bool = True) -> NodeData:
    """A directed, weighted graph with three classes and isolated nodes."""
    generator = torch.Generator().manual_seed(3)
    edge_index = torch.randint(num_nodes - 3, (2, 150), generator=generator)
    x = torch.rand(num_nodes, 12, generator=generator) * (torch.rand(num_nodes, 12, generator=generator) < 0.3)
    y = torch.randint(3, (num_nodes,), generator=generator)
    weight = torch.rand(150, generator=generator)
    nobody = torch.zeros(num_nodes, dtype=torch.bool)
    data = NodeData(
        adjacency=Adjacency.from_edge_index(edge_index, weight, num_nodes=num_nodes),
        x=x.to_sparse_csr() if sparse else x,
        y=y,
        train_mask=nobody,
        val_mask=nobody,
        test_mask=nobody,
        name="random",
    )
    return data.with_split(stratified_split(y, ratios=(0.2, 0.3, 0.5), seed=1))


def in_float64(data: NodeData) -> NodeData:
    """Where two orders of the same sums differ by 1e-15, so that nothing else can hide."""
    return replace(data, x=data.x.double(), adjacency=data.adjacency.to(dtype=torch.float64))


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("kind", [GCN, GAT, GCNII])
@pytest.mark.parametrize("num_layers", [1, 2, 3, 5])
@pytest.mark.parametrize("sparse", [True, False])
def test_pruned_training_is_full_training(kind, num_layers, sparse):
    data = in_float64(random_data(sparse=sparse))
    config = TrainConfig(epochs=20)
    results, trained = [], []
    for prune in (True, False):
        model = kind(12, 8, num_layers, 3, dropout=0.0).double()
        assert (view_of(model, data, features_of(data), data.train_mask, prune=prune).rows is None) is prune
        results.append(fit(model, data, replace(config, prune=prune)))
        trained.append(weights(model))
    for name, losses in results[0].history.items():
        assert losses == pytest.approx(results[1].history[name], rel=1e-9)
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], rtol=1e-7, atol=1e-9)


@pytest.mark.data
@pytest.mark.parametrize("kind", [GCN, GAT, GCNII])
@pytest.mark.parametrize("name", ["cora", "citeseer", "pubmed"])
def test_pruned_gradients_on_real_graphs(name, kind, data_root):
    data = in_float64(load_dataset(name, data_root))
    torch.manual_seed(0)
    model = kind(data.num_features, 16, 2, data.num_classes, dropout=0.0).double()
    features = features_of(data)
    gradients = []
    for prune in (True, False):
        view = view_of(model, data, features, data.train_mask, prune=prune)
        model.zero_grad()
        cross_entropy(view.logits(model), view.labels).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for pruned, full in zip(*gradients, strict=True):
        torch.testing.assert_close(pruned, full, rtol=1e-9, atol=1e-12 * float(full.abs().max()))


def test_pruned_views_hold_fewer_nodes():
    data = random_data()
    view = view_of(GCN(12, 8, 2, 3), data, features_of(data), data.train_mask)
    assert view.rows is None
    assert view.x.shape[0] < data.num_nodes


def test_lowest_validation_loss_is_selected_and_the_model_keeps_its_weights():
    data = random_data()
    model = GCN(12, 8, 2, 3)
    result = fit(model, data, TrainConfig(epochs=60, lr=0.05))
    losses = result.history["val_loss"]
    assert result.test.epoch == losses.index(min(losses)) + 1
    assert result.val_loss == min(losses)
    accuracies = result.history["val_accuracy"]
    assert result.test_at_best_val_accuracy.epoch == accuracies.index(max(accuracies)) + 1
    assert result.test_at_last_epoch.epoch == 60
    assert not model.training
    with torch.no_grad():
        logits = model(data.x, data.adjacency)
    predicted = logits.argmax(1)[data.test_mask]
    assert result.test_accuracy == float((predicted == data.y[data.test_mask]).double().mean())
    val = data.val_mask
    assert float(cross_entropy(logits[val], data.y[val])) == pytest.approx(result.val_loss, rel=1e-5)
    assert sum(map(sum, result.test.confusion)) == int(data.test_mask.sum())


def test_test_labels_have_no_part_in_training():
    data = random_data()
    wrong = data.y.clone()
    wrong[data.test_mask] = (wrong[data.test_mask] + 1) % 3
    first, second = GCN(12, 8, 2, 3), GCN(12, 8, 2, 3)
    config = TrainConfig(epochs=30)
    results = fit(first, data, config), fit(second, replace(data, y=wrong), config)
    assert results[0].history == results[1].history
    for name, value in weights(first).items():
        assert torch.equal(value, second.state_dict()[name])


def test_without_validation_nodes_the_last_epoch_counts():
    data = load_dataset("karate")
    result = fit(GCN(34, 8, 2, 4), data, TrainConfig(epochs=7))
    assert result.test.epoch == 7
    assert math.isnan(result.val_loss)
    assert math.isnan(result.val_accuracy)
    assert result.test == result.test_at_last_epoch


def test_without_test_nodes_there_is_no_score():
    data = random_data()
    data = replace(data, test_mask=torch.zeros_like(data.test_mask))
    assert math.isnan(fit(GCN(12, 8, 2, 3), data, TrainConfig(epochs=2)).test_accuracy)


def test_patience_stops_after_evaluations_without_improvement():
    data = random_data()
    result = fit(GCN(12, 8, 2, 3), data, TrainConfig(epochs=500, lr=0.1, patience=5, eval_every=2))
    assert result.epochs == result.test.epoch + 10
    assert result.epochs < 500


def test_evaluations_happen_when_asked_and_at_the_end():
    result = fit(GCN(12, 8, 2, 3), random_data(), TrainConfig(epochs=7, eval_every=3))
    measured = [not math.isnan(loss) for loss in result.history["val_loss"]]
    assert measured == [False, False, True, False, False, True, True]


def test_same_seed_same_bits_other_seed_other_bits():
    data = random_data()
    first, second, third = (
        fit(GCN(12, 8, 2, 3), data, TrainConfig(epochs=5, seed=seed)).history["train_loss"] for seed in (0, 0, 1)
    )
    assert first == second
    assert first != third


def test_no_training_nodes_is_an_error():
    data = random_data()
    empty = replace(data, train_mask=torch.zeros_like(data.train_mask))
    with pytest.raises(ValueError, match="train_mask of random selects no node"):
        fit(GCN(12, 8, 2, 3), empty)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"eval_every": 0}, "eval_every must be 1 or more, got 0"),
        ({"patience": 0}, "patience must be 1 or more, got 0"),
        ({"lr": 0.0}, "lr must be a positive number, got 0.0"),
        ({"lr": math.nan}, "lr must be a positive number, got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more, got -1.0"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 2.5}, "epochs must be a whole number, got 2.5"),
        ({"epochs": None}, "epochs must be a whole number, got None"),
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"patience": "3"}, "patience must be a whole number, got '3'"),
        ({"eval_every": 2.0}, "eval_every must be a whole number, got 2.0"),
        ({"batch_size": 8.0}, "batch_size must be a whole number, got 8.0"),
    ],
)
def test_counts_are_whole_numbers(setting, message):
    with pytest.raises(TypeError, match=message):
        TrainConfig(**setting)


def test_what_is_no_model_or_no_data_is_named():
    data = random_data()
    with pytest.raises(TypeError, match=r"got Data; convert it with NodeData.from_data\(data\)"):
        fit(GCN(12, 8, 2, 3), data.to_data())
    with pytest.raises(TypeError, match="data must be a NodeData, got NoneType"):
        fit(GCN(12, 8, 2, 3), None)
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, .* got NoneType"):
        fit(None, data)


class Gives(torch.nn.Module):
    """A user's model on the full graph, with an output of some form."""

    def __init__(self, form):
        super().__init__()
        self.linear, self.form = torch.nn.Linear(12, 3), form

    def forward(self, x, graph):
        return self.form(self.linear(x))


@pytest.mark.parametrize("form", [lambda x: x[:, 0], lambda x: (x, x), lambda x: x[:1]], ids=["1-D", "tuple", "a row"])
def test_what_is_no_row_of_logits_per_node_is_named(form):
    with pytest.raises(TypeError, match=r"Gives must return \(nodes, outputs\), a row for each of 60 nodes, got "):
        fit(Gives(form), random_data(sparse=False), TrainConfig(epochs=2))


def test_more_classes_than_there_are_stay_unused_and_fewer_are_refused():
    data, config = random_data(), TrainConfig(epochs=2)
    result = fit(GCN(12, 8, 2, 50), data, config)
    assert len(result.test.confusion) == 50
    assert sum(map(sum, result.test.confusion)) == int(data.test_mask.sum())
    with pytest.raises(ValueError, match=r"GCN gives 2 logits per node, but the data have 3 classes; .*out_channels=3"):
        fit(GCN(12, 8, 2, 2), data, config)


class Normed(GCN):
    """A batch norm after every layer but the last, which mixes rows in training."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.norm = torch.nn.BatchNorm1d(8)

    def layer(self, layer, *given):
        out = super().layer(layer, *given)
        return out if layer == self.num_layers - 1 else self.norm(out)


class Centred(GCN):
    """Mixes rows where no module shows it."""

    def layer(self, *given):
        out = super().layer(*given)
        return out - out.mean(0)


class CentredWhileTraining(GCNII):
    def leave(self, hidden):
        return super().leave(hidden - hidden.mean(0) if self.training else hidden)


class Doubled(GAT):
    """Sound, and dropping numbers in training."""

    def leave(self, hidden):
        return 2 * hidden


@pytest.mark.parametrize(
    ("kind", "words", "times"),
    [
        (Normed, r"training on the full graph, as with prune=False: norm \(BatchNorm1d\).*training mode", 1),
        (CentredWhileTraining, "training on the full graph, as with prune=False: CentredWhileTraining gives other", 1),
        (Centred, "on the full graph, as with prune=False: Centred gives other rows", 3),
    ],
)
def test_a_subclass_that_mixes_rows_is_not_pruned(kind, words, times):
    data, config = in_float64(random_data()), TrainConfig(epochs=5)
    with pytest.warns(UserWarning, match=words) as given:
        found = fit(kind(12, 8, 2, 3, dropout=0.0).double(), data, config)
    assert len(given) == times
    full = fit(kind(12, 8, 2, 3, dropout=0.0).double(), data, replace(config, prune=False))
    for name, values in full.history.items():
        assert found.history[name] == pytest.approx(values, rel=1e-9)


def test_a_sound_subclass_is_pruned_and_trains_to_the_bits_of_one_that_is_not_compared(monkeypatch):
    data, config = random_data(), TrainConfig(epochs=5)
    model = Doubled(12, 8, 2, 3)
    assert view_of(model, data, features_of(data), data.train_mask).rows is None
    compared = fit(model, data, config)
    monkeypatch.setattr("gnnkit.training.view.check_blocks", lambda *_: None)
    assert fit(model, data, config).history == compared.history


def test_a_compiled_subclass_is_compared_as_it_was_written():
    class Negated(GCN):
        def leave(self, hidden):
            return -hidden

    data, in_place = random_data(), Negated(12, 8, 2, 3)
    in_place.compile(backend="eager")
    for model in (torch.compile(Negated(12, 8, 2, 3), backend="eager"), in_place):
        assert view_of(model, data, features_of(data), data.train_mask).rows is None


class Diverging(GCN):
    """Its loss is NaN from the third step on."""

    steps = 0

    def forward(self, *args, **kwargs):
        self.steps += self.training
        return super().forward(*args, **kwargs) * (math.nan if self.steps >= 3 else 1.0)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_checkpoint(tmp_path):
    with RunFolder.create(tmp_path / "run", kind="nodes") as folder:
        fit(GCN(12, 8, 2, 3), random_data(), TrainConfig(epochs=2), folder=folder)
        kept = folder.checkpoint_path.read_bytes()
        model = Diverging(12, 8, 2, 3)
        model.steps = 2
        with pytest.raises(DivergedError, match=r"became nan in epoch 3.*checkpoint of epoch 2"):
            fit(model, random_data(), TrainConfig(epochs=10), folder=folder)
        assert folder.checkpoint_path.read_bytes() == kept


class StopAt:
    """A progress sink that presses ctrl-C."""

    def __init__(self, epoch):
        self.epoch = epoch

    def update(self, completed, **fields):
        if completed == self.epoch:
            import signal

            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("stop_at", [1, 13, 24])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stop_at):
    data, config = random_data(), TrainConfig(epochs=25, eval_every=2)
    model = GCN(12, 8, 2, 3)
    with RunFolder.create(tmp_path / "whole", kind="nodes") as whole:
        expected = fit(model, data, config, folder=whole)
    resumed = GCN(12, 8, 2, 3)
    stopped = pytest.raises(Interrupted, match=f"stopped after epoch {stop_at}; continue with --resume")
    with RunFolder.create(tmp_path / "parts", kind="nodes") as parts, stopped:
        fit(resumed, data, config, folder=parts, progress=StopAt(stop_at))
    with RunFolder.resume(tmp_path / "parts") as parts:
        result = fit(GCN(12, 8, 2, 3), data, config, folder=parts)
        again = fit(resumed, data, config, folder=parts)  # a finished run gives its result once more
    for each in (result, again):
        assert str(each.history) == str(expected.history)  # NaN, where not evaluated, equals itself as text
        assert each.test == expected.test
    for name, value in weights(model).items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert (tmp_path / "parts/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()
    assert read_metrics(tmp_path / "whole/metrics.csv")["epoch"].tolist() == list(range(1, 26))
