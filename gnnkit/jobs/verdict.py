"""Does the graph help here? A graph network beside what needs no graph, over random splits.

Everything sees the same splits and is chosen on validation nodes: the majority class; an MLP, which is the
same network on a graph without edges, in the same training loop; label propagation, which sees no
features; the network on a graph rewired with every degree kept; and the network on the graph itself. The
graph helps if the network beats both the MLP and its rewired self.

References: Zhou et al., "Learning with Local and Global Consistency", NIPS 2003 (label propagation); Nadeau &
Bengio, 2003, and Holm, 1979 (the tests, see `gnnkit.runs.statistics`). The question is PyG's issue 1367.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import torch
from torch import Tensor

from gnnkit.data.node_data import NodeData
from gnnkit.data.splits import random_split, stratified_split
from gnnkit.data.temporal import TemporalData
from gnnkit.errors import RunError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.rewiring import degree_preserving_rewiring
from gnnkit.jobs.verdict_on_forecasts import ForecastVerdict, verdict_on_forecasts
from gnnkit.models.registry import ModelOptions, build_model, recipe_of
from gnnkit.runs import (
    Comparison,
    Interrupted,
    Outcome,
    Progress,
    ProgressMode,
    Spread,
    corrected_resampled_t_test,
    holm,
    run_many,
    spread,
)
from gnnkit.training.nodes import TrainConfig, fit

SplitKind = Literal["stratified", "random"]
MAJORITY, MLP, PROPAGATION, REWIRED = "majority class", "MLP, no graph", "label propagation", "rewired graph"
_ALPHA = 0.05
_SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)  # of the neighbours in label propagation, chosen on validation nodes
_STEPS = 50


@dataclass(frozen=True)
class Contender:
    """One row: its name, its test accuracy on every split, and their mean with its interval."""

    name: str
    values: tuple[float, ...]
    score: Spread


@dataclass(frozen=True)
class Verdict:
    """What the comparison came to.

    Attributes:
        dataset: The name of the data.
        model: The name of the graph network.
        split: ``"stratified"`` or ``"random"``.
        num_train: Training nodes of a split.
        num_test: Test nodes of a split.
        rows: The contenders, the network on the graph itself last.
        gain: The network minus the MLP.
        gain_over_rewired: The network minus itself on rewired graphs.
        rewired_gain: The network on rewired graphs minus the MLP.
        p_values: Of the first two, adjusted for their number (Holm).
        helps: Whether both are above 0 at a level of 5 %.
    """

    dataset: str
    model: str
    split: SplitKind
    num_train: int
    num_test: int
    rows: tuple[Contender, ...]
    gain: Comparison
    gain_over_rewired: Comparison
    rewired_gain: Comparison
    p_values: tuple[float, float]
    helps: bool

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, in points of test accuracy with 95 % intervals."""
        added = f"the graph {_added(self.gain)}; rewired it {_added(self.rewired_gain)}"
        if self.helps:
            return f"yes: {added}"
        if self.gain.interval.high < 0:
            return f"no, it harms: {added}"
        if self.gain.interval.low > 0:
            return f"no: {added}, so a gain from who is joined to whom is not shown"
        return f"no: {added}, so no gain is shown"


def _added(comparison: Comparison) -> str:
    low, high = (100 * end for end in (comparison.interval.low, comparison.interval.high))
    return f"adds {100 * comparison.difference:.1f} points [{low:.1f}, {high:.1f}]"


@overload
def verdict(data: NodeData, **settings: Any) -> Verdict: ...


@overload
def verdict(data: TemporalData, **settings: Any) -> ForecastVerdict: ...


def verdict(data: NodeData | TemporalData, **settings: Any) -> Verdict | ForecastVerdict:
    """Whether the graph helps: to classify nodes, or to forecast the values on them.

    Args:
        data: Nodes with labels, or values over time.
        settings: Those of :func:`verdict_on_nodes`, or of
            :func:`~gnnkit.jobs.verdict_on_forecasts.verdict_on_forecasts`.

    Raises:
        TypeError: If the data are neither, or a setting is not theirs.
        ValueError: As those do.
    """
    if isinstance(data, NodeData):
        return verdict_on_nodes(data, **settings)
    if isinstance(data, TemporalData):
        return verdict_on_forecasts(data, **settings)
    raise TypeError(f"a verdict is on NodeData or TemporalData, got {type(data).__name__}")


