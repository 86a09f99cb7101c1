"""Sequences to classes (or numbers), through layers of any recurrent cell."""

from torch import Tensor, nn

from recurrent.checks import as_ids, check_ids_below, check_sizes
from recurrent.models.stack import CellStack, CellType, StackState


class SequenceClassifier(nn.Module):
    r"""An optional embedding, a stack of cells, and a linear map of what the last layer says.

    The map reads the last hidden state, p = W_ph h_T + b_p; with two directions the last forward and the
    last backward state side by side; or, ``per_step``, every step's output.

    Args:
        cell_type: Makes a cell from ``(input_size, hidden_size)``.
        input_size: Features of one step, or with an embedding the number of token ids.
        hidden_size: Units of a cell.
        num_outputs: Classes, or 1 for a number.
        num_layers: Layers.
        dropout: Probability, between layers.
        bidirectional: Read from both ends.
        per_step: Answer at every step instead of after the last.
        embedding_dim: Embed token ids in this many dimensions.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`, or token ids :math:`(B, T)` with an embedding
        - **output:** :math:`(B, num\_outputs)`, or :math:`(B, T, num\_outputs)` per step

    Raises:
        ValueError: If a size does not fit; see :class:`recurrent.models.CellStack`.

    Example:
        >>> import torch
        >>> from recurrent import LSTMCell
        >>> from recurrent.tasks import Palindromes
        >>> task = Palindromes(5)
        >>> model = SequenceClassifier(LSTMCell, task.input_size, 8, task.num_outputs)
        >>> model(task.sample(2, torch.Generator()).inputs).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        cell_type: CellType,
        input_size: int,
        hidden_size: int,
        num_outputs: int,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        per_step: bool = False,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, num_outputs=num_outputs, embedding_dim=embedding_dim)
        self.per_step = per_step
        self.embedding = None if embedding_dim is None else nn.Embedding(input_size, embedding_dim)
        self.stack = CellStack(
            cell_type,
            input_size if embedding_dim is None else embedding_dim,
            hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
        )
        self.head = nn.Linear(self.stack.output_size, num_outputs)

    def forward(
        self,
        inputs: Tensor,
        state: StackState | None = None,
        *,
        lengths: Tensor | None = None,
        times: Tensor | None = None,
    ) -> Tensor:
        """Logits; arguments as in :func:`recurrent.unroll`."""
        outputs, last = self.stack(self.embed(inputs), state, lengths=lengths, times=times)
        logits: Tensor = self.head(outputs if self.per_step else self.stack.last_hidden(last))
        return logits

    def embed(self, inputs: Tensor) -> Tensor:
        """What the first layer reads: the inputs, or the embeddings of token ids.

        Raises:
            ValueError: If token ids meet a model without an embedding, or features one with it; or if an id is
                not one of the embedding's.
        """
        is_ids = not inputs.is_floating_point()
        if is_ids != (self.embedding is not None):
            raise ValueError(
                f"a model {'without' if self.embedding is None else 'with'} an embedding got inputs of "
                f"{inputs.dtype}; token ids are integers and need embedding_dim, features are floats"
            )
        if self.embedding is None:
            return inputs
        inputs = as_ids(inputs, dims=2)
        try:
            embedded: Tensor = self.embedding(inputs)
        except (IndexError, RuntimeError):  # looked into only now: an id's value is not worth a look at every call
            check_ids_below(inputs, self.embedding.num_embeddings)
            raise
        return embedded
