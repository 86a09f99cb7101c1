"""Who owns what: every node once, few edges between, the files read back as they were written."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnkit.distributed.partition import Entering, Method, balanced, partition
from gnnkit.distributed.parts import read_part, read_record, write_parts
from gnnkit.errors import RunError
from gnnkit.graph import Adjacency
from tests.distributed.test_partitioned_training import random_data
from tests.distributed.thread_group import ThreadGroup, in_threads

METHODS = ["rcm", pytest.param("metis", marks=pytest.mark.skipif(find_spec("pymetis") is None, reason="no pymetis"))]


def shuffled_grid(side: int) -> Adjacency:
    """A torus whose numbering says nothing of its shape."""
    name = torch.randperm(side * side, generator=torch.Generator().manual_seed(0)).view(side, side)
    right = torch.stack([name.flatten(), name.roll(1, 1).flatten()])
    down = torch.stack([name.flatten(), name.roll(1, 0).flatten()])
    edges = torch.cat([right, down], dim=1)
    return Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], dim=1), num_nodes=side * side)


def cut_of(graph: Adjacency, order: np.ndarray, bounds: list[int]) -> int:
    owner = np.empty(graph.num_nodes, int)
    owner[order] = np.searchsorted(bounds, np.arange(graph.num_nodes), side="right") - 1
    source, target = graph.to_edge_index()[0].numpy()
    return int((owner[source] != owner[target]).sum())


@pytest.mark.parametrize("method", METHODS)
def test_an_order_cuts_far_fewer_edges_than_the_given_one(method: Method) -> None:
    graph = shuffled_grid(30)
    edges = Entering.of(graph)
    found, given = partition(edges, 4, method), partition(edges, 4, "given")
    assert sorted(found.order.tolist()) == list(range(900))
    assert cut_of(graph, found.order, found.bounds) < 0.25 * cut_of(graph, given.order, given.bounds)
    sizes = np.diff(found.bounds)
    assert sizes.min() > 0.9 * sizes.max()


@pytest.mark.parametrize("parts", [1, 2, 7, 60])
@pytest.mark.parametrize("method", METHODS)
def test_parts_are_what_was_written(parts: int, method: Method, tmp_path: Path) -> None:
    data = random_data(weighted=True, sparse=parts == 2)
    record = write_parts(data, tmp_path, parts, method=method)
    assert read_record(tmp_path) == record
    locals_ = in_threads(parts, lambda group: read_part(tmp_path, group))
    assert record.cut_edges == cut_of(
        data.adjacency, np.concatenate([each.nodes[: each.graph.num_nodes] for each in locals_]), record.bounds
    )
    dense = torch.zeros(60, 60, dtype=torch.float64)
    for each in locals_:
        own, count = each.nodes, each.graph.num_nodes
        source, target = each.graph.entering()
        dense[own[source], own[target]] = each.graph._entries.values
        x = each.x if isinstance(each.x, torch.Tensor) else each.x.to_dense()
        torch.testing.assert_close(x, data.x.to_dense()[own[:count]])
        assert torch.equal(each.y, data.y[own[:count]])
        for rows, mask in ((each.train, data.train_mask), (each.val, data.val_mask), (each.test, data.test_mask)):
            assert torch.equal(rows, torch.nonzero(mask[own[:count]]).view(-1))
    assert torch.equal(dense, data.adjacency.to_dense())


def test_balanced_leaves_no_part_empty() -> None:
    assert balanced(np.array([0, 0, 0, 90]), 4) == [0, 1, 2, 3, 4]
    assert balanced(np.array([90, 0, 0, 0]), 4) == [0, 1, 2, 3, 4]
    assert balanced(np.zeros(10, int), 3) == [0, 3, 7, 10]


def test_errors_say_what_was_given(tmp_path: Path) -> None:
    data = random_data(weighted=False)
    with pytest.raises(ValueError, match="60 nodes can be shared by 1 to 60 processes, got 61"):
        write_parts(data, tmp_path, 61)
    with pytest.raises(ValueError, match=r"3 rising numbers from 0 to 60, got \[0, 0, 60\]"):
        write_parts(data, tmp_path, 2, method="given", bounds=[0, 0, 60])

    def lonely(group: ThreadGroup) -> None:
        read_part(tmp_path / "nowhere", group)

    with pytest.raises(RunError, match="the run folder must lie where every host sees it"):
        in_threads(1, lonely)
    write_parts(data, tmp_path, 2)
    with pytest.raises(RunError, match="is for 2 processes, and there are 1"):
        in_threads(1, lambda group: read_part(tmp_path, group))
