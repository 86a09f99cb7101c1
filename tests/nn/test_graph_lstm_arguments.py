"""What GraphLSTM and GraphGRU are called with, and what they refuse."""

import pytest
import torch

from gnnkit.graph import Adjacency, receptive_field
from gnnkit.nn import GraphGRU, GraphLSTM


def test_an_edge_list_serves_as_graph():
    layer, x = GraphLSTM(2, 3), torch.rand(4, 3, 2)
    edge_index = torch.tensor([[0, 1], [1, 2]])
    graph = Adjacency.from_edge_index(edge_index, num_nodes=3)
    torch.testing.assert_close(layer(x, edge_index)[0], layer(x, graph)[0])


def test_what_is_refused():
    graph, x = Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=3), torch.rand(4, 3, 2)
    layer = GraphLSTM(2, 3)
    with pytest.raises(ValueError, match=r"operator must be one of gcn, chebyshev, diffusion, attention, got 'gat'"):
        GraphLSTM(2, 3, operator="gat")
    with pytest.raises(ValueError, match="K must be 0 hops or more, got -1"):
        GraphLSTM(2, 3, K=-1)
    with pytest.raises(ValueError, match="num_layers must be at least 1, got 0"):
        GraphGRU(2, 3, num_layers=0)
    with pytest.raises(ValueError, match=r"in_channels .* got 0"):
        GraphGRU(0, 3)
    with pytest.raises(ValueError, match="reset must be 'after' or 'before', got 'never'"):
        GraphGRU(2, 3, reset="never")
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1 step, got 0"):
        GraphGRU(2, 3, checkpoint_every=0)
    with pytest.raises(ValueError, match=r"got \(4, 3, 5\)"):
        layer(torch.rand(4, 3, 5), graph)
    with pytest.raises(ValueError, match="3 nodes but the features have 4 rows"):
        layer(torch.rand(4, 4, 2), graph)
    with pytest.raises(ValueError, match="a graph per step is 4 graphs, got 2"):
        layer(x, [graph, graph])
    with pytest.raises(TypeError, match="needs the whole graph, got a Block"):
        layer(x, receptive_field(graph, [0, 1, 2], 1).blocks[0])
    with pytest.raises(TypeError, match=r"float64 and the layer's weights torch\.float32"):
        layer(x.double(), graph)
    with pytest.raises(TypeError, match=r"x is torch\.float32 and the graph's weights torch\.float64"):
        layer(x, graph.to(dtype=torch.float64))
    with pytest.raises(TypeError, match=r"observed must be boolean, got torch\.float32"):
        layer(x, graph, observed=x)
    with pytest.raises(ValueError, match=r"present must have shape \(4, 3\), got \(3, 4\)"):
        layer(x, graph, present=torch.ones(3, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="make the layer with phased=True"):
        layer(x, graph, times=torch.arange(4.0))
    with pytest.raises(ValueError, match="pass times="):
        GraphLSTM(2, 3, phased=True)(x, graph)
    with pytest.raises(ValueError, match=r"times must have shape \(4,\) or \(4, 3\), got \(5,\)"):
        GraphLSTM(2, 3, phased=True)(x, graph, times=torch.arange(5.0))
    with pytest.raises(TypeError, match="the state is a LSTMState"):
        layer(x, graph, torch.zeros(1, 3, 3))
    with pytest.raises(ValueError, match=r"hidden must have shape \(1, 1, 3, 3\)"):
        layer(x, graph, (torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)))
    negative = Adjacency.from_edge_index(torch.tensor([[0], [1]]), torch.tensor([-2.0]), num_nodes=3)
    for operator in ("gcn", "chebyshev", "diffusion"):
        with pytest.raises(ValueError, match="smallest is -2"):
            GraphLSTM(2, 3, operator=operator)(x, negative)
