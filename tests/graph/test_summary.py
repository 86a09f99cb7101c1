"""The summary of a graph against networkx on random graphs."""

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.summary import edge_homophily, summarize
from tests.effort import at_least


@at_least(100)
@given(st.integers(1, 8), st.data())
def test_summary_equals_networkx(num_nodes, data):
    node = st.integers(0, num_nodes - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=16, unique=True))
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=num_nodes, max_size=num_nodes))
    reference = nx.DiGraph()
    reference.add_nodes_from(range(num_nodes))
    reference.add_edges_from(edges)
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    weight = torch.tensor(
        data.draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=len(edges), max_size=len(edges)))
    )
    summary = summarize(Adjacency.from_edge_index(edge_index, weight, num_nodes=num_nodes), torch.tensor(labels))
    weak = list(nx.weakly_connected_components(reference))
    assert summary.num_edges == len(edges)
    assert summary.num_weak_components == len(weak)
    assert summary.largest_component == max(map(len, weak))
    assert summary.num_strong_components == nx.number_strongly_connected_components(reference)
    assert summary.num_self_loops == nx.number_of_selfloops(reference)
    assert summary.num_isolated_nodes == sum(
        not (set(reference.predecessors(v)) | set(reference.successors(v))) - {v} for v in reference
    )
    degrees = [degree for _, degree in reference.in_degree()]
    assert summary.in_degree == (min(degrees), sum(degrees) / num_nodes, max(degrees))
    counted = [(s, t) for s, t in edges if s != t and labels[s] >= 0 and labels[t] >= 0]
    expected = sum(labels[s] == labels[t] for s, t in counted) / len(counted) if counted else None
    assert summary.edge_homophily == expected


def test_summary_of_no_nodes():
    summary = summarize(Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=0))
    assert summary.num_weak_components == summary.largest_component == summary.out_degree.max == 0


def test_homophily_needs_one_label_per_node():
    graph = Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=2)
    with pytest.raises(ValueError, match=r"shape \(2,\), one class per node, got \(3,\)"):
        edge_homophily(graph, torch.zeros(3, dtype=torch.long))
