"""Which rows of other processes a process needs, and the exchange that brings them.

Nodes are numbered so that every process owns a contiguous range. A process's halo are the foreign nodes
with an edge into its own; before each layer their rows are fetched by one all-to-all, and in the
backward pass their gradients return the same way and are added where the rows came from.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnkit.distributed.group import Group


class Halo:
    """The exchange of one process's rows with the others; a `gnnkit.graph.part.Fetch`.

    Every process makes its own at the same time, since they tell one another what they need.

    Args:
        group: The processes.
        bounds: Process r owns nodes ``bounds[r]`` to ``bounds[r + 1] - 1``, ``(size + 1)``.
        sources: Where the edges into own nodes come from, by whole-graph number, in any order.
        device: Where the rows lie.
    """

    def __init__(
        self, group: Group, bounds: list[int], sources: NDArray[np.integer[Any]], device: torch.device | None = None
    ) -> None:
        self.group = group
        self.first, end = bounds[group.rank], bounds[group.rank + 1]
        self.num_own = end - self.first
        foreign = sources[(sources < self.first) | (sources >= end)]
        # Ascending, so that each process's nodes lie together, and in the order of the processes.
        self.nodes = np.unique(foreign).astype(np.int64)
        cuts = np.searchsorted(self.nodes, bounds)
        self._receive = [int(stop - start) for start, stop in pairwise(cuts)]
        ones = [1] * group.size
        wanted = torch.tensor(self._receive, device=device)
        self._send = [int(count) for count in group.exchange(wanted, ones, ones)]
        asked = group.exchange(torch.from_numpy(self.nodes).to(device), self._receive, self._send)
        self._rows = asked - self.first  # own rows that others need, process by process

    @property
    def num_foreign(self) -> int:
        """How many rows come from other processes."""
        return self.nodes.size

    def positions(self, sources: NDArray[np.integer[Any]]) -> NDArray[np.int32] | NDArray[np.int64]:
        """Whole-graph numbers of sources as positions among own and foreign rows."""
        small = self.num_own + self.nodes.size < 2**31
        own = (sources >= self.first) & (sources < self.first + self.num_own)
        result = np.empty(sources.shape, np.int32 if small else np.int64)
        result[own] = sources[own] - self.first
        result[~own] = np.searchsorted(self.nodes, sources[~own]) + self.num_own
        return result

    def __call__(self, x: Tensor) -> Tensor:
        """``(own, F) -> (own + foreign, F)``."""
        return cast(Tensor, _Exchange.apply(x, self))  # type: ignore[no-untyped-call]

    def _forward(self, x: Tensor) -> Tensor:
        foreign = self.group.exchange(x.index_select(0, self._rows), self._send, self._receive)
        return torch.cat([x, foreign])

    def _backward(self, grad: Tensor) -> Tensor:
        # Not in place: what autograd gives may be shared.
        returned = self.group.exchange(grad[self.num_own :].contiguous(), self._receive, self._send)
        return grad[: self.num_own].index_add(0, self._rows, returned)


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, halo: Halo) -> Tensor:
        ctx.halo = halo
        return halo._forward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.halo._backward(grad), None


def owner(bounds: list[int], node: int) -> int:
    """The process that owns a node."""
    return bisect_right(bounds, node) - 1
