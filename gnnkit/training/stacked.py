"""Several runs of one shape as one model: weights stacked, every step one pass for all of them.

On a GPU a small graph's step is a row of tiny kernels, and launching them is what takes the time; stacked,
each kernel does the work of all runs, and the whole step is recorded once and replayed (a CUDA graph). The
runs differ in seed alone: weights are drawn as `gnnkit.training.fit` draws them, dropout masks are each
run's own, from one stream, so a stacked run equals one by itself in distribution, and to rounding where
nothing is drawn. No Python looks at a value during training: selection happens on the device.

On a CPU one process per seed is faster; there `gnnkit train --jobs` is the way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from gnnkit.data.node_data import NodeData
from gnnkit.errors import DivergedError
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.metrics import check_classes, confusion_matrix, macro_f1
from gnnkit.training.nodes import COLUMNS, NodeResult, Scores, TrainConfig, check_can_train
from gnnkit.training.session import Best, Session, current_weights
from gnnkit.training.view import View, features_of, view_of

Weights = dict[str, Tensor]
_WARM_UP = 3  # calls before a step is recorded: libraries set themselves up in the first
_LOOK_EVERY = 50  # epochs between looks at the losses: a look waits for the device


@dataclass(frozen=True)
class StackedRun:
    """One of the runs trained together.

    Attributes:
        result: What `fit` returns.
        best: By ``"val_loss"`` and ``"val_accuracy"``, as a session keeps them.
        last: The weights after the last epoch.
    """

    result: NodeResult
    best: dict[str, Best]
    last: Weights

    @property
    def weights(self) -> Weights:
        """Those of the selected epoch."""
        return self.best["val_loss"].weights

    def save(self, folder: RunFolder, model: nn.Module, config: TrainConfig) -> None:
        """Write metrics and a checkpoint from which `fit` goes on at once to the result."""
        model.load_state_dict(self.last)
        session = Session(folder, COLUMNS, model, {"optimizer": _adam(model, dict(model.named_parameters()), config)})
        for row in zip(*(self.result.history[name] for name in COLUMNS[1:]), strict=True):
            session.record(dict(zip(COLUMNS[1:], row, strict=True)))
        session.best = dict(self.best)
        session.save()


def fit_stacked(
    model: nn.Module, data: NodeData, config: TrainConfig, seeds: Sequence[int], *, capture: bool = True
) -> list[StackedRun]:
    """Train ``model`` once for each seed, all at the same time.

    Args:
        model: A model of gnnkit without buffers; its own weights are left as drawn for the last seed.
        data: The graph, with one split for all runs.
        config: How to train; its own seed is not used.
        seeds: One per run.
        capture: False: do not record the step as a CUDA graph. It is recorded on GPUs only, and a step that
            cannot be recorded runs as it is.

    Raises:
        TypeError: If ``model`` is no module, ``data`` no NodeData, or the model does not give a row of logits per node.
        ValueError: If there are no seeds or no training nodes, the model has buffers, which runs would share, or it
            gives fewer logits per node than there are classes.
        DivergedError: If a run's loss becomes NaN or infinite, naming its seed.
        Interrupted: After ctrl-C; nothing is kept.
    """
    if not seeds:
        raise ValueError("seeds is empty: name at least one")
    check_can_train(model, data)
    if shared := next((name for name, _ in model.named_buffers()), None):
        raise ValueError(f"the model's buffer {shared!r} would be shared by all runs; train them one by one with fit")
    started = time.perf_counter()
    weights = _drawn(model, config, seeds)
    data = data.to(config.device)
    features = features_of(data)
    model.train()  # what mixes rows in this mode only is not to be missed
    parts = {
        name: view_of(model, data, features, mask, prune=config.prune)
        for name, mask in (("train", data.train_mask), ("val", data.val_mask), ("test", data.test_mask))
        if bool(mask.any())
    }
    model.eval()
    with torch.no_grad():
        check_classes(parts["train"].logits(model), data.num_classes, model)
    losses, kept = _trained(model, parts, weights, config, seeds, capture)
    seconds = (time.perf_counter() - started) / len(seeds)
    return _results(model, data, parts, losses, kept, weights, config, seeds, seconds)


def _drawn(model: nn.Module, config: TrainConfig, seeds: Sequence[int]) -> Weights:
    """Every run's first weights, ``(S, *shape)`` each, as `fit` draws them."""
    drawn = []
    for seed in seeds:
        seed_everything(seed)
        reset = getattr(model, "reset_parameters", None)
        if callable(reset):
            reset()
        drawn.append(current_weights(model.to(config.device)))
    return {name: torch.stack([each[name] for each in drawn]).requires_grad_() for name in drawn[0]}


