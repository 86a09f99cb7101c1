"""Which engine counts hops: this process, or Spark where the graph would not fit into its memory."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Literal, NamedTuple

from gnnkit.distributed.spark_edges import DELIMITER_OF_ENDING, SPARK_ENDINGS, spark_ending
from gnnkit.distributed.spark_session import is_remote

Engine = Literal["auto", "local", "spark"]
# Measured: reading an edge list and one search peak at 180 to 260 bytes a line (undirected, 0.5 to 2 million lines).
BYTES_PER_LINE = 256
_SAMPLE = 1 << 20


class EngineChoice(NamedTuple):
    """The engine, and the reason in words."""

    engine: Literal["local", "spark"]
    reason: str


def choose_engine(graph: str, engine: Engine = "auto", *, memory: int | None = None) -> EngineChoice:
    """The engine for a graph: the local one until memory, or where the graph lies, says otherwise.

    Args:
        graph: A path, an address Spark reads (``hdfs://``, ``s3a://``), or the name of a data set.
        engine: ``"local"`` and ``"spark"`` are taken at their word.
        memory: Bytes the local engine may take; by default what is free.

    Example:
        >>> choose_engine("hdfs://host/edges.parquet").engine, choose_engine("karate").engine
        ('spark', 'local')
    """
    if engine != "auto":
        return EngineChoice(engine, "as asked for")
    ending = spark_ending(graph)
    if is_remote(graph):
        return EngineChoice("spark", f"{graph} lies where only Spark reads")
    if ending == ".parquet":
        return EngineChoice("spark", "only Spark reads Parquet")
    if ending in SPARK_ENDINGS and Path(graph).is_dir():
        return EngineChoice("spark", "only Spark reads a folder of part files")
    if ending not in DELIMITER_OF_ENDING or not Path(graph).is_file():
        return EngineChoice("local", "only the local engine reads this kind of graph")
    free = available_memory() if memory is None else memory
    needed = lines_in(Path(graph)) * BYTES_PER_LINE
    much = f"the graph needs about {needed / 2**30:.2f} GiB on one machine"
    if needed > free:
        return EngineChoice("spark", f"{much}, more than the {free / 2**30:.2f} GiB there are")
    return EngineChoice("local", f"{much}, and {free / 2**30:.2f} GiB are there")


def lines_in(path: Path) -> int:
    """About how many lines a text file has, gzipped or not, judged by its first megabyte."""
    size = path.stat().st_size
    if path.suffix.lower() == ".gz":
        with path.open("rb") as raw, gzip.open(raw) as file:
            sample = file.read(_SAMPLE)
            packed = min(raw.tell(), size)
        scale = size / max(1, packed)
    else:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
        scale = size / max(1, len(sample))
    return round(max(1, sample.count(b"\n")) * scale)


def available_memory() -> int:
    """Bytes that a process may take without others being swapped out."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):  # not Linux
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
