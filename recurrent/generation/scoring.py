"""How well a model knows a text: bits per character, and the surprise at each."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recurrent.checks import as_ids
from recurrent.modes import evaluating


class SequenceModel(Protocol):
    """A model that reads many characters at once, such as `recurrent.models.CharLM`."""

    def __call__(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Ids ``[B, T]`` to logits ``[B, T, V]``, and the state after the last."""
        ...


class Scored(NamedTuple):
    """Averages over the characters predicted.

    Attributes:
        bits_per_character: Mean of -log2 p.
        accuracy: Share of characters that were the likeliest.
        characters: How many were predicted: one less than read.
    """

    bits_per_character: float
    accuracy: float
    characters: int

    @property
    def loss(self) -> float:
        """The same in nats, as the training loss."""
        return self.bits_per_character * math.log(2)


def surprise(model: SequenceModel, tokens: Tensor, *, at_once: int = 2048) -> tuple[Tensor, Tensor]:
    r"""-log2 p of every character after the first, given all before it, and whether it was the likeliest.

    Args:
        model: The model; dropout is off while it reads.
        tokens: A text, at least two characters.
        at_once: Characters per call, the state carried: memory, not the result, depends on it.

    Shapes:
        - **tokens:** :math:`(N)`, or :math:`(B, N)` for several texts read side by side
        - **output:** twice :math:`(N - 1)` or :math:`(B, N - 1)`, in bits and as booleans

    Raises:
        ValueError: If there are fewer than two characters.

    Example:
        >>> from recurrent.models import CharLM
        >>> bits, right = surprise(CharLM(4, 8), torch.tensor([0, 1, 2]))
        >>> bits.shape
        torch.Size([2])
    """
    tokens = as_ids(tokens)
    if tokens.dim() not in (1, 2):
        raise ValueError(f"a text is [characters], several are [texts, characters], got {tuple(tokens.shape)}")
    if at_once < 1:
        raise ValueError(f"at_once must be 1 or more, got {at_once}")
    at_once = min(at_once, tokens.size(-1))
    if tokens.size(-1) < 2:
        raise ValueError(f"a text to be scored has at least 2 characters, got {tokens.size(-1)}")
    if tokens.dim() == 1:
        bits, right = surprise(model, tokens.unsqueeze(0), at_once=at_once)
        return bits[0], right[0]
    if isinstance(model, nn.Module):
        tokens = tokens.to(next(model.parameters()).device)
    bits_read, right_read = [], []
    state = None
    with evaluating(model), torch.no_grad():
        for start in range(0, tokens.size(1) - 1, at_once):
            targets = tokens[:, start + 1 : start + 1 + at_once]
            logits, state = model(tokens[:, start : start + targets.size(1)], state)
            nats = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
            bits_read.append(nats.view(targets.shape) / math.log(2))
            right_read.append(logits.argmax(-1) == targets)
    return torch.cat(bits_read, dim=1), torch.cat(right_read, dim=1)


def score(model: SequenceModel, tokens: Tensor, *, rows: int = 1) -> Scored:
    """How well ``model`` predicts ``tokens``, ``[N]``.

    Args:
        model: The model.
        tokens: A text.
        rows: Cut the text into so many rows, read side by side: much faster, and slightly worse than the truth,
            since every row begins without a memory. 1 is exact.

    Raises:
        ValueError: If there are fewer than two characters a row.
    """
    tokens = as_ids(tokens, dims=1)
    if rows < 1 or len(tokens) < 2 * rows:
        raise ValueError(f"{rows} row(s) need {2 * max(rows, 1)} characters at least, got {len(tokens)}")
    # Rows overlap by a character, so that none but the text's first goes unpredicted; a few at the end may.
    length = (len(tokens) - 1) // rows
    windows = tokens[: rows * length + 1].unfold(0, length + 1, length)
    bits, right = surprise(model, windows, at_once=max(1, 2**15 // rows))
    return Scored(float(bits.double().mean()), float(right.double().mean()), bits.numel())
