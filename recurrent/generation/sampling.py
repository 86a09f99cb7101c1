"""Drawing the next character: temperature, then which characters stay possible, then one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """What a draw is made from: softmax(logits / temperature), cut by top_k, then top_p, then min_p.

    Each cut sees what the one before left, renormalised, and always leaves the likeliest character.

    Attributes:
        temperature: Below 1 sharper, above 1 flatter. (The reports' sheet multiplies by tau = 1 / temperature.)
        top_k: Keep the so many likeliest (Fan et al., 2018, https://arxiv.org/abs/1805.04833).
        top_p: Keep the fewest whose probabilities reach this sum (Holtzman et al., 2020,
            https://arxiv.org/abs/1904.09751).
        min_p: Keep what has this share of the likeliest one's probability (Nguyen et al., 2024,
            https://arxiv.org/abs/2407.01082).

    Raises:
        ValueError: Naming what is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(
                f"temperature must be a positive number, got {self.temperature}; "
                'for always the likeliest character say strategy="greedy"'
            )
        if self.top_k is not None and (type(self.top_k) is not int or self.top_k < 1):
            raise ValueError(f"top_k must be a whole number of characters from 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be from 0 to 1, got {self.min_p}")


def filtered(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits below the largest, divided by the temperature; -inf where cut off. ``[*, V]`` to the same.

    Example:
        >>> filtered(torch.tensor([1.0, 3.0, 2.0]), Sampling(temperature=0.5, top_k=2))
        tensor([-inf, 0., -2.])

    Raises:
        TypeError: If the logits are not floating-point.
        ValueError: If there is none.
    """
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating-point, got {logits.dtype}")
    if logits.dim() == 0 or logits.size(-1) == 0:
        raise ValueError(f"logits must be [*, vocab_size], got {tuple(logits.shape)}")
    # Relative to the largest, so that a tiny temperature cannot overflow: softmax sees no difference.
    scaled = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature
    order = scaled.argsort(dim=-1, descending=True, stable=True)  # ties: the lower id first, as argmax has it
    ranked = scaled.gather(-1, order)
    if sampling.top_k is not None:
        ranked[..., sampling.top_k :] = -math.inf
    if sampling.top_p is not None:
        probabilities = ranked.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities  # what the likelier ones sum to; 0 for the first
        ranked = ranked.masked_fill(before >= sampling.top_p, -math.inf)
    if sampling.min_p is not None:
        probabilities = ranked.softmax(-1)
        ranked = ranked.masked_fill(probabilities < sampling.min_p * probabilities[..., :1], -math.inf)
    return torch.empty_like(scaled).scatter_(-1, order, ranked)


def draw(logits: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """One id per row of ``logits``, ``[B, V]`` to ``[B]``; row b from its own generator, so rows do not interfere.

    Raises:
        ValueError: If there is not one generator per row.
    """
    if logits.dim() != 2:
        raise ValueError(f"logits must be [batch_size, vocab_size], got {tuple(logits.shape)}")
    if len(generators) != len(logits):
        raise ValueError(f"every row has a generator of its own, got {len(generators)} for {len(logits)} rows")
    probabilities = filtered(logits, sampling).softmax(-1)
    ids = [torch.multinomial(row, 1, generator=each) for row, each in zip(probabilities, generators, strict=True)]
    return torch.cat(ids)
