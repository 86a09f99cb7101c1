"""Hops on Spark against those of this library, in the smallest form; benchmarks/spark.py has the large one."""

import json

import networkx as nx
import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.distributed.spark_session import check_spark, spark_session
from gnnkit.errors import FileFormatError, MissingSoftwareError
from gnnkit.graph import Adjacency, hop_distance
from gnnkit.graph.neighborhood import neighborhood_function, sketch_error

pytestmark = pytest.mark.slow

# Compiling a query takes longer than running it on so little.
CONFIG = {
    "spark.driver.memory": "512m",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}


@pytest.fixture(scope="module")
def spark():
    try:
        check_spark()
    except MissingSoftwareError as error:
        pytest.skip(str(error))
    with spark_session("local[2]", config=CONFIG) as session:
        yield session


@pytest.fixture(scope="module")
def directed():
    """Some cycles, a part out of reach, a self-loop, and an edge twice in the file."""
    graph = nx.gnp_random_graph(40, 0.1, seed=4, directed=True)
    graph.add_edges_from([(41, 42), (42, 41), (42, 42)])
    graph.remove_nodes_from(list(nx.isolates(graph)))
    return graph


@pytest.fixture(scope="module")
def edge_file(directed, tmp_path_factory):
    path = tmp_path_factory.mktemp("edges") / "edges.csv"
    lines = [f"{source},{target}" for source, target in directed.edges]
    path.write_text("\n".join(["# made for a test", "source,target", *lines, lines[0], ""]))
    return path


def pairs_of(frame):
    found = {(row["source"], row["node"]): row["hops"] for row in frame.collect()}
    assert len(found) == frame.count()
    return found


def expected_pairs(graph, sources, direction, max_hops=None):
    nodes = list(graph)
    adjacency = Adjacency.from_networkx(graph)
    rows = hop_distance(adjacency, [nodes.index(s) for s in sources], direction=direction, max_hops=max_hops)
    return {
        (source, node): hops
        for source, row in zip(sources, rows.tolist(), strict=True)
        for node, hops in zip(nodes, row, strict=True)
        if hops >= 0
    }


@pytest.mark.parametrize(("direction", "max_hops", "every"), [("out", None, 1), ("in", 2, 4), ("both", None, 2)])
def test_hops_equal_ours(spark, directed, edge_file, direction, max_hops, every):
    from gnnkit.distributed.spark_edges import read_edges
    from gnnkit.distributed.spark_hops import hop_distance as on_spark

    edges = read_edges(spark, edge_file)
    assert edges.num_rows == directed.number_of_edges() + 1
    assert edges.frame.dtypes == [("source", "bigint"), ("target", "bigint")]
    told = []
    sources = [sorted(directed)[0], 42]
    found = pairs_of(
        on_spark(
            edges.frame,
            sources,
            direction=direction,
            max_hops=max_hops,
            checkpoint_every=every,
            on_hop=lambda *hop: told.append(hop),
        )
    )
    assert found == expected_pairs(directed, sources, direction, max_hops)
    hops = list(found.values())
    assert told == [(hop, hops.count(hop)) for hop in range(1, max(hops) + 1)]


def test_names_of_any_kind_and_nodes_without_edges(spark, tmp_path):
    from gnnkit.distributed.spark_edges import read_edges, read_node_names
    from gnnkit.distributed.spark_hops import count_nodes
    from gnnkit.distributed.spark_hops import hop_distance as on_spark

    path, names = tmp_path / "names.tsv", tmp_path / "nodes.txt"
    path.write_text('% a comment\n"Smith, J"\t01\t0.5\n01\t1\t2\n')
    names.write_text("alone\n01\n")
    edges = read_edges(spark, path).frame
    nodes = read_node_names(spark, names, edges)
    assert count_nodes(edges, nodes) == 4
    found = pairs_of(on_spark(edges, ["Smith, J", "alone"], nodes=nodes))
    assert found == {
        ("Smith, J", "Smith, J"): 0,
        ("Smith, J", "01"): 1,
        ("Smith, J", "1"): 2,
        ("alone", "alone"): 0,
    }


