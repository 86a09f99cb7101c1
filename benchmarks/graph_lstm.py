"""How much sooner is a graph recurrent layer done in our form than with one convolution per gate?

Forward and backward pass, one thread, CPU time, all versions in turn in one process. METR-LA's size:
207 sensors, 1722 edges, 64 sequences of 12 steps, 64 units. Chickenpox: one sequence of 465 weeks,
20 counties, 32 units. The peer's form is timed in both batchings that PyG allows, sequences as a
dimension and as components of one large graph; the better one counts. Where the layer takes it (GCNConv does)
the large graph is a sparse matrix of torch too, a form its users rarely choose, with a ratio of its own. A row of
ours says where it is not the very model of the peer: their GRUs let r act before the product.

    $ python benchmarks/graph_lstm.py --data-root DATA --out benchmarks/results/graph_lstm.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from graph_lstm_peers import DCRNN, TGCN, GConvGRU, GConvLSTM, TGCNOfStates
from timing import Timing, interleaved, machine, threads
from torch import Tensor

# This folder, first on the path, has a recurrent.py of its own.
sys.path.append(sys.path.pop(0))

from gnnkit.graph import Adjacency
from gnnkit.nn import GraphGRU, GraphLSTM
from gnnkit.nn.gcn import gcn_normalized

Rows = dict[str, Any]
Call = Callable[[], object]


def metr_la(root: Path) -> Adjacency:
    with np.load(root / "metr_la" / "metr_la_week.npz", allow_pickle=False) as archive:
        return Adjacency.from_dense(torch.from_numpy(archive["adj"]))


def chickenpox(root: Path) -> Adjacency:
    content = json.loads((root / "temporal" / "chickenpox.json").read_text())
    return Adjacency.from_edge_index(torch.tensor(content["edges"]).t(), num_nodes=20)


def forward_backward(model: torch.nn.Module, *inputs: Any) -> Call:
    def run() -> None:
        model.zero_grad()
        out = model(*inputs)
        (out[0] if isinstance(out, tuple) else out).sum().backward()

    return run


def components(graph: Adjacency, copies: int) -> tuple[Tensor, Tensor]:
    """One large graph of ``copies`` components, as PyG batches graphs."""
    return Adjacency.batch([graph] * copies).to_edge_index()


def turned_matrix(graph: Adjacency) -> Tensor:
    """A CSR matrix of torch whose product is the sum over entering edges."""
    edge_index, weight = graph.T.to_edge_index()
    shape = graph.num_nodes, graph.num_nodes
    return torch.sparse_coo_tensor(edge_index, weight, shape, check_invariants=False).to_sparse_csr()


def walks(graph: Adjacency) -> list[tuple[Tensor, Tensor]]:
    """Edge lists of D_out^-1 W and D_in^-1 W^T, turned so that PyG's flow gives the matrix product."""
    return [graph.normalized("column").T.to_edge_index(), graph.normalized("row").to_edge_index()]


