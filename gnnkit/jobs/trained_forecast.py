"""From a run folder back to a forecaster on the graph, and to a model of one window that `gnnkit.flow` can measure."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from torch import Tensor, nn

from gnnkit.data.temporal import TemporalData
from gnnkit.errors import RunError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.jobs.forecast_job import ForecastJob
from gnnkit.jobs.saved_model import model_with, saved_best
from gnnkit.runs import RunFolder
from gnnkit.training.windows import Batch, Windows


@dataclass(frozen=True)
class TrainedForecast:
    """The model on the graph of a forecasting run, with what it was trained on.

    Attributes:
        model: With the weights of the selected epoch, in evaluation mode; of several seeds, that with the lowest
            validation loss.
        job: What was trained, how.
        data: The values and their graph.
        seed: Of the weights.
    """

    model: nn.Module
    job: ForecastJob
    data: TemporalData
    seed: int

    @property
    def windows(self) -> Windows:
        """Its windows, split and scaled as in training."""
        assert self.job.length is not None, "a run's job is resolved"
        assert self.job.horizon is not None, "a run's job is resolved"
        return Windows.of(self.data, self.job.length, self.job.horizon)

    def as_it_started(self) -> nn.Module:
        """The model with the weights that training began from."""
        return self.job.build("graph", self.data, self.seed)[0].eval()


def load_forecast(run: str | os.PathLike[str], *, data_root: str | None = None) -> TrainedForecast:
    """The forecaster of a run folder.

    Args:
        run: The folder.
        data_root: Where the data sets lie now, if not where they were.

    Raises:
        RunError: If it is not a run folder of this kind, or its training has not finished.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    folder = RunFolder.open(run)
    if folder.kind != "forecast":
        raise RunError(f"{folder.path} holds a run of kind {folder.kind!r}, not a forecast")
    if folder.read_summary() is None:
        raise RunError(f"{folder.path} has not finished; continue it with --resume")
    job = folder.read_config(ForecastJob)
    assert job.training is not None, "a run's job is resolved"
    seeds = range(job.training.seed, job.training.seed + job.runs)
    paths = {seed: folder.path / f"graph-seed-{seed}" for seed in seeds}
    best = {seed: saved_best(RunFolder.open(path), "val_loss") for seed, path in paths.items()}
    found = {seed: each for seed, each in best.items() if each is not None}
    if not found:
        raise RunError(f"{folder.path} holds no weights; run it again")
    seed = min(found, key=lambda seed: (found[seed][1], seed))
    source = job.source if data_root is None else replace(job.source, root=data_root)
    data = source.load()
    model = model_with(found[seed][2], 1, lambda: job.build("graph", data, seed)[0], paths[seed])
    return TrainedForecast(model, job, data, seed)


class OfOneWindow(nn.Module):
    """A forecaster as a function of the values of one window, ``(L, N, 1)``, and the graph: ``(N, horizon)``.

    Args:
        model: The forecaster.
        batch: One window, of which the mask and the phase stay as they are.
    """

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        super().__init__()
        self.model, self.observed, self.phase = model, batch.observed, batch.phase

    def forward(self, x: Tensor, graph: Adjacency) -> Tensor:
        """What is expected on every node."""
        phase = self.phase.to(x.dtype)
        expected: Tensor = self.model(x.squeeze(-1).unsqueeze(0), self.observed, phase, graph)
        return expected[0].t()
