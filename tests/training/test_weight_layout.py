"""Weights that lie by column while sparse features are multiplied by them: nothing else changes."""

from contextlib import nullcontext

import pytest
import torch

import gnnkit.training.nodes as nodes
from gnnkit.data import NodeData
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.runs import RunFolder
from gnnkit.training.nodes import TrainConfig, fit
from gnnkit.training.weight_layout import Adam, follow_layout, store_by_input, stored_by_input

N, F, C = 24, 9, 3
MODELS = {
    "GCN": lambda: GCN(F, 4, 2, C),
    "GAT": lambda: GAT(F, 2, 2, C, heads=2),
    "GCNII": lambda: GCNII(F, 4, 3, C),
}


def data(sparse=True):
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(N, F, generator=generator) < 0.4) * torch.rand(N, F, generator=generator)
    edges = torch.randint(N, (2, 60), generator=generator)
    mask = torch.arange(N)
    return NodeData(
        name="generated",
        x=x.to_sparse_csr() if sparse else x,
        y=torch.randint(C, (N,), generator=generator),
        adjacency=Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], dim=1), num_nodes=N),
        train_mask=mask < 10,
        val_mask=(mask >= 10) & (mask < 17),
        test_mask=mask >= 17,
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_same_training_as_with_weights_by_row(name, monkeypatch):
    found = {}
    for way in ("by column", "by row"):
        if way == "by row":
            monkeypatch.setattr(nodes, "stored_by_input", lambda model, data: nullcontext())
        model = MODELS[name]()
        result = fit(model, data(), TrainConfig(epochs=12))
        found[way] = result.history, model.state_dict()
    for column, values in found["by row"][0].items():
        assert found["by column"][0][column] == pytest.approx(values, rel=1e-5), column
    for key, value in found["by column"][1].items():
        # A fused step rounds the last few numbers of a tensor, which vectors do not fill, otherwise.
        torch.testing.assert_close(value, found["by row"][1][key], rtol=1e-5, atol=1e-6)
        assert value.is_contiguous()


def test_only_weights_that_meet_sparse_features_change_place():
    model = GCN(F, 4, 2, C)
    assert store_by_input(model, data(sparse=False)) == []
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with stored_by_input(model, data()):
        lying = {key: value.stride() for key, value in model.named_parameters() if not value.is_contiguous()}
        assert lying == {"convs.0.lin.weight": (1, 4)}
        model(data().x, data().adjacency).sum().backward()
        assert model.convs[0].lin.weight.grad.stride() == (1, 4)
    for key, value in model.named_parameters():
        assert value.is_contiguous()
        assert value.grad.is_contiguous()
        assert torch.equal(value, before[key])


def test_weights_are_back_after_an_error():
    model = GCN(F, 4, 2, C)
    with pytest.raises(KeyError), stored_by_input(model, data()):
        raise KeyError
    assert all(each.is_contiguous() for each in model.parameters())


@pytest.mark.parametrize("fused", [True, False])
def test_an_optimizers_state_follows_its_weight(fused):
    """Taken up from a file, it may lie otherwise than the weight; a fused step would mix up the two."""
    weights = []
    for turned in (False, True):
        generator = torch.Generator().manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(4, F, generator=generator))
        optimizer = torch.optim.Adam([weight], 0.1, fused=fused)
        gradients = torch.randn(4, 4, F, generator=generator)
        for step, gradient in enumerate(gradients):
            if turned and step == 2:
                weight.data = weight.data.t().contiguous().t()
                follow_layout(optimizer)
                assert optimizer.state[weight]["exp_avg"].stride() == weight.stride()
                assert optimizer.state[weight]["step"].dim() == 0
            weight.grad = torch.empty_like(weight).copy_(gradient)
            optimizer.step()
        weights.append(weight.detach())
    assert torch.equal(*weights)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_torchs_however_weights_lie(decay):
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, F), (F,), (3, 4), ()]
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    gradients = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(5)]
    found = []
    for ours in (True, False):
        weights = [torch.nn.Parameter(each.clone()) for each in start]
        if ours:
            weights[0].data = weights[0].data.t().contiguous().t()
        optimizer = (Adam if ours else torch.optim.Adam)(weights, 0.1, weight_decay=decay, fused=ours)
        for step in gradients:
            for weight, gradient in zip(weights, step, strict=True):
                weight.grad = torch.empty_like(weight).copy_(gradient)
            optimizer.step()
        found.append((weights, optimizer.state_dict()["state"]))
    for mine, theirs in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    for number, theirs in found[1][1].items():
        for name, value in theirs.items():
            torch.testing.assert_close(found[0][1][number][name], value, rtol=1e-5, atol=1e-6)
    assert found[0][0][0].stride() == (1, 4)
    assert found[0][1][0]["exp_avg"].shape == (4, F)


def test_a_checkpoint_with_weights_by_row_is_continued(tmp_path, monkeypatch):
    """As versions before wrote them, or hands."""
    whole = fit(GCN(F, 4, 2, C), data(), TrainConfig(epochs=8))
    folder = RunFolder.create(tmp_path / "run", kind="nodes")
    with monkeypatch.context() as patch:
        patch.setattr(nodes, "stored_by_input", lambda model, data: nullcontext())
        fit(GCN(F, 4, 2, C), data(), TrainConfig(epochs=5), folder=folder)
    rest = fit(GCN(F, 4, 2, C), data(), TrainConfig(epochs=8), folder=folder)
    for column, values in whole.history.items():
        assert rest.history[column] == pytest.approx(values, rel=1e-5), column
