"""Searches from many sources: in blocks of bits over all cores, or one by one where the graph is long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch

from gnnkit.graph.bfs import single_source
from gnnkit.graph.bit_parallel import WORD, Level, Spread, TooManyLevels, make_spread
from gnnkit.graph.sweeps import Sweeps
from gnnkit.graph.walk import IntArray, Walk

_FEW_SOURCES = 8  # below this one search after the other is quicker
_LONG = 128  # hops from the first source beyond which bits share too little work
_STATE_WORDS = 1 << 18  # two megabytes of state per block: wider rows, but few misses of the second-level cache
_MIN_WORDS, _MAX_WORDS = 8, 64  # eight words are a cache line

# Sweeping over a long graph takes some ten passes whatever the number of sources, each with a few calls per level.
_SWEPT_SOURCES = 16  # fewer are searched one by one
_SWEPT_WIDTH = 256  # sources times nodes per level from which on the calls are worth their while
_SWEPT_CELLS, _MAX_SWEPT_SOURCES = 1 << 26, 512  # 128 MB of hops at a time


class Visitor(Protocol):
    """What is made of the searches. ``block`` is called from several threads, ``row`` from one."""

    def block(self, begin: int, num_sources: int, row_of: IntArray | None, levels: Iterator[Level]) -> None:
        """Take the levels of the sources ``begin`` to ``begin + num_sources``; keep nothing if they break off."""
        ...

    def row(self, position: int, hops: IntArray) -> None:
        """Take the hops from one source."""
        ...


def block_words(num_nodes: int, num_sources: int) -> int:
    """Words of sources to search from at once."""
    words, threads = _up(num_sources, WORD), torch.get_num_threads()
    most = min(max(_STATE_WORDS // max(num_nodes, 1), _MIN_WORDS), _MAX_WORDS)
    blocks = _up(_up(words, most), threads) * threads  # as many for each thread
    return max(_up(words, max(blocks, 1)), 1)


def _up(number: int, divisor: int) -> int:
    return -(-number // divisor)


class ManySources:
    """Searches over one walk; what is prepared for the first serves the later ones.

    Args:
        walk: The edges.
        num_sources: How many sources there will be in all.
        max_hops: Where to stop, if anywhere.
    """

    def __init__(self, walk: Walk, num_sources: int, max_hops: int | None) -> None:
        self._walk, self._max_hops = walk, max_hops
        self._words = block_words(walk.num_nodes, num_sources)
        self._one_by_one = num_sources < _FEW_SOURCES
        self._num_words = _up(num_sources, WORD)
        self._may_sweep = walk.is_symmetric
        self._sweeps: Sweeps | None = None
        self._spread: Spread | None = None

    def visit(self, sources: IntArray, visitor: Visitor, positions: Sequence[range] | None = None) -> None:
        """Search from every source, or from those at ``positions``, and show the visitor what was found."""
        size = self._words * WORD
        blocks = [
            range(begin, min(begin + size, part.stop))
            for part in positions or [range(sources.size)]
            for begin in range(part.start, part.stop, size)
        ]
        if not self._one_by_one and self._spread is None and sources.size:
            first = single_source(self._walk, int(sources[0]), max_hops=self._max_hops)
            self._one_by_one = int(first.max()) > _LONG
            if not self._one_by_one:
                self._spread = make_spread(self._walk, self._num_words)

        def visit_block(block: range) -> bool:
            if self._one_by_one or self._spread is None:
                return False
            levels = self._spread.levels(sources[block.start : block.stop], self._max_hops)
            try:
                visitor.block(block.start, len(block), self._spread.row_of, levels)
            except TooManyLevels:
                self._one_by_one = True
                return False
            return True

        threads = min(torch.get_num_threads(), len(blocks))
        if threads > 1 and not self._one_by_one:
            with ThreadPoolExecutor(threads) as pool:
                done = list(pool.map(visit_block, blocks))
        else:
            done = [visit_block(block) for block in blocks]
        left = [np.arange(block.start, block.stop) for block, is_done in zip(blocks, done, strict=True) if not is_done]
        if left:
            self._visit_long(sources, visitor, np.concatenate(left))

    def _visit_long(self, sources: IntArray, visitor: Visitor, positions: IntArray) -> None:
        """Sweep over the component in which most sources lie, if that pays; search from the others one by one."""
        swept = self._sweep(sources, visitor, positions) if self._may_sweep else positions[:0]
        for position in np.setdiff1d(positions, swept).tolist():
            hops = single_source(self._walk, int(sources[position]), max_hops=self._max_hops)
            visitor.row(position, hops)

    def _sweep(self, sources: IntArray, visitor: Visitor, positions: IntArray) -> IntArray:
        """Positions of the sources that were dealt with by sweeping."""
        components = self._walk.components[sources[positions]]
        inside: IntArray = positions[components == np.bincount(components).argmax()]
        if inside.size < _SWEPT_SOURCES:
            return inside[:0]
        if self._sweeps is None:
            root = single_source(self._walk, int(sources[inside[0]]))
            if inside.size * int((root >= 0).sum()) < _SWEPT_WIDTH * int(root.max()):
                return inside[:0]
            self._sweeps = Sweeps(self._walk, root)
        inside = inside[self._sweeps.position[sources[inside]] >= 0]
        size = min(max(_SWEPT_CELLS // self._walk.num_nodes, _SWEPT_SOURCES), _MAX_SWEPT_SOURCES)
        for begin in range(0, inside.size, size):
            block = inside[begin : begin + size]
            rows = self._sweeps.hops(sources[block])
            if rows is None:
                self._may_sweep = False
                return inside[:begin]
            if self._max_hops is not None:
                rows[rows > self._max_hops] = -1
            for position, hops in zip(block.tolist(), rows, strict=True):
                visitor.row(position, hops)
        return inside
