"""What every task offers to a training loop, whatever it asks of a model.

A task draws batches and knows its loss: ``inputs, targets = task.sample(batch_size, generator)``,
``task.loss(model(inputs), targets)``. Three kinds of target share this: a class after the last step,
a class at every step (``per_step``), and a number after the last step (``num_outputs`` 1).
"""

from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

Encoding = Literal["one-hot", "scalar", "token"]


class Batch(NamedTuple):
    """Inputs ``[B, T, input_size]`` (``[B, T]`` for tokens) and targets ``[B]`` or ``[B, T]``."""

    inputs: Tensor
    targets: Tensor


@runtime_checkable
class Task(Protocol):
    """A source of labelled sequences. ``accuracy`` at ``chance`` is what guessing reaches."""

    @property
    def seq_length(self) -> int:
        """Steps of the inputs."""
        ...

    @property
    def input_size(self) -> int:
        """Features of one step, or how many token ids there are."""
        ...

    @property
    def num_outputs(self) -> int:
        """Classes, or 1 for a number."""
        ...

    @property
    def per_step(self) -> bool:
        """Whether there is a target at every step, not only after the last."""
        ...

    @property
    def tokens(self) -> bool:
        """Whether inputs are token ids, for an embedding."""
        ...

    @property
    def chance(self) -> float:
        """The accuracy of the best guess that ignores the inputs."""
        ...

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """A batch on the generator's device."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of ``[B, num_outputs]`` or, per step, ``[B, T, num_outputs]``."""
        ...

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The share of right answers, a scalar."""
        ...


class TaskStream:
    """Endless batches of a task, resumable bit for bit.

    ``split="held_out"`` draws from a generator that no ``"train"`` stream of any seed uses: disjoint by
    seed. (A task with few different samples, such as combinations of 5, repeats them in both.)

    Args:
        task: What to sample.
        batch_size: Sequences in a batch.
        seed: Not negative, below 2**31: torch's generators take 32 bits, of which the split is one.
        split: Which of the seed's two streams.
        device: Where to draw.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> from recurrent.tasks import Palindromes
        >>> stream = TaskStream(Palindromes(5), batch_size=2, seed=0)
        >>> position = stream.state_dict()
        >>> first = next(stream)
        >>> stream.load_state_dict(position)
        >>> torch.equal(next(stream).inputs, first.inputs)
        True
    """

    def __init__(
        self,
        task: Task,
        batch_size: int,
        seed: int,
        split: Literal["train", "held_out"] = "train",
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2**31 - 1, got {seed}")
        if split not in ("train", "held_out"):
            raise ValueError(f"split must be 'train' or 'held_out', got {split!r}")
        self.task = task
        self.batch_size = batch_size
        # Even seeds train, odd ones are held out: no pair of streams can share a generator's seed.
        self.generator = torch.Generator(device).manual_seed(2 * seed + (split == "held_out"))

    def __iter__(self) -> "TaskStream":
        return self

    def __next__(self) -> Batch:
        return self.task.sample(self.batch_size, self.generator)

    def state_dict(self) -> dict[str, Tensor]:
        """Where the stream stands."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream stood."""
        self.generator.set_state(state["generator"])


def encode(tokens: Tensor, num_tokens: int, encoding: Encoding) -> Tensor:
    """Token ids ``[B, T]`` as one-hot ``[B, T, num_tokens]``, as numbers ``[B, T, 1]``, or as they are."""
    if encoding == "token":
        return tokens
    if encoding == "scalar":
        return tokens.unsqueeze(-1).to(torch.get_default_dtype())
    one_hot = torch.zeros(*tokens.shape, num_tokens, device=tokens.device)
    return one_hot.scatter_(-1, tokens.unsqueeze(-1), 1)


def encoded_size(num_tokens: int, encoding: Encoding) -> int:
    """``input_size`` under an encoding."""
    return 1 if encoding == "scalar" else num_tokens


def check_encoding(encoding: str) -> None:
    """Raise ValueError unless the encoding is known."""
    if encoding not in get_args(Encoding):
        raise ValueError(f"encoding must be one of {', '.join(get_args(Encoding))}, got {encoding!r}")


def class_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy: classes along the last axis of ``outputs``, any leading axes."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def class_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of targets that are the largest output."""
    return (outputs.argmax(-1) == targets).float().mean()
