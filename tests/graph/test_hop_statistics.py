"""Eccentricity, diameter, histogram and average against the full matrix of distances."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.data import load_dataset
from gnnkit.graph import Adjacency, hop_statistics
from gnnkit.graph.hops import average_distance, diameter, eccentricity, hop_distance, hop_histogram
from tests.effort import at_least


@st.composite
def graphs(draw):
    num_nodes = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = rng.integers(0, num_nodes, (2, int(num_nodes * draw(st.sampled_from([0, 0.5, 1, 1.5, 3])))))
    if draw(st.booleans()):  # a path, so that some are connected
        path = rng.permutation(num_nodes)
        edges = np.concatenate([edges, [path[:-1], path[1:]]], axis=1)
    if draw(st.booleans()):
        edges = np.concatenate([edges, edges[::-1]], axis=1)
    return Adjacency.from_edge_index(torch.from_numpy(edges), num_nodes=num_nodes)


directions = st.sampled_from(["out", "in", "both"])


@pytest.mark.parametrize("patience", [1, 64])
@at_least(300)
@given(graph=graphs(), direction=directions, few=st.integers(0, 5))
def test_equal_to_the_matrix(patience, graph, direction, few):
    hops = hop_distance(graph, direction=direction).long()
    arguments = {"direction": direction, "disconnected": "reachable"}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_PATIENCE", "_PATIENCE_AFTER_SWEEPS"):  # 1: most of the work falls to blocks
            patch.setattr(hop_statistics, name, patience)
        assert diameter(graph, **arguments) == int(hops.max())
        assert torch.equal(eccentricity(graph, **arguments), hops.amax(dim=1))
        nodes = torch.arange(graph.num_nodes).flip(0)[:few].repeat(2)
        assert torch.equal(eccentricity(graph, nodes, **arguments), hops[nodes].amax(dim=1))
    assert torch.equal(hop_histogram(graph, **arguments), torch.bincount(hops[hops >= 0]))
    apart = hops[hops > 0].double()
    assert average_distance(graph, **arguments) == pytest.approx(float(apart.mean()) if apart.numel() else 0.0)
    if bool((hops >= 0).all()):
        assert diameter(graph, direction=direction) == int(hops.max())
        assert average_distance(graph, direction=direction) == pytest.approx(float(hops.sum()) / max(apart.numel(), 1))
    else:
        for function in (diameter, eccentricity, average_distance):
            with pytest.raises(ValueError, match=r"connected components, so some distances are infinite"):
                function(graph, direction=direction)


@at_least(100)
@given(graph=graphs(), direction=directions, max_hops=st.integers(0, 8), seed=st.integers(0, 99))
def test_histogram_of_some_sources_cut_off(graph, direction, max_hops, seed):
    sources = torch.from_numpy(np.random.default_rng(seed).integers(0, graph.num_nodes, seed))
    hops = hop_distance(graph, sources, max_hops=max_hops, direction=direction).long()
    counts = hop_histogram(graph, sources, max_hops=max_hops, direction=direction)
    assert torch.equal(counts, torch.bincount(hops[hops >= 0], minlength=1))


def test_a_long_path():
    nodes = torch.arange(3000)
    edges = torch.stack([nodes[:-1], nodes[1:]])
    graph = Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], 1), num_nodes=3000)
    assert diameter(graph) == 2999
    assert torch.equal(eccentricity(graph), torch.maximum(nodes, 2999 - nodes))
    assert hop_histogram(graph, [0, 1]).tolist() == [2, 3] + [2] * 2997 + [1]
    assert average_distance(graph) == pytest.approx(3001 / 3)


@pytest.mark.parametrize("directed", [False, True])
def test_a_larger_graph_equals_networkx(directed):
    other = nx.gnp_random_graph(700, 0.004, seed=2, directed=directed)
    parts = nx.strongly_connected_components(other) if directed else nx.connected_components(other)
    other = nx.convert_node_labels_to_integers(other.subgraph(max(parts, key=len)).copy())
    graph = Adjacency.from_networkx(other)
    assert diameter(graph) == nx.diameter(other)
    assert eccentricity(graph).tolist() == list(nx.eccentricity(other).values())
    assert average_distance(graph) == pytest.approx(nx.average_shortest_path_length(other))


def test_components_one_by_one():
    # a triangle, a path of 4 nodes, an isolated node, an isolated loop
    edges = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 6]])
    graph = Adjacency.from_edge_index(torch.cat([edges, edges.flip(0), torch.tensor([[8], [8]])], 1), num_nodes=9)
    assert eccentricity(graph, disconnected="reachable").tolist() == [1, 1, 1, 3, 2, 2, 3, 0, 0]
    assert diameter(graph, disconnected="reachable") == 3
    with pytest.raises(ValueError, match="the graph has 4 connected components"):
        diameter(graph)
    with pytest.raises(ValueError, match="the graph has 4 connected components"):
        hop_histogram(graph, disconnected="raise")


def test_mistakes_are_named():
    chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    empty = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=0)
    with pytest.raises(ValueError, match=r"3 strongly connected components.*direction=\"both\""):
        diameter(chain)
    assert diameter(chain, direction="both") == 2
    with pytest.raises(ValueError, match="disconnected must be 'raise' or 'reachable', got 'ignore'"):
        diameter(chain, disconnected="ignore")
    with pytest.raises(ValueError, match="a graph of 0 nodes has no diameter"):
        diameter(empty)
    with pytest.raises(ValueError, match="a graph of 0 nodes has no average distance"):
        average_distance(empty)
    with pytest.raises(ValueError, match="nodes holds 3"):
        eccentricity(chain, [3], disconnected="reachable")
    assert eccentricity(empty).tolist() == []
    assert hop_histogram(empty).tolist() == [0]


@pytest.mark.data
@pytest.mark.parametrize(("name", "longest"), [("cora", 19), ("pubmed", 18)])
def test_planetoid(data_root, name, longest):
    graph = load_dataset(name, root=data_root).adjacency
    assert diameter(graph, disconnected="reachable") == longest
    counts = hop_histogram(graph, disconnected="reachable")
    assert counts.numel() == longest + 1
    assert counts[:2].tolist() == [graph.num_nodes, graph.num_edges]
