"""Training a node classifier: one loop, from the first epoch to the test score.

Only the receptive field of the labelled nodes is computed in a training step, and only the field of
the validation nodes when scoring: exact, and a small part of most graphs. The epoch is selected by
the lowest validation loss, the earlier on ties; test labels are read once, after that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.data.node_data import NodeData
from gnnkit.graph.sampling import checked_fanouts
from gnnkit.graph.validation import checked_device, checked_seed
from gnnkit.nn.pruned import check_module
from gnnkit.runs import Interrupted, RunFolder, StopRequest, catch_interrupt, seed_everything
from gnnkit.training.metrics import accuracy, check_classes, confusion_matrix, macro_f1
from gnnkit.training.minibatch import MiniBatches
from gnnkit.training.session import Best, ProgressSink, Session, current_weights
from gnnkit.training.view import View, features_of, view_of
from gnnkit.training.weight_layout import Adam, stored_by_input

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
        batch_size: Training nodes per step, with sampled neighbours; all at once, exactly, where None.
        fanout: Neighbours sampled per node, by layer from the last to the first, -1 for all; ten each where None.
        workers: Processes that prepare batches; the bits do not depend on it.

    Raises:
        TypeError: If a count or the seed is not a whole number.
        ValueError: If a setting lies outside what it may be, or does not go with another.
    """

    epochs: int = 200
    lr: float = 0.01
    weight_decay: float = 5e-4
    seed: int = 0
    patience: int | None = None
    eval_every: int = 1
    prune: bool = True
    device: str = "cpu"
    batch_size: int | None = None
    fanout: tuple[int, ...] | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        checked_device(self.device)
        least = {"epochs": 1, "eval_every": 1, "patience": 1, "batch_size": 1, "workers": 0}
        for name in ("seed", *least):
            value = getattr(self, name)
            if value is None and name in ("patience", "batch_size"):
                continue
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(f"{name} must be a whole number, got {value!r}")
            if name in least and value < least[name]:
                raise ValueError(f"{name} must be {least[name]} or more, got {value}")
        checked_seed(self.seed)
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a positive number, got {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if self.fanout is not None:
            checked_fanouts(self.fanout)
        if self.batch_size is None and (self.fanout is not None or self.workers):
            raise ValueError(
                f"fanout and workers are for mini-batches, got {self.fanout} and {self.workers}; give a batch_size too"
            )


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


def fit(
    model: nn.Module,
    data: NodeData,
    config: TrainConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
) -> NodeResult:
    """Train ``model`` on the training nodes; it ends with the weights of the selected epoch, in evaluation mode.

    A model of gnnkit is called with the features and an ``Adjacency`` or Blocks, a model made of PyG's
    layers with ``(x, edge_index)``, and ``edge_weight=`` where the graph has weights.
    Weights are drawn anew from the seed where the model has ``reset_parameters``. With a ``folder``,
    metrics and checkpoints go there every ten seconds and at the end, and a checkpoint found there is
    continued from: the result is that of a run never interrupted, to the last bit.

    A model may give more logits per node than there are classes: then the confusion matrices have as many rows.

    Raises:
        TypeError: If ``model`` is no module, ``data`` no NodeData, or the model does not give a row of logits per node.
        ValueError: If there are no training nodes, or the model gives fewer logits per node than there are classes.
        DivergedError: If the loss becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or TrainConfig()
    check_can_train(model, data)
    start(model, config)
    passes = _passes(model, data, config)
    with stored_by_input(model, data):
        optimizer = adam(model, config)
        session = Session(folder, COLUMNS, model, {"optimizer": optimizer})
        train_epochs(model, passes, optimizer, session, config, progress=progress)
    nodes = torch.nonzero(data.test_mask).view(-1)
    labels = data.y[nodes].cpu()

    def confusion() -> Tensor:
        logits = passes.logits(model, nodes).cpu()
        return confusion_matrix(logits.argmax(dim=-1), labels, logits.size(-1))

    return result_of(model, confusion, session, config)


class Passes(Protocol):
    """How a model sees the data, epoch by epoch."""

    def train_epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        *,
        stop: StopRequest | None = None,
        tell: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """Train on all training nodes once; their loss and accuracy."""

    def score(self, model: nn.Module) -> dict[str, float]:
        """Loss and accuracy on the validation nodes; nothing where there are none."""


def check_can_train(model: object, data: object) -> None:
    """Whether there is a model, and what it can learn from.

    Raises:
        TypeError: If ``model`` is no module, or ``data`` no NodeData.
        ValueError: If there are no training nodes.
    """
    check_module(model)
    if not isinstance(data, NodeData):
        fix = "; convert it with NodeData.from_data(data)" if hasattr(data, "edge_index") else ""
        raise TypeError(f"data must be a NodeData, got {type(data).__name__}{fix}")
    if not bool(data.train_mask.any()):
        raise ValueError(f"train_mask of {data.name} selects no node of {data.num_nodes} to learn from; set some True")


def start(model: nn.Module, config: TrainConfig) -> None:
    """Seed everything and draw the weights anew, on the device."""
    seed_everything(config.seed)
    reset = getattr(model, "reset_parameters", None)
    if callable(reset):
        reset()
    model.to(config.device)


def train_epochs(
    model: nn.Module,
    passes: Passes,
    optimizer: torch.optim.Optimizer,
    session: Session,
    config: TrainConfig,
    *,
    progress: ProgressSink | None = None,
    asked: Callable[[StopRequest], bool] = lambda stop: stop.requested,
) -> None:
    """Train to the last epoch, or until patience runs out; the session then holds what was best.

    Args:
        model: What is trained.
        passes: How it sees the data.
        optimizer: Of its weights.
        session: Where it stands.
        config: How long, and how often it is scored.
        progress: Who is told.
        asked: Whether to stop after the epoch; several processes agree on it.

    Raises:
        DivergedError, Interrupted: As `fit`.
    """
    with catch_interrupt() as stop:
        while session.step < config.epochs and not _out_of_patience(session, config):
            epoch = session.step + 1
            row = passes.train_epoch(model, optimizer, epoch, stop=stop, tell=_teller(progress, epoch))
            session.check_finite(row["train_loss"])
            if epoch % config.eval_every == 0 or epoch == config.epochs:
                row |= passes.score(model)
            session.record(row)
            session.keep_lowest("val_loss", row.get("val_loss", math.nan))
            session.keep_highest("val_accuracy", row.get("val_accuracy", math.nan))
            if progress is not None:
                progress.update(epoch, **row)
            if asked(stop):
                session.save()
                raise Interrupted(f"stopped after epoch {epoch}; continue with --resume")
            session.save_if_due()
    for name in ("val_loss", "val_accuracy"):
        if name not in session.best:  # without validation nodes the last epoch is the selected one
            session.keep(name, math.nan)
    session.save()


def _out_of_patience(session: Session, config: TrainConfig) -> bool:
    if config.patience is None or "val_loss" not in session.best:
        return False
    return session.step - session.best["val_loss"].step >= config.patience * config.eval_every


def _passes(model: nn.Module, data: NodeData, config: TrainConfig) -> FullGraph | MiniBatches:
    if config.batch_size is None:
        return FullGraph(model, data.to(config.device), prune=config.prune)
    return MiniBatches(
        model,
        data,
        batch_size=config.batch_size,
        fanout=config.fanout,
        seed=config.seed,
        workers=config.workers,
        device=config.device,
    )


def _teller(progress: ProgressSink | None, epoch: int) -> Callable[[int, int], None] | None:
    """Says which batch of the epoch is done, where anyone listens."""
    if progress is None:
        return None
    return lambda batch, batches: progress.update(epoch - 1, batch=f"{batch}/{batches}")


class FullGraph:
    """A model's passes over all training nodes at once, and its scores: exact, on the least of the graph.

    Args:
        model: What is trained.
        data: On the model's device.
        prune: Compute only what the result depends on.
    """

    def __init__(self, model: nn.Module, data: NodeData, *, prune: bool) -> None:
        self.data, self.prune, self.features = data, prune, features_of(data)
        self.num_classes = data.num_classes  # once, as it is counted among all labels
        model.train()
        self.train = self._view(model, data.train_mask)
        model.eval()  # a norm over all nodes can be pruned when scoring only
        self.val = self._view(model, data.val_mask) if bool(data.val_mask.any()) else None
        self._asked: tuple[Tensor, View] | None = None

    def _view(self, model: nn.Module, mask: Tensor) -> View:
        return view_of(model, self.data, self.features, mask, prune=self.prune)

    def train_epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        *,
        stop: StopRequest | None = None,
        tell: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """One step; an epoch is one, so there is nothing to stop or tell within it."""
        model.train()
        optimizer.zero_grad()
        logits = self.train.logits(model)
        check_classes(logits, self.num_classes, model)
        loss = cross_entropy(logits, self.train.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return {"train_loss": loss.item(), "train_accuracy": accuracy(logits, self.train.labels)}

    @torch.no_grad()
    def score(self, model: nn.Module) -> dict[str, float]:
        """Loss and accuracy on the validation nodes; nothing where there are none."""
        if self.val is None:
            return {}
        model.eval()
        logits, labels = self.val.logits(model), self.val.labels
        return {"val_loss": float(cross_entropy(logits, labels)), "val_accuracy": accuracy(logits, labels)}

    @torch.no_grad()
    def logits(self, model: nn.Module, nodes: Tensor) -> Tensor:
        """The model's output at ``nodes``, ascending; what is found of them serves the next call on them."""
        model.eval()
        if self._asked is None or self._asked[0] is not nodes:
            mask = torch.zeros_like(self.data.test_mask)
            mask[nodes] = True
            self._asked = nodes, self._view(model, mask)
        return self._asked[1].logits(model)


def adam(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of node classifiers, with the weight decay that the model's groups name."""
    groups = getattr(model, "parameter_groups", None)
    if groups is None:
        return Adam(model.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)
    return Adam(groups(config.weight_decay), config.lr, fused=True)


@torch.no_grad()
def result_of(
    model: nn.Module, confusion_of: Callable[[], Tensor], session: Session, config: TrainConfig
) -> NodeResult:
    """What training gave, by the confusion on the test nodes at the weights that the model then has."""

    def scores(best: Best) -> Scores:
        model.load_state_dict(best.weights)
        confusion = confusion_of()
        count = int(confusion.sum())
        share = int(confusion.diagonal().sum()) / count if count else math.nan
        return Scores(best.step, share, macro_f1(confusion), confusion.tolist())

    last = scores(Best(session.step, math.nan, current_weights(model)))
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
