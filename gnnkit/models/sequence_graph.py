"""A sequence on every node, encoded first, then mixed along the graph: text in a citation network.

Where a `gnnkit.nn.GraphLSTM` hears its neighbours at every step, here every node reads its own sequence to
the end, and a graph network works on what was understood. So lengths may differ from node to node, and a
training step reads only the sequences of the labelled nodes' receptive field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import Block
from gnnkit.models.gat import GAT
from gnnkit.models.gcn import GCN
from gnnkit.nn.dropout import checked_probability, dropout
from recurrent import Sequences
from recurrent.checks import as_ids, check_ids_below, check_sizes
from recurrent.models import CellStack, CellType

Network = Literal["gcn", "gat"]
Summary = Literal["last", "mean"]
_STEPS_AT_ONCE = 1 << 17  # of a padded batch


class SequenceGraph(nn.Module):
    r"""Any cell of `recurrent` on each node's sequence, graph layers on its encodings, and a read-out of both.

    .. code-block:: text

        h_v = encoder(x_v1, ..., x_vT),  Z = GNN(H),  logits_v = W [h_v, σ(z_v)] + b

    The read-out sees a node's own encoding beside what the graph made of its neighbourhood: in an average over
    many neighbours it would be lost.

    Args:
        cell_type: Makes a cell from ``(input_size, hidden_size)``: `recurrent.LSTMCell`, or a partial of another.
        in_channels: Features of a step, or with an embedding the number of token ids.
        hidden_size: Units of a cell.
        out_channels: Classes, or whatever comes out.
        hidden_channels: Width of the graph layers (of one head, for GAT's layers but the last).
        num_layers: Graph layers: how many hops a node sees. With 0 it sees itself alone.
        network: ``"gcn"`` (ReLU) or ``"gat"`` (ELU).
        dropout: Probability on embeddings, encodings, between layers, and of attention.
        embedding_dim: Embed token ids in this many dimensions; None for features.
        encoder_layers: Layers of cells.
        bidirectional: Read from both ends.
        summary: What stands for a sequence: the ``"last"`` hidden states, or the ``"mean"`` of the outputs.
        conv: Further arguments of `GCN` or `GAT`, such as ``heads``.

    Shapes:
        - **x:** :class:`recurrent.Sequences` of N nodes; or equally long ones, :math:`(T, N, F)` or
          :math:`(B, T, N, F)`, of token ids without F
        - **output:** :math:`(N, out\_channels)`, or :math:`(B, N, out\_channels)`

    Raises:
        ValueError: If a size, the network or the summary does not exist, or sequences do not fit.

    Example:
        >>> from recurrent import LSTMCell
        >>> citations = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> words = Sequences.from_list([torch.tensor([3, 1]), torch.tensor([2]), torch.tensor([0, 3, 1])])
        >>> SequenceGraph(LSTMCell, 4, 8, 2, embedding_dim=6)(words, citations).shape
        torch.Size([3, 2])
    """

    takes_blocks: ClassVar[bool] = True

    def __init__(
        self,
        cell_type: CellType,
        in_channels: int,
        hidden_size: int,
        out_channels: int,
        *,
        hidden_channels: int = 16,
        num_layers: int = 2,
        network: Network = "gcn",
        dropout: float = 0.0,
        embedding_dim: int | None = None,
        encoder_layers: int = 1,
        bidirectional: bool = False,
        summary: Summary = "last",
        **conv: Any,
    ) -> None:
        super().__init__()
        if network not in get_args(Network):
            raise ValueError(f"network must be one of {', '.join(get_args(Network))}, got {network!r}")
        if summary not in get_args(Summary):
            raise ValueError(f"summary must be one of {', '.join(get_args(Summary))}, got {summary!r}")
        if num_layers < 0:
            raise ValueError(f"num_layers must be 0 or more, got {num_layers}")
        check_sizes(in_channels=in_channels, out_channels=out_channels, embedding_dim=embedding_dim)
        self.in_channels, self.out_channels, self.num_layers = in_channels, out_channels, num_layers
        self.summary: Summary = summary
        self.dropout = checked_probability(dropout)
        self.cell_type = cell_type
        self.embedding = None if embedding_dim is None else nn.Embedding(in_channels, embedding_dim)
        self.encoder = CellStack(
            cell_type,
            in_channels if embedding_dim is None else embedding_dim,
            hidden_size,
            num_layers=encoder_layers,
            dropout=dropout if encoder_layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        encoded = self.encoder.output_size
        self.activation = functional.relu if network == "gcn" else functional.elu
        self.network: GCN | GAT | None = None
        if num_layers:
            make = GCN if network == "gcn" else GAT
            self.network = make(encoded, hidden_channels, num_layers, hidden_channels, dropout, **conv)
        elif conv:
            raise ValueError(f"without graph layers (num_layers=0) there is no {', '.join(conv)} to set")
        self.out = nn.Linear(encoded + (hidden_channels if num_layers else 0), out_channels)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        if self.embedding is not None:
            self.embedding.reset_parameters()
        for cell in self.encoder.cells:
            # A cell need not know how to begin again; a new one of its kind does.
            fresh = self.cell_type(cast(int, cell.input_size), cast(int, cell.hidden_size))
            cell.load_state_dict(fresh.state_dict())
        if self.network is not None:
            self.network.reset_parameters()
        self.out.reset_parameters()

    def forward(
        self,
        x: Sequences | Tensor,
        edge_index: Adjacency | Sequence[Block] | Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Logits; with one ``Block`` per layer, ``x`` of the first one's sources, the rows of the last one's targets.

        Args:
            x: The nodes' sequences.
            edge_index: The graph, or blocks of it.
            edge_weight: Beside a raw ``edge_index``: its weights, or for GAT the edges' features.
        """
        return self.read_out(self.embed(x), edge_index, edge_weight)

    def embed(self, x: Sequences | Tensor) -> Sequences | Tensor:
        """What the encoder reads: the features, or the embeddings of token ids.

        Raises:
            TypeError: If token ids are complex or booleans.
            ValueError: If token ids meet a model without an embedding, or features one with it, an id is not
                below ``in_channels``, or a step is of another width.
        """
        values = x.values if isinstance(x, Sequences) else x
        if values.is_floating_point() != (self.embedding is None):
            raise ValueError(
                f"a model {'without' if self.embedding is None else 'with'} an embedding got steps of "
                f"{values.dtype}; token ids are integers and need embedding_dim, features are floats"
            )
        if self.embedding is not None:
            check_ids_below(as_ids(values), self.in_channels)
            return x.map(self.embedding) if isinstance(x, Sequences) else cast(Tensor, self.embedding(as_ids(x)))
        if not values.dim():
            raise ValueError(f"sequences on nodes must be (T, N, F) or (B, T, N, F), got {tuple(values.shape)}")
        if values.size(-1) != self.in_channels:
            raise ValueError(f"a step must have in_channels={self.in_channels} features, got {values.size(-1)}")
        return x

    def read_out(
        self,
        embedded: Sequences | Tensor,
        edge_index: Adjacency | Sequence[Block] | Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Logits from what `embed` gave: where a gradient of the input can be asked for, token ids having none."""
        seen = encoded = dropout(self.encode(embedded), self.dropout, self.training)
        if self.network is not None:
            heard = self.activation(self.network(encoded, edge_index, edge_weight))
            heard = dropout(heard, self.dropout, self.training)
            seen = torch.cat([encoded[..., : heard.size(-2), :], heard], dim=-1)  # of a block, targets come first
        return cast(Tensor, self.out(seen))

    def encode(self, embedded: Sequences | Tensor) -> Tensor:
        """One vector per node, ``(N, units x directions)`` or ``(B, N, ...)``; zeros for an empty sequence.

        Raises:
            ValueError: If a tensor has another shape than ``(T, N, F)`` or ``(B, T, N, F)``.
        """
        if isinstance(embedded, Tensor):
            if embedded.dim() not in (3, 4):
                raise ValueError(
                    f"sequences on nodes must be (T, N, F) or (B, T, N, F), or Sequences, got {tuple(embedded.shape)}"
                )
            if embedded.size(-3) == 0:
                raise ValueError(f"sequences on nodes must have a step or more, got {tuple(embedded.shape)}")
            if embedded.size(-2) == 0:
                return embedded.new_zeros(*embedded.shape[:-3], 0, self.encoder.output_size)
            nodes_first = embedded.transpose(-3, -2)
            rows = nodes_first.reshape(-1, *nodes_first.shape[-2:])
            return self._read(dropout(rows, self.dropout, self.training)).view(*nodes_first.shape[:-2], -1)
        embedded = embedded.map(lambda values: dropout(values, self.dropout, self.training))
        # Alike in length, side by side: a long text among short ones would pad them all.
        order = torch.argsort(embedded.lengths, stable=True)
        found = []
        for batch in _batches(embedded.lengths[order]):
            part = embedded.select_rows(order[batch])
            found.append(self._read(part.padded(), part.lengths))
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return torch.cat(found)[back]

    def _read(self, padded: Tensor, lengths: Tensor | None = None) -> Tensor:
        outputs: Tensor
        outputs, last = self.encoder(padded, lengths=lengths)
        if self.summary == "last":
            return self.encoder.last_hidden(last)
        if lengths is None:
            return outputs.mean(dim=1)
        return outputs.sum(dim=1) / lengths.clamp(min=1).unsqueeze(1)  # outputs behind the end are 0

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Parameters for the optimiser: matrices decay, biases and embeddings do not."""
        named = list(self.named_parameters())
        kept = [name for name, parameter in named if parameter.dim() < 2 or name.startswith("embedding")]
        return [
            {"params": [parameter for name, parameter in named if name not in kept], "weight_decay": weight_decay},
            {"params": [parameter for name, parameter in named if name in kept], "weight_decay": 0.0},
        ]


def _batches(lengths: Tensor) -> list[slice]:
    """Ascending lengths cut where a padded batch would have too many steps."""
    cuts, begin = [], 0
    steps = lengths.clamp(min=1).tolist()
    for end in range(1, len(steps) + 1):
        if end == len(steps) or (end + 1 - begin) * steps[end] > _STEPS_AT_ONCE:
            cuts.append(slice(begin, end))
            begin = end
    return cuts
