"""``gnnkit hops``: how far apart nodes are, and what lies between them."""

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
from gnnkit.cli.graph_argument import (
    DataRootOption,
    DelimiterOption,
    DirectedOption,
    GraphArgument,
    HeaderOption,
    NamedGraph,
    NodesOption,
    open_graph,
)
from gnnkit.cli.hops_from import ByHop, count_here, count_on_spark, show_sources, split_sources
from gnnkit.cli.printing import note, show, show_json, show_rows, verbosity
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    import torch

    from gnnkit.graph.walk import Direction

_MAX_LISTED = 60
_SOURCES_AT_ONCE = 4096
# A line "node,source,hops" of a table, as text and once more while it is written.
_BYTES_OF_A_ROW = 64


@command
def hops(
    context: typer.Context,
    graph: GraphArgument,
    source: Annotated[str | None, typer.Argument(help="A node.", show_default=False)] = None,
    target: Annotated[str | None, typer.Argument(help="Another node.", show_default=False)] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Count from several nodes; --out then has a row per pair.", show_default=False
        ),
    ] = None,
    max_hops: Annotated[
        int | None, typer.Option(min=0, help="Nodes farther than this count as out of reach.", show_default=False)
    ] = None,
    direction: Annotated[
        Literal["out", "in", "both"], typer.Option(help="Follow edges, go against them, or walk them either way.")
    ] = "out",
    directed: DirectedOption = False,
    nodes: NodesOption = None,
    delimiter: DelimiterOption = None,
    header: HeaderOption = None,
    data_root: DataRootOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the distances, .npy, .npz (with names) or .csv: from SOURCE, or from every node. "
            "With --sources, or on Spark, rows of node, source, hops: .csv, on Spark also .parquet.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the graph coloured by hop from SOURCE, or the histogram of distances (.png .svg .pdf).",
            show_default=False,
        ),
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            min=0.0,
            help="Refuse results larger than this, and leave larger graphs to Spark; by default than free memory.",
        ),
    ] = None,
    engine: EngineOption = "auto",
    spark_master: MasterOption = None,
    spark_conf: ConfOption = None,
    checkpoint_dir: CheckpointOption = None,
    checkpoint_every: CheckpointEveryOption = 4,
    json: JsonOption = False,
) -> None:
    """Count hops: between two nodes with a path, from one node, or over all pairs.

    As many GNN layers as hops are needed before one node can influence another.
    """
    if sources is not None and source is not None:
        raise BadUsageError("name the nodes as SOURCE and TARGET or with --sources, not both")
    chosen = None if sources is None else split_sources(sources)
    if engine_for(context, graph, engine, memory_limit) == "spark":
        spark = SparkOptions(spark_master, spark_conf, checkpoint_dir, checkpoint_every)
        if (chosen is None and source is None) or target is not None or plot is not None:
            raise BadUsageError(
                "Spark counts hops from SOURCE or --sources, without TARGET and --plot; for all pairs there is "
                "`gnnkit neighborhood-function --engine spark`"
            )
        walked: Direction = direction if directed else "both"
        with open_on_spark(graph, spark, nodes=nodes, delimiter=delimiter, header=header, out=out) as on_spark:
            found = count_on_spark(on_spark, chosen or [str(source)], max_hops, walked, checkpoint_every, out)
        if chosen is None:
            _show_by_hop(Path(graph).name, found[0], json)
        else:
            show_sources(Path(graph).name, found, json)
        return
    opened = open_graph(graph, directed=directed, nodes=nodes, delimiter=delimiter, header=header, data_root=data_root)
    if chosen is not None:
        _several(opened, chosen, max_hops, direction, out, memory_limit, plot, json)
        return
    start = None if source is None else _node(opened, source)
    end = None if target is None else _node(opened, target)
    if out is not None:
        if end is not None:
            raise BadUsageError("--out writes the distances from SOURCE, or from every node; leave TARGET out")
        _write(opened, None if start is None else [start], max_hops, direction, out, memory_limit)
    if start is None:
        _all_pairs(opened, max_hops, direction, plot, json)
    elif end is None:
        _one_source(opened, start, max_hops, direction, plot, json)
    else:
        _pair(opened, start, end, max_hops, direction, plot, json)


