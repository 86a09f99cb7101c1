"""A stack of graph convolutions.

Reference: Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
ICLR 2017, https://arxiv.org/abs/1609.02907, eq. 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Part
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models.stack import graphs_per_layer
from gnnkit.nn.dropout import checked_probability, dropout
from gnnkit.nn.gcn import GCNConv
from gnnkit.nn.inputs import as_features


class GCN(nn.Module):
    """Graph convolutions with ReLU between and dropout before each, as in the paper.

    The arguments' order is that of ``torch_geometric.nn.models.GCN``, and the ``state_dict`` is its.

    Args:
        in_channels: Features per node.
        hidden_channels: Width of every layer but the last.
        num_layers: How many; each one lets a node see one hop further.
        out_channels: Classes, or whatever comes out.
        dropout: Probability of dropping a number that goes into a layer, while training.
        conv: Further arguments of every :class:`~gnnkit.nn.GCNConv`, such as ``self_loop_weight``.
    """

    takes_blocks: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = False  # whether a layer looks at what `enter` gave

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int,
        dropout: float = 0.5,
        **conv: Any,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be 1 or more, got {num_layers}")
        self.in_channels, self.out_channels, self.num_layers = in_channels, out_channels, num_layers
        self.dropout = checked_probability(dropout)
        widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        self.convs = nn.ModuleList(GCNConv(*pair, **conv) for pair in pairwise(widths))

    def reset_parameters(self) -> None:
        """Draw every layer's weights anew."""
        for conv in self._convs():
            conv.reset_parameters()

    def _convs(self) -> list[GCNConv]:
        return cast("list[GCNConv]", list(self.convs))

    def forward(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Adjacency | Part | Sequence[Block] | Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Logits ``(*, N, out_channels)``; with one ``Block`` per layer, the rows of the last one's targets."""
        return self.leave(self.layers(x, edge_index, edge_weight)[-1])

    def layers(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Adjacency | Part | Sequence[Block] | Tensor,
        edge_weight: Tensor | None = None,
    ) -> list[Tensor]:
        """What comes out of every layer, after ReLU for all but the last."""
        graphs = graphs_per_layer(edge_index, self.num_layers)
        hidden = initial = self.enter(x)
        outputs: list[Tensor] = []
        for layer, graph in enumerate(graphs):
            hidden = self.layer(layer, hidden, initial, graph, edge_weight)
            outputs.append(hidden)
        return outputs

    def enter(self, x: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
        """What the first layer is given of a node's features: they themselves."""
        return as_features(x, self.in_channels)  # sparse tensors in the form that dropout draws few numbers for

    def layer(
        self,
        layer: int,
        hidden: Tensor | SparseMatrix,
        initial: Tensor | SparseMatrix,
        graph: Adjacency | Part | Block | Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """What comes out of one layer; ``initial`` is what `enter` gave, which no layer of this model looks at."""
        out: Tensor = self._convs()[layer](dropout(hidden, self.dropout, self.training), graph, edge_weight)
        return out if layer == self.num_layers - 1 else out.relu()

    def leave(self, hidden: Tensor) -> Tensor:
        """The logits of what the last layer gave: it itself."""
        return hidden

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Parameters for the optimiser: the first layer decays, as in the paper's experiments."""
        first, rest = self.convs[0], self.convs[1:]
        return [
            {"params": list(first.parameters()), "weight_decay": weight_decay},
            {"params": list(rest.parameters()), "weight_decay": 0.0},
        ]
