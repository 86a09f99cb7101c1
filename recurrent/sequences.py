"""Sequences of unequal length, kept end to end: no padding until a batch of them is computed with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from recurrent.checks import check_integers


class Sequences:
    r"""Several sequences, of features or of token ids, each of its own length.

    Args:
        values: Every step of the first sequence, then of the second, and so on.
        lengths: Steps of each sequence; a sequence may be empty.

    Shapes:
        - **values:** :math:`(\sum_n T_n, F)` of floating-point numbers, or token ids :math:`(\sum_n T_n)`
        - **lengths:** :math:`(N)`

    Raises:
        TypeError: If values are neither floating-point features nor integers, or lengths no integers.
        ValueError: If shapes do not fit, a length or a token id is negative, or lengths do not add up.

    Example:
        >>> words = Sequences.from_list([torch.tensor([3, 1, 2]), torch.tensor([4])])
        >>> words, words.select_rows(torch.tensor([1, 0])).padded().tolist()
        (Sequences(2 of token ids, 4 steps), [[4, 0, 0], [3, 1, 2]])
    """

    def __init__(self, values: Tensor, lengths: Tensor) -> None:
        if values.is_complex() or values.dtype == torch.bool:
            raise TypeError(f"steps must be floating-point features or integer token ids, got {values.dtype}")
        if values.dim() != (2 if values.is_floating_point() else 1):
            raise ValueError(
                "steps must be features (all steps, F), floating-point, or token ids (all steps), integers, "
                f"got {values.dtype} of shape {tuple(values.shape)}"
            )
        check_integers(lengths)
        if lengths.dim() != 1 or (lengths.numel() and int(lengths.min()) < 0) or int(lengths.sum()) != len(values):
            raise ValueError(
                f"lengths must be (N), each 0 or more, and add up to the {len(values)} steps, got shape "
                f"{tuple(lengths.shape)} and a sum of {int(lengths.sum())}"
            )
        if not values.is_floating_point() and values.numel() and int(values.min()) < 0:
            raise ValueError(f"token ids must be 0 or more, got {int(values.min())}")
        self.values = values if values.is_floating_point() else values.long()
        self.lengths = lengths.long()

    @classmethod
    def from_list(cls, sequences: Iterable[Tensor]) -> Sequences:
        """One after another: features ``(T_n, F)``, or token ids ``(T_n)``.

        Raises:
            ValueError: If there is none, or they differ in F, in kind, or in dtype.
        """
        found = list(sequences)
        if not found:
            raise ValueError("there must be at least one sequence, got none")
        kinds = {(each.dtype, tuple(each.shape[1:])) for each in found}
        if len(kinds) > 1:
            raise ValueError(f"sequences must agree in dtype and features per step, got {sorted(map(str, kinds))}")
        return cls(torch.cat(found), torch.tensor([len(each) for each in found], device=found[0].device))

    @classmethod
    def from_padded(cls, values: Tensor, lengths: Tensor | None = None) -> Sequences:
        """What counts of a padded batch ``(N, T, F)``, or of token ids ``(N, T)``; all of it without lengths.

        Raises:
            ValueError: If the shape is another, or a length is not between 0 and T.
        """
        if values.dim() != (3 if values.is_floating_point() else 2):
            raise ValueError(f"a padded batch is (N, T, F), or (N, T) of token ids, got {tuple(values.shape)}")
        count, steps = values.shape[:2]
        if lengths is None:
            return cls(values.flatten(0, 1), torch.full((count,), steps, device=values.device))
        check_integers(lengths)
        if lengths.shape != (count,) or (count and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps):
            raise ValueError(f"lengths must be ({count},), from 0 to {steps}, got {lengths.tolist()}")
        return cls(values[torch.arange(steps, device=values.device) < lengths.unsqueeze(1)], lengths)

    def __len__(self) -> int:
        return self.lengths.numel()

    @property
    def is_ids(self) -> bool:
        """Whether a step is a token id."""
        return not self.values.is_floating_point()

    @property
    def num_features(self) -> int:
        """Features of a step; of token ids the largest one and one."""
        if not self.is_ids:
            return self.values.size(1)
        return int(self.values.max()) + 1 if self.values.numel() else 0

    @property
    def dtype(self) -> torch.dtype:
        """Of the steps."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the steps are."""
        return self.values.device

    def select_rows(self, rows: Tensor) -> Sequences:
        """The chosen sequences, in the order given; one may come twice."""
        lengths = self.lengths[rows]
        owner = torch.repeat_interleave(torch.arange(len(rows), device=self.device), lengths)
        first = (self.lengths.cumsum(0) - self.lengths)[rows]
        begin = lengths.cumsum(0) - lengths
        steps = torch.arange(owner.numel(), device=self.device) - begin[owner] + first[owner]
        return Sequences(self.values[steps], lengths)

    def padded(self) -> Tensor:
        """``(N, T, F)``, or token ids ``(N, T)``, T the longest length but 1 at least; zeros behind each end."""
        steps = max(1, int(self.lengths.max()) if len(self) else 1)
        counts = torch.arange(steps, device=self.device) < self.lengths.unsqueeze(1)
        padded = self.values.new_zeros(len(self), steps, *self.values.shape[1:])
        return padded.masked_scatter(counts if self.is_ids else counts.unsqueeze(-1), self.values)

    def map(self, function: Callable[[Tensor], Tensor]) -> Sequences:
        """The sequences whose steps are ``function`` of these steps, all at once: an embedding, say."""
        return Sequences(function(self.values), self.lengths)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Sequences:
        """On another device; features, not token ids, in another dtype."""
        return Sequences(self.values.to(device, None if self.is_ids else dtype), self.lengths.to(device))

    def __repr__(self) -> str:
        kind = "token ids" if self.is_ids else f"{self.values.size(1)} features"
        return f"Sequences({len(self)} of {kind}, {len(self.values)} steps)"
