"""Training a node classifier on mini-batches that several processes share.

Each process samples the neighbours of its own share of every batch, and a step follows the sum of all
processes' gradients: that of the whole batch, however its nodes are shared out. Features and graph lie
where every process reads them, so a graph that does not fit one process is memory-mapped. Dropout's bits
belong to the nodes (`gnnkit.nn.row_draws`); with all neighbours sampled, the numbers are those of one
process, up to the order of sums.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.data.neighbor_loader import BlockBatch
from gnnkit.data.node_data import NodeData
from gnnkit.distributed.group import Group, sum_gradients
from gnnkit.distributed.traffic import Traffic
from gnnkit.nn.row_draws import RowDraws, drawing_by_row
from gnnkit.runs import Interrupted, RunFolder, StopRequest
from gnnkit.training.metrics import confusion_matrix
from gnnkit.training.minibatch import LONG_EPOCH, MiniBatches
from gnnkit.training.nodes import (
    COLUMNS,
    NodeResult,
    TrainConfig,
    adam,
    check_can_train,
    result_of,
    start,
    train_epochs,
)
from gnnkit.training.partitioned import count_right, share_checkpoint, summed
from gnnkit.training.session import ProgressSink, Session


def fit_shared(
    model: nn.Module,
    data: NodeData,
    group: Group,
    config: TrainConfig,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
    traffic: Traffic | None = None,
) -> NodeResult:
    """Train ``model`` as `gnnkit.training.nodes.fit` does on mini-batches, each process on its share of each.

    All processes call it at the same time and get the same result; metrics and checkpoints go to the
    first process's ``folder``, and a checkpoint found there is continued from in every process.

    Args:
        model: One that takes blocks; the same in all processes.
        data: The whole data, in memory or memory-mapped; the same in all processes.
        group: The processes.
        config: With a ``batch_size``: the nodes of a step, all processes' together.
        folder: The run's, in the first process; None in the others.
        progress: Where progress goes, in the first process.
        traffic: Counts what an epoch's updates send, if given.

    Raises:
        TypeError: If ``model`` is no module, ``data`` no NodeData, or the model does not give a row of logits per node.
        ValueError: If there is no ``batch_size``, there are no training nodes, or the model takes no blocks, is more
            than its layers, or gives fewer logits per node than there are classes.
        DivergedError: If the loss becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: In all processes at the same step, after ctrl-C in any.
        PeerError: If another process failed.
    """
    if config.batch_size is None:
        raise ValueError("several processes share the nodes of every batch; give a batch_size")
    check_can_train(model, data)
    start(model, config)
    passes = SharedBatches(
        model,
        data,
        group,
        batch_size=config.batch_size,
        fanout=config.fanout,
        seed=config.seed,
        workers=config.workers,
        device=config.device,
        traffic=traffic,
    )
    optimizer = adam(model, config)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer, "traffic": passes.traffic})
    share_checkpoint(session, group)
    train_epochs(model, passes, optimizer, session, config, progress=progress, asked=lambda _: passes.stopping)
    nodes = torch.nonzero(data.test_mask).view(-1)

    def confusion() -> Tensor:
        logits = passes.logits(model, nodes)
        return confusion_matrix(logits.argmax(dim=-1), data.y[nodes], logits.size(-1))

    return result_of(model, confusion, session, config)


class SharedBatches(MiniBatches):
    """A model's passes over batches of which each process has a share; scores are the first process's.

    Args:
        model: One that takes blocks.
        data: In memory or memory-mapped, the same in every process.
        group: The processes.
        batch_size: Training nodes per step, of all processes together.
        fanout: As of `MiniBatches`.
        seed: Of shuffles, neighbours and dropout.
        workers: As of `MiniBatches`.
        device: Where the model is.
        traffic: Counts what an epoch's updates send, if given.

    Attributes:
        stopping: Whether a process was asked to stop by the end of the last epoch; the same in all.
    """

    def __init__(
        self,
        model: nn.Module,
        data: NodeData,
        group: Group,
        *,
        batch_size: int,
        fanout: Sequence[int] | None = None,
        seed: int = 0,
        workers: int = 0,
        device: str = "cpu",
        traffic: Traffic | None = None,
    ) -> None:
        share = group.rank, group.size
        settings = {"fanout": fanout, "seed": seed, "workers": workers, "device": device}
        super().__init__(model, data, batch_size=batch_size, share=share, **settings)  # type: ignore[arg-type]
        self.group, self.seed, self.stopping = group, seed, False
        self.traffic = traffic or Traffic(group, device)

    def train_epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        *,
        stop: StopRequest | None = None,
        tell: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """One step per batch of the epoch (counted from 1); loss and accuracy are means over its nodes.

        Raises:
            Interrupted: In all processes, if a stop is asked of any within a long epoch; what it had learned
                is lost, and comes again.
        """
        model.train()
        self.loader.set_epoch(epoch)
        mine, batches = iter(self.loader), len(self.loader)
        loss_sum = right = 0.0
        started, sent = time.monotonic(), 0
        for number in range(batches):
            nodes, own = self.loader.order.sizes(number)
            optimizer.zero_grad()
            sums = self._backward(model, next(mine), (epoch, number), nodes) if own else [0.0, 0.0]
            before = self.group.bytes_sent
            sum_gradients(model.parameters(), self.group)
            sent += self.group.bytes_sent - before
            optimizer.step()
            asked = stop is not None and stop.requested
            long = asked and time.monotonic() - started > LONG_EPOCH
            total = summed(self.group, next(model.parameters()), [*sums, float(asked), float(long)])
            loss_sum, right, self.stopping = loss_sum + total[0], right + total[1], total[2] > 0
            if tell is not None:
                tell(number + 1, batches)
            if total[3] > 0 and number + 1 < batches:
                raise Interrupted(f"stopped within epoch {epoch}; continue with --resume")
        self.traffic.note(sent)
        seen = self.loader.order.num_inputs
        return {"train_loss": loss_sum / seen, "train_accuracy": right / seen}

    def _backward(self, model: nn.Module, cpu_batch: BlockBatch, step: tuple[int, int], nodes: int) -> list[Tensor]:
        """Gradients of this process's share of a batch of so many nodes; its sum of losses and of right answers."""
        batch = cpu_batch.to(self.device)
        with drawing_by_row(RowDraws((self.seed, *step), batch.blocks[0].source_ids)):
            logits = self.batch_logits(model, batch)
        loss = cross_entropy(logits, batch.y, reduction="sum")
        (loss / nodes).backward()  # type: ignore[no-untyped-call]
        return [loss.detach(), count_right(logits, batch.y)]

    def logits(self, model: nn.Module, nodes: Tensor) -> Tensor:
        """The model's output at ``nodes``, with every neighbour: found by the first process, given to all."""
        found = super().logits(model, nodes) if self.group.rank == 0 else None
        content = None if found is None else found.cpu().contiguous().numpy().tobytes()
        raw = np.frombuffer(bytearray(self.group.broadcast(content)), np.uint8)
        dtype = next(model.parameters()).dtype
        return torch.from_numpy(raw).view(dtype).view(nodes.numel(), -1)
