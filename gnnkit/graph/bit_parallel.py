"""Breadth-first search from many sources at once, one bit per source.

Row ``v`` of the state says, bit by bit, which sources have reached node ``v``; a level is the bitwise or of
each node's row with its neighbours' rows, so that 64 searches cost one machine word per edge (Then et al., "The
More the Merrier: Efficient Multi-Source Graph Traversal", VLDB 2014, https://doi.org/10.14778/2735496.2735507).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnkit.graph.walk import IntArray, Walk, ranges

Words = NDArray[np.uint64]

WORD = 64
MAX_LEVEL = 253  # eight bit-planes hold 255, of which one is kept for unreached nodes
_JAGGED_COLUMNS = 24  # neighbours gathered column by column; the rest of a hub's row is reduced at once
_JAGGED_FROM_WORDS = 8  # below this, sorting the rows costs more than it saves
_PUSH_ROWS, _PUSH_ARCS = 64, 8  # push from less than a 64th of the rows, along less than an eighth of the arcs
_CHUNK_WORDS = 1 << 15  # 256 kB: the gathered rows stay in the second-level cache


class TooManyLevels(Exception):
    """The search outgrew ``MAX_LEVEL`` levels: one search per source is then the quicker way."""


class Level(NamedTuple):
    """What one level of the search found: ``new[i]`` are the sources that reach row ``rows[i]`` at ``level``.

    ``rows`` is None where ``new`` has every row. Rows are numbered as in ``Spread.row_of``.
    """

    level: int
    rows: IntArray | None
    new: Words


class Spread(Protocol):
    """A way of or-ing neighbours' rows; its rows may be numbered unlike the nodes."""

    num_nodes: int
    row_of: IntArray | None

    def levels(self, sources: IntArray, max_hops: int | None) -> Iterator[Level]:
        """Yield level after level, the sources themselves first, until nothing new is reached."""
        ...


def make_spread(walk: Walk, num_words: int) -> Spread:
    """The faster way for blocks that total ``num_words`` words of sources."""
    return JaggedSpread(walk) if num_words >= _JAGGED_FROM_WORDS else RowSpread(walk)


