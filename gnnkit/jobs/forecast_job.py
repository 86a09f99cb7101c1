"""A forecasting job by name: which data, which model, which rows beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from torch import nn

from gnnkit.data.temporal import TemporalData, load_temporal, read_values
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.rewiring import degree_preserving_rewiring
from gnnkit.models.forecaster import Forecaster, IdentityMLP
from gnnkit.runs import seed_everything
from gnnkit.training.forecasts import ForecastConfig

# Rows that are trained, the model in question first; the others are counted, not learned.
TRAINED_ROWS = ("graph", "no graph", "rewired graph", "identity MLP")
COUNTED_ROWS = ("linear", "historical average", "last value", "training mean")


@dataclass(frozen=True)
class ForecastRecipe:
    """What a data set is forecast with unless something else is asked for.

    Windows are the data's protocol; the rest was chosen by the validation loss of the model on the graph, and
    serves all rows.

    Attributes:
        length: Steps that are read.
        horizon: Steps to forecast.
        hops: K.
        epochs: Passes over the training windows.
        stride: Steps between the starts of an epoch's windows.
        lr: Learning rate.
        cell: ``"lstm"`` or ``"gru"``.
        hidden_size: Units per node.
        operator: What a node hears.
        start: What a forecast corrects: the window's last value, or its mean.
    """

    length: int = 12
    horizon: int = 12
    hops: int = 2
    epochs: int = 12
    stride: int = 1
    lr: float = 5e-3
    cell: Literal["lstm", "gru"] = "lstm"
    hidden_size: int = 32
    operator: Literal["diffusion", "chebyshev", "gcn", "attention"] = "diffusion"
    start: Literal["last", "mean"] = "last"

    def training(self) -> ForecastConfig:
        """How every row is trained."""
        usual = ForecastConfig(epochs=self.epochs, stride=self.stride)
        return replace(usual, optimization=replace(usual.optimization, lr=self.lr))


RECIPES = {
    "diffusion": ForecastRecipe(length=6, horizon=3, hops=3, epochs=6),
    "chickenpox": ForecastRecipe(length=8, horizon=1, hops=2, epochs=30, cell="gru", start="mean"),
    "metr-la": ForecastRecipe(epochs=16, stride=4),
}


@dataclass(frozen=True)
class TemporalSource:
    """Where the values come from: a data set's name, or a table with its edges.

    Attributes:
        dataset: See `gnnkit.data.temporal.TEMPORAL_DATASETS`; empty for files.
        root: Where data sets lie; None as usual.
        values: Table of values, a step a row.
        edges: Graph file.
        directed: Whether a line of an edge list is one directed edge.
        period: Steps of a cycle in a user's table.
    """

    dataset: str = "diffusion"
    root: str | None = None
    values: str | None = None
    edges: str | None = None
    directed: bool = False
    period: int | None = None

    def load(self) -> TemporalData:
        """The data.

        Raises:
            ValueError: If there is no such data set, or only one of the two files is named.
        """
        if (self.values is None) != (self.edges is None):
            raise ValueError(f"values and edges come together, got {self.values!r} and {self.edges!r}")
        if self.values is not None and self.edges is not None:
            return read_values(self.values, self.edges, directed=self.directed, period=self.period)
        return load_temporal(self.dataset, self.root)


@dataclass(frozen=True)
class ForecastJob:
    """A forecaster to train, once or several times, and the rows to print beside it.

    Attributes:
        source: The data.
        length: Steps of the window; None as the data set's recipe has it.
        horizon: Steps to forecast; likewise.
        cell: ``"lstm"`` or ``"gru"``; None as the data set's recipe has it.
        hidden_size: Units per node; likewise.
        operator: ``"diffusion"``, ``"chebyshev"``, ``"gcn"`` or ``"attention"``; likewise.
        hops: K of the model in question; likewise.
        mode: ``"direct"`` or ``"rollout"``.
        start: ``"last"`` or ``"mean"``: what of the window a forecast corrects; None as the recipe has it.
        training: How every row is trained; its seed is the first run's. None as the recipe has it.
        runs: Seeds per trained row.
    """

    source: TemporalSource = field(default_factory=TemporalSource)
    length: int | None = None
    horizon: int | None = None
    cell: Literal["lstm", "gru"] | None = None
    hidden_size: int | None = None
    operator: Literal["diffusion", "chebyshev", "gcn", "attention"] | None = None
    hops: int | None = None
    mode: Literal["direct", "rollout"] = "direct"
    start: Literal["last", "mean"] | None = None
    training: ForecastConfig | None = None
    runs: int = 1

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"runs must be 1 or more, got {self.runs}")
        if self.hops is not None and self.hops < 1:
            raise ValueError(f"hops must be 1 or more, as 0 is the row without a graph, got {self.hops}")

    def resolved(self) -> ForecastJob:
        """The same job with the data set's recipe for what was not chosen."""
        recipe = self.recipe
        names = ("length", "horizon", "cell", "hidden_size", "operator", "hops", "start")
        usual = {name: getattr(recipe, name) for name in names if getattr(self, name) is None}
        return replace(self, training=self.training or recipe.training(), **usual)

    @property
    def recipe(self) -> ForecastRecipe:
        """The data set's; for files, and data of another name, a general one."""
        return RECIPES.get(self.source.dataset, ForecastRecipe()) if self.source.values is None else ForecastRecipe()

    def build(self, row: str, data: TemporalData, seed: int) -> tuple[nn.Module, Adjacency]:
        """A trained row's model, its weights drawn from the seed, and the graph it sees."""
        assert self.length is not None, "resolved first"
        assert self.horizon is not None, "resolved first"
        assert self.cell is not None, "resolved first"
        assert self.hidden_size is not None, "resolved first"
        assert self.operator is not None, "resolved first"
        assert self.hops is not None, "resolved first"
        assert self.start is not None, "resolved first"
        seed_everything(seed)
        if row == "identity MLP":
            return IdentityMLP(data.num_nodes, self.length, self.horizon, start=self.start), data.adjacency
        model = Forecaster(
            data.num_nodes,
            self.horizon,
            cell=self.cell,
            hidden_size=self.hidden_size,
            operator=self.operator,
            hops=0 if row == "no graph" else self.hops,
            mode=self.mode,
            start=self.start,
        )
        rewired = row == "rewired graph"
        return model, degree_preserving_rewiring(data.adjacency, seed=seed) if rewired else data.adjacency
