"""Graphs and their convolutions from the equations: dictionaries, loops, float64."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Entries = dict[tuple[int, int], float]


def entries(edges: Sequence[tuple[int, int]], weights: Sequence[float] | None = None) -> Entries:
    """The weight of every edge, repeated ones summed."""
    total: Entries = {}
    for position, edge in enumerate(edges):
        total[edge] = total.get(edge, 0.0) + (1.0 if weights is None else weights[position])
    return total


def dense(graph: Entries, num_nodes: int) -> Tensor:
    """The matrix whose entry [i, j] is the weight of i -> j."""
    matrix = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    for (source, target), weight in graph.items():
        matrix[source, target] = weight
    return matrix


def with_self_loops(graph: Entries, num_nodes: int, weight: float) -> Entries:
    """A + lambda I; a self-loop that exists keeps its weight."""
    return {(node, node): weight for node in range(num_nodes)} | graph


def normalized(graph: Entries, kind: str) -> Entries:
    """Symmetric (in-degrees at both ends), by what enters (row) or by what leaves (column); 0 where a degree is 0."""
    entering: dict[int, float] = {}
    leaving: dict[int, float] = {}
    for (source, target), weight in graph.items():
        entering[target] = entering.get(target, 0.0) + weight
        leaving[source] = leaving.get(source, 0.0) + weight
    result = {}
    for (source, target), weight in graph.items():
        if kind == "sym":
            divisor = math.sqrt(entering.get(source, 0.0)) * math.sqrt(entering[target])
        else:
            divisor = entering[target] if kind == "row" else leaving[source]
        result[source, target] = weight / divisor if divisor > 0 else 0.0
    return result


def propagate(graph: Entries, x: Tensor) -> Tensor:
    """out[t] = sum over s -> t of w_st x_s, on ``(N, F)``."""
    out = torch.zeros(x.shape, dtype=torch.float64)
    for (source, target), weight in graph.items():
        out[target] += weight * x[source].double()
    return out


def gcn(
    graph: Entries,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    self_loop_weight: float | None = 1.0,
    kind: str | None = "sym",
) -> Tensor:
    """Kipf & Welling's layer, ``(N, F) -> (N, C)``; ``weight`` is ``(C, F)``."""
    if self_loop_weight is not None:
        graph = with_self_loops(graph, x.size(0), self_loop_weight)
    if kind is not None:
        graph = normalized(graph, kind)
    hidden = torch.stack([weight.double() @ row for row in x.double()]) if len(x) else x.new_zeros(0, weight.size(0))
    out = propagate(graph, hidden)
    return out if bias is None else out + bias.double()


def hops_to(graph: Entries, targets: Sequence[int]) -> dict[int, int]:
    """Hop distance from every node that has a path to the nearest target, along the edges."""
    hops = dict.fromkeys(targets, 0)
    frontier = list(targets)
    while frontier:
        behind = [source for (source, target) in graph if target in frontier and source not in hops]
        for source in behind:
            hops[source] = hops[frontier[0]] + 1
        frontier = list(dict.fromkeys(behind))
    return hops
