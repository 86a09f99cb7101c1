"""Neighbour sampling: real edges, limits, uniform draws; blocks whose rows are the full graph's."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats

from gnnkit.graph import Adjacency, Block, BlockSampler
from gnnkit.graph.sampling import EnteringRows, NeighborSampler, sample_neighbors
from gnnkit.models import GAT, GCN
from gnnkit.models.gcnii import GCNII


def random_graph(seed=0, num_nodes=120, num_edges=700, directed=True, weighted=True):
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(num_nodes - 3, (2, num_edges), generator=generator)  # the last three are isolated
    weight = torch.rand(num_edges, generator=generator) + 0.1 if weighted else None
    if not directed:
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
        weight = None if weight is None else torch.cat([weight, weight])
    return Adjacency.from_edge_index(edge_index, weight, num_nodes=num_nodes, coalesce="max")


def draw(graph, seeds, fanouts, key=0, **rules):
    rows = EnteringRows.of_graph(graph)
    return sample_neighbors(rows, np.asarray(seeds), fanouts, np.random.default_rng(key), **rules)


def star(size):
    """Edges from 1 .. size into node 0."""
    sources = torch.arange(1, size + 1)
    return Adjacency.from_edge_index(torch.stack([sources, torch.zeros_like(sources)]), num_nodes=size + 1)


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("disjoint", [True, False])
@pytest.mark.parametrize("fanouts", [[3, 2], [-1, 4, 1], [0], [2, 0, 3]])
def test_every_edge_is_real_and_every_limit_kept(directed, replace, disjoint, fanouts):
    graph = random_graph(directed=directed)
    edges = graph.to_edge_index()[0].numpy()
    rows = EnteringRows.of_graph(graph)
    seeds = np.array([5, 119, 40, 41, 0])
    sample = draw(graph, seeds, fanouts, replace=replace, disjoint=disjoint)

    np.testing.assert_array_equal(sample.nodes[: seeds.size], seeds)
    ends = np.stack([sample.nodes[sample.source], sample.nodes[sample.target]])
    np.testing.assert_array_equal(edges[:, rows.edge_id[sample.entry]], ends)
    assert sum(sample.num_nodes) == sample.nodes.size
    assert sum(sample.num_edges) == sample.entry.size
    hop = np.repeat(np.arange(len(sample.num_nodes)), sample.num_nodes)
    hop_of_edge = np.repeat(np.arange(len(fanouts)), sample.num_edges)
    # An edge drawn in hop h enters a node discovered in hop h - 1, and leads no farther than hop h.
    np.testing.assert_array_equal(hop[sample.target], hop_of_edge)
    assert (hop[sample.source] <= hop_of_edge + 1).all()
    drawn = np.bincount(sample.target, minlength=sample.nodes.size)
    degree = rows.num_entering(sample.nodes)
    for node in range(sample.nodes.size):
        fanout = fanouts[hop[node]] if hop[node] < len(fanouts) else 0
        wanted = degree[node] if fanout == -1 else fanout if replace and degree[node] else min(fanout, degree[node])
        assert drawn[node] == wanted
    if not replace:
        tree = np.zeros(sample.entry.size) if sample.seed is None else sample.seed[sample.target]
        assert len(set(zip(tree.tolist(), sample.entry.tolist(), strict=True))) == sample.entry.size
    if disjoint:
        np.testing.assert_array_equal(sample.seed[sample.source], sample.seed[sample.target])
        assert len(set(zip(sample.seed.tolist(), sample.nodes.tolist(), strict=True))) == sample.nodes.size
    else:
        assert np.unique(sample.nodes).size == sample.nodes.size


def test_every_set_of_neighbours_is_equally_likely():
    graph, draws = star(6), 6000
    counts = dict.fromkeys(combinations(range(1, 7), 3), 0)
    for key in range(draws):
        sample = draw(graph, [0], [3], key)
        counts[tuple(sorted(sample.nodes[1:].tolist()))] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_neighbours_drawn_with_replacement_are_uniform():
    sample = draw(star(7), [0], [7000], replace=True)
    assert stats.chisquare(np.bincount(sample.nodes[sample.source])[1:]).pvalue > 1e-3


def test_rows_of_every_length_are_drawn_from_uniformly_at_once():
    # 40 targets of 5 to 44 entering edges each: the position of an edge in its row must not matter.
    target = torch.repeat_interleave(torch.arange(40), torch.arange(5, 45))
    source = torch.arange(target.numel()) + 40
    graph = Adjacency.from_edge_index(torch.stack([source, target]), num_nodes=40 + target.numel())
    counts = np.zeros(target.numel())
    for key in range(1500):
        sample = draw(graph, np.arange(40), [5], key)
        counts[sample.nodes[40:] - 40] += 1
    expected = 1500 * 5 / np.repeat(np.arange(5, 45), np.arange(5, 45))
    free = target.numel() - 40  # each row's counts add up to 5 a draw
    chance = expected * (1 - 5 / np.repeat(np.arange(5, 45), np.arange(5, 45)))
    inside = chance > 0
    # Without replacement counts of a row vary less than a multinomial's: each is binomial, scaled by its variance.
    statistic = ((counts - expected)[inside] ** 2 / chance[inside]).sum()
    assert abs(statistic - free) < 5 * np.sqrt(2 * free)


def test_the_key_alone_decides():
    graph = random_graph()
    sampler = NeighborSampler(EnteringRows.of_graph(graph), [3, 3], backend="numpy")
    first, again, other = (sampler.sample(np.arange(20), key) for key in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first.entry, again.entry)
    assert first.entry.size != other.entry.size or (first.entry != other.entry).any()


def test_rows_know_degrees_and_loops():
    graph = random_graph(weighted=True)
    rows = EnteringRows.of_graph(graph)
    np.testing.assert_allclose(rows.in_degree, graph.in_degree(weighted=True).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(rows.has_loop, graph.to_dense().diagonal().numpy() > 0)
    parts = list(rows.parts(50))
    assert [begin for begin, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == graph.num_nodes


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        lambda: GCN(7, 5, 3, 4, 0.0),
        lambda: GCN(7, 5, 3, 4, 0.0, normalize="row", learn_self_loop=True),
        lambda: GCN(7, 5, 3, 4, 0.0, normalize=False),
        lambda: GCN(7, 5, 3, 4, 0.0, self_loop_weight=2.5),
        lambda: GAT(7, 4, 3, 4, 0.0, heads=2),
        lambda: GCNII(7, 8, 3, 4, 0.0),
    ],
    ids=["gcn", "row, learned loop", "not normalised", "loop 2.5", "gat", "gcnii"],
)
def test_with_all_neighbours_blocks_give_the_full_graphs_rows(model, directed, weighted):
    torch.manual_seed(0)
    graph = random_graph(directed=directed, weighted=weighted).to(dtype=torch.float64)
    model, x = model().double(), torch.randn(graph.num_nodes, 7, dtype=torch.float64)
    seeds = torch.tensor([4, 119, 60, 61, 3])
    blocks = BlockSampler(graph, [-1, -1, -1]).blocks(seeds.numpy(), [0])
    expected, found = model(x, graph)[seeds], model(x[blocks[0].source_ids], blocks)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(expected.square().sum(), parameters)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), parameters), gradients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["row", "sym"])
def test_a_hub_of_more_edges_than_float16_counts(kind, weighted):
    leaves = 70_000
    edges = torch.stack([torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.long)])
    edges = torch.cat([edges, edges.flip(0)[:, :5]], dim=1)
    weight = torch.full((edges.size(1),), 1.5 if weighted else 1.0, dtype=torch.float16)
    graph = Adjacency.from_edge_index(edges, weight, num_nodes=leaves + 1)
    x = torch.rand(leaves + 1, 3).half()
    for fanout in (-1, 1):
        block = BlockSampler(graph, [fanout], backend="numpy").blocks(np.array([0, 3]), [0])[0]
        form = block.restrict(block.graph.with_self_loops(0.3).normalized(kind))
        assert form.values.dtype == torch.float16
        if fanout == -1:
            full = graph.with_self_loops(0.3).normalized(kind)
            assert torch.equal(
                form.to_dense(), Block(graph, block.source_ids, block.target_ids).restrict(full).to_dense()
            )
            torch.testing.assert_close(form.matmul(x[block.source_ids]), full.propagate(x)[[0, 3]])
        elif kind == "row":  # the one edge that was drawn stands for all
            torch.testing.assert_close(form.to_dense().sum(1), torch.ones(2).half(), rtol=1e-2, atol=0)


def test_a_layer_on_sampled_blocks_is_right_on_average():
    graph = random_graph(num_nodes=40, num_edges=500).to(dtype=torch.float64)
    torch.manual_seed(1)
    layer, x = GCN(3, 4, 1, 2, 0.0).double(), torch.randn(40, 3, dtype=torch.float64)
    sampler, seeds = BlockSampler(graph, [4], backend="numpy"), np.arange(40)
    with torch.no_grad():
        expected = layer(x, graph)
        draws = []
        for key in range(2000):
            blocks = sampler.blocks(seeds, [key])
            draws.append(layer(x[blocks[0].source_ids], blocks))
    found = torch.stack(draws)
    error = (found.mean(0) - expected) / (found.std(0) / 2000**0.5 + 1e-9)
    assert float(error.abs().max()) < 5


def test_a_block_moves_and_its_form_is_kept():
    block = BlockSampler(random_graph(), [2]).blocks(np.arange(5), [0])[0]
    form = block.graph.with_self_loops(1.0).normalized("sym")
    assert block.restrict(form) is block.restrict(block.graph.with_self_loops(1.0).normalized("sym"))
    assert block.to("cpu") is block
    assert repr(block).startswith("SampledBlock(")


def test_mistakes_are_named():
    graph = random_graph()
    rows = EnteringRows.of_graph(graph)
    with pytest.raises(ValueError, match=r"seed 120 is not among the nodes 0\.\.119"):
        draw(graph, [120], [1])
    with pytest.raises(ValueError, match="seed 7 is given twice"):
        draw(graph, [7, 3, 7], [1])
    with pytest.raises(ValueError, match=r"got \[3, -2\]"):
        draw(graph, [7], [3, -2])
    with pytest.raises(ValueError, match="backend must be one of"):
        NeighborSampler(rows, [1], backend="dgl")
    with pytest.raises(ValueError, match="require gradients"):
        BlockSampler(
            Adjacency.from_edge_index(torch.tensor([[0], [1]]), torch.ones(1, requires_grad=True), num_nodes=2),
            [1],
        )
    negative = Adjacency.from_edge_index(torch.tensor([[0], [1]]), torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(ValueError, match="non-negative"):
        BlockSampler(negative, [1]).blocks(np.array([1]), [0])[0].graph.normalized("sym")
    with pytest.raises(ValueError, match="must be finite, got nan"):
        BlockSampler(graph, [1]).blocks(np.array([1]), [0])[0].graph.with_self_loops(float("nan"))
    with pytest.raises(ValueError, match="edges that enter"):
        BlockSampler(graph, [1]).blocks(np.array([1]), [0])[0].graph.normalized("column")
