"""A stack of graph attention layers.

Reference: Velickovic et al., "Graph Attention Networks", ICLR 2018, https://arxiv.org/abs/1710.10903,
section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Part
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models.stack import graphs_per_layer
from gnnkit.nn.dropout import checked_probability, dropout
from gnnkit.nn.gat import GATConv
from gnnkit.nn.inputs import as_features


class GAT(nn.Module):
    """Graph attention with ELU between and dropout before each layer and on each attention.

    The defaults are the paper's for citation networks (with ``hidden_channels=8``, ``num_layers=2``;
    PubMed: ``out_heads=8``). The ``state_dict`` is that of ``torch_geometric.nn.models.GAT`` where the
    numbers of heads agree.

    Args:
        in_channels: Features per node.
        hidden_channels: Width of every head but the last layer's; heads are concatenated.
        num_layers: How many; each one lets a node see one hop further.
        out_channels: Classes, or whatever comes out.
        dropout: Probability of dropping a number that goes into a layer, and an edge's attention.
        heads: Attentions side by side in every layer but the last.
        out_heads: Those of the last layer, whose mean is the output.
        version: 1 (Velickovic et al.) or 2 (Brody et al.).
        conv: Further arguments of every :class:`~gnnkit.nn.GATConv`, such as ``edge_dim``.
    """

    takes_blocks: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = False  # whether a layer looks at what `enter` gave

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int,
        dropout: float = 0.6,
        *,
        heads: int = 8,
        out_heads: int = 1,
        version: Literal[1, 2] = 1,
        **conv: Any,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be 1 or more, got {num_layers}")
        self.in_channels, self.out_channels, self.num_layers = in_channels, out_channels, num_layers
        self.dropout = checked_probability(dropout)
        widths = [in_channels, *[hidden_channels * heads] * (num_layers - 1)]
        shared: dict[str, Any] = {"dropout": dropout, "version": version, **conv}
        hidden = [GATConv(width, hidden_channels, heads, **shared) for width in widths[:-1]]
        last = GATConv(widths[-1], out_channels, out_heads, concat=False, **shared)
        self.convs = nn.ModuleList([*hidden, last])

    def reset_parameters(self) -> None:
        """Draw every layer's weights anew."""
        for conv in self._convs():
            conv.reset_parameters()

    def _convs(self) -> list[GATConv]:
        return cast("list[GATConv]", list(self.convs))

    def forward(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Adjacency | Part | Sequence[Block] | Tensor,
        edge_attr: Tensor | None = None,
    ) -> Tensor:
        """Logits ``(*, N, out_channels)``; with one ``Block`` per layer, the rows of the last one's targets."""
        return self.leave(self.layers(x, edge_index, edge_attr)[-1])

    def layers(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Adjacency | Part | Sequence[Block] | Tensor,
        edge_attr: Tensor | None = None,
    ) -> list[Tensor]:
        """What comes out of every layer, after ELU for all but the last."""
        graphs = graphs_per_layer(edge_index, self.num_layers)
        hidden = initial = self.enter(x)
        outputs: list[Tensor] = []
        for layer, graph in enumerate(graphs):
            hidden = self.layer(layer, hidden, initial, graph, edge_attr)
            outputs.append(hidden)
        return outputs

    def enter(self, x: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
        """What the first layer is given of a node's features: they themselves."""
        return as_features(x, self.in_channels)

    def layer(
        self,
        layer: int,
        hidden: Tensor | SparseMatrix,
        initial: Tensor | SparseMatrix,
        graph: Adjacency | Part | Block | Tensor,
        edge_attr: Tensor | None = None,
    ) -> Tensor:
        """What comes out of one layer; ``initial`` is what `enter` gave, which no layer of this model looks at."""
        out: Tensor = self._convs()[layer](dropout(hidden, self.dropout, self.training), graph, edge_attr)
        return out if layer == self.num_layers - 1 else functional.elu(out)

    def leave(self, hidden: Tensor) -> Tensor:
        """The logits of what the last layer gave: it itself."""
        return hidden

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Parameters for the optimiser: all weights decay, biases do not, as in the paper's code."""
        named = list(self.named_parameters())
        weights = [parameter for name, parameter in named if not name.endswith("bias")]
        biases = [parameter for name, parameter in named if name.endswith("bias")]
        return [
            {"params": weights, "weight_decay": weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
