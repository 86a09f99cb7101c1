"""A class for every node of a tree: words embedded, a tree LSTM from the leaves up, a linear map.

Reference: Tai, Socher & Manning, ACL 2015, https://arxiv.org/abs/1503.00075, section 4.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnkit.nn.inputs import check_channels
from gnnkit.nn.neighbor_lstm import NeighborLSTM
from gnnkit.nn.neighbor_plan import NeighborPlan


class TreeClassifier(nn.Module):
    r"""Word ids at the nodes of trees to logits of every node's class; a tree's class is its root's.

    Args:
        num_words: Size of the vocabulary; ids run from 0.
        num_classes: Classes.
        embedding_dim: Features of a word.
        hidden_size: Units per node.
        arity: As in `NeighborLSTM`: a number for the N-ary Tree-LSTM, None for Child-Sum.
        embedding_dropout: Share of a word's features set to 0 in training.
        dropout: Likewise, of a node's units before its class is read.

    Shapes:
        - **words:** :math:`(|\mathcal{V}|)`; -1 where a node has no word
        - **output:** :math:`(|\mathcal{V}|, num\_classes)`

    Raises:
        ValueError: If a size is not positive or a dropout is not between 0 and 1.

    Example:
        >>> import torch
        >>> model = TreeClassifier(10, 2, arity=2)
        >>> tree = torch.tensor([[0, 1], [2, 2]])  # two leaves and their parent
        >>> model(torch.tensor([4, 7, -1]), tree).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        num_words: int,
        num_classes: int,
        *,
        embedding_dim: int = 300,
        hidden_size: int = 150,
        arity: int | None = None,
        embedding_dropout: float = 0.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_channels(num_words=num_words, num_classes=num_classes, embedding_dim=embedding_dim)
        for name, share in (("embedding_dropout", embedding_dropout), ("dropout", dropout)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be from 0 to below 1, got {share}")
        self.embedding_dropout, self.dropout = embedding_dropout, dropout
        self.embedding = nn.Embedding(num_words, embedding_dim)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.lstm = NeighborLSTM(embedding_dim, hidden_size, arity=arity)
        self.out = nn.Linear(hidden_size, num_classes)

    def forward(self, words: Tensor, graph: Tensor | NeighborPlan) -> Tensor:
        """Logits of every node.

        Args:
            words: Ids.
            graph: Edges from child to parent, or a plan of them with the model's arity.

        Raises:
            ValueError: If an id is not below ``num_words``, or the graph is no forest that fits the arity.
            TypeError: If the ids are not int64, one per node.
        """
        self._check(words)
        if not isinstance(graph, NeighborPlan):
            graph = NeighborPlan.of(graph, num_nodes=words.numel(), arity=self.lstm.arity)
        with_word = (words >= 0).nonzero().view(-1)
        features = functional.dropout(self.embedding(words[with_word]), self.embedding_dropout, self.training)
        # Most inner nodes have no word: what they are given is the bias alone, without a product.
        gates = self.lstm.input_bias().expand(words.numel(), -1).index_copy(0, with_word, self.lstm.project(features))
        hidden = self.lstm.run(gates, graph).hidden
        logits: Tensor = self.out(functional.dropout(hidden, self.dropout, self.training))
        return logits

    def _check(self, words: Tensor) -> None:
        if not isinstance(words, Tensor) or words.dim() != 1 or words.dtype != torch.int64:
            got = f"{tuple(words.shape)}, {words.dtype}" if isinstance(words, Tensor) else type(words).__name__
            raise TypeError(f"words must be a tensor of ids, (num_nodes,) and int64, got {got}")
        if words.numel() and int(words.max()) >= self.embedding.num_embeddings:
            raise ValueError(f"words has id {int(words.max())}, but num_words={self.embedding.num_embeddings}")
