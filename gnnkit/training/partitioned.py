"""Training a node classifier whose graph is shared out among processes.

Every process computes the rows of its own nodes, layer by layer, and the whole graph's gradients are the
sum of theirs: the same numbers as of one process, up to the order of sums. Dropout's bits belong to the
nodes (`gnnkit.nn.row_draws`), so that they do not depend on who computes them. All weights lie in
every process; only the first writes a run folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.distributed.group import Group, sum_gradients
from gnnkit.distributed.parts import LocalData
from gnnkit.nn.row_draws import RowDraws, drawing_by_row
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.metrics import confusion_matrix, macro_f1
from gnnkit.training.nodes import COLUMNS, NodeResult, Scores, TrainConfig, _adam, _out_of_patience
from gnnkit.training.session import Best, ProgressSink, Session, current_weights


def fit_partitioned(
    model: nn.Module,
    data: LocalData,
    group: Group,
    config: TrainConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
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

    Raises:
        ValueError: If there are no training nodes in the whole graph.
        DivergedError: If the loss becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: In all processes at the same epoch, after ctrl-C in any.
        PeerError: If another process failed.
    """
    config = config or TrainConfig()
    if data.record.sizes[0] == 0:
        raise ValueError("train_mask selects no node, so there is nothing to learn from; set some True")
    seed_everything(config.seed)
    reset = getattr(model, "reset_parameters", None)
    if callable(reset):
        reset()
    model.to(data.y.device)
    run = _Run(model, data, group, config.seed)
    optimizer = _adam(model, config)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer})
    share_checkpoint(session, group)
    with catch_interrupt() as stop:
        while session.step < config.epochs and not _out_of_patience(session, config):
            epoch = session.step + 1
            row, stopping = run.train_step(optimizer, epoch, stop.requested)
            session.check_finite(row["train_loss"])
            if data.record.sizes[1] and (epoch % config.eval_every == 0 or epoch == config.epochs):
                row |= run.scored(data.val, data.record.sizes[1])
            session.record(row)
            session.keep_lowest("val_loss", row.get("val_loss", math.nan))
            session.keep_highest("val_accuracy", row.get("val_accuracy", math.nan))
            if progress is not None:
                progress.update(epoch, **row)
            if stopping:
                session.save()
                raise Interrupted(f"stopped after epoch {epoch}; continue with --resume")
            session.save_if_due()
    for name in ("val_loss", "val_accuracy"):
        if name not in session.best:  # without validation nodes the last epoch is the selected one
            session.keep(name, math.nan)
    session.save()
    return run.result(session, config)


def share_checkpoint(session: Session, group: Group) -> None:
    """Take up in every process the checkpoint that the first process's session has found, if it has."""
    content = None
    if group.rank == 0 and session.folder is not None and session.step:
        content = session.folder.checkpoint_path.read_bytes()
    content = group.broadcast(content)
    if group.rank and content:
        session.restore(content)


@dataclass(frozen=True)
class _Run:
    model: nn.Module
    data: LocalData
    group: Group
    seed: int

    def logits(self, rows: Tensor) -> Tensor:
        out: Tensor = self.model(self.data.x, self.data.graph)
        return out[rows]

    def train_step(self, optimizer: torch.optim.Optimizer, epoch: int, stop: bool) -> tuple[dict[str, float], bool]:
        """One update, by the gradients of all; and whether a process was asked to stop."""
        self.model.train()
        optimizer.zero_grad()
        data, count = self.data, self.data.record.sizes[0]
        draws = RowDraws((self.seed, epoch), data.nodes, data.graph.num_nodes)
        with drawing_by_row(draws):
            logits = self.logits(data.train)
            labels = data.y[data.train]
            # A process without training nodes adds 0, and takes part in every exchange all the same.
            loss = cross_entropy(logits, labels, reduction="sum") / count
            loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(self.model.parameters(), self.group)
        optimizer.step()
        total = _summed(self.group, logits, [loss.detach() * count, _right(logits, labels), float(stop)])
        return {"train_loss": total[0] / count, "train_accuracy": total[1] / count}, total[2] > 0

    @torch.no_grad()
    def scored(self, rows: Tensor, count: int) -> dict[str, float]:
        self.model.eval()
        logits, labels = self.logits(rows), self.data.y[rows]
        total = _summed(self.group, logits, [cross_entropy(logits, labels, reduction="sum"), _right(logits, labels)])
        return {"val_loss": total[0] / count, "val_accuracy": total[1] / count}

    @torch.no_grad()
    def result(self, session: Session, config: TrainConfig) -> NodeResult:
        self.model.eval()
        labels, count = self.data.y[self.data.test], self.data.record.sizes[2]

        def scores(best: Best) -> Scores:
            self.model.load_state_dict(best.weights)
            predicted = self.logits(self.data.test).argmax(dim=-1)
            confusion = confusion_matrix(predicted, labels, self.data.record.num_classes)
            self.group.sum_(confusion)
            confusion = confusion.cpu()
            share = int(confusion.diagonal().sum()) / count if count else math.nan
            return Scores(best.step, share, macro_f1(confusion), confusion.tolist())

        last = scores(Best(session.step, math.nan, current_weights(self.model)))
        by_accuracy = scores(session.best["val_accuracy"])
        chosen = session.best["val_loss"]
        selected = scores(chosen)  # last of all: the model keeps these weights
        return NodeResult(
            test=selected,
            test_at_best_val_accuracy=by_accuracy,
            test_at_last_epoch=last,
            val_loss=chosen.value,
            val_accuracy=session.history["val_accuracy"][chosen.step - 1],
            epochs=session.step,
            seed=config.seed,
            seconds=session.seconds,
            history=session.history,
        )


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=-1) == labels).sum()


def _summed(group: Group, logits: Tensor, numbers: Sequence[Tensor | float]) -> list[float]:
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
