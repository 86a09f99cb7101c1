"""How long does it take to measure influence by hop: gnnkit.flow beside PyG's total_influence?

Both in one process, in turn, on the same nodes and the same weights. On Cora and PubMed a 2-layer GCN, PyG with
``max_hops = L``, its documented use, whose degrees are cut off at the rim; on a 100 x 100 grid an 8-layer GCN,
PyG with ``max_hops = L + 1``, where its result is right. The last column of the table is how much PyG's influence at
the last hop exceeds the exact one. Needs the data sets (GNNKIT_DATA).

    $ python benchmarks/flow.py --threads 2
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from timing import interleaved, machine, ratio_interval, threads
from torch_geometric.data import Data
from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.utils.influence import jacobian_l1_agg_per_hop

from gnnkit import Adjacency, flow, load_dataset
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models import GCN
from gnnkit.storage.json_files import write_json
from gnnkit.training.view import features_of


def grid(side: int) -> Adjacency:
    ids = torch.arange(side * side).view(side, side)
    steps = [(ids[:, :-1], ids[:, 1:]), (ids[:-1], ids[1:])]
    one_way = torch.cat([torch.stack([a.reshape(-1), b.reshape(-1)]) for a, b in steps], dim=1)
    return Adjacency.from_edge_index(torch.cat([one_way, one_way.flip(0)], dim=1), num_nodes=side * side)


def case(name: str) -> tuple[Adjacency, SparseMatrix | torch.Tensor, int, int, int]:
    """Graph, features, classes, layers, nodes measured at once."""
    if name == "grid":
        return grid(100), torch.rand(10_000, 16, generator=torch.Generator().manual_seed(0)), 4, 8, 200
    data = load_dataset(name)
    return data.adjacency, features_of(data), data.num_classes, 2, 200


def compare(name: str, repeats: int, count: int | None = None) -> dict[str, object]:
    torch.manual_seed(0)
    graph, x, classes, layers, usual = case(name)
    count = usual if count is None else min(count, graph.num_nodes)
    model = GCN(x.shape[1], 16, layers, classes).eval()
    theirs = PyGGCN(x.shape[1], 16, layers, classes).eval()
    theirs.load_state_dict(model.state_dict())
    dense = x.to_dense() if isinstance(x, SparseMatrix) else x
    data = Data(x=dense, edge_index=graph.to_edge_index()[0], num_nodes=graph.num_nodes)
    nodes = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(1))[:count].sort().values
    few = nodes[:: max(1, count // 20)]
    hops = layers + 1 if name == "grid" else layers

    def pyg() -> torch.Tensor:
        return torch.stack([jacobian_l1_agg_per_hop(theirs, data, hops, int(node), "cpu") for node in few])

    times = interleaved(
        {
            "gnnkit": lambda: flow(model, x, graph, nodes),
            "gnnkit, PyG's model": lambda: flow(theirs, x, graph, nodes),
            "PyG": pyg,
        },
        repeats=repeats,
        warm_up=1,
    )
    per_node = {key: each.median / (len(few) if key == "PyG" else count) for key, each in times.items()}
    ratio = ratio_interval(times["PyG"], times["gnnkit"])
    scale = count / len(few)
    exact = flow(model, x, graph, few, dtype=torch.float64).influence.sum(0)
    biased = torch.stack([jacobian_l1_agg_per_hop(theirs, data, layers, int(node), "cpu") for node in few]).sum(0)
    started, started_cpu = time.perf_counter(), time.process_time()
    flow(model, x, graph)
    return {
        "layers": layers,
        "pyg_max_hops": hops,
        "nodes": count,
        "ms_per_node": per_node,
        "pyg_over_gnnkit": [each * scale for each in ratio],
        "pyg_over_gnnkit_cpu": scale * times["PyG"].median_cpu / times["gnnkit"].median_cpu,
        "all_nodes_s": time.perf_counter() - started,
        "all_nodes_cpu_s": time.process_time() - started_cpu,
        "pyg_last_hop_over_exact": float(biased[-1] / exact[-1]),
        "timings": {key: each.as_json() for key, each in times.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--nodes", type=int, help="how many outputs are measured; 200 when omitted")
    parser.add_argument("--cases", nargs="+", default=["cora", "pubmed", "grid"])
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    threads(options.threads)
    results: dict[str, object] = {"machine": machine(), "threads": options.threads}
    print(
        "case    gnnkit  on PyG's model     PyG   ms a node   "
        "PyG / gnnkit [95 %]  (CPU)   all nodes  (CPU)   PyG's last hop"
    )
    for name in options.cases:
        found = results[name] = compare(name, options.repeats, options.nodes)
        ours, adopted, theirs = found["ms_per_node"].values()
        middle, low, high = found["pyg_over_gnnkit"]
        print(
            f"{name:<7} {ours:6.3f}  {adopted:14.3f}  {theirs:6.2f}"
            f"   {middle:9.1f} [{low:.1f}, {high:.1f}]  ({found['pyg_over_gnnkit_cpu']:.1f})"
            f"   {found['all_nodes_s']:7.2f} s  ({found['all_nodes_cpu_s']:.2f})"
            f"   {100 * (found['pyg_last_hop_over_exact'] - 1):+13.0f} %"
        )
    out = options.out or Path(__file__).parent / "results" / f"flow_{options.threads}_threads.json"
    write_json(out, results)


if __name__ == "__main__":
    main()
