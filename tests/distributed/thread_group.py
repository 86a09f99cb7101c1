"""Several ranks as threads of one process: every exchange of the real thing, and no process to start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class _Shared:
    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=60)
        self.given: list[Any] = [None] * size


class ThreadGroup:
    """A `gnnkit.distributed.group.Group`."""

    def __init__(self, rank: int, shared: _Shared) -> None:
        self.rank, self.size, self.bytes_sent = rank, len(shared.given), 0
        self._shared = shared

    def _all(self, mine: Any) -> list[Any]:
        self._shared.given[self.rank] = mine
        self._shared.barrier.wait()
        everyone = list(self._shared.given)
        self._shared.barrier.wait()  # nobody gives anew before all have read
        return everyone

    def sum_(self, tensor: Tensor) -> None:
        everyone = self._all(tensor.detach().clone())
        tensor.copy_(torch.stack(everyone).sum(0).to(tensor.dtype))

    def exchange(self, sent: Tensor, send_counts: Sequence[int], receive_counts: Sequence[int]) -> Tensor:
        assert sum(send_counts) == sent.size(0)
        everyone = self._all(sent.detach().split(list(send_counts)))
        received = [each[self.rank] for each in everyone]
        assert [each.size(0) for each in received] == list(receive_counts)
        self.bytes_sent += sum(
            each.numel() * each.element_size()
            for rank, each in enumerate(sent.split(list(send_counts)))
            if rank != self.rank
        )
        return torch.cat(received)

    def broadcast(self, content: bytes | None) -> bytes:
        return self._all(content)[0] or b""


def in_threads(size: int, job: Callable[[ThreadGroup], Any]) -> list[Any]:
    """``job`` in ``size`` ranks at once; what each returns. The first error ends all."""
    shared = _Shared(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = job(ThreadGroup(rank, shared))
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            errors.append(error)
            shared.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
