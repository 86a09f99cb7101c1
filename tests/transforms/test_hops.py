"""The transforms against the distances they hold, in Compose and in mini-batches."""

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import AddSelfLoops, Compose
from torch_geometric.utils import from_networkx, to_dense_adj

from gnnkit.graph import Adjacency
from gnnkit.graph.hops import hop_distance
from gnnkit.transforms import AddHopDistance, AddHopEncoding


def random_data(seed, num_nodes=12, directed=True):
    data = from_networkx(nx.gnp_random_graph(num_nodes - 1, 0.15, seed=seed, directed=directed))
    data.num_nodes = num_nodes  # the last one is isolated
    data.x = torch.randn(num_nodes, 3, generator=torch.Generator().manual_seed(seed))
    data.edge_attr = torch.ones(data.edge_index.size(1), 4)  # bonds, say: no weights
    return data


def expected(data, direction="out", max_hops=None):
    graph = Adjacency.from_edge_index(data.edge_index, num_nodes=data.num_nodes)
    return hop_distance(graph, direction=direction, max_hops=max_hops).long()


@pytest.mark.parametrize("direction", ["out", "in", "both"])
@pytest.mark.parametrize("max_hops", [0, 2, 20])
def test_all_pairs(direction, max_hops):
    data = random_data(1)
    result = AddHopDistance(max_hops, direction=direction)(data)
    hops = expected(data, direction, max_hops)
    assert torch.equal(result.hop_distance.view(12, 12), hops.where(hops >= 0, max_hops + 1))
    assert bool((hops < 0).any()), "the graph should leave some pairs unreached"
    assert "hop_distance" not in data  # PyG's transforms leave what they are given alone
    bias = torch.nn.Embedding(max_hops + 2, 4)(result.hop_distance)
    assert bias.shape == (144, 4)


def test_mini_batches_of_several_sizes():
    graphs = [random_data(seed, size) for seed, size in [(1, 5), (2, 1), (3, 9)]]
    transform = AddHopDistance(3, direction="both")
    batch = next(iter(DataLoader([transform(graph) for graph in graphs], batch_size=3)))
    dense = to_dense_adj(batch.hop_index, batch.batch, batch.hop_distance)
    assert dense.shape == (3, 9, 9)
    for i, graph in enumerate(graphs):
        hops = expected(graph, "both", 3)
        assert torch.equal(dense[i, : graph.num_nodes, : graph.num_nodes].long(), hops.where(hops >= 0, 4))
        assert int(dense[i, graph.num_nodes :].abs().sum()) == 0


def test_compose_counts_on_what_came_before():
    transform = Compose(
        [AddSelfLoops(), AddHopDistance(4), AddHopEncoding([0, 3]), AddHopEncoding([5], attr_name=None)]
    )
    data = random_data(4)
    result = transform(data)
    hops = expected(data)
    assert torch.equal(result.hop_encoding, hops[:, [0, 3]])
    assert result.x.dtype == torch.float32
    assert torch.equal(result.x, torch.cat([data.x, hops[:, [5]].float()], dim=1))


@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_hops_to_anchors(direction):
    data = random_data(7)
    data.anchor_mask = torch.zeros(12, dtype=torch.bool)
    data.anchor_mask[[2, 8, 9]] = True
    hops = expected(data, direction, 2)[:, [2, 8, 9]]
    for anchors in ([2, 8, 9], torch.tensor([2, 8, 9]), "anchor_mask"):
        transform = AddHopEncoding(anchors, max_hops=2, direction=direction, attr_name="place")
        assert torch.equal(transform(data).place, hops)


def test_no_nodes_and_no_anchors():
    empty = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=0)
    result = AddHopDistance(2)(empty)
    assert result.hop_index.shape == (2, 0)
    assert result.hop_distance.shape == (0,)
    assert AddHopEncoding([])(random_data(1)).hop_encoding.shape == (12, 0)


def test_repr():
    assert repr(AddHopDistance(3)) == "AddHopDistance(max_hops=3, direction='out')"
    assert repr(AddHopEncoding("train_mask")) == "AddHopEncoding(anchors='train_mask', max_hops=None, direction='out')"
    assert repr(AddHopEncoding([1, 2], max_hops=4)) == "AddHopEncoding(anchors=2 nodes, max_hops=4, direction='out')"


def test_mistakes_are_named():
    data = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    with pytest.raises(ValueError, match="max_hops must be 0 or more, got -2"):
        AddHopDistance(-2)
    with pytest.raises(TypeError, match="max_hops must be a whole number, got None"):
        AddHopDistance(None)
    with pytest.raises(ValueError, match="direction must be 'out', 'in' or 'both', got 'up'"):
        AddHopEncoding([0], direction="up")
    with pytest.raises(ValueError, match="sources holds 2, which is not a node"):
        AddHopEncoding([2])(data)
    with pytest.raises(ValueError, match="no attribute 'anchor_mask'"):
        AddHopEncoding("anchor_mask")(data)
    with pytest.raises(ValueError, match="the data has no x"):
        AddHopEncoding([0], attr_name=None)(data)
    with pytest.raises(TypeError, match="got HeteroData"):
        AddHopDistance(2)(HeteroData())
    with pytest.raises(TypeError, match="edge_index"):
        AddHopDistance(2)(Data(num_nodes=3))
