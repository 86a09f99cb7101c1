"""Hops on a Spark cluster that loses workers: exact? And sketches: within their stated error? What does it all cost?

A master and two workers of one core and 1 GiB run on this host. Distances from two nodes are counted on graphs of
100,000 nodes and more: once undisturbed, then three times with a worker and its executor killed (``kill -9``) at a
different hop. Every run must equal this library's own distances. HyperANF is held against exact counts, on several
seeds here and on Spark. Beside each stands what one process of this library takes for the same.

    $ GNNKIT_DATA=... python benchmarks/spark.py            # about a quarter of an hour on two cores
    $ GNNKIT_DATA=... python benchmarks/spark.py --quick    # a small graph, one kill
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from hops import planetoid, rmat, undirected
from spark_cluster import Cluster
from timing import machine

from gnnkit.distributed.spark_edges import read_edges, write_table
from gnnkit.distributed.spark_hops import hop_distance as hops_on_spark
from gnnkit.distributed.spark_neighborhood import neighborhood_function as sketches_on_spark
from gnnkit.graph import Adjacency, hop_distance
from gnnkit.graph.neighborhood import NeighborhoodFunction, neighborhood_function

RESULTS = Path(__file__).parent / "results" / "spark.json"
SEEDS = range(10)


def small_world(num_nodes: int, shortcuts: int, seed: int = 0) -> scipy.sparse.csr_array:
    """A ring whose nodes know two neighbours on each side, with random shortcuts (Newman & Watts, 1999)."""
    rng, ring = np.random.default_rng(seed), np.arange(num_nodes)
    far = rng.integers(0, num_nodes, (2, shortcuts))
    sources = np.concatenate([ring, ring, far[0]])
    targets = np.concatenate([(ring + 1) % num_nodes, (ring + 2) % num_nodes, far[1]])
    return undirected(sources, targets, num_nodes)


def write_edges(matrix: scipy.sparse.csr_array, path: Path) -> None:
    """Every undirected edge once, as CSV."""
    entries = matrix.tocoo()
    once = entries.row < entries.col
    pairs = np.stack([entries.row[once], entries.col[once]], axis=1)
    np.savetxt(path, pairs, fmt="%d", delimiter=",", header="source,target", comments="")


def two_sources(matrix: scipy.sparse.csr_array) -> list[int]:
    """The node of highest degree, and one of its nodes farthest away."""
    hub = int(np.diff(matrix.indptr).argmax())
    return [hub, int(hop_distance(Adjacency.from_scipy(matrix), [hub])[0].argmax())]


class Assassin:
    """Kills a worker some moments after a hop was found, while the next ones are sought, and starts another."""

    def __init__(self, cluster: Cluster, after_hop: int, index: int) -> None:
        self._cluster, self._after, self._index = cluster, after_hop, index
        self._thread: threading.Thread | None = None
        self.delay = random.Random(after_hop).uniform(0.1, 1.5)
        self.hops_found = 0
        self.hops_found_before: int | None = None

    def on_hop(self, hop: int, count: int) -> None:
        self.hops_found = hop
        if hop == self._after:
            self._thread = threading.Thread(target=self._strike)
            self._thread.start()

    def _strike(self) -> None:
        time.sleep(self.delay)
        self.hops_found_before = self.hops_found
        self._cluster.kill_worker(self._index)
        self._cluster.add_worker()

    def report(self) -> dict[str, Any]:
        if self._thread is None:
            raise SystemExit(f"no worker was killed: the job was over before hop {self._after}")
        self._thread.join()
        return {"worker": self._index, "hops_found_before": self.hops_found_before, "of_hops": self.hops_found}


def lost_executors(spark: Any) -> int:
    """Executors that Spark itself has seen go."""
    listed = spark.sparkContext._jsc.sc().statusStore().executorList(False)
    return sum(not listed.apply(index).isActive() for index in range(listed.size()))


def cached_bytes(spark: Any) -> int:
    """What Spark keeps in its workers' memory and on their disks."""
    return sum(kept.memSize() + kept.diskSize() for kept in spark.sparkContext._jsc.sc().getRDDStorageInfo())


def read_distances(folder: Path, sources: list[int], num_nodes: int) -> torch.Tensor:
    """The table that Spark wrote, as the matrix of :func:`hop_distance`."""
    found = np.full((len(sources), num_nodes), -1)
    for part in folder.glob("part-*.csv"):
        rows = np.loadtxt(part, dtype=np.int64, delimiter=",", skiprows=1, ndmin=2)
        if rows.size:
            found[np.searchsorted(np.sort(sources), rows[:, 1]), rows[:, 0]] = rows[:, 2]
    return torch.from_numpy(found[np.argsort(np.argsort(sources))])


