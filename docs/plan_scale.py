"""Write the figures of Spark and the plan for large graphs into docs/scale.md, from what the benchmarks measured.

$ python benchmarks/spark.py && python docs/plan_scale.py
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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
ROW_BYTES = 16
POWERS = (9, 10, 11)
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
    between = " to ".join(f"{ratio:,.0f}" for ratio in sorted({min(ratios), max(ratios)}))
    lines += [
        "",
        f"So Spark took {between} times as long as one thread of this library, the "
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


def size_figures(results: list[dict[str, Any]]) -> str:
    """Cost against size on this machine, a column for every graph."""
    machine = results[0]["machine"]
    rows: dict[str, list[str]] = {name: [] for name in ("nodes", "stored edges", "on disk")}
    for result in results:
        converted, sampler, epoch = result["convert"], result["sampler"], result["epoch"]
        batches = sampler["blocks, 2 workers"]["batches_a_second"]
        found = {
            "nodes": f"{result['nodes']:,}",
            "stored edges": f"{sampler['edges']:,}",
            "on disk": size(converted["graph_bytes"]),
            **{
                f"{title}: time, peak memory": f"{part['seconds']:.0f} s, {part['peak_memory_gib']:.2f} GiB"
                for title, part in (
                    ("`gnnkit convert`", converted),
                    ("`gnnkit hops GRAPH/ --sources`, four of them", result["hops"]),
                    ("an epoch of mini-batches and its exact scores", epoch),
                )
            },
            "batches a second, 1,024 nodes, fan-out 10,10, two workers": f"{batches:.0f}",
        }
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    head = [f"{result['lines']:.0e} lines".replace("e+0", "e") for result in results]
    lines = ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    lines += ["| " + " | ".join([name, *values]) + " |" for name, values in rows.items()]
    return "\n".join(
        [
            f"`python benchmarks/scale.py --edges ...` on {machine['cpu_count']} cores ({machine['device_name']}), "
            "R-MAT graphs read from text; seconds are of a machine at work on other things (load "
            + ", ".join(f"{result['machine']['load']:.0f}" for result in results)
            + " before):",
            "",
            *lines,
        ]
    )


def inside(runs: list[dict[str, Any]]) -> str:
    """How many runs had every number of pairs within twice the stated error."""
    return f"{sum(run['within_two_standard_errors'] for run in runs)} of {len(runs)}"


class Column(NamedTuple):
    """A size of graph in the plan."""

    edges: float
    nodes: float
    arcs: float
    csr_bytes: float


def plan(spark: dict[str, Any] | None, hops: dict[str, Any]) -> str:
    """The table of sizes, and the arithmetic behind each of its rows."""
    search = next(c for c in hops["cases"] if (c["graph"], c["task"], c["library"]) == RMAT_SEARCH)
    searched, arcs_searched = statistics.median(search["result"]["cpu"][1:]), 2 * 8_000_000
    local = searched / arcs_searched  # at least: repeated edges of the R-MAT graph were joined
    touched = BATCH * (1 + FANOUT[0] + FANOUT[0] * FANOUT[1])
    rows: list[tuple[str, Callable[[Column], str]]] = [
        ("nodes", lambda of: f"{of.nodes:.3g}"),
        ("edges on disk, CSR of both directions", lambda of: size(of.csr_bytes)),
        (f"features on disk, {FEATURES} of 4 bytes", lambda of: size(of.nodes * FEATURES * 4)),
        ("one search here, graph in memory", lambda of: duration(local * of.arcs)),
        ("one search here, graph on one disk", lambda of: duration(of.csr_bytes / DISK_BYTES_PER_SECOND)),
        ("HyperANF here, 2^6 registers (13 %)", lambda of: size(2 * 64 * of.nodes)),
        ("HyperANF here, 2^8 registers (6.5 %)", lambda of: size(2 * 256 * of.nodes)),
        ("edges in Spark's memory", lambda of: size(ROW_BYTES * of.arcs)),
        ("a mini-batch's features", lambda of: size(touched * FEATURES * 4)),
    ]
    notes = [
        f"- Nodes: one for {1 / NODES_PER_EDGE:.0f} edges, as in the R-MAT graphs measured. Edges on disk: both "
        "directions, 4 bytes a neighbour (8 from 2^31 nodes on), and 8 bytes a node.",
        f"- A search in memory: {local * 1e9:.2f} ns per directed edge, one thread (`benchmarks/hops.py`, R-MAT of "
        f"2^20 nodes, {searched * 1e3:.0f} ms for {arcs_searched:,} directed edges at most). Larger graphs miss the "
        "cache more: expect a few times that. From disk: every byte of the edges once, at an assumed "
        f"{DISK_BYTES_PER_SECOND / 1e9:.0f} GB/s.",
        "- HyperANF here: two sketches of 2^b bytes a node, the old one and the new.",
        f"- A mini-batch: {BATCH} seeds, fan-out {','.join(map(str, FANOUT))}, at most {touched:,} nodes whatever the "
        f"size of the graph. Read one by one from a disk of an assumed {DISK_READS_PER_SECOND:,.0f} reads a second "
        f"they take {touched / DISK_READS_PER_SECOND:.2f} s a batch; from memory, nearly nothing.",
        f"- Spark's memory: {ROW_BYTES} bytes per directed edge, two 64-bit numbers.",
    ]
    if spark is not None:
        core_seconds, said = spark_cost(spark)
        time = (
            f"distances on Spark, {SPARK_CORES} cores",
            lambda of: duration(core_seconds * of.arcs * HOPS / SPARK_CORES),
        )
        rows.insert(-1, time)
        notes.append(said)
    table = [
        "| undirected edges | " + " | ".join(f"10^{power}" for power in POWERS) + " |",
        "|---" * (1 + len(POWERS)) + "|",
        *(f"| {name} | {' | '.join(cell(column(power)) for power in POWERS)} |" for name, cell in rows),
    ]
    return "\n".join([*table, "", "Where the figures come from:", "", *notes])


def column(power: int) -> Column:
    """The graph of 10^power edges."""
    edges = 10.0**power
    nodes, arcs = edges * NODES_PER_EDGE, 2 * edges
    return Column(edges, nodes, arcs, arcs * (4 if nodes < 2**31 else 8) + 8 * nodes)


def spark_cost(spark: dict[str, Any]) -> tuple[float, str]:
    """Core-seconds of a search per directed edge and hop on the largest graph measured, and where they come from."""
    case = max(spark["distances"], key=lambda case: case["edges"])
    calm, arcs, hops = case["spark"][0], 2 * case["edges"], case["farthest"] + 1
    seconds = calm["wall_s"] - calm["read_s"]
    cost = 2 * seconds / (arcs * hops)
    said = (
        f"- Distances on Spark: {cost * 1e6:.2f} core-microseconds per directed edge and hop ({seconds:.0f} s on 2 "
        f"cores, {case['graph']}: {arcs:,} directed edges, {hops} hops; the start of every hop is in it, so an upper "
        f"bound), {HOPS} hops, {SPARK_CORES} cores. Its cache held {calm['cached_bytes'] / arcs:.1f} bytes per "
        "directed edge, compressed: small numbers are."
    )
    return cost, said


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
            return f"{seconds / scale:.0f} {unit}"
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
    measured = RESULTS / "spark.json"
    spark = json.loads(measured.read_text()) if measured.exists() else None
    hops = json.loads((RESULTS / "hops.json").read_text())
    page = page_file.read_text()
    by = "written by docs/plan_scale.py -->"
    if spark is not None:
        page = put(page, f"<!-- figures of spark: {by}", "<!-- end of figures -->", spark_figures(spark))
    sizes = [RESULTS / f"scale_{edges}.json" for edges in ("1e6", "1e7", "1e8")]
    figures = size_figures([json.loads(path.read_text()) for path in sizes if path.exists()])
    page = put(page, f"<!-- figures of sizes: {by}", "<!-- end of figures of sizes -->", figures)
    page = put(page, f"<!-- plan: {by}", "<!-- end of plan -->", plan(spark, hops))
    page_file.write_text(page)


if __name__ == "__main__":
    main()