def _node(opened: NamedGraph, name: str) -> int:
    """The node a user named: by its name, else by its number."""
    from difflib import get_close_matches

    if opened.node_names is not None:
        if name in opened.node_names:
            return opened.node_names.index(name)
        close = get_close_matches(name, opened.node_names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise BadUsageError(f"{opened.name} has no node named {name!r}{hint}")
    count = opened.adjacency.num_nodes
    if not name.isdecimal() or int(name) >= count:
        raise BadUsageError(f"{opened.name} has no node {name!r}: its nodes are 0..{count - 1}")
    return int(name)


def _several(
    opened: NamedGraph,
    names: list[str],
    max_hops: int | None,
    direction: "Direction",
    out: Path | None,
    memory_limit: float | None,
    plot: Path | None,
    json: bool,
) -> None:
    if plot is not None:
        raise BadUsageError("--plot draws the graph around one node; name it as SOURCE instead of --sources")
    if out is not None and out.suffix == ".parquet":
        raise BadUsageError(f"--out {out}: Parquet is written by --engine spark; here, .csv, .npy and .npz")
    sources = [_node(opened, name) for name in names]
    matrix = out is not None and out.suffix != ".csv"
    if matrix and out is not None:
        _write(opened, sources, max_hops, direction, out, memory_limit)
    elif out is not None:
        _check_memory(len(sources) * opened.adjacency.num_nodes, _BYTES_OF_A_ROW, memory_limit)
    show_sources(opened.name, count_here(opened, sources, max_hops, direction, None if matrix else out), json)


def _pair(
    opened: NamedGraph,
    source: int,
    target: int,
    max_hops: int | None,
    direction: "Direction",
    plot: Path | None,
    json: bool,
) -> None:
    from gnnkit.graph.hops import shortest_path

    path = shortest_path(opened.adjacency, source, target, direction=direction)
    distance = len(path) - 1
    if max_hops is not None and distance > max_hops:
        path, distance = [], -1
    names = [opened.name_of(node) for node in path]
    start, end = opened.name_of(source), opened.name_of(target)
    if plot is not None:
        _draw_from(opened, source, max_hops, direction, plot)
    if json:
        reached = None if distance < 0 else distance
        show_json({"graph": opened.name, "source": start, "target": end, "hops": reached, "path": names})
    elif distance < 0:
        within = "" if max_hops is None else f" within {max_hops} hops"
        show(f"no path leads from {printable(start)} to {printable(end)}{within}")
    else:
        arrow = " - " if direction == "both" else " <- " if direction == "in" else " -> "
        show_rows(
            [
                ("hops", str(distance)),
                ("path", arrow.join(printable(name) for name in names)),
                ("layers needed", f"{distance}: a GNN layer carries a message one hop"),
            ]
        )


def _one_source(
    opened: NamedGraph, source: int, max_hops: int | None, direction: "Direction", plot: Path | None, json: bool
) -> None:
    import torch

    from gnnkit.graph.hops import hop_distance

    row = hop_distance(opened.adjacency, torch.tensor([source]), max_hops=max_hops, direction=direction)[0].long()
    counts = torch.bincount(row[row >= 0])
    unreached = int((row < 0).sum())
    if plot is not None:
        _draw_from(opened, source, max_hops, direction, plot)
    names = None
    if opened.adjacency.num_nodes <= _MAX_LISTED:
        at_hop = [torch.nonzero(row == hop).view(-1).tolist() for hop in range(counts.numel())]
        names = ["  " + " ".join(printable(opened.name_of(node)) for node in which) for which in at_hop]
    _show_by_hop(opened.name, ByHop(opened.name_of(source), counts.tolist(), unreached), json, names)


def _show_by_hop(graph: str, found: ByHop, json: bool, names: list[str] | None = None) -> None:
    if json:
        show_json({"graph": graph, **found.document()})
        return
    rows = []
    for hop, count in enumerate(found.nodes_by_hop):
        which = names[hop] if names else ""
        rows.append((f"{hop} hop{'' if hop == 1 else 's'}", f"{count} node{'' if count == 1 else 's'}{which}"))
    show_rows([*rows, ("out of reach", str(found.out_of_reach))])


def _all_pairs(opened: NamedGraph, max_hops: int | None, direction: "Direction", plot: Path | None, json: bool) -> None:
    counts = _histogram(opened, max_hops, direction)
    pairs = int(counts[1:].sum())
    size = opened.adjacency.num_nodes
    unreached = size * size - int(counts.sum())
    total = sum(hop * count for hop, count in enumerate(counts.tolist()))
    average = total / pairs if pairs else None
    longest = counts.numel() - 1
    if plot is not None:
        from gnnkit.plots import save_figure
        from gnnkit.plots.hops import hops_histogram

        save_figure(hops_histogram(counts, title=f"{opened.name}: hops between nodes", mean=average), plot)
        note(f"drew {plot}")
    if json:
        summary = {"graph": opened.name, "nodes": size, "diameter": longest, "average": average}
        show_json({**summary, "pairs_by_hop": counts.tolist(), "pairs_out_of_reach": unreached})
        return
    reach = "of those in reach" if unreached else "of all pairs"
    rows = [
        ("nodes", str(size)),
        ("diameter", f"{longest}  (the longest {reach})" + ("" if max_hops is None else f", up to {max_hops}")),
        ("average", "-" if average is None else f"{average:.4f}  ({reach})"),
        ("pairs out of reach", str(unreached)),
    ]
    rows += [
        (f"{hop} hop{'' if hop == 1 else 's'}", f"{count} pairs") for hop, count in enumerate(counts.tolist()) if hop
    ]
    show_rows(rows)


def _histogram(opened: NamedGraph, max_hops: int | None, direction: "Direction") -> "torch.Tensor":
    """Pairs by distance, searched for in blocks of sources so that progress can be shown."""
    import torch

    from gnnkit.graph.hops import hop_histogram
    from gnnkit.runs import Progress

    size = opened.adjacency.num_nodes
    total = torch.zeros(1, dtype=torch.int64)
    quiet = verbosity() == "quiet" or size <= _SOURCES_AT_ONCE
    with Progress(size, "counting hops", mode="quiet" if quiet else "auto") as bar:
        for begin in range(0, size, _SOURCES_AT_ONCE):
            sources = torch.arange(begin, min(begin + _SOURCES_AT_ONCE, size))
            counts = hop_histogram(opened.adjacency, sources, max_hops=max_hops, direction=direction).cpu()
            longer, shorter = (counts, total) if counts.numel() > total.numel() else (total, counts)
            total = longer.clone()
            total[: shorter.numel()] += shorter
            bar.update(begin + sources.numel())
    return total


def _draw_from(opened: NamedGraph, source: int, max_hops: int | None, direction: "Direction", plot: Path) -> None:
    import torch

    from gnnkit.graph.hops import hop_distance
    from gnnkit.plots import save_figure
    from gnnkit.plots.graph import MAX_DRAWN_NODES
    from gnnkit.plots.hops import hops_histogram, hops_on_graph

    row = hop_distance(opened.adjacency, torch.tensor([source]), max_hops=max_hops, direction=direction)[0].long()
    title = f"hops from {opened.name_of(source)}"
    if opened.adjacency.num_nodes <= MAX_DRAWN_NODES:
        names = opened.node_names or tuple(map(str, range(opened.adjacency.num_nodes)))
        save_figure(hops_on_graph(opened.adjacency, row, names, title=title), plot)
    else:
        save_figure(hops_histogram(torch.bincount(row[row >= 0]), title=title), plot)
    note(f"drew {plot}")


def _write(
    opened: NamedGraph,
    chosen: list[int] | None,
    max_hops: int | None,
    direction: "Direction",
    out: Path,
    memory_limit: float | None,
) -> None:
    import torch

    from gnnkit.graph.hops import iter_hop_distance
    from gnnkit.runs import Progress
    from gnnkit.storage.atomic import atomic_write

    if out.suffix not in (".npy", ".npz", ".csv"):
        raise BadUsageError(f"--out {out}: distances are written as .npy, .npz or .csv")
    size = opened.adjacency.num_nodes
    rows = size if chosen is None else len(chosen)
    _check_memory(rows * size, 6 if out.suffix == ".csv" else 3, memory_limit)
    sources = torch.arange(size) if chosen is None else torch.tensor(chosen)
    matrix = torch.empty(rows, size, dtype=torch.int8)
    done, quiet = 0, verbosity() == "quiet" or rows <= _SOURCES_AT_ONCE
    with Progress(rows, "hop distances", mode="quiet" if quiet else "auto") as bar:
        for block in iter_hop_distance(opened.adjacency, sources, max_hops=max_hops, direction=direction):
            if block.dtype.itemsize > matrix.dtype.itemsize:  # distances that int8 does not hold
                matrix = matrix.to(block.dtype)
            matrix[done : done + block.size(0)] = block
            done += block.size(0)
            bar.update(done)
    atomic_write(out, _encoded(matrix, opened, sources, out.suffix))
    note(f"wrote {rows} x {size} distances to {out} (-1: out of reach)")


def _encoded(matrix: "torch.Tensor", opened: NamedGraph, sources: "torch.Tensor", ending: str) -> bytes:
    import csv
    import io

    import numpy as np

    if ending == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["from", *(opened.name_of(node) for node in range(matrix.size(1)))])
        for node, row in zip(sources.tolist(), matrix, strict=True):
            writer.writerow([opened.name_of(node), *row.tolist()])
        return text.getvalue().encode()
    buffer = io.BytesIO()
    if ending == ".npy":
        np.save(buffer, matrix.numpy(), allow_pickle=False)
    else:
        names = {} if opened.node_names is None else {"node_names": np.array(opened.node_names, dtype=np.str_)}
        np.savez(buffer, hops=matrix.numpy(), sources=sources.numpy(), allow_pickle=False, **names)
    return buffer.getvalue()


def _check_memory(entries: int, bytes_per_entry: int, limit: float | None) -> None:
    """Say what the result takes; refuse what would not fit, and name what answers instead."""
    import os

    needed = entries * bytes_per_entry
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = free if limit is None else limit * 2**30
    what = f"{entries} distances take about {needed / 2**30:.2f} GiB while they are written"
    if needed > allowed:
        raise BadUsageError(
            f"{what}, more than the {allowed / 2**30:.2f} GiB allowed; name a SOURCE for one row, leave --out away for "
            "the histogram, diameter and average, which hold no matrix, use gnnkit.graph.iter_hop_distance for blocks "
            "of rows, or raise --memory-limit"
        )
    note(what)
