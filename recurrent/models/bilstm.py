"""The bidirectional LSTM as the reports define it.

.. code-block:: text

    p = W [h→_T, h←_1] + b

the last state of the LSTM that reads forward and the last state of the one that reads from the end,
side by side, then a linear map. Each has seen the whole sequence.

Reference: Schuster & Paliwal, "Bidirectional Recurrent Neural Networks", IEEE Trans. Signal
Processing 45(11), 1997; Graves & Schmidhuber, 2005.
"""

from recurrent.cells.lstm import LSTMCell
from recurrent.models.classifier import SequenceClassifier


def bilstm(
    input_size: int,
    hidden_size: int,
    num_outputs: int,
    *,
    per_step: bool = False,
    embedding_dim: int | None = None,
) -> SequenceClassifier:
    """One layer of LSTMs in both directions and the output map.

    Args:
        input_size: Features of one step, or with an embedding the number of token ids.
        hidden_size: Units of each direction.
        num_outputs: Classes, or 1 for a number.
        per_step: Answer at every step t, from h→_t and h←_t, instead of once.
        embedding_dim: Embed token ids in this many dimensions.

    Example:
        >>> bilstm(10, 128, 10).head
        Linear(in_features=256, out_features=10, bias=True)
    """
    return SequenceClassifier(
        LSTMCell,
        input_size,
        hidden_size,
        num_outputs,
        bidirectional=True,
        per_step=per_step,
        embedding_dim=embedding_dim,
    )
