"""Breadth-first search from one source, in numpy and scipy.

Two kinds of graph want two kinds of search. On a small world a few levels hold almost every node,
and a level is a handful of array operations: push along the edges leaving the frontier while it is
small, and once it is large ask every unreached node whether one of its neighbours is in it, which
stops at the first that is (Beamer, Asanović & Patterson, "Direction-Optimizing Breadth-First Search",
SC 2012, https://doi.org/10.1109/SC.2012.50). On a grid or a chain there are thousands of levels of few
nodes each, and scipy's compiled queue, from whose order the levels are read off, wins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order

from gnnkit.graph.walk import Arcs, IntArray, Walk, ranges

_THIN_AFTER_LEVELS = 32  # a search this long has small frontiers: leave it to the queue
_SMALL_GRAPH_ARCS = 1 << 18  # below this a queue beats any sequence of array operations
# Pushing along an edge and pulling to an unreached node, in units of looking whether a node is reached.
_PUSH_COST, _PULL_COST = 6, 10
_PULL_ROUNDS = 8  # neighbours asked one by one before the rest are asked all at once


def single_source(walk: Walk, source: int, *, max_hops: int | None = None, target: int | None = None) -> IntArray:
    """Fewest hops from ``source`` to every node, -1 where there is no path within ``max_hops``.

    With a ``target`` the search may stop once that node's distance is known. Returns an array of
    ``num_nodes`` in int8, or a wider dtype where the hops need one.
    """
    if walk.num_arcs >= _SMALL_GRAPH_ARCS:
        hops = _by_levels(walk, source, max_hops, target)
        if hops is not None:
            return hops
    return _by_queue(walk, source, max_hops)


def _by_levels(walk: Walk, source: int, max_hops: int | None, target: int | None) -> IntArray | None:
    """Direction-optimising search; None if it is still going on after ``_THIN_AFTER_LEVELS`` levels."""
    hops: NDArray[np.int8] = np.full(walk.num_nodes, -1, dtype=np.int8)
    hops[source] = 0
    frontier, reached = np.array([source]), 1
    for level in range(1, _THIN_AFTER_LEVELS + 1):
        if not frontier.size or level - 1 == max_hops or (target is not None and hops[target] >= 0):
            return hops
        unreached = max(walk.enterable.size - reached, 0)
        if _PUSH_COST * int(walk.ahead.degrees(frontier).sum()) < walk.enterable.size + _PULL_COST * unreached:
            frontier = _push(walk.ahead, hops, frontier, level)
        else:
            frontier = _pull(walk, hops, level)
        reached += frontier.size
    return None


def _push(ahead: Arcs, hops: NDArray[np.int8], frontier: IntArray, level: int) -> IntArray:
    """Set the unreached neighbours of the frontier to ``level``; return them."""
    found = ahead.neighbors(frontier)
    found = found.take((hops.take(found, mode="clip") < 0).nonzero()[0], mode="clip")
    hops[found] = level
    if found.size * 64 >= hops.size:
        return _on_level(hops, level)  # cheaper than sorting
    return np.unique(found)


def _pull(walk: Walk, hops: NDArray[np.int8], level: int) -> IntArray:
    """Set the unreached nodes with a neighbour on the last level to ``level``; return them."""
    indptr, indices = walk.behind
    last_level = hops == level - 1
    unreached = hops.take(walk.enterable, mode="clip") < 0
    # The first neighbours of all nodes lie side by side; the later ones have to be looked up.
    hit = last_level.take(walk.first_behind, mode="clip") & unreached
    hops[walk.enterable.take(hit.nonzero()[0], mode="clip")] = level
    nodes = walk.enterable.take((unreached & ~hit).nonzero()[0], mode="clip")
    starts, ends = indptr.take(nodes, mode="clip") + 1, indptr[1:].take(nodes, mode="clip")
    remain = (starts < ends).nonzero()[0]
    nodes, starts, ends = (array.take(remain, mode="clip") for array in (nodes, starts, ends))
    for _ in range(_PULL_ROUNDS):
        hit = last_level.take(indices.take(starts, mode="clip"), mode="clip")
        hops[nodes.take(hit.nonzero()[0], mode="clip")] = level
        starts += 1
        remain = (~hit & (starts < ends)).nonzero()[0]
        nodes = nodes.take(remain, mode="clip")
        starts, ends = starts.take(remain, mode="clip"), ends.take(remain, mode="clip")
    if nodes.size:
        hit = last_level.take(indices.take(ranges(starts, ends), mode="clip"), mode="clip")
        first = np.cumsum(ends - starts) - (ends - starts)
        hops[nodes[np.logical_or.reduceat(hit, first)]] = level
    return _on_level(hops, level)


def _on_level(hops: NDArray[np.int8], level: int) -> IntArray:
    nodes: IntArray = (hops == level).nonzero()[0]
    return nodes


def _by_queue(walk: Walk, source: int, max_hops: int | None) -> IntArray:
    """Levels of scipy's breadth-first order.

    A queue leaves the levels one after the other, so a level ends before the first node whose parent
    is not yet labelled. That place is looked for from the previous level's size onwards: levels grow slowly where
    there are many.
    """
    queue, parents = breadth_first_order(walk.csgraph, source)
    hops: IntArray = np.full(walk.num_nodes, -1, dtype=np.int16)
    hops[source] = 0
    # Python reads single numbers from a memoryview (`.data`) in half the time it takes from an array.
    node_at, parent_of, hops_of = queue.data, parents.data, hops.data
    reached, begin, size, level = queue.size, 1, 1, 0
    while begin < reached and level != max_hops:
        level += 1
        if level > np.iinfo(hops.dtype).max:
            hops = hops.astype(np.int32)
            hops_of = hops.data
        low, high = begin, begin + size
        while high < reached and hops_of[parent_of[node_at[high]]] >= 0:
            low, high = high, high + size
        high = min(high, reached)
        while high - low > 1:
            middle = (low + high) // 2
            if hops_of[parent_of[node_at[middle]]] >= 0:
                low = middle
            else:
                high = middle
        if high - begin == 1:
            hops_of[node_at[begin]] = level
        else:
            hops[queue[begin:high]] = level
        begin, size = high, high - begin
    return hops.astype(np.int8) if level <= np.iinfo(np.int8).max else hops
