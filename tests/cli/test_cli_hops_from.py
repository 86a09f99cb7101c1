import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app

FIGURE_A = "examples/data/figure_a.txt"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result


def test_several_sources():
    lines = run("hops", FIGURE_A, "--sources", "A,C").stdout.splitlines()
    assert lines[0].split()[:5] == ["from", "A", "1", "3", "2"]
    assert lines[1].split()[:6] == ["from", "C", "1", "2", "2", "1"]
    found = json.loads(run("hops", FIGURE_A, "--sources", "C", "--max-hops", "1", "--json").stdout)
    expected = {"source": "C", "nodes_by_hop": [1, 2], "out_of_reach": 3, "farthest": 1}
    assert found == {"graph": "figure_a.txt", "sources": [expected]}


def test_several_sources_are_written_as_rows_or_as_a_matrix(tmp_path):
    run("hops", FIGURE_A, "--sources", "A, C", "--max-hops", "1", "--out", tmp_path / "hops.csv")
    with (tmp_path / "hops.csv").open() as file:
        header, *rows = list(csv.reader(file))
    assert header == ["node", "source", "hops"]
    assert [",".join(row) for row in rows] == ["A,A,0", "B,A,1", "E,A,1", "F,A,1", "B,C,1", "C,C,0", "D,C,1"]
    run("hops", FIGURE_A, "--sources", "A,C", "--out", tmp_path / "hops.npz")
    with np.load(tmp_path / "hops.npz") as archive:
        assert ["".join(map(str, row)) for row in archive["hops"]] == ["012211", "210132"]
        assert archive["sources"].tolist() == [0, 2]


def test_quoted_names(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('"Smith, J",Lee\n')
    found = json.loads(run("hops", path, "--sources", '"Smith, J"', "--json").stdout)
    assert found["sources"][0]["source"] == "Smith, J"


def test_auto_says_what_it_chose(tmp_path):
    assert "engine" not in run("hops", FIGURE_A, "A").stderr
    assert "engine local: the graph needs about" in run("hops", FIGURE_A, "A", "-v").stderr
    refused = run("hops", FIGURE_A, "A", "B", "--memory-limit", "0", code=2)
    assert "engine spark: the graph needs about" in refused.stderr


def test_neighborhood_function(tmp_path):
    found = json.loads(run("neighborhood-function", FIGURE_A, "--json", "--out", tmp_path / "pairs.csv").stdout)
    assert found["pairs_within_hops"] == [6, 22, 34, 36]
    assert found["average"] == pytest.approx((16 + 24 + 6) / 30)
    assert found["effective_diameter"] == pytest.approx(1 + (32.4 - 22) / 12)
    assert found["standard_error"] == 0
    assert (tmp_path / "pairs.csv").read_text() == "hops,pairs\n0,6\n1,22\n2,34\n3,36\n"
    estimated = json.loads(run("neighborhood-function", FIGURE_A, "--lg-registers", "14", "--json").stdout)
    assert estimated["pairs_within_hops"] == pytest.approx([6, 22, 34, 36], rel=0.03)
    low, high = estimated["average_range"]
    assert low < found["average"] < high
    text = run("neighborhood-function", FIGURE_A, "--approximate", "--max-hops", "1").stdout
    assert "standard error      3.25%" in text
    assert "cut short" in text
