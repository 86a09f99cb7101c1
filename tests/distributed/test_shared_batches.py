"""Batches shared among processes train as one process does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnnkit.training.minibatch import MiniBatches
from gnnkit.training.nodes import TrainConfig
from gnnkit.training.shared_batches import SharedBatches, fit_shared
from tests.distributed.test_partitioned_training import MODELS, assert_same_run, random_data, train_alone
from tests.distributed.thread_group import ThreadGroup, in_threads


def train_shared(name: str, ranks: int, config: TrainConfig, p: float = 0.0) -> list[tuple[object, dict[str, Tensor]]]:
    data = random_data(weighted=False)
    models = [MODELS[name](data, p).double() for _ in range(ranks)]
    torch.manual_seed(0)
    start = MODELS[name](data, p).double().state_dict()
    for model in models:
        model.load_state_dict(start)
        model.reset_parameters = None  # threads share torch's generator, processes do not

    def job(group: ThreadGroup) -> tuple[object, dict[str, Tensor]]:
        model = models[group.rank]
        return fit_shared(model, data, group, config), model.state_dict()

    return in_threads(ranks, job)


@pytest.mark.parametrize(("name", "ranks"), [("gcn", 2), ("gat", 4), ("gcnii", 2)])
def test_shared_batches_train_as_one_process(name: str, ranks: int) -> None:
    # Nine training nodes: four ranks get 2, 1, 1, 1 of a batch of five, and one, one, one, one of the other.
    layers = 4 if name == "gcnii" else 2
    config = TrainConfig(epochs=20, batch_size=5, fanout=(-1,) * layers)
    torch.manual_seed(0)
    start = MODELS[name](random_data(weighted=False), 0.0).double().state_dict()
    expected, model = train_alone(MODELS[name], random_data(weighted=False), config, start)
    for found, weights in train_shared(name, ranks, config):
        assert_same_run(found, weights, expected, model.state_dict())


def test_a_rank_without_nodes_takes_part() -> None:
    config = TrainConfig(epochs=20, batch_size=3, fanout=(-1, -1))
    one, many = train_shared("gcn", 1, config), train_shared("gcn", 5, config)
    for found, weights in many:
        assert_same_run(found, weights, *one[0])


def test_dropout_does_not_depend_on_the_number_of_processes() -> None:
    config = TrainConfig(epochs=10, batch_size=4, fanout=(-1, -1))
    one, two = train_shared("gat", 1, config, 0.5), train_shared("gat", 2, config, 0.5)
    assert one[0][0].history["train_loss"] != train_shared("gat", 1, config)[0][0].history["train_loss"]  # type: ignore[attr-defined]
    assert_same_run(*two[1], *one[0])


def test_every_rank_samples_neighbours_of_its_own() -> None:
    data = random_data(weighted=False)

    def seen(group: ThreadGroup) -> list[list[int]]:
        passes = SharedBatches(MODELS["gcn"](data, 0.0).double(), data, group, batch_size=5, fanout=(2, 2))
        return [batch.nodes.tolist() for batch in passes.loader]

    shares = in_threads(3, seen)
    alone = MiniBatches(MODELS["gcn"](data, 0.0).double(), data, batch_size=5, fanout=(2, 2))
    batches = [batch.nodes.tolist() for batch in alone.loader]
    assert [[node for share in shares for node in share[number]] for number in range(2)] == batches


def test_batches_are_asked_for() -> None:
    data = random_data(weighted=False)
    with pytest.raises(ValueError, match="give a batch_size"):
        in_threads(1, lambda group: fit_shared(MODELS["gcn"](data, 0.0).double(), data, group, TrainConfig()))
