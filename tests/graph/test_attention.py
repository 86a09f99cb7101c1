"""The attention kernels: against loops, their gradients, their memory, and the entering edges."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import gnnkit.graph.attention as attention_module
import gnnkit.graph.pair_scores as pair_scores_module
from gnnkit.graph import Adjacency
from gnnkit.graph.attention import attend
from gnnkit.graph.entering import EnteringEdges, entering_edges
from gnnkit.graph.pair_scores import pair_scores
from gnnkit.graph.receptive_field import receptive_field


def random_edges(self_loops: bool = True, num_nodes: int = 9, num_edges: int = 30) -> EnteringEdges:
    edge_index = torch.randint(0, num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(0))
    # Two nodes more: one row without edges in front of none, and one at the end.
    return EnteringEdges(edge_index, num_nodes + 2, num_nodes + 2, self_loops=self_loops)


def reference(
    x: Tensor,
    edges: EnteringEdges,
    source: Tensor | None,
    target: Tensor | None,
    edge: Tensor | None,
    slope: float,
    kept: Tensor | None,
    keep: float,
) -> Tensor:
    row, col, out = edges.row.long(), edges.col.long(), []
    for head in range(x.size(0)):
        logits = torch.zeros(row.numel(), dtype=x.dtype)
        if source is not None:
            logits = logits + source[head][col]
        if target is not None:
            logits = logits + target[head][row]
        if edge is not None:
            logits = logits + edge[head % edge.size(0)]
        logits = torch.where(logits > 0, logits, slope * logits)
        rows = []
        for node in range(edges.num_targets):
            entering = row == node
            alpha = torch.softmax(logits[entering], 0)
            if kept is not None:
                alpha = alpha * kept[head][entering] / keep
            rows.append(alpha @ x[head][col[entering]])
        out.append(torch.stack(rows))
    return torch.stack(out)


@pytest.mark.parametrize("merged", [1 << 17, 100, 0], ids=["all heads at once", "some", "one by one"])
@pytest.mark.parametrize("self_loops", [True, False])
@pytest.mark.parametrize("parts", ["source target", "source target edge", "edge", ""])
@pytest.mark.parametrize("channels", [1, 3, 9])
def test_equals_loops(
    channels: int, parts: str, self_loops: bool, merged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_module, "_MERGED_ENTRIES", merged)
    torch.manual_seed(0)
    edges = random_edges(self_loops)
    x = torch.randn(6, 11, channels, dtype=torch.float64, requires_grad=True)
    given = {
        "source": torch.randn(6, 11, dtype=torch.float64, requires_grad=True),
        "target": torch.randn(6, 11, dtype=torch.float64, requires_grad=True),
        "edge": torch.randn(3, edges.num_entries, dtype=torch.float64, requires_grad=True),
    }
    given = {name: value if name in parts.split() else None for name, value in given.items()}
    for kept, keep in ((None, 1.0), (torch.rand(6, edges.num_entries) > 0.4, 0.6)):
        out = attend(x, edges, **given, negative_slope=0.2, kept=kept, keep_probability=keep)
        expected = reference(x, edges, *given.values(), 0.2, kept, keep)
        torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-12)
        inputs = [x, *(value for value in given.values() if value is not None)]
        direction = torch.randn_like(out)
        got = torch.autograd.grad(out, inputs, direction)
        wanted = torch.autograd.grad(expected, inputs, direction)
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("slope", [0.2, 0.0, 1.0, 3.0, -0.5])
@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0, 500.0])
def test_logits_far_apart_and_close_together(spread: float, slope: float) -> None:
    # Where all lie close together there is one maximum for all, elsewhere one for each target.
    torch.manual_seed(0)
    edges, x = random_edges(self_loops=False), torch.randn(2, 11, 4)
    source, target = spread * torch.randn(2, 11), spread * torch.randn(2, 11)
    expected = reference(x.double(), edges, source.double(), target.double(), None, slope, None, 1.0).float()
    parts = {"source": source, "target": target, "negative_slope": slope}
    torch.testing.assert_close(attend(x, edges, **parts), expected, rtol=2e-4, atol=1e-5)
    with_gradients = attend(x.clone().requires_grad_(), edges, **parts)
    torch.testing.assert_close(with_gradients.detach(), attend(x, edges, **parts), rtol=0, atol=0)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_logit_that_is_no_number_stays_with_its_targets(value: float) -> None:
    edges = entering_edges(torch.tensor([[0, 1, 2, 3], [1, 1, 3, 3]]), 4, self_loops=False)
    source = torch.tensor([[value, 0.5, 1.0, 2.0]])
    out = attend(torch.ones(1, 4, 2), edges, source=source, target=torch.zeros(1, 4))
    torch.testing.assert_close(out[0, 3], torch.ones(2))
    assert bool(torch.isnan(out[0, 1]).all()) == (value != float("-inf"))


def test_more_edges_than_pairs_of_nodes() -> None:
    torch.manual_seed(0)
    edges = random_edges(False, 3, 200)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    source = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    out = attend(x, edges, source=source, negative_slope=0.2)
    expected = reference(x, edges, source, None, None, 0.2, None, 1.0)
    torch.testing.assert_close(out, expected)
    direction = torch.randn_like(out)
    got, wanted = (torch.autograd.grad(value, (x, source), direction) for value in (out, expected))
    torch.testing.assert_close(got, wanted)


def test_vmap_over_any_of_the_tensors() -> None:
    torch.manual_seed(0)
    edges = random_edges()
    full = [
        torch.randn(6, 11, 3, dtype=torch.float64),
        torch.randn(6, 11, dtype=torch.float64),
        torch.randn(6, 11, dtype=torch.float64),
        torch.randn(3, edges.num_entries, dtype=torch.float64),
    ]

    def call(x: Tensor, source: Tensor, target: Tensor, edge: Tensor) -> Tensor:
        return attend(x, edges, source=source, target=target, edge=edge, negative_slope=0.2)

    def loss(*tensors: Tensor) -> Tensor:
        return call(*tensors).square().sum()

    gradient = torch.func.grad(loss, argnums=(0, 1, 2, 3))
    for mapped in range(4):
        tensors, dims = list(full), [None] * 4
        tensors[mapped] = torch.stack([full[mapped], torch.randn_like(full[mapped])], dim=1)
        dims[mapped] = 1
        each = [[*full[:mapped], tensors[mapped].select(1, index), *full[mapped + 1 :]] for index in range(2)]
        out = torch.vmap(call, tuple(dims))(*tensors)
        torch.testing.assert_close(out, torch.stack([call(*one) for one in each]))
        grads = torch.vmap(gradient, tuple(dims))(*tensors)
        for got, wanted in zip(grads, zip(*(gradient(*one) for one in each), strict=True), strict=True):
            torch.testing.assert_close(got, torch.stack(wanted))


@pytest.mark.parametrize("with_edges", [True, False])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_pair_scores_equal_the_formula(chunk: int, with_edges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_scores_module, "_CHUNK_NUMBERS", chunk * 6)
    torch.manual_seed(0)
    edges = random_edges()
    left, right = (torch.randn(2, 11, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    att = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    attr = torch.randn(edges.num_entries, 4, dtype=torch.float64, requires_grad=True) if with_edges else None
    weight = torch.randn(6, 4, dtype=torch.float64, requires_grad=True) if with_edges else None
    scores = pair_scores(left, right, att, edges, edge_attr=attr, edge_weight=weight, negative_slope=0.1)
    sums = left[:, edges.col.long()] + right[:, edges.row.long()]
    if attr is not None and weight is not None:
        sums = sums + attr @ weight.T
    active = torch.where(sums > 0, sums, 0.1 * sums).view(2, -1, 3, 2)
    expected = (active * att).sum(-1).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(scores, expected, rtol=1e-12, atol=1e-13)
    inputs = [left, right, att, *([attr, weight] if attr is not None else [])]
    direction = torch.randn_like(scores)
    got, wanted = (torch.autograd.grad(value, inputs, direction) for value in (scores, expected))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation inside makes."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self.numel = max(self.numel, tensor.numel())
        return out


def test_no_tensor_has_edges_times_channels() -> None:
    heads, channels, edges = 4, 8, random_edges(True, 200, 9000)
    entries, order = edges.num_entries, edges.copies(1)
    x, out = torch.randn(heads, 202, channels), torch.randn(heads, 202, channels)
    parts = torch.randn(heads, 202), torch.randn(heads, 202), None, None, 1.0, 0.2, 1, None
    with Largest() as seen:
        attention_module.attend_forward(x, *parts, *order[:3])
        attention_module.attend_backward(out, out, parts[0], x, *parts, *order[:6])
    assert 0 < seen.numel <= max(entries, x.numel())  # less even than one number per edge and head
    with Largest() as seen:
        rows, att = torch.randn(1, 202, heads * channels), torch.randn(heads, channels)
        scores = pair_scores_module._pair_scores_op(rows, rows, att, None, None, 0.2, *order[:3])
        pair_scores_module._pair_scores_backward_op(scores, False, rows, rows, att, None, None, 0.2, *order[:6])
    assert seen.numel <= max(entries * heads, pair_scores_module._CHUNK_NUMBERS)


def test_nothing_of_an_edge_is_kept_for_the_backward() -> None:
    edges = random_edges(True, 200, 9000)
    structure = {id(tensor) for tensor in edges.copies(1)}
    x, source = torch.randn(4, 202, 8, requires_grad=True), torch.randn(4, 202, requires_grad=True)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        attend(x, edges, source=source, target=source)
    sizes = [each.numel() for each in saved if id(each) not in structure and each.dtype.is_floating_point]
    assert sizes
    assert max(sizes) < edges.num_entries


# ---- entering edges ------------------------------------------------------------------------------


def test_listing_keeps_the_order_and_marks_what_was_added() -> None:
    edge_index = torch.tensor([[2, 0, 1, 1, 2, 1], [0, 0, 2, 1, 0, 1]])
    listing = EnteringEdges(edge_index, 4, 4, self_loops=True).listing
    assert listing.edge_index.tolist() == [[2, 0, 1, 1, 2, 1, 2, 3], [0, 0, 2, 1, 0, 1, 2, 3]]
    assert listing.is_added.tolist() == [False] * 6 + [True] * 2
    assert (listing.entry < 0).tolist() == [False] * 5 + [True, False, False]  # the second loop of node 1
    assert len(set(listing.entry.tolist())) == 8


def test_entries_are_sorted_by_target_then_source() -> None:
    edges = EnteringEdges(torch.tensor([[2, 0, 1, 1], [0, 0, 2, 1]]), 3, 3, self_loops=True)
    assert edges.row.tolist() == [0, 0, 1, 2, 2]
    assert edges.col.tolist() == [0, 2, 1, 1, 2]
    assert edges.crow.tolist() == [0, 2, 3, 5]
    assert edges.edge_ids.tolist() == [-1, 0, -1, 2, -1]
    crow, col, order = edges.transpose
    assert (crow.tolist(), col.tolist()) == ([0, 1, 3, 5], [0, 1, 2, 0, 2])
    assert torch.equal(edges.row[order], col)


def test_copies_are_components_whose_rows_take_turns() -> None:
    edges = random_edges()
    order = edges.copies(3)
    matrix = torch.zeros(33, 33)
    matrix[order.row.long(), order.col.long()] = 1
    one = torch.zeros(11, 11)
    one[edges.row.long(), edges.col.long()] = 1
    assert torch.equal(matrix, torch.kron(one, torch.eye(3)))
    assert torch.equal(order.row, torch.repeat_interleave(torch.arange(33), order.crow.diff()))
    assert torch.equal(order.row[order.order], order.t_col)
    assert torch.equal(order.col[order.order], torch.repeat_interleave(torch.arange(33), order.t_crow.diff()))
    assert torch.equal(order.t_crow.diff().long(), matrix.sum(0).long() + _repeats(order.col, order.row, 33))
    copy, entry = order.place // edges.num_entries, order.place % edges.num_entries
    assert torch.equal(order.row, edges.row[entry] * 3 + copy)
    assert torch.equal(order.col, edges.col[entry] * 3 + copy)
    assert torch.equal(order.place.sort().values, torch.arange(3 * edges.num_entries))


def _repeats(col: Tensor, row: Tensor, size: int) -> Tensor:
    """How often each column's entries repeat one another."""
    pairs = torch.stack([row, col]).long()
    return torch.bincount(pairs[1], minlength=size) - torch.bincount(pairs.unique(dim=1)[1], minlength=size)


def test_kept_with_the_graph_and_with_the_block() -> None:
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
    (block,) = receptive_field(graph, torch.tensor([1]), 1).blocks
    for each, size in ((graph, 3), (block, 2)):
        first = entering_edges(each, size, self_loops=True)
        assert entering_edges(each, size, self_loops=True) is first
        assert entering_edges(each, size, self_loops=False) is not first
    assert entering_edges(block, 2, self_loops=False).edge_ids.tolist() == [0]
