"""From a run folder back to a model: ``gnnkit.load(RUN).predict()``."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gnnkit.data.node_data import NodeData
from gnnkit.errors import RunError
from gnnkit.jobs.node_job import NodeJob
from gnnkit.jobs.saved_model import model_with, saved_best
from gnnkit.models.registry import build_model
from gnnkit.runs import RunFolder
from gnnkit.training.layerwise import LayeredModel
from gnnkit.training.minibatch import layerwise_of
from gnnkit.training.view import features_of

# By kind of run. Imported when asked for: a node classifier needs no text model, nor the reverse.
_LOADERS = {
    "sequence": ("gnnkit.jobs.trained_sequence", "load_sequence"),
    "text": ("gnnkit.jobs.text_trained", "load_text"),
    "trees": ("gnnkit.jobs.trained_trees", "load_trees"),
    "links": ("gnnkit.jobs.link_job", "load_links"),
}


@dataclass(frozen=True)
class Prediction:
    """Classes and their probabilities.

    Attributes:
        classes: The most probable class of each node, ``(N)``.
        probabilities: ``(N, num_classes)``; rows sum to 1.
    """

    classes: Tensor
    probabilities: Tensor


@dataclass(frozen=True)
class TrainedNodes:
    """A trained node classifier, with what it was trained on.

    Attributes:
        model: With the weights of the selected epoch, in evaluation mode; of several runs, that with the
            lowest validation loss.
        job: What was trained, how.
        seed: Of the run that the weights are from.
    """

    model: nn.Module
    job: NodeJob
    seed: int

    def data(self, data_root: str | None = None) -> NodeData:
        """The data and split that the run was trained on, read again, from ``data_root`` if it has moved."""
        source = self.job.source if data_root is None else replace(self.job.source, data_root=data_root)
        return source.split_for(source.load(), self.seed)

    @torch.no_grad()
    def predict(self, data: NodeData | None = None) -> Prediction:
        """Classes of all nodes, of the training graph or of another with features of the same kind.

        Features are prepared as for training where ``data`` is read by `gnnkit.data`.

        Raises:
            ValueError: If ``data`` has another number of features.
        """
        data = self.data() if data is None else data
        expected = self.job.sizes.num_features if self.job.sizes else data.num_features
        if data.num_features != expected:
            raise ValueError(
                f"this model was trained on {expected} features per node, got {data.num_features}; "
                "give the new graph's nodes the same features"
            )
        if self.job.training.batch_size is None:
            logits = self.model(features_of(data), data.adjacency)
        else:  # what was trained in batches may be larger than memory
            logits = layerwise_of(data).logits(cast(LayeredModel, self.model), torch.arange(data.num_nodes))
        probabilities = torch.softmax(logits, dim=-1)
        return Prediction(probabilities.argmax(dim=-1), probabilities)


def load(run: str | os.PathLike[str]) -> Any:
    """What was trained in a run folder, ready for use: `TrainedNodes`, `TrainedLinks`, `TrainedSequence`, `TrainedText`
    or `TrainedTrees`.

    Raises:
        RunError: If it is not a run folder of a known kind, or its training has not finished.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    kind = RunFolder.open(run).kind
    if kind not in _LOADERS:
        return load_nodes(run)
    module, name = _LOADERS[kind]
    return getattr(import_module(module), name)(run)


def load_nodes(run: str | os.PathLike[str]) -> TrainedNodes:
    """The trained node classifier of a run folder.

    Raises:
        RunError: If it is not a run folder of this kind, or its training has not finished.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    folder = RunFolder.open(run)
    if folder.kind != "nodes":
        raise RunError(f"{folder.path} holds a run of kind {folder.kind!r}, not a node classifier")
    job = folder.read_config(NodeJob)
    paths = [folder.path] if job.runs == 1 else folder.seed_paths()
    chosen = min(paths, key=_lowest_validation_loss, default=None)
    if chosen is None:
        raise RunError(f"{folder.path} holds no finished run yet; continue it with --resume")
    weights = selected_weights(RunFolder.open(chosen))
    model = model_with(weights, job.options.num_layers or 0, lambda: new_model(job), chosen)
    seed = job.training.seed if job.runs == 1 else int(chosen.name.removeprefix("seed-"))
    return TrainedNodes(model, job, seed)


def new_model(job: NodeJob) -> nn.Module:
    """The job's model, untrained.

    Raises:
        RunError: If the job has never run, so that the sizes of its data are not known.
    """
    if job.sizes is None:
        raise RunError("this job's config has no [sizes]: it was not written by a run")
    return build_model(job.model, job.options, job.sizes.num_features, job.sizes.num_classes)


def selected_weights(folder: RunFolder) -> dict[str, Tensor]:
    """The weights of the selected epoch in a run's checkpoint.

    Raises:
        RunError: If there is no checkpoint with any yet.
    """
    best = saved_best(folder, "val_loss")
    if best is None:
        raise RunError(f"{folder.path} has no selected weights yet: its training has not finished; use --resume")
    return best[2]


def _lowest_validation_loss(path: Path) -> tuple[float, str]:
    best = saved_best(RunFolder.open(path), "val_loss")
    return (math.inf if best is None or not math.isfinite(best[1]) else best[1], path.name)
