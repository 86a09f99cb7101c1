"""Link prediction from node embeddings: a graph encoder and an inner product.

Reference: Kipf & Welling, "Variational Graph Auto-Encoders", NIPS workshop 2016, https://arxiv.org/abs/1611.07308,
the non-probabilistic form (GAE): Z = GCN(X, A), p(u - v) = sigmoid(z_u . z_v).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.validation import checked_edge_index


class LinkPredictor(nn.Module):
    r"""How likely a link is: the inner product of its ends' embeddings.

    Args:
        encoder: Called with features and a graph, gives a row per node; such as :class:`~gnnkit.models.GCN`.

    Shapes:
        - **x:** :math:`(|\mathcal{V}|, F)`; **pairs:** :math:`(2, P)`
        - **output:** logits :math:`(P)`

    Example:
        >>> import torch
        >>> from gnnkit.models import GCN
        >>> graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> model = LinkPredictor(GCN(4, 8, 2, 5))
        >>> model(torch.rand(3, 4), graph, torch.tensor([[0, 0], [1, 2]])).shape
        torch.Size([2])
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def reset_parameters(self) -> None:
        """Draw the encoder's weights anew."""
        self.encoder.reset_parameters()  # type: ignore[operator]

    def embed(self, x: Tensor | SparseMatrix, graph: Adjacency) -> Tensor:
        """The embeddings of all nodes.

        Raises:
            ValueError: If features are batched: links are scored between nodes of one graph.
        """
        z = cast(Tensor, self.encoder(x, graph))
        if z.dim() != 2:
            raise ValueError(f"links are scored between nodes of one graph: x must be (N, F), got {tuple(x.shape)}")
        return z

    def score(self, z: Tensor, pairs: Tensor) -> Tensor:
        """The logits of pairs, from embeddings."""
        return (z.index_select(0, pairs[0]) * z.index_select(0, pairs[1])).sum(-1)

    def forward(self, x: Tensor | SparseMatrix, graph: Adjacency, pairs: Tensor) -> Tensor:
        """The logits of pairs.

        Raises:
            ValueError: If shapes do not fit, or an id is no node.
        """
        z = self.embed(x, graph)
        return self.score(z, checked_edge_index(pairs, z.size(0)))
