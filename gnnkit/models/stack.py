"""What every stack of layers does with the graph it is given."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import Block


def graphs_per_layer(
    edge_index: Adjacency | Sequence[Block] | Tensor, num_layers: int
) -> Sequence[Adjacency | Block | Tensor]:
    """The graph of every layer: one graph for all, or one block each.

    Raises:
        ValueError: If there is not one block per layer.
    """
    if isinstance(edge_index, Adjacency | Tensor):
        return [edge_index] * num_layers
    if len(edge_index) != num_layers:
        raise ValueError(f"a model of {num_layers} layers takes one Block per layer, got {len(edge_index)}")
    return edge_index
