"""Searches from many sources of a long undirected graph, by sweeping over its levels.

On a grid of a thousand levels the searches from 64 sources have nothing in common that bits could share. But the
levels around any one node order the graph, and a shortest path goes through that order in few monotone stretches.
Passing the distances from all sources up the levels and down again, until nothing changes, is Bellman-Ford with
Yen's alternating order ("An algorithm for finding shortest routes", Quarterly of Applied Mathematics 27, 1970): a
few sweeps instead of thousands of rounds, and each step works on whole rows of sources.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.graph.walk import IntArray, Walk

_MAX_ROUNDS = 8  # after so many the order does not suit the graph
_MANY_NEIGHBORS = 16


class _Step(NamedTuple):
    """Rows ``low`` to ``high`` (``rows`` of them, if not all) learn from their neighbours.

    The first neighbour of each comes first; ``more`` has the second ones and so on, each with the rows (counted
    within the step) that have one. For hubs ``starts`` says instead where each row's neighbours begin.
    """

    low: int
    high: int
    rows: IntArray | None
    neighbors: IntArray
    more: list[tuple[IntArray, IntArray]]
    starts: IntArray | None


class Sweeps:
    """The component of ``root``, cut into levels of equal hops from it.

    Args:
        walk: Edges that can be walked either way.
        hops: Hops from ``root`` to every node, -1 outside its component.
    """

    def __init__(self, walk: Walk, hops: IntArray) -> None:
        self.position: IntArray = np.full(walk.num_nodes, -1, dtype=np.int64)
        self.order = np.argsort(hops, kind="stable")[int((hops < 0).sum()) :]
        self.position[self.order] = np.arange(self.order.size)
        level = hops[self.order].astype(np.int64)
        self.num_levels = int(level[-1]) + 1
        bounds = np.searchsorted(level, np.arange(self.num_levels + 1))
        rows = np.repeat(np.arange(self.order.size), walk.ahead.degrees(self.order))
        neighbors = self.position.take(walk.ahead.neighbors(self.order))
        climb = level.take(neighbors) - level.take(rows)
        self._from_below, self._within, self._from_above = (
            _steps(rows[climb == side], neighbors[climb == side], bounds) for side in (-1, 0, 1)
        )

    def hops(self, sources: IntArray) -> IntArray | None:
        """Hops ``(sources, num_nodes)`` from sources in the component, -1 outside; None if sweeping takes too long."""
        dtype = np.int16 if 2 * self.num_levels < np.iinfo(np.int16).max else np.int32  # no path is twice as long
        far = np.iinfo(dtype).max - 1  # one more must not wrap
        hops = np.full((self.order.size, sources.size), far, dtype=dtype)
        hops[self.position[sources], np.arange(sources.size)] = 0
        for _ in range(_MAX_ROUNDS):
            changed = False
            for level in range(self.num_levels):
                changed |= _relax(hops, self._from_below[level], changed)
                changed |= self._relax_within(hops, level)
            for level in range(self.num_levels - 1, -1, -1):
                changed |= _relax(hops, self._from_above[level], changed)
                changed |= self._relax_within(hops, level)
            if not changed:
                result: IntArray = np.full((sources.size, self.position.size), -1, dtype=dtype)
                result[:, self.order] = hops.T
                return result
        return None

    def _relax_within(self, hops: NDArray[np.signedinteger[Any]], level: int) -> bool:
        changed = False
        while _relax(hops, self._within[level], False):
            changed = True
        return changed


def _steps(rows: IntArray, neighbors: IntArray, bounds: IntArray) -> list[_Step | None]:
    """One step per level for arcs sorted by row."""
    cuts = np.searchsorted(rows, bounds)
    steps: list[_Step | None] = []
    for level in range(bounds.size - 1):
        low, high = int(cuts[level]), int(cuts[level + 1])
        if low == high:
            steps.append(None)
            continue
        mine = neighbors[low:high]
        starts = np.flatnonzero(np.diff(rows[low:high], prepend=-1))
        counts = np.diff(starts, append=high - low)
        own = rows[low:high][starts]
        first, last = int(own[0]), int(own[-1]) + 1
        some = None if last - first == own.size else own
        if counts.max() > _MANY_NEIGHBORS:
            steps.append(_Step(first, last, some, mine, [], starts))
            continue
        more: list[IntArray] = [np.flatnonzero(counts > column) for column in range(1, int(counts.max()))]
        others = [(having, mine[starts[having] + column]) for column, having in enumerate(more, start=1)]
        steps.append(_Step(first, last, some, mine[starts], others, None))
    return steps


def _relax(hops: NDArray[np.signedinteger[Any]], step: _Step | None, known_changed: bool) -> bool:
    """Lower the rows of a step to one more than their neighbours'; whether that changed any (True if known)."""
    if step is None:
        return False
    heard = hops.take(step.neighbors, axis=0, mode="clip")
    if step.starts is not None:
        heard = np.minimum.reduceat(heard, step.starts, axis=0)  # ten times slower per neighbour
    for rows, neighbors in step.more:
        other = hops.take(neighbors, axis=0, mode="clip")
        if rows.size == heard.shape[0]:
            np.minimum(heard, other, out=heard)
        else:
            heard[rows] = np.minimum(heard[rows], other)
    heard += 1
    own = hops[step.low : step.high] if step.rows is None else hops[step.rows]
    if not known_changed and not (heard < own).any():
        return False
    if step.rows is None:
        np.minimum(own, heard, out=own)
    else:
        hops[step.rows] = np.minimum(own, heard)
    return True
