"""Endless batches of windows into a text, resumable bit for bit."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from recurrent.tasks.task import Batch


class TextStream(Protocol):
    """Batches of token ids ``[B, T]`` and the ids one further, ``[B, T]``.

    Where it is ``stateful``, row b of a batch goes on where row b of the one before ended, so that a model
    may carry its state.
    """

    stateful: ClassVar[bool]

    def __next__(self) -> Batch:
        """The next batch."""

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream stood."""


class RandomWindows:
    """Windows that begin anywhere, drawn with replacement: the reports' way.

    Every window starts from an empty memory, so nothing further back than T characters can be learnt.

    Args:
        tokens: The text, ``[N]``.
        batch_size: Windows in a batch, B.
        seq_length: Characters of a window, T.
        seed: Not negative, below 2**63.

    Raises:
        ValueError: If the text is too short for a window, or a size is not positive.

    Example:
        >>> windows = RandomWindows(torch.arange(100), batch_size=2, seq_length=5, seed=0)
        >>> inputs, targets = next(windows)
        >>> inputs.shape, torch.equal(targets, inputs + 1)
        (torch.Size([2, 5]), True)
    """

    stateful: ClassVar[bool] = False

    def __init__(self, tokens: Tensor, batch_size: int, seq_length: int, seed: int) -> None:
        _check(tokens, batch_size, seq_length, seed)
        self.tokens = tokens
        self.batch_size, self.seq_length = batch_size, seq_length
        # The CPU draws wherever the text lies, so the windows do not depend on the device.
        self.generator = torch.Generator().manual_seed(seed)
        self._steps = torch.arange(seq_length + 1, device=tokens.device)

    def __next__(self) -> Batch:
        starts = torch.randint(len(self.tokens) - self.seq_length, (self.batch_size, 1), generator=self.generator)
        windows = self.tokens[starts.to(self.tokens.device) + self._steps]
        return Batch(windows[:, :-1], windows[:, 1:])

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream stood."""
        self.generator.set_state(state["generator"])


class StatefulBatches:
    """B readers, evenly spread over the text as if it were a ring, each going on where it stopped.

    A state carried from batch to batch has read everything since the start of training; after the last
    character comes the first, a seam that each reader meets once a lap. Windows lie elsewhere in each lap.

    Args:
        tokens: The text, ``[N]``.
        batch_size: Readers, B.
        seq_length: Characters each reads at once, T.
        seed: Turns the ring; not negative, below 2**63.

    Raises:
        ValueError: If the text is too short for a window, or a size is not positive.

    Example:
        >>> batches = StatefulBatches(torch.arange(100), batch_size=2, seq_length=5, seed=0)
        >>> first, second = next(batches), next(batches)
        >>> torch.equal(second.inputs[:, 0], first.targets[:, -1])
        True
    """

    stateful: ClassVar[bool] = True

    def __init__(self, tokens: Tensor, batch_size: int, seq_length: int, seed: int) -> None:
        _check(tokens, batch_size, seq_length, seed)
        self.tokens = tokens
        self.batch_size, self.seq_length = batch_size, seq_length
        length = len(tokens)
        turned = int(torch.randint(length, (), generator=torch.Generator().manual_seed(seed)))
        starts = torch.arange(batch_size, device=tokens.device) * length // batch_size + turned
        self._offsets = starts.unsqueeze(1) + torch.arange(seq_length + 1, device=tokens.device)
        self.position = 0

    def __next__(self) -> Batch:
        windows = self.tokens[(self._offsets + self.position) % len(self.tokens)]
        self.position = (self.position + self.seq_length) % len(self.tokens)
        return Batch(windows[:, :-1], windows[:, 1:])

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream stood.

        Raises:
            ValueError: If that is not a place in this text.
        """
        position = state["position"]
        if type(position) is not int or not 0 <= position < len(self.tokens):
            raise ValueError(f"a position is a whole number from 0 to {len(self.tokens) - 1}, got {position!r}")
        self.position = position


def _check(tokens: Tensor, batch_size: int, seq_length: int, seed: int) -> None:
    if tokens.dim() != 1 or tokens.is_floating_point():
        raise ValueError(f"tokens must be ids in one row, [N], got {tokens.dtype} of shape {tuple(tokens.shape)}")
    for name, size in (("batch_size", batch_size), ("seq_length", seq_length)):
        if not 1 <= size < 2**31:
            raise ValueError(f"{name} must be from 1 to 2**31 - 1, got {size}")
    if len(tokens) <= seq_length:
        raise ValueError(
            f"windows of {seq_length} characters and the one after need a longer text, got {len(tokens)} characters; "
            "take a smaller seq_length"
        )
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, got {seed}")
