"""Random combinations: which number is missing?

The practical of the University of Amsterdam's deep learning course, 2020.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from recurrent.tasks.task import (
    Batch,
    Encoding,
    check_encoding,
    class_accuracy,
    class_loss,
    encode,
    encoded_size,
)


@dataclass(frozen=True)
class RandomCombinations:
    """All but the last number of a random permutation of 0..``length`` - 1; the target is the last.

    "Length 5" means five numbers, of which four are read.

    Args:
        length: N, numbers and classes.
        encoding: How numbers reach the model; the reports embed them (``"token"``).

    Raises:
        ValueError: If the length is below 2 or the encoding unknown.

    Example:
        >>> inputs, targets = RandomCombinations(5, "token").sample(1, torch.Generator().manual_seed(0))
        >>> sorted(inputs[0].tolist() + targets.tolist())
        [0, 1, 2, 3, 4]
    """

    length: int
    encoding: Encoding = "one-hot"

    per_step: ClassVar[bool] = False
    loss = staticmethod(class_loss)
    accuracy = staticmethod(class_accuracy)

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ValueError(f"a combination has at least 2 numbers, got length={self.length}")
        check_encoding(self.encoding)

    @property
    def seq_length(self) -> int:
        """Steps of the inputs."""
        return self.length - 1

    @property
    def input_size(self) -> int:
        """Features of one step, or how many numbers there are."""
        return encoded_size(self.length, self.encoding)

    @property
    def num_outputs(self) -> int:
        """Classes."""
        return self.length

    @property
    def tokens(self) -> bool:
        """Whether inputs are numbers to embed."""
        return self.encoding == "token"

    @property
    def chance(self) -> float:
        """The accuracy of a guess."""
        return 1 / self.length

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        # float64, in which ties, that would favour an order, do not happen in practice
        keys = torch.rand(batch_size, self.length, generator=generator, device=generator.device, dtype=torch.float64)
        numbers = keys.argsort(dim=1)
        return Batch(encode(numbers[:, :-1], self.length, self.encoding), numbers[:, -1])