@dataclass
class _Kept:
    """Of every run: the best value so far, its epoch and its weights; on the device."""

    value: Tensor
    epoch: Tensor
    weights: Weights

    @classmethod
    def none_yet(cls, weights: Weights, runs: int, worst: float) -> _Kept:
        first = next(iter(weights.values()))
        copies = {name: each.detach().clone() for name, each in weights.items()}
        return cls(first.new_full((runs,), worst), torch.zeros(runs, dtype=torch.long, device=first.device), copies)

    def of_run(self, run: int) -> Weights:
        """The weights of one run."""
        return {name: each[run].clone() for name, each in self.weights.items()}

    def take(self, where: Tensor, value: Tensor, epoch: Tensor, weights: Weights) -> None:
        """Take up the runs ``where`` is true."""
        self.value.copy_(torch.where(where, value, self.value))
        self.epoch.copy_(torch.where(where, epoch, self.epoch))
        for name, kept in self.weights.items():
            chosen = where.view(-1, *[1] * (kept.dim() - 1))
            kept.copy_(torch.where(chosen, weights[name].detach(), kept))


def _trained(
    model: nn.Module,
    parts: dict[str, View],
    weights: Weights,
    config: TrainConfig,
    seeds: Sequence[int],
    capture: bool,
) -> tuple[Tensor, dict[str, _Kept]]:
    """Losses and accuracies ``(epochs, 4, S)``, and what selection kept."""
    runs, device = len(seeds), torch.device(config.device)
    optimizer = _adam(model, weights, config, capturable=device.type == "cuda")
    first = next(iter(weights.values()))
    history = first.new_full((config.epochs, len(COLUMNS) - 1, runs), math.nan, requires_grad=False)
    kept = {
        "val_loss": _Kept.none_yet(weights, runs, math.inf),
        "val_accuracy": _Kept.none_yet(weights, runs, -math.inf),
        "last": _Kept.none_yet(weights, runs, math.nan),
    }
    epoch = torch.zeros((), dtype=torch.long, device=device)  # on the device, so that a replay counts on
    # Out of patience a run goes on being computed, but nothing of it is kept.
    going = torch.ones(runs, dtype=torch.bool, device=device)
    measure = parts.get("val")

    def step() -> None:
        epoch.add_(1)
        loss, accuracy = _train_step(model, parts["train"], weights, optimizer)
        row = torch.stack([loss, accuracy, torch.full_like(loss, math.nan), torch.full_like(loss, math.nan)])
        history.index_copy_(0, (epoch - 1).view(1), row.unsqueeze(0))

    def score() -> None:
        assert measure is not None
        loss, accuracy = _scored(model, measure, weights)
        history[:, 2].index_copy_(0, (epoch - 1).view(1), loss.unsqueeze(0))
        history[:, 3].index_copy_(0, (epoch - 1).view(1), accuracy.unsqueeze(0))
        kept["val_loss"].take(going & (loss < kept["val_loss"].value), loss, epoch, weights)
        kept["val_accuracy"].take(going & (accuracy > kept["val_accuracy"].value), accuracy, epoch, weights)

    def settle() -> None:
        kept["last"].take(going, kept["last"].value, epoch, weights)
        if config.patience is not None and measure is not None:
            going.logical_and_(epoch - kept["val_loss"].epoch < config.patience * config.eval_every)

    calls: list[Callable[[], None]] = [step, score, settle]
    if device.type == "cuda" and capture:
        calls = [_Recorded(call) for call in calls]
    step, score, settle = calls
    with catch_interrupt() as stop:
        for number in range(1, config.epochs + 1):
            step()
            if measure is not None and (number % config.eval_every == 0 or number == config.epochs):
                score()
            settle()
            if number % _LOOK_EVERY == 0 or number == config.epochs:
                _check_finite(history[:number, 0], going, seeds)
                if not bool(going.any()):
                    break
            if stop.requested:
                raise Interrupted(f"stopped after epoch {number} of {len(seeds)} runs trained together; none is kept")
    return history, kept


