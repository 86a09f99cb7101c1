"""How far information travels in trained runs, and how far it did before they were trained."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from gnnkit.diagnostics import Flow, flow
from gnnkit.diagnostics.influence import UNITS
from gnnkit.diagnostics.jacobian import Norm
from gnnkit.errors import RunError
from gnnkit.jobs.trained import load_nodes, new_model
from gnnkit.jobs.trained_forecast import OfOneWindow, load_forecast
from gnnkit.jobs.trained_sequence import load_sequence
from gnnkit.runs import ProgressMode, RunFolder, seed_everything
from gnnkit.runs.progress import Progress
from gnnkit.training.view import features_of
from recurrent.tasks import TaskStream

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RunFlow:
    """The flow in one run's model.

    Attributes:
        name: A short name for the run.
        model: What kind of model it is, with its depth where that counts.
        trained: Whether with the weights that were selected, or those it started from.
        flow: What was measured.
    """

    name: str
    model: str
    trained: bool
    flow: Flow

    @property
    def label(self) -> str:
        """The run's name, and whether it is trained."""
        return f"{self.name}, {'trained' if self.trained else 'untrained'}"


def flow_of_runs(
    folders: Sequence[str | os.PathLike[str]],
    *,
    samples: int | None = 200,
    untrained: bool = True,
    norm: Norm = "l1",
    of: Literal["input", "state"] = "input",
    data_root: str | None = None,
    progress: ProgressMode = "quiet",
) -> list[RunFlow]:
    """The flow by hop of node classifiers, by step of sequence models, by both of forecasters; trained, and before.

    Args:
        folders: Run folders, all of one kind.
        samples: Nodes, drawn once, or held-out sequences to measure over; None for all nodes. Of a forecaster
            all nodes in so many test windows, spread evenly, that there are as many outputs or just more.
        untrained: Measure each model as it started, too.
        norm: See `gnnkit.flow`.
        of: Of sequence models: the influence of inputs, or of the top layer's hidden states.
        data_root: Where the data sets lie now, if not where they were.
        progress: How to show it.

    Raises:
        ValueError: If there is no run, or runs are of several kinds.
        RunError: If a run has not finished, or is of a kind without a flow.
    """
    if not folders:
        raise ValueError("flow_of_runs needs at least one run folder, got none")
    if samples is not None and samples < 1:
        raise ValueError(f"samples must be 1 or more, got {samples}")
    kinds = {str(folder): RunFolder.open(folder).kind for folder in folders}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{name} of kind {kind!r}" for name, kind in kinds.items())
        raise ValueError(f"hops and steps cannot be drawn over one axis: {found}; give runs of one kind")
    kind = next(iter(kinds.values()))
    if kind not in ("nodes", "sequence", "forecast"):
        raise RunError(
            f"{folders[0]} holds a run of kind {kind!r}; flow reads node classifiers, sequence models and forecasts"
        )
    measured: list[RunFlow] = []
    names = _names(folders)
    for folder, name in zip(folders, names, strict=True):
        if kind != "sequence" and of != "input":
            what = "a node classifier" if kind == "nodes" else "a forecast"
            raise ValueError(f"of={of!r} is for sequence models; {folder} holds {what}")
        if kind == "forecast":
            models = _forecasters(folder, samples, untrained, norm, data_root, progress)
        elif kind == "nodes":
            models = _node_models(folder, samples, untrained, norm, data_root, progress)
        else:
            models = _sequence_models(folder, samples or 200, untrained, norm, of)
        measured += [RunFlow(name, model, trained, found) for model, trained, found in models]
    return measured


