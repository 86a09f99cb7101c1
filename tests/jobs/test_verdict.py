"""Does the graph help? On data whose answer is known, and what the verdict is made of."""

from dataclasses import replace

import pytest
import torch

import gnnkit
from gnnkit import Adjacency, NodeData, load_dataset
from gnnkit.graph.rewiring import degree_preserving_rewiring
from gnnkit.jobs.verdict import MAJORITY, MLP, PROPAGATION, REWIRED, label_propagation, verdict
from gnnkit.training import TrainConfig

QUICK = TrainConfig(epochs=40, lr=0.05)
NODES, CLASSES = 300, 3


def generated(seed, labels_from):
    """Random features and edges; a node's class is in its features, or in its neighbours' alone."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.randint(CLASSES, (NODES,), generator=generator)
    x = torch.nn.functional.one_hot(own, 8).float() * 2 + torch.randn(NODES, 8, generator=generator)
    wanted = own if labels_from == "features" else torch.randint(CLASSES, (NODES,), generator=generator)
    if labels_from == "features":
        source, target = torch.randint(NODES, (2, 900), generator=generator)
    else:
        # Six edges enter every node, from nodes whose features show the class that it is to have.
        target = torch.arange(NODES).repeat_interleave(6)
        source = torch.cat(
            [
                (own == c).nonzero().view(-1)[torch.randint(int((own == c).sum()), (6,), generator=generator)]
                for c in wanted.tolist()
            ]
        )
    keep = source != target
    graph = Adjacency.from_edge_index(torch.stack([source[keep], target[keep]]), num_nodes=NODES, coalesce="max")
    nothing = torch.zeros(NODES, dtype=torch.bool)
    return NodeData(graph, x, wanted, nothing, nothing, nothing, name=f"from {labels_from}")


@pytest.mark.parametrize(("labels_from", "expected"), [("features", False), ("neighbours", True)])
def test_one_seed_of_each(labels_from, expected):
    found = verdict(generated(0, labels_from), splits=5, training=QUICK)
    assert found.helps == expected
    assert found.sentence.startswith("yes: the graph adds" if expected else "no")
    assert [row.name for row in found.rows] == [MAJORITY, MLP, PROPAGATION, REWIRED, "gcn"]
    assert all(len(row.values) == 5 for row in found.rows)
    scores = {row.name: row.score.mean for row in found.rows}
    assert found.gain.difference == pytest.approx(scores["gcn"] - scores[MLP])
    assert found.gain_over_rewired.difference == pytest.approx(scores["gcn"] - scores[REWIRED])
    assert found.rewired_gain.difference == pytest.approx(scores[REWIRED] - scores[MLP])


@pytest.mark.slow
@pytest.mark.parametrize(("labels_from", "expected"), [("features", False), ("neighbours", True)])
def test_nineteen_of_twenty_seeds_are_judged_rightly(labels_from, expected):
    rightly = sum(
        verdict(generated(seed, labels_from), splits=5, training=QUICK, seed=100 * seed).helps == expected
        for seed in range(20)
    )
    assert rightly >= 19


def test_karate_side_by_side_is_one_after_another():
    data = load_dataset("karate")
    first = verdict(data, splits=2, training=QUICK)
    assert verdict(data, splits=2, training=QUICK, jobs=2) == first
    assert verdict(data, splits=2, training=QUICK, seed=7) != first
    assert gnnkit.verdict is verdict


def test_the_mlp_is_the_network_without_edges():
    """What the GCN is on a graph without edges: linear layers, each row by itself."""
    from gnnkit.models import GCN

    torch.manual_seed(0)
    model, x = GCN(5, 4, 2, 3).eval(), torch.randn(6, 5)
    graph = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.int64), num_nodes=6)
    first, second = model.convs
    expected = (x @ first.lin.weight.T + first.bias).relu() @ second.lin.weight.T + second.bias
    torch.testing.assert_close(model(x, graph), expected)


def test_label_propagation_follows_edges():
    chain = torch.tensor([[0, 1, 3, 4], [1, 2, 4, 5]])
    graph = Adjacency.from_edge_index(torch.cat([chain, chain.flip(0)], dim=1), num_nodes=7)
    train, val, test = (torch.zeros(7, dtype=torch.bool) for _ in range(3))
    train[[0, 3]], val[[1, 4]], test[[2, 5, 6]] = True, True, True
    data = NodeData(graph, torch.zeros(7, 1), torch.tensor([0, 0, 0, 1, 1, 1, 0]), train, val, test)
    assert label_propagation(data) == 1.0  # the last node, which none reaches, is of the majority
    assert label_propagation(replace(data, y=torch.tensor([0, 0, 1, 1, 1, 0, 1]))) == 0.0


@pytest.mark.parametrize("directed", [True, False])
def test_rewiring_keeps_degrees_and_little_else(directed):
    edges = torch.randint(200, (2, 800), generator=torch.Generator().manual_seed(0))
    edges = torch.cat([edges, torch.tensor([[5, 9], [5, 9]])], dim=1)
    if not directed:
        edges = torch.cat([edges, edges.flip(0)], dim=1)
    graph = Adjacency.from_edge_index(edges, num_nodes=200, coalesce="max")
    rewired = degree_preserving_rewiring(graph, seed=3)
    assert torch.equal(rewired.in_degree(), graph.in_degree())
    assert torch.equal(rewired.out_degree(), graph.out_degree())
    assert rewired.is_symmetric != directed
    assert rewired.num_self_loops == graph.num_self_loops
    before, after = (set(zip(*each.to_edge_index()[0].tolist(), strict=True)) for each in (graph, rewired))
    assert len(before & after) < 0.1 * len(before)
    assert torch.equal(degree_preserving_rewiring(graph, seed=3).to_edge_index()[0], rewired.to_edge_index()[0])
    assert not torch.equal(degree_preserving_rewiring(graph, seed=4).to_edge_index()[0], rewired.to_edge_index()[0])
    same = degree_preserving_rewiring(graph, swaps_per_edge=0)
    assert torch.equal(same.to_edge_index()[0], graph.to_edge_index()[0])


def test_rewiring_moves_weights_with_their_edges():
    edges = torch.randint(30, (2, 60), generator=torch.Generator().manual_seed(0))
    graph = Adjacency.from_edge_index(edges, torch.arange(1.0, 61.0), num_nodes=30, coalesce="max")
    rewired = degree_preserving_rewiring(graph, seed=1)
    assert sorted(rewired.to_edge_index()[1].tolist()) == sorted(graph.to_edge_index()[1].tolist())
    none = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.int64), num_nodes=3)
    assert degree_preserving_rewiring(none).num_edges == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"splits": 1}, "got 1"),
        ({"split": "public"}, "got 'public'"),
        ({"model": "gnc"}, "gcn"),
        ({"split": "random"}, "train_per_class=20"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        verdict(load_dataset("karate"), **arguments)
    with pytest.raises(ValueError, match="got -1"):
        degree_preserving_rewiring(load_dataset("karate").adjacency, swaps_per_edge=-1)


@pytest.mark.data
@pytest.mark.slow
def test_cora_says_yes(data_root):
    found = verdict(load_dataset("cora", data_root), splits=6, jobs=2)
    assert found.helps
    assert found.gain.interval.low > 0.05


def test_negative_weights_are_refused_at_the_start():
    data = load_dataset("karate")
    edge_index, _ = data.adjacency.to_edge_index()
    weights = torch.ones(edge_index.size(1))
    weights[3] = -2.0
    signed = replace(data, adjacency=Adjacency.from_edge_index(edge_index, weights, num_nodes=data.num_nodes))
    with pytest.raises(ValueError, match="negative edge weights, with which label propagation"):
        verdict(signed, model="gat", splits=2)