def _initial_state(num_rows: int, source_rows: IntArray) -> Words:
    state = np.zeros((num_rows, -(-source_rows.size // WORD)), dtype=np.uint64)
    bit = np.arange(source_rows.size)
    # `at`: a source may be named twice
    np.bitwise_or.at(state, (source_rows, bit // WORD), np.uint64(1) << (bit % WORD).astype(np.uint64))
    return state


def _check_level(level: int) -> None:
    if level > MAX_LEVEL:
        raise TooManyLevels


class JaggedSpread:
    """Rows sorted by falling degree, so that the j-th neighbours of all rows that have one are a prefix.

    Each column is then one gather and one bitwise or over contiguous memory: several times faster than
    reducing ragged rows. Sorting costs about as much as two levels.
    """

    def __init__(self, walk: Walk) -> None:
        indptr, indices = walk.behind
        self.num_nodes = walk.num_nodes
        degrees = np.diff(indptr)
        node_of = np.argsort(-degrees, kind="stable")
        row_of = np.empty(self.num_nodes, dtype=np.intp)
        row_of[node_of] = np.arange(self.num_nodes)
        self.row_of: IntArray | None = row_of
        starts, falling = indptr[:-1][node_of], degrees[node_of]
        rising = -falling

        def rows_with_more_than(count: int) -> int:
            return int(np.searchsorted(rising, -count, side="left"))

        self._columns: list[IntArray] = []
        for column in range(_JAGGED_COLUMNS):
            rows = rows_with_more_than(column)
            if not rows:
                break
            self._columns.append(row_of.take(indices.take(starts[:rows] + column)))
        hubs = rows_with_more_than(_JAGGED_COLUMNS)
        rest, ends = starts[:hubs] + _JAGGED_COLUMNS, starts[:hubs] + falling[:hubs]
        self._rest = row_of.take(indices.take(ranges(rest, ends)))
        self._rest_ends = np.cumsum(ends - rest)
        self._rest_starts = self._rest_ends - (ends - rest)

    def levels(self, sources: IntArray, max_hops: int | None) -> Iterator[Level]:
        """Yield level after level; ``Level.new`` is overwritten by the next one."""
        seen = _initial_state(self.num_nodes, sources if self.row_of is None else self.row_of.take(sources))
        yield Level(0, None, seen)
        after, gathered = np.empty_like(seen), np.empty_like(seen)
        rows: IntArray | None = None
        level = 0
        while level != max_hops:
            level += 1
            if rows is None:
                self._spread(seen, after, gathered)
                new = np.bitwise_xor(after, seen, out=seen)  # after holds seen, so xor takes it away
                seen, after = after, new
            else:
                before = seen.take(rows, axis=0)
                reached = self._spread_rows(seen, rows, gathered)
                new = reached & ~before
                seen[rows] = np.bitwise_or(before, new, out=before)
            on_their_way = union(new)
            if not on_their_way.any():
                return
            _check_level(level)
            yield Level(level, rows, new)
            unfinished = _unfinished(seen if rows is None else seen.take(rows, axis=0), on_their_way)
            if unfinished is not None:
                rows = unfinished if rows is None else rows.take(unfinished)

    def _spread(self, seen: Words, after: Words, gathered: Words) -> None:
        """Set ``after`` to ``seen`` with what the neighbours have seen."""
        alone = self._columns[0].size if self._columns else 0  # from this row on there are no neighbours
        np.copyto(after[alone:], seen[alone:])
        before = seen
        for column in self._columns:
            rows = column.size
            seen.take(column, axis=0, out=gathered[:rows], mode="clip")
            np.bitwise_or(before[:rows], gathered[:rows], out=after[:rows])
            before = after
        hubs = self._rest_starts.size
        if hubs:
            rest = np.bitwise_or.reduceat(seen.take(self._rest, axis=0), self._rest_starts, axis=0)
            np.bitwise_or(after[:hubs], rest, out=after[:hubs])

    def _spread_rows(self, seen: Words, rows: IntArray, gathered: Words) -> Words:
        """What the neighbours of ``rows`` (ascending) have seen."""
        reached = np.zeros((rows.size, seen.shape[1]), dtype=np.uint64)
        for column in self._columns:
            count = int(np.searchsorted(rows, column.size))
            if not count:
                break
            neighbors = column.take(rows[:count], mode="clip")
            seen.take(neighbors, axis=0, out=gathered[:count], mode="clip")
            np.bitwise_or(reached[:count], gathered[:count], out=reached[:count])
        hubs = rows[: int(np.searchsorted(rows, self._rest_starts.size))]
        if hubs.size:
            starts, ends = self._rest_starts.take(hubs), self._rest_ends.take(hubs)
            rest = seen.take(self._rest.take(ranges(starts, ends)), axis=0)
            firsts = np.cumsum(ends - starts) - (ends - starts)
            reached[: hubs.size] |= np.bitwise_or.reduceat(rest, firsts, axis=0)
        return reached


def union(rows: Words) -> Words:
    """Bitwise or of all rows, by folding: numpy reduces long columns of short rows slowly."""
    while rows.shape[0] > WORD:
        half = rows.shape[0] // 2
        folded = np.bitwise_or(rows[:half], rows[half : 2 * half])
        if rows.shape[0] % 2:
            folded[0] |= rows[-1]
        rows = folded
    union: Words = np.bitwise_or.reduce(rows, axis=0)
    return union


def _unfinished(seen: Words, on_their_way: Words) -> IntArray | None:
    """Indices of the rows that a source still on its way has not reached; None if most rows are such."""
    full = (seen | ~on_their_way) == ~np.uint64(0)
    if np.count_nonzero(full) * 2 < full.size:
        return None  # a cheap look that spares the costly one below
    unfinished: IntArray = np.flatnonzero((~full).any(axis=1))
    return unfinished if unfinished.size * 4 < seen.shape[0] * 3 else None


class RowSpread:
    """Rows as they are stored, only those that may still change: nothing to prepare, few sources."""

    row_of: IntArray | None = None

    def __init__(self, walk: Walk) -> None:
        self.num_nodes = walk.num_nodes
        self._walk = walk

    def levels(self, sources: IntArray, max_hops: int | None) -> Iterator[Level]:
        """Yield level after level."""
        seen = _initial_state(self.num_nodes, sources)
        rows: IntArray = np.unique(sources)
        new = seen[rows]
        yield Level(0, rows, new)
        level = 0
        while level != max_hops:
            level += 1
            if self._is_small(rows):
                candidates, reached = self._push(rows, new, seen.shape[0])
            else:
                candidates = self._unfinished(seen, new)
                reached = self._pull(seen, candidates)
            before = seen.take(candidates, axis=0)
            new = reached & ~before
            changed = np.flatnonzero(new.any(axis=1))
            if not changed.size:
                return
            _check_level(level)
            rows, new = candidates.take(changed), new.take(changed, axis=0)
            seen[rows] = before.take(changed, axis=0) | new
            yield Level(level, rows, new)

    def _is_small(self, rows: IntArray) -> bool:
        """Whether pushing from ``rows`` touches less than pulling to every row that is unfinished may."""
        if rows.size * _PUSH_ROWS > self.num_nodes:
            return False
        return int(self._walk.ahead.degrees(rows).sum()) * _PUSH_ARCS < self._walk.num_arcs

    def _push(self, rows: IntArray, new: Words, num_rows: int) -> tuple[IntArray, Words]:
        """The neighbours of a few rows, and which sources reach them from there."""
        ahead = self._walk.ahead
        neighbors = ahead.neighbors(rows).astype(np.intp)  # `at` is slow on anything else
        reached = np.zeros((num_rows, new.shape[1]), dtype=np.uint64)
        degrees = ahead.degrees(rows)
        for word in range(new.shape[1]):
            np.bitwise_or.at(reached[:, word], neighbors, np.repeat(new[:, word], degrees))
        if neighbors.size * 64 < num_rows:
            near = np.unique(neighbors)
        else:
            near = np.flatnonzero(reached.any(axis=1))
        return near, reached.take(near, axis=0)

    def _unfinished(self, seen: Words, new: Words) -> IntArray:
        """Rows that some source, still on its way, has not reached yet; or all, where few could be left out."""
        idle, rows = ~union(new), self._walk.enterable
        unfinished = np.flatnonzero(((seen.take(rows, axis=0) | idle) != ~np.uint64(0)).any(axis=1))
        # Arcs of consecutive rows are a slice; rows left out here and there would cost an index for each arc.
        return rows if unfinished.size * 4 > rows.size * 3 else rows.take(unfinished)

    def _pull(self, seen: Words, rows: IntArray) -> Words:
        """Bitwise or of the neighbours' rows, for each of ``rows`` (all have neighbours)."""
        behind, words = self._walk.behind, seen.shape[1]
        starts, ends = behind.indptr.take(rows), behind.indptr.take(rows + 1)
        offsets = np.cumsum(ends - starts)
        reached = np.empty((rows.size, words), dtype=np.uint64)
        step = max(_CHUNK_WORDS // words, 1)
        total = int(offsets[-1]) if rows.size else 0
        cuts = np.unique(np.append(np.searchsorted(offsets, np.arange(step, total, step)), [0, rows.size]))
        for low, high in pairwise(cuts):
            first, last = starts[low], ends[high - 1]
            lengths = ends[low:high] - starts[low:high]
            begins = np.cumsum(lengths) - lengths
            if last - first == begins[-1] + lengths[-1]:  # no row is left out between them
                neighbors = behind.indices[first:last]
            else:
                neighbors = behind.indices.take(ranges(starts[low:high], ends[low:high]), mode="clip")
            gathered = seen.take(neighbors, axis=0, mode="clip")
            np.bitwise_or.reduceat(gathered, begins, axis=0, out=reached[low:high])
        return reached
