"""On a GPU: GCN and GAT epochs, stacked runs, single layers and large graphs, ours against PyG.

    $ python benchmarks/on_cuda.py --data-root DATA --out benchmarks/results/cuda.json

One command, under ten minutes, the project's CUDA tests included (--no-tests leaves them out). Every
time is a median of interleaved rounds, with the device waited for before the clock is read; memory is the
peak that torch's allocator counts. PyG runs eagerly, with its cache, and compiled. The stacked line is a
whole training of 25 runs, 200 epochs each, divided by the runs, beside the same runs one after another.
``--device cpu`` with ``--short`` shows that all of it runs where there is no GPU; its figures mean nothing.

(Not called cuda.py: torch imports a package of that name, and would find this file instead.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from timing import Timing, interleaved, machine, ratio_interval
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout
from training import our_epoch

from gnnkit.data import NodeData, load_dataset
from gnnkit.graph import Adjacency
from gnnkit.models import GCN
from gnnkit.nn import GATConv
from gnnkit.training import TrainConfig, fit
from gnnkit.training.stacked import fit_stacked

Rows = dict[str, Any]
Step = Callable[[], object]


class Clock:
    """Waits for the device after every call, so that what is timed has happened; counts its memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def waited(self, step: Step) -> Step:
        def run() -> None:
            step()
            self.wait()

        return run

    def peak_mb(self, step: Step) -> float | None:
        """Of one step, above what lay there before; None on a CPU."""
        if self.device.type != "cuda":
            return None
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        step()
        self.wait()
        return (torch.cuda.max_memory_allocated(self.device) - before) / 2**20


def table(clock: Clock, versions: dict[str, Step], repeats: int) -> Rows:
    """Milliseconds, ratio to ours and memory of each; a version that cannot run says why."""
    rows: Rows = {}
    able: dict[str, Step] = {}
    for name, step in versions.items():
        started = time.perf_counter()
        try:
            clock.waited(step)()
        except Exception as error:  # a peer that fails must not cost the others their figures
            rows[name] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
            continue
        able[name] = clock.waited(step)
        rows[name] = {"first_call_s": time.perf_counter() - started, "peak_mb": clock.peak_mb(step)}
    timings: dict[str, Timing] = interleaved(able, repeats=repeats)
    for name, timing in timings.items():
        ratio, low, high = ratio_interval(timing, timings["gnnkit"])
        rows[name] |= timing.as_json() | {"ratio": ratio, "ratio_95": [low, high]}
    return rows


class PyGNet(nn.Module):
    """Two layers of PyG as its examples write them."""

    def __init__(self, kind: str, data: NodeData, cached: bool) -> None:
        from torch_geometric.nn import GATConv as PyGGATConv
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.p = 0.5 if kind == "gcn" else 0.6
        if kind == "gcn":
            self.first: nn.Module = GCNConv(data.num_features, 16, cached=cached)
            self.second: nn.Module = GCNConv(16, data.num_classes, cached=cached)
        else:
            self.first = PyGGATConv(data.num_features, 8, heads=8, dropout=0.6)
            self.second = PyGGATConv(64, data.num_classes, heads=1, concat=False, dropout=0.6)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = self.first(dropout(x, self.p, self.training), edge_index).relu()
        return self.second(dropout(hidden, self.p, self.training), edge_index)


def pyg_epoch(kind: str, way: str, data: NodeData) -> Step:
    model = PyGNet(kind, data, way == "cached").to(data.y.device)
    x = data.x.to_dense() if data.x.layout != torch.strided else data.x
    edge_index, _ = data.adjacency.to_edge_index()
    optimizer = torch.optim.Adam(model.parameters(), 0.01, weight_decay=5e-4)
    forward = torch.compile(model, dynamic=False) if way == "compiled" else model

    def epoch() -> float:
        model.train()
        optimizer.zero_grad()
        cross_entropy(forward(x, edge_index)[data.train_mask], data.y[data.train_mask]).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            return cross_entropy(forward(x, edge_index)[data.val_mask], data.y[data.val_mask]).item()

    return epoch


def stacked(clock: Clock, data: NodeData, runs: int, epochs: int) -> Rows:
    """Seconds a run: all together, and one after another; and how accurate each lot is."""
    config = TrainConfig(epochs=epochs, device=str(clock.device))
    rows: Rows = {"runs": runs, "epochs": epochs}
    started = time.perf_counter()
    together = fit_stacked(GCN(data.num_features, 16, 2, data.num_classes), data, config, range(runs))
    clock.wait()
    rows["stacked_s_per_run"] = (time.perf_counter() - started) / runs
    rows["stacked_accuracy"] = sum(run.result.test_accuracy for run in together) / runs
    few = min(runs, 5)
    started = time.perf_counter()
    model = GCN(data.num_features, 16, 2, data.num_classes)
    alone = [fit(model, data, replace(config, seed=seed)) for seed in range(few)]
    clock.wait()
    rows["single_s_per_run"] = (time.perf_counter() - started) / few
    rows["single_accuracy"] = sum(run.test_accuracy for run in alone) / few
    return rows


