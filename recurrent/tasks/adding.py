"""The adding problem: the sum of two marked numbers far apart.

Reference: Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997; in this form Arjovsky, Shah &
Bengio, "Unitary Evolution Recurrent Neural Networks", ICML 2016, https://arxiv.org/abs/1511.06464,
section 4.2.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from recurrent.tasks.task import Batch


@dataclass(frozen=True)
class Adding:
    """Numbers uniform on [0, 1) beside markers, one in each half; the target is the sum of the two marked.

    Always answering 1 has a squared error of 1/6, :attr:`baseline`. ``accuracy`` counts answers within
    0.04 of the sum, as in 1997.

    Args:
        length: Steps, T.

    Raises:
        ValueError: If the length is below 2.

    Example:
        >>> inputs, targets = Adding(6).sample(4, torch.Generator().manual_seed(0))
        >>> torch.equal((inputs[..., 0] * inputs[..., 1]).sum(1), targets)
        True
    """

    length: int

    input_size: ClassVar[int] = 2
    num_outputs: ClassVar[int] = 1
    per_step: ClassVar[bool] = False
    tokens: ClassVar[bool] = False
    chance: ClassVar[float] = 1 - 0.96**2  # |sum - 1| < 0.04, a band around the triangular density's peak
    baseline: ClassVar[float] = 1 / 6

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ValueError(f"there must be at least 2 numbers to add, got length={self.length}")

    @property
    def seq_length(self) -> int:
        """Steps of the inputs."""
        return self.length

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        device = generator.device
        middle = self.length // 2
        values = torch.rand(batch_size, self.length, generator=generator, device=device)
        first = torch.randint(middle, (batch_size, 1), generator=generator, device=device)
        second = torch.randint(middle, self.length, (batch_size, 1), generator=generator, device=device)
        markers = torch.zeros_like(values).scatter_(1, torch.cat([first, second], dim=1), 1)
        return Batch(torch.stack([values, markers], dim=-1), (values * markers).sum(1))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of ``[B, 1]``."""
        return functional.mse_loss(outputs.squeeze(-1), targets)

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The share of answers within 0.04 of the sum."""
        return ((outputs.squeeze(-1) - targets).abs() < 0.04).float().mean()
