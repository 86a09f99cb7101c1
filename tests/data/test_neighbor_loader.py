"""Batches as PyG gives them, and as blocks; whatever the number of worker processes."""

import sys
import types

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import trim_to_layer

from gnnkit.data import BlockLoader, NeighborLoader, NodeData, load_dataset
from gnnkit.data.splits import stratified_split
from gnnkit.graph import Adjacency


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(3)
    edge_index = torch.randint(60, (2, 400), generator=generator)
    weight = torch.rand(400, generator=generator) + 0.5
    nobody = torch.zeros(60, dtype=torch.bool)
    y = torch.arange(60) % 4
    made = NodeData(
        Adjacency.from_edge_index(edge_index, weight, num_nodes=60, coalesce="max"),
        torch.rand(60, 5, generator=generator),
        y,
        nobody,
        nobody,
        nobody,
    )
    return made.with_split(stratified_split(y, seed=0))


@pytest.fixture
def multigraph():
    """PyG's Data whose edges repeat, with features on edges."""
    generator = torch.Generator().manual_seed(5)
    edge_index = torch.randint(20, (2, 150), generator=generator)
    return Data(
        x=torch.rand(20, 3, generator=generator),
        edge_index=edge_index,
        edge_attr=torch.arange(150).float().view(-1, 1),
        y=torch.arange(20),
        title="repeats",
    )


@pytest.mark.parametrize("subgraph_type", ["directional", "bidirectional", "induced"])
def test_a_batch_is_a_piece_of_the_data(data, subgraph_type):
    full, weight = data.adjacency.to_edge_index()
    seen = []
    for batch in NeighborLoader(data, [3, 2], data.train_mask, batch_size=7, subgraph_type=subgraph_type):
        ends = batch.n_id[batch.edge_index]
        torch.testing.assert_close(batch.x, data.x[batch.n_id])
        torch.testing.assert_close(batch.y, data.y[batch.n_id])
        torch.testing.assert_close(batch.train_mask, data.train_mask[batch.n_id])
        torch.testing.assert_close(batch.edge_weight, weight[batch.e_id])
        real = (full[:, batch.e_id] == ends).all(0)
        if subgraph_type == "bidirectional":
            assert bool((real | (full[:, batch.e_id].flip(0) == ends).all(0)).all())
            pairs = set(map(tuple, ends.t().tolist()))
            assert pairs == {(t, s) for s, t in pairs}
            assert len(pairs) == ends.size(1)
        else:
            assert bool(real.all())
        if subgraph_type == "induced":
            inside = torch.isin(full[0], batch.n_id) & torch.isin(full[1], batch.n_id)
            assert sorted(batch.e_id.tolist()) == torch.nonzero(inside).view(-1).tolist()
        nodes = torch.nonzero(data.train_mask).view(-1)
        assert batch.n_id[: batch.batch_size].tolist() == nodes[batch.input_id].tolist()
        assert sum(batch.num_sampled_nodes) == batch.num_nodes == batch.n_id.numel()
        assert ("num_sampled_edges" in batch) == (subgraph_type == "directional")
        seen += batch.n_id[: batch.batch_size].tolist()
    assert sorted(seen) == torch.nonzero(data.train_mask).view(-1).tolist()


def test_edges_that_repeat_stay_apart(multigraph):
    batch = next(iter(NeighborLoader(multigraph, [-1], [3, 4], batch_size=2)))
    entering = torch.isin(multigraph.edge_index[1], torch.tensor([3, 4]))
    assert sorted(batch.e_id.tolist()) == torch.nonzero(entering).view(-1).tolist()
    assert batch.edge_attr.view(-1).tolist() == batch.e_id.tolist()
    torch.testing.assert_close(batch.n_id[batch.edge_index], multigraph.edge_index[:, batch.e_id])
    assert batch.title == "repeats"


def test_disjoint_trees_share_no_node(data):
    batch = next(iter(NeighborLoader(data, [4, 4], [1, 9, 2], batch_size=3, disjoint=True)))
    assert batch.batch[:3].tolist() == [0, 1, 2]
    assert bool((batch.batch[batch.edge_index[0]] == batch.batch[batch.edge_index[1]]).all())


def test_batches_trim_as_pygs_do(data):
    """`trim_to_layer` reads the counts by hop: what it leaves for the last layer is what enters the seeds."""
    batch = next(iter(NeighborLoader(data, [3, 2], [0, 1, 2, 3], batch_size=4)))
    x, edge_index, _ = trim_to_layer(1, batch.num_sampled_nodes, batch.num_sampled_edges, batch.x, batch.edge_index)
    assert x.size(0) == 4 + batch.num_sampled_nodes[1]
    assert int(edge_index[1].max()) < 4


