"""The two orientations of a graph on the disk, each sorted in runs and merged: the core of a conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.sorted_runs import SortedRuns, merged, ranges_of_keys
from gnnkit.storage.array_files import ArrayWriter, map_array

SayEdge = Callable[[int, int, tuple[float, float]], FileFormatError]
_INT32_NODES, _INT32_EDGES = 2**31, 2**31


@dataclass
class Orientation:
    """What all steps of a conversion share.

    Attributes:
        out: The graph's folder.
        work: Where runs lie.
        num_nodes: How many nodes there are.
        at_once: Edges to hold in memory.
        state: What is safe on the disk.
        save: Adds to ``state``, safely.
        say: Hears how far a step is.
    """

    out: Path
    work: Path
    num_nodes: int
    at_once: int
    state: dict[str, Any]
    save: Callable[..., None]
    say: Callable[[str, int, int | None], None]

    @property
    def bits(self) -> int:
        """Bits of a node's number in a key; two of them fit into 64."""
        return max((self.num_nodes - 1).bit_length(), 1)

    @property
    def node_dtype(self) -> np.dtype[Any]:
        """What node numbers lie in."""
        return np.dtype(np.int32 if self.num_nodes <= _INT32_NODES else np.int64)

    def keys(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.uint64]:
        """Keys that sort by ``first``, then by ``second``."""
        keys: NDArray[np.uint64] = first.astype(np.uint64)
        keys <<= np.uint64(self.bits)
        keys |= second.astype(np.uint64)
        return keys

    def ends(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and second of `keys`."""
        mask = np.uint64((1 << self.bits) - 1)
        return (keys >> np.uint64(self.bits)).astype(np.int64), (keys & mask).astype(np.int64)

    def array(self, name: str) -> NDArray[Any]:
        """An array of the graph that has been written."""
        return map_array(self.out / f"{name}.npy")


class _Rows:
    """Writes where each row starts, as entries come in the order of their rows."""

    def __init__(self, orientation: Orientation, name: str, written: int) -> None:
        self._writer = ArrayWriter(orientation.out / f"{name}_start.npy", np.dtype(np.int64), count=written)
        self._at_once = orientation.at_once

    def take(self, rows: NDArray[np.int64], before: int) -> None:
        """The rows of the next entries, of which there were ``before``."""
        if rows.size:
            self._write(int(rows[-1]) + 1, lambda row: before + np.searchsorted(rows, row))

    def end(self, num_rows: int, entries: int) -> None:
        """All entries have come."""
        self._write(num_rows + 1, lambda row: np.full(row.size, entries))
        self._writer.finish()

    def _write(self, end: int, start_of: Callable[[NDArray[np.int64]], NDArray[Any]]) -> None:
        for begin in range(self._writer.count, end, self._at_once):
            self._writer.append(start_of(np.arange(begin, min(begin + self._at_once, end))))

    def flush(self) -> int:
        """Bring all to the disk; returns how many starts are there."""
        return self._writer.flush()


# ---- the edges that leave every node ---------------------------------------------------------------


def sort_leaving(
    orientation: Orientation,
    number: int,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[Any] | None,
    *,
    both: bool,
    say_edge: SayEdge,
) -> None:
    """Write part ``number`` as a run, each edge once; with ``both``, also its reverse.

    Raises:
        FileFormatError: If an edge has two weights.
    """
    if both:
        other = source != target
        source, target = np.concatenate([source, target[other]]), np.concatenate([target, source[other]])
        weight = None if weight is None else np.concatenate([weight, weight[other]])
    keys = orientation.keys(source, target)
    if weight is None:
        keys.sort()
    else:
        order = np.argsort(keys, kind="stable")
        keys, weight = keys[order], weight[order].astype(np.float64)
    keys, weight = _once(orientation, keys, weight, say_edge)
    SortedRuns(orientation.work, "leaving", weight is not None).write(number, keys, weight)


def _once(
    orientation: Orientation, keys: NDArray[np.uint64], weight: NDArray[Any] | None, say_edge: SayEdge
) -> tuple[NDArray[np.uint64], NDArray[Any] | None]:
    """The keys without those that repeat the one before."""
    again = keys[1:] == keys[:-1]
    if not again.any():
        return keys, weight
    if weight is not None:
        differing = np.flatnonzero(again & (weight[1:] != weight[:-1]))
        if differing.size:
            place = int(differing[0])
            source, target = orientation.ends(keys[place : place + 1])
            raise say_edge(int(source[0]), int(target[0]), (float(weight[place]), float(weight[place + 1])))
    kept = np.concatenate([[True], ~again])
    return keys[kept], None if weight is None else weight[kept]


def merge_leaving(orientation: Orientation, num_runs: int, *, has_weight: bool, say_edge: SayEdge) -> None:
    """Merge the runs into ``out_start``, ``out_target`` and, where weights differ from 1, ``out_weight``.

    Raises:
        FileFormatError: If an edge has two weights, or one is too large for float32.
    """
    done = orientation.state.get("merging leaving", {"ranges": 0, "entries": 0, "starts": 0, "loops": 0})
    done = {"plain": True, "negative": False} | done
    sorted_runs = SortedRuns(orientation.work, "leaving", has_weight)
    runs = sorted_runs.read(num_runs)
    bounds = ranges_of_keys(runs, orientation.at_once)
    rows = _Rows(orientation, "out", done["starts"])
    targets = ArrayWriter(orientation.out / "out_target.npy", orientation.node_dtype, count=done["entries"])
    weights = None
    if has_weight:
        weights = ArrayWriter(orientation.out / "out_weight.npy", np.dtype(np.float32), count=done["entries"])
    for keys, weight in merged(runs, bounds, done["ranges"]):
        keys, weight = _once(orientation, keys, weight, say_edge)
        source, target = orientation.ends(keys)
        rows.take(source, targets.count)
        targets.append(target)
        if weights is not None and weight is not None:
            weights.append(_float32(weight))
            weights.flush()
            done |= {"plain": done["plain"] and bool((weight == 1).all())}
            done |= {"negative": done["negative"] or bool((weight < 0).any())}
        done |= {"ranges": done["ranges"] + 1, "loops": done["loops"] + int((source == target).sum())}
        done |= {"entries": targets.flush(), "starts": rows.flush()}
        orientation.save(**{"merging leaving": done})
        orientation.say("merge", done["ranges"], len(bounds) - 1)
    rows.end(orientation.num_nodes, targets.count)
    targets.finish()
    if weights is not None:
        weights.finish()
    orientation.save(leaving=done)
    sorted_runs.remove()


def _float32(weight: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        narrow = weight.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise ValueError(f"the weight {np.abs(weight).max():g} is too large for float32; scale the weights")
    return narrow


# ---- the edges that enter every node ---------------------------------------------------------------


def sort_entering(orientation: Orientation) -> None:
    """Write the edges as runs sorted by target, then source, each with its place among those that leave."""
    if "entering" in orientation.state:
        return
    start, target = orientation.array("out_start"), orientation.array("out_target")
    count = -(-target.size // orientation.at_once)
    runs = SortedRuns(orientation.work, "entering", has_payload=True)
    for number in range(orientation.state.get("sorted entering", 0), count):
        begin = number * orientation.at_once
        end = min(begin + orientation.at_once, target.size)
        ends = np.asarray(target[begin:end])
        # Sources ascend already, so that sorting by target alone, keeping the order, sorts by both: and target and
        # place fit into one number, which is sorted twice as fast as by an order of its own.
        packed = (ends.astype(np.uint64) << np.uint64(32)) | np.arange(ends.size, dtype=np.uint64)
        packed.sort()
        order = (packed & np.uint64(2**32 - 1)).astype(np.int64)
        keys = orientation.keys(ends[order], row_of_entries(start, begin, end)[order])
        runs.write(number, keys, _edge_numbers(order + begin, target.size))
        orientation.save(**{"sorted entering": number + 1})
        orientation.say("sort by target", number + 1, count)


def merge_entering(orientation: Orientation, *, undirected: bool) -> dict[str, Any]:
    """Merge these runs into ``in_edge`` and, unless every edge has its reverse, ``in_start`` and ``in_source``.

    Returns:
        What is known of the graph, for its manifest.
    """
    leaving, state = orientation.state["leaving"], orientation.state
    num_edges, is_weighted = leaving["entries"], not leaving["plain"]
    if "entering" not in state:
        done = state.get("merging entering", {"ranges": 0, "entries": 0, "starts": 0, "mirror": True, "equal": True})
        _merge_entering(orientation, done, num_edges, is_weighted=is_weighted, undirected=undirected)
    done = orientation.state["entering"]
    is_undirected = undirected or done["mirror"]
    is_symmetric = is_undirected and (undirected or not is_weighted or done["equal"])
    superfluous = (["in_start", "in_source"] if is_undirected else []) + (["in_weight"] if is_symmetric else [])
    superfluous += [] if is_weighted else ["out_weight"]
    for name in superfluous:
        (orientation.out / f"{name}.npy").unlink(missing_ok=True)
    return {
        "num_edges": num_edges,
        "num_self_loops": leaving["loops"],
        "is_undirected": is_undirected,
        "is_symmetric": is_symmetric,
        "is_weighted": is_weighted,
        "has_negative_weights": leaving["negative"],
    }


def _merge_entering(
    orientation: Orientation, done: dict[str, Any], num_edges: int, *, is_weighted: bool, undirected: bool
) -> None:
    sorted_runs = SortedRuns(orientation.work, "entering", has_payload=True)
    runs = sorted_runs.read(orientation.state.get("sorted entering", 0))
    bounds = ranges_of_keys(runs, orientation.at_once)
    out_start, out_target = orientation.array("out_start"), orientation.array("out_target")
    out_weight = orientation.array("out_weight") if is_weighted else None

    def writer(name: str, dtype: Any) -> ArrayWriter:
        return ArrayWriter(orientation.out / f"in_{name}.npy", np.dtype(dtype), count=done["entries"])

    edges = writer("edge", np.int32 if num_edges < _INT32_EDGES else np.int64)
    written = [edges]
    sources = weights = rows = None
    if not undirected:
        sources, rows = writer("source", orientation.node_dtype), _Rows(orientation, "in", done["starts"])
        written.append(sources)
        if out_weight is not None:
            weights = writer("weight", np.float32)
            written.append(weights)
    for keys, edge in merged(runs, bounds, done["ranges"]):
        assert edge is not None
        target, source = orientation.ends(keys)
        begin, end = edges.count, edges.count + keys.size
        if sources is not None and rows is not None:
            rows.take(target, begin)
            sources.append(source)
            mirror = (row_of_entries(out_start, begin, end) == target).all() and (out_target[begin:end] == source).all()
            done |= {"mirror": bool(done["mirror"] and mirror)}
        if weights is not None and out_weight is not None:
            own = out_weight[edge]
            weights.append(own)
            done |= {"equal": bool(done["equal"] and (out_weight[begin:end] == own).all())}
        edges.append(edge)
        for each in written:
            each.flush()
        done |= {"ranges": done["ranges"] + 1, "entries": edges.count, "starts": 0 if rows is None else rows.flush()}
        orientation.save(**{"merging entering": done})
        orientation.say("merge by target", done["ranges"], len(bounds) - 1)
    if rows is not None:
        rows.end(orientation.num_nodes, num_edges)
    for each in written:
        each.finish()
    orientation.save(entering=done)
    sorted_runs.remove()


def row_of_entries(start: NDArray[Any], begin: int, end: int) -> NDArray[np.int64]:
    """The row of each of the entries ``begin .. end - 1``."""
    first, last = np.searchsorted(start, begin, side="right") - 1, np.searchsorted(start, end)
    counts = np.diff(np.clip(np.asarray(start[first : last + 1]), begin, end))
    return np.repeat(np.arange(first, last), counts)


def _edge_numbers(numbers: NDArray[np.int64], num_edges: int) -> NDArray[Any]:
    return numbers.astype(np.int32 if num_edges < _INT32_EDGES else np.int64)
