"""``gnnkit hops --sources``: hops from chosen nodes, counted here or on Spark, and written a row per pair."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gnnkit.cli.command import BadUsageError
from gnnkit.cli.engine_options import GraphOnSpark
from gnnkit.cli.graph_argument import NamedGraph
from gnnkit.cli.printing import detail, note, show_json, show_rows
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from gnnkit.graph.walk import Direction


class ByHop(NamedTuple):
    """How many nodes lie 0, 1, 2, ... hops from a source, and how many out of its reach."""

    source: str
    nodes_by_hop: list[int]
    out_of_reach: int

    def document(self) -> dict[str, object]:
        """What ``--json`` prints."""
        farthest = len(self.nodes_by_hop) - 1
        return {**self._asdict(), "farthest": farthest}


def split_sources(text: str) -> list[str]:
    """The nodes that ``--sources`` names, between commas; a name with a comma is quoted as in CSV."""
    cells = [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True), [])]
    if not cells or not all(cells):
        raise BadUsageError(f"--sources takes names of nodes between commas, got {text!r}")
    twice = sorted({cell for cell in cells if cells.count(cell) > 1}) if len(set(cells)) < len(cells) else []
    if twice:
        raise BadUsageError(f"--sources names {', '.join(map(repr, twice[:5]))} more than once")
    return cells


def show_sources(graph: str, found: list[ByHop], json: bool) -> None:
    """Print a row, or a document, for each source."""
    if json:
        show_json({"graph": graph, "sources": [by_hop.document() for by_hop in found]})
        return
    rows = [
        (
            f"from {printable(by_hop.source)}",
            f"{' '.join(map(str, by_hop.nodes_by_hop))} nodes at 0, 1, ... hops; {by_hop.out_of_reach} out of reach",
        )
        for by_hop in found
    ]
    show_rows(rows)


def count_here(
    opened: NamedGraph, sources: list[int], max_hops: int | None, direction: "Direction", out: Path | None
) -> list[ByHop]:
    """Count in this process; ``out``, a ``.csv``, receives a row ``node,source,hops`` for every pair in reach."""
    import torch

    from gnnkit.graph.hops import iter_hop_distance
    from gnnkit.storage.atomic import atomic_write

    found, text = [], io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["node", "source", "hops"])
    done = 0
    for block in iter_hop_distance(opened.adjacency, sources, max_hops=max_hops, direction=direction):
        for row in block.long():
            name = opened.name_of(sources[done])
            done += 1
            reached = torch.nonzero(row >= 0).view(-1)
            counts = torch.bincount(row[reached]).tolist()
            found.append(ByHop(name, counts, row.numel() - reached.numel()))
            if out is not None:
                pairs = zip(reached.tolist(), row[reached].tolist(), strict=True)
                writer.writerows((opened.name_of(node), name, hops) for node, hops in pairs)
    if out is not None:
        atomic_write(out, text.getvalue())
        note(f"wrote the hops of {sum(sum(by_hop.nodes_by_hop) for by_hop in found)} pairs to {out}")
    return found


def count_on_spark(
    graph: GraphOnSpark,
    sources: list[str],
    max_hops: int | None,
    direction: "Direction",
    checkpoint_every: int,
    out: Path | None,
) -> list[ByHop]:
    """Count on Spark; ``out``, a new folder ``.csv`` or ``.parquet``, receives columns ``node, source, hops``."""
    from gnnkit.distributed.spark_edges import node_type, write_table
    from gnnkit.distributed.spark_hops import count_nodes, hop_distance

    names: list[str] | list[int] = sources
    if node_type(graph.edges) == "bigint":
        odd = [name for name in sources if not name.lstrip("-").isdecimal()]
        if odd:
            raise BadUsageError(f"there is no node {odd[0]!r}: the nodes of these edges are whole numbers")
        names = [int(name) for name in sources]
    hops = hop_distance(
        graph.edges,
        names,
        max_hops=max_hops,
        direction=direction,
        nodes=graph.nodes,
        checkpoint_every=checkpoint_every,
        on_hop=lambda hop, pairs: detail(f"hop {hop}: {pairs} pairs"),
    )
    if out is not None:
        write_table(hops, out)
        note(f"wrote the hops of {hops.count()} pairs to {out}")
    return _by_hop(hops, sources, count_nodes(graph.edges, graph.nodes))


def _by_hop(hops: "DataFrame", sources: list[str], num_nodes: int) -> list[ByHop]:
    counts: dict[str, list[tuple[int, int]]] = {}
    for row in hops.groupBy("source", "hops").count().collect():
        counts.setdefault(str(row["source"]), []).append((row["hops"], row["count"]))
    by_source = {source: [count for _, count in sorted(pairs)] for source, pairs in counts.items()}
    return [ByHop(source, by_source[source], num_nodes - sum(by_source[source])) for source in sources]
