"""Sorting what memory does not hold: sorted runs on the disk, merged a range of keys at a time.

External merge sort (Knuth, The Art of Computer Programming, vol. 3, section 5.4), with the merge done by
sorting: keys sampled from every run divide them into ranges that fit into memory, and each range, gathered
from all runs, is sorted there. So however skewed the keys are, and however many runs, memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.storage.array_files import ArrayWriter, map_array

Keys = NDArray[np.uint64]
Payload = NDArray[Any] | None


@dataclass(frozen=True)
class SortedRuns:
    """Sorted runs of keys, each perhaps with a number that goes along with it.

    Attributes:
        folder: Where they lie.
        name: What their files begin with.
        has_payload: Whether a number goes along with every key.
    """

    folder: Path
    name: str
    has_payload: bool

    def write(self, number: int, keys: Keys, payload: Payload = None) -> None:
        """Write run ``number``, its keys ascending; written again, it is the same."""
        columns = {"keys": keys} | ({} if payload is None else {"payload": payload})
        for column, values in columns.items():
            writer = ArrayWriter(self._path(number, column), values.dtype)
            writer.append(values)
            writer.finish()

    def read(self, count: int) -> list[tuple[Keys, Payload]]:
        """The first ``count`` runs, memory-mapped."""
        return [
            (
                map_array(self._path(number, "keys"), kinds="u"),
                map_array(self._path(number, "payload")) if self.has_payload else None,
            )
            for number in range(count)
        ]

    def remove(self) -> None:
        """Delete every run."""
        for path in self.folder.glob(f"{self.name}-*.npy"):
            path.unlink()

    def _path(self, number: int, column: str) -> Path:
        return self.folder / f"{self.name}-{number:06d}-{column}.npy"


def ranges_of_keys(runs: Sequence[tuple[Keys, Payload]], at_once: int) -> list[int]:
    """Ascending keys between which there are at most about ``at_once`` entries of all runs; ends included.

    Equal keys stay together, so a range has more where one key is that frequent.
    """
    total = sum(keys.size for keys, _ in runs)
    if total == 0:
        return []
    # Each sampled key stands for `step` entries of its run; a range of m samples has at most (m + runs) steps.
    step = max(at_once // (2 * len(runs)), 1)
    sampled = np.sort(np.concatenate([keys[::step] for keys, _ in runs]))
    inner = np.unique(sampled[:: max(at_once // (2 * step), 1)])[1:]
    last = max(int(keys[-1]) for keys, _ in runs if keys.size)
    return [0, *inner.tolist(), last + 1]


def merged(
    runs: Sequence[tuple[Keys, Payload]], bounds: Sequence[int], begin: int = 0
) -> Iterator[tuple[Keys, Payload]]:
    """The entries of all runs in the order of their keys, a range at a time, from range ``begin`` on.

    Entries of equal keys stay in the order of their runs.
    """
    for low, high in list(pairwise(bounds))[begin:]:
        pieces, payloads = [], []
        for keys, payload in runs:
            first, last = np.searchsorted(keys, np.array([low], dtype=np.uint64))[0], _end(keys, high)
            pieces.append(keys[first:last])
            if payload is not None:
                payloads.append(payload[first:last])
        found = np.concatenate(pieces)
        if not payloads:
            found.sort()
            yield found, None
        else:
            order = np.argsort(found, kind="stable")
            yield found[order], np.concatenate(payloads)[order]


def _end(keys: Keys, high: int) -> int:
    if high > np.iinfo(np.uint64).max:
        return keys.size
    return int(np.searchsorted(keys, np.array([high], dtype=np.uint64))[0])
