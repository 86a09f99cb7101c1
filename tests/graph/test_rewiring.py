import torch

from gnnkit.graph import Adjacency
from gnnkit.graph.rewiring import degree_preserving_rewiring


def test_rewiring_keeps_degrees_and_loops():
    generator = torch.Generator().manual_seed(0)
    dense = (torch.rand(15, 15, generator=generator) < 0.25).float() * torch.rand(15, 15, generator=generator)
    graph = Adjacency.from_dense(dense)
    other = degree_preserving_rewiring(graph, seed=1)
    assert torch.equal(other.in_degree(), graph.in_degree())
    assert torch.equal(other.out_degree(), graph.out_degree())
    torch.testing.assert_close(other.out_degree(weighted=True), graph.out_degree(weighted=True))
    assert torch.equal(other.to_dense().diagonal(), dense.diagonal())
    kept = (other.to_dense() > 0) & (dense > 0)
    assert int(kept.sum()) < 0.6 * graph.num_edges
    assert torch.equal(degree_preserving_rewiring(graph, seed=1).to_dense(), other.to_dense())
    single = Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=2)
    assert torch.equal(degree_preserving_rewiring(single).to_dense(), single.to_dense())
