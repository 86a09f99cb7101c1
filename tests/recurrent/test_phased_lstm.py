"""The Phased LSTM against its equations, and its clock."""

import pytest
import torch

from recurrent import LSTMCell, LSTMState, PhasedLSTMCell, PhasedLSTMState, unroll
from recurrent.cells import temporal_gate
from tests.reference.recurrent import gate_openness, phased_lstm_reference

BATCH, STEPS, FEATURES, HIDDEN = 3, 11, 2, 5
WEIGHTS = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def make(**options):
    torch.manual_seed(0)
    cell = PhasedLSTMCell(FEATURES, HIDDEN, tau_range=(2.0, 20.0), **{"r_on": 0.4, **options}).double()
    torch.nn.init.normal_(cell.logit_r_on)
    inputs = torch.randn(BATCH, STEPS, FEATURES, dtype=torch.float64)
    hidden, memory = torch.randn(2, BATCH, HIDDEN, dtype=torch.float64)
    times = torch.rand(BATCH, STEPS, dtype=torch.float64).mul(3).cumsum(1)
    return cell, inputs, hidden, memory, times


@pytest.mark.parametrize("hidden_from", ["candidate", "gated"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("stamped", ["own clock", "shared", "per sequence"])
def test_equals_the_step_by_step_reference(hidden_from, training, stamped):
    cell, inputs, hidden, memory, times = make(hidden_from=hidden_from, leak=0.05)
    cell.train(training)
    if stamped != "per sequence":
        times = torch.arange(STEPS, dtype=torch.float64) + (0.25 if stamped == "shared" else 0)
    state = PhasedLSTMState(hidden, memory, torch.zeros(BATCH, dtype=torch.float64))
    outputs, last = unroll(cell, inputs, state, times=None if stamped == "own clock" else times)

    weights = {name: getattr(cell, name) for name in WEIGHTS}
    clock = {name: getattr(cell, name).detach().requires_grad_() for name in ("tau", "s", "r_on")}
    expected = phased_lstm_reference(
        weights,
        inputs,
        hidden,
        memory,
        times=times.expand(BATCH, STEPS),
        leak=0.05 if training else 0.0,
        hidden_from=hidden_from,
        **clock,
    )
    torch.testing.assert_close((outputs, last.hidden, last.cell), expected, **EXACT)

    def loss(outputs, hidden, memory):
        return outputs.square().sum() + (hidden * memory).sum()

    names = [*WEIGHTS, "s", "log_tau", "logit_r_on"]
    ours = torch.autograd.grad(loss(outputs, last.hidden, last.cell), [getattr(cell, name) for name in names])
    wanted = [*weights.values(), clock["s"], clock["tau"], clock["r_on"]]
    theirs = list(torch.autograd.grad(loss(*expected), wanted))
    theirs[5] = theirs[5] * cell.tau  # the chain rule from τ to log τ
    theirs[6] = theirs[6] * cell.r_on * (1 - cell.r_on)  # and from r_on to its logit
    assert all(gradient.abs().max() > 1e-6 for gradient in ours)
    torch.testing.assert_close(list(ours), theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("hidden_from", ["candidate", "gated"])
def test_a_gate_forced_open_gives_the_lstm(hidden_from, monkeypatch):
    cell, inputs, hidden, memory, _ = make(hidden_from=hidden_from)
    monkeypatch.setattr(PhasedLSTMCell, "openness", lambda self, times: times.new_ones(*times.shape, self.hidden_size))
    lstm = LSTMCell(FEATURES, HIDDEN).double()
    lstm.load_state_dict({name: getattr(cell, name) for name in WEIGHTS})
    outputs, last = unroll(cell, inputs, PhasedLSTMState(hidden, memory, torch.zeros(BATCH).double()))
    expected, end = unroll(lstm, inputs, LSTMState(hidden, memory))
    torch.testing.assert_close((outputs, last.hidden, last.cell), (expected, *end), **EXACT)


@pytest.mark.parametrize("hidden_from", ["candidate", "gated"])
@pytest.mark.parametrize("stamped", [False, True], ids=["own clock", "per sequence"])
def test_computing_only_the_open_units_changes_nothing(hidden_from, stamped):
    cell, inputs, hidden, memory, times = make(hidden_from=hidden_from)
    cell.set_clock(r_on=0.08)
    cell.eval()
    state = PhasedLSTMState(hidden, memory, torch.full((BATCH,), 7.0, dtype=torch.float64))
    options = {"times": times} if stamped else {}
    expected = unroll(cell, inputs, state, **options)
    with torch.no_grad():
        kinds = {type(item).__name__ for item in cell.prepare(inputs.transpose(0, 1), state, **options)}
        outputs = unroll(cell, inputs, state, **options)
        ragged = unroll(cell, inputs, state, lengths=torch.tensor([STEPS, 0, 3]), **options)
    assert kinds == {"OpenUnitsStep"}
    torch.testing.assert_close(outputs, expected, **EXACT)
    torch.testing.assert_close(ragged[0][0], expected[0][0], **EXACT)
    torch.testing.assert_close(ragged[1].cell[1], memory[1], **EXACT)


def test_a_closed_gate_keeps_the_state_and_passes_gradient_only_through_the_leak():
    cell, inputs, hidden, memory, _ = make(leak=0.01)
    cell.set_clock(tau=10.0, s=0.0, r_on=0.2)
    state = PhasedLSTMState(hidden, memory, torch.full((BATCH,), 5.0, dtype=torch.float64))
    leaking, _ = cell(inputs[:, 0], state)
    assert torch.autograd.grad(leaking.sum(), cell.s)[0].abs().min() > 0
    cell.eval()
    output, after = cell(inputs[:, 0], state)
    torch.testing.assert_close((output, after.cell), (hidden, memory), **EXACT)
    assert not torch.autograd.grad(output.sum(), cell.s)[0].any()


def test_temporal_gate_meets_its_definition():
    tau, s, r_on = torch.rand(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tau, r_on = 1 + 9 * tau, 0.1 + 0.9 * r_on
    for t in [-7.3, 0.0, 0.4, 3.0, 12.9, 1e4 + 0.1]:
        k = temporal_gate(torch.tensor(t, dtype=torch.float64), tau, s, r_on, leak=0.01)
        torch.testing.assert_close(k, gate_openness(t, tau, s, r_on, 0.01), **EXACT)
        assert ((k >= 0) & (k <= 1)).all()


def test_temporal_gate_gradients():
    times = torch.tensor([0.3, 1.7, 2.9, 8.4], dtype=torch.float64)
    arguments = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (3.0, 0.2, 0.7)]
    torch.autograd.gradcheck(lambda *a: temporal_gate(times, *a, leak=0.01), arguments)


def test_long_clocks_keep_the_precision_of_their_times():
    cell = PhasedLSTMCell(1, 3)
    late = torch.tensor(1e9 + 0.25, dtype=torch.float64)
    expected = temporal_gate(late, cell.tau.double(), cell.s.double(), cell.r_on.double(), cell.leak)
    torch.testing.assert_close(cell.openness(late).double(), expected, rtol=1e-4, atol=1e-6)


def test_set_clock_sets_and_checks():
    cell = PhasedLSTMCell(1, 3)
    cell.set_clock(tau=15.0, s=torch.tensor([0.0, 1.0, 2.0]), r_on=0.4)
    torch.testing.assert_close(cell.tau, torch.full((3,), 15.0))
    torch.testing.assert_close(cell.s, torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(cell.r_on, torch.full((3,), 0.4))
    cell.set_clock(r_on=1.0)
    assert (cell.r_on == 1).all()
    with pytest.raises(ValueError, match=r"got 0\.0"):
        cell.set_clock(tau=0.0)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        cell.set_clock(r_on=1.5)


@pytest.mark.parametrize("ragged", [False, True])
def test_stamps_reach_a_cell_with_hooks(ragged):
    torch.manual_seed(0)
    cell = PhasedLSTMCell(2, 3, r_on=0.6, tau_range=(2.0, 9.0)).double()
    inputs, lengths = torch.randn(4, 7, 2).double(), torch.tensor([7, 0, 3, 1]) if ragged else None
    for times in (torch.rand(7).double().cumsum(0), torch.rand(4, 7).double().cumsum(1)):
        expected = unroll(cell, inputs, times=times, lengths=lengths)
        handle = cell.register_forward_hook(lambda *_: None)
        torch.testing.assert_close(unroll(cell, inputs, times=times, lengths=lengths), expected, rtol=1e-10, atol=1e-12)
        handle.remove()


def test_an_open_ratio_of_1_is_finite_and_stays():
    cell = PhasedLSTMCell(1, 3, r_on=1.0)
    assert (cell.r_on == 1).all()
    optimizer = torch.optim.Adam(cell.parameters())
    unroll(cell, torch.randn(2, 5, 1))[0].sum().backward()
    optimizer.step()
    assert (cell.r_on == 1).all()
    assert all(parameter.isfinite().all() for parameter in cell.parameters())


def test_the_clock_of_half_precision_does_not_stand_still():
    cell = PhasedLSTMCell(1, 3).bfloat16().eval()
    state = cell.initial_state(2)
    for _ in range(300):
        _, state = cell(torch.zeros(2, 1, dtype=torch.bfloat16), state)
    _, unrolled = unroll(cell, torch.zeros(2, 300, 1, dtype=torch.bfloat16))
    assert state.time.tolist() == unrolled.time.tolist() == [300, 300]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r_on": 0.0}, r"got 0\.0"),
        ({"r_on": 1.2}, r"got 1\.2"),
        ({"leak": -0.1}, r"got -0\.1"),
        ({"leak": float("inf")}, "got inf"),
        ({"tau_range": (0.0, 1.0)}, r"got \(0\.0, 1\.0\)"),
        ({"tau_range": (1.0, 1e300)}, r"got \(1\.0, 1e\+300\)"),
        ({"hidden_from": "cell"}, "got 'cell'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PhasedLSTMCell(2, 3, **options)
