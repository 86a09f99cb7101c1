"""Training a forecaster: one loop, from the first epoch to forecasts of the whole test part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.optimization import Optimization, learning_rate, make_optimizer, set_learning_rate
from gnnkit.training.session import ProgressSink, Session
from gnnkit.training.windows import Batch, Windows

COLUMNS = ("epoch", "train_loss", "val_loss")
_WINDOWS_AT_ONCE = 512


@dataclass(frozen=True)
class ForecastConfig:
    """How to train a forecaster.

    Attributes:
        epochs: Passes over the training windows.
        batch_size: Windows in a batch.
        stride: Steps between the starts of an epoch's windows; each epoch begins at another one.
        optimization: Optimiser, rate, schedule (over all epochs' batches), clipping.
        patience: Stop after so many epochs without a lower validation loss; never when None.
        seed: Of initial weights and the windows' order.
    """

    epochs: int = 12
    batch_size: int = 32
    stride: int = 1
    optimization: Optimization = field(
        default_factory=lambda: Optimization(optimizer="adam", lr=5e-3, schedule="cosine", clip=5.0)
    )
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "stride", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")


@dataclass(frozen=True)
class ForecastResult:
    """What training gave.

    Attributes:
        forecasts: Of the test part, in the data's units, ``(windows, horizon, N)``.
        val_loss: At the selected epoch, scaled.
        selected_epoch: The lowest validation loss, the earlier on ties.
        seconds: Of training, over all sittings.
        history: One list per column of the metrics.
    """

    forecasts: Tensor
    val_loss: float
    selected_epoch: int
    seconds: float
    history: dict[str, list[float]]


def fit_forecaster(
    model: nn.Module,
    windows: Windows,
    graph: Adjacency,
    config: ForecastConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
) -> ForecastResult:
    """Train ``model`` on the training windows; it ends with the weights of the selected epoch.

    It starts from the weights it has. With a ``folder``, metrics and checkpoints go there, and a checkpoint
    found there is continued from: the result is that of a run never interrupted, to the last bit.

    Raises:
        DivergedError: If the loss becomes NaN or infinite.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or ForecastConfig()
    seed_everything(config.seed)
    parameters = list(model.parameters())
    optimizer = make_optimizer(parameters, config.optimization)
    session = Session(folder, COLUMNS, model, {"optimizer": optimizer})
    with catch_interrupt() as stop:
        while session.step < config.epochs and not _out_of_patience(session, config):
            epoch = session.step
            train_loss = _epoch(model, windows, graph, config, epoch, optimizer, parameters)
            session.check_finite(train_loss)
            val_loss = _loss_over(model, windows, graph, windows.val)
            row = {"train_loss": train_loss, "val_loss": val_loss}
            session.record(row)
            session.keep_lowest("val_loss", val_loss)
            if progress is not None:
                progress.update(epoch + 1, **row)
            if stop.requested:
                session.save()
                raise Interrupted(f"stopped after epoch {epoch + 1}; continue with --resume")
            session.save_if_due()
    if "val_loss" not in session.best:  # no validation target was observed
        session.keep("val_loss", math.nan)
    session.save()
    best = session.best["val_loss"]
    model.load_state_dict(best.weights)
    found = forecast(model, windows, graph, windows.test)
    return ForecastResult(found, best.value, best.step, session.seconds, session.history)


@torch.no_grad()
def forecast(model: nn.Module, windows: Windows, graph: Adjacency, starts: Tensor) -> Tensor:
    """What the model expects after each window, in the data's units, ``(windows, horizon, N)``."""
    model.eval()
    found = []
    for part in torch.split(starts, _WINDOWS_AT_ONCE):
        batch = windows.batch(part)
        found.append(model(batch.values, batch.observed, batch.phase, graph) * windows.std + windows.mean)
    return torch.cat(found)


def _epoch(
    model: nn.Module,
    windows: Windows,
    graph: Adjacency,
    config: ForecastConfig,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
) -> float:
    model.train()
    # A generator per epoch: a resumed run draws what an uninterrupted one would.
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    starts = windows.train[epoch % config.stride :: config.stride]
    starts = starts[torch.randperm(len(starts), generator=generator)]
    batches = torch.split(starts, config.batch_size)
    total, count = 0.0, 0
    for number, part in enumerate(batches):
        step, steps = epoch * len(batches) + number, config.epochs * len(batches)
        set_learning_rate(optimizer, learning_rate(config.optimization, min(step, steps - 1), steps))
        batch = windows.batch(part)
        observed = int(batch.target_observed.sum())
        if not observed:
            continue
        loss = _loss(model(batch.values, batch.observed, batch.phase, graph), batch, windows.data.loss) / observed
        optimizer.zero_grad()
        loss.backward()
        if config.optimization.clip is not None:
            nn.utils.clip_grad_norm_(parameters, config.optimization.clip)
        optimizer.step()
        total, count = total + loss.item() * observed, count + observed
    return total / count if count else math.nan


@torch.no_grad()
def _loss_over(model: nn.Module, windows: Windows, graph: Adjacency, starts: Tensor) -> float:
    model.eval()
    total, count = 0.0, 0
    for part in torch.split(starts, _WINDOWS_AT_ONCE):
        batch = windows.batch(part)
        total += _loss(model(batch.values, batch.observed, batch.phase, graph), batch, windows.data.loss).item()
        count += int(batch.target_observed.sum())
    return total / count if count else math.nan


def _loss(forecasts: Tensor, batch: Batch, kind: str) -> Any:
    """The sum of the errors where the target was observed."""
    if forecasts.shape != batch.targets.shape:
        raise ValueError(
            f"forecasts must have the targets' shape {tuple(batch.targets.shape)}, got {tuple(forecasts.shape)}"
        )
    error = torch.where(batch.target_observed, forecasts - batch.targets, 0.0)
    return error.abs().sum() if kind == "mae" else error.square().sum()


def _out_of_patience(session: Session, config: ForecastConfig) -> bool:
    if config.patience is None or "val_loss" not in session.best:
        return False
    return session.step - session.best["val_loss"].step >= config.patience
