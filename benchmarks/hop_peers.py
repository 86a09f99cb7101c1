"""One measurement of one library, in a process of its own: started by hops.py, prints one line of JSON.

A library prepares its own form of the graph before the clock starts. What is timed ends with the hops of every asked
pair in memory, in whatever form the library keeps them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

Run = Callable[[], Any]
# What a library's module makes: a function that runs the task, and one that sums the hops of its answer.
Task = tuple[Run, Callable[[Any], int]]


def sum_of_hops(hops: np.ndarray[Any, Any], chunk: int = 256) -> int:
    """Sum over the reached pairs, whatever marks the others; by rows, so as not to need much memory."""
    hops = np.atleast_2d(hops)
    total = 0
    for begin in range(0, hops.shape[0], chunk):
        rows = hops[begin : begin + chunk]
        reached = (rows > 0) & (rows < 1e9) if rows.dtype.kind == "f" else rows > 0
        total += int(rows.sum(where=reached, dtype=np.float64))
    return total


def gnnkit_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int, wide: bool) -> Task:
    import torch

    from gnnkit.graph import Adjacency
    from gnnkit.graph.hops import diameter, hop_distance, hop_histogram, iter_hop_distance

    torch.set_num_threads(threads)
    graph = Adjacency.from_scipy(matrix)

    def in_peers_dtype() -> torch.Tensor:
        rows = sources or range(graph.num_nodes)
        hops = torch.empty(len(rows), graph.num_nodes, dtype=torch.float64)
        begin = 0
        for block in iter_hop_distance(graph, sources or None):
            part = hops[begin : begin + block.size(0)]
            part.copy_(block).masked_fill_(block < 0, torch.inf)
            begin += block.size(0)
        return hops

    if task == "diameter":
        return lambda: diameter(graph), int
    if task == "histogram":
        return lambda: hop_histogram(graph), lambda counts: int((counts * torch.arange(counts.numel())).sum())
    run = in_peers_dtype if wide else lambda: hop_distance(graph, sources or None)
    return run, lambda hops: sum_of_hops(hops.numpy())


def scipy_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int) -> Task:
    from scipy.sparse.csgraph import shortest_path

    if task == "diameter":
        return lambda: shortest_path(matrix, unweighted=True).max(), int
    return lambda: shortest_path(matrix, unweighted=True, indices=sources or None), sum_of_hops


def scipy_order_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int) -> Task:
    from scipy.sparse.csgraph import breadth_first_order

    return lambda: [breadth_first_order(matrix, source) for source in sources], lambda _: -1  # no hops to sum


def networkx_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int) -> Task:
    import networkx

    graph = networkx.from_scipy_sparse_array(matrix)
    if task == "diameter":
        return lambda: networkx.diameter(graph, usebounds=True), int
    length = networkx.single_source_shortest_path_length
    run = lambda: {source: length(graph, source) for source in sources or graph}  # noqa: E731
    return run, lambda hops: sum(sum(row.values()) for row in hops.values())


def rustworkx_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int) -> Task:
    import rustworkx

    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(matrix.shape[0]))
    upper = scipy.sparse.triu(matrix).tocoo()
    graph.add_edges_from_no_data(list(zip(upper.row.tolist(), upper.col.tolist(), strict=True)))
    if task == "diameter":
        return lambda: rustworkx.distance_matrix(graph).max(), int
    return lambda: rustworkx.distance_matrix(graph), sum_of_hops


def networkit_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int) -> Task:
    import networkit

    networkit.setNumberOfThreads(threads)
    upper = scipy.sparse.triu(matrix).tocoo()
    pairs = (upper.row.astype(np.uint64), upper.col.astype(np.uint64))
    graph = networkit.GraphFromCoo(pairs, n=matrix.shape[0])

    def exact_diameter() -> int:
        search = networkit.distance.Diameter(graph, algo=networkit.distance.DiameterAlgo.EXACT)
        return int(search.run().getDiameter()[0])

    def all_pairs() -> Any:
        search = networkit.distance.APSP(graph)
        search.run()
        return search

    def from_sources() -> list[Any]:
        searches = [networkit.distance.BFS(graph, source, False) for source in sources]
        return [search.run() and search.getDistances(asarray=True) for search in searches]

    if task == "diameter":
        return exact_diameter, int
    if task == "all pairs":
        # Only the answer's own numbers are asked of it: a conversion to Python lists is not its fault.
        return all_pairs, lambda search: sum_of_hops(np.asarray(search.getDistances(asarray=True)))
    return from_sources, lambda rows: sum(sum_of_hops(np.asarray(row)) for row in rows)


def graphblas_task(matrix: scipy.sparse.csr_array, task: str, sources: list[int], threads: int) -> Task:
    import graphblas
    from graphblas import Matrix, Vector, semiring

    graphblas.ss.config["nthreads"] = threads
    size = matrix.shape[0]
    edges = graphblas.io.from_scipy_sparse(matrix.astype(bool))
    step = semiring.any_pair

    def from_one(source: int) -> Any:
        hops, frontier, level = Vector(int, size), Vector(bool, size), 0
        frontier[source] = True
        while frontier.nvals:
            hops(frontier.S) << level
            frontier(~hops.S, replace=True) << step(frontier @ edges)
            level += 1
        return hops

    def all_at_once() -> Any:
        nodes, level = np.arange(size), 0
        frontier = Matrix.from_coo(nodes, nodes, True, nrows=size, ncols=size, dtype=bool)
        hops = Matrix(int, size, size)
        while frontier.nvals:
            hops(frontier.S) << level
            frontier(~hops.S, replace=True) << step(frontier @ edges)
            level += 1
        return hops

    if task == "all pairs":
        return all_at_once, lambda hops: int(hops.reduce_scalar().get(0))
    return lambda: [from_one(source) for source in sources], lambda rows: sum(int(row.reduce().get(0)) for row in rows)


TASKS: dict[str, Callable[..., Task]] = {
    "gnnkit": lambda *arguments: gnnkit_task(*arguments, wide=False),
    "gnnkit, float64": lambda *arguments: gnnkit_task(*arguments, wide=True),
    "scipy": scipy_task,
    "scipy, order only": scipy_order_task,
    "networkx": networkx_task,
    "rustworkx": rustworkx_task,
    "networkit": networkit_task,
    "python-graphblas": graphblas_task,
}
PACKAGES = {name: name.split(",")[0] for name in TASKS}


def memory_mb(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (at most, of this program alone), where the system tells."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure(library: str, graph: str, task: str, sources: list[int], threads: int, repeats: int) -> dict[str, Any]:
    """Run a task ``repeats`` times, the first time apart; seconds, the answer's sum, and memory over the imports."""
    __import__({"python-graphblas": "graphblas"}.get(PACKAGES[library], PACKAGES[library]))
    if library.startswith("gnnkit"):
        import gnnkit.graph.hops  # noqa: F401
    imported = memory_mb("VmRSS")
    matrix = scipy.sparse.load_npz(graph)
    run, total = TASKS[library](matrix, task, sources, threads)
    cpu, wall = [], []
    answer = None
    for _ in range(repeats):
        answer = None  # before the next one is made
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        answer = run()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    peak = memory_mb("VmHWM") - imported
    return {
        "cpu": cpu,
        "wall": wall,
        "peak_mb": peak,
        "sum": total(answer),
        "version": version(PACKAGES[library]),
    }


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
