"""The processes of one job, and the few things they say to one another.

Under ``torchrun`` every process joins with `join_group`; gloo carries tensors of the CPU, nccl those of
GPUs. Tests run several ranks as threads of one process, with a `Group` of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from gnnkit.distributed.launch import under_torchrun
from gnnkit.distributed.meeting import own_store
from gnnkit.errors import RunError

Result = TypeVar("Result")

# A rank may wait this long for the others, as when the first one orders a large graph. It is no way to
# notice a dead process: its connections close, and torchrun ends the rest.
_TIMEOUT = timedelta(hours=12)


class PeerError(RunError):
    """Another process of the job failed; that one says why."""


class Group(Protocol):
    """The processes of one job.

    Attributes:
        rank: This process's number, from 0.
        size: How many there are.
        bytes_sent: By `exchange` and `sum_` so far, from this process to others.
    """

    rank: int
    size: int
    bytes_sent: int

    def sum_(self, tensor: Tensor) -> None:
        """Replace ``tensor`` by its sum over all processes: the same bits in each."""

    def exchange(self, sent: Tensor, send_counts: Sequence[int], receive_counts: Sequence[int]) -> Tensor:
        """Send rows to every process and receive theirs.

        Args:
            sent: The rows, those for process 0 first, ``(sum of send_counts, ...)``.
            send_counts: How many rows go to each process.
            receive_counts: How many come from each.

        Returns:
            What came, that of process 0 first, ``(sum of receive_counts, ...)``.
        """

    def broadcast(self, content: bytes | None) -> bytes:
        """What process 0 gives, in every process."""


class TorchGroup:
    """The processes that ``torchrun`` started, by ``torch.distributed``; made by `join_group`."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.device, self.bytes_sent = device, 0

    def sum_(self, tensor: Tensor) -> None:
        """See `Group`."""
        # Each number leaves a process at most twice, on the way to its sum and back, shared out in a ring.
        self.bytes_sent += 2 * tensor.numel() * tensor.element_size() * (self.size - 1) // self.size
        with _named_failure():
            distributed.all_reduce(tensor)

    def exchange(self, sent: Tensor, send_counts: Sequence[int], receive_counts: Sequence[int]) -> Tensor:
        """See `Group`."""
        received = sent.new_empty(sum(receive_counts), *sent.shape[1:])
        row_bytes = sent[:1].numel() * sent.element_size() if sent.size(0) else 0
        self.bytes_sent += (sent.size(0) - send_counts[self.rank]) * row_bytes
        with _named_failure():
            distributed.all_to_all_single(received, sent.contiguous(), list(receive_counts), list(send_counts))
        return received

    def broadcast(self, content: bytes | None) -> bytes:
        """See `Group`."""
        length = torch.tensor([0 if content is None else len(content)], device=self.device)
        with _named_failure():
            distributed.broadcast(length, 0)
            if self.rank == 0 and content:
                buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(self.device)
            else:
                buffer = torch.empty(int(length), dtype=torch.uint8, device=self.device)
            if buffer.numel():
                distributed.broadcast(buffer, 0)
        return buffer.cpu().numpy().tobytes()


@contextmanager
def join_group(device: str = "cpu") -> Iterator[TorchGroup]:
    """Join the processes that torchrun started, for the length of the block.

    Args:
        device: ``"cpu"``, or ``"cuda"`` for the GPU of this process's local rank.

    Raises:
        ValueError: If torchrun did not start this process, or there are more processes than GPUs.
    """
    if not under_torchrun():
        raise ValueError(
            "this process was not started by torchrun; begin the command with: torchrun --nproc-per-node 2 -m gnnkit"
        )
    place = torch.device(device)
    if place.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"process {local} of this host needs a GPU of its own, and torch sees {torch.cuda.device_count()}; "
                "start as many with --nproc-per-node"
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    shared, rank, size = next(rendezvous("env://", timeout=_TIMEOUT))
    store = own_store(shared, rank, size, _TIMEOUT)
    backend = "nccl" if place.type == "cuda" else "gloo"
    with _named_failure():
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    try:
        yield TorchGroup(place)
    finally:
        distributed.destroy_process_group()


def agreed(group: Group, compute: Callable[[], Result], place: torch.device | None = None) -> Result:
    """What ``compute`` gives, if it succeeds in every process: so that none goes on to wait for one that failed.

    Raises:
        PeerError: If it failed in another process only; the error itself where it failed.
    """
    failure: Exception | None = None
    try:
        result = compute()
    except Exception as error:
        failure = error
    failed = torch.zeros(group.size, dtype=torch.int32, device=place)
    failed[group.rank] = failure is not None
    group.sum_(failed)
    if failure is not None:
        raise failure
    if bool(failed.any()):
        raise PeerError(f"process {int(failed.nonzero()[0])} of the job failed; its message says why")
    return result


def sum_gradients(parameters: Iterable[nn.Parameter], group: Group) -> None:
    """Give every parameter the sum of all processes' gradients, in one message; those without one add 0."""
    kept = [parameter for parameter in parameters if parameter.requires_grad]
    if not kept:
        return
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in kept]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    group.sum_(flat)
    for parameter, summed in zip(kept, torch.split(flat, [each.numel() for each in kept]), strict=True):
        parameter.grad = summed.view_as(parameter)


@contextmanager
def _named_failure() -> Iterator[None]:
    """Say what torch's error means: its own names an address and a line of C++."""
    try:
        yield
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        raise PeerError(f"another process of the job failed or was killed ({first})") from error