def verdict_on_nodes(
    data: NodeData,
    *,
    model: str = "gcn",
    splits: int = 50,
    split: SplitKind = "stratified",
    options: ModelOptions | None = None,
    training: TrainConfig | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: ProgressMode = "quiet",
) -> Verdict:
    """Whether the graph of ``data`` helps a network to classify its nodes.

    Args:
        data: Nodes with features and labels; its own split is not used.
        model: A name in `gnnkit.models.registry.RECIPES`, with that paper's settings.
        splits: How many random splits, each with its own initial weights and its own rewiring.
        split: ``"stratified"``, 60/20/20 % of every class, or ``"random"``, 20 training nodes per class.
        options: Other settings of the model.
        training: Other settings of the training, of the network and of the MLP.
        seed: Of the first split.
        jobs: Splits side by side; the result is the same.
        progress: How to show it.

    Raises:
        ValueError: If there are fewer than two splits, the model is unknown, the data cannot be split so, or the
            graph has negative weights.
        RunError: If a split failed.
        Interrupted: After ctrl-C.
    """
    if not 2 <= splits < 2**31:
        raise ValueError(f"splits must be 2 or more, below 2**31, for a test to compare over, got {splits}")
    if data.adjacency.has_negative_weights:
        raise ValueError(
            f"{data.name} has negative edge weights, with which label propagation, one of the rows, has no meaning; "
            "take their absolute values, or leave those edges out"
        )
    recipe = recipe_of(model)
    chosen = options or recipe.options_for(data.name)
    config = training or TrainConfig(**recipe.training_for(data.name))
    first = _split(data, split, seed)  # before any work: bad splits are found here
    shared = data, model, chosen, config, split
    with Progress(splits, f"verdict on {data.name}", mode=progress) as bar:
        done = 0

        def tell(outcome: Outcome[dict[str, float]]) -> None:
            nonlocal done
            done += 1
            bar.update(done)

        seeds = list(range(seed, seed + splits))
        outcomes = run_many(_on_one_split, seeds, shared=shared, jobs=jobs, on_done=tell)
    if any(outcome.status == "interrupted" for outcome in outcomes):
        raise Interrupted(f"stopped after {done} of {splits} splits; nothing is kept of a verdict")
    # A split that failed may be one that the others would have lost on.
    for outcome in outcomes:
        if outcome.value is None:
            raise RunError(f"split {seeds[outcome.index]} failed: {outcome.error}")
    found = [outcome.value for outcome in outcomes if outcome.value is not None]
    sizes = int(first.train_mask.sum()), int(first.test_mask.sum())
    return _judge(data.name, model, split, sizes, {name: [each[name] for each in found] for name in found[0]})


def _judge(
    dataset: str, model: str, split: SplitKind, sizes: tuple[int, int], scores: dict[str, list[float]]
) -> Verdict:
    def compare(first: str, second: str) -> Comparison:
        num_train, num_test = sizes
        return corrected_resampled_t_test(scores[first], scores[second], num_train=num_train, num_test=num_test)

    gain, over_rewired = compare(model, MLP), compare(model, REWIRED)
    p_values = holm([gain.p_value, over_rewired.p_value])
    helps = all(each.difference > 0 and p <= _ALPHA for each, p in zip((gain, over_rewired), p_values, strict=True))
    rows = tuple(Contender(name, tuple(values), spread(values)) for name, values in scores.items())
    rewired_gain = compare(REWIRED, MLP)
    adjusted = (p_values[0], p_values[1])
    return Verdict(dataset, model, split, *sizes, rows, gain, over_rewired, rewired_gain, adjusted, helps)


def _split(data: NodeData, kind: SplitKind, seed: int) -> NodeData:
    if kind not in ("stratified", "random"):
        raise ValueError(f"split must be 'stratified' or 'random', got {kind!r}")
    found = data.with_split((stratified_split if kind == "stratified" else random_split)(data.y, seed=seed))
    for part in ("train", "val", "test"):
        if not bool(getattr(found, f"{part}_mask").any()):
            raise ValueError(f"{data.name} has too few labelled nodes: a {kind} split leaves no {part} nodes")
    return found


def _on_one_split(shared: tuple[NodeData, str, ModelOptions, TrainConfig, SplitKind], seed: int) -> dict[str, float]:
    """The test accuracy of every contender."""
    data, name, options, config, kind = shared
    data = _split(data, kind, seed)
    none = torch.empty(2, 0, dtype=torch.int64)
    graphs = {
        MLP: Adjacency.from_edge_index(none, none.new_empty(0).to(data.x.dtype), num_nodes=data.num_nodes),
        REWIRED: degree_preserving_rewiring(data.adjacency, seed=seed),
        name: data.adjacency,
    }
    trained = {}
    for contender, graph in graphs.items():
        network = build_model(name, options, data.num_features, data.num_classes)
        on_graph = replace(data, adjacency=graph)
        trained[contender] = fit(network, on_graph, replace(config, seed=seed)).test_accuracy
    return {
        MAJORITY: _share(torch.bincount(data.y[data.train_mask]).argmax().expand(data.num_nodes), data),
        MLP: trained[MLP],
        PROPAGATION: label_propagation(data),
        REWIRED: trained[REWIRED],
        name: trained[name],
    }


def label_propagation(data: NodeData) -> float:
    """Test accuracy of spreading the training labels along edges: F <- a S F + (1 - a) Y, 50 times.

    S is the graph's D^-1/2 A D^-1/2; the share a is chosen on the validation nodes. A node that no label
    reaches is given the majority class.
    """
    operator = data.adjacency.normalized("sym")
    known: Tensor = torch.zeros(data.num_nodes, data.num_classes, dtype=operator.dtype)
    known[data.train_mask, data.y[data.train_mask]] = 1.0
    majority = torch.bincount(data.y[data.train_mask]).argmax()
    best: tuple[float, float] = (-1.0, 0.0)
    for share in _SHARES:
        spreading = known
        for _ in range(_STEPS):
            spreading = share * operator.propagate(spreading) + (1 - share) * known
        predicted = torch.where(spreading.sum(1) > 0, spreading.argmax(1), majority)
        validated = _share(predicted, data, part="val")
        if validated > best[0]:  # the smaller share on ties
            best = validated, _share(predicted, data)
    return best[1]


def _share(predicted: Tensor, data: NodeData, *, part: str = "test") -> float:
    mask: Any = getattr(data, f"{part}_mask")
    return float((predicted[mask] == data.y[mask]).double().mean())
