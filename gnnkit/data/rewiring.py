"""Graphs with the same degrees and other neighbours: what a model owes to the edges themselves."""

from __future__ import annotations

import torch

from gnnkit.graph.adjacency import Adjacency

_SWAPS_PER_EDGE = 20


def rewired(graph: Adjacency, seed: int = 0) -> Adjacency:
    """Swap the targets of random pairs of edges, many times over; self-loops stay.

    Every node keeps how many edges enter and leave it; weights stay with their sources. No edge is made
    twice and none becomes a self-loop, so a graph that allows no swap comes back as it was.

    Reference: Maslov & Sneppen, "Specificity and Stability in Topology of Protein Networks", Science 2002.
    """
    edge_index, weight = graph.to_edge_index()
    source, target = edge_index[0].tolist(), edge_index[1].tolist()
    taken = set(zip(source, target, strict=True))
    movable = [edge for edge, (s, t) in enumerate(zip(source, target, strict=True)) if s != t]
    generator = torch.Generator().manual_seed(seed)
    if len(movable) > 1:
        pairs = torch.randint(len(movable), (_SWAPS_PER_EDGE * len(movable), 2), generator=generator).tolist()
        for first, second in pairs:
            a, b = movable[first], movable[second]
            new = (source[a], target[b]), (source[b], target[a])
            if any(s == t or (s, t) in taken for s, t in new):
                continue
            taken -= {(source[a], target[a]), (source[b], target[b])}
            taken |= set(new)
            target[a], target[b] = target[b], target[a]
    moved = torch.tensor([source, target], dtype=torch.long, device=graph.device).view(2, -1)
    return Adjacency.from_edge_index(moved, weight, num_nodes=graph.num_nodes)
