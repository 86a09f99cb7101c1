"""``gnnkit neighborhood-function``: pairs of nodes within t hops, the effective diameter, the average distance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.engine_options import (
    CheckpointEveryOption,
    CheckpointOption,
    ConfOption,
    EngineOption,
    MasterOption,
    SparkOptions,
    engine_for,
    open_on_spark,
)
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import (
    DataRootOption,
    DelimiterOption,
    DirectedOption,
    GraphArgument,
    HeaderOption,
    NodesOption,
    open_graph,
)
from gnnkit.cli.printing import detail, note, show_json, show_rows

if TYPE_CHECKING:
    from gnnkit.graph.neighborhood import NeighborhoodFunction

_EXACT_UP_TO = 50_000
_LG_REGISTERS = 10


@command
def neighborhood_function(
    context: typer.Context,
    graph: GraphArgument,
    max_hops: Annotated[
        int | None, typer.Option(min=0, help="Count no pairs farther apart than this.", show_default=False)
    ] = None,
    direction: Annotated[
        Literal["out", "in", "both"], typer.Option(help="Follow edges, go against them, or walk them either way.")
    ] = "out",
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--approximate",
            help=f"Count every pair, or estimate by sketches; by default exact up to {_EXACT_UP_TO:,} nodes, "
            "and approximate beyond and on Spark.",
            show_default=False,
        ),
    ] = None,
    lg_registers: Annotated[
        int | None,
        typer.Option(
            min=4,
            max=21,
            help=f"A sketch has 2 to this power registers of a byte; the error is 1.04 by their root. "
            f"By default {_LG_REGISTERS}: 3.2 %.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the hash function of the sketches.")] = 0,
    share: Annotated[float, typer.Option(help="The share of pairs within the effective diameter.")] = 0.9,
    directed: DirectedOption = False,
    nodes: NodesOption = None,
    delimiter: DelimiterOption = None,
    header: HeaderOption = None,
    data_root: DataRootOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write the pairs within every hop.", show_default=False)
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(metavar="GIB", min=0.0, help="Leave larger graphs to Spark; by default than free memory."),
    ] = None,
    engine: EngineOption = "auto",
    spark_master: MasterOption = None,
    spark_conf: ConfOption = None,
    checkpoint_dir: CheckpointOption = None,
    checkpoint_every: CheckpointEveryOption = 4,
    json: JsonOption = False,
) -> None:
    """Count or estimate the pairs of nodes within 0, 1, 2, ... hops; effective diameter and average distance.

    Estimates (HyperANF) come with their standard error; ranges are for twice that error in every number of pairs.
    """
    if not 0 < share <= 1:
        raise BadUsageError(f"--share must be above 0 and at most 1, got {share}")
    if out is not None and out.suffix != ".csv":
        raise BadUsageError(f"--out {out}: the pairs within every hop are written as .csv")
    if exact and lg_registers is not None:
        raise BadUsageError("--exact counts without sketches; leave --lg-registers out")
    if engine_for(context, graph, engine, memory_limit) == "spark":
        from gnnkit.distributed.spark_neighborhood import neighborhood_function as on_spark

        if exact:
            raise BadUsageError("--exact counts on one machine: --engine local; on Spark, pairs are estimated")
        spark = SparkOptions(spark_master, spark_conf, checkpoint_dir, checkpoint_every)
        with open_on_spark(graph, spark, nodes=nodes, delimiter=delimiter, header=header) as opened:
            found = on_spark(
                opened.edges,
                lg_registers=lg_registers or _LG_REGISTERS,
                max_hops=max_hops,
                direction=direction if directed else "both",
                nodes=opened.nodes,
                seed=seed,
                checkpoint_every=checkpoint_every,
                on_hop=lambda hop, growing: detail(f"hop {hop}: {growing} nodes reached more"),
            )
        _show(Path(graph).name, found, share, out, json)
        return
    if engine == "local":
        refuse(context, ("memory_limit",), "leaves larger graphs to Spark; with --engine local leave it out")
    from gnnkit.graph.neighborhood import neighborhood_function as here

    named = open_graph(graph, directed=directed, nodes=nodes, delimiter=delimiter, header=header, data_root=data_root)
    if exact is None and lg_registers is None and named.adjacency.num_nodes > _EXACT_UP_TO:
        note(f"{named.adjacency.num_nodes} nodes: pairs are estimated; --exact counts them, in time nodes x edges")
        lg_registers = _LG_REGISTERS
    elif exact is False:
        lg_registers = lg_registers or _LG_REGISTERS
    if lg_registers is None:
        refuse(context, ("seed",), "chooses the hash of sketches, and these pairs are counted; add --approximate")
    elif lg_registers > 16:
        raise BadUsageError(f"--lg-registers {lg_registers}: one machine takes 4 to 16")
    found = here(named.adjacency, max_hops=max_hops, direction=direction, lg_registers=lg_registers, seed=seed)
    _show(named.name, found, share, out, json)


def _show(graph: str, found: "NeighborhoodFunction", share: float, out: Path | None, json: bool) -> None:
    if out is not None:
        from gnnkit.storage.atomic import atomic_write

        lines = [f"{hops},{pairs:.15g}" for hops, pairs in enumerate(found.pairs)]
        atomic_write(out, "\n".join(["hops,pairs", *lines, ""]))
        note(f"wrote the pairs within {len(lines)} hops to {out}")
    effective, average = found.effective_diameter(share), found.average_distance
    effective_range, average_range = found.effective_diameter_range(share), found.average_distance_range()
    if json:
        document = {
            "graph": graph,
            "nodes": found.num_nodes,
            "pairs_within_hops": list(found.pairs),
            "standard_error": found.standard_error,
            "complete": found.complete,
            "share": share,
            "effective_diameter": effective,
            "effective_diameter_range": list(effective_range),
            "average": average,
            "average_range": list(average_range),
        }
        show_json(document)
        return
    estimated = found.standard_error > 0
    between = [f"  ({low:.3f} to {high:.3f})" if estimated else "" for low, high in (effective_range, average_range)]
    rows = [
        ("nodes", str(found.num_nodes)),
        ("standard error", f"{found.standard_error:.2%} of every number of pairs" if estimated else "none: counted"),
        ("effective diameter", f"{effective:.3f}{between[0]}, within which {share:.0%} of the pairs in reach lie"),
        ("average distance", f"{average:.4f}{between[1]}"),
    ]
    if not found.complete:
        rows.append(("cut short", "some pairs lie farther apart than --max-hops"))
    rows += [
        (f"within {hops} hop{'' if hops == 1 else 's'}", f"{pairs:.0f} pairs") for hops, pairs in enumerate(found.pairs)
    ]
    show_rows(rows)
