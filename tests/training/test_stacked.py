"""Runs trained together equal runs one by one: exactly where nothing is drawn, in distribution elsewhere."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from gnnkit.data import NodeData, load_dataset
from gnnkit.errors import DivergedError
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.runs import welch_t_test
from gnnkit.training import TrainConfig, fit
from gnnkit.training.stacked import fit_stacked


def blocks(seed=0, size=60):
    """Two communities whose features say little: something to learn, and to get wrong."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(size) % 2
    near = y.unsqueeze(0) == y.unsqueeze(1)
    edges = torch.rand(size, size, generator=generator) < torch.where(near, 0.15, 0.03)
    edges = (edges | edges.t()).fill_diagonal_(False)
    x = torch.randn(size, 6, generator=generator, dtype=torch.float64) + 0.3 * y.unsqueeze(1)
    part = torch.randperm(size, generator=generator)
    masks = [
        torch.zeros(size, dtype=torch.bool).index_fill_(0, part[a:b], True) for a, b in ((0, 8), (8, 30), (30, 60))
    ]
    graph = Adjacency.from_edge_index(
        edges.nonzero().t(), torch.ones(int(edges.sum()), dtype=torch.float64), num_nodes=size
    )
    return NodeData(graph, x, y, *masks, name="blocks")


MODELS = {
    "gcn": lambda p: GCN(6, 5, 2, 2, dropout=p),
    "gcn, lambda learned": lambda p: GCN(6, 5, 2, 2, dropout=p, learn_self_loop=True),
    "gat": lambda p: GAT(6, 4, 2, 2, dropout=p, heads=2),
    "gat v2": lambda p: GAT(6, 4, 2, 2, dropout=p, heads=2, version=2),
    "gcnii": lambda p: GCNII(6, 5, 4, 2, dropout=p),
}


@pytest.mark.parametrize("name", [name for name in MODELS if "learned" not in name])
@pytest.mark.parametrize("settings", [{}, {"prune": False}, {"patience": 2, "eval_every": 2, "epochs": 30}], ids=str)
def test_without_dropout_each_equals_its_own_run(name, settings):
    data, seeds = blocks(), [3, 4, 9]
    config = TrainConfig(**{"epochs": 12, "lr": 0.05} | settings)
    together = fit_stacked(MODELS[name](0.0).double(), data, config, seeds)
    assert [run.result.seed for run in together] == seeds
    for run in together:
        model = MODELS[name](0.0).double()
        alone = fit(model, data, replace(config, seed=run.result.seed))
        assert run.result.epochs == alone.epochs
        for column, values in alone.history.items():
            assert run.result.history[column] == pytest.approx(values, abs=1e-9, nan_ok=True), column
        assert run.result.test == alone.test
        assert run.result.test_at_best_val_accuracy == alone.test_at_best_val_accuracy
        assert run.result.test_at_last_epoch == alone.test_at_last_epoch
        for key, value in model.state_dict().items():
            torch.testing.assert_close(run.weights[key], value, rtol=1e-8, atol=1e-10)


def test_a_learned_lambda_too():
    data = blocks()
    (run,) = fit_stacked(MODELS["gcn, lambda learned"](0.0).double(), data, TrainConfig(epochs=5), [2])
    alone = fit(MODELS["gcn, lambda learned"](0.0).double(), data, TrainConfig(epochs=5, seed=2))
    assert run.result.history["train_loss"] == pytest.approx(alone.history["train_loss"], abs=1e-9)


def test_without_validation_nodes_the_last_epoch_is_taken():
    data = load_dataset("karate")
    (run,) = fit_stacked(GCN(data.num_features, 4, 2, data.num_classes), data, TrainConfig(epochs=7), [0])
    assert run.result.test.epoch == run.result.epochs == 7
    assert math.isnan(run.result.val_loss)


def test_every_run_draws_its_own_masks_and_accuracies_agree_with_single_runs():
    data, seeds, config = blocks(size=100), range(24), TrainConfig(epochs=25, lr=0.05)
    model = MODELS["gcn"](0.5).double()
    together = fit_stacked(model, data, config, [0] * 3)
    losses = [tuple(run.result.history["train_loss"]) for run in together]
    assert len(set(losses)) == 3  # one seed, so equal weights: only the masks set them apart
    stacked = [run.result.val_loss for run in fit_stacked(model, data, config, seeds)]
    single = [fit(MODELS["gcn"](0.5).double(), data, replace(config, seed=seed)).val_loss for seed in seeds]
    found = welch_t_test(stacked, single)
    assert found.p_value > 1e-4, found


def test_what_cannot_be_stacked_is_refused_by_name():
    data = blocks()

    class WithNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(6)

    with pytest.raises(ValueError, match=r"norm\.running_mean"):
        fit_stacked(WithNorm(), data, TrainConfig(), [0])
    with pytest.raises(ValueError, match="seeds is empty"):
        fit_stacked(MODELS["gcn"](0.0), data, TrainConfig(), [])
    none = replace(data, train_mask=torch.zeros_like(data.train_mask))
    with pytest.raises(ValueError, match="selects no node"):
        fit_stacked(MODELS["gcn"](0.0).double(), none, TrainConfig(), [0])


def test_more_classes_than_there_are_stay_unused_and_fewer_are_refused():
    data, config = blocks(), TrainConfig(epochs=2)
    (run,) = fit_stacked(GCN(6, 5, 2, 4, dropout=0.0).double(), data, config, [0])
    assert run.result.test == fit(GCN(6, 5, 2, 4, dropout=0.0).double(), data, config).test
    assert len(run.result.test.confusion) == 4
    with pytest.raises(ValueError, match="GCN gives 1 logits per node, but the data have 2 classes"):
        fit_stacked(GCN(6, 5, 2, 1).double(), data, config, [0])
    with pytest.raises(TypeError, match=r"got Data; convert it with NodeData.from_data"):
        fit_stacked(GCN(6, 5, 2, 2).double(), data.to_data(), config, [0])


def test_what_mixes_rows_in_training_alone_is_not_pruned():
    class Centred(GCN):
        def layer(self, *given):
            out = super().layer(*given)
            return out - out.mean(0) if self.training else out

    data, config = blocks(), TrainConfig(epochs=3)
    model = Centred(6, 5, 2, 2, dropout=0.0).double().eval()
    with pytest.warns(UserWarning, match="Centred gives other rows"):
        (run,) = fit_stacked(model, data, config, [0])
    full = fit(model, data, replace(config, prune=False))
    assert run.result.history["train_loss"] == pytest.approx(full.history["train_loss"], abs=1e-9)


def test_a_diverging_run_is_named_by_its_seed():
    with pytest.raises(DivergedError, match="seed 7 became"):
        fit_stacked(MODELS["gcn"](0.0).double(), blocks(), TrainConfig(epochs=5, lr=1e300), [7])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_recorded_step_equals_one_run_as_it_is():
    data, config = load_dataset("karate"), TrainConfig(epochs=20, device="cuda")
    model = GCN(data.num_features, 4, 2, data.num_classes, dropout=0.0)
    recorded, plain = (fit_stacked(model, data, config, [0, 1], capture=capture) for capture in (True, False))
    for first, second in zip(recorded, plain, strict=True):
        assert first.result.history["train_loss"] == pytest.approx(second.result.history["train_loss"], rel=1e-4)
