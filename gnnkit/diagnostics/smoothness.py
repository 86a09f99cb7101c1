"""How alike neighbours become, layer by layer: the Dirichlet energy of node features.

References: Cai & Wang, "A Note on Over-Smoothing for Graph Neural Networks", 2020,
https://arxiv.org/abs/2006.13318, definition 3.1; Rusch, Bronstein & Mishra, "A Survey on Oversmoothing
in Graph Neural Networks", 2023, https://arxiv.org/abs/2303.10993.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.validation import check_graph
from gnnkit.nn.inputs import as_features

# Edges, and columns of sparse features, that are looked at together.
_EDGES, _COLUMNS = 1 << 14, 256


@dataclass(frozen=True)
class Smoothness:
    """Dirichlet energy per layer; entry 0 is that of the input features.

    Attributes:
        energy: E(X) of what comes out of every layer.
        relative: E(X) / ||X||^2, between 0, all equal up to their degrees, and 2; 0 where X is 0.
    """

    energy: tuple[float, ...]
    relative: tuple[float, ...]


def dirichlet_energy(x: Tensor | SparseMatrix, graph: Adjacency) -> tuple[float, float]:
    r"""How much features differ along edges, and that relative to their size.

    .. math::
        E(X) = \frac12 \sum_{i, j} w_{ij} \left\| \frac{x_i}{\sqrt{1 + d_i}} - \frac{x_j}{\sqrt{1 + d_j}}
        \right\|^2 = \mathrm{tr}(X^\top (I - \hat A) X)

    with :math:`\hat A` Kipf & Welling's normalised adjacency with self-loops: definition 3.1 of Cai &
    Wang. A directed graph counts as undirected, each edge half in either direction. Computed in
    float64 from the differences, so that tiny energies of smooth features are not lost to rounding.

    Args:
        x: Node features, dense or sparse.
        graph: Whose neighbours are compared; its weights w count, its self-loops are left out.

    Shapes:
        - **x:** :math:`(|\mathcal{V}|, F)`

    Returns:
        :math:`E(X)`, and :math:`E(X) / \|X\|_F^2`, which lies between 0 and 2 and does not change when
        the features are scaled; 0 where all features are 0.

    Raises:
        ValueError: If there is not one row per node, or a weight is negative.

    Example:
        >>> pair = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> energy, relative = dirichlet_energy(torch.tensor([[1.0], [-1.0]]), pair)
        >>> round(energy, 9), round(relative, 9)
        (2.0, 1.0)
        >>> dirichlet_energy(torch.tensor([[3.0], [3.0]]), pair)
        (0.0, 0.0)
    """
    check_graph(graph)
    if not isinstance(x, SparseMatrix):
        if x.dim() != 2:
            raise ValueError(f"features must have shape ({graph.num_nodes}, F), got {tuple(x.shape)}")
        x = as_features(x, x.size(1))
    if x.shape[0] != graph.num_nodes:
        raise ValueError(f"the graph has {graph.num_nodes} nodes but the features have {x.shape[0]} rows")
    if graph.has_negative_weights:
        raise ValueError("the Dirichlet energy needs non-negative weights; take their absolute value first")
    with torch.no_grad():
        (source, target), weight = graph.to_edge_index()
        proper = source != target
        source, target, weight = source[proper], target[proper], weight[proper].double()
        degree = torch.ones(graph.num_nodes, dtype=torch.float64, device=graph.device)
        degree.index_add_(0, source, weight / 2).index_add_(0, target, weight / 2)
        energy = norm = 0.0
        for columns in _dense_columns(x):
            norm += float(columns.square().sum())
            scaled = columns * degree.rsqrt().unsqueeze(1)
            for start in range(0, source.numel(), _EDGES):
                edges = slice(start, start + _EDGES)
                difference = scaled[source[edges]] - scaled[target[edges]]
                energy += float(weight[edges] @ difference.square().sum(1)) / 2
    return energy, energy / norm if norm > 0 else 0.0


def _dense_columns(x: Tensor | SparseMatrix) -> Iterator[Tensor]:
    """The features in float64; sparse ones some columns at a time, never as one dense matrix."""
    if isinstance(x, Tensor):
        yield x.double()
        return
    wide = x.with_values(x.values.double())
    for start in range(0, x.shape[1], _COLUMNS):
        width = min(_COLUMNS, x.shape[1] - start)
        chosen = torch.zeros(x.shape[1], width, dtype=torch.float64, device=x.values.device)
        chosen[start : start + width].fill_diagonal_(1.0)
        yield wide.matmul(chosen)


def smoothness(model: nn.Module, x: Tensor | SparseMatrix, graph: Adjacency) -> Smoothness:
    """Dirichlet energy of a model's input and of what comes out of each of its layers, without dropout.

    Args:
        model: One of ``gnnkit.models``, or any with a method ``layers(x, graph)``.
        x: Node features, ``(N, F)``.
        graph: The graph the model runs on.

    Raises:
        TypeError: If the model has no method ``layers``.
        ValueError: As for :func:`dirichlet_energy`.
    """
    layers = getattr(model, "layers", None)
    if not callable(layers):
        raise TypeError(f"{type(model).__name__} has no method layers(x, graph) that gives every layer's output")
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            outputs: list[Tensor | SparseMatrix] = [x, *layers(x, graph)]
    finally:
        model.train(was_training)
    pairs = [dirichlet_energy(output, graph) for output in outputs]
    return Smoothness(tuple(energy for energy, _ in pairs), tuple(share for _, share in pairs))
