"""Which engine is chosen, and what is said where Spark cannot start; nothing here needs Spark."""

import gzip
import importlib.util
import os

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.distributed.engine import BYTES_PER_LINE, available_memory, choose_engine, lines_in
from gnnkit.distributed.spark_session import check_spark, spark_session
from gnnkit.errors import MissingSoftwareError


@pytest.fixture
def edges(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("".join(f"{node},{node + 1}\n" for node in range(1000)))
    return path


def test_auto_stays_here_until_memory_says_otherwise(edges):
    here = choose_engine(str(edges))
    assert here.engine == "local"
    there = choose_engine(str(edges), memory=999 * BYTES_PER_LINE)
    assert there.engine == "spark"
    assert "more than the 0.00 GiB there are" in there.reason
    assert choose_engine(str(edges), memory=1000 * BYTES_PER_LINE).engine == "local"
    assert choose_engine(str(edges), "local", memory=0).engine == "local"
    assert choose_engine(str(edges), "spark").engine == "spark"


def test_auto_leaves_to_spark_what_only_spark_reads(tmp_path):
    (tmp_path / "parts.csv").mkdir()
    for graph in ("edges.parquet", "s3a://bucket/edges.csv", str(tmp_path / "parts.csv")):
        assert choose_engine(graph).engine == "spark"
    for graph in ("cora", "graph.npz", str(tmp_path)):
        assert choose_engine(graph, memory=0).engine == "local"


def test_lines_are_counted_from_a_sample(tmp_path):
    line, packed = "12345 67890\n", tmp_path / "many.txt.gz"
    plain = tmp_path / "many.txt"
    plain.write_text(line * 300_000)
    assert lines_in(plain) == pytest.approx(300_000, rel=1e-4)
    with gzip.open(packed, "wt") as file:
        file.write("".join(f"{hash(node) % 99_991} {node * 7919 % 99_989}\n" for node in range(300_000)))
    assert lines_in(packed) == pytest.approx(300_000, rel=0.3)
    assert 0 < available_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_missing_pyspark_is_named(monkeypatch, edges):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingSoftwareError, match=r"pip install 'gnnkit\[spark\]'"):
        check_spark()
    done = CliRunner().invoke(app, ["hops", str(edges), "1", "--engine", "spark"])
    assert done.exit_code == 1
    assert "pip install" in done.output
    assert "unexpected" not in done.output


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (None, "has no bin/java"),
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", 'says version "11; install Java 17'),
        ("echo 'java version \"1.8.0_202\"' >&2", 'says version "1.8'),
        ("echo nonsense >&2", "says nonsense"),
    ],
)
def test_missing_or_old_java_is_named(monkeypatch, tmp_path, script, problem):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if script is not None:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(0o755)
    with pytest.raises(MissingSoftwareError, match=problem):
        check_spark()


def test_java_is_looked_for_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingSoftwareError, match="no java on the PATH"):
        check_spark()


def test_a_cluster_needs_a_folder_its_workers_reach(monkeypatch):
    pytest.importorskip("pyspark")
    monkeypatch.setattr("gnnkit.distributed.spark_session.check_spark", lambda: None)
    with (
        pytest.raises(ValueError, match="spark://host:7077 needs a checkpoint_dir"),
        spark_session("spark://host:7077"),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["hops", "EDGES", "1", "2", "--engine", "spark"], "without TARGET"),
        (["hops", "EDGES", "--engine", "spark"], "neighborhood-function"),
        (["hops", "cora", "1", "--engine", "spark"], "'cora' does not"),
        (["hops", "EDGES", "1", "--engine", "spark", "--out", "hops.npy"], r"hops.npy"),
        (["hops", "EDGES", "1", "--engine", "spark", "--spark-conf", "memory=1"], "'memory=1'"),
        (["hops", "EDGES", "1", "--sources", "2"], "not both"),
        (["hops", "EDGES", "--sources", "1,,2"], "got '1,,2'"),
        (["hops", "EDGES", "--sources", "1,2,1"], "names '1' more than once"),
        (["hops", "EDGES", "--sources", "1", "--out", "hops.parquet"], "--engine spark"),
        (["hops", "EDGES", "--sources", "1", "--plot", "hops.png"], "SOURCE"),
        (["neighborhood-function", "EDGES", "--engine", "spark", "--exact"], "on Spark, pairs are estimated"),
        (["neighborhood-function", "EDGES", "--exact", "--lg-registers", "8"], "without sketches"),
        (["neighborhood-function", "EDGES", "--lg-registers", "18"], "4 to 16"),
        (["neighborhood-function", "EDGES", "--share", "0"], "got 0"),
        (["neighborhood-function", "EDGES", "--out", "pairs.txt"], "pairs.txt"),
    ],
)
def test_what_does_not_go_together_is_bad_usage(edges, arguments, problem):
    done = CliRunner().invoke(app, [str(edges) if word == "EDGES" else word for word in arguments])
    assert done.exit_code == 2, done.output
    assert problem in done.output


def test_a_cluster_without_a_folder_is_bad_usage_that_names_it(edges):
    pytest.importorskip("pyspark")
    arguments = ["hops", str(edges), "1", "--engine", "spark", "--spark-master", "spark://host:7077"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "checkpoint_dir" in done.output or "Java" in done.output
