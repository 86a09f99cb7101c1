"""What every stack of layers does with the graph it is given."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Part
from gnnkit.graph.receptive_field import Block


def graphs_per_layer(
    edge_index: Adjacency | Part | Sequence[Block] | Tensor, num_layers: int
) -> Sequence[Adjacency | Part | Block | Tensor]:
    """The graph of every layer: one graph (or a process's part of it) for all, or one block each.

    Raises:
        TypeError: If it is neither a graph nor a list or tuple of blocks.
        ValueError: If there is not one block per layer.
    """
    if isinstance(edge_index, Adjacency | Part | Tensor):
        return [edge_index] * num_layers
    if not isinstance(edge_index, list | tuple):
        raise TypeError(
            "edge_index must be an Adjacency, a tensor of shape (2, num_edges), or a list of one Block per layer, "
            f"got {type(edge_index).__name__}"
        )
    if len(edge_index) != num_layers:
        raise ValueError(f"a model of {num_layers} layers takes one Block per layer, got {len(edge_index)}")
    return edge_index