def versions(graph: Adjacency, sequences: int, steps: int, channels: int, hidden: int) -> dict[str, dict[str, Call]]:
    """Per model the peer's form in both batchings and ours."""
    nodes = graph.num_nodes
    x = torch.randn(sequences, steps, nodes, channels)
    side_by_side = x.transpose(0, 1).contiguous()  # (T, B, N, F)
    joined = side_by_side.flatten(1, 2)  # (T, B N, F)
    normalized = gcn_normalized(graph)

    def peers(model: torch.nn.Module, of: Adjacency, *, as_matrix: bool = False) -> dict[str, Call]:
        found = {"peer, sequences as a dimension": forward_backward(model, side_by_side, *of.to_edge_index())}
        if sequences > 1:
            found["peer, one large graph"] = forward_backward(model, joined, *components(of, sequences))
        if as_matrix:
            matrix = turned_matrix(Adjacency.batch([of] * sequences))
            found["peer, one large graph as a matrix"] = forward_backward(model, joined, matrix, None)
        return found

    diffusion = DCRNN(channels, hidden, 2)
    large = [Adjacency.batch([each] * sequences) for each in (graph.normalized("column").T, graph.normalized("row"))]
    dcrnn = {"peer, sequences as a dimension": forward_backward(diffusion, side_by_side, walks(graph))}
    if sequences > 1:
        dcrnn["peer, one large graph"] = forward_backward(diffusion, joined, [each.to_edge_index() for each in large])

    def ours(model: torch.nn.Module) -> Call:
        return forward_backward(model, x, graph)

    return {
        "LSTM, Chebyshev, 1 hop": {
            **peers(GConvLSTM(channels, hidden, 2), graph),
            "gnnkit": ours(GraphLSTM(channels, hidden, K=1, peephole=True)),
            "gnnkit, no peephole": ours(GraphLSTM(channels, hidden, K=1)),
        },
        "GRU, Chebyshev, 1 hop": {
            **peers(GConvGRU(channels, hidden, 2), graph),
            "gnnkit": ours(GraphGRU(channels, hidden, K=1, reset="before")),
            "gnnkit, reset after": ours(GraphGRU(channels, hidden, K=1)),
        },
        "GRU, diffusion, 2 hops (DCRNN)": {
            **dcrnn,
            "gnnkit": ours(GraphGRU(channels, hidden, operator="diffusion", K=2, reset="before")),
            "gnnkit, reset after": ours(GraphGRU(channels, hidden, operator="diffusion", K=2)),
        },
        "T-GCN": {
            **peers(TGCN(channels, hidden), normalized, as_matrix=True),
            "gnnkit": ours(GraphGRU(channels, hidden, operator="gcn", K=1, reset="before", state_hops=0)),
            "gnnkit, reset after": ours(GraphGRU(channels, hidden, operator="gcn", K=1, state_hops=0)),
        },
        "T-GCN, states mixed too": {
            **peers(TGCNOfStates(channels, hidden), normalized, as_matrix=True),
            "gnnkit": ours(GraphGRU(channels, hidden, operator="gcn", K=1, reset="before")),
            "gnnkit, reset after": ours(GraphGRU(channels, hidden, operator="gcn", K=1)),
        },
    }


def row(timings: dict[str, Timing]) -> Rows:
    """Median CPU milliseconds, and a peer's over ours, by rounds: the best one's with edge lists, and a matrix's."""
    found: Rows = {name: timing.as_json() for name, timing in timings.items()}
    lists = [name for name in timings if name.startswith("peer") and "matrix" not in name]
    rivals = {"ratio": min(lists, key=lambda name: timings[name].median_cpu)}
    rivals.update(("ratio_to_matrix", name) for name in timings if "matrix" in name)
    for name, timing in timings.items():
        if name.startswith("peer"):
            continue
        for ratio, rival in rivals.items():
            spread = Timing([slow / fast for slow, fast in zip(timings[rival].cpu, timing.cpu, strict=True)], [])
            found[name] |= {ratio: spread.median, f"{ratio}_95": list(spread.interval())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("GNNKIT_DATA"))
    parser.add_argument("--sizes", nargs="+", default=["metr-la", "chickenpox"], choices=["metr-la", "chickenpox"])
    parser.add_argument("--models", nargs="+", help="only models whose name contains one of these")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, help="write the result here as JSON; tables of others there stay")
    options = parser.parse_args()
    if options.data_root is None:
        parser.error("name the folder of data sets with --data-root or GNNKIT_DATA")
    threads(1)
    kept = json.loads(options.out.read_text())["tables"] if options.out is not None and options.out.exists() else {}
    result: Rows = {"machine": machine(), "repeats": options.repeats, "tables": kept}
    for size in options.sizes:
        torch.manual_seed(0)
        if size == "metr-la":
            cases = versions(metr_la(options.data_root), sequences=64, steps=12, channels=2, hidden=64)
        else:
            cases = versions(chickenpox(options.data_root), sequences=1, steps=465, channels=4, hidden=32)
        for name, calls in cases.items():
            if options.models and not any(part.lower() in name.lower() for part in options.models):
                continue
            rows = row(interleaved(calls, repeats=options.repeats, warm_up=1))
            result["tables"][f"{size}: {name}"] = rows
            print(f"\n{size}: {name}")
            for version, each in rows.items():
                ratio = "" if "ratio" not in each else f"   {each['ratio']:5.2f} x {np.round(each['ratio_95'], 2)}"
                if "ratio_to_matrix" in each:
                    ratio += f"   to a matrix {each['ratio_to_matrix']:.2f} x {np.round(each['ratio_to_matrix_95'], 2)}"
                print(f"  {version:34} {each['cpu_ms']:9.1f} ms CPU{ratio}", flush=True)
            if options.out is not None:
                options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
