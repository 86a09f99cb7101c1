"""The same degrees, other neighbours: a graph whose edges carry nothing but how many there are at each node.

Reference: Maslov & Sneppen, "Specificity and Stability in Topology of Protein Networks", Science 296 (2002): two
edges a-b and c-d become a-d and c-b unless that makes a self-loop or an edge that is there already.
"""

from __future__ import annotations

import random

import torch

from gnnkit.graph.adjacency import Adjacency


def degree_preserving_rewiring(graph: Adjacency, *, seed: int = 0, swaps_per_edge: int = 10) -> Adjacency:
    """The graph after many random swaps of two edges' ends; every node keeps its in- and its out-degree.

    A symmetric graph stays symmetric. Self-loops stay where they are; weights travel with their edges, so
    weighted degrees change.

    Args:
        graph: Any graph.
        seed: Of the swaps: the same seed gives the same graph.
        swaps_per_edge: How many swaps to try for each edge; 10 leave next to nothing of the old neighbours.

    Raises:
        ValueError: If ``swaps_per_edge`` is negative.

    Example:
        >>> ring = Adjacency.from_edge_index(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), num_nodes=4)
        >>> rewired = degree_preserving_rewiring(ring, seed=1)
        >>> rewired.in_degree().tolist(), rewired.out_degree().tolist()
        ([1, 1, 1, 1], [1, 1, 1, 1])
    """
    if swaps_per_edge < 0:
        raise ValueError(f"swaps_per_edge must be 0 or more, got {swaps_per_edge}")
    edge_index, weight = graph.to_edge_index()
    undirected = graph.is_symmetric
    source, target = edge_index.cpu()
    moved = source < target if undirected else source != target
    kept = source == target
    tails, heads = source[moved].tolist(), target[moved].tolist()
    _swap(tails, heads, random.Random(seed), swaps_per_edge * len(tails), undirected)
    ends = torch.tensor([tails, heads], dtype=torch.int64).view(2, -1)
    weight = weight.detach()
    weights = weight[moved.to(weight.device)]
    if undirected:
        ends, weights = torch.cat([ends, ends.flip(0)], dim=1), torch.cat([weights, weights])
    ends = torch.cat([ends.to(graph.device), edge_index[:, kept.to(graph.device)]], dim=1)
    weights = torch.cat([weights, weight[kept.to(weight.device)]])
    return Adjacency.from_edge_index(ends, weights, num_nodes=graph.num_nodes, coalesce="error")


def _swap(tails: list[int], heads: list[int], draw: random.Random, attempts: int, undirected: bool) -> None:
    count = len(tails)
    if count < 2:
        return

    def key(a: int, b: int) -> tuple[int, int]:
        return (b, a) if undirected and b < a else (a, b)

    present = {key(*ends) for ends in zip(tails, heads, strict=True)}
    for _ in range(attempts):
        first, second = int(draw.random() * count), int(draw.random() * count)
        a, b, c, d = tails[first], heads[first], tails[second], heads[second]
        if undirected and draw.random() < 0.5:
            c, d = d, c  # an undirected edge has no direction to be swapped along
        new, other = key(a, d), key(c, b)
        if a == d or c == b or new == other or new in present or other in present:
            continue
        present -= {key(a, b), key(c, d)}
        present |= {new, other}
        tails[first], heads[first], tails[second], heads[second] = a, d, c, b
