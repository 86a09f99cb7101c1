"""Random bits that belong to a node of the whole graph, whichever process computes it.

torch's generator gives numbers in the order they are asked for, so a mask would depend on which rows a
process holds. Here a number is a function of (key, draw, node, column) alone: one process, two and four
drop the same numbers, and a resumed run needs no generator's state.

Reference: the mixing function is that of Steele, Lea & Flood, "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014, https://doi.org/10.1145/2660193.2660195, figure 16 (Stafford's variant 13).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
_WORDS_AT_ONCE = 1 << 15  # 256 kB: what a core's cache holds with its temporaries


class RowDraws:
    """A stream of draws, each with 16 random bits per number, keyed by node.

    Args:
        key: What tells this step from others, such as the seed and the epoch; 64 bits of it count.
        nodes: Ids in the whole graph of the rows that layers are given, which are the first of them, and of
            all sources of edges that enter these.
    """

    def __init__(self, key: tuple[int, ...], nodes: Tensor) -> None:
        self._key = 0
        for number in key:
            self._key = _mixed_int(self._key + _GOLDEN + number)
        self.nodes = nodes
        self._draws = 0

    def of_rows(self, num_rows: int, width: int) -> Tensor:
        """The next draw for dense rows, those of the first nodes: int16, uniform, ``(num_rows, width)``."""
        first = self._first(self.nodes[:num_rows])
        return _lanes(first, width)

    def of_entries(self, row: Tensor, col: Tensor) -> Tensor:
        """The next draw for entries of a sparse matrix whose rows are those of layers: int16, ``(E)``."""
        first = self._first(self.nodes[row])
        return _lanes(_mixed(first.add_(col)), 1).view(-1)

    def of_edges(self, target: Tensor, source: Tensor, width: int) -> Tensor:
        """The next draw for edges, by the positions of their ends: int16, ``(E, width)``."""
        first = self._first(self.nodes[target])
        return _lanes(_mixed(first.add_(self.nodes[source])), width)

    def _first(self, nodes: Tensor) -> Tensor:
        """A number per node for this draw, ``(n)`` int64."""
        self._draws += 1
        start = _mixed_int(self._key + _GOLDEN * self._draws)
        return _mixed(nodes.long() * _signed(_GOLDEN) + _signed(start))


_active: ContextVar[RowDraws | None] = ContextVar("row_draws", default=None)


@contextmanager
def drawing_by_row(draws: RowDraws) -> Iterator[None]:
    """Let dropout within the block take its bits from ``draws``, on any device."""
    token = _active.set(draws)
    try:
        yield
    finally:
        _active.reset(token)


def active_draws() -> RowDraws | None:
    """The draws of the block that is at work, if one is; none in compiled code, which cannot ask."""
    return None if torch.compiler.is_compiling() else _active.get()


def _lanes(first: Tensor, width: int) -> Tensor:
    """``width`` numbers of 16 bits for each of ``first``, four to a mixed word."""
    words = (width + 3) // 4
    result = torch.empty(first.numel(), width, dtype=torch.int16, device=first.device)
    steps = torch.arange(1, words + 1, device=first.device) * _signed(_GOLDEN)
    chunk = max(1, _WORDS_AT_ONCE // max(words, 1))
    if first.device.type != "cpu":
        chunk = max(1, first.numel())
    for start in range(0, first.numel(), chunk):
        mixed = _mixed(first[start : start + chunk, None] + steps)
        result[start : start + chunk] = mixed.view(torch.int16)[:, :width]
    return result


def _mixed(words: Tensor) -> Tensor:
    """Mix 64-bit words in place; shifts are of unsigned numbers, which int64 has to be told."""
    words ^= (words >> 30) & (2**34 - 1)
    words *= _signed(0xBF58476D1CE4E5B9)
    words ^= (words >> 27) & (2**37 - 1)
    words *= _signed(0x94D049BB133111EB)
    words ^= (words >> 31) & (2**33 - 1)
    return words


def _mixed_int(word: int) -> int:
    word &= _MASK
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _MASK
    return word ^ (word >> 31)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
