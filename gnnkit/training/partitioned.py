"""Training a node classifier whose graph is shared out among processes.

Every process computes the rows of its own nodes, layer by layer, and the whole graph's gradients are the
sum of theirs: the same numbers as of one process, up to the order of sums. Dropout's bits belong to the
nodes (`gnnkit.nn.row_draws`), so that they do not depend on who computes them. All weights lie in
every process; only the first writes a run folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.distributed.group import Group, sum_gradients
from gnnkit.distributed.parts import LocalData
from gnnkit.distributed.traffic import Traffic
from gnnkit.nn.row_draws import RowDraws, drawing_by_row
from gnnkit.nn.rows import checked_rows
from gnnkit.runs import RunFolder, StopRequest
from gnnkit.training.metrics import check_classes, confusion_matrix
from gnnkit.training.nodes import COLUMNS, NodeResult, TrainConfig, adam, result_of, start, train_epochs
from gnnkit.training.session import ProgressSink, Session


def fit_partitioned(
    model: nn.Module,
    data: LocalData,
    group: Group,
    config: TrainConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
    traffic: Traffic | None = None,
) -> NodeResult:
    """Train ``model`` as `gnnkit.training.nodes.fit` does, each process on its own part of the graph.

    All processes call it at the same time and get the same result. The selected epoch is the same, and so
    are metrics and checkpoints, which go to the first process's ``folder``; a checkpoint found there
    is continued from in every process, to the same bits as of a run never interrupted.

    Args:
        model: Of gnnkit, taking a `gnnkit.graph.part.Part`; the same in all processes.
        data: This process's part.
        group: The processes.
        config: As for `fit`; all rows are computed, whatever ``prune`` says.
        folder: The run's, in the first process; None in the others.
        progress: Where progress goes, in the first process.
        traffic: Counts what an epoch's update sends, if given.

    Raises:
        TypeError: If the model does not give a row of logits per node.
        ValueError: If there are no training nodes in the whole graph, or the model gives fewer logits per node than
            there are classes.
        DivergedError: If the loss becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: In all processes at the same epoch, after ctrl-C in any.
        PeerError: If another process failed.
    """
    config = config or TrainConfig()
    if data.record.sizes[0] == 0:
        raise ValueError("train_mask selects no node, so there is nothing to learn from; set some True")
    config = replace(config, device=str(data.y.device))
    start(model, config)
    traffic = traffic or Traffic(group, data.y.device)
    passes = PartitionedGraph(data, group, config.seed, traffic)
    optimizer = adam(model, config)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer, "traffic": traffic})
    share_checkpoint(session, group)
    train_epochs(model, passes, optimizer, session, config, progress=progress, asked=lambda _: passes.stopping)
    return result_of(model, lambda: passes.confusion(model), session, config)


def share_checkpoint(session: Session, group: Group) -> None:
    """Take up in every process the checkpoint that the first process's session has found, if it has."""
    content = None
    if group.rank == 0 and session.folder is not None and session.step:
        content = session.folder.checkpoint_path.read_bytes()
    content = group.broadcast(content)
    if group.rank and content:
        session.restore(content)


class PartitionedGraph:
    """A model's passes over a graph of which each process has a part, and its exact scores.

    Args:
        data: This process's part.
        group: The processes.
        seed: Of dropout.
        traffic: Counts what an epoch's update sends.

    Attributes:
        stopping: Whether a process was asked to stop by the end of the last epoch; the same in all.
    """

    def __init__(self, data: LocalData, group: Group, seed: int, traffic: Traffic) -> None:
        self.data, self.group, self.seed, self.traffic, self.stopping = data, group, seed, traffic, False

    def _logits(self, model: nn.Module, rows: Tensor) -> Tensor:
        out = checked_rows(model, model(self.data.x, self.data.graph), self.data.graph.num_nodes)
        check_classes(out, self.data.record.num_classes, model)
        return out[rows]

    def train_epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        *,
        stop: StopRequest | None = None,
        tell: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """One update, by the gradients of all; an epoch is one, so there is nothing to tell within it."""
        model.train()
        optimizer.zero_grad()
        data, count = self.data, self.data.record.sizes[0]
        labels = data.y[data.train]
        before = self.group.bytes_sent
        with drawing_by_row(RowDraws((self.seed, epoch), data.nodes)):
            logits = self._logits(model, data.train)
        # A process without training nodes adds 0, and takes part in every exchange all the same.
        loss = cross_entropy(logits, labels, reduction="sum") / count
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(model.parameters(), self.group)
        self.traffic.note(self.group.bytes_sent - before)
        optimizer.step()
        asked = stop is not None and stop.requested
        total = summed(self.group, logits, [loss.detach() * count, count_right(logits, labels), float(asked)])
        self.stopping = total[2] > 0
        return {"train_loss": total[0] / count, "train_accuracy": total[1] / count}

    @torch.no_grad()
    def score(self, model: nn.Module) -> dict[str, float]:
        """Loss and accuracy on the validation nodes of the whole graph; nothing where there are none."""
        count = self.data.record.sizes[1]
        if not count:
            return {}
        model.eval()
        logits, labels = self._logits(model, self.data.val), self.data.y[self.data.val]
        loss = cross_entropy(logits, labels, reduction="sum")
        total = summed(self.group, logits, [loss, count_right(logits, labels)])
        return {"val_loss": total[0] / count, "val_accuracy": total[1] / count}

    @torch.no_grad()
    def confusion(self, model: nn.Module) -> Tensor:
        """On the test nodes of the whole graph."""
        model.eval()
        logits = self._logits(model, self.data.test)
        found = confusion_matrix(logits.argmax(dim=-1), self.data.y[self.data.test], logits.size(-1))
        self.group.sum_(found)
        return found.cpu()


def count_right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many rows' largest logit is the label's."""
    return (logits.argmax(dim=-1) == labels).sum()


def summed(group: Group, logits: Tensor, numbers: Sequence[Tensor | float]) -> list[float]:
    """Numbers of this process, each summed over all."""
    total = torch.stack([torch.as_tensor(each, dtype=torch.float64, device=logits.device) for each in numbers])
    group.sum_(total)
    return [float(each) for each in total]


class Sampled(NamedTuple):
    """Nodes to look at, with what the last layer but one gives for them; ascending ids."""

    nodes: Tensor
    vectors: Tensor
    labels: Tensor


@torch.no_grad()
def sample_hidden(model: nn.Module, data: LocalData, group: Group, most: int = 10_000) -> Sampled:
    """Some nodes' last hidden rows, evenly spread over the graph: all in the first process, none in the others."""
    model.eval()
    outputs = model.layers(data.x, data.graph)  # type: ignore[operator]
    hidden: Tensor = outputs[-2] if len(outputs) > 1 else outputs[-1]
    own = data.nodes[: data.graph.num_nodes]
    rows = torch.nonzero(own % -(-data.record.num_nodes // most) == 0).view(-1)
    counts = torch.zeros(group.size, dtype=torch.int64, device=own.device)
    counts[group.rank] = rows.numel()
    group.sum_(counts)
    send = [rows.numel(), *[0] * (group.size - 1)]
    receive = counts.tolist() if group.rank == 0 else [0] * group.size
    nodes, vectors, labels = (group.exchange(each[rows], send, receive).cpu() for each in (own, hidden, data.y))
    order = nodes.argsort()
    return Sampled(nodes[order], vectors[order], labels[order])
