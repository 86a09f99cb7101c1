"""How long does an epoch take: ours against PyG, plain, cached, compiled, and tuned by hand?

An epoch is one training step and one evaluation on the validation nodes: two-layer GCN (16 hidden
units) and GAT (8 heads of 8), the settings of their papers. All versions run in turn in one process.
The ratio to *tuned* PyG is the claim to lead with: it has the same tricks, done by hand with
`k_hop_subgraph`, `gcn_norm` and sparse features. The ratio to PyG as most people write it is what a
user gains who does not know the tricks.

    $ python benchmarks/training.py --data-root DATA --out benchmarks/results/training.json
    $ python benchmarks/training.py --data-root DATA --datasets cora --models gcn --repeats 5   # a short look

A table of --out is replaced when it is measured again; the others stay.

Also the waterfall (each trick's share), and two cases where the lead is small: dense features, and
60 % of the nodes labelled.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pyg_models import WAYS, epoch_of
from timing import Timing, interleaved, machine, ratio_interval, threads
from torch.nn.functional import cross_entropy, dropout

from gnnkit.data import NodeData, load_dataset, random_split, stratified_split
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models.registry import RECIPES, ModelOptions, build_model
from gnnkit.nn.gcn import gcn_normalized
from gnnkit.training.nodes import features_of, view_of
from gnnkit.training.weight_layout import Adam, store_by_input

DATASETS = ("cora", "citeseer", "pubmed", "photo", "cs")
Rows = dict[str, Any]


def our_epoch(kind: str, data: NodeData) -> Any:
    """The two steps of `gnnkit.training.fit`'s loop, on the views that it makes."""
    options = ModelOptions(out_heads=8) if kind == "gat" and data.name == "pubmed" else ModelOptions()
    model = build_model(kind, options, data.num_features, data.num_classes).to(data.y.device)
    training = RECIPES[kind].training
    store_by_input(model, data)
    optimizer = Adam(model.parameter_groups(training["weight_decay"]), training["lr"], fused=True)
    features = features_of(data)
    train, val = (view_of(model, data, features, mask) for mask in (data.train_mask, data.val_mask))

    def epoch() -> float:
        model.train()
        optimizer.zero_grad()
        cross_entropy(train.logits(model), train.labels).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            return cross_entropy(val.logits(model), val.labels).item()

    return epoch


def compare(kind: str, data: NodeData, repeats: int, dense: bool = False) -> Rows:
    """All ways in turn: first call (compiling) apart, then medians and ratios."""
    versions: dict[str, Any] = {"gnnkit": our_epoch(kind, data)}
    versions |= {f"PyG {way}": epoch_of(kind, way, data, dense) for way in WAYS if (kind, way) != ("gat", "cached")}
    first = {}
    for name, version in versions.items():
        started = time.perf_counter()
        version()
        first[name] = time.perf_counter() - started
    # Ours is called more often per round, so that its few milliseconds are not lost in the clock.
    calls = {name: 5 if name == "gnnkit" else 1 for name in versions}
    repeated = {name: _several(version, calls[name]) for name, version in versions.items()}
    timings = interleaved(repeated, repeats=repeats)
    timings = {name: _per_call(timing, calls[name]) for name, timing in timings.items()}
    rows: Rows = {}
    for name, timing in timings.items():
        ratio, low, high = ratio_interval(timing, timings["gnnkit"])
        rows[name] = timing.as_json() | {"first_call_s": first[name], "ratio": ratio, "ratio_95": [low, high]}
    return rows


def _several(version: Any, count: int) -> Any:
    def run() -> None:
        for _ in range(count):
            version()

    return run


def _per_call(timing: Timing, calls: int) -> Timing:
    return Timing([value / calls for value in timing.wall], [value / calls for value in timing.cpu])


