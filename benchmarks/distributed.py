"""Training a GCN on parts of a graph: memory of a process, bytes exchanged and time, against the number of processes.

Two graphs of a million nodes and 16 edges a node: one that can be cut well (nodes of a ring, each linked to others
close by, numbered at random) and one that cannot (R-MAT: hubs that everyone is linked to). 128 features, 64 hidden
units, 40 classes, every node labelled, so that nothing can be pruned. Memory is the peak of a process over what it
held when everything was imported and had run once; one process is `gnnkit.training.fit` on the whole graph, and for
comparison the loop of the parts with a single part. Bytes are what one process sends in an epoch, training and scoring.

    $ python benchmarks/distributed.py --out benchmarks/results/distributed.json
    $ python benchmarks/distributed.py --nodes 20000 --epochs 2     # a short look
    $ python benchmarks/distributed.py --write docs/scale.md benchmarks/results/distributed.json    # the page's figures

All processes share one machine's cores, so times say what the exchange costs, not what more machines would gain.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import machine
from torch import Tensor

FEATURES, HIDDEN, CLASSES, DEGREE = 128, 64, 40, 16
GRAPHS, PROCESSES = ("ring", "rmat"), (1, 2, 4)


def edges_of(kind: str, num_nodes: int) -> Tensor:
    """Half of the edges, each to be taken both ways."""
    random = np.random.default_rng(0)
    count = num_nodes * DEGREE // 2
    if kind == "ring":
        source = np.repeat(np.arange(num_nodes), DEGREE // 2)
        target = (source + random.integers(1, 200, count)) % num_nodes
        name = random.permutation(num_nodes)
        return torch.from_numpy(np.stack([name[source], name[target]]))
    ends = np.zeros((2, count), np.int64)
    for _ in range(max(1, (num_nodes - 1).bit_length())):
        quarter = random.choice(4, count, p=[0.57, 0.19, 0.19, 0.05])
        ends = 2 * ends + np.stack([quarter >> 1, quarter & 1])
    return torch.from_numpy(ends % num_nodes)


def data_of(kind: str, num_nodes: int) -> Any:
    from gnnkit.data import NodeData
    from gnnkit.graph import Adjacency

    half = edges_of(kind, num_nodes)
    half = half[:, half[0] != half[1]]
    graph = Adjacency.from_edge_index(torch.cat([half, half.flip(0)], dim=1), num_nodes=num_nodes, coalesce="max")
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(num_nodes, FEATURES, generator=generator), torch.arange(num_nodes) % CLASSES
    role = torch.rand(num_nodes, generator=generator)
    return NodeData(graph, x, y, role < 0.6, (role >= 0.6) & (role < 0.8), role >= 0.8, name=kind)


def memory(field: str) -> float:
    """MiB that Linux counts for this process."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(field))) / 1024


def prepare(kind: str, num_nodes: int, folder: Path) -> None:
    """The graph whole and in parts, and what making the parts took."""
    from gnnkit.distributed.parts import write_parts

    data = data_of(kind, num_nodes)
    edge_index, _ = data.adjacency.to_edge_index()
    arrays = {"edge_index": edge_index, "x": data.x, "y": data.y}
    arrays |= {mask: getattr(data, mask) for mask in ("train_mask", "val_mask", "test_mask")}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array.numpy())
    found = {"edges": data.adjacency.num_edges}
    for parts in PROCESSES:
        started = time.process_time()
        record = write_parts(data, folder / str(parts), parts, method="rcm")
        found[str(parts)] = {"cut": record.cut, "seconds_to_share_out": time.process_time() - started}
    print(json.dumps(found))


def model_and_config(epochs: int) -> Any:
    from gnnkit.data import load_dataset
    from gnnkit.models import GCN
    from gnnkit.training.nodes import TrainConfig, fit

    # A step on a small graph first: torch loads its optimisers and products when they are first used.
    fit(GCN(34, HIDDEN, 2, 4, 0.0), load_dataset("karate"), TrainConfig(epochs=1))
    return GCN(FEATURES, HIDDEN, 2, CLASSES, 0.0), TrainConfig(epochs=epochs)


def whole(folder: Path, epochs: int) -> None:
    """One process, the whole graph."""
    from gnnkit.data import NodeData
    from gnnkit.graph import Adjacency
    from gnnkit.training.nodes import fit

    model, config = model_and_config(epochs)
    before = memory("VmRSS")
    arrays = {
        name: torch.from_numpy(np.load(folder / f"{name}.npy"))
        for name in ("edge_index", "x", "y", "train_mask", "val_mask", "test_mask")
    }
    edge_index = arrays.pop("edge_index")
    graph = Adjacency.from_edge_index(edge_index, num_nodes=arrays["y"].numel())
    del edge_index
    report(fit(model, NodeData(graph, **arrays), config), before)


def part(folder: Path, epochs: int) -> None:
    """One of the processes that torchrun started."""
    from gnnkit.distributed.group import join_group
    from gnnkit.distributed.parts import read_part
    from gnnkit.training.partitioned import fit_partitioned

    model, config = model_and_config(epochs)
    with join_group() as group:
        before = memory("VmRSS")
        data = read_part(folder / str(group.size), group)
        started, sent = time.process_time(), group.bytes_sent
        result = fit_partitioned(model, data, group, config)
        report(
            result,
            before,
            rank=group.rank,
            nodes=data.graph.num_nodes,
            entering_edges=data.graph.num_edges,
            foreign_nodes=data.halo.num_foreign,
            bytes_sent_per_epoch=(group.bytes_sent - sent) / epochs,
            cpu_seconds_per_epoch=(time.process_time() - started) / epochs,
        )


