"""A full GCN training step on large graphs: time and memory, ours against PyG.

A random undirected graph, every node labelled, so that nothing can be pruned: 128 features, 64 hidden
units, 40 classes, dropout .5, Adam. PyG in three ways: on an edge list, compiled (normalised once), and
with torch's CSR as ``adj_t`` (normalised once). Steps are timed in turn in one process; memory is the
peak of a process of its own: imports, graph and three steps.

    $ python benchmarks/large_gcn.py --out benchmarks/results/large_gcn.json
    $ python benchmarks/large_gcn.py --nodes 100000 --repeats 3     # a short look

Beside the JSON, time against size is drawn. A table of --out is replaced when it is measured again; the others stay.

The machine's memory bandwidth, measured by copying an array, stands beside the times: the products
with the graph are bound by it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from timing import interleaved, machine, ratio_interval
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

FEATURES, HIDDEN, CLASSES, DEGREE = 128, 64, 40, 20
WAYS = ("gnnkit", "PyG", "PyG compiled", "PyG with CSR")


def graph(num_nodes: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    one_way = torch.randint(num_nodes, (2, num_nodes * DEGREE // 2), generator=generator)
    one_way = one_way[:, one_way[0] != one_way[1]]
    both = torch.cat([one_way, one_way.flip(0)], dim=1)
    key = torch.unique(both[0] * num_nodes + both[1])
    return torch.stack([key // num_nodes, key % num_nodes])


class PyG(nn.Module):
    def __init__(self) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.first = GCNConv(FEATURES, HIDDEN, normalize=False)
        self.second = GCNConv(HIDDEN, CLASSES, normalize=False)

    def forward(self, x: Tensor, edge_index: Tensor, weight: Tensor | None) -> Tensor:
        hidden = self.first(dropout(x, 0.5, self.training), edge_index, weight).relu()
        return self.second(dropout(hidden, 0.5, self.training), edge_index, weight)


def step_of(way: str, num_nodes: int) -> Any:
    torch.manual_seed(0)
    edge_index = graph(num_nodes)
    x, y = torch.randn(num_nodes, FEATURES), torch.randint(CLASSES, (num_nodes,))
    weight = None
    if way == "gnnkit":
        from gnnkit.graph import Adjacency
        from gnnkit.models import GCN

        model: nn.Module = GCN(FEATURES, HIDDEN, 2, CLASSES)
        adjacency = Adjacency.from_edge_index(edge_index, num_nodes=num_nodes)
        arguments: tuple[Any, ...] = (x, adjacency)
        del edge_index
        optimizer = torch.optim.Adam(model.parameters(), 0.01, fused=True)
    else:
        from torch_geometric.nn.conv.gcn_conv import gcn_norm

        model = PyG()
        edge_index, weight = gcn_norm(edge_index, None, num_nodes)
        if way == "PyG with CSR":
            coo = torch.sparse_coo_tensor(edge_index.flip(0), weight, (num_nodes, num_nodes), check_invariants=False)
            edge_index, weight = coo.coalesce().to_sparse_csr(), None
            del coo
        arguments = (x, edge_index, weight)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
    forward = torch.compile(model, dynamic=False) if way == "PyG compiled" else model

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(forward(*arguments), y).backward()
        optimizer.step()

    return step


def peak_of(way: str, num_nodes: int) -> float:
    """Megabytes at the peak of the whole process, imports, graph and three steps."""
    step = step_of(way, num_nodes)
    for _ in range(3):
        step()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):  # ru_maxrss would tell the peak of the process that started this one
            return int(line.split()[1]) / 1024
    return float("nan")


def bandwidth() -> float:
    """Gigabytes a second that copying a large array reads and writes."""
    source, target = torch.zeros(2**27), torch.zeros(2**27)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - started)
    return 2 * source.numel() * 4 / statistics.median(times) / 1e9


def draw(tables: dict[str, Any], threads: int, path: Path) -> None:
    """Time of a step against the number of nodes, a line for each way."""
    from gnnkit.plots import save_figure
    from gnnkit.plots.style import colour, label, legend, new_figure

    sizes = {title: int(title.split()[0]) for title in tables if title.endswith(f", {threads} threads")}
    titles = sorted(sizes, key=sizes.__getitem__)
    figure, (axes,) = new_figure()
    for index, way in enumerate(WAYS):
        times = [tables[title][way]["wall_ms"] for title in titles]
        axes.plot([sizes[title] for title in titles], times, color=colour(index), marker="o", markersize=4, label=way)
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, title="A GCN training step, 20 edges a node", x="nodes", y="milliseconds")
    legend(axes)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9, help="rounds at 100,000 nodes; a third of it above")
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(peak_of(options.memory_of, options.nodes[0]))
        return
    result: dict[str, Any] = {"machine": machine(), "bandwidth_gb_s": bandwidth(), "tables": {}}
    if options.out and options.out.exists():
        result["tables"] = json.loads(options.out.read_text())["tables"]
    print(f"memory bandwidth {result['bandwidth_gb_s']:.1f} GB/s")
    for num_nodes in options.nodes:
        versions = {way: step_of(way, num_nodes) for way in WAYS}
        repeats = options.repeats if num_nodes <= 100_000 else max(3, options.repeats // 3)
        timings = interleaved(versions, repeats=repeats, warm_up=1)
        del versions
        rows = {}
        for way in WAYS:
            command = [sys.executable, __file__, "--memory-of", way, "--nodes", str(num_nodes)]
            command += ["--threads", str(options.threads)]
            memory = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            ratio, low, high = ratio_interval(timings[way], timings["gnnkit"])
            rows[way] = timings[way].as_json() | {"ratio": ratio, "ratio_95": [low, high], "peak_mb": memory}
            print(
                f"{num_nodes:>9} nodes  {way:14} {timings[way].median:9.0f} ms (cpu {timings[way].median_cpu:.0f})   "
                f"{ratio:5.2f} x [{low:.2f}, {high:.2f}]   peak {memory:.0f} MB",
                flush=True,
            )
        result["tables"][f"{num_nodes} nodes, {options.threads} threads"] = rows
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")
            draw(result["tables"], options.threads, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
