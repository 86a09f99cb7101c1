import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.data import split_links
from gnnkit.graph import Adjacency


def graph(num_nodes: int, pairs: set[tuple[int, int]], loops: bool = False) -> Adjacency:
    once = torch.tensor(sorted(pairs), dtype=torch.int64).view(-1, 2).t()
    weight = torch.rand(once.size(1), generator=torch.Generator().manual_seed(0)) + 0.5
    ends, weights = torch.cat([once, once.flip(0)], dim=1), weight.repeat(2)
    if loops:
        ends = torch.cat([ends, torch.zeros(2, 1, dtype=torch.int64)], dim=1)
        weights = torch.cat([weights, torch.ones(1)])
    return Adjacency.from_edge_index(ends, weights, num_nodes=num_nodes)


def as_set(pairs: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(pair) for pair in pairs.t().tolist()}


@given(st.integers(8, 14), st.integers(0, 1000), st.booleans(), st.data())
def test_parts_are_disjoint_and_complete(num_nodes, seed, loops, data):
    every = [(a, b) for a in range(num_nodes) for b in range(a + 1, num_nodes)]
    pairs = data.draw(st.sets(st.sampled_from(every), min_size=6, max_size=len(every) // 2))
    whole = graph(num_nodes, pairs, loops)
    split = split_links(whole, val=0.2, test=0.3, seed=seed)
    parts = [as_set(part) for part in (split.train, split.val, split.test)]
    assert set().union(*parts) == pairs
    assert sum(map(len, parts)) == len(pairs)
    assert [len(parts[1]), len(parts[2])] == [round(0.2 * len(pairs)), round(0.3 * len(pairs))]
    others = [as_set(split.val_other), as_set(split.test_other)]
    assert [len(each) for each in others] == [len(parts[1]), len(parts[2])]
    assert not others[0] & others[1]
    assert not (others[0] | others[1]) & pairs
    assert all(a < b for a, b in others[0] | others[1])
    # What a model sees: the training links both ways, as heavy as they were, and nothing else.
    kept = torch.zeros(num_nodes, num_nodes, dtype=torch.bool)
    kept[split.train[0], split.train[1]] = True
    assert torch.equal(split.graph.to_dense(), whole.to_dense() * (kept | kept.t()))


def test_the_seed_decides():
    ring = graph(40, {(i, i + 1) for i in range(39)})
    one, same, other = (split_links(ring, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.train, same.train)
    assert torch.equal(one.test_other, same.test_other)
    assert not torch.equal(one.train, other.train)


def test_pairs_that_are_no_links_are_drawn_evenly():
    ring, counts = graph(6, {(i, i + 1) for i in range(5)}), torch.zeros(6, 6)
    for seed in range(600):
        split = split_links(ring, val=0.2, test=0.2, seed=seed)
        for a, b in as_set(split.val_other) | as_set(split.test_other):
            counts[a, b] += 1
    found = counts[counts > 0]
    assert found.numel() == 10  # all of the 15 pairs but the 5 links
    assert float(((found - 120) ** 2 / 120).sum()) < 27.9  # chi-square, 9 degrees of freedom, p = .001


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        (lambda: Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3), {}, "without a direction"),
        (lambda: graph(3, {(0, 1), (1, 2)}), {}, "of 2 links leave a part without any"),
        (lambda: graph(9, {(i, i + 1) for i in range(8)}), {"val": 0.5, "test": 0.6}, "got 0.5 and 0.6"),
        (lambda: graph(4, {(a, b) for a in range(4) for b in range(a)} | set()), {"val": 0.2, "test": 0.2}, "0 pairs"),
    ],
)
def test_what_cannot_be_split(made, options, message):
    with pytest.raises(ValueError, match=message):
        split_links(made(), **options)
