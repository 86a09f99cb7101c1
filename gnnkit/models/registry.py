"""Models by name, with the settings of the paper that each comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

from torch import nn

from gnnkit.models.gat import GAT
from gnnkit.models.gcn import GCN
from gnnkit.models.gcnii import GCNII


@dataclass(frozen=True)
class ModelOptions:
    """Settings of a node classifier; None where a model has no such setting.

    Attributes:
        hidden_channels: Width of the hidden layers.
        num_layers: How many layers, so how many hops a node sees.
        dropout: Probability of dropping a number that goes into a layer.
        normalize: ``"sym"`` or ``"row"``.
        self_loop_weight: lambda of A + lambda I.
        learn_self_loop: Whether lambda is learned.
        heads: Attention heads of the hidden layers.
        out_heads: Attention heads of the output layer, averaged.
        version: 1, Velickovic et al. 2018, or 2, Brody et al. 2022.
        alpha: Share of the first layer in every later one (GCNII).
        theta: Strength of the layers' own weights, falling with depth (GCNII).
    """

    hidden_channels: int | None = None
    num_layers: int | None = None
    dropout: float | None = None
    normalize: Literal["sym", "row"] | None = None
    self_loop_weight: float | None = None
    learn_self_loop: bool | None = None
    heads: int | None = None
    out_heads: int | None = None
    version: Literal[1, 2] | None = None
    alpha: float | None = None
    theta: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How to build a model and how its paper trained it.

    Attributes:
        name: What the command line calls it.
        build: From ``(in_channels, out_channels, **options)`` to the model.
        defaults: The paper's settings; an option that is None here is none of this model's.
        training: The paper's settings for `gnnkit.training.TrainConfig`.
        paper: Where they are from.
        per_dataset: What the paper changes for a data set: options and training.
    """

    name: str
    build: Callable[..., nn.Module]
    defaults: ModelOptions
    training: dict[str, Any]
    paper: str
    per_dataset: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)

    def options_for(self, dataset: str) -> ModelOptions:
        """The paper's options on that data set."""
        return replace(self.defaults, **self.per_dataset.get(dataset, ({}, {}))[0])

    def training_for(self, dataset: str) -> dict[str, Any]:
        """The paper's training on that data set."""
        return self.training | self.per_dataset.get(dataset, ({}, {}))[1]


def _gcn(
    in_channels: int, out_channels: int, hidden_channels: int, num_layers: int, dropout: float, **conv: Any
) -> GCN:
    return GCN(in_channels, hidden_channels, num_layers, out_channels, dropout, **conv)


def _gat(in_channels: int, out_channels: int, hidden_channels: int, num_layers: int, dropout: float, **gat: Any) -> GAT:
    return GAT(in_channels, hidden_channels, num_layers, out_channels, dropout, **gat)


def _gcnii(
    in_channels: int, out_channels: int, hidden_channels: int, num_layers: int, dropout: float, **gcnii: Any
) -> GCNII:
    return GCNII(in_channels, hidden_channels, num_layers, out_channels, dropout, **gcnii)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "gcn",
            _gcn,
            ModelOptions(16, 2, 0.5, normalize="sym", self_loop_weight=1.0, learn_self_loop=False),
            {"epochs": 200, "lr": 0.01, "weight_decay": 5e-4},
            "Kipf & Welling, ICLR 2017",
        ),
        Recipe(
            "gat",
            _gat,
            ModelOptions(8, 2, 0.6, heads=8, out_heads=1, version=1),
            {"epochs": 1000, "lr": 0.005, "weight_decay": 5e-4, "patience": 100},
            "Velickovic et al., ICLR 2018",
            {"pubmed": ({"out_heads": 8}, {"lr": 0.01, "weight_decay": 1e-3})},
        ),
        Recipe(
            "gcnii",
            _gcnii,
            ModelOptions(64, 64, 0.6, alpha=0.1, theta=0.5),
            {"epochs": 1500, "lr": 0.01, "weight_decay": 5e-4, "patience": 100},
            "Chen et al., ICML 2020",
            {
                "citeseer": ({"num_layers": 32, "hidden_channels": 256, "dropout": 0.7, "theta": 0.6}, {}),
                "pubmed": ({"num_layers": 16, "hidden_channels": 256, "dropout": 0.5, "theta": 0.4}, {}),
            },
        ),
    )
}


def recipe_of(name: str) -> Recipe:
    """The recipe of a model's name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"unknown model {name!r}: there are {', '.join(RECIPES)}{hint}")
    return RECIPES[name]


def resolve_options(name: str, chosen: ModelOptions, dataset: str = "") -> ModelOptions:
    """What was chosen, and for the rest the recipe's settings for that data set.

    Raises:
        ValueError: If an option was chosen that this model does not have.
    """
    defaults = recipe_of(name).options_for(dataset)
    given = {each.name: getattr(chosen, each.name) for each in fields(chosen)}
    given = {option: value for option, value in given.items() if value is not None}
    for option in given:
        if getattr(defaults, option) is None:
            raise ValueError(f"the model {name} has no option {option}; leave it out or choose another model")
    return replace(defaults, **given)


def build_model(name: str, options: ModelOptions, in_channels: int, out_channels: int) -> nn.Module:
    """The model of that name for data of these sizes."""
    resolved = resolve_options(name, options)
    settings = {each.name: getattr(resolved, each.name) for each in fields(resolved)}
    settings = {option: value for option, value in settings.items() if value is not None}
    return recipe_of(name).build(in_channels, out_channels, **settings)
