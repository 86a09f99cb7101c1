"""Hop distances: gnnkit against its peers, each measurement in a process of its own.

    $ GNNKIT_DATA=... python benchmarks/hops.py            # about eight minutes on two cores
    $ GNNKIT_DATA=... python benchmarks/hops.py --quick    # small graphs only, under a minute

Reported are CPU seconds of all threads (medians after one warm-up), wall seconds at equal threads, and the peak memory
over the imports, graph included. Every answer is summed and compared with the others. Writes hops.json, hops.md and
hops.png to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

RESULTS = Path(__file__).parent / "results"
EXACT = ("gnnkit", "gnnkit, float64")


# ---- graphs ----------------------------------------------------------------------------------------


def undirected(sources: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], num_nodes: int) -> scipy.sparse.csr_array:
    """Both directions of every edge once, no self-loops."""
    ones = np.ones(2 * len(sources), dtype=bool)
    rows, columns = np.concatenate([sources, targets]), np.concatenate([targets, sources])
    matrix = scipy.sparse.csr_array((ones, (rows, columns)), shape=(num_nodes, num_nodes))
    matrix.setdiag(False)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix.astype(np.float64)


def rmat(scale: int, num_edges: int, seed: int = 0) -> scipy.sparse.csr_array:
    """R-MAT (Chakrabarti, Zhan & Faloutsos, 2004) with a, b, c, d = .57, .19, .19, .05."""
    rng = np.random.default_rng(seed)
    sources, targets = np.zeros((2, num_edges), dtype=np.int64)
    for _ in range(scale):
        draw = rng.random(num_edges, dtype=np.float32)
        lower, right = draw >= 0.76, ((draw >= 0.57) & (draw < 0.76)) | (draw >= 0.95)
        sources, targets = 2 * sources + lower, 2 * targets + right
    return undirected(sources, targets, 1 << scale)


def grid(side: int) -> scipy.sparse.csr_array:
    nodes = np.arange(side * side).reshape(side, side)
    sources = np.concatenate([nodes[:, :-1].ravel(), nodes[:-1].ravel()])
    targets = np.concatenate([nodes[:, 1:].ravel(), nodes[1:].ravel()])
    return undirected(sources, targets, side * side)


def planetoid(name: str) -> scipy.sparse.csr_array:
    from gnnkit.data import load_dataset

    matrix: scipy.sparse.csr_array = load_dataset(name).adjacency.to_scipy().astype(np.float64)
    return matrix


def largest_component(matrix: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    labels = connected_components(matrix)[1]
    inside = np.flatnonzero(labels == np.bincount(labels).argmax())
    return scipy.sparse.csr_array(matrix[inside][:, inside])


# ---- what is measured ------------------------------------------------------------------------------


@dataclass
class Case:
    """One library on one task; ``share`` of the sources is measured and the rest extrapolated."""

    graph: str
    task: str
    library: str
    threads: int = 1
    repeats: int = 5
    share: float = 1.0
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.library + (f" (1/{round(1 / self.share)} of the sources, extrapolated)" if self.share < 1 else "")

    def seconds(self, clock: str) -> float:
        """Median without the first, which pays for pages and for what a library keeps; of one run, that one."""
        times = self.result[clock]
        return statistics.median(times[1:] or times) / self.share


SKIPPED = {
    "networkx, scipy and rustworkx on the large graphs": "their Python graphs, or float64 distances by a heap, take "
    "minutes a source",
    "python-graphblas, all pairs of PubMed": "its frontier is an N x N matrix; minutes and gigabytes",
    "igraph": "GPL",
}


def cases(quick: bool) -> list[Case]:
    found = [
        Case("cora", "all pairs", library, threads)
        for library in ("gnnkit", "gnnkit, float64", "rustworkx", "networkit", "scipy", "python-graphblas", "networkx")
        for threads in ((1, 2) if library.split(",")[0] in ("gnnkit", "rustworkx", "networkit") else (1,))
    ]
    found += [
        Case("cora (largest component)", "diameter", library)
        for library in ("gnnkit", "networkit", "networkx", "scipy", "rustworkx")
    ]
    sizes = (8, 10) if quick else (8, 9, 10, 11, 12, 13)
    for scale in sizes:
        for library, largest in {"gnnkit": 14, "rustworkx": 13, "networkit": 13, "scipy": 12, "networkx": 10}.items():
            if scale <= largest:
                found.append(Case(f"R-MAT 2^{scale}", "all pairs", library, repeats=3))
    if quick:
        return found
    found += [Case("pubmed", "all pairs", library, threads, 5) for library in EXACT for threads in (1, 2)]
    found += [
        Case("pubmed", "all pairs", "networkit", 1, 1),
        Case("pubmed", "all pairs", "networkit", 2, 1),
        Case("pubmed", "all pairs", "rustworkx", 1, 1),
        Case("pubmed", "all pairs", "scipy", 1, 1, share=1 / 10),
        Case("pubmed", "all pairs", "networkx", 1, 1, share=1 / 100),
        Case("pubmed", "diameter", "gnnkit"),
        Case("pubmed", "diameter", "networkit"),
        Case("pubmed", "diameter", "networkx", repeats=1),
        Case("pubmed", "histogram", "gnnkit"),
        Case("grid 1000 x 1000", "diameter", "gnnkit", repeats=3),
        Case("grid 1000 x 1000", "diameter", "networkit", repeats=1),
    ]
    for graph in ("R-MAT 2^20", "grid 1000 x 1000"):
        for library in (*EXACT, "networkit", "python-graphblas", "scipy, order only"):
            found.append(Case(graph, "1 source", library, repeats=9))
            if library != "scipy, order only":
                found.append(Case(graph, "64 sources", library, repeats=4 if library in EXACT else 1))
    return found


def make_graphs(names: set[str], folder: Path) -> dict[str, Path]:
    makers = {
        "cora": lambda: planetoid("cora"),
        "cora (largest component)": lambda: largest_component(planetoid("cora")),
        "pubmed": lambda: planetoid("pubmed"),
        "R-MAT 2^20": lambda: rmat(20, 8_000_000),
        "grid 1000 x 1000": lambda: grid(1000),
        **{f"R-MAT 2^{scale}": lambda scale=scale: rmat(scale, 8 << scale) for scale in range(8, 14)},
    }
    paths = {}
    for name in sorted(names):
        matrix = makers[name]()
        paths[name] = folder / f"{len(paths)}.npz"
        scipy.sparse.save_npz(paths[name], matrix, compressed=False)
        print(f"{name}: {matrix.shape[0]:,} nodes, {matrix.nnz:,} arcs", flush=True)
    return paths


def sources_of(case: Case, matrix: scipy.sparse.csr_array) -> list[int]:
    """The same random nodes with neighbours for every library; none for all."""
    rng = np.random.default_rng(0)
    if case.task in ("1 source", "64 sources"):
        with_neighbors = np.flatnonzero(np.diff(matrix.indptr))
        chosen = rng.choice(with_neighbors, 64, replace=False).tolist()
        return chosen[: int(case.task.split()[0])]
    if case.share < 1:
        return rng.choice(matrix.shape[0], round(matrix.shape[0] * case.share), replace=False).tolist()
    return []


def run_case(case: Case, path: Path, timeout: float) -> None:
    arguments = {
        "library": case.library,
        "graph": str(path),
        "task": case.task,
        "sources": sources_of(case, scipy.sparse.load_npz(path)),
        "threads": case.threads,
        "repeats": case.repeats,
    }
    threads = {name: str(case.threads) for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [sys.executable, str(Path(__file__).with_name("hop_peers.py")), json.dumps(arguments)]
    try:
        done = subprocess.run(
            command, env={**os.environ, **threads}, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        case.result = {"error": f"took longer than {timeout:g} s"}
        return
    if done.returncode:
        case.result = {"error": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
        return
    case.result = json.loads(done.stdout.splitlines()[-1])


def check_answers(measured: list[Case]) -> None:
    """Every library that gives hops must give the same ones."""
    sums: dict[tuple[str, str], set[int]] = {}
    for case in measured:
        if "sum" in case.result and case.result["sum"] >= 0 and case.share == 1:
            sums.setdefault((case.graph, case.task), set()).add(case.result["sum"])
    wrong = {key: values for key, values in sums.items() if len(values) > 1}
    if wrong:
        raise SystemExit(f"the libraries disagree: {wrong}")


# ---- what is reported ------------------------------------------------------------------------------


def table(measured: list[Case]) -> str:
    lines = [
        "| graph | task | library | threads | CPU s | wall s | peak MB | CPU, peer / gnnkit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours = {
        (case.graph, case.task, case.threads): case.seconds("cpu")
        for case in measured
        if case.library == "gnnkit" and "cpu" in case.result
    }
    for case in sorted(measured, key=lambda case: (case.graph, case.task, case.threads)):
        start = f"| {case.graph} | {case.task} | {case.name} | {case.threads} |"
        if "error" in case.result:
            lines.append(f"{start} {case.result['error']} | | | |")
            continue
        own = ours.get((case.graph, case.task, case.threads))
        ratio = f"{case.seconds('cpu') / own:.1f}" if own and case.library != "gnnkit" else ""
        memory = f"{case.result['peak_mb']:.0f}"
        lines.append(f"{start} {case.seconds('cpu'):.4f} | {case.seconds('wall'):.4f} | {memory} | {ratio} |")
    return "\n".join(lines)


def leads(measured: list[Case]) -> str:
    """For each task the quickest peer by CPU time on one thread, measured in full and giving hops."""
    lines = ["| graph | task | gnnkit, CPU s | best peer | its CPU s | ratio |", "|---|---|---|---|---|---|"]
    keys = dict.fromkeys((case.graph, case.task) for case in measured)
    for graph, task in keys:
        rivals = [
            case
            for case in measured
            if (case.graph, case.task, case.threads) == (graph, task, 1) and case.result.get("sum", -1) >= 0
        ]
        own = [case for case in rivals if case.library == "gnnkit"]
        peers = [case for case in rivals if case.library not in EXACT]
        if own and peers:
            best = min(peers, key=lambda case: case.seconds("cpu"))
            seconds, theirs = own[0].seconds("cpu"), best.seconds("cpu")
            lines.append(f"| {graph} | {task} | {seconds:.4f} | {best.name} | {theirs:.4f} | {theirs / seconds:.1f} |")
    return "\n".join(lines)


def plot(measured: list[Case], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    series: dict[str, list[tuple[int, float]]] = {}
    for case in measured:
        if case.graph.startswith("R-MAT") and case.task == "all pairs" and "cpu" in case.result:
            size = 1 << int(case.graph.split("^")[1])
            series.setdefault(case.library, []).append((size, case.seconds("cpu")))
    for library, points in series.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=library, linewidth=2 if library in EXACT else 1)
    axes.set(xscale="log", yscale="log", xlabel="nodes (R-MAT, 16 arcs a node)", ylabel="CPU seconds, one thread")
    axes.set_title("Hop distances of all pairs")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small graphs only")
    parser.add_argument("--only", default="", help="measure only the cases whose graph or task contains this")
    parser.add_argument("--timeout", type=float, default=240, help="seconds a measurement may take")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    arguments = parser.parse_args()
    if "GNNKIT_DATA" not in os.environ:
        parser.error("GNNKIT_DATA must name the folder of data sets that holds Cora and PubMed")
    wanted = [case for case in cases(arguments.quick) if arguments.only in f"{case.graph}, {case.task}"]
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        paths = make_graphs({case.graph for case in wanted}, Path(folder))
        for case in wanted:
            run_case(case, paths[case.graph], arguments.timeout)
            shown = case.result.get("error") or f"{case.seconds('cpu'):.4f} s CPU, {case.result['peak_mb']:.0f} MB"
            print(f"{case.graph}, {case.task}, {case.name}, {case.threads} thread(s): {shown}", flush=True)
    check_answers(wanted)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(load_before, 1), round(os.getloadavg()[0], 1)],
    }
    skipped = "\n".join(f"- {what}: {why}" for what, why in SKIPPED.items())
    text = (
        f"# Hop distances\n\n{about['processor']}, {about['cores']} cores, Python {about['python']}, {about['date']}. "
        "CPU seconds are medians after a first run, which is left out; wall seconds mean little where the load average "
        f"({about['load_average'][0]} before, {about['load_average'][1]} after) says that others were at work.\n\n"
        f"{leads(wanted)}\n\n"
        f"## All measurements\n\n{table(wanted)}\n\nNot measured:\n\n{skipped}\n"
    )
    print("\n" + text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = "hops_quick" if arguments.quick else "hops"
    report = {"about": about, "cases": [asdict(case) for case in wanted], "not_measured": SKIPPED}
    (arguments.out / f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / f"{stem}.md").write_text(text)
    plot(wanted, arguments.out / f"{stem}.png")
    if any("error" in case.result for case in wanted):
        raise SystemExit("some measurements failed: see the table")


def processor() -> str:
    """The model's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
