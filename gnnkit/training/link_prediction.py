"""Training a link predictor: one loop, from the first epoch to the test score.

Every epoch sees all training links and as many random pairs, drawn anew. The epoch of the highest area under
the ROC curve on the validation links is selected, the earlier on ties; test links are scored once, after that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnkit.data.link_splits import LinkSplit
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.validation import checked_device, checked_seed
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.links import area_under_roc, average_precision
from gnnkit.training.session import ProgressSink, Session

COLUMNS = ("epoch", "train_loss", "val_auc", "val_ap")


@dataclass(frozen=True)
class LinkTraining:
    """How to train a link predictor; the defaults are those of Kipf & Welling, 2016.

    Attributes:
        epochs: Passes over the training links.
        lr: Adam's learning rate.
        weight_decay: L2 penalty on all parameters.
        eval_every: Epochs between evaluations.
        patience: Stop after so many evaluations without a higher validation AUC; never when None.
        seed: Of initial weights, dropout and drawn pairs.
        device: ``"cpu"`` or ``"cuda"``.
    """

    epochs: int = 200
    lr: float = 0.01
    weight_decay: float = 0.0
    eval_every: int = 1
    patience: int | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        checked_device(self.device)
        checked_seed(self.seed)
        for name in ("epochs", "eval_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a positive number, got {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")


@dataclass(frozen=True)
class LinkScores:
    """How well links are told from other pairs.

    Attributes:
        auc: Area under the ROC curve: how often a link scores above another pair.
        ap: Average precision.
    """

    auc: float
    ap: float


@dataclass(frozen=True)
class LinkResult:
    """What training gave.

    Attributes:
        test: Scores on the test links at the selected epoch.
        val_auc: On the validation links there, the highest.
        selected_epoch: Where the tested weights are from.
        seed: The run's seed.
        seconds: Of training, over all sittings.
        history: One list per column of the metrics.
    """

    test: LinkScores
    val_auc: float
    selected_epoch: int
    seed: int
    seconds: float
    history: dict[str, list[float]] = field(repr=False)


class Links(Protocol):
    """What a model must do: `gnnkit.models.LinkPredictor`, for one."""

    def embed(self, x: Tensor | SparseMatrix, graph: Adjacency) -> Tensor:
        """A row for every node."""

    def score(self, z: Tensor, pairs: Tensor) -> Tensor:
        """The logits of pairs ``(2, P)``, from those rows."""

    def reset_parameters(self) -> None:
        """Draw the weights anew."""


def fit_link_predictor(
    model: nn.Module,
    x: Tensor | SparseMatrix,
    split: LinkSplit,
    config: LinkTraining | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
) -> LinkResult:
    """Train ``model``, which has the methods of `Links`; it ends with the weights of the selected epoch.

    Weights are drawn anew from the seed. With a ``folder``, metrics and checkpoints go there, and a checkpoint
    found there is continued from: the result is that of a run never interrupted, to the last bit.

    Raises:
        DivergedError: If the loss becomes NaN or infinite.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or LinkTraining()
    seed_everything(config.seed)
    links = cast(Links, model)
    links.reset_parameters()
    model.to(config.device)
    x, graph = x.to(config.device), split.graph.to(config.device)
    train = split.train.to(config.device)
    optimizer = torch.optim.Adam(model.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer})
    with catch_interrupt() as stop:
        while session.step < config.epochs and not _out_of_patience(session, config):
            epoch = session.step + 1
            model.train()
            optimizer.zero_grad()
            drawn = _drawn_pairs(train, graph.num_nodes, config.seed, epoch)
            z = links.embed(x, graph)
            # log sigmoid of the pairs that are links, and of minus those that (mostly) are not.
            found, other = links.score(z, train), links.score(z, drawn)
            loss = functional.softplus(-found).mean() + functional.softplus(other).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            row = {"train_loss": loss.item()}
            session.check_finite(row["train_loss"])
            if epoch % config.eval_every == 0 or epoch == config.epochs:
                scores = score_links(model, x, split, split.val, split.val_other)
                row |= {"val_auc": scores.auc, "val_ap": scores.ap}
            session.record(row)
            session.keep_highest("val_auc", row.get("val_auc", math.nan))
            if progress is not None:
                progress.update(epoch, **row)
            if stop.requested:
                session.save()
                raise Interrupted(f"stopped after epoch {epoch}; continue with --resume")
            session.save_if_due()
    session.save()
    best = session.best["val_auc"]
    model.load_state_dict(best.weights)
    tested = score_links(model, x, split, split.test, split.test_other)
    return LinkResult(tested, best.value, best.step, config.seed, session.seconds, session.history)


@torch.no_grad()
def score_links(
    model: nn.Module, x: Tensor | SparseMatrix, split: LinkSplit, links: Tensor, others: Tensor
) -> LinkScores:
    """How well ``links`` are told from ``others`` by who sees the training links alone; leaves evaluation mode on."""
    model.eval()
    scorer, device = cast(Links, model), next(model.parameters()).device
    z = scorer.embed(x.to(device), split.graph.to(device))
    found, other = (scorer.score(z, pairs.to(device)).cpu() for pairs in (links, others))
    return LinkScores(area_under_roc(found, other), average_precision(found, other))


def _drawn_pairs(links: Tensor, num_nodes: int, seed: int, epoch: int) -> Tensor:
    # A generator per epoch: a resumed run draws what an uninterrupted one would.
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    first = torch.randint(num_nodes, links.shape[1:], generator=generator)
    apart = torch.randint(1, num_nodes, links.shape[1:], generator=generator)
    return torch.stack([first, (first + apart) % num_nodes]).to(links.device)


def _out_of_patience(session: Session, config: LinkTraining) -> bool:
    if config.patience is None or "val_auc" not in session.best:
        return False
    return session.step - session.best["val_auc"].step >= config.patience * config.eval_every
