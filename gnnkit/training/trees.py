"""Training a classifier of tree nodes: one loop, from the first batch to the test score of the roots.

Every labelled node is learned; a tree is scored by its root. The weights of the highest accuracy on the
development part are kept, the earlier on ties, and tested once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gnnkit.data.trees import EncodedTrees
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.optimization import Optimization, learning_rate, make_optimizer, set_learning_rate
from gnnkit.training.session import ProgressSink, Session

COLUMNS = ("epoch", "train_loss", "dev_loss", "dev_accuracy")
_TREES_AT_ONCE = 256


@dataclass(frozen=True)
class TreeConfig:
    """How to train a classifier of trees.

    Attributes:
        epochs: Passes over the training trees.
        batch_size: Trees in a batch.
        optimization: Optimiser, rate, schedule (over all epochs' batches), clipping.
        patience: Stop after so many epochs without a higher accuracy on the development part; never when None.
        seed: Of the trees' order and dropout.
    """

    epochs: int = 5
    batch_size: int = 25
    optimization: Optimization = field(
        default_factory=lambda: Optimization(optimizer="adagrad", lr=0.05, schedule="constant", clip=None)
    )
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")


@dataclass(frozen=True)
class TreeScores:
    """What a classifier scores on a part.

    Attributes:
        loss: Mean cross-entropy of the labelled nodes.
        accuracy: Of the roots.
        node_accuracy: Of all labelled nodes.
    """

    loss: float
    accuracy: float
    node_accuracy: float


@dataclass(frozen=True)
class TreeResult:
    """What training gave.

    Attributes:
        test: Scores on the test part at the selected epoch.
        dev_accuracy: Of the roots of the development part at that epoch, the highest.
        selected_epoch: Where the tested weights are from.
        seed: The run's seed.
        seconds: Of training, over all sittings.
        history: One list per column of the metrics.
    """

    test: TreeScores
    dev_accuracy: float
    selected_epoch: int
    seed: int
    seconds: float
    history: dict[str, list[float]] = field(repr=False)


def fit_trees(
    model: nn.Module,
    train: EncodedTrees,
    dev: EncodedTrees,
    test: EncodedTrees,
    config: TreeConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
) -> TreeResult:
    """Train ``model(words, edge_index)``; it ends with the weights of the selected epoch, in evaluation mode.

    It starts from the weights it has. With a ``folder``, metrics and checkpoints go there, and a checkpoint
    found there is continued from: the result is that of a run never interrupted, to the last bit.

    Raises:
        DivergedError: If the loss becomes NaN or infinite.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or TreeConfig()
    seed_everything(config.seed)
    optimizer = make_optimizer(model.parameters(), config.optimization)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer})
    with catch_interrupt() as stop:
        while session.step < config.epochs and not _out_of_patience(session, config):
            epoch = session.step
            train_loss = _epoch(model, train, config, epoch, optimizer)
            session.check_finite(train_loss)
            scores = evaluate_trees(model, dev)
            row = {"train_loss": train_loss, "dev_loss": scores.loss, "dev_accuracy": scores.accuracy}
            session.record(row)
            session.keep_highest("dev_accuracy", scores.accuracy)
            if progress is not None:
                progress.update(epoch + 1, **row)
            if stop.requested:
                session.save()
                raise Interrupted(f"stopped after epoch {epoch + 1}; continue with --resume")
            session.save_if_due()
    if "dev_accuracy" not in session.best:  # no root of the development part has a label
        session.keep("dev_accuracy", math.nan)
    session.save()
    best = session.best["dev_accuracy"]
    model.load_state_dict(best.weights)
    tested = evaluate_trees(model, test)
    return TreeResult(tested, best.value, best.step, config.seed, session.seconds, session.history)


@torch.no_grad()
def evaluate_trees(model: nn.Module, trees: EncodedTrees) -> TreeScores:
    """The model's scores on labelled trees, left in evaluation mode; NaN where there is nothing to score."""
    model.eval()
    loss, right, nodes, roots_right, roots = 0.0, 0, 0, 0, 0
    for part in torch.split(torch.arange(len(trees)), _TREES_AT_ONCE):
        batch = trees.batch(part)
        logits = model(batch.words, batch.edge_index)
        known = batch.labels >= 0
        hit = logits.argmax(dim=1) == batch.labels
        loss += float(cross_entropy(logits, batch.labels, ignore_index=-1, reduction="sum"))
        right, nodes = right + int(hit[known].sum()), nodes + int(known.sum())
        root_known = known[batch.roots]
        roots_right, roots = roots_right + int(hit[batch.roots][root_known].sum()), roots + int(root_known.sum())

    def share(count: float, of: int) -> float:
        return count / of if of else math.nan

    return TreeScores(share(loss, nodes), share(roots_right, roots), share(right, nodes))


def _epoch(
    model: nn.Module, trees: EncodedTrees, config: TreeConfig, epoch: int, optimizer: torch.optim.Optimizer
) -> float:
    model.train()
    # A generator per epoch: a resumed run draws what an uninterrupted one would.
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    batches = torch.split(torch.randperm(len(trees), generator=generator), config.batch_size)
    total, count = 0.0, 0
    for number, part in enumerate(batches):
        step, steps = epoch * len(batches) + number, config.epochs * len(batches)
        set_learning_rate(optimizer, learning_rate(config.optimization, step, steps))
        batch = trees.batch(part)
        known = int((batch.labels >= 0).sum())
        if not known:
            continue
        loss = cross_entropy(model(batch.words, batch.edge_index), batch.labels, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optimization.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.optimization.clip)
        optimizer.step()
        total, count = total + loss.item() * known, count + known
    return total / count if count else math.nan


def _out_of_patience(session: Session, config: TreeConfig) -> bool:
    if config.patience is None or "dev_accuracy" not in session.best:
        return False
    return session.step - session.best["dev_accuracy"].step >= config.patience