def random_graph(num_nodes: int, num_edges: int, device: torch.device) -> Tensor:
    """Undirected, without duplicates or loops."""
    generator = torch.Generator().manual_seed(0)
    one_way = torch.randint(num_nodes, (2, num_edges // 2), generator=generator)
    one_way = one_way[:, one_way[0] != one_way[1]]
    both = torch.cat([one_way, one_way.flip(0)], dim=1).to(device)
    key = torch.unique(both[0] * num_nodes + both[1])
    return torch.stack([key // num_nodes, key % num_nodes])


def attention_layer(num_nodes: int, num_edges: int, device: torch.device) -> dict[str, Step]:
    from torch_geometric.nn import GATConv as PyGGATConv

    edge_index = random_graph(num_nodes, num_edges, device)
    x = torch.randn(num_nodes, 64, device=device, requires_grad=True)
    upstream = torch.randn(num_nodes, 64, device=device)
    theirs = PyGGATConv(64, 8, heads=8).to(device)
    ours = GATConv(64, 8, heads=8).to(device)
    ours.load_state_dict(theirs.state_dict())
    adjacency = Adjacency.from_edge_index(edge_index, num_nodes=num_nodes)

    def step(layer: nn.Module, graph: Any) -> Step:
        def run() -> None:
            x.grad = None
            layer(x, graph).backward(upstream)

        return run

    compiled = torch.compile(theirs, dynamic=False)
    return {
        "gnnkit": step(ours, adjacency),
        "PyG": step(theirs, edge_index),
        "PyG compiled": step(compiled, edge_index),
    }


def large_gcn(num_nodes: int, device: torch.device) -> dict[str, Step]:
    from torch_geometric.nn import GCNConv

    edge_index = random_graph(num_nodes, 20 * num_nodes, device)
    x, y = torch.randn(num_nodes, 128, device=device), torch.randint(40, (num_nodes,), device=device)
    adjacency = Adjacency.from_edge_index(edge_index, num_nodes=num_nodes)

    class PyG(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = GCNConv(128, 64, cached=True), GCNConv(64, 40, cached=True)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            hidden = self.first(dropout(x, 0.5, self.training), edge_index).relu()
            return self.second(dropout(hidden, 0.5, self.training), edge_index)

    def step(model: nn.Module, graph: Any, forward: Any) -> Step:
        optimizer = torch.optim.Adam(model.parameters(), 0.01, fused=True)

        def run() -> None:
            optimizer.zero_grad()
            cross_entropy(forward(x, graph), y).backward()
            optimizer.step()

        return run

    ours, eager, other = GCN(128, 64, 2, 40).to(device), PyG().to(device), PyG().to(device)
    return {
        "gnnkit": step(ours, adjacency, ours),
        "PyG": step(eager, edge_index, eager),
        "PyG compiled": step(other, edge_index, torch.compile(other, dynamic=False)),
    }


def show(title: str, rows: Rows) -> None:
    print(title)
    for name, row in rows.items():
        if not isinstance(row, dict):
            print(f"  {name:20} {row:.4g}")
        elif "failed" in row:
            print(f"  {name:14} {row['failed']}")
        else:
            memory = "" if row["peak_mb"] is None else f"   {row['peak_mb']:8.0f} MB"
            print(f"  {name:14} {row['wall_ms']:9.2f} ms   {row['ratio']:6.2f} x{memory}")
    sys.stdout.flush()


def measurements(clock: Clock, options: argparse.Namespace) -> Any:
    """Every section's title and rows, one at a time, so that what is measured is written at once."""
    repeats = 3 if options.short else 30
    for name in ("cora",) if options.short else ("cora", "citeseer", "pubmed"):
        data = load_dataset(name, options.data_root, split="public").to(str(clock.device))
        for kind in ("gcn", "gat"):
            versions = {"gnnkit": our_epoch(kind, data)}
            ways = ("eager", "cached", "compiled") if kind == "gcn" else ("eager", "compiled")
            versions |= {f"PyG {way}": pyg_epoch(kind, way, data) for way in ways}
            yield f"{kind} epoch on {name}", table(clock, versions, repeats)
    data = load_dataset("cora", options.data_root, split="public")
    runs, epochs = (3, 5) if options.short else (25, 200)
    yield "runs of a GCN on cora, stacked", stacked(clock, data, runs, epochs)
    for nodes, edges in ((2000, 20_000),) if options.short else ((20_000, 500_000), (200_000, 5_000_000)):
        rows = table(clock, attention_layer(nodes, edges, clock.device), repeats)
        yield f"GAT layer, {nodes} nodes, {edges} edges, forward and backward", rows
    for nodes in (2000,) if options.short else (100_000, 1_000_000):
        rows = table(clock, large_gcn(nodes, clock.device), max(3, repeats // 3))
        yield f"GCN training step, {nodes} nodes, {20 * nodes} edges", rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the data sets; GNNKIT_DATA by default")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--short", action="store_true", help="one data set, small graphs, three rounds")
    parser.add_argument("--no-tests", action="store_true", help="leave out the CUDA tests")
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device here; --device cpu --short only shows that everything runs")
    result: Rows = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "tables": {},
    }
    print(result["device"])
    if not options.no_tests:
        root = Path(__file__).parent.parent
        tests = [sys.executable, "-m", "pytest", "-q", "-k", "cuda", "tests"]
        result["cuda_tests_exit"] = subprocess.run(tests, cwd=root, check=False).returncode
    for title, rows in measurements(Clock(device), options):
        show(title, rows)
        result["tables"][title] = rows
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
