"""Edges for Spark, from CSV, edge lists and Parquet, by the rules of :func:`gnnkit.graph.read_graph`; tables out of it.

Nothing of a graph is ever collected: every function hands on DataFrames.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gnnkit.distributed.spark_session import is_remote
from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import is_header, split_cells

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

DELIMITER_OF_ENDING = {".txt": None, ".edges": None, ".edgelist": None, ".csv": ",", ".tsv": "\t"}
SPARK_ENDINGS = (*DELIMITER_OF_ENDING, ".parquet")
TABLE_ENDINGS = (".csv", ".parquet")
_COMMENTS = ("#", "%")
# Whole numbers written in one way only, so that "01" and "1" stay two nodes, and that 64 bits hold.
_CANONICAL = r"^(0|-?[1-9][0-9]{0,17})$"


class SparkEdges(NamedTuple):
    """Edges as they stand in the file, one a row: columns ``source`` and ``target``, bigint or string."""

    frame: DataFrame
    num_rows: int


def spark_ending(path: str) -> str:
    """The ending that says what a file or folder of part files holds, in lower case and without ``.gz``.

    Example:
        >>> spark_ending("hdfs://host/crawl.CSV.gz"), spark_ending("edges.parquet/")
        ('.csv', '.parquet')
    """
    trimmed = path.rstrip("/")
    return Path(trimmed[:-3] if trimmed.lower().endswith(".gz") else trimmed).suffix.lower()


def read_edges(
    spark: SparkSession,
    path: str | Path,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
) -> SparkEdges:
    """Read an edge list (``source target``, what follows is passed over) or a Parquet table with those two columns.

    Where every name is a whole number in its shortest form, nodes are bigints, which are far quicker to join; else
    strings. Lines that begin with ``#`` or ``%`` and blank ones are passed over.

    Args:
        spark: The session.
        path: A file or a folder of part files, local or anywhere Spark reads (``hdfs://``, ``s3a://``); its ending
            says what it holds: .txt .edges .edgelist .csv .tsv, gzipped too, or .parquet.
        delimiter: What separates the columns; a comma for ``.csv``, a tab for ``.tsv``, else any white space.
        header: Whether every file begins with column titles; by default if those are source target, src dst, from to
            or head tail.

    Raises:
        FileFormatError: If a line has no two names, or a table lacks the columns.
        FileNotFoundError: If there is no such file.
        ValueError: If the ending is none of those, or an option does not go with it.
    """
    name, ending = str(path), spark_ending(str(path))
    if ending not in SPARK_ENDINGS:
        raise ValueError(f"Spark reads {', '.join(SPARK_ENDINGS)}, got {name!r}; write the graph as one of those")
    if not is_remote(name) and not Path(name).exists():
        raise FileNotFoundError(2, "No such file or directory", name)
    if ending == ".parquet":
        for option, value in {"delimiter": delimiter, "header": header}.items():
            if value is not None:
                raise ValueError(f"{option}={value!r} is for edge lists, but {name} is Parquet")
        return _counted(_parquet(spark, name), name)
    separator = DELIMITER_OF_ENDING[ending] if delimiter is None else delimiter
    return _counted(_text(spark, name, separator, header), name)


def read_node_names(spark: SparkSession, path: str | Path, edges: DataFrame) -> DataFrame:
    """Names of nodes, one a line, which may have no edge: column ``node``, of the type that the edges' nodes have.

    Raises:
        FileFormatError: If the edges' nodes are whole numbers and a name here is not.
    """
    from pyspark.sql import functions as F

    line = F.trim(F.col("value"))
    lines = spark.read.text(str(path)).filter(_holds_data(line)).select(line.alias("node"))
    kind = node_type(edges)
    if kind == "bigint":
        odd = lines.filter(~F.col("node").rlike(_CANONICAL)).first()
        if odd is not None:
            problem = "is not a whole number, as every node of the edges is"
            raise FileFormatError(path, f"{odd['node'][:80]!r} {problem}")
    return lines.select(F.col("node").cast(kind)).distinct()


def node_type(edges: DataFrame) -> str:
    """``"bigint"`` or ``"string"``."""
    kind = dict(edges.dtypes)["source"]
    if kind != dict(edges.dtypes)["target"] or kind not in ("bigint", "string"):
        raise ValueError(f"edges need columns source and target, both bigint or both string, got {edges.dtypes}")
    return str(kind)


def write_table(frame: DataFrame, path: str | Path) -> None:
    """Write a DataFrame as a folder of part files: Parquet, or CSV with column titles, as the ending says.

    Raises:
        FileExistsError: If something of that name is there already.
        ValueError: If the ending is neither.
    """
    ending = check_table(path)
    if ending == ".parquet":
        frame.write.parquet(str(path))
    else:
        frame.write.option("header", True).csv(str(path))


def check_table(path: str | Path) -> str:
    """The ending of a table yet to be written; what :func:`write_table` would object to is said before any work."""
    ending = Path(path).suffix.lower()
    if ending not in TABLE_ENDINGS:
        raise ValueError(f"tables are written as .csv or .parquet, got {str(path)!r}")
    if not is_remote(str(path)) and Path(path).exists():
        raise FileExistsError(17, "File exists; Spark writes a new folder of part files", str(path))
    return ending


def _text(spark: SparkSession, path: str, delimiter: str | None, header: bool | None) -> DataFrame:
    from pyspark.sql import functions as F

    line = F.trim(F.col("value"))
    lines = spark.read.text(path).filter(_holds_data(line))
    titles = None if header is False else _titles(lines, path, delimiter, header)
    if titles is not None:
        lines = lines.filter(F.col("value") != titles)  # wherever a part file repeats them
    if delimiter is None:
        cells = F.split(line, r"\s+")
        return lines.select(F.get(cells, F.lit(0)).alias("source"), F.get(cells, F.lit(1)).alias("target"))
    options = {"sep": delimiter, "ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true"}
    cells = F.from_csv(F.col("value"), "source string, target string", options)
    return lines.select(cells.alias("edge")).select("edge.source", "edge.target")


def _titles(lines: DataFrame, path: str, delimiter: str | None, header: bool | None) -> str | None:
    """The line of column titles, if the first line is one."""
    first = lines.first()
    if first is None:
        return None
    text = str(first["value"])
    try:
        return text if header or is_header(split_cells(text, delimiter)) else None
    except csv.Error as error:
        raise FileFormatError(path, f"broken quotes ({error})", text=text) from error


def _parquet(spark: SparkSession, path: str) -> DataFrame:
    from pyspark.sql import functions as F

    table = spark.read.parquet(path)
    kinds = dict(table.dtypes)
    missing = [name for name in ("source", "target") if name not in kinds]
    if missing:
        raise FileFormatError(path, f"has no column {' or '.join(missing)}; its columns are {', '.join(kinds)}")
    whole = ("tinyint", "smallint", "int", "bigint")
    for name in ("source", "target"):
        if kinds[name] not in (*whole, "string"):
            raise FileFormatError(path, f"column {name} holds {kinds[name]}; nodes are whole numbers or strings")
    numbers = kinds["source"] in whole and kinds["target"] in whole
    kind = "bigint" if numbers else "string"
    return table.select(F.col("source").cast(kind), F.col("target").cast(kind))


def _counted(frame: DataFrame, path: str) -> SparkEdges:
    """Go through the edges once: count them, find those without two names, and whether all names are numbers."""
    from pyspark.sql import functions as F

    names = [F.col("source"), F.col("target")]
    broken = F.coalesce(names[0] == "", F.lit(True)) | F.coalesce(names[1] == "", F.lit(True))
    if dict(frame.dtypes)["source"] == "bigint":
        broken, numbers = names[0].isNull() | names[1].isNull(), F.lit(False)
    else:
        numbers = names[0].rlike(_CANONICAL) & names[1].rlike(_CANONICAL)
    totals = frame.agg(
        F.count("*").alias("rows"), F.count_if(broken).alias("broken"), F.bool_and(numbers).alias("numbers")
    ).first()
    assert totals is not None  # an aggregate without groups has one row
    if not totals["rows"]:
        raise FileFormatError(path, "no edges")
    if totals["broken"]:
        sample = frame.filter(broken).first()
        text = None if sample is None else " ".join(str(name) for name in sample if name is not None)
        raise FileFormatError(path, f"{totals['broken']} edge(s) without two names, such as", text=text or "")
    if totals["numbers"]:
        frame = frame.select(names[0].cast("bigint"), names[1].cast("bigint"))
    return SparkEdges(frame, int(totals["rows"]))


def _holds_data(line: Column) -> Column:
    from pyspark.sql import functions as F

    return (line != "") & ~F.substring(line, 1, 1).isin(*_COMMENTS)
