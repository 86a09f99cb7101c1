"""Does the graph help to forecast? A graph LSTM or GRU beside what needs no graph, over seeds and blocks of time.

Every trained row is given the same: the window, which of its values are missing, the phase of the period, and who
each node is. The graph helps if the model on it errs less than the same model without one, and less than the
same model on a graph in which every node keeps its degree, each with an interval that excludes 0.

Reference: Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of Statistics 17
(1989), for blocks of time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from gnnkit.data.temporal import TemporalData
from gnnkit.errors import RunError
from gnnkit.jobs.forecast_job import TRAINED_ROWS, ForecastJob, TemporalSource
from gnnkit.jobs.train_forecasts import difference
from gnnkit.runs import Interrupted, Outcome, Progress, ProgressMode, run_many
from gnnkit.training.forecasts import fit_forecaster
from gnnkit.training.windows import Windows, last_value, linear, scores

GRAPH, NO_GRAPH, REWIRED, IDENTITY = TRAINED_ROWS
_RUNS = 10


class ForecastRow(NamedTuple):
    """One row: its error over all horizons, seed by seed (once if nothing is trained), and that of every step."""

    name: str
    errors: tuple[float, ...]
    by_horizon: tuple[float, ...]

    @property
    def error(self) -> float:
        """The mean over seeds."""
        return sum(self.errors) / len(self.errors)


class Gap(NamedTuple):
    """How much more one row errs than another, with its 95 % interval by bootstrap over blocks of time and seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ForecastVerdict:
    """What the comparison came to.

    Attributes:
        dataset: The name of the data.
        title: What the data are and are not.
        unit: Of the values.
        error: ``"mae"`` or ``"mse"``, in the data's units, where the target was observed.
        horizon: Steps forecast.
        runs: Seeds of every trained row.
        test_windows: How many windows were tested.
        block_steps: Windows in a block of the bootstrap: a period, or ten horizons without one.
        rows: The contenders, the model on the graph last.
        gap: The model on the graph minus the same without a graph: below 0 the graph helps.
        gap_to_rewired: The model on the graph minus the same on rewired graphs.
        rewired_gap: The model on rewired graphs minus the same without a graph.
        helps: Whether the intervals of the first two lie below 0.
    """

    dataset: str
    title: str
    unit: str
    error: str
    horizon: int
    runs: int
    test_windows: int
    block_steps: int
    rows: tuple[ForecastRow, ...]
    gap: Gap
    gap_to_rewired: Gap
    rewired_gap: Gap
    helps: bool

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, in the data's units with 95 % intervals."""
        unit = f" {self.unit}" if self.unit and self.error == "mae" else ""
        taken, rewired = _taken(self.gap), _taken(self.rewired_gap)
        changed = f"the graph takes {taken}{unit} off the {self.error}; rewired it takes off {rewired}"
        if self.helps:
            return f"yes: {changed}"
        if self.gap.low > 0:
            return f"no, it harms: {changed}"
        if self.gap.high < 0:
            return f"no: {changed}, so a gain from who is joined to whom is not shown"
        return f"no: {changed}, so no gain is shown"


def _taken(gap: Gap) -> str:
    return f"{-gap.mean:.3f} [{-gap.high:.3f}, {-gap.low:.3f}]"


def verdict_on_forecasts(
    data: TemporalData, *, job: ForecastJob | None = None, jobs: int = 1, progress: ProgressMode = "quiet"
) -> ForecastVerdict:
    """Whether the graph of ``data`` helps to forecast the values on its nodes.

    Args:
        data: Values over time; split in time order, each model's epoch chosen on the validation part.
        job: Other settings than the data set's recipe, and how many seeds, 10 when omitted; its source is not read.
        jobs: Trainings side by side, one thread each; the result is the same.
        progress: How to show it.

    Raises:
        ValueError: If there are fewer than two seeds, or the data are too short for a window.
        RunError: If a training failed.
        Interrupted: After ctrl-C.
    """
    named = TemporalSource(data.name)
    job = replace(job or ForecastJob(runs=_RUNS), source=named).resolved()
    if job.runs < 2:
        raise ValueError(f"runs must be 2 or more, for an interval over seeds, got {job.runs}")
    assert job.training is not None, "resolved"
    windows = _windows(job, data)  # before any work: data too short are found here
    work = [(row, job.training.seed + run) for run in range(job.runs) for row in TRAINED_ROWS]
    with Progress(len(work), f"verdict on {data.name}", mode=progress) as bar:
        done = 0

        def tell(outcome: Outcome[Tensor]) -> None:
            nonlocal done
            done += 1
            bar.update(done)

        outcomes = run_many(_forecast, work, shared=(job, data), jobs=jobs, on_done=tell)
    if any(outcome.status == "interrupted" for outcome in outcomes):
        raise Interrupted(f"stopped after {done} of {len(work)} trainings; nothing is kept of a verdict")
    found: dict[str, list[Tensor]] = {"last value": [last_value(windows, windows.test)]}
    found["linear"] = [linear(windows, windows.test)]
    for row in (IDENTITY, NO_GRAPH, REWIRED, GRAPH):
        found[row] = []
    for (row, seed), outcome in zip(work, outcomes, strict=True):
        if outcome.value is None:
            raise RunError(f"{row}, seed {seed} failed: {outcome.error}")
        found[row].append(outcome.value)
    return _judge(windows, job.runs, found)


def _windows(job: ForecastJob, data: TemporalData) -> Windows:
    assert job.length is not None, "resolved"
    assert job.horizon is not None, "resolved"
    return Windows.of(data, job.length, job.horizon)


def _forecast(shared: tuple[ForecastJob, TemporalData], item: tuple[str, int]) -> Tensor:
    """What one row, trained with one seed, expects of the test part."""
    (job, data), (row, seed) = shared, item
    assert job.training is not None, "resolved"
    model, graph = job.build(row, data, seed)
    return fit_forecaster(model, _windows(job, data), graph, replace(job.training, seed=seed)).forecasts


def _judge(windows: Windows, runs: int, found: dict[str, list[Tensor]]) -> ForecastVerdict:
    data = windows.data
    targets, observed = windows.targets(windows.test)
    rows = []
    for name, forecasts in found.items():
        by_run = [getattr(scores(each, targets, observed), data.loss) for each in forecasts]
        by_horizon = tuple(sum(steps) / len(by_run) for steps in zip(*by_run, strict=True))
        rows.append(ForecastRow(name, tuple(sum(steps) / len(steps) for steps in by_run), by_horizon))
    bootstrap = difference(windows, found[GRAPH], found[NO_GRAPH])

    def gap(first: str, second: str) -> Gap:
        compared = difference(windows, found[first], found[second])
        return Gap(compared["mean"], compared["low"], compared["high"])

    without, to_rewired = gap(GRAPH, NO_GRAPH), gap(GRAPH, REWIRED)
    return ForecastVerdict(
        dataset=data.name,
        title=data.title,
        unit=data.unit,
        error=data.loss,
        horizon=windows.horizon,
        runs=runs,
        test_windows=len(windows.test),
        block_steps=bootstrap["block_steps"],
        rows=tuple(rows),
        gap=without,
        gap_to_rewired=to_rewired,
        rewired_gap=gap(REWIRED, NO_GRAPH),
        helps=without.high < 0 and to_rewired.high < 0,
    )
