"""Bits that belong to nodes: the same whoever asks, uniform, and unlike from draw to draw."""

from __future__ import annotations

import pytest
import torch

from gnnkit.graph import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.dropout import dropout, keep_probability
from gnnkit.nn.gat import GATConv
from gnnkit.nn.row_draws import RowDraws, active_draws, drawing_by_row


def test_a_row_has_its_bits_wherever_it_lies() -> None:
    nodes = torch.randperm(5000)
    whole, part = RowDraws((7, 3), nodes), RowDraws((7, 3), nodes[100:130])
    for width in (1, 4, 30, 50_000):
        assert torch.equal(whole.of_rows(5000 if width < 100 else 130, width)[100:130], part.of_rows(30, width))
    target, source = torch.randint(30, (2, 200))
    assert torch.equal(whole.of_edges(target + 100, source + 100, 3), part.of_edges(target, source, 3))
    assert torch.equal(whole.of_entries(target + 100, source), part.of_entries(target, source))


def test_draws_differ_by_key_and_call() -> None:
    nodes = torch.arange(2000)
    draws = RowDraws((0, 1), nodes)
    rows = [draws.of_rows(2000, 8), draws.of_rows(2000, 8), RowDraws((1, 0), nodes).of_rows(2000, 8)]
    rows.append(RowDraws((0, 2), nodes).of_rows(2000, 8))
    for first in range(4):
        for second in range(first):
            same = float((rows[first] == rows[second]).float().mean())
            assert same < 1e-3  # by chance 2^-16


def test_bits_are_uniform_and_independent_of_their_neighbours() -> None:
    lanes = RowDraws((5,), torch.arange(40_000)).of_rows(40_000, 10).double() / 2**16
    counts = torch.histc(lanes, 64, -0.5, 0.5)
    expected = lanes.numel() / 64
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert 25 < chi_square < 120  # 63 degrees of freedom: 1e-5 either side
    correlation = torch.corrcoef(torch.cat([lanes, lanes.roll(1, 0)], dim=1).t())
    off_diagonal = correlation - torch.eye(20)
    assert float(off_diagonal.abs().max()) < 5 / 40_000**0.5


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_within_a_block_takes_them(p: float) -> None:
    x = torch.rand(50, 6) + 0.1
    with drawing_by_row(RowDraws((1,), torch.arange(50))):
        first = dropout(x, p)
    with drawing_by_row(RowDraws((1,), torch.arange(50))):
        assert torch.equal(dropout(x, p), first)
        batched = dropout(torch.stack([x, x]), p)
    assert active_draws() is None
    assert batched.shape == (2, 50, 6)
    kept = first != 0
    chance = keep_probability(p)
    torch.testing.assert_close(first[kept], x[kept] / chance if chance else x[kept])
    assert abs(float(kept.float().mean()) - chance) < 0.12
    sparse = SparseMatrix.from_tensor((x * (x > 0.6)).to_sparse_csr())
    with drawing_by_row(RowDraws((1,), torch.arange(50))):
        dropped = dropout(sparse, p)
    assert dropped.pattern is sparse.pattern


def test_attention_drops_an_edge_by_its_ends() -> None:
    graph = Adjacency.from_edge_index(torch.randint(20, (2, 80)), num_nodes=20)
    layer, x, order = GATConv(3, 4, heads=5, dropout=0.5), torch.randn(20, 3), torch.randperm(20)
    with drawing_by_row(RowDraws((1,), torch.arange(20))):
        expected = layer(x, graph)
    with drawing_by_row(RowDraws((1,), order)):
        found = layer(x[order], graph.subgraph(order))
    torch.testing.assert_close(found, expected[order])