def distances(name: str, matrix: scipy.sparse.csr_array, kills: int, folder: Path) -> dict[str, Any]:
    """One undisturbed run and ``kills`` disturbed ones, each in a session of its own."""
    path, sources = folder / f"{name}.csv", two_sources(matrix)
    write_edges(matrix, path)
    ours, local = timed(lambda: hop_distance(Adjacency.from_scipy(matrix), sources))
    farthest = int(ours.max())
    runs = []
    with Cluster(folder / f"cluster {name}") as cluster:
        for number in range(kills + 1):
            after = max(1, number * farthest // (kills + 1)) if number else 0
            out = folder / f"{name}-{number}.csv"
            run = one_run(cluster, path, sources, out, Assassin(cluster, after, number % 2) if number else None)
            run["exact"] = bool((read_distances(out, sources, matrix.shape[0]) == ours).all())
            runs.append(run)
            print(f"{name}, run {number}: {run}", flush=True)
    size = {"nodes": matrix.shape[0], "edges": matrix.nnz // 2, "sources": len(sources), "farthest": farthest}
    return {"graph": name, **size, "in_reach": int((ours >= 0).sum()), "this_library": local, "spark": runs}


def one_run(cluster: Cluster, path: Path, sources: list[int], out: Path, assassin: Assassin | None) -> dict[str, Any]:
    """Read the edges, count, write the table; what it took, and what became of the workers."""
    cached = []

    def on_hop(hop: int, count: int) -> None:
        if hop == 1:  # the edges, and next to nothing else
            cached.append(cached_bytes(spark))
        if assassin is not None:
            assassin.on_hop(hop, count)

    with cluster.session() as spark:
        started = time.perf_counter()
        edges = read_edges(spark, path).frame
        read = time.perf_counter() - started
        write_table(hops_on_spark(edges, sources, direction="both", on_hop=on_hop), out)
        run = {"wall_s": time.perf_counter() - started, "read_s": read, "cached_bytes": cached[0]}
        if assassin is None:
            return run
        killed = assassin.report()
        return {**run, "killed": killed, "executors_lost": lost_executors(spark)}


def sketches(name: str, matrix: scipy.sparse.csr_array, lg_registers: int, folder: Path) -> dict[str, Any]:
    """HyperANF on the cluster and here, beside exact counts; nodes without edges are in no edge list."""
    path = folder / f"{name} sketched.csv"
    write_edges(matrix, path)
    with_edges = np.flatnonzero(np.diff(matrix.indptr))
    graph = Adjacency.from_scipy(matrix[with_edges][:, with_edges])
    exact, exactly = timed(lambda: neighborhood_function(graph))
    here = []
    for seed in SEEDS:
        found, estimating = timed(lambda seed=seed: neighborhood_function(graph, lg_registers=lg_registers, seed=seed))
        here.append({"seed": seed, **errors(found, exact), **estimating})
    there = []
    with Cluster(folder / f"cluster {name} sketched") as cluster:
        for seed in SEEDS[:2]:
            with cluster.session() as spark:
                started = time.perf_counter()
                edges = read_edges(spark, path).frame
                estimate = sketches_on_spark(edges, lg_registers=lg_registers, direction="both", seed=seed)
                there.append({"seed": seed, **errors(estimate, exact), "wall_s": time.perf_counter() - started})
                print(f"{name}, sketches, seed {seed}: {there[-1]}", flush=True)
    return {
        "graph": name,
        "nodes": graph.num_nodes,
        "edges": matrix.nnz // 2,
        "lg_registers": lg_registers,
        "exact": {**exactly, "average": exact.average_distance, "effective_diameter": exact.effective_diameter()},
        "this_library": here,
        "spark": there,
    }


def errors(found: NeighborhoodFunction, exact: NeighborhoodFunction) -> dict[str, Any]:
    """The largest relative error of a number of pairs, and of what follows from them, beside what was stated."""
    length = max(len(found.pairs), len(exact.pairs))
    ours, theirs = (np.pad(np.array(f.pairs), (0, length - len(f.pairs)), mode="edge") for f in (found, exact))
    average, effective = exact.average_distance, exact.effective_diameter()
    low, high = found.average_distance_range()
    lowest, highest = found.effective_diameter_range()
    return {
        "standard_error": found.standard_error,
        "largest_error": float(np.abs(ours / theirs - 1).max()),
        "within_two_standard_errors": bool((np.abs(ours / theirs - 1) <= 2 * found.standard_error).all()),
        "average": found.average_distance,
        "average_error": found.average_distance / average - 1,
        "average_in_range": low <= average <= high,
        "effective_diameter": found.effective_diameter(),
        "effective_diameter_error": found.effective_diameter() / effective - 1,
        "effective_diameter_in_range": lowest <= effective <= highest,
    }


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    started, started_cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - started_cpu}


def begun(path: Path) -> dict[str, Any]:
    """The results so far."""
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    about = {"machine": machine(), "cluster": "2 workers of 1 core and 1 GiB, driver 1 GiB"}
    return {**about, "distances": [], "sketches": []}


def keep(report: dict[str, Any], path: Path) -> None:
    """Write the results so far."""
    report["machine"]["load_after"] = os.getloadavg()[0]
    path.write_text(json.dumps(report, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a graph of 5,000 nodes, one kill; writes no results")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the cluster goes, too
    if not arguments.quick and "GNNKIT_DATA" not in os.environ:
        parser.error("GNNKIT_DATA must name the folder of data sets that holds PubMed")
    report = begun(arguments.out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.quick:
            report = {"machine": machine(), "distances": [distances("small world", small_world(5000, 500), 1, folder)]}
        else:
            # Minutes each: what is in the results already is not done again, and what is done is written at once.
            for title, matrix in (("R-MAT 2^17", rmat(17, 1 << 20)), ("small world", small_world(100_000, 20_000))):
                if title not in {case["graph"] for case in report["distances"]}:
                    report["distances"].append(distances(title, matrix, 3, folder))
                    keep(report, arguments.out)
            for title, matrix, lg in (("PubMed", planetoid("pubmed"), 10), ("R-MAT 2^16", rmat(16, 1 << 19), 8)):
                if title not in {case["graph"] for case in report["sketches"]}:
                    report["sketches"].append(sketches(title, matrix, lg, folder))
                    keep(report, arguments.out)
    wrong = [case["graph"] for case in report["distances"] if not all(run["exact"] for run in case["spark"])]
    if wrong:
        sys.exit(f"distances on Spark differ from ours: {wrong}")
    print("every distance on Spark equals ours")


if __name__ == "__main__":
    main()
