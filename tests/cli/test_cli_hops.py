import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app

FIGURE_A, FIGURE_B = "examples/data/figure_a.txt", "examples/data/figure_b.txt"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["hops", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize(
    ("figure", "hops", "path"), [(FIGURE_A, 3, "C -> B -> A -> E"), (FIGURE_B, 4, "C -> D -> B -> A -> E")]
)
def test_the_reports_question(figure, hops, path):
    lines = run(figure, "C", "E").stdout.splitlines()
    assert lines[0].split() == ["hops", str(hops)]
    assert path in lines[1]
    assert lines[2].startswith(f"layers needed  {hops}:")


def test_json_of_a_pair():
    found = json.loads(run(FIGURE_A, "C", "E", "--json").stdout)
    assert found == {"graph": "figure_a.txt", "source": "C", "target": "E", "hops": 3, "path": ["C", "B", "A", "E"]}


def test_one_source_lists_the_nodes_at_every_hop():
    lines = run(FIGURE_A, "C").stdout.splitlines()
    assert lines[1].split() == ["1", "hop", "2", "nodes", "B", "D"]
    assert lines[-1].split() == ["out", "of", "reach", "0"]
    found = json.loads(run(FIGURE_A, "C", "--json").stdout)
    assert found["nodes_by_hop"] == [1, 2, 2, 1]
    assert found["farthest"] == 3


def test_all_pairs():
    found = json.loads(run(FIGURE_A, "--json").stdout)
    assert found["diameter"] == 3
    assert found["pairs_by_hop"] == [6, 16, 12, 2]
    assert found["average"] == pytest.approx((16 + 24 + 6) / 30)
    assert found["pairs_out_of_reach"] == 0


@pytest.fixture
def one_way(tmp_path):
    path = tmp_path / "one_way.txt"
    path.write_text("a b\nb c\nd d\n")
    return path


def test_direction_and_reach(one_way):
    assert "no path leads from c to a" in run(one_way, "c", "a", "--directed").stdout
    assert "c <- b <- a" in run(one_way, "c", "a", "--directed", "--direction", "in").stdout
    assert "c - b - a" in run(one_way, "c", "a", "--directed", "--direction", "both").stdout
    assert "within 1 hops" in run(one_way, "a", "c", "--directed", "--max-hops", "1").stdout
    found = json.loads(run(one_way, "--directed", "--json").stdout)
    assert found["pairs_by_hop"] == [4, 2, 1]
    assert found["pairs_out_of_reach"] == 16 - 7
    assert json.loads(run(one_way, "c", "a", "--directed", "--json").stdout)["hops"] is None


def test_distances_are_written(tmp_path):
    rows = ["012211", "101122", "210132", "211021", "123201", "122110"]
    expected = np.array([[int(hop) for hop in row] for row in rows])
    for ending in ("npy", "npz", "csv"):
        run(FIGURE_A, "--out", tmp_path / f"hops.{ending}")
    assert (np.load(tmp_path / "hops.npy") == expected).all()
    with np.load(tmp_path / "hops.npz") as archive:
        assert (archive["hops"] == expected).all()
        assert archive["node_names"].tolist() == list("ABCDEF")
    with (tmp_path / "hops.csv").open() as file:
        header, *written = list(csv.reader(file))
    assert header == ["from", *"ABCDEF"]
    assert [[int(cell) for cell in row[1:]] for row in written] == expected.tolist()


def test_long_distances_are_not_wrapped(tmp_path):
    path = tmp_path / "path.txt"
    path.write_text("".join(f"{node} {node + 1}\n" for node in range(300)))
    run(path, "--out", tmp_path / "hops.npy")
    assert np.load(tmp_path / "hops.npy")[0, 300] == 300
    assert json.loads(run(path, "--json").stdout)["diameter"] == 300


def test_pictures(tmp_path):
    run(FIGURE_A, "C", "E", "--plot", tmp_path / "graph.png")
    run(FIGURE_A, "--plot", tmp_path / "histogram.svg")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "histogram.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([FIGURE_A, "C", "X"], 2, "figure_a.txt has no node named 'X'"),
        (["karate", "34"], 2, "karate has no node '34': its nodes are 0..33"),
        (["karate", "--", "-1"], 2, "karate has no node '-1'"),
        ([FIGURE_A, "C", "--max-hops", "-1"], 2, "--max-hops"),
        ([FIGURE_A, "C", "E", "--out", "hops.npy"], 2, "leave TARGET out"),
        ([FIGURE_A, "--out", "hops.txt"], 2, "are written as .npy, .npz or .csv"),
        ([FIGURE_A, "--out", "no/such/folder/hops.npy"], 1, "cannot write the file"),
        (["karate", "--out", "hops.npy", "--memory-limit", "0.000001"], 2, "iter_hop_distance"),
        (["nosuch"], 2, "there is no file 'nosuch'"),
    ],
)
def test_bad_requests_are_named(arguments, code, message):
    assert message in run(*arguments, code=code).stderr
