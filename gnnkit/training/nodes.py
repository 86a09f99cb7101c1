"""Training a node classifier: one loop, from the first epoch to the test score.

Only the receptive field of the labelled nodes is computed in a training step, and only the field of
the validation nodes when scoring: exact, and a small part of most graphs. The epoch is selected by
the lowest validation loss, the earlier on ties; test labels are read once, after that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.data.node_data import NodeData
from gnnkit.errors import DivergedError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import Block, receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.runs import (
    CheckpointTimer,
    Interrupted,
    MetricsLog,
    RunFolder,
    catch_interrupt,
    random_state,
    restore_random_state,
    seed_everything,
)
from gnnkit.training.metrics import accuracy, confusion_matrix, macro_f1

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class TrainConfig:
    """How to train a node classifier; the defaults are those of Kipf & Welling, 2017.

    Attributes:
        epochs: Passes over the labelled nodes.
        lr: Adam's learning rate.
        weight_decay: L2 penalty, on the parameters that the model's ``parameter_groups`` names.
        seed: Of initial weights and dropout.
        patience: Stop after so many evaluations without a lower validation loss; never when None.
        eval_every: Epochs between evaluations.
        prune: Compute only what the loss depends on; the same numbers, sooner.
        device: ``"cpu"`` or ``"cuda"``.
    """

    epochs: int = 200
    lr: float = 0.01
    weight_decay: float = 5e-4
    seed: int = 0
    patience: int | None = None
    eval_every: int = 1
    prune: bool = True
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("eval_every", 1), ("patience", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a positive number, got {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")


@dataclass(frozen=True)
class Scores:
    """What one choice of epoch scores on the test nodes."""

    epoch: int
    accuracy: float
    macro_f1: float
    confusion: list[list[int]] = field(repr=False)


@dataclass(frozen=True)
class NodeResult:
    """What training gave.

    Attributes:
        test: At the selected epoch: the lowest validation loss, or the last epoch without validation nodes.
        test_at_best_val_accuracy: At the epoch of highest validation accuracy.
        test_at_last_epoch: At the end.
        val_loss: At the selected epoch; NaN without validation nodes.
        val_accuracy: At the selected epoch; NaN without validation nodes.
        epochs: How many were run.
        seed: The run's seed.
        seconds: Of training and evaluation, over all sessions of a resumed run.
        history: One list per column of the metrics.
    """

    test: Scores
    test_at_best_val_accuracy: Scores
    test_at_last_epoch: Scores
    val_loss: float
    val_accuracy: float
    epochs: int
    seed: int
    seconds: float
    history: dict[str, list[float]] = field(repr=False)

    @property
    def test_accuracy(self) -> float:
        """Share of test nodes classified rightly, at the selected epoch."""
        return self.test.accuracy


class ProgressSink(Protocol):
    """Where progress goes; `gnnkit.runs.Progress` is one."""

    def update(self, completed: int, **fields: float | str) -> None:
        """Say how many epochs are done."""


class View(NamedTuple):
    """What a forward pass needs to score some nodes: rows of features, the graph, and the rows to keep."""

    x: Tensor | SparseMatrix
    graph: Adjacency | Sequence[Block]
    rows: Tensor | None  # None: the output has the scored nodes' rows and no others
    labels: Tensor

    def logits(self, model: nn.Module) -> Tensor:
        """The model's output at the scored nodes."""
        out: Tensor = model(self.x, self.graph)
        return out if self.rows is None else out[self.rows]


def view_of(
    model: nn.Module, data: NodeData, features: Tensor | SparseMatrix, mask: Tensor, *, prune: bool = True
) -> View:
    """The smallest exact view of the masked nodes: their receptive field where the model takes blocks."""
    nodes = torch.nonzero(mask).view(-1)
    if not (prune and getattr(model, "takes_blocks", False)):
        return View(features, data.adjacency, nodes, data.y[nodes])
    known = receptive_field(data.adjacency, nodes, cast(int, model.num_layers))
    rows = features.select_rows(known.nodes) if isinstance(features, SparseMatrix) else features[known.nodes]
    return View(rows, known.blocks, None, data.y[nodes])


