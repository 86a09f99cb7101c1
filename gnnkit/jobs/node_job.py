"""What a node-classification job is: its data, model and training, as ``config.toml`` holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gnnkit.data.datasets import load_dataset
from gnnkit.data.graph_folder import read_folder
from gnnkit.data.node_data import NodeData
from gnnkit.data.splits import random_split, stratified_split
from gnnkit.data.user_graph import read_node_data
from gnnkit.graph.graph_folder import is_graph_folder
from gnnkit.models.registry import ModelOptions
from gnnkit.training.nodes import TrainConfig


@dataclass(frozen=True)
class DataSource:
    """Where the data is: a data set's name, or files.

    Attributes:
        dataset: A name that `gnnkit.data.load_dataset` knows; "" where ``edges`` names a file.
        data_root: Folder of the data sets; the default one where None.
        edges: A graph file, or a folder that ``gnnkit convert`` made.
        features: Table of features, beside ``edges``.
        labels: Table of labels, beside ``edges``.
        nodes: Table of node names, beside ``edges``.
        directed: Whether a line of an edge list is one directed edge.
        split: ``"public"``, ``"random"`` (20 per class) or ``"stratified"`` (60/20/20 %); the data's own
            where None, and stratified for files.
        split_seed: Which random split; each run draws its own, by its seed, where None.
    """

    dataset: str = "karate"
    data_root: str | None = None
    edges: str | None = None
    features: str | None = None
    labels: str | None = None
    nodes: str | None = None
    directed: bool = False
    split: Literal["public", "random", "stratified"] | None = None
    split_seed: int | None = None

    def load(self) -> NodeData:
        """Read the data; a random split is drawn later, by `split_for`.

        Raises:
            ValueError: If the data set has no such split, or files are named beside a data set.
        """
        if self.edges is None:
            for option in ("features", "labels", "nodes"):
                if getattr(self, option) is not None:
                    raise ValueError(f"{option} belongs to a graph of your own; name its edges too")
            return load_dataset(self.dataset, self.data_root, split="public" if self.split == "public" else None)
        if is_graph_folder(self.edges):
            for option in ("features", "labels", "nodes"):
                if getattr(self, option) is not None:
                    raise ValueError(f"{self.edges} is a graph folder; give {option} to gnnkit convert")
            return read_folder(self.edges)
        if self.split == "public":
            raise ValueError(f"{self.edges} has no public split; choose random or stratified")
        return read_node_data(
            self.edges, features=self.features, labels=self.labels, nodes=self.nodes, directed=self.directed
        )

    def split_for(self, data: NodeData, seed: int) -> NodeData:
        """The data with the split that the run of this seed trains on.

        Raises:
            ValueError: If a split's seed is given and the split is the data set's own.
        """
        split_seed = seed if self.split_seed is None else self.split_seed
        kind = self.split
        if kind is None and not bool(data.train_mask.any()):
            kind = "stratified"
        # A data set without a public split has drawn one of its own; each run draws anew.
        if kind is None and self.edges is None and data.name in ("photo", "computers", "cs", "physics"):
            kind = "random"
        if kind == "random":
            return data.with_split(random_split(data.y, seed=split_seed))
        if kind == "stratified":
            return data.with_split(stratified_split(data.y, seed=split_seed))
        if self.split_seed is not None:
            raise ValueError(
                f"split_seed={self.split_seed} chooses a random split, and {data.name} comes with one; "
                "choose split='random' or 'stratified'"
            )
        return data


@dataclass(frozen=True)
class DataSizes:
    """What a model must know of its data, so that it can be used without it.

    Attributes:
        num_features: Features per node.
        num_classes: Classes.
        class_names: Their names, if they have any.
    """

    num_features: int
    num_classes: int
    class_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, data: NodeData) -> DataSizes:
        """The sizes of ``data``."""
        return cls(data.num_features, data.num_classes, data.class_names)


@dataclass(frozen=True)
class NodeJob:
    """A node classifier to train, once or several times.

    Attributes:
        source: The data.
        model: A name in `gnnkit.models.registry.RECIPES`.
        options: The model's settings.
        training: How each run is trained; its seed is the first run's.
        runs: How many runs, with the seeds seed, seed + 1, ...
        threads: Threads of torch; one each where there are several runs.
        sizes: Those of the data; found when the job runs.
        distributed: How the processes that torchrun starts share the work: ``"partition"``, the graph, or
            ``"minibatch"``, the nodes of every batch; one process where None.
    """

    source: DataSource = field(default_factory=DataSource)
    model: str = "gcn"
    options: ModelOptions = field(default_factory=ModelOptions)
    training: TrainConfig = field(default_factory=TrainConfig)
    runs: int = 1
    threads: int = 1
    sizes: DataSizes | None = None
    distributed: Literal["partition", "minibatch"] | None = None

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"runs must be 1 or more, got {self.runs}")
        layers, fanout = self.options.num_layers, self.training.fanout
        if layers is not None and fanout is not None and len(fanout) != layers:
            raise ValueError(f"fanout needs one number per layer, {layers}, got {','.join(map(str, fanout))}")
        if self.distributed is not None and self.runs > 1:
            raise ValueError(f"several processes share one run, got runs={self.runs}; start torchrun once per seed")
        batches = self.training.batch_size is not None
        if self.distributed == "minibatch" and not batches:
            raise ValueError("distributed='minibatch' shares the nodes of every batch: give a batch_size")
        if self.distributed == "partition" and batches:
            raise ValueError(
                f"distributed='partition' trains on the whole graph, got batch_size={self.training.batch_size}; "
                "leave it out, or choose distributed='minibatch'"
            )

    @property
    def seeds(self) -> list[int]:
        """The seed of every run."""
        return [self.training.seed + run for run in range(self.runs)]

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        data = self.source.dataset if self.source.edges is None else Path(self.source.edges).name.split(".")[0]
        return f"{self.model}-{data}"
