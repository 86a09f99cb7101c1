"""HyperANF on Apache Spark: the neighbourhood function of graphs that no machine holds, by Spark's own sketches.

A HyperLogLog sketch per node of the nodes within t hops of it is joined with its neighbours' sketches, hop by hop, by
``hll_union_agg``. The estimates' stated error and their source: :mod:`gnnkit.graph.neighborhood`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnnkit.distributed.spark_edges import node_type
from gnnkit.distributed.spark_hops import CHECKPOINT_EVERY, OnHop, arcs_along, check_every, every_end
from gnnkit.graph.neighborhood import NeighborhoodFunction, sketch_error
from gnnkit.graph.walk import Direction, checked_max_hops

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def neighborhood_function(
    edges: DataFrame,
    *,
    lg_registers: int = 10,
    max_hops: int | None = None,
    direction: Direction = "out",
    nodes: DataFrame | None = None,
    seed: int = 0,
    checkpoint_every: int = CHECKPOINT_EVERY,
    on_hop: OnHop | None = None,
) -> NeighborhoodFunction:
    """Estimate how many ordered pairs of nodes lie within 0, 1, 2, ... hops.

    Args:
        edges: Columns ``source`` and ``target``, both bigint or both string; repeated edges do no harm.
        lg_registers: Sketches have two to this power registers of a byte, 4 to 21; the relative standard error of
            each number of pairs is at most 1.04 by the root of that, 3.2 % at 10.
        max_hops: Pairs farther apart than this are not counted.
        direction: Follow edges ``"out"``, ``"in"`` or ``"both"`` ways.
        nodes: Column ``node``: nodes that may have no edge.
        seed: Another seed, another estimate with an error of its own.
        checkpoint_every: Hops between checkpoints, which the session's checkpoint folder takes.
        on_hop: Told each hop and the number of nodes that reached more in it.

    Raises:
        ValueError: If an option is out of range, or the edges' columns are not as they should be.
    """
    from pyspark.sql import functions as F

    max_hops = checked_max_hops(max_hops)
    check_every(checkpoint_every)
    if isinstance(lg_registers, bool) or not isinstance(lg_registers, int) or not 4 <= lg_registers <= 21:
        raise ValueError(f"lg_registers must be a whole number from 4 to 21, got {lg_registers!r}")
    arcs = arcs_along(edges, direction, by="there")
    sketches = _first_sketches(edges, nodes, lg_registers, seed)
    pairs, growing = [float(sketches.count())], True
    while growing and (max_hops is None or len(pairs) <= max_hops):
        following = _next_sketches(arcs, sketches)
        safe = len(pairs) % checkpoint_every == 0
        following = following.checkpoint() if safe else following.persist(_storage())
        total = following.agg(F.sum(F.col("size").cast("double")), F.count_if(F.col("size") > F.col("before"))).first()
        assert total is not None  # an aggregate without groups has one row
        sketches.unpersist()
        sketches, growing = following, total[1] > 0
        if growing:
            pairs.append(float(total[0]))
            if on_hop is not None:
                on_hop(len(pairs) - 1, int(total[1]))
    complete = not growing or not _next_sketches(arcs, sketches).filter("size > before").head(1)
    for frame in (sketches, arcs):
        frame.unpersist()
    return NeighborhoodFunction(tuple(pairs), sketch_error(lg_registers), complete)


def _first_sketches(edges: DataFrame, nodes: DataFrame | None, lg_registers: int, seed: int) -> DataFrame:
    """A sketch per node that has seen that node alone: columns ``node``, ``sketch``, ``size``, ``before``."""
    from pyspark.sql import functions as F

    node_type(edges)
    # Spark's sketches have one hash function; hashing before it with the seed makes another.
    seen = F.hll_sketch_agg(F.xxhash64(F.lit(seed).cast("bigint"), "node"), lg_registers)
    sketches = every_end(edges, nodes).groupBy("node").agg(seen.alias("sketch"))
    one, none = F.lit(1).cast("bigint"), F.lit(0).cast("bigint")
    return sketches.select("node", "sketch", one.alias("size"), none.alias("before")).persist(_storage())


def _next_sketches(arcs: DataFrame, sketches: DataFrame) -> DataFrame:
    """Each node's sketch joined with those of the nodes one hop ahead."""
    from pyspark.sql import functions as F

    told = sketches.select(F.col("node").alias("there"), "sketch").join(arcs, "there")
    heard = told.select(F.col("here").alias("node"), "sketch", F.lit(0).cast("bigint").alias("size"))
    every = heard.union(sketches.select("node", "sketch", "size"))
    joined = every.groupBy("node").agg(F.hll_union_agg("sketch").alias("sketch"), F.max("size").alias("before"))
    # A union is estimated in another way than a sketch that took its nodes one by one, and could come out below it.
    size = F.greatest(F.hll_sketch_estimate("sketch"), F.col("before"))
    return joined.select("node", "sketch", size.alias("size"), "before")


def _storage() -> object:
    from pyspark import StorageLevel

    return StorageLevel.MEMORY_AND_DISK