def same(one, other):
    assert one.keys() == other.keys()
    for key in one.keys():  # noqa: SIM118 - Data iterates over pairs
        if isinstance(one[key], torch.Tensor):
            torch.testing.assert_close(one[key], other[key], rtol=0, atol=0)
        else:
            assert one[key] == other[key]


def test_workers_change_nothing_and_epochs_differ(data):
    settings = {"batch_size": 9, "shuffle": True, "seed": 4}
    alone, together = (NeighborLoader(data, [2, 2], num_workers=workers, **settings) for workers in (0, 2))
    epochs = [list(alone), list(alone)]
    for epoch in epochs:
        for one, other in zip(epoch, together, strict=True):
            same(one, other)
    assert epochs[0][0].input_id.tolist() != epochs[1][0].input_id.tolist()
    alone.set_epoch(1)
    same(next(iter(alone)), epochs[1][0])


def test_iterating_takes_nothing_from_the_generators(data):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(BlockLoader(data, [2], batch_size=20, shuffle=True))
    assert torch.equal(torch.rand(1), expected)


def test_blocks_come_with_their_features_dense_or_sparse(data):
    karate = load_dataset("karate")
    for given in (data, karate):
        loader = BlockLoader(given, [2, 3], batch_size=8, drop_last=True)
        dense = given.x.to_dense()
        assert len(list(loader)) == given.num_nodes // 8
        for batch in loader:
            rows = batch.x.to_dense()
            torch.testing.assert_close(rows, dense[batch.blocks[0].source_ids])
            torch.testing.assert_close(batch.y, given.y[batch.nodes])
            assert batch.blocks[-1].target_ids.tolist() == batch.nodes.tolist()
            assert batch.to("cpu").y is batch.y


def test_pyg_lib_is_used_where_it_is_installed(data, monkeypatch):
    """A module of that name which draws every edge: arguments and results are pyg-lib's."""
    calls = []

    def neighbor_sample(rowptr, col, seed, num_neighbors, **rules):
        calls.append(rules | {"num_neighbors": num_neighbors, "dtype": seed.dtype, "chance": torch.rand(1).item()})
        start, end = rowptr[seed.long()], rowptr[seed.long() + 1]
        entry = torch.cat([torch.arange(a, b) for a, b in zip(start.tolist(), end.tolist(), strict=True)])
        found = col[entry]
        fresh = torch.tensor(sorted(set(found.tolist()) - set(seed.tolist())))
        node = torch.cat([seed.long(), fresh])
        position = {int(n): i for i, n in enumerate(node)}
        row = torch.tensor([position[int(n)] for n in found])
        target = torch.repeat_interleave(torch.arange(seed.numel()), end - start)
        return row, target, node, entry, [seed.numel(), fresh.numel()], [entry.numel()]

    fake = types.ModuleType("pyg_lib")
    fake.__spec__ = types.SimpleNamespace()
    fake.sampler = types.ModuleType("pyg_lib.sampler")
    fake.sampler.neighbor_sample = neighbor_sample
    monkeypatch.setitem(sys.modules, "pyg_lib", fake)
    monkeypatch.setitem(sys.modules, "pyg_lib.sampler", fake.sampler)
    theirs = list(NeighborLoader(data, [-1], batch_size=30))
    ours = list(NeighborLoader(data, [-1], batch_size=30, backend="numpy"))
    assert len(calls) == 2
    assert calls[0]["num_neighbors"] == [-1]
    assert calls[0]["csc"]
    assert calls[0]["chance"] != calls[1]["chance"]
    for one, other in zip(theirs, ours, strict=True):
        same(one, other)


def test_mistakes_are_named(data):
    with pytest.raises(ValueError, match="subgraph_type must be one of directional, bidirectional, induced"):
        NeighborLoader(data, [2], subgraph_type="all")
    with pytest.raises(ValueError, match="no subgraph is induced"):
        NeighborLoader(data, [2], subgraph_type="induced", disjoint=True)
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        NeighborLoader(data, [2], batch_size=0)
    with pytest.raises(ValueError, match="selects no node"):
        NeighborLoader(data, [2], torch.zeros(60, dtype=torch.bool))
    with pytest.raises(ValueError, match="has no edge_index"):
        NeighborLoader(Data(x=torch.rand(2, 2)), [2])
    with pytest.raises(ImportError, match="pyg-lib"):
        NeighborLoader(data, [2], backend="pyg-lib")