class _Recorded:
    """A step as a CUDA graph: its first calls run as they are, the next is recorded, the others replay it."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step, self._calls, self._refused = step, 0, False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        self._calls += 1
        if self._graph is None and self._calls > _WARM_UP and not self._refused:
            self._record()
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()  # recording did not run it

    def _record(self) -> None:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._step()
        except RuntimeError:  # something in the step waits for the device: it runs as it is
            self._refused = True
            torch.cuda.synchronize()
        else:
            self._graph = graph


def _train_step(
    model: nn.Module, view: View, weights: Weights, optimizer: torch.optim.Optimizer
) -> tuple[Tensor, Tensor]:
    model.train()
    optimizer.zero_grad(set_to_none=False)
    loss, accuracy = _measured(model, view, weights)
    # The runs share nothing, so the gradient of the sum is that of each.
    loss.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach(), accuracy


@torch.no_grad()
def _scored(model: nn.Module, view: View, weights: Weights) -> tuple[Tensor, Tensor]:
    model.eval()
    return _measured(model, view, weights)


def _measured(model: nn.Module, view: View, weights: Weights) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of every run."""
    logits = _logits(model, view, weights)
    labels = view.labels.expand(logits.size(0), -1)
    loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).mean(dim=1)
    return loss, (logits.argmax(dim=-1) == labels).to(loss.dtype).mean(dim=1).detach()


def _logits(model: nn.Module, view: View, weights: Weights) -> Tensor:
    """``(S, rows, classes)``."""

    def one(each: Weights) -> Tensor:
        out: Tensor = functional_call(model, each, (view.x, view.graph))
        return out if view.rows is None else out[view.rows]

    return torch.func.vmap(one, randomness="different")(weights)


def _adam(
    model: nn.Module, weights: Weights, config: TrainConfig, *, capturable: bool = False
) -> torch.optim.Optimizer:
    """Adam over the stacked weights in the model's own groups: element by element, so each run's is its own."""
    own = getattr(model, "parameter_groups", None)
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "weight_decay": config.weight_decay}]
    if callable(own):
        groups = own(config.weight_decay)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    stacked: list[dict[str, Any]] = [
        {**group, "params": [weights[names[id(parameter)]] for parameter in group["params"]]} for group in groups
    ]
    return torch.optim.Adam(stacked, config.lr, fused=True, capturable=capturable)


def _check_finite(losses: Tensor, going: Tensor, seeds: Sequence[int]) -> None:
    bad = ~torch.isfinite(losses)
    if bool(bad.any()):
        run = int(bad.any(dim=0).to(torch.int8).argmax())
        epoch = int(bad[:, run].to(torch.int8).argmax())
        value = float(losses[epoch, run])
        raise DivergedError(
            f"the training loss of seed {seeds[run]} became {value} in epoch {epoch + 1}; try a lower lr"
        )


@torch.no_grad()
def _results(
    model: nn.Module,
    data: NodeData,
    parts: dict[str, View],
    history: Tensor,
    kept: dict[str, _Kept],
    weights: Weights,
    config: TrainConfig,
    seeds: Sequence[int],
    seconds: float,
) -> list[StackedRun]:
    model.eval()
    last_epochs = kept["last"].epoch.tolist()
    if "val" not in parts:  # then the last epoch is the selected one
        kept = {**kept, "val_loss": kept["last"], "val_accuracy": kept["last"]}
    scores = {name: _scores(model, data, parts.get("test"), each) for name, each in kept.items()}
    columns = history.double().cpu()
    runs = []
    for run, seed in enumerate(seeds):
        epochs = last_epochs[run]
        rows = {name: columns[:epochs, index, run].tolist() for index, name in enumerate(COLUMNS[1:])}
        rows = {COLUMNS[0]: [float(epoch) for epoch in range(1, epochs + 1)], **rows}
        selected = scores["val_loss"][run]
        result = NodeResult(
            test=selected,
            test_at_best_val_accuracy=scores["val_accuracy"][run],
            test_at_last_epoch=scores["last"][run],
            val_loss=rows["val_loss"][selected.epoch - 1],
            val_accuracy=rows["val_accuracy"][selected.epoch - 1],
            epochs=epochs,
            seed=seed,
            seconds=seconds,
            history=rows,
        )
        best = {}
        for name in ("val_loss", "val_accuracy"):
            epoch = scores[name][run].epoch
            best[name] = Best(epoch, rows[name][epoch - 1], kept[name].of_run(run))
        runs.append(StackedRun(result, best, kept["last"].of_run(run)))
    return runs


def _scores(model: nn.Module, data: NodeData, test: View | None, kept: _Kept) -> list[Scores]:
    epochs = kept.epoch.tolist()
    if test is None:
        empty = torch.zeros(data.num_classes, data.num_classes, dtype=torch.long)
        return [Scores(epoch, math.nan, macro_f1(empty), empty.tolist()) for epoch in epochs]
    logits = _logits(model, test, kept.weights)
    found = []
    for epoch, predicted in zip(epochs, logits.argmax(dim=-1), strict=True):
        confusion = confusion_matrix(predicted, test.labels, logits.size(-1))
        share = int(confusion.diagonal().sum()) / test.labels.numel()
        found.append(Scores(epoch, share, macro_f1(confusion), confusion.tolist()))
    return found
