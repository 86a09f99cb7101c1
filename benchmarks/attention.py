"""One graph attention layer, forward and backward: gnnkit against PyG, eager and compiled.

    $ python benchmarks/attention.py            # 20,000 nodes, 500,000 edges
    $ python benchmarks/attention.py --large    # 200,000 nodes, 5,000,000 edges

Eight heads of eight channels, 64 features in, float32. Every candidate takes its turn in each round of
one process, so that whatever else the machine does meets all of them; the median and quartiles of CPU
and wall time per step are reported, compile time apart. Memory is measured in a process each: after a
first step and a garbage collection, how far the resident set rises during another step. What gnnkit
keeps with the graph (edges sorted by target and by source) is reported beside it. The results go to
``benchmarks/results/attention*.json``.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CANDIDATES = ("gnnkit", "pyg", "pyg compiled")
IN_CHANNELS, CHANNELS, HEADS = 64, 8, 8


def make_step(name: str, options: argparse.Namespace) -> Callable[[], Any]:
    """A forward and backward pass of one candidate; all share graph, features and weights."""
    import torch
    from torch_geometric.nn import GATConv as PyGGATConv
    from torch_geometric.nn import GATv2Conv

    from gnnkit.graph import Adjacency
    from gnnkit.nn import GATConv

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    nodes, edges = (200_000, 5_000_000) if options.large else (20_000, 500_000)
    edge_index = torch.randint(0, nodes, (2, edges)).unique(dim=1)
    x = torch.randn(nodes, IN_CHANNELS, requires_grad=True)
    upstream = torch.randn(nodes, HEADS * CHANNELS)
    theirs = (PyGGATConv if options.version == 1 else GATv2Conv)(IN_CHANNELS, CHANNELS, HEADS, dropout=options.dropout)
    graph: Any = edge_index
    layer: Any = theirs
    if name == "gnnkit":
        layer = GATConv(IN_CHANNELS, CHANNELS, HEADS, dropout=options.dropout, version=options.version)
        layer.load_state_dict(theirs.state_dict())
        graph = Adjacency.from_edge_index(edge_index, num_nodes=nodes)
        del edge_index
    elif name == "pyg compiled":
        layer = torch.compile(theirs)

    def step() -> Any:
        for parameter in (x, *layer.parameters()):
            parameter.grad = None
        out = layer(x, graph)
        out.backward(upstream)
        return out

    return step


def timed(options: argparse.Namespace) -> dict[str, Any]:
    """CPU and wall milliseconds of every candidate, interleaved."""
    import torch

    steps, first = {}, {}
    for name in CANDIDATES:
        steps[name] = make_step(name, options)
        start = time.perf_counter()
        out = steps[name]()
        first[name] = time.perf_counter() - start
        if name == "gnnkit":
            reference = out
        elif options.dropout == 0:
            torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-5)
        steps[name]()
    cpu: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    wall: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for _ in range(options.repeats):
        for name, step in steps.items():
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            step()
            cpu[name].append(1e3 * (time.process_time() - cpu_start))
            wall[name].append(1e3 * (time.perf_counter() - wall_start))
    return {
        name: {
            "first_step_s": round(first[name], 3),
            "cpu_ms": _summary(cpu[name]),
            "wall_ms": _summary(wall[name]),
        }
        for name in CANDIDATES
    }


def _summary(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 2), "quartile_1": round(low, 2), "quartile_3": round(high, 2)}


def memory_of(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Megabytes by which the resident set rises during a step that is not the first."""
    step = make_step(name, options)
    step()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    step()
    return {"step_mb": round(_status_mb("VmHWM") - before, 1)}


def kept_mb(options: argparse.Namespace) -> float:
    """What gnnkit keeps with the graph for attention, by the size of its tensors."""
    edges = (5_000_000 if options.large else 500_000) + (200_000 if options.large else 20_000)
    return round(5 * 4 * edges / 2**20, 1)  # col, row, edge ids, and col and order by source; int32


def _status_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}; memory is measured on Linux only")


def measured(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    import torch_geometric

    results = timed(options)
    for name in CANDIDATES:
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        results[name].update(json.loads(child.stdout.splitlines()[-1]))
    results["gnnkit"]["kept_with_the_graph_mb"] = kept_mb(options)
    return {
        "layer": f"GAT version {options.version}, {HEADS} heads x {CHANNELS}, dropout {options.dropout}",
        "graph": "200k nodes, 5M edges" if options.large else "20k nodes, 500k edges",
        "threads": options.threads,
        "repeats": options.repeats,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
        },
        "results": results,
        "ratios": {
            f"{name} / gnnkit": {
                key: round(value / ours, 2)
                for key, value, ours in (
                    ("cpu", results[name]["cpu_ms"]["median"], results["gnnkit"]["cpu_ms"]["median"]),
                    ("wall", results[name]["wall_ms"]["median"], results["gnnkit"]["wall_ms"]["median"]),
                    ("memory", results[name]["step_mb"], results["gnnkit"]["step_mb"]),
                )
            }
            for name in CANDIDATES[1:]
        },
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="200,000 nodes and 5,000,000 edges")
    parser.add_argument("--version", type=int, choices=(1, 2), default=1)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-of", choices=CANDIDATES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps(memory_of(options.memory_of, options)))
        return
    report = measured(options)
    name = f"attention_v{options.version}{'_large' if options.large else ''}"
    name += f"{'_dropout' if options.dropout else ''}_{options.threads}_threads.json"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / name).write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
