"""The Baum-Sweet sequence: is there a block of zeros of odd length in a binary number?

Reference: Baum & Sweet, "Continued fractions of algebraic power series in characteristic 2", Annals
of Mathematics 103, 1976; as a task, the practical of the University of Amsterdam's deep learning
course, 2020.
"""

from collections.abc import Callable
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
class BaumSweet:
    """A number from 10 to 10^``length`` - 1 in binary; the target is 1 if no block of zeros has odd length.

    Padded on the left to 4 ``length`` bits. Tokens: 0 padding, 1 and 2 the bits. Numbers without an odd
    block are rare (1.6^n of the 2^n of n bits), so each label is drawn half of the time, and then a
    number uniformly among those with that label.

    Args:
        length: N, decimal digits at most.
        encoding: How tokens reach the model.

    Raises:
        ValueError: If the length is below 2 (there is no number from 10 to 9) or the encoding unknown.
    """

    length: int
    encoding: Encoding = "one-hot"

    num_outputs: ClassVar[int] = 2
    per_step: ClassVar[bool] = False
    chance: ClassVar[float] = 0.5
    loss = staticmethod(class_loss)
    accuracy = staticmethod(class_accuracy)

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ValueError(f"Baum-Sweet numbers have at least 2 decimal digits, got length={self.length}")
        check_encoding(self.encoding)

    @property
    def seq_length(self) -> int:
        """Steps of the inputs."""
        return 4 * self.length

    @property
    def input_size(self) -> int:
        """Features of one step, or the number of tokens."""
        return encoded_size(3, self.encoding)

    @property
    def tokens(self) -> bool:
        """Whether inputs are tokens to embed."""
        return self.encoding == "token"

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        targets = torch.randint(2, (batch_size,), generator=generator, device=generator.device)
        bits = torch.where(
            targets.bool().unsqueeze(-1),
            self._accepted(baum_sweet_bits, batch_size, generator),
            self._accepted(_odd_block_bits, batch_size, generator),
        )
        started = bits.cumsum(1) > 0
        tokens = torch.where(started, bits + 1, 0)
        padding = tokens.new_zeros(batch_size, self.seq_length - tokens.size(1))
        return Batch(encode(torch.cat([padding, tokens], 1), 3, self.encoding), targets)

    def _accepted(
        self, draw: Callable[[int, int, torch.Generator], Tensor], count: int, generator: torch.Generator
    ) -> Tensor:
        """``count`` draws among the numbers from 10 to 10^N - 1, as bits ``[count, width]``."""
        largest = 10**self.length - 1
        width = largest.bit_length()
        accepted, rows = [], 0
        while rows < count:
            bits = draw(count, width, generator)
            within = _at_most(bits, largest) & ~_at_most(bits, 9)
            accepted.append(bits[within])
            rows += len(accepted[-1])
        return torch.cat(accepted)[:count]


def has_odd_zero_block(bits: Tensor) -> Tensor:
    """Whether a block of zeros after the first 1 has odd length; ``[B, width] -> [B]``.

    Example:
        >>> has_odd_zero_block(torch.tensor([[0, 1, 0, 0], [0, 1, 0, 1]]))
        tensor([False,  True])
    """
    place = torch.arange(1, bits.size(1) + 1, device=bits.device)
    last_one = torch.where(bits == 1, place, 0).cummax(1).values
    run = torch.where(last_one > 0, place - last_one, 0)  # zeros since the last 1
    ends = torch.cat([bits[:, 1:] == 1, torch.ones_like(bits[:, :1], dtype=torch.bool)], dim=1)
    return (ends & (run % 2 == 1)).any(1)


def baum_sweet_bits(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Uniform draws of the positive numbers below 2^width without an odd block of zeros, as bits.

    Such a number is a 1 followed by a row of the tiles ``1`` and ``00``. A row of n bits is tiled in
    F(n) = F(n - 1) + F(n - 2) ways, so drawing tile by tile with those odds draws uniformly. Only the
    ratios F(n - 1) / F(n) are needed: F itself overflows beyond 1475 bits.
    """
    device = generator.device
    odds = torch.ones(width + 1, dtype=torch.float64)  # of a single 1 with n bits to go, F(n - 1) / F(n)
    for n in range(2, width + 1):
        odds[n] = 1 / (1 + odds[n - 1])
    odds = odds.to(device)
    tilings = odds[:width].flip(0).cumprod(0).flip(0)  # F(n) but for a factor, which the draw leaves out:
    tilings = torch.cat([tilings[1:], torch.ones_like(tilings[:1])])  # F(n) / F(width - 1)
    lengths = tilings.multinomial(count, replacement=True, generator=generator)  # after the first 1
    uniform = torch.rand(count, width, generator=generator, device=device, dtype=torch.float64)
    bits = torch.zeros(count, width, dtype=torch.long, device=device)
    second_zero = torch.zeros(count, dtype=torch.bool, device=device)
    for place in range(width):
        to_go = width - place  # bits from here on, this one included
        first = lengths + 1 == to_go
        one = ~second_zero & (to_go <= lengths) & (uniform[:, place] < odds[to_go])
        bits[:, place] = (first | one).long()
        second_zero = ~second_zero & ~one & (to_go <= lengths)
    return bits


def _odd_block_bits(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Uniform draws of the numbers below 2^width that have an odd block of zeros (fewer than ``count``)."""
    bits = torch.randint(2, (count, width), generator=generator, device=generator.device)
    return bits[has_odd_zero_block(bits)]


def _at_most(bits: Tensor, bound: int) -> Tensor:
    """Whether numbers, written in bits of one width, are at most ``bound``, of any size."""
    width = bits.size(1)
    digits = torch.tensor([(bound >> shift) & 1 for shift in range(width - 1, -1, -1)], device=bits.device)
    difference = bits - digits
    # The first digit that differs decides.
    first = (difference != 0).long().argmax(1, keepdim=True)
    return difference.gather(1, first).squeeze(1) <= 0
