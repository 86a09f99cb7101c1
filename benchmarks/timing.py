"""Interleaved timing of several versions of one thing, in one process."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gnnkit.runs import environment


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call, a value per repeat."""

    wall: list[float]
    cpu: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)

    def interval(self) -> tuple[float, float]:
        """A distribution-free interval of the median, 95 % or as near as the repeats allow."""
        ordered, n = sorted(self.wall), len(self.wall)
        reach = int(0.98 * n**0.5)
        return ordered[max(0, n // 2 - reach)], ordered[min(n - 1, n // 2 + reach)]

    def as_json(self) -> dict[str, Any]:
        return {
            "wall_ms": self.median,
            "wall_ms_95": list(self.interval()),
            "cpu_ms": self.median_cpu,
            "repeats": len(self.wall),
        }


def interleaved(
    versions: Mapping[str, Callable[[], object]], *, repeats: int, calls: int = 1, warm_up: int = 3
) -> dict[str, Timing]:
    """Call the versions in turn, ``repeats`` rounds of ``calls`` each, so that noise falls on all alike."""
    for version in versions.values():
        for _ in range(warm_up):
            version()
    wall: dict[str, list[float]] = {name: [] for name in versions}
    cpu: dict[str, list[float]] = {name: [] for name in versions}
    names = list(versions)
    for repeat in range(repeats):
        # Another order every round: whoever runs after the slowest would pay for its cache misses.
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            version = versions[name]
            started, started_cpu = time.perf_counter(), time.process_time()
            for _ in range(calls):
                version()
            wall[name].append((time.perf_counter() - started) / calls * 1e3)
            cpu[name].append((time.process_time() - started_cpu) / calls * 1e3)
    return {name: Timing(wall[name], cpu[name]) for name in names}


def machine() -> dict[str, Any]:
    """Versions, processor and threads, for the results."""
    return {**environment(), "python": platform.python_version(), "load": os.getloadavg()[0]}


def ratio_interval(slow: Timing, fast: Timing) -> tuple[float, float, float]:
    """The median over rounds of slow / fast, and its 95 % interval."""
    ratios = Timing([a / b for a, b in zip(slow.wall, fast.wall, strict=True)], [])
    return ratios.median, *ratios.interval()


def threads(count: int) -> None:
    torch.set_num_threads(count)
