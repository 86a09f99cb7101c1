"""Write the figures of Spark and the plan for large graphs into docs/scale.md, from what the benchmarks measured.

$ python benchmarks/spark.py && python docs/plan_scale.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

RMAT_SEARCH = ("R-MAT 2^20", "1 source", "gnnkit")
HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"

# What is assumed, not measured; the plan prints each of these.
NODES_PER_EDGE = 1 / 16
FEATURES = 128
DISK_BYTES_PER_SECOND = 2e9
DISK_READS_PER_SECOND = 500e3
SPARK_CORES = 256
HOPS = 10
BATCH, FANOUT = 1024, (10, 10)


def spark_figures(spark: dict[str, Any]) -> str:
    """Distances and sketches on the cluster beside one process of this library."""
    machine = spark["machine"]
    lines = [
        f"`benchmarks/spark.py`: {spark['cluster']}, all on one host of two cores (load average {machine['load']:.1f} "
        f"before, {machine['load_after']:.1f} after: the others' work counts in wall seconds).",
        "",
        "| graph | nodes | edges | hops | Spark, undisturbed | a worker killed, three times | distances equal ours "
        "| this library, one thread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in spark["distances"]:
        calm, *disturbed = case["spark"]
        killed = ", ".join(f"{run['wall_s']:.0f} s (hop {run['killed']['hops_found_before']})" for run in disturbed)
        equal = f"{sum(run['exact'] for run in case['spark'])} of {len(case['spark'])} runs"
        lines.append(
            f"| {case['graph']} | {case['nodes']:,} | {case['edges']:,} | {case['farthest']} | {calm['wall_s']:.0f} s "
            f"| {killed} | {equal} | {case['this_library']['wall_s']:.2f} s |"
        )
    ratios = [case["spark"][0]["wall_s"] / case["this_library"]["wall_s"] for case in spark["distances"]]
    lines += [
        "",
        f"So Spark took {min(ratios):,.0f} to {max(ratios):,.0f} times as long as one thread of this library, the "
        "graph made and searched in memory. It is for graphs that no machine holds, and for nothing else.",
        "",
        "| graph | nodes | registers | stated error | largest error on Spark | within twice of it: Spark; here "
        "| average distance | effective diameter | Spark | here | counted |",
        "|---" * 11 + "|",
    ]
    for case in spark["sketches"]:
        there, here, exact = case["spark"], case["this_library"], case["exact"]
        largest = max(run["largest_error"] for run in there)
        average, effective = (
            f"{exact[name]:.3f}; " + ", ".join(f"{run[name]:.3f}" for run in there)
            for name in ("average", "effective_diameter")
        )
        seconds = [statistics.median(run["wall_s"] for run in runs) for runs in (there, here)]
        lines.append(
            f"| {case['graph']} | {case['nodes']:,} | 2^{case['lg_registers']} | {there[0]['standard_error']:.1%} "
            f"| {largest:.1%} | {inside(there)}; {inside(here)} | {average} | {effective} "
            f"| {seconds[0]:.0f} s | {seconds[1]:.1f} s | {exact['wall_s']:.1f} s |"
        )
    lines += ["", "Averages and effective diameters: exact first, then Spark's estimates, a seed each."]
    return "\n".join(lines)


def inside(runs: list[dict[str, Any]]) -> str:
    """How many runs had every number of pairs within twice the stated error."""
    return f"{sum(run['within_two_standard_errors'] for run in runs)} of {len(runs)}"


def plan(spark: dict[str, Any], hops: dict[str, Any]) -> str:
    """The table of sizes, and the arithmetic behind each of its columns."""
    search = next(c for c in hops["cases"] if (c["graph"], c["task"], c["library"]) == RMAT_SEARCH)
    arcs_searched = 2 * 8_000_000  # an upper bound: repeated edges were joined
    local = statistics.median(search["result"]["cpu"][1:]) / arcs_searched
    largest = max(spark["distances"], key=lambda case: case["edges"])
    calm, arcs = largest["spark"][0], 2 * largest["edges"]
    core_seconds = 2 * (calm["wall_s"] - calm["read_s"]) / (arcs * (largest["farthest"] + 1))
    cached = calm["cached_bytes"] / arcs
    touched = BATCH * (1 + FANOUT[0] + FANOUT[0] * FANOUT[1])
    header = "| undirected edges | " + " | ".join(f"10^{power}" for power in (9, 10, 11)) + " |"
    rows: list[tuple[str, list[str]]] = [
        ("nodes", []),
        ("edges on disk, CSR of both directions", []),
        (f"features on disk, {FEATURES} of 4 bytes", []),
        ("one search here, graph in memory", []),
        ("one search here, graph on one disk", []),
        ("HyperANF here, 2^6 registers (13 %)", []),
        ("HyperANF here, 2^8 registers (6.5 %)", []),
        ("edges in Spark's memory", []),
        (f"distances on Spark, {SPARK_CORES} cores", []),
        ("a mini-batch's features", []),
    ]
    for power in (9, 10, 11):
        edges = 10**power
        nodes, arcs = edges * NODES_PER_EDGE, 2 * edges
        width = 4 if nodes < 2**31 else 8
        csr = arcs * width + 8 * nodes
        cells = [
            f"{nodes:.3g}",
            size(csr),
            size(nodes * FEATURES * 4),
            duration(local * arcs),
            duration(csr / DISK_BYTES_PER_SECOND),
            size(2 * 64 * nodes),
            size(2 * 256 * nodes),
            size(cached * arcs),
            duration(core_seconds * arcs * HOPS / SPARK_CORES),
            size(touched * FEATURES * 4),
        ]
        for (_, row), cell in zip(rows, cells, strict=True):
            row.append(cell)
    arithmetic = [
        f"- Nodes: one for {1 / NODES_PER_EDGE:.0f} edges, as in the R-MAT graphs measured. Edges on disk: both "
        "directions, 4 bytes a neighbour (8 from 2^31 nodes on), and 8 bytes a node.",
        f"- A search in memory: {local * 1e9:.2f} ns per directed edge, one thread (`benchmarks/hops.py`, R-MAT of "
        f"2^20 nodes, {statistics.median(search['result']['cpu'][1:]) * 1e3:.0f} ms for {arcs_searched:,} directed "
        "edges at most). Larger graphs miss the cache more: expect a few times that. From disk: every byte of the "
        f"edges once, at an assumed {DISK_BYTES_PER_SECOND / 1e9:.0f} GB/s.",
        "- HyperANF here: two sketches of 2^b bytes a node, the old one and the new.",
        f"- Spark's memory: {cached:.1f} bytes per directed edge, as its own storage report had it. Its time: "
        f"{core_seconds * 1e6:.2f} core-microseconds per directed edge and hop "
        f"({calm['wall_s'] - calm['read_s']:.0f} s "
        f"on 2 cores, {largest['graph']}: {2 * largest['edges']:,} directed edges, {largest['farthest'] + 1} hops, "
        f"the start of every hop included, so an upper bound), {HOPS} hops, {SPARK_CORES} cores.",
        f"- A mini-batch: {BATCH} seeds, fan-out {','.join(map(str, FANOUT))}, at most {touched:,} nodes whatever the "
        f"size of the graph. Read one by one from a disk of an assumed {DISK_READS_PER_SECOND / 1e3:.0f},000 reads a "
        f"second they take {touched / DISK_READS_PER_SECOND:.2f} s a batch; from memory, nearly nothing.",
    ]
    table = [header, "|---" * 4 + "|", *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)]
    return "\n".join([*table, "", "Where the figures come from:", "", *arithmetic])


def size(number: float) -> str:
    """Bytes, in the unit that suits."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return f"{number:.0f} B"


def duration(seconds: float) -> str:
    """Seconds, in the unit that suits."""
    for unit, scale in (("h", 3600), ("min", 60)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.2g} {unit}"
    return f"{seconds:.2g} s"


def put(page: str, begin: str, end: str, text: str) -> str:
    """The page with ``text`` between two comments."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    if not rest or not after:
        raise SystemExit(f"docs/scale.md lacks {begin!r} ... {end!r}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> None:
    """Rewrite what stands between the comments."""
    page_file = HERE / "scale.md"
    spark = json.loads((RESULTS / "spark.json").read_text())
    hops = json.loads((RESULTS / "hops.json").read_text())
    page = page_file.read_text()
    by = "written by docs/plan_scale.py -->"
    page = put(page, f"<!-- figures of spark: {by}", "<!-- end of figures -->", spark_figures(spark))
    page = put(page, f"<!-- plan: {by}", "<!-- end of plan -->", plan(spark, hops))
    page_file.write_text(page)


if __name__ == "__main__":
    main()
