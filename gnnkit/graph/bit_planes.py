"""Hop counts kept as bit-planes while a bit-parallel search runs, and written out once as numbers.

Plane ``b`` holds bit ``b`` of the level at which each source reached each node. Recording a level is then one
bitwise or per set bit of its number; the numbers, eight times larger, are made at the end, 64 x 64 bits at a time:
transpose, so that nodes run along memory as the rows of the result do, and unpack (Warren, "Hacker's Delight",
2nd ed., section 7-3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.graph.bit_parallel import WORD, Level, Words
from gnnkit.graph.walk import IntArray

HopArray = NDArray[np.integer[Any]]

_CHUNK_WORDS = 1 << 15  # words of a plane unpacked at a time: two megabytes of numbers
_HALVES = {
    32: 0x00000000FFFFFFFF,
    16: 0x0000FFFF0000FFFF,
    8: 0x00FF00FF00FF00FF,
    4: 0x0F0F0F0F0F0F0F0F,
    2: 0x3333333333333333,
    1: 0x5555555555555555,
}


class BitPlanes:
    """The hops from up to ``64 * num_words`` sources to every node.

    The planes hold the hops plus one, so that 0 is an unreached node.
    """

    def __init__(self, num_nodes: int, num_sources: int, row_of: IntArray | None) -> None:
        self._shape = (num_nodes, -(-num_sources // WORD))
        self._row_of = row_of
        self._planes: list[Words] = []

    def record(self, found: Level) -> None:
        """Keep what one level found."""
        number = found.level + 1
        for bit in range(number.bit_length()):
            if bit == len(self._planes):
                self._planes.append(np.zeros(self._shape, dtype=np.uint64))
            if number >> bit & 1:
                if found.rows is None:
                    np.bitwise_or(self._planes[bit], found.new, out=self._planes[bit])
                else:
                    self._planes[bit][found.rows] |= found.new

    def write_rows(self, out: HopArray) -> None:
        """Fill ``out``, of shape ``(num_sources, num_nodes)``, with hops; -1 (255 in uint8) where unreached."""
        num_nodes, num_words = self._shape
        chunk = max(_CHUNK_WORDS // (WORD * num_words), 1) * WORD
        for low in range(0, num_nodes, chunk):
            high = min(low + chunk, num_nodes)
            hops = _numbers(list(_by_source(self._rows(low, high))), out.dtype)
            for word in range(num_words):
                rows = out[word * WORD : (word + 1) * WORD, low:high]
                rows[...] = hops[: rows.shape[0], word, : high - low]

    def write_columns(self, out: HopArray) -> None:
        """Fill ``out``, of shape ``(num_nodes, num_sources)``: quicker than rows, as nothing is transposed."""
        num_nodes, num_words = self._shape
        chunk = max(_CHUNK_WORDS // num_words, WORD)
        for low in range(0, num_nodes, chunk):
            high = min(low + chunk, num_nodes)
            hops = _numbers([plane.view(np.uint8) for plane in self._rows(low, high)], out.dtype)
            out[low:high] = hops[: high - low, : out.shape[1]]

    def _rows(self, low: int, high: int) -> list[Words]:
        """Each plane's rows of the nodes ``low`` to ``high``, filled up to a multiple of 64."""
        planes = []
        for plane in self._planes:
            rows = np.empty((-(-(high - low) // WORD) * WORD, plane.shape[1]), dtype=np.uint64)
            rows[high - low :] = 0
            if self._row_of is None:
                rows[: high - low] = plane[low:high]
            else:
                plane.take(self._row_of[low:high], axis=0, out=rows[: high - low], mode="clip")
            planes.append(rows)
        return planes


def _numbers(planes: Sequence[NDArray[np.uint8]], dtype: np.dtype[Any]) -> HopArray:
    """The numbers, less one, whose bits the planes hold along the last axis, in bytes if ``dtype`` is of bytes."""
    *lower, top = planes
    numbers = np.unpackbits(top, axis=-1, bitorder="little")
    for plane in reversed(lower):
        np.add(numbers, numbers, out=numbers)  # numpy adds bytes in vectors but shifts them one by one
        np.bitwise_or(numbers, np.unpackbits(plane, axis=-1, bitorder="little"), out=numbers)
    if dtype.itemsize == 1 or len(planes) < 8:
        np.subtract(numbers, 1, out=numbers)  # 0 becomes 255, or -1
        return numbers if dtype == np.uint8 else numbers.view(np.int8)
    return numbers.astype(np.int16) - 1


def _by_source(planes: list[Words]) -> NDArray[np.uint8]:
    """``(nodes, words)`` bits by source to ``(planes, 64, words, nodes / 8)`` bytes of bits by node."""
    num_planes, (num_nodes, num_words) = len(planes), planes[0].shape
    words = np.empty((WORD, num_planes, num_words, num_nodes // WORD), dtype=np.uint64)
    for plane, rows in enumerate(planes):
        words[:, plane] = rows.reshape(-1, WORD, num_words).transpose(1, 2, 0)
    _transpose_bits(words.reshape(WORD, -1))
    return words.view(np.uint8).transpose(1, 0, 2, 3)


def _transpose_bits(words: Words) -> None:
    """Exchange bit ``c`` of ``words[r, m]`` with bit ``r`` of ``words[c, m]``, for every column ``m``."""
    spare = np.empty((WORD // 2, words.shape[1]), dtype=np.uint64)
    for half, mask in _HALVES.items():
        pairs = words.reshape(WORD // (2 * half), 2, half, -1)
        low, high, moved = pairs[:, 0], pairs[:, 1], spare.reshape(-1, half, words.shape[1])
        np.right_shift(low, np.uint64(half), out=moved)
        np.bitwise_xor(moved, high, out=moved)
        np.bitwise_and(moved, np.uint64(mask), out=moved)
        np.bitwise_xor(high, moved, out=high)
        np.left_shift(moved, np.uint64(half), out=moved)
        np.bitwise_xor(low, moved, out=low)