def waterfall(data: NodeData, repeats: int) -> Rows:
    """A GCN epoch from plain to pruned, one trick more each time."""
    steps = ("plain", "cheap dropout", "sparse features", "pruned training", "pruned evaluation")
    timings = interleaved({step: _tricks(data, index) for index, step in enumerate(steps)}, repeats=repeats)
    return {step: timing.as_json() for step, timing in timings.items()}


def _tricks(data: NodeData, count: int) -> Any:
    """``count`` of the tricks of `waterfall`, in their order; written out, so that each can be left off."""
    from gnnkit.nn import dropout as cheap

    model = build_model("gcn", ModelOptions(), data.num_features, data.num_classes)
    optimizer = torch.optim.Adam(model.parameter_groups(5e-4), 0.01, fused=True)
    drop = cheap.dropout if count >= 1 else _plain_dropout
    features = features_of(data) if count >= 2 else data.x.to_dense()
    train = view_of(model, data, features, data.train_mask, prune=count >= 3)
    val = view_of(model, data, features, data.val_mask, prune=count >= 4)
    first, second = model.convs
    gcn_normalized(data.adjacency)

    def logits(view: Any) -> torch.Tensor:
        graphs = [view.graph] * 2 if view.rows is not None else view.graph
        hidden = first(drop(view.x, 0.5, model.training), graphs[0]).relu()
        out = second(drop(hidden, 0.5, model.training), graphs[1])
        return out if view.rows is None else out[view.rows]

    def epoch() -> float:
        model.train()
        optimizer.zero_grad()
        cross_entropy(logits(train), train.labels).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            return cross_entropy(logits(val), val.labels).item()

    return epoch


def _plain_dropout(x: Any, p: float, training: bool) -> Any:
    if isinstance(x, SparseMatrix):
        return x.with_values(dropout(x.values, p, training))
    return dropout(x, p, training)


def _load(name: str, root: str | None) -> NodeData:
    data = load_dataset(name, root)
    if not bool(data.train_mask.any()):
        data = data.with_split(random_split(data.y))
    return data


def show(title: str, rows: Rows) -> None:
    print(f"\n{title}")
    for name, row in rows.items():
        ratio = (
            ""
            if "ratio" not in row
            else f"   {row['ratio']:6.1f} x [{row['ratio_95'][0]:.1f}, {row['ratio_95'][1]:.1f}]"
        )
        print(f"  {name:24} {row['wall_ms']:9.2f} ms   (cpu {row['cpu_ms']:.2f}){ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the data sets; GNNKIT_DATA by default")
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer", "pubmed"], choices=DATASETS)
    parser.add_argument("--models", nargs="+", default=["gcn", "gat"], choices=["gcn", "gat"])
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # PyG's and the compiler's
    result: Rows = {"machine": machine(), "repeats": options.repeats, "tables": {}}
    if options.out and options.out.exists():  # what another data set or thread count gave, stays
        result["tables"] = json.loads(options.out.read_text())["tables"]
    for count in options.threads:
        threads(count)
        for name in options.datasets:
            data = _load(name, options.data_root)
            cases = [(f"{kind} on {name}", kind, data, False) for kind in options.models]
            if name == "cora" and "gcn" in options.models:
                dense = replace(data, x=data.x.to_dense())
                labelled = data.with_split(stratified_split(data.y))
                cases.append(("gcn on cora, dense features", "gcn", dense, True))
                cases.append(("gcn on cora, 60 % of the nodes labelled", "gcn", labelled, False))
            for title, kind, each, is_dense in cases:
                torch.compiler.reset()
                rows = compare(kind, each, options.repeats, is_dense)
                key = f"{title}, {count} thread{'s' if count > 1 else ''}"
                result["tables"][key] = rows
                show(key, rows)
                _save(options.out, result)
            if "gcn" in options.models:
                key = f"waterfall of gcn on {name}, {count} thread{'s' if count > 1 else ''}"
                result["tables"][key] = waterfall(data, options.repeats)
                show(key, result["tables"][key])
                _save(options.out, result)


def _save(path: Path | None, result: Rows) -> None:
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
