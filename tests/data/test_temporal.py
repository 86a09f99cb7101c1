"""Temporal data: the known process, real files, a user's table, rewiring."""

import json
import math
from dataclasses import replace

import pytest
import torch

from gnnkit.data.temporal import TemporalData, diffusion_process, load_temporal, read_chickenpox, read_values
from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.graph import Adjacency


def small(**changes) -> TemporalData:
    """Five steps of two nodes."""
    values = torch.arange(10.0).view(5, 2)
    graph = Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=2)
    data = TemporalData(values, values > -1, graph, "small", "small", "", 3, (0.6, 0.2), "mae", ("a", "b"))
    return replace(data, **changes)


NOT_A_NUMBER = torch.tensor([[0.0, 1.0], [2.0, torch.nan], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]])
WRONG = {
    "a list of values": ({"values": [[1.0]]}, TypeError, "values must be a torch.Tensor, got list"),
    "whole numbers": ({"values": torch.ones(5, 2).long()}, TypeError, r"got torch.int64; .*values.float\(\)"),
    "one axis more": ({"values": torch.ones(5, 2, 1)}, ValueError, r"\(T, N\).*got \(5, 2, 1\) and \(5, 2\)"),
    "no mask": ({"observed": None}, TypeError, "observed must be a torch.Tensor, got NoneType"),
    "a mask of numbers": ({"observed": torch.ones(5, 2)}, TypeError, "observed must be bool, got torch.float32"),
    "a mask of steps": ({"observed": torch.ones(5) > 0}, ValueError, r"got \(5, 2\) and \(5,\)"),
    "NaN that was observed": ({"values": NOT_A_NUMBER}, ValueError, "got nan at step 1 of node 1"),
    "no graph": ({"adjacency": torch.eye(2)}, TypeError, "adjacency must be an Adjacency, got Tensor"),
    "another graph": (
        {"adjacency": Adjacency.from_dense(torch.eye(3))},
        ValueError,
        "2 nodes, .* the graph 3 and node_names 2",
    ),
    "other names": ({"node_names": ("a",)}, ValueError, "the graph 2 and node_names 1"),
    "no period": ({"period": 0}, ValueError, "got 0"),
    "part of a step": ({"period": 1.5}, ValueError, "got 1.5"),
    "everything validates": ({"fractions": (0.5, 0.5)}, ValueError, r"got \(0.5, 0.5\)"),
    "nothing trains": ({"fractions": (0.0, 0.5)}, ValueError, r"got \(0.0, 0.5\)"),
    "three parts": ({"fractions": (0.2, 0.2, 0.2)}, ValueError, r"got \(0.2, 0.2, 0.2\)"),
    "another loss": ({"loss": "rmse"}, ValueError, "loss must be 'mae' or 'mse', got 'rmse'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_refused(name):
    changes, kind, match = WRONG[name]
    with pytest.raises(kind, match=match):
        small(**changes)


def test_what_was_not_observed_is_made_0():
    data = small(values=NOT_A_NUMBER, observed=~NOT_A_NUMBER.isnan())
    assert data.values.tolist() == [[0, 1], [2, 0], [4, 5], [6, 7], [8, 9]]
    assert NOT_A_NUMBER.isnan().sum() == 1  # in memory of its own


def test_the_best_error_of_the_process_is_the_one_printed():
    data = diffusion_process(num_nodes=8, num_steps=60_000, memory=0.9, noise=0.5, seed=3)
    weight = data.adjacency.to_dense().double()
    step = 0.9 * (weight / weight.sum(0)).T
    x, power = data.values.double(), step
    for horizon in range(1, 5):
        error = x[horizon:] - x[:-horizon] @ power.T
        assert float(error.square().mean()) == pytest.approx(data.best_mse[horizon - 1], rel=0.02)
        power = step @ power


def test_the_process_is_the_seeds():
    assert torch.equal(diffusion_process(seed=1).values, diffusion_process(seed=1).values)
    assert not torch.equal(diffusion_process(seed=1).values, diffusion_process(seed=2).values)
    with pytest.raises(ValueError, match=r"memory must lie between 0 and 1.*got 1"):
        diffusion_process(memory=1.0)
    with pytest.raises(ValueError, match="got 3"):
        diffusion_process(3)


def write(path, text):
    path.write_text(text)
    return path


def test_a_table_with_gaps(tmp_path):
    values = write(tmp_path / "speeds.csv", "a,b,c\n1,,3\n\n-4.5,nan,?\n")
    edges = write(tmp_path / "roads.txt", "c a 2\nb c 0.5\n")
    data = read_values(values, edges, directed=True, period=7)
    assert data.values.tolist() == [[1, 0, 3], [-4.5, 0, 0]]
    assert data.observed.tolist() == [[True, False, True], [True, False, False]]
    assert data.adjacency.to_dense().tolist() == [[0, 0, 0], [0, 0, 0.5], [2, 0, 0]]
    assert (data.node_names, data.name, data.period) == (("a", "b", "c"), "speeds", 7)


@pytest.mark.parametrize(
    ("values", "edges", "message"),
    [
        ("a,b\n1,x\n", "a b\n", r"line 2: neither a finite number nor empty: 'x'"),
        ("a,b\n1,1e999\n", "a b\n", "line 2: neither a finite number"),
        ("a,b\n1,2,3\n", "a b\n", "line 2: 3 columns where the titles have 2"),
        ("a,a\n1,2\n", "a b\n", "the node of line 1 again: 'a'"),
        ("a,b\n", "a b\n", "no row of values"),
        ("a,b\n1,2\n", "a z\n", "no column for: 'z'"),
        ("Time,a,b\n0,1,2\n1,2,3\n", "a b\n", "line 1: counts the steps.*leave this first column out: 'Time'"),
        ("date,a,b\n2020-01-01,1,2\n", "a b\n", "line 1: counts the steps.*: 'date'"),
        ("Unnamed: 0,a,b\n0,1,2\n", "a b\n", "line 1: counts the steps"),
    ],
)
def test_tables_that_are_refused(tmp_path, values, edges, message):
    with pytest.raises(FileFormatError, match=message):
        read_values(write(tmp_path / "v.csv", values), write(tmp_path / "e.txt", edges))


def test_a_node_may_be_called_as_a_column_of_steps_is(tmp_path):
    data = read_values(write(tmp_path / "v.csv", "t,u\n1,2\n"), write(tmp_path / "e.txt", "t u\n"))
    assert (data.node_names, data.values.tolist()) == (("t", "u"), [[1, 2]])


def test_a_damaged_file(tmp_path):
    for content in ({}, {"FX": [[1.0]], "edges": [[0, 5]], "node_ids": {"X": 0}}, {"FX": "no", "edges": 1}):
        with pytest.raises(FileFormatError, match="is not the chickenpox data"):
            read_chickenpox(write(tmp_path / "c.json", json.dumps(content)))


def test_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="no temporal data set is called 'weather'"):
        load_temporal("weather")
    with pytest.raises(MissingDataError, match=r"chickenpox\.json is absent"):
        load_temporal("chickenpox", tmp_path)


@pytest.mark.data
def test_chickenpox(data_root):
    data = load_temporal("chickenpox", data_root)
    assert data.values.shape == (521, 20)
    assert (data.adjacency.num_edges, data.adjacency.is_undirected) == (102, True)
    assert data.node_names[0].isalpha()
    assert math.isclose(float(data.values.mean()), 0, abs_tol=1e-4)


@pytest.mark.data
def test_metr_la_says_that_it_is_a_subset(data_root):
    data = load_temporal("metr-la", data_root)
    assert data.values.shape == (34272, 10)
    assert float(data.observed.float().mean()) == pytest.approx(0.926, abs=1e-3)
    assert data.period == 288
    assert "a subset of 10 of 207 sensors, 8 edges between sensors" in data.title
