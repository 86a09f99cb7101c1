"""Awkward graphs that every graph operation meets, and random ones for hypothesis."""

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from gnnkit.graph import Adjacency
from tests.reference import dense as reference


class Case(NamedTuple):
    """A graph as a list of edges."""

    num_nodes: int
    edges: list[tuple[int, int]]
    weights: list[float] | None = None

    @property
    def edge_index(self) -> Tensor:
        return torch.tensor(self.edges, dtype=torch.long).view(-1, 2).t()

    @property
    def edge_weight(self) -> Tensor | None:
        return None if self.weights is None else torch.tensor(self.weights, dtype=torch.float64)

    @property
    def entries(self) -> reference.Entries:
        return reference.entries(self.edges, self.weights)

    def dense(self) -> Tensor:
        return reference.dense(self.entries, self.num_nodes)

    def adjacency(self, dtype: torch.dtype = torch.float64) -> Adjacency:
        weight = self.edge_weight if self.weights is not None else torch.ones(len(self.edges))
        return Adjacency.from_edge_index(self.edge_index, weight.to(dtype), num_nodes=self.num_nodes)


GRAPHS = {
    "no nodes": Case(0, []),
    "one node": Case(1, []),
    "one node with a self-loop": Case(1, [(0, 0)], [2.5]),
    "no edges": Case(4, []),
    "a self-loop already": Case(3, [(0, 0), (0, 1), (1, 0)]),
    "weighted self-loops": Case(4, [(0, 0), (0, 1), (2, 2), (1, 3)], [0.25, 1.5, 3.0, 0.7]),
    "a self-loop of weight 0": Case(3, [(0, 0), (0, 1), (1, 2)], [0.0, 1.5, 3.0]),
    "isolated last node": Case(4, [(0, 1), (1, 0), (1, 2), (2, 1)]),
    "directed": Case(4, [(0, 1), (0, 2), (1, 2), (3, 0)]),
    "directed, weighted, unsorted": Case(5, [(4, 0), (1, 3), (0, 2), (3, 1), (2, 2)], [0.1, 2.0, 0.7, 5.0, 1.3]),
    "duplicates": Case(3, [(0, 1), (0, 1), (1, 2), (0, 1), (2, 2), (2, 2)], [1.0, 2.0, 0.5, 0.25, 1.0, 4.0]),
    "disconnected": Case(6, [(0, 1), (1, 0), (3, 4), (4, 3), (4, 5), (5, 4)]),
    "undirected, weighted": Case(4, [(0, 1), (1, 0), (1, 2), (2, 1), (3, 0), (0, 3)], [0.3, 0.3, 2.0, 2.0, 0.9, 0.9]),
    "both ways, unequal weights": Case(3, [(0, 1), (1, 0), (1, 2), (2, 1)], [1.0, 2.0, 3.0, 4.0]),
    "all edges": Case(3, [(i, j) for i in range(3) for j in range(3)], [0.5, 1, 2, 3, 4, 5, 6, 7, 8]),
    "a star, inwards": Case(6, [(i, 0) for i in range(1, 6)]),
    "weights of 0": Case(3, [(0, 1), (1, 2), (2, 0)], [0.0, 1.0, 0.0]),
}


@st.composite
def cases(draw: st.DrawFn, *, min_nodes: int = 0, max_nodes: int = 7, weighted: bool = True) -> Case:
    """Directed graphs with self-loops, duplicates, isolated nodes and weights of 0."""
    num_nodes = draw(st.integers(min_nodes, max_nodes))
    node = st.integers(0, max(num_nodes - 1, 0))
    edges = draw(st.lists(st.tuples(node, node), max_size=3 * num_nodes))
    numbers = st.just(0.0) | st.floats(2**-10, 2**10, width=32)
    weights = draw(st.lists(numbers, min_size=len(edges), max_size=len(edges))) if weighted else None
    return Case(num_nodes, edges, weights)


def random_case(num_nodes: int, num_edges: int, seed: int = 0) -> Case:
    """A directed, weighted graph with self-loops and duplicates left to chance."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(num_nodes, (num_edges, 2), generator=generator)
    weights = torch.rand(num_edges, generator=generator, dtype=torch.float64) + 0.1
    return Case(num_nodes, [(int(s), int(t)) for s, t in edges], weights.tolist())