def report(result: Any, before: float, **more: Any) -> None:
    sys.stdout.write(  # at once, so that the lines of several processes stay whole
        json.dumps(
            {
                "mib_over_imports": memory("VmHWM") - before,
                "mib_of_imports": before,
                "seconds_per_epoch": result.seconds / result.epochs,
                "losses": result.history["train_loss"],
                **more,
            }
        )
        + "\n"
    )
    sys.stdout.flush()


def run(job: str, *arguments: object, processes: int | None = None) -> list[dict[str, Any]]:
    """What a job of this file prints, in processes of its own."""
    launcher = [sys.executable]
    if processes is not None:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, __file__, "--job", job, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measured(kind: str, num_nodes: int, epochs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (shared_out,) = run("prepare", kind, num_nodes, folder)
        (alone,) = run("whole", folder, epochs)
        rows = []
        for processes in PROCESSES:
            ranks = sorted(run("part", folder, epochs, processes=processes), key=lambda each: each["rank"])
            losses = torch.tensor([each.pop("losses") for each in ranks], dtype=torch.float64)
            expected = torch.tensor(alone["losses"], dtype=torch.float64)
            largest = max(each["mib_over_imports"] for each in ranks)
            rows.append(
                {
                    "processes": processes,
                    **shared_out[str(processes)],
                    "largest_mib_over_imports": largest,
                    "share_of_one_process": largest / alone["mib_over_imports"],
                    "largest_relative_difference_of_losses": float(((losses - expected) / expected).abs().max()),
                    "ranks": ranks,
                }
            )
            print(
                f"{kind}, {processes} processes: {largest:.0f} MiB over the imports, "
                f"{100 * rows[-1]['share_of_one_process']:.0f} % of one process; cut {100 * rows[-1]['cut']:.1f} %; "
                f"{ranks[0]['bytes_sent_per_epoch'] / 2**20:.1f} MiB sent by the first in an epoch, "
                f"{ranks[0]['seconds_per_epoch']:.2f} s"
            )
    return {"nodes": num_nodes, "edges": shared_out["edges"], "one_process": alone, "shared": rows}


def figures(content: dict[str, Any]) -> str:
    """What was measured as a table for the guide."""
    host, lines = content["machine"], []
    place = f"{host['cpu_count']} cores of {host['device_name']}, load {host['load']:.1f} before"
    lines.append(f"`benchmarks/distributed.py`, {content['model']}, {content['epochs']} epochs, {place}:\n")
    lines.append(
        "| graph | processes | edges between them | memory of the largest | of one process | foreign nodes "
        "| sent by one in an epoch | seconds an epoch |"
    )
    lines.append("|---" * 8 + "|")
    for kind, found in content["graphs"].items():
        alone = found["one_process"]
        name = f"{kind}, {found['nodes']:,} nodes, {found['edges']:,} edges"
        lines.append(
            f"| {name} | `gnnkit train` | | {alone['mib_over_imports']:,.0f} MiB | 100 % | | "
            f"| {alone['seconds_per_epoch']:.2f} |"
        )
        for row in found["shared"]:
            ranks = row["ranks"]
            most = {key: max(each[key] for each in ranks) for key in ranks[0]}
            lines.append(
                f"| | {row['processes']} | {100 * row['cut']:.1f} % | {row['largest_mib_over_imports']:,.0f} MiB "
                f"| {100 * row['share_of_one_process']:.0f} % | {most['foreign_nodes']:,} "
                f"| {most['bytes_sent_per_epoch'] / 2**20:,.0f} MiB | {most['seconds_per_epoch']:.2f} |"
            )
    differences = [
        row["largest_relative_difference_of_losses"] for g in content["graphs"].values() for row in g["shared"]
    ]
    lines.append(f"\nLosses differ from one process's by {max(differences):.0e} of their size at most (float32).")
    return "\n".join(lines)


def write_figures(page: Path, results: Path) -> None:
    """Put the figures between their marks on a page."""
    text, begin, end = page.read_text(), "<!-- figures of processes", "<!-- end of figures of processes -->"
    before, rest = text.split(begin)
    mark, after = rest.split("-->\n", 1)
    after = after.split(end)[1]
    page.write_text(f"{before}{begin}{mark}-->\n{figures(json.loads(results.read_text()))}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--graphs", nargs="+", default=list(GRAPHS), choices=list(GRAPHS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--write", type=Path, nargs=2, metavar=("PAGE", "RESULTS"))
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_figures(*options.write)
        return
    torch.set_num_threads(1)
    if options.job:
        job, *arguments = options.job
        if job == "prepare":
            prepare(arguments[0], int(arguments[1]), Path(arguments[2]))
        else:
            {"whole": whole, "part": part}[job](Path(arguments[0]), int(arguments[1]))
        return
    content: dict[str, Any] = {"machine": machine(), "epochs": options.epochs, "model": "GCN 128-64-40", "graphs": {}}
    for kind in options.graphs:
        content["graphs"][kind] = measured(kind, options.nodes, options.epochs)
        if options.out is not None:  # after each, so that a long one costs none of the others
            options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
