"""Hop distances on Apache Spark, for graphs that no single machine holds.

A search goes hop by hop: the nodes reached last are joined with the edges, and of what they lead to, those are kept
that were not reached before. Every few hops what was found is checkpointed to storage that outlives a worker, so that
losing one costs the hops since then and no more. All steps are sets, so that what is computed again comes out the same.

On anything that one machine holds, :func:`gnnkit.graph.hop_distance` is faster by orders of magnitude.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gnnkit.distributed.spark_edges import node_type
from gnnkit.graph.walk import Direction, checked_max_hops

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

OnHop = Callable[[int, int], None]
CHECKPOINT_EVERY = 4
_SHOWN_NAMES = 5


def hop_distance(
    edges: DataFrame,
    sources: Sequence[int] | Sequence[str],
    *,
    max_hops: int | None = None,
    direction: Direction = "out",
    nodes: DataFrame | None = None,
    checkpoint_every: int = CHECKPOINT_EVERY,
    on_hop: OnHop | None = None,
) -> DataFrame:
    """Fewest edges from each source to every node in its reach: exact.

    Args:
        edges: Columns ``source`` and ``target``, both bigint or both string; repeated edges do no harm.
        sources: Nodes to start from, each once.
        max_hops: Nodes farther than this count as out of reach.
        direction: Follow edges ``"out"`` of a source, ``"in"`` to it, or ``"both"`` ways, as an undirected graph's
            edges that stand there once need.
        nodes: Column ``node``: nodes that may have no edge.
        checkpoint_every: Hops between checkpoints, which the session's checkpoint folder takes.
        on_hop: Told each hop and how many (node, source) pairs lie that far apart, when they are found.

    Returns:
        Columns ``node``, ``source``, ``hops``, a row for every pair in reach, each source with itself at 0 hops; read
        from the last checkpoint.

    Raises:
        ValueError: If a source is no node, is named twice, or is of another type than the edges' nodes; or if an
            option is out of range.
    """
    max_hops = checked_max_hops(max_hops)
    check_every(checkpoint_every)
    spark = edges.sparkSession
    start = _checked_sources(edges, sources, nodes)
    arcs = arcs_along(edges, direction, by="here")
    # Where every arc leads both ways, a node next to hop h - 1 lies at hop h - 2, h - 1 or h: older ones cannot recur.
    looks_back = direction == "both"
    rows = [(node, node, 0) for node in start]
    known = spark.createDataFrame(rows, f"node {node_type(edges)}, source {node_type(edges)}, hops int")
    recent: list[DataFrame] = []
    frontier, hop = known, 0
    while max_hops is None or hop < max_hops:
        hop += 1
        found = _next_hop(arcs, frontier, _union([known, *recent]), hop, looks_back)
        count = found.count()
        if not count:
            found.unpersist()
            break
        recent.append(found)
        frontier = found
        if on_hop is not None:
            on_hop(hop, count)
        if hop % checkpoint_every == 0:
            known, recent = _checkpointed(known, recent), []
            frontier = known.filter(known["hops"] == hop)
    result = _checkpointed(known, recent)
    arcs.unpersist()
    return result


def arcs_along(edges: DataFrame, direction: Direction, *, by: str) -> DataFrame:
    """Edges as walked, ``here`` to ``there``, kept on the workers and divided among them by one of the two.

    Raises:
        ValueError: If there is no such direction, or the edges' columns are not as they should be.
    """
    from pyspark import StorageLevel
    from pyspark.sql import functions as F

    node_type(edges)
    forth = edges.select(F.col("source").alias("here"), F.col("target").alias("there"))
    back = edges.select(F.col("target").alias("here"), F.col("source").alias("there"))
    if direction not in ("out", "in", "both"):
        raise ValueError(f"direction must be 'out', 'in' or 'both', got {direction!r}")
    walked = forth if direction == "out" else back if direction == "in" else forth.union(back)
    partitions = int(edges.sparkSession.conf.get("spark.sql.shuffle.partitions") or 200)
    # Sorted as a merge join wants them, so that no hop has to sort every edge again.
    return walked.repartition(partitions, by).sortWithinPartitions(by).persist(StorageLevel.MEMORY_AND_DISK)


def every_end(edges: DataFrame, nodes: DataFrame | None = None) -> DataFrame:
    """Every node, in column ``node``, as often as edges and ``nodes`` name it."""
    from pyspark.sql import functions as F

    ends = edges.select(F.explode(F.array("source", "target")).alias("node"))
    return ends if nodes is None else ends.union(nodes.select("node"))


def count_nodes(edges: DataFrame, nodes: DataFrame | None = None) -> int:
    """How many nodes there are."""
    return int(every_end(edges, nodes).distinct().count())


def check_every(checkpoint_every: int) -> None:
    """Refuse to checkpoint less than every hop.

    Raises:
        ValueError: If ``checkpoint_every`` is below 1.
    """
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be 1 or more, got {checkpoint_every}")


def _next_hop(arcs: DataFrame, frontier: DataFrame, known: DataFrame, hop: int, looks_back: bool) -> DataFrame:
    from pyspark import StorageLevel
    from pyspark.sql import functions as F

    ahead = frontier.select(F.col("node").alias("here"), "source").join(arcs, "here")
    candidates = ahead.select(F.col("there").alias("node"), "source", F.lit(hop).alias("hops"))
    if looks_back:
        known = known.filter(F.col("hops") >= hop - 2)
    nearest = candidates.union(known).groupBy("node", "source").agg(F.min("hops").alias("hops"))
    return nearest.filter(F.col("hops") == hop).persist(StorageLevel.MEMORY_AND_DISK)


def _checkpointed(known: DataFrame, recent: list[DataFrame]) -> DataFrame:
    """All that is known, written where the loss of a worker does not reach it."""
    partitions = int(known.sparkSession.conf.get("spark.sql.shuffle.partitions") or 200)
    together = _union([known, *recent]).coalesce(partitions).checkpoint()
    for found in recent:
        found.unpersist()
    return together


def _union(frames: list[DataFrame]) -> DataFrame:
    together = frames[0]
    for frame in frames[1:]:
        together = together.union(frame)
    return together


def _checked_sources(
    edges: DataFrame, sources: Sequence[int] | Sequence[str], nodes: DataFrame | None
) -> list[int] | list[str]:
    from pyspark.sql import functions as F

    kind: type[int] | type[str] = int if node_type(edges) == "bigint" else str
    names: list[Any] = list(sources)
    if not names:
        raise ValueError("sources is empty; name at least one node to start from")
    for name in names:
        if isinstance(name, bool) or not isinstance(name, kind):
            raise ValueError(f"the nodes of these edges are {kind.__name__}, got the source {name!r}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"sources must name each node once, got {twice[:_SHOWN_NAMES]} more than once")
    wanted = edges.sparkSession.createDataFrame([(name,) for name in names], f"node {node_type(edges)}")
    ends = every_end(edges, nodes)
    present = {row["node"] for row in ends.join(F.broadcast(wanted), "node", "left_semi").distinct().collect()}
    absent = [name for name in names if name not in present]
    if absent:
        raise ValueError(f"no node {', '.join(map(repr, absent[:_SHOWN_NAMES]))} in these edges ({len(absent)} absent)")
    return names
