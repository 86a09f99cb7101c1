import networkx as nx
import numpy as np
import pytest
import torch

from gnnkit.data import load_dataset
from gnnkit.graph import Adjacency, average_distance
from gnnkit.graph.hyper_anf import _first_sketches, estimates
from gnnkit.graph.neighborhood import NeighborhoodFunction, neighborhood_function, sketch_error


def graph_of(nx_graph):
    return Adjacency.from_networkx(nx_graph)


GRAPHS = {
    "path": nx.path_graph(30),
    "directed, two parts": nx.DiGraph([(0, 1), (1, 2), (2, 0), (3, 2), (4, 5)]),
    "random": nx.gnp_random_graph(200, 0.02, seed=1),
    "a hub of many": nx.star_graph(150),
    "no edges": nx.empty_graph(4),
    "self-loops": nx.Graph([(0, 0), (0, 1)]),
}


def pairs_by_networkx(graph, max_hops=None):
    counts = {}
    for _, hops in nx.all_pairs_shortest_path_length(graph, cutoff=max_hops):
        for hop in hops.values():
            counts[hop] = counts.get(hop, 0) + 1
    return list(np.cumsum([counts[hop] for hop in sorted(counts)]))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("max_hops", [None, 0, 2])
def test_exact_counts_equal_networkx(name, max_hops):
    found = neighborhood_function(graph_of(GRAPHS[name]), max_hops=max_hops)
    assert list(found.pairs) == pairs_by_networkx(GRAPHS[name], max_hops)
    assert found.complete == (list(found.pairs)[-1] == pairs_by_networkx(GRAPHS[name])[-1])
    assert found.standard_error == 0
    assert sum(found.histogram) == found.pairs[-1]


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_estimates_lie_within_their_error_and_stop_where_the_count_does(name, direction):
    graph = graph_of(GRAPHS[name])
    exact = neighborhood_function(graph, direction=direction)
    found = neighborhood_function(graph, direction=direction, lg_registers=14)
    assert len(found.pairs) == len(exact.pairs)
    assert found.complete
    np.testing.assert_allclose(found.pairs, exact.pairs, rtol=3 * sketch_error(14))
    cut = neighborhood_function(graph, direction=direction, lg_registers=14, max_hops=1)
    assert list(cut.pairs) == list(found.pairs[:2])
    assert cut.complete == (len(exact.pairs) <= 2)


def test_sketches_have_the_error_they_state_and_no_bias():
    """Over seeds, from a few things to many: the mean is right and the spread is no more than stated."""
    for seen in (3, 60, 700, 5000):
        found = np.concatenate([estimates(_first_sketches(seen, 6, seed).max(axis=0)[None]) for seed in range(150)])
        assert abs(found.mean() / seen - 1) < 4 * sketch_error(6) / 150**0.5
        assert found.std() / seen < 1.25 * sketch_error(6)


def test_an_empty_sketch_has_seen_nothing():
    assert estimates(np.zeros((2, 16), dtype=np.uint8)).tolist() == [0, 0]


def test_large_rows_are_joined_in_pieces(monkeypatch):
    monkeypatch.setattr("gnnkit.graph.hyper_anf._BLOCK_BYTES", 100)
    graph = graph_of(nx.disjoint_union(nx.star_graph(120), nx.gnp_random_graph(40, 0.2, seed=0)))
    in_pieces = neighborhood_function(graph, lg_registers=5, seed=3)
    monkeypatch.undo()
    assert in_pieces == neighborhood_function(graph, lg_registers=5, seed=3)
    assert in_pieces != neighborhood_function(graph, lg_registers=5, seed=4)


def test_summaries_of_a_path_by_hand():
    found = NeighborhoodFunction((4, 10, 14, 16), 0.0, True)  # 0 - 1 - 2 - 3
    assert found.histogram == (4, 6, 4, 2)
    assert found.average_distance == pytest.approx((6 + 8 + 6) / 12)
    assert found.average_distance == pytest.approx(average_distance(graph_of(nx.path_graph(4))))
    assert found.effective_diameter(0.9) == pytest.approx(2 + (14.4 - 14) / 2)
    assert found.effective_diameter(1.0) == 3
    assert found.effective_diameter(0.25) == 0
    assert found.average_distance_range() == pytest.approx((found.average_distance,) * 2)
    assert found.effective_diameter_range() == pytest.approx((found.effective_diameter(),) * 2)


@pytest.mark.parametrize("seed", range(5))
def test_ranges_hold_the_true_values(seed):
    graph = graph_of(nx.connected_watts_strogatz_graph(300, 4, 0.2, seed=seed))
    exact, found = neighborhood_function(graph), neighborhood_function(graph, lg_registers=8, seed=seed)
    low, high = found.average_distance_range(3)
    assert low < exact.average_distance < high
    low, high = found.effective_diameter_range(0.9, 3)
    assert low < exact.effective_diameter() <= high


def test_graphs_without_edges_or_nodes():
    empty = neighborhood_function(Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=0))
    assert empty.pairs == empty.histogram == ()
    assert empty.num_nodes == 0
    assert np.isnan(empty.effective_diameter())
    alone = neighborhood_function(Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=3))
    assert alone.pairs == (3,)
    assert alone.average_distance == alone.effective_diameter() == 0


@pytest.mark.parametrize("lg_registers", [3, 17, 8.0, True])
def test_lg_registers_out_of_range(lg_registers):
    with pytest.raises(ValueError, match=f"from 4 to 16, got {lg_registers}"):
        neighborhood_function(graph_of(nx.path_graph(3)), lg_registers=lg_registers)


def test_other_arguments_out_of_range():
    with pytest.raises(ValueError, match="got -1"):
        neighborhood_function(graph_of(nx.path_graph(3)), max_hops=-1)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        neighborhood_function(graph_of(nx.path_graph(3))).effective_diameter(1.5)
    with pytest.raises(TypeError, match="ndarray"):
        neighborhood_function(np.eye(3))


@pytest.mark.data
def test_pubmed_within_the_stated_error(data_root):
    graph = load_dataset("pubmed", data_root).adjacency
    exact, found = neighborhood_function(graph), neighborhood_function(graph, lg_registers=10)
    np.testing.assert_allclose(found.pairs, exact.pairs[: len(found.pairs)], rtol=2 * found.standard_error)
    assert exact.pairs[-1] <= exact.pairs[len(found.pairs) - 1] * (1 + 1e-4)  # the few farthest pairs may go unseen
    assert found.average_distance == pytest.approx(exact.average_distance, rel=0.02)
    assert found.effective_diameter() == pytest.approx(exact.effective_diameter(), rel=0.02)
