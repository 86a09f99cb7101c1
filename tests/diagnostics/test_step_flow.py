"""Influence by step: against dense float64 Jacobians, and how gradients fall in the reports' plots."""

from functools import partial

import pytest
import torch
from torch import nn

from gnnkit import flow
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell
from recurrent.diagnostics import state_gradients
from recurrent.models import CellStack, SequenceClassifier, bilstm

B, T, F = 3, 7, 4
CELLS = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "phased": PhasedLSTMCell,
    "mingru": MinGRUCell,
    "orthogonal": OrthogonalRNNCell,
}
MODELS = {
    **{name: partial(SequenceClassifier, cell, F, 5, 3) for name, cell in CELLS.items()},
    "two layers": lambda: SequenceClassifier(LSTMCell, F, 5, 3, num_layers=2, dropout=0.5),
    "both directions": lambda: bilstm(F, 5, 3),
    "an answer a step": lambda: SequenceClassifier(GRUCell, F, 5, 3, per_step=True),
    "a cell": lambda: LSTMCell(F, 5),
    "a stack": lambda: CellStack(RNNCell, F, 5, num_layers=2),
    "torch's own": lambda: nn.LSTM(F, 5, batch_first=True),
}


def last_output(model, x):
    if hasattr(model, "initial_state") and not hasattr(model, "cells"):
        state = model.initial_state(len(x))
        for step in x.unbind(1):
            out, state = model(step, state)
        return out
    out = model(x)
    out = out[0] if isinstance(out, tuple) else out
    return out[:, -1] if out.dim() == 3 else out


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("name", MODELS)
def test_models_match_a_dense_jacobian(name, norm):
    torch.manual_seed(0)
    model = MODELS[name]().double()
    x = torch.randn(B, T, F, dtype=torch.float64)
    found = flow(model, x, by="step", norm=norm)
    assert all(module.training for module in model.modules())
    model.eval()
    jacobian = torch.autograd.functional.jacobian(partial(last_output, model), x)
    own = torch.stack([jacobian[row, :, row] for row in range(B)])  # (B, C, T, F)
    expected = own.abs().sum((1, 3)) if norm == "l1" else own.square().sum((1, 3)).sqrt()
    torch.testing.assert_close(found.influence, expected.flip(1), rtol=1e-9, atol=1e-14)
    small = flow(model, x, nodes=[2, 0], by="step", norm=norm, memory=1)
    torch.testing.assert_close(small.influence, found.influence[[2, 0]])
    assert small.nodes.tolist() == [2, 0]


def test_token_ids_count_by_their_embeddings():
    torch.manual_seed(0)
    model = SequenceClassifier(LSTMCell, 9, 5, 3, embedding_dim=4).double().eval()
    ids = torch.randint(9, (B, T))

    def answer(embedded):
        return model.head(model.stack.last_hidden(model.stack(embedded)[1]))

    jacobian = torch.autograd.functional.jacobian(answer, model.embed(ids).detach())
    expected = torch.stack([jacobian[row, :, row].abs().sum((0, 2)) for row in range(B)])
    torch.testing.assert_close(flow(model, ids, by="step").influence, expected.flip(1), rtol=1e-9, atol=1e-14)
    with pytest.raises(ValueError, match=r"torch.int64"):
        flow(LSTMCell(4, 5), ids, by="step")


def test_by_state_is_the_gradient_of_every_output():
    torch.manual_seed(0)
    model = SequenceClassifier(RNNCell, F, 5, 3).double()
    x = torch.randn(B, T, F, dtype=torch.float64)
    found = flow(model, x, by="step", of="state").influence
    gradients = [
        state_gradients(model.stack.cells[0], x, lambda hidden, c=c: model.head(hidden[:, -1])[:, c].sum())
        for c in range(3)
    ]
    expected = torch.stack(gradients).abs().sum((0, 3)).flip(1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(found[0, 0], model.head.weight.abs().sum(), rtol=1e-9, atol=0)
    with pytest.raises(ValueError, match="both ends"):
        flow(bilstm(F, 5, 3), x.float(), by="step", of="state")
    with pytest.raises(ValueError, match="got LSTM"):
        flow(nn.LSTM(F, 5, batch_first=True), x.float(), by="step", of="state")
    with pytest.raises(ValueError, match="got 'cell'"):
        flow(model, x, by="step", of="cell")


@pytest.mark.parametrize("of", ["input", "state"])
def test_an_untrained_rnn_falls_by_a_constant_factor_and_an_lstm_does_not(of):
    """Row 3 of the reports: T = 100, hidden 128, Xavier weights, digits as raw numbers."""
    torch.manual_seed(0)
    digits = torch.randint(10, (32, 100, 1)).float()
    curves = {}
    for name, cell in (("rnn", RNNCell), ("lstm", LSTMCell)):
        model = SequenceClassifier(cell, 1, 128, 10)
        for weight in model.parameters():
            if weight.dim() == 2:
                nn.init.xavier_uniform_(weight)
        if name == "lstm":
            nn.init.constant_(model.stack.cells[0].bias_ih[128:256], 1.0)
        found = flow(model, digits, by="step", of=of, norm="l2", dtype=torch.float64)
        curves[name] = found.influence.mean(0)
    falling = curves["rnn"].log()
    steps = torch.arange(100.0, dtype=torch.float64)
    assert float(torch.corrcoef(torch.stack([steps, falling]))[0, 1]) < -0.995  # a straight line: one factor
    assert 0.6 < float((falling.diff().mean()).exp()) < 0.8  # the report's 0.71
    # 30 steps back the LSTM still hears far more of what it hears of the last step.
    assert curves["lstm"][30] / curves["lstm"][0] > 10 * curves["rnn"][30] / curves["rnn"][0]


@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(0, 3, 4), [1, 2]], ids=["1-d", "none", "a list"])
def test_sequences_have_a_shape(x):
    with pytest.raises(ValueError, match=r"\(B, T, F\)"):
        flow(RNNCell(4, 5), x, by="step")


def test_an_answer_must_have_rows():
    with pytest.raises(TypeError, match="Flatten must give"):
        flow(nn.Flatten(0), torch.ones(2, 3, 4), by="step")
