"""Rows 25 to 29: what the reports say of graphs, measured in small runs of the public library.

Each gives cases of the same form as the other rows': label, what was reported, settings, seeds, one value per seed.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gnnkit.data import load_dataset
from gnnkit.data.interactions import Interactions, made_up_interactions
from gnnkit.data.temporal import diffusion_process
from gnnkit.graph import Adjacency, diameter, hop_distance, layers_needed, shortest_path
from gnnkit.jobs.row_fingerprint import fingerprint, meaning
from gnnkit.jobs.sequence_rows import RowResult, summaries
from gnnkit.models import GAT, GCN, Forecaster
from gnnkit.models.relational import RelationalGCN, RelationDecoder
from gnnkit.nn import GATConv
from gnnkit.runs import environment, use_threads, write_json
from gnnkit.training import TrainConfig, fit
from gnnkit.training.forecasts import ForecastConfig, fit_forecaster
from gnnkit.training.links import LinkConfig, area_under_roc, fit_links, other_pairs, split_pairs
from gnnkit.training.windows import Windows, scores

NAMES = "ABCDEF"
FIGURES = {"A": "AB AE AF BC BD CD DF EF", "B": "AB AE AF BD CD DF"}
GRAPH_CODE = ("gnnkit.graph", "gnnkit.nn", "gnnkit.models", "gnnkit.training.nodes", "gnnkit.training.links")

Cases = list[dict[str, Any]]


@dataclass(frozen=True)
class GraphRow:
    """An experiment of the reports on graphs.

    Attributes:
        report: Which student reports it is from.
        experiment: What was done.
        claim: What was found, as the report says it.
        measure: From ``quick`` and the number of runs to cases.
        runs: How many seeds, if nobody says and it is not the quick form.
    """

    report: str
    experiment: str
    claim: str
    measure: Callable[[bool, int], Cases]
    runs: int = 10


def figure_graph(figure: str) -> Adjacency:
    """Figure A (2019) or B (2020) of the practical's graph questions, nodes A to F."""
    pairs = [[NAMES.index(name) for name in edge] for edge in FIGURES[figure].split()]
    edges = torch.tensor(pairs).t()
    return Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], dim=1), num_nodes=len(NAMES))


