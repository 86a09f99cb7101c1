"""Windows of a temporal data set, its split in time order, its scale, and scores of forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gnnkit.data.temporal import TemporalData


class Batch(NamedTuple):
    """Windows and what follows them: scaled values and masks, ``(B, steps, N)``; ``phase`` ``(B, L + H)``."""

    values: Tensor
    observed: Tensor
    phase: Tensor
    targets: Tensor
    target_observed: Tensor


@dataclass(frozen=True)
class Windows:
    """All windows of a data set by the step their forecast begins at.

    A window belongs to the part that all its targets lie in, so no target is seen by two parts; a window
    of the test part may begin among the validation steps, as its past is known by then.

    Attributes:
        data: What they are windows of.
        length: Steps that are read.
        horizon: Steps that follow.
        mean: Of the training part's observed values.
        std: Likewise.
        train: Where forecasts begin, ``(windows)``.
        val: Likewise.
        test: Likewise.
    """

    data: TemporalData
    length: int
    horizon: int
    mean: float
    std: float
    train: Tensor
    val: Tensor
    test: Tensor

    @classmethod
    def of(cls, data: TemporalData, length: int, horizon: int) -> Windows:
        """Split in time order and scaled by the training part.

        Raises:
            ValueError: If a part is too short for one window, or the training part has no two values.
        """
        if length < 1 or horizon < 1:
            raise ValueError(f"windows need 1 step or more on both sides, got {length} and {horizon}")
        steps = data.num_steps
        first = round(data.fractions[0] * steps)
        second = round((data.fractions[0] + data.fractions[1]) * steps)
        known = data.values[:first][data.observed[:first]]
        std = float(known.std()) if known.numel() > 1 else 0.0
        if not std > 0:
            raise ValueError(f"the training part of {data.name} does not vary: {known.numel()} observed values")
        ends = {"training": (length, first), "validation": (max(length, first), second), "test": (second, steps)}
        starts = {}
        for part, (begin, end) in ends.items():
            starts[part] = torch.arange(begin, max(begin, end - horizon + 1))
            if not len(starts[part]):
                raise ValueError(
                    f"the {part} part of {data.name} has {max(end - begin, 0)} steps, too few for a window of "
                    f"{length} and a horizon of {horizon}"
                )
        return cls(data, length, horizon, float(known.mean()), std, *starts.values())

    def batch(self, starts: Tensor) -> Batch:
        """The windows whose forecasts begin at ``starts``."""
        past = starts.unsqueeze(1) + torch.arange(-self.length, 0)
        future = starts.unsqueeze(1) + torch.arange(self.horizon)
        scaled = (self.data.values - self.mean) / self.std
        scaled = torch.where(self.data.observed, scaled, 0.0)
        steps = torch.cat([past, future], dim=1)
        period = self.data.period
        phase = torch.zeros(steps.shape) if period is None else (steps % period) / period
        observed = self.data.observed
        return Batch(scaled[past], observed[past], phase, scaled[future], observed[future])

    def targets(self, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Values in the data's units and which of them were observed, ``(windows, horizon, N)``."""
        future = starts.unsqueeze(1) + torch.arange(self.horizon)
        return self.data.values[future], self.data.observed[future]


class Scores(NamedTuple):
    """Masked errors per step ahead, in the data's units, over all windows and nodes at once."""

    mae: list[float]
    mse: list[float]


def scores(forecasts: Tensor, targets: Tensor, observed: Tensor) -> Scores:
    """Errors of forecasts ``(windows, horizon, N)`` where the target was observed; NaN where none was.

    Raises:
        ValueError: If shapes differ: broadcasting would score something else.
    """
    if not forecasts.shape == targets.shape == observed.shape:
        raise ValueError(
            "forecasts, targets and observed must have one shape, got "
            f"{tuple(forecasts.shape)}, {tuple(targets.shape)} and {tuple(observed.shape)}"
        )
    error = torch.where(observed, (forecasts - targets).double(), 0.0)
    count = observed.sum(dim=(0, 2))
    return Scores((error.abs().sum(dim=(0, 2)) / count).tolist(), (error.square().sum(dim=(0, 2)) / count).tolist())


def last_value(windows: Windows, starts: Tensor) -> Tensor:
    """The window's last observed value, for every step ahead; the training mean where there is none."""
    from gnnkit.nn.missing import carry_forward

    batch = windows.batch(starts)
    carried = carry_forward(batch.values.transpose(0, 1), batch.observed.transpose(0, 1))[-1]
    return (carried * windows.std + windows.mean).unsqueeze(1).expand(-1, windows.horizon, -1)


def training_mean(windows: Windows, starts: Tensor) -> Tensor:
    """One number for every node and step: the mean of the training part, which is zero to a model's eyes."""
    return torch.full((len(starts), windows.horizon, windows.data.num_nodes), windows.mean)


def historical_average(windows: Windows, starts: Tensor) -> Tensor:
    """Each node's mean over the training part at the same phase, or over all of it without a period."""
    data = windows.data
    end = int(windows.train[-1]) + windows.horizon
    period = data.period or 1
    phase = torch.arange(end) % period
    values, observed = data.values[:end].double(), data.observed[:end].double()
    total = torch.zeros(period, data.num_nodes, dtype=torch.float64).index_add(0, phase, values * observed)
    count = torch.zeros(period, data.num_nodes, dtype=torch.float64).index_add(0, phase, observed)
    mean = torch.where(count > 0, total / count.clamp(min=1), windows.mean)
    future = starts.unsqueeze(1) + torch.arange(windows.horizon)
    return mean[future % period].to(data.values.dtype)


def linear(windows: Windows, starts: Tensor, *, ridge: float = 1e-3) -> Tensor:
    """Least squares on the window's values and masks, one set of weights for all nodes: an AR(L) model."""
    inputs, targets, observed = _flat(windows, windows.train)
    weights = []
    for step in range(windows.horizon):
        kept = observed[:, step]
        x = inputs[kept]
        gram = x.T @ x + ridge * torch.eye(x.size(1), dtype=x.dtype)
        weights.append(torch.linalg.solve(gram, x.T @ targets[kept, step]))
    x, _, _ = _flat(windows, starts)
    forecasts = (x @ torch.stack(weights, dim=1)).view(len(starts), windows.data.num_nodes, windows.horizon)
    return (forecasts.transpose(1, 2) * windows.std + windows.mean).float()


def _flat(windows: Windows, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A row per window and node: inputs with a one at the end, targets, masks."""
    batch = windows.batch(starts)
    nodes_first = [each.transpose(1, 2).flatten(0, 1) for each in (batch.values, batch.observed)]
    x = torch.cat([each.double() for each in nodes_first], dim=1)
    x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    targets = batch.targets.transpose(1, 2).flatten(0, 1).double()
    return x, targets, batch.target_observed.transpose(1, 2).flatten(0, 1)
