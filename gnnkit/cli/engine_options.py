"""Options of the commands that count hops in this process or on Spark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from gnnkit.cli.command import BadUsageError
from gnnkit.cli.given import refuse
from gnnkit.cli.printing import detail, note

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SPARK = "Spark"
_SPARK_OPTIONS = ("spark_master", "spark_conf", "checkpoint_dir", "checkpoint_every")

EngineOption = Annotated[
    Literal["auto", "local", "spark"],
    typer.Option(help="Where to compute: here, on Apache Spark, or here until memory says otherwise."),
]
MasterOption = Annotated[
    str | None,
    typer.Option(
        "--spark-master",
        metavar="URL",
        rich_help_panel=_SPARK,
        help="local[*] (the default), spark://HOST:7077, yarn, ...",
        show_default=False,
    ),
]
ConfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--spark-conf",
        metavar="NAME=VALUE",
        rich_help_panel=_SPARK,
        help="A setting of Spark's own, such as spark.driver.memory=8g; may be repeated.",
        show_default=False,
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint-dir",
        metavar="DIR",
        rich_help_panel=_SPARK,
        help="Where results are kept every few hops: a folder all workers reach; temporary with a local master.",
        show_default=False,
    ),
]
CheckpointEveryOption = Annotated[
    int, typer.Option("--checkpoint-every", min=1, rich_help_panel=_SPARK, help="Hops between checkpoints.")
]


class SparkOptions(NamedTuple):
    """What the command line says about Spark."""

    master: str | None
    conf: list[str] | None
    checkpoint_dir: str | None
    checkpoint_every: int


class GraphOnSpark(NamedTuple):
    """Edges as Spark read them, and the nodes that a file of names adds."""

    spark: "SparkSession"
    edges: "DataFrame"
    num_rows: int
    nodes: "DataFrame | None"


def engine_for(
    context: typer.Context, graph: str, engine: Literal["auto", "local", "spark"], memory_limit: float | None
) -> str:
    """``"local"`` or ``"spark"``; says which was chosen and why, if it was left open.

    Raises:
        BadUsageError: If an option of the other one is given.
    """
    from gnnkit.distributed.engine import choose_engine

    memory = None if memory_limit is None else round(memory_limit * 2**30)
    chosen = choose_engine(graph, engine, memory=memory)
    if engine == "auto":
        say = note if chosen.engine == "spark" else detail
        say(f"engine {chosen.engine}: {chosen.reason}")
    if chosen.engine == "spark":
        refuse(context, ("data_root",), f"says where data sets lie, and Spark reads the file {graph}; leave it out")
        if engine == "spark":
            refuse(context, ("memory_limit",), "chooses between here and Spark; with --engine spark leave it out")
    else:
        refuse(context, _SPARK_OPTIONS, "is for Spark, and this is counted here; add --engine spark, or leave it out")
    return chosen.engine


@contextmanager
def open_on_spark(
    graph: str,
    options: SparkOptions,
    *,
    nodes: Path | None,
    delimiter: str | None,
    header: bool | None,
    out: Path | None = None,
) -> "Iterator[GraphOnSpark]":
    """Start Spark, read GRAPH, and stop Spark when the command is done; ``out`` is looked at before that."""
    from gnnkit.distributed.spark_edges import SPARK_ENDINGS, check_table, read_edges, read_node_names, spark_ending
    from gnnkit.distributed.spark_session import spark_session

    if spark_ending(graph) not in SPARK_ENDINGS:
        raise BadUsageError(f"Spark reads files that end with {', '.join(SPARK_ENDINGS)}, and {graph!r} does not")
    if out is not None:
        try:
            check_table(out)
        except ValueError as error:
            raise BadUsageError(f"--out: {error}") from error
    config = dict(_setting(text) for text in options.conf or [])
    with spark_session(options.master, config=config, checkpoint_dir=options.checkpoint_dir) as spark:
        separator = None if delimiter is None else delimiter.replace("\\t", "\t")
        edges = read_edges(spark, graph, delimiter=separator, header=header)
        detail(f"Spark read {edges.num_rows} edges from {graph}")
        named = None if nodes is None else read_node_names(spark, nodes, edges.frame)
        yield GraphOnSpark(spark, edges.frame, edges.num_rows, named)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.startswith("spark."):
        raise BadUsageError(f"--spark-conf takes spark.NAME=VALUE, got {text!r}")
    return name, value