def test_sketches_keep_to_their_error(spark, directed, edge_file):
    from gnnkit.distributed.spark_edges import read_edges
    from gnnkit.distributed.spark_neighborhood import neighborhood_function as on_spark

    edges = read_edges(spark, edge_file).frame
    adjacency = Adjacency.from_networkx(directed)
    exact = neighborhood_function(adjacency, direction="both")
    found = on_spark(edges, lg_registers=12, direction="both", checkpoint_every=2)
    assert found.complete
    assert found.standard_error == sketch_error(12)
    assert found.pairs == pytest.approx(exact.pairs, rel=3 * sketch_error(12))
    cut = on_spark(edges, lg_registers=12, direction="out", max_hops=1)
    assert not cut.complete
    assert cut.pairs == pytest.approx(neighborhood_function(adjacency, max_hops=1).pairs, rel=3 * sketch_error(12))


def test_the_command_reads_csv_and_writes_parquet_and_reads_that(spark, directed, edge_file, tmp_path):
    """One session serves all of it: a command uses the one that is there."""
    from gnnkit.distributed.spark_edges import read_edges, write_table

    source = sorted(directed)[0]
    table, written = tmp_path / "edges.parquet", tmp_path / "hops.parquet"
    write_table(read_edges(spark, edge_file).frame, table)
    arguments = ["hops", table, "--directed", "--sources", f"{source},42", "--out", written, "--json"]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    assert "engine spark: only Spark reads Parquet" in done.stderr
    expected = expected_pairs(directed, [source, 42], "out")
    assert pairs_of(spark.read.parquet(str(written))) == expected
    for document in json.loads(done.stdout)["sources"]:
        hops = [hop for (start, _), hop in expected.items() if str(start) == document["source"]]
        assert document["nodes_by_hop"] == [hops.count(hop) for hop in range(max(hops) + 1)]
        assert document["out_of_reach"] == directed.number_of_nodes() - len(hops)
    again = CliRunner().invoke(app, list(map(str, arguments)))
    assert again.exit_code == 1
    assert "File exists" in again.output


def test_csv_of_part_files_is_written_and_read(spark, edge_file, tmp_path):
    from gnnkit.distributed.spark_edges import read_edges, write_table

    edges, folder = read_edges(spark, edge_file), tmp_path / "edges.csv"
    write_table(edges.frame.repartition(3), folder)
    again = read_edges(spark, folder)
    assert again.num_rows == edges.num_rows
    assert set(again.frame.collect()) == set(edges.frame.collect())


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("one.txt", "1 2\n3\n", r"1 edge\(s\) without two names, such as: '3'"),
        ("empty.csv", "# nothing\n\n", "no edges"),
        ("hole.csv", "1,2\n,3\n", "without two names"),
    ],
)
def test_files_that_are_no_edge_lists(spark, tmp_path, name, text, problem):
    from gnnkit.distributed.spark_edges import read_edges

    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FileFormatError, match=problem):
        read_edges(spark, path)


def test_arguments_are_checked(spark, edge_file, tmp_path):
    from gnnkit.distributed.spark_edges import read_edges, read_node_names, write_table
    from gnnkit.distributed.spark_hops import hop_distance as on_spark
    from gnnkit.distributed.spark_neighborhood import neighborhood_function as sketched

    edges = read_edges(spark, edge_file).frame
    for sources, problem in [([], "empty"), (["1"], "got the source '1'"), ([1, 1], "more than once"), ([99], "99")]:
        with pytest.raises(ValueError, match=problem):
            on_spark(edges, sources)
    with pytest.raises(ValueError, match="got 0"):
        on_spark(edges, [1], checkpoint_every=0)
    with pytest.raises(ValueError, match="'up'"):
        on_spark(edges, [42], direction="up")
    with pytest.raises(ValueError, match="from 4 to 21, got 22"):
        sketched(edges, lg_registers=22)
    with pytest.raises(ValueError, match=r"hops\.txt"):
        write_table(edges, tmp_path / "hops.txt")
    with pytest.raises(ValueError, match=r"graph\.graphml"):
        read_edges(spark, "graph.graphml")
    with pytest.raises(FileNotFoundError):
        read_edges(spark, tmp_path / "absent.csv")
    table = tmp_path / "other.parquet"
    edges.withColumnRenamed("target", "to").write.parquet(str(table))
    with pytest.raises(FileFormatError, match="no column target; its columns are source, to"):
        read_edges(spark, table)
    names = tmp_path / "nodes.txt"
    names.write_text("7\nseven\n")
    with pytest.raises(FileFormatError, match="'seven' is not a whole number"):
        read_node_names(spark, names, edges)
