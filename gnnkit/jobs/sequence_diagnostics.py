"""Looking into sequence models: gradients by step, gates over time, the temporal gate, parameter counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from gnnkit.jobs.sequence_job import CELLS
from gnnkit.training.sequences import denormals_flushed
from recurrent import diagnostics, unroll
from recurrent.cells import temporal_gate
from recurrent.models import SequenceClassifier
from recurrent.modes import evaluating
from recurrent.parameter_count import parameter_count
from recurrent.tasks import Task, TaskStream

# With d inputs, n units, o outputs; on + o more for the output map.
FORMULAS = {
    "rnn": "nd + n² + n",
    "lstm": "4(nd + n² + n)",
    "gru": "3(nd + n² + n) + n",
    "phased-lstm": "4(nd + n² + n) + 3n",
    "min-gru": "2(nd + n)",
    "orthogonal-rnn": "nd + n(n - 1)/2 + 2n",
}


def gradients_by_distance(model: SequenceClassifier, task: Task, *, samples: int = 128, seed: int = 0) -> list[float]:
    """The norm of dL/dh_t of the top layer, for the steps T, T - 1, ..., 1: 0, 1, ... steps back.

    L is the task's mean loss over ``samples`` held-out sequences, of the model in evaluation mode (no dropout, no
    leak of a temporal gate), and the norm is over those and all units.

    Raises:
        ValueError: If the model reads from both ends, where there is no single way back.
    """

    def loss(hidden: Tensor) -> Tensor:
        return task.loss(model.head(hidden if model.per_step else hidden[:, -1]), batch.targets)

    with denormals_flushed(True), evaluating(model):
        cell, inputs, batch = _top_layer(model, task, samples, seed)
        norms = diagnostics.gradient_by_step(cell, inputs, loss)
    return cast(list[float], norms.flip(0).tolist())


def factor_per_step(norms: Sequence[float]) -> float:
    """By what a gradient is multiplied with each step back, on average, for as long as it is not 0.

    Example:
        >>> factor_per_step([8.0, 4.0, 2.0, 0.0])
        0.5
    """
    last = max((at for at, norm in enumerate(norms) if norm > 0), default=0)
    return math.exp(math.log(norms[last] / norms[0]) / last) if last else math.nan


def gates_by_step(model: SequenceClassifier, task: Task, *, samples: int = 128, seed: int = 0) -> dict[str, Tensor]:
    """What every gate of the top layer did, ``(T, hidden_size)``, the mean over ``samples`` held-out sequences.

    Raises:
        ValueError: If the model reads from both ends.
    """
    with evaluating(model):
        cell, inputs, _ = _top_layer(model, task, samples, seed)
        return {name: values.mean(dim=0) for name, values in diagnostics.gate_activations(cell, inputs).items()}


@dataclass(frozen=True)
class ClockSetting:
    """One temporal gate: period, shift, open ratio, leak."""

    tau: float = 15.0
    shift: float = 0.0
    open_ratio: float = 0.4
    leak: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tau) and self.tau > 0):
            raise ValueError(f"tau must be a positive number, got {self.tau}")
        if not math.isfinite(self.shift):
            raise ValueError(f"shift must be a number, got {self.shift}")
        if not 0 < self.open_ratio <= 1:
            raise ValueError(f"open_ratio must be above 0 and at most 1, got {self.open_ratio}")
        if not (math.isfinite(self.leak) and self.leak >= 0):
            raise ValueError(f"leak must be 0 or more, got {self.leak}")

    def openness(self, times: Tensor) -> Tensor:
        """k(t), ``(T)``."""
        tau, shift, open_ratio = (times.new_tensor(each) for each in (self.tau, self.shift, self.open_ratio))
        return temporal_gate(times, tau, shift, open_ratio, self.leak)


def report_003_gates() -> dict[str, list[ClockSetting]]:
    """The panels of report 003: one gate with a leak, then tau, s and r_on varied."""
    return {
        "one gate: tau = 15, s = 0, r_on = 0.4, leak 0.02": [ClockSetting(leak=0.02)],
        "period tau (s = 0, r_on = 0.4)": [ClockSetting(tau=tau) for tau in (10.0, 15.0, 20.0)],
        "shift s (tau = 15, r_on = 0.4)": [ClockSetting(shift=shift) for shift in (0.0, 3.0, 6.0)],
        "open ratio r_on (tau = 15, s = 0)": [ClockSetting(open_ratio=ratio) for ratio in (0.2, 0.4, 0.8)],
    }


def gate_lines(panels: Mapping[str, Sequence[ClockSetting]], times: Tensor) -> dict[str, dict[str, Tensor]]:
    """The panels' lines, each named by the settings that differ within its panel."""
    lines: dict[str, dict[str, Tensor]] = {}
    for title, settings in panels.items():
        tables = [asdict(setting) for setting in settings]
        varied = [name for name in tables[0] if len({each[name] for each in tables}) > 1] or ["tau"]
        names = [", ".join(f"{name.replace('_', ' ')} = {each[name]:g}" for name in varied) for each in tables]
        lines[title] = {name: setting.openness(times) for name, setting in zip(names, settings, strict=True)}
    return lines


def parameter_table(cells: Sequence[str], inputs: int, hidden: int, outputs: int | None = None) -> list[dict[str, Any]]:
    """For each cell its formula, what it gives, what the module holds, and the second biases among that.

    Raises:
        ValueError: If a cell is unknown or a size not positive.
    """
    table = []
    for name in cells:
        if name not in CELLS:
            raise ValueError(f"unknown cell {name!r}: there are {', '.join(CELLS)}")
        if outputs is not None and outputs < 1:
            raise ValueError(f"outputs must be 1 or more, got {outputs}")
        count = parameter_count(CELLS[name](inputs, hidden), None if outputs is None else nn.Linear(hidden, outputs))
        formula = FORMULAS[name] + ("" if outputs is None else " + on + o")
        counts = {"by_formula": count.formula, "counted": count.counted, "second_biases": count.redundant}
        table.append({"cell": name, "formula": formula, **counts})
    return table


def _top_layer(model: SequenceClassifier, task: Task, samples: int, seed: int) -> tuple[Any, Tensor, Any]:
    """The top layer's cell, what it reads, and the batch."""
    if model.stack.num_directions == 2:
        raise ValueError("a bidirectional model reads from both ends; look into a model of one direction")
    batch = next(TaskStream(task, samples, seed, "held_out"))
    *below, top = model.stack.cells
    with torch.no_grad():
        inputs = model.embed(batch.inputs)
        for cell in below:
            inputs = unroll(cast(Any, cell), inputs)[0]
    return top, inputs, batch
