"""The forms a layer's arguments are taken to."""

import pytest
import torch

from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.inputs import as_features, as_graph, full_graph, propagate, propagate_transformed, transform

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


def star(leaves: int) -> Adjacency:
    edges = torch.stack([torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.int64)])
    weights = torch.linspace(0.5, 2, leaves, dtype=torch.float64)
    return Adjacency.from_edge_index(edges, weights, num_nodes=leaves + 1)


@pytest.mark.parametrize(
    ("channels", "cut", "width"),
    [((16, 6), True, 16), ((16, 6), False, 6), ((3, 40), False, 3), ((40, 3), True, 3), ((16, 16), False, 16)],
    ids=["few targets", "as many targets", "more channels out", "far fewer channels out", "as many channels"],
)
@pytest.mark.parametrize("stacked", [False, True])
def test_messages_pass_on_the_cheaper_side_of_the_weights(channels, cut, width, stacked, monkeypatch):
    graph = star(30)
    part = receptive_field(graph, [0], 1).blocks[0] if cut else graph
    in_channels, out_channels = channels
    x = torch.randn(*([2] if stacked else []), 31, in_channels, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(out_channels, in_channels, dtype=torch.float64, requires_grad=True)
    sent = []
    monkeypatch.setattr(
        "gnnkit.nn.inputs.propagate", lambda graph, full, x: (sent.append(x.shape[-1]), propagate(graph, full, x))[1]
    )
    found = propagate_transformed(part, graph, x, weight)
    dense = torch.zeros(31, 31, dtype=torch.float64)
    edge_index, edge_weight = graph.to_edge_index()
    dense[edge_index[1], edge_index[0]] = edge_weight
    expected = dense @ x @ weight.T
    expected = expected[..., :1, :] if cut else expected
    torch.testing.assert_close(found, expected)
    assert sent == [width]
    upstream = torch.randn_like(expected)
    ours = torch.autograd.grad(found, (x, weight), upstream)
    theirs = torch.autograd.grad(expected, (x, weight), upstream)
    torch.testing.assert_close(ours, theirs)


def test_either_order_names_mixed_dtypes():
    graph = star(4)
    for shape in ((2, 9), (9, 2)):
        with pytest.raises(TypeError, match=r"node features are torch.float32 and the layer's weights torch.float64"):
            propagate_transformed(graph, graph, torch.ones(5, shape[1]), torch.ones(shape, dtype=torch.float64))
