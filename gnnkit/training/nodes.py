"""Training a node classifier: one loop, from the first epoch to the test score.

Only the receptive field of the labelled nodes is computed in a training step, and only the field of
the validation nodes when scoring: exact, and a small part of most graphs. The epoch is selected by
the lowest validation loss, the earlier on ties; test labels are read once, after that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gnnkit.data.node_data import NodeData
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.metrics import accuracy, confusion_matrix, macro_f1
from gnnkit.training.session import Best, ProgressSink, Session, current_weights
from gnnkit.training.view import Features, View, features_of, view_of

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
    model.train()
    train = view_of(model, data, features, data.train_mask, prune=config.prune)
    model.eval()  # a norm over all nodes can be pruned when scoring only
    val = view_of(model, data, features, data.val_mask, prune=config.prune) if bool(data.val_mask.any()) else None
    optimizer = _adam(model, config)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer})
    with catch_interrupt() as stop:
        while session.step < config.epochs and not _out_of_patience(session, config):
            row = _train_step(model, train, optimizer)
            session.check_finite(row["train_loss"])
            epoch = session.step + 1
            if val is not None and (epoch % config.eval_every == 0 or epoch == config.epochs):
                row |= _scored(model, val)
            session.record(row)
            session.keep_lowest("val_loss", row.get("val_loss", math.nan))
            session.keep_highest("val_accuracy", row.get("val_accuracy", math.nan))
            if progress is not None:
                progress.update(epoch, **row)
            if stop.requested:
                session.save()
                raise Interrupted(f"stopped after epoch {epoch}; continue with --resume")
            session.save_if_due()
    for name in ("val_loss", "val_accuracy"):
        if name not in session.best:  # without validation nodes the last epoch is the selected one
            session.keep(name, math.nan)
    session.save()
    return _result(model, data, features, session, config)


def _out_of_patience(session: Session, config: TrainConfig) -> bool:
    if config.patience is None or "val_loss" not in session.best:
        return False
    return session.step - session.best["val_loss"].step >= config.patience * config.eval_every


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


def _adam(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups = getattr(model, "parameter_groups", None)
    if groups is None:
        return torch.optim.Adam(model.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)
    return torch.optim.Adam(groups(config.weight_decay), config.lr, fused=True)


@torch.no_grad()
def _result(model: nn.Module, data: NodeData, features: Features, session: Session, config: TrainConfig) -> NodeResult:
    model.eval()
    test = view_of(model, data, features, data.test_mask, prune=config.prune)

    def scores(best: Best) -> Scores:
        model.load_state_dict(best.weights)
        predicted = test.logits(model).argmax(dim=-1)
        confusion = confusion_matrix(predicted, test.labels, data.num_classes)
        count = test.labels.numel()
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
