"""Temporal data: the known process, real files, a user's table, rewiring."""

import json
import math

import pytest
import torch

from gnnkit.data.temporal import diffusion_process, load_temporal, read_chickenpox, read_values
from gnnkit.errors import FileFormatError, MissingDataError


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
    ],
)
def test_tables_that_are_refused(tmp_path, values, edges, message):
    with pytest.raises(FileFormatError, match=message):
        read_values(write(tmp_path / "v.csv", values), write(tmp_path / "e.txt", edges))


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
