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
    """The flow by hop of node classifiers, or by step of sequence models, trained and as they started.

    Args:
        folders: Run folders, all of one kind.
        samples: Nodes, drawn once, or held-out sequences to measure over; None for all nodes.
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
    if kind not in ("nodes", "sequence"):
        raise RunError(f"{folders[0]} holds a run of kind {kind!r}; flow reads node classifiers and sequence models")
    measured: list[RunFlow] = []
    names = _names(folders)
    for folder, name in zip(folders, names, strict=True):
        if kind == "nodes":
            if of != "input":
                raise ValueError(f"of={of!r} is for sequence models; {folder} holds a node classifier")
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


def draw_flows(flows: Sequence[RunFlow], *, title: str = "") -> Figure:
    """All flows in one figure, a line each."""
    from gnnkit.plots.flow import flow_figure

    series = {f"{each.label} (range {each.flow.range:.2f})": each.flow.shares for each in flows}
    return flow_figure(series, distance=UNITS[flows[0].flow.by[0]], title=title)
