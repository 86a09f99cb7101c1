r"""Link prediction between nodes of several kinds: a GCN encoder over all relations, a decoder per relation.

.. code-block:: text

    encoder   h' = relu(W_0 h + Σ_r Â_r h W_r + b)        Â_r: relation r's edges, normalised by degree
    decoder   p(u -r- v) = sigmoid(z_uᵀ D_r R D_r z_v)    D_r diagonal, R shared and symmetric

References: Zitnik, Agrawal & Leskovec, "Modeling polypharmacy side effects with graph convolutional networks",
Bioinformatics 34(13), 2018, https://arxiv.org/abs/1802.00543, equations 1 and 2; the encoder is that of
Schlichtkrull et al., "Modeling Relational Data with Graph Convolutional Networks", ESWC 2018,
https://arxiv.org/abs/1703.06103. In both a node's own features have a weight of their own, W_0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.nn.gcn import GCNConv


class RelationalGCN(nn.Module):
    r"""Node embeddings from the edges of several relations at once.

    Args:
        num_nodes: Each has a learned input, since nodes of different kinds share no features.
        relations: Names of the relations that messages go along; none: embeddings alone, without any graph.
        in_channels: Numbers per learned input.
        hidden_channels: Width of the hidden layers.
        out_channels: Width of the embeddings.
        num_layers: How many; each lets a node hear one hop further.
        dropout: Probability of dropping a number between layers.

    Shapes:
        - **output:** :math:`(|\mathcal{V}|, F_{out})`

    Example:
        >>> bonds = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> RelationalGCN(3, ["binds"], 4, 8, 2)({"binds": bonds}).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        num_nodes: int,
        relations: Sequence[str],
        in_channels: int = 32,
        hidden_channels: int = 32,
        out_channels: int = 16,
        num_layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be 1 or more, got {num_layers}")
        if len(set(relations)) != len(relations):
            raise ValueError(f"relations must have different names, got {list(relations)}")
        self.relations = tuple(relations)
        self.dropout = nn.Dropout(dropout)
        self.inputs = nn.Parameter(torch.empty(num_nodes, in_channels))
        widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        pairs = list(pairwise(widths))
        self.own = nn.ModuleList(nn.Linear(width, following) for width, following in pairs)
        self.messages = nn.ModuleList(
            nn.ModuleList(GCNConv(width, following, add_self_loops=False, bias=False) for _ in self.relations)
            for width, following in pairs
        )
        nn.init.xavier_normal_(self.inputs)

    def forward(self, graphs: Mapping[str, Adjacency]) -> Tensor:
        """Embeddings of all nodes.

        Raises:
            ValueError: If ``graphs`` are not those of the relations.
        """
        if set(graphs) != set(self.relations):
            raise ValueError(f"the relations are {sorted(self.relations)}, got graphs for {sorted(graphs)}")
        x: Tensor = self.inputs
        for layer, own in enumerate(self.own):
            if layer > 0:
                x = self.dropout(x.relu())
            convs = self.messages[layer]
            assert isinstance(convs, nn.ModuleList)
            heard = [conv(x, graphs[name]) for name, conv in zip(self.relations, convs, strict=True)]
            x = torch.stack([own(x), *heard]).sum(0)
        return x


class RelationDecoder(nn.Module):
    r"""The logit of an edge in each relation: z_uᵀ D_r R D_r z_v, with R made symmetric, as the relations are.

    Args:
        relations: Their names.
        channels: Width of the embeddings.

    Shapes:
        - **z:** :math:`(|\mathcal{V}|, F)`; **pairs:** :math:`(2, P)`; **output:** :math:`(P)`

    Example:
        >>> decoder = RelationDecoder(["interacts"], 4)
        >>> z, pairs = torch.rand(3, 4), torch.tensor([[0, 1], [1, 0]])
        >>> first, turned_round = decoder("interacts", z, pairs).tolist()
        >>> abs(first - turned_round) < 1e-6
        True
    """

    def __init__(self, relations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.relations = tuple(relations)
        self.importance = nn.Parameter(torch.ones(len(self.relations), channels))  # the diagonals D_r
        self.shared = nn.Parameter(torch.empty(channels, channels))  # R
        nn.init.xavier_uniform_(self.shared)

    def forward(self, relation: str, z: Tensor, pairs: Tensor) -> Tensor:
        """Logits for pairs of nodes in one relation.

        Raises:
            ValueError: If there is no such relation.
        """
        if relation not in self.relations:
            raise ValueError(f"there is no relation {relation!r}: there are {', '.join(self.relations)}")
        weight = self.importance[self.relations.index(relation)]
        symmetric = (self.shared + self.shared.t()) / 2
        first, second = (z[ends] * weight for ends in pairs)
        return ((first @ symmetric) * second).sum(-1)
