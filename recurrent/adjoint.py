"""dL/dh_t for every step, two ways: autograd for any cell, and by hand for the stock cells.

Neither computes what nobody asks for here, the gradients of the weights. By hand a step records its own
pullback, from dL/dh_t (and dL/dc_t) to what it adds to the step before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.cell import Cell, HiddenState, StateT, map_state
from recurrent.cells.gru import GRUCell
from recurrent.cells.lstm import LSTMCell, LSTMState
from recurrent.cells.rnn import RNNCell
from recurrent.unroll import checked_state, unroll_states

Loss = Callable[[Tensor], Tensor]  # hidden states [B, T, hidden_size] -> scalar
# (dL/dh_t, dL/dc_t, what the loss itself adds to dL/dh_{t-1}) -> (dL/dh_{t-1}, dL/dc_{t-1})
Pullback = Callable[[Tensor, Tensor | None, Tensor], tuple[Tensor, Tensor | None]]

sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, σ(x)) -> gradient * σ'(x)
tanh_backward = torch.ops.aten.tanh_backward


def gradients_of_states(
    cell: Cell[StateT], inputs: Tensor, loss: Loss, state: StateT | None, times: Tensor | None
) -> list[Tensor]:
    """dL/dh_t, ``[B, hidden_size]``, for each step; see :func:`recurrent.diagnostics.state_gradients`."""
    state = checked_state(cell, inputs, state)
    recorder = RECORDERS.get(type(cell))  # not for subclasses, whose step may be another
    if recorder is not None and times is None:
        return _by_hand(recorder, cell, inputs, loss, state)
    return _by_autograd(cell, inputs, loss, state, times)


@torch.no_grad()
def _by_hand(
    recorder: Callable[..., tuple[Any, Pullback]], cell: Any, inputs: Tensor, loss: Loss, state: Any
) -> list[Tensor]:
    time_major = inputs.transpose(0, 1).contiguous()
    # Autocast would mix dtypes in what is updated in place.
    with torch.autocast(inputs.device.type, enabled=False):
        hidden = state.hidden.new_empty(len(time_major), *state.hidden.shape)
        pullbacks = []
        for prepared, row in zip(cell.prepare(time_major, state), hidden, strict=True):
            state, pullback = recorder(cell, prepared, state, row)
            pullbacks.append(pullback)
    direct = _direct_gradients(hidden, loss)
    gradient, carry = direct[-1], None
    gradients = [gradient]
    for seed, pullback in zip(direct[-2::-1], pullbacks[:0:-1], strict=True):
        gradient, carry = pullback(gradient, carry, seed)
        gradients.append(gradient)
    return gradients[::-1]


def _by_autograd(cell: Cell[StateT], inputs: Tensor, loss: Loss, state: StateT, times: Tensor | None) -> list[Tensor]:
    # With the parameters frozen, the graph starts at the first state.
    with torch.enable_grad(), _frozen(cell):
        start = map_state(lambda field: field.detach().requires_grad_(field.is_floating_point()), state)
        hidden = [after[0] for after in unroll_states(cell, inputs.detach(), start, times=times)]
        direct = _direct_gradients(torch.stack([h.detach() for h in hidden]), loss)
        seen = [(h, seed) for h, seed in zip(hidden, direct, strict=True) if bool(seed.any())]
        if not seen:
            return direct
        outputs, seeds = zip(*seen, strict=True)
        return list(torch.autograd.grad(outputs, hidden, seeds, allow_unused=True, materialize_grads=True))


def _direct_gradients(hidden: Tensor, loss: Loss) -> list[Tensor]:
    """What the loss sees of each state ``[T, B, hidden_size]``, apart from what later states make of it."""
    hidden = hidden.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(hidden.transpose(0, 1))
    if value.dim() or not value.requires_grad:
        raise ValueError(
            "the loss must be a scalar that depends on the hidden states, "
            f"got shape {tuple(value.shape)} with requires_grad={value.requires_grad}"
        )
    return list(torch.autograd.grad(value, hidden)[0].unbind(0))


# Each recorder takes one step, ``prepared`` being its own to overwrite, and puts the hidden state in ``out``.


def _record_rnn(cell: RNNCell, prepared: Tensor, state: HiddenState, out: Tensor) -> tuple[HiddenState, Pullback]:
    total = prepared.addmm_(state.hidden, cell.weight_hh.t())
    hidden = torch.tanh(total, out=out) if cell.nonlinearity == "tanh" else torch.clamp_min(total, 0, out=out)

    def pullback(gradient: Tensor, carry: Tensor | None, seed: Tensor) -> tuple[Tensor, None]:
        if cell.nonlinearity == "tanh":
            before = tanh_backward(gradient, hidden)
        else:
            before = gradient * (hidden > 0)
        return torch.addmm(seed, before, cell.weight_hh), None

    return HiddenState(hidden), pullback


def _record_lstm(cell: LSTMCell, prepared: Tensor, state: LSTMState, out: Tensor) -> tuple[LSTMState, Pullback]:
    gates = prepared.addmm_(state.hidden, cell.weight_hh.t())
    i, f, g, o = gates.chunk(4, dim=-1)
    for gate in (i, f, o):
        gate.sigmoid_()
    g.tanh_()
    memory = torch.addcmul(i * g, f, state.cell)
    shown = memory.tanh()

    def pullback(gradient: Tensor, carry: Tensor | None, seed: Tensor) -> tuple[Tensor, Tensor]:
        to_memory = tanh_backward(gradient * o, shown)
        if carry is not None:
            to_memory = to_memory + carry
        before = [
            sigmoid_backward(to_memory * g, i),
            sigmoid_backward(to_memory * state.cell, f),
            tanh_backward(to_memory * i, g),
            sigmoid_backward(gradient * shown, o),
        ]
        return torch.addmm(seed, torch.cat(before, dim=-1), cell.weight_hh), to_memory * f

    return LSTMState(torch.mul(o, shown, out=out), memory), pullback


def _record_gru(cell: GRUCell, prepared: Tensor, state: HiddenState, out: Tensor) -> tuple[HiddenState, Pullback]:
    size = cell.hidden_size
    from_hidden = linear(state.hidden, cell.weight_hh, cell.bias_hh)
    r, z = (prepared[:, : 2 * size] + from_hidden[:, : 2 * size]).sigmoid_().chunk(2, dim=-1)
    h_n = from_hidden[:, 2 * size :]
    n = torch.addcmul(prepared[:, 2 * size :], r, h_n).tanh_()

    def pullback(gradient: Tensor, carry: Tensor | None, seed: Tensor) -> tuple[Tensor, None]:
        kept = gradient * z
        to_n = tanh_backward(gradient - kept, n)
        before = [
            sigmoid_backward(to_n * h_n, r),
            sigmoid_backward(gradient * (state.hidden - n), z),
            to_n * r,
        ]
        return torch.addmm(kept.add_(seed), torch.cat(before, dim=-1), cell.weight_hh), None

    return HiddenState(torch.lerp(n, state.hidden, z, out=out)), pullback


RECORDERS: dict[type, Callable[..., tuple[Any, Pullback]]] = {
    RNNCell: _record_rnn,
    LSTMCell: _record_lstm,
    GRUCell: _record_gru,
}


@contextmanager
def _frozen(cell: object) -> Iterator[None]:
    """A module's parameters as constants, for as long as this lasts."""
    trainable = [p for p in cell.parameters() if p.requires_grad] if isinstance(cell, nn.Module) else []
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