def run_graph_row(
    number: int, out: str | os.PathLike[str] = "rows", *, quick: bool = False, runs: int | None = None
) -> RowResult:
    """Measure a row and write ``row-25.json`` (``row-25-quick.json``) into ``out``.

    Raises:
        ValueError: If there is no such row.
    """
    if number not in ROWS:
        raise ValueError(f"there is no graph row {number}: there are {', '.join(map(str, ROWS))}")
    row, started = ROWS[number], time.process_time()  # what else the machine does is not the row's
    count = _runs(number, quick) if runs is None else runs
    with use_threads(1):
        cases = row.measure(quick, count)
    content = {
        "row": number,
        "report": row.report,
        "experiment": row.experiment,
        "claim": row.claim,
        "quick": quick,
        "command": f"gnnkit reproduce {number}" + (" --quick" if quick else ""),
        "cases": [{**case, "summary": summaries(case["results"])} for case in cases],
        "seconds": time.process_time() - started,
        "environment": environment(threads=1),
        "date": time.strftime("%Y-%m-%d"),
        "fingerprint": graph_fingerprint(number, quick=quick, runs=runs),
    }
    path = Path(out) / (f"row-{number:02}" + ("-quick" if quick else "") + ".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return RowResult(path, content)


def graph_fingerprint(number: int, *, quick: bool = False, runs: int | None = None) -> str:
    """What a row's recorded result must carry to be that of this program."""
    count = _runs(number, quick) if runs is None else runs
    settings = [number, quick, count, meaning(inspect.getsource(inspect.getmodule(run_graph_row)))]  # type: ignore[arg-type]
    return fingerprint(settings, GRAPH_CODE)


def _runs(number: int, quick: bool) -> int:
    return min(2, ROWS[number].runs) if quick else ROWS[number].runs


def _case(label: str, reported: str, settings: Mapping[str, Any], results: Mapping[str, list[Any]]) -> dict[str, Any]:
    seeds = max(len(values) for values in results.values())
    return {
        "label": label,
        "reported": reported,
        "settings": dict(settings),
        "seeds": list(range(seeds)),
        "failed_runs": 0,
        "results": dict(results),
    }


def _hops(quick: bool, runs: int) -> Cases:
    """Row 25: everything here is exact."""
    cases = []
    for figure, reported in (("A", "3 updates"), ("B", "4 updates")):
        graph = figure_graph(figure)
        source, target = NAMES.index("C"), NAMES.index("E")
        operator = graph.with_self_loops().normalized("sym")
        hops = int(hop_distance(graph, torch.tensor([source]))[0, target])
        results: dict[str, list[Any]] = {
            "hops_from_C_to_E": [hops],
            "layers_needed": [layers_needed(graph, source, target)],
            "diameter": [diameter(graph)],
            "influence_one_layer_less": [_influence(operator, source, target, hops - 1)],
            "influence": [_influence(operator, source, target, hops)],
        }
        path = shortest_path(graph, source, target)
        settings = {
            "figure": figure,
            "edges": FIGURES[figure],
            "path": "-".join(NAMES[node] for node in path),
            "adjacency": graph.to_dense().int().tolist(),
            "with_self_loops": graph.with_self_loops().to_dense().int().tolist(),
            "normalized": [[round(value, 4) for value in row] for row in operator.to_dense().tolist()],
        }
        cases.append(_case(f"figure {figure}", reported, settings, results))
    return cases


def _influence(operator: Adjacency, source: int, target: int, layers: int) -> float:
    """What ``target`` hears of ``source`` after so many linear updates."""
    x = torch.zeros(len(NAMES), 1)
    x[source] = 1.0
    for _ in range(layers):
        x = operator.propagate(x)
    return float(x[target, 0])


def _self_loops(quick: bool, runs: int) -> Cases:
    """Row 26."""
    data, epochs = load_dataset("karate"), 50 if quick else 200
    cases = []
    for weight in (0.0, 0.5, 1.0, 2.0, 4.0, None):
        conv: dict[str, Any] = {"learn_self_loop": True} if weight is None else {"self_loop_weight": weight}
        accuracy, learned = [], []
        for seed in range(runs):
            model = GCN(data.num_features, 16, 2, data.num_classes, **conv)
            accuracy.append(fit(model, data, TrainConfig(epochs=epochs, seed=seed)).test_accuracy)
            learned.append([float(torch.as_tensor(layer.self_loop_weight).detach()) for layer in model.convs])
        results: dict[str, list[Any]] = {"test_accuracy": accuracy}
        if weight is None:
            results["lambda_layer_1"] = [each[0] for each in learned]
            results["lambda_layer_2"] = [each[1] for each in learned]
        label = "lambda learned" if weight is None else f"lambda {weight:g}"
        cases.append(_case(label, "proposed, not tried", {"dataset": "karate", "epochs": epochs, **conv}, results))
    return cases


def _attention(quick: bool, runs: int) -> Cases:
    """Row 27: eq. (4) against dense float64, then a trained attention beside the fixed one."""
    errors, picture = [], None
    for seed in range(runs):
        torch.manual_seed(seed)
        graph, layer = figure_graph("A"), GATConv(4, 3, heads=1).double()
        x = torch.randn(len(NAMES), 4, dtype=torch.float64)
        expected, alpha = dense_attention(x, graph.with_self_loops().to_dense(), layer)
        with torch.no_grad():
            errors.append(float((layer(x, graph) - expected).abs().max() / expected.abs().max()))
        picture = alpha if picture is None else picture
    assert picture is not None
    settings: dict[str, Any] = {"figure": "A", "dtype": "float64"}
    settings["attention"] = [[round(value, 3) for value in row] for row in picture.tolist()]
    cases = [_case("eq. (4) in dense float64", "described", settings, {"largest_relative_error": errors})]

    data, epochs = load_dataset("karate"), 50 if quick else 200
    for name in ("GCN: fixed weights", "GAT: learned attention"):
        accuracy, same = [], []
        for seed in range(runs):
            model: nn.Module
            if name.startswith("GCN"):
                model = GCN(data.num_features, 16, 2, data.num_classes)
            else:
                model = GAT(data.num_features, 8, 2, data.num_classes, heads=4)
            accuracy.append(fit(model, data, TrainConfig(epochs=epochs, seed=seed)).test_accuracy)
            if isinstance(model, GAT):
                same.append(_attention_within_class(model, data.x, data.adjacency, data.y))
        results = {"test_accuracy": accuracy} | ({"attention_to_own_class": same} if same else {})
        cases.append(_case(name, "described", {"dataset": "karate", "epochs": epochs}, results))
    return cases


def dense_attention(x: Tensor, reaches: Tensor, layer: GATConv) -> tuple[Tensor, Tensor]:
    """Eq. (4): alpha_ij = softmax_j LeakyReLU(a . [W h_i || W h_j]), h_i' = sum_j alpha_ij W h_j, in plain loops.

    Args:
        x: Node features.
        reaches: ``reaches[j, i]`` is not 0 where i hears j.
        layer: Whose weights to use; one head.

    Returns:
        The output, and alpha, row i: whom node i listens to.
    """
    with torch.no_grad():
        hidden = x @ layer.lin.weight.t()
        of_target, of_source = hidden @ layer.att_dst.view(-1), hidden @ layer.att_src.view(-1)
        alpha = torch.zeros(len(x), len(x), dtype=x.dtype)
        for i in range(len(x)):
            heard = [j for j in range(len(x)) if reaches[j, i] != 0]
            logits = torch.stack([of_target[i] + of_source[j] for j in heard])
            alpha[i, heard] = nn.functional.leaky_relu(logits, layer.negative_slope).softmax(0)
        out = alpha @ hidden
        return (out if layer.bias is None else out + layer.bias), alpha


def _attention_within_class(model: GAT, x: Any, graph: Adjacency, y: Tensor) -> float:
    """The share of attention that a node gives to nodes of its own class, itself left out; mean over nodes."""
    first = model.convs[0]
    assert isinstance(first, GATConv)
    with torch.no_grad():
        edges, alpha, added = first.attention(x, graph)
    weight, (source, target) = alpha.mean(-1)[~added], edges[:, ~added]
    total = torch.zeros(len(y)).index_add_(0, target, weight)
    own = torch.zeros(len(y)).index_add_(0, target, weight * (y[source] == y[target]))
    return float((own / total).mean())


def _links(quick: bool, runs: int) -> Cases:
    """Row 28: which drug pairs have which side effect, a tenth of them known."""
    data = made_up_interactions()
    steps = 40 if quick else 100
    cases = []
    for with_graph in (False, True):
        areas = [_area(data, with_graph, steps, seed) for seed in range(runs)]
        label = "with drugs' targets and proteins' bonds" if with_graph else "without the graph"
        settings = {"drugs": data.num_drugs, "nodes": data.num_nodes, "held_out": 0.9, "steps": steps}
        cases.append(_case(label, "cited (Zitnik et al. 2018)", settings, {"area_under_roc": areas}))
    return cases


def _area(data: Interactions, with_graph: bool, steps: int, seed: int) -> float:
    """Mean area under the ROC curve over the side effects, on held-out pairs."""
    graphs = {"binds": data.binds, "targets": data.targets} if with_graph else {}
    effects = list(data.side_effects)
    parts = {name: split_pairs(pairs, 0.9, seed=seed) for name, pairs in data.side_effects.items()}

    def build() -> nn.Module:
        encoder = RelationalGCN(data.num_nodes, list(graphs))
        return nn.ModuleDict({"encoder": encoder, "decoder": RelationDecoder(effects, 16)})

    def score(model: nn.Module) -> Callable[[str, Tensor], Tensor]:
        assert isinstance(model, nn.ModuleDict)
        z = model["encoder"](graphs)
        return lambda effect, pairs: model["decoder"](effect, z, pairs)

    known = {name: train for name, (train, _) in parts.items()}
    model = fit_links(build, score, known, data.num_drugs, LinkConfig(steps=steps, seed=seed))
    with torch.no_grad():
        scorer = score(model)
        areas = []
        for name, (_, held_out) in parts.items():
            others = other_pairs(data.side_effects[name], data.num_drugs, 500, seed=seed)
            areas.append(area_under_roc(scorer(name, held_out), scorer(name, others)))
    return sum(areas) / len(areas)


def _recurrent_on_graphs(quick: bool, runs: int) -> Cases:
    """Row 29: values that change over time and travel along edges."""
    data = diffusion_process(num_steps=400 if quick else 1200)
    windows = Windows.of(data, length=6, horizon=1)
    targets, observed = windows.targets(windows.test)
    assert data.best_mse is not None
    cases = [_case("best possible", "", {"process": data.title}, {"mean_squared_error": [data.best_mse[0]]})]
    for hops, label in ((1, "LSTM on the graph"), (0, "the same LSTM without the graph")):
        errors = []
        for seed in range(runs):
            torch.manual_seed(seed)
            model = Forecaster(data.num_nodes, horizon=1, hops=hops)
            config = ForecastConfig(epochs=2 if quick else 6, seed=seed)
            result = fit_forecaster(model, windows, data.adjacency, config)
            errors.append(float(scores(result.forecasts, targets, observed).mse[0]))
        settings = {"epochs": 2 if quick else 6, "hops": hops, "nodes": data.num_nodes, "steps": data.num_steps}
        cases.append(_case(label, "proposed", settings, {"mean_squared_error": errors}))
    return cases


ROWS: dict[int, GraphRow] = {
    25: GraphRow(
        "000-002, 004",
        "adjacency, A~ = A + I, hops from C to E, updates and layers needed, figures A and B",
        "3 updates (figure A), 4 updates (figure B); 002: two edges",
        _hops,
        runs=1,
    ),
    26: GraphRow("001", "GCN with A + lambda I on the karate club", "proposed, not tried", _self_loops),
    27: GraphRow("001", "graph attention, eq. (4), and trained on the karate club", "described", _attention),
    28: GraphRow("001, 002", "link prediction on a made-up graph of drugs and proteins", "cited", _links),
    29: GraphRow(
        "001, 002, 004",
        "an LSTM on a graph whose values change over time",
        "proposed or cited",
        _recurrent_on_graphs,
        runs=3,
    ),
}
