"""A link-prediction job by name, and back from its run folder to a model."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from gnnkit.data.link_splits import LinkSplit, split_links
from gnnkit.data.node_data import NodeData
from gnnkit.errors import RunError
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.validation import checked_edge_index
from gnnkit.jobs.job_run import job_of
from gnnkit.jobs.node_job import DataSource
from gnnkit.jobs.saved_model import highest_of_seeds, model_with
from gnnkit.models.link_predictor import LinkPredictor
from gnnkit.models.registry import ModelOptions, build_model, recipe_of
from gnnkit.runs import RunFolder
from gnnkit.training.link_prediction import LinkTraining
from gnnkit.training.view import features_of
from recurrent.sequences import Sequences

KIND = "links"


@dataclass(frozen=True)
class LinkJob:
    """A link predictor to train, once or several times.

    Attributes:
        source: The graph and its features; labels are not read.
        model: The encoder, a name in `gnnkit.models.registry.RECIPES`.
        options: The encoder's settings.
        embedding: Numbers that stand for a node.
        val_share: Share of the links that validate.
        test_share: Share of the links that test.
        training: How each run is trained; its seed is the first run's, and draws the split too.
        split_seed: One split for all runs; each draws its own, by its seed, where None.
        runs: How many runs, with the seeds seed, seed + 1, ...
        threads: Threads of torch; one each where there are several runs.
        num_features: Of the data; found when the job runs.
    """

    source: DataSource = field(default_factory=DataSource)
    model: str = "gcn"
    options: ModelOptions = field(default_factory=ModelOptions)
    embedding: int = 16
    val_share: float = 0.05
    test_share: float = 0.1
    training: LinkTraining = field(default_factory=LinkTraining)
    split_seed: int | None = None
    runs: int = 1
    threads: int = 1
    num_features: int | None = None

    def __post_init__(self) -> None:
        for name in ("embedding", "runs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if min(self.val_share, self.test_share) <= 0 or self.val_share + self.test_share >= 1:
            raise ValueError(f"shares to hold out must leave some to train on, got {self.val_share}, {self.test_share}")

    @property
    def seeds(self) -> list[int]:
        """The seed of every run."""
        return [self.training.seed + run for run in range(self.runs)]

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        data = self.source.dataset if self.source.edges is None else Path(self.source.edges).name.split(".")[0]
        return f"links-{self.model}-{data}"

    def split(self, data: NodeData, seed: int) -> LinkSplit:
        """The links that the run of this seed trains on, and those it holds out."""
        drawn = seed if self.split_seed is None else self.split_seed
        return split_links(data.adjacency, val=self.val_share, test=self.test_share, seed=drawn)

    def build(self) -> LinkPredictor:
        """The model, untrained.

        Raises:
            RunError: If the job has never run, so that the width of its features is not known.
        """
        if self.num_features is None:
            raise RunError("this job's config has no num_features: it was not written by a run")
        return LinkPredictor(build_model(self.model, self.options, self.num_features, self.embedding))


def link_options(model: str, chosen: ModelOptions) -> ModelOptions:
    """What was chosen, and for the rest the model's settings for links: no dropout; a GCN is 32 wide, as in the paper.

    Raises:
        ValueError: If there is no such model.
    """
    defaults = replace(recipe_of(model).defaults, dropout=0.0)
    if model == "gcn":
        defaults = replace(defaults, hidden_channels=32)
    given = {name: value for name, value in vars(chosen).items() if value is not None}
    for name in given:
        if getattr(defaults, name) is None:
            raise ValueError(f"the model {model} has no option {name}; leave it out or choose another model")
    return replace(defaults, **given)


def node_features(data: NodeData) -> Tensor | SparseMatrix:
    """The features that an encoder reads.

    Raises:
        ValueError: If nodes have sequences instead.
    """
    x = features_of(data)
    if isinstance(x, Sequences):
        raise ValueError(f"link prediction reads a row of features per node, got {x}")
    return x


@dataclass(frozen=True)
class TrainedLinks:
    """A trained link predictor, with what it was trained on.

    Attributes:
        model: With the weights of the selected epoch, in evaluation mode.
        job: What was trained, how.
        seed: Of the run that the weights are from.
    """

    model: LinkPredictor
    job: LinkJob
    seed: int

    def data(self) -> NodeData:
        """The graph that the run was trained on, read again."""
        return self.job.source.load()

    @torch.no_grad()
    def predict(self, pairs: Tensor, data: NodeData | None = None) -> Tensor:
        """The probability of a link between the nodes of each pair, ``(2, P)`` -> ``(P)``.

        Messages go along the training links of the run's own graph, and along all of another's.

        Raises:
            ValueError: If an id is no node, or ``data`` has another number of features.
        """
        graph = self.job.split(own := self.data(), self.seed).graph if data is None else data.adjacency
        given = own if data is None else data
        if given.num_features != self.job.num_features:
            raise ValueError(
                f"this model was trained on {self.job.num_features} features per node, got {given.num_features}"
            )
        checked = checked_edge_index(pairs, given.num_nodes)
        logits: Tensor = self.model(node_features(given), graph, checked)
        return logits.sigmoid()


def load_links(run: str | os.PathLike[str], *, seed: int | None = None) -> TrainedLinks:
    """The trained link predictor of a run folder.

    Args:
        run: The folder.
        seed: Which of its runs; that of the highest validation AUC where None.

    Raises:
        ValueError: If the job has no run of that seed.
        RunError: If it is not a run folder of this kind, or its training has not finished.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    folder = RunFolder.open(run)
    job = job_in(folder)
    chosen, weights, path = highest_of_seeds(folder, job.seeds, "val_auc", seed)
    model = model_with(weights, job.options.num_layers or 0, job.build, path)
    return TrainedLinks(model, job, chosen)


def job_in(folder: RunFolder) -> LinkJob:
    """The job of a run folder.

    Raises:
        RunError: If it is of another kind.
        FileFormatError: If its config is damaged.
    """
    return job_of(folder, KIND, LinkJob)
