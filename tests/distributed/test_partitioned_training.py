"""Training on parts of a graph gives what one process gives, for every model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gnnkit.data import NodeData
from gnnkit.distributed.parts import LocalData, read_part, write_parts
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.training.nodes import TrainConfig, fit
from gnnkit.training.partitioned import fit_partitioned
from tests.distributed.thread_group import ThreadGroup, in_threads

MODELS = {
    "gcn": lambda data, p: GCN(data.num_features, 8, 2, 4, p),
    "gcn, lambda learned": lambda data, p: GCN(data.num_features, 8, 2, 4, p, learn_self_loop=True),
    "gcn, mean": lambda data, p: GCN(data.num_features, 8, 2, 4, p, normalize="row", self_loop_weight=0.5),
    "gat": lambda data, p: GAT(data.num_features, 4, 2, 4, p, heads=3),
    "gat 2": lambda data, p: GAT(data.num_features, 4, 2, 4, p, heads=2, version=2, residual=True),
    "gcnii": lambda data, p: GCNII(data.num_features, 8, 4, 4, p),
}


def random_data(*, weighted: bool, sparse: bool = False, num_nodes: int = 60) -> NodeData:
    """A directed graph with self-loops and nodes that no edge enters; its training nodes lie close together."""
    generator = torch.Generator().manual_seed(3)
    edge_index = torch.randint(0, num_nodes - 2, (2, 5 * num_nodes), generator=generator)
    count = edge_index.size(1)
    # Double, since Adam makes much of the rounding of a gradient that is nearly 0.
    weight = (
        torch.rand(count, generator=generator, dtype=torch.float64) + 0.1 if weighted else torch.ones(count).double()
    )
    graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=num_nodes, coalesce="max")
    x = torch.randn(num_nodes, 5, generator=generator, dtype=torch.float64) * (
        torch.rand(num_nodes, 5, generator=generator) < 0.5
    )
    y = torch.randint(0, 4, (num_nodes,), generator=generator)
    part = torch.arange(num_nodes)
    return NodeData(
        graph, x.to_sparse_csr() if sparse else x, y, part < 9, (part >= 9) & (part < 30), part >= 30, name="random"
    )


def train_in_parts(
    model_of: object, data: NodeData, ranks: int, folder: Path, config: TrainConfig, p: float, **parts: object
) -> list[tuple[object, dict[str, Tensor], LocalData]]:
    write_parts(data, folder, ranks, **parts)  # type: ignore[arg-type]

    def job(group: ThreadGroup) -> tuple[object, dict[str, Tensor], LocalData]:
        local = read_part(folder, group)
        model = models[group.rank]
        return fit_partitioned(model, local, group, config), model.state_dict(), local

    # Each starts from the same weights: threads share torch's generator, processes do not.
    models = [model_of(data, p).double() for _ in range(ranks)]  # type: ignore[operator]
    start = {name: value.clone() for name, value in models[0].state_dict().items()}
    for model in models:
        model.load_state_dict(start)
        model.reset_parameters = None
    return in_threads(ranks, job)


def train_alone(
    model_of: object, data: NodeData, config: TrainConfig, start: dict[str, Tensor]
) -> tuple[object, nn.Module]:
    model = model_of(data, 0.0).double()  # type: ignore[operator]
    model.load_state_dict(start)
    model.reset_parameters = None
    return fit(model, data, config), model


def assert_same_run(found: object, weights: dict[str, Tensor], expected: object, reference: dict[str, Tensor]) -> None:
    for column in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        ours, theirs = (torch.tensor(each.history[column], dtype=torch.float64) for each in (found, expected))  # type: ignore[attr-defined]
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    for name, value in reference.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-8, atol=1e-10)
    assert found.test == expected.test  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "ranks"),
    [("gcn", 2), ("gcn", 4), ("gcn, lambda learned", 2), ("gcn, mean", 4), ("gat", 4), ("gat 2", 2), ("gcnii", 4)],
)
def test_parts_train_as_one_process(name: str, ranks: int, tmp_path: Path) -> None:
    data = random_data(weighted=not name.startswith("gat"), sparse=ranks == 4)
    config = TrainConfig(epochs=20, seed=1)
    torch.manual_seed(0)
    start = MODELS[name](data, 0.0).double().state_dict()
    torch.manual_seed(0)
    results = train_in_parts(MODELS[name], data, ranks, tmp_path, config, 0.0, method="rcm")
    expected, model = train_alone(MODELS[name], data, config, start)
    for found, weights, _ in results:
        assert_same_run(found, weights, expected, model.state_dict())
        assert all(torch.equal(weights[key], results[0][1][key]) for key in weights)  # the same bits everywhere


def test_uneven_parts_and_one_without_training_nodes(tmp_path: Path) -> None:
    data, config = random_data(weighted=True), TrainConfig(epochs=20)
    torch.manual_seed(0)
    start = MODELS["gcn"](data, 0.0).double().state_dict()
    torch.manual_seed(0)
    results = train_in_parts(MODELS["gcn"], data, 3, tmp_path, config, 0.0, method="given", bounds=[0, 9, 10, 60])
    expected, model = train_alone(MODELS["gcn"], data, config, start)
    assert [local.train.numel() for _, _, local in results] == [9, 0, 0]
    assert_same_run(results[0][0], results[0][1], expected, model.state_dict())


@pytest.mark.parametrize(("name", "sparse"), [("gcn", True), ("gat", False), ("gcnii", True)])
def test_dropout_does_not_depend_on_the_number_of_processes(name: str, sparse: bool, tmp_path: Path) -> None:
    data, config = random_data(weighted=False, sparse=sparse), TrainConfig(epochs=10)
    runs = []
    for ranks in (1, 2, 4):
        torch.manual_seed(0)
        runs.append(train_in_parts(MODELS[name], data, ranks, tmp_path / str(ranks), config, 0.5, method="rcm")[0])
    without = train_in_parts(MODELS[name], data, 1, tmp_path / "without", config, 0.0, method="rcm")[0]
    assert without[0].history["train_loss"] != runs[0][0].history["train_loss"]  # type: ignore[attr-defined]
    for found, weights, _ in runs[1:]:
        assert_same_run(found, weights, runs[0][0], runs[0][1])


def test_a_graph_in_as_many_parts_as_nodes(tmp_path: Path) -> None:
    data, config = random_data(weighted=False, num_nodes=34), TrainConfig(epochs=3)
    torch.manual_seed(0)
    results = train_in_parts(MODELS["gcn"], data, 34, tmp_path, config, 0.0, method="rcm")
    assert [local.graph.num_nodes for _, _, local in results] == [1] * 34
    assert len({str(found.test) for found, _, _ in results}) == 1  # type: ignore[attr-defined]
