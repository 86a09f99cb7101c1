"""The forms a layer's arguments are taken to."""

import pytest
import torch

from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.inputs import as_features, as_graph, full_graph, propagate, transform

EDGES = torch.tensor([[0, 1], [1, 2]])
GRAPH = Adjacency.from_edge_index(EDGES, num_nodes=3)
BLOCK = receptive_field(GRAPH, [2], 1).blocks[0]


def test_graphs_pass_and_edge_lists_become_graphs():
    assert as_graph(GRAPH, None, num_nodes=3, dtype=torch.float32) is GRAPH
    assert as_graph(BLOCK, None, num_nodes=2, dtype=torch.float32) is BLOCK
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        made = as_graph(EDGES, None, num_nodes=4, dtype=dtype)
        assert (made.num_nodes, made.dtype) == (4, dtype)
        assert made.to_edge_index()[1].tolist() == [1, 1]
    weighted = as_graph(EDGES, torch.tensor([2.0, 3.0]), num_nodes=3, dtype=torch.float32)
    assert weighted.to_edge_index()[1].tolist() == [2, 3]
    assert full_graph(GRAPH) is full_graph(BLOCK) is GRAPH


def test_each_call_reads_the_edge_list_anew():
    edges = EDGES.clone()
    before = as_graph(edges, None, num_nodes=3, dtype=torch.float32)
    edges[1] = 0
    after = as_graph(edges, None, num_nodes=3, dtype=torch.float32)
    assert before.to_edge_index()[0].tolist() == EDGES.tolist()
    assert after.to_edge_index()[0].tolist() == [[0, 1], [0, 0]]


def test_features_pass_or_become_a_sparse_matrix():
    x = torch.eye(3)
    assert as_features(x, 3) is x
    matrix = as_features(x.to_sparse(), 3)
    assert isinstance(matrix, SparseMatrix)
    assert as_features(matrix, 3) is matrix
    with pytest.raises(ValueError, match=r"in_channels=2, got \(3, 3\)"):
        as_features(matrix, 2)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 0, 4), (0, 3, 4)])
def test_transform_is_a_linear_layer(shape):
    x, weight = torch.randn(shape), torch.randn(5, 4)
    torch.testing.assert_close(transform(x, weight), x @ weight.T)
    if len(shape) == 2:
        torch.testing.assert_close(transform(SparseMatrix.from_tensor(x.to_sparse()), weight), x @ weight.T)


def test_transform_refuses_mixed_dtypes_but_autocast_settles_them():
    with pytest.raises(TypeError, match=r"features are torch.bfloat16 and the layer's weights torch.float32"):
        transform(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(4, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert transform(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(4, 3)).dtype == torch.bfloat16


def test_propagates_along_graphs_and_blocks_alike():
    x = torch.randn(2, 3, 4)
    full = GRAPH.with_self_loops().normalized()
    rows = propagate(BLOCK, full, x[:, BLOCK.source_ids])
    torch.testing.assert_close(rows, propagate(GRAPH, full, x)[:, BLOCK.target_ids])
