"""``gnnkit info`` and ``gnnkit adjacency``, against what the reports' figures are known to be."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from typer.testing import CliRunner

from gnnkit.cli.main import app

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"
FIGURE_A, FIGURE_B = str(EXAMPLES / "figure_a.txt"), str(EXAMPLES / "figure_b.txt")
ROWS_A = ["010011", "101100", "010100", "011001", "100001", "100110"]
ROWS_B = ["010011", "100100", "000100", "011001", "100000", "100100"]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def printed(rows, loops=False):
    if loops:
        rows = [row[:i] + "1" + row[i + 1 :] for i, row in enumerate(rows)]
    lines = ["  A B C D E F", *(f"{name} {' '.join(row)}" for name, row in zip("ABCDEF", rows, strict=True))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("path", "rows"), [(FIGURE_A, ROWS_A), (FIGURE_B, ROWS_B)])
def test_adjacency_of_the_reports_figures(path, rows):
    assert run("adjacency", path) == printed(rows)
    assert run("adjacency", path, "--self-loops", "1.0") == printed(rows, loops=True)


def test_sym_normalised_with_self_loops_is_kipf_and_wellings_matrix():
    a = np.array([[float(cell) for cell in row] for row in ROWS_A]) + np.eye(6)
    scale = 1 / np.sqrt(a.sum(axis=1))
    expected = scale[:, None] * a * scale
    document = json.loads(run("adjacency", FIGURE_A, "--self-loops", 1, "--normalize", "sym", "--json"))
    np.testing.assert_allclose(document["matrix"], expected, atol=1e-6)
    assert document["node_names"] == list("ABCDEF")
    source, target = document["edge_index"]
    np.testing.assert_allclose(document["edge_weight"], expected[source, target], atol=1e-6)
    lines = run("adjacency", FIGURE_A, "--self-loops", 1, "--normalize", "sym").splitlines()
    assert lines[0].split() == list("ABCDEF")
    assert lines[1].split() == ["A", "0.2500", "0.2500", "0", "0", "0.2887", "0.2500"]
    assert len({len(line) for line in lines}) == 1  # aligned


@pytest.mark.parametrize(("kind", "axis"), [("row", 0), ("column", 1)])
def test_row_normalisation_is_of_entering_weights(kind, axis):
    matrix = np.array(json.loads(run("adjacency", FIGURE_B, "--normalize", kind, "--json"))["matrix"])
    np.testing.assert_allclose(matrix.sum(axis=axis), np.ones(6), atol=1e-6)


def test_a_weighted_self_loop():
    matrix = np.array(json.loads(run("adjacency", FIGURE_A, "--self-loops", 2.5, "--json"))["matrix"])
    np.testing.assert_array_equal(np.diag(matrix), np.full(6, 2.5))


@pytest.mark.parametrize("ending", ["npz", "csv", "mtx"])
def test_out_writes_what_is_printed(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    shown = run("adjacency", FIGURE_A, "--self-loops", 0.5, "--out", path)
    again = run("adjacency", path, *(["--directed"] if ending == "csv" else []))
    if ending == "mtx":  # no names there
        for number, name in enumerate("ABCDEF"):
            again = again.replace(f" {number} ", f" {name} ", 1) if number else again
        matrix = scipy.io.mmread(path).toarray()
        np.testing.assert_array_equal(np.diag(matrix), np.full(6, 0.5))
    else:
        assert again == shown
    if ending == "npz":
        np.testing.assert_array_equal(np.diag(scipy.sparse.load_npz(path).toarray()), np.full(6, 0.5))


def test_out_to_csv_says_that_nodes_without_edges_are_not_there(tmp_path):
    nodes, path = tmp_path / "n.txt", tmp_path / "a.csv"
    nodes.write_text("X\nY\n")
    result = CliRunner().invoke(app, ["adjacency", FIGURE_A, "--nodes", str(nodes), "--out", str(path)])
    assert f"2 nodes without edges are not in {path}" in result.stderr
    assert "without edges" not in CliRunner().invoke(app, ["adjacency", FIGURE_A, "--out", str(path)]).stderr


def test_out_into_a_missing_folder_names_the_file(tmp_path):
    path = tmp_path / "absent" / "a.npz"
    result = CliRunner().invoke(app, ["adjacency", FIGURE_A, "--out", str(path)])
    assert result.exit_code == 1
    assert result.stderr == f"gnnkit: {path}: cannot write the file (No such file or directory)\n"


def test_a_large_matrix_is_summarised(tmp_path):
    path = tmp_path / "chain.txt"
    path.write_text("".join(f"{i} {i + 1} 0.5\n" for i in range(99)))
    result = CliRunner().invoke(app, ["adjacency", str(path), "--directed"])
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["matrix"] == "chain.txt, 100 x 100"
    assert lines["entries"] == "99 (0.990% of all)"
    assert lines["symmetric"] == "no"
    assert lines["weights"] == "0.5 to 0.5"
    assert "--out FILE.npz" in result.stderr
    assert json.loads(run("adjacency", path, "--json"))["matrix"] is None


def test_directed_and_nodes(tmp_path):
    edges, nodes = tmp_path / "e.tsv", tmp_path / "n.txt"
    edges.write_text("b\ta\n")
    nodes.write_text("c\n")
    assert run("adjacency", edges, "--directed", "--nodes", nodes) == "  a b c\na 0 0 0\nb 1 0 0\nc 0 0 0\n"


def test_delimiter_and_header(tmp_path):
    edges = tmp_path / "e.txt"
    edges.write_text("one|two\na|b\n")
    assert run("adjacency", edges, "--delimiter", "|", "--header") == "  a b\na 0 1\nb 1 0\n"
    edges.write_text("a\tb c\n")
    assert json.loads(run("adjacency", edges, "--delimiter", r"\t", "--json"))["node_names"] == ["a", "b c"]


def test_info_counts(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("a,b\nb,c\nc,a\nc,d\ne,e\n")
    nodes = tmp_path / "n.txt"
    nodes.write_text("f\n")
    document = json.loads(run("info", path, "--directed", "--nodes", nodes, "--json"))
    assert document == {
        "graph": "e.csv",
        "num_nodes": 6,
        "num_edges": 5,
        "is_undirected": False,
        "is_weighted": False,
        "num_self_loops": 1,
        "num_isolated_nodes": 2,
        "in_degree": {"min": 0, "mean": 5 / 6, "max": 1},
        "out_degree": {"min": 0, "mean": 5 / 6, "max": 2},
        "num_weak_components": 3,
        "num_strong_components": 4,
        "largest_component": 4,
        "edge_homophily": None,
    }
    text = run("info", path, "--directed", "--nodes", nodes)
    assert "strong components  4" in text
    assert "weak components    3 (largest: 4 nodes)" in text


def test_info_of_an_undirected_graph_counts_each_edge_once():
    text = run("info", FIGURE_A)
    assert "8 undirected (stored as 16 directed)" in text
    assert "min 2, mean 2.67, max 3" in text


def test_info_of_karate_has_homophily():
    document = json.loads(run("info", "karate", "--json"))
    assert (document["num_nodes"], document["num_edges"]) == (34, 156)
    assert document["edge_homophily"] == pytest.approx(118 / 156)


def test_info_with_a_table_of_labels(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("name,label\nA,x\nB,x\nC,x\nD,y\nE,y\nF,y\n")
    # of A B, A E, A F, B C, B D, C D, D F, E F: the first, fourth, seventh and eighth join equals
    assert json.loads(run("info", FIGURE_A, "--labels", labels, "--json"))["edge_homophily"] == 0.5


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot_writes_a_picture(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    run("adjacency", FIGURE_A, "--plot", path)
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(magic)
