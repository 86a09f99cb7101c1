r"""A character language model: what comes next, given all that came before.

.. code-block:: text

    h_t = stack(E[x_t], h_{t-1})
    p(x_{t+1} | x_1 .. x_t) = softmax(W h_t + b)

with E the identity (one-hot input), a matrix of its own, or W itself (tied).

Reference: Graves, "Generating Sequences With Recurrent Neural Networks", 2013,
https://arxiv.org/abs/1308.0850; tied weights: Press & Wolf, "Using the Output Embedding to Improve
Language Models", EACL 2017, https://arxiv.org/abs/1608.05859.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from recurrent.cells.lstm import LSTMCell
from recurrent.checks import as_ids, check_ids_below, check_sizes
from recurrent.models.stack import CellStack, CellType, StackState

CharInput = Literal["one-hot", "embedding", "tied"]


class CharLM(nn.Module):
    r"""Token ids and a state to logits and a state; whole sequences, or :meth:`step` by step.

    Args:
        vocab_size: Characters, V.
        hidden_size: Units of a cell.
        cell_type: Makes a cell from ``(input_size, hidden_size)``.
        num_layers: Layers.
        dropout: Probability, between layers.
        output_dropout: Probability, on what the last layer hands to the output map.
        input: ``"one-hot"``; ``"embedding"``, learnt; or ``"tied"``, the output map's own rows.
        embedding_dim: Size of a learnt embedding; ``hidden_size`` when omitted, and always when tied.

    Shapes:
        - **tokens:** :math:`(B, T)`, or :math:`(B)` for :meth:`step`
        - **logits:** :math:`(B, T, V)`, or :math:`(B, V)`

    Raises:
        ValueError: If a size does not fit, or an embedding's size is given where there is none.

    Example:
        >>> model = CharLM(vocab_size=5, hidden_size=8)
        >>> logits, state = model(torch.tensor([[0, 1, 2]]))
        >>> one, _ = model.step(torch.tensor([3]), state)  # goes on after the 2
        >>> logits.shape, one.shape
        (torch.Size([1, 3, 5]), torch.Size([1, 5]))
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        *,
        cell_type: CellType = LSTMCell,
        num_layers: int = 2,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        input: CharInput = "one-hot",
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes(vocab_size=vocab_size, hidden_size=hidden_size, embedding_dim=embedding_dim)
        if input not in get_args(CharInput):
            raise ValueError(f"input must be one of {', '.join(get_args(CharInput))}, got {input!r}")
        if embedding_dim is not None and input != "embedding":
            raise ValueError(f'embedding_dim is of input="embedding", got {embedding_dim} with input={input!r}')
        if not 0 <= output_dropout < 1:
            raise ValueError(f"output_dropout must be in [0, 1), got {output_dropout}")
        self.vocab_size = vocab_size
        self.input = input
        size = vocab_size if input == "one-hot" else hidden_size if embedding_dim is None else embedding_dim
        self.embedding = nn.Embedding(vocab_size, size) if input == "embedding" else None
        self.stack = CellStack(cell_type, size, hidden_size, num_layers=num_layers, dropout=dropout)
        self.output_dropout = nn.Dropout(output_dropout)
        self.head = nn.Linear(hidden_size, vocab_size)

    def initial_state(self, batch_size: int) -> StackState:
        """The state before the first character."""
        return self.stack.initial_state(batch_size)

    def forward(self, tokens: Tensor, state: StackState | None = None) -> tuple[Tensor, StackState]:
        """Logits after every character, ``[B, T, V]``, and the state after the last.

        Gradients flow through the given state: detach it (`recurrent.state.detached`) to cut
        back-propagation off at the start of a batch.
        """
        if tokens.dim() != 2:
            raise ValueError(f"tokens must be [batch_size, seq_length], got {tuple(tokens.shape)}")
        outputs, last = self.stack(self.embed(tokens), state)
        logits: Tensor = self.head(self.output_dropout(outputs))
        return logits, last

    def step(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        """One character of each sequence, ``[B]``, at the same cost however much came before."""
        if tokens.dim() != 1:
            raise ValueError(f"the tokens of one step must be [batch_size], got {tuple(tokens.shape)}")
        output, after = self.stack.step(self.embed(tokens), state)
        logits: Tensor = self.head(self.output_dropout(output))
        return logits, after

    def embed(self, tokens: Tensor) -> Tensor:
        """What the first layer reads, ``[*, size]``.

        Raises:
            TypeError: If ids are not integers.
            ValueError: If one is not below ``vocab_size``.
        """
        tokens = as_ids(tokens)
        try:
            return self._embedded(tokens)
        except (IndexError, RuntimeError):  # looked into only now: an id's value is not worth a look at every step
            check_ids_below(tokens, self.vocab_size)
            raise

    def _embedded(self, tokens: Tensor) -> Tensor:
        if self.embedding is not None:
            embedded: Tensor = self.embedding(tokens)
            return embedded
        if self.input == "tied":
            return nn.functional.embedding(tokens, self.head.weight)
        one_hot = self.head.weight.new_zeros(*tokens.shape, self.vocab_size)
        return one_hot.scatter_(-1, tokens.unsqueeze(-1), 1)

    @torch.no_grad()
    def forget_bias_(self, value: float = 1.0) -> CharLM:
        """Start with the memory kept, in every layer; see `recurrent.initialization.forget_bias_`."""
        from recurrent.initialization import forget_bias_

        for cell in self.stack.cells:
            forget_bias_(cell, value)
        return self
