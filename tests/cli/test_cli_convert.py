"""``gnnkit convert``, and the folder it makes as the GRAPH of other commands."""

import json

from typer.testing import CliRunner

from gnnkit.cli.main import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_convert_verify_and_use(tmp_path):
    edges, graph = tmp_path / "edges.txt", tmp_path / "graph"
    edges.write_text("ann bob\nbob cy\ncy dan\n")
    (tmp_path / "labels.csv").write_text("ann,x\nbob,y\n")
    (tmp_path / "train.txt").write_text("ann\nbob\n")
    beside = ("--labels", tmp_path / "labels.csv", "--train", tmp_path / "train.txt")
    made = json.loads(run("convert", edges, "--out", graph, *beside, "--json", "--quiet").stdout)
    assert (made["num_nodes"], made["num_edges"], made["is_undirected"]) == (4, 6, True)
    assert "checked" in run("convert", "--verify", graph, "--quiet").stdout
    path = json.loads(run("hops", graph, "ann", "dan", "--json").stdout)
    assert path["hops"] == 3
    assert json.loads(run("info", graph, "--json").stdout)["num_edges"] == 6
    assert "no node named 'eve'" in run("hops", graph, "eve", "dan", code=2).output
    assert "knows it" in run("hops", graph, "ann", "--directed", code=2).output
    trained = run("train", graph, "--batch-size", 1, "--fanout", "2,2", "--epochs", 2, "--out", tmp_path / "run", "-q")
    assert "gcn on edges" in trained.stdout
    run("predict", tmp_path / "run", "--out", tmp_path / "classes.csv", "-q")
    assert (tmp_path / "classes.csv").read_text().splitlines()[1].startswith("ann,")
    target = graph / "out_target.npy"
    target.write_bytes(target.read_bytes()[:-1] + b"\x7f")
    assert "damaged" in run("convert", "--verify", graph, "-q", code=1).stdout


def test_bad_usage(tmp_path):
    edges = tmp_path / "edges.txt"
    edges.write_text("1 2\n")
    assert "--out" in run("convert", edges, code=2).output
    assert "there is no file" in run("convert", tmp_path / "none.txt", "--out", tmp_path / "g", code=2).output
    assert "leave it out" in run("convert", edges, "--verify", "--out", tmp_path / "g", code=2).output
    run("convert", edges, "--out", tmp_path / "g", "-q")
    assert "holds a graph already" in run("convert", edges, "--out", tmp_path / "g", "-q", code=2).output
    assert "is not" in run("convert", "--verify", tmp_path, code=1).output
    assert "whole numbers" in run("train", "karate", "--batch-size", 2, "--fanout", "a", code=2).output
    assert "one number per layer" in run("train", "karate", "--batch-size", 2, "--fanout", "1", code=2).output
