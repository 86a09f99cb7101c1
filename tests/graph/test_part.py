"""A part of a graph propagates as the rows of the whole do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnnkit.graph import Adjacency
from gnnkit.graph.part import Part


def part_of(graph: Adjacency, own: int) -> Part:
    """The part of the first nodes; the rows of the rest are zeros."""
    edge_index, weight = graph.T.to_edge_index()  # by target
    kept = edge_index[0] < own
    target, source = edge_index[:, kept]
    crow = torch.zeros(own + 1, dtype=torch.int64)
    crow[1:] = torch.cumsum(torch.bincount(target, minlength=own), 0)

    def fetch(x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(graph.num_nodes - own, x.size(1))])

    return Part(crow, source, weight[kept], graph.num_nodes, fetch)


@pytest.fixture
def graph() -> Adjacency:
    generator = torch.Generator().manual_seed(1)
    edges = torch.randint(0, 11, (2, 40), generator=generator)  # node 11 is alone
    return Adjacency.from_edge_index(edges, torch.rand(40, generator=generator).double() + 0.1, num_nodes=12)


@pytest.mark.parametrize("kind", [None, "sym", "row"])
@pytest.mark.parametrize("loops", [None, 1.0, 0.3])
def test_a_part_of_everything_is_the_graph(graph: Adjacency, kind: str | None, loops: float | None) -> None:
    part = part_of(graph, 12)
    expected, found = graph, part
    if loops is not None:
        expected, found = expected.with_self_loops(loops), found.with_self_loops(loops)
    if kind is not None:
        expected, found = expected.normalized(kind), found.normalized(kind)  # type: ignore[arg-type]
    for shape in ((12, 3), (2, 12, 3)):
        x = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(found.propagate(x), expected.propagate(x), rtol=1e-12, atol=1e-14)


def test_foreign_rows_are_fetched(graph: Adjacency) -> None:
    part = part_of(graph, 5)
    x = torch.randn(12, 3, dtype=torch.float64)
    x[5:] = 0  # as fetch has it
    torch.testing.assert_close(part.propagate(x[:5]), graph.propagate(x)[:5])
    assert repr(part) == f"Part(5 own and 7 foreign nodes, {part.num_edges} edges)"


def test_gradients_reach_features_and_lambda(graph: Adjacency) -> None:
    part = part_of(graph, 12)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)

    def product(x: Tensor, weight: Tensor) -> Tensor:
        return part.with_self_loops(weight).normalized("sym").propagate(x)

    assert torch.autograd.gradcheck(product, (x, weight))
    expected = torch.autograd.grad(graph.with_self_loops(weight).normalized("sym").propagate(x).sin().sum(), weight)
    found = torch.autograd.grad(product(x, weight).sin().sum(), weight)
    torch.testing.assert_close(found, expected)


def test_errors_say_what_was_given(graph: Adjacency) -> None:
    part = part_of(graph, 5)
    with pytest.raises(ValueError, match="5 nodes but the features have 12 rows"):
        part.propagate(torch.zeros(12, 3, dtype=torch.float64))
    with pytest.raises(TypeError, match="float32"):
        part.propagate(torch.zeros(5, 3))
    with pytest.raises(ValueError, match="by 'sym' or 'row', got 'column'"):
        part.normalized("column")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be finite, got inf"):
        part.with_self_loops(float("inf"))
    negative = Part(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([-2.0]), 1, lambda x: x)
    with pytest.raises(ValueError, match="the smallest is -2"):
        negative.normalized("sym")
