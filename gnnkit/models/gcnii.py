"""GCNII: a deep stack of convolutions that each hear of the first layer again.

Reference: Chen et al., "Simple and Deep Graph Convolutional Networks", ICML 2020,
https://arxiv.org/abs/2007.02133, section 3 and table 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Part
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models.stack import graphs_per_layer
from gnnkit.nn.dropout import checked_probability, dropout
from gnnkit.nn.gcn2 import GCN2Conv
from gnnkit.nn.inputs import as_features, check_channels, transform


class GCNII(nn.Module):
    """A linear layer, ``num_layers`` convolutions, a linear layer; ReLU between and dropout before each.

    The defaults are the paper's for Cora (with ``hidden_channels=64``, ``num_layers=64``).

    Args:
        in_channels: Features per node.
        hidden_channels: Width of all layers between.
        num_layers: How many convolutions; each one lets a node see one hop further.
        out_channels: Classes, or whatever comes out.
        dropout: Probability of dropping a number that goes into a layer, while training.
        alpha: Share of the initial features in every convolution.
        theta: Convolution l transforms by beta = log(theta / l + 1).
        shared_weights: One matrix per convolution for neighbours and initial features; ``False``: two
            (the paper's GCNII*).
        conv_decay: How many times as strongly the convolutions decay as the linear layers: 20 for Cora
            and CiteSeer, 1 for PubMed.
    """

    takes_blocks: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True  # whether a layer looks at what `enter` gave

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int,
        dropout: float = 0.6,
        *,
        alpha: float = 0.1,
        theta: float = 0.5,
        shared_weights: bool = True,
        conv_decay: float = 20.0,
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, hidden_channels=hidden_channels, out_channels=out_channels)
        if num_layers < 1:
            raise ValueError(f"num_layers must be 1 or more, got {num_layers}")
        if conv_decay < 0:
            raise ValueError(f"conv_decay must be 0 or more, got {conv_decay}")
        self.in_channels, self.out_channels, self.num_layers = in_channels, out_channels, num_layers
        self.dropout, self.conv_decay = checked_probability(dropout), float(conv_decay)
        self.lin_in = nn.Linear(in_channels, hidden_channels)
        self.convs = nn.ModuleList(
            GCN2Conv(hidden_channels, alpha, theta, layer, shared_weights) for layer in range(1, num_layers + 1)
        )
        self.lin_out = nn.Linear(hidden_channels, out_channels)

    def reset_parameters(self) -> None:
        """Draw every layer's weights anew."""
        self.lin_in.reset_parameters()
        for conv in self._convs():
            conv.reset_parameters()
        self.lin_out.reset_parameters()

    def _convs(self) -> list[GCN2Conv]:
        return cast("list[GCN2Conv]", list(self.convs))

    def forward(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Adjacency | Part | Sequence[Block] | Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Logits ``(*, N, out_channels)``; with one ``Block`` per layer, the rows of the last one's targets."""
        return self.layers(x, edge_index, edge_weight)[-1]

    def layers(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Adjacency | Part | Sequence[Block] | Tensor,
        edge_weight: Tensor | None = None,
    ) -> list[Tensor]:
        """What comes out of every layer, after ReLU for all but the last: first linear, convolutions, last linear."""
        graphs = graphs_per_layer(edge_index, self.num_layers)
        hidden = initial = self.enter(x)
        outputs = [initial]
        for layer, graph in enumerate(graphs):
            # With blocks the rows dwindle; the first of `initial` are always those of the targets.
            hidden = self.layer(layer, hidden, initial, graph, edge_weight)
            outputs.append(hidden)
        outputs.append(self.leave(hidden))
        return outputs

    def enter(self, x: Tensor | SparseMatrix) -> Tensor:
        """What the first convolution is given of a node's features: the first linear layer's rows."""
        x = dropout(as_features(x, self.in_channels), self.dropout, self.training)
        return (transform(x, self.lin_in.weight) + self.lin_in.bias).relu()

    def layer(
        self,
        layer: int,
        hidden: Tensor,
        initial: Tensor,
        graph: Adjacency | Part | Block | Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """What comes out of one convolution; ``initial`` is what `enter` gave for the rows that come out, and more."""
        out: Tensor = self._convs()[layer](dropout(hidden, self.dropout, self.training), initial, graph, edge_weight)
        return out.relu()

    def leave(self, hidden: Tensor) -> Tensor:
        """The logits of what the last convolution gave: the last linear layer."""
        out: Tensor = self.lin_out(dropout(hidden, self.dropout, self.training))
        return out

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Parameters for the optimiser: the linear layers decay, the convolutions ``conv_decay`` times as much."""
        linear = [*self.lin_in.parameters(), *self.lin_out.parameters()]
        return [
            {"params": list(self.convs.parameters()), "weight_decay": self.conv_decay * weight_decay},
            {"params": linear, "weight_decay": weight_decay},
        ]