def _names(folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    short = [Path(folder).resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


def _node_models(
    folder: str | os.PathLike[str],
    samples: int | None,
    untrained: bool,
    norm: Norm,
    data_root: str | None,
    progress: ProgressMode,
) -> Iterator[tuple[str, bool, Flow]]:
    trained = load_nodes(folder)
    data = trained.data(data_root)
    features = features_of(data)
    nodes = None
    if samples is not None and samples < data.num_nodes:
        nodes = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(0))[:samples]
    models: list[tuple[nn.Module, bool]] = [(trained.model, True)]
    if untrained:
        models.append((_as_it_started(trained.job, trained.seed), False))
    for model, is_trained in models:
        count = data.num_nodes if nodes is None else len(nodes)
        with Progress(count, f"flow in {Path(folder).name}", mode=progress) as bar:
            found = flow(model, features, data.adjacency, nodes, norm=norm, progress=bar)
        yield f"{trained.job.model}, {trained.job.options.num_layers} layers", is_trained, found


def _as_it_started(job: Any, seed: int) -> nn.Module:
    """The model with the weights that training began from: drawn as `gnnkit.fit` draws them."""
    model = new_model(job)
    seed_everything(seed)
    reset: Any = model.reset_parameters
    reset()
    return model


def _sequence_models(
    folder: str | os.PathLike[str], samples: int, untrained: bool, norm: Norm, of: Literal["input", "state"]
) -> Iterator[tuple[str, bool, Flow]]:
    trained = load_sequence(folder)
    inputs = next(TaskStream(trained.task, samples, trained.seed, "held_out")).inputs
    models = [(trained.model, True)]
    if untrained:
        models.append((trained.job.build(trained.seed)[1], False))
    for model, is_trained in models:
        yield trained.job.model.label, is_trained, flow(model, inputs, by="step", norm=norm, of=of)


def _forecasters(
    folder: str | os.PathLike[str],
    samples: int | None,
    untrained: bool,
    norm: Norm,
    data_root: str | None,
    progress: ProgressMode,
) -> Iterator[tuple[str, bool, Flow]]:
    trained = load_forecast(folder, data_root=data_root)
    windows, graph = trained.windows, trained.data.adjacency
    count = 1 if samples is None else min(len(windows.test), -(-samples // trained.data.num_nodes))
    starts = windows.test[torch.linspace(0, len(windows.test) - 1, count).round().long()]
    models = [(trained.model, True)]
    if untrained:
        models.append((trained.as_it_started(), False))
    for model, is_trained in models:
        found = []
        with Progress(count, f"flow in {Path(folder).name}", mode=progress) as bar:
            for done, start in enumerate(starts, start=1):
                batch = windows.batch(start.view(1))
                x = batch.values[0].unsqueeze(-1)
                found.append(flow(OfOneWindow(model, batch), x, graph, by=("hop", "step"), norm=norm))
                bar.update(done)
        yield f"{trained.job.cell}, {trained.job.operator}, {trained.job.hops} hops a step", is_trained, _joined(found)


def _joined(flows: list[Flow]) -> Flow:
    """Flows of several windows as one, of all their outputs."""
    hops = max(each.influence.size(1) for each in flows)
    wide = [torch.nn.functional.pad(each.influence, (0, 0, 0, hops - each.influence.size(1))) for each in flows]
    nodes, elsewhere = (torch.cat([getattr(each, name) for each in flows]) for name in ("nodes", "elsewhere"))
    return Flow(torch.cat(wide), flows[0].by, flows[0].norm, nodes, elsewhere)


def draw_flows(flows: Sequence[RunFlow], *, title: str = "") -> Figure:
    """All flows in one figure, a line each; a single one by hop and step as a light cone, several of them by hop."""
    from gnnkit.plots.flow import flow_figure, light_cone

    if len(flows) == 1 and len(flows[0].flow.by) == 2:
        return light_cone(flows[0].flow.mean, title=title or flows[0].label)
    axis = flows[0].flow.by[0]
    along = {each.label: each.flow.along(axis) for each in flows}
    series = {f"{label} (range {each.range:.2f})": each.shares for label, each in along.items()}
    return flow_figure(series, distance=UNITS[axis], title=title)