def features_of(data: NodeData) -> Tensor | SparseMatrix:
    """The features in the form that layers compute with: a sparse matrix converted once, not at every step."""
    return data.x if data.x.layout == torch.strided else SparseMatrix.from_tensor(data.x)


def fit(
    model: nn.Module,
    data: NodeData,
    config: TrainConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
) -> NodeResult:
    """Train ``model`` on the training nodes; it ends with the weights of the selected epoch, in evaluation mode.

    Weights are drawn anew from the seed where the model has ``reset_parameters``. With a ``folder``,
    metrics and checkpoints go there every ten seconds and at the end, and a checkpoint found there is
    continued from: the result is that of a run never interrupted, to the last bit.

    Raises:
        ValueError: If there are no training nodes.
        DivergedError: If the loss becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or TrainConfig()
    if not bool(data.train_mask.any()):
        raise ValueError(f"train_mask of {data.name} selects no node, so there is nothing to learn from; set some True")
    seed_everything(config.seed)
    reset = getattr(model, "reset_parameters", None)
    if callable(reset):
        reset()
    model.to(config.device)
    data = data.to(config.device)
    features = features_of(data)
    train = view_of(model, data, features, data.train_mask, prune=config.prune)
    val = view_of(model, data, features, data.val_mask, prune=config.prune) if bool(data.val_mask.any()) else None
    run = _Run(model, config, folder)
    with catch_interrupt() as stop:
        while run.epoch < config.epochs and not run.out_of_patience:
            row = {**_train_step(model, train, run.optimizer), **_NOT_SCORED}
            _check_finite(row["train_loss"], run)
            if val is not None and ((run.epoch + 1) % config.eval_every == 0 or run.epoch + 1 == config.epochs):
                row |= _scored(model, val)
            run.record(row)
            if progress is not None:
                progress.update(run.epoch, **{name: value for name, value in row.items() if value == value})
            if stop.requested:
                run.save()
                raise Interrupted(f"stopped after epoch {run.epoch}; continue with --resume")
            run.save_if_due()
    run.finish()
    return _result(model, data, features, run)


_NOT_SCORED = {"val_loss": math.nan, "val_accuracy": math.nan}


def _train_step(model: nn.Module, view: View, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    model.train()
    optimizer.zero_grad()
    logits = view.logits(model)
    loss = cross_entropy(logits, view.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return {"train_loss": loss.item(), "train_accuracy": accuracy(logits, view.labels)}


@torch.no_grad()
def _scored(model: nn.Module, view: View) -> dict[str, float]:
    model.eval()
    logits = view.logits(model)
    return {"val_loss": float(cross_entropy(logits, view.labels)), "val_accuracy": accuracy(logits, view.labels)}


def _check_finite(loss: float, run: _Run) -> None:
    if not math.isfinite(loss):
        kept = "" if run.folder is None else f"; the checkpoint of epoch {run.saved_epoch} is in {run.folder.path}"
        raise DivergedError(f"the training loss became {loss} in epoch {run.epoch + 1}; try a lower lr{kept}")


class _Run:
    """Where a run stands: what a checkpoint holds."""

    def __init__(self, model: nn.Module, config: TrainConfig, folder: RunFolder | None) -> None:
        self.model, self.config, self.folder = model, config, folder
        self.optimizer = _adam(model, config)
        self.epoch = self.saved_epoch = 0
        self.history: dict[str, list[float]] = {name: [] for name in COLUMNS}
        # The lowest validation loss and the highest validation accuracy: epoch, value, weights.
        self.best_loss: tuple[int, float, dict[str, Tensor]] = (0, math.inf, {})
        self.best_accuracy: tuple[int, float, dict[str, Tensor]] = (0, -math.inf, {})
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self.timer = CheckpointTimer()
        self.metrics: MetricsLog | None = None
        if folder is not None:
            saved = folder.load_checkpoint()
            if saved is None:
                self.metrics = MetricsLog(folder.metrics_path, COLUMNS)
            else:
                self._restore(saved)
                self.metrics = MetricsLog.resume(folder.metrics_path, COLUMNS, last_step=self.epoch)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    @property
    def out_of_patience(self) -> bool:
        if self.config.patience is None or self.best_loss[0] == 0:
            return False
        return self.epoch - self.best_loss[0] >= self.config.patience * self.config.eval_every

    def record(self, row: dict[str, float]) -> None:
        """Count an epoch and keep the weights if they are the best so far; ties go to the earlier epoch."""
        self.epoch += 1
        for name, value in {"epoch": float(self.epoch), **row}.items():
            self.history[name].append(value)
        if self.metrics is not None:
            self.metrics.append(self.epoch, {name: None if value != value else value for name, value in row.items()})
        if row["val_loss"] < self.best_loss[1]:
            self.best_loss = (self.epoch, row["val_loss"], _weights(self.model))
        if row["val_accuracy"] > self.best_accuracy[1]:
            self.best_accuracy = (self.epoch, row["val_accuracy"], _weights(self.model))

    def save_if_due(self) -> None:
        if self.timer.due():
            self.save()

    def save(self) -> None:
        """Write metrics and checkpoint, if there is a folder for them."""
        if self.folder is None or self.metrics is None:
            return
        self.metrics.flush()
        self.folder.save_checkpoint(
            {
                "epoch": self.epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "random": random_state(),
                "history": self.history,
                "best_loss": self.best_loss,
                "best_accuracy": self.best_accuracy,
                "seconds": self.seconds,
            }
        )
        self.saved_epoch = self.epoch
        self.timer.restart()

    def _restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        restore_random_state(saved["random"])
        self.epoch = self.saved_epoch = saved["epoch"]
        self.history = saved["history"]
        self.best_loss, self.best_accuracy = tuple(saved["best_loss"]), tuple(saved["best_accuracy"])
        self.seconds_before = saved["seconds"]

    def finish(self) -> None:
        """Without validation nodes the last epoch is the selected one; then write the last checkpoint."""
        if self.best_loss[0] == 0:
            self.best_loss = (self.epoch, math.nan, _weights(self.model))
            self.best_accuracy = (self.epoch, math.nan, self.best_loss[2])
        if self.saved_epoch != self.epoch or self.folder is not None:
            self.save()


def _adam(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups = getattr(model, "parameter_groups", None)
    if groups is None:
        return torch.optim.Adam(model.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)
    return torch.optim.Adam(groups(config.weight_decay), config.lr, fused=True)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def _result(model: nn.Module, data: NodeData, features: Tensor | SparseMatrix, run: _Run) -> NodeResult:
    test = view_of(model, data, features, data.test_mask, prune=run.config.prune)

    def scores(epoch: int, weights: dict[str, Tensor]) -> Scores:
        model.load_state_dict(weights)
        model.eval()
        predicted = test.logits(model).argmax(dim=-1)
        confusion = confusion_matrix(predicted, test.labels, data.num_classes)
        count = test.labels.numel()
        share = int(confusion.diagonal().sum()) / count if count else math.nan
        return Scores(epoch, share, macro_f1(confusion), confusion.tolist())

    last = scores(run.epoch, _weights(model))
    by_accuracy = scores(run.best_accuracy[0], run.best_accuracy[2])
    selected = scores(run.best_loss[0], run.best_loss[2])  # last of all: the model keeps these weights
    return NodeResult(
        test=selected,
        test_at_best_val_accuracy=by_accuracy,
        test_at_last_epoch=last,
        val_loss=run.best_loss[1],
        val_accuracy=run.history["val_accuracy"][run.best_loss[0] - 1],
        epochs=run.epoch,
        seed=run.config.seed,
        seconds=run.seconds,
        history=run.history,
    )
