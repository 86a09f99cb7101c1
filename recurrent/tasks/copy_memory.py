"""The copy memory problem: repeat what was read long ago.

Reference: Hochreiter & Schmidhuber, 1997; in this form Arjovsky, Shah & Bengio, "Unitary Evolution
Recurrent Neural Networks", ICML 2016, https://arxiv.org/abs/1511.06464, section 4.1.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from recurrent.tasks.task import Batch, Encoding, check_encoding, class_loss, encode, encoded_size

NUM_SYMBOLS = 8
BLANK, DELIMITER = 8, 9
COPIED = 10


@dataclass(frozen=True)
class CopyMemory:
    """Ten symbols out of eight, ``length`` - 1 blanks, a delimiter, ten blanks; the ten are to be repeated at the end.

    There is a target at each of the ``length`` + 20 steps: blank until the last ten. A model without
    memory reaches the loss :attr:`baseline`. ``accuracy`` counts the ten copied symbols only.

    Args:
        length: T, the delay: steps between the last symbol and the first one repeated.
        encoding: How the ten tokens reach the model.

    Raises:
        ValueError: If the length is below 1 or the encoding unknown.

    Example:
        >>> inputs, targets = CopyMemory(3, "token").sample(1, torch.Generator().manual_seed(0))
        >>> inputs[0, 10:].tolist()
        [8, 8, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]
        >>> torch.equal(targets[:, -10:], inputs[:, :10])
        True
    """

    length: int
    encoding: Encoding = "one-hot"

    per_step: ClassVar[bool] = True
    num_outputs: ClassVar[int] = NUM_SYMBOLS + 1  # the symbols and the blank
    chance: ClassVar[float] = 1 / NUM_SYMBOLS
    loss = staticmethod(class_loss)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"symbols are copied over at least 1 step, got length={self.length}")
        check_encoding(self.encoding)

    @property
    def seq_length(self) -> int:
        """Steps of the inputs and targets."""
        return self.length + 2 * COPIED

    @property
    def input_size(self) -> int:
        """Features of one step, or the number of tokens."""
        return encoded_size(NUM_SYMBOLS + 2, self.encoding)

    @property
    def tokens(self) -> bool:
        """Whether inputs are tokens to embed."""
        return self.encoding == "token"

    @property
    def baseline(self) -> float:
        """The loss of guessing the symbols and knowing everything else: 10 log 8 / (T + 20)."""
        return COPIED * math.log(NUM_SYMBOLS) / self.seq_length

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        device = generator.device
        symbols = torch.randint(NUM_SYMBOLS, (batch_size, COPIED), generator=generator, device=device)
        tokens = torch.full((batch_size, self.seq_length), BLANK, device=device)
        targets = tokens.clone()
        tokens[:, :COPIED] = symbols
        tokens[:, -COPIED - 1] = DELIMITER
        targets[:, -COPIED:] = symbols
        return Batch(encode(tokens, NUM_SYMBOLS + 2, self.encoding), targets)

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The share of the copied symbols that are right."""
        return (outputs[:, -COPIED:].argmax(-1) == targets[:, -COPIED:]).float().mean()
