"""Which links train, validate and test, and as many pairs that are no links to score beside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import checked_seed


@dataclass(frozen=True)
class LinkSplit:
    """The links of an undirected graph in three parts.

    Attributes:
        graph: The training links alone, both ways, with their weights: all that a model may see.
        train: Training links, smaller id first, ``(2, P)``.
        val: Validation links.
        val_other: As many pairs of nodes that no link joins.
        test: Test links.
        test_other: As many other pairs that no link joins.
    """

    graph: Adjacency
    train: Tensor
    val: Tensor
    val_other: Tensor
    test: Tensor
    test_other: Tensor


def split_links(graph: Adjacency, *, val: float = 0.05, test: float = 0.1, seed: int = 0) -> LinkSplit:
    """Hold out links, by default 5 % to validate and 10 % to test, as Kipf & Welling, 2016 (arXiv 1611.07308).

    Self-loops are left out: a node is no news to itself. The pairs that are no links are no links of any part.

    Args:
        graph: Undirected.
        val: Share of the links that validate.
        test: Share of the links that test.
        seed: Which draw.

    Raises:
        TypeError: If it is no graph.
        ValueError: If the graph has a direction, a part would be empty, or too few pairs are free.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> graph = Adjacency.from_edge_index(torch.cat([ring, ring.flip(0)], dim=1), num_nodes=6)
        >>> parts = split_links(graph, val=0.2, test=0.3)
        >>> parts.train.shape, parts.val.shape, parts.test.shape
        (torch.Size([2, 3]), torch.Size([2, 1]), torch.Size([2, 2]))
    """
    if not (val > 0 and test > 0 and val + test < 1):
        raise ValueError(f"val and test must be shares that leave links to train on, got {val} and {test}")
    if not isinstance(graph, Adjacency):
        raise TypeError(f"graph must be an Adjacency, got {type(graph).__name__!r}; see Adjacency.from_edge_index")
    if not graph.is_symmetric:
        raise ValueError(
            f"links are split as pairs without a direction, and in {graph} not every edge has a reverse that weighs "
            "the same; read it as undirected, or add each edge's reverse"
        )
    edge_index, weight = graph.to_edge_index()
    once = edge_index[0] < edge_index[1]
    pairs, weight = edge_index[:, once], weight[once]
    count = pairs.size(1)
    sizes = round(val * count), round(test * count)
    if min(*sizes, count - sum(sizes)) < 1:
        raise ValueError(
            f"shares of {val} and {test} of {count} links leave a part without any; "
            "take a graph of more links, or other shares"
        )
    generator = torch.Generator().manual_seed(checked_seed(seed))
    order = torch.randperm(count, generator=generator)
    tested, validated, trained = torch.split(order, [sizes[1], sizes[0], count - sum(sizes)])
    free = _free_pairs(pairs, graph.num_nodes, sum(sizes), generator)
    train = pairs[:, trained]
    both = torch.cat([train, train.flip(0)], dim=1)
    return LinkSplit(
        Adjacency.from_edge_index(both, weight[trained].repeat(2), num_nodes=graph.num_nodes),
        train,
        pairs[:, validated],
        free[:, : sizes[0]],
        pairs[:, tested],
        free[:, sizes[0] :],
    )


def _free_pairs(pairs: Tensor, num_nodes: int, count: int, generator: torch.Generator) -> Tensor:
    """Different pairs of nodes, smaller id first, that are none of ``pairs``, in random order."""
    possible = num_nodes * (num_nodes - 1) // 2 - pairs.size(1)
    if possible < count:
        raise ValueError(f"of {num_nodes} nodes only {possible} pairs are no links, and {count} are to be held out")
    taken = pairs[0] * num_nodes + pairs[1]
    found = torch.empty(0, dtype=torch.int64)
    while found.numel() < count:
        drawn = torch.randint(num_nodes, (2, 2 * (count - found.numel()) + 16), generator=generator)
        low, high = drawn.amin(0), drawn.amax(0)
        keys = (low * num_nodes + high)[low < high]
        keys = keys[~torch.isin(keys, taken)]
        every = torch.cat([found, keys])
        # The first of each, in the order drawn: those of unique's own order would have small ids.
        values, inverse = torch.unique(every, return_inverse=True)
        first = torch.full_like(values, every.numel()).scatter_reduce_(0, inverse, torch.arange(every.numel()), "amin")
        found = every[first.sort().values]
    found = found[:count]
    return torch.stack([found // num_nodes, found % num_nodes])
