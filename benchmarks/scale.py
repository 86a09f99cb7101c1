"""What a graph of so many edges costs here: converted, searched, sampled, trained on for an epoch.

An R-MAT graph (Chakrabarti, Zhan & Faloutsos, 2004; a, b, c, d = .57, .19, .19, .05) is written as an edge
list, an eighth as many nodes as lines, with random features; each section then runs as a process of
its own, whose time and peak memory (VmHWM, which counts the pages of memory maps that it touched) are
taken from the kernel.

    $ python benchmarks/scale.py --edges 1e6                       # a minute
    $ python benchmarks/scale.py --edges 8e6 --sections sampler    # 1M nodes, 16M stored edges: batches a second
    $ python benchmarks/scale.py --edges 1e8 --out benchmarks/results/scale_1e8.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

SECTIONS = ("convert", "hops", "sampler", "epoch")
CLASSES = 8
_AT_ONCE = 1 << 21


# ---- the graph -------------------------------------------------------------------------------------


def rmat_blocks(scale: int, num_edges: int, seed: int = 0) -> Any:
    """Sources and targets, some at a time."""
    rng = np.random.default_rng(seed)
    for begin in range(0, num_edges, _AT_ONCE):
        count = min(_AT_ONCE, num_edges - begin)
        ends = np.zeros((2, count), dtype=np.int64)
        for _ in range(scale):
            draw = rng.random(count, dtype=np.float32)
            lower, right = draw >= 0.76, ((draw >= 0.57) & (draw < 0.76)) | (draw >= 0.95)
            ends = 2 * ends + np.stack([lower, right])
        yield ends


def write_edges(path: Path, scale: int, num_edges: int) -> None:
    """The edges as text, or as an array where the name says so."""
    if path.suffix == ".npy":
        array = np.lib.format.open_memmap(path, "w+", np.int32 if scale < 31 else np.int64, (2, num_edges))
        begin = 0
        for ends in rmat_blocks(scale, num_edges):
            array[:, begin : begin + ends.shape[1]] = ends
            begin += ends.shape[1]
        array.flush()
        return
    with path.open("wb") as file:
        for ends in rmat_blocks(scale, num_edges):
            lines = np.char.add(np.char.add(ends[0].astype("S"), b" "), np.char.add(ends[1].astype("S"), b"\n"))
            file.write(b"".join(lines.tolist()))


def write_nodes(folder: Path, num_nodes: int, features: int, train_share: float) -> None:
    """Features that say a little of the label, and a split."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, CLASSES, num_nodes)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (num_nodes, features))
    centres = rng.normal(size=(CLASSES, features)).astype(np.float32)
    for begin in range(0, num_nodes, _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        x[part] = 0.3 * centres[y[part]] + rng.standard_normal((len(y[part]), features), dtype=np.float32)
    x.flush()
    np.save(folder / "y.npy", y)
    order = rng.permutation(num_nodes)
    first, second = int(train_share * num_nodes), min(20_000, num_nodes // 20)
    np.save(folder / "train.npy", order[:first])
    np.save(folder / "val.npy", order[first : first + second])
    np.save(folder / "test.npy", order[first + second : first + 2 * second])


# ---- measuring -------------------------------------------------------------------------------------


def measured(command: list[str], threads: int) -> dict[str, Any]:
    """Run a process to its end: what it printed, its seconds and its peak memory."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        output.seek(0)
        printed = output.read().decode()
    if process.returncode:
        raise SystemExit(f"failed ({process.returncode}): {' '.join(command)}\n{printed}")
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_gib": round(usage.ru_maxrss / 2**20, 3),
        "printed": printed,
    }


def gnnkit(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "gnnkit", *map(str, arguments)]


def sample(graph: str, batches: int) -> None:
    """The section ``sampler``, in its own process: batches with and without features."""
    from gnnkit.data import BlockLoader, NeighborLoader, read_folder

    data = read_folder(graph)
    found: dict[str, Any] = {"nodes": data.num_nodes, "edges": data.adjacency.num_edges}
    settings: dict[str, Any] = {"batch_size": 1024, "shuffle": True}
    loaders: dict[str, Callable[[int], Any]] = {
        "blocks": lambda workers: BlockLoader(data, [10, 10], num_workers=workers, **settings),
        "pyg": lambda workers: NeighborLoader(data, [10, 10], num_workers=workers, **settings),
    }
    for name, make in loaders.items():
        for workers in (0, 2):
            loader = iter(make(workers))
            nodes = edges = 0
            for _ in range(4):  # the workers start, pages are read
                next(loader)
            started = time.perf_counter()
            count = 0
            for batch in loader:
                nodes += batch.blocks[0].num_sources if name == "blocks" else batch.num_nodes
                edges += batch.blocks[0].edge_index.size(1) if name == "blocks" else batch.num_edges
                count += 1
                if count == batches:
                    break
            seconds = time.perf_counter() - started
            found[f"{name}, {workers} workers"] = {
                "batches_a_second": round(count / seconds, 1),
                "nodes_a_batch": round(nodes / count),
                "edges_a_batch": round(edges / count),
            }
            del loader
    print(json.dumps(found))


def sections(folder: Path, edges: Path, num_nodes: int, chosen: list[str], options: Any) -> dict[str, Any]:
    graph, found = folder / "graph", {}
    if "convert" in chosen or not graph.is_dir():
        shutil.rmtree(graph, ignore_errors=True)
        beside = [part for name in ("train", "val", "test") for part in (f"--{name}", folder / f"{name}.npy")]
        beside += ["--features", folder / "x.npy", "--labels", folder / "y.npy"]
        command = gnnkit("convert", edges, "--out", graph, "--undirected", "--num-nodes", num_nodes, *beside, "--json")
        found["convert"] = measured(command, options.threads)
        found["convert"]["input_bytes"] = edges.stat().st_size
        found["convert"]["graph_bytes"] = sum(path.stat().st_size for path in graph.iterdir())
    if "hops" in chosen:
        found["hops"] = measured(gnnkit("hops", graph, "--sources", "0,1,2,3", "--json"), options.threads)
    if "sampler" in chosen:
        command = [sys.executable, __file__, "--sample", str(graph), "--batches", str(options.batches)]
        found["sampler"] = measured(command, options.threads)
    if "epoch" in chosen:
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        command = gnnkit(
            "train", graph, "--batch-size", 1024, "--fanout", "10,10", "--epochs", 1, "--out", run, "--json"
        )
        found["epoch"] = measured([*command, "--workers", str(options.workers)], options.threads)
    for section in found.values():
        printed = json.loads(section.pop("printed"))
        if "sources" in printed:
            section["hops_to_the_farthest"] = [row["farthest"] for row in printed["sources"]]
        keep = {"num_nodes", "num_edges", "test_accuracy_mean", "num_train", "seconds"}
        section |= {f"said_{name}": printed[name] for name in keep & printed.keys()}
        if "blocks, 0 workers" in printed:
            section |= printed
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=float, default=1e6, help="lines of the edge list; each is stored both ways")
    parser.add_argument(
        "--scale", type=int, help="log2 of the number of nodes; by default that of an eighth of --edges"
    )
    parser.add_argument("--input", choices=("text", "npy"), default="text")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--train-share", type=float, default=0.1)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the files lie; a temporary folder if omitted")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    parser.add_argument("--sample", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        sample(options.sample, options.batches)
        return
    num_edges = int(options.edges)
    scale = options.scale or max(round(math.log2(num_edges / 8)), 4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        edges = folder / ("edges.txt" if options.input == "text" else "edges.npy")
        started = time.perf_counter()
        if not edges.is_file():
            write_edges(edges, scale, num_edges)
            write_nodes(folder, 1 << scale, options.features, options.train_share)
        from benchmarks.timing import machine

        results = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "lines": num_edges,
            "nodes": 1 << scale,
            "features": options.features,
            "input": options.input,
            "generate_seconds": round(time.perf_counter() - started, 1),
            **sections(folder, edges, 1 << scale, options.sections, options),
        }
    text = json.dumps(results, indent=2)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
