"""Rows on a receptive field are compared with those of the full graph, in both modes, and nothing changes by it."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch_geometric import nn as pyg

from gnnkit.graph import receptive_field
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.nn.pruned import prune
from gnnkit.nn.rows import check_blocks, check_same_rows, checked_rows
from gnnkit.runs import random_state
from tests.pyg_models import GRAPHS, TARGETS, F, features

GRAPH = GRAPHS["directed"]


def compare(model):
    """Of a model that takes Blocks, or of PyG's layers."""
    x = features(torch.float64)
    if not getattr(model, "takes_blocks", False):
        prune(model, GRAPH, TARGETS).check(x)
        return
    graph = GRAPH.to(dtype=torch.float64)
    field = receptive_field(graph, TARGETS, model.num_layers)
    check_blocks(model, lambda: model(x[field.nodes], field.blocks), lambda: model(x, graph)[TARGETS])


class OfPyG(nn.Module):
    """What a user writes, with torch's dropout in both of its forms."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.dropout = pyg.GATConv(F, 4, dropout=0.6), pyg.GCNConv(4, 3), nn.Dropout(0.5)

    def forward(self, x, edge_index):
        x = self.dropout(self.first(functional.dropout(x, p=0.6, training=self.training), edge_index))
        return self.second(functional.dropout(x.relu(), 0.3, self.training), edge_index)


class CentresWhileTraining(OfPyG):
    def forward(self, x, edge_index):
        out = super().forward(x, edge_index)
        return out - out.mean(0) if self.training else out


class AddsNoise(OfPyG):
    """Draws for itself: two passes of it cannot be compared."""

    def forward(self, x, edge_index):
        return super().forward(x + torch.randn_like(x) * self.training, edge_index)


class Plain(GCN):
    """No other numbers than a GCN's."""


class PlainGAT(GAT):
    pass


class PlainGCNII(GCNII):
    pass


class BlocksCentredWhileTraining(GAT):
    def layer(self, *given):
        out = super().layer(*given)
        return out - out.mean(0) if self.training else out


class BlocksCentred(GCN):
    def layer(self, *given):
        out = super().layer(*given)
        return out - out.mean(0)


class Diverged(GCN):
    def layer(self, *given):
        return super().layer(*given) * torch.nan


SOUND = {
    "of PyG": OfPyG,
    "noise of its own": AddsNoise,
    "a GCN": lambda: Plain(F, 4, 2, 3, dropout=0.5),
    "a GAT": lambda: PlainGAT(F, 4, 2, 3, dropout=0.6, heads=2),
    "a GCNII": lambda: PlainGCNII(F, 4, 2, 3, dropout=0.6),
    "diverged": lambda: Diverged(F, 4, 2, 3),
}
MIXING = {
    "of PyG": CentresWhileTraining,
    "blocks": lambda: BlocksCentredWhileTraining(F, 4, 2, 3, dropout=0.6, heads=2),
}


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_dropout_is_no_mixing_of_rows(make):
    torch.manual_seed(0)
    compare(make().double())
    compare(make().double().eval())


@pytest.mark.parametrize("make", MIXING.values(), ids=MIXING)
def test_what_mixes_rows_while_it_trains_is_found_in_training_mode(make):
    torch.manual_seed(0)
    model = make().double()
    with pytest.raises(ValueError, match=r"gives other rows on the receptive field \(by .*\) than on the full graph"):
        compare(model)
    compare(model.eval())
    with pytest.raises(ValueError, match="BlocksCentred gives other rows"):
        compare(BlocksCentred(F, 4, 2, 3).double().eval())


class Remembers(nn.Module):
    """Changes a buffer and draws from every generator at each call; the last of them fails."""

    def __init__(self, calls):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.part, self.last = nn.Dropout(0.25).eval(), calls

    def forward(self):
        self.calls += 1
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        self.last -= 1
        if self.last == 0:
            raise RuntimeError("the last call")
        return torch.ones(3, 2)


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_modes_buffers_and_random_state_stay_even_after_an_error(calls):
    model, before = Remembers(calls), random_state()
    if calls == 4:  # one pass in training mode, where it draws; two in evaluation mode
        check_same_rows(model, model, model)
    else:
        with pytest.raises(RuntimeError, match="the last call"):
            check_same_rows(model, model, model)
    assert model.calls == 0
    assert [module.training for module in model.modules()] == [True, False]
    assert model.part.p == 0.25
    after = random_state()
    assert torch.equal(after["torch"], before["torch"])
    assert {name: after[name] for name in ("python", "numpy")} == {name: before[name] for name in ("python", "numpy")}


def test_models_of_the_library_are_not_run():
    def never():
        raise AssertionError("it was run")

    check_blocks(GCN(F, 4, 2, 3), never, never)
    check_blocks(GAT(F, 4, 2, 3), never, never)
    with pytest.raises(AssertionError, match="it was run"):
        check_blocks(Plain(F, 4, 2, 3), never, never)
    model = GCN(F, 4, 2, 3)
    model.convs[0] = Remembers(1)
    with pytest.raises(AssertionError, match="it was run"):
        check_blocks(model, never, never)


def test_norms_over_nodes_are_refused_by_name_without_a_run():
    model = Plain(F, 4, 2, 3)
    model.norm = nn.BatchNorm1d(4)
    with pytest.raises(ValueError, match=r"norm \(BatchNorm1d\) cannot be pruned: BatchNorm1d in training mode"):
        compare(model.double())
    compare(model.eval())
    model.norm = pyg.GraphNorm(4)
    with pytest.raises(ValueError, match=r"norm \(GraphNorm\) cannot be pruned"):
        compare(model)


def test_a_row_for_every_node():
    model = nn.Linear(1, 1)
    assert checked_rows(model, torch.ones(3, 2), 3).shape == (3, 2)
    for out, got in ((torch.ones(3), r"\(3,\)"), (torch.ones(1, 2), r"\(1, 2\)"), ((1, 2), "tuple")):
        with pytest.raises(TypeError, match=f"Linear must return .* a row for each of 3 nodes, got {got}"):
            checked_rows(model, out, 3)
