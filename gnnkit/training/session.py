"""Where a training run stands: what its checkpoint holds and its metrics say, whatever is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from gnnkit.errors import DivergedError, FileFormatError
from gnnkit.runs import CheckpointTimer, MetricsLog, RunFolder, random_state, restore_random_state
from gnnkit.runs.checkpoint import checkpoint_from_bytes
from gnnkit.training.saved_state import MISFITS, check_optimizer, check_state, settings_of
from gnnkit.training.weight_layout import follow_layout


class Stateful(Protocol):
    """A model, an optimiser, a schedule, a stream of batches."""

    def state_dict(self) -> dict[str, Any]:
        """All that must be saved."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take up what was saved."""


class ProgressSink(Protocol):
    """Where progress goes; `gnnkit.runs.Progress` is one."""

    def update(self, completed: int, **fields: float | str) -> None:
        """Say how many steps are done."""


class Best(NamedTuple):
    """The weights of the step that was best so far in one respect; step 0 while there is none."""

    step: int
    value: float
    weights: dict[str, Tensor]


class Session:
    """Counts steps, keeps metrics and the best weights, and saves and restores it all.

    Args:
        folder: Where metrics and checkpoints go, every ten seconds and when asked; nowhere if None. A
            checkpoint found there is taken up, with the generators' state.
        columns: The metrics, the first being the step.
        model: Whose weights are kept when they are the best so far.
        parts: What else the run's next step depends on: optimiser, schedule, stream.
    """

    def __init__(
        self, folder: RunFolder | None, columns: Sequence[str], model: nn.Module, parts: Mapping[str, Stateful]
    ) -> None:
        self.folder, self.model, self._parts = folder, model, {"model": model, **parts}
        self.step = self.saved_step = 0
        self.history: dict[str, list[float]] = {name: [] for name in columns}
        self.best: dict[str, Best] = {}
        self._unit = columns[0]
        self._seconds_before, self._started = 0.0, time.perf_counter()
        self._timer = CheckpointTimer()
        self._metrics: MetricsLog | None = None
        if folder is None:
            return
        saved = folder.load_checkpoint()
        if saved is None:
            self._metrics = MetricsLog(folder.metrics_path, columns)
        else:
            self._restore(saved, folder.checkpoint_path)
            self._metrics = MetricsLog.resume(folder.metrics_path, columns, last_step=self.step)

    @property
    def seconds(self) -> float:
        """Time spent training, over all sittings of a resumed run."""
        return self._seconds_before + time.perf_counter() - self._started

    def record(self, row: Mapping[str, float]) -> None:
        """Count a step and note its metrics; NaN stands for not measured."""
        self.step += 1
        for name, values in self.history.items():
            values.append(float(self.step) if name == self._unit else row.get(name, math.nan))
        if self._metrics is not None:
            self._metrics.append(self.step, {name: None if value != value else value for name, value in row.items()})

    def keep_lowest(self, name: str, value: float) -> None:
        """Keep the weights if ``value`` is below all before; ties go to the earlier step, NaN never counts."""
        if value < self.best.get(name, Best(0, math.inf, {})).value:
            self.keep(name, value)

    def keep_highest(self, name: str, value: float) -> None:
        """Keep the weights if ``value`` is above all before; ties go to the earlier step, NaN never counts."""
        if value > self.best.get(name, Best(0, -math.inf, {})).value:
            self.keep(name, value)

    def keep(self, name: str, value: float) -> None:
        """Keep the weights under ``name``."""
        self.best[name] = Best(self.step, value, current_weights(self.model))

    def check_finite(self, value: float, what: str = "the training loss") -> None:
        """Stop at a loss (or ``what`` the value is) that is NaN or infinite, before it reaches a checkpoint.

        Raises:
            DivergedError: Naming the step and the checkpoint that stays.
        """
        if not math.isfinite(value):
            raise self._diverged(f"{what} became {value} in {self._unit} {self.step + 1}")

    def _check_weights(self) -> None:
        # A finite loss may have a gradient that is not: the weights after that step never reach a checkpoint.
        for name, weight in self.model.named_parameters():
            if not bool(weight.isfinite().all()):
                raise self._diverged(f"{name} has NaN or infinite entries after {self._unit} {self.step}")

    def _diverged(self, what: str) -> DivergedError:
        kept = ""
        if self.folder is not None and self.saved_step:
            kept = f"; the checkpoint of {self._unit} {self.saved_step} is in {self.folder.path}"
        return DivergedError(f"{what}; try a lower lr{kept}")

    def save_if_due(self) -> None:
        """Save, if the last time is ten seconds ago."""
        if self.folder is not None and self._timer.due():
            self.save()

    def save(self) -> None:
        """Write metrics and checkpoint, if there is a folder for them.

        Raises:
            DivergedError: If a weight is NaN or infinite; the checkpoint before stays.
        """
        self._check_weights()
        if self.folder is None or self._metrics is None:
            return
        self._metrics.flush()
        self.folder.save_checkpoint(
            {
                "step": self.step,
                "parts": {name: part.state_dict() for name, part in self._parts.items()},
                "random": random_state(),
                "history": self.history,
                "best": {name: tuple(best) for name, best in self.best.items()},
                "seconds": self.seconds,
            }
        )
        self.saved_step = self.step
        self._timer.restart()

    def restore(self, content: bytes) -> None:
        """Take up a checkpoint that lies elsewhere: the bytes of another process's."""
        where = "the first process's checkpoint"
        self._restore(checkpoint_from_bytes(content, where), where)

    def _restore(self, saved: dict[str, Any], path: object) -> None:
        check_state(path, saved, tuple(self.history), self._parts)
        optimizers = [(part, settings_of(part)) for part in self._parts.values() if isinstance(part, Optimizer)]
        try:
            for name, part in self._parts.items():
                part.load_state_dict(saved["parts"][name])
            restore_random_state(saved["random"])
        except MISFITS as error:
            first = str(error).partition("\n")[0]
            problem = f"its state does not fit this run ({type(error).__name__})"
            raise FileFormatError(path, problem, text=first) from error
        for optimizer, settings in optimizers:
            check_optimizer(path, optimizer, settings)
            follow_layout(optimizer)
        self.step = self.saved_step = saved["step"]
        self.history = saved["history"]
        self.best = {name: Best(*best) for name, best in saved["best"].items()}
        self._seconds_before = saved["seconds"]


def current_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's weights as they are now."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
