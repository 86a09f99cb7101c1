"""Palindromes: remember the first digit to the last step.

The practical of the University of Amsterdam's deep learning course; binary palindromes are of its
2020 edition.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

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
class Palindromes:
    """The first ``length`` digits of a palindrome of ``length`` + 1; the target is the last, equal to the first.

    ceil((length + 1) / 2) digits are drawn uniformly from 0-9 and mirrored. Chance is 10 %.

    Args:
        length: Digits read, T.
        encoding: The original feeds digits as numbers (``"scalar"``); ``"one-hot"`` is the better one.

    Raises:
        ValueError: If the length is below 1 or the encoding unknown.

    Example:
        >>> task = Palindromes(4, encoding="token")
        >>> inputs, targets = task.sample(1, torch.Generator().manual_seed(0))
        >>> inputs[0].tolist(), targets.tolist()
        ([4, 9, 3, 9], [4])
    """

    length: int
    encoding: Encoding = "one-hot"

    num_outputs: ClassVar[int] = 10
    per_step: ClassVar[bool] = False
    chance: ClassVar[float] = 0.1
    loss = staticmethod(class_loss)
    accuracy = staticmethod(class_accuracy)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"a palindrome task reads at least 1 digit, got length={self.length}")
        check_encoding(self.encoding)

    @property
    def seq_length(self) -> int:
        """Steps of the inputs."""
        return self.length

    @property
    def input_size(self) -> int:
        """Features of one step, or the number of digits."""
        return encoded_size(10, self.encoding)

    @property
    def tokens(self) -> bool:
        """Whether inputs are digits to embed."""
        return self.encoding == "token"

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        half = torch.randint(10, (batch_size, self.length // 2 + 1), generator=generator, device=generator.device)
        mirrored = half.flip(1) if self.length % 2 else half[:, :-1].flip(1)
        digits = torch.cat([half, mirrored], dim=1)
        return Batch(encode(digits[:, :-1], 10, self.encoding), digits[:, -1])


@dataclass(frozen=True)
class BinaryPalindromes:
    """A palindrome of bits, without its last, which is the target.

    ceil(``length`` / 2) digits 0-8 are written in binary without leading zeros and joined; this half is
    reversed half of the time (else it would nearly always begin with a 1), mirrored, and padded on the
    left to 4 ``length`` + 2 bits. Tokens: 0 padding, 1 and 2 the bits. An odd length whose digits are all
    8 does not fit and is drawn again.

    Args:
        length: N; the inputs have 4 N + 1 steps.
        encoding: How tokens reach the model.

    Raises:
        ValueError: If the length is below 1 or the encoding unknown.
    """

    length: int
    encoding: Encoding = "one-hot"

    num_outputs: ClassVar[int] = 2
    per_step: ClassVar[bool] = False
    loss = staticmethod(class_loss)
    accuracy = staticmethod(class_accuracy)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"a binary palindrome is made of at least 1 digit, got length={self.length}")
        check_encoding(self.encoding)

    @property
    def seq_length(self) -> int:
        """Steps of the inputs."""
        return 4 * self.length + 1

    @property
    def input_size(self) -> int:
        """Features of one step, or the number of tokens."""
        return encoded_size(3, self.encoding)

    @property
    def tokens(self) -> bool:
        """Whether inputs are tokens to embed."""
        return self.encoding == "token"

    @property
    def chance(self) -> float:
        """The share of ones: a half starts with 1 unless its first digit is 0, and ends with the last bit."""
        starts, ends = 8 / 9, 4 / 9
        if self.length % 2:  # without the one draw that does not fit, which starts with 1 and ends with 0
            draws = 9 ** math.ceil(self.length / 2)
            starts, ends = (starts * draws - 1) / (draws - 1), ends * draws / (draws - 1)
        return (starts + ends) / 2

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        half, length = self._halves(batch_size, generator)
        width = half.size(1)
        place = torch.arange(width, device=half.device)
        flipped = torch.rand(batch_size, 1, generator=generator, device=generator.device) < 0.5
        order = torch.where(flipped, length - 1 - place, place)
        half = half.gather(1, order.clamp(min=0))
        # Both halves side by side, padding outside; then the padding of the right half moves to the left.
        steps = torch.arange(4 * self.length + 2, device=half.device) - (4 * self.length + 2 - 2 * length)
        mirrored = torch.where(steps < length, steps, 2 * length - 1 - steps)
        bits = half.gather(1, mirrored.clamp(min=0))
        tokens = torch.where(steps >= 0, bits + 1, 0)
        return Batch(encode(tokens[:, :-1], 3, self.encoding), tokens[:, -1] - 1)

    def _halves(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Left halves, bits at the left and rubbish beyond their lengths, and the lengths ``[B, 1]``."""
        device = generator.device
        shape = (batch_size, math.ceil(self.length / 2))
        digits = torch.randint(9, shape, generator=generator, device=device)
        if self.length % 2:
            while bool((too_long := (digits == 8).all(1)).any()):
                again = (int(too_long.sum()), shape[1])
                digits[too_long] = torch.randint(9, again, generator=generator, device=device)
        sizes = torch.tensor([1, 1, 2, 2, 3, 3, 3, 3, 4], device=device)[digits]
        shifts = torch.arange(3, -1, -1, device=device)
        bits = (digits.unsqueeze(-1) >> shifts) & 1
        written = shifts < sizes.unsqueeze(-1)
        # A stable sort moves the bits that are written to the left, in their order.
        order = written.flatten(1).logical_not().to(torch.uint8).argsort(dim=1, stable=True)
        return bits.flatten(1).gather(1, order), sizes.sum(1, keepdim=True)
